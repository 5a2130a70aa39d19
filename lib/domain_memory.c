// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory of domains.
 *
 * One reservation for all keys, so that "is it a domain's?" is one comparison, which the
 * interposed free() makes.  It is never given back: blocks may outlive the domain, and
 * libraries the context.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "domain_memory.h"
#include "mutant.h"

#define PAGE		4096UL
#define PIECE_MOST	(1UL << 36)	/* bytes of address space for each key */
#define PIECE_LEAST	(64UL << 20)
#define HUGE		(2UL << 20)

/*
 * What foreign code reads to find its heap: constant and read-only while the context is open.  All
 * zero means that there are no domains with keys.
 */
static union {
	struct {
		uintptr_t base;
		size_t piece;			/* bytes for each heap, 1 << shift */
		unsigned int shift;
		size_t length;			/* of all pieces */
		uint32_t safe;			/* access-disable bit of SAFE; 0: no context */
		uint32_t keys;			/* access-disable bits of the domains' keys */
		struct ffg_domain_heap *heap[FFG_KEYS];	/* by key */
		uint8_t key[FFG_KEYS];			/* by piece */
	};
	char page[PAGE];
} shared __attribute__((aligned(PAGE)));

/* Heaps by piece, as they were made first; under context_mutex. */
static struct ffg_domain_heap *heaps[FFG_KEYS];

