// SPDX-License-Identifier: GPL-2.0-only
#include <ffiguard.h>
#include <png.h>

int main(int argc, char **argv)
{
	struct ffg_context *ctx = ffg_context_open(NULL);
	struct ffg_domain *png = ctx ? ffg_domain_open(ctx, "libpng16.so.16", 0) : NULL;
	png_image *image = png ? ffg_object_alloc(ctx, sizeof(*image), 0) : NULL;
	struct ffg_call *begin, *finish;
	unsigned char *pixels;
	int ok, error;

	if (argc != 2 || !image)
		return fprintf(stderr, "%s\n", argc == 2 ? ffg_error_message() : "which file?"), 1;
	image->version = PNG_IMAGE_VERSION;
	begin = ffg_call_new(png, "png_image_begin_read_from_file", "i(pp)");
	ffg_call_grant(begin, image, sizeof(*image), FFG_INOUT);
	error = FFG_INVOKE(begin, png_image_begin_read_from_file, &ok, image, argv[1]);
	if (error || !ok)
		return fprintf(stderr, "%s\n", error ? ffg_strerror(error) : image->message), 1;
	image->format = PNG_FORMAT_RGBA;
	pixels = ffg_object_alloc(ctx, PNG_IMAGE_SIZE(*image), 0);
	finish = ffg_call_new(png, "png_image_finish_read", "i(pppip)");
	ffg_call_grant(finish, image, sizeof(*image), FFG_INOUT);
	ffg_call_grant(finish, pixels, PNG_IMAGE_SIZE(*image), FFG_OUT);
	error = FFG_INVOKE(finish, png_image_finish_read, &ok, image, NULL, pixels, 0, NULL);
	return error || !ok ? fprintf(stderr, "%s\n", image->message), 1 :
		printf("%u x %u, first byte %#x\n", image->width, image->height, pixels[0]) < 0;
}
