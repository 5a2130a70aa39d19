// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attacks on the trusted heap by libshapes, which knows nothing of guards: on its blocks, on what
 * the allocator keeps about them, and by calling it.  Each stands beside a control, the same
 * access to memory of malloc().
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

typedef void (*write1_fn)(unsigned char *, long, int);
typedef int (*read1_fn)(const unsigned char *, long);

static struct death death;

/* ---- regions by name ---- */

struct wanted {
	const char *name;
	unsigned int skip;
	struct ffg_region found;
};

static void want(const struct ffg_region *region, void *data)
{
	struct wanted *wanted = data;

	if (!wanted->found.length && !strcmp(region->name, wanted->name) && !wanted->skip--)
		wanted->found = *region;
}

static struct ffg_region region_of(const struct scene *s, const char *name, unsigned int skip)
{
	struct wanted wanted = { .name = name, .skip = skip };

	SCENE_CHECK(!ffg_context_regions(s->context, want, &wanted));
	return wanted.found;
}

/* ---- reads and writes ---- */

enum memory { MALLOC, BEFORE_OPEN, BLOCK, BIG_BLOCK, DATA, MORE_DATA, THREAD };

struct attack {
	enum memory what;
	bool write;
};

static unsigned char *address_of(const struct scene *s, enum memory target, void *before)
{
	static const char data[] = "trusted heap: data of the allocator";
	struct ffg_region region = { .length = 0 };
	unsigned char *block = NULL;

	switch (target) {
	case MALLOC:
		block = malloc(100);
		break;
	case BEFORE_OPEN:
		block = before;
		break;
	case BLOCK:
		block = ffg_malloc(100);
		break;
	case BIG_BLOCK:
		block = ffg_malloc(200UL << 20);
		break;
	case DATA:
	case MORE_DATA:
		region = region_of(s, data, target == MORE_DATA);
		SCENE_CHECK(region.length);
		return (unsigned char *)(uintptr_t)region.address;
	case THREAD:
		region = region_of(s, "trusted heap: cache of a thread", 0);
		SCENE_CHECK(region.length == 4096);
		return (unsigned char *)(uintptr_t)region.address;
	}
	SCENE_CHECK(block);
	memset(block, 0x41, 100);
	return block;
}

static void body_attack(const void *data)
{
	const struct attack *attack = data;
	void *before = ffg_malloc(100);
	struct scene s = scene_open("shapes", NULL);
	unsigned char *address = address_of(&s, attack->what, before);
	void *entry = scene_entry(&s, attack->write ? "shape_write1" : "shape_read1",
				  attack->write ? "v(pii)" : "i(pi)", NULL, 0, 0);

	if (attack->write)
		((write1_fn)entry)(address, 8, 0x5a);
	else
		fprintf(stderr, "read %#x\n", ((read1_fn)entry)(address, 8));
	fprintf(stderr, "has %#x\n", address[8]);
}

static void attack(enum memory target, bool write)
{
	struct attack attack = { target, write };

	death_run(&death, body_attack, &attack);
}

/* The control: what the attack does if nothing is in its way. */
TEST(memory_of_malloc_is_open)
{
	attack(MALLOC, false);
	DEATH_LIVED(&death, "read 0x41\n");
	attack(MALLOC, true);
	DEATH_LIVED(&death, "has 0x5a\n");
}

TEST(read_of_a_block)
{
	attack(BLOCK, false);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: read of closed memory: trusted heap\n",
		     "  object:  none\n", "  call:    shape_read1, thread ",
		     " shape_read1+0x", "  advice:  a wild pointer, or memory to be shared");
	EXPECT_EQ(NULL, strstr(death.text, "read 0x"));
}

TEST(write_of_a_block)
{
	attack(BLOCK, true);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of closed memory: trusted heap\n");
	EXPECT_EQ(NULL, strstr(death.text, "has 0x"));
}

TEST(block_from_before_the_context)
{
	attack(BEFORE_OPEN, false);
	DEATH_EXPECT(&death, SIGSEGV, "violation: read of closed memory: trusted heap\n");
	attack(BEFORE_OPEN, true);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of closed memory: trusted heap\n");
}

/* More than was committed when the context was opened. */
TEST(block_that_the_heap_grew_for)
{
	attack(BIG_BLOCK, false);
	DEATH_EXPECT(&death, SIGSEGV, "violation: read of closed memory: trusted heap\n");
	attack(BIG_BLOCK, true);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of closed memory: trusted heap\n");
}

