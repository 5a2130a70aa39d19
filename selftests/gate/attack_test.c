// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attacks on the gate, from libforms: jumps to both of its WRPKRU with every value and
 * line that might help, entries called by foreign code, and the gate's own memory.
 *
 * The addresses come from stepping through a call, as an attacker has them from a disassembler.
 * Each attack stands beside a control that uses the same jump and gets through.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"
#include "stepper.h"

#define LEAKED	77	/* status of a process in which form_leak() ran */

enum jump_target { OPEN, CLOSE };
enum jump_value {
	ZERO,			/* everything open */
	CALL,			/* what the running call has */
	CALL_AND_MORE,		/* and one more object's slot */
	TRUSTED,		/* what the gate would load */
	OTHER,			/* what the other thread's call has */
};
enum jump_line { OWN, OTHER_IDLE, OTHER_IN_CALL };

struct jump {
	enum jump_target target;
	enum jump_value value;
	enum jump_line line;
};

static struct death death;
static struct steps steps;

/* ---- where the gate's two WRPKRU are ---- */

static void body_step(const void *data)
{
	struct scene scene = scene_open("forms", NULL);
	void (*entry)(void) =
		(void (*)(void))scene_entry(&scene, "form_nothing", "v()", NULL, 0, 0);

	(void)data;
	entry();
	step_begin((void *)entry);
	entry();
}

static uint64_t address_of(enum jump_target target)
{
	return steps.wrpkru_at[target == OPEN ? 0 : 1];
}

/* ---- the thread that is somewhere else ---- */

struct other {
	struct scene scene;
	enum jump_line line;
	uint64_t rbx;
	uint32_t pkru;
	volatile int *there, *leave;
	pthread_barrier_t ready;
};

static void *other_thread(void *data)
{
	struct other *other = data;
	struct scene *scene = &other->scene;
	unsigned char *object = scene_object(scene, 64, 0);
	double (*wait)(volatile int *, volatile int *);
	uint64_t (*rbx)(void);
	uint32_t (*pkru)(void);

	SCENE_CHECK(!ffg_thread_attach(scene->context));
	rbx = (uint64_t (*)(void))scene_entry(scene, "form_rbx", "i()", NULL, 0, 0);
	pkru = (uint32_t (*)(void))scene_entry(scene, "form_pkru", "i()", object, 64, FFG_INOUT);
	wait = (double (*)(volatile int *, volatile int *))
		scene_entry(scene, "form_wait", "d(pp)", object, 64, FFG_INOUT);
	other->rbx = rbx();
	other->pkru = pkru();
	pthread_barrier_wait(&other->ready);
	if (other->line == OTHER_IN_CALL)
		wait(other->there, other->leave);
	else
		pause();
	return NULL;
}

static void other_start(struct other *other, const struct scene *scene, enum jump_line line)
{
	static volatile int there, leave;	/* key 0: foreign code reads and writes them */
	pthread_t thread;

	other->scene = *scene;
	other->line = line;
	other->there = &there;
	other->leave = &leave;
	pthread_barrier_init(&other->ready, NULL, 2);
	SCENE_CHECK(!pthread_create(&thread, NULL, other_thread, other));
	pthread_barrier_wait(&other->ready);
	while (line == OTHER_IN_CALL && !there)
		usleep(1000);
}

/* ---- the jump ---- */

static uint32_t rdpkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

static void body_jump(const void *data)
{
	const struct jump *jump = data;
	/* A key that is not ours, so that the trusted value is not 0. */
	struct ffg_options options = { .size = sizeof(options), .keys_left = 1 };
	struct scene scene = scene_open("forms", &options);
	unsigned char *mine = scene_object(&scene, 64, 0), *more = scene_object(&scene, 64, 0);
	uint32_t (*pkru)(void) = (uint32_t (*)(void))
		scene_entry(&scene, "form_pkru", "i()", mine, 64, FFG_INOUT);
	uint32_t (*pkru_more)(void) = (uint32_t (*)(void))
		scene_entry(&scene, "form_pkru", "i()", more, 64, FFG_INOUT);
	uint64_t (*rbx)(void) =
		(uint64_t (*)(void))scene_entry(&scene, "form_rbx", "i()", NULL, 0, 0);
	void (*entry)(void *, uint32_t, uint64_t) = (void (*)(void *, uint32_t, uint64_t))
		scene_entry(&scene, "form_jump", "v(pii)", mine, 64, FFG_INOUT);
	static struct other other;
	uint32_t value = 0;

	if (jump->line != OWN)
		other_start(&other, &scene, jump->line);
	switch (jump->value) {
	case ZERO:
		break;
	case CALL:
		value = pkru();
		break;
	case CALL_AND_MORE:
		value = pkru() & pkru_more();
		SCENE_CHECK(value != pkru());
		break;
	case TRUSTED:
		value = rdpkru();
		SCENE_CHECK(value);
		break;
	case OTHER:
		value = other.pkru;
		SCENE_CHECK(value != pkru());
		break;
	}
	entry((void *)(uintptr_t)address_of(jump->target), value,
	      jump->line == OWN ? rbx() : other.rbx);
	_exit(0);
}

