// SPDX-License-Identifier: GPL-2.0-only
/*
 * libjpeg-turbo, by both of its interfaces.  On an error in the file it leaves by longjmp()
 * inside itself.
 */
#include <setjmp.h>
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

/* ---- with an error function and a source of the program's ---- */

struct source {
	struct jpeg_source_mgr manager;	/* first: it is what libjpeg knows */
	unsigned char bytes[4096];
};

/* Trusted, and unknown to libjpeg. */
static struct {
	struct real *real;
	struct jpeg_decompress_struct *jpeg;
	struct jpeg_error_mgr *error;
	struct source *source;
	const unsigned char *file;
	size_t length, done;
	jmp_buf end;
} reader;

static void error_exit(j_common_ptr jpeg)
{
	REAL_CHECK(jpeg == (j_common_ptr)reader.jpeg);
	longjmp(reader.end, 1);
}

static void init_source(j_decompress_ptr jpeg)
{
	REAL_CHECK(jpeg == reader.jpeg);
}

static boolean fill_input_buffer(j_decompress_ptr jpeg)
{
	size_t n = reader.length - reader.done;

	REAL_CHECK(jpeg == reader.jpeg);
	if (!n)
		longjmp(reader.end, 2);
	if (n > sizeof(reader.source->bytes))
		n = sizeof(reader.source->bytes);
	memcpy(reader.source->bytes, reader.file + reader.done, n);
	reader.done += n;
	reader.source->manager.next_input_byte = reader.source->bytes;
	reader.source->manager.bytes_in_buffer = n;
	return TRUE;
}

static void skip_input_data(j_decompress_ptr jpeg, long count)
{
	struct jpeg_source_mgr *manager = &reader.source->manager;

	while (count > (long)manager->bytes_in_buffer) {
		count -= manager->bytes_in_buffer;
		fill_input_buffer(jpeg);
	}
	if (count > 0) {
		manager->next_input_byte += count;
		manager->bytes_in_buffer -= count;
	}
}

/* How it ended: 0 well, or what longjmp() said. */
static int from_source(struct real *real, const unsigned char *file, size_t length)
{
	struct jpeg_decompress_struct *jpeg = real_alloc(real, sizeof(*jpeg));
	struct jpeg_error_mgr *error = real_alloc(real, sizeof(*error));
	struct source *source = real_alloc(real, sizeof(*source));
	JSAMPROW *row = real_alloc(real, sizeof(*row));
	size_t stride;
	int how;

	reader.real = real;
	reader.jpeg = jpeg;
	reader.error = error;
	reader.source = source;
	reader.file = file;
	reader.length = length;
	reader.done = 0;

#define STATE	IN_OUT(jpeg, sizeof(*jpeg)), IN_OUT(error, sizeof(*error)), \
		IN_OUT(source, sizeof(*source))
	jpeg->err = REAL(real, jpeg_std_error, "p(p)", OUT(error, sizeof(*error)))(error);
	error->error_exit = (void (*)(j_common_ptr))
			    real_callback(real, error_exit, "v(p)", 0, NULL);
	REAL(real, jpeg_CreateDecompress, "v(pii)", STATE)(jpeg, JPEG_LIB_VERSION, sizeof(*jpeg));
	jpeg->src = &source->manager;
	source->manager.init_source = real_callback(real, init_source, "v(p)", 0, NULL);
	source->manager.fill_input_buffer = (boolean (*)(j_decompress_ptr))
		real_callback(real, fill_input_buffer, "i(p)", 0, NULL);
	source->manager.skip_input_data = (void (*)(j_decompress_ptr, long))
		real_callback(real, skip_input_data, "v(pi)", 0, NULL);
	/* Functions of the library's may stand beside those of the program. */
	source->manager.resync_to_restart = real_symbol(real, "jpeg_resync_to_restart");
	source->manager.term_source = source->manager.init_source;
	how = setjmp(reader.end);
	if (!how) {
		REAL(real, jpeg_read_header, "i(pi)", STATE)(jpeg, TRUE);
		jpeg->scale_denom = 8;
		REAL(real, jpeg_start_decompress, "i(p)", STATE)(jpeg);
		stride = (size_t)jpeg->output_width * jpeg->output_components;
		REAL_CHECK(stride > 500 && stride < 20000);
		*row = real_alloc(real, stride);
		while (jpeg->output_scanline < jpeg->output_height) {
			REAL(real, jpeg_read_scanlines, "i(ppi)", STATE, IN(row, sizeof(*row)),
			     OUT(*row, stride))(jpeg, row, 1);
			real_output(real, "row", *row, stride);
		}
		REAL(real, jpeg_finish_decompress, "i(p)", STATE)(jpeg);
	}
	real_number(real, "how it ended", how);
	real_number(real, "message", how == 1 ? error->msg_code : 0);
	real_number(real, "read", reader.done);
	REAL(real, jpeg_destroy_decompress, "v(p)", STATE)(jpeg);
#undef STATE
	return how;
}

static unsigned char *plain_file(size_t *length)
{
	struct real plain = { .guarded = false };

	return real_file(&plain, PICTURE, length);
}

static void source(struct real *real)
{
	size_t length;
	unsigned char *file = plain_file(&length);

	REAL_CHECK(!from_source(real, file, length));
	free(file);
}

/* Cut off, then no JPEG at all. */
static void source_damaged(struct real *real)
{
	size_t length;
	unsigned char *file = plain_file(&length);

	REAL_CHECK(from_source(real, file, 50000) == 2);
	REAL_CHECK(from_source(real, file + 100, 50000) == 1);
	free(file);
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

REAL_TEST(libjpeg_source)
{
	EXPECT_TRUE(real_same(JPEG, source));
}

REAL_TEST(libjpeg_source_damaged)
{
	EXPECT_TRUE(real_same(JPEG, source_damaged));
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
