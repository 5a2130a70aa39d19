// SPDX-License-Identifier: GPL-2.0-only
/*
 * Calls that end badly come back: each kind of end, what it leaves, what the report says.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "recovery.h"

/* The debug kernels take ten times as long. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150

typedef long (*write_fn)(unsigned char *, long, int);
typedef long (*read_fn)(const unsigned char *, long);
typedef void (*void_fn)(void);
typedef long (*long_fn)(void);
typedef void (*int_fn)(int);


FIXTURE(recovery) {
	struct recovery r;
};

FIXTURE_SETUP(recovery)
{
	recovery_open(&self->r, FFG_POLICY_RECOVER);
}

FIXTURE_TEARDOWN(recovery)
{
}

/* ---- violations ---- */

TEST_F(recovery, violation)
{
	struct recovery *r = &self->r;
	unsigned char *object = recovery_object(r, 64);
	struct ffg_call *call = recovery_call(r, "ends_write", "i(pii)");
	const struct ffg_violation *v;
	write_fn write;

	memset(object, 7, 64);
	ASSERT_EQ(ffg_call_grant(call, object, 64, FFG_INOUT), 0);
	write = ffg_call_entry(call);
	ASSERT_NE(write, NULL);
	EXPECT_EQ(write(object, 3, 8), 1234);
	EXPECT_EQ(object[3], 8);
	EXPECT_EQ(ffg_call_error(call), 0);
	EXPECT_EQ(ffg_call_report(call), NULL);
	EXPECT_EQ(ffg_error(), FFG_E_INVAL);

	EXPECT_EQ(write(object, 64, 9), 0);
	EXPECT_EQ(ffg_error(), FFG_E_VIOLATION);
	EXPECT_EQ(ffg_call_error(call), FFG_E_VIOLATION);
	EXPECT_EQ(ffg_call_error(call), 0);
	v = ffg_call_report(call);
	ASSERT_NE(v, NULL);
	EXPECT_EQ(v->size, sizeof(*v));
	EXPECT_EQ(v->reason, (int)FFG_REASON_BOUNDS);
	EXPECT_EQ(v->access, (int)FFG_ACCESS_WRITE);
	EXPECT_EQ(v->object, (uintptr_t)object);
	EXPECT_EQ(v->offset, 64);
	EXPECT_EQ(v->grant_length, 64);
	EXPECT_EQ(v->address, (uintptr_t)object + 64);
	EXPECT_EQ(v->thread, gettid());
	EXPECT_STREQ(v->function, "ends_write");
	EXPECT_NE(v->advice, NULL);
	EXPECT_EQ(v->unrecovered, NULL);
	ASSERT_GE(v->frames, 1);
	EXPECT_STREQ(v->frame[0].symbol, "ends_write");
	EXPECT_STREQ(v->frame[0].library, "libends.so");
	EXPECT_EQ(ffg_call_report(call), v);

	/* And on it goes. */
	EXPECT_EQ(write(object, 4, 9), 1234);
	EXPECT_EQ(object[4], 9);
	EXPECT_EQ(ffg_call_error(call), 0);
	EXPECT_EQ(ffg_call_free(call), 0);
	EXPECT_EQ(ffg_call_report(call), NULL);
}

/* Makes the call once; its error and the reason of the report. */
static int attempt(struct ffg_call *call, unsigned char *p, long offset, int *reason)
{
	write_fn write = ffg_call_entry(call);
	const struct ffg_violation *v;
	int error;

	if (!write)
		return -1;
	write(p, offset, 1);
	error = ffg_call_error(call);
	v = ffg_call_report(call);
	*reason = v ? v->reason : -1;
	return error;
}

static unsigned char *other_thread_object;
static volatile int other_thread_state;

static void *hold_grant(void *data)
{
	struct recovery *r = data;
	struct ffg_call *call;

	recovery_attach(r);
	call = recovery_call(r, "ends_sleep", "v(i)");
	if (ffg_call_grant(call, other_thread_object, 64, FFG_INOUT))
		abort();
	other_thread_state = 1;
	((int_fn)ffg_call_entry(call))(3000);
	ffg_call_free(call);
	return NULL;
}

