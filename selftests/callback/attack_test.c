// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attacks on callbacks: from where they must not be called, and jumps to both WRPKRU of their
 * way.  The addresses come from stepping through a call; each attack stands beside a control
 * that uses the same jump and gets through.
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

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150

typedef long (*simple_fn)(long, void *);

#define RAN	78	/* status of a process in which the callback ran and the call returned */

static struct death death;
static struct steps steps;
static volatile int ran;

static long callback_ran(long a, void *data)
{
	(void)data;
	ran = 1;
	return a;
}

static struct ffg_callback *callback_new(struct ffg_domain *domain)
{
	struct ffg_callback *callback = ffg_callback_new(domain, (void *)callback_ran, "i(ip)");

	SCENE_CHECK(callback);
	return callback;
}

/* ---- called from where it must not be ---- */

enum place { CALL, KEPT, THREAD, OTHER_DOMAIN, FREED, TRUSTED_STACK, HEAP };

static void body_place(const void *data)
{
	enum place place = *(const enum place *)data;
	struct scene scene = scene_open("callers", NULL);
	struct ffg_callback *callback = callback_new(scene.domain);
	long (*call)(void *, long, void *) = (long (*)(void *, long, void *))
		scene_entry(&scene, "call_long", "i(pip)", NULL, 0, 0);
	void (*keep)(void *) = (void (*)(void *))
		scene_entry(&scene, "call_keep", "v(p)", NULL, 0, 0);
	long (*kept)(void) = (long (*)(void))scene_entry(&scene, "call_kept", "i()", NULL, 0, 0);
	long (*in_thread)(void *) = (long (*)(void *))
		scene_entry(&scene, "call_in_thread", "i(p)", NULL, 0, 0);
	void (*on_stack)(void *, void *) = (void (*)(void *, void *))
		scene_entry(&scene, "call_on_stack", "v(pp)", NULL, 0, 0);
	void *entry = ffg_callback_entry(callback);
	static char heap[65536];
	char local[16384];

	switch (place) {
	case CALL:
		call(entry, 1, NULL);
		break;
	case KEPT:
		keep(entry);
		kept();
		break;
	case THREAD:
		in_thread(entry);
		break;
	case OTHER_DOMAIN:
		scene.domain = ffg_domain_open(scene.context, scene_path("forms"), 0);
		SCENE_CHECK(scene.domain);
		call(ffg_callback_entry(callback_new(scene.domain)), 1, NULL);
		break;
	case FREED:
		ffg_callback_free(callback);
		call(entry, 1, NULL);
		break;
	case TRUSTED_STACK:
		on_stack(entry, local + sizeof(local) / 2);
		break;
	case HEAP:
		on_stack(entry, heap + sizeof(heap) / 2);
		break;
	}
	_exit(ran ? RAN : 0);
}

#define PLACE(what) do {							\
	enum place place_ = (what);						\
	death_run(&death, body_place, &place_);					\
} while (0)

TEST(control_in_a_call)
{
	PLACE(CALL);
	EXPECT_TRUE(death_exit(&death, RAN));
}

/* The call in which foreign code got it does not matter, the domain does. */
TEST(control_in_a_later_call)
{
	PLACE(KEPT);
	EXPECT_TRUE(death_exit(&death, RAN));
}

TEST(in_a_thread_of_foreign_code)
{
	PLACE(THREAD);
	DEATH_EXPECT(&death, SIGSEGV, "a thread that is in no guarded call");
}

TEST(in_a_call_of_another_domain)
{
	PLACE(OTHER_DOMAIN);
	EXPECT_FALSE(death_exit(&death, RAN)) TH_LOG("a callback of another domain ran");
	DEATH_EXPECT(&death, SIGILL, "not for this domain's calls");
}

TEST(after_it_was_freed)
{
	PLACE(FREED);
	DEATH_EXPECT(&death, SIGILL, "callback that does not exist");
}

TEST(on_the_trusted_stack)
{
	PLACE(TRUSTED_STACK);
	DEATH_EXPECT(&death, SIGILL, "outside of the thread's foreign stack");
}

TEST(on_a_stack_in_other_memory)
{
	PLACE(HEAP);
	DEATH_EXPECT(&death, SIGILL, "outside of the thread's foreign stack");
}

/* ---- a structure that the callback returns, at an address of foreign code's choice ---- */

struct big { long w[6]; };

static struct big structure(long a, long b)
{
	return (struct big){ { a, b, 3, 4, 5, 6 } };
}

static void body_structure(const void *data)
{
	bool granted = *(const bool *)data;
	struct scene scene = scene_open("callers", NULL);
	unsigned char *object = scene_object(&scene, sizeof(struct big), 0);
	struct ffg_callback *callback =
		ffg_callback_new(scene.domain, (void *)structure, "m48(ii)");
	void (*entry)(void *, void *) = (void (*)(void *, void *))
		scene_entry(&scene, "call_struct_at", "v(pp)", granted ? object : NULL,
			    sizeof(struct big), FFG_INOUT);

	SCENE_CHECK(callback);
	entry(ffg_callback_entry(callback), object);
	_exit(((struct big *)object)->w[2] == 3 ? RAN : 0);
}

TEST(control_structure_to_a_granted_object)
{
	bool granted = true;

	death_run(&death, body_structure, &granted);
	EXPECT_TRUE(death_exit(&death, RAN));
}

TEST(structure_to_an_object_that_was_not_granted)
{
	bool granted = false;

	death_run(&death, body_structure, &granted);
	DEATH_EXPECT(&death, SIGSEGV, "not granted");
}

/* ---- jumps ---- */

