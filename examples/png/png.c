// SPDX-License-Identifier: GPL-2.0-only
/*
 * A real PNG decoded by the unmodified libpng of the system, behind per-object grants.
 *
 *	png [FILE]
 *
 * The png_image structure, the bytes of the file (read-only) and the pixels are guarded
 * objects, each granted to the calls that need it.  The result has to equal that of a process
 * without guards, byte for byte.  Then a faulty library takes libpng's place.  Exit status 0:
 * identical, and every fault stopped.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "png.h"

#define LIBPNG		"libpng16.so.16"
#define DEFAULT_FILE	"/usr/share/backgrounds/xfce/xfce-verticals.png"
#define PACKAGE		"xfdesktop4-data"

#define RUNS	2			/* the second one finds everything bound and present */
enum { BEGIN, FINISH, FREE, CALLS };
static const char *const call_names[CALLS] = {
	"png_image_begin_read_from_memory", "png_image_finish_read", "png_image_free",
};

/* What the processes tell each other. */
static struct shared {
	struct counts plain[RUNS][CALLS], guarded[RUNS][CALLS];
	struct steps steps[CALLS];
	uint32_t width, height;
	int in_libpng, in_zlib;		/* WRPKRU instructions */
	bool identical[RUNS + 1];
	const char *path;
	unsigned char *pixels;		/* of the process without guards */
	size_t pixels_length;
} *shared;

static void check(const png_image *image, int ok)
{
	if (!ok)
		fail("libpng: %s", image->message);
}

/* The first of the three calls; @image comes out with the size of the picture. */
static void decode_header(const struct decoder *decoder, png_image *image, const void *file,
			  size_t length, struct counts *counts)
{
	int ok;

	memset(image, 0, sizeof(*image));
	image->version = PNG_IMAGE_VERSION;
	counts_begin();
	ok = decoder->begin(image, file, length);
	*counts = counts_end();
	check(image, ok);
	image->format = PNG_FORMAT_RGBA;
}

static void decode_pixels(const struct decoder *decoder, png_image *image, void *pixels,
			  struct counts counts[CALLS])
{
	int ok;

	counts_begin();
	ok = decoder->finish(image, NULL, pixels, 0, NULL);
	counts[FINISH] = counts_end();
	check(image, ok);
	counts_begin();
	decoder->free(image);
	counts[FREE] = counts_end();
}

/* ---- the process without guards ---- */

static void run_plain(void *data)
{
	const struct decoder decoder = {
		png_image_begin_read_from_memory, png_image_finish_read, png_image_free,
	};
	size_t length;
	unsigned char *file = file_read(shared->path, &length);
	png_image image;

	(void)data;
	for (int run = 0; run < RUNS; run++) {
		decode_header(&decoder, &image, file, length, &shared->plain[run][BEGIN]);
		if (PNG_IMAGE_SIZE(image) != shared->pixels_length)
			fail("%s: libpng sees another size", shared->path);
		decode_pixels(&decoder, &image, shared->pixels, shared->plain[run]);
	}
}

/* ---- the guarded one ---- */

static void decode_stepped(const struct guarded *g)
{
	const struct decoder *decoder = &g->decoder;
	int ok;

	memset(g->image, 0, sizeof(*g->image));
	g->image->version = PNG_IMAGE_VERSION;
	steps_begin(decoder->begin, ffg_domain_symbol(g->library, call_names[BEGIN]));
	ok = decoder->begin(g->image, g->file, g->file_length);
	shared->steps[BEGIN] = steps_end();
	check(g->image, ok);
	g->image->format = PNG_FORMAT_RGBA;
	steps_begin(decoder->finish, ffg_domain_symbol(g->library, call_names[FINISH]));
	ok = decoder->finish(g->image, NULL, g->pixels, 0, NULL);
	shared->steps[FINISH] = steps_end();
	check(g->image, ok);
	steps_begin(decoder->free, ffg_domain_symbol(g->library, call_names[FREE]));
	decoder->free(g->image);
	shared->steps[FREE] = steps_end();
}

static void compare(struct guarded *g, int run)
{
	shared->identical[run] = g->pixels_length == shared->pixels_length &&
				 !memcmp(g->pixels, shared->pixels, g->pixels_length);
	/* What the next run leaves undone shall be seen. */
	memset(g->pixels, 0x5a, g->pixels_length);
}

static void show_objects(const struct guarded *g)
{
	object_show(g->context, NULL, NULL, NULL, NULL);
	object_show(g->context, "png_image", g->image, "read-write", "begin, finish, free");
	object_show(g->context, "file", g->file, "read-only", "begin, finish");
	object_show(g->context, "pixels", g->pixels, "read-write", "finish");
	printf("\n");
}