TEST(data_of_the_allocator)
{
	for (enum memory target = DATA; target <= MORE_DATA; target++) {
		attack(target, false);
		DEATH_EXPECT(&death, SIGSEGV, "violation: read of closed memory: trusted heap",
			     ": data of the allocator\n");
		attack(target, true);
		DEATH_EXPECT(&death, SIGSEGV, "violation: write of closed memory: trusted heap",
			     ": data of the allocator\n");
	}
}

/* Who writes there chooses what the next ffg_malloc() returns. */
TEST(cache_of_a_thread)
{
	attack(THREAD, false);
	DEATH_EXPECT(&death, SIGSEGV, "violation: read of closed memory: trusted heap",
		     ": cache of a thread\n");
	attack(THREAD, true);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of closed memory: trusted heap",
		     ": cache of a thread\n");
}

/* ---- threads ---- */

static pthread_barrier_t barrier;
static unsigned char *of_thread;

/* Attached, but it never allocated: its cache is closed all the same. */
static void *attached(void *data)
{
	const struct scene *s = data;

	SCENE_CHECK(!ffg_thread_attach(s->context));
	pthread_barrier_wait(&barrier);
	pause();
	return NULL;
}

static void body_attached(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	struct ffg_region caches[2];
	pthread_t thread;
	write1_fn write;

	(void)data;
	pthread_barrier_init(&barrier, NULL, 2);
	SCENE_CHECK(!pthread_create(&thread, NULL, attached, &s));
	pthread_barrier_wait(&barrier);
	write = (write1_fn)scene_entry(&s, "shape_write1", "v(pii)", NULL, 0, 0);
	for (unsigned int n = 0; n < 2; n++)
		caches[n] = region_of(&s, "trusted heap: cache of a thread", n);
	SCENE_CHECK(caches[0].length && caches[1].length);
	/* Of the two, that of the other thread: the one nearer to its stack. */
	write((unsigned char *)(uintptr_t)caches[pthread_self() - caches[0].address <
						 pthread_self() - caches[1].address].address, 8, 1);
}

TEST(cache_of_another_thread)
{
	death_run(&death, body_attached, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of closed memory: trusted heap",
		     ": cache of a thread\n");
}

/*
 * A thread that did neither attach nor allocate has ordinary memory there, and foreign code can
 * write it from another thread.  Nothing of that is left when it allocates.
 */
static void *not_yet(void *data)
{
	unsigned char *block;

	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (int n = 0; n < 1000; n++) {
		block = ffg_malloc(100);
		SCENE_CHECK(block);
		memset(block, 1, 100);
		ffg_free(block);
	}
	(void)data;
	return NULL;
}

static void body_not_yet(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	struct ffg_region mine = region_of(&s, "trusted heap: cache of a thread", 0);
	pthread_t thread;
	read1_fn read;
	write1_fn write;

	(void)data;
	SCENE_CHECK(mine.length);
	write = (write1_fn)scene_entry(&s, "shape_write1", "v(pii)", NULL, 0, 0);
	read = (read1_fn)scene_entry(&s, "shape_read1", "i(pi)", NULL, 0, 0);
	pthread_barrier_init(&barrier, NULL, 2);
	SCENE_CHECK(!pthread_create(&thread, NULL, not_yet, &s));
	pthread_barrier_wait(&barrier);
	/* As far from its thread pointer as ours is. */
	of_thread = (unsigned char *)((uintptr_t)mine.address - pthread_self() + thread);
	for (long n = 0; n < 4096; n++)
		write(of_thread, n, 0x5a);
	SCENE_CHECK(read(of_thread, 100) == 0x5a);
	pthread_barrier_wait(&barrier);
	SCENE_CHECK(!pthread_join(thread, NULL));
	fprintf(stderr, "survived\n");
}

TEST(what_was_written_before_is_gone)
{
	death_run(&death, body_not_yet, NULL);
	DEATH_LIVED(&death, "survived\n");
}

/* Keys are closed in a thread that is older than the context, until it attaches. */
static void *older(void *data)
{
	struct scene *s = data;
	unsigned char *block = ffg_malloc(100);

	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	if (s->domain)
		SCENE_CHECK(!ffg_thread_attach(s->context));
	memset(block, 1, 100);
	ffg_free(block);
	ffg_free(ffg_malloc(1000));
	return NULL;
}

static void body_older(const void *data)
{
	struct scene s = { NULL, NULL };
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	SCENE_CHECK(!pthread_create(&thread, NULL, older, &s));
	pthread_barrier_wait(&barrier);
	s = scene_open("shapes", NULL);
	if (!data)
		s.domain = NULL;
	pthread_barrier_wait(&barrier);
	SCENE_CHECK(!pthread_join(thread, NULL));
	fprintf(stderr, "survived\n");
}

