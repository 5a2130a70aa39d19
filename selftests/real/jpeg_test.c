// SPDX-License-Identifier: GPL-2.0-only
/*
 * libjpeg-turbo, by both of its interfaces.  On an error in the file it leaves by longjmp()
 * inside itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<turbojpeg.h>) && __has_include(<jpeglib.h>)

#include <jpeglib.h>
#include <turbojpeg.h>

#define TURBO	"libturbojpeg.so.0"
#define JPEG	"libjpeg.so.62"
#define PICTURE	"/usr/share/backgrounds/xfce/xfce-blue.jpg"

/* The picture at an eighth of its size; the caller frees. */
static unsigned char *decode_small(struct real *real, int *width, int *height)
{
	size_t length;
	unsigned char *file = real_file(real, PICTURE, &length), *pixels;
	tjhandle handle = REAL(real, tjInitDecompress, "p()")();
	int *size = real_alloc(real, 4 * sizeof(*size));

	REAL_CHECK(handle);
	REAL_CHECK(!REAL(real, tjDecompressHeader3, "i(ppipppp)", IN(file, length),
			 OUT(size, 4 * sizeof(*size)))(handle, file, length, size, size + 1,
						       size + 2, size + 3));
	real_output(real, "header", size, 4 * sizeof(*size));
	*width = (size[0] + 7) / 8;
	*height = (size[1] + 7) / 8;
	REAL_CHECK(*width > 100 && *height > 100 && *width < 2000 && *height < 2000);
	pixels = real_alloc(real, (size_t)*width * *height * 3);
	REAL_CHECK(!REAL(real, tjDecompress2, "i(ppipiiiii)", IN(file, length),
			 OUT(pixels, (size_t)*width * *height * 3))
			(handle, file, length, pixels, *width, 0, *height, TJPF_RGB, 0));
	real_output(real, "pixels", pixels, (size_t)*width * *height * 3);
	REAL_CHECK(!REAL(real, tjDestroy, "i(p)")(handle));
	real_free(real, file);
	real_free(real, size);
	return pixels;
}

static void decode(struct real *real)
{
	int width, height;

	real_free(real, decode_small(real, &width, &height));
}

/* Into memory of ours, then into memory of the library's, which it frees. */
static void encode(struct real *real)
{
	int width, height;
	unsigned char *pixels = decode_small(real, &width, &height);
	tjhandle handle = REAL(real, tjInitCompress, "p()")();
	unsigned long room = REAL(real, tjBufSize, "i(iii)")(width, height, TJSAMP_420);
	struct {
		unsigned char *buffer;
		unsigned long length;
	} *jpeg = real_alloc(real, sizeof(*jpeg));
	unsigned char *ours = real_alloc(real, room);

	REAL_CHECK(handle);
	jpeg->buffer = ours;
	jpeg->length = room;
	REAL_CHECK(!REAL(real, tjCompress2, "i(ppiiiippiii)", IN_OUT(jpeg, sizeof(*jpeg)),
			 OUT(ours, room), IN(pixels, (size_t)width * height * 3))
			(handle, pixels, width, 0, height, TJPF_RGB, &jpeg->buffer,
			 &jpeg->length, TJSAMP_420, 85, TJFLAG_NOREALLOC));
	REAL_CHECK(jpeg->buffer == ours && jpeg->length <= room);
	real_output(real, "jpeg", ours, jpeg->length);

	jpeg->buffer = NULL;
	jpeg->length = 0;
	REAL_CHECK(!REAL(real, tjCompress2, "i(ppiiiippiii)", IN_OUT(jpeg, sizeof(*jpeg)),
			 IN(pixels, (size_t)width * height * 3))
			(handle, pixels, width, 0, height, TJPF_RGB, &jpeg->buffer,
			 &jpeg->length, TJSAMP_444, 95, TJFLAG_PROGRESSIVE));
	REAL_CHECK(jpeg->buffer);
	real_output(real, "jpeg of theirs", jpeg->buffer, jpeg->length);
	REAL(real, tjFree, "v(p)")(jpeg->buffer);
	REAL_CHECK(!REAL(real, tjDestroy, "i(p)")(handle));
	real_free(real, pixels);
	real_free(real, jpeg);
	real_free(real, ours);
}

