// SPDX-License-Identifier: GPL-2.0-only
/*
 * The trusted heap as an allocator: sizes, alignment, threads, fork, before a context is open
 * and after.  What foreign code can do to it is in attack_test.c.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

#define THREADS	6

/* Hidden from the compiler, which knows that nothing is as large. */
static volatile size_t too_much = SIZE_MAX / 2;

static struct death death;

/* Runs @body(@data) in a child, which must live. */
#define LIVES(body, data) do {							\
	death_run(&death, body, data);						\
	if (!death_exit(&death, 0))						\
		death_show(&death);						\
	EXPECT_TRUE(death_exit(&death, 0));					\
} while (0)

static void fill(unsigned char *block, size_t length, unsigned int seed)
{
	for (size_t n = 0; n < length; n++)
		block[n] = (unsigned char)(seed + n * 7);
}

static bool filled(const unsigned char *block, size_t length, unsigned int seed)
{
	for (size_t n = 0; n < length; n++)
		if (block[n] != (unsigned char)(seed + n * 7))
			return false;
	return true;
}

static bool zero(const unsigned char *block, size_t length)
{
	for (size_t n = 0; n < length; n++)
		if (block[n])
			return false;
	return true;
}

TEST(sizes_alignment_and_usable_size)
{
	enum { COUNT = 600 };
	unsigned char *block[COUNT];
	size_t length[COUNT];

	for (unsigned int n = 0; n < COUNT; n++) {
		length[n] = n < 400 ? n : (n - 399) * 1000;
		block[n] = ffg_malloc(length[n]);
		ASSERT_NE(NULL, block[n]);
		EXPECT_EQ(0, (uintptr_t)block[n] % (length[n] < 16 ? 8 : 16));
		EXPECT_LE(length[n], ffg_malloc_usable_size(block[n]));
		length[n] = ffg_malloc_usable_size(block[n]);
		fill(block[n], length[n], n);
	}
	for (unsigned int n = 0; n < COUNT; n++) {
		EXPECT_TRUE(filled(block[n], length[n], n));
		ffg_free(block[n]);
	}
	ffg_free(NULL);
	EXPECT_EQ(0, ffg_malloc_usable_size(NULL));
}

TEST(calloc_is_zeroed)
{
	for (size_t length = 16; length <= 8UL << 20; length *= 8) {
		unsigned char *dirty = ffg_malloc(length), *clean;

		ASSERT_NE(NULL, dirty);
		memset(dirty, 0xff, length);
		ffg_free(dirty);
		clean = ffg_calloc(length / 16, 16);
		ASSERT_NE(NULL, clean);
		EXPECT_TRUE(zero(clean, length));
		ffg_free(clean);
	}
}

TEST(realloc_keeps_contents)
{
	unsigned char *block = ffg_realloc(NULL, 1);
	size_t length = 1;

	ASSERT_NE(NULL, block);
	fill(block, 1, 3);
	while (length < 64UL << 20) {
		block = ffg_realloc(block, length * 3);
		ASSERT_NE(NULL, block);
		EXPECT_TRUE(filled(block, length < 1000000 ? length : 1000000, 3));
		length *= 3;
		fill(block, length < 1000000 ? length : 1000000, 3);
	}
	block = ffg_realloc(block, 1000);
	ASSERT_NE(NULL, block);
	EXPECT_TRUE(filled(block, 1000, 3));
	block = ffg_realloc(block, 0);
	EXPECT_NE(NULL, block);
	ffg_free(block);
}

TEST(every_alignment)
{
	for (size_t align = 1; align <= 8UL << 20; align *= 2) {
		unsigned char *block = ffg_aligned_alloc(align, 100);

		ASSERT_NE(NULL, block);
		EXPECT_EQ(0, (uintptr_t)block % align);
		fill(block, 100, 1);
		ffg_free(block);
	}
	errno = 0;
	EXPECT_EQ(NULL, ffg_aligned_alloc(24, 100));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
}

TEST(no_memory_is_said)
{
	unsigned char *block = ffg_malloc(100);

	fill(block, 100, 9);
	errno = 0;
	EXPECT_EQ(NULL, ffg_malloc(too_much));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(FFG_E_NOMEM, ffg_error());
	EXPECT_EQ(NULL, ffg_calloc(too_much / 4, 16));
	EXPECT_EQ(NULL, ffg_realloc(block, too_much));
	EXPECT_TRUE(filled(block, 100, 9));
	ffg_free(block);
}

TEST(address_space_comes_back)
{
	/* Far more than the reservation has, if it did not. */
	for (int n = 0; n < 100; n++) {
		unsigned char *block = ffg_malloc(16UL << 30);

		ASSERT_NE(NULL, block);
		block[0] = 1;
		block[(16UL << 30) - 1] = 1;
		ffg_free(block);
	}
}

/* ---- threads ---- */

struct shelf {
	pthread_mutex_t lock;
	unsigned char *block[64];
	size_t length[64];
	bool stop;
};

