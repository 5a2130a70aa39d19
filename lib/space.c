// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Address space of the trusted heap.
 *
 * One reservation, so that "is it of the heap?" is one comparison, in a signal handler, too, and
 * so that giving the heap another protection key is one system call.  Memory is committed from
 * its beginning on and never decommitted; what the allocator gives back loses its frames.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "mutant.h"
#include "space.h"

#define PAGE		4096UL
#define HUGE		(2UL << 20)
#define SIZE_MOST	(1UL << 40)
#define SIZE_LEAST	(64UL << 20)
#define STEP		(64UL << 20)	/* committed at once */
#define GAPS_MAX	(FFG_SPACE_TABLE_SIZE / sizeof(struct ffg_space_range))

static size_t align_up(size_t value, size_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* Large ranges lie as the allocator wants them, or it would ask for more and give back. */
static size_t align_of(size_t length)
{
	return length >= HUGE ? HUGE : PAGE;
}

static int key_of_blocks(int key)
{
	return FFG_MUTANT(HEAP_KEY) ? 0 : key;
}

/* Up to @end at least.  Under strict accounting of memory the step may be too much. */
static int commit(struct ffg_space *space, size_t end)
{
	size_t most = align_up(end, STEP);

	if (end <= space->committed)
		return 0;
	if (end > space->size)
		return ENOMEM;
	if (most > space->size)
		most = space->size;
	for (int attempt = 0; attempt < 2; attempt++, most = end) {
		char *at = space->base + space->committed;
		size_t length = most - space->committed;
		int protection = PROT_READ | PROT_WRITE;

		/* Without a key the plain call: kernels without protection keys know no other. */
		if (!(key_of_blocks(space->key) ?
		      pkey_mprotect(at, length, protection, space->key) :
		      mprotect(at, length, protection))) {
			space->committed = most;
			return 0;
		}
	}
	return errno;
}

int ffg_space_open(struct ffg_space *space)
{
	size_t size = SIZE_MOST;
	char *map;
	int error;

	for (;; size /= 2) {
		map = mmap(NULL, size + HUGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (map != MAP_FAILED)
			break;
		if (size <= SIZE_LEAST)
			return errno;
	}
	memset(space, 0, sizeof(*space));
	space->base = (char *)align_up((uintptr_t)map, HUGE);
	space->size = size;
	error = commit(space, 2 * FFG_SPACE_TABLE_SIZE);
	if (error) {
		munmap(map, size + HUGE);
		return error;
	}
	space->gaps = (struct ffg_space_range *)(void *)space->base;
	space->user_table = (void **)(void *)(space->base + FFG_SPACE_TABLE_SIZE);
	space->used = 2 * FFG_SPACE_TABLE_SIZE;
	return 0;
}

/* First gap that begins at or after @offset. */
static size_t gap_after(const struct ffg_space *space, size_t offset)
{
	size_t low = 0, high = space->gap_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (space->gaps[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void gap_remove(struct ffg_space *space, size_t at)
{
	space->gap_count--;
	memmove(&space->gaps[at], &space->gaps[at + 1],
		(space->gap_count - at) * sizeof(*space->gaps));
}

/* If the table is full the addresses are lost; the frames are not. */
static void gap_add(struct ffg_space *space, size_t offset, size_t length)
{
	size_t at = gap_after(space, offset);
	struct ffg_space_range *gap = &space->gaps[at];

	if (!length)
		return;
	if (at < space->gap_count && offset + length == gap->offset) {
		gap->offset = offset;
		gap->length += length;
		if (at && gap[-1].offset + gap[-1].length == offset) {
			gap[-1].length += gap->length;
			gap_remove(space, at);
		}
		return;
	}
	if (at && gap[-1].offset + gap[-1].length == offset) {
		gap[-1].length += length;
		return;
	}
	if (space->gap_count == GAPS_MAX)
		return;
	memmove(gap + 1, gap, (space->gap_count - at) * sizeof(*gap));
	*gap = (struct ffg_space_range){ offset, length };
	space->gap_count++;
}

/* From the first gap that is large enough; 0: none, which is no offset that is given out. */
static size_t take_gap(struct ffg_space *space, size_t length)
{
	for (size_t at = 0; at < space->gap_count; at++) {
		struct ffg_space_range gap = space->gaps[at];
		size_t offset = align_up(gap.offset, align_of(length));
		size_t end = offset + length;

		if (end > gap.offset + gap.length)
			continue;
		gap_remove(space, at);
		gap_add(space, gap.offset, offset - gap.offset);
		gap_add(space, end, gap.offset + gap.length - end);
		return offset;
	}
	return 0;
}

void *ffg_space_map(struct ffg_space *space, size_t length)
{
	size_t offset;
	int error;

	if (!length || length > space->size) {
		errno = ENOMEM;
		return NULL;
	}
	length = align_up(length, PAGE);
	offset = take_gap(space, length);
	if (offset)
		return space->base + offset;
	offset = align_up(space->used, align_of(length));
	error = commit(space, offset + length);
	if (error) {
		errno = ENOMEM;
		return NULL;
	}
	gap_add(space, space->used, offset - space->used);
	space->used = offset + length;
	return space->base + offset;
}

void ffg_space_unmap(struct ffg_space *space, void *address, size_t length)
{
	length = align_up(length, PAGE);
	/* What is given out again is zero: frames that cannot be dropped are cleared. */
	if (madvise(address, length, MADV_DONTNEED))
		memset(address, 0, length);
	gap_add(space, (size_t)((char *)address - space->base), length);
}

int ffg_space_key(struct ffg_space *space, int key)
{
	if (pkey_mprotect(space->base, space->committed, PROT_READ | PROT_WRITE,
			  key_of_blocks(key)))
		return errno;
	space->key = key;
	return 0;
}
