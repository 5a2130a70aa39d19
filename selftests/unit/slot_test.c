// SPDX-License-Identifier: GPL-2.0-only
/* The slot policy of the module, in user space. */
#include "kselftest_harness.h"

#include "slot.c"

#define KEYS(slots)	((1U << ((slots) + 1)) - 2)

static unsigned int bits(u32 mask)
{
	return __builtin_popcount(mask);
}

/* A mask of slot numbers as the mask of their PKRU bits. */
static u32 mask_of(const struct ffg_slots *slots, unsigned int numbers)
{
	u32 mask = 0;

	for (unsigned int i = 0; i < slots->count; i++) {
		if (numbers & 1U << i)
			mask |= ffg_slot_bit(&slots->slot[i]);
	}
	return mask;
}

static void bind(struct ffg_slots *slots, unsigned int number)
{
	ffg_slot_set_bound(slots, &slots->slot[number], true);
	ffg_slot_touch(slots, &slots->slot[number]);
}

TEST(donated_keys_become_slots)
{
	struct ffg_slots slots;

	ffg_slots_init(&slots, 1U << 3 | 1U << 7 | 1U << 15);
	ASSERT_EQ(3, slots.count);
	EXPECT_EQ(3, slots.slot[0].key);
	EXPECT_EQ(7, slots.slot[1].key);
	EXPECT_EQ(15, slots.slot[2].key);
	EXPECT_EQ(1U << 6 | 1U << 14 | 1U << 30, slots.all);
	EXPECT_EQ(0, slots.bound);

	ffg_slots_init(&slots, 0);
	EXPECT_EQ(0, slots.count);
	EXPECT_EQ(0, slots.all);
}

TEST(key_zero_is_never_a_slot)
{
	struct ffg_slots slots;

	ffg_slots_init(&slots, 0xffff);
	EXPECT_EQ(15, slots.count);
	EXPECT_EQ(0, slots.all & 3);
	for (unsigned int i = 0; i < slots.count; i++)
		EXPECT_NE(0, slots.slot[i].key);
}

TEST(free_before_bound_then_the_coldest)
{
	struct ffg_slot_plan plan = { .writers = 1 };
	struct ffg_slots slots;

	ffg_slots_init(&slots, KEYS(3));
	bind(&slots, 0);
	bind(&slots, 1);
	ASSERT_EQ(0, ffg_slot_plan(&slots, &plan));
	EXPECT_EQ(2, plan.slot[0]);

	bind(&slots, 2);
	ASSERT_EQ(0, ffg_slot_plan(&slots, &plan));
	EXPECT_EQ(0, plan.slot[0]);

	ffg_slot_touch(&slots, &slots.slot[0]);
	ASSERT_EQ(0, ffg_slot_plan(&slots, &plan));
	EXPECT_EQ(1, plan.slot[0]);
}

TEST(what_is_dissolved_is_used_again)
{
	struct ffg_slot_plan plan = { .readers = 1 };
	struct ffg_slots slots;

	ffg_slots_init(&slots, KEYS(3));
	bind(&slots, 1);
	plan.must = mask_of(&slots, 1U << 1);
	ASSERT_EQ(0, ffg_slot_plan(&slots, &plan));
	EXPECT_EQ(1, plan.slot[0]);
}

TEST(read_only_and_writable_grants_never_share)
{
	struct ffg_slot_plan plan = { .readers = 5, .writers = 5 };
	struct ffg_slots slots;

	ffg_slots_init(&slots, KEYS(2));
	ASSERT_EQ(0, ffg_slot_plan(&slots, &plan));
	EXPECT_TRUE(plan.shared);
	ASSERT_EQ(2, plan.count);
	EXPECT_NE(plan.slot[0], plan.slot[1]);

	ffg_slots_init(&slots, KEYS(1));
	EXPECT_EQ(-EBUSY, ffg_slot_plan(&slots, &plan));

	plan = (struct ffg_slot_plan){ .readers = 5 };
	ASSERT_EQ(0, ffg_slot_plan(&slots, &plan));
	EXPECT_EQ(1, plan.count);
}

/* More grants than there can be slots must not run over the end of plan->slot. */
TEST(more_grants_than_slots)
{
	struct ffg_slot_plan plan = { .readers = 100, .writers = 100 };
	struct ffg_slots slots;

	ffg_slots_init(&slots, KEYS(15));
	ASSERT_EQ(0, ffg_slot_plan(&slots, &plan));
	EXPECT_TRUE(plan.shared);
	EXPECT_EQ(2, plan.count);
}

static void check_plan(struct __test_metadata *_metadata, const struct ffg_slots *slots,
		       const struct ffg_slot_plan *asked)
{
	struct ffg_slot_plan plan = *asked;
	unsigned int want = plan.readers + plan.writers;
	unsigned int few = !!plan.readers + !!plan.writers;
	u32 usable = slots->all & ~(plan.keep | plan.held);
	u32 seen = 0, dissolved;
	int error = ffg_slot_plan(slots, &plan);

	ASSERT_EQ(asked->keep, plan.keep);
	ASSERT_EQ(asked->held, plan.held);
	ASSERT_EQ(asked->must, plan.must);
	if (asked->must & asked->held || bits(usable) < few) {
		ASSERT_EQ(-EBUSY, error);
		return;
	}
	ASSERT_EQ(0, error);
	ASSERT_EQ(bits(usable) < want, plan.shared);
	ASSERT_EQ(plan.shared ? few : want, plan.count);
	for (unsigned int i = 0; i < plan.count; i++) {
		u32 bit = ffg_slot_bit(&slots->slot[plan.slot[i]]);

		ASSERT_LT(plan.slot[i], slots->count);
		ASSERT_EQ(0, bit & seen);
		seen |= bit;
	}
	ASSERT_EQ(seen, plan.taken);
	ASSERT_EQ(0, seen & ~usable);

	/* Nothing else is evicted as long as one that goes anyway is not taken. */
	dissolved = asked->must & usable;
	if (seen & ~dissolved)
		ASSERT_EQ(dissolved, seen & dissolved);
}

TEST(every_plan_of_three_slots)
{
	struct ffg_slots slots;

	for (unsigned int code = 0; code < 8 * 8 * 8 * 8 * 5 * 5; code++) {
		unsigned int rest = code, bound = rest & 7;
		struct ffg_slot_plan plan = { 0 };

		ffg_slots_init(&slots, KEYS(3));
		for (unsigned int i = 0; i < 3; i++) {
			if (bound & 1U << i)
				bind(&slots, i);
		}
		rest >>= 3;
		plan.keep = mask_of(&slots, rest & 7);
		rest >>= 3;
		plan.must = mask_of(&slots, rest & 7);
		rest >>= 3;
		plan.held = mask_of(&slots, rest & 7);
		rest >>= 3;
		plan.readers = rest % 5;
		plan.writers = rest / 5;
		/* No record keeps what it has to give up. */
		if (plan.keep & plan.must)
			continue;
		check_plan(_metadata, &slots, &plan);
	}
}

TEST_HARNESS_MAIN