TEST_F(recovery, each_reason)
{
	struct recovery *r = &self->r;
	unsigned char *object = recovery_object(r, 3 * 4096), *second = recovery_object(r, 64);
	unsigned char *freed = recovery_object(r, 64);
	struct ffg_call *call = recovery_call(r, "ends_write", "i(pii)");
	struct ffg_call *part = recovery_call(r, "ends_write", "i(pii)");
	struct ffg_call *reads = recovery_call(r, "ends_write", "i(pii)");
	pthread_t thread;
	int reason;

	ASSERT_EQ(ffg_call_grant(part, object, 64, FFG_INOUT), 0);
	ASSERT_EQ(ffg_call_grant(reads, second, 64, FFG_IN), 0);
	EXPECT_EQ(attempt(part, object, 2 * 4096, &reason), FFG_E_VIOLATION);
	EXPECT_EQ(reason, (int)FFG_REASON_RANGE);
	EXPECT_EQ(attempt(call, object, 0, &reason), FFG_E_VIOLATION);
	EXPECT_EQ(reason, (int)FFG_REASON_NOT_GRANTED);
	EXPECT_EQ(attempt(reads, second, 0, &reason), FFG_E_VIOLATION);
	EXPECT_EQ(reason, (int)FFG_REASON_READ_ONLY);
	ASSERT_EQ(ffg_object_free(r->context, freed), 0);
	EXPECT_EQ(attempt(call, freed, 0, &reason), FFG_E_VIOLATION);
	EXPECT_EQ(reason, (int)FFG_REASON_FREED);
	EXPECT_EQ(attempt(call, second, 1 << 20, &reason), FFG_E_VIOLATION);
	EXPECT_EQ(reason, (int)FFG_REASON_UNUSED);

	other_thread_object = second;
	ASSERT_EQ(ffg_call_free(reads), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, hold_grant, r), 0);
	while (!other_thread_state)
		usleep(1000);
	usleep(300000);
	EXPECT_EQ(attempt(call, second, 0, &reason), FFG_E_VIOLATION);
	EXPECT_EQ(reason, (int)FFG_REASON_OTHER_CALL);
	pthread_join(thread, NULL);

	/* The thread's own line, by its alias. */
	EXPECT_EQ(attempt(call, recovery_line(r), 0, &reason), FFG_E_VIOLATION);
	EXPECT_EQ(reason, (int)FFG_REASON_CONTROL);
	/* An entry of a guarded call, as data: its first instruction has to run to fault. */
	EXPECT_EQ(object[0], 0);
	EXPECT_EQ(second[0], 0);
}

TEST_F(recovery, foreign_code_calls_an_entry)
{
	struct recovery *r = &self->r;
	struct ffg_call *call = recovery_call(r, "ends_jump", "v(ppp)");
	void *entry = ffg_call_entry(recovery_call(r, "ends_sum", "i()"));
	void (*jump)(void *, void *, void *) = ffg_call_entry(call);
	const struct ffg_violation *v;

	jump(entry, NULL, NULL);
	EXPECT_EQ(ffg_call_error(call), FFG_E_VIOLATION);
	v = ffg_call_report(call);
	ASSERT_NE(v, NULL);
	EXPECT_EQ(v->reason, (int)FFG_REASON_GATE);
	EXPECT_STREQ(v->advice, "foreign code called the entry of a guarded call");
}

TEST_F(recovery, reads_do_not_leak)
{
	struct recovery *r = &self->r;
	unsigned char *object = recovery_object(r, 64);
	struct ffg_call *call = recovery_call(r, "ends_read", "i(pi)");
	read_fn read = ffg_call_entry(call);

	object[5] = 0x77;
	EXPECT_EQ(read(object, 5), 0);
	EXPECT_EQ(ffg_call_error(call), FFG_E_VIOLATION);
}

/* ---- crashes ---- */

static int crash_signal(struct ffg_call *call)
{
	const struct ffg_violation *v = ffg_call_report(call);

	if (ffg_call_error(call) != FFG_E_CRASHED || !v || v->unrecovered)
		return -1;
	if (v->reason == FFG_REASON_CRASH || v->reason == FFG_REASON_ABORT)
		return v->signal;
	return -v->reason;
}

TEST_F(recovery, segv)
{
	struct ffg_call *call = recovery_call(&self->r, "ends_null", "i()");
	long_fn null = ffg_call_entry(call);
	const struct ffg_violation *v;

	EXPECT_EQ(null(), 0);
	v = ffg_call_report(call);
	ASSERT_NE(v, NULL);
	EXPECT_EQ(v->address, 8);
	EXPECT_EQ(v->reason, FFG_REASON_CRASH);
	EXPECT_STREQ(v->frame[0].symbol, "ends_null");
	EXPECT_EQ(crash_signal(call), SIGSEGV);
}

