// SPDX-License-Identifier: GPL-2.0-only
/* Objects: allocation, freeing, slack, and what lies at an address. */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "batch.h"
#include "context.h"
#include "frame.h"
#include "mutant.h"
#include "object.h"
#include "poison.h"
#include "trace.h"

/* Objects of up to this many pages get their frames and PTEs when they are allocated. */
#define FFG_POPULATE_PAGES	4UL

/**
 * ffg_object_find() - a living object by its handle
 * @ctx: context
 * @handle: any number
 *
 * The caller holds the arena mutex.  Return: the object or NULL.
 */
struct ffg_object *ffg_object_find(struct ffg_context *ctx, u64 handle)
{
	struct ffg_extent *extent = ffg_arena_by_handle(ctx, handle);

	return extent ? extent->object : NULL;
}

/* Slack of a page of the object: up to two ranges [0, *head) and [*tail, PAGE_SIZE). */
static void ffg_object_slack(const struct ffg_object *object, unsigned long page,
			     size_t *head, size_t *tail)
{
	u64 end = object->head + object->length;

	*head = page ? 0 : object->head;
	*tail = page == object->pages - 1 ? end - page * PAGE_SIZE : PAGE_SIZE;
}

/**
 * ffg_object_set_frame() - give a page of an object its frame; poisons slack
 * @object: object
 * @page: number of the page
 * @frame: zeroed frame
 */
void ffg_object_set_frame(struct ffg_object *object, unsigned long page, struct page *frame)
{
	size_t head, tail;

	ffg_object_slack(object, page, &head, &tail);
	ffg_poison_fill(page_address(frame), 0, head, ffg_poison);
	ffg_poison_fill(page_address(frame), tail, PAGE_SIZE, ffg_poison);
	object->frames[page] = frame;
}

/* One slack range of one page: widen [*first, *last] of the object by what was overwritten. */
static bool ffg_slack_scan(const struct ffg_object *object, unsigned long page,
			   size_t from, size_t to, s64 *first, s64 *last)
{
	s64 shift = (s64)(page * PAGE_SIZE) - (s64)object->head;
	size_t low, high;

	if (from >= to || !object->frames[page] || FFG_MUTANT(POISON_CHECK) ||
	    ffg_poison_check(page_address(object->frames[page]), from, to, ffg_poison, &low, &high))
		return false;
	*first = min(*first, (s64)low + shift);
	*last = max(*last, (s64)high + shift);
	return true;
}

/**
 * ffg_object_damaged() - was the slack of an object overwritten?
 * @ctx: context, for its counters
 * @object: object
 * @damage: out: where
 *
 * The caller holds the arena mutex.  Return: true if it was.
 */
bool ffg_object_damaged(struct ffg_context *ctx, const struct ffg_object *object,
			struct ffg_damage *damage)
{
	unsigned long end = object->pages - 1;
	s64 first = S64_MAX, last = S64_MIN;
	bool found = false;
	size_t head, tail;

	ffg_object_slack(object, 0, &head, &tail);
	found |= ffg_slack_scan(object, 0, 0, head, &first, &last);
	ffg_object_slack(object, end, &head, &tail);
	found |= ffg_slack_scan(object, end, tail, PAGE_SIZE, &first, &last);
	if (!found)
		return false;
	damage->object = object->handle;
	damage->offset = first;
	damage->length = last - first + 1;
	ffg_count(ctx, FFG_STAT_DAMAGES);
	return true;
}

/**
 * ffg_object_release() - free the memory of an object that is nowhere mapped or listed
 * @ctx: context
 * @object: object
 */
void ffg_object_release(struct ffg_context *ctx, struct ffg_object *object)
{
	for (unsigned long page = 0; page < object->pages; page++) {
		if (object->frames[page])
			ffg_frame_free(ctx, object->frames[page]);
		if (page % 512 == 511)
			cond_resched();
	}
	ffg_uncharge(ctx, FFG_OBJECTS, 1);
	kvfree(object);
}

