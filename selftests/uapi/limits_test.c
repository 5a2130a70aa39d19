// SPDX-License-Identifier: GPL-2.0-only
/* Budgets: of a context, and of all contexts together. */
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "command.h"

FIXTURE(limits)
{
	struct scene scene;
};

FIXTURE_SETUP(limits)
{
	ASSERT_EQ(0, scene_open(&self->scene));
	ASSERT_EQ(0, scene_reach(&self->scene, STATE_OPEN));
	raw_catch_faults();
}

FIXTURE_TEARDOWN(limits)
{
	scene_close(&self->scene);
}

static int limits(const struct raw *raw, uint32_t flags, uint64_t objects, uint64_t frames,
		  uint64_t tables, struct ffg_limits *out)
{
	*out = (struct ffg_limits){
		.size = sizeof(*out),
		.flags = flags,
		.objects = objects,
		.frames = frames,
		.tables = tables,
	};
	return raw_ioctl(raw->fd, FFG_IOC_LIMITS, out);
}

/* Gives up CAP_SYS_RESOURCE; all others stay. */
static int drop_capability(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -errno;
	data[0].effective &= ~(1U << CAP_SYS_RESOURCE);
	data[0].permitted &= ~(1U << CAP_SYS_RESOURCE);
	return syscall(SYS_capset, &header, data) ? -errno : 0;
}

TEST_F(limits, set_and_get)
{
	struct raw *raw = &self->scene.raw;
	struct ffg_limits first, now;

	ASSERT_EQ(0, raw_hello(raw, 0));
	ASSERT_EQ(0, limits(raw, 0, 0, 0, 0, &first));
	EXPECT_LT(0, first.objects);
	EXPECT_LT(0, first.frames);
	EXPECT_LT(0, first.tables);
	/* Without the flag nothing is set. */
	ASSERT_EQ(0, limits(raw, 0, 1, 2, 3, &now));
	EXPECT_EQ(first.objects, now.objects);
	EXPECT_EQ(first.frames, now.frames);
	EXPECT_EQ(first.tables, now.tables);
	/* Each by itself: 0 leaves the others. */
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, 5, 0, 0, &now));
	EXPECT_EQ(5, now.objects);
	EXPECT_EQ(first.frames, now.frames);
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, 0, 6, 7, &now));
	EXPECT_EQ(5, now.objects);
	EXPECT_EQ(6, now.frames);
	EXPECT_EQ(7, now.tables);
	ASSERT_EQ(0, limits(raw, 0, 0, 0, 0, &now));
	EXPECT_EQ(5, now.objects);
	EXPECT_EQ(6, now.frames);
	EXPECT_EQ(7, now.tables);
	EXPECT_EQ(-EINVAL, limits(raw, FFG_LIMITS_SET, ~0ULL, 0, 0, &now));
	EXPECT_EQ(-EINVAL, limits(raw, FFG_LIMITS_SET, 0, 1ULL << 63, 0, &now));
}

TEST_F(limits, need_a_capability)
{
	struct raw *raw = &self->scene.raw;
	struct ffg_limits first, now;

	ASSERT_EQ(0, raw_hello(raw, 0));
	ASSERT_EQ(0, limits(raw, 0, 0, 0, 0, &first));
	/* With it the default may be passed. */
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, first.objects + 1, 0, 0, &now));
	EXPECT_EQ(first.objects + 1, now.objects);
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, first.objects, 0, 0, &now));

	ASSERT_EQ(0, drop_capability());
	EXPECT_EQ(-EPERM, limits(raw, FFG_LIMITS_SET, first.objects + 1, 0, 0, &now));
	EXPECT_EQ(-EPERM, limits(raw, FFG_LIMITS_SET, 0, first.frames + 1, 0, &now));
	EXPECT_EQ(-EPERM, limits(raw, FFG_LIMITS_SET, 0, 0, first.tables + 1, &now));
	/* One too high: none is set. */
	EXPECT_EQ(-EPERM, limits(raw, FFG_LIMITS_SET, 5, 5, first.tables + 1, &now));
	ASSERT_EQ(0, limits(raw, 0, 0, 0, 0, &now));
	EXPECT_EQ(first.objects, now.objects);
	EXPECT_EQ(first.frames, now.frames);
	EXPECT_EQ(first.tables, now.tables);
	/* Down, and up again to the default. */
	EXPECT_EQ(0, limits(raw, FFG_LIMITS_SET, 5, 5, 5, &now));
	EXPECT_EQ(0, limits(raw, FFG_LIMITS_SET, first.objects, first.frames, first.tables, &now));
}

