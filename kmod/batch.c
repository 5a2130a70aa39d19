// SPDX-License-Identifier: GPL-2.0-only
/* Arrays of the ioctls. */
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "batch.h"

/**
 * ffg_batch_in() - copy an array from user space
 * @user: its address
 * @count: entries
 * @size: bytes of an entry
 *
 * Return: the array, for kvfree(), or an ERR_PTR().
 */
void *ffg_batch_in(u64 user, u32 count, size_t size)
{
	void *array;

	if (!count || count > FFG_BATCH_MAX)
		return ERR_PTR(-EINVAL);
	array = kvmalloc_array(count, size, GFP_KERNEL_ACCOUNT);
	if (!array)
		return ERR_PTR(-ENOMEM);
	if (copy_from_user(array, u64_to_user_ptr(user), count * size)) {
		kvfree(array);
		return ERR_PTR(-EFAULT);
	}
	return array;
}

/**
 * ffg_batch_out() - copy an array to user space
 * @user: where to
 * @array: array
 * @count: entries
 * @size: bytes of an entry
 *
 * Return: 0 or -EFAULT.
 */
int ffg_batch_out(u64 user, const void *array, u32 count, size_t size)
{
	return copy_to_user(u64_to_user_ptr(user), array, count * size) ? -EFAULT : 0;
}

/**
 * ffg_damages_begin() - prepare to collect damages
 * @damages: collection
 * @user: where the caller wants them
 * @room: how many fit there
 *
 * Sees to it that @user can be written, so that nothing has to be undone later.
 *
 * Return: 0, -ENOMEM or -EFAULT.
 */
int ffg_damages_begin(struct ffg_damages *damages, u64 user, u32 room)
{
	*damages = (struct ffg_damages){ .user = user, .room = min(room, FFG_BATCH_MAX) };
	if (!damages->room)
		return 0;
	damages->list = kvcalloc(damages->room, sizeof(*damages->list), GFP_KERNEL_ACCOUNT);
	if (!damages->list)
		return -ENOMEM;
	if (clear_user(u64_to_user_ptr(user), damages->room * sizeof(*damages->list))) {
		kvfree(damages->list);
		return -EFAULT;
	}
	return 0;
}

/**
 * ffg_damages_add() - one more
 * @damages: collection
 * @damage: what was found
 */
void ffg_damages_add(struct ffg_damages *damages, const struct ffg_damage *damage)
{
	if (damages->found < damages->room)
		damages->list[damages->found] = *damage;
	damages->found++;
}

/**
 * ffg_damages_end() - tell user space, free the collection
 * @damages: collection
 * @found: out: how many were found; NULL: the command failed, nothing is told
 *
 * Return: 0 or -EFAULT.
 */
int ffg_damages_end(struct ffg_damages *damages, u32 *found)
{
	u32 count = min(damages->found, damages->room);
	int err = 0;

	if (found) {
		*found = damages->found;
		if (count)
			err = ffg_batch_out(damages->user, damages->list, count,
					    sizeof(*damages->list));
	}
	kvfree(damages->list);
	return err;
}
