// SPDX-License-Identifier: GPL-2.0-only
/*
 * Callbacks: values of every shape, whose stack and state they run with, what becomes of the
 * outer call's grants, calls within callbacks, and the ways out.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

#include "kselftest_harness.h"

#include "death.h"

/* The debug kernels take ten times as long. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150

struct big { long w[6]; };
typedef long (*simple_fn)(long, void *);

static struct scene scene;
static struct death death;

static void *callback_for(void *function, const char *signature)
{
	struct ffg_callback *callback = ffg_callback_new(scene.domain, function, signature);

	SCENE_CHECK(callback);
	return ffg_callback_entry(callback);
}

#define ENTRY(symbol, signature) \
	((__typeof__(&(symbol)))scene_entry(&scene, #symbol, signature, NULL, 0, 0))

/* As in libcallers. */
long call_long(simple_fn, long, void *);
double call_many(void *);
struct big call_struct(void *, long);
void call_struct_at(void *, struct big *);
long double call_long_double(void *, long double);
void call_sort(void *, size_t, size_t, void *);
int call_then_write(simple_fn, unsigned char *, int);
int call_then_jump(simple_fn);
void call_longjmp(struct __jmp_buf_tag *);
long call_registers(simple_fn, uint64_t *);
uint32_t call_with_state(void *, uint32_t *);
void call_exit_thread(void);
void call_sleep(volatile int *);
void call_keep(simple_fn);
long call_kept(void);

FIXTURE(callback) {
	unsigned char *object;
};

FIXTURE_SETUP(callback)
{
	scene = scene_open("callers", NULL);
	self->object = scene_object(&scene, 64, 0);
}

FIXTURE_TEARDOWN(callback)
{
}

/* ---- values ---- */

static long add(long a, void *data)
{
	return a + *(long *)data;
}

TEST_F(callback, integers)
{
	__typeof__(&call_long) entry = ENTRY(call_long, "i(pip)");
	long ten = 10;

	EXPECT_EQ(16, entry(callback_for((void *)add, "i(ip)"), 5, &ten));
	EXPECT_EQ(0, ffg_error());
}

TEST_F(callback, without_a_signature)
{
	__typeof__(&call_long) entry = ENTRY(call_long, "i(pip)");
	long ten = 10;

	EXPECT_EQ(16, entry(callback_for((void *)add, NULL), 5, &ten));
}

static double many(long a, long b, long c, long d, long e, long f, double g, double h, double i,
		   double j, double k, double l, double m, double n, long o, double p, long q)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + g - 2 * h + i + j + 3 * k + l + m + n +
		100 * o + p + 1000 * q;
}

TEST_F(callback, stack_arguments)
{
	__typeof__(&call_many) entry = ENTRY(call_many, "d(p)");

	EXPECT_EQ(many(1, 2, 3, 4, 5, 6, .5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 7, 8.5, 8) + 1,
		  entry(callback_for((void *)many, "d(iiiiiidddddddddidi)")));
}

static struct big structure(long a, long b)
{
	return (struct big){ { a, b, 3, 4, 5, 6 } };
}

TEST_F(callback, structure_in_memory)
{
	__typeof__(&call_struct) entry = ENTRY(call_struct, "m48(pi)");
	struct big big = entry(callback_for((void *)structure, "m48(ii)"), 11);

	EXPECT_EQ(11, big.w[0]);
	EXPECT_EQ(12, big.w[1]);
	EXPECT_EQ(5, big.w[4]);
	EXPECT_EQ(7, big.w[5]);
}

static long double twice(long double a)
{
	return 2 * a;
}

TEST_F(callback, long_double)
{
	__typeof__(&call_long_double) entry = ENTRY(call_long_double, "D(pD)");

	EXPECT_TRUE(entry(callback_for((void *)twice, "D(D)"), 1.25L) == 3.5L);
}

static int compared;

static int compare(const void *a, const void *b)
{
	compared++;
	return *(const int *)a - *(const int *)b;
}

