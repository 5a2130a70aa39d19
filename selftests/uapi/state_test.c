// SPDX-License-Identifier: GPL-2.0-only
/* Handshake, keys, budgets, mappings, and whose context it is. */
#include <linux/capability.h>
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

/* ---- budgets ---- */

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

TEST_F(state, limits_set_and_get)
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

TEST_F(state, limits_need_a_capability)
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

TEST_F(state, limits_reached)
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
