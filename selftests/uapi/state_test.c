// SPDX-License-Identifier: GPL-2.0-only
/* Handshake, keys, mappings, and whose context it is. Budgets are in limits_test.c. */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <stdlib.h>
#include <stdio.h>

#include "kselftest_harness.h"

#include "command.h"

FIXTURE(state)
{
	struct scene scene;
};

FIXTURE_SETUP(state)
{
	ASSERT_EQ(0, scene_open(&self->scene));
	ASSERT_EQ(0, scene_reach(&self->scene, STATE_OPEN));
	raw_catch_faults();
}

FIXTURE_TEARDOWN(state)
{
	scene_close(&self->scene);
}

static int hello(int fd, uint32_t api, uint64_t features, uint64_t arena_size)
{
	struct ffg_hello hello = {
		.size = sizeof(hello),
		.api = api,
		.features = features,
		.arena_size = arena_size,
	};

	return raw_ioctl(fd, FFG_IOC_HELLO, &hello);
}

static int keys(int fd, uint32_t safe, uint32_t slots)
{
	struct ffg_keys keys = { .size = sizeof(keys), .safe = safe, .slots = slots };

	return raw_ioctl(fd, FFG_IOC_KEYS, &keys);
}

/* ---- handshake ---- */

TEST_F(state, hello_refuses)
{
	const int fd = self->scene.raw.fd;

	EXPECT_EQ(-EPROTO, hello(fd, 0, 0, 0));
	EXPECT_EQ(-EPROTO, hello(fd, FFG_API_LEVEL + 1, 0, 0));
	EXPECT_EQ(-EPROTO, hello(fd, 0xffffffff, 0, 0));
	EXPECT_EQ(-EOPNOTSUPP, hello(fd, FFG_API_LEVEL, 1ULL << 63, 0));
	EXPECT_EQ(-EOPNOTSUPP, hello(fd, FFG_API_LEVEL, 1ULL << 1, 0));
	EXPECT_EQ(-EINVAL, hello(fd, FFG_API_LEVEL, 0, 1));
	EXPECT_EQ(-EINVAL, hello(fd, FFG_API_LEVEL, 0, 4096));
	EXPECT_EQ(-EINVAL, hello(fd, FFG_API_LEVEL, 0, (2 << 20) + 4096));
	EXPECT_EQ(-EINVAL, hello(fd, FFG_API_LEVEL, 0, 2 << 20));
	EXPECT_EQ(-EINVAL, hello(fd, FFG_API_LEVEL, 0, 1ULL << 60));
	EXPECT_EQ(-EINVAL, hello(fd, FFG_API_LEVEL, 0, ~0ULL));
	EXPECT_EQ(-EINVAL, hello(fd, FFG_API_LEVEL, 0, 1ULL << 63));
	/* None of them left anything behind. */
	EXPECT_EQ(0, hello(fd, FFG_API_LEVEL, FFG_FEATURE_THREAD_STRIP, 4 << 20));
	EXPECT_EQ(-EALREADY, hello(fd, FFG_API_LEVEL, 0, 0));
}

TEST_F(state, hello_answers)
{
	struct raw *raw = &self->scene.raw;

	ASSERT_EQ(0, raw_hello(raw, 0));
	EXPECT_EQ(FFG_API_LEVEL, raw->hello.api);
	EXPECT_EQ(FFG_FEATURE_THREAD_STRIP, raw->hello.features);
	EXPECT_EQ(0, raw->hello.arena_size % (2 << 20));
	EXPECT_LE(1ULL << 30, raw->hello.arena_size);
	EXPECT_EQ(FFG_LINES_MAX * sizeof(struct ffg_line), raw->hello.lines_size);
	EXPECT_EQ(FFG_RECORDS_MAX * sizeof(struct ffg_record), raw->hello.records_size);
	/* An arena of the size that was asked for. */
	ASSERT_EQ(0, scene_reach(&self->scene, STATE_OPEN));
	ASSERT_EQ(0, raw_hello(raw, 64 << 20));
	EXPECT_EQ(64 << 20, raw->hello.arena_size);
}

