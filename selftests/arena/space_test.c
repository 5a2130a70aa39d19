// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arena's address space: how far objects lie apart, how well they are hidden, how long an
 * address rests, and that none of it costs more the longer a program runs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

#define GAP		(64UL << 10)
#define EXTENT		(128UL << 10)	/* of a small object */
#define QUARANTINE	256		/* of small objects */

FIXTURE(space)
{
	struct raw raw;
	struct ffg_object_desc desc[FFG_BATCH_MAX];
	uint64_t handles[FFG_BATCH_MAX];
};

FIXTURE_SETUP(space)
{
	ASSERT_EQ(0, raw_open(&self->raw, 4));
	raw_catch_faults();
}

FIXTURE_TEARDOWN(space)
{
	raw_close(&self->raw);
}

static int by_address(const void *a, const void *b)
{
	const struct ffg_object_desc *one = a, *two = b;

	return one->address < two->address ? -1 : one->address > two->address;
}

TEST_F(space, objects_lie_apart)
{
	struct raw *raw = &self->raw;

	/* From a byte to 12 MiB, small and large ones mixed. */
	for (int i = 0; i < FFG_BATCH_MAX; i++)
		self->desc[i] = (struct ffg_object_desc){
			.length = 1UL << i % 24 | (i % 3 ? 0 : 1UL << i % 23),
			.flags = i / 24 % 2,
		};
	ASSERT_EQ(0, raw_alloc_batch(raw, self->desc, FFG_BATCH_MAX));
	qsort(self->desc, FFG_BATCH_MAX, sizeof(self->desc[0]), by_address);
	for (int i = 0; i < FFG_BATCH_MAX; i++) {
		uint64_t end = self->desc[i].address + self->desc[i].length;

		EXPECT_LE((uintptr_t)raw->arena, self->desc[i].address);
		EXPECT_GE((uintptr_t)raw->arena + raw->hello.arena_size, end);
		if (i + 1 < FFG_BATCH_MAX)
			EXPECT_LE(end + GAP, self->desc[i + 1].address);
	}
}

/* A pointer into one object that is off by a little, or by much, hits nothing. */
TEST_F(space, near_misses_fault)
{
	struct raw *raw = &self->raw;
	int hits = 0;

	for (int i = 0; i < FFG_BATCH_MAX; i++)
		self->desc[i] = (struct ffg_object_desc){ .length = RAW_PAGE };
	ASSERT_EQ(0, raw_alloc_batch(raw, self->desc, FFG_BATCH_MAX));
	for (int i = 0; i < 64; i++) {
		char *at = (char *)self->desc[i].address;

		EXPECT_EQ(0, raw_touch(at, true));
		for (unsigned long off = 0; off < GAP; off += RAW_PAGE) {
			/* Before the arena there may be anything. */
			if (at - 1 - off >= raw->arena)
				hits += raw_touch(at - 1 - off, true) != RAW_MAPERR;
			hits += raw_touch(at + RAW_PAGE + off, true) != RAW_MAPERR;
		}
	}
	EXPECT_EQ(0, hits);
}

TEST_F(space, random)
{
	uint64_t places[16] = { 0 }, offsets[2][64];
	unsigned int distinct = 0, rising = 0, same = 0;
	struct raw *raw = &self->raw;

	for (int round = 0; round < 2; round++) {
		/* A context of its own for each round: what comes first must not be the same. */
		raw_close(raw);
		ASSERT_EQ(0, raw_open(raw, 4));
		for (int i = 0; i < 64; i++) {
			ASSERT_EQ(0, raw_alloc(raw, RAW_PAGE, 0, &self->desc[i]));
			offsets[round][i] = self->desc[i].address - (uintptr_t)raw->arena;
			places[offsets[round][i] % EXTENT / RAW_PAGE % 16]++;
			if (i)
				rising += offsets[round][i] > offsets[round][i - 1];
		}
	}
	for (int i = 0; i < 16; i++)
		distinct += places[i] != 0;
	for (int i = 0; i < 64; i++)
		same += offsets[0][i] == offsets[1][i];
	/* With 14 places for each of 128: all but impossible to see fewer than 10 of them. */
	EXPECT_LE(10, distinct);
	EXPECT_GE(16, same);
	/* Neither up nor down all the time. */
	EXPECT_LT(10, rising);
	EXPECT_GT(116, rising);
}

