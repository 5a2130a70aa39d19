// SPDX-License-Identifier: GPL-2.0-only
/*
 * The call gate: values of every shape, what foreign code finds in the processor, what it
 * leaves there, and calls that cannot be made.
 */
#include <complex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

struct pair { long a; double d; };
struct bytes3 { unsigned char c[3]; };
struct big { long w[6]; };
struct odd { unsigned char c[37]; };
struct huge { unsigned char c[8192]; };
typedef double v4d __attribute__((vector_size(32)));

/* As in libforms. */
void form_nothing(void);
int form_int(int a, unsigned char b, short c);
void *form_pointer(void *p, long n);
double form_many(long, long, long, long, long, long, double, double, double, double, double, double,
		 double, double, long, double, long, double);
long form_odd_stack(long, long, long, long, long, long, long);
long form_long_stack(long, long, long, long, long, long, long, long, long, long, long, long, long,
		     long, long, long, long, long, long, long, long, long, long, long, long, long,
		     long);
float form_float(float, double, int);
long double form_ld(long double, int, long double);
long double form_ld_padded(long, long, long, long, long, long, long, long double);
long double complex form_ldc(long double, long double);
__int128 form_i128(__int128, long);
__int128 form_i128_split(long, long, long, long, long, __int128, long);
struct pair form_pair(long, double);
struct bytes3 form_bytes3(int);
struct big form_big(long, long);
struct odd form_odd(int);
struct huge form_huge(int);
long form_by_value(struct big, long, struct odd, int);
struct big form_big_stack(long, long, long, long, long, long, long);
double form_variadic(int, ...);
long form_variadic_mixed(const char *, ...);
v4d form_v4d(v4d, double, v4d);
v4d form_v4d_stack(v4d, v4d, v4d, v4d, v4d, v4d, v4d, v4d, v4d, long);
double complex form_dc(double complex, double complex);
int form_mess(int);
uint32_t form_pkru(void);
uint64_t form_rsp(void);
int form_raise(int);
int form_throw(void);
int form_depth(void);
unsigned char form_poke(volatile unsigned char *, int);

struct form_state {
	uint64_t general[16];		/* rax rbx rcx rdx rsi rdi rbp rsp r8 .. r15 */
	uint64_t flags;
	uint32_t mxcsr;
	uint32_t fcw;
	unsigned char vector[16][32];
};

long probe(void *entry, const uint64_t general[6], const uint8_t vector[16][32], uint64_t canary);

FIXTURE(gate) {
	struct scene scene;
	struct ffg_call *call;
};

FIXTURE_SETUP(gate)
{
	self->scene = scene_open("forms", NULL);
	self->call = NULL;
}

FIXTURE_TEARDOWN(gate)
{
	/* The process ends; that everything can be given back is tested in "exit". */
}

/*
 * The result behind the gate is the result without it, with the signature given and, where
 * the form of the return value does not need one, with none.
 */
