// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where recovery is not possible, or not wanted: the process dies as without it, and the report
 * says why.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "recovery.h"

/* The debug kernels take ten times as long. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150

static struct death death;

struct end {
	const char *symbol;
	const char *signature;
	unsigned int policy;
	bool object;			/* the argument is an object that is not granted */
	unsigned long argument;
};

static void body_end(const void *data)
{
	const struct end *end = data;
	struct recovery r;
	struct ffg_call *call;
	unsigned long argument = end->argument;
	void (*entry)(unsigned long);

	recovery_open(&r, end->policy);
	call = recovery_call(&r, end->symbol, end->signature);
	if (end->object)
		argument = (unsigned long)recovery_object(&r, 64);
	entry = ffg_call_entry(call);
	SCENE_CHECK(entry);
	entry(argument);
	fprintf(stderr, "came back: %s\n", ffg_strerror(ffg_call_error(call)));
}

TEST(below_qsort)
{
	struct end end = { "ends_in_qsort", "v(p)", FFG_POLICY_RECOVER, true, 0 };

	death_run(&death, body_end, &end);
	DEATH_EXPECT(&death, SIGSEGV,
		     "ffiguard: violation: write of an object that the call was not granted\n",
		     "  policy:  recover, but a frame of libc is on the foreign stack: ",
		     "its locks may be held\n");
	EXPECT_FALSE(death_said(&death, "came back"));
}

TEST(below_printf)
{
	struct end end = { "ends_in_printf", "i(p)", FFG_POLICY_RECOVER, false, 8 };

	death_run(&death, body_end, &end);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: crash: SIGSEGV in foreign code\n",
		     "  call:    ends_in_printf, thread ",
		     "  policy:  recover, but a frame of libc is on the foreign stack");
	EXPECT_FALSE(death_said(&death, "came back"));
}

/* strlen() by itself may be given up, below strdup() it may not. */
TEST(below_strdup)
{
	struct end end = { "ends_string_in_libc", "i(p)", FFG_POLICY_RECOVER, true, 0 };

	death_run(&death, body_end, &end);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: read of an object that",
		     "  policy:  recover, but a frame of libc is on the foreign stack");
}

TEST(exit_below_qsort)
{
	struct end end = { "ends_exit_in_qsort", "v()", FFG_POLICY_RECOVER, false, 0 };

	death_run(&death, body_end, &end);
	EXPECT_TRUE(death_exit(&death, 3));
	EXPECT_TRUE(death_said(&death, "ffiguard: exit: foreign code ends the process with"));
	EXPECT_TRUE(death_said(&death, "  policy:  recover, but a frame of libc"));
	EXPECT_FALSE(death_said(&death, "came back"));
}

TEST(raise_is_libc)
{
	struct end end = { "ends_raise", "v()", FFG_POLICY_RECOVER, false, 0 };

	death_run(&death, body_end, &end);
	DEATH_EXPECT(&death, SIGABRT, "ffiguard: crash: SIGABRT in foreign code\n",
		     "  policy:  recover, but a frame of libc");
}

/* A thread that the library started has no call to go back to. */
TEST(thread_of_the_library)
{
	struct end end = { "ends_thread_crash", "i(p)", FFG_POLICY_RECOVER, false, 8 };

	death_run(&death, body_end, &end);
	EXPECT_TRUE(death_by(&death, SIGSEGV));
	EXPECT_FALSE(death_said(&death, "came back"));
	end.object = true;
	death_run(&death, body_end, &end);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: write of ");
}

/* Jumping to where ended calls go on is a violation as any other. */
static void body_landing(const void *data)
{
	struct recovery r;
	struct ffg_call *call;
	void (*jump)(const void *, void *, void *);
	const struct ffg_violation *v;
	unsigned int policy = *(const unsigned int *)data;
	const void *landing = recovery_landing();

	recovery_open(&r, policy);
	call = recovery_call(&r, "ends_jump", "v(ppp)");
	jump = ffg_call_entry(call);
	jump(landing, NULL, NULL);
	SCENE_CHECK(ffg_call_error(call) == FFG_E_VIOLATION);
	v = ffg_call_report(call);
	SCENE_CHECK(v && v->reason == FFG_REASON_GATE);
	fprintf(stderr, "%s\n", v->advice);
}

TEST(jump_to_the_landing)
{
	unsigned int policy = FFG_POLICY_DIE;

	death_run(&death, body_landing, &policy);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: call refused by the gate\n",
		     "foreign code jumped to where calls that were ended go on");
	policy = FFG_POLICY_RECOVER;
	death_run(&death, body_landing, &policy);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "foreign code jumped to where calls that were ended go on"));
}

/* ---- policy die ---- */