TEST_F(callback, sort)
{
	int *numbers = (int *)scene_object(&scene, 1000 * sizeof(int), 0);
	__typeof__(&call_sort) entry = (__typeof__(&call_sort))
		scene_entry(&scene, "call_sort", "v(piip)", numbers, 1000 * sizeof(int), FFG_INOUT);

	for (int i = 0; i < 1000; i++)
		numbers[i] = (i * 7919) % 1000;
	compared = 0;
	entry(numbers, 1000, sizeof(int), callback_for((void *)compare, "i(pp)"));
	EXPECT_LT(5000, compared);
	for (int i = 0; i < 1000; i++)
		ASSERT_EQ(i, numbers[i]);
}

TEST_F(callback, trusted_code_calls_it_directly)
{
	simple_fn entry = (simple_fn)callback_for((void *)add, "i(ip)");
	long one = 1;

	EXPECT_EQ(3, entry(2, &one));
}

static long data_is(long a, void *data)
{
	return a == 5 && data == &scene;
}

TEST_F(callback, data_is_what_was_registered)
{
	__typeof__(&call_long) entry = ENTRY(call_long, "i(pip)");
	struct ffg_callback *callback = ffg_callback_new(scene.domain, (void *)data_is, "i(ip)");

	ASSERT_EQ(0, ffg_callback_data(callback, 2, &scene));
	EXPECT_EQ(2, entry((simple_fn)ffg_callback_entry(callback), 5, (void *)0x1234));
	EXPECT_EQ(FFG_E_INVAL, ffg_callback_data(callback, 0, NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_callback_data(callback, 7, NULL));
}

static long all_six(void *a, void *b, void *c, void *d, void *e, void *f)
{
	void *const argument[6] = { a, b, c, d, e, f };
	long which = 0;

	for (int i = 0; i < 6; i++)
		which = argument[i] == &scene ? which * 10 + i + 1 : which;
	return which;
}

TEST_F(callback, data_in_every_argument)
{
	__typeof__(&call_long) entry = ENTRY(call_long, "i(pip)");

	for (unsigned int i = 1; i <= 6; i++) {
		struct ffg_callback *callback =
			ffg_callback_new(scene.domain, (void *)all_six, "i(pppppp)");

		ASSERT_EQ(0, ffg_callback_data(callback, i, &scene));
		EXPECT_EQ(i + 1, entry((simple_fn)ffg_callback_entry(callback), 5, NULL));
		ASSERT_EQ(0, ffg_callback_free(callback));
	}
}

TEST_F(callback, what_cannot_be_made)
{
	EXPECT_EQ(NULL, ffg_callback_new(NULL, (void *)add, "i(ip)"));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_callback_new(scene.domain, NULL, "i(ip)"));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_callback_new(scene.domain, (void *)add, "i(ip...)"));
	EXPECT_EQ(FFG_E_SIGNATURE, ffg_error());
	EXPECT_EQ(NULL, ffg_callback_new(scene.domain, (void *)add, "y(ip)"));
	EXPECT_EQ(FFG_E_SIGNATURE, ffg_error());
	EXPECT_EQ(NULL, ffg_callback_new(scene.domain, (void *)add, "i(x)"));
	EXPECT_EQ(FFG_E_SIGNATURE, ffg_error());
	EXPECT_EQ(NULL, ffg_callback_entry(NULL));
	EXPECT_EQ(0, ffg_callback_free(NULL));
}

TEST_F(callback, as_many_as_there_are)
{
	static struct ffg_callback *callback[1025];
	unsigned int count = 0;

	while (count < 1025 &&
	       (callback[count] = ffg_callback_new(scene.domain, (void *)add, "i(ip)")))
		count++;
	EXPECT_EQ(1024, count);
	EXPECT_EQ(FFG_E_LIMIT, ffg_error());
	EXPECT_EQ(FFG_E_BUSY, ffg_domain_close(scene.domain));
	for (unsigned int i = 0; i < count; i++)
		ASSERT_EQ(0, ffg_callback_free(callback[i]));
	EXPECT_EQ(0, ffg_domain_close(scene.domain));
}

