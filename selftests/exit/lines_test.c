// SPDX-License-Identifier: GPL-2.0-only
/* Lines and the life of threads: all lines in use, and ids that come round. */
#include <linux/sched.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

static int attach(const struct raw *raw)
{
	struct ffg_line_attach attach = { .size = sizeof(attach) };

	return raw_ioctl(raw->fd, FFG_IOC_LINE_ATTACH, &attach);
}

/* ---- all lines ---- */

/**
 * struct crowd - threads with a line each
 * @raw: context
 * @lock: protects what follows
 * @change: something of it changed
 * @tried: threads that tried to attach
 * @errors: -EUSERS among their answers
 * @wrong: other errors
 * @leave: threads that shall end
 */
struct crowd {
	struct raw raw;
	pthread_mutex_t lock;
	pthread_cond_t change;
	unsigned int tried;
	unsigned int errors;
	unsigned int wrong;
	unsigned int leave;
};

static void *crowd_member(void *data)
{
	struct crowd *crowd = data;
	int err = attach(&crowd->raw);

	pthread_mutex_lock(&crowd->lock);
	crowd->tried++;
	crowd->errors += err == -EUSERS;
	crowd->wrong += err && err != -EUSERS;
	pthread_cond_broadcast(&crowd->change);
	while (!err && !crowd->leave)
		pthread_cond_wait(&crowd->change, &crowd->lock);
	if (!err && crowd->leave)
		crowd->leave--;
	pthread_mutex_unlock(&crowd->lock);
	return NULL;
}

/* Starts @count threads, and waits until each has tried: how many were started. */
static unsigned int crowd_grow(struct crowd *crowd, unsigned int count, pthread_attr_t *attr)
{
	unsigned int want, started = 0;
	pthread_t thread;

	pthread_mutex_lock(&crowd->lock);
	want = crowd->tried;
	pthread_mutex_unlock(&crowd->lock);
	while (started < count && !pthread_create(&thread, attr, crowd_member, crowd))
		started++;
	want += started;
	pthread_mutex_lock(&crowd->lock);
	while (crowd->tried < want)
		pthread_cond_wait(&crowd->change, &crowd->lock);
	pthread_mutex_unlock(&crowd->lock);
	return started;
}

/* How many threads the machine may have goes by its memory: for a small one too few. */
#define THREADS_MAX "/proc/sys/kernel/threads-max"
#define THREADS_WANTED (2 * FFG_LINES_MAX)

static unsigned int threads_max(void)
{
	FILE *file = fopen(THREADS_MAX, "r");
	unsigned int max = 0;

	if (file && fscanf(file, "%u", &max) != 1)
		max = 0;
	if (file)
		fclose(file);
	return max;
}

static bool threads_max_set(unsigned int max)
{
	FILE *file = fopen(THREADS_MAX, "w");

	if (!file)
		return false;
	fprintf(file, "%u\n", max);
	return !fclose(file);
}

FIXTURE(lines)
{
	unsigned int threads_max;
};

FIXTURE_SETUP(lines)
{
	self->threads_max = threads_max();
	if (self->threads_max < THREADS_WANTED)
		ASSERT_TRUE(threads_max_set(THREADS_WANTED)) TH_LOG(THREADS_MAX);
}

FIXTURE_TEARDOWN(lines)
{
	if (self->threads_max < THREADS_WANTED)
		EXPECT_TRUE(threads_max_set(self->threads_max));
}

TEST_F_TIMEOUT(lines, all_in_use, 300)
{
	static struct crowd crowd = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER,
	};
	const char *kernel = getenv("FFG_KERNEL");
	struct ffg_stats stats;
	pthread_attr_t attr;
	int err = -EUSERS;

	/* Each thread that attaches looks at all lines. */
	if (kernel && (!strcmp(kernel, "debug") || !strcmp(kernel, "kcsan")))
		SKIP(return, "4096 threads take too long on a kernel that checks itself");
	ASSERT_EQ(0, raw_open(&crowd.raw, 2));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32768);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* This thread has one. */
	ASSERT_EQ(FFG_LINES_MAX - 1, crowd_grow(&crowd, FFG_LINES_MAX - 1, &attr));
	EXPECT_EQ(0, crowd.errors + crowd.wrong);
	ASSERT_EQ(0, raw_stats(&crowd.raw, 0, &stats));
	EXPECT_EQ(FFG_LINES_MAX, stats.lines);
	/* One too many; nobody else is the worse for it. */
	ASSERT_EQ(3, crowd_grow(&crowd, 3, &attr));
	EXPECT_EQ(3, crowd.errors);
	EXPECT_EQ(0, crowd.wrong);
	EXPECT_EQ(-EALREADY, attach(&crowd.raw));
	/* A line that is given back is the next one's; a thread is gone a little after its end. */
	ASSERT_EQ(0, raw_detach(&crowd.raw));
	EXPECT_EQ(0, attach(&crowd.raw));
	pthread_mutex_lock(&crowd.lock);
	crowd.leave = 1;
	pthread_cond_broadcast(&crowd.change);
	pthread_mutex_unlock(&crowd.lock);
	for (int n = 0; n < 1000 && err == -EUSERS; n++) {
		unsigned int errors = crowd.errors;

		ASSERT_EQ(1, crowd_grow(&crowd, 1, &attr));
		if (crowd.errors == errors)
			err = 0;
		else
			usleep(10000);
	}
	EXPECT_EQ(0, err);
	EXPECT_EQ(0, crowd.wrong);
}

