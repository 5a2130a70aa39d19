// SPDX-License-Identifier: GPL-2.0-only
/* libblocks: a library that allocates, in each of the ways that there are. */
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The way of libraries that let the program choose: tables of functions. */
void *(*block_allocate)(size_t) = malloc;
void (*block_release)(void *) = free;

static char *constructed;

__attribute__((constructor)) static void construct(void)
{
	constructed = strdup("constructed");
}

char *block_constructed(void)
{
	return constructed;
}

unsigned char *block_new(size_t size)
{
	unsigned char *block = malloc(size);

	if (block)
		memset(block, 0x41, size);
	return block;
}

/* In the way of that number. */
void *block_by(int way, size_t size)
{
	void *block = NULL;

	switch (way) {
	case 0:
		return malloc(size);
	case 1:
		return calloc(size, 1);
	case 2:
		return realloc(realloc(NULL, 1), size);
	case 3:
		return memalign(256, size);
	case 4:
		return posix_memalign(&block, 4096, size) ? NULL : block;
	case 5:
		return aligned_alloc(64, size);
	case 6:
		return valloc(size);
	case 7:
		return pvalloc(size);
	case 8:
		return strdup("a text");
	case 9:
		return strndup("a text", 3);
	case 10:
		return block_allocate(size);
	default:
		return NULL;
	}
}

void *block_resize(void *block, size_t size)
{
	return realloc(block, size);
}

void block_free(void *block)
{
	free(block);
}

void block_give(void *block)
{
	block_release(block);
}

size_t block_usable(void *block)
{
	return malloc_usable_size(block);
}

/* The last byte of a block of that many bytes, all of which are written before. */
int block_fill(unsigned char *block, size_t size, int value)
{
	memset(block, value, size);
	return block[size - 1];
}

/* Sum of many short lives: what is wrong in the heap shows. */
long block_churn(unsigned int rounds)
{
	unsigned char *live[64] = { NULL };
	uint32_t random = 12345;
	long sum = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int n;
		size_t size;

		random = random * 1664525 + 1013904223;
		n = random >> 26;
		size = (random >> 8 & 0x7ff) + 1;
		if (live[n]) {
			sum += live[n][0];
			free(live[n]);
		}
		live[n] = malloc(size);
		if (!live[n])
			return -1;
		memset(live[n], (int)(i & 0xff), size);
	}
	for (unsigned int n = 0; n < 64; n++)
		free(live[n]);
	return sum;
}

static void *churn_thread(void *data)
{
	return (void *)block_churn(*(unsigned int *)data);
}

/* The same in threads of the library's own; -1: one of them found something wrong. */
long block_churn_threads(unsigned int rounds)
{
	pthread_t thread[4];
	long sum = 0;
	void *one;

	for (int i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, churn_thread, &rounds))
			return -1;
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], &one);
		sum = sum < 0 || (long)one < 0 ? -1 : sum + (long)one;
	}
	return sum;
}

static void *read_thread(void *data)
{
	return (void *)(long)*(volatile unsigned char *)data;
}

/* A byte, as a thread of the library sees it. */
int block_read_in_thread(unsigned char *block)
{
	pthread_t thread;
	void *value;

	if (pthread_create(&thread, NULL, read_thread, block))
		return -1;
	pthread_join(thread, &value);
	return (int)(long)value;
}

/* A line of a file: libc makes the caller's buffer longer. */
char *block_line(const char *path)
{
	size_t room = 4;
	char *line = malloc(room);
	FILE *file = fopen(path, "re");

	if (!line || !file || getline(&line, &room, file) < 0) {
		free(line);
		line = NULL;
	}
	if (file)
		fclose(file);
	return line;
}

/* What a child of fork() finds: 1 if all is as it was. */
int block_fork(unsigned char *block, int value)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		return -1;
	if (!child) {
		unsigned char *own = malloc(100);

		_exit(own && block[0] == value && (memset(own, 1, 100), free(own), 1) ? 1 : 0);
	}
	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- what others call, and when ---- */

static pthread_key_t key;
static char *kept;

__attribute__((destructor)) static void destruct(void)
{
	if (!kept)
		return;
	dprintf(STDERR_FILENO, "destructor: %#x\n", kept[0]);
	free(kept);
}

/* A block that the destructor of the library frees. */
void block_keep(size_t size)
{
	kept = malloc(size);
	memset(kept, 0x41, size);
}

static void release(void *block)
{
	dprintf(STDERR_FILENO, "end of the thread: %#x\n", *(unsigned char *)block);
	free(block);
}

/* A block that is freed when the thread ends: 0 by a function of the library, 1 by free(). */
int block_of_the_thread(int by_free, size_t size)
{
	void *block = malloc(size);

	memset(block, 0x41, size);
	if (pthread_key_create(&key, by_free ? free : release))
		return -1;
	return pthread_setspecific(key, block);
}

static void at_exit(void)
{
	dprintf(STDERR_FILENO, "exit handler: %#x\n", kept[0]);
}

void block_at_exit(void)
{
	atexit(at_exit);
}

/* A block before the callback, and new ones behind it. */
long block_around(void (*callback)(void))
{
	unsigned char *block = block_new(100);
	long sum;

	callback();
	sum = block_churn(1000) > 0 ? block[99] : -1;
	free(block);
	return sum;
}

/* Busy with blocks for so long. */
long block_busy(unsigned int ms)
{
	struct timespec begin, now;
	long sum = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		long one = block_churn(100);

		if (one < 0)
			return one;
		sum += one;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1000000 <
		 (long)ms);
	return sum;
}