TEST_F(state, one_context_for_each_process)
{
	int other = raw_device();

	ASSERT_LE(0, other);
	ASSERT_EQ(0, scene_reach(&self->scene, STATE_KEYS));
	EXPECT_EQ(-EBUSY, hello(other, FFG_API_LEVEL, 0, 0));
	EXPECT_EQ(-EPROTO, keys(other, self->scene.raw.safe, self->scene.raw.slots));
	/* Without its arena the first is none any more, and the second descriptor may try again. */
	raw_unmap(&self->scene.raw);
	EXPECT_EQ(0, hello(other, FFG_API_LEVEL, 0, 0));
	EXPECT_EQ(0, keys(other, self->scene.raw.safe, self->scene.raw.slots));
	EXPECT_EQ(-EALREADY, hello(other, FFG_API_LEVEL, 0, 0));
	close(other);
	/* Nor is a closed one. */
	ASSERT_EQ(0, scene_reach(&self->scene, STATE_KEYS));
}

TEST_F(state, new_context_after_munmap)
{
	struct ffg_object_desc desc;
	struct raw old, *raw = &self->scene.raw;

	ASSERT_EQ(0, scene_reach(&self->scene, STATE_KEYS));
	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
	/* Lines and records of the old one stay mapped. */
	old = *raw;
	ASSERT_EQ(0, munmap(raw->arena, raw->hello.arena_size));
	EXPECT_EQ(-ESHUTDOWN, raw_alloc(&old, 100, 0, &desc));
	EXPECT_EQ(-ESHUTDOWN, raw_free(&old, desc.object));
	EXPECT_EQ(NULL, raw_mmap(&old, FFG_MMAP_ARENA, old.hello.arena_size,
				 PROT_READ | PROT_WRITE));
	EXPECT_EQ(ESHUTDOWN, errno);

	raw->arena = NULL;
	old.arena = NULL;
	raw->fd = raw_device();
	ASSERT_LE(0, raw->fd);
	ASSERT_EQ(0, raw_hello(raw, 0));
	ASSERT_EQ(0, keys(raw->fd, raw->safe, raw->slots));
	ASSERT_EQ(0, raw_map(raw));
	ASSERT_EQ(0, raw_attach(raw));
	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
	EXPECT_EQ(0, raw_touch((void *)desc.address, true));
	/* And the old one goes without harm to the new. */
	raw_unmap(&old);
	close(old.fd);
	EXPECT_EQ(0, raw_touch((void *)desc.address, true));
	EXPECT_EQ(0, raw_free(raw, desc.object));
}

/* ---- keys ---- */

TEST_F(state, keys_refused)
{
	struct raw *raw = &self->scene.raw;
	const uint32_t safe = raw->safe, slots = raw->slots;
	int spare, fd;

	ASSERT_EQ(0, raw_hello(raw, 0));
	fd = raw->fd;
	spare = pkey_alloc(0, 0);
	ASSERT_LT(0, spare);
	ASSERT_EQ(0, pkey_free(spare));

	EXPECT_EQ(-EINVAL, keys(fd, 0, slots));
	EXPECT_EQ(-EINVAL, keys(fd, 16, slots));
	EXPECT_EQ(-EINVAL, keys(fd, 0xffffffff, slots));
	EXPECT_EQ(-EINVAL, keys(fd, safe, 0));
	EXPECT_EQ(-EINVAL, keys(fd, safe, slots | 1));
	EXPECT_EQ(-EINVAL, keys(fd, safe, 1));
	EXPECT_EQ(-EINVAL, keys(fd, safe, slots | 1U << safe));
	EXPECT_EQ(-EINVAL, keys(fd, safe, slots | 1U << 16));
	EXPECT_EQ(-EINVAL, keys(fd, safe, slots | 1U << 31));
	EXPECT_EQ(-EKEYREVOKED, keys(fd, spare, slots));
	EXPECT_EQ(-EKEYREVOKED, keys(fd, safe, slots | 1U << spare));
	EXPECT_EQ(-EKEYREVOKED, keys(fd, safe, 1U << spare));
	EXPECT_EQ(0, keys(fd, safe, slots));
	EXPECT_EQ(-EALREADY, keys(fd, safe, slots));
}

