/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that exists already and is closed to foreign code: stacks, static data, ranges. */
#ifndef FFG_CLOSED_H
#define FFG_CLOSED_H

#include "region.h"

#pragma GCC visibility push(hidden)

/* The stack of the calling thread, if the context closes stacks; 0 or an error code that is set. */
int ffg_closed_thread(struct ffg_context *context, struct ffg_thread *thread);
/* The thread detaches, ends, or its context closes: its stack is ordinary memory again. */
void ffg_closed_thread_end(struct ffg_thread *thread);
/* The static data that the options name; with the context.  0 or an error code that is set. */
int ffg_closed_open(struct ffg_context *context);
/* Everything is ordinary memory again: with the context, and in a forked child. */
void ffg_closed_release(void);
/* For region.c; async-signal-safe. */
bool ffg_closed_regions(const struct ffg_context *context, ffg_region_visit_fn visit, void *data);

#pragma GCC visibility pop

#endif /* FFG_CLOSED_H */
