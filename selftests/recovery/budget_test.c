// SPDX-License-Identifier: GPL-2.0-only
/* Time budgets: calls that run too long are ended, others are not. */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "recovery.h"

/* The debug kernels take ten times as long. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150

typedef void (*void_fn)(void);
typedef void (*number_fn)(unsigned int);

static struct death death;

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

TEST(endless_loop)
{
	struct recovery r;
	struct ffg_call *call;
	const struct ffg_violation *v;

	recovery_open(&r, FFG_POLICY_RECOVER);
	call = recovery_call(&r, "ends_spin", "v()");
	ASSERT_EQ(ffg_call_budget(call, 50), 0);
	for (int i = 0; i < 5; i++) {
		double begin = seconds();

		((void_fn)ffg_call_entry(call))();
		EXPECT_GE(seconds() - begin, 0.05);
		EXPECT_EQ(ffg_call_error(call), FFG_E_TIMEOUT);
		v = ffg_call_report(call);
		ASSERT_NE(v, NULL);
		EXPECT_EQ(v->reason, FFG_REASON_TIMEOUT);
		EXPECT_STREQ(v->frame[0].symbol, "ends_spin");
	}
}

TEST(budget_of_the_domain)
{
	struct recovery r;
	struct ffg_call *spin, *work, *own;

	recovery_open(&r, FFG_POLICY_RECOVER);
	spin = recovery_call(&r, "ends_spin", "v()");
	own = recovery_call(&r, "ends_spin", "v()");
	work = recovery_call(&r, "ends_work", "v(i)");
	ASSERT_NE(ffg_call_entry(spin), NULL);
	ASSERT_EQ(ffg_domain_budget(r.domain, 10000), 0);
	ASSERT_EQ(ffg_call_budget(own, 20), 0);
	((void_fn)ffg_call_entry(own))();
	EXPECT_EQ(ffg_call_error(own), FFG_E_TIMEOUT);
	ASSERT_EQ(ffg_domain_budget(r.domain, 40), 0);
	((void_fn)ffg_call_entry(spin))();
	EXPECT_EQ(ffg_call_error(spin), FFG_E_TIMEOUT);
	/* Many calls that are short each are no long one. The watchdog finds one at every look. */
	ASSERT_EQ(ffg_domain_budget(r.domain, 1500), 0);
	for (double end = seconds() + 5; seconds() < end;) {
		((number_fn)ffg_call_entry(work))(5000000);
		ASSERT_EQ(ffg_call_error(work), 0);
	}
}

TEST(short_calls_are_left_alone)
{
	struct recovery r;
	struct ffg_call *call;

	recovery_open(&r, FFG_POLICY_RECOVER);
	call = recovery_call(&r, "ends_sleep", "v(i)");
	ASSERT_EQ(ffg_call_budget(call, 5000), 0);
	for (int i = 0; i < 3; i++) {
		((number_fn)ffg_call_entry(call))(200);
		EXPECT_EQ(ffg_call_error(call), 0);
	}
}

static void *spin_run(void *data)
{
	struct recovery *r = data;
	struct ffg_call *call;
	long timeouts = 0;

	recovery_attach(r);
	call = recovery_call(r, "ends_spin", "v()");
	ffg_call_budget(call, 30);
	for (int i = 0; i < 5; i++) {
		((void_fn)ffg_call_entry(call))();
		timeouts += ffg_call_error(call) == FFG_E_TIMEOUT;
	}
	ffg_call_free(call);
	return (void *)timeouts;
}

static unsigned int threads_now(void)
{
	unsigned int count = 0;
	DIR *folder = opendir("/proc/self/task");

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count - 2;
}

/* A thread that was joined is listed a moment longer: waits for @expected. */
static unsigned int threads_become(unsigned int expected)
{
	unsigned int count = 0;

	for (int i = 0; i < 2000; i++) {
		count = threads_now();
		if (count == expected)
			break;
		usleep(1000);
	}
	return count;
}