/* Address space for all keys there can ever be.  0 or an errno. */
static int reserve(void)
{
	size_t piece = PIECE_MOST, length;
	char *map;

	for (;; piece /= 2) {
		length = (FFG_KEYS - 1) * piece;
		map = mmap(NULL, length + HUGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (map != MAP_FAILED)
			break;
		if (piece <= PIECE_LEAST)
			return errno;
	}
	shared.base = ((uintptr_t)map + HUGE - 1) & ~(HUGE - 1);
	shared.piece = piece;
	shared.shift = (unsigned int)__builtin_ctzl(piece);
	shared.length = length;
	return 0;
}

static int key_of_piece(unsigned int n, unsigned int key)
{
	void *at = (void *)(shared.base + n * shared.piece);

	if (FFG_MUTANT(DOMAIN_KEY))
		key = 0;
	return pkey_mprotect(at, shared.piece, PROT_READ | PROT_WRITE, (int)key) ? errno : 0;
}

/* Give piece @n to @key. */
static int open_piece(unsigned int n, unsigned int key)
{
	int error = key_of_piece(n, key);

	if (error)
		return error;
	if (!heaps[n])
		heaps[n] = ffg_domain_heap_make((void *)(shared.base + n * shared.piece),
						shared.piece);
	if (!heaps[n])
		return ENOMEM;
	shared.heap[key] = heaps[n];
	shared.key[n] = (uint8_t)key;
	shared.keys |= FFG_PKRU_AD(key);
	return 0;
}

/* Foreign code finds no heap any more; the pieces carry key 0. */
static void forget(void)
{
	mprotect(&shared, sizeof(shared), PROT_READ | PROT_WRITE);
	shared.safe = 0;
	shared.keys = 0;
	for (unsigned int n = 0; n < FFG_KEYS; n++) {
		shared.heap[n] = NULL;
		if (shared.key[n])
			key_of_piece(n, 0);
		shared.key[n] = 0;
	}
}

int ffg_domain_memory_open(const struct ffg_context *context)
{
	unsigned int n = 0;
	int error = 0;

	if (!context->domain_keys)
		return 0;
	if (!shared.base)
		error = reserve();
	for (unsigned int key = 1; key < FFG_KEYS && !error; key++)
		if (context->domain_keys & 1U << key)
			error = open_piece(n++, key);
	if (!error) {
		shared.safe = FFG_PKRU_AD(context->safe);
		error = mprotect(&shared, sizeof(shared), PROT_READ) ? errno : 0;
	}
	if (!error)
		return 0;
	forget();
	return ffg_fail_errno(error, "memory for domains");
}

void ffg_domain_memory_close(void)
{
	if (shared.safe)
		forget();
}

/* The thread that forks may run foreign code, of one of the domains or of none. */
static void each_heap(void (*function)(struct ffg_domain_heap *heap))
{
	struct ffg_context *context = ffg_context_process();
	uint32_t pkru;

	if (!shared.safe)
		return;
	pkru = ffg_rdpkru();
	ffg_wrpkru(pkru & ~context->ours);
	for (unsigned int n = 0; n < FFG_KEYS; n++)
		if (shared.key[n])
			function(heaps[n]);
	ffg_wrpkru(pkru);
}

void ffg_domain_memory_lock(void)
{
	each_heap(ffg_domain_heap_lock);
}

void ffg_domain_memory_unlock(void)
{
	each_heap(ffg_domain_heap_unlock);
}

void ffg_domain_memory_fork(void)
{
	for (unsigned int n = 0; n < FFG_KEYS; n++)
		if (shared.key[n])
			ffg_domain_heap_fork_child(heaps[n]);
	ffg_domain_memory_close();
}

/* ---- copies ---- */

struct ffg_domain_copy {
	size_t used;
	char bytes[];
};

/* What the heap says is what foreign code wrote. */
static size_t used_of(const struct ffg_domain_heap *heap)
{
	size_t used = ffg_domain_heap_used(heap) & ~(PAGE - 1);

	return used < shared.piece ? used : shared.piece;
}

struct ffg_domain_copy *ffg_domain_memory_copy(unsigned int key)
{
	size_t used = used_of(shared.heap[key]);
	struct ffg_domain_copy *copy = malloc(sizeof(*copy) + used);

	if (!copy) {
		ffg_fail(FFG_E_NOMEM, "copy of a domain's heap: out of memory");
		return NULL;
	}
	copy->used = used;
	memcpy(copy->bytes, shared.heap[key], used);
	return copy;
}

void ffg_domain_memory_restore(unsigned int key, const struct ffg_domain_copy *copy)
{
	char *heap = (char *)shared.heap[key];

	/* All behind what was used then, also what a spoilt heap does not own up to. */
	if (madvise(heap + copy->used, shared.piece - copy->used, MADV_DONTNEED))
		memset(heap + copy->used, 0, used_of(shared.heap[key]) - copy->used);
	memcpy(heap, copy->bytes, copy->used);
	ffg_domain_heap_fork_child(shared.heap[key]);
}

void ffg_domain_memory_discard(struct ffg_domain_copy *copy)
{
	free(copy);
}

struct ffg_domain_heap *ffg_domain_memory_heap(unsigned int key)
{
	return shared.heap[key];
}

bool ffg_domain_memory_regions(const struct ffg_context *context, ffg_region_visit_fn visit,
			       void *data)
{
	(void)context;
	for (unsigned int n = 0; n < FFG_KEYS; n++) {
		struct ffg_region region = {
			.address = shared.base + n * shared.piece,
			.length = shared.piece,
			.kind = FFG_REGION_DOMAIN_HEAP,
			.state = FFG_REGION_CLOSED,
		};

		if (!shared.key[n])
			continue;
		ffg_region_name(&region, "heap of a domain, but to its own code");
		if (visit(&region, data))
			return true;
	}
	return false;
}

/* ---- with any rights ---- */

bool ffg_domain_memory_foreign(void)
{
	return shared.safe && ffg_rdpkru() & shared.safe;
}

unsigned int ffg_domain_memory_running(void)
{
	uint32_t open;

	if (!ffg_domain_memory_foreign())
		return 0;
	open = ~ffg_rdpkru() & shared.keys;
	return open ? (unsigned int)__builtin_ctz(open) / 2 : 0;
}

bool ffg_domain_memory_owns(const void *address)
{
	return (uintptr_t)address - shared.base < shared.length;
}

struct ffg_domain_heap *ffg_domain_memory_find(const void *address, unsigned int *key)
{
	*key = shared.key[((uintptr_t)address - shared.base) >> shared.shift];
	return shared.heap[*key];
}
