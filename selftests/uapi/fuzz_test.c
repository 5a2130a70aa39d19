// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random arguments for all ioctls. FFG_SEED repeats a run, FFG_FUZZ_CALLS makes it longer; both are
 * printed. Whatever the module answers, it must be one of the documented errors, the
 * context must work afterwards, and in the end nothing may be left.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kselftest_harness.h"

#include "command.h"

#define FUZZ_CALLS	20000
#define FUZZ_OBJECTS	256

struct fuzz {
	struct scene *scene;		/* behind it lies nothing, for wrong counts */
	uint64_t state;
	union argument *argument;	/* the same */
	unsigned char *arrays;		/* FUZZ_ARRAYS bytes, the same */
	void *read_only;
	uint64_t handles[FUZZ_OBJECTS];
	uint64_t addresses[FUZZ_OBJECTS];
	struct ffg_record_id ids[FUZZ_OBJECTS];
};

#define FUZZ_ARRAYS	(4 * RAW_PAGE)

/* xorshift64*: enough, and the same everywhere. */
static uint64_t fuzz_random(struct fuzz *fuzz)
{
	fuzz->state ^= fuzz->state >> 12;
	fuzz->state ^= fuzz->state << 25;
	fuzz->state ^= fuzz->state >> 27;
	return fuzz->state * 0x2545f4914f6cdd1dULL;
}

static uint64_t fuzz_below(struct fuzz *fuzz, uint64_t bound)
{
	return (fuzz_random(fuzz) >> 11) % bound;
}

/* Numbers that have broken something before. */
static uint64_t fuzz_number(struct fuzz *fuzz)
{
	static const uint64_t edges[] = {
		0, 1, 2, 3, 7, 8, 15, 16, 255, 256, 257, 4095, 4096, 4097, 65535, 65536,
		0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, FFG_OBJECT_MAX, FFG_OBJECT_MAX + 1,
		1ULL << 63, ~0ULL, ~0ULL - 4095, 0x7fffffffffffffffULL,
	};

	switch (fuzz_below(fuzz, 4)) {
	case 0: return edges[fuzz_below(fuzz, sizeof(edges) / sizeof(edges[0]))];
	case 1: return fuzz_below(fuzz, 4096);
	case 2: return fuzz_random(fuzz) >> fuzz_below(fuzz, 64);
	default: return fuzz_random(fuzz);
	}
}

static uint64_t fuzz_pointer(struct fuzz *fuzz)
{
	const struct raw *raw = &fuzz->scene->raw;

	switch (fuzz_below(fuzz, 8)) {
	case 0: return 0;
	case 1: return fuzz_number(fuzz);
	case 2: return 0xffff888000000000ULL + fuzz_below(fuzz, 1 << 30);
	case 3: return (uintptr_t)raw->arena + fuzz_below(fuzz, 1 << 24);
	case 4: return fuzz->addresses[fuzz_below(fuzz, FUZZ_OBJECTS)];
	case 5: return (uintptr_t)fuzz->read_only;
	default: return (uintptr_t)fuzz->arrays + 8 * fuzz_below(fuzz, FUZZ_ARRAYS / 8);
	}
}

static void fuzz_bytes(struct fuzz *fuzz, void *to, size_t size)
{
	unsigned char *bytes = to;

	while (size--)
		*bytes++ = fuzz_random(fuzz) >> 40;
}

/* Arrays of what the commands take, some entries right. */
static void fuzz_arrays(struct fuzz *fuzz)
{
	uint64_t *word = (void *)fuzz->arrays;

	for (unsigned int i = 0; i < FUZZ_ARRAYS / 8; i++) {
		switch (fuzz_below(fuzz, 4)) {
		case 0:
			word[i] = fuzz_number(fuzz);
			break;
		case 1:
			word[i] = fuzz->handles[fuzz_below(fuzz, FUZZ_OBJECTS)];
			break;
		case 2:
			word[i] = fuzz_below(fuzz, 3);
			break;
		default:
			word[i] = fuzz_below(fuzz, 20000);
			break;
		}
	}
}

/* A right argument, an all random one, or a right one with some members changed. */
static void fuzz_argument(struct fuzz *fuzz, enum command_which which)
{
	const uint32_t size = commands[which].size;
	union argument *argument = fuzz->argument;
	uint32_t *word = (uint32_t *)argument;
	unsigned int kind = fuzz_below(fuzz, 4);

	if (kind == 0) {
		fuzz_bytes(fuzz, argument, size);
	} else {
		scene_prepare(fuzz->scene, which, argument);
		for (unsigned int i = fuzz_below(fuzz, kind + 1); i; i--)
			word[fuzz_below(fuzz, size / 4)] = fuzz_number(fuzz);
	}
	/* Otherwise most would end at the first check. */
	if (fuzz_below(fuzz, 8))
		argument->header.size = size;
	if (fuzz_below(fuzz, 4))
		argument->header.flags &= commands[which].flags;
	switch (which) {
	case OBJECT_ALLOC:
	case GRANT:
		if (fuzz_below(fuzz, 2)) {
			argument->object_alloc.objects = fuzz_pointer(fuzz);
			argument->object_alloc.count = fuzz_below(fuzz, 12);
		}
		break;
	case OBJECT_FREE:
	case OBJECT_CHECK:
	case REVOKE:
		if (fuzz_below(fuzz, 2)) {
			argument->object_batch.objects = fuzz_pointer(fuzz);
			argument->object_batch.count = fuzz_below(fuzz, 6);
		}
		if (fuzz_below(fuzz, 2))
			argument->object_batch.damage = fuzz_pointer(fuzz);
		break;
	case LIMITS:
		/* Not so low that nothing can be had for the rest of the run. */
		argument->limits.objects |= 1 << 12;
		argument->limits.frames |= 1 << 12;
		argument->limits.tables |= 1 << 12;
		break;
	default:
		break;
	}
}

