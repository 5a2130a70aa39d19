// SPDX-License-Identifier: GPL-2.0-only
/*
 * A picture of one megapixel, decoded by libpng: whole and row by row, without guards and behind
 * grants.  The file is made here, so that every machine decodes the same: tiles of gradients
 * and of noise.
 *
 * Objects and buffers are present before.  "whole" pays for everything that a decode needs of
 * ffiguard: the calls made, granted, bound, revoked and freed.  "again" and "rows" use calls
 * prepared before, as a program does that decodes more than one picture; "rows.first" pays for
 * all of it, too.
 */
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"

#define SIDE		1024
#define STRIDE		(SIDE * 3)
#define PIXELS		(SIDE * STRIDE)
#define RUNS		3
#define GOAL_WHOLE	0.5
#define GOAL_ROWS	0.2

static unsigned char *file, *pixels, *reference;
static png_alloc_size_t file_length;
static struct ffg_context *context;
static struct ffg_domain *library;
static png_image *image;

/* 1: noise, 0: a gradient. */
static int tile(int x, int y)
{
	return ((x >> 6) + (y >> 6)) & 1;
}

static void make_file(void)
{
	png_image made = {
		.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB,
		.width = SIDE, .height = SIDE,
	};
	unsigned char *at = reference;
	uint32_t random = 12345;

	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++)
			for (int c = 0; c < 3; c++) {
				random = random * 1664525 + 1013904223;
				*at++ = tile(x, y) ? random >> 24 : (uint32_t)(x / 4 + y / 8 * c);
			}
	if (!png_image_write_to_memory(&made, NULL, &file_length, 0, reference, 0, NULL))
		fail("libpng: %s", made.message);
	file = malloc(file_length);
	if (!file || !png_image_write_to_memory(&made, file, &file_length, 0, reference, 0, NULL))
		fail("libpng: %s", made.message);
}

static void *memory(size_t length)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (map == MAP_FAILED)
		fail("out of memory");
	return map;
}

static void check(int ok)
{
	if (!ok)
		fail("libpng cannot decode its own file");
}

static void compare(const char *what)
{
	if (memcmp(pixels, reference, PIXELS))
		fail("%s: the pixels differ", what);
	memset(pixels, 0, PIXELS);
}

/* ---- whole ---- */

static void whole_plain(void)
{
	png_image plain = { .version = PNG_IMAGE_VERSION };

	check(png_image_begin_read_from_memory(&plain, file, file_length));
	plain.format = PNG_FORMAT_RGB;
	check(png_image_finish_read(&plain, NULL, pixels, STRIDE, NULL));
}

static struct ffg_call *call_new(const char *symbol, const char *signature)
{
	struct ffg_call *call = ffg_call_new(library, symbol, signature);

	if (!call)
		fail_ffg(symbol);
	return call;
}

static void call_free(struct ffg_call *call)
{
	if (ffg_call_free(call))
		fail_ffg("free");
}

static struct ffg_call *begin, *finish;

static void whole_prepare(void)
{
	begin = call_new("png_image_begin_read_from_memory", "i(ppi)");
	grant(begin, image, sizeof(*image), FFG_INOUT);
	grant(begin, file, file_length, FFG_IN);
	finish = call_new("png_image_finish_read", "i(pppip)");
	grant(finish, image, sizeof(*image), FFG_INOUT);
	grant(finish, file, file_length, FFG_IN);
	grant(finish, pixels, PIXELS, FFG_OUT);
}

static void whole_decode(void)
{
	int ok, error;

	memset(image, 0, sizeof(*image));
	image->version = PNG_IMAGE_VERSION;
	error = FFG_INVOKE(begin, png_image_begin_read_from_memory, &ok, image, file, file_length);
	check(!error && ok);
	image->format = PNG_FORMAT_RGB;
	error = FFG_INVOKE(finish, png_image_finish_read, &ok, image, NULL, pixels, STRIDE, NULL);
	check(!error && ok);
}

static void whole_end(void)
{
	call_free(begin);
	call_free(finish);
}

/* ---- row by row ---- */

/* The foreign functions, called as they are or through the gate: their types are the same. */
struct decoder {
	__typeof__(fmemopen) *fmemopen;
	__typeof__(fclose) *fclose;
	__typeof__(png_create_read_struct) *png_create_read_struct;
	__typeof__(png_create_info_struct) *png_create_info_struct;
	__typeof__(png_init_io) *png_init_io;
	__typeof__(png_read_info) *png_read_info;
	__typeof__(png_read_row) *png_read_row;
	__typeof__(png_read_end) *png_read_end;
	__typeof__(png_destroy_read_struct) *png_destroy_read_struct;
};

/* The same in the same order, with their signatures. */
#define FUNCTIONS(X)					\
	X(fmemopen, "p(pip)"),				\
	X(fclose, "i(p)"),				\
	X(png_create_read_struct, "p(pppp)"),		\
	X(png_create_info_struct, "p(p)"),		\
	X(png_init_io, "v(pp)"),			\
	X(png_read_info, "v(pp)"),			\
	X(png_read_row, "v(ppp)"),			\
	X(png_read_end, "v(pp)"),			\
	X(png_destroy_read_struct, "v(ppp)")

