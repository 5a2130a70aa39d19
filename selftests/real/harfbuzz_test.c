// SPDX-License-Identifier: GPL-2.0-only
/* HarfBuzz: C++ that keeps a pointer to the font, which is granted to each call that reads it. */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<harfbuzz/hb.h>)

#include <harfbuzz/hb.h>

#define LIBRARY	"libharfbuzz.so.0"
#define FONT	"/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"

static const char *const texts[] = {
	"Office affairs: fluffy, 1/2 AVATAR To Yo",
	"\xd8\xa7\xd9\x84\xd8\xb3\xd9\x84\xd8\xa7\xd9\x85 \xd8\xb9\xd9\x84\xd9\x8a\xd9\x83\xd9\x85",
	"e\314\201a\xcc\x88 \xce\xb1\xcc\x94\xcc\x81 \xd0\x96\xd1\x83\xd0\xba",
	"\xff\xfe broken \xc3",
};

#define FILE_GRANT	IN(file, length)

static void shape(struct real *real)
{
	unsigned int *count = real_alloc(real, sizeof(*count));
	size_t length;
	char *file = real_file(real, FONT, &length);
	hb_blob_t *blob = REAL(real, hb_blob_create, "p(piipp)", FILE_GRANT)
			  (file, length, HB_MEMORY_MODE_READONLY, NULL, NULL);
	hb_face_t *face = REAL(real, hb_face_create, "p(pi)", FILE_GRANT)(blob, 0);
	hb_font_t *font = REAL(real, hb_font_create, "p(p)", FILE_GRANT)(face);
	hb_buffer_t *buffer = REAL(real, hb_buffer_create, "p()")();

	REAL_CHECK(REAL(real, hb_buffer_allocation_successful, "i(p)")(buffer));
	real_number(real, "glyphs", REAL(real, hb_face_get_glyph_count, "i(p)", FILE_GRANT)(face));
	real_number(real, "upem", REAL(real, hb_face_get_upem, "i(p)", FILE_GRANT)(face));
	for (unsigned int n = 0; n < sizeof(texts) / sizeof(texts[0]); n++) {
		size_t bytes = strlen(texts[n]);
		char *text = real_copy(real, texts[n], bytes);
		const hb_glyph_info_t *infos;
		const hb_glyph_position_t *positions;

		REAL(real, hb_buffer_reset, "v(p)")(buffer);
		REAL(real, hb_buffer_add_utf8, "v(ppiii)", IN(text, bytes))
			(buffer, text, (int)bytes, 0, (int)bytes);
		REAL(real, hb_buffer_guess_segment_properties, "v(p)")(buffer);
		REAL(real, hb_shape, "v(pppi)", FILE_GRANT)(font, buffer, NULL, 0);
		infos = REAL(real, hb_buffer_get_glyph_infos, "p(pp)", OUT(count, sizeof(*count)))
			(buffer, count);
		REAL_CHECK(infos && *count > 5 && *count < 100);
		for (unsigned int glyph = 0; glyph < *count; glyph++) {
			real_number(real, "glyph", infos[glyph].codepoint);
			real_number(real, "cluster", infos[glyph].cluster);
		}
		positions = REAL(real, hb_buffer_get_glyph_positions, "p(pp)",
				 OUT(count, sizeof(*count)))(buffer, count);
		for (unsigned int glyph = 0; glyph < *count; glyph++) {
			real_number(real, "advance", positions[glyph].x_advance);
			real_number(real, "x", positions[glyph].x_offset);
			real_number(real, "y", positions[glyph].y_offset);
		}
		real_free(real, text);
	}
	REAL(real, hb_buffer_destroy, "v(p)")(buffer);
	REAL(real, hb_font_destroy, "v(p)", FILE_GRANT)(font);
	REAL(real, hb_face_destroy, "v(p)", FILE_GRANT)(face);
	REAL(real, hb_blob_destroy, "v(p)", FILE_GRANT)(blob);
}

REAL_FIXTURE

REAL_TEST(shape)
{
	EXPECT_TRUE(real_same(LIBRARY, shape));
}

REAL_TEST(without_the_font)
{
	EXPECT_TRUE(real_stops(LIBRARY, shape, "hb_shape"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libharfbuzz-dev")
#endif
