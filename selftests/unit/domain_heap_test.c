// SPDX-License-Identifier: GPL-2.0-only
/* The heap of a domain, on ordinary memory. */
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "../../lib/domain_heap.c"

#define KIB	1024UL
#define MIB	(1024 * KIB)
#define GIB	(1024 * MIB)
#define SLOTS	512

struct slot {
	unsigned char *block;
	size_t size;		/* what was asked for */
	unsigned char value;	/* of all bytes it has room for */
};

struct work {
	struct ffg_domain_heap *heap;
	uint64_t seed;
	struct slot slots[SLOTS];
	const char *wrong;	/* the first thing that was */
};

static __thread jmp_buf bad_jump;
static __thread const void *bad_address;

void ffg_domain_heap_bad(const void *address)
{
	bad_address = address;
	longjmp(bad_jump, 1);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* @phase units of 64 KiB behind a multiple of 1 GiB. */
static void *range(size_t size, size_t phase)
{
	char *map = mmap(NULL, size + 2 * GIB, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	return (char *)align_up((uintptr_t)map, GIB) + phase * UNIT;
}

static struct ffg_domain_heap *make(size_t size, size_t phase)
{
	void *base = range(size, phase);

	return base ? ffg_domain_heap_make(base, size) : NULL;
}

static bool all_are(const unsigned char *block, unsigned char value, size_t size)
{
	return !size || (*block == value && !memcmp(block, block + 1, size - 1));
}

static size_t random_size(uint64_t *seed)
{
	static const size_t sizes[] = {
		0, 1, 15, 16, 17, 128, 129, 2047, 2048, 2049, 4095, 4096, 4097, 64 * KIB,
		64 * KIB + 1, 253 * PAGE, 253 * PAGE + 1, MIB, MIB + 1, 2 * MIB + 5,
	};
	uint64_t random = next_random(seed);

	switch (random % 16) {
	case 0:
		return random % 4096 ? sizes[random / 16 % 16] : sizes[random / 65536 % 20];
	case 1:
		return random / 16 % 20000;
	case 2:
		return random / 16 % 4 ? 0 : random / 64 % (300 * KIB);
	default:
		return random / 16 % (16UL << random / 65536 % 8);
	}
}

static void wrong(struct work *work, const char *what)
{
	if (!work->wrong)
		work->wrong = what;
}

static const char *what_is_wrong(const struct work *work)
{
	return work->wrong ? work->wrong : "nothing";
}

static void check_slot(struct work *work, struct slot *slot)
{
	if (slot->block && !all_are(slot->block, slot->value,
				    ffg_domain_heap_usable(work->heap, slot->block)))
		wrong(work, "contents");
}

static void new_block(struct work *work, struct slot *slot, unsigned char *block, size_t size)
{
	size_t usable = ffg_domain_heap_usable(work->heap, block);

	if ((uintptr_t)block % 16)
		wrong(work, "alignment");
	if (usable < size || !usable)
		wrong(work, "usable size");
	if (block + usable > (unsigned char *)work->heap + ffg_domain_heap_used(work->heap))
		wrong(work, "beyond what is used");
	slot->block = block;
	slot->size = size;
	slot->value = next_random(&work->seed);
	memset(block, slot->value, usable);
}

static void step(struct work *work)
{
	uint64_t random = next_random(&work->seed);
	struct slot *slot = &work->slots[random / 16 % SLOTS];
	size_t size = random_size(&work->seed);
	unsigned char *block;

	if (!slot->block) {
		size_t align = random % 8 ? 1 : 1UL << random / 65536 % 16;

		block = ffg_domain_heap_alloc(work->heap, align, size, random & 16);
		if (!block) {
			if (errno != ENOMEM)
				wrong(work, "errno");
			return;
		}
		if ((uintptr_t)block % align)
			wrong(work, "wanted alignment");
		if (random & 16 && !all_are(block, 0, ffg_domain_heap_usable(work->heap, block)))
			wrong(work, "not zeroed");
		new_block(work, slot, block, size);
		return;
	}
	check_slot(work, slot);
	if (random % 4) {
		ffg_domain_heap_free(work->heap, slot->block);
		slot->block = NULL;
		return;
	}
	block = ffg_domain_heap_realloc(work->heap, slot->block, size);
	if (!block) {
		check_slot(work, slot);
		return;
	}
	if (!all_are(block, slot->value, size < slot->size ? size : slot->size))
		wrong(work, "contents of a resized block");
	new_block(work, slot, block, size);
}

static void free_all(struct work *work)
{
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct slot *slot = &work->slots[i * 5 % SLOTS];

		check_slot(work, slot);
		ffg_domain_heap_free(work->heap, slot->block);
		slot->block = NULL;
	}
}

/* What the largest block of an empty heap has room for. */
static size_t whole(size_t size)
{
	size_t own = align_up(sizeof(struct ffg_domain_heap) + size / MIB, PAGE);

	if (own >= MIB)
		return size - 2 * MIB;
	return size > MIB ? size - MIB : size - own - TABLE_SIZE;
}

/* Everything is free, and nothing is left over of it. */
static bool is_whole(struct ffg_domain_heap *heap)
{
	void *block = ffg_domain_heap_alloc(heap, 16, whole(heap->size), false);

	if (!block)
		return false;
	ffg_domain_heap_free(heap, block);
	errno = 0;
	block = ffg_domain_heap_alloc(heap, 16, whole(heap->size) + 1, false);
	return !block && errno == ENOMEM;
}

TEST(a_bad_range_is_refused)
{
	char *base = range(4 * MIB, 0);

	ASSERT_NE(NULL, base);
	EXPECT_EQ(NULL, ffg_domain_heap_make(NULL, MIB));
	EXPECT_EQ(NULL, ffg_domain_heap_make(base + PAGE, MIB));
	EXPECT_EQ(NULL, ffg_domain_heap_make(base, 0));
	EXPECT_EQ(NULL, ffg_domain_heap_make(base, MIB + PAGE));
	EXPECT_EQ(NULL, ffg_domain_heap_make(base, SIZE_MOST + MIB));
	EXPECT_TRUE(all_are((unsigned char *)base, 0, 4 * MIB));
	EXPECT_NE(NULL, ffg_domain_heap_make(base + UNIT, MIB));
}

TEST(a_bad_request_is_refused)
{
	struct ffg_domain_heap *heap = make(4 * MIB, 0);
	static const size_t aligns[] = { 0, 3, 24, 2 * GIB, ~0UL };
	static const size_t sizes[] = {
		4 * MIB, 4 * MIB + 1, ~0UL, ~0UL - 15, ~0UL - 4095, 1UL << 63
	};
	unsigned char *block = ffg_domain_heap_alloc(heap, 1, 100, true);

	ASSERT_NE(NULL, block);
	memset(block, 7, 100);
	for (unsigned int i = 0; i < ARRAY_SIZE(aligns); i++) {
		errno = 0;
		EXPECT_EQ(NULL, ffg_domain_heap_alloc(heap, aligns[i], 1, false));
		EXPECT_EQ(EINVAL, errno);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		errno = 0;
		EXPECT_EQ(NULL, ffg_domain_heap_alloc(heap, 1, sizes[i], false));
		EXPECT_EQ(ENOMEM, errno);
		errno = 0;
		EXPECT_EQ(NULL, ffg_domain_heap_realloc(heap, block, sizes[i]));
		EXPECT_EQ(ENOMEM, errno);
	}
	EXPECT_TRUE(all_are(block, 7, 100));
	ffg_domain_heap_free(heap, NULL);
	ffg_domain_heap_free(heap, block);
	EXPECT_TRUE(is_whole(heap));
}

/* Blocks of every size, which neither overlap each other nor are larger than need be. */
TEST(sizes)
{
	struct ffg_domain_heap *heap = make(64 * MIB, 3);
	unsigned char *blocks[4300];
	size_t at_most;

	ASSERT_NE(NULL, heap);
	for (size_t size = 0; size < ARRAY_SIZE(blocks); size++) {
		blocks[size] = ffg_domain_heap_alloc(heap, 16, size, true);
		ASSERT_NE(NULL, blocks[size]);
		ASSERT_EQ(0, (uintptr_t)blocks[size] % 16);
		at_most = size <= 128 ? size / 16 * 16 + 16 : size <= 2048 ? size * 5 / 4 : 8192;
		ASSERT_LE(size, ffg_domain_heap_usable(heap, blocks[size]));
		ASSERT_GE(at_most, ffg_domain_heap_usable(heap, blocks[size]));
		memset(blocks[size], size % 251, ffg_domain_heap_usable(heap, blocks[size]));
	}
	for (size_t size = 0; size < ARRAY_SIZE(blocks); size++) {
		ASSERT_TRUE(all_are(blocks[size], size % 251,
				    ffg_domain_heap_usable(heap, blocks[size])));
		ffg_domain_heap_free(heap, blocks[size]);
	}
	EXPECT_TRUE(is_whole(heap));
}

TEST(blocks_keep_their_contents)
{
	static struct work work;
	static const size_t sizes[] = { 1, 2, 8, 64 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		work.heap = make(sizes[i] * MIB, i * 5);
		work.seed = 88172645463325252ULL + i;
		ASSERT_NE(NULL, work.heap);
		for (unsigned int n = 0; n < 40000 && !work.wrong; n++)
			step(&work);
		free_all(&work);
		ASSERT_STREQ("nothing", what_is_wrong(&work));
		ASSERT_TRUE(is_whole(work.heap));
	}
}

TEST(alignments)
{
	static const size_t phases[] = { 0, 1, 8, 15 };
	static const size_t sizes[] = {
		0, 1, 100, 2048, 5000, 300 * KIB, 253 * PAGE, 254 * PAGE, MIB, MIB + 1, 5 * MIB
	};

	for (unsigned int p = 0; p < ARRAY_SIZE(phases); p++) {
		struct ffg_domain_heap *heap = make(3 * GIB, phases[p]);

		ASSERT_NE(NULL, heap);
		for (size_t align = 1; align <= GIB; align *= 2) {
			for (unsigned int s = 0; s < ARRAY_SIZE(sizes); s++) {
				unsigned int count = align < GIB ? 2 : 1;
				unsigned char *blocks[2];

				for (unsigned int i = 0; i < count; i++) {
					blocks[i] = ffg_domain_heap_alloc(heap, align, sizes[s],
									  true);
					ASSERT_NE(NULL, blocks[i]);
					ASSERT_EQ(0, (uintptr_t)blocks[i] % align);
					memset(blocks[i], 1 + i, sizes[s]);
				}
				for (unsigned int i = 0; i < count; i++) {
					ASSERT_TRUE(all_are(blocks[i], 1 + i, sizes[s]));
					ffg_domain_heap_free(heap, blocks[i]);
				}
			}
		}
		EXPECT_TRUE(is_whole(heap));
	}
}

TEST(all_of_the_range_comes_back)
{
	static const size_t sizes[] = { MIB, 2 * MIB, 3 * MIB, 17 * MIB };
	static const size_t blocks[] = { 16, 48, 1000, 2048, 5000, 100 * KIB, 700 * KIB, MIB, 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct ffg_domain_heap *heap = make(sizes[i], i);

		ASSERT_NE(NULL, heap);
		for (unsigned int b = 0; b < ARRAY_SIZE(blocks); b++) {
			uint64_t seed = 1 + b;
			size_t count = 0, had = 0, size;
			void **list = calloc(sizes[i] / 16, sizeof(*list));

			for (;; count++) {
				size = blocks[b] ? blocks[b] : random_size(&seed);
				list[count] = ffg_domain_heap_alloc(heap, 16, size, false);
				if (!list[count])
					break;
				had += size;
			}
			ASSERT_EQ(ENOMEM, errno);
			/* Few percent are lost, but for where only the last would not fit. */
			if (blocks[b] && blocks[b] < 5000)
				ASSERT_LE((sizes[i] - 5 * PAGE) / 100 * 96, had);
			for (size_t left = count; left; left--) {
				size_t pick = next_random(&seed) % left;

				ffg_domain_heap_free(heap, list[pick]);
				list[pick] = list[left - 1];
			}
			free(list);
			ASSERT_TRUE(is_whole(heap));
		}
	}
}

TEST(the_largest_ranges)
{
	static const size_t sizes[] = { 64 * GIB, SIZE_MOST / 2 + MIB, SIZE_MOST };

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct ffg_domain_heap *heap = make(sizes[i], i);
		char *block;

		if (!heap)
			SKIP(return, "no address space");
		ASSERT_LE(ffg_domain_heap_used(heap), MIB + 8 * PAGE);
		ASSERT_TRUE(is_whole(heap));
		block = ffg_domain_heap_alloc(heap, GIB, whole(sizes[i]) - 2 * GIB, true);
		ASSERT_NE(NULL, block);
		ASSERT_EQ(whole(sizes[i]) - 2 * GIB, ffg_domain_heap_usable(heap, block));
		block[0] = 1;
		block[ffg_domain_heap_usable(heap, block) - 1] = 1;
		ffg_domain_heap_free(heap, block);
		ASSERT_TRUE(is_whole(heap));
	}
}

