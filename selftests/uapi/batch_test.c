// SPDX-License-Identifier: GPL-2.0-only
/* Arrays: counts, addresses, all or nothing; structures that lie in memory of the arena itself. */
#include <stdio.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

FIXTURE(batch)
{
	struct raw raw;
	struct ffg_stats before;
	struct ffg_object_desc desc[FFG_BATCH_MAX + 1];
	uint64_t handles[FFG_BATCH_MAX + 1];
	struct ffg_grant_desc grants[FFG_GRANTS_MAX + 1];
	struct ffg_record_id ids[FFG_BATCH_MAX + 1];
	struct ffg_damage damage[FFG_BATCH_MAX];
};

FIXTURE_SETUP(batch)
{
	ASSERT_EQ(0, raw_open(&self->raw, 4));
	raw_catch_faults();
	for (int i = 0; i <= FFG_BATCH_MAX; i++)
		self->desc[i].length = 100;
}

FIXTURE_TEARDOWN(batch)
{
	raw_close(&self->raw);
}

#define REMEMBER() ASSERT_EQ(0, raw_stats(&self->raw, 0, &self->before))
/* What is alive is what was remembered, and nothing was counted that did not happen. */
#define EXPECT_SAME() do {						\
	struct ffg_stats now_;						\
									\
	ASSERT_EQ(0, raw_stats(&self->raw, 0, &now_));			\
	EXPECT_EQ(self->before.objects, now_.objects);			\
	EXPECT_EQ(self->before.frames, now_.frames);			\
	EXPECT_EQ(self->before.tables, now_.tables);			\
	EXPECT_EQ(self->before.records, now_.records);			\
	EXPECT_EQ(self->before.quarantined, now_.quarantined);		\
	EXPECT_EQ(self->before.allocs, now_.allocs);			\
	EXPECT_EQ(self->before.frees, now_.frees);			\
	EXPECT_EQ(self->before.revokes, now_.revokes);			\
} while (0)

/* @count objects, with their handles in order. */
static int make(struct raw *raw, struct ffg_object_desc *desc, uint64_t *handles, uint32_t count)
{
	int err = raw_alloc_batch(raw, desc, count);

	for (uint32_t i = 0; i < count; i++)
		handles[i] = desc[i].object;
	return err;
}

TEST_F(batch, counts)
{
	struct raw *raw = &self->raw;
	struct ffg_record_id id;

	EXPECT_EQ(0, make(raw, self->desc, self->handles, FFG_BATCH_MAX));
	REMEMBER();
	EXPECT_EQ(-EINVAL, raw_alloc_batch(raw, self->desc, 0));
	EXPECT_EQ(-EINVAL, raw_alloc_batch(raw, self->desc, FFG_BATCH_MAX + 1));
	EXPECT_EQ(-EINVAL, raw_alloc_batch(raw, self->desc, 0xffffffff));
	EXPECT_EQ(-EINVAL, raw_free_batch(raw, self->handles, 0));
	EXPECT_EQ(-EINVAL, raw_free_batch(raw, self->handles, FFG_BATCH_MAX + 1));
	EXPECT_EQ(-EINVAL, raw_free_batch(raw, self->handles, 0xffffffff));
	EXPECT_EQ(-EINVAL, raw_check_batch(raw, self->handles, 0));
	EXPECT_EQ(-EINVAL, raw_revoke_batch(raw, self->ids, 0, 0, NULL, NULL));
	EXPECT_EQ(-EINVAL, raw_revoke_batch(raw, self->ids, FFG_BATCH_MAX + 1, 0, NULL, NULL));
	EXPECT_EQ(-EINVAL, raw_grant(raw, self->grants, FFG_GRANTS_MAX + 1, 0, &id));
	EXPECT_EQ(-EINVAL, raw_grant(raw, self->grants, 0xffffffff, 0, &id));
	EXPECT_SAME();
	for (int i = 0; i < FFG_GRANTS_MAX; i++)
		self->grants[i] = raw_whole(&self->desc[i], FFG_RIGHT_READ);
	EXPECT_EQ(0, raw_grant(raw, self->grants, FFG_GRANTS_MAX, 0, &id));
	EXPECT_EQ(0, raw_grant(raw, NULL, 0, 0, &self->ids[0]));
	EXPECT_EQ(0, raw_revoke(raw, &self->ids[0]));
	EXPECT_EQ(0, raw_revoke(raw, &id));
	EXPECT_EQ(0, raw_free_batch(raw, self->handles, FFG_BATCH_MAX));
}