/* An object with no address yet, and its frames if it is small. */
static struct ffg_object *ffg_object_new(struct ffg_context *ctx,
					 const struct ffg_object_desc *desc)
{
	u64 length = desc->length;
	u32 align = desc->align;
	struct ffg_object *object;
	unsigned long pages, room;
	int err;

	if (!length || desc->flags & ~FFG_OBJECT_START)
		return ERR_PTR(-EINVAL);
	if (length > FFG_OBJECT_MAX)
		return ERR_PTR(-EFBIG);
	if (!align)
		align = min_t(u64, 16, length & -length);
	if (!is_power_of_2(align) || align > FFG_ALIGN_MAX)
		return ERR_PTR(-EINVAL);

	err = ffg_charge(ctx, FFG_OBJECTS, 1);
	if (err)
		return ERR_PTR(err);
	pages = DIV_ROUND_UP(length, PAGE_SIZE);
	object = kvzalloc(struct_size(object, frames, pages), GFP_KERNEL_ACCOUNT);
	if (!object) {
		ffg_uncharge(ctx, FFG_OBJECTS, 1);
		return ERR_PTR(-ENOMEM);
	}
	room = pages * PAGE_SIZE - length;
	object->pages = pages;
	object->head = desc->flags & FFG_OBJECT_START ? 0 : round_down(room, align);
	object->length = length;
	object->flags = desc->flags;
	INIT_LIST_HEAD(&object->by_binding);
	INIT_LIST_HEAD(&object->grants);

	for (unsigned long page = 0; pages <= FFG_POPULATE_PAGES && page < pages; page++) {
		struct page *frame = ffg_frame_alloc(ctx);

		if (IS_ERR(frame)) {
			ffg_object_release(ctx, object);
			return ERR_CAST(frame);
		}
		ffg_object_set_frame(object, page, frame);
	}
	return object;
}

/* Give every object of a batch its address, or none.  -EAGAIN: address space went to others. */
static int ffg_object_place(struct ffg_context *ctx, struct ffg_object **objects,
			    struct ffg_object_desc *desc, u32 count)
{
	int err = ffg_arena_enter(ctx);
	u32 i;

	if (err)
		return err;
	for (i = 0; i < count; i++) {
		struct ffg_object *object = objects[i];

		object->extent = ffg_arena_take(ctx, ffg_arena_class(object->pages), object->pages,
						&object->start, &object->handle);
		if (!object->extent)
			break;
	}
	if (i < count) {
		while (i--)
			ffg_arena_untake(ctx, objects[i]->extent);
		err = -EAGAIN;
		goto unlock;
	}
	for (i = 0; i < count; i++) {
		struct ffg_object *object = objects[i];

		object->extent->object = object;
		object->extent->base = ffg_object_base(object);
		object->extent->length = object->length;
		desc[i].object = object->handle;
		desc[i].address = ffg_object_base(object);
		if (object->pages <= FFG_POPULATE_PAGES)
			ffg_arena_map(ctx, object, 0, object->pages);
		trace_ffg_alloc(object->handle, desc[i].address, object->length);
		ffg_count(ctx, FFG_STAT_ALLOCS);
	}
unlock:
	ffg_arena_leave(ctx);
	return err;
}

/* See to it that the batch can have its addresses. */
static int ffg_object_reserve(struct ffg_context *ctx, struct ffg_object **objects, u32 count)
{
	unsigned long need[FFG_CLASSES] = { 0 };

	for (u32 i = 0; i < count; i++)
		need[ffg_arena_class(objects[i]->pages)]++;
	return ffg_arena_reserve(ctx, need);
}

/* May all of the batch be freed?  Marks them, to find one that stands there twice. */
static int ffg_object_may_retire(struct ffg_context *ctx, const u64 *handles, u32 count)
{
	struct ffg_object *object;
	int err = 0;
	u32 i;

	for (i = 0; i < count && !err; i++) {
		object = ffg_object_find(ctx, handles[i]);
		if (!object || object->retiring)
			err = -ENOENT;
		else if (object->grant_count)
			err = -EBUSY;
		else
			object->retiring = true;
	}
	/* The one that failed was not marked by this batch, or is marked already. */
	for (i -= !!err; err && i--;)
		ffg_object_find(ctx, handles[i])->retiring = false;
	return err;
}