/* Large blocks grow where they are, if they can. */
TEST(growing)
{
	struct ffg_domain_heap *heap = make(64 * MIB, 0);
	unsigned char *block, *first, *fence;

	first = ffg_domain_heap_alloc(heap, 16, 5000, false);
	block = first;
	ASSERT_NE(NULL, block);
	memset(block, 9, 5000);
	ASSERT_EQ(first, ffg_domain_heap_realloc(heap, block, 500 * KIB));
	ASSERT_LE(500 * KIB, ffg_domain_heap_usable(heap, block));
	fence = ffg_domain_heap_alloc(heap, 16, 5000, false);
	memset(block + 5000, 9, 500 * KIB - 5000);
	block = ffg_domain_heap_realloc(heap, block, 20 * MIB);
	ASSERT_NE(first, block);
	first = block;
	ASSERT_TRUE(all_are(block, 9, 500 * KIB));
	ASSERT_EQ(first, ffg_domain_heap_realloc(heap, block, 55 * MIB));
	ASSERT_LE(55 * MIB, ffg_domain_heap_usable(heap, block));
	ASSERT_EQ(NULL, ffg_domain_heap_realloc(heap, block, 64 * MIB));
	ASSERT_EQ(first, ffg_domain_heap_realloc(heap, block, 54 * MIB));
	/* Most of it comes back. */
	block = ffg_domain_heap_realloc(heap, block, 100);
	ASSERT_TRUE(all_are(block, 9, 100));
	ASSERT_EQ(112, ffg_domain_heap_usable(heap, block));
	ffg_domain_heap_free(heap, block);
	ffg_domain_heap_free(heap, fence);
	EXPECT_TRUE(is_whole(heap));
}