TEST_F(batch, array_addresses)
{
	struct raw *raw = &self->raw;
	uint32_t room = 1;
	char *page = mmap(NULL, 2 * RAW_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *bad[] = {
		NULL, (void *)8, (void *)-8UL, (void *)0xffff888000000000UL,
		(void *)0x8000000000000000UL, page + RAW_PAGE, page + RAW_PAGE - 8,
	};

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + RAW_PAGE, RAW_PAGE));
	ASSERT_EQ(0, make(raw, self->desc, self->handles, 2));
	self->grants[0] = raw_whole(&self->desc[0], FFG_RIGHT_READ);
	ASSERT_EQ(0, raw_grant(raw, self->grants, 1, 0, &self->ids[0]));
	memcpy(page + RAW_PAGE - 8, &self->handles[1], 8);
	REMEMBER();
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ffg_grant grant = {
			.size = sizeof(grant),
			.user = (uintptr_t)bad[i],
		};

		EXPECT_EQ(-EFAULT, raw_alloc_batch(raw, bad[i], 2)) TH_LOG("%p", bad[i]);
		EXPECT_EQ(-EFAULT, raw_free_batch(raw, bad[i], 2));
		EXPECT_EQ(-EFAULT, raw_check_batch(raw, bad[i], 2));
		EXPECT_EQ(-EFAULT, raw_revoke_batch(raw, bad[i], 1, 0, NULL, NULL));
		EXPECT_EQ(-EFAULT, raw_grant(raw, bad[i], 1, 0, &self->ids[1]));
		if (bad[i])	/* where 0 says that there are none */
			EXPECT_EQ(-EFAULT, raw_ioctl(raw->fd, FFG_IOC_GRANT, &grant));
		/* Nobody could be told of the damage. */
		EXPECT_EQ(-EFAULT, raw_object_batch(raw, FFG_IOC_OBJECT_FREE, &self->handles[1], 1,
						    bad[i], &room));
		EXPECT_EQ(-EFAULT, raw_object_batch(raw, FFG_IOC_OBJECT_CHECK, &self->handles[1], 1,
						    bad[i], &room));
		EXPECT_EQ(-EFAULT, raw_revoke_batch(raw, self->ids, 1, 0, bad[i], &room));
	}
	EXPECT_SAME();
	EXPECT_EQ(0, raw_revoke(raw, &self->ids[0]));
	EXPECT_EQ(0, raw_free_batch(raw, self->handles, 2));
}

