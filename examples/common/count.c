// SPDX-License-Identifier: GPL-2.0-only
/* System calls and page faults of this thread, by the kernel's tracepoints. */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "example.h"

enum { SYSTEM_CALLS, FAULTS, COUNTERS };

static const char *const names[COUNTERS] = {
	[SYSTEM_CALLS] = "raw_syscalls/sys_enter",
	[FAULTS] = "exceptions/page_fault_user",
};

static int counter[COUNTERS] = { -1, -1 };
/* What counts_begin() and counts_end() themselves add. */
static struct counts own;

static int counter_open(const char *name, int group)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(event),
		.disabled = group < 0,
	};
	char path[128], id[16] = "";
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/tracing/events/%s/id", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, id, sizeof(id) - 1) <= 0)
		fail("cannot count %s: %s (mount tracefs, be root)", name, strerror(errno));
	close(fd);
	event.config = strtoull(id, NULL, 10);
	fd = (int)syscall(SYS_perf_event_open, &event, 0, -1, group, PERF_FLAG_FD_CLOEXEC);
	if (fd < 0)
		fail("cannot count %s: %s", name, strerror(errno));
	return fd;
}

static long counter_value(int fd)
{
	uint64_t value;

	if (read(fd, &value, sizeof(value)) != sizeof(value))
		fail("cannot read a counter: %s", strerror(errno));
	return (long)value;
}

void counts_begin(void)
{
	static pid_t owner;

	/* A forked child counts itself, not its parent. */
	if (owner != getpid()) {
		owner = getpid();
		own = (struct counts){ 0, 0 };
		for (int n = 0; n < COUNTERS; n++) {
			if (counter[n] >= 0)
				close(counter[n]);
			counter[n] = counter_open(names[n], n ? counter[0] : -1);
		}
		counts_begin();
		own = counts_end();
	}
	ioctl(counter[0], PERF_EVENT_IOC_RESET, PERF_IOC_FLAG_GROUP);
	ioctl(counter[0], PERF_EVENT_IOC_ENABLE, PERF_IOC_FLAG_GROUP);
}

struct counts counts_end(void)
{
	ioctl(counter[0], PERF_EVENT_IOC_DISABLE, PERF_IOC_FLAG_GROUP);
	return (struct counts){
		.entries = counter_value(counter[SYSTEM_CALLS]) - own.entries,
		.faults = counter_value(counter[FAULTS]) - own.faults,
	};
}