/* ---- state and stack ---- */

static long where;

static long where_am_i(long a, void *data)
{
	(void)data;
	where = (long)__builtin_frame_address(0);
	return a;
}

TEST_F(callback, runs_on_the_trusted_stack)
{
	__typeof__(&call_long) entry = ENTRY(call_long, "i(pip)");
	long here = (long)__builtin_frame_address(0);

	entry((simple_fn)callback_for((void *)where_am_i, "i(ip)"), 5, NULL);
	EXPECT_GT(here, where);
	EXPECT_GT(8192, here - where);
}

static long leaves_secrets(long a, void *data)
{
	(void)data;
	__asm__ volatile("mov $0x5ec2e7, %%ecx; mov %%rcx, %%rsi; mov %%rcx, %%rdi\n"
			 "mov %%rcx, %%r8; mov %%rcx, %%r9; mov %%rcx, %%r10; mov %%rcx, %%r11\n"
			 "vmovq %%rcx, %%xmm2; vmovq %%rcx, %%xmm3; vmovq %%rcx, %%xmm4\n"
			 "vmovq %%rcx, %%xmm15\n"
			 ::: "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "xmm2", "xmm3", "xmm4",
			 "xmm15");
	return a;
}

TEST_F(callback, registers_are_cleared_and_kept)
{
	__typeof__(&call_registers) entry = ENTRY(call_registers, "i(pp)");
	uint64_t left[2] = { 1, 1 };

	EXPECT_EQ(9, entry((simple_fn)callback_for((void *)leaves_secrets, "i(ip)"), left));
	EXPECT_EQ(0, left[0]) TH_LOG("the callback's registers are left: %lx", left[0]);
	EXPECT_EQ(0, left[1]) TH_LOG("callee-saved registers were changed");
}

static uint32_t state_seen(long a, void *data)
{
	uint32_t mxcsr;
	uint16_t fcw;

	(void)a;
	(void)data;
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(fcw));
	return (mxcsr & 0xffc0) << 16 | fcw;
}

TEST_F(callback, state_of_each_side)
{
	__typeof__(&call_with_state) entry = ENTRY(call_with_state, "i(pp)");
	uint32_t after[2] = { 0, 0 };

	EXPECT_EQ(0x1f80U << 16 | 0x37f, entry(callback_for((void *)state_seen, "i(ip)"), after));
	EXPECT_EQ(0x7f80, after[0] & 0xffc0);
	EXPECT_EQ(0x0f7f, after[1]);
}

/* ---- grants ---- */

static unsigned char *seen_object;

static long reads_object(long a, void *data)
{
	(void)data;
	return a + *seen_object;
}

TEST_F(callback, objects_are_reached_and_grants_come_back)
{
	__typeof__(&call_then_write) entry = (__typeof__(&call_then_write))
		scene_entry(&scene, "call_then_write", "i(ppi)", self->object, 64, FFG_INOUT);

	seen_object = self->object;
	for (int i = 0; i < 100; i++) {
		EXPECT_EQ(7 + i + 1, entry((simple_fn)callback_for((void *)reads_object, "i(ip)"),
					   self->object, i));
		ASSERT_EQ(i, *self->object);
	}
}

static int (*nested_write)(simple_fn, unsigned char *, int);
static unsigned char *nested_object;
static simple_fn nested_callback;

static long calls_again(long a, void *data)
{
	(void)data;
	return nested_write(nested_callback, nested_object, 77) + a;
}