static bool is_noticed(struct ffg_domain_heap *heap, void *address, bool resize)
{
	bad_address = NULL;
	if (!setjmp(bad_jump)) {
		if (resize)
			ffg_domain_heap_realloc(heap, address, 3000);
		else
			ffg_domain_heap_free(heap, address);
		return false;
	}
	return bad_address == address && !ffg_domain_heap_usable(heap, address);
}

TEST(what_is_no_block_is_noticed)
{
	static const size_t sizes[] = {
		1, 64, 100, 2048, 4096, 9000, 200 * KIB, MIB, 3 * MIB + 7
	};
	struct ffg_domain_heap *heap = make(32 * MIB, 5);
	char *base = (char *)heap, *living[ARRAY_SIZE(sizes)], *dead[ARRAY_SIZE(sizes)];
	void *list[400], *copy;
	unsigned int count = 0;
	size_t used;

	ASSERT_NE(NULL, heap);
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		living[i] = ffg_domain_heap_alloc(heap, 16, sizes[i], false);
		dead[i] = ffg_domain_heap_alloc(heap, 16, sizes[i], false);
		ASSERT_NE(NULL, living[i]);
		ASSERT_NE(NULL, dead[i]);
		memset(living[i], 0x11, sizes[i]);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t usable = ffg_domain_heap_usable(heap, living[i]);

		ffg_domain_heap_free(heap, dead[i]);
		list[count++] = dead[i];
		for (size_t d = 1; d < usable && d <= MIB; d *= 2) {
			list[count++] = living[i] + d;
			if (i)
				list[count++] = living[i] - d;
		}
		list[count++] = living[i] + usable - 1;
	}
	for (size_t d = 0; d < 5 * PAGE; d += PAGE / 2)
		list[count++] = base + d;	/* the heap's own */
	list[count++] = base - 1;
	list[count++] = base + 20 * MIB;
	list[count++] = base + 31 * MIB + 5 * PAGE;
	list[count++] = base + 32 * MIB;
	list[count++] = base + 33 * MIB;
	list[count++] = (void *)16;
	list[count++] = (void *)~15UL;
	list[count++] = &used;
	ASSERT_GE(ARRAY_SIZE(list), count);

	used = ffg_domain_heap_used(heap);
	copy = malloc(used);
	memcpy(copy, heap, used);
	for (unsigned int i = 0; i < count; i++) {
		for (unsigned int b = 0; b < ARRAY_SIZE(sizes); b++) {
			if (list[i] == living[b])
				goto next;
		}
		EXPECT_TRUE(is_noticed(heap, list[i], false))
			TH_LOG("address %u, %#lx", i, (char *)list[i] - base);
		EXPECT_TRUE(is_noticed(heap, list[i], true))
			TH_LOG("address %u, %#lx", i, (char *)list[i] - base);
next:;
	}
	EXPECT_EQ(0, memcmp(copy, heap, used));
	EXPECT_EQ(used, ffg_domain_heap_used(heap));
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++)
		EXPECT_FALSE(is_noticed(heap, living[i], false));
	EXPECT_TRUE(is_whole(heap));
	free(copy);
}

