// SPDX-License-Identifier: GPL-2.0-only
/* Grants: call records come to life with their grants, and end. */
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "batch.h"
#include "bind.h"
#include "context.h"
#include "domain.h"
#include "grant.h"
#include "object.h"
#include "trace.h"

#define FFG_USER_WORDS	ARRAY_SIZE(((struct ffg_record *)0)->user)

/* Copy the grants of a record in, which nobody else knows yet. */
static int ffg_grant_in(struct ffg_call_record *record, u64 user)
{
	const struct ffg_grant_desc __user *from = u64_to_user_ptr(user);
	u32 reserved, bad = 0;

	if (!record->count)
		return 0;
	if (!user_read_access_begin(from, record->count * sizeof(*from)))
		return -EFAULT;
	for (unsigned int i = 0; i < record->count; i++) {
		struct ffg_record_grant *grant = &record->grants[i];

		unsafe_get_user(grant->handle, &from[i].object, fault);
		unsafe_get_user(grant->offset, &from[i].offset, fault);
		unsafe_get_user(grant->length, &from[i].length, fault);
		unsafe_get_user(grant->rights, &from[i].rights, fault);
		unsafe_get_user(reserved, &from[i].reserved, fault);
		bad |= reserved;
	}
	user_read_access_end();
	return bad ? -EINVAL : 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

#define FFG_RIGHTS_BOTH	(FFG_RIGHT_READ | FFG_RIGHT_WRITE)

/* Check what does not need the objects. */
static int ffg_grant_valid(const struct ffg_call_record *record, unsigned int domain)
{
	const struct ffg_record_grant *grants = record->grants;

	for (unsigned int i = 0; i < record->count; i++) {
		if (!grants[i].length)
			return -EINVAL;
		if (grants[i].rights != FFG_RIGHT_READ &&
		    grants[i].rights != FFG_RIGHTS_BOTH &&
		    grants[i].rights != (FFG_RIGHTS_BOTH | FFG_RIGHT_DOMAIN))
			return -EINVAL;
		if (ffg_domain_wide(&grants[i]) && !domain)
			return -EINVAL;
		for (unsigned int j = 0; j < i; j++)
			if (grants[j].handle == grants[i].handle)
				return -EEXIST;
	}
	return 0;
}

/* Find the object of a grant and the pages; the caller holds the arena mutex. */
static int ffg_grant_resolve(struct ffg_context *ctx, struct ffg_record_grant *grant)
{
	struct ffg_object *object = ffg_object_find(ctx, grant->handle);
	u64 from, to;

	if (!object)
		return -ENOENT;
	if (grant->offset >= object->length || grant->length > object->length - grant->offset)
		return -ERANGE;
	from = object->head + grant->offset;
	to = from + grant->length;
	grant->object = object;
	grant->first = from >> PAGE_SHIFT;
	grant->pages = DIV_ROUND_UP(to, PAGE_SIZE) - grant->first;
	return 0;
}

/* The record comes to life with all its grants, or rests. */
static int ffg_grant_commit(struct ffg_context *ctx, struct ffg_call_record *record,
			    unsigned int domain, const u64 *user)
{
	int err = 0;

	mutex_lock(&ctx->lock);
	if (ctx->dead)
		err = -ESHUTDOWN;
	else if (!ctx->records.base || !ctx->arena.vma)
		err = -ENODATA;
	for (unsigned int i = 0; i < record->count && !err; i++)
		err = ffg_grant_resolve(ctx, &record->grants[i]);
	if (err) {
		ffg_record_rest(ctx, record);
		goto unlock;
	}
	for (unsigned int i = 0; i < record->count; i++) {
		struct ffg_record_grant *grant = &record->grants[i];

		record->wide |= ffg_domain_wide(grant);
		list_add_tail(&grant->by_object, &grant->object->grants);
		grant->object->grant_count++;
		trace_ffg_grant(record->index, grant->handle, grant->offset, grant->length,
				grant->rights);
		ffg_count(ctx, FFG_STAT_GRANTS);
	}
	ffg_record_publish(ctx, record, domain, user);
unlock:
	mutex_unlock(&ctx->lock);
	return err;
}

/* End the grants of a record.  The caller holds mmap_lock (read) and the arena mutex. */
static void ffg_record_revoke(struct ffg_context *ctx, struct ffg_call_record *record,
			      struct ffg_damages *damages)
{
	struct ffg_damage damage;

	if (record->revoked)
		return;
	record->revoked = true;
	WRITE_ONCE(record->shared->word, record->closed | FFG_WORD_STALE);
	if (record->wide)
		ffg_domain_close(ctx, record);
	for (unsigned int i = 0; i < record->count; i++) {
		struct ffg_record_grant *grant = &record->grants[i];
		struct ffg_object *object = grant->object;

		/*
		 * A thread may be inside a call with this record, and others inside calls
		 * with other records that grant the object too: the slot is closed to all,
		 * and those others bind anew.
		 */
		if (record->bound && object->binding && !object->binding->wide)
			ffg_bind_dissolve(ctx, object->binding);
		list_del(&grant->by_object);
		object->grant_count--;
		grant->object = NULL;
		if (damages && ffg_object_damaged(ctx, object, &damage))
			ffg_damages_add(damages, &damage);
	}
	trace_ffg_revoke(record->index, record->count);
	ffg_count(ctx, FFG_STAT_REVOKES);
}

/* May all of the batch be revoked?  Marks them, to find one that stands there twice. */
static int ffg_revoke_may(struct ffg_context *ctx, const struct ffg_record_id *ids, u32 count)
{
	struct ffg_call_record *record;
	int err = 0;
	u32 i;

	for (i = 0; i < count && !err; i++) {
		record = ffg_record_find(ctx, ids[i].record, ids[i].serial);
		if (!record || record->retiring)
			err = -ENOENT;
		else
			record->retiring = true;
	}
	if (err)
		i--;	/* the one that failed was not marked here */
	while (i--)
		ffg_record_find(ctx, ids[i].record, ids[i].serial)->retiring = false;
	return err;
}

/* Revoke all of the batch or none. */
static int ffg_revoke_commit(struct ffg_context *ctx, const struct ffg_record_id *ids, u32 count,
			     bool keep, struct ffg_damages *damages)
{
	int err = ffg_arena_enter(ctx);

	if (err)
		return err;
	err = ffg_revoke_may(ctx, ids, count);
	for (u32 i = 0; i < count && !err; i++) {
		struct ffg_call_record *record;

		record = ffg_record_find(ctx, ids[i].record, ids[i].serial);
		ffg_record_revoke(ctx, record, damages);
		if (!keep)
			ffg_record_rest(ctx, record);
	}
	ffg_arena_leave(ctx);
	return err;
}

/**
 * ffg_grant() - FFG_IOC_GRANT
 * @ctx: context
 * @arg: argument, in and out
 *
 * Return: 0 or an error of struct ffg_grant.
 */
int ffg_grant(struct ffg_context *ctx, struct ffg_grant *arg)
{
	struct ffg_call_record *record;
	u64 user[FFG_USER_WORDS];
	struct ffg_record_id id;
	bool wide;
	int err;

	if (arg->flags & ~(FFG_BIND_NOW | FFG_BIND_WAIT) || arg->count > FFG_GRANTS_MAX ||
	    arg->timeout_ns > NSEC_PER_SEC || arg->reserved ||
	    (arg->domain && (arg->domain > 15 || !(ctx->domains & BIT(arg->domain)))))
		return -EINVAL;
	if (!arg->user)
		memset(user, 0, sizeof(user));
	else if (copy_from_user(user, u64_to_user_ptr(arg->user), sizeof(user)))
		return -EFAULT;
	record = ffg_record_new(ctx, arg->count);
	if (IS_ERR(record))
		return PTR_ERR(record);
	err = ffg_grant_in(record, arg->grants);
	if (!err)
		err = ffg_grant_valid(record, arg->domain);
	if (err) {
		mutex_lock(&ctx->lock);
		ffg_record_rest(ctx, record);
		mutex_unlock(&ctx->lock);
		return err;
	}
	err = ffg_grant_commit(ctx, record, arg->domain, user);
	if (err)
		return err;
	/*
	 * It lives: another thread may revoke it from here on, so it is named, not pointed
	 * to.
	 */
	id = (struct ffg_record_id){ .record = record->index, .serial = record->serial };
	wide = record->wide;
	if (arg->flags & FFG_BIND_NOW && !wide) {
		err = ffg_bind_record(ctx, id.record, id.serial, arg->flags & FFG_BIND_WAIT,
				      arg->timeout_ns);
		if (err) {
			ffg_revoke_commit(ctx, &id, 1, false, NULL);
			return err;
		}
	}
	arg->record = id.record;
	arg->serial = id.serial;
	return 0;
}

/**
 * ffg_revoke() - FFG_IOC_REVOKE
 * @ctx: context
 * @arg: argument, in and out
 *
 * Return: 0 or an error of struct ffg_revoke.
 */
int ffg_revoke(struct ffg_context *ctx, struct ffg_revoke *arg)
{
	struct ffg_damages damages;
	struct ffg_record_id *ids;
	int err;

	if (arg->flags & ~FFG_REVOKE_KEEP)
		return -EINVAL;
	ids = ffg_batch_in(arg->records, arg->count, sizeof(*ids));
	if (IS_ERR(ids))
		return PTR_ERR(ids);
	for (u32 i = 0; i < arg->count; i++)
		if (ids[i].reserved) {
			err = -EINVAL;
			goto free_ids;
		}
	err = ffg_damages_begin(&damages, arg->damage, arg->damage_count);
	if (err)
		goto free_ids;
	err = ffg_revoke_commit(ctx, ids, arg->count, arg->flags & FFG_REVOKE_KEEP, &damages);
	err = ffg_damages_end(&damages, err ? NULL : &arg->damage_count) ?: err;
free_ids:
	kvfree(ids);
	return err;
}

/**
 * ffg_grants_end_all() - the arena was unmapped: nothing is granted or bound any more
 * @ctx: context
 *
 * PTEs are gone.  The caller holds the arena mutex.
 */
void ffg_grants_end_all(struct ffg_context *ctx)
{
	for (u32 index = 0; index < ctx->records.top; index++) {
		struct ffg_call_record *record = ffg_record_at(ctx, index);

		if (!record->serial)
			continue;
		record->revoked = true;
		list_del_init(&record->by_open);
		WRITE_ONCE(record->shared->word, record->closed | FFG_WORD_STALE);
		for (unsigned int i = 0; i < record->count; i++)
			record->grants[i].object = NULL;
	}
}