TEST_F(recovery, general_protection)
{
	struct ffg_call *call = recovery_call(&self->r, "ends_wild", "i()");

	EXPECT_EQ(((long_fn)ffg_call_entry(call))(), 0);
	EXPECT_EQ(crash_signal(call), SIGSEGV);
}

TEST_F(recovery, bus)
{
	struct ffg_call *call = recovery_call(&self->r, "ends_bus", "i(p)");
	static const char path[] = "/etc/passwd";

	EXPECT_EQ(((long (*)(const char *))ffg_call_entry(call))(path), 0);
	EXPECT_EQ(crash_signal(call), SIGBUS);
}

TEST_F(recovery, divide)
{
	struct ffg_call *call = recovery_call(&self->r, "ends_divide", "i(ii)");
	int (*divide)(int, int) = ffg_call_entry(call);

	EXPECT_EQ(divide(6, 3), 2);
	EXPECT_EQ(divide(6, 0), 0);
	EXPECT_EQ(crash_signal(call), SIGFPE);
	EXPECT_EQ(divide(6, 2), 3);
}

TEST_F(recovery, illegal_instruction)
{
	struct ffg_call *call = recovery_call(&self->r, "ends_trap", "v()");

	((void_fn)ffg_call_entry(call))();
	EXPECT_EQ(crash_signal(call), SIGILL);
}

TEST_F(recovery, abort_signal_without_libc)
{
	struct ffg_call *call = recovery_call(&self->r, "ends_signal", "v(i)");

	((int_fn)ffg_call_entry(call))(SIGABRT);
	EXPECT_EQ(crash_signal(call), SIGABRT);
}

TEST_F(recovery, stack_overflow)
{
	struct ffg_call *call = recovery_call(&self->r, "ends_recurse", "i(i)");
	unsigned long (*recurse)(unsigned long) = ffg_call_entry(call);
	const struct ffg_violation *v;

	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(recurse(10), 10 * 11 / 2);
		EXPECT_EQ(recurse(1UL << 30), 0);
		EXPECT_EQ(ffg_call_error(call), FFG_E_VIOLATION);
		v = ffg_call_report(call);
		ASSERT_NE(v, NULL);
		EXPECT_EQ(v->reason, FFG_REASON_STACK);
		EXPECT_STREQ(v->frame[0].symbol, "ends_recurse");
		EXPECT_STREQ(v->frame[FFG_BACKTRACE_MAX - 1].symbol, "ends_recurse");
	}
}

/* memcpy() and its like hold no lock: any length, to or from what is closed. */
TEST_F(recovery, string_functions)
{
	static const unsigned long lengths[] = {
		1, 2, 3, 4, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257,
		511, 512, 600, 1000, 2048, 4096, 5000, 65536, 1 << 20,
	};
	struct recovery *r = &self->r;
	struct ffg_call *call = recovery_call(r, "ends_string", "i(ippi)");
	long (*string)(int, void *, const void *, unsigned long) = ffg_call_entry(call);
	unsigned char *closed = recovery_object(r, 1 << 20), *open = malloc(1 << 20);
	int first = 0;

	memset(open, 'a', 1 << 20);
	open[(1 << 20) - 1] = '\0';
	for (int which = 0; which < 8; which++) {
		for (unsigned int n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
			int failed;

			/* To something closed, from something closed. */
			string(which, closed, which == 3 || which == 5 || which == 7 ? closed :
			       open, lengths[n]);
			failed = ffg_call_error(call) != FFG_E_VIOLATION;
			if (which != 2) {
				string(which, open, closed, lengths[n]);
				failed |= ffg_call_error(call) != FFG_E_VIOLATION;
			}
			if (failed && !first++)
				TH_LOG("function %d, %lu bytes", which, lengths[n]);
		}
	}
	EXPECT_EQ(first, 0);
}

/* ---- exit and abort ---- */

TEST_F(recovery, exit)
{
	static const char *const symbols[] = {
		"ends_exit", "ends_exit_now", "ends_exit_c99", "ends_exit_quick",
	};

	for (int i = 0; i < 4; i++) {
		struct ffg_call *call = recovery_call(&self->r, symbols[i], "v(i)");
		const struct ffg_violation *v;

		((int_fn)ffg_call_entry(call))(40 + i);
		EXPECT_EQ(ffg_call_error(call), FFG_E_EXITED);
		v = ffg_call_report(call);
		ASSERT_NE(v, NULL);
		EXPECT_EQ(v->reason, FFG_REASON_EXIT);
		EXPECT_EQ(v->status, 40 + i);
		EXPECT_STREQ(v->function, symbols[i]);
		EXPECT_STREQ(v->frame[0].library, "libends.so");
	}
}

