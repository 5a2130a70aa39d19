// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attacks on the entry of signal handlers, from libsignals: jumps to its WRPKRU, and frames
 * that no kernel made.  Each stands beside a control that gets through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "handlers.h"

/* As in libsignals. */
struct jump {
	uint64_t target, rax, rbx, rdi, rsp;
};

struct forge {
	struct jump jump;
	uint64_t restorer, pkru_at, xstate_size, rip, rsp;
	int on_stack;
};

static struct death death;

enum where { START, OPEN };
enum value { RIGHT, EVERYTHING, CLOSED };
enum line { OWN, OTHER };
enum frame { NONE, STATIC, STACK, NO_RESTORER, INTO_GATE, NO_HANDLER };

struct attack {
	enum where where;
	enum value value;
	enum line line;
	enum frame frame;
};

static void cpuid(uint32_t leaf, uint32_t sub, uint32_t *ebx, uint32_t *ecx)
{
	uint32_t edx;

	__asm__("cpuid" : "+a"(leaf), "=b"(*ebx), "=c"(*ecx), "=d"(edx) : "2"(sub));
}

static uint32_t rdpkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

static uint64_t other_rbx;
static pthread_barrier_t ready;

static void *other_thread(void *data)
{
	uint64_t (*rbx)(void);

	SCENE_CHECK(!ffg_thread_attach(stage.scene.context));
	rbx = data;
	other_rbx = rbx();
	pthread_barrier_wait(&ready);
	pause();
	return NULL;
}

static void handler(int signal)
{
	(void)signal;
	stage.theirs[0] = 5;
	if (write(2, "handler\n", 8) != 8)
		_exit(98);
}

/* The WRPKRU of the entry, as an attacker finds it. */
static uintptr_t opening(uintptr_t thunk)
{
	for (const char *at = (const char *)thunk; at < (const char *)thunk + 128; at++)
		if (!memcmp(at, "\x0f\x01\xef", 3))
			return (uintptr_t)at;
	scene_fail("no WRPKRU in the entry");
}

static void body_attack(const void *data)
{
	const struct attack *attack = data;
	/* A key that is not ours, which the entry leaves closed. */
	struct ffg_options options = { .size = sizeof(options), .keys_left = 1 };
	uint64_t (*rbx)(void);
	void (*jump)(const struct jump *);
	void (*forge)(const struct forge *);
	struct forge forgery = { .on_stack = attack->frame == STACK };
	uintptr_t thunk, restorer;
	uint32_t ebx, ecx, ours;
	pthread_t thread;

	stage_open(&options);
	signal(SIGUSR1, handler);
	thunk = stage_thunk(SIGUSR1, &restorer);
	rbx = (uint64_t (*)(void))ffg_call_entry(ffg_call_new(stage.forms, "form_rbx", "i()"));
	jump = stage_entry("signals_jump", "v(p)");
	forge = stage_entry("signals_forge", "v(p)");
	ours = ~rdpkru();
	forgery.jump.target = attack->where == START ? thunk : opening(thunk);
	forgery.jump.rax = attack->value == EVERYTHING ? 0 :
			   attack->value == CLOSED ? 0x55555554 : 0x55555554 & ~ours;
	forgery.jump.rbx = rbx();
	forgery.jump.rdi = attack->frame == NO_HANDLER ? SIGWINCH : SIGUSR1;
	if (attack->line == OTHER) {
		pthread_barrier_init(&ready, NULL, 2);
		SCENE_CHECK(!pthread_create(&thread, NULL, other_thread, (void *)rbx));
		pthread_barrier_wait(&ready);
		forgery.jump.rbx = other_rbx;
	}
	if (attack->frame == NONE) {
		jump(&forgery.jump);
		_exit(0);
	}
	cpuid(0xd, 9, &ebx, &ecx);
	forgery.pkru_at = ebx;
	cpuid(0xd, 0, &ebx, &ecx);
	forgery.xstate_size = ebx;
	forgery.restorer = attack->frame == NO_RESTORER ? 1 : restorer;
	if (attack->frame == INTO_GATE) {
		forgery.rip = (uintptr_t)ffg_call_entry(stage.poke_call);
		forgery.rsp = (uintptr_t)__builtin_frame_address(0);
	}
	forge(&forgery);
	_exit(0);
}

#define ATTACK(...) do {							\
	struct attack attack_ = { __VA_ARGS__ };				\
	death_run(&death, body_attack, &attack_);				\
	EXPECT_FALSE(WIFEXITED(death.status)) {					\
		death_show(&death);						\
	}									\
} while (0)

TEST(open_everything)
{
	ATTACK(OPEN, EVERYTHING, OWN, STACK);
	DEATH_EXPECT(&death, SIGILL, "with other rights than it has");
}

TEST(open_with_safe_closed)
{
	ATTACK(OPEN, CLOSED, OWN, STACK);
	EXPECT_TRUE(death_by(&death, SIGILL) || death_by(&death, SIGSEGV));
	EXPECT_FALSE(death_said(&death, "handler\n"));
}

TEST(open_with_the_line_of_another_thread)
{
	ATTACK(OPEN, RIGHT, OTHER, STACK);
	DEATH_EXPECT(&death, SIGILL, "with the state of another thread");
}

TEST(no_frame)
{
	ATTACK(START, RIGHT, OWN, NONE);
	EXPECT_TRUE(death_by(&death, SIGILL) || death_by(&death, SIGSEGV));
	EXPECT_FALSE(death_said(&death, "handler\n"));
}

/* A frame that opens everything and goes on in foreign code. */
TEST(forged_frame)
{
	ATTACK(START, RIGHT, OWN, STATIC);
	DEATH_EXPECT(&death, SIGILL, "no signal was delivered");
	EXPECT_FALSE(death_said(&death, "handler\n"));
}

TEST(forged_frame_on_the_foreign_stack)
{
	ATTACK(OPEN, RIGHT, OWN, STACK);
	DEATH_EXPECT(&death, SIGILL, "no signal was delivered");
	EXPECT_FALSE(death_said(&death, "handler\n"));
}

TEST(forged_frame_into_the_gate)
{
	ATTACK(OPEN, RIGHT, OWN, INTO_GATE);
	EXPECT_TRUE(death_by(&death, SIGILL) || death_by(&death, SIGSEGV));
	EXPECT_FALSE(death_said(&death, "ended"));
}

TEST(forged_frame_without_restorer)
{
	ATTACK(OPEN, RIGHT, OWN, NO_RESTORER);
	DEATH_EXPECT(&death, SIGILL, "no signal was delivered");
}

TEST(signal_without_a_handler)
{
	ATTACK(OPEN, RIGHT, OWN, NO_HANDLER);
	DEATH_EXPECT(&death, SIGILL, "no signal was delivered");
}

/* The control: the kernel's frame is good, and the same foreign code can have it made. */
static void body_control(const void *data)
{
	raise_fn entry;

	(void)data;
	stage_open(NULL);
	signal(SIGUSR1, handler);
	entry = (raise_fn)stage_entry("signals_raise", "i(pi)");
	SCENE_CHECK(entry(stage.mine, SIGUSR1) == 2);
	SCENE_CHECK(stage.theirs[0] == 5);
}

TEST(control)
{
	death_run(&death, body_control, NULL);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "handler\n"));
}

TEST_HARNESS_MAIN
