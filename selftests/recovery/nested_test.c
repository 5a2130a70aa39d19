// SPDX-License-Identifier: GPL-2.0-only
/* Calls within callbacks and signal handlers are ended alone; what is below them goes on. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "recovery.h"

/* The debug kernels take ten times as long. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150

#define DEPTH 16

typedef long (*write_fn)(unsigned char *, long, int);
typedef long (*call_fn)(void *, void *);
typedef long (*call_write_fn)(void *, void *, unsigned char *);

static struct recovery r;
static struct ffg_call *write_call, *nest_call, *nest_write_call;
static void *callback;
static unsigned char *closed, *granted;
static int failures;

#define CHECK(condition) do {							\
	if (!(condition)) {							\
		printf("# %s:%d: %s\n", __FILE__, __LINE__, #condition);	\
		failures++;							\
	}									\
} while (0)

static void *callback_new(void *function, const char *signature)
{
	struct ffg_callback *made = ffg_callback_new(r.domain, function, signature);

	if (!made)
		scene_fail("no callback: %s", ffg_error_message());
	return ffg_callback_entry(made);
}

/* A violation, and a call that is none, in the call in which the thread is now. */
static void violate(void)
{
	write_fn write = ffg_call_entry(write_call);

	CHECK(write(granted, 0, 1) == 1234);
	CHECK(write(closed, 0, 1) == 0);
	CHECK(ffg_call_error(write_call) == FFG_E_VIOLATION);
	CHECK(ffg_call_report(write_call) &&
	      ffg_call_report(write_call)->object == (unsigned long)closed);
	CHECK(write(granted, 0, 2) == 1234);
	CHECK(ffg_call_error(write_call) == 0);
}

static long nest(void *data)
{
	long depth = (long)data, result;

	violate();
	if (depth == DEPTH)
		return 0;
	result = ((call_fn)ffg_call_entry(nest_call))(callback, (void *)(depth + 1));
	CHECK(ffg_call_error(nest_call) == 0);
	CHECK(result == DEPTH - depth);
	violate();
	return result;
}

/* Each outer call goes wrong, too, when its callback is over. */
static long nest_and_write(void *data)
{
	long depth = (long)data;

	if (depth < DEPTH) {
		CHECK(((call_write_fn)ffg_call_entry(nest_write_call))(callback,
								       (void *)(depth + 1),
								       closed) == 0);
		CHECK(ffg_call_error(nest_write_call) == FFG_E_VIOLATION);
		violate();
	}
	return 5;
}

FIXTURE(nested) {
};

FIXTURE_SETUP(nested)
{
	recovery_open(&r, FFG_POLICY_RECOVER);
	closed = recovery_object(&r, 64);
	granted = recovery_object(&r, 64);
	write_call = recovery_call(&r, "ends_write", "i(pii)");
	nest_call = recovery_call(&r, "ends_call", "i(pp)");
	nest_write_call = recovery_call(&r, "ends_call_then_write", "i(ppp)");
	ASSERT_EQ(ffg_call_grant(write_call, granted, 64, FFG_INOUT), 0);
}

FIXTURE_TEARDOWN(nested)
{
}

TEST_F(nested, in_callbacks)
{
	callback = callback_new((void *)nest, "i(p)");
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(nest((void *)0), DEPTH);
	EXPECT_EQ(failures, 0);
}

TEST_F(nested, outer_calls_too)
{
	callback = callback_new((void *)nest_and_write, "i(p)");
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(nest_and_write((void *)0), 5);
	EXPECT_EQ(failures, 0);
}

static int compare(const int *a, const int *b)
{
	violate();
	return *a - *b;
}

/* libc below the outer call's frames is not given up, and sorts on. */
TEST_F(nested, below_qsort)
{
	void (*sort)(int *, unsigned long, void *);
	struct ffg_call *call = recovery_call(&r, "ends_sort", "v(pip)");
	int numbers[] = { 5, 3, 1, 4, 2, 9, 8, 7, 6, 0 };

	sort = ffg_call_entry(call);
	sort(numbers, 10, callback_new((void *)compare, "i(pp)"));
	EXPECT_EQ(ffg_call_error(call), 0);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(numbers[i], i);
	EXPECT_EQ(failures, 0);
}

static volatile int flag;
static volatile sig_atomic_t handled;

static void on_alarm(int signal)
{
	(void)signal;
	violate();
	if (++handled == 20)
		flag = 1;
}

/* A handler's calls on top of a call; the interrupted one goes on and keeps its rights. */
TEST_F(nested, in_signal_handlers)
{
	struct itimerval every = { { 0, 5000 }, { 0, 5000 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = on_alarm };
	struct ffg_call *call = recovery_call(&r, "ends_wait_for", "v(p)");

	ASSERT_EQ(sigaction(SIGALRM, &action, NULL), 0);
	ASSERT_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
	((void (*)(volatile int *))ffg_call_entry(call))(&flag);
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_EQ(ffg_call_error(call), 0);
	EXPECT_GE(handled, 20);
	EXPECT_EQ(failures, 0);
}

static long reset_in_callback(void *data)
{
	*(int *)data = ffg_domain_reset(r.domain);
	return 0;
}

TEST_F(nested, no_reset_below_a_callback)
{
	int error = 0;

	EXPECT_EQ(((call_fn)ffg_call_entry(nest_call))(callback_new((void *)reset_in_callback,
								    "i(p)"), &error), 1);
	EXPECT_EQ(error, FFG_E_BUSY);
	EXPECT_EQ(ffg_domain_reset(r.domain), 0);
}

/* exit() of a callback is the program's. */
static long exit_in_callback(void *data)
{
	exit((int)(long)data);
}

static void body_exit(const void *data)
{
	(void)data;
	recovery_open(&r, FFG_POLICY_RECOVER);
	nest_call = recovery_call(&r, "ends_call", "i(pp)");
	((call_fn)ffg_call_entry(nest_call))(callback_new((void *)exit_in_callback, "i(p)"),
					     (void *)7);
}

TEST(exit_in_a_callback)
{
	static struct death death;

	death_run(&death, body_exit, NULL);
	EXPECT_TRUE(death_exit(&death, 7));
}

TEST_HARNESS_MAIN
