// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Guarded objects.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DAMAGE_MAX	16	/* told in one report */

static int alloc(struct ffg_context *context, struct ffg_object_desc *objects, unsigned int count)
{
	struct ffg_object_alloc request = {
		.size = sizeof(request),
		.count = count,
		.objects = (uintptr_t)objects,
	};
	int error = ffg_context_check(context);

	if (error)
		return error;
	error = ffg_sys_ioctl(context, FFG_IOC_OBJECT_ALLOC, &request);
	if (!error)
		return 0;
	if (count == 1)
		return ffg_fail_errno(error, "object of %llu bytes, alignment %u, flags %#x",
				      (unsigned long long)objects->length, objects->align,
				      objects->flags);
	return ffg_fail_errno(error, "%u objects", count);
}

void *ffg_object_alloc_aligned(struct ffg_context *context, size_t length, size_t align,
			       unsigned int flags)
{
	struct ffg_object_desc object = { .length = length, .flags = flags };

	if (align > FFG_ALIGN_MAX || (align & (align - 1))) {
		ffg_fail(FFG_E_INVAL, "alignment %zu is no power of two up to %d", align,
			 FFG_ALIGN_MAX);
		return NULL;
	}
	object.align = (uint32_t)align;
	return alloc(context, &object, 1) ? NULL : (void *)(uintptr_t)object.address;
}

void *ffg_object_alloc(struct ffg_context *context, size_t length, unsigned int flags)
{
	return ffg_object_alloc_aligned(context, length, 0, flags);
}

int ffg_object_alloc_batch(struct ffg_context *context, struct ffg_object_desc *objects,
			   unsigned int count)
{
	if (!objects || !count || count > FFG_BATCH_MAX)
		return ffg_fail(FFG_E_INVAL, "1 to %d objects in a batch", FFG_BATCH_MAX);
	return alloc(context, objects, count);
}

static int query(struct ffg_context *context, const void *address, struct ffg_object_query *query)
{
	int error;

	memset(query, 0, sizeof(*query));
	query->size = sizeof(*query);
	query->address = (uintptr_t)address;
	error = ffg_sys_ioctl(context, FFG_IOC_OBJECT_QUERY, query);
	return error ? ffg_fail_errno(error, "address %p", address) : 0;
}

int ffg_object_query(struct ffg_context *context, const void *address,
		     struct ffg_object_query *result)
{
	int error = ffg_context_check(context);

	if (error)
		return error;
	if (!result)
		return ffg_fail(FFG_E_INVAL, "query is NULL");
	return query(context, address, result);
}

/* The handle of the object that begins at @address. */
static int name_of(struct ffg_context *context, const void *address, struct ffg_object_name *name)
{
	struct ffg_object_query what;
	int error = query(context, address, &what);

	if (error)
		return error;
	if (what.where == FFG_WHERE_FREED)
		return ffg_fail(FFG_E_NOT_OBJECT, "the object at %p was freed already", address);
	if (what.where != FFG_WHERE_OBJECT)
		return ffg_fail(FFG_E_NOT_OBJECT, "%p is no guarded object", address);
	if (what.offset)
		return ffg_fail(FFG_E_NOT_OBJECT, "%p is %lld bytes inside the object at %#llx",
				address, (long long)what.offset, (unsigned long long)what.base);
	*name = (struct ffg_object_name){ what.object, what.base, what.length };
	return 0;
}

static int batch(struct ffg_context *context, unsigned long command, const uint64_t *handles,
		 unsigned int count, struct ffg_damage *damage, unsigned int *damages)
{
	struct ffg_object_batch request = {
		.size = sizeof(request),
		.count = count,
		.damage_count = *damages,
		.objects = (uintptr_t)handles,
		.damage = (uintptr_t)damage,
	};
	int error = ffg_sys_ioctl(context, command, &request);

	*damages = request.damage_count;
	return error;
}

static int free_named(struct ffg_context *context, const struct ffg_object_name *names,
		      unsigned int count)
{
	struct ffg_damage damage[DAMAGE_MAX];
	uint64_t handles[FFG_BATCH_MAX];
	unsigned int damages = DAMAGE_MAX;
	int error;

	for (unsigned int n = 0; n < count; n++)
		handles[n] = names[n].object;
	error = batch(context, FFG_IOC_OBJECT_FREE, handles, count, damage, &damages);
	if (error == EBUSY)
		return ffg_fail(FFG_E_BUSY, "a call grants the object: revoke it first");
	if (error)
		return ffg_fail_errno(error, "free of %u objects", count);
	if (!damages)
		return 0;
	ffg_violation_damage("freed", NULL, names, count, damage,
			     damages < DAMAGE_MAX ? damages : DAMAGE_MAX);
	return ffg_fail(FFG_E_DAMAGED, "%s (%u objects; they are freed)",
			ffg_strerror(FFG_E_DAMAGED), damages);
}

int ffg_object_free(struct ffg_context *context, void *object)
{
	return ffg_object_free_batch(context, &object, object ? 1 : 0);
}

int ffg_object_free_batch(struct ffg_context *context, void *const *objects, unsigned int count)
{
	struct ffg_object_name names[FFG_BATCH_MAX];
	unsigned int used = 0;
	int error = ffg_context_check(context);

	if (error)
		return error;
	if (!objects || count > FFG_BATCH_MAX)
		return ffg_fail(FFG_E_INVAL, "0 to %d objects in a batch", FFG_BATCH_MAX);
	for (unsigned int n = 0; n < count; n++) {
		if (!objects[n])
			continue;
		error = name_of(context, objects[n], &names[used++]);
		if (error)
			return error;
	}
	return used ? free_named(context, names, used) : 0;
}

int ffg_object_check(struct ffg_context *context, const void *object, struct ffg_damage *damage)
{
	struct ffg_damage found = { 0 };
	unsigned int damages = 1;
	struct ffg_object_name name;
	int error = ffg_context_check(context);

	if (error)
		return error;
	error = name_of(context, object, &name);
	if (error)
		return error;
	error = batch(context, FFG_IOC_OBJECT_CHECK, &name.object, 1, &found, &damages);
	if (error)
		return ffg_fail_errno(error, "check of the object at %p", object);
	if (!damages)
		return 0;
	if (damage)
		*damage = found;
	return ffg_fail(FFG_E_DAMAGED, "%s: %llu bytes from offset %lld of the object at %p",
			ffg_strerror(FFG_E_DAMAGED), (unsigned long long)found.length,
			(long long)found.offset, object);
}