enum jump_target { ENTER, RETURN };
enum jump_value { ZERO, CALLS_OWN, TRUSTED };
enum jump_line { OWN, OTHER_IDLE, OTHER_IN_CALL };

struct jump {
	enum jump_target target;
	enum jump_value value;
	enum jump_line line;
	uint64_t number;
};

static void body_step(const void *data)
{
	struct scene scene = scene_open("callers", NULL);
	long (*entry)(void *, long, void *) = (long (*)(void *, long, void *))
		scene_entry(&scene, "call_long", "i(pip)", NULL, 0, 0);
	void *callback = ffg_callback_entry(callback_new(scene.domain));

	(void)data;
	entry(callback, 1, NULL);
	step_begin((void *)entry);
	entry(callback, 1, NULL);
}

struct other {
	struct scene scene;
	enum jump_line line;
	uint64_t rbx;
	pthread_barrier_t ready;
};

static volatile int other_inside;

static void *other_thread(void *data)
{
	struct other *other = data;
	uint64_t (*rbx)(void);
	void (*sleeping)(volatile int *);

	SCENE_CHECK(!ffg_thread_attach(other->scene.context));
	rbx = (uint64_t (*)(void))scene_entry(&other->scene, "call_rbx", "i()", NULL, 0, 0);
	sleeping = (void (*)(volatile int *))
		scene_entry(&other->scene, "call_sleep", "v(p)", NULL, 0, 0);
	other->rbx = rbx();
	pthread_barrier_wait(&other->ready);
	if (other->line == OTHER_IN_CALL)
		sleeping(&other_inside);
	else
		pause();
	return NULL;
}

static void other_start(struct other *other, const struct scene *scene, enum jump_line line)
{
	pthread_t thread;

	other->scene = *scene;
	other->line = line;
	pthread_barrier_init(&other->ready, NULL, 2);
	SCENE_CHECK(!pthread_create(&thread, NULL, other_thread, other));
	pthread_barrier_wait(&other->ready);
	while (line == OTHER_IN_CALL && !other_inside)
		usleep(1000);
}

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
	struct scene scene = scene_open("callers", &options);
	uint64_t (*rbx)(void) =
		(uint64_t (*)(void))scene_entry(&scene, "call_rbx", "i()", NULL, 0, 0);
	uint32_t (*pkru)(void) =
		(uint32_t (*)(void))scene_entry(&scene, "call_pkru", "i()", NULL, 0, 0);
	void (*into)(void *, uint32_t, uint64_t, uint64_t) =
		(void (*)(void *, uint32_t, uint64_t, uint64_t))
		scene_entry(&scene, "call_into", "v(piii)", NULL, 0, 0);
	uint32_t value = jump->value == ZERO ? 0 : jump->value == TRUSTED ? rdpkru() : pkru();
	static struct other other;

	callback_new(scene.domain);	/* number 0 */
	SCENE_CHECK(rdpkru());
	if (jump->line != OWN)
		other_start(&other, &scene, jump->line);
	into((void *)(uintptr_t)steps.wrpkru_at[jump->target == ENTER ? 1 : 2], value,
	     jump->line == OWN ? rbx() : other.rbx, jump->number);
	_exit(ran ? RAN : 0);
}

#define JUMP(...) do {								\
	struct jump jump_ = { __VA_ARGS__ };					\
	if (!steps.ended)							\
		steps_run(&steps, body_step, NULL);				\
	ASSERT_EQ(4, steps.wrpkru);						\
	death_run(&death, body_jump, &jump_);					\
} while (0)

TEST(control_enter)
{
	JUMP(ENTER, TRUSTED, OWN, 0);
	EXPECT_TRUE(death_exit(&death, RAN));
	if (!death_exit(&death, RAN))
		death_show(&death);
}

TEST(control_return)
{
	JUMP(RETURN, CALLS_OWN, OWN, 0);
	EXPECT_TRUE(death_exit(&death, 0));
	if (!death_exit(&death, 0))
		death_show(&death);
}

TEST(enter_with_everything_open)
{
	JUMP(ENTER, ZERO, OWN, 0);
	EXPECT_FALSE(death_exit(&death, RAN)) TH_LOG("entered with another key open");
	DEATH_EXPECT(&death, SIGILL, "its path entered in the middle");
}

TEST(enter_with_an_idle_line)
{
	JUMP(ENTER, TRUSTED, OTHER_IDLE, 0);
	DEATH_EXPECT(&death, SIGILL, "its path entered in the middle");
}

TEST(enter_with_the_line_of_another_call)
{
	JUMP(ENTER, TRUSTED, OTHER_IN_CALL, 0);
	DEATH_EXPECT(&death, SIGILL, "state of another thread");
}

TEST(enter_with_safe_closed)
{
	JUMP(ENTER, CALLS_OWN, OWN, 0);
	DEATH_EXPECT(&death, SIGSEGV, "on the way of a callback");
}

TEST(enter_for_a_number_that_is_free)
{
	JUMP(ENTER, TRUSTED, OWN, 1);
	DEATH_EXPECT(&death, SIGILL, "callback that does not exist");
}

TEST(enter_for_a_number_beyond)
{
	JUMP(ENTER, TRUSTED, OWN, 1024);
	DEATH_EXPECT(&death, SIGILL, "callback that does not exist");
}

TEST(return_with_everything_open)
{
	JUMP(RETURN, ZERO, OWN, 0);
	DEATH_EXPECT(&death, SIGILL, "the way out of a callback was entered in its middle");
}

TEST(return_with_the_line_of_another_call)
{
	JUMP(RETURN, CALLS_OWN, OTHER_IN_CALL, 0);
	DEATH_EXPECT(&death, SIGILL, "the way out of a callback was entered in its middle");
}

TEST_HARNESS_MAIN