TEST_F(batch, answers_cannot_be_written)
{
	struct ffg_object_desc *desc = mmap(NULL, RAW_PAGE, PROT_READ | PROT_WRITE,
					    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct raw *raw = &self->raw;
	struct ffg_stats now;

	ASSERT_NE(MAP_FAILED, desc);
	memcpy(desc, self->desc, 3 * sizeof(*desc));
	ASSERT_EQ(0, mprotect(desc, RAW_PAGE, PROT_READ));
	REMEMBER();
	EXPECT_EQ(-EFAULT, raw_alloc_batch(raw, desc, 3));
	ASSERT_EQ(0, raw_stats(raw, 0, &now));
	EXPECT_EQ(self->before.objects, now.objects);
	EXPECT_EQ(self->before.frames, now.frames);
}

/* Each bad entry at the front, in the middle and at the end of a batch that is good otherwise. */
TEST_F(batch, alloc_all_or_nothing)
{
	static const struct {
		struct ffg_object_desc desc;
		int err;
	} bad[] = {
		{ { .length = 0 }, -EINVAL },
		{ { .length = FFG_OBJECT_MAX + 1 }, -EFBIG },
		{ { .length = ~0ULL }, -EFBIG },
		{ { .length = 1, .flags = 2 }, -EINVAL },
		{ { .length = 1, .flags = 1U << 31 }, -EINVAL },
		{ { .length = 1, .align = 3 }, -EINVAL },
		{ { .length = 1, .align = 2 * FFG_ALIGN_MAX }, -EINVAL },
		{ { .length = 1, .align = 0x80000000 }, -EINVAL },
	};
	const int places[] = { 0, 5, 9 };
	struct raw *raw = &self->raw;

	/* So that there are page tables for more. */
	ASSERT_EQ(0, make(raw, self->desc, self->handles, 16));
	ASSERT_EQ(0, raw_free_batch(raw, self->handles, 16));
	REMEMBER();
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (int j = 0; j < 3; j++) {
			struct ffg_object_desc desc[10];

			memcpy(desc, self->desc, sizeof(desc));
			desc[places[j]] = bad[i].desc;
			EXPECT_EQ(bad[i].err, raw_alloc_batch(raw, desc, 10))
				TH_LOG("bad %u at %d", i, places[j]);
		}
	EXPECT_SAME();
	EXPECT_EQ(0, raw_alloc_batch(raw, self->desc, 10));
}

/* What could not be had in the end must not use up what others can have. */
TEST_F(batch, alloc_failure_leaves_address_space)
{
	struct ffg_object_desc huge[64];
	struct raw *raw = &self->raw;
	struct ffg_limits limits = {
		.size = sizeof(limits),
		.flags = FFG_LIMITS_SET,
		.tables = 2048,
	};
	int made = 0;

	/* Room for the tables of two of them. */
	ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_LIMITS, &limits));
	for (int i = 0; i < 64; i++)
		huge[i] = (struct ffg_object_desc){ .length = FFG_OBJECT_MAX };
	REMEMBER();
	EXPECT_EQ(-EDQUOT, raw_alloc_batch(raw, huge, 4));
	EXPECT_EQ(-EDQUOT, raw_alloc_batch(raw, huge, 4));
	EXPECT_SAME();
	/* Ten classes of smaller ones need some tables each. */
	for (uint64_t length = 1; length < 100 << 20; length *= 8)
		made += !raw_alloc(raw, length, 0, &huge[made]);
	EXPECT_EQ(9, made);
}

TEST_F(batch, free_all_or_nothing)
{
	const int places[] = { 0, 5, 9 };
	struct raw *raw = &self->raw;
	uint64_t handles[10], freed, granted;

	ASSERT_EQ(0, make(raw, self->desc, self->handles, 16));
	freed = self->handles[15];
	granted = self->handles[14];
	ASSERT_EQ(0, raw_free(raw, freed));
	self->grants[0] = raw_whole(&self->desc[14], FFG_RIGHT_READ);
	ASSERT_EQ(0, raw_grant(raw, self->grants, 1, 0, &self->ids[0]));
	REMEMBER();
	for (int i = 0; i < 3; i++) {
		const uint64_t bad[] = {
			freed, 0, ~0ULL, self->handles[0] + 1, self->handles[0] ^ 1ULL << 26,
			self->handles[0] ^ 1ULL << 63, 1,
		};

		for (unsigned int j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			bool good = false;	/* by chance: handles are given out at random */

			for (unsigned int k = 0; k < 16; k++)
				good |= bad[j] == self->handles[k] && bad[j] != freed;
			if (good)
				continue;
			memcpy(handles, self->handles, sizeof(handles));
			handles[places[i]] = bad[j];
			EXPECT_EQ(-ENOENT, raw_free_batch(raw, handles, 10))
				TH_LOG("bad %u at %d", j, places[i]);
			EXPECT_EQ(-ENOENT, raw_check_batch(raw, handles, 10));
		}
		memcpy(handles, self->handles, sizeof(handles));
		handles[places[i]] = granted;
		EXPECT_EQ(-EBUSY, raw_free_batch(raw, handles, 10));
		/* One that stands there twice. */
		handles[places[i]] = self->handles[7];
		EXPECT_EQ(-ENOENT, raw_free_batch(raw, handles, 10));
	}
	EXPECT_SAME();
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, raw_touch((void *)self->desc[i].address, true));
	EXPECT_EQ(0, raw_free_batch(raw, self->handles, 10));
}

