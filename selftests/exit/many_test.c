// SPDX-License-Identifier: GPL-2.0-only
/* Many processes and threads at a time, and the module that stays as long as there is one. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

static bool hear(int socket)
{
	char byte;

	return read(socket, &byte, 1) == 1;
}

/* ---- the module ---- */

TEST(module_stays_while_in_use)
{
	struct raw raw = { .fd = raw_device() };
	struct ffg_object_desc desc;

	ASSERT_LE(0, raw.fd);
	/* A descriptor alone. */
	EXPECT_EQ(-1, syscall(SYS_delete_module, "ffiguard", O_NONBLOCK));
	EXPECT_TRUE(errno == EAGAIN || errno == EBUSY) TH_LOG("errno %d", errno);
	close(raw.fd);
	/* A mapping alone. */
	ASSERT_EQ(0, raw_open(&raw, 2));
	raw_catch_faults();
	ASSERT_EQ(0, raw_alloc(&raw, 100, 0, &desc));
	close(raw.fd);
	EXPECT_EQ(-1, syscall(SYS_delete_module, "ffiguard", O_NONBLOCK));
	EXPECT_TRUE(errno == EAGAIN || errno == EBUSY) TH_LOG("errno %d", errno);
	EXPECT_EQ(0, raw_touch((void *)desc.address, true));
	/* Lines alone. */
	munmap(raw.arena, raw.hello.arena_size);
	munmap((void *)raw.lines_ro, raw.hello.lines_size);
	munmap((void *)raw.records, raw.hello.records_size);
	EXPECT_EQ(-1, syscall(SYS_delete_module, "ffiguard", O_NONBLOCK));
	EXPECT_TRUE(errno == EAGAIN || errno == EBUSY) TH_LOG("errno %d", errno);
	EXPECT_EQ(0, raw_touch(&raw.lines->user, true));
}

/* ---- many ---- */

#define PROCESSES	50
#define EACH		20

TEST(many_processes)
{
	struct ffg_stats before, now;
	pid_t pids[PROCESSES];
	int sockets[2], status;

	ASSERT_EQ(0, raw_totals(&before));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	for (int i = 0; i < PROCESSES; i++) {
		pids[i] = fork();
		ASSERT_LE(0, pids[i]);
		if (!pids[i]) {
			struct ffg_object_desc desc[EACH];
			struct ffg_grant_desc grant;
			struct ffg_record_id id;
			struct raw raw;
			int wrong;

			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (int j = 0; j < EACH; j++)
				desc[j] = (struct ffg_object_desc){ .length = 1 + i + 100 * j };
			wrong = raw_open(&raw, 1 + i % 14) || raw_alloc_batch(&raw, desc, EACH);
			if (wrong)
				_exit(1);
			raw_catch_faults();
			for (int j = 0; j < EACH; j++)
				memset((void *)desc[j].address, i, desc[j].length);
			grant = raw_whole(&desc[0], FFG_RIGHT_READ);
			wrong = raw_grant(&raw, &grant, 1, FFG_BIND_NOW, &id) ||
				write(sockets[1], "r", 1) != 1;
			if (wrong || !hear(sockets[1]))
				_exit(2);
			for (int j = 0; j < EACH; j++)
				for (uint64_t k = 0; k < desc[j].length; k++)
					wrong += ((unsigned char *)desc[j].address)[k] != i;
			_exit(wrong ? 3 : 0);
		}
	}
	for (int i = 0; i < PROCESSES; i++)
		ASSERT_TRUE(hear(sockets[0]));
	ASSERT_EQ(0, raw_totals(&now));
	EXPECT_EQ(before.objects + PROCESSES * EACH, now.objects);
	EXPECT_EQ(before.records + PROCESSES, now.records);
	EXPECT_EQ(before.lines + PROCESSES, now.lines);
	for (int i = 0; i < PROCESSES; i++)
		ASSERT_EQ(1, write(sockets[0], "g", 1));
	for (int i = 0; i < PROCESSES; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	ASSERT_EQ(0, raw_totals(&now));
	EXPECT_EQ(before.objects, now.objects);
	EXPECT_EQ(before.frames, now.frames);
	EXPECT_EQ(before.tables, now.tables);
	EXPECT_EQ(before.records, now.records);
	EXPECT_EQ(before.lines, now.lines);
}

/* Many threads with a line each, more than a page of lines, come and go. */
static void *attach_only(void *data)
{
	int line = raw_attach(data);

	pthread_exit((void *)(intptr_t)(line < 0 ? line : 0));
}

TEST(threads_leave_their_lines)
{
	struct ffg_stats stats;
	struct raw raw;

	ASSERT_EQ(0, raw_open(&raw, 2));
	for (int round = 0; round < 20; round++) {
		pthread_t threads[40];
		void *result;

		for (int i = 0; i < 40; i++)
			ASSERT_EQ(0, pthread_create(&threads[i], NULL, attach_only, &raw));
		for (int i = 0; i < 40; i++) {
			ASSERT_EQ(0, pthread_join(threads[i], &result));
			EXPECT_EQ(NULL, result);
		}
	}
	/* 800 threads, of which 40 lived at a time. */
	ASSERT_EQ(0, raw_stats(&raw, 0, &stats));
	EXPECT_GE(81, stats.lines);
	raw_close(&raw);
}

TEST_HARNESS_MAIN