/* The kernel takes a key of its own for execute-only memory, and does with it as it likes. */
TEST_F(state, execute_only_key_refused)
{
	struct raw *raw = &self->scene.raw;
	uint32_t taken = 1 | 1U << raw->safe | raw->slots;
	int key, execute_only = 0, count = 0;
	int spare[16];
	void *page;

	ASSERT_EQ(0, raw_hello(raw, 0));
	page = mmap(NULL, RAW_PAGE, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, page);
	/* Which one: none of those that can still be had. */
	while ((key = pkey_alloc(0, 0)) > 0) {
		taken |= 1U << key;
		spare[count++] = key;
	}
	for (key = 1; key < 16; key++)
		if (!(taken & 1U << key))
			execute_only = key;
	ASSERT_LT(0, execute_only) TH_LOG("the kernel took no key");
	ASSERT_LT(0, count);
	EXPECT_EQ(-EKEYREVOKED, keys(raw->fd, execute_only, raw->slots));
	EXPECT_EQ(-EKEYREVOKED, keys(raw->fd, raw->safe, raw->slots | 1U << execute_only));
	/* Where an ordinary one is welcome. */
	EXPECT_EQ(0, keys(raw->fd, raw->safe, raw->slots | 1U << spare[0]));
	while (count--)
		pkey_free(spare[count]);
	munmap(page, RAW_PAGE);
}

TEST_F(state, key_freed_behind_its_back)
{
	struct raw *raw = &self->scene.raw;
	struct ffg_record_id id, never;
	struct ffg_grant_desc whole;
	struct ffg_object_desc desc;
	struct ffg_stats stats;
	int key;

	ASSERT_EQ(0, scene_reach(&self->scene, STATE_KEYS));
	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
	whole = raw_whole(&desc, FFG_RIGHT_READ);
	ASSERT_EQ(0, raw_grant(raw, &whole, 1, 0, &id));
	for (key = 15; !(raw->slots & 1U << key); key--)
		;
	ASSERT_EQ(0, pkey_free(key));
	EXPECT_EQ(-EKEYREVOKED, raw_bind(raw, &id, 0, 0));
	EXPECT_EQ(-EKEYREVOKED, raw_bind(raw, &id, FFG_BIND_WAIT, 0));
	EXPECT_NE(0, raw_word(raw, &id) & FFG_WORD_STALE);
	EXPECT_EQ(-EKEYREVOKED, raw_grant(raw, &whole, 1, FFG_BIND_NOW, &never));
	ASSERT_EQ(0, raw_stats(raw, 0, &stats));
	EXPECT_EQ(1, stats.records);
	EXPECT_EQ(0, stats.binds);
	/* What needs no slot still works, and with the key back all does. */
	EXPECT_EQ(0, raw_touch((void *)desc.address, true));
	EXPECT_EQ(key, pkey_alloc(0, 0));
	EXPECT_EQ(0, raw_bind(raw, &id, 0, 0));
	EXPECT_EQ(0, raw_word(raw, &id) & FFG_WORD_STALE);
}

TEST_F(state, all_keys_of_the_process)
{
	struct raw *raw = &self->scene.raw;
	int key;

	while ((key = pkey_alloc(0, 0)) > 0)
		raw->slots |= 1U << key;
	ASSERT_EQ(0, raw_hello(raw, 0));
	EXPECT_EQ(0, keys(raw->fd, raw->safe, raw->slots));
}

/* ---- mappings ---- */

static int map_error(const struct raw *raw, uint64_t offset, uint64_t length, int prot, int flags)
{
	void *at = mmap(NULL, length, prot, flags | MAP_NORESERVE, raw->fd, (off_t)offset);

	if (at == MAP_FAILED)
		return -errno;
	munmap(at, length);
	return 0;
}

