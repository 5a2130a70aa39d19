// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program that shows pictures: one decoder goes wrong and is ended, the program goes on and
 * decodes with another one.
 */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "death.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 400

/* From libpng's own picture of itself: made here, so that nothing has to be installed. */
#define WIDTH	64
#define HEIGHT	48

struct decoder {
	struct ffg_domain *domain;
	struct ffg_call *begin, *finish, *free;
	png_image *image;
	unsigned char *pixels;
	int begin_error, finish_error;
};

static struct ffg_context *context;
static unsigned char *file;
static size_t file_length;

static void *object(size_t length)
{
	void *made = ffg_object_alloc(context, length, 0);

	if (!made)
		scene_fail("object: %s", ffg_error_message());
	return made;
}

static struct ffg_call *call_of(struct ffg_domain *domain, const char *symbol,
				const char *signature)
{
	struct ffg_call *call = ffg_call_new(domain, symbol, signature);

	if (!call)
		scene_fail("%s: %s", symbol, ffg_error_message());
	return call;
}

static void share(struct ffg_call *call, void *address, size_t length, unsigned int rights)
{
	if (ffg_call_grant(call, address, length, rights))
		scene_fail("grant: %s", ffg_error_message());
}

static void decoder_open(struct decoder *d, const char *library)
{
	memset(d, 0, sizeof(*d));
	d->domain = ffg_domain_open(context, library, FFG_POLICY_RECOVER);
	if (!d->domain)
		scene_fail("%s: %s", library, ffg_error_message());
	d->image = object(sizeof(*d->image));
	d->pixels = object((size_t)WIDTH * HEIGHT * 4);
	d->begin = call_of(d->domain, "png_image_begin_read_from_memory", "i(ppi)");
	share(d->begin, d->image, sizeof(*d->image), FFG_INOUT);
	share(d->begin, file, file_length, FFG_IN);
	d->finish = call_of(d->domain, "png_image_finish_read", "i(pppip)");
	share(d->finish, d->image, sizeof(*d->image), FFG_INOUT);
	share(d->finish, file, file_length, FFG_IN);
	share(d->finish, d->pixels, (size_t)WIDTH * HEIGHT * 4, FFG_OUT);
	d->free = call_of(d->domain, "png_image_free", "v(p)");
	share(d->free, d->image, sizeof(*d->image), FFG_INOUT);
}

static int decode(struct decoder *d)
{
	__typeof__(&png_image_begin_read_from_memory) begin = ffg_call_entry(d->begin);
	__typeof__(&png_image_finish_read) finish = ffg_call_entry(d->finish);
	__typeof__(&png_image_free) release = ffg_call_entry(d->free);
	int done;

	memset(d->image, 0, sizeof(*d->image));
	d->image->version = PNG_IMAGE_VERSION;
	done = begin(d->image, file, file_length);
	d->begin_error = ffg_call_error(d->begin);
	if (!done)
		return 0;
	d->image->format = PNG_FORMAT_RGBA;
	done = finish(d->image, NULL, d->pixels, 0, NULL);
	d->finish_error = ffg_call_error(d->finish);
	if (done)
		release(d->image);
	return done;
}

/* Unguarded, by the same library. */
static unsigned char *reference(struct ffg_domain *domain)
{
	__typeof__(&png_image_begin_read_from_memory) begin =
		ffg_domain_symbol(domain, "png_image_begin_read_from_memory");
	__typeof__(&png_image_finish_read) finish =
		ffg_domain_symbol(domain, "png_image_finish_read");
	unsigned char *pixels = malloc((size_t)WIDTH * HEIGHT * 4);
	png_image image = { .version = PNG_IMAGE_VERSION };

	if (!pixels || !begin(&image, file, file_length))
		scene_fail("reference");
	image.format = PNG_FORMAT_RGBA;
	if (!finish(&image, NULL, pixels, 0, NULL))
		scene_fail("reference: %s", image.message);
	return pixels;
}