/* The outer call's slot is free while its callback runs: the inner call may have it. */
TEST(one_slot_is_enough_for_a_call_in_a_callback)
{
	struct ffg_options options = { .size = sizeof(options), .slots = 1 };
	unsigned char *outer, *inner;
	int (*entry)(simple_fn, unsigned char *, int);

	scene = scene_open("callers", &options);
	outer = scene_object(&scene, 64, 0);
	inner = scene_object(&scene, 64, 0);
	entry = (__typeof__(entry))
		scene_entry(&scene, "call_then_write", "i(ppi)", outer, 64, FFG_INOUT);
	nested_write = (__typeof__(entry))
		scene_entry(&scene, "call_then_write", "i(ppi)", inner, 64, FFG_INOUT);
	nested_object = inner;
	seen_object = inner;
	nested_callback = (simple_fn)callback_for((void *)reads_object, "i(ip)");
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(7 + 7 + 78, entry((simple_fn)callback_for((void *)calls_again, "i(ip)"),
					    outer, i));
		ASSERT_EQ(i, *outer);
		ASSERT_EQ(77, *inner);
	}
}

#define DEEP 64

static struct {
	__typeof__(&call_then_write) entry[DEEP + 2];
	unsigned char *object[DEEP + 2];
	simple_fn callback;
	int depth, limit;
} deep;

static long goes_deeper(long a, void *data)
{
	int depth = ++deep.depth;

	(void)data;
	if (depth < deep.limit &&
	    deep.entry[depth](deep.callback, deep.object[depth], 100 + depth) < 0)
		return -1;
	deep.depth--;
	return a;
}

static void deep_make(int limit)
{
	deep.limit = limit;
	deep.depth = 0;
	deep.callback = (simple_fn)callback_for((void *)goes_deeper, "i(ip)");
	for (int i = 0; i < limit; i++) {
		deep.object[i] = scene_object(&scene, 64, 0);
		deep.entry[i] = (__typeof__(deep.entry[i]))scene_entry(&scene, "call_then_write",
			"i(ppi)", deep.object[i], 64, FFG_INOUT);
	}
}

TEST_F(callback, nested_as_deep_as_allowed)
{
	deep_make(DEEP);
	for (int round = 0; round < 3; round++) {
		EXPECT_EQ(7, deep.entry[0](deep.callback, deep.object[0], 100));
		for (int i = 0; i < DEEP; i++) {
			EXPECT_EQ(100 + i, *deep.object[i]);
			*deep.object[i] = 0;
		}
	}
}

static void body_too_deep(const void *data)
{
	(void)data;
	scene = scene_open("callers", NULL);
	deep_make(DEEP + 1);
	deep.entry[0](deep.callback, deep.object[0], 100);
}

TEST(nested_too_deep)
{
	death_run(&death, body_too_deep, NULL);
	DEATH_EXPECT(&death, SIGILL, "callbacks are nested too deep");
}

static struct ffg_call *outer_call;

static long revokes_the_outer_call(long a, void *data)
{
	(void)data;
	SCENE_CHECK(!ffg_call_revoke(outer_call));
	return a;
}

/*
 * With reset the record is gone. Its index is another's in the end: the module lets it rest while
 * 32 others are given back, and each of the last 40 made is alive, and bound.
 */
static long resets_the_outer_call(long a, void *data)
{
	struct ffg_call *calls[100];

	SCENE_CHECK(!ffg_call_reset(outer_call));
	for (int i = 0; i < 100; i++) {
		calls[i] = scene_call(&scene, "call_write", "v(pi)");
		SCENE_CHECK(!ffg_call_grant(calls[i], data, 64, FFG_INOUT));
		SCENE_CHECK(ffg_call_entry(calls[i]));
		if (i >= 40)
			SCENE_CHECK(!ffg_call_free(calls[i - 40]));
	}
	for (int i = 60; i < 100; i++)
		((void (*)(void *, int))ffg_call_entry(calls[i]))(data, i);
	return a;
}

struct revoked {
	long (*callback)(long, void *);
	bool twice;
};

