// SPDX-License-Identifier: GPL-2.0-only
/*
 * However a process ends, the module's totals are afterwards what they were before. What ends is a
 * child with objects, a record and a thread inside a call; the test has no context itself, but for
 * the moment that reading the totals takes.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

#define SMALL		40
#define LARGE_PAGES	600

FIXTURE(exit)
{
	struct ffg_stats before;
	int sockets[2];			/* 0: the test's end, 1: the child's */
};

FIXTURE_SETUP(exit)
{
	ASSERT_EQ(0, raw_totals(&self->before));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->sockets));
}

FIXTURE_TEARDOWN(exit)
{
	close(self->sockets[0]);
	close(self->sockets[1]);
}

/* An mm may end a little after its process: the OOM reaper, a reader of /proc. */
static bool nothing_left(const struct ffg_stats *before)
{
	struct ffg_stats now = { 0 };

	for (int i = 0; i < 100; i++) {
		if (raw_totals(&now))
			return false;
		if (now.objects == before->objects && now.frames == before->frames &&
		    now.tables == before->tables)
			return true;
		usleep(20000);
	}
	printf("# left: %lld objects, %lld frames, %lld tables\n",
	       (long long)(now.objects - before->objects), (long long)(now.frames - before->frames),
	       (long long)(now.tables - before->tables));
	return false;
}

/* ---- the child ---- */

struct child {
	struct raw raw;
	struct ffg_object_desc desc[SMALL], large;
	struct ffg_record_id id;
	int socket;
	int inside;
};

static void *stay_in_a_call(void *data)
{
	struct child *child = data;
	int line = raw_attach(&child->raw);
	struct raw_call call;

	if (line < 0 || !raw_enter(&child->raw, line, &child->id, &call))
		_exit(90);
	if (raw_touch_as(call.fpkru, (void *)child->desc[0].address, true))
		_exit(91);
	__atomic_store_n(&child->inside, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
	return NULL;
}

/* Everything alive that can be. Does not come back if something goes wrong. */
static void child_begin(struct child *child, int socket)
{
	struct ffg_grant_desc grants[2];
	pthread_t thread;

	*child = (struct child){ .socket = socket };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (raw_open(&child->raw, 3))
		_exit(80);
	raw_catch_faults();
	for (int i = 0; i < SMALL; i++)
		child->desc[i].length = 1 + i * 300;
	if (raw_alloc_batch(&child->raw, child->desc, SMALL) ||
	    raw_alloc(&child->raw, LARGE_PAGES * RAW_PAGE, 0, &child->large))
		_exit(81);
	memset((void *)child->large.address, 1, LARGE_PAGES * RAW_PAGE);
	grants[0] = raw_whole(&child->desc[0], FFG_RIGHT_READ | FFG_RIGHT_WRITE);
	grants[1] = raw_whole(&child->large, FFG_RIGHT_READ);
	if (raw_grant(&child->raw, grants, 2, FFG_BIND_NOW, &child->id))
		_exit(82);
	if (pthread_create(&thread, NULL, stay_in_a_call, child))
		_exit(83);
	while (!__atomic_load_n(&child->inside, __ATOMIC_ACQUIRE))
		usleep(1000);
	if (write(socket, "r", 1) != 1)
		_exit(84);
}

static bool hear(int socket)
{
	char byte;

	return read(socket, &byte, 1) == 1;
}

/* A child that goes on with @body once it has everything; its id. */
#define BEGIN(body) ({						\
	pid_t pid_ = fork();					\
								\
	if (!pid_) {						\
		struct child child_;				\
								\
		child_begin(&child_, self->sockets[1]);		\
		body(&child_);					\
		_exit(99);					\
	}							\
	ASSERT_LE(0, pid_);					\
	ASSERT_TRUE(hear(self->sockets[0]));			\
	pid_;							\
})

/* Otherwise the proof would prove nothing. */
#define EXPECT_IN_USE() do {						\
	struct ffg_stats now_;						\
									\
	ASSERT_EQ(0, raw_totals(&now_));				\
	EXPECT_EQ(self->before.objects + SMALL + 1, now_.objects);	\
	EXPECT_LE(self->before.frames + SMALL + LARGE_PAGES, now_.frames); \
	EXPECT_LT(self->before.tables, now_.tables);			\
} while (0)

#define GO_ON() ASSERT_EQ(1, write(self->sockets[0], "g", 1))

static void end_exit(struct child *child)
{
	hear(child->socket);
	exit(7);
}

TEST_F(exit, by_exit)
{
	pid_t pid = BEGIN(end_exit);
	int status;

	EXPECT_IN_USE();
	GO_ON();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(7, WEXITSTATUS(status));
	EXPECT_TRUE(nothing_left(&self->before));
}

