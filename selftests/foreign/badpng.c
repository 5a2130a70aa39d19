// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbadpng: stands in for libpng's simplified read API, with a bug to choose.
 *
 * It decodes nothing: size and pixels follow from the IHDR chunk and a gradient.
 * The bug comes from badpng_fault or, if that is 0, from BADPNG_FAULT:
 *	a  write one byte past the pixels
 *	b  read the caller's other object (badpng_other, or BADPNG_OTHER in hexadecimal)
 *	c  keep the pixel pointer and write through it in a later call
 * Anything else: no bug.
 */
#include <png.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int badpng_fault;
const unsigned char *badpng_other;
/* What the bugs got hold of, so that no access can be optimised away. */
unsigned int badpng_loot;

static unsigned char *kept_pixels;

static int fault(void)
{
	const char *text = getenv("BADPNG_FAULT");

	return badpng_fault ? badpng_fault : text ? *text : 0;
}

static const unsigned char *other(void)
{
	const char *text = getenv("BADPNG_OTHER");

	if (badpng_other)
		return badpng_other;
	return text ? (const unsigned char *)(uintptr_t)strtoull(text, NULL, 16) : NULL;
}

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

int png_image_begin_read_from_memory(png_imagep image, png_const_voidp memory, size_t size)
{
	static const unsigned char magic[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
	const unsigned char *file = memory;

	if (image->version != PNG_IMAGE_VERSION || size < 33 || memcmp(file, magic, 8)) {
		image->warning_or_error = PNG_IMAGE_ERROR;
		strcpy(image->message, "not a PNG file");
		return 0;
	}
	if (fault() == 'c' && kept_pixels)
		kept_pixels[0] = 0xcc;
	image->width = be32(file + 16);
	image->height = be32(file + 20);
	image->format = PNG_FORMAT_RGBA;
	image->flags = 0;
	image->colormap_entries = 0;
	return 1;
}

int png_image_finish_read(png_imagep image, png_const_colorp background, void *buffer,
			  png_int_32 row_stride, void *colormap)
{
	unsigned char *pixels = buffer;
	size_t stride = row_stride ? (size_t)abs(row_stride) : PNG_IMAGE_ROW_STRIDE(*image);

	(void)background;
	(void)colormap;
	for (uint32_t y = 0; y < image->height; y++)
		for (size_t x = 0; x < stride; x++)
			pixels[y * stride + x] = (unsigned char)(x + y);
	switch (fault()) {
	case 'a':
		pixels[image->height * stride] = 0xaa;
		break;
	case 'b':
		badpng_loot += *other();
		break;
	case 'c':
		kept_pixels = pixels;
		break;
	}
	return 1;
}

void png_image_free(png_imagep image)
{
	if (fault() == 'c' && kept_pixels)
		kept_pixels[0] = 0xcc;
	image->opaque = NULL;
}
