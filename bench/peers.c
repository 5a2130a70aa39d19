// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same protection by what the kernel offers: each object closed but during the call.  Objects
 * are pages in mappings of their own (neighbours in one mapping cost several times as much),
 * present before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define PAGE	4096
#define OBJECTS	12

static unsigned char *objects[OBJECTS];
static touch_fn touch;
static int key;

static void setup(void)
{
	unsigned char *map = mmap(NULL, (2 * OBJECTS + 1) * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	key = pkey_alloc(0, 0);
	if (map == MAP_FAILED || key < 0)
		fail("no memory or no protection key: %s", strerror(errno));
	madvise(map, (2 * OBJECTS + 1) * PAGE, MADV_NOHUGEPAGE);
	for (int n = 0; n < OBJECTS; n++) {
		objects[n] = map + (2 * n + 1) * PAGE;
		memset(objects[n], 1, PAGE);
	}
	for (int n = 0; n <= OBJECTS; n++)
		munmap(map + 2 * n * PAGE, PAGE);
	touch = (touch_fn)foreign_symbol("bench_touch");
}

static void wrpkru(uint32_t value)
{
	__asm__ volatile("wrpkru" : : "a"(value), "c"(0), "d"(0) : "memory");
}

static void set_key(int count, int to)
{
	for (int n = 0; n < count; n++)
		if (pkey_mprotect(objects[n], PAGE, PROT_READ | PROT_WRITE, to))
			fail("pkey_mprotect: %s", strerror(errno));
}

static void set_protection(int count, int to)
{
	for (int n = 0; n < count; n++)
		if (mprotect(objects[n], PAGE, to))
			fail("mprotect: %s", strerror(errno));
}

/* Foreign code runs without the key; what it may touch loses the key for the call. */
static void call_by_keys(int count)
{
	set_key(count, 0);
	wrpkru(3U << 2 * key);
	touch(objects, count);
	wrpkru(0);
	set_key(count, key);
}

static void call_by_protection(int count)
{
	set_protection(count, PROT_READ | PROT_WRITE);
	touch(objects, count);
	set_protection(count, PROT_NONE);
}

/* One object of @length bytes, by a pair of pkey_mprotect(). */
static double pair_of(size_t length)
{
	unsigned char *map = mmap(NULL, length + 2 * PAGE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *object = map + PAGE;
	double cost;

	if (map == MAP_FAILED)
		fail("no memory: %s", strerror(errno));
	madvise(map, length + 2 * PAGE, MADV_NOHUGEPAGE);
	memset(object, 1, length);
	munmap(map, PAGE);
	munmap(object + length, PAGE);
	cost = MEASURE(11, 20, pkey_mprotect(object, length, PROT_READ | PROT_WRITE, key);
		       object[0]++; pkey_mprotect(object, length, PROT_READ | PROT_WRITE, 0));
	munmap(object, length);
	return cost;
}

/* A process for one call; 64 bytes of result come through a pipe. */
static void call_by_fork(void)
{
	char result[64] = "";
	int ends[2], status;
	pid_t child;

	if (pipe(ends))
		fail("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		touch(objects, 1);
		_exit(write(ends[1], result, sizeof(result)) != sizeof(result));
	}
	close(ends[1]);
	if (read(ends[0], result, sizeof(result)) != sizeof(result))
		fail("no result of the child");
	close(ends[0]);
	if (waitpid(child, &status, 0) != child || status)
		fail("the child failed");
}

void part_peers(void)
{
	static const int counts[] = { 1, 4, 12 };
	static const size_t sizes[] = { 4096, 65536, 4 << 20 };
	double plain[3];

	setup();
	rows_part("peers");
	for (int n = 0; n < 3; n++)
		plain[n] = MEASURE(9, 2000, touch(objects, counts[n]));
	set_key(OBJECTS, key);
	for (int n = 0; n < 3; n++)
		row(MEASURE(11, 100, call_by_keys(counts[n])) - plain[n], OVER_PLAIN, NO_GOAL,
		    "peer.pkey_mprotect.%d", counts[n]);
	set_key(OBJECTS, 0);
	set_protection(OBJECTS, PROT_NONE);
	for (int n = 0; n < 3; n++)
		row(MEASURE(11, 100, call_by_protection(counts[n])) - plain[n], OVER_PLAIN, NO_GOAL,
		    "peer.mprotect.%d", counts[n]);
	set_protection(OBJECTS, PROT_READ | PROT_WRITE);
	for (int n = 0; n < 3; n++)
		row(pair_of(sizes[n]), INSTRUCTIONS ", a pair", NO_GOAL,
		    "peer.pkey_mprotect.bytes.%zu", sizes[n]);
	row(MEASURE(11, 10, call_by_fork()) - plain[0], OVER_PLAIN, NO_GOAL, "peer.fork_pipe");
}