TEST(threads_each_for_itself)
{
	pthread_t threads[3];
	struct recovery r;
	void *timeouts;

	recovery_open(&r, FFG_POLICY_RECOVER);
	EXPECT_EQ(threads_become(1), 1);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, spin_run, &r), 0);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(pthread_join(threads[i], &timeouts), 0);
		EXPECT_EQ((long)timeouts, 5);
	}
	/* One thread for all budgets, which goes with the context. */
	EXPECT_EQ(threads_become(2), 2);
	ASSERT_EQ(ffg_domain_close(r.domain), 0);
	ASSERT_EQ(ffg_context_close(r.context), 0);
	EXPECT_EQ(threads_become(1), 1);
}

/* ---- where it cannot be ended ---- */

static void body_spin(const void *symbol)
{
	struct recovery r;
	struct ffg_call *call;

	recovery_open(&r, FFG_POLICY_RECOVER);
	call = recovery_call(&r, symbol, "v()");
	SCENE_CHECK(ffg_call_budget(call, 50) == 0);
	((void_fn)ffg_call_entry(call))();
	fprintf(stderr, "came back\n");
}

TEST(below_libc)
{
	double begin = seconds();

	death_run(&death, body_spin, "ends_spin_in_qsort");
	DEATH_EXPECT(&death, SIGABRT, "ffiguard: timeout: the budget of the call has run out\n",
		     "  call:    ends_spin_in_qsort, thread ",
		     "  policy:  recover, but a frame of libc");
	EXPECT_GE(seconds() - begin, 1);
}

TEST(signals_blocked)
{
	death_run(&death, body_spin, "ends_spin_deaf");
	DEATH_EXPECT(&death, SIGABRT,
		     "ffiguard: timeout: the budget of a call has run out, and thread ",
		     " takes no signal\n");
}

static void body_die(const void *data)
{
	struct recovery r;
	struct ffg_call *call;

	(void)data;
	recovery_open(&r, FFG_POLICY_DIE);
	call = recovery_call(&r, "ends_spin", "v()");
	SCENE_CHECK(ffg_call_budget(call, 50) == 0);
	((void_fn)ffg_call_entry(call))();
	fprintf(stderr, "came back\n");
}

TEST(policy_die)
{
	death_run(&death, body_die, NULL);
	DEATH_EXPECT(&death, SIGABRT, "ffiguard: timeout: the budget of the call has run out\n",
		     "  call:    ends_spin, thread ");
	EXPECT_FALSE(death_said(&death, "policy:"));
}

/* In trusted code, and with a signal of the same number by somebody else, nothing happens. */
static volatile sig_atomic_t handled;

static void count(int signal)
{
	(void)signal;
	handled++;
}

TEST(the_programs_own_signals)
{
	struct recovery r;
	struct ffg_call *call;
	struct sigaction action = { .sa_handler = count };

	recovery_open(&r, FFG_POLICY_RECOVER);
	call = recovery_call(&r, "ends_spin", "v()");
	ASSERT_EQ(ffg_call_budget(call, 50), 0);
	((void_fn)ffg_call_entry(call))();
	EXPECT_EQ(ffg_call_error(call), FFG_E_TIMEOUT);
	for (int n = SIGRTMIN; n <= SIGRTMAX; n++)
		ASSERT_EQ(sigaction(n, &action, NULL), 0);
	for (int n = SIGRTMIN; n <= SIGRTMAX; n++)
		ASSERT_EQ(raise(n), 0);
	EXPECT_EQ(handled, SIGRTMAX - SIGRTMIN + 1);
	((void_fn)ffg_call_entry(call))();
	EXPECT_EQ(ffg_call_error(call), FFG_E_TIMEOUT);
	EXPECT_EQ(handled, SIGRTMAX - SIGRTMIN + 1);
}

TEST_HARNESS_MAIN
