// SPDX-License-Identifier: GPL-2.0-only
/*
 * The trusted heap and the heap of a domain beside the C library's: a block's whole life, and
 * batches.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define BATCH	64

typedef void *(*malloc_fn)(size_t);
typedef void (*free_fn)(void *);
typedef void (*blocks_fn)(int count, size_t size);

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

/* Foreign code of a domain that has a key allocates. */
static void domain_rows(struct ffg_context *context)
{
	static const size_t sizes[] = { 64, 1024, 16384, 1 << 20 };
	struct ffg_domain *domain = ffg_domain_open(context, foreign_path, 0);
	struct ffg_call *call = domain ? ffg_call_new(domain, "bench_blocks", "v(ii)") : NULL;
	unsigned char *object = ffg_object_alloc(context, 64, 0);
	struct ffg_call *threads = call ? ffg_call_new(domain, "bench_nothing", "v()") : NULL;
	blocks_fn blocks;

	if (!threads || !object || ffg_call_grant(threads, object, 64, FFG_THREADS))
		fail_ffg("domain");
	blocks = (blocks_fn)ffg_call_entry(call);
	rows_part("domain with a key");
	for (size_t n = 0; n < sizeof(sizes) / sizeof(sizes[0]); n++)
		row((MEASURE(9, 20, blocks(200, sizes[n])) - MEASURE(9, 20, blocks(0, 0))) / 200,
		    INSTRUCTIONS, NO_GOAL, "domain.malloc_free.%zu", sizes[n]);
	row(MEASURE(9, 200, ((nothing_fn)ffg_call_entry(threads))()),
	    INSTRUCTIONS ", one object for all threads", NO_GOAL, "domain.call.threads");
}

void part_heap(void)
{
	static const size_t sizes[] = { 16, 64, 1024, 16384, 1 << 20 };
	struct ffg_options options = { .size = sizeof(options), .domain_keys = 1 };
	struct ffg_context *context = ffg_context_open(&options);

	if (!context)
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
	domain_rows(context);
}