#define NUMBER(name, signature)	N_##name
#define ADDRESS(name, signature)	name
#define DESCRIBED(name, signature)	{ #name, signature }
enum { FUNCTIONS(NUMBER), N_FUNCTIONS };
static const struct decoder plain = { FUNCTIONS(ADDRESS) };
static const struct {
	const char *symbol, *signature;
} functions[] = { FUNCTIONS(DESCRIBED) };

_Static_assert(sizeof(plain) == N_FUNCTIONS * sizeof(void *), "members of struct decoder");

static void rows(const struct decoder *d, png_structp *png, png_infop *info)
{
	FILE *stream = d->fmemopen(file, file_length, "rb");

	check(!!stream);
	*png = d->png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	*info = d->png_create_info_struct(*png);
	d->png_init_io(*png, stream);
	d->png_read_info(*png, *info);
	for (int y = 0; y < SIDE; y++)
		d->png_read_row(*png, pixels + y * STRIDE, NULL);
	d->png_read_end(*png, NULL);
	d->png_destroy_read_struct(png, info, NULL);
	d->fclose(stream);
}

static void rows_plain(void)
{
	png_structp png;
	png_infop info;

	rows(&plain, &png, &info);
}

static struct {
	png_structp png;
	png_infop info;
} *handles;

static struct ffg_call *calls[N_FUNCTIONS];
static struct decoder guarded;

static void rows_prepare(void)
{
	for (int n = 0; n < N_FUNCTIONS; n++)
		calls[n] = call_new(functions[n].symbol, functions[n].signature);
	/* The stream looks into the file when it is opened, and reads when libpng does. */
	grant(calls[N_fmemopen], file, file_length, FFG_IN);
	grant(calls[N_png_read_info], file, file_length, FFG_IN);
	grant(calls[N_png_read_row], file, file_length, FFG_IN);
	grant(calls[N_png_read_row], pixels, PIXELS, FFG_OUT);
	grant(calls[N_png_read_end], file, file_length, FFG_IN);
	grant(calls[N_png_destroy_read_struct], handles, sizeof(*handles), FFG_INOUT);
	for (int n = 0; n < N_FUNCTIONS; n++) {
		void *entry = ffg_call_entry(calls[n]);

		if (!entry)
			fail_ffg(functions[n].symbol);
		memcpy((char *)&guarded + n * sizeof(entry), &entry, sizeof(entry));
	}
}

static void rows_end(void)
{
	for (int n = 0; n < N_FUNCTIONS; n++) {
		if (ffg_call_error(calls[n]))
			fail_ffg("a call could not be made");
		call_free(calls[n]);
	}
}

static void rows_decode(void)
{
	rows(&guarded, &handles->png, &handles->info);
}

/* ---- */

static void *object(size_t length)
{
	void *new = ffg_object_alloc(context, length, FFG_OBJECT_END);

	if (!new)
		fail_ffg("objects");
	memset(new, 0, length);
	return new;
}

static void setup_guards(void)
{
	unsigned char *plain = file;

	context = ffg_context_open(NULL);
	if (!context)
		fail_ffg("no context");
	library = ffg_domain_open(context, "libpng16.so.16", 0);
	if (!library)
		fail_ffg("libpng16.so.16");
	image = object(sizeof(*image));
	handles = object(sizeof(*handles));
	pixels = object(PIXELS);
	file = object(file_length);
	memcpy(file, plain, file_length);
}

static double percent(double guarded, double plain)
{
	return (guarded / plain - 1) * 100;
}

void part_png(void)
{
	double whole, by_row, first, again, rows_first, rows_again;

	reference = memory(PIXELS);
	pixels = memory(PIXELS);
	make_file();
	whole = MEASURE(RUNS, 1, whole_plain());
	compare("whole");
	by_row = MEASURE(RUNS, 1, rows_plain());
	compare("rows");
	setup_guards();
	first = MEASURE(RUNS, 1, whole_prepare(); whole_decode(); whole_end());
	compare("whole, guarded");
	whole_prepare();
	again = MEASURE(RUNS, 1, whole_decode());
	compare("whole, guarded again");
	whole_end();
	rows_first = MEASURE(RUNS, 1, rows_prepare(); rows_decode(); rows_end());
	compare("rows, guarded");
	rows_prepare();
	rows_again = MEASURE(RUNS, 1, rows_decode());
	compare("rows, guarded again");
	rows_end();

	rows_part("PNG, one megapixel");
	row(whole, INSTRUCTIONS, NO_GOAL, "png.unguarded");
	row(first, INSTRUCTIONS ", grants included", NO_GOAL, "png.whole");
	row(percent(first, whole), PERCENT, GOAL_WHOLE, "png.whole.percent");
	row(percent(again, whole), PERCENT ", prepared", GOAL_WHOLE, "png.whole.again.percent");
	row(by_row, INSTRUCTIONS, NO_GOAL, "png.unguarded.rows");
	row(rows_again, INSTRUCTIONS ", prepared", NO_GOAL, "png.rows");
	row(percent(rows_again, by_row), PERCENT ", prepared", GOAL_ROWS, "png.rows.percent");
	row((rows_again - by_row) / SIDE, INSTRUCTIONS " over unguarded, a row", NO_GOAL,
	    "png.rows.each");
	row(rows_first, INSTRUCTIONS ", grants included", NO_GOAL, "png.rows.first");
	row(percent(rows_first, by_row), PERCENT ", grants included", NO_GOAL,
	    "png.rows.first.percent");
}
