/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The trusted heap, for the rest of the library. */
#ifndef FFG_HEAP_H
#define FFG_HEAP_H

#include "internal.h"
#include "region.h"

#pragma GCC visibility push(hidden)

/*
 * Once, before the fork handlers of the context are installed: handlers that run before fork()
 * take the locks in the reverse order.  0 or an error code that is set.
 */
int ffg_heap_prepare(void);
/* Let the heap carry SAFE; under context_mutex, SAFE is open.  0 or an error code that is set. */
int ffg_heap_open(const struct ffg_context *context);
/* The heap carries key 0 again; the context's keys are still taken. */
void ffg_heap_close(void);
/* The same in a forked child, where there is one thread. */
void ffg_heap_fork(void);
/* Before foreign code can run in this thread: what the allocator keeps for it is closed. */
int ffg_heap_attach(void);
/* Is @address in the heap or in what the allocator keeps about it?  Async-signal-safe. */
bool ffg_heap_owns(uintptr_t address);
/* For region.c; async-signal-safe. */
bool ffg_heap_regions(const struct ffg_context *context, ffg_region_visit_fn visit, void *data);

#pragma GCC visibility pop

#endif /* FFG_HEAP_H */
