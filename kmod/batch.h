/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arrays of the ioctls: copied in before any lock is taken, copied out after all are
 * dropped.
 */
#ifndef FFG_BATCH_H
#define FFG_BATCH_H

#include <linux/types.h>
#include <linux/ffiguard.h>

void *ffg_batch_in(u64 user, u32 count, size_t size);
int ffg_batch_out(u64 user, const void *array, u32 count, size_t size);

/**
 * struct ffg_damages - damaged slacks found by a command
 * @user: where the caller wants them
 * @room: how many fit there
 * @found: how many were found, perhaps more
 * @list: the first @room of them
 */
struct ffg_damages {
	u64 user;
	u32 room;
	u32 found;
	struct ffg_damage *list;
};

int ffg_damages_begin(struct ffg_damages *damages, u64 user, u32 room);
void ffg_damages_add(struct ffg_damages *damages, const struct ffg_damage *damage);
int ffg_damages_end(struct ffg_damages *damages, u32 *found);

#endif /* FFG_BATCH_H */