TEST_F(state, mmap_refused)
{
	struct raw *raw = &self->scene.raw;
	const int rw = PROT_READ | PROT_WRITE;
	uint64_t arena, lines, records;

	EXPECT_EQ(-EPROTO, map_error(raw, FFG_MMAP_ARENA, 2 << 20, rw, MAP_SHARED));
	ASSERT_EQ(0, raw_hello(raw, 0));
	arena = raw->hello.arena_size;
	lines = raw->hello.lines_size;
	records = raw->hello.records_size;
	EXPECT_EQ(-EPROTO, map_error(raw, FFG_MMAP_ARENA, arena, rw, MAP_SHARED));
	EXPECT_EQ(-EPROTO, map_error(raw, FFG_MMAP_LINES, lines, rw, MAP_SHARED));
	ASSERT_EQ(0, keys(raw->fd, raw->safe, raw->slots));

	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_ARENA, RAW_PAGE, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_ARENA, arena - RAW_PAGE, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_ARENA, arena + RAW_PAGE, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_ARENA, arena, rw, MAP_PRIVATE));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_ARENA, arena, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_ARENA, arena, rw | PROT_EXEC, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_ARENA + RAW_PAGE, arena, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, 1ULL << 40, arena, rw, MAP_SHARED));

	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES, lines / 2, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES, lines + RAW_PAGE, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES, lines, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES, lines, rw, MAP_PRIVATE));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES, lines, rw | PROT_EXEC, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES + RAW_PAGE, lines, rw, MAP_SHARED));

	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES_RO, lines, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES_RO, lines, PROT_WRITE, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES_RO, lines, PROT_READ, MAP_PRIVATE));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_LINES_RO, RAW_PAGE, PROT_READ, MAP_SHARED));

	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_RECORDS, records, rw, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_RECORDS, records, PROT_READ, MAP_PRIVATE));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_RECORDS, RAW_PAGE, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EINVAL, map_error(raw, FFG_MMAP_RECORDS, records, PROT_READ | PROT_EXEC,
				     MAP_SHARED));

	/* As they should be, and twice. */
	ASSERT_EQ(0, raw_map(raw));
	EXPECT_EQ(-EBUSY, map_error(raw, FFG_MMAP_ARENA, arena, rw, MAP_SHARED));
	EXPECT_EQ(-EBUSY, map_error(raw, FFG_MMAP_LINES, lines, rw, MAP_SHARED));
	EXPECT_EQ(-EBUSY, map_error(raw, FFG_MMAP_LINES_RO, lines, PROT_READ, MAP_SHARED));
	EXPECT_EQ(-EBUSY, map_error(raw, FFG_MMAP_RECORDS, records, PROT_READ, MAP_SHARED));
}

/* Read-only stays read-only. */
TEST_F(state, mappings_keep_their_protection)
{
	const int rw = PROT_READ | PROT_WRITE;
	struct raw *raw = &self->scene.raw;

	ASSERT_EQ(0, scene_reach(&self->scene, STATE_KEYS));
	ASSERT_EQ(0, raw_attach(raw));
	EXPECT_EQ(-1, mprotect((void *)raw->lines_ro, raw->hello.lines_size, rw));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect((void *)raw->records, raw->hello.records_size, rw));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(raw->lines, raw->hello.lines_size, PROT_READ));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, pkey_mprotect(raw->lines, raw->hello.lines_size, rw, 0));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(RAW_ACCERR, raw_touch((void *)raw->lines_ro, true));
	EXPECT_EQ(0, raw_touch((void *)raw->lines_ro, false));
	/* Lines and records are closed to foreign code, the alias of the lines is not. */
	EXPECT_EQ(0, raw_touch(&raw->lines->user, true));
	EXPECT_EQ(RAW_PKUERR, raw_touch_as(raw_rdpkru() | raw->all, &raw->lines->user, false));
	EXPECT_EQ(0, raw_touch_as(raw_rdpkru() | raw->all, (void *)raw->lines_ro, false));
}