static void body_revoked(const void *data)
{
	const struct revoked *how = data;
	struct ffg_callback *callback;
	unsigned char *object;
	int (*entry)(simple_fn, unsigned char *, int);

	scene = scene_open("callers", NULL);
	object = scene_object(&scene, 64, 0);
	outer_call = scene_call(&scene, "call_then_write", "i(ppi)");
	SCENE_CHECK(!ffg_call_grant(outer_call, object, 64, FFG_INOUT));
	entry = (__typeof__(entry))ffg_call_entry(outer_call);
	callback = ffg_callback_new(scene.domain, (void *)how->callback, "i(ip)");
	SCENE_CHECK(callback && !ffg_callback_data(callback, 2, object));
	entry((simple_fn)ffg_callback_entry(callback), object, 5);
	fprintf(stderr, "foreign code wrote after the revoke\n");
}

TEST(revoked_in_a_callback_stays_revoked)
{
	struct revoked how = { .callback = revokes_the_outer_call };

	death_run(&death, body_revoked, &how);
	DEATH_EXPECT(&death, SIGSEGV, "revoked");
}

TEST(another_record_in_its_place_opens_nothing)
{
	struct revoked how = { .callback = resets_the_outer_call };

	death_run(&death, body_revoked, &how);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation");
}

/* ---- ways out ---- */

static long does_nothing(long a, void *data)
{
	(void)data;
	return a;
}

TEST_F(callback, jumps_within_foreign_code)
{
	__typeof__(&call_then_jump) entry = ENTRY(call_then_jump, "i(p)");

	for (int i = 0; i < 100; i++)
		ASSERT_EQ(5, entry((simple_fn)callback_for((void *)does_nothing, "i(ip)")));
}

static jmp_buf outside;

static long jumps_out(long a, void *data)
{
	(void)data;
	longjmp(outside, (int)a + 1);
}

TEST_F(callback, trusted_code_jumps_out)
{
	__typeof__(&call_long) entry = ENTRY(call_long, "i(pip)");
	simple_fn callback = (simple_fn)callback_for((void *)jumps_out, "i(ip)");
	static volatile int rounds;
	long ten = 10;

	for (rounds = 0; rounds < 1000; rounds++) {
		int code = setjmp(outside);

		if (!code) {
			entry(callback, 5, NULL);
			ASSERT_TRUE(false) TH_LOG("the call returned");
		}
		ASSERT_EQ(6, code);
	}
	EXPECT_EQ(16, entry(callback_for((void *)add, "i(ip)"), 5, &ten));
}

static long goes_deeper_and_jumps(long a, void *data)
{
	if (++deep.depth < 16)
		deep.entry[deep.depth](deep.callback, deep.object[deep.depth], 1);
	else
		jumps_out(a, data);
	return -1;
}

TEST_F(callback, trusted_code_jumps_out_of_many)
{
	__typeof__(&call_long) entry = ENTRY(call_long, "i(pip)");
	static volatile int rounds;
	long ten = 10;

	deep_make(16);
	deep.callback = (simple_fn)callback_for((void *)goes_deeper_and_jumps, "i(ip)");
	for (rounds = 0; rounds < 20; rounds++) {
		deep.depth = 0;
		if (!setjmp(outside))
			deep.entry[0](deep.callback, deep.object[0], 1);
		ASSERT_EQ(16, deep.depth);
	}
	EXPECT_EQ(16, entry(callback_for((void *)add, "i(ip)"), 5, &ten));
}

static void body_jump_out_of_the_call(const void *data)
{
	__typeof__(&call_longjmp) entry;

	(void)data;
	scene = scene_open("callers", NULL);
	entry = ENTRY(call_longjmp, "v(p)");
	if (!setjmp(outside))
		entry(outside);
	fprintf(stderr, "the jump was made\n");
}

TEST(foreign_code_jumps_out)
{
	death_run(&death, body_jump_out_of_the_call, NULL);
	DEATH_EXPECT(&death, SIGILL, "longjmp() to leave its guarded call");
}