TEST_F(batch, grant_all_or_nothing)
{
	const int places[] = { 0, 2, 4 };
	struct raw *raw = &self->raw;
	struct ffg_record_id id;
	uint64_t object;

	ASSERT_EQ(0, make(raw, self->desc, self->handles, 6));
	ASSERT_EQ(0, raw_free(raw, self->handles[5]));
	object = self->handles[0];
	REMEMBER();
	for (int i = 0; i < 3; i++) {
		const struct {
			struct ffg_grant_desc grant;
			int err;
		} bad[] = {
			{ raw_range(self->handles[5], 0, 1, 1), -ENOENT },
			{ raw_range(0, 0, 1, 1), -ENOENT },
			{ raw_range(~0ULL, 0, 1, 1), -ENOENT },
			{ raw_range(object, 0, 101, 1), -ERANGE },
			{ raw_range(object, 100, 1, 1), -ERANGE },
			{ raw_range(object, ~0ULL, 1, 1), -ERANGE },
			{ raw_range(object, 1, ~0ULL, 1), -ERANGE },
			{ raw_range(object, ~0ULL, 2, 1), -ERANGE },
			{ raw_range(object, 0, 0, 1), -EINVAL },
			{ raw_range(object, 0, 1, 0), -EINVAL },
			{ raw_range(object, 0, 1, FFG_RIGHT_WRITE), -EINVAL },
			{ raw_range(object, 0, 1, 4), -EINVAL },
			{ raw_range(object, 0, 1, 7), -EINVAL },
			{ { object, 0, 1, 1, 1 }, -EINVAL },
			{ raw_range(self->handles[places[i] == 2 ? 4 : 2], 0, 1, 1), -EEXIST },
		};

		for (unsigned int j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			for (int k = 0; k < 5; k++)
				self->grants[k] = raw_whole(&self->desc[k], FFG_RIGHT_READ);
			if (bad[j].err != -EEXIST)	/* the place is the object's own */
				self->grants[0].object = self->handles[places[i]];
			self->grants[places[i]] = bad[j].grant;
			EXPECT_EQ(bad[j].err, raw_grant(raw, self->grants, 5, FFG_BIND_NOW, &id))
				TH_LOG("bad %u at %d", j, places[i]);
		}
	}
	EXPECT_SAME();
	/* Nothing is granted by halves. */
	EXPECT_EQ(0, raw_free_batch(raw, self->handles, 5));
}