TEST_F(state, before_the_mappings)
{
	struct raw *raw = &self->scene.raw;
	struct ffg_grant_desc none = { 0 };
	struct ffg_object_desc desc;
	struct ffg_record_id id;

	ASSERT_EQ(0, raw_hello(raw, 0));
	ASSERT_EQ(0, keys(raw->fd, raw->safe, raw->slots));
	EXPECT_EQ(-ENODATA, raw_alloc(raw, 100, 0, &desc));
	EXPECT_EQ(-ENODATA, raw_attach(raw));
	EXPECT_EQ(-ENODATA, raw_grant(raw, &none, 0, 0, &id));
	ASSERT_EQ(0, raw_map(raw));
	EXPECT_EQ(0, raw_alloc(raw, 100, 0, &desc));
	EXPECT_EQ(0, raw_attach(raw));
	EXPECT_EQ(0, raw_grant(raw, &none, 0, 0, &id));
}

/* ---- another process's ---- */

static void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(fd))] = { 0 }, byte = 0;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	sendmsg(socket, &msg, 0);
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(socket, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Every command and mapping through somebody else's descriptor: the number of wrong answers. */
static int wrong_answers(int fd, uint64_t arena_size)
{
	struct raw other = { .fd = fd };
	union argument argument = { 0 };
	int wrong = 0;

	for (int which = 0; which < COMMANDS; which++) {
		argument.header.size = commands[which].size;
		wrong += raw_ioctl(fd, commands[which].number, &argument) != -EXDEV;
	}
	wrong += map_error(&other, FFG_MMAP_ARENA, arena_size, PROT_READ | PROT_WRITE,
			   MAP_SHARED) != -EXDEV;
	wrong += map_error(&other, FFG_MMAP_RECORDS, FFG_RECORDS_MAX * sizeof(struct ffg_record),
			   PROT_READ, MAP_SHARED) != -EXDEV;
	return wrong;
}

TEST_F(state, descriptor_sent_to_another_process)
{
	struct raw *raw = &self->scene.raw;
	struct ffg_object_desc desc;
	int sockets[2], status;
	pid_t child;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	raw_close(raw);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int fd = receive_fd(sockets[1]);
		struct raw own;

		if (fd < 0 || wrong_answers(fd, 1ULL << 38))
			_exit(1);
		/* It can have one of its own beside it. */
		if (raw_open(&own, 2) || raw_alloc(&own, 100, 0, &desc))
			_exit(2);
		*(volatile char *)desc.address = 1;
		_exit(wrong_answers(fd, 1ULL << 38) ? 3 : 0);
	}
	ASSERT_EQ(0, raw_open(raw, 2));
	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
	send_fd(sockets[0], raw->fd);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, raw_touch((void *)desc.address, true));
	EXPECT_EQ(0, raw_free(raw, desc.object));
}

#define EXEC_FD "FFG_STATE_TEST_FD"

/* What main() does not see: this program run anew by the test below, with the descriptor open. */
static void __attribute__((constructor)) after_exec(void)
{
	const char *fd = getenv(EXEC_FD);

	if (fd)
		_exit(wrong_answers(atoi(fd), 1ULL << 38) ? 1 : 0);
}

TEST_F(state, descriptor_kept_over_exec)
{
	char *const argv[] = { "state_test", NULL };
	char fd[32], *const envp[] = { fd, NULL };
	int status;
	pid_t child;

	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		/* The child's own context: it keeps descriptor and process, not the mm. */
		if (scene_reach(&self->scene, STATE_KEYS))
			_exit(2);
		fcntl(self->scene.raw.fd, F_SETFD, 0);
		snprintf(fd, sizeof(fd), EXEC_FD "=%d", self->scene.raw.fd);
		execve("/proc/self/exe", argv, envp);
		_exit(3);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
