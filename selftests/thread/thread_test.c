// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads: attach, detach, exit; threads that are older than the context; several in
 * calls at once.
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

typedef int (*int_fn)(int, unsigned char, short);
typedef uint64_t (*value_fn)(void);
typedef unsigned char (*poke_fn)(volatile unsigned char *, int);

FIXTURE(thread) {
	struct scene scene;
	struct ffg_call *call;
	int_fn entry;
};

FIXTURE_SETUP(thread)
{
	self->scene = scene_open("forms", NULL);
	self->call = scene_call(&self->scene, "form_int", "i(iii)");
	self->entry = (int_fn)ffg_call_entry(self->call);
}

FIXTURE_TEARDOWN(thread)
{
	/* The process ends. */
}

static uint64_t lines(struct ffg_context *context)
{
	struct ffg_stats stats;

	SCENE_CHECK(!ffg_context_stats(context, &stats));
	return stats.lines;
}

/* What a thread did, seen from outside. */
struct worker {
	struct scene scene;
	struct ffg_call *call;
	int_fn entry;
	int result[4];
	int error[4];
	stack_t altstack;
};

static void start(pthread_t *thread, void *(*body)(void *), void *data)
{
	if (pthread_create(thread, NULL, body, data))
		abort();
}

static void run(void *(*body)(void *), void *data)
{
	pthread_t thread;

	start(&thread, body, data);
	pthread_join(thread, NULL);
}

static void *unattached(void *data)
{
	struct worker *worker = data;

	worker->result[0] = worker->entry(1, 2, 3);
	worker->error[0] = ffg_call_error(worker->call);
	worker->error[1] = ffg_thread_attach(worker->scene.context);
	worker->result[2] = worker->entry(4, 5, 6);
	worker->error[2] = ffg_call_error(worker->call);
	worker->error[3] = ffg_thread_attach(worker->scene.context);
	sigaltstack(NULL, &worker->altstack);
	return NULL;
}

static void expect_unattached(struct __test_metadata *_metadata, const struct worker *worker)
{
	EXPECT_EQ(0, worker->result[0]);
	EXPECT_EQ(FFG_E_UNATTACHED, worker->error[0]);
	EXPECT_EQ(0, worker->error[1]);
	EXPECT_EQ(4 * 3 + 5 - 6, worker->result[2]);
	EXPECT_EQ(0, worker->error[2]);
	EXPECT_EQ(FFG_E_ATTACHED, worker->error[3]);
	EXPECT_EQ(0, worker->altstack.ss_flags & SS_DISABLE);
}

TEST_F(thread, unattached_then_attached)
{
	struct worker worker = { .scene = self->scene, .call = self->call, .entry = self->entry };

	run(unattached, &worker);
	expect_unattached(_metadata, &worker);
}

/* A thread that was there before the context has all its keys closed. */
struct older {
	struct worker worker;
	pthread_barrier_t opened;
	void *function;
	struct ffg_call *made, *by_name;
	int by_name_error;
};

static void *older_thread(void *data)
{
	struct older *older = data;

	pthread_barrier_wait(&older->opened);
	/*
	 * Not attached, it may prepare calls all the same; only the look-up of a symbol is a
	 * call.
	 */
	older->by_name = ffg_call_new(older->worker.scene.domain, "form_nothing", "v()");
	older->by_name_error = ffg_error();
	older->made = ffg_call_new_address(older->worker.scene.domain, older->function, "v()");
	if (older->made && (!ffg_call_entry(older->made) || ffg_call_free(older->made)))
		older->made = NULL;
	return unattached(&older->worker);
}

TEST(older_than_the_context)
{
	struct older older = { .made = NULL };
	pthread_t thread;

	pthread_barrier_init(&older.opened, NULL, 2);
	start(&thread, older_thread, &older);
	older.worker.scene = scene_open("forms", NULL);
	older.worker.call = scene_call(&older.worker.scene, "form_int", "i(iii)");
	older.worker.entry = (int_fn)ffg_call_entry(older.worker.call);
	older.function = ffg_domain_symbol(older.worker.scene.domain, "form_nothing");
	pthread_barrier_wait(&older.opened);
	pthread_join(thread, NULL);
	expect_unattached(_metadata, &older.worker);
	EXPECT_NE(NULL, older.made);
	EXPECT_EQ(NULL, older.by_name);
	EXPECT_EQ(FFG_E_UNATTACHED, older.by_name_error);
}