#define ENTRY(function, signature) \
	((__typeof__(&(function)))ffg_call_entry(self->call = \
		scene_call(&self->scene, #function, signature)))
#define PLAIN(function) \
	((__typeof__(&(function)))ffg_domain_symbol(self->scene.domain, #function))
#define SAME(function, signature, ...) do {					\
	__typeof__(function(__VA_ARGS__)) plain_ = PLAIN(function)(__VA_ARGS__);	\
	__typeof__(plain_) gated_ = ENTRY(function, signature)(__VA_ARGS__);	\
	EXPECT_EQ(0, ffg_call_error(self->call));				\
	EXPECT_EQ(0, memcmp(&plain_, &gated_, size_of_value(sizeof(plain_))));	\
} while (0)

/*
 * The padding of a long double is not part of its value; twice 16 bytes is a complex one or a
 * vector.
 */
static size_t value_size;
static size_t size_of_value(size_t size)
{
	size_t chosen = value_size ? value_size : size;

	value_size = 0;
	return chosen;
}

TEST_F(gate, integers)
{
	int x = 0;

	SAME(form_int, "i(iii)", -7, 200, -3000);
	SAME(form_int, NULL, -7, 200, -3000);
	SAME(form_pointer, "p(pi)", &x, 5);
	SAME(form_odd_stack, "i(iiiiiii)", 1, 2, 3, 4, 5, 6, 7);
	SAME(form_odd_stack, NULL, 1, 2, 3, 4, 5, 6, 7);
	SAME(form_i128, "q(qi)", (__int128)-(1L << 60) * 1024, 12345);
	SAME(form_i128_split, "q(iiiiiqi)", 1, 2, 3, 4, 5, (__int128)77 << 64 | 9, 6);
}

TEST_F(gate, stack)
{
	SAME(form_many, "d(iiiiiiddddddddidid)", 1, 2, 3, 4, 5, 6, .5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5,
	     7.5, 1, 2.25, 4, 9);
	SAME(form_many, NULL, 1, 2, 3, 4, 5, 6, .5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 1, 2.25, 4,
	     9);
	SAME(form_long_stack, "i(iiiiiiiiiiiiiiiiiiiiiiiiiii)", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
	     12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27);
}

/* Each number of stack words has its own way into the ladder. */
TEST_F(gate, every_ladder)
{
	char signature[64] = "i(iiiiii";
	__typeof__(&form_long_stack) entry;
	long result;

	for (int words = 0; words <= 21; words++) {
		strcpy(signature + 8 + words, ")");
		entry = ENTRY(form_long_stack, signature);
		/* Words that the signature does not name are not passed, and not compared. */
		result = entry(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
			       20, 21, 22, 23, 24, 25, 26, 27);
		if (words == 21) {
			EXPECT_EQ(PLAIN(form_long_stack)(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
							 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
							 23, 24, 25, 26, 27),
				  result);
		}
		EXPECT_EQ(0, ffg_call_error(self->call));
		EXPECT_EQ(0, ffg_call_free(self->call));
		signature[8 + words] = 'i';
	}
}

TEST_F(gate, floating)
{
	SAME(form_float, "f(fdi)", 1.5f, -2.25, 7);
	SAME(form_dc, "r(dddd)", 1 + 2 * I, 3 - 4 * I);
	value_size = 10;
	SAME(form_ld, "D(DiD)", 2.5L, 3, 1.25L);
	value_size = 10;
	SAME(form_ld_padded, "D(iiiiiiiD)", 1, 2, 3, 4, 5, 6, 7, 0.125L);
}

TEST_F(gate, complex_long_double)
{
	long double complex plain = PLAIN(form_ldc)(1.5L, -8.25L);
	long double complex gated = ENTRY(form_ldc, "c(DD)")(1.5L, -8.25L);

	EXPECT_EQ(0, ffg_call_error(self->call));
	EXPECT_TRUE(creall(plain) == creall(gated));
	EXPECT_TRUE(cimagl(plain) == cimagl(gated));
	EXPECT_TRUE(creall(gated) == 2.5L && cimagl(gated) == -9.25L);
}

TEST_F(gate, structures)
{
	struct big b = { { 1, -2, 3, -4, 5, -6 } };
	struct odd o;

	for (unsigned int n = 0; n < sizeof(o.c); n++)
		o.c[n] = (unsigned char)(n * 5);
	SAME(form_pair, "r(id)", 41, 1.25);
	value_size = 3;
	SAME(form_bytes3, "r(i)", 250);
	SAME(form_big, "m48(ii)", 7, 9);
	SAME(form_odd, "m37(i)", 3);
	SAME(form_huge, "m8192(i)", 0x5a);
	SAME(form_big_stack, "m48(iiiiiii)", 1, 2, 3, 4, 5, 6, 7);
	SAME(form_by_value, "i(s48is37i)", b, 5, o, -9);
}

/* A memory return writes the structure and not a byte more. */
TEST_F(gate, memory_return_is_exact)
{
	struct { unsigned char before[8]; struct odd value; unsigned char after[19]; } out;
	__typeof__(&form_odd) entry = ENTRY(form_odd, "m37(i)");

	memset(&out, 0xee, sizeof(out));
	out.value = entry(1);
	for (unsigned int n = 0; n < 8; n++)
		EXPECT_EQ(0xee, out.before[n]);
	for (unsigned int n = 0; n < 19; n++)
		EXPECT_EQ(0xee, out.after[n]);
}

TEST_F(gate, variadic)
{
	double (*sum)(int, ...) = ENTRY(form_variadic, "d(i...)");
	long (*mixed)(const char *, ...);

	EXPECT_EQ(7.0, sum(2, 2.0, 3.0));
	EXPECT_EQ(PLAIN(form_variadic)(11, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.),
		  sum(11, 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.));
	sum = ENTRY(form_variadic, NULL);
	EXPECT_EQ(7.0, sum(2, 2.0, 3.0));
	mixed = ENTRY(form_variadic_mixed, "i(p...)");
	EXPECT_EQ(PLAIN(form_variadic_mixed)("ididiiiiiid", 1L, 2., 3L, 4., 5L, 6L, 7L, 8L, 9L,
					     10L, 11.),
		  mixed("ididiiiiiid", 1L, 2., 3L, 4., 5L, 6L, 7L, 8L, 9L, 10L, 11.));
	EXPECT_EQ(0, ffg_call_error(self->call));
}

__attribute__((target("avx"))) static int vectors(struct ffg_domain *domain, void *three, void *ten)
{
	v4d a = { 1, 2, 3, 4 }, b = { 5, 6, 7, 8 }, x, y;
	__typeof__(&form_v4d) plain = ffg_domain_symbol(domain, "form_v4d"), gated = three;
	__typeof__(&form_v4d_stack) plain_stack = ffg_domain_symbol(domain, "form_v4d_stack");
	__typeof__(&form_v4d_stack) gated_stack = ten;

	x = plain(a, 0.5, b);
	y = gated(a, 0.5, b);
	if (memcmp(&x, &y, sizeof(x)))
		return 1;
	x = plain_stack(a, b, a, b, a, b, a, b, b * a, 3);
	y = gated_stack(a, b, a, b, a, b, a, b, b * a, 3);
	return memcmp(&x, &y, sizeof(x)) ? 2 : 0;
}

TEST_F(gate, wide_vectors)
{
	void *three = ENTRY(form_v4d, "y(ydy)"), *ten = ENTRY(form_v4d_stack, "y(yyyyyyyyyi)");

	EXPECT_EQ(0, vectors(self->scene.domain, three, ten));
}

/* ---- what foreign code finds ---- */

#define CANARY		0x5afe5afe5afe5afeULL
#define GENERAL(n)	(0xa000000000000001ULL + (n))

/* "v(...)" with @ni integers and @nv doubles. */
static void shape(char signature[32], int ni, int nv)
{
	snprintf(signature, 32, "v(%.*s%.*s)", ni, "iiiiii", nv, "dddddddd");
}

/* Registers that carry no argument hold nothing of trusted code, in all 63 shapes. */
TEST_F(gate, registers_are_cleared)
{
	static const int place[6] = { 5, 4, 3, 2, 8, 9 };	/* rdi rsi rdx rcx r8 r9 */
	struct form_state *seen = ffg_domain_symbol(self->scene.domain, "form_seen");
	uint64_t general[6], expected;
	uint8_t vector[16][32], zero[32] = { 0 };
	char signature[32];

	for (int n = 0; n < 6; n++)
		general[n] = GENERAL(n);
	for (int n = 0; n < 16; n++)
		memset(vector[n], 0x50 + n, 32);
	for (int ni = 0; ni <= 6; ni++) {
		for (int nv = 0; nv <= 8; nv++) {
			shape(signature, ni, nv);
			self->call = scene_call(&self->scene, "form_look", signature);
			memset(seen, 0, sizeof(*seen));
			ASSERT_EQ(0, probe(ffg_call_entry(self->call), general, vector, CANARY));
			ASSERT_EQ(0, ffg_call_error(self->call));
			for (int n = 0; n < 6; n++) {
				expected = n < ni ? GENERAL(n) : 0;
				EXPECT_EQ(expected, seen->general[place[n]]);
			}
			for (int n = 0; n < 16; n++)
				EXPECT_NE(CANARY, seen->general[n]);
			EXPECT_EQ(0, seen->general[10] >> 32);	/* bits of PKRU */
			EXPECT_EQ(0, seen->general[12]);
			EXPECT_EQ(0, seen->general[15]);
			for (int n = 0; n < 16; n++) {
				EXPECT_EQ(0,
					  memcmp(seen->vector[n], n < nv ? vector[n] : zero, 16));
				EXPECT_EQ(0, memcmp(seen->vector[n] + 16, zero, 16));
			}
			EXPECT_EQ(0, seen->flags & 0x44400);
			EXPECT_EQ(0, ffg_call_free(self->call));
		}
	}
}

/* With 256-bit arguments: those pass whole, registers without argument are cleared whole. */
TEST_F(gate, wide_registers_are_cleared)
{
	struct form_state *seen = ffg_domain_symbol(self->scene.domain, "form_seen");
	uint64_t general[6] = { CANARY, CANARY, CANARY, CANARY, CANARY, CANARY };
	uint8_t vector[16][32], zero[32] = { 0 };

	for (int n = 0; n < 16; n++)
		memset(vector[n], 0x50 + n, 32);
	self->call = scene_call(&self->scene, "form_look", "v(yyy)");
	ASSERT_EQ(0, probe(ffg_call_entry(self->call), general, vector, CANARY));
	for (int n = 0; n < 16; n++) {
		EXPECT_EQ(0, memcmp(seen->vector[n], n < 3 ? vector[n] : zero, 32));
		EXPECT_NE(CANARY, seen->general[n]);
	}
}

/* Foreign code runs on its own stack, at the alignment of the calling convention. */
TEST_F(gate, foreign_stack)
{
	uint64_t inside = ENTRY(form_rsp, "i()")(), outside = (uint64_t)(uintptr_t)&inside;

	EXPECT_TRUE(inside + (1 << 20) < outside || inside > outside + (1 << 20));
	EXPECT_EQ(0, inside % 16);
}

/* PKRU: the keys of the context closed but for what is granted, others as they were. */
TEST_F(gate, rights)
{
	uint32_t before, inside, granted, after, closed;
	unsigned char *object;

	__asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(before) : "c"(0) : "edx");
	inside = ENTRY(form_pkru, "i()")();
	__asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(after) : "c"(0) : "edx");
	EXPECT_EQ(before, after);
	EXPECT_EQ(before, inside & before);
	closed = inside & ~before;
	EXPECT_EQ((int)ffg_context_slots(self->scene.context) + 1,
		  __builtin_popcount(closed & 0x55555555));

	object = scene_object(&self->scene, 64, 0);
	self->call = scene_call(&self->scene, "form_pkru", "i()");
	ASSERT_EQ(0, ffg_call_grant(self->call, object, 64, FFG_INOUT));
	granted = ((__typeof__(&form_pkru))ffg_call_entry(self->call))();
	EXPECT_EQ(1, __builtin_popcount((inside ^ granted) & 0x55555555));
	EXPECT_EQ(granted, inside & granted);
}

/* ---- what it leaves ---- */

TEST_F(gate, state_is_restored)
{
	uint8_t vector[16][32] = { { 0 } };
	uint64_t general[6] = { 41 };
	uint32_t mxcsr = 0x1fa0, mxcsr_after;
	uint16_t fcw = 0x027f, fcw_after, status;
	uint64_t flags;
	void *entry = ENTRY(form_mess, "i(i)");

	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(fcw));
	EXPECT_EQ(0, probe(entry, general, vector, CANARY));
	__asm__ volatile("pushf; pop %0; stmxcsr %1; fnstcw %2; fnstsw %3; fninit"
			 : "=r"(flags), "=m"(mxcsr_after), "=m"(fcw_after), "=m"(status));
	EXPECT_EQ(mxcsr, mxcsr_after);
	EXPECT_EQ(fcw, fcw_after);
	EXPECT_EQ(0, status & 0x3800);		/* top of the x87 stack */
	EXPECT_EQ(0, flags & 0x44400);		/* DF, NT, AC */
	EXPECT_EQ(42, ENTRY(form_mess, "i(i)")(41));
}

/* A backtrace of foreign code goes on in the caller; an exception does not. */
TEST_F(gate, unwinding)
{
	int plain = PLAIN(form_depth)();

	EXPECT_EQ(plain + 1, ENTRY(form_depth, "i()")());
	EXPECT_EQ(5, PLAIN(form_throw)());	/* _URC_END_OF_STACK: looked everywhere */
	EXPECT_EQ(3, ENTRY(form_throw, "i()")());	/* _URC_FATAL_PHASE1_ERROR */
	EXPECT_EQ(0, ffg_call_error(self->call));
}

/* ---- calls that cannot be made ---- */

static struct {
	struct ffg_call *call;
	void *entry;
	long result;
	int error;
} in_handler;

static void handler(int signal)
{
	(void)signal;
	in_handler.result = ((__typeof__(&form_int))in_handler.entry)(1, 2, 3);
	in_handler.error = ffg_call_error(in_handler.call);
}

static void handle_usr1(const struct scene *scene, void (*function)(int))
{
	struct sigaction action = { .sa_handler = function };

	in_handler.call = scene_call(scene, "form_int", "i(iii)");
	in_handler.entry = ffg_call_entry(in_handler.call);
	in_handler.result = -1;
	in_handler.error = -1;
	sigaction(SIGUSR1, &action, NULL);
}

TEST_F(gate, nested_in_a_signal_handler)
{
	handle_usr1(&self->scene, handler);
	EXPECT_EQ(0, ENTRY(form_raise, "i(i)")(SIGUSR1));
	EXPECT_EQ(1 * 3 + 2 - 3, in_handler.result);
	EXPECT_EQ(0, in_handler.error);
	/* The interrupted call went on; the next one is possible. */
	EXPECT_EQ(0, ffg_call_error(self->call));
	SAME(form_int, "i(iii)", 4, 5, 6);
}

TEST_F(gate, signal_handler_of_trusted_code)
{
	handle_usr1(&self->scene, handler);
	raise(SIGUSR1);
	EXPECT_EQ(1 * 3 + 2 - 3, in_handler.result);
	EXPECT_EQ(0, in_handler.error);
}

/* Every form of result is zero when the call cannot be made. */
TEST_F(gate, revoked)
{
	__typeof__(&form_many) many = ENTRY(form_many, "d(iiiiiiddddddddidid)");
	struct ffg_call *first = self->call;
	struct { struct odd value; unsigned char after; } out;
	__typeof__(&form_odd) odd;
	__typeof__(&form_ld) ld;
	__typeof__(&form_ldc) ldc;
	uint16_t status;

	ASSERT_EQ(0, ffg_call_revoke(first));
	EXPECT_EQ(0.0, many(1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
	EXPECT_EQ(FFG_E_REVOKED, ffg_call_error(first));
	EXPECT_EQ(0, ffg_call_error(first));
	EXPECT_EQ(NULL, ffg_call_entry(first));
	EXPECT_EQ(FFG_E_REVOKED, ffg_error());
	EXPECT_EQ(FFG_E_REVOKED, ffg_call_revoke(first));
	ASSERT_EQ(0, ffg_call_reset(first));
	EXPECT_TRUE(many == ffg_call_entry(first));
	EXPECT_NE(0.0, many(1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12));
	EXPECT_EQ(0, ffg_call_error(first));

	odd = ENTRY(form_odd, "m37(i)");
	ASSERT_EQ(0, ffg_call_revoke(self->call));
	memset(&out, 0xee, sizeof(out));
	out.value = odd(1);
	for (unsigned int n = 0; n < sizeof(out.value.c); n++)
		EXPECT_EQ(0, out.value.c[n]);
	EXPECT_EQ(0xee, out.after);
	EXPECT_EQ(FFG_E_REVOKED, ffg_call_error(self->call));

	ld = ENTRY(form_ld, "D(DiD)");
	ASSERT_EQ(0, ffg_call_revoke(self->call));
	EXPECT_TRUE(ld(1, 2, 3) == 0);
	ldc = ENTRY(form_ldc, "c(DD)");
	ASSERT_EQ(0, ffg_call_revoke(self->call));
	EXPECT_TRUE(ldc(1, 2) == 0);
	__asm__ volatile("fnstsw %0" : "=m"(status));
	EXPECT_EQ(0, status & 0x3800);
}

/* The object was taken away while a record grants it, and given back: the word goes stale. */
TEST_F(gate, stale_record_is_bound_again)
{
	unsigned int slots = ffg_context_slots(self->scene.context), count = 3 * slots;
	struct ffg_call *calls[64];
	__typeof__(&form_poke) entries[64];
	unsigned char *objects[64];

	ASSERT_LE(count, 64);
	for (unsigned int n = 0; n < count; n++) {
		objects[n] = scene_object(&self->scene, 100, 0);
		calls[n] = scene_call(&self->scene, "form_poke", "i(pi)");
		ASSERT_EQ(0, ffg_call_grant(calls[n], objects[n], 100, FFG_INOUT));
		entries[n] = ffg_call_entry(calls[n]);
		ASSERT_NE(NULL, entries[n]);
	}
	for (int round = 0; round < 3; round++) {
		for (unsigned int n = 0; n < count; n++) {
			EXPECT_EQ(round + 1, entries[n](objects[n] + n, round + 1));
			EXPECT_EQ(0, ffg_call_error(calls[n]));
			EXPECT_EQ(round + 1, objects[n][n]);
		}
	}
}

/* A stale record on the way in: arguments in every register survive the slow path. */
TEST_F(gate, slow_path_keeps_arguments)
{
	unsigned int count = 2 * ffg_context_slots(self->scene.context);
	__typeof__(&form_many) many;
	__typeof__(&form_v4d) wide;
	struct ffg_call *many_call, *wide_call;
	struct ffg_stats before, after;
	double expected;

	ASSERT_LE(count, 64);
	many_call = scene_call(&self->scene, "form_many", "d(iiiiiiddddddddidid)");
	ASSERT_EQ(0, ffg_call_grant(many_call, scene_object(&self->scene, 10, 0), 10, FFG_IN));
	many = ffg_call_entry(many_call);
	wide_call = scene_call(&self->scene, "form_v4d", "y(ydy)");
	ASSERT_EQ(0, ffg_call_grant(wide_call, scene_object(&self->scene, 10, 0), 10, FFG_IN));
	wide = ffg_call_entry(wide_call);
	for (unsigned int n = 0; n < count; n++) {	/* evicts both */
		struct ffg_call *call = scene_call(&self->scene, "form_nothing", "v()");

		ASSERT_EQ(0,
			  ffg_call_grant(call, scene_object(&self->scene, 10, 0), 10, FFG_INOUT));
		((void (*)(void))ffg_call_entry(call))();
		ASSERT_EQ(0, ffg_call_error(call));
	}
	ASSERT_EQ(0, ffg_context_stats(self->scene.context, &before));
	expected = PLAIN(form_many)(1, 2, 3, 4, 5, 6, .5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 1,
				    2.25, 4, 9);
	EXPECT_EQ(expected,
		  many(1, 2, 3, 4, 5, 6, .5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 1, 2.25, 4, 9));
	EXPECT_EQ(0, ffg_call_error(many_call));
	self->call = scene_call(&self->scene, "form_v4d_stack", "y(yyyyyyyyyi)");
	EXPECT_EQ(0, vectors(self->scene.domain, wide, ffg_call_entry(self->call)));
	EXPECT_EQ(0, ffg_call_error(wide_call));
	ASSERT_EQ(0, ffg_context_stats(self->scene.context, &after));
	EXPECT_LE(before.binds + 2, after.binds);
}

TEST_HARNESS_MAIN