TEST_F(batch, revoke_all_or_nothing)
{
	const int places[] = { 0, 5, 9 };
	struct raw *raw = &self->raw;
	struct ffg_record_id ids[10], dead;

	ASSERT_EQ(0, make(raw, self->desc, self->handles, 1));
	self->grants[0] = raw_whole(&self->desc[0], FFG_RIGHT_READ);
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(0, raw_grant(raw, self->grants, 1, 0, &self->ids[i]));
	ASSERT_EQ(0, raw_grant(raw, self->grants, 1, 0, &dead));
	ASSERT_EQ(0, raw_revoke(raw, &dead));
	REMEMBER();
	for (int i = 0; i < 3; i++) {
		const struct {
			struct ffg_record_id id;
			int err;
		} bad[] = {
			{ dead, -ENOENT },
			{ { .record = self->ids[3].record, .serial = ~0ULL }, -ENOENT },
			{ { .record = self->ids[3].record, .serial = 0 }, -ENOENT },
			{ { .record = 0xffffffff, .serial = self->ids[3].serial }, -ENOENT },
			{ { .record = FFG_RECORDS_MAX, .serial = 1 }, -ENOENT },
			{ { self->ids[3].record, 1, self->ids[3].serial }, -EINVAL },
			{ self->ids[3], -ENOENT },	/* twice */
		};

		for (unsigned int j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			memcpy(ids, self->ids, sizeof(ids));
			ids[places[i]] = bad[j].id;
			EXPECT_EQ(bad[j].err, raw_revoke_batch(raw, ids, 10, 0, NULL, NULL))
				TH_LOG("bad %u at %d", j, places[i]);
		}
	}
	EXPECT_SAME();
	EXPECT_EQ(-EBUSY, raw_free(raw, self->handles[0]));
	EXPECT_EQ(0, raw_revoke_batch(raw, self->ids, 10, 0, NULL, NULL));
	EXPECT_EQ(-ENOENT, raw_revoke_batch(raw, self->ids, 10, 0, NULL, NULL));
	EXPECT_EQ(0, raw_free(raw, self->handles[0]));
}

/* ---- in the arena ---- */

/*
 * Argument and arrays of every command in objects: the module reads and writes them through page
 * faults that want its own locks.
 */
