/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heap of a domain: foreign libraries that share one protection key. */
#ifndef FFG_DOMAIN_HEAP_H
#define FFG_DOMAIN_HEAP_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/*
 * Lies at the beginning of its range, where everything is that it knows.  Foreign code of the
 * domain can write that, so all of these functions are for foreign mode: what they are told by
 * a spoilt heap spoils, or ends, the caller.
 *
 * Any thread may call any of these at any time, but for ffg_domain_heap_make() and
 * ffg_domain_heap_fork_child(); none is for handlers of signals.  A thread that is ended inside
 * of one leaves the heap locked, and perhaps half changed.
 */
struct ffg_domain_heap;

/*
 * A heap in the @size bytes at @base, which are zeroed, private, anonymous memory (what
 * MADV_DONTNEED zeroes).  @base is a multiple of 64 KiB, @size one of 1 MiB, 2^40 at most; else
 * NULL, and nothing was written.
 */
struct ffg_domain_heap *ffg_domain_heap_make(void *base, size_t size);

/*
 * @size bytes at a multiple of @align (a power of two, 1 GiB at most) and of 16.  A block of 0
 * bytes is one, too, and is nobody else's.  With @zero all of it is zeroed up to its usable size.
 * NULL: errno is EINVAL (@align) or ENOMEM.
 */
void *ffg_domain_heap_alloc(struct ffg_domain_heap *heap, size_t align, size_t size, bool zero);

/*
 * The block at @address with room for @size bytes (0, too), moved if need be, to a multiple of
 * 16.  Without an address: ffg_domain_heap_alloc().  NULL: errno is ENOMEM, and the block is
 * what it was.
 */
void *ffg_domain_heap_realloc(struct ffg_domain_heap *heap, void *address, size_t size);

/* NULL is nothing to free.  Leaves errno as it is. */
void ffg_domain_heap_free(struct ffg_domain_heap *heap, void *address);

/* What the block at @address has room for; 0: no living block begins there. */
size_t ffg_domain_heap_usable(const struct ffg_domain_heap *heap, const void *address);

/*
 * How many bytes from the beginning of the range were ever written, or are of blocks: a multiple
 * of the page size, which never falls.  All behind is zero.  Who keeps a copy of so much, taken
 * with the heap locked, and puts it back, zeroes what is behind it and calls
 * ffg_domain_heap_fork_child(), has the heap of that moment.
 */
size_t ffg_domain_heap_used(const struct ffg_domain_heap *heap);

/*
 * Around fork(): lock before it, unlock after it in the parent.  Also to look at the heap while
 * it stands still.  Not recursive.
 */
void ffg_domain_heap_lock(struct ffg_domain_heap *heap);
void ffg_domain_heap_unlock(struct ffg_domain_heap *heap);

/* Unlocked, whoever locked it: in a forked child, or after putting a copy back; one thread. */
void ffg_domain_heap_fork_child(struct ffg_domain_heap *heap);

/*
 * By the library: no living block begins at @address, which was to be freed or resized.  Called
 * before anything was changed, with the heap unlocked.
 */
void ffg_domain_heap_bad(const void *address) __attribute__((noreturn));

#pragma GCC visibility pop

#endif /* FFG_DOMAIN_HEAP_H */