static bool documented(int err)
{
	switch (err) {
	case 0: case -EINVAL: case -E2BIG: case -EFAULT: case -EALREADY: case -EBUSY: case -EPROTO:
	case -EOPNOTSUPP: case -EKEYREVOKED: case -EPERM: case -EUSERS: case -ENODATA: case -ENOENT:
	case -ENOSPC: case -EFBIG: case -EDQUOT: case -ERANGE: case -EEXIST: case -ESTALE:
	case -EDEADLK: case -ENOTTY: case -ENOMEM:
		return true;
	}
	return false;
}

/* @size bytes that end where nothing is mapped any more. */
static void *fuzz_memory(size_t size)
{
	size_t room = (size + RAW_PAGE - 1) & ~(RAW_PAGE - 1);
	char *at = mmap(NULL, room + RAW_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	if (at == MAP_FAILED)
		return NULL;
	munmap(at + room, RAW_PAGE);
	return at + room - size;
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

FIXTURE(fuzz) {
};

FIXTURE_SETUP(fuzz)
{
}

FIXTURE_TEARDOWN(fuzz)
{
}

TEST_F_TIMEOUT(fuzz, all_commands, 600)
{
	const uint64_t seed = from_environment("FFG_SEED", (uint64_t)time(NULL) << 20 | getpid());
	const uint64_t calls = from_environment("FFG_FUZZ_CALLS", FUZZ_CALLS);
	struct ffg_stats before, after;
	unsigned int succeeded[COMMANDS] = { 0 };
	struct ffg_object_desc desc;
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
	struct raw *raw;
	int other;

	ASSERT_NE(NULL, fuzz);
	printf("# FFG_SEED=%#llx FFG_FUZZ_CALLS=%llu\n", (unsigned long long)seed,
	       (unsigned long long)calls);
	fuzz->state = seed ? seed : 1;
	fuzz->scene = fuzz_memory(sizeof(*fuzz->scene));
	fuzz->argument = fuzz_memory(sizeof(*fuzz->argument));
	fuzz->arrays = fuzz_memory(FUZZ_ARRAYS);
	fuzz->read_only = mmap(NULL, RAW_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(NULL, fuzz->scene);
	ASSERT_NE(NULL, fuzz->argument);
	ASSERT_NE(NULL, fuzz->arrays);
	ASSERT_NE(MAP_FAILED, fuzz->read_only);
	ASSERT_EQ(0, raw_totals(&before));
	raw = &fuzz->scene->raw;
	ASSERT_EQ(0, scene_open(fuzz->scene));
	ASSERT_EQ(0, scene_reach(fuzz->scene, STATE_KEYS));
	other = raw_device();
	ASSERT_LE(0, other);

	for (uint64_t i = 0; i < calls; i++) {
		enum command_which which = fuzz_below(fuzz, COMMANDS);
		unsigned long number = commands[which].number;
		void *at = fuzz->argument;
		int fd = raw->fd, err;

		/* These two are tried on a descriptor that has no context and gets none. */
		if (which == HELLO || which == KEYS) {
			fd = other;
			fuzz_bytes(fuzz, at, commands[which].size);
			fuzz->argument->header.size = commands[which].size;
		} else {
			fuzz_argument(fuzz, which);
		}
		if (i % 64 == 0)
			fuzz_arrays(fuzz);
		if (!fuzz_below(fuzz, 16))
			at = (void *)fuzz_pointer(fuzz);
		if (!fuzz_below(fuzz, 32))
			number ^= 1UL << fuzz_below(fuzz, 32);
		err = raw_ioctl(fd, number, at);
		ASSERT_TRUE(documented(err) || number != commands[which].number)
			TH_LOG("call %llu, command %d: %d", (unsigned long long)i, which, err);
		succeeded[which] += !err;
		if (!err && at == fuzz->argument && which == GRANT)
			fuzz->ids[i % FUZZ_OBJECTS] = (struct ffg_record_id){
				.record = fuzz->argument->grant.record,
				.serial = fuzz->argument->grant.serial,
			};
		if (!raw_alloc(raw, 1 + fuzz_below(fuzz, 30000), fuzz_below(fuzz, 2), &desc)) {
			uint64_t slot = fuzz_below(fuzz, FUZZ_OBJECTS);

			raw_revoke(raw, &fuzz->ids[slot]);
			raw_free(raw, fuzz->handles[slot]);
			fuzz->handles[slot] = desc.object;
			fuzz->addresses[slot] = desc.address;
		}
		/* What was prepared and not used. */
		raw_revoke(raw, &fuzz->scene->id);
		raw_free(raw, fuzz->scene->desc.object);
	}

	/* It was no good fuzz if nothing ever passed the first checks. */
	for (int which = LIMITS; which < COMMANDS; which++) {
		EXPECT_LT(calls / 500, succeeded[which]) {
			TH_LOG("command %d", which);
		}
	}
	/* It works. */
	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &desc));
	memset((void *)desc.address, 1, 100);
	EXPECT_EQ(0, raw_free(raw, desc.object));
	close(other);
	raw_close(raw);
	ASSERT_EQ(0, raw_totals(&after));
	EXPECT_EQ(before.objects, after.objects);
	EXPECT_EQ(before.frames, after.frames);
	EXPECT_EQ(before.tables, after.tables);
}

TEST_HARNESS_MAIN
