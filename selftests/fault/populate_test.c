// SPDX-License-Identifier: GPL-2.0-only
/* Pages that come with the first touch: by whom, how many, with what in them. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

#define AROUND	16		/* pages that one touch brings at most */

FIXTURE(populate)
{
	struct raw raw;
	struct ffg_object_desc desc;
	struct ffg_stats stats;
};

FIXTURE_SETUP(populate)
{
	ASSERT_EQ(0, raw_open(&self->raw, 4));
	raw_catch_faults();
}

FIXTURE_TEARDOWN(populate)
{
	raw_close(&self->raw);
}

#define FRAMES() ({								\
	ASSERT_EQ(0, raw_stats(&self->raw, 0, &self->stats));			\
	self->stats.frames;							\
})

TEST_F(populate, as_touched)
{
	volatile char *at;

	/* Small ones at once, large ones not. */
	ASSERT_EQ(0, raw_alloc(&self->raw, 4 * RAW_PAGE, 0, &self->desc));
	EXPECT_EQ(4, FRAMES());
	ASSERT_EQ(0, raw_free(&self->raw, self->desc.object));
	ASSERT_EQ(0, raw_alloc(&self->raw, 100 * RAW_PAGE, FFG_OBJECT_START, &self->desc));
	EXPECT_EQ(0, FRAMES());
	at = (char *)self->desc.address;

	at[50 * RAW_PAGE] = 1;
	EXPECT_LE(1, FRAMES());
	EXPECT_GE(AROUND, self->stats.frames);
	/* Around it: no fault more. */
	for (int i = 48; i < 64; i++)
		EXPECT_EQ(i == 50, at[i * RAW_PAGE]);
	EXPECT_EQ(AROUND, FRAMES());
	EXPECT_EQ(1, self->stats.faults);
	/* The last block is a short one. */
	at[100 * RAW_PAGE - 1] = 1;
	EXPECT_EQ(AROUND + 4, FRAMES());
	for (int i = 0; i < 100; i++)
		at[i * RAW_PAGE + 7] = i;
	EXPECT_EQ(100, FRAMES());
	EXPECT_EQ(7, self->stats.faults);
	for (int i = 0; i < 100; i++)
		EXPECT_EQ((char)i, at[i * RAW_PAGE + 7]);
	ASSERT_EQ(0, raw_free(&self->raw, self->desc.object));
	EXPECT_EQ(0, FRAMES());
}

/* Slack comes with its page, whenever that is and whoever brings it. */
TEST_F(populate, slack_of_late_pages)
{
	const uint64_t length = 90 * RAW_PAGE + 1000;
	struct ffg_damage damage;
	volatile char *at;

	for (uint32_t flags = 0; flags <= FFG_OBJECT_START; flags++) {
		self->desc = (struct ffg_object_desc){
			.length = length,
			.align = 512,
			.flags = flags,
		};
		ASSERT_EQ(0, raw_alloc_batch(&self->raw, &self->desc, 1));
		at = (char *)self->desc.address;
		EXPECT_EQ(0, raw_check(&self->raw, self->desc.object, &damage));
		/* First touched from the middle: nothing of slack is there. */
		at[45 * RAW_PAGE] = 1;
		EXPECT_EQ(0, raw_check(&self->raw, self->desc.object, &damage));
		/* The first touch of the last page is the damage itself. */
		at[length + 3] = ~at[length + 3];
		ASSERT_EQ(1, raw_check(&self->raw, self->desc.object, &damage));
		EXPECT_EQ(length + 3, damage.offset);
		EXPECT_EQ(1, damage.length);
		at[length + 3] = ~at[length + 3];
		EXPECT_EQ(0, raw_check(&self->raw, self->desc.object, &damage));
		if (!flags) {
			at[-1] ^= 1;
			ASSERT_EQ(1, raw_check(&self->raw, self->desc.object, &damage));
			EXPECT_EQ(-1, damage.offset);
			at[-1] ^= 1;
		}
		for (uint64_t i = 0; i < length; i++)
			if (i != 45 * RAW_PAGE)
				ASSERT_EQ(0, at[i]);
		EXPECT_EQ(0, raw_check(&self->raw, self->desc.object, &damage));
		ASSERT_EQ(0, raw_free(&self->raw, self->desc.object));
	}
}

