// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slots: more objects than there are, who gets one, and how long one is kept from others. All of
 * it while two threads of foreign code spin, one on each CPU, that hold no slot.
 */
#include "kselftest_harness.h"

#include "slots.h"

FIXTURE(slot)
{
	struct slots s;
};

FIXTURE_VARIANT(slot)
{
	unsigned int slots;
};

FIXTURE_VARIANT_ADD(slot, one)
{
	.slots = 1,
};

FIXTURE_VARIANT_ADD(slot, two)
{
	.slots = 2,
};

FIXTURE_VARIANT_ADD(slot, five)
{
	.slots = 5,
};

FIXTURE_SETUP(slot)
{
	ASSERT_EQ(0, slots_open(&self->s, variant->slots));
	ASSERT_EQ(variant->slots, self->s.raw.slot_count);
}

FIXTURE_TEARDOWN(slot)
{
	EXPECT_EQ(0, slots_close(&self->s));
}

TEST_F(slot, more_objects_than_slots)
{
	struct thing things[12];
	struct ffg_stats before, after;

	for (unsigned int i = 0; i < 12; i++)
		ASSERT_EQ(0, thing_new(&self->s, i % 3 ? 64 : 3 * RAW_PAGE, INOUT, &things[i]));
	raw_stats(&self->s.raw, 0, &before);
	for (unsigned int round = 0; round < 5; round++)
		for (unsigned int i = 0; i < 12; i++) {
			unsigned int other = (i + 1 + round) % 12;

			ASSERT_EQ(0, thing_write(&self->s, &things[i], &things[i], i + round))
				TH_LOG("round %u, object %u", round, i);
			ASSERT_EQ(i + round, *things[i].at);
			if (other == i)
				continue;
			/* Its neighbours had the same slot, or will have it. */
			ASSERT_EQ(RAW_PKUERR,
				  thing_write(&self->s, &things[i], &things[other], 99));
			ASSERT_EQ(RAW_PKUERR, thing_read(&self->s, &things[i], &things[other]));
		}
	raw_stats(&self->s.raw, 0, &after);
	/*
	 * Each call found its slot taken by others, with the least recently used one going first.
	 */
	EXPECT_EQ(5 * 12, after.binds - before.binds);
	EXPECT_LE(5 * 12 - variant->slots, after.evictions - before.evictions);
}

TEST_F(slot, the_coldest_is_evicted)
{
	struct thing things[6];
	unsigned int slots = variant->slots;

	for (unsigned int i = 0; i <= slots; i++)
		ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &things[i]));
	for (unsigned int i = 0; i < slots; i++)
		ASSERT_EQ(0, thing_write(&self->s, &things[i], &things[i], 1));
	/* Bound anew, in the other order: the last one is the coldest. */
	for (unsigned int i = slots; i--;) {
		struct ffg_grant_desc grant = raw_whole(&things[i].desc, INOUT);
		struct ffg_record_id id;

		ASSERT_EQ(0, raw_grant(&self->s.raw, &grant, 1, FFG_BIND_NOW, &id));
	}
	ASSERT_EQ(0, thing_write(&self->s, &things[slots], &things[slots], 1));
	for (unsigned int i = 0; i < slots; i++) {
		EXPECT_EQ(i + 1 != slots, thing_slot(&self->s, &things[i]) != 0)
			TH_LOG("object %u of %u", i, slots);
	}
	EXPECT_NE(0, thing_slot(&self->s, &things[slots]));
}