TEST_F(thread, detach)
{
	struct ffg_context *context = self->scene.context;
	uint64_t before = lines(context);

	EXPECT_EQ(12, self->entry(4, 3, 3));
	ASSERT_EQ(0, ffg_thread_detach(context));
	EXPECT_EQ(before - 1, lines(context));
	EXPECT_EQ(FFG_E_UNATTACHED, ffg_thread_detach(context));
	EXPECT_EQ(0, self->entry(4, 3, 3));
	EXPECT_EQ(FFG_E_UNATTACHED, ffg_call_error(self->call));
	ASSERT_EQ(0, ffg_thread_attach(context));
	EXPECT_EQ(before, lines(context));
	EXPECT_EQ(12, self->entry(4, 3, 3));
	EXPECT_EQ(0, ffg_call_error(self->call));
}

static void *attach_and_go(void *data)
{
	return (void *)(intptr_t)ffg_thread_attach(((struct worker *)data)->scene.context);
}

/* Threads one after the other: exit gives the line, stack and signal stack back. */
TEST_F(thread, exit_gives_back)
{
	struct worker worker = { .scene = self->scene };
	uint64_t before = lines(self->scene.context);
	char path[] = "/proc/self/maps", line[512];
	int count[2] = { 0, 0 };
	pthread_t thread;
	void *error;

	for (int n = 0; n < 300; n++) {
		start(&thread, attach_and_go, &worker);
		pthread_join(thread, &error);
		ASSERT_EQ(NULL, error);
		if (n != 10 && n != 299)
			continue;
		FILE *maps = fopen(path, "r");

		while (fgets(line, sizeof(line), maps))
			count[n != 10]++;
		fclose(maps);
	}
	EXPECT_EQ(before, lines(self->scene.context));
	EXPECT_LE(count[1], count[0] + 4);
}

/* Foreign code ends the thread: the line and the stack are given back all the same. */
static long leave(void)
{
	pthread_exit((void *)1);
}

static void *attach_and_leave(void *data)
{
	struct worker *worker = data;
	long (*call)(long (*)(void));

	SCENE_CHECK(!ffg_thread_attach(worker->scene.context));
	call = (long (*)(long (*)(void)))
		scene_entry(&worker->scene, "form_call", "i(p)", NULL, 0, 0);
	call(leave);
	return NULL;
}

TEST_F(thread, foreign_code_ends_the_thread)
{
	struct worker worker = { .scene = self->scene };
	uint64_t before = lines(self->scene.context);
	pthread_t thread;
	void *result;

	for (int n = 0; n < 100; n++) {
		start(&thread, attach_and_leave, &worker);
		pthread_join(thread, &result);
		EXPECT_EQ((void *)1, result);
	}
	/* A line is free again when its thread is gone, which is a little after the join. */
	EXPECT_LT(lines(self->scene.context), before + 50);
	EXPECT_EQ(12, self->entry(4, 3, 3));
}

/* A program's own alternate signal stack is left alone. */
static void *with_altstack(void *data)
{
	static char memory[65536];
	struct worker *worker = data;
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) }, after;

	sigaltstack(&stack, NULL);
	worker->error[0] = ffg_thread_attach(worker->scene.context);
	sigaltstack(NULL, &after);
	worker->result[0] = after.ss_sp == memory;
	worker->error[1] = ffg_thread_detach(worker->scene.context);
	sigaltstack(NULL, &after);
	worker->result[1] = after.ss_sp == memory;
	stack.ss_flags = SS_DISABLE;
	sigaltstack(&stack, NULL);
	worker->error[2] = ffg_thread_attach(worker->scene.context);
	sigaltstack(NULL, &after);
	worker->result[2] = !(after.ss_flags & SS_DISABLE);
	worker->error[3] = ffg_thread_detach(worker->scene.context);
	sigaltstack(NULL, &after);
	worker->result[3] = !!(after.ss_flags & SS_DISABLE);
	return NULL;
}

TEST_F(thread, alternate_signal_stack)
{
	struct worker worker = { .scene = self->scene };

	run(with_altstack, &worker);
	for (int n = 0; n < 4; n++) {
		EXPECT_EQ(0, worker.error[n]);
		EXPECT_EQ(1, worker.result[n]);
	}
}

/*
 * One that is too small for a report, as Rust's runtime gives to each thread, is replaced, and is
 * back afterwards; one that the program sets meanwhile stays.
 */
static void *with_small_altstack(void *data)
{
	static char memory[8192], later[8192];
	struct worker *worker = data;
	stack_t stack = { .ss_sp = memory, .ss_size = sizeof(memory) }, after;

	sigaltstack(&stack, NULL);
	worker->error[0] = ffg_thread_attach(worker->scene.context);
	sigaltstack(NULL, &after);
	worker->result[0] = after.ss_sp != memory && after.ss_size >= 32768 && !after.ss_flags;
	worker->error[1] = ffg_thread_detach(worker->scene.context);
	sigaltstack(NULL, &after);
	worker->result[1] = after.ss_sp == memory && after.ss_size == sizeof(memory);
	worker->error[2] = ffg_thread_attach(worker->scene.context);
	stack.ss_sp = later;
	sigaltstack(&stack, NULL);
	worker->error[3] = ffg_thread_detach(worker->scene.context);
	sigaltstack(NULL, &after);
	worker->result[2] = after.ss_sp == later;
	worker->result[3] = !after.ss_flags;
	return NULL;
}