static void damaged(struct real *real)
{
	size_t length, lengths[] = { 100, 20000 };
	unsigned char *file = real_file(real, PICTURE, &length), *part, *pixels;
	tjhandle handle = REAL(real, tjInitDecompress, "p()")();
	int *size = real_alloc(real, 4 * sizeof(*size)), result;

	pixels = real_alloc(real, 360 * 225 * 3);
	for (unsigned int n = 0; n < 2; n++) {
		part = real_copy(real, file, lengths[n]);
		result = REAL(real, tjDecompressHeader3, "i(ppipppp)", IN(part, lengths[n]),
			      OUT(size, 4 * sizeof(*size)))(handle, part, lengths[n], size,
							    size + 1, size + 2, size + 3);
		real_number(real, "header", result);
		result = REAL(real, tjDecompress2, "i(ppipiiiii)", IN(part, lengths[n]),
			      OUT(pixels, 360 * 225 * 3))
				(handle, part, lengths[n], pixels, 360, 0, 225, TJPF_RGB, 0);
		REAL_CHECK(result);
		const char *text = REAL(real, tjGetErrorStr2, "p(p)")(handle);

		real_output(real, text, text, strlen(text));
		real_output(real, "pixels", pixels, 360 * 225 * 3);
		real_free(real, part);
	}
	REAL_CHECK(!REAL(real, tjDestroy, "i(p)")(handle));
}

/* Row by row: the state is a structure of the program's, full of the library's pointers. */
static void rows(struct real *real)
{
	struct jpeg_decompress_struct *jpeg = real_alloc(real, sizeof(*jpeg));
	struct jpeg_error_mgr *error = real_alloc(real, sizeof(*error));
	JSAMPROW *row = real_alloc(real, sizeof(*row));
	size_t length, stride;
	unsigned char *file = real_file(real, PICTURE, &length);

#define STATE	IN_OUT(jpeg, sizeof(*jpeg)), IN_OUT(error, sizeof(*error))
	jpeg->err = REAL(real, jpeg_std_error, "p(p)", OUT(error, sizeof(*error)))(error);
	REAL(real, jpeg_CreateDecompress, "v(pii)", STATE)(jpeg, JPEG_LIB_VERSION, sizeof(*jpeg));
	REAL(real, jpeg_mem_src, "v(ppi)", STATE)(jpeg, file, length);
	REAL_CHECK(REAL(real, jpeg_read_header, "i(pi)", STATE, IN(file, length))(jpeg, TRUE) ==
		   JPEG_HEADER_OK);
	jpeg->scale_num = 1;
	jpeg->scale_denom = 4;
	jpeg->out_color_space = JCS_EXT_BGRA;
	REAL_CHECK(REAL(real, jpeg_start_decompress, "i(p)", STATE, IN(file, length))(jpeg));
	stride = (size_t)jpeg->output_width * jpeg->output_components;
	REAL_CHECK(stride > 1000 && stride < 20000);
	*row = real_alloc(real, stride);
	while (jpeg->output_scanline < jpeg->output_height) {
		REAL_CHECK(REAL(real, jpeg_read_scanlines, "i(ppi)", STATE, IN(file, length),
				IN(row, sizeof(*row)), OUT(*row, stride))(jpeg, row, 1) == 1);
		real_output(real, "row", *row, stride);
	}
	REAL_CHECK(REAL(real, jpeg_finish_decompress, "i(p)", STATE, IN(file, length))(jpeg));
	real_number(real, "warnings", error->num_warnings);
	REAL(real, jpeg_destroy_decompress, "v(p)", STATE)(jpeg);
#undef STATE
}

REAL_FIXTURE

REAL_TEST(turbo_decodes)
{
	EXPECT_TRUE(real_same(TURBO, decode));
}

REAL_TEST(turbo_encodes)
{
	EXPECT_TRUE(real_same(TURBO, encode));
}

REAL_TEST(turbo_damaged_file)
{
	EXPECT_TRUE(real_same(TURBO, damaged));
}

REAL_TEST(libjpeg_rows)
{
	EXPECT_TRUE(real_same(JPEG, rows));
}

REAL_TEST(without_the_pixels)
{
	EXPECT_TRUE(real_stops(TURBO, decode, "tjDecompress2"));
}

REAL_TEST(without_the_row)
{
	EXPECT_TRUE(real_stops(JPEG, rows, "jpeg_read_scanlines"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libturbojpeg0-dev and libjpeg62-turbo-dev")
#endif