/* Every address of a range of blocks of one size: living ones are what it says, and no others. */
TEST(every_address)
{
	struct ffg_domain_heap *heap = make(MIB, 0);

	for (unsigned int bin = 0; bin < BINS; bin++) {
		size_t size = heap->bins[bin].size;
		char *blocks[3];

		for (unsigned int i = 0; i < 3; i++)
			blocks[i] = ffg_domain_heap_alloc(heap, 16, size, false);
		for (size_t offset = 0; offset < 32 * PAGE; offset++) {
			char *address = (char *)heap + offset;
			bool living = address == blocks[0] || address == blocks[1] ||
				      address == blocks[2];

			ASSERT_EQ(living ? size : 0, ffg_domain_heap_usable(heap, address));
		}
		for (unsigned int i = 0; i < 3; i++)
			ffg_domain_heap_free(heap, blocks[i]);
	}
}

static void dirty_and_reuse(struct __test_metadata *_metadata, struct ffg_domain_heap *heap)
{
	uint64_t seed = 5;

	for (unsigned int round = 0; round < 400; round++) {
		size_t size = random_size(&seed) + (round % 8 ? 0 : 50 * KIB), usable;
		unsigned char *blocks[3];

		for (unsigned int i = 0; i < 3; i++) {
			blocks[i] = ffg_domain_heap_alloc(heap, 16, size, true);
			if (!blocks[i])
				continue;
			usable = ffg_domain_heap_usable(heap, blocks[i]);
			ASSERT_TRUE(all_are(blocks[i], 0, usable));
			memset(blocks[i], 0xff, usable);
		}
		errno = 77;
		for (unsigned int i = 0; i < 3; i++)
			ffg_domain_heap_free(heap, blocks[i]);
		ASSERT_EQ(77, errno);
	}
	ASSERT_TRUE(is_whole(heap));
}