/* A page that a call touches first carries the call's slot if it was granted, and not otherwise. */
TEST_F(populate, first_touch_in_a_call)
{
	struct raw *raw = &self->raw;
	struct ffg_grant_desc range;
	struct ffg_record_id id;
	struct raw_call call;
	char *at;

	ASSERT_EQ(0, raw_alloc(raw, 64 * RAW_PAGE, FFG_OBJECT_START, &self->desc));
	at = (char *)self->desc.address;
	range = raw_range(self->desc.object, 8 * RAW_PAGE, 24 * RAW_PAGE, FFG_RIGHT_READ);
	ASSERT_EQ(0, raw_grant(raw, &range, 1, FFG_BIND_NOW, &id));
	ASSERT_TRUE(raw_enter(raw, 0, &id, &call));
	/* From the side that is not granted, so that its block reaches over. */
	EXPECT_EQ(RAW_PKUERR, raw_touch_as(call.fpkru, at, false));
	EXPECT_EQ(RAW_PKUERR, raw_touch_as(call.fpkru, at + 8 * RAW_PAGE, true));
	for (int i = 0; i < 64; i++) {
		EXPECT_EQ(i >= 8 && i < 32 ? 0 : RAW_PKUERR,
			  raw_touch_as(call.fpkru, at + i * RAW_PAGE, false)) {
			TH_LOG("page %d", i);
		}
	}
	raw_leave(&call);
	ASSERT_EQ(0, raw_revoke(raw, &id));
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(RAW_PKUERR, raw_touch_as(call.fpkru, at + i * RAW_PAGE, false));
}

/* ---- two threads ---- */

#define PAGES	512

struct toucher {
	volatile uint64_t *words;
	pthread_barrier_t *barrier;
	unsigned int which;
	int wrong;
};

/* Every other word of every page is this thread's. */
static void *touch_all(void *data)
{
	struct toucher *toucher = data;
	const unsigned int words = RAW_PAGE / sizeof(uint64_t);

	pthread_barrier_wait(toucher->barrier);
	for (unsigned int page = 0; page < PAGES; page++)
		for (unsigned int i = toucher->which; i < words; i += 64) {
			volatile uint64_t *word = toucher->words + page * words + i;

			toucher->wrong += *word != 0;
			*word = (uint64_t)page << 32 | i;
		}
	return NULL;
}

TEST_F(populate, concurrent_first_touches)
{
	const unsigned int words = RAW_PAGE / sizeof(uint64_t);

	for (int round = 0; round < 10; round++) {
		struct toucher touchers[2];
		pthread_barrier_t barrier;
		pthread_t threads[2];
		volatile uint64_t *at;

		ASSERT_EQ(0, raw_alloc(&self->raw, PAGES * RAW_PAGE, FFG_OBJECT_START,
				       &self->desc));
		at = (void *)self->desc.address;
		pthread_barrier_init(&barrier, NULL, 2);
		for (unsigned int i = 0; i < 2; i++) {
			touchers[i] = (struct toucher){
				.words = at,
				.barrier = &barrier,
				.which = i,
			};
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, touch_all, &touchers[i]));
		}
		for (int i = 0; i < 2; i++)
			pthread_join(threads[i], NULL);
		for (unsigned int page = 0; page < PAGES; page++)
			for (unsigned int i = 0; i < words; i++) {
				ASSERT_EQ(i % 64 < 2 ? (uint64_t)page << 32 | i : 0,
					  at[page * words + i]) {
					TH_LOG("page %u word %u", page, i);
				}
			}
		EXPECT_EQ(0, touchers[0].wrong);
		EXPECT_EQ(0, touchers[1].wrong);
		/* One frame for each page, whoever was first. */
		EXPECT_EQ(PAGES, FRAMES());
		ASSERT_EQ(0, raw_free(&self->raw, self->desc.object));
	}
}

TEST_HARNESS_MAIN