TEST_F(space, quarantine)
{
	struct ffg_object_desc first, desc;
	struct raw *raw = &self->raw;
	struct ffg_stats stats;
	uint64_t extent, back = 0;

	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &first));
	extent = (first.address - (uintptr_t)raw->arena) / EXTENT;
	ASSERT_EQ(0, raw_free(raw, first.object));
	/* As long as it rests nobody lives there, and a stale pointer faults. */
	for (int i = 1; i <= QUARANTINE - 1; i++) {
		ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
		ASSERT_NE(extent, (desc.address - (uintptr_t)raw->arena) / EXTENT) {
			TH_LOG("after %d others", i);
		}
		ASSERT_EQ(0, raw_stats(raw, 0, &stats));
		EXPECT_EQ(i, stats.quarantined);
		ASSERT_EQ(0, raw_free(raw, desc.object));
		ASSERT_EQ(RAW_MAPERR, raw_touch((void *)first.address, false));
	}
	/* Later it is used again, so that the arena does not grow for ever. */
	for (uint64_t i = 0; !back && i < 20000; i++) {
		ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
		if ((desc.address - (uintptr_t)raw->arena) / EXTENT == extent)
			back = i + 1;
		/* Not the same object, wherever it lies. */
		ASSERT_NE(first.object, desc.object);
		ASSERT_EQ(0, raw_free(raw, desc.object));
	}
	EXPECT_LT(0, back);
	ASSERT_EQ(0, raw_stats(raw, 0, &stats));
	EXPECT_EQ(QUARANTINE, stats.quarantined);
	EXPECT_GE(64, stats.tables);
}

TEST_F(space, used_up)
{
	struct raw *raw = &self->raw;
	unsigned int made = 0;
	int err;

	/* An arena of three units, the first of which stays empty: 32 small objects. */
	raw_close(raw);
	*raw = (struct raw){ .fd = raw_device() };
	ASSERT_EQ(0, raw_hello(raw, 6 << 20));
	ASSERT_EQ(0, raw_keys(raw, 2));
	ASSERT_EQ(0, raw_map(raw));
	EXPECT_EQ(-ENOSPC, raw_alloc(raw, 4 << 20, 0, &self->desc[0]));
	EXPECT_EQ(-ENOSPC, raw_alloc(raw, FFG_OBJECT_MAX, 0, &self->desc[0]));
	while (made < FFG_BATCH_MAX) {
		err = raw_alloc(raw, 100, 0, &self->desc[made]);
		if (err)
			break;
		made++;
	}
	EXPECT_EQ(-ENOSPC, err);
	EXPECT_EQ(32, made);
	/* What is freed rests first: there is still nothing, and then there is. */
	for (unsigned int i = 0; i < made; i++)
		EXPECT_EQ(0, raw_free(raw, self->desc[i].object));
	EXPECT_EQ(-ENOSPC, raw_alloc(raw, 100, 0, &self->desc[0]));
}

/* ---- cost over time ---- */

static long number_in(const char *path, const char *name)
{
	FILE *file = fopen(path, "r");
	size_t length = strlen(name);
	long value = -1;
	char line[256];

	while (file && value < 0 && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, length) && line[length] == ':')
			value = strtol(line + length + 1, NULL, 10);
	if (file)
		fclose(file);
	return value;
}

struct cost {
	long tables;			/* of this process, kB */
	long all_tables;		/* of all, kB */
	long slab;			/* kB */
	long stacks;			/* kB */
	struct ffg_stats stats;
};

