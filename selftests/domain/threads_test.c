// SPDX-License-Identifier: GPL-2.0-only
/*
 * Domain-wide grants (FFG_THREADS): the thread that libpool has started with itself reaches the
 * object while the call runs that was given it, and at no other time.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

typedef int (*do_fn)(unsigned char *, long, int);
typedef void (*begin_fn)(unsigned char *, long, int, volatile int *);
typedef int (*end_fn)(void);
typedef int (*around_fn)(unsigned char *, long, int, void (*)(void), volatile int *);
typedef void (*crash_fn)(unsigned char *, long, int, volatile int *, void *);

#define SIZE	100

static struct death death;
static volatile int go;			/* for the thread of libpool */

/* What a thread is told that is in no call of its own. */
#define STOPPED()								\
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: ", "  call:    none, thread ")

static struct scene pool_open(unsigned int policy)
{
	struct ffg_options options = { .size = sizeof(options), .domain_keys = 2 };
	struct scene s = scene_open(NULL, &options);

	s.domain = ffg_domain_open(s.context, scene_path("pool"), policy);
	SCENE_CHECK(s.domain);
	return s;
}

static unsigned char *object_new(const struct scene *s)
{
	unsigned char *object = scene_object(s, SIZE, 0);

	memset(object, 0x11, SIZE);
	return object;
}

static struct ffg_call *call_with(const struct scene *s, const char *symbol,
				  const char *signature, void *object, unsigned int rights)
{
	struct ffg_call *call = scene_call(s, symbol, signature);

	SCENE_CHECK(!ffg_call_grant(call, object, SIZE, rights));
	return call;
}

/* Until a thread has written it, however loaded the machine is: a try that must fail ends us. */
static void await(const volatile unsigned char *byte, int value)
{
	for (int ms = 0; *byte != value && ms < 20000; ms += 10)
		usleep(10000);
}

static void body_rounds(const void *data)
{
	struct scene s = pool_open(0);
	unsigned char *object = object_new(&s);
	struct ffg_call *call = call_with(&s, "pool_do", "i(pii)", object, FFG_THREADS);
	do_fn run = ffg_call_entry(call);

	(void)data;
	SCENE_CHECK(run);
	for (int round = 1; round <= 50; round++) {
		int was = object[7];

		SCENE_CHECK(run(object, 7, round) == was && !ffg_call_error(call));
		SCENE_CHECK(object[7] == round);
	}
	SCENE_CHECK(!ffg_call_free(call) && !ffg_object_free(s.context, object));
	fprintf(stderr, "rounds\n");
}

TEST(thread_reaches_what_the_call_was_given)
{
	death_run(&death, body_rounds, NULL);
	DEATH_LIVED(&death, "rounds\n");
}

static void body_ordinary(const void *data)
{
	struct scene s = pool_open(0);
	unsigned char *object = object_new(&s);
	do_fn run = ffg_call_entry(call_with(&s, "pool_do", "i(pii)", object, FFG_INOUT));

	(void)data;
	run(object, 7, 1);
	fprintf(stderr, "survived\n");
}

TEST(ordinary_grant_is_the_calling_threads)
{
	death_run(&death, body_ordinary, NULL);
	STOPPED();
}

static void body_later(const void *data)
{
	struct scene s = pool_open(0);
	unsigned char *object = object_new(&s);
	struct ffg_call *call = call_with(&s, "pool_begin", "v(piip)", object, FFG_THREADS);
	begin_fn begin = ffg_call_entry(call);

	(void)data;
	begin(object, 7, 0x33, &go);
	go = 1;
	await(object + 7, 0x33);
	fprintf(stderr, "has %#x\n", object[7]);
}

TEST(closed_after_the_call)
{
	death_run(&death, body_later, NULL);
	STOPPED();
}

static void body_before(const void *data)
{
	struct scene s = pool_open(0);
	unsigned char *object = object_new(&s);
	struct ffg_call *call = call_with(&s, "pool_do", "i(pii)", object, FFG_THREADS);
	do_fn outside = scene_entry(&s, "pool_do", "i(pii)", NULL, 0, 0);

	(void)data;
	SCENE_CHECK(ffg_call_entry(call));
	outside(object, 7, 0x22);
	fprintf(stderr, "has %#x\n", object[7]);
}

/* A prepared call alone opens nothing. */
TEST(closed_before_the_call)
{
	death_run(&death, body_before, NULL);
	STOPPED();
}