static struct shelf shelf = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Blocks go back and forth: most are freed by another thread than allocated them. */
static bool exchange(unsigned int *seed)
{
	unsigned int at = rand_r(seed) % 64;
	size_t length = 1 + (rand_r(seed) % 3 ? rand_r(seed) % 300 : rand_r(seed) % 40000);
	unsigned char *block = ffg_malloc(length), *old;
	size_t old_length;
	bool good;

	if (!block)
		return false;
	fill(block, length, (unsigned int)length);
	pthread_mutex_lock(&shelf.lock);
	old = shelf.block[at];
	old_length = shelf.length[at];
	shelf.block[at] = block;
	shelf.length[at] = length;
	pthread_mutex_unlock(&shelf.lock);
	good = !old || filled(old, old_length, (unsigned int)old_length);
	ffg_free(old);
	return good;
}

static void *exchanger(void *data)
{
	unsigned int seed = (unsigned int)(uintptr_t)data, rounds = 0;
	bool good = true;

	while (good && rounds++ < 2000)
		good = exchange(&seed);
	return (void *)(uintptr_t)good;
}

TEST(threads_exchange_blocks)
{
	pthread_t thread[THREADS];

	for (uintptr_t n = 0; n < THREADS; n++)
		ASSERT_EQ(0, pthread_create(&thread[n], NULL, exchanger, (void *)(n + 1)));
	for (int n = 0; n < THREADS; n++) {
		void *good;

		pthread_join(thread[n], &good);
		EXPECT_NE(NULL, good);
	}
}

static void *few_rounds(void *data)
{
	unsigned int seed = (unsigned int)(uintptr_t)data;
	bool good = true;

	for (int round = 0; round < 50 && good; round++)
		good = exchange(&seed);
	return (void *)(uintptr_t)good;
}

/* In each child the heap is used for the first time, by all threads at once. */
TEST(first_used_by_many_threads)
{
	for (int n = 0; n < 150; n++) {
		pid_t child = fork();
		int status;

		ASSERT_LE(0, child);
		if (!child) {
			pthread_t thread[THREADS];
			void *good = NULL;

			for (uintptr_t i = 0; i < THREADS; i++)
				if (pthread_create(&thread[i], NULL, few_rounds, (void *)(i + 1)))
					_exit(2);
			for (int i = 0; i < THREADS; i++)
				if (pthread_join(thread[i], &good) || !good)
					_exit(1);
			_exit(0);
		}
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
	}
}

static void *one_block(void *data)
{
	unsigned char *block = ffg_malloc(100);

	if (block)
		fill(block, 100, 5);
	(void)data;
	return block;
}

TEST(blocks_outlive_their_thread)
{
	for (int n = 0; n < 300; n++) {
		pthread_t thread;
		void *block;

		ASSERT_EQ(0, pthread_create(&thread, NULL, one_block, NULL));
		pthread_join(thread, &block);
		ASSERT_NE(NULL, block);
		EXPECT_TRUE(filled(block, 100, 5));
		ffg_free(block);
	}
}

/* Destructors that allocate, before the heap's and after it. */
static pthread_key_t late_key[2];
static int late_runs;

static void late(void *value)
{
	unsigned char *block = ffg_malloc(300);

	if (block && value) {
		fill(block, 300, 1);
		if (filled(block, 300, 1))
			late_runs++;
	}
	ffg_free(block);
	ffg_free(value);
}

static void late_again(void *value)
{
	late(value);
	if (late_runs < 8)
		pthread_setspecific(late_key[1], ffg_malloc(10));
}

static void *with_destructors(void *data)
{
	pthread_setspecific(late_key[0], ffg_malloc(10));
	pthread_setspecific(late_key[1], ffg_malloc(10));
	return data;
}

static void body_destructors(const void *data)
{
	struct scene s = data ? scene_open("shapes", NULL) : (struct scene){ NULL, NULL };

	SCENE_CHECK(!pthread_key_create(&late_key[0], late));
	ffg_free(ffg_malloc(1));
	SCENE_CHECK(!pthread_key_create(&late_key[1], late_again));
	for (int n = 0; n < 20; n++) {
		pthread_t thread;

		late_runs = 0;
		SCENE_CHECK(!pthread_create(&thread, NULL, with_destructors, NULL));
		SCENE_CHECK(!pthread_join(thread, NULL));
		SCENE_CHECK(late_runs >= 4);
	}
	(void)s;
}

TEST(destructors_of_threads_may_allocate)
{
	LIVES(body_destructors, NULL);
	LIVES(body_destructors, &death);
}

/* ---- fork ---- */

static void *until_stopped(void *data)
{
	unsigned int seed = (unsigned int)(uintptr_t)data;

	while (!__atomic_load_n(&shelf.stop, __ATOMIC_RELAXED))
		if (!exchange(&seed))
			return NULL;
	return data;
}

/* In the child, which has one thread: nothing is locked, nothing half done. */
static int use_heap(void)
{
	unsigned int seed = 99;

	pthread_mutex_init(&shelf.lock, NULL);
	memset(shelf.block, 0, sizeof(shelf.block));
	for (int n = 0; n < 300; n++)
		if (!exchange(&seed))
			return 1;
	return 0;
}

