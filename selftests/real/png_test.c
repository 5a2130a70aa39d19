// SPDX-License-Identifier: GPL-2.0-only
/*
 * libpng by its old interface: trusted functions read, write and end it.  It cannot leave a
 * guarded call by its own longjmp(); the program's error function does, from trusted code.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<png.h>)

#include <png.h>

#define LIBRARY	"libpng16.so.16"
#define ICON	"/usr/share/icons/hicolor/128x128/apps/org.xfce.xfdesktop.png"
#define PICTURE	"/usr/share/backgrounds/xfce/xfce-stripes.png"

/* Trusted, and unknown to libpng. */
struct io {
	struct real *real;
	unsigned char *file;		/* of the program's, no object */
	size_t length, done;
	unsigned int warnings;
	char message[100];
	jmp_buf end;
};

static struct io *io_of(png_structp png);
static struct io *current;		/* for functions that are told no user data */

static void load(struct io *io, const char *path)
{
	FILE *file = fopen(path, "re");

	REAL_CHECK(file && !fseek(file, 0, SEEK_END));
	io->length = ftell(file);
	rewind(file);
	io->file = malloc(io->length);
	REAL_CHECK(io->file && fread(io->file, 1, io->length, file) == io->length);
	fclose(file);
}

/* libpng keeps a user-data pointer for these; behind the gate it is worth nothing to us. */
static struct io *io_of(png_structp png)
{
	void *kept = REAL(current->real, png_get_io_ptr, "p(p)")(png);

	REAL_CHECK(kept == real_data(current->real, current));
	return current;
}

static void read_data(png_structp png, png_bytep to, size_t length)
{
	struct io *io = io_of(png);

	/* A length of the library's is not believed. */
	if (length > io->length - io->done) {
		snprintf(io->message, sizeof(io->message), "the file ends at %zu", io->done);
		longjmp(io->end, 2);
	}
	memcpy(to, io->file + io->done, length);
	io->done += length;
}

static void write_data(png_structp png, png_bytep from, size_t length)
{
	real_output(io_of(png)->real, "written", from, length);
}

static void flush_data(png_structp png)
{
	real_number(io_of(png)->real, "flushed", 1);
}

static void error(png_structp png, png_const_charp message)
{
	(void)png;
	snprintf(current->message, sizeof(current->message), "%.90s", message);
	longjmp(current->end, 1);
}

static void warning(png_structp png, png_const_charp message)
{
	(void)png;
	real_output(current->real, "warning", message, strlen(message));
	current->warnings++;
}

struct state {
	png_structp png;
	png_infop info, no_info;
};

static struct state *begin(struct real *real, struct io *io, bool reads)
{
	char *version = real_string(real, PNG_LIBPNG_VER_STRING);
	struct state *state = real_alloc(real, sizeof(*state));
	png_error_ptr errors = real_callback(real, error, "v(pp)", 0, NULL);
	png_error_ptr warnings = real_callback(real, warning, "v(pp)", 0, NULL);

	current = io;
	io->real = real;
	state->png = reads ?
		REAL(real, png_create_read_struct, "p(pppp)",
		     IN(version, sizeof(PNG_LIBPNG_VER_STRING)))(version, NULL, errors, warnings) :
		REAL(real, png_create_write_struct, "p(pppp)",
		     IN(version, sizeof(PNG_LIBPNG_VER_STRING)))(version, NULL, errors, warnings);
	REAL_CHECK(state->png);
	state->info = REAL(real, png_create_info_struct, "p(p)")(state->png);
	REAL_CHECK(state->info);
	real_free(real, version);
	if (reads)
		REAL(real, png_set_read_fn, "v(ppp)")
			(state->png, real_data(real, io),
			 real_callback(real, read_data, "v(ppi)", 0, NULL));
	else
		REAL(real, png_set_write_fn, "v(pppp)")
			(state->png, real_data(real, io),
			 real_callback(real, write_data, "v(ppi)", 0, NULL),
			 real_callback(real, flush_data, "v(p)", 0, NULL));
	return state;
}

static void end_read(struct real *real, struct state *state)
{
	REAL(real, png_destroy_read_struct, "v(ppp)", IN_OUT(state, sizeof(*state)))
		(&state->png, &state->info, &state->no_info);
	real_free(real, state);
}

