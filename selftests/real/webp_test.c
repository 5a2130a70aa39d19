// SPDX-License-Identifier: GPL-2.0-only
/*
 * libwebp: memory that the library allocates comes back to the program, which reads it and
 * gives it back.
 */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<webp/decode.h>) && __has_include(<webp/encode.h>)

#include <webp/decode.h>
#include <webp/encode.h>

#define LIBRARY	"libwebp.so.7"
/* Debian has hardly a .webp in a small package; the text of this file is the picture. */
#define PICTURE	"/usr/share/backgrounds/xfce/xfce-leaves.svg"
#define SIDE	128
#define BYTES	(SIDE * SIDE * 4)

/* Encodes; a guarded copy of what came out. */
static uint8_t *encoded(struct real *real, bool lossless, size_t *length)
{
	size_t file_length;
	uint8_t *file = real_file(real, PICTURE, &file_length), *copy;
	uint8_t **output = real_alloc(real, sizeof(*output));

	REAL_CHECK(file_length >= BYTES);
	if (lossless)
		*length = REAL(real, WebPEncodeLosslessRGBA, "i(piiip)", IN(file, BYTES),
			       OUT(output, sizeof(*output)))(file, SIDE, SIDE, SIDE * 4, output);
	else
		*length = REAL(real, WebPEncodeRGBA, "i(piiidp)", IN(file, BYTES),
			       OUT(output, sizeof(*output)))(file, SIDE, SIDE, SIDE * 4, 75.0f,
							     output);
	REAL_CHECK(*length > 100 && *output);
	copy = real_copy(real, *output, *length);
	REAL(real, WebPFree, "v(p)")(*output);
	real_output(real, "webp", copy, *length);
	real_free(real, file);
	real_free(real, output);
	return copy;
}

static void decode(struct real *real, bool lossless)
{
	size_t length;
	uint8_t *webp = encoded(real, lossless, &length), *theirs, *ours;
	int *size = real_alloc(real, 2 * sizeof(*size));

	REAL_CHECK(REAL(real, WebPGetInfo, "i(pipp)", IN(webp, length),
			OUT(size, 2 * sizeof(*size)))(webp, length, size, size + 1));
	REAL_CHECK(size[0] == SIDE && size[1] == SIDE);
	theirs = REAL(real, WebPDecodeRGBA, "p(pipp)", IN(webp, length),
		      OUT(size, 2 * sizeof(*size)))(webp, length, size, size + 1);
	REAL_CHECK(theirs);
	real_output(real, "pixels of theirs", theirs, BYTES);
	REAL(real, WebPFree, "v(p)")(theirs);

	ours = real_alloc(real, BYTES);
	REAL_CHECK(REAL(real, WebPDecodeBGRAInto, "p(pipii)", IN(webp, length), OUT(ours, BYTES))
			(webp, length, ours, BYTES, SIDE * 4) == ours);
	real_output(real, "pixels", ours, BYTES);
	/* One byte too small: refused. */
	REAL_CHECK(!REAL(real, WebPDecodeBGRAInto, "p(pipii)", IN(webp, length),
			 OUT(ours, BYTES - 1))(webp, length, ours, BYTES - 1, SIDE * 4));
	real_free(real, webp);
	real_free(real, ours);
}

static void lossy(struct real *real)
{
	decode(real, false);
}

static void lossless(struct real *real)
{
	decode(real, true);
}

/* Piece by piece, with the decoder's state on the library's heap. */
static void incremental(struct real *real)
{
	size_t length;
	uint8_t *webp = encoded(real, false, &length), *pixels = real_alloc(real, BYTES);
	WebPIDecoder *decoder = REAL(real, WebPINewRGB, "p(ipii)", OUT(pixels, BYTES))
				(MODE_RGBA, pixels, BYTES, SIDE * 4);
	VP8StatusCode status = VP8_STATUS_SUSPENDED;

	REAL_CHECK(decoder);
	for (size_t done = 0; done < length && status == VP8_STATUS_SUSPENDED;) {
		size_t n = length - done < 1000 ? length - done : 1000;

		status = REAL(real, WebPIAppend, "i(ppi)", IN(webp + done, n), OUT(pixels, BYTES))
			 (decoder, webp + done, n);
		real_number(real, "status", status);
		real_output(real, "pixels", pixels, BYTES);
		done += n;
	}
	REAL_CHECK(status == VP8_STATUS_OK);
	REAL(real, WebPIDelete, "v(p)")(decoder);
}

static void damaged(struct real *real)
{
	size_t length;
	uint8_t *webp = encoded(real, false, &length), *pixels = real_alloc(real, BYTES);

	for (size_t n = 12; n < length; n += 97)
		webp[n] ^= 0x55;
	real_number(real, "result", !!REAL(real, WebPDecodeRGBAInto, "p(pipii)", IN(webp, length),
					   OUT(pixels, BYTES))(webp, length, pixels, BYTES,
							       SIDE * 4));
	real_output(real, "pixels", pixels, BYTES);
}

REAL_FIXTURE

REAL_TEST(lossy)
{
	EXPECT_TRUE(real_same(LIBRARY, lossy));
}

REAL_TEST(lossless)
{
	EXPECT_TRUE(real_same(LIBRARY, lossless));
}

REAL_TEST(piece_by_piece)
{
	EXPECT_TRUE(real_same(LIBRARY, incremental));
}

REAL_TEST(damaged_file)
{
	EXPECT_TRUE(real_same(LIBRARY, damaged));
}

REAL_TEST(without_the_pixels)
{
	EXPECT_TRUE(real_stops(LIBRARY, lossy, "WebPDecodeBGRAInto"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libwebp-dev")
#endif
