// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The heap of a domain.
 *
 * Our own, since no packaged allocator keeps all of its state in memory of one's choosing:
 * jemalloc, mimalloc and tcmalloc have static and thread-local data, which foreign code of other
 * domains could spoil, and dlmalloc's mspaces are packaged nowhere.
 *
 * The range is made of chunks of 1 MiB, each of which has a byte in a map.  A paged chunk begins
 * with a table of its pages and is given out in runs of pages: a span of small blocks of one
 * size, or one large block.  What no chunk has room for is a huge block, of chunks without such
 * a table; the map says where in its first chunk it begins and where in its last one it ends, in
 * units of 64 KiB.  Memory is only touched from the beginning on as it is needed, tables too, so
 * that a copy of what was used is small, however large the range.
 *
 * No block has anything of the heap's in or beside it, and every address can be told to be a
 * living block or not: spans have a bit for each block, and each page knows what it is.
 *
 * What is free is zero but for pages that are marked dirty.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "domain_heap.h"

#define PAGE_SHIFT	12
#define PAGE		(1UL << PAGE_SHIFT)
#define UNIT_SHIFT	16
#define UNIT		(1UL << UNIT_SHIFT)
#define CHUNK_SHIFT	20
#define CHUNK		(1UL << CHUNK_SHIFT)
#define CHUNK_PAGES	(CHUNK / PAGE)
#define CHUNK_UNITS	(CHUNK / UNIT)
#define SIZE_MOST	(1UL << 40)
#define ALIGN_LEAST	16UL
#define ALIGN_MOST	(1UL << 30)
#define SMALL_MOST	2048UL
#define BINS		24
#define DIRTY_MOST	16	/* pages of a free run that may keep their frames, less one */
#define SPINS		64

/* A byte of the map.  The last three have a number from 0 to 15 added. */
#define CHUNK_FREE	0x00	/* and zero */
#define CHUNK_PAGED	0x01
#define CHUNK_BODY	0x02	/* of a huge block, or of the heap's own pages */
#define CHUNK_HEAD	0x10	/* a huge block begins at this unit, and goes on */
#define CHUNK_TAIL	0x20	/* a huge block ends with this unit */
#define CHUNK_SOLE	0x30	/* it begins with the chunk and ends with this unit of it */
#define CHUNK_NUMBER	0x0f

enum { PAGE_FREE, PAGE_OWN, PAGE_SPAN, PAGE_LARGE, PAGE_REST };

struct page {
	uint64_t free[4];	/* a span's blocks */
	uint32_t next, prev;	/* numbers of pages in the range; 0: none */
	uint16_t pages;		/* of its run; also in the last page of a free one */
	uint16_t left;		/* free blocks of a span */
	uint8_t kind;
	uint8_t bin;
	uint8_t back;		/* to the first page of a span */
	bool dirty;		/* not known to be zero, once it is free */
};

struct bin {
	uint32_t head;		/* spans with a free block */
	uint32_t empty;		/* the one of them that has no other */
	uint32_t inverse;	/* 2^32 / size, rounded up */
	uint16_t size, blocks;
	uint8_t pages;
};

struct ffg_domain_heap {
	uint32_t lock;		/* 0: free, 1: taken, 2: and somebody may wait */
	uint32_t first;		/* the first chunk that is paged, and always is */
	uint32_t chunks;
	uint32_t free_chunk;	/* none before this one is free */
	size_t size, used;
	size_t first_offset;	/* of its table, which is behind the heap's own pages */
	struct bin bins[BINS];
	uint64_t run_map[CHUNK_PAGES / 64];	/* which of the next lists are not empty */
	uint32_t runs[CHUNK_PAGES];		/* free runs, by their number of pages */
	uint8_t map[];
};

#define TABLE_SIZE	(CHUNK_PAGES * sizeof(struct page))
#define TABLE_PAGES	(TABLE_SIZE / PAGE)
#define RUN_MOST	(CHUNK_PAGES - TABLE_PAGES)