TEST_F(batch, structures_in_the_arena)
{
	struct raw *raw = &self->raw;
	struct ffg_object_desc home, *desc;
	struct ffg_grant_desc *grants;
	struct ffg_record_id *ids;
	struct ffg_damage *damage;
	uint64_t *handles;
	union {
		struct ffg_object_alloc alloc;
		struct ffg_object_batch batch;
		struct ffg_grant grant;
		struct ffg_revoke revoke;
		struct ffg_stats stats;
		struct ffg_fault fault;
		struct ffg_limits limits;
	} *argument;
	char *at;

	/* Large: its pages come with the first touch, which is the module's own. */
	ASSERT_EQ(0, raw_alloc(raw, 1 << 20, FFG_OBJECT_START, &home));
	at = (char *)home.address;
	argument = (void *)(at + 0x10000 - 8);		/* across two pages */
	desc = (void *)(at + 0x20000 - 16);
	handles = (void *)(at + 0x30000 - 16);
	grants = (void *)(at + 0x40000 - 16);
	ids = (void *)(at + 0x50000 - 8);
	damage = (void *)(at + 0x60000 - 8);

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < 4; i++)
			desc[i] = (struct ffg_object_desc){ .length = 100 };
		argument->alloc = (struct ffg_object_alloc){
			.size = sizeof(argument->alloc),
			.count = 4,
			.objects = (uintptr_t)desc,
		};
		ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_OBJECT_ALLOC, argument));
		for (int i = 0; i < 4; i++) {
			ASSERT_NE(0, desc[i].object);
			handles[i] = desc[i].object;
			grants[i] = raw_whole(&desc[i], FFG_RIGHT_READ);
		}
		argument->grant = (struct ffg_grant){
			.size = sizeof(argument->grant),
			.flags = FFG_BIND_NOW,
			.count = 4,
			.grants = (uintptr_t)grants,
			.user = (uintptr_t)(at + 0x70000 - 8),
		};
		ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_GRANT, argument));
		ids[0] = (struct ffg_record_id){
			.record = argument->grant.record,
			.serial = argument->grant.serial,
		};
		((char *)desc[2].address)[-2] ^= 1;
		argument->revoke = (struct ffg_revoke){
			.size = sizeof(argument->revoke),
			.count = 1,
			.damage_count = 2,
			.records = (uintptr_t)ids,
			.damage = (uintptr_t)damage,
		};
		ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_REVOKE, argument));
		EXPECT_EQ(1, argument->revoke.damage_count);
		EXPECT_EQ(desc[2].object, damage[0].object);
		argument->fault = (struct ffg_fault){
			.size = sizeof(argument->fault),
			.address = (uintptr_t)argument,
		};
		ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_FAULT, argument));
		EXPECT_EQ(home.object, argument->fault.object);
		argument->batch = (struct ffg_object_batch){
			.size = sizeof(argument->batch),
			.count = 4,
			.damage_count = 2,
			.objects = (uintptr_t)handles,
			.damage = (uintptr_t)damage,
		};
		ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_OBJECT_FREE, argument));
		EXPECT_EQ(1, argument->batch.damage_count);
		argument->stats = (struct ffg_stats){ .size = sizeof(argument->stats) };
		ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_STATS, argument));
		EXPECT_EQ(1, argument->stats.objects);
		EXPECT_EQ(0, argument->stats.records);
		argument->limits = (struct ffg_limits){ .size = sizeof(argument->limits) };
		ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_LIMITS, argument));
	}

	/* Closed to the thread, they are closed to the module when it works for the thread. */
	raw_wrpkru(raw_rdpkru() | raw->all);
	EXPECT_EQ(-EFAULT, raw_ioctl(raw->fd, FFG_IOC_STATS, argument));
	EXPECT_EQ(-EFAULT, raw_free_batch(raw, handles, 1));
	raw_wrpkru(raw_rdpkru() & ~raw->all);
	/* Slack, guard pages, and where nothing is. */
	EXPECT_EQ(-EFAULT, raw_ioctl(raw->fd, FFG_IOC_STATS, at + (1 << 20)));
	EXPECT_EQ(-EFAULT, raw_ioctl(raw->fd, FFG_IOC_STATS, at - 8));
	at = raw->arena + raw->hello.arena_size;
	EXPECT_EQ(-EFAULT, raw_ioctl(raw->fd, FFG_IOC_STATS, at - 8));
}

/* An object that holds the argument or the arrays of the command that frees it. */
TEST_F(batch, free_of_its_own_argument)
{
	struct raw *raw = &self->raw;
	struct ffg_object_batch *batch;
	struct ffg_object_desc desc;
	struct ffg_stats now;
	uint32_t room = 1;

	REMEMBER();
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(0, raw_alloc(raw, sizeof(*batch) + 8, FFG_OBJECT_START, &desc));
		batch = (void *)desc.address;
		*batch = (struct ffg_object_batch){
			.size = sizeof(*batch),
			.count = 1,
			.objects = (uintptr_t)(batch + 1),
		};
		*(uint64_t *)(batch + 1) = desc.object;
		/* There is nowhere left to say how it went. */
		EXPECT_EQ(-EFAULT, raw_ioctl(raw->fd, FFG_IOC_OBJECT_FREE, batch));
		EXPECT_EQ(RAW_MAPERR, raw_touch(batch, false));

		ASSERT_EQ(0, raw_alloc(raw, 100, FFG_OBJECT_START, &desc));
		((char *)desc.address)[100] ^= 1;
		raw_object_batch(raw, FFG_IOC_OBJECT_FREE, &desc.object, 1, (void *)desc.address,
				 &room);
		EXPECT_EQ(RAW_MAPERR, raw_touch((void *)desc.address, false));
		EXPECT_EQ(-ENOENT, raw_free(raw, desc.object));
	}
	ASSERT_EQ(0, raw_stats(raw, 0, &now));
	EXPECT_EQ(self->before.objects, now.objects);
	EXPECT_EQ(self->before.frames, now.frames);
}

TEST_HARNESS_MAIN