/* ---- the id of a dead thread ---- */

/**
 * struct twin - a thread that chooses its id
 * @raw: context
 * @error: what attaching answered
 * @index: and the line
 * @id: it runs as long as this is not 0; the kernel clears it
 */
struct twin {
	const struct raw *raw;
	int error;
	int index;
	volatile pid_t id;
};

static __attribute__((used)) void twin_body(struct twin *twin)
{
	struct ffg_line_attach attach = { .size = sizeof(attach) };
	long ret;

	/* No libc: this thread has the thread-local storage of its maker. */
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(SYS_ioctl), "D"(twin->raw->fd), "S"(FFG_IOC_LINE_ATTACH),
			   "d"(&attach)
			 : "rcx", "r11", "memory");
	twin->error = ret;
	twin->index = attach.index;
	__asm__ volatile("syscall" : : "a"(SYS_exit), "D"(0) : "rcx", "r11", "memory");
	__builtin_unreachable();
}

/* Runs twin_body() in a thread with the id @id: 0 when it is over, or a negative errno. */
static int twin_run(struct twin *twin, pid_t id)
{
	static char stack[65536] __attribute__((aligned(16)));
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			 CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
		.parent_tid = (uintptr_t)&twin->id,
		.child_tid = (uintptr_t)&twin->id,
		.stack = (uintptr_t)stack,
		.stack_size = sizeof(stack),
		.set_tid = (uintptr_t)&id,
		.set_tid_size = 1,
	};
	long ret;

	__asm__ volatile("movq %[twin], %%r12\n\t"
			 "syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "movq %%r12, %%rdi\n\t"
			 "call twin_body\n"
			 "1:"
			 : "=a"(ret)
			 : "0"(SYS_clone3), "D"(&args), "S"(sizeof(args)), [twin] "r"(twin)
			 : "rcx", "r11", "r12", "memory");
	if (ret < 0)
		return ret;
	while (twin->id)
		usleep(1000);
	return 0;
}

static void *attach_and_tell(void *data)
{
	struct twin *twin = data;

	twin->index = raw_attach(twin->raw);
	twin->id = syscall(SYS_gettid);
	return NULL;
}

/* Whoever has the id of a thread that died with a line is not taken for it. */
TEST_F(lines, id_of_a_dead_thread)
{
	struct ffg_stats before, after;
	struct twin first, second;
	pthread_t thread;
	struct raw raw;
	int err = -EEXIST;

	ASSERT_EQ(0, raw_open(&raw, 2));
	first = (struct twin){ .raw = &raw };
	ASSERT_EQ(0, pthread_create(&thread, NULL, attach_and_tell, &first));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	ASSERT_LE(0, first.index);
	ASSERT_EQ(0, raw_stats(&raw, 0, &before));
	/* The id is free a little after the thread was joined. */
	for (int n = 0; n < 1000 && err == -EEXIST; n++) {
		second = (struct twin){ .raw = &raw };
		err = twin_run(&second, first.id);
		if (err == -EEXIST)
			usleep(10000);
	}
	if (err == -EPERM)
		SKIP(return, "only root may choose the id of a thread");
	ASSERT_EQ(0, err);
	EXPECT_EQ(0, second.error);
	EXPECT_EQ(first.index, second.index);
	ASSERT_EQ(0, raw_stats(&raw, 0, &after));
	EXPECT_EQ(before.lines, after.lines);
	raw_close(&raw);
}

TEST_HARNESS_MAIN
