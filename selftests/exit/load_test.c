// SPDX-License-Identifier: GPL-2.0-only
/* The module leaves and comes back: with nothing of what was, and with another poison. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

#define LOADS	4

/* The module that was built for this kernel; the suites are run in their own folder. */
static int module_file(void)
{
	const char *kernel = getenv("FFG_KERNEL");
	char path[256];

	snprintf(path, sizeof(path), "../../kmod/ko/%s/ffiguard.ko", kernel ? kernel : "host");
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The last of the context goes a little after its descriptor. */
static int unload(void)
{
	for (int i = 0; i < 1000; i++) {
		if (!syscall(SYS_delete_module, "ffiguard", O_NONBLOCK))
			return 0;
		if (errno != EAGAIN && errno != EBUSY)
			break;
		usleep(10000);
	}
	return -errno;
}

/* Eight bytes of an object's slack, as a call sees them that was granted the object. */
static int slack(uint64_t *poison)
{
	struct ffg_grant_desc whole;
	struct ffg_object_desc desc;
	struct ffg_record_id id;
	struct raw_call call;
	struct raw raw;
	int err = raw_open(&raw, 2);

	if (!err)
		err = raw_alloc(&raw, 64, FFG_OBJECT_START, &desc);
	whole = raw_whole(&desc, FFG_RIGHT_READ);
	if (!err)
		err = raw_grant(&raw, &whole, 1, FFG_BIND_NOW, &id);
	if (!err && !raw_enter(&raw, 0, &id, &call))
		err = -ESTALE;
	for (int i = 0; i < 8 && !err; i++)
		err = raw_access_as(call.fpkru, (char *)desc.address + 64 + i, false,
				    (char *)poison + i);
	if (!err) {
		raw_leave(&call);
		err = memcmp(poison, (char *)desc.address + 64, 8) ? -EILSEQ : 0;
	}
	raw_close(&raw);
	return err;
}

/* What foreign code read beside an object once, it cannot write there after another load. */
TEST(each_load_has_another_poison)
{
	uint64_t poison[LOADS + 1] = { 0 };
	int file = module_file();

	if (file < 0)
		SKIP(return, "the module's file is not there: build it (make modules)");
	raw_catch_faults();
	for (int i = 0; i <= LOADS; i++) {
		struct ffg_stats stats;

		ASSERT_EQ(0, slack(&poison[i]));
		EXPECT_NE(0, poison[i]);
		for (int j = 0; j < i; j++)
			EXPECT_NE(poison[j], poison[i]);
		if (i == LOADS)
			break;
		ASSERT_EQ(0, unload());
		EXPECT_EQ(-ENOENT, raw_device());
		ASSERT_EQ(0, syscall(SYS_finit_module, file, "", 0));
		ASSERT_EQ(0, raw_totals(&stats));
		EXPECT_EQ(0, stats.objects);
		EXPECT_EQ(0, stats.frames);
		EXPECT_EQ(0, stats.frees);
	}
	close(file);
}

TEST_HARNESS_MAIN