static int cost_now(const struct raw *raw, struct cost *cost)
{
	cost->tables = number_in("/proc/self/status", "VmPTE");
	cost->all_tables = number_in("/proc/meminfo", "PageTables");
	cost->slab = number_in("/proc/meminfo", "Slab");
	cost->stacks = number_in("/proc/meminfo", "KernelStack");
	return raw_stats(raw, 0, &cost->stats);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/*
 * FFG_CYCLES: how many. The default suits an emulated processor, on which ten millions take ten
 * minutes and more, and a kernel that checks itself is several times slower still.
 */
#define CYCLES		1000000UL
#define CYCLES_DEBUG	300000UL

static unsigned long cycles_wanted(void)
{
	const char *value = getenv("FFG_CYCLES"), *kernel = getenv("FFG_KERNEL");

	if (value)
		return strtoul(value, NULL, 0);
	if (kernel && (!strcmp(kernel, "debug") || !strcmp(kernel, "kcsan")))
		return CYCLES_DEBUG;
	return CYCLES;
}

TEST_F_TIMEOUT(space, cost_stays_flat, 900)
{
	const unsigned long cycles = cycles_wanted();
	struct raw *raw = &self->raw;
	struct cost first, last;
	unsigned long done = 0;
	double begun = seconds();

	/* All is in place after a third; from there on nothing may grow. */
	for (int i = 0; i < FFG_BATCH_MAX; i++)
		self->desc[i].length = 1 + i * 37 % RAW_PAGE;
	while (done < cycles) {
		/* Other sizes, too: their quarantines are full before the first look. */
		if (done / FFG_BATCH_MAX % 4 == 0) {
			struct ffg_object_desc large[4];

			for (int i = 0; i < 4; i++)
				large[i] = (struct ffg_object_desc){ .length = 50000UL << 2 * i };
			ASSERT_EQ(0, raw_alloc_batch(raw, large, 4));
			for (int i = 0; i < 4; i++) {
				ASSERT_EQ(0, raw_touch((void *)large[i].address, true));
				ASSERT_EQ(0, raw_free(raw, large[i].object));
			}
		}
		ASSERT_EQ(0, raw_alloc_batch(raw, self->desc, FFG_BATCH_MAX));
		for (int i = 0; i < FFG_BATCH_MAX; i++)
			self->handles[i] = self->desc[i].object;
		ASSERT_EQ(0, raw_free_batch(raw, self->handles, FFG_BATCH_MAX));
		if (done < cycles / 3 && done + FFG_BATCH_MAX >= cycles / 3)
			ASSERT_EQ(0, cost_now(raw, &first));
		done += FFG_BATCH_MAX;
	}
	ASSERT_EQ(0, cost_now(raw, &last));
	TH_LOG("%lu cycles in %.1f s", done, seconds() - begun);
	TH_LOG("VmPTE %ld -> %ld kB, PageTables %ld -> %ld kB", first.tables, last.tables,
	       first.all_tables, last.all_tables);
	TH_LOG("Slab %ld -> %ld kB, tables %llu -> %llu", first.slab, last.slab,
	       first.stats.tables, last.stats.tables);
	EXPECT_LT(0, first.tables);
	EXPECT_LT(0, first.slab);
	/* Of the tables that the module allows for, chance may touch a few late. */
	EXPECT_LE(last.tables, first.tables + 64);
	EXPECT_LE(last.all_tables, first.all_tables + 256);
	/* A byte for each of a million cycles would be seen. */
	EXPECT_LE(last.slab, first.slab + 512);
	EXPECT_LE(last.stacks, first.stacks + 128);
	EXPECT_LE(last.stats.tables, first.stats.tables);
	EXPECT_EQ(0, last.stats.objects);
	EXPECT_EQ(0, last.stats.frames);
	EXPECT_LE(cycles, last.stats.frees);
}

/* ---- munmap against whoever is at work ---- */

struct racer {
	struct raw raw;
	pthread_barrier_t barrier;
	int wrong;
};

static void *race_alloc(void *data)
{
	struct racer *racer = data;
	struct ffg_object_desc desc[8];
	int err = 0;

	pthread_barrier_wait(&racer->barrier);
	while (!err) {
		for (int i = 0; i < 8; i++)
			desc[i] = (struct ffg_object_desc){ .length = 100 };
		err = raw_alloc_batch(&racer->raw, desc, 8);
		/* Some live on, so that there is something to free. */
		for (int i = 0; !err && i < 6; i++)
			err = raw_free(&racer->raw, desc[i].object);
	}
	racer->wrong = err == -ESHUTDOWN ? 0 : err;
	return NULL;
}

static void *race_touch(void *data)
{
	struct racer *racer = data;
	struct ffg_object_desc desc;
	int code = 0;

	if (raw_alloc(&racer->raw, 64 << 20, 0, &desc)) {
		racer->wrong = 1;
		pthread_barrier_wait(&racer->barrier);
		return NULL;
	}
	pthread_barrier_wait(&racer->barrier);
	for (unsigned long at = 0; !code; at = (at + RAW_PAGE) % (64 << 20))
		code = raw_touch((void *)(desc.address + at), true);
	racer->wrong = code == RAW_MAPERR ? 0 : code;
	return NULL;
}

static void race(struct __test_metadata *_metadata, void *(*body)(void *))
{
	struct ffg_stats before, after;
	struct racer *racer = calloc(1, sizeof(*racer));

	ASSERT_NE(NULL, racer);
	ASSERT_EQ(0, raw_totals(&before));
	for (int round = 0; round < 60; round++) {
		struct timespec pause = { .tv_nsec = round * 100000 };
		pthread_t thread;

		racer->wrong = -1;
		ASSERT_EQ(0, raw_open(&racer->raw, 2));
		pthread_barrier_init(&racer->barrier, NULL, 2);
		ASSERT_EQ(0, pthread_create(&thread, NULL, body, racer));
		pthread_barrier_wait(&racer->barrier);
		nanosleep(&pause, NULL);
		ASSERT_EQ(0, munmap(racer->raw.arena, racer->raw.hello.arena_size));
		pthread_join(thread, NULL);
		ASSERT_EQ(0, racer->wrong);
		racer->raw.arena = NULL;
		/* With the descriptor still open. */
		ASSERT_EQ(0, raw_totals(&after));
		ASSERT_EQ(before.objects, after.objects);
		ASSERT_EQ(before.frames, after.frames);
		ASSERT_EQ(before.tables, after.tables);
		raw_close(&racer->raw);
		pthread_barrier_destroy(&racer->barrier);
	}
	free(racer);
}

TEST(munmap_during_alloc)
{
	raw_catch_faults();
	race(_metadata, race_alloc);
}

TEST(munmap_during_faults)
{
	raw_catch_faults();
	race(_metadata, race_touch);
}

TEST_HARNESS_MAIN