static void body_neighbour(const void *data)
{
	struct scene s = pool_open(0);
	unsigned char *object = object_new(&s), *other = object_new(&s);
	do_fn run = ffg_call_entry(call_with(&s, "pool_do", "i(pii)", object, FFG_THREADS));

	(void)data;
	run(other, 7, 1);
	fprintf(stderr, "survived\n");
}

TEST(another_object)
{
	death_run(&death, body_neighbour, NULL);
	STOPPED();
}

static void body_other_domain(const void *data)
{
	struct scene s = pool_open(0), t = s;
	unsigned char *object = object_new(&s);
	struct ffg_call *call;
	do_fn run;

	(void)data;
	/* Its code in another domain: so the thread that waits is of the wrong one. */
	t.domain = ffg_domain_open(s.context, scene_path("shapes"), 0);
	SCENE_CHECK(t.domain);
	call = ffg_call_new_address(t.domain, ffg_domain_symbol(s.domain, "pool_do"), "i(pii)");
	SCENE_CHECK(call && !ffg_call_grant(call, object, SIZE, FFG_THREADS));
	run = ffg_call_entry(call);
	SCENE_CHECK(run);
	run(object, 7, 1);
	fprintf(stderr, "survived\n");
}

TEST(thread_of_another_domain)
{
	death_run(&death, body_other_domain, NULL);
	STOPPED();
}

static void body_no_key(const void *data)
{
	struct scene s = scene_open("pool", NULL);
	unsigned char *object = object_new(&s);
	struct ffg_call *call = scene_call(&s, "pool_do", "i(pii)");

	(void)data;
	SCENE_CHECK(ffg_call_grant(call, object, SIZE, FFG_THREADS) == FFG_E_INVAL);
	fprintf(stderr, "%s\n", ffg_error_message());
}

TEST(needs_a_key)
{
	death_run(&death, body_no_key, NULL);
	DEATH_LIVED(&death, "the domain has no key (ffg_options.domain_keys)\n");
}

/* ---- with others ---- */

struct side {
	const struct scene *s;
	unsigned char *object;
	void *entry;
	int result;
};

static void *while_run(void *data)
{
	struct side *side = data;

	SCENE_CHECK(!ffg_thread_attach(side->s->context));
	side->result = ((do_fn)side->entry)(side->object, 9, 0x44);
	return NULL;
}

static void body_two_threads(const void *data)
{
	struct scene s = pool_open(0);
	struct side side = { .s = &s, .object = object_new(&s) };
	struct ffg_call *call = call_with(&s, "pool_while", "i(pii)", side.object, FFG_THREADS);
	struct ffg_call *ordinary = call_with(&s, "pool_end", "i()", side.object, FFG_INOUT);
	unsigned char zero = 0;
	pthread_t thread[2];

	(void)data;
	side.entry = ffg_call_entry(call);
	/* The same call in two threads, of which one ends first: the other goes on. */
	for (int round = 0; round < 5; round++) {
		side.object[0] = 1;
		side.object[9] = 0;
		SCENE_CHECK(!pthread_create(&thread[0], NULL, while_run, &side));
		SCENE_CHECK(!pthread_create(&thread[1], NULL, while_run, &side));
		await(side.object + 9, 0x44);
		/* Who wants it as an ordinary grant now has to wait. */
		((end_fn)ffg_call_entry(ordinary))();
		SCENE_CHECK(ffg_call_error(ordinary) == FFG_E_BUSY);
		side.object[0] = zero;
		pthread_join(thread[0], NULL);
		pthread_join(thread[1], NULL);
		((end_fn)ffg_call_entry(ordinary))();
		SCENE_CHECK(!ffg_call_error(ordinary));
	}
	SCENE_CHECK(side.object[9] == 0x44 && side.result == 0x44);
	fprintf(stderr, "both\n");
}

TEST(two_calls_at_once)
{
	death_run(&death, body_two_threads, NULL);
	DEATH_LIVED(&death, "both\n");
}

static struct ffg_call *revoked;

static void *revoke_run(void *data)
{
	struct side *side = data;

	await(side->object + 9, 0x44);
	SCENE_CHECK(!ffg_call_revoke(revoked));
	return NULL;
}