/* Grants of one record share by rights if there are too few slots; two is enough for any record. */
TEST_F(slot, one_record_with_more_grants_than_slots)
{
	struct ffg_grant_desc grants[8];
	struct thing things[8];
	struct ffg_record_id id;
	unsigned int keys[2] = { 0 };
	struct ffg_stats stats;
	int err;

	for (unsigned int i = 0; i < 8; i++) {
		ASSERT_EQ(0, thing_new(&self->s, 64 + 700 * i, IN, &things[i]));
		grants[i] = raw_whole(&things[i].desc, i % 2 ? INOUT : IN);
	}
	err = raw_grant(&self->s.raw, grants, 8, FFG_BIND_NOW, &id);
	if (variant->slots == 1) {
		/* Read-only and writable can never share: no slot for one of them. */
		EXPECT_EQ(-EBUSY, err);
		for (unsigned int i = 0; i < 8; i++)
			grants[i].rights = IN;
		EXPECT_EQ(0, raw_grant(&self->s.raw, grants, 8, FFG_BIND_NOW, &id));
		return;
	}
	ASSERT_EQ(0, err);
	for (unsigned int i = 0; i < 8; i++) {
		struct thing as = { .id = id };
		unsigned int slot = thing_slot(&self->s, &things[i]);

		ASSERT_NE(0, slot);
		ASSERT_TRUE(!keys[i % 2] || keys[i % 2] == slot);
		keys[i % 2] = slot;
		ASSERT_EQ(0, thing_read(&self->s, &as, &things[i]));
		ASSERT_EQ(i % 2 ? 0 : RAW_PKUERR, thing_write(&self->s, &as, &things[i], 7));
	}
	EXPECT_NE(keys[0], keys[1]);
	raw_stats(&self->s.raw, 0, &stats);
	EXPECT_EQ(2, stats.shared);

	/* A record of one of the objects alone must not open what shares its slot. */
	ASSERT_EQ(0, thing_read(&self->s, &things[0], &things[0]));
	for (unsigned int i = 1; i < 8; i++)
		ASSERT_EQ(RAW_PKUERR, thing_read(&self->s, &things[0], &things[i]));
}

/*
 * Every slot is warm with one of the objects alone, and there is one object more: they have to
 * share what nobody holds, and not be told that it is busy.
 */
TEST_F(slot, warm_slots_are_given_up_to_share)
{
	struct ffg_grant_desc grants[6];
	unsigned int count = variant->slots + 1;
	struct thing things[6];
	struct ffg_record_id id;

	for (unsigned int i = 0; i < count; i++) {
		ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &things[i]));
		grants[i] = raw_whole(&things[i].desc, INOUT);
	}
	for (unsigned int i = 0; i < variant->slots; i++)
		ASSERT_EQ(0, thing_write(&self->s, &things[i], &things[i], 1));
	EXPECT_EQ(0, raw_grant(&self->s.raw, grants, count, FFG_BIND_NOW, &id))
		TH_LOG("warm slots were not given up");
	for (unsigned int i = 0; i < count; i++) {
		struct thing as = { .id = id };

		EXPECT_EQ(0, thing_write(&self->s, &as, &things[i], 2));
	}
}

TEST_F(slot, held_slots_are_not_handed_on)
{
	struct thing things[6], late;
	struct spinner *holders = self->s.holders;
	unsigned int slots = variant->slots;

	for (unsigned int i = 0; i < slots; i++) {
		ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &things[i]));
		ASSERT_EQ(0, slots_hold(&self->s, &holders[i], &things[i], i % 2));
	}
	ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &late));
	for (unsigned int round = 0; round < 50; round++) {
		EXPECT_EQ(-EBUSY, raw_bind(&self->s.raw, &late.id, 0, 0))
			TH_LOG("a slot was handed on that a thread has open");
	}
	for (unsigned int i = 0; i < slots; i++)
		EXPECT_NE(0, thing_slot(&self->s, &things[i]));
	/* One lets go: that slot it is, and no other. */
	EXPECT_EQ(0, spinner_stop(&holders[slots - 1]));
	EXPECT_EQ(0, raw_bind(&self->s.raw, &late.id, 0, 0));
	EXPECT_EQ(0, thing_slot(&self->s, &things[slots - 1]));
	for (unsigned int i = 0; i + 1 < slots; i++) {
		EXPECT_NE(0, thing_slot(&self->s, &things[i]));
		EXPECT_EQ(0, spinner_stop(&holders[i]))
			TH_LOG("the holder of a slot was stopped");
	}
}

