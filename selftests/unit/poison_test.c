// SPDX-License-Identifier: GPL-2.0-only
/* Poison of slack: every range and every pair of damaged bytes of a small page. */
#include "kselftest_harness.h"

#include "poison.c"

#define SIZE	40
#define PATTERN	0x8877665544332211ULL
#define CANARY	0xee

static u8 expected(size_t offset)
{
	return 0x11 * (offset % 8 + 1);
}

TEST(fill_keeps_to_its_range)
{
	for (size_t from = 0; from <= SIZE; from++) {
		for (size_t to = from; to <= SIZE; to++) {
			u8 page[SIZE] __attribute__((aligned(8)));

			memset(page, CANARY, SIZE);
			ffg_poison_fill(page, from, to, PATTERN);
			for (size_t at = 0; at < SIZE; at++)
				ASSERT_EQ(at < from || at >= to ? CANARY : expected(at), page[at]);
		}
	}
}

TEST(intact_poison_is_found_intact)
{
	for (size_t from = 0; from <= SIZE; from++) {
		for (size_t to = from; to <= SIZE; to++) {
			u8 page[SIZE] __attribute__((aligned(8)));
			size_t first = 1000, last = 2000;

			/* What lies outside of the range is none of its business. */
			memset(page, CANARY, SIZE);
			ffg_poison_fill(page, from, to, PATTERN);
			ASSERT_TRUE(ffg_poison_check(page, from, to, PATTERN, &first, &last));
			ASSERT_EQ(1000, first);
			ASSERT_EQ(2000, last);
		}
	}
}

TEST(damage_is_found_to_the_byte)
{
	for (size_t from = 0; from <= SIZE; from += 3) {
		for (size_t to = from + 1; to <= SIZE; to++) {
			for (size_t a = from; a < to; a++) {
				for (size_t b = a; b < to; b++) {
					u8 page[SIZE] __attribute__((aligned(8)));
					size_t first = 0, last = 0;

					memset(page, CANARY, SIZE);
					ffg_poison_fill(page, from, to, PATTERN);
					page[a] ^= 0x80;
					if (b != a)
						page[b] ^= 1;
					ASSERT_FALSE(ffg_poison_check(page, from, to, PATTERN,
								      &first, &last));
					ASSERT_EQ(a, first);
					ASSERT_EQ(b, last);
				}
			}
		}
	}
}

TEST_HARNESS_MAIN