TEST_F(exit, by_sigkill)
{
	pid_t pid = BEGIN(end_exit);
	int status;

	EXPECT_IN_USE();
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_TRUE(nothing_left(&self->before));
}

static void end_fault(struct child *child)
{
	hear(child->socket);
	signal(SIGSEGV, SIG_DFL);
	*(volatile char *)(child->desc[1].address + RAW_PAGE * 8) = 1;
}

TEST_F(exit, by_fault)
{
	pid_t pid = BEGIN(end_fault);
	int status;

	EXPECT_IN_USE();
	GO_ON();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGSEGV, WTERMSIG(status));
	EXPECT_TRUE(nothing_left(&self->before));
}

/* ---- the descriptor ---- */

static void end_close(struct child *child)
{
	close(child->raw.fd);
	/* The mapping keeps context and memory. */
	for (int i = 0; i < SMALL; i++)
		if (raw_touch((void *)child->desc[i].address, true))
			_exit(70);
	if (write(child->socket, "c", 1) != 1)
		_exit(71);
	hear(child->socket);
	munmap(child->raw.arena, child->raw.hello.arena_size);
	if (raw_touch((void *)child->desc[0].address, true) != RAW_MAPERR)
		_exit(72);
	if (write(child->socket, "u", 1) != 1)
		_exit(73);
	hear(child->socket);
	_exit(0);
}

TEST_F(exit, descriptor_closed_while_mapped)
{
	pid_t pid = BEGIN(end_close);
	int status;

	ASSERT_TRUE(hear(self->sockets[0]));
	EXPECT_IN_USE();
	GO_ON();
	ASSERT_TRUE(hear(self->sockets[0]));
	/* The process lives, its lines and records are mapped, but the arena is gone. */
	EXPECT_TRUE(nothing_left(&self->before));
	GO_ON();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(nothing_left(&self->before));
}

static int send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 }, byte = 'f';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -1;
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(socket, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void end_send(struct child *child)
{
	if (send_fd(child->socket, child->raw.fd))
		_exit(74);
	hear(child->socket);
	_exit(0);
}

/* A descriptor that others have keeps no memory. */
TEST_F(exit, descriptor_in_another_process)
{
	pid_t pid = BEGIN(end_send);
	int status, fd = receive_fd(self->sockets[0]);
	struct raw raw = { .fd = fd };
	struct ffg_stats stats;

	ASSERT_LE(0, fd);
	EXPECT_IN_USE();
	EXPECT_EQ(-EXDEV, raw_stats(&raw, 0, &stats));
	GO_ON();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(nothing_left(&self->before));
	EXPECT_EQ(-EXDEV, raw_stats(&raw, 0, &stats));
	EXPECT_EQ(0, close(fd));
	EXPECT_TRUE(nothing_left(&self->before));
}

/* ---- exec ---- */

#define EXEC_SOCKET "FFG_EXIT_TEST_SOCKET"

/* This program anew: says that it is there, and waits. */
static void __attribute__((constructor)) after_exec(void)
{
	const char *socket = getenv(EXEC_SOCKET);

	if (!socket)
		return;
	if (write(atoi(socket), "x", 1) != 1)
		_exit(75);
	hear(atoi(socket));
	_exit(5);
}

static void end_exec(struct child *child)
{
	char *const argv[] = { "exit_test", NULL };
	char socket[64], *const envp[] = { socket, NULL };

	/* The descriptor stays open over it. */
	fcntl(child->raw.fd, F_SETFD, 0);
	snprintf(socket, sizeof(socket), EXEC_SOCKET "=%d", child->socket);
	hear(child->socket);
	execve("/proc/self/exe", argv, envp);
}

TEST_F(exit, by_exec)
{
	pid_t pid = BEGIN(end_exec);
	int status;

	EXPECT_IN_USE();
	GO_ON();
	ASSERT_TRUE(hear(self->sockets[0]));
	/* The process lives and holds the descriptor. */
	EXPECT_EQ(0, kill(pid, 0));
	EXPECT_TRUE(nothing_left(&self->before));
	GO_ON();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(5, WEXITSTATUS(status));
}

/* ---- in the middle of something ---- */

static void *keep_busy(void *data)
{
	const struct raw *raw = data;
	struct ffg_object_desc desc[64];
	struct ffg_grant_desc grants[8];
	struct ffg_record_id id;
	uint64_t handles[64];

	for (;;) {
		for (int i = 0; i < 64; i++)
			desc[i] = (struct ffg_object_desc){ .length = 1 + i * 777 };
		if (raw_alloc_batch(raw, desc, 64))
			continue;
		for (int i = 0; i < 64; i++) {
			handles[i] = desc[i].object;
			raw_touch((char *)desc[i].address + desc[i].length / 2, true);
		}
		for (int i = 0; i < 8; i++)
			grants[i] = raw_whole(&desc[i * 5], i % 2 ? 3 : 1);
		if (!raw_grant(raw, grants, 8, FFG_BIND_NOW, &id))
			raw_revoke(raw, &id);
		raw_free_batch(raw, handles, 64);
	}
	return NULL;
}

static void busy_begin(struct raw *raw, int socket)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (raw_open(raw, 3))
		_exit(80);
	raw_catch_faults();
	if (pthread_create(&thread, NULL, keep_busy, raw) || write(socket, "r", 1) != 1)
		_exit(81);
}

