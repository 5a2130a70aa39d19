// SPDX-License-Identifier: GPL-2.0-only
/*
 * zstd, alone and with worker threads.  The workers are the library's: they have no grants, and
 * need none, because the calling thread copies between the granted buffers and the library's.
 */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<zstd.h>)

#include <zstd.h>

#define LIBRARY	"libzstd.so.1"
#define FILE_NAME "/usr/share/backgrounds/xfce/xfce-shapes.svg"
#define COPIES	8			/* enough for several jobs of the workers */

/* Is @n a result, not an error of the library's? */
static size_t checked(struct real *real, size_t n)
{
	REAL_CHECK(!REAL(real, ZSTD_isError, "i(i)")(n));
	return n;
}

static char *text_of(struct real *real, size_t *length)
{
	size_t one;
	char *file = real_file(real, FILE_NAME, &one), *text = real_alloc(real, COPIES * one);

	/* Not the same again and again: each copy is another mixture. */
	for (size_t n = 0; n < COPIES * one; n++)
		text[n] = file[(n * (n / one + 1)) % one];
	real_free(real, file);
	*length = COPIES * one;
	return text;
}

static void simple(struct real *real)
{
	size_t length, room, packed_length;
	char *text = text_of(real, &length), *packed, *back;

	room = REAL(real, ZSTD_compressBound, "i(i)")(length);
	packed = real_alloc(real, room);
	packed_length = checked(real, REAL(real, ZSTD_compress, "i(pipii)", OUT(packed, room),
					   IN(text, length))(packed, room, text, length, 3));
	real_output(real, "packed", packed, packed_length);
	back = real_alloc(real, length);
	REAL_CHECK(REAL(real, ZSTD_getFrameContentSize, "i(pi)", IN(packed, packed_length))
		   (packed, packed_length) == length);
	REAL_CHECK(checked(real, REAL(real, ZSTD_decompress, "i(pipi)", OUT(back, length),
				      IN(packed, packed_length))
				     (back, length, packed, packed_length)) == length);
	REAL_CHECK(!memcmp(back, text, length));
	packed[packed_length / 2] ^= 1;
	real_number(real, "damaged", REAL(real, ZSTD_decompress, "i(pipi)", OUT(back, length),
					  IN(packed, packed_length))
					 (back, length, packed, packed_length));
}

static void streaming(struct real *real)
{
	struct {
		ZSTD_inBuffer in;
		ZSTD_outBuffer out;
	} *buffers = real_alloc(real, sizeof(*buffers));
	size_t length, room = 4096, left;
	char *text = text_of(real, &length), *out = real_alloc(real, room);
	ZSTD_CCtx *state = REAL(real, ZSTD_createCCtx, "p()")();

	REAL_CHECK(state);
	buffers->in = (ZSTD_inBuffer){ text, length, 0 };
	do {
		buffers->out = (ZSTD_outBuffer){ out, room, 0 };
		left = checked(real, REAL(real, ZSTD_compressStream2, "i(pppi)",
					  IN_OUT(buffers, sizeof(*buffers)), IN(text, length),
					  OUT(out, room))
					 (state, &buffers->out, &buffers->in, ZSTD_e_end));
		REAL_CHECK(buffers->out.pos <= room && buffers->in.pos <= length);
		real_output(real, "packed", out, buffers->out.pos);
	} while (left);
	REAL(real, ZSTD_freeCCtx, "i(p)")(state);
}

static void workers(struct real *real)
{
	size_t length, room, packed_length;
	char *text = text_of(real, &length), *packed, *back;
	ZSTD_CCtx *state = REAL(real, ZSTD_createCCtx, "p()")();

	REAL_CHECK(state);
	/* An error if the library was built without threads. */
	checked(real, REAL(real, ZSTD_CCtx_setParameter, "i(pii)")(state, ZSTD_c_nbWorkers, 2));
	checked(real, REAL(real, ZSTD_CCtx_setParameter, "i(pii)")(state, ZSTD_c_jobSize,
								   512 << 10));
	room = REAL(real, ZSTD_compressBound, "i(i)")(length);
	packed = real_alloc(real, room);
	back = real_alloc(real, length);
	/* The workers of the first round, which are idle by then, do the second. */
	for (int round = 0; round < 2; round++) {
		packed_length = checked(real, REAL(real, ZSTD_compress2, "i(ppipi)",
						   OUT(packed, room), IN(text, length))
						  (state, packed, room, text, length));
		real_output(real, "packed", packed, packed_length);
		memset(back, 0, length);
		REAL_CHECK(checked(real, REAL(real, ZSTD_decompress, "i(pipi)", OUT(back, length),
					      IN(packed, packed_length))
					     (back, length, packed, packed_length)) == length);
		REAL_CHECK(!memcmp(back, text, length));
		memset(packed, 0, packed_length);
	}
	/* Ends the threads. */
	REAL(real, ZSTD_freeCCtx, "i(p)")(state);
}

REAL_FIXTURE

REAL_TEST(simple)
{
	EXPECT_TRUE(real_same(LIBRARY, simple));
}

REAL_TEST(streaming)
{
	EXPECT_TRUE(real_same(LIBRARY, streaming));
}

REAL_TEST(workers)
{
	EXPECT_TRUE(real_same(LIBRARY, workers));
}

REAL_TEST(without_the_text)
{
	EXPECT_TRUE(real_stops(LIBRARY, simple, "ZSTD_compress"));
	EXPECT_TRUE(real_stops(LIBRARY, workers, "ZSTD_compress2"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libzstd-dev")
#endif