static void body_revoke(const void *data)
{
	struct scene s = pool_open(0);
	struct side side = { .s = &s, .object = object_new(&s) };
	pthread_t thread;

	(void)data;
	revoked = call_with(&s, "pool_while", "i(pii)", side.object, FFG_THREADS);
	side.entry = ffg_call_entry(revoked);
	SCENE_CHECK(!pthread_create(&thread, NULL, revoke_run, &side));
	((do_fn)side.entry)(side.object, 9, 0x44);
	fprintf(stderr, "survived\n");
}

TEST(revoke_closes_it_at_once)
{
	death_run(&death, body_revoke, NULL);
	EXPECT_TRUE(death_by(&death, SIGSEGV));
	EXPECT_TRUE(death_said(&death, "ffiguard: violation: "));
	EXPECT_FALSE(death_said(&death, "survived"));
}

/* ---- callbacks, ends ---- */

static end_fn inner;
static unsigned char *outer_object;
static sigjmp_buf back;
static int seen;

static void callback_nested(void)
{
	/* Trusted code sees it as ever, and a call in a call does not close it. */
	seen = outer_object[7];
	inner();
	go = 1;
	await(outer_object + 7, 0x55);
}

static void callback_jump(void)
{
	siglongjmp(back, 1);
}

static void body_callback(const void *data)
{
	bool jump = *(const bool *)data;
	struct scene s = pool_open(0);
	struct ffg_callback *callback;
	struct ffg_call *call;
	around_fn around;

	outer_object = object_new(&s);
	call = call_with(&s, "pool_around", "i(piipp)", outer_object, FFG_THREADS);
	inner = scene_entry(&s, "pool_nothing", "i()", NULL, 0, 0);
	callback = ffg_callback_new(s.domain, (void *)(jump ? callback_jump : callback_nested),
				    "v()");
	SCENE_CHECK(callback);
	around = ffg_call_entry(call);
	if (!sigsetjmp(back, 1))
		fprintf(stderr, "read %#x\n",
			around(outer_object, 7, 0x55, ffg_callback_entry(callback), &go));
	go = 1;
	await(outer_object + 7, 0x55);
	fprintf(stderr, "has %#x\n", outer_object[7]);
}

TEST(open_while_a_callback_runs)
{
	bool jump = false;

	death_run(&death, body_callback, &jump);
	DEATH_LIVED(&death, "read 0x11\nhas 0x55\n");
}

TEST(closed_after_a_jump_out_of_a_callback)
{
	bool jump = true;

	death_run(&death, body_callback, &jump);
	STOPPED();
}

static void body_crash(const void *data)
{
	struct scene s = pool_open(FFG_POLICY_RECOVER);
	unsigned char *object = object_new(&s);
	struct ffg_call *call = call_with(&s, "pool_crash", "v(piipp)", object, FFG_THREADS);

	(void)data;
	((crash_fn)ffg_call_entry(call))(object, 7, 0x55, &go, (void *)16);
	fprintf(stderr, "error %d\n", ffg_call_error(call) == FFG_E_CRASHED);
	go = 1;
	await(object + 7, 0x55);
	fprintf(stderr, "has %#x\n", object[7]);
}

TEST(closed_after_recovery)
{
	death_run(&death, body_crash, NULL);
	STOPPED();
	EXPECT_TRUE(death_said(&death, "error 1\n"));
}

static void body_cancel(const void *data)
{
	struct scene s = pool_open(0);
	struct side side = { .s = &s, .object = object_new(&s) };
	struct ffg_call *call = call_with(&s, "pool_while", "i(pii)", side.object, FFG_THREADS);
	do_fn outside = scene_entry(&s, "pool_do", "i(pii)", NULL, 0, 0);
	pthread_t thread;

	(void)data;
	side.entry = ffg_call_entry(call);
	SCENE_CHECK(!pthread_create(&thread, NULL, while_run, &side));
	await(side.object + 9, 0x44);
	SCENE_CHECK(side.object[9] == 0x44);
	SCENE_CHECK(!pthread_cancel(thread) && !pthread_join(thread, NULL));
	fprintf(stderr, "it has ended\n");
	outside(side.object, 9, 0x55);
	fprintf(stderr, "survived\n");
}

TEST(closed_when_the_calling_thread_ends)
{
	death_run(&death, body_cancel, NULL);
	STOPPED();
	EXPECT_TRUE(death_said(&death, "it has ended\n"));
}

TEST_HARNESS_MAIN
