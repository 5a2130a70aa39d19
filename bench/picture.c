// SPDX-License-Identifier: GPL-2.0-only
/*
 * A picture of one megapixel, decoded by libpng: whole and row by row, without guards and behind
 * grants.  The file is made here, so that every machine decodes the same: tiles of gradients and of noise.
 *
 * Objects and buffers are present before.  The guarded sides pay for everything that a decode needs
 * of ffiguard: the calls made, granted, bound, revoked and freed.
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

static void make_file(void)
{
	png_image made = {
		.version = PNG_IMAGE_VERSION, .width = SIDE, .height = SIDE, .format = PNG_FORMAT_RGB,
	};
	unsigned char *at = reference;
	uint32_t random = 12345;

	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++)
			for (int c = 0; c < 3; c++) {
				random = random * 1664525 + 1013904223;
				*at++ = ((x >> 6) + (y >> 6)) & 1 ? (unsigned char)(random >> 24) : x / 4 + y / 8 * c;
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

static void whole_guarded(void)
{
	struct ffg_call *begin = call_new("png_image_begin_read_from_memory", "i(ppi)");
	struct ffg_call *finish = call_new("png_image_finish_read", "i(pppip)");
	int ok;

	memset(image, 0, sizeof(*image));
	image->version = PNG_IMAGE_VERSION;
	grant(begin, image, sizeof(*image), FFG_INOUT);
	grant(begin, file, file_length, FFG_IN);
	check(!FFG_INVOKE(begin, png_image_begin_read_from_memory, &ok, image, file, file_length) && ok);
	image->format = PNG_FORMAT_RGB;
	grant(finish, image, sizeof(*image), FFG_INOUT);
	grant(finish, file, file_length, FFG_IN);
	grant(finish, pixels, PIXELS, FFG_OUT);
	check(!FFG_INVOKE(finish, png_image_finish_read, &ok, image, NULL, pixels, STRIDE, NULL) && ok);
	call_free(begin);
	call_free(finish);
}

/* ---- row by row ---- */

/* The foreign functions, as they are or through the gate. */
#define FUNCTIONS(X)					\
	X(fmemopen, "p(pip)")				\
	X(fclose, "i(p)")				\
	X(png_create_read_struct, "p(pppp)")		\
	X(png_create_info_struct, "p(p)")		\
	X(png_init_io, "v(pp)")				\
	X(png_read_info, "v(pp)")			\
	X(png_read_row, "v(ppp)")			\
	X(png_read_end, "v(pp)")			\
	X(png_destroy_read_struct, "v(ppp)")

#define MEMBER(name, signature)	__typeof__(&name) name
#define MEMBER_ROW(name, signature)	MEMBER(name, signature);
struct decoder {
	FUNCTIONS(MEMBER_ROW)
};

#define NUMBER(name, signature)	N_##name,
enum { FUNCTIONS(NUMBER) N_FUNCTIONS };

static void rows(const struct decoder *d, png_structp *png, png_infop *info)
{
	FILE *stream = d->fmemopen(file, file_length, "rb");

	check(stream != NULL);
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
#define PLAIN(name, signature)	name,
	static const struct decoder decoder = { FUNCTIONS(PLAIN) };
	png_structp png;
	png_infop info;

	rows(&decoder, &png, &info);
}

static struct {
	png_structp png;
	png_infop info;
} *handles;

static void rows_guarded(void)
{
	struct ffg_call *calls[N_FUNCTIONS];
	struct decoder decoder;

#define NEW(name, signature)	calls[N_##name] = call_new(#name, signature);
	FUNCTIONS(NEW)
	/* The stream reads the bytes of the file whenever libpng asks for some. */
	grant(calls[N_png_read_info], file, file_length, FFG_IN);
	grant(calls[N_png_read_row], file, file_length, FFG_IN);
	grant(calls[N_png_read_row], pixels, PIXELS, FFG_OUT);
	grant(calls[N_png_read_end], file, file_length, FFG_IN);
	grant(calls[N_png_destroy_read_struct], handles, sizeof(*handles), FFG_INOUT);
	/* fmemopen() looks for the end of the text in the buffer. */
	grant(calls[N_fmemopen], file, file_length, FFG_IN);
#define ENTRY(name, signature)	decoder.name = ffg_call_entry(calls[N_##name]);
	FUNCTIONS(ENTRY)
	rows(&decoder, &handles->png, &handles->info);
	for (int n = 0; n < N_FUNCTIONS; n++) {
		if (ffg_call_error(calls[n]))
			fail_ffg("a call could not be made");
		call_free(calls[n]);
	}
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

void part_png(void)
{
	double whole[2], by_row[2];

	reference = memory(PIXELS);
	pixels = memory(PIXELS);
	make_file();
	whole[0] = MEASURE(RUNS, 1, whole_plain());
	compare("whole");
	by_row[0] = MEASURE(RUNS, 1, rows_plain());
	compare("rows");
	setup_guards();
	whole[1] = MEASURE(RUNS, 1, whole_guarded());
	compare("whole, guarded");
	by_row[1] = MEASURE(RUNS, 1, rows_guarded());
	compare("rows, guarded");

	rows_part("PNG, one megapixel");
	row(whole[0], INSTRUCTIONS, NO_GOAL, "png.unguarded");
	row(whole[1], INSTRUCTIONS ", grants included", NO_GOAL, "png.whole");
	row(whole[1] - whole[0], OVER_PLAIN, NO_GOAL, "png.whole.over");
	row((whole[1] / whole[0] - 1) * 100, PERCENT, GOAL_WHOLE, "png.whole.percent");
	row(by_row[0], INSTRUCTIONS, NO_GOAL, "png.unguarded.rows");
	row(by_row[1], INSTRUCTIONS ", 1024 calls", NO_GOAL, "png.rows");
	row((by_row[1] - by_row[0]) / SIDE, INSTRUCTIONS " over unguarded, a row", NO_GOAL, "png.rows.each");
	row((by_row[1] / by_row[0] - 1) * 100, PERCENT, GOAL_ROWS, "png.rows.percent");
}