TEST_F(limits, budget_reached)
{
	struct raw *raw = &self->scene.raw;
	struct ffg_object_desc desc[4] = { 0 };
	struct ffg_limits now;
	uint64_t handle;

	ASSERT_EQ(0, scene_reach(&self->scene, STATE_KEYS));
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, 3, 0, 0, &now));
	for (int i = 0; i < 4; i++)
		desc[i].length = 10;
	EXPECT_EQ(-EDQUOT, raw_alloc_batch(raw, desc, 4));
	EXPECT_EQ(0, raw_alloc_batch(raw, desc, 3));
	EXPECT_EQ(-EDQUOT, raw_alloc(raw, 1, 0, &desc[3]));
	EXPECT_EQ(0, raw_free(raw, desc[0].object));
	EXPECT_EQ(0, raw_alloc(raw, 1, 0, &desc[3]));
	/* Below what is in use: nothing is taken away. */
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, 1, 0, 0, &now));
	EXPECT_EQ(-EDQUOT, raw_alloc(raw, 1, 0, &desc[0]));
	EXPECT_EQ(0, raw_touch((void *)desc[1].address, true));
	EXPECT_EQ(0, raw_free(raw, desc[1].object));
	EXPECT_EQ(0, raw_free(raw, desc[2].object));
	EXPECT_EQ(-EDQUOT, raw_alloc(raw, 1, 0, &desc[0]));
	EXPECT_EQ(0, raw_free(raw, desc[3].object));
	EXPECT_EQ(0, raw_alloc(raw, 1, 0, &desc[0]));
	handle = desc[0].object;

	/* Frames: of small objects at once. */
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, 100, 3, 0, &now));
	EXPECT_EQ(-EDQUOT, raw_alloc(raw, 3 * RAW_PAGE, 0, &desc[0]));
	EXPECT_EQ(0, raw_alloc(raw, 2 * RAW_PAGE, 0, &desc[0]));
	EXPECT_EQ(-EDQUOT, raw_alloc(raw, 1, 0, &desc[1]));
	EXPECT_EQ(0, raw_free(raw, desc[0].object));
	/* Of large ones when they are touched: what cannot be had is SIGBUS, as for a full file. */
	ASSERT_EQ(0, raw_alloc(raw, 100 * RAW_PAGE, 0, &desc[0]));
	EXPECT_EQ(0, raw_touch((void *)desc[0].address, true));
	EXPECT_EQ(0, raw_touch((void *)(desc[0].address + RAW_PAGE), true));
	EXPECT_LE(RAW_BUS, raw_touch((void *)(desc[0].address + 64 * RAW_PAGE), true));
	EXPECT_EQ(0, raw_free(raw, handle));
	EXPECT_EQ(0, raw_touch((void *)(desc[0].address + 64 * RAW_PAGE), true));
	EXPECT_EQ(0, raw_free(raw, desc[0].object));

	/* Page tables. */
	ASSERT_EQ(0, scene_reach(&self->scene, STATE_KEYS));
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, 100, 100, 2, &now));
	EXPECT_EQ(-EDQUOT, raw_alloc(raw, 8 << 20, 0, &desc[0]));
	EXPECT_EQ(0, raw_alloc(raw, 1, 0, &desc[0]));
	EXPECT_EQ(0, raw_alloc(raw, 300000, 0, &desc[1]));
	EXPECT_EQ(-EDQUOT, raw_alloc(raw, 600000, 0, &desc[2]));
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, 100, 1000, 3, &now));
	EXPECT_EQ(0, raw_alloc(raw, 600000, 0, &desc[2]));
}

/* A context that may take more than its share does not get more than there is for all. */
TEST_F(limits, budget_of_all_contexts)
{
	struct raw *raw = &self->scene.raw;
	struct ffg_stats before, now;
	struct ffg_object_desc desc;
	struct ffg_limits first;
	unsigned int made = 0;
	uint64_t shares, own;
	int err;

	ASSERT_EQ(0, raw_hello(raw, 0));
	ASSERT_EQ(0, limits(raw, 0, 0, 0, 0, &first));
	raw_close(raw);
	ASSERT_EQ(0, raw_totals(&before));

	/* All of them are two shares, and an arena has room for more; none of it is touched. */
	shares = 2 * first.tables;
	*raw = (struct raw){ .fd = raw_device() };
	ASSERT_EQ(0, raw_hello(raw, (shares + 4096) << 21));
	ASSERT_EQ(0, raw_keys(raw, 2));
	ASSERT_EQ(0, raw_map(raw));
	ASSERT_EQ(0, limits(raw, FFG_LIMITS_SET, 0, 0, 4 * shares, &first));
	do {
		err = raw_alloc(raw, FFG_OBJECT_MAX, 0, &desc);
		made += !err;
	} while (!err && made < 4 * shares);
	EXPECT_EQ(-EDQUOT, err);
	ASSERT_EQ(0, raw_stats(raw, 0, &now));
	EXPECT_EQ(made, now.objects);
	EXPECT_LT(shares / 2, now.tables);
	EXPECT_GE(shares, now.tables);
	EXPECT_EQ(0, now.frames);
	own = now.tables;
	/* What was refused is charged to nobody. */
	ASSERT_EQ(0, raw_stats(raw, FFG_STATS_TOTAL, &now));
	EXPECT_EQ(before.tables + own, now.tables);
	raw_close(raw);
	ASSERT_EQ(0, raw_totals(&now));
	EXPECT_EQ(before.tables, now.tables);
	EXPECT_EQ(before.objects, now.objects);
}

TEST_HARNESS_MAIN
