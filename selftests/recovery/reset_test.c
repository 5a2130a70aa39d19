// SPDX-License-Identifier: GPL-2.0-only
/*
 * ffg_domain_reset(): the data of the library as they were, and nothing lost over many rounds.
 */
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
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
typedef long (*long_fn)(void);
typedef void (*void_fn)(void);
typedef int (*int_fn)(void);

FIXTURE(reset) {
	struct recovery r;
};

FIXTURE_SETUP(reset)
{
	recovery_open(&self->r, FFG_POLICY_RECOVER);
}

FIXTURE_TEARDOWN(reset)
{
}

static long sum_of(struct recovery *r)
{
	struct ffg_call *call = recovery_call(r, "ends_sum", "i()");
	long sum = ((long_fn)ffg_call_entry(call))();

	if (ffg_call_error(call))
		sum = -1;
	ffg_call_free(call);
	return sum;
}

TEST_F(reset, restores_data)
{
	struct recovery *r = &self->r;
	long sum = sum_of(r);
	struct ffg_call *spoil = recovery_call(r, "ends_spoil", "v()");

	EXPECT_GT(sum, 0);
	for (int round = 0; round < 3; round++) {
		((void_fn)ffg_call_entry(spoil))();
		EXPECT_EQ(ffg_call_error(spoil), 0);
		EXPECT_NE(sum_of(r), sum);
		ASSERT_EQ(ffg_domain_reset(r->domain), 0);
		EXPECT_EQ(sum_of(r), sum);
	}
}

struct other {
	struct recovery *r;
	long sum, spoiled, again;
	int error;
};

/* The thread-local data of a thread that did not open the domain: as in a new thread. */
static void *other_thread(void *data)
{
	struct other *other = data;
	struct ffg_call *spoil;

	recovery_attach(other->r);
	spoil = recovery_call(other->r, "ends_spoil", "v()");
	other->sum = sum_of(other->r);
	((void_fn)ffg_call_entry(spoil))();
	other->error = ffg_domain_reset(other->r->domain);
	other->again = sum_of(other->r);
	ffg_call_free(spoil);
	return NULL;
}

TEST_F(reset, restores_thread_local_data)
{
	struct other other = { .r = &self->r };
	long sum = sum_of(&self->r);
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, other_thread, &other), 0);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(other.error, 0);
	EXPECT_EQ(other.again, other.sum);
	/* 5 from the image, 50 from the constructor's thread. */
	EXPECT_EQ(sum - other.sum, 45);
}

struct sleeper {
	struct recovery *r;
	volatile int ready;
};

static void *sleeper_run(void *data)
{
	struct sleeper *s = data;
	struct ffg_call *call;
	void (*sleep)(unsigned int);

	recovery_attach(s->r);
	call = recovery_call(s->r, "ends_sleep", "v(i)");
	sleep = ffg_call_entry(call);
	s->ready = 1;
	sleep(2000);
	ffg_call_free(call);
	return NULL;
}

TEST_F(reset, refused_while_in_use)
{
	struct sleeper sleeper = { &self->r, 0 };
	struct ffg_domain *twin;
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, sleeper_run, &sleeper), 0);
	while (!sleeper.ready)
		usleep(1000);
	usleep(500000);
	EXPECT_EQ(ffg_domain_reset(self->r.domain), FFG_E_BUSY);
	ASSERT_EQ(pthread_join(thread, NULL), 0);
	EXPECT_EQ(ffg_domain_reset(self->r.domain), 0);

	/* The same library in two domains: neither may pull its data away from the other. */
	twin = ffg_domain_open(self->r.context, scene_path("ends"), FFG_POLICY_RECOVER);
	ASSERT_NE(twin, NULL);
	EXPECT_EQ(ffg_domain_reset(self->r.domain), FFG_E_BUSY);
	EXPECT_EQ(ffg_domain_reset(twin), FFG_E_BUSY);
	ASSERT_EQ(ffg_domain_close(twin), 0);
	EXPECT_EQ(ffg_domain_reset(self->r.domain), 0);
}

TEST_F(reset, refused_below_threads_of_the_library)
{
	struct recovery *r = &self->r;
	struct ffg_call *start = recovery_call(r, "ends_thread_start", "i()");
	struct ffg_call *end = recovery_call(r, "ends_thread_end", "i()");

	ASSERT_EQ(((int_fn)ffg_call_entry(start))(), 0);
	EXPECT_EQ(ffg_domain_reset(r->domain), FFG_E_BUSY);
	ASSERT_EQ(((int_fn)ffg_call_entry(end))(), 0);
	EXPECT_EQ(ffg_domain_reset(r->domain), 0);
}

