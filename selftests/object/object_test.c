// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects: size, place, what is in them and around them, and how they end. Slack is attacked with
 * plain stores of trusted code, which reach it wherever the object may be reached.
 */
#include <stdio.h>
#include <stdlib.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

FIXTURE(object)
{
	struct raw raw;
};

FIXTURE_SETUP(object)
{
	ASSERT_EQ(0, raw_open(&self->raw, 4));
	raw_catch_faults();
}

FIXTURE_TEARDOWN(object)
{
	raw_close(&self->raw);
}

static const uint64_t sizes[] = {
	1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 100, 255, 1000, 2048, 4080, 4095, 4096, 4097, 8191, 8192,
	8193, 12288, 16384, 16385, 20000, 65536, 100001, 1 << 20, (1 << 20) + 1,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char *page_of(char *at)
{
	return (char *)((uintptr_t)at & ~(RAW_PAGE - 1));
}

/* First page of an object, and the first behind it. */
static char *first_page(const struct ffg_object_desc *desc)
{
	return page_of((char *)desc->address);
}

static char *end_page(const struct ffg_object_desc *desc)
{
	return page_of((char *)desc->address + desc->length - 1) + RAW_PAGE;
}

TEST_F(object, placement_and_alignment)
{
	struct raw *raw = &self->raw;

	for (unsigned int i = 0; i < COUNT(sizes); i++)
		for (uint32_t align = 0; align <= FFG_ALIGN_MAX; align = align ? align * 2 : 1)
			for (uint32_t flags = 0; flags <= FFG_OBJECT_START; flags++) {
				struct ffg_object_desc desc = {
					.length = sizes[i],
					.align = align,
					.flags = flags,
				};
				uint64_t real = align, end;

				ASSERT_EQ(0, raw_alloc_batch(raw, &desc, 1));
				ASSERT_NE(0, desc.object);
				if (!align)
					for (real = 16; sizes[i] % real; real /= 2)
						;
				end = desc.address + desc.length;
				EXPECT_EQ(0, desc.address % real);
				/* As few pages as will do. */
				EXPECT_EQ((sizes[i] + RAW_PAGE - 1) / RAW_PAGE * RAW_PAGE,
					  (uint64_t)(end_page(&desc) - first_page(&desc)));
				if (flags == FFG_OBJECT_START) {
					EXPECT_EQ(0, desc.address % RAW_PAGE);
				} else {	/* as near to the end as the alignment lets it */
					EXPECT_GT(real, (RAW_PAGE - end % RAW_PAGE) % RAW_PAGE);
				}
				if (!flags && !align && real == 1)
					EXPECT_EQ(0, end % RAW_PAGE);
				EXPECT_EQ(sizes[i], desc.length);
				EXPECT_EQ(align, desc.align);
				EXPECT_EQ(flags, desc.flags);
				ASSERT_EQ(0, raw_free(raw, desc.object));
			}
}

TEST_F(object, zeroed)
{
	struct raw *raw = &self->raw;

	/* Twice, so that the second gets what the first left behind. */
	for (int round = 0; round < 3; round++)
		for (unsigned int i = 0; i < COUNT(sizes); i++) {
			struct ffg_object_desc desc;
			char *at;

			ASSERT_EQ(0, raw_alloc(raw, sizes[i], i % 2, &desc));
			at = (char *)desc.address;
			for (uint64_t j = 0; j < sizes[i]; j++) {
				ASSERT_EQ(0, at[j]) {
					TH_LOG("size %llu byte %llu", (unsigned long long)sizes[i],
					       (unsigned long long)j);
				}
			}
			memset(at, 0xff, sizes[i]);
			ASSERT_EQ(0, raw_free(raw, desc.object));
		}
}

TEST_F(object, guard_pages)
{
	struct raw *raw = &self->raw;

	for (unsigned int i = 0; i < COUNT(sizes); i++)
		for (uint32_t flags = 0; flags <= FFG_OBJECT_START; flags++) {
			struct ffg_object_desc desc;

			ASSERT_EQ(0, raw_alloc(raw, sizes[i], flags, &desc));
			for (int write = 0; write < 2; write++) {
				EXPECT_EQ(RAW_MAPERR, raw_touch(first_page(&desc) - 1, write));
				EXPECT_EQ(RAW_MAPERR, raw_touch(first_page(&desc) - RAW_PAGE,
								write));
				EXPECT_EQ(RAW_MAPERR, raw_touch(end_page(&desc), write));
				EXPECT_EQ(RAW_MAPERR, raw_touch(end_page(&desc) + RAW_PAGE - 1,
								write));
				EXPECT_EQ(0, raw_touch((char *)desc.address, write));
				EXPECT_EQ(0, raw_touch((char *)desc.address + sizes[i] - 1, write));
			}
			ASSERT_EQ(0, raw_free(raw, desc.object));
			EXPECT_EQ(RAW_MAPERR, raw_touch((char *)desc.address, false));
			EXPECT_EQ(RAW_MAPERR, raw_touch((char *)desc.address + sizes[i] - 1, true));
		}
}

/* The largest: only what is touched costs memory. */
TEST_F(object, one_gibibyte)
{
	const uint64_t lengths[] = { FFG_OBJECT_MAX, FFG_OBJECT_MAX - 1 };
	struct raw *raw = &self->raw;
	struct ffg_object_desc desc;
	struct ffg_damage damage;
	struct ffg_stats stats;

	EXPECT_EQ(-EFBIG, raw_alloc(raw, FFG_OBJECT_MAX + 1, 0, &desc));
	for (int i = 0; i < 2; i++) {
		volatile char *at;

		ASSERT_EQ(0, raw_alloc(raw, lengths[i], 0, &desc));
		ASSERT_EQ(0, raw_stats(raw, 0, &stats));
		EXPECT_EQ(0, stats.frames);
		at = (char *)desc.address;
		for (uint64_t off = 0; off < lengths[i]; off += 32 << 20) {
			ASSERT_EQ(0, at[off]);
			at[off] = off >> 24 | 1;
		}
		EXPECT_EQ(0, raw_touch(at + lengths[i] - 1, true));
		for (uint64_t off = 0; off < lengths[i]; off += 32 << 20)
			ASSERT_EQ((char)(off >> 24 | 1), at[off]);
		EXPECT_EQ(RAW_MAPERR, raw_touch(end_page(&desc), false));
		EXPECT_EQ(RAW_MAPERR, raw_touch(first_page(&desc) - 1, false));
		ASSERT_EQ(0, raw_stats(raw, 0, &stats));
		EXPECT_LE(33, stats.frames);
		EXPECT_GE(33 * 16, stats.frames);
		EXPECT_EQ(0, raw_check(raw, desc.object, &damage));
		EXPECT_EQ(0, raw_free(raw, desc.object));
		ASSERT_EQ(0, raw_stats(raw, 0, &stats));
		EXPECT_EQ(0, stats.frames);
	}
}

TEST_F(object, without_sense)
{
	struct raw *raw = &self->raw;
	struct ffg_object_desc desc;
	struct ffg_stats stats;

	EXPECT_EQ(-EINVAL, raw_alloc(raw, 0, 0, &desc));
	EXPECT_EQ(-EINVAL, raw_alloc(raw, 1, 2, &desc));
	EXPECT_EQ(-EINVAL, raw_alloc(raw, 1, FFG_OBJECT_START | 4, &desc));
	EXPECT_EQ(-EFBIG, raw_alloc(raw, 1ULL << 63, 0, &desc));
	EXPECT_EQ(-EFBIG, raw_alloc(raw, ~0ULL, 0, &desc));
	for (uint32_t align = 3; align < 20000; align++) {
		bool power = !(align & (align - 1));

		desc = (struct ffg_object_desc){ .length = 1, .align = align };
		if (power && align <= FFG_ALIGN_MAX)
			continue;
		ASSERT_EQ(-EINVAL, raw_alloc_batch(raw, &desc, 1)) TH_LOG("alignment %u", align);
		EXPECT_EQ(0, desc.object);
		EXPECT_EQ(0, desc.address);
	}
	ASSERT_EQ(0, raw_stats(raw, 0, &stats));
	EXPECT_EQ(0, stats.allocs);
	EXPECT_EQ(0, stats.frames);
}

/* ---- slack ---- */

/* Lays out an object that has @head bytes of slack before it and @tail behind it in its pages. */
static void slack_of(const struct ffg_object_desc *desc, uint64_t *head, uint64_t *tail)
{
	*head = desc->address - (uintptr_t)first_page(desc);
	*tail = end_page(desc) - ((char *)desc->address + desc->length);
}

TEST_F(object, poison)
{
	const uint64_t lengths[] = { 1, 100, 5000, 13000, 100001 };
	struct raw *raw = &self->raw;
	unsigned char seen[8] = { 0 };
	bool constant = true;

	for (unsigned int i = 0; i < COUNT(lengths); i++)
		for (uint32_t flags = 0; flags <= FFG_OBJECT_START; flags++) {
			struct ffg_object_desc desc = {
				.length = lengths[i],
				.align = 64,
				.flags = flags,
			};
			uint64_t head, tail, zeroes = 0;
			unsigned char *at;

			ASSERT_EQ(0, raw_alloc_batch(raw, &desc, 1));
			slack_of(&desc, &head, &tail);
			at = (unsigned char *)first_page(&desc);
			/* One pattern of eight bytes, the same all over, and no constant. */
			for (uint64_t j = 0; j < head; j++) {
				if (i == 0 && j < 8)
					seen[j] = at[j];
				zeroes += at[j] == 0;
				ASSERT_EQ(seen[j % 8], at[j]);
			}
			at = (unsigned char *)end_page(&desc) - tail;
			for (uint64_t j = 0; j < tail; j++) {
				zeroes += at[j] == 0;
				if (i || flags == 0)
					ASSERT_EQ(seen[(uintptr_t)(at + j) % 8], at[j]);
			}
			if (head + tail > 64)
				EXPECT_GT((head + tail) / 2, zeroes);
			ASSERT_EQ(0, raw_free(raw, desc.object));
		}
	for (int i = 1; i < 8; i++)
		constant &= seen[i] == seen[0];
	EXPECT_FALSE(constant);
}

/* Overwrites [@from, @to) relative to the object so that each byte differs from what it was. */
static void spoil(const struct ffg_object_desc *desc, int64_t from, int64_t to)
{
	volatile char *at = (char *)desc->address;

	for (int64_t i = from; i < to; i++)
		at[i] = ~at[i];
}

enum how { CHECK, FREE, REVOKE, HOWS };

/* What one way of looking says of an object; -1: it failed. The object is gone afterwards. */
static int look(const struct raw *raw, const struct ffg_object_desc *desc, enum how how,
		struct ffg_damage *damage)
{
	struct ffg_grant_desc whole = raw_whole(desc, FFG_RIGHT_READ | FFG_RIGHT_WRITE);
	uint64_t object = desc->object;
	struct ffg_record_id id;
	uint32_t count = 1;
	int err = -1;

	memset(damage, 0, sizeof(*damage));
	switch (how) {
	case CHECK:
		err = raw_object_batch(raw, FFG_IOC_OBJECT_CHECK, &object, 1, damage, &count);
		break;
	case FREE:
		err = raw_object_batch(raw, FFG_IOC_OBJECT_FREE, &object, 1, damage, &count);
		break;
	case REVOKE:
		err = raw_grant(raw, &whole, 1, FFG_BIND_NOW, &id);
		if (!err)
			err = raw_revoke_batch(raw, &id, 1, 0, damage, &count);
		break;
	case HOWS:
		break;
	}
	if (how != FREE && raw_free(raw, object))
		return -1;
	return err ? -1 : (int)count;
}

/* [from, to) of slack overwritten: every way of looking names just that. */
TEST_F(object, damage_has_the_exact_range)
{
	static const struct {
		uint64_t length;
		uint32_t align, flags;
	} shapes[] = {
		{ 100, 64, FFG_OBJECT_END },		/* slack on both sides */
		{ 100, 0, FFG_OBJECT_END },
		{ 101, 16, FFG_OBJECT_START },
		{ 1, 4096, FFG_OBJECT_END },
		{ 5000, 128, FFG_OBJECT_END },		/* in two pages */
		{ 16384 - 200, 256, FFG_OBJECT_END },
		{ 100001, 32, FFG_OBJECT_END },		/* not populated at once */
		{ 100001, 0, FFG_OBJECT_START },
	};
	struct raw *raw = &self->raw;
	struct ffg_damage damage;

	for (unsigned int i = 0; i < COUNT(shapes); i++)
		for (enum how how = CHECK; how < HOWS; how++) {
			const struct ffg_object_desc wanted = {
				.length = shapes[i].length,
				.align = shapes[i].align,
				.flags = shapes[i].flags,
			};
			struct ffg_object_desc desc = wanted;
			int64_t length = wanted.length;
			uint64_t head, tail;
			int64_t from[8], to[8];
			int ranges = 0;

			ASSERT_EQ(0, raw_alloc_batch(raw, &desc, 1));
			slack_of(&desc, &head, &tail);
			/* Full of anything, it is no damage. */
			memset((void *)desc.address, 0xee, length);
			ASSERT_EQ(0, look(raw, &desc, how, &damage)) TH_LOG("shape %u", i);
			if (head) {
				from[ranges] = -1, to[ranges++] = 0;
				from[ranges] = -(int64_t)head, to[ranges++] = 1 - (int64_t)head;
				from[ranges] = -(int64_t)head, to[ranges++] = 0;
			}
			if (tail) {
				from[ranges] = length, to[ranges++] = length + 1;
				from[ranges] = length + tail - 1, to[ranges++] = length + tail;
				from[ranges] = length, to[ranges++] = length + tail;
			}
			if (head > 40)
				from[ranges] = -35, to[ranges++] = -14;
			if (tail > 20)
				from[ranges] = length + 5, to[ranges++] = length + 19;
			for (int j = 0; j < ranges; j++) {
				desc = wanted;
				ASSERT_EQ(0, raw_alloc_batch(raw, &desc, 1));
				spoil(&desc, from[j], to[j]);
				ASSERT_EQ(1, look(raw, &desc, how, &damage)) {
					TH_LOG("shape %u how %d range %lld to %lld", i, how,
					       (long long)from[j], (long long)to[j]);
				}
				EXPECT_EQ(desc.object, damage.object);
				EXPECT_EQ(from[j], damage.offset);
				EXPECT_EQ(to[j] - from[j], damage.length);
			}
			/* Both sides: one range over all of it. */
			if (!head || !tail)
				continue;
			desc = wanted;
			ASSERT_EQ(0, raw_alloc_batch(raw, &desc, 1));
			spoil(&desc, -2, -1);
			spoil(&desc, length + 1, length + 3);
			ASSERT_EQ(1, look(raw, &desc, how, &damage));
			EXPECT_EQ(-2, damage.offset);
			EXPECT_EQ(length + 5, damage.length);
		}
}

/* Every single byte of slack, every bit of one. */
TEST_F(object, each_byte_of_slack_counts)
{
	struct raw *raw = &self->raw;
	struct ffg_object_desc desc = { .length = 100, .align = 64 };
	struct ffg_damage damage;
	volatile char *at;

	ASSERT_EQ(0, raw_alloc_batch(raw, &desc, 1));
	at = (char *)desc.address;
	for (char *byte = first_page(&desc); byte < end_page(&desc); byte++) {
		int64_t offset = byte - (char *)desc.address;

		if (offset >= 0 && offset < 100)
			continue;
		at[offset] ^= 1 << (offset & 7);
		ASSERT_EQ(1, raw_check(raw, desc.object, &damage)) {
			TH_LOG("offset %ld", (long)offset);
		}
		ASSERT_EQ(offset, damage.offset);
		ASSERT_EQ(1, damage.length);
		/* It stays damaged until it is made good. */
		if (offset % 64 == 0)
			ASSERT_EQ(1, raw_check(raw, desc.object, &damage));
		at[offset] ^= 1 << (offset & 7);
		ASSERT_EQ(0, raw_check(raw, desc.object, &damage));
	}
}

TEST_F(object, more_damage_than_room)
{
	struct ffg_object_desc desc[4] = { 0 };
	struct raw *raw = &self->raw;
	struct ffg_damage damage[4];
	uint64_t handles[4];
	uint32_t count;

	for (int i = 0; i < 4; i++)
		desc[i].length = 50;
	ASSERT_EQ(0, raw_alloc_batch(raw, desc, 4));
	for (int i = 0; i < 4; i++) {
		handles[i] = desc[i].object;
		if (i != 1)
			spoil(&desc[i], -1 - i, -i);
	}
	memset(damage, 0xee, sizeof(damage));
	count = 2;
	EXPECT_EQ(0, raw_object_batch(raw, FFG_IOC_OBJECT_CHECK, handles, 4, damage, &count));
	EXPECT_EQ(3, count);
	EXPECT_EQ(handles[0], damage[0].object);
	EXPECT_EQ(handles[2], damage[1].object);
	EXPECT_EQ(-3, damage[1].offset);
	EXPECT_EQ(0xeeeeeeeeeeeeeeee, damage[2].object);
	count = 0;
	EXPECT_EQ(0, raw_object_batch(raw, FFG_IOC_OBJECT_CHECK, handles, 4, NULL, &count));
	EXPECT_EQ(3, count);
	count = 0xffffffff;
	EXPECT_EQ(-EFAULT, raw_object_batch(raw, FFG_IOC_OBJECT_CHECK, handles, 4, NULL, &count));
	count = 4;
	EXPECT_EQ(0, raw_object_batch(raw, FFG_IOC_OBJECT_FREE, handles, 4, damage, &count));
	EXPECT_EQ(3, count);
	EXPECT_EQ(handles[3], damage[2].object);
}

/* ---- the end ---- */

TEST_F(object, freed_once)
{
	struct raw *raw = &self->raw;
	struct ffg_object_desc desc, other;

	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &other));
	EXPECT_EQ(0, raw_free(raw, desc.object));
	EXPECT_EQ(-ENOENT, raw_free(raw, desc.object));
	EXPECT_EQ(-ENOENT, raw_check_batch(raw, &desc.object, 1));
	EXPECT_EQ(-ENOENT, raw_free(raw, 0));
	EXPECT_EQ(-ENOENT, raw_free(raw, ~0ULL));
	EXPECT_EQ(-ENOENT, raw_free(raw, desc.address));
	EXPECT_EQ(-ENOENT, raw_free(raw, (uintptr_t)&desc));
	for (int bit = 0; bit < 64; bit++)
		EXPECT_EQ(-ENOENT, raw_free(raw, other.object ^ 1ULL << bit));
	EXPECT_EQ(0, raw_touch((void *)other.address, true));
	EXPECT_EQ(0, raw_free(raw, other.object));
}