TEST_F(recovery, abort)
{
	static const char *const symbols[] = { "ends_abort", "ends_assert", "ends_smashed" };

	for (int i = 0; i < 3; i++) {
		struct ffg_call *call = recovery_call(&self->r, symbols[i], "v(i)");

		((int_fn)ffg_call_entry(call))(0);
		EXPECT_EQ(ffg_call_report(call)->reason, FFG_REASON_ABORT);
		EXPECT_EQ(crash_signal(call), SIGABRT);
	}
}

/* ---- what is left ---- */

static unsigned int get_mxcsr(void)
{
	unsigned int mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	return mxcsr;
}

static unsigned short get_fcw(void)
{
	unsigned short fcw;

	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	return fcw;
}

TEST_F(recovery, registers_are_the_callers)
{
	struct recovery *r = &self->r;
	unsigned char *object = recovery_object(r, 64);
	struct ffg_call *call = recovery_call(r, "ends_wreck", "v(p)");
	void (*wreck)(unsigned char *) = ffg_call_entry(call);
	unsigned int mxcsr = get_mxcsr();
	unsigned short fcw = get_fcw();
	unsigned long flags;
	unsigned int pkru = recovery_pkru();

	EXPECT_EQ(recovery_kept(wreck, object), 0);
	EXPECT_EQ(ffg_call_error(call), FFG_E_VIOLATION);
	EXPECT_EQ(get_mxcsr(), mxcsr);
	EXPECT_EQ(get_fcw(), fcw);
	EXPECT_EQ(recovery_pkru(), pkru);
	__asm__ volatile("pushfq\n\tpop %0" : "=r"(flags));
	EXPECT_EQ(flags & 0x400, 0);
	/* The x87 stack is empty: eight more fit. */
	EXPECT_EQ(recovery_x87_free(), 8);
}

struct big {
	long word[9];
};

TEST_F(recovery, returns_zero_in_every_form)
{
	struct recovery *r = &self->r;
	unsigned char *object = recovery_object(r, 64);
	struct ffg_call *big_call = recovery_call(r, "ends_big", "m72(p)");
	struct ffg_call *x87_call = recovery_call(r, "ends_long_double", "D(p)");
	struct ffg_call *sse_call = recovery_call(r, "ends_double", "d(p)");
	struct big (*big)(unsigned char *) = ffg_call_entry(big_call);
	long double (*x87)(unsigned char *) = ffg_call_entry(x87_call);
	double (*sse)(unsigned char *) = ffg_call_entry(sse_call);

	for (int i = 0; i < 20; i++) {
		struct big result = big(object);

		for (int n = 0; n < 9; n++)
			EXPECT_EQ(result.word[n], 0);
		EXPECT_EQ(ffg_call_error(big_call), FFG_E_VIOLATION);
		EXPECT_EQ(x87(object), 0.0L);
		EXPECT_EQ(ffg_call_error(x87_call), FFG_E_VIOLATION);
		EXPECT_EQ(sse(object), 0.0);
		EXPECT_EQ(ffg_call_error(sse_call), FFG_E_VIOLATION);
	}
	EXPECT_EQ(recovery_x87_free(), 8);
}

/* With one slot: it can be bound elsewhere at once. */
TEST(grants_are_released)
{
	struct ffg_options options = { .size = sizeof(options), .slots = 1 };
	struct recovery r;
	unsigned char *first, *second;
	struct ffg_call *one, *two;
	write_fn write;

	recovery_open_options(&r, FFG_POLICY_RECOVER, &options);
	first = recovery_object(&r, 64);
	second = recovery_object(&r, 64);
	one = recovery_call(&r, "ends_write", "i(pii)");
	two = recovery_call(&r, "ends_write", "i(pii)");
	ASSERT_EQ(ffg_call_grant(one, first, 64, FFG_INOUT), 0);
	ASSERT_EQ(ffg_call_grant(two, second, 64, FFG_INOUT), 0);
	for (int i = 0; i < 100; i++) {
		write = ffg_call_entry(one);
		EXPECT_EQ(write(first, 64, 1), 0);
		EXPECT_EQ(ffg_call_error(one), FFG_E_VIOLATION);
		write = ffg_call_entry(two);
		EXPECT_EQ(write(second, 0, i), 1234);
		EXPECT_EQ(ffg_call_error(two), 0);
		EXPECT_EQ(second[0], i);
	}
}

