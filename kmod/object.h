/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_OBJECT_H
#define FFG_OBJECT_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/ffiguard.h>

struct ffg_binding;
struct ffg_context;
struct ffg_extent;
struct ffg_record_grant;

/**
 * struct ffg_object - one guarded object
 * @handle: what user space calls it; never reused
 * @extent: address space that it lies in
 * @start: address of its first page
 * @pages: number of its pages
 * @head: slack in front of it in the first page
 * @length: its bytes
 * @flags: placement
 * @binding: slot that some of its pages carry, or NULL: all carry SAFE
 * @bound_first: first page that carries the slot
 * @bound_pages: number of these pages
 * @opened: domain-wide grant that has bound it, or NULL
 * @by_binding: in binding->objects
 * @grants: grants of call records that cite it
 * @grant_count: length of @grants
 * @mapped: pages may have PTEs
 * @retiring: stands in the batch that is being freed
 * @frames: a frame for each page, or NULL where none was needed yet
 *
 * All of it under the arena mutex.
 */
struct ffg_object {
	u64 handle;
	struct ffg_extent *extent;
	unsigned long start;
	unsigned long pages;
	unsigned long head;
	u64 length;
	u32 flags;
	struct ffg_binding *binding;
	unsigned long bound_first;
	unsigned long bound_pages;
	const struct ffg_record_grant *opened;
	struct list_head by_binding;
	struct list_head grants;
	unsigned int grant_count;
	bool mapped;
	bool retiring;
	struct page *frames[];
};

static inline unsigned long ffg_object_base(const struct ffg_object *object)
{
	return object->start + object->head;
}

static inline bool ffg_object_bound_at(const struct ffg_object *object, unsigned long page)
{
	return object->binding && page >= object->bound_first &&
	       page - object->bound_first < object->bound_pages;
}

struct ffg_object *ffg_object_find(struct ffg_context *ctx, u64 handle);
bool ffg_object_damaged(struct ffg_context *ctx, const struct ffg_object *object,
			struct ffg_damage *damage);
void ffg_object_set_frame(struct ffg_object *object, unsigned long page, struct page *frame);
void ffg_object_describe(struct ffg_context *ctx, u64 address, struct ffg_object_query *out);
void ffg_object_release(struct ffg_context *ctx, struct ffg_object *object);

int ffg_object_alloc(struct ffg_context *ctx, struct ffg_object_alloc *arg);
int ffg_object_free(struct ffg_context *ctx, struct ffg_object_batch *arg);
int ffg_object_check(struct ffg_context *ctx, struct ffg_object_batch *arg);
int ffg_object_query(struct ffg_context *ctx, struct ffg_object_query *arg);

#endif /* FFG_OBJECT_H */
