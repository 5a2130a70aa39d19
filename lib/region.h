/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is closed to foreign code, region by region. */
#ifndef FFG_REGION_H
#define FFG_REGION_H

#include "internal.h"

#pragma GCC visibility push(hidden)

/* True: enough, stop. */
typedef bool (*ffg_region_visit_fn)(const struct ffg_region *region, void *data);
/* Visits the regions that one part of the library knows; true if @visit returned it. */
typedef bool (*ffg_region_list_fn)(const struct ffg_context *context, ffg_region_visit_fn visit,
				   void *data);

/* Async-signal-safe; cuts off what is too long. */
void ffg_region_name(struct ffg_region *region, const char *name);
/*
 * The closed region at @address, of those that can be asked about in a signal handler; false: in
 * none.  Opens SAFE meanwhile if it is closed.  Async-signal-safe.
 */
bool ffg_region_find(const struct ffg_context *context, uintptr_t address,
		     struct ffg_region *region);

/* thread.c: foreign stacks */
bool ffg_thread_regions(const struct ffg_context *context, ffg_region_visit_fn visit, void *data);

#pragma GCC visibility pop

#endif /* FFG_REGION_H */