static void body_fork(const void *data)
{
	struct scene s = data ? scene_open("shapes", NULL) : (struct scene){ NULL, NULL };
	time_t begun = time(NULL);
	pthread_t thread[3];

	for (uintptr_t n = 0; n < 3; n++)
		SCENE_CHECK(!pthread_create(&thread[n], NULL, until_stopped, (void *)(n + 1)));
	/* Forks are slow where the kernel checks itself. */
	for (int n = 0; n < 40 && (n < 3 || time(NULL) - begun < 8); n++) {
		pid_t child = fork();
		int status = -1;

		SCENE_CHECK(child >= 0);
		if (!child)
			_exit(use_heap());
		SCENE_CHECK(waitpid(child, &status, 0) == child);
		SCENE_CHECK(!status);
	}
	__atomic_store_n(&shelf.stop, true, __ATOMIC_RELAXED);
	for (int n = 0; n < 3; n++) {
		void *good;

		pthread_join(thread[n], &good);
		SCENE_CHECK(good);
	}
	(void)s;
}

TEST(fork_while_threads_allocate)
{
	LIVES(body_fork, NULL);
}

TEST(fork_while_threads_allocate_in_a_context)
{
	LIVES(body_fork, &death);
}

/* The heap is prepared, and the allocator started, while another thread forks. */
static void *first_use(void *data)
{
	unsigned int seed = 1;

	pthread_barrier_wait(data);
	return (void *)(uintptr_t)exchange(&seed);
}

static void body_first_use(const void *data)
{
	pthread_barrier_t barrier;
	pthread_t thread;
	int status = -1;
	pid_t child;

	(void)data;
	pthread_barrier_init(&barrier, NULL, 2);
	SCENE_CHECK(!pthread_create(&thread, NULL, first_use, &barrier));
	pthread_barrier_wait(&barrier);
	child = fork();
	if (!child)
		_exit(use_heap());
	SCENE_CHECK(waitpid(child, &status, 0) == child);
	SCENE_CHECK(!status);
	pthread_join(thread, NULL);
}

TEST(fork_while_the_heap_is_first_used)
{
	for (int n = 0; n < 30; n++)
		LIVES(body_first_use, NULL);
}

static void body_child_keeps_blocks(const void *data)
{
	unsigned char *before = ffg_malloc(5000), *within;
	struct scene s = scene_open("shapes", NULL);
	int status = -1;
	pid_t child;

	(void)data;
	within = ffg_malloc(5000);
	fill(before, 5000, 1);
	fill(within, 5000, 2);
	child = fork();
	if (!child) {
		bool good = filled(before, 5000, 1) && filled(within, 5000, 2);

		before = ffg_realloc(before, 50000);
		good = good && before && filled(before, 5000, 1);
		good = good && !ffg_context_close(s.context);
		good = good && filled(before, 5000, 1) && filled(within, 5000, 2);
		/* A context of its own closes the heap again. */
		s.context = ffg_context_open(NULL);
		good = good && s.context && filled(before, 5000, 1) && filled(within, 5000, 2);
		ffg_free(before);
		ffg_free(within);
		_exit(!good);
	}
	SCENE_CHECK(waitpid(child, &status, 0) == child);
	SCENE_CHECK(!status);
	SCENE_CHECK(filled(before, 5000, 1) && filled(within, 5000, 2));
}

TEST(child_keeps_its_blocks)
{
	LIVES(body_child_keeps_blocks, NULL);
}

/* ---- contexts ---- */

static void body_contexts(const void *data)
{
	unsigned char *block[5];

	(void)data;
	block[0] = ffg_malloc(3000);
	SCENE_CHECK(block[0]);
	fill(block[0], 3000, 0);
	for (unsigned int n = 1; n < 5; n++) {
		struct ffg_context *context = ffg_context_open(NULL);

		SCENE_CHECK(context);
		block[n] = ffg_malloc(3000);
		SCENE_CHECK(block[n]);
		fill(block[n], 3000, n);
		for (unsigned int i = 0; i <= n; i++)
			SCENE_CHECK(filled(block[i], 3000, i));
		SCENE_CHECK(!ffg_context_close(context));
		for (unsigned int i = 0; i <= n; i++)
			SCENE_CHECK(filled(block[i], 3000, i));
	}
	for (unsigned int n = 0; n < 5; n++)
		ffg_free(block[n]);
}

TEST(blocks_live_through_contexts)
{
	LIVES(body_contexts, NULL);
}

/* ---- pointers that are not the heap's ---- */

static void body_free_malloc(const void *data)
{
	(void)data;
	ffg_free(malloc(10));
}

TEST(foreign_pointer_is_refused)
{
	death_run(&death, body_free_malloc, NULL);
	DEATH_EXPECT(&death, SIGABRT, "ffiguard: ffg_free(0x",
		     "): not allocated by ffg_malloc() and its like\n");
}

TEST_HARNESS_MAIN
