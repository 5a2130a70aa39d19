/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory of domains: for each protection key that the context has for domains one piece of
 * address space with the heap of the domains that have the key.
 */
#ifndef FFG_DOMAIN_MEMORY_H
#define FFG_DOMAIN_MEMORY_H

#include "domain_heap.h"
#include "internal.h"
#include "region.h"

#pragma GCC visibility push(hidden)

/* With the context, which has its keys: heaps that carry them.  0 or an error code that is set. */
int ffg_domain_memory_open(const struct ffg_context *context);
/* The heaps stay, with key 0: libraries may be loaded still that have memory of them. */
void ffg_domain_memory_close(void);
/* The same in a forked child. */
void ffg_domain_memory_fork(void);
/* Around fork(), in the order of locks after all others. */
void ffg_domain_memory_lock(void);
void ffg_domain_memory_unlock(void);
/*
 * Copies of the heap of a key, while no code of the domain runs: NULL: no memory, which is set;
 * put one back; free one, or NULL.
 */
struct ffg_domain_copy;
struct ffg_domain_copy *ffg_domain_memory_copy(unsigned int key);
void ffg_domain_memory_restore(unsigned int key, const struct ffg_domain_copy *copy);
void ffg_domain_memory_discard(struct ffg_domain_copy *copy);
/* The heap of a key, NULL: it is no domain's.  Async-signal-safe. */
struct ffg_domain_heap *ffg_domain_memory_heap(unsigned int key);
/* For region.c; async-signal-safe. */
bool ffg_domain_memory_regions(const struct ffg_context *context, ffg_region_visit_fn visit,
			       void *data);

/* ---- for code that runs with any rights (domain_malloc.c) ---- */

/* The key of the domain whose code runs here; 0: trusted code, or code of no such domain. */
unsigned int ffg_domain_memory_running(void);
/* Does the calling code run without the rights of trusted code? */
bool ffg_domain_memory_foreign(void);
/* Is @address in a heap of a domain? */
bool ffg_domain_memory_owns(const void *address);
/* In which; NULL: in none, or no context is open. */
struct ffg_domain_heap *ffg_domain_memory_find(const void *address, unsigned int *key);

/* ---- domain_malloc.c ---- */

/* Is the calling thread in the middle of changing a heap?  Async-signal-safe. */
bool ffg_domain_malloc_inside(void);
/*
 * Let the libraries that were not loaded @before, of those that @handle (of dlopen()) needs, take
 * their memory from the heap of the domain that runs.  0 or an error code that is set.
 */
struct ffg_loaded_list;
int ffg_domain_malloc_bind(const struct ffg_loaded_list *before, const void *handle);

#pragma GCC visibility pop

#endif /* FFG_DOMAIN_MEMORY_H */