TEST_F_TIMEOUT(exit, killed_in_the_middle_of_any_command, 120)
{
	for (int round = 0; round < 40; round++) {
		int status;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			struct raw raw;

			busy_begin(&raw, self->sockets[1]);
			keep_busy(&raw);
		}
		ASSERT_TRUE(hear(self->sockets[0]));
		usleep(round * 577 % 9000);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(SIGKILL, WTERMSIG(status));
		ASSERT_TRUE(nothing_left(&self->before));
	}
}

TEST_F_TIMEOUT(exit, exit_group_in_the_middle_of_any_command, 120)
{
	for (int round = 0; round < 20; round++) {
		int status;
		pid_t pid = fork();

		ASSERT_LE(0, pid);
		if (!pid) {
			struct raw raw;

			busy_begin(&raw, self->sockets[1]);
			usleep(round * 577 % 9000);
			_exit(3);
		}
		ASSERT_TRUE(hear(self->sockets[0]));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_EQ(3, WEXITSTATUS(status));
		ASSERT_TRUE(nothing_left(&self->before));
	}
}

/* A thread that sleeps for a slot which nobody gives back dies at once. */
static void end_wait(struct child *child)
{
	struct ffg_record_id id;
	struct ffg_grant_desc grants[3];

	/* Two of the three slots are in the other thread's call. */
	for (int i = 0; i < 3; i++)
		grants[i] = raw_whole(&child->desc[5 + i], i ? 3 : 1);
	if (raw_grant(&child->raw, grants, 3, 0, &id))
		_exit(84);
	for (;;) {
		int err = raw_bind(&child->raw, &id, FFG_BIND_WAIT, 1000000000);

		/* One slot may be enough if it can be shared. */
		if (err != -EBUSY && err != 0)
			_exit(85);
		if (!err)
			_exit(86);
	}
}

/* Not at once would be at the end of the wait: 900 ms later. On a busy host some take long. */
TEST_F(exit, killed_while_it_waits)
{
	double shortest = 20;

	for (int round = 0; round < 5; round++) {
		pid_t pid = BEGIN(end_wait);
		struct timespec begun, ended;
		double took;
		int status;

		usleep(50000);
		clock_gettime(CLOCK_MONOTONIC, &begun);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		clock_gettime(CLOCK_MONOTONIC, &ended);
		ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("status %x", status);
		EXPECT_TRUE(nothing_left(&self->before));
		took = ended.tv_sec - begun.tv_sec + (ended.tv_nsec - begun.tv_nsec) / 1e9;
		if (took < shortest)
			shortest = took;
	}
	EXPECT_GT(0.7, shortest);
}

/* The OOM killer takes a process that is at work in the module. */
TEST_F_TIMEOUT(exit, by_the_oom_killer, 120)
{
	int status;
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		int score = open("/proc/self/oom_score_adj", O_WRONLY);
		struct ffg_object_desc large;
		struct raw raw;

		if (score < 0 || write(score, "1000", 4) != 4)
			_exit(60);
		busy_begin(&raw, self->sockets[1]);
		/* What does not show in RSS, as much as the budget gives; then what does. */
		if (raw_alloc(&raw, FFG_OBJECT_MAX, 0, &large))
			_exit(61);
		for (uint64_t at = 0; at < FFG_OBJECT_MAX; at += RAW_PAGE)
			if (raw_touch((char *)large.address + at, true))
				break;
		for (;;) {
			char *more = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

			if (more == MAP_FAILED)
				_exit(62);
			memset(more, 1, 1 << 20);
		}
	}
	ASSERT_TRUE(hear(self->sockets[0]));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("status %x", status);
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_TRUE(nothing_left(&self->before));
}

TEST_HARNESS_MAIN