/*
 * Take objects out of the arena and free them: all or none.  Their address space goes to
 * the quarantine.
 */
static int ffg_object_retire(struct ffg_context *ctx, const u64 *handles, u32 count,
			     struct ffg_damages *damages)
{
	struct ffg_object *object, *next;
	struct ffg_damage damage;
	LIST_HEAD(retired);
	int err = ffg_arena_enter(ctx);

	if (err)
		return err;
	err = ffg_object_may_retire(ctx, handles, count);
	for (u32 i = 0; !err && i < count; i++) {
		object = ffg_object_find(ctx, handles[i]);
		if (damages && ffg_object_damaged(ctx, object, &damage))
			ffg_damages_add(damages, &damage);
		WARN_ON_ONCE(object->binding);	/* a binding lives by grants */
		ffg_arena_zap(ctx, object, 0, object->pages);
		ffg_arena_give(ctx, object->extent);
		list_add_tail(&object->grants, &retired);
		trace_ffg_free(object->handle);
		ffg_count(ctx, FFG_STAT_FREES);
	}
	ffg_arena_leave(ctx);
	list_for_each_entry_safe(object, next, &retired, grants)
		ffg_object_release(ctx, object);
	return err;
}

/**
 * ffg_object_alloc() - FFG_IOC_OBJECT_ALLOC
 * @ctx: context
 * @arg: argument
 *
 * Return: 0 or an error of struct ffg_object_alloc.
 */
int ffg_object_alloc(struct ffg_context *ctx, struct ffg_object_alloc *arg)
{
	struct ffg_object_desc *desc;
	struct ffg_object **objects;
	u32 made = 0;
	int err;

	if (arg->flags || arg->reserved)
		return -EINVAL;
	/* Not mapped yet, or not any more: it was marked dead before. */
	if (!READ_ONCE(ctx->arena.vma))
		return READ_ONCE(ctx->dead) ? -ESHUTDOWN : -ENODATA;
	desc = ffg_batch_in(arg->objects, arg->count, sizeof(*desc));
	if (IS_ERR(desc))
		return PTR_ERR(desc);
	objects = kcalloc(arg->count, sizeof(*objects), GFP_KERNEL);
	if (!objects) {
		err = -ENOMEM;
		goto free_desc;
	}
	for (; made < arg->count; made++) {
		objects[made] = ffg_object_new(ctx, &desc[made]);
		if (IS_ERR(objects[made])) {
			err = PTR_ERR(objects[made]);
			goto free_objects;
		}
	}
	do {
		err = ffg_object_reserve(ctx, objects, made);
		if (!err)
			err = ffg_object_place(ctx, objects, desc, made);
	} while (err == -EAGAIN && !fatal_signal_pending(current));
	if (err)
		goto free_objects;
	err = ffg_batch_out(arg->objects, desc, made, sizeof(*desc));
	/*
	 * The objects live: if their addresses cannot be told, they are freed like any
	 * other.
	 */
	for (u32 i = 0; err && i < made; i++)
		ffg_object_retire(ctx, &desc[i].object, 1, NULL);
	made = 0;

free_objects:
	while (made--)
		ffg_object_release(ctx, objects[made]);
	kfree(objects);
free_desc:
	kvfree(desc);
	return err == -EAGAIN ? -EINTR : err;
}

/**
 * ffg_object_free() - FFG_IOC_OBJECT_FREE
 * @ctx: context
 * @arg: argument
 *
 * Return: 0 or an error of struct ffg_object_batch.
 */
int ffg_object_free(struct ffg_context *ctx, struct ffg_object_batch *arg)
{
	struct ffg_damages damages;
	u64 *handles;
	int err;

	if (arg->flags)
		return -EINVAL;
	handles = ffg_batch_in(arg->objects, arg->count, sizeof(*handles));
	if (IS_ERR(handles))
		return PTR_ERR(handles);
	err = ffg_damages_begin(&damages, arg->damage, arg->damage_count);
	if (err)
		goto free_handles;
	err = ffg_object_retire(ctx, handles, arg->count, &damages);
	err = ffg_damages_end(&damages, err ? NULL : &arg->damage_count) ?: err;
free_handles:
	kvfree(handles);
	return err;
}