/* ---- nothing is lost ---- */

struct used {
	unsigned int mappings, descriptors, threads;
	size_t heap;
	unsigned long long objects, records, lines, frames;
};

static unsigned int entries(const char *path)
{
	unsigned int count = 0;
	DIR *folder = opendir(path);

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

static struct used used_now(struct recovery *r)
{
	struct ffg_stats stats;
	struct used used = { 0 };
	FILE *maps = fopen("/proc/self/maps", "r");
	int c;

	while (maps && (c = getc(maps)) != EOF)
		used.mappings += c == '\n';
	if (maps)
		fclose(maps);
	used.descriptors = entries("/proc/self/fd");
	used.threads = entries("/proc/self/task");
	used.heap = mallinfo2().uordblks;
	if (ffg_context_stats(r->context, &stats))
		scene_fail("stats: %s", ffg_error_message());
	used.objects = stats.objects;
	used.records = stats.records;
	used.lines = stats.lines;
	used.frames = stats.frames;
	return used;
}

static int round_of(struct recovery *r, struct ffg_call *calls[3], unsigned char *object, int i)
{
	int error;

	((write_fn)ffg_call_entry(calls[0]))(object, 64 + i % 100, i);
	error = ffg_call_error(calls[0]) != FFG_E_VIOLATION;
	if (i % 3 == 1) {
		((void_fn)ffg_call_entry(calls[1]))();
		error |= ffg_call_error(calls[1]) != FFG_E_CRASHED;
	} else if (i % 3 == 2) {
		((void (*)(int))ffg_call_entry(calls[2]))(i);
		error |= ffg_call_error(calls[2]) != FFG_E_EXITED;
	}
	return error | ffg_domain_reset(r->domain);
}

TEST_F_TIMEOUT(reset, ten_thousand_rounds_lose_nothing, 800)
{
	struct recovery *r = &self->r;
	unsigned char *object = recovery_object(r, 64);
	struct ffg_call *calls[3] = {
		recovery_call(r, "ends_write", "i(pii)"),
		recovery_call(r, "ends_abort", "v()"),
		recovery_call(r, "ends_exit", "v(i)"),
	};
	struct used before, after;
	int failures = 0;
	long sum = sum_of(r);

	ASSERT_EQ(ffg_call_grant(calls[0], object, 64, FFG_INOUT), 0);
	for (int i = 0; i < 10; i++)
		failures += round_of(r, calls, object, i) != 0;
	before = used_now(r);
	for (int i = 0; i < 10000; i++)
		failures += round_of(r, calls, object, i) != 0;
	after = used_now(r);
	EXPECT_EQ(failures, 0);
	EXPECT_EQ(before.mappings, after.mappings);
	EXPECT_EQ(before.descriptors, after.descriptors);
	EXPECT_EQ(before.threads, after.threads);
	EXPECT_EQ(before.heap, after.heap);
	EXPECT_EQ(before.objects, after.objects);
	EXPECT_EQ(before.records, after.records);
	EXPECT_EQ(before.lines, after.lines);
	EXPECT_EQ(before.frames, after.frames);
	EXPECT_EQ(sum_of(r), sum);
	/* And everything can be given back. */
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(ffg_call_free(calls[i]), 0);
	EXPECT_EQ(ffg_object_free(r->context, object), 0);
	EXPECT_EQ(ffg_domain_close(r->domain), 0);
	EXPECT_EQ(ffg_context_close(r->context), 0);
}

/* What a call allocated is lost with it: known, and no more than that. */
TEST_F(reset, memory_of_the_library_is_lost)
{
	struct recovery *r = &self->r;
	struct ffg_call *call = recovery_call(r, "ends_allocate_and_crash", "v(i)");
	void (*entry)(unsigned long) = ffg_call_entry(call);
	size_t before = mallinfo2().uordblks, lost;

	entry(10000);
	EXPECT_EQ(ffg_call_error(call), FFG_E_CRASHED);
	EXPECT_EQ(ffg_domain_reset(r->domain), 0);
	lost = mallinfo2().uordblks - before;
	EXPECT_GE(lost, 10000);
	EXPECT_LE(lost, 10200);
}

TEST_HARNESS_MAIN
