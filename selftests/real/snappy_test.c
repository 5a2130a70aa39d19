// SPDX-License-Identifier: GPL-2.0-only
/* snappy: C++ inside, with libstdc++'s constructors behind the gate. */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<snappy-c.h>)

#include <snappy-c.h>

#define LIBRARY	"libsnappy.so.1"
#define FILE_NAME "/usr/share/backgrounds/xfce/xfce-shapes.svg"

static void there_and_back(struct real *real)
{
	size_t length, *room = real_alloc(real, sizeof(*room)), packed_length;
	char *file = real_file(real, FILE_NAME, &length), *packed, *back;

	*room = REAL(real, snappy_max_compressed_length, "i(i)")(length);
	REAL_CHECK(*room > length && *room < 2 * length);
	packed = real_alloc(real, *room);
	REAL_CHECK(REAL(real, snappy_compress, "i(pipp)", IN(file, length), OUT(packed, *room),
			IN_OUT(room, sizeof(*room)))(file, length, packed, room) == SNAPPY_OK);
	packed_length = *room;
	REAL_CHECK(packed_length < length);
	real_output(real, "packed", packed, packed_length);

	REAL_CHECK(REAL(real, snappy_validate_compressed_buffer, "i(pi)",
			IN(packed, packed_length))(packed, packed_length) == SNAPPY_OK);
	REAL_CHECK(REAL(real, snappy_uncompressed_length, "i(pip)", IN(packed, packed_length),
			OUT(room, sizeof(*room)))(packed, packed_length, room) == SNAPPY_OK);
	REAL_CHECK(*room == length);
	back = real_alloc(real, length);
	REAL_CHECK(REAL(real, snappy_uncompress, "i(pipp)", IN(packed, packed_length),
			OUT(back, length), IN_OUT(room, sizeof(*room)))
			(packed, packed_length, back, room) == SNAPPY_OK);
	REAL_CHECK(*room == length && !memcmp(back, file, length));
	real_output(real, "back", back, length);

	/* Damaged: what comes out is as wrong in both runs. */
	packed[packed_length / 2] ^= 0xff;
	memset(back, 0, length);
	*room = length;
	real_number(real, "result", REAL(real, snappy_uncompress, "i(pipp)",
					 IN(packed, packed_length), OUT(back, length),
					 IN_OUT(room, sizeof(*room)))
					(packed, packed_length, back, room));
	real_output(real, "damaged", back, length);
}

REAL_FIXTURE

REAL_TEST(there_and_back)
{
	EXPECT_TRUE(real_same(LIBRARY, there_and_back));
}

REAL_TEST(without_the_length)
{
	EXPECT_TRUE(real_stops(LIBRARY, there_and_back, "snappy_compress"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libsnappy-dev")
#endif
