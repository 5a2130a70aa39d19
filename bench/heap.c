// SPDX-License-Identifier: GPL-2.0-only
/* The trusted heap beside the C library's, in one context: a block's whole life, and batches. */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define BATCH	64

typedef void *(*malloc_fn)(size_t);
typedef void (*free_fn)(void *);

static NOINLINE double pair(malloc_fn allocate, free_fn release, size_t size)
{
	return MEASURE(9, 2000, {
		unsigned char *block = allocate(size);

		block[0] = 1;
		release(block);
	});
}

/* Blocks that live for a while and are freed in another order. */
static NOINLINE double batch(malloc_fn allocate, free_fn release, size_t size)
{
	unsigned char *block[BATCH];

	return MEASURE(9, 100, {
		for (int n = 0; n < BATCH; n++) {
			block[n] = allocate(size);
			block[n][0] = 1;
		}
		for (int n = 0; n < BATCH; n++)
			release(block[n * 37 % BATCH]);
	}) / BATCH;
}

void part_heap(void)
{
	static const size_t sizes[] = { 16, 64, 1024, 16384, 1 << 20 };

	if (!ffg_context_open(NULL))
		fail_ffg("no context");
	rows_part("trusted heap");
	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++) {
		row(pair(ffg_malloc, ffg_free, sizes[n]), INSTRUCTIONS, NO_GOAL,
		    "heap.malloc_free.%zu", sizes[n]);
		row(pair(malloc, free, sizes[n]), INSTRUCTIONS ", C library", NO_GOAL,
		    "libc.malloc_free.%zu", sizes[n]);
	}
	for (size_t n = 0; n < 3; n++) {
		row(batch(ffg_malloc, ffg_free, sizes[n]), INSTRUCTIONS " each of 64", NO_GOAL,
		    "heap.malloc_free.batch.%zu", sizes[n]);
		row(batch(malloc, free, sizes[n]), INSTRUCTIONS " each of 64, C library", NO_GOAL,
		    "libc.malloc_free.batch.%zu", sizes[n]);
	}
}
