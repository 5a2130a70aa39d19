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

/*
 * Is @a a better choice than @b?  What is dissolved anyway, then what is free, then the
 * coldest.
 */
static bool ffg_slot_better(const struct ffg_slot *a, const struct ffg_slot *b, u32 must)
{
	bool must_a = ffg_slot_bit(a) & must, must_b = ffg_slot_bit(b) & must;

	if (must_a != must_b)
		return must_a;
	if (a->bound != b->bound)
		return b->bound;
	return a->used < b->used;
}

/* The best slot that is neither kept, held nor taken; -1: none. */
static int ffg_slot_best(const struct ffg_slots *slots, const struct ffg_slot_plan *plan)
{
	int best = -1;

	for (unsigned int i = 0; i < slots->count; i++) {
		const struct ffg_slot *slot = &slots->slot[i];

		if (ffg_slot_bit(slot) & (plan->keep | plan->held | plan->taken))
			continue;
		if (best < 0 || ffg_slot_better(slot, &slots->slot[best], plan->must))
			best = i;
	}
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