TEST(zeroed_blocks)
{
	dirty_and_reuse(_metadata, make(8 * MIB, 0));
}

/* Locked memory keeps its frames, so the kernel zeroes nothing. */
TEST(zeroed_blocks_in_locked_memory)
{
	void *base = range(4 * MIB, 0);

	/* Not mlock(), which a sanitizer makes do nothing. */
	if (syscall(SYS_mlock, base, 4 * MIB))
		SKIP(return, "no memory may be locked");
	ASSERT_EQ(-1, madvise(base, PAGE, MADV_DONTNEED));
	dirty_and_reuse(_metadata, ffg_domain_heap_make(base, 4 * MIB));
}

static size_t resident(const void *address, size_t size)
{
	size_t pages = size / PAGE, count = 0;
	unsigned char *map = malloc(pages);

	if (mincore((void *)address, size, map))
		return ~0UL;
	for (size_t i = 0; i < pages; i++)
		count += map[i] & 1;
	free(map);
	return count;
}

TEST(frames_are_given_back)
{
	struct ffg_domain_heap *heap = make(16 * MIB, 0);
	static const size_t sizes[] = { 64 * KIB, 600 * KIB, 5 * MIB };
	unsigned char *block, *small[64];
	size_t before;

	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		block = ffg_domain_heap_alloc(heap, 16, sizes[i], false);
		memset(block, 1, sizes[i]);
		ASSERT_EQ(sizes[i] / PAGE, resident(block, sizes[i]));
		errno = 77;
		ffg_domain_heap_free(heap, block);
		EXPECT_EQ(77, errno);
		EXPECT_EQ(0, resident(block, sizes[i]));
	}
	/* Neighbours that are too small alone. */
	before = resident(heap, 16 * MIB);
	for (unsigned int i = 0; i < 64; i++) {
		small[i] = ffg_domain_heap_alloc(heap, 16, 3 * PAGE, false);
		memset(small[i], 1, 3 * PAGE);
	}
	ASSERT_LE(before + 64 * 3, resident(heap, 16 * MIB));
	for (unsigned int i = 0; i < 64; i++)
		ffg_domain_heap_free(heap, small[i]);
	EXPECT_GE(before + DIRTY_MOST, resident(heap, 16 * MIB));
	EXPECT_EQ(0, resident((char *)heap + ffg_domain_heap_used(heap),
			      16 * MIB - ffg_domain_heap_used(heap)));
}