TEST_F(object, not_freed_while_granted)
{
	struct raw *raw = &self->raw;
	struct ffg_record_id id[2];
	struct ffg_object_desc desc;
	struct ffg_grant_desc whole;

	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
	whole = raw_whole(&desc, FFG_RIGHT_READ);
	ASSERT_EQ(0, raw_grant(raw, &whole, 1, 0, &id[0]));
	ASSERT_EQ(0, raw_grant(raw, &whole, 1, FFG_BIND_NOW, &id[1]));
	EXPECT_EQ(-EBUSY, raw_free(raw, desc.object));
	EXPECT_EQ(0, raw_revoke(raw, &id[1]));
	EXPECT_EQ(-EBUSY, raw_free(raw, desc.object));
	EXPECT_EQ(0, raw_touch((void *)desc.address, true));
	EXPECT_EQ(0, raw_revoke(raw, &id[0]));
	EXPECT_EQ(0, raw_free(raw, desc.object));
}

static int by_value(const void *a, const void *b)
{
	const uint64_t one = *(const uint64_t *)a, two = *(const uint64_t *)b;

	return one < two ? -1 : one > two;
}

#define HANDLES	(40 * FFG_BATCH_MAX)

/* Addresses come back, handles do not. */
TEST_F(object, handles_are_never_reused)
{
	uint64_t *handles = calloc(HANDLES, sizeof(*handles)), *last = handles;
	struct ffg_object_desc desc[FFG_BATCH_MAX] = { 0 };
	uint64_t *places = calloc(HANDLES, sizeof(*places));
	struct raw *raw = &self->raw;
	int again = 0, same = 0;

	ASSERT_NE(NULL, handles);
	ASSERT_NE(NULL, places);
	for (int i = 0; i < FFG_BATCH_MAX; i++)
		desc[i].length = 100;
	for (; last < handles + HANDLES; last += FFG_BATCH_MAX) {
		ASSERT_EQ(0, raw_alloc_batch(raw, desc, FFG_BATCH_MAX));
		for (int i = 0; i < FFG_BATCH_MAX; i++) {
			last[i] = desc[i].object;
			places[last - handles + i] = desc[i].address - (uintptr_t)raw->arena;
			places[last - handles + i] >>= 17;
		}
		ASSERT_EQ(0, raw_free_batch(raw, last, FFG_BATCH_MAX));
	}
	qsort(handles, HANDLES, sizeof(*handles), by_value);
	qsort(places, HANDLES, sizeof(*places), by_value);
	for (int i = 1; i < HANDLES; i++) {
		same += handles[i] == handles[i - 1];
		again += places[i] == places[i - 1];
	}
	EXPECT_EQ(0, same);
	/* Otherwise it would have been easy. */
	EXPECT_LT(HANDLES / 2, again);
	free(handles);
	free(places);
}