struct waiter {
	struct recovery *r;
	unsigned char *object;
	int error;
};

static void *waiter_run(void *data)
{
	struct waiter *w = data;
	struct ffg_call *call;

	recovery_attach(w->r);
	call = recovery_call(w->r, "ends_write", "i(pii)");
	if (ffg_call_grant(call, w->object, 64, FFG_INOUT))
		abort();
	for (int i = 0; i < 50; i++) {
		((write_fn)ffg_call_entry(call))(w->object, 0, 1);
		w->error = ffg_call_error(call);
		if (w->error != FFG_E_BUSY)
			break;
	}
	ffg_call_free(call);
	return NULL;
}

/* Also to a thread that waits for the slot. */
TEST(grants_are_released_to_a_waiter)
{
	struct ffg_options options = { .size = sizeof(options), .slots = 1 };
	struct recovery r;
	struct waiter waiter = { .r = &r };
	struct ffg_call *call;
	pthread_t thread;
	unsigned char *object;

	recovery_open_options(&r, FFG_POLICY_RECOVER, &options);
	object = recovery_object(&r, 64);
	waiter.object = recovery_object(&r, 64);
	call = recovery_call(&r, "ends_spin", "v()");
	ASSERT_EQ(ffg_call_grant(call, object, 64, FFG_INOUT), 0);
	ASSERT_EQ(ffg_call_budget(call, 300), 0);
	ASSERT_NE(ffg_call_entry(call), NULL);
	ASSERT_EQ(pthread_create(&thread, NULL, waiter_run, &waiter), 0);
	((void_fn)ffg_call_entry(call))();
	EXPECT_EQ(ffg_call_error(call), FFG_E_TIMEOUT);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(waiter.error, 0);
	EXPECT_EQ(waiter.object[0], 1);
}

struct storm {
	struct recovery *r;
	int failures;
};

static void *storm_run(void *data)
{
	struct storm *s = data;
	unsigned char *object = recovery_object(s->r, 64);
	struct ffg_call *call, *crash;
	write_fn write;
	long_fn null;

	recovery_attach(s->r);
	call = recovery_call(s->r, "ends_write", "i(pii)");
	crash = recovery_call(s->r, "ends_null", "i()");
	if (ffg_call_grant(call, object, 64, FFG_INOUT))
		abort();
	write = ffg_call_entry(call);
	null = ffg_call_entry(crash);
	for (int i = 0; i < 500; i++) {
		s->failures += write(object, 0, i) != 1234;
		s->failures += object[0] != (unsigned char)i;
		s->failures += write(object, 64, i) != 0;
		s->failures += ffg_call_error(call) != FFG_E_VIOLATION;
		s->failures += ffg_call_report(call)->object != (uintptr_t)object;
		s->failures += null() != 0;
		s->failures += ffg_call_error(crash) != FFG_E_CRASHED;
		s->failures += ffg_call_report(crash)->thread != gettid();
	}
	ffg_call_free(call);
	ffg_call_free(crash);
	return NULL;
}

TEST_F(recovery, threads_at_once)
{
	pthread_t threads[4];
	struct storm storms[4];

	for (int i = 0; i < 4; i++) {
		storms[i] = (struct storm){ &self->r, 0 };
		ASSERT_EQ(pthread_create(&threads[i], NULL, storm_run, &storms[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		ASSERT_EQ(pthread_join(threads[i], NULL), 0);
		EXPECT_EQ(storms[i].failures, 0);
	}
}

/* The process's own exit is its own still, and so is that of a child that foreign code forks. */
TEST_F(recovery, trusted_exit_is_an_exit)
{
	long_fn null = ffg_call_entry(recovery_call(&self->r, "ends_null", "i()"));

	null();
	exit(0);
}

TEST(unknown_policies_are_refused)
{
	struct recovery r;

	recovery_open(&r, FFG_POLICY_DIE);
	EXPECT_EQ(ffg_domain_open(r.context, scene_path("shapes"), 3), NULL);
	EXPECT_EQ(ffg_error(), FFG_E_INVAL);
	EXPECT_EQ(ffg_domain_reset(r.domain), FFG_E_INVAL);
	EXPECT_EQ(ffg_call_report(NULL), NULL);
	EXPECT_EQ(ffg_error(), FFG_E_INVAL);
}

TEST_HARNESS_MAIN