/* What an interrupted call holds stands in another word of the line, and counts as well. */
TEST_F(slot, slots_of_interrupted_calls_are_held)
{
	struct thing thing, late;
	struct ffg_line *line = &self->s.raw.lines[0];
	unsigned int busy = 0;

	ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &thing));
	ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &late));
	ASSERT_EQ(0, raw_bind(&self->s.raw, &thing.id, 0, 0));
	line->outer = raw_word(&self->s.raw, &thing.id);
	for (unsigned int i = 0; i < variant->slots; i++) {
		busy += raw_bind(&self->s.raw, &late.id, 0, 0) == -EBUSY;
		EXPECT_NE(0, thing_slot(&self->s, &thing))
			TH_LOG("a slot was handed on that an interrupted call has open");
		ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &late));
	}
	/* With one slot there is nothing else to be had. */
	EXPECT_EQ(variant->slots == 1, busy != 0);
	EXPECT_EQ(variant->slots == 1 ? -EDEADLK : 0,
		  raw_bind(&self->s.raw, &late.id, FFG_BIND_WAIT, 0));
	line->outer = FFG_LINE_IDLE;
	EXPECT_EQ(0, raw_bind(&self->s.raw, &late.id, 0, 0));
}

/* As many grants as a record can have, of both rights, and as many slots as there can be. */
TEST(the_largest_record)
{
	static struct thing things[FFG_GRANTS_MAX + 1];
	struct ffg_grant_desc grants[FFG_GRANTS_MAX + 1];
	struct ffg_record_id id;
	struct slots s = { 0 };

	ASSERT_EQ(0, slots_open(&s, 14));
	ASSERT_LE(10, s.raw.slot_count);
	for (unsigned int i = 0; i <= FFG_GRANTS_MAX; i++) {
		ASSERT_EQ(0, thing_new(&s, 1 + 100 * i, IN, &things[i]));
		grants[i] = raw_whole(&things[i].desc, i % 3 ? INOUT : IN);
		/* Some are warm. */
		if (i % 5 == 0)
			ASSERT_EQ(0, thing_read(&s, &things[i], &things[i]));
	}
	EXPECT_EQ(-EINVAL, raw_grant(&s.raw, grants, FFG_GRANTS_MAX + 1, FFG_BIND_NOW, &id));
	ASSERT_EQ(0, raw_grant(&s.raw, grants, FFG_GRANTS_MAX, FFG_BIND_NOW, &id));
	for (unsigned int i = 0; i <= FFG_GRANTS_MAX; i++) {
		struct thing as = { .id = id };
		bool granted = i < FFG_GRANTS_MAX;

		ASSERT_EQ(granted ? 0 : RAW_PKUERR, thing_read(&s, &as, &things[i]));
		ASSERT_EQ(granted && i % 3 ? 0 : RAW_PKUERR, thing_write(&s, &as, &things[i], i));
	}
	EXPECT_EQ(0, slots_close(&s));
}

/* ---- keys ---- */

TEST_F(slot, key_freed_behind_the_modules_back)
{
	struct thing things[2];
	struct ffg_grant_desc grant;
	struct ffg_record_id id;
	struct ffg_stats before, after;
	int key = 31 - __builtin_clz(self->s.raw.slots);

	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &things[i]));
	ASSERT_EQ(0, thing_write(&self->s, &things[0], &things[0], 1));
	ASSERT_EQ(0, pkey_free(key));
	raw_stats(&self->s.raw, 0, &before);
	EXPECT_EQ(-EKEYREVOKED, raw_bind(&self->s.raw, &things[1].id, 0, 0));
	EXPECT_EQ(-EKEYREVOKED, raw_bind(&self->s.raw, &things[1].id, FFG_BIND_WAIT, 0));
	grant = raw_whole(&things[1].desc, INOUT);
	EXPECT_EQ(-EKEYREVOKED, raw_grant(&self->s.raw, &grant, 1, FFG_BIND_NOW, &id));
	raw_stats(&self->s.raw, 0, &after);
	EXPECT_EQ(before.records, after.records);
	EXPECT_EQ(before.binds, after.binds);
	/* What needs no key goes on. */
	EXPECT_EQ(0, raw_revoke(&self->s.raw, &things[0].id));
	/* And all does when it is back. */
	ASSERT_EQ(key, pkey_alloc(0, 0));
	EXPECT_EQ(0, thing_write(&self->s, &things[1], &things[1], 1));
}

TEST_HARNESS_MAIN
