// SPDX-License-Identifier: GPL-2.0-only
/*
 * Storms: timers and dying children, handlers that make guarded calls, and main code that does
 * nothing else.  FFG_STORM_CALLS: how many (default 20,000).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "handlers.h"

typedef int (*sum_fn)(int, unsigned char, short);
typedef long (*work_fn)(volatile unsigned char *, long);

static void storm_timer(int which, long microseconds)
{
	struct itimerval timer = {
		.it_interval.tv_usec = microseconds, .it_value.tv_usec = microseconds,
	};

	setitimer(which, &timer, NULL);
}

static long storm_calls(void)
{
	const char *text = getenv("FFG_STORM_CALLS");

	return text ? atol(text) : 20000;
}

/* The timer of another thread keeps the storm up while this one is interrupted. */
static volatile int stormy;
static void *storm_children(void *data)
{
	(void)data;
	while (stormy) {
		pid_t child = vfork();

		if (!child)
			_exit(0);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
		usleep(500);
	}
	return NULL;
}

/* @mixed: flags that one of the handlers has not. */
static void storm(struct __test_metadata *_metadata, int flags, int mixed)
{
	long calls = storm_calls(), wrong = 0, errors = 0;
	struct ffg_stats before, after;
	struct ffg_call *call, *work_call;
	pthread_t children;
	sigset_t all, none;
	work_fn work;
	sum_fn sum;

	stage_open(NULL);
	if (flags & SA_ONSTACK)
		stage_altstack();
	call = ffg_call_new(stage.forms, "form_int", "i(iii)");
	work_call = ffg_call_new(stage.scene.domain, "signals_work", "i(pi)");
	ASSERT_TRUE(call && work_call);
	ASSERT_EQ(0, ffg_call_grant(call, stage.mine, 64, FFG_INOUT));
	ASSERT_EQ(0, ffg_call_grant(work_call, stage.mine, 64, FFG_INOUT));
	sum = (sum_fn)ffg_call_entry(call);
	work = (work_fn)ffg_call_entry(work_call);
	stage_handle(SIGALRM, flags);
	stage_handle(SIGPROF, flags & ~mixed);
	stage_handle(SIGCHLD, flags);
	ASSERT_EQ(0, ffg_context_stats(stage.scene.context, &before));
	stormy = 1;
	/* That thread is not attached: the handlers are not for it. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &none);
	ASSERT_EQ(0, pthread_create(&children, NULL, storm_children, NULL));
	pthread_sigmask(SIG_SETMASK, &none, NULL);
	storm_timer(ITIMER_REAL, 700);
	storm_timer(ITIMER_PROF, 900);
	for (long n = 0; n < calls; n++) {
		unsigned char b = (unsigned char)n;

		wrong += sum((int)n, b, (short)(n & 0x3ff)) != (int)n * 3 + b - (short)(n & 0x3ff);
		errors += ffg_call_error(call) != 0;
		if (n % 64)
			continue;
		wrong += work(stage.mine, 20);
		errors += ffg_call_error(work_call) != 0;
	}
	storm_timer(ITIMER_REAL, 0);
	storm_timer(ITIMER_PROF, 0);
	stormy = 0;
	pthread_join(children, NULL);
	signal(SIGALRM, SIG_IGN);
	signal(SIGPROF, SIG_IGN);
	signal(SIGCHLD, SIG_IGN);
	ASSERT_EQ(0, ffg_context_stats(stage.scene.context, &after));
	TH_LOG("%ld calls, %ld handlers", calls, stage.handled);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, errors);
	EXPECT_EQ(0, stage.failed);
	EXPECT_LT(calls / 1000, stage.handled);
	EXPECT_EQ(0, after.violations);
	/* The thread's line is as before: nothing is held, and it can be given up. */
	EXPECT_EQ(0, ffg_thread_detach(stage.scene.context));
}

FIXTURE(storm) {
	int unused;
};

FIXTURE_SETUP(storm)
{
	self->unused = 0;
}

FIXTURE_TEARDOWN(storm)
{
	/* The process ends. */
}

/* Time for a million calls. */
#define STORM_SECONDS	3600

TEST_F_TIMEOUT(storm, on_the_stack_in_use, STORM_SECONDS)
{
	storm(_metadata, 0, 0);
}

TEST_F_TIMEOUT(storm, on_an_alternate_stack, STORM_SECONDS)
{
	storm(_metadata, SA_ONSTACK, 0);
}

TEST_F_TIMEOUT(storm, on_both_stacks, STORM_SECONDS)
{
	storm(_metadata, SA_RESTART | SA_ONSTACK, SA_ONSTACK);
}

TEST_HARNESS_MAIN