static long throws(long a, void *data)
{
	static struct _Unwind_Exception exception;

	(void)data;
	return _Unwind_RaiseException(&exception) == _URC_FATAL_PHASE1_ERROR ? a : -1;
}

TEST_F(callback, exceptions_find_no_handler_beyond)
{
	__typeof__(&call_long) entry = ENTRY(call_long, "i(pip)");

	EXPECT_EQ(6, entry((simple_fn)callback_for((void *)throws, "i(ip)"), 5, NULL));
}

/* ---- threads that end ---- */

static volatile int cleaned, there;

static void cleanup(void *data)
{
	/* With the rights of trusted code, or this is the end. */
	*(unsigned char *)data = 99;
	cleaned = 1;
}

static long exits(long a, void *data)
{
	(void)data;
	pthread_exit((void *)a);
}

enum ending { EXIT_FOREIGN, CANCEL_FOREIGN, EXIT_CALLBACK };

struct ender {
	enum ending how;
	unsigned char *object;
	struct ffg_call *call;
};

static void *ends(void *data)
{
	struct ender *ender = data;

	SCENE_CHECK(!ffg_thread_attach(scene.context));
	pthread_cleanup_push(cleanup, ender->object);
	switch (ender->how) {
	case EXIT_FOREIGN:
		((void (*)(void))ffg_call_entry(ender->call))();
		break;
	case CANCEL_FOREIGN:
		((void (*)(volatile int *))ffg_call_entry(ender->call))(&there);
		break;
	case EXIT_CALLBACK:
		((long (*)(simple_fn, long, void *))ffg_call_entry(ender->call))
			((simple_fn)callback_for((void *)exits, "i(ip)"), 42, NULL);
		break;
	}
	pthread_cleanup_pop(0);
	return NULL;
}

FIXTURE(ending) {
	struct ender ender;
};

FIXTURE_VARIANT(ending) {
	enum ending how;
	const char *symbol, *signature;
	long result;
};

FIXTURE_VARIANT_ADD(ending, exit_in_foreign_code) {
	.how = EXIT_FOREIGN, .symbol = "call_exit_thread", .signature = "v()", .result = 42,
};
FIXTURE_VARIANT_ADD(ending, cancelled_in_foreign_code) {
	.how = CANCEL_FOREIGN, .symbol = "call_sleep", .signature = "v(p)",
	.result = (long)PTHREAD_CANCELED,
};
FIXTURE_VARIANT_ADD(ending, exit_in_a_callback) {
	.how = EXIT_CALLBACK, .symbol = "call_long", .signature = "i(pip)", .result = 42,
};

FIXTURE_SETUP(ending)
{
	scene = scene_open("callers", NULL);
	self->ender.how = variant->how;
	self->ender.object = scene_object(&scene, 64, 0);
	self->ender.call = scene_call(&scene, variant->symbol, variant->signature);
	ASSERT_EQ(0, ffg_call_grant(self->ender.call, self->ender.object, 64, FFG_INOUT));
}

FIXTURE_TEARDOWN(ending)
{
}

TEST_F(ending, cleanup_runs_with_trusted_rights)
{
	for (int round = 0; round < 20; round++) {
		pthread_t thread;
		void *result;

		cleaned = 0;
		there = 0;
		*self->ender.object = 0;
		ASSERT_EQ(0, pthread_create(&thread, NULL, ends, &self->ender));
		if (variant->how == CANCEL_FOREIGN) {
			while (!there)
				usleep(1000);
			pthread_cancel(thread);
		}
		ASSERT_EQ(0, pthread_join(thread, &result));
		EXPECT_EQ(variant->result, (long)result);
		EXPECT_EQ(1, cleaned);
		EXPECT_EQ(99, *self->ender.object);
	}
	/* Nothing is held by the dead. */
	EXPECT_EQ(0, ffg_call_free(self->ender.call));
	EXPECT_EQ(0, ffg_object_free(scene.context, self->ender.object));
}

TEST_HARNESS_MAIN