_Static_assert(TABLE_SIZE % PAGE == 0, "the table of a chunk is whole pages");

static size_t align_up(size_t value, size_t align)
{
	return (value + align - 1) & ~(align - 1);
}

/* ---- lock ---- */

static void wait_for(struct ffg_domain_heap *heap)
{
	int saved = errno;

	for (int i = 0; i < SPINS; i++) {
		uint32_t none = 0;

		__builtin_ia32_pause();
		if (__atomic_compare_exchange_n(&heap->lock, &none, 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return;
	}
	while (__atomic_exchange_n(&heap->lock, 2, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &heap->lock, FUTEX_WAIT_PRIVATE, 2, NULL);
	errno = saved;
}

void ffg_domain_heap_lock(struct ffg_domain_heap *heap)
{
	uint32_t none = 0;

	if (!__atomic_compare_exchange_n(&heap->lock, &none, 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		wait_for(heap);
}

void ffg_domain_heap_unlock(struct ffg_domain_heap *heap)
{
	if (__atomic_exchange_n(&heap->lock, 0, __ATOMIC_RELEASE) == 2)
		syscall(SYS_futex, &heap->lock, FUTEX_WAKE_PRIVATE, 1);
}

void ffg_domain_heap_fork_child(struct ffg_domain_heap *heap)
{
	__atomic_store_n(&heap->lock, 0, __ATOMIC_RELEASE);
}

/* ---- pages ---- */

static char *at(struct ffg_domain_heap *heap, size_t page)
{
	return (char *)heap + (page << PAGE_SHIFT);
}

static struct page *table(struct ffg_domain_heap *heap, size_t chunk)
{
	size_t offset = chunk == heap->first ? heap->first_offset : 0;

	return (struct page *)((char *)heap + (chunk << CHUNK_SHIFT) + offset);
}

static struct page *page_of(struct ffg_domain_heap *heap, size_t page)
{
	return table(heap, page / CHUNK_PAGES) + page % CHUNK_PAGES;
}

static void raise_used(struct ffg_domain_heap *heap, size_t end)
{
	if (end > heap->used)
		__atomic_store_n(&heap->used, end, __ATOMIC_RELAXED);
}

/* Zero, and without frames.  Locked memory keeps its frames. */
static void drop(void *address, size_t length)
{
	int saved = errno;

	if (madvise(address, length, MADV_DONTNEED)) {
		memset(address, 0, length);
		errno = saved;
	}
}

static void push(struct ffg_domain_heap *heap, uint32_t *head, uint32_t number)
{
	struct page *page = page_of(heap, number);

	page->prev = 0;
	page->next = *head;
	if (*head)
		page_of(heap, *head)->prev = number;
	*head = number;
}

static void unlink_page(struct ffg_domain_heap *heap, uint32_t *head, uint32_t number)
{
	struct page *page = page_of(heap, number);

	if (page->next)
		page_of(heap, page->next)->prev = page->prev;
	if (page->prev)
		page_of(heap, page->prev)->next = page->next;
	else
		*head = page->next;
}

/* Its pages are marked as free. */
static void add_run(struct ffg_domain_heap *heap, uint32_t run, unsigned int count)
{
	if (!count)
		return;
	page_of(heap, run)->pages = count;
	page_of(heap, run + count - 1)->pages = count;
	push(heap, &heap->runs[count], run);
	heap->run_map[count / 64] |= 1UL << count % 64;
}

static unsigned int remove_run(struct ffg_domain_heap *heap, uint32_t run)
{
	unsigned int count = page_of(heap, run)->pages;

	unlink_page(heap, &heap->runs[count], run);
	if (!heap->runs[count])
		heap->run_map[count / 64] &= ~(1UL << count % 64);
	return count;
}

/* The next size from @count on that a free run has; 0: none. */
static unsigned int next_size(struct ffg_domain_heap *heap, unsigned int count)
{
	for (; count < CHUNK_PAGES; count = (count / 64 + 1) * 64) {
		uint64_t left = heap->run_map[count / 64] >> count % 64;

		if (left)
			return count + __builtin_ctzl(left);
	}
	return 0;
}

/* The first page from @page on whose address is a multiple of @align pages. */
static uint32_t aligned_page(struct ffg_domain_heap *heap, uint32_t page, size_t align)
{
	size_t base = (uintptr_t)heap >> PAGE_SHIFT;

	return align_up(base + page, align) - base;
}

/* Of the free @run, the @count pages at @start. */
static void carve(struct ffg_domain_heap *heap, uint32_t run, uint32_t start, unsigned int count,
		  unsigned int kind)
{
	unsigned int whole = remove_run(heap, run);
	struct page *page = page_of(heap, start);

	add_run(heap, run, start - run);
	add_run(heap, start + count, whole - (start - run) - count);
	page->pages = count;
	for (unsigned int i = 0; i < count; i++) {
		page[i].kind = i && kind != PAGE_SPAN ? PAGE_REST : kind;
		page[i].back = i;
	}
	raise_used(heap, (size_t)(start + count) << PAGE_SHIFT);
}

/* The smallest run with room: if not @thorough, only one with room wherever it begins. */
static uint32_t take_run(struct ffg_domain_heap *heap, unsigned int count, size_t align,
			 unsigned int kind, bool thorough)
{
	size_t size = thorough ? count : count + align - 1;

	if (size > RUN_MOST)
		return 0;
	for (; (size = next_size(heap, size)); size++) {
		for (uint32_t run = heap->runs[size]; run; run = page_of(heap, run)->next) {
			uint32_t start = aligned_page(heap, run, align);

			if (start - run + count <= size) {
				carve(heap, run, start, count, kind);
				return start;
			}
		}
	}
	return 0;
}

/* Chunk @chunk, which is zero, has pages from now on, behind @own pages of the heap and a table. */
static void open_chunk(struct ffg_domain_heap *heap, size_t chunk, unsigned int own)
{
	uint32_t page = chunk * CHUNK_PAGES;
	struct page *pages = table(heap, chunk);

	own += TABLE_PAGES;
	for (unsigned int i = 0; i < own; i++)
		pages[i].kind = PAGE_OWN;
	raise_used(heap, (size_t)(page + own) << PAGE_SHIFT);
	heap->map[chunk] = CHUNK_PAGED;
	add_run(heap, page + own, CHUNK_PAGES - own);
}

static void find_free_chunk(struct ffg_domain_heap *heap)
{
	while (heap->free_chunk < heap->chunks && heap->map[heap->free_chunk] != CHUNK_FREE)
		heap->free_chunk++;
}

static uint32_t take_from_new_chunk(struct ffg_domain_heap *heap, unsigned int count,
				    size_t align, unsigned int kind)
{
	find_free_chunk(heap);
	for (size_t chunk = heap->free_chunk; chunk < heap->chunks; chunk++) {
		uint32_t run = chunk * CHUNK_PAGES + TABLE_PAGES;
		uint32_t start = aligned_page(heap, run, align);

		if (heap->map[chunk] != CHUNK_FREE)
			continue;
		if (start - run + count <= RUN_MOST) {
			open_chunk(heap, chunk, 0);
			carve(heap, run, start, count, kind);
			return start;
		}
		/* Of others it is as true, unless most of them have no aligned page at all. */
		if (align <= CHUNK_PAGES)
			break;
	}
	return 0;
}

static void free_pages(struct ffg_domain_heap *heap, uint32_t start, unsigned int count)
{
	size_t chunk = start / CHUNK_PAGES;
	struct page *page = page_of(heap, start);
	unsigned int dirty = 0;

	for (unsigned int i = 0; i < count; i++) {
		page[i].kind = PAGE_FREE;
		page[i].dirty = true;
	}
	/* Nothing free is before the table, and the page before the first is of it. */
	if (page[-1].kind == PAGE_FREE) {
		unsigned int before = page[-1].pages;

		remove_run(heap, start - before);
		start -= before;
		page -= before;
		count += before;
	}
	if ((start + count) % CHUNK_PAGES && page[count].kind == PAGE_FREE)
		count += remove_run(heap, start + count);
	if (count == RUN_MOST && chunk != heap->first) {
		drop((char *)heap + (chunk << CHUNK_SHIFT), CHUNK);
		heap->map[chunk] = CHUNK_FREE;
		if (chunk < heap->free_chunk)
			heap->free_chunk = chunk;
		return;
	}
	for (unsigned int i = 0; i < count; i++)
		dirty += page[i].dirty;
	if (dirty >= DIRTY_MOST) {
		drop(at(heap, start), (size_t)count << PAGE_SHIFT);
		for (unsigned int i = 0; i < count; i++)
			page[i].dirty = false;
	}
	add_run(heap, start, count);
}

static bool free_empty_spans(struct ffg_domain_heap *heap)
{
	bool any = false;

	for (struct bin *bin = heap->bins; bin < heap->bins + BINS; bin++) {
		if (bin->empty) {
			unlink_page(heap, &bin->head, bin->empty);
			free_pages(heap, bin->empty, bin->pages);
			bin->empty = 0;
			any = true;
		}
	}
	return any;
}

/* 0: there is no such run. */
static uint32_t alloc_pages(struct ffg_domain_heap *heap, unsigned int count, size_t align,
			    unsigned int kind)
{
	uint32_t start = take_run(heap, count, align, kind, false);

	if (!start)
		start = take_from_new_chunk(heap, count, align, kind);
	if (!start) {
		free_empty_spans(heap);
		start = take_run(heap, count, align, kind, true);
	}
	return start ? start : take_from_new_chunk(heap, count, align, kind);
}

/* ---- huge blocks ---- */

static void mark_huge(struct ffg_domain_heap *heap, size_t chunk, size_t start, size_t units)
{
	size_t last = (start + units - 1) / CHUNK_UNITS;
	unsigned int end = (start + units - 1) % CHUNK_UNITS;

	if (last) {
		heap->map[chunk] = CHUNK_HEAD + start;
		memset(heap->map + chunk + 1, CHUNK_BODY, last - 1);
		heap->map[chunk + last] = CHUNK_TAIL + end;
	} else {
		heap->map[chunk] = CHUNK_SOLE + end;
	}
	raise_used(heap, (chunk << CHUNK_SHIFT) + ((start + units) << UNIT_SHIFT));
}

static size_t free_chunks(struct ffg_domain_heap *heap, size_t chunk, size_t most)
{
	size_t count = 0;

	while (count < most && chunk + count < heap->chunks &&
	       heap->map[chunk + count] == CHUNK_FREE)
		count++;
	return count;
}

/*
 * A block that is not the beginning of its chunk goes on in the next one: alloc_pages() found no
 * free chunk that has it behind its table.
 */
static void *alloc_huge(struct ffg_domain_heap *heap, size_t align, size_t size)
{
	size_t align_units = align > UNIT ? align >> UNIT_SHIFT : 1;
	size_t units = align_up(size, UNIT) >> UNIT_SHIFT;
	size_t base = (uintptr_t)heap >> UNIT_SHIFT;

	find_free_chunk(heap);
	for (size_t chunk = heap->free_chunk; chunk < heap->chunks; chunk++) {
		size_t first = base + chunk * CHUNK_UNITS;
		size_t start = align_up(first, align_units) - first;
		size_t need = (start + units - 1) / CHUNK_UNITS + 1;
		size_t have;

		/* An aligned unit of a later chunk is that one's. */
		if (start >= CHUNK_UNITS)
			continue;
		have = free_chunks(heap, chunk, need);
		if (have == need) {
			mark_huge(heap, chunk, start, units);
			return (char *)heap + (chunk << CHUNK_SHIFT) + (start << UNIT_SHIFT);
		}
		chunk += have;
	}
	return NULL;
}

/* ---- blocks ---- */

struct block {
	struct bin *bin;	/* NULL: large or huge */
	struct page *page;	/* first one; NULL: huge */
	uint32_t number;	/* of that page, or of the first chunk */
	unsigned int index;	/* in the span, or the unit where it begins */
	size_t size;
};

/* False: no living block begins at @address. */
static bool find_block(struct ffg_domain_heap *heap, const void *address, struct block *block)
{
	size_t offset = (uintptr_t)address - (uintptr_t)heap;
	size_t chunk = offset >> CHUNK_SHIFT;
	unsigned int what, start;

	if (offset >= heap->size)
		return false;
	what = heap->map[chunk];
	if (what == CHUNK_PAGED) {
		struct page *page = page_of(heap, offset >> PAGE_SHIFT);

		block->bin = NULL;
		block->number = offset >> PAGE_SHIFT;
		block->page = page;
		if (page->kind == PAGE_SPAN) {
			block->number -= page->back;
			block->page -= page->back;
			page = block->page;
			block->bin = &heap->bins[page->bin];
			offset -= (size_t)block->number << PAGE_SHIFT;
			block->index = (uint64_t)offset * block->bin->inverse >> 32;
			block->size = block->bin->size;
			return block->index * block->size == offset &&
			       block->index < block->bin->blocks &&
			       !(page->free[block->index / 64] >> block->index % 64 & 1);
		}
		block->size = (size_t)page->pages << PAGE_SHIFT;
		return page->kind == PAGE_LARGE && !(offset % PAGE);
	}
	start = (what & ~CHUNK_NUMBER) == CHUNK_HEAD ? what & CHUNK_NUMBER : 0;
	if (what < CHUNK_HEAD || (what & ~CHUNK_NUMBER) == CHUNK_TAIL ||
	    offset % CHUNK != start * UNIT)
		return false;
	block->bin = NULL;
	block->page = NULL;
	block->number = chunk;
	block->index = start;
	if (what < CHUNK_SOLE) {
		while (heap->map[++chunk] == CHUNK_BODY)
			;
	}
	block->size = ((chunk - block->number) * CHUNK_UNITS + (heap->map[chunk] & CHUNK_NUMBER) +
		       1 - start) << UNIT_SHIFT;
	return true;
}

static unsigned int bin_of(size_t size)
{
	unsigned int shift;

	if (size <= 128)
		return size ? (size - 1) / 16 : 0;
	shift = 61 - __builtin_clzl(size - 1);	/* of a quarter of the power of two below */
	return 8 + (shift - 5) * 4 + ((size - 1) >> shift) - 4;
}

static uint32_t new_span(struct ffg_domain_heap *heap, struct bin *bin)
{
	uint32_t number = alloc_pages(heap, bin->pages, 1, PAGE_SPAN);
	struct page *page;

	if (!number)
		return 0;
	page = page_of(heap, number);
	for (unsigned int i = 0; i < bin->pages; i++)
		page[i].bin = bin - heap->bins;
	for (unsigned int i = 0; i < 4; i++) {
		unsigned int blocks = bin->blocks > i * 64 ? bin->blocks - i * 64 : 0;

		page->free[i] = blocks >= 64 ? ~0UL : (1UL << blocks) - 1;
	}
	page->left = bin->blocks;
	push(heap, &bin->head, number);
	return number;
}

static void *alloc_small(struct ffg_domain_heap *heap, struct bin *bin)
{
	uint32_t number = bin->head;
	struct page *page;
	unsigned int word = 0, index;

	if (!number) {
		number = new_span(heap, bin);
		if (!number)
			return NULL;
	}
	page = page_of(heap, number);
	while (!page->free[word])
		word++;
	index = word * 64 + __builtin_ctzl(page->free[word]);
	page->free[word] &= page->free[word] - 1;
	if (bin->empty == number)
		bin->empty = 0;
	if (!--page->left)
		unlink_page(heap, &bin->head, number);
	return at(heap, number) + index * bin->size;
}

static void free_small(struct ffg_domain_heap *heap, const struct block *block)
{
	struct bin *bin = block->bin;
	struct page *page = block->page;

	page->free[block->index / 64] |= 1UL << block->index % 64;
	if (!page->left++)
		push(heap, &bin->head, block->number);
	if (page->left < bin->blocks)
		return;
	/* One is kept, or a single block that comes and goes would be work. */
	if (bin->empty) {
		unlink_page(heap, &bin->head, block->number);
		free_pages(heap, block->number, bin->pages);
	} else {
		bin->empty = block->number;
	}
}

static void free_block(struct ffg_domain_heap *heap, const struct block *block)
{
	size_t offset, chunks;

	if (block->bin) {
		free_small(heap, block);
	} else if (block->page) {
		free_pages(heap, block->number, block->page->pages);
	} else {
		offset = (size_t)block->index << UNIT_SHIFT;
		chunks = (offset + block->size + CHUNK - 1) >> CHUNK_SHIFT;
		drop((char *)heap + ((size_t)block->number << CHUNK_SHIFT) + offset, block->size);
		memset(heap->map + block->number, CHUNK_FREE, chunks);
		if (block->number < heap->free_chunk)
			heap->free_chunk = block->number;
	}
}

/* Room for @size bytes where it is, if what follows is free. */
static bool grow(struct ffg_domain_heap *heap, const struct block *block, size_t size)
{
	size_t count, need, have;

	if (block->bin || size > heap->size)
		return false;
	if (block->page) {
		uint32_t end = block->number + block->page->pages;

		count = align_up(size - block->size, PAGE) >> PAGE_SHIFT;
		if (!(end % CHUNK_PAGES) || page_of(heap, end)->kind != PAGE_FREE ||
		    page_of(heap, end)->pages < count)
			return false;
		carve(heap, end, end, count, PAGE_REST);
		block->page->pages += count;
		return true;
	}
	count = align_up(size, UNIT) >> UNIT_SHIFT;
	need = (block->index + count - 1) / CHUNK_UNITS + 1;
	have = (((size_t)block->index << UNIT_SHIFT) + block->size + CHUNK - 1) >> CHUNK_SHIFT;
	if (free_chunks(heap, block->number + have, need - have) < need - have)
		return false;
	mark_huge(heap, block->number, block->index, count);
	return true;
}

/* ---- interface ---- */

struct ffg_domain_heap *ffg_domain_heap_make(void *base, size_t size)
{
	struct ffg_domain_heap *heap = base;
	size_t own = align_up(sizeof(*heap) + (size >> CHUNK_SHIFT), PAGE);

	if (!base || (uintptr_t)base % UNIT || size % CHUNK || !size || size > SIZE_MOST)
		return NULL;
	if (own % CHUNK + TABLE_SIZE >= CHUNK)
		own = align_up(own, CHUNK);
	heap->size = size;
	heap->chunks = size >> CHUNK_SHIFT;
	heap->first = own >> CHUNK_SHIFT;
	heap->first_offset = own % CHUNK;
	memset(heap->map, CHUNK_BODY, heap->first);
	for (unsigned int i = 0; i < BINS; i++) {
		struct bin *bin = &heap->bins[i];

		bin->size = i < 8 ? (i + 1) * 16 : (5 + i % 4) << (i / 4 + 3);
		bin->pages = bin->size <= 128 ? 1 : bin->size <= 512 ? 2 : 4;
		bin->blocks = (bin->pages << PAGE_SHIFT) / bin->size;
		bin->inverse = ((1UL << 32) + bin->size - 1) / bin->size;
	}
	open_chunk(heap, heap->first, heap->first_offset >> PAGE_SHIFT);
	return heap;
}

/* Blocks of a span are aligned as their size is. */
static struct bin *bin_for(struct ffg_domain_heap *heap, size_t align, size_t size)
{
	unsigned int i;

	if (size > SMALL_MOST || align > SMALL_MOST)
		return NULL;
	for (i = bin_of(size); i < BINS && heap->bins[i].size & (align - 1);)
		i++;
	return i < BINS ? &heap->bins[i] : NULL;
}

void *ffg_domain_heap_alloc(struct ffg_domain_heap *heap, size_t align, size_t size, bool zero)
{
	struct bin *bin;
	void *block = NULL;
	uint32_t number = 0;
	unsigned int count = 0;

	if (!align || align & (align - 1) || align > ALIGN_MOST) {
		errno = EINVAL;
		return NULL;
	}
	if (size > heap->size) {
		errno = ENOMEM;
		return NULL;
	}
	bin = bin_for(heap, align < ALIGN_LEAST ? ALIGN_LEAST : align, size);
	ffg_domain_heap_lock(heap);
	if (bin) {
		block = alloc_small(heap, bin);
	} else {
		if (!size)
			size = 1;
		if (size <= RUN_MOST * PAGE) {
			count = align_up(size, PAGE) >> PAGE_SHIFT;
			number = alloc_pages(heap, count, align > PAGE ? align >> PAGE_SHIFT : 1,
					     PAGE_LARGE);
		}
		if (number)
			block = at(heap, number);
		else
			block = alloc_huge(heap, align, size);
		if (!block && free_empty_spans(heap))
			block = alloc_huge(heap, align, size);
	}
	ffg_domain_heap_unlock(heap);
	if (!block) {
		errno = ENOMEM;
	} else if (zero && bin) {
		memset(block, 0, bin->size);
	} else if (zero && number) {
		struct page *page = page_of(heap, number);

		for (unsigned int i = 0; i < count; i++) {
			if (page[i].dirty)
				memset(at(heap, number + i), 0, PAGE);
		}
	}
	return block;
}

void *ffg_domain_heap_realloc(struct ffg_domain_heap *heap, void *address, size_t size)
{
	struct block block;
	bool found, stay = false;
	void *moved;

	if (!address)
		return ffg_domain_heap_alloc(heap, ALIGN_LEAST, size, false);
	ffg_domain_heap_lock(heap);
	found = find_block(heap, address, &block);
	if (found) {
		if (size <= block.size)
			stay = size > block.size / 2 || block.size == ALIGN_LEAST;
		else
			stay = grow(heap, &block, size);
	}
	ffg_domain_heap_unlock(heap);
	if (!found)
		ffg_domain_heap_bad(address);
	if (stay)
		return address;
	moved = ffg_domain_heap_alloc(heap, ALIGN_LEAST, size, false);
	if (!moved)
		return size <= block.size ? address : NULL;
	memcpy(moved, address, size < block.size ? size : block.size);
	ffg_domain_heap_free(heap, address);
	return moved;
}

void ffg_domain_heap_free(struct ffg_domain_heap *heap, void *address)
{
	struct block block;
	bool found;

	if (!address)
		return;
	ffg_domain_heap_lock(heap);
	found = find_block(heap, address, &block);
	if (found)
		free_block(heap, &block);
	ffg_domain_heap_unlock(heap);
	if (!found)
		ffg_domain_heap_bad(address);
}

size_t ffg_domain_heap_usable(const struct ffg_domain_heap *heap, const void *address)
{
	struct ffg_domain_heap *locked = (struct ffg_domain_heap *)heap;
	struct block block;
	bool found;

	ffg_domain_heap_lock(locked);
	found = find_block(locked, address, &block);
	ffg_domain_heap_unlock(locked);
	return found ? block.size : 0;
}

size_t ffg_domain_heap_used(const struct ffg_domain_heap *heap)
{
	return __atomic_load_n(&heap->used, __ATOMIC_RELAXED);
}