TEST_F(thread, small_alternate_signal_stack)
{
	struct worker worker = { .scene = self->scene };

	run(with_small_altstack, &worker);
	for (int n = 0; n < 4; n++) {
		EXPECT_EQ(0, worker.error[n]);
		EXPECT_EQ(1, worker.result[n]);
	}
}

/* ---- several at once ---- */

#define THREADS	6
#define ROUNDS	300

struct crew {
	struct scene scene;
	struct ffg_call *shared;
	int_fn shared_entry;
	pthread_barrier_t *all;
	int bad;
	uint64_t stack;
};

static void *crew_member(void *data)
{
	struct crew *crew = data;
	unsigned char *object = scene_object(&crew->scene, 64, 0);
	poke_fn poke;
	value_fn rsp;

	SCENE_CHECK(!ffg_thread_attach(crew->scene.context));
	poke = (poke_fn)scene_entry(&crew->scene, "form_poke", "i(pi)", object, 64, FFG_INOUT);
	rsp = (value_fn)scene_entry(&crew->scene, "form_rsp", "i()", NULL, 0, 0);
	crew->stack = rsp();
	pthread_barrier_wait(crew->all);
	for (int n = 0; n < ROUNDS; n++) {
		crew->bad += poke(object + n % 64, n & 0xff) != (n & 0xff);
		crew->bad += object[n % 64] != (n & 0xff);
		crew->bad += crew->shared_entry(n, 1, 1) != n * 3;
	}
	crew->bad += ffg_call_error(crew->shared) != 0;
	return NULL;
}

TEST_F(thread, calls_at_the_same_time)
{
	struct crew crew[THREADS];
	pthread_t thread[THREADS];
	pthread_barrier_t all;

	pthread_barrier_init(&all, NULL, THREADS);
	for (int n = 0; n < THREADS; n++) {
		crew[n] = (struct crew){ .scene = self->scene, .shared = self->call,
					 .shared_entry = self->entry, .all = &all };
		start(&thread[n], crew_member, &crew[n]);
	}
	for (int n = 0; n < THREADS; n++)
		pthread_join(thread[n], NULL);
	for (int n = 0; n < THREADS; n++) {
		EXPECT_EQ(0, crew[n].bad);
		for (int m = 0; m < n; m++)
			EXPECT_NE(crew[m].stack & ~0xffffUL, crew[n].stack & ~0xffffUL);
	}
}

/* ---- the context goes while threads are attached ---- */

struct late {
	struct worker worker;
	pthread_barrier_t step;
};

static void *late_thread(void *data)
{
	struct late *late = data;
	struct worker *worker = &late->worker;

	worker->error[0] = ffg_thread_attach(worker->scene.context);
	pthread_barrier_wait(&late->step);
	pthread_barrier_wait(&late->step);	/* closed and opened again in between */
	worker->result[1] = worker->entry(1, 2, 3);
	worker->error[1] = ffg_call_error(worker->call);
	worker->error[2] = ffg_thread_attach(worker->scene.context);
	worker->result[2] = worker->entry(1, 2, 3);
	worker->error[3] = ffg_call_error(worker->call);
	return NULL;
}

TEST(context_closed_under_a_thread)
{
	struct late late = { .worker = { .scene = scene_open("forms", NULL) } };
	struct scene *scene = &late.worker.scene;
	pthread_t thread;

	pthread_barrier_init(&late.step, NULL, 2);
	start(&thread, late_thread, &late);
	pthread_barrier_wait(&late.step);
	ASSERT_EQ(0, ffg_domain_close(scene->domain));
	ASSERT_EQ(0, ffg_context_close(scene->context));
	*scene = scene_open("forms", NULL);
	late.worker.call = scene_call(scene, "form_int", "i(iii)");
	late.worker.entry = (int_fn)ffg_call_entry(late.worker.call);
	pthread_barrier_wait(&late.step);
	pthread_join(thread, NULL);
	EXPECT_EQ(0, late.worker.error[0]);
	EXPECT_EQ(0, late.worker.result[1]);
	EXPECT_EQ(FFG_E_UNATTACHED, late.worker.error[1]);
	EXPECT_EQ(0, late.worker.error[2]);
	EXPECT_EQ(2, late.worker.result[2]);
	EXPECT_EQ(0, late.worker.error[3]);
}

TEST_HARNESS_MAIN