TEST(die_is_the_default)
{
	struct end end = { "ends_in_qsort", "v(p)", FFG_POLICY_DIE, true, 0 };

	death_run(&death, body_end, &end);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: write of an object");
	EXPECT_FALSE(death_said(&death, "policy:"));
	end = (struct end){ "ends_exit", "v(i)", FFG_POLICY_DIE, false, 5 };
	death_run(&death, body_end, &end);
	EXPECT_TRUE(death_exit(&death, 5));
	end = (struct end){ "ends_abort", "v()", FFG_POLICY_DIE, false, 0 };
	death_run(&death, body_end, &end);
	EXPECT_TRUE(death_by(&death, SIGABRT));
	end = (struct end){ "ends_divide", "i(ii)", FFG_POLICY_DIE, false, 5 };
	death_run(&death, body_end, &end);
	EXPECT_TRUE(death_by(&death, SIGFPE));
}

/* Two domains, two policies: that of the one that is called counts. */
static void body_two(const void *data)
{
	struct recovery r;
	struct ffg_domain *shapes;
	struct ffg_call *call, *die;
	void (*write)(unsigned char *, long, int);
	unsigned char *object;

	(void)data;
	recovery_open(&r, FFG_POLICY_RECOVER);
	object = recovery_object(&r, 64);
	shapes = ffg_domain_open(r.context, scene_path("shapes"), FFG_POLICY_DIE);
	SCENE_CHECK(shapes);
	call = recovery_call(&r, "ends_write", "i(pii)");
	write = ffg_call_entry(call);
	write(object, 0, 1);
	SCENE_CHECK(ffg_call_error(call) == FFG_E_VIOLATION);
	fprintf(stderr, "recovered\n");
	die = ffg_call_new(shapes, "shape_write1", "v(pii)");
	SCENE_CHECK(die);
	write = ffg_call_entry(die);
	write(object, 0, 1);
	fprintf(stderr, "came back\n");
}

TEST(policy_is_the_domains)
{
	death_run(&death, body_two, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "recovered\n", "call:    shape_write1");
	EXPECT_FALSE(death_said(&death, "came back"));
}

/* ---- trusted code ---- */

static void body_trusted(const void *data)
{
	struct recovery r;
	struct ffg_call *call;
	volatile int *volatile null = NULL;

	recovery_open(&r, FFG_POLICY_RECOVER);
	call = recovery_call(&r, "ends_null", "i()");
	((long (*)(void))ffg_call_entry(call))();
	SCENE_CHECK(ffg_call_error(call) == FFG_E_CRASHED);
	if (*(const int *)data == SIGSEGV)
		*null = 1;
	else if (*(const int *)data == SIGABRT)
		abort();
	else
		raise(*(const int *)data);
}

TEST(trusted_code_crashes_as_ever)
{
	static const int signals[] = { SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL, SIGTERM };

	for (int i = 0; i < 6; i++) {
		death_run(&death, body_trusted, &signals[i]);
		DEATH_EXPECT(&death, signals[i], "");
		EXPECT_FALSE(death_said(&death, "ffiguard: "));
	}
}

static void on_signal(int signal)
{
	char text[] = "handler of 0\n";

	text[11] += signal % 10;
	if (write(2, text, sizeof(text) - 1) < 0)
		_exit(1);
	_exit(11);
}

static void body_handler(const void *data)
{
	struct end end = { "ends_in_printf", "i(p)", FFG_POLICY_RECOVER, false, 8 };

	signal(SIGSEGV, on_signal);
	body_end(data ? data : &end);
}

/* What cannot be recovered goes to the program's handler, what can does not. */
TEST(programs_handler)
{
	struct end end = { "ends_null", "i()", FFG_POLICY_RECOVER, false, 0 };

	death_run(&death, body_handler, NULL);
	EXPECT_TRUE(death_exit(&death, 11));
	EXPECT_TRUE(death_said(&death, "  policy:  recover, but a frame of libc"));
	EXPECT_TRUE(death_said(&death, "handler of 1\n"));
	death_run(&death, body_handler, &end);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_FALSE(death_said(&death, "handler of"));
	EXPECT_TRUE(death_said(&death, "came back: foreign code crashed"));
}

/* ---- remnants ---- */

/* A stack full of addresses of libc that are no frames does not stand in the way. */
TEST(remnants_are_told_from_frames)
{
	struct recovery r;
	struct ffg_call *sort, *recurse;
	unsigned char *object;

	recovery_open(&r, FFG_POLICY_RECOVER);
	object = recovery_object(&r, 64);
	sort = recovery_call(&r, "ends_in_qsort", "v(p)");
	recurse = recovery_call(&r, "ends_recurse_write", "i(ip)");
	ASSERT_EQ(ffg_call_grant(sort, object, 64, FFG_INOUT), 0);
	for (int i = 0; i < 10; i++) {
		((void (*)(unsigned char *))ffg_call_entry(sort))(object);
		ASSERT_EQ(ffg_call_error(sort), 0);
		((long (*)(long, unsigned char *))ffg_call_entry(recurse))(i, object + 4096);
		EXPECT_EQ(ffg_call_error(recurse), FFG_E_VIOLATION);
	}
}

TEST_HARNESS_MAIN