/* Objects closed to whoever has not SAFE open. */
TEST_F(object, closed_by_default)
{
	struct raw *raw = &self->raw;

	for (unsigned int i = 0; i < COUNT(sizes); i++) {
		const uint32_t closed = raw_rdpkru() | RAW_CLOSED(raw->safe);
		struct ffg_object_desc desc;

		ASSERT_EQ(0, raw_alloc(raw, sizes[i], 0, &desc));
		/* Untouched, the page may not be there yet; a fault of either kind will do. */
		EXPECT_NE(0, raw_touch_as(closed, (char *)desc.address, true)) {
			TH_LOG("size %llu", (unsigned long long)sizes[i]);
		}
		EXPECT_EQ(0, raw_touch((char *)desc.address, false));
		EXPECT_EQ(0, *(volatile char *)desc.address);
		EXPECT_EQ(RAW_PKUERR, raw_touch_as(closed, (char *)desc.address, false));
		EXPECT_EQ(RAW_PKUERR, raw_touch_as(closed, (char *)desc.address, true));
		EXPECT_EQ(RAW_PKUERR, raw_touch_as(raw_rdpkru() | RAW_WD(raw->safe),
						   (char *)desc.address, true));
		EXPECT_EQ(0, raw_touch_as(raw_rdpkru() | RAW_WD(raw->safe),
					  (char *)desc.address, false));
	}
}

TEST_HARNESS_MAIN
