/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef EXAMPLE_PNG_H
#define EXAMPLE_PNG_H

#include <png.h>

#include "../common/example.h"

/* The foreign functions, called as they are or through the gate: their types are the same. */
struct decoder {
	__typeof__(png_image_begin_read_from_memory) *begin;
	__typeof__(png_image_finish_read) *finish;
	__typeof__(png_image_free) *free;
};

/* The same behind the gate, with the objects that each function is granted. */
struct guarded {
	struct ffg_context *context;
	struct ffg_domain *library;
	struct ffg_call *begin, *finish, *free;
	struct decoder decoder;		/* entries of these calls */
	png_image *image;		/* three objects */
	unsigned char *file, *pixels;
	size_t file_length, pixels_length;
};

/* Opens a context and @library, puts the file into an object and prepares the first call. */
void guarded_open(struct guarded *guarded, const char *library, const char *path);
/* With the header read: makes the object for the pixels and prepares the other calls. */
void guarded_prepare(struct guarded *guarded);
void guarded_close(struct guarded *guarded);

/* Three faulty libraries in libpng's place; returns how many were not stopped. */
int faulty_run(const char *path);

#endif /* EXAMPLE_PNG_H */