/**
 * ffg_object_check() - FFG_IOC_OBJECT_CHECK
 * @ctx: context
 * @arg: argument
 *
 * Return: 0 or an error of struct ffg_object_batch.
 */
int ffg_object_check(struct ffg_context *ctx, struct ffg_object_batch *arg)
{
	struct ffg_damages damages;
	struct ffg_damage damage;
	u64 *handles;
	int err;

	if (arg->flags)
		return -EINVAL;
	handles = ffg_batch_in(arg->objects, arg->count, sizeof(*handles));
	if (IS_ERR(handles))
		return PTR_ERR(handles);
	err = ffg_damages_begin(&damages, arg->damage, arg->damage_count);
	if (err)
		goto free_handles;
	mutex_lock(&ctx->lock);
	for (u32 i = 0; !err && i < arg->count; i++) {
		struct ffg_object *object = ffg_object_find(ctx, handles[i]);

		if (!object)
			err = -ENOENT;
		else if (ffg_object_damaged(ctx, object, &damage))
			ffg_damages_add(&damages, &damage);
	}
	mutex_unlock(&ctx->lock);
	err = ffg_damages_end(&damages, err ? NULL : &arg->damage_count) ?: err;
free_handles:
	kvfree(handles);
	return err;
}

static bool ffg_object_in(u64 address, unsigned long base, unsigned long size)
{
	return base && address - base < size;
}

/* Lines or records? */
static bool ffg_object_control(struct ffg_context *ctx, u64 address)
{
	return ffg_object_in(address, ctx->lines.base[FFG_LINES_RW], FFG_LINES_SIZE) ||
	       ffg_object_in(address, ctx->lines.base[FFG_LINES_RO], FFG_LINES_SIZE) ||
	       ffg_object_in(address, ctx->records.base, FFG_RECORDS_SIZE);
}

/**
 * ffg_object_describe() - what lies at an address
 * @ctx: context
 * @address: any address
 * @out: answer
 *
 * The caller holds the arena mutex.
 */
void ffg_object_describe(struct ffg_context *ctx, u64 address, struct ffg_object_query *out)
{
	const struct ffg_extent *extent = ffg_arena_lookup(ctx, address);
	const struct ffg_object *object;
	unsigned long page;

	*out = (struct ffg_object_query){ .address = address, .where = FFG_WHERE_OUTSIDE };
	if (ffg_object_control(ctx, address))
		out->where = FFG_WHERE_CONTROL;
	if (ffg_object_in(address, ctx->arena.base, ctx->arena.size))
		out->where = FFG_WHERE_UNUSED;
	if (!extent || !extent->base)
		return;
	out->base = extent->base;
	out->length = extent->length;
	out->offset = address - extent->base;
	out->where = FFG_WHERE_FREED;
	object = extent->object;
	if (!object)
		return;
	out->object = object->handle;
	out->placement = object->flags;
	out->grants = object->grant_count;
	out->where = FFG_WHERE_GUARD;
	page = (address - object->start) >> PAGE_SHIFT;
	if (address < object->start || page >= object->pages)
		return;
	if (ffg_object_bound_at(object, page))
		out->slot = object->binding->key;
	out->where = (u64)out->offset < out->length ? FFG_WHERE_OBJECT : FFG_WHERE_SLACK;
}

/**
 * ffg_object_query() - FFG_IOC_OBJECT_QUERY
 * @ctx: context
 * @arg: argument, in and out
 *
 * Return: 0 or -EINVAL.
 */
int ffg_object_query(struct ffg_context *ctx, struct ffg_object_query *arg)
{
	u32 size = arg->size;

	if (arg->flags)
		return -EINVAL;
	mutex_lock(&ctx->lock);
	ffg_object_describe(ctx, arg->address, arg);
	mutex_unlock(&ctx->lock);
	arg->size = size;
	return 0;
}