static void run_guarded(void *data)
{
	struct guarded g = { 0 };

	(void)data;
	guarded_open(&g, LIBPNG, shared->path);
	for (int run = 0; run < RUNS; run++) {
		decode_header(&g.decoder, g.image, g.file, g.file_length,
			      &shared->guarded[run][BEGIN]);
		if (!run)
			guarded_prepare(&g);
		decode_pixels(&g.decoder, g.image, g.pixels, shared->guarded[run]);
		compare(&g, run);
	}
	show_objects(&g);
	decode_stepped(&g);
	compare(&g, RUNS);
	shared->in_libpng = wrpkru_in("libpng16");
	shared->in_zlib = wrpkru_in("libz.so");
	if (ffg_call_error(g.begin) || ffg_call_error(g.finish) || ffg_call_error(g.free))
		fail_ffg("a call could not be made");
	guarded_close(&g);
}

/* ---- and what came of it ---- */

static void size_read(void)
{
	size_t length;
	unsigned char *file = file_read(shared->path, &length);

	/* Signature, length and type of the first chunk, then width and height. */
	if (length < 24 || memcmp(file, "\x89PNG\r\n\x1a\n", 8))
		fail("%s is no PNG file", shared->path);
	shared->width = (uint32_t)file[16] << 24 | file[17] << 16 | file[18] << 8 | file[19];
	shared->height = (uint32_t)file[20] << 24 | file[21] << 16 | file[22] << 8 | file[23];
	if (!shared->width || !shared->height || shared->width > 16384 || shared->height > 16384)
		fail("%s: %u x %u pixels are not for this example", shared->path, shared->width,
		     shared->height);
	shared->pixels_length = (size_t)shared->width * shared->height * 4;
	printf("file     %s, %zu bytes\n", shared->path, length);
	printf("picture  %u x %u, %.1f megapixels\n", shared->width, shared->height,
	       (double)shared->width * shared->height / 1e6);
	free(file);
}

static void show_calls(void)
{
	printf("  %-33s %-6s | %15s | %24s\n", "", "", "without guards", "behind grants");
	printf("  %-33s %-6s | %7s %7s | %7s %7s %8s\n", "call", "run", "entries", "faults",
	       "entries", "faults", "WRPKRU");
	for (int call = 0; call < CALLS; call++)
		for (int run = 0; run < RUNS; run++)
			printf("  %-33s %-6s | %7ld %7ld | %7ld %7ld %8ld\n", call_names[call],
			       run ? "again" : "first", shared->plain[run][call].entries,
			       shared->plain[run][call].faults, shared->guarded[run][call].entries,
			       shared->guarded[run][call].faults, shared->steps[call].wrpkru);
	printf("  entries: system calls, libpng's own included; faults: page faults; both as\n"
	       "  the kernel counts them.  WRPKRU: counted by single-stepping the gate; in the\n"
	       "  code of libpng there are %d, in that of zlib %d.\n\n",
	       shared->in_libpng, shared->in_zlib);
}

static int run_alone(void (*body)(void *))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		body(NULL);
		fflush(NULL);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		fail("waitpid: %s", strerror(errno));
	return status;
}

/* 0 if the numbers are those that the design promises. */
static int verdict(void)
{
	int bad = 0;

	for (int run = 0; run <= RUNS; run++)
		bad += !shared->identical[run];
	printf("pixels   %zu bytes, %s\n", shared->pixels_length, bad ?
	       "DIFFERENT from those of the unguarded process" :
	       "identical with those of the unguarded process, in each of 3 runs");
	for (int call = 0; call < CALLS; call++) {
		const struct counts *plain = &shared->plain[RUNS - 1][call];
		const struct counts *guarded = &shared->guarded[RUNS - 1][call];

		if (shared->steps[call].wrpkru == 2 && guarded->entries == plain->entries)
			continue;
		printf("cost     %s: MORE than two WRPKRU, or kernel entries of its own\n",
		       call_names[call]);
		bad++;
	}
	if (shared->in_libpng || shared->in_zlib)
		bad++;
	return bad;
}

int main(int argc, char **argv)
{
	int status, bad;

	shared = shared_new(sizeof(*shared));
	shared->path = argc > 1 ? argv[1] : DEFAULT_FILE;
	if (argc < 2 && access(shared->path, R_OK))
		fail("%s is missing: install the Debian package " PACKAGE ", or name a PNG file",
		     shared->path);
	size_read();
	shared->pixels = shared_new(shared->pixels_length);
	printf("library  " LIBPNG " %s, as the system has it\n\n", png_get_libpng_ver(NULL));

	status = run_alone(run_plain);
	if (status)
		fail("the process without guards ended with status %#x", status);
	status = steps_run(run_guarded, NULL);
	if (status)
		fail("the guarded process ended with status %#x", status);
	show_calls();
	bad = verdict();
	printf("\nThe same program with a faulty library in libpng's place:\n\n");
	bad += faulty_run(shared->path);
	printf("%s\n", bad ? "FAILED" : "all identical, all faults stopped");
	return bad ? 1 : 0;
}