TEST(thread_older_than_the_context)
{
	death_run(&death, body_older, &death);
	DEATH_LIVED(&death, "survived\n");
	death_run(&death, body_older, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of closed memory: trusted heap\n",
		     "  advice:  a thread of trusted code that is older than the context attaches");
}

/* ---- calls of the allocator by foreign code ---- */

static void body_malloc(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	struct ffg_call *call = ffg_call_new_address(s.domain, (void *)(uintptr_t)ffg_malloc,
						     "p(i)");
	void *(*entry)(size_t) = (void *(*)(size_t))(uintptr_t)ffg_call_entry(call);

	(void)data;
	SCENE_CHECK(entry);
	fprintf(stderr, "got %p\n", entry(100));
}

TEST(foreign_code_allocates)
{
	death_run(&death, body_malloc, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "of closed memory: trusted heap", " ffg_malloc+0x");
	EXPECT_EQ(NULL, strstr(death.text, "got 0x"));
}

static void body_free(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	struct ffg_call *call = ffg_call_new_address(s.domain, (void *)(uintptr_t)
						     (data ? ffg_free : free), "v(p)");
	void (*entry)(void *) = (void (*)(void *))(uintptr_t)ffg_call_entry(call);

	SCENE_CHECK(entry);
	entry(ffg_malloc(100));
	fprintf(stderr, "freed\n");
}

TEST(foreign_code_frees)
{
	death_run(&death, body_free, &death);
	DEATH_EXPECT(&death, SIGSEGV, "of closed memory: trusted heap", " ffg_free+0x");
	/* As the C library frees what it takes for its own. */
	death_run(&death, body_free, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "of closed memory: trusted heap\n");
}

/* ---- the list of regions tells the truth ---- */

struct truth {
	unsigned int at, count;
	struct ffg_region region;
};

static void nth(const struct ffg_region *region, void *data)
{
	struct truth *truth = data;

	if (truth->count++ == truth->at)
		truth->region = *region;
}

/* Foreign code writes the first byte, with the value that is there, if it can. */
static void body_truth(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	struct truth truth = { .at = *(const unsigned int *)data };
	read1_fn read = (read1_fn)scene_entry(&s, "shape_read1", "i(pi)", NULL, 0, 0);
	write1_fn write = (write1_fn)scene_entry(&s, "shape_write1", "v(pii)", NULL, 0, 0);
	unsigned char *address;

	ffg_free(ffg_malloc(1));
	SCENE_CHECK(!ffg_context_regions(s.context, nth, &truth));
	if (!truth.region.length) {
		fprintf(stderr, "no more\n");
		return;
	}
	SCENE_CHECK(truth.region.size == sizeof(truth.region));
	fprintf(stderr, "state %d: %s\n", truth.region.state, truth.region.name);
	address = (unsigned char *)(uintptr_t)truth.region.address;
	write(address, 0, read(address, 0));
	fprintf(stderr, "got through\n");
}

FIXTURE(regions)
{
};

FIXTURE_SETUP(regions)
{
}

FIXTURE_TEARDOWN(regions)
{
}

TEST_F_TIMEOUT(regions, regions_tell_the_truth, 120)
{
	unsigned int closed = 0, read_only = 0, open = 0;

	for (unsigned int n = 0; n < 200; n++) {
		death_run(&death, body_truth, &n);
		if (death_exit(&death, 0) && strstr(death.text, "no more\n"))
			break;
		if (strstr(death.text, "state 0: ")) {
			DEATH_LIVED(&death, "got through\n");
			open++;
		} else if (strstr(death.text, "state 1: ")) {
			DEATH_EXPECT(&death, SIGSEGV, "state 1: ");
			read_only++;
		} else {
			DEATH_EXPECT(&death, SIGSEGV, "state 2: ");
			closed++;
		}
	}
	/* Heap, its data twice, a cache; arena; lines, records, entries. */
	EXPECT_LE(8, closed);
	EXPECT_EQ(2, read_only);
	/* Stack, foreign stack, malloc()'s, data of the program and of libraries. */
	EXPECT_LE(8, open);
}

static void body_describe(const void *data)
{
	struct scene s = scene_open("shapes", NULL);

	(void)data;
	SCENE_CHECK(!ffg_context_describe(s.context, STDERR_FILENO));
}

TEST(regions_in_words)
{
	static const char *const words[] = {
		"closed     0x", "  trusted heap\n", "  objects, but what a call was granted\n",
		"  lines\n", "  records\n", "read-only  0x", "open       0x",
		"  foreign stack, thread ", "  [stack]\n", "  [heap]\n",
	};

	death_run(&death, body_describe, NULL);
	for (unsigned int n = 0; n < sizeof(words) / sizeof(words[0]); n++)
		DEATH_LIVED(&death, words[n]);
}

TEST_HARNESS_MAIN