/* A picture with something to decode. */
static void file_new(struct ffg_domain *png)
{
	__typeof__(&png_image_write_to_memory) write =
		ffg_domain_symbol(png, "png_image_write_to_memory");
	static unsigned char pixels[WIDTH * HEIGHT * 4], written[1 << 16];
	png_image image = {
		.version = PNG_IMAGE_VERSION, .width = WIDTH, .height = HEIGHT,
		.format = PNG_FORMAT_RGBA,
	};

	for (unsigned int i = 0; i < sizeof(pixels); i++)
		pixels[i] = (unsigned char)(i * i / 7 + i);
	file_length = sizeof(written);
	if (!write || !write(&image, written, &file_length, 0, pixels, 0, NULL))
		scene_fail("encoding");
	file = object(file_length);
	memcpy(file, written, file_length);
}

TEST(bad_decoder_then_good_one)
{
	struct ffg_domain *png;
	struct decoder bad, good;
	const struct ffg_violation *v;
	unsigned char *right;
	int *fault;

	context = ffg_context_open(NULL);
	ASSERT_NE(context, NULL);
	png = ffg_domain_open(context, "libpng16.so.16", 0);
	ASSERT_NE(png, NULL);
	file_new(png);
	ASSERT_EQ(ffg_domain_close(png), 0);

	decoder_open(&bad, scene_path("badpng"));
	decoder_open(&good, "libpng16.so.16");
	right = reference(good.domain);
	fault = ffg_domain_symbol(bad.domain, "badpng_fault");
	ASSERT_NE(fault, NULL);
	for (int round = 0; round < 50; round++) {
		*fault = 'a';
		EXPECT_EQ(decode(&bad), 0);
		EXPECT_EQ(bad.begin_error, 0);
		EXPECT_EQ(bad.finish_error, FFG_E_VIOLATION);
		v = ffg_call_report(bad.finish);
		ASSERT_NE(v, NULL);
		EXPECT_EQ(v->object, (unsigned long)bad.pixels);
		EXPECT_EQ(v->offset, WIDTH * HEIGHT * 4);
		EXPECT_STREQ(v->frame[0].library, "libbadpng.so");
		ASSERT_EQ(ffg_domain_reset(bad.domain), 0);
		EXPECT_EQ(*fault, 0);

		memset(good.pixels, 0, (size_t)WIDTH * HEIGHT * 4);
		EXPECT_EQ(decode(&good), 1);
		EXPECT_EQ(good.finish_error, 0);
		EXPECT_EQ(memcmp(good.pixels, right, (size_t)WIDTH * HEIGHT * 4), 0);
	}
}

/*
 * The same with the real library, which crashes deep inside because of what it is given; after the
 * reset it decodes again.
 */
TEST(real_decoder_recovers_itself)
{
	struct ffg_domain *png;
	struct decoder d;
	unsigned char *right;
	__typeof__(&png_image_finish_read) finish;
	struct ffg_call *narrow;

	context = ffg_context_open(NULL);
	ASSERT_NE(context, NULL);
	png = ffg_domain_open(context, "libpng16.so.16", 0);
	ASSERT_NE(png, NULL);
	file_new(png);
	ASSERT_EQ(ffg_domain_close(png), 0);
	decoder_open(&d, "libpng16.so.16");
	right = reference(d.domain);
	/* Without the grant of the pixels; libpng writes them itself, not through libc. */
	narrow = call_of(d.domain, "png_image_finish_read", "i(pppip)");
	share(narrow, d.image, sizeof(*d.image), FFG_INOUT);
	share(narrow, file, file_length, FFG_IN);
	for (int round = 0; round < 20; round++) {
		__typeof__(&png_image_begin_read_from_memory) begin = ffg_call_entry(d.begin);

		memset(d.image, 0, sizeof(*d.image));
		d.image->version = PNG_IMAGE_VERSION;
		ASSERT_EQ(begin(d.image, file, file_length), 1);
		d.image->format = PNG_FORMAT_RGBA;
		finish = ffg_call_entry(narrow);
		EXPECT_EQ(finish(d.image, NULL, d.pixels, 0, NULL), 0);
		EXPECT_EQ(ffg_call_error(narrow), FFG_E_VIOLATION);
		EXPECT_STREQ(ffg_call_report(narrow)->function, "png_image_finish_read");
		ASSERT_EQ(ffg_domain_reset(d.domain), 0);
		memset(d.pixels, 0, (size_t)WIDTH * HEIGHT * 4);
		EXPECT_EQ(decode(&d), 1);
		EXPECT_EQ(memcmp(d.pixels, right, (size_t)WIDTH * HEIGHT * 4), 0);
	}
}

TEST_HARNESS_MAIN
