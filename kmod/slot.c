// SPDX-License-Identifier: GPL-2.0-only
/* Slot policy: pure code. */
#include <linux/errno.h>
#include <linux/types.h>

#include "slot.h"

/**
 * ffg_slots_init() - donated keys become slots
 * @slots: table
 * @keys: mask of keys, bits 1 to 15
 */
void ffg_slots_init(struct ffg_slots *slots, u32 keys)
{
	*slots = (struct ffg_slots){ 0 };
	for (unsigned int key = 1; key < 16; key++) {
		struct ffg_slot *slot = &slots->slot[slots->count];

		if (!(keys & 1U << key))
			continue;
		slot->key = key;
		slots->index[key] = slots->count;
		slots->all |= ffg_slot_bit(slot);
		slots->count++;
	}
}

/**
 * ffg_slot_bit() - a slot as a mask: the access-disable bit of its key in PKRU
 * @slot: slot
 *
 * Return: the mask.
 */
u32 ffg_slot_bit(const struct ffg_slot *slot)
{
	return 1U << 2 * slot->key;
}

/**
 * ffg_slot_touch() - a slot was bound or found bound
 * @slots: table
 * @slot: slot
 */
void ffg_slot_touch(struct ffg_slots *slots, struct ffg_slot *slot)
{
	slot->used = ++slots->clock;
}

/**
 * ffg_slot_set_bound() - pages carry the slot's key from now on, or no longer
 * @slots: table
 * @slot: slot
 * @bound: which
 */
void ffg_slot_set_bound(struct ffg_slots *slots, const struct ffg_slot *slot, bool bound)
{
	if (bound)
		slots->bound |= ffg_slot_bit(slot);
	else
		slots->bound &= ~ffg_slot_bit(slot);
}

/* Place of the lowest slot of a mask. */
static unsigned int ffg_slot_lowest(const struct ffg_slots *slots, u32 mask)
{
	return slots->index[__builtin_ctz(mask) / 2];
}

/*
 * The best slot that is neither kept, held nor taken; -1: none.  What is dissolved anyway
 * is best, then what is free, then what is coldest.
 */
static int ffg_slot_best(const struct ffg_slots *slots, const struct ffg_slot_plan *plan)
{
	u32 can = slots->all & ~(plan->keep | plan->held | plan->taken);
	unsigned int best;

	if (!can)
		return -1;
	if (can & plan->must)
		return ffg_slot_lowest(slots, can & plan->must);
	if (can & ~slots->bound)
		return ffg_slot_lowest(slots, can & ~slots->bound);
	best = ffg_slot_lowest(slots, can);
	for (unsigned int i = best + 1; i < slots->count; i++)
		if (slots->slot[i].used < slots->slot[best].used &&
		    can & ffg_slot_bit(&slots->slot[i]))
			best = i;
	return best;
}

static int ffg_slot_take(const struct ffg_slots *slots, struct ffg_slot_plan *plan,
			 unsigned int want)
{
	plan->taken = 0;
	plan->count = 0;
	while (plan->count < want) {
		int best = ffg_slot_best(slots, plan);

		if (best < 0)
			return -EBUSY;
		plan->taken |= ffg_slot_bit(&slots->slot[best]);
		plan->slot[plan->count++] = best;
	}
	return 0;
}

/**
 * ffg_slot_plan() - choose slots for the grants of one record
 * @slots: table
 * @plan: what is wanted, and the answer
 *
 * One slot for each grant if there are enough that nobody holds; else one for all read-only
 * grants and one for all writable ones: grants of different rights must never share, or the
 * read-only ones would become writable.
 *
 * Return: 0, or -EBUSY if too few slots are left or one that has to be dissolved is held.
 */
int ffg_slot_plan(const struct ffg_slots *slots, struct ffg_slot_plan *plan)
{
	unsigned int want = plan->readers + plan->writers;

	plan->shared = false;
	plan->taken = 0;
	plan->count = 0;
	if (plan->must & plan->held)
		return -EBUSY;
	if (want <= slots->count && !ffg_slot_take(slots, plan, want))
		return 0;
	plan->shared = true;
	return ffg_slot_take(slots, plan, !!plan->readers + !!plan->writers);
}
