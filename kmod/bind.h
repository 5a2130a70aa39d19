/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_BIND_H
#define FFG_BIND_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/ffiguard.h>

#include "slot.h"

struct ffg_context;
struct ffg_object;

/**
 * struct ffg_binding - what carries the key of a slot
 * @key: the slot's protection key
 * @wide: it is that of a domain, not of a slot
 * @rights: rights under which every record uses it, if it binds several objects
 * @count: length of @objects
 * @objects: bound objects; which of their pages is in the objects
 *
 * One for each slot, and one for each domain, of which only @key and @wide are used.  Under the
 * arena mutex.
 */
struct ffg_binding {
	u8 key;
	bool wide;
	u32 rights;
	unsigned int count;
	struct list_head objects;
};

struct ffg_call_record;

void ffg_record_stale(struct ffg_call_record *record);
void ffg_bindings_init(struct ffg_context *ctx);
void ffg_bind_dissolve(struct ffg_context *ctx, struct ffg_binding *binding);
int ffg_bind_record(struct ffg_context *ctx, u32 index, u64 serial, bool wait, u64 timeout_ns);
int ffg_bind(struct ffg_context *ctx, struct ffg_bind *arg);

#endif /* FFG_BIND_H */