/* ---- threads ---- */

static void *exchange[64];	/* any thread frees what another one left here */
static bool stop;

static void *hammer(void *argument)
{
	struct work *work = argument;

	for (unsigned int n = 0; n < 30000 && !work->wrong; n++) {
		size_t *left;

		step(work);
		if (n % 4)
			continue;
		left = ffg_domain_heap_alloc(work->heap, 16, sizeof(*left) + n % 300, false);
		if (left)
			*left = (uintptr_t)left ^ 0x1234;
		left = __atomic_exchange_n(&exchange[n / 4 % 64], left, __ATOMIC_ACQ_REL);
		if (left && *left != ((uintptr_t)left ^ 0x1234))
			wrong(work, "contents of another thread's block");
		ffg_domain_heap_free(work->heap, left);
	}
	free_all(work);
	return NULL;
}

TEST(threads)
{
	struct ffg_domain_heap *heap = make(128 * MIB, 0);
	static struct work work[4];
	pthread_t threads[4];

	for (unsigned int i = 0; i < 4; i++) {
		work[i].heap = heap;
		work[i].seed = 77 + i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, hammer, &work[i]));
	}
	for (unsigned int i = 0; i < 4; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		ASSERT_STREQ("nothing", what_is_wrong(&work[i]));
	}
	for (unsigned int i = 0; i < 64; i++)
		ffg_domain_heap_free(heap, exchange[i]);
	EXPECT_EQ(0, heap->lock);
	EXPECT_TRUE(is_whole(heap));
}

static void *churn(void *argument)
{
	struct work *work = argument;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED) && !work->wrong)
		step(work);
	return NULL;
}