/* Up to @rows rows; what setjmp() said. */
static int read_rows(struct real *real, const char *path, struct io *io, size_t cut,
		     unsigned int rows)
{
	struct state *volatile state = NULL;
	unsigned char *volatile row = NULL;
	size_t bytes;
	int how;

	load(io, path);
	if (cut)
		io->length = cut;
	state = begin(real, io, true);
	how = setjmp(io->end);
	if (!how) {
		REAL(real, png_read_info, "v(pp)")(state->png, state->info);
		bytes = REAL(real, png_get_rowbytes, "i(pp)")(state->png, state->info);
		real_number(real, "bytes in a row", bytes);
		REAL_CHECK(bytes > 100 && bytes < 100000);
		row = real_alloc(real, bytes);
		for (unsigned int n = 0; n < rows; n++) {
			REAL(real, png_read_row, "v(ppp)", OUT(row, bytes))(state->png, row, NULL);
			real_output(real, "row", row, bytes);
		}
	}
	real_number(real, "how it ended", how);
	real_number(real, "read", io->done);
	end_read(real, state);
	free(io->file);
	return how;
}

static void icon(struct real *real)
{
	struct io io = { .done = 0 };

	REAL_CHECK(!read_rows(real, ICON, &io, 0, 128));
}

static void picture(struct real *real)
{
	struct io io = { .done = 0 };

	REAL_CHECK(!read_rows(real, PICTURE, &io, 0, 40));
}

/* Twenty times, so that what a jump leaves behind would add up. */
static void cut_off(struct real *real)
{
	for (int n = 0; n < 20; n++) {
		struct io io = { .done = 0 };

		REAL_CHECK(read_rows(real, ICON, &io, 2000 + n, 128) == 2);
		real_output(real, "message", io.message, strlen(io.message));
	}
}

/* Not a PNG: libpng's own error, in the middle of a call. */
static void no_png(struct real *real)
{
	for (int n = 0; n < 20; n++) {
		struct io io = { .done = 0 };

		REAL_CHECK(read_rows(real, "/etc/passwd", &io, 0, 1) == 1);
		REAL_CHECK(*io.message);
		real_output(real, "message", io.message, strlen(io.message));
	}
}

static void write_rows(struct real *real)
{
	struct io io = { .done = 0 };
	struct state *state = begin(real, &io, false);
	unsigned char *row = real_alloc(real, 300 * 3);

	if (setjmp(io.end))
		real_fail("%s", io.message);
	REAL(real, png_set_IHDR, "v(ppiiiiiii)")(state->png, state->info, 300, 60, 8,
						 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
						 PNG_COMPRESSION_TYPE_DEFAULT,
						 PNG_FILTER_TYPE_DEFAULT);
	REAL(real, png_write_info, "v(pp)")(state->png, state->info);
	for (int y = 0; y < 60; y++) {
		for (int x = 0; x < 900; x++)
			row[x] = x * y / 7;
		REAL(real, png_write_row, "v(pp)", IN(row, 900))(state->png, row);
		if (y % 20 == 10)
			REAL(real, png_write_flush, "v(p)")(state->png);
	}
	REAL(real, png_write_end, "v(pp)")(state->png, NULL);
	REAL(real, png_destroy_write_struct, "v(pp)", IN_OUT(state, sizeof(*state)))
		(&state->png, &state->info);
}

REAL_FIXTURE

REAL_TEST(icon)
{
	EXPECT_TRUE(real_same(LIBRARY, icon));
}

REAL_TEST(picture)
{
	EXPECT_TRUE(real_same(LIBRARY, picture));
}

REAL_TEST(reader_leaves_by_longjmp)
{
	EXPECT_TRUE(real_same(LIBRARY, cut_off));
}

REAL_TEST(error_leaves_by_longjmp)
{
	EXPECT_TRUE(real_same(LIBRARY, no_png));
}

REAL_TEST(write)
{
	EXPECT_TRUE(real_same(LIBRARY, write_rows));
}

REAL_TEST(without_the_row)
{
	EXPECT_TRUE(real_stops(LIBRARY, icon, "png_read_row"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libpng-dev")
#endif
