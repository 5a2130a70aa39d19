/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slots: protection keys that are handed to objects in turn.  Which slot goes to whom is
 * pure policy, with no lock, no mm and no allocation: selftests/unit compiles it in user
 * space.
 */
#ifndef FFG_SLOT_H
#define FFG_SLOT_H

#include <linux/types.h>

#define FFG_SLOTS_MAX	15

/**
 * struct ffg_slot - one donated key
 * @key: protection key
 * @used: value of the clock when it was last bound or found bound
 */
struct ffg_slot {
	u8 key;
	u64 used;
};

/**
 * struct ffg_slots - all of a context
 * @count: how many
 * @bound: slots whose key pages carry
 * @all: their access-disable bits in PKRU; masks of slots are made of these bits
 * @clock: counts uses
 * @index: place in @slot, by key
 * @slot: the slots
 */
struct ffg_slots {
	unsigned int count;
	u32 bound;
	u32 all;
	u64 clock;
	u8 index[16];
	struct ffg_slot slot[FFG_SLOTS_MAX];
};

/**
 * struct ffg_slot_plan - slots for the grants of one record
 * @keep: in: slots that the record uses as they are
 * @must: in: slots whose binding stands in the way and has to be dissolved
 * @held: in: slots that a thread may have open
 * @readers: in: read-only grants that need a slot
 * @writers: in: writable grants that need one
 * @shared: out: all read-only grants go to one slot, all writable ones to another
 * @taken: out: the slots
 * @count: out: length of @slot
 * @slot: out: which: with @shared the readers' first, if there are any, then the writers';
 *	else one for each grant
 */
struct ffg_slot_plan {
	u32 keep;
	u32 must;
	u32 held;
	unsigned int readers;
	unsigned int writers;
	bool shared;
	u32 taken;
	unsigned int count;
	u8 slot[FFG_SLOTS_MAX];
};

void ffg_slots_init(struct ffg_slots *slots, u32 keys);
u32 ffg_slot_bit(const struct ffg_slot *slot);
void ffg_slot_set_bound(struct ffg_slots *slots, const struct ffg_slot *slot, bool bound);
void ffg_slot_touch(struct ffg_slots *slots, struct ffg_slot *slot);
int ffg_slot_plan(const struct ffg_slots *slots, struct ffg_slot_plan *plan);

#endif /* FFG_SLOT_H */