/* Without the lock around fork() a child soon has a heap that is locked or half changed. */
TEST(fork_while_others_allocate)
{
	struct ffg_domain_heap *heap = make(128 * MIB, 0);
	static struct work work[3], own;
	pthread_t threads[3];

	own.heap = heap;
	own.seed = 99;
	for (unsigned int i = 0; i < 3; i++) {
		work[i].heap = heap;
		work[i].seed = 7 + i;
		ASSERT_EQ(0, pthread_create(&threads[i], NULL, churn, &work[i]));
	}
	for (unsigned int n = 0; n < 60; n++) {
		int status;
		pid_t child;

		ffg_domain_heap_lock(heap);
		child = fork();
		if (!child) {
			alarm(20);
			ffg_domain_heap_fork_child(heap);
			for (unsigned int i = 0; i < 300; i++)
				step(&own);
			free_all(&own);
			_exit(own.wrong ? 1 : 0);
		}
		ffg_domain_heap_unlock(heap);
		ASSERT_LT(0, child);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		ASSERT_EQ(0, status);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (unsigned int i = 0; i < 3; i++) {
		ASSERT_EQ(0, pthread_join(threads[i], NULL));
		ASSERT_STREQ("nothing", what_is_wrong(&work[i]));
		free_all(&work[i]);
	}
	EXPECT_TRUE(is_whole(heap));
}

/* ---- snapshots ---- */

TEST(a_copy_of_what_is_used_is_all)
{
	static struct work work, then, later;
	size_t size = 64 * MIB, used;
	char *copy;

	work.heap = make(size, 0);
	work.seed = 4711;
	for (unsigned int n = 0; n < 20000; n++)
		step(&work);
	ffg_domain_heap_lock(work.heap);
	used = ffg_domain_heap_used(work.heap);
	ASSERT_EQ(0, used % PAGE);
	ASSERT_EQ(0, resident((char *)work.heap + used, size - used));
	copy = malloc(used);
	memcpy(copy, work.heap, used);
	ffg_domain_heap_unlock(work.heap);
	then = work;
	for (unsigned int n = 0; n < 20000; n++)
		step(&work);
	ASSERT_STREQ("nothing", what_is_wrong(&work));
	later = work;
	ASSERT_NE(0, memcmp(copy, work.heap, used));

	memcpy(work.heap, copy, used);
	ASSERT_EQ(0, madvise((char *)work.heap + used, size - used, MADV_DONTNEED));
	ffg_domain_heap_fork_child(work.heap);
	work = then;
	for (unsigned int i = 0; i < SLOTS; i++)
		check_slot(&work, &work.slots[i]);
	ASSERT_STREQ("nothing", what_is_wrong(&work));
	/* The same is done to the same heap, so the same comes of it. */
	for (unsigned int n = 0; n < 20000; n++)
		step(&work);
	EXPECT_EQ(0, memcmp(&later, &work, sizeof(work)));
	free_all(&work);
	ASSERT_STREQ("nothing", what_is_wrong(&work));
	EXPECT_TRUE(is_whole(work.heap));
	free(copy);
}

TEST(what_is_used_stays_small)
{
	static const size_t sizes[] = { 1, 64, 1000, 4096, 30000, 100 * KIB, 3 * MIB };
	static void *living[1000];
	struct ffg_domain_heap *heap = make(GIB, 0);
	uint64_t seed = 3;
	size_t used = 0;

	ASSERT_GE(8 * PAGE, ffg_domain_heap_used(heap));
	for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned int n = 0; n < 20000; n++) {
			ffg_domain_heap_free(heap, ffg_domain_heap_alloc(heap, 16, sizes[i],
									 false));
			if (!n)
				used = ffg_domain_heap_used(heap);
		}
		ASSERT_EQ(used, ffg_domain_heap_used(heap));
	}
	for (unsigned int n = 0; n < 1000000; n++) {
		void **block = &living[next_random(&seed) % 1000];

		ffg_domain_heap_free(heap, *block);
		*block = ffg_domain_heap_alloc(heap, 16, seed / 1024 % (16UL << seed / 65536 % 9),
					       false);
		ASSERT_NE(NULL, *block);
		if (n == 100000)
			used = ffg_domain_heap_used(heap);
	}
	EXPECT_EQ(used, ffg_domain_heap_used(heap));
	for (unsigned int i = 0; i < 1000; i++)
		ffg_domain_heap_free(heap, living[i]);
	EXPECT_TRUE(is_whole(heap));
}

TEST_HARNESS_MAIN
