// SPDX-License-Identifier: GPL-2.0-only
/*
 * All that a program has to do to call libpng behind per-object grants.
 *
 * libpng's own memory (png_image.opaque points to it) comes from malloc() and needs no grant.
 */
#include "png.h"

static struct ffg_call *call_new(struct guarded *guarded, const char *symbol,
				 const char *signature)
{
	struct ffg_call *call = ffg_call_new(guarded->library, symbol, signature);

	if (!call)
		fail_ffg(symbol);
	return call;
}

void guarded_open(struct guarded *guarded, const char *library, const char *path)
{
	guarded->context = ffg_context_open(NULL);
	if (!guarded->context)
		fail_ffg("no context");
	guarded->library = ffg_domain_open(guarded->context, library, 0);
	if (!guarded->library)
		fail_ffg(library);
	guarded->file = file_object(guarded->context, path, &guarded->file_length);
	guarded->image = ffg_object_alloc(guarded->context, sizeof(*guarded->image), 0);
	if (!guarded->image)
		fail_ffg("png_image");

	guarded->begin = call_new(guarded, "png_image_begin_read_from_memory", "i(ppi)");
	grant(guarded->begin, guarded->image, sizeof(*guarded->image), FFG_INOUT);
	grant(guarded->begin, guarded->file, guarded->file_length, FFG_IN);
	guarded->decoder.begin = ffg_call_entry(guarded->begin);
	if (!guarded->decoder.begin)
		fail_ffg("png_image_begin_read_from_memory");
}

void guarded_prepare(struct guarded *guarded)
{
	guarded->image->format = PNG_FORMAT_RGBA;
	guarded->pixels_length = PNG_IMAGE_SIZE(*guarded->image);
	guarded->pixels = ffg_object_alloc(guarded->context, guarded->pixels_length, 0);
	if (!guarded->pixels)
		fail_ffg("pixels");

	guarded->finish = call_new(guarded, "png_image_finish_read", "i(pppip)");
	grant(guarded->finish, guarded->image, sizeof(*guarded->image), FFG_INOUT);
	grant(guarded->finish, guarded->file, guarded->file_length, FFG_IN);
	grant(guarded->finish, guarded->pixels, guarded->pixels_length, FFG_OUT);
	guarded->decoder.finish = ffg_call_entry(guarded->finish);

	guarded->free = call_new(guarded, "png_image_free", "v(p)");
	grant(guarded->free, guarded->image, sizeof(*guarded->image), FFG_INOUT);
	guarded->decoder.free = ffg_call_entry(guarded->free);
	if (!guarded->decoder.finish || !guarded->decoder.free)
		fail_ffg("grants");
}

void guarded_close(struct guarded *guarded)
{
	if (ffg_call_free(guarded->begin) || ffg_call_free(guarded->finish) ||
	    ffg_call_free(guarded->free) ||
	    ffg_object_free(guarded->context, guarded->pixels) ||
	    ffg_object_free(guarded->context, guarded->image) ||
	    ffg_object_free(guarded->context, guarded->file) ||
	    ffg_domain_close(guarded->library) || ffg_context_close(guarded->context))
		fail_ffg("closing");
}
