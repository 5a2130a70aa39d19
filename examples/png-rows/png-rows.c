// SPDX-License-Identifier: GPL-2.0-only
/*
 * A real PNG decoded row by row: one guarded call for each row, all with the same grants.
 *
 *	png-rows [FILE]
 *
 * libpng's row interface wants functions of the caller for input (png_set_read_fn) and errors,
 * which this release does not offer: a foreign library cannot call back.  So
 *  - libpng reads the file by itself, through a FILE that foreign code opened (png_init_io);
 *  - libpng's own error handler is kept.  Without a jump buffer it ends the program with
 *    abort(): longjmp() must not cross the gate, so png_jmpbuf() is not to be used here.  A
 *    program that has to survive a broken file uses the simplified interface (see ../png), which
 *    catches errors inside libpng.
 *
 * The decoder lives in libpng's own memory.  Guarded are the pixels, granted to
 * png_read_row(), and the two pointers that png_destroy_read_struct() sets to NULL.
 */
#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/example.h"

#define DEFAULT_FILE	"/usr/share/backgrounds/xfce/xfce-verticals.png"
#define PACKAGE		"xfdesktop4-data"
#define PIXELS_MAX	(256UL << 20)

/* The foreign functions, called as they are or through the gate: their types are the same. */
struct decoder {
	__typeof__(fopen) *fopen;
	__typeof__(fclose) *fclose;
	__typeof__(png_create_read_struct) *png_create_read_struct;
	__typeof__(png_create_info_struct) *png_create_info_struct;
	__typeof__(png_init_io) *png_init_io;
	__typeof__(png_read_info) *png_read_info;
	__typeof__(png_set_expand) *png_set_expand;
	__typeof__(png_set_strip_16) *png_set_strip_16;
	__typeof__(png_set_gray_to_rgb) *png_set_gray_to_rgb;
	__typeof__(png_set_add_alpha) *png_set_add_alpha;
	__typeof__(png_set_interlace_handling) *png_set_interlace_handling;
	__typeof__(png_read_update_info) *png_read_update_info;
	__typeof__(png_get_image_height) *png_get_image_height;
	__typeof__(png_get_rowbytes) *png_get_rowbytes;
	__typeof__(png_read_row) *png_read_row;
	__typeof__(png_read_end) *png_read_end;
	__typeof__(png_destroy_read_struct) *png_destroy_read_struct;
};

/* The same in the same order, with their signatures. */
#define FUNCTIONS(X)					\
	X(fopen, "p(pp)"),				\
	X(fclose, "i(p)"),				\
	X(png_create_read_struct, "p(pppp)"),		\
	X(png_create_info_struct, "p(p)"),		\
	X(png_init_io, "v(pp)"),			\
	X(png_read_info, "v(pp)"),			\
	X(png_set_expand, "v(p)"),			\
	X(png_set_strip_16, "v(p)"),			\
	X(png_set_gray_to_rgb, "v(p)"),			\
	X(png_set_add_alpha, "v(pii)"),			\
	X(png_set_interlace_handling, "i(p)"),		\
	X(png_read_update_info, "v(pp)"),		\
	X(png_get_image_height, "i(pp)"),		\
	X(png_get_rowbytes, "i(pp)"),			\
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

struct handles {
	png_structp png;
	png_infop info;
};

static struct shared {
	struct counts plain, guarded;	/* of all png_read_row() together */
	size_t stride, height;
	unsigned char pixels[];		/* of the process without guards */
} *shared;

/* Everything up to the first row; @handles is where libpng's two pointers are kept. */
static FILE *begin(const struct decoder *d, const char *path, struct handles *handles)
{
	FILE *file = d->fopen(path, "rb");

	if (!file)
		fail("cannot open %s", path);
	handles->png = d->png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	if (!handles->png)
		fail("libpng: no decoder");
	handles->info = d->png_create_info_struct(handles->png);
	if (!handles->info)
		fail("libpng: out of memory");
	d->png_init_io(handles->png, file);
	d->png_read_info(handles->png, handles->info);
	d->png_set_expand(handles->png);
	d->png_set_strip_16(handles->png);
	d->png_set_gray_to_rgb(handles->png);
	d->png_set_add_alpha(handles->png, 0xff, PNG_FILLER_AFTER);
	if (d->png_set_interlace_handling(handles->png) != 1)
		fail("%s is interlaced: its rows come more than once", path);
	d->png_read_update_info(handles->png, handles->info);
	return file;
}

static struct counts rows(const struct decoder *d, png_structp png, unsigned char *pixels,
			  size_t stride, size_t height)
{
	counts_begin();
	for (size_t y = 0; y < height; y++)
		d->png_read_row(png, pixels + y * stride, NULL);
	return counts_end();
}

static void end(const struct decoder *d, struct handles *handles, FILE *file)
{
	d->png_read_end(handles->png, NULL);
	d->png_destroy_read_struct(&handles->png, &handles->info, NULL);
	d->fclose(file);
}

/* ---- the process without guards ---- */

