// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every ioctl with every allocation that the module makes in it failing in turn: an error, and
 * nothing has changed, so that the same command succeeds right after. Needs a kernel with fault
 * injection (make check-debug).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "command.h"

#define DEBUGFS	"/sys/kernel/debug/"
#define TRIES	100	/* more allocations than any command makes */

FIXTURE(inject)
{
	struct scene scene;
	union argument argument;
	const struct command *command;
	int nth;
};

FIXTURE_VARIANT(inject)
{
	enum command_which which;
};

#define VARIANT(name, value) \
	FIXTURE_VARIANT_ADD(inject, name) { .which = value }

VARIANT(hello, HELLO);
VARIANT(keys, KEYS);
VARIANT(limits, LIMITS);
VARIANT(line_attach, LINE_ATTACH);
VARIANT(line_detach, LINE_DETACH);
VARIANT(object_alloc, OBJECT_ALLOC);
VARIANT(object_free, OBJECT_FREE);
VARIANT(object_check, OBJECT_CHECK);
VARIANT(object_query, OBJECT_QUERY);
VARIANT(grant, GRANT);
VARIANT(bind, BIND);
VARIANT(revoke, REVOKE);
VARIANT(wake, WAKE);
VARIANT(fault, FAULT);
VARIANT(stats, STATS);

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

/* Let GFP_KERNEL fail, too, and say nothing in the log; what fails, fail-nth says. */
static bool injection_ready(void)
{
	return put(DEBUGFS "failslab/ignore-gfp-wait", "N") &&
	       put(DEBUGFS "failslab/verbose", "0") &&
	       put(DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N") &&
	       put(DEBUGFS "fail_page_alloc/min-order", "0") &&
	       put(DEBUGFS "fail_page_alloc/verbose", "0") &&
	       put(DEBUGFS "fail_usercopy/verbose", "0");
}

/* Setting and asking copy from and to user space, and may be what fails. */
static void nth_set(int fd, unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	for (int i = 0; i < 2; i++)
		if (pwrite(fd, text, length, 0) == length)
			return;
	abort();
}

/* Is the failure still to come? */
static bool nth_left(int fd)
{
	char text[16] = "";

	return pread(fd, text, sizeof(text) - 1, 0) <= 0 || strtoul(text, NULL, 10);
}

FIXTURE_SETUP(inject)
{
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR);
	self->command = &commands[variant->which];
	ASSERT_EQ(0, scene_open(&self->scene));
	ASSERT_EQ(0, scene_reach(&self->scene, self->command->state));
}

FIXTURE_TEARDOWN(inject)
{
	scene_close(&self->scene);
}

#define STATS(stats) do {							\
	if (self->command->state != STATE_OPEN)					\
		ASSERT_EQ(0, raw_stats(&self->scene.raw, 0, stats));		\
} while (0)

TEST_F(inject, every_allocation)
{
	struct ffg_stats before = { 0 }, after = { 0 };
	unsigned int failed = 0, n;

	if (self->nth < 0)
		SKIP(return, "the kernel cannot inject failures (CONFIG_FAULT_INJECTION)");
	ASSERT_TRUE(injection_ready());
	for (n = 1; n < TRIES; n++) {
		bool left;
		int err;

		ASSERT_EQ(0, scene_prepare(&self->scene, variant->which, &self->argument));
		STATS(&before);
		nth_set(self->nth, n);
		err = raw_ioctl(self->scene.raw.fd, self->command->number, &self->argument);
		left = nth_left(self->nth);
		nth_set(self->nth, 0);
		if (left) {
			EXPECT_EQ(0, err);
			break;
		}
		if (!err)
			continue;	/* it could do without */
		/*
		 * Copies from and to user space fail in their turn. The last of them tells the
		 * answer: the command has run then.
		 */
		if (err == -EFAULT)
			continue;
		failed++;
		EXPECT_EQ(-ENOMEM, err) {
			TH_LOG("allocation %u", n);
		}
		STATS(&after);
		EXPECT_EQ(before.objects, after.objects);
		EXPECT_EQ(before.frames, after.frames);
		EXPECT_EQ(before.tables, after.tables);
		EXPECT_EQ(before.records, after.records);
		EXPECT_EQ(before.lines, after.lines);
		EXPECT_EQ(before.quarantined, after.quarantined);
		EXPECT_EQ(0, raw_ioctl(self->scene.raw.fd, self->command->number,
				       &self->argument)) {
			TH_LOG("after allocation %u failed", n);
		}
	}
	EXPECT_LT(n, TRIES);
	/* These allocate in any case: if nothing failed, nothing was injected. */
	if (variant->which == HELLO || variant->which == LINE_ATTACH ||
	    variant->which == OBJECT_ALLOC || variant->which == REVOKE)
		EXPECT_LT(0, failed);
	TH_LOG("%u allocations and copies, %u failures of memory told", n - 1, failed);
}

TEST_HARNESS_MAIN