#define JUMP(...) do {								\
	struct jump jump_ = { __VA_ARGS__ };					\
	if (!steps.ended)							\
		steps_run(&steps, body_step, NULL);				\
	ASSERT_EQ(2, steps.wrpkru);						\
	death_run(&death, body_jump, &jump_);					\
} while (0)

TEST(control_open)
{
	JUMP(OPEN, CALL, OWN);
	EXPECT_TRUE(death_exit(&death, LEAKED));
}

TEST(control_close)
{
	JUMP(CLOSE, TRUSTED, OWN);
	EXPECT_TRUE(death_exit(&death, 0));
}

TEST(open_everything)
{
	JUMP(OPEN, ZERO, OWN);
	DEATH_EXPECT(&death, SIGILL, "rights that this call does not have");
}

TEST(open_another_object)
{
	JUMP(OPEN, CALL_AND_MORE, OWN);
	DEATH_EXPECT(&death, SIGILL, "rights that this call does not have");
}

TEST(open_everything_with_an_idle_line)
{
	JUMP(OPEN, ZERO, OTHER_IDLE);
	DEATH_EXPECT(&death, SIGILL, "rights that this call does not have");
}

TEST(open_what_another_thread_has)
{
	JUMP(OPEN, OTHER, OTHER_IN_CALL);
	DEATH_EXPECT(&death, SIGILL, "state of another thread");
}

TEST(close_with_safe_closed)
{
	JUMP(CLOSE, CALL, OWN);
	DEATH_EXPECT(&death, SIGSEGV, "on the way out of the gate");
}

TEST(close_with_another_key_open)
{
	JUMP(CLOSE, ZERO, OWN);
	DEATH_EXPECT(&death, SIGILL, "other rights than it was entered with");
}

TEST(close_with_an_idle_line)
{
	JUMP(CLOSE, TRUSTED, OTHER_IDLE);
	DEATH_EXPECT(&death, SIGILL, "other rights than it was entered with");
}

TEST(close_onto_the_stack_of_another_thread)
{
	JUMP(CLOSE, TRUSTED, OTHER_IN_CALL);
	DEATH_EXPECT(&death, SIGILL, "state of another thread");
}

/* ---- foreign code that uses what is not its own ---- */

enum misuse { CALL_ENTRY, CHANGE_KEY, READ_LINE, WRITE_LINE, WRITE_ALIAS, NOTHING };

static void body_misuse(const void *data)
{
	enum misuse misuse = *(const enum misuse *)data;
	struct ffg_options options = { .size = sizeof(options), .keys_left = 1 };
	struct scene scene = scene_open("forms", &options);
	void *nothing = scene_entry(&scene, "form_nothing", "v()", NULL, 0, 0);
	long (*call)(void *) =
		(long (*)(void *))scene_entry(&scene, "form_call", "i(p)", NULL, 0, 0);
	uint64_t (*rbx)(void) =
		(uint64_t (*)(void))scene_entry(&scene, "form_rbx", "i()", NULL, 0, 0);
	void (*key)(uint32_t) =
		(void (*)(uint32_t))scene_entry(&scene, "form_key", "v(i)", NULL, 0, 0);
	unsigned char (*poke)(uint64_t, int) = (unsigned char (*)(uint64_t, int))
		scene_entry(&scene, "form_poke", "i(pi)", NULL, 0, 0);
	uint32_t pkru = rdpkru();

	switch (misuse) {
	case CALL_ENTRY:
		call(nothing);
		break;
	case CHANGE_KEY:
		key(pkru);		/* clears what is set: opens the key that was left */
		break;
	case READ_LINE:
		poke(rbx(), -1);
		break;
	case WRITE_LINE:
		poke(rbx(), 1);
		break;
	case WRITE_ALIAS:
		poke(rbx() + (1 << 19), 1);
		break;
	case NOTHING:
		call(ffg_domain_symbol(scene.domain, "form_nothing"));
		key(0);
		poke(rbx() + (1 << 19), -1);	/* to be read it is there */
		break;
	}
	_exit(0);
}

#define MISUSE(what) do {							\
	enum misuse misuse_ = (what);						\
	death_run(&death, body_misuse, &misuse_);				\
} while (0)

TEST(control_misuse)
{
	MISUSE(NOTHING);
	EXPECT_TRUE(death_exit(&death, 0));
}

TEST(foreign_code_calls_an_entry)
{
	MISUSE(CALL_ENTRY);
	DEATH_EXPECT(&death, SIGSEGV, "foreign code called the entry of a guarded call");
}

TEST(foreign_code_changes_a_key)
{
	MISUSE(CHANGE_KEY);
	DEATH_EXPECT(&death, SIGILL, "a jump or a changed key");
}

TEST(foreign_code_reads_a_line)
{
	MISUSE(READ_LINE);
	EXPECT_TRUE(death_by(&death, SIGSEGV));
}

TEST(foreign_code_writes_a_line)
{
	MISUSE(WRITE_LINE);
	EXPECT_TRUE(death_by(&death, SIGSEGV));
}

TEST(foreign_code_writes_the_alias)
{
	MISUSE(WRITE_ALIAS);
	EXPECT_TRUE(death_by(&death, SIGSEGV));
}

TEST_HARNESS_MAIN