static void run_plain(const char *path)
{
	struct handles handles;
	FILE *file = begin(&plain, path, &handles);

	shared->stride = plain.png_get_rowbytes(handles.png, handles.info);
	shared->height = plain.png_get_image_height(handles.png, handles.info);
	if (shared->stride * shared->height > PIXELS_MAX)
		fail("%s is too large for this example", path);
	shared->plain = rows(&plain, handles.png, shared->pixels, shared->stride, shared->height);
	end(&plain, &handles, file);
}

/* ---- the guarded one ---- */

static struct ffg_call *calls[N_FUNCTIONS];

static void calls_new(struct ffg_domain *library)
{
	for (unsigned int n = 0; n < N_FUNCTIONS; n++) {
		calls[n] = ffg_call_new(library, functions[n].symbol, functions[n].signature);
		if (!calls[n])
			fail_ffg(functions[n].symbol);
	}
}

/* The entry of a call, in its place in @decoder; its grants are made now. */
static void entry(struct decoder *decoder, unsigned int n)
{
	void *function = ffg_call_entry(calls[n]);

	if (!function)
		fail_ffg(functions[n].symbol);
	memcpy((char *)decoder + n * sizeof(function), &function, sizeof(function));
}

static bool run_guarded(const char *path)
{
	struct ffg_context *context = ffg_context_open(NULL);
	struct ffg_domain *library;
	struct decoder decoder;
	struct handles *handles;
	unsigned char *pixels;
	size_t stride, height;
	bool identical;
	FILE *file;

	if (!context)
		fail_ffg("no context");
	/* What the library depends on belongs to the domain: libc's fopen() is found there. */
	library = ffg_domain_open(context, "libpng16.so.16", 0);
	if (!library)
		fail_ffg("libpng16.so.16");
	calls_new(library);
	handles = ffg_object_alloc(context, sizeof(*handles), FFG_OBJECT_END);
	if (!handles)
		fail_ffg("handles");
	grant(calls[N_png_destroy_read_struct], handles, sizeof(*handles), FFG_INOUT);
	for (unsigned int n = 0; n < N_FUNCTIONS; n++)
		if (n != N_png_read_row)
			entry(&decoder, n);

	file = begin(&decoder, path, handles);
	stride = decoder.png_get_rowbytes(handles->png, handles->info);
	height = decoder.png_get_image_height(handles->png, handles->info);
	if (stride != shared->stride || height != shared->height)
		fail("%s: another size than before", path);
	pixels = ffg_object_alloc(context, stride * height, FFG_OBJECT_END);
	if (!pixels)
		fail_ffg("pixels");
	grant(calls[N_png_read_row], pixels, stride * height, FFG_OUT);
	entry(&decoder, N_png_read_row);
	shared->guarded = rows(&decoder, handles->png, pixels, stride, height);

	object_show(context, NULL, NULL, NULL, NULL);
	object_show(context, "pixels", pixels, "read-write", "png_read_row");
	end(&decoder, handles, file);
	object_show(context, "handles", handles, "read-write", "png_destroy_read_struct");
	identical = !memcmp(pixels, shared->pixels, stride * height);

	for (unsigned int n = 0; n < N_FUNCTIONS; n++) {
		if (ffg_call_error(calls[n]))
			fail_ffg("a call could not be made");
		if (ffg_call_free(calls[n]))
			fail_ffg("closing");
	}
	if (ffg_object_free(context, pixels) || ffg_object_free(context, handles) ||
	    ffg_domain_close(library) || ffg_context_close(context))
		fail_ffg("closing");
	return identical;
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : DEFAULT_FILE;
	bool identical;
	pid_t child;
	int status;

	if (argc < 2 && access(path, R_OK))
		fail("%s is missing: install the Debian package " PACKAGE ", or name a PNG file",
		     path);
	shared = shared_new(sizeof(*shared) + PIXELS_MAX);
	fflush(NULL);
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		run_plain(path);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		fail("the process without guards ended with status %#x", status);

	printf("file     %s\n", path);
	printf("library  libpng16.so.16 %s, as the system has it\n\n", png_get_libpng_ver(NULL));
	identical = run_guarded(path);
	printf("\n  %zu calls of png_read_row, one call record for all:\n", shared->height);
	printf("    without guards  %4ld kernel entries (to read the file), %5ld page faults\n",
	       shared->plain.entries, shared->plain.faults);
	printf("    behind grants   %4ld kernel entries,                    %5ld page faults\n\n",
	       shared->guarded.entries, shared->guarded.faults);
	printf("pixels   %zu bytes, %s\n", shared->stride * shared->height, identical ?
	       "identical with those of the unguarded process" :
	       "DIFFERENT from those of the unguarded process");
	/* One less is malloc()'s: it asks the kernel when its heap happens to be used up. */
	if (shared->guarded.entries > shared->plain.entries)
		printf("cost     MORE kernel entries than without guards\n");
	return identical && shared->guarded.entries <= shared->plain.entries ? 0 : 1;
}
