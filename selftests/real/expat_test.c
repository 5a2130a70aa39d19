// SPDX-License-Identifier: GPL-2.0-only
/* expat without handlers: well-formed or not, where, and why not. */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<expat.h>)

#include <expat.h>

#define LIBRARY	"libexpat.so.1"
#define DOCUMENT "/usr/share/backgrounds/xfce/xfce-shapes.svg"
#define CHUNK	4096

static void position(struct real *real, XML_Parser parser)
{
	real_number(real, "line", REAL(real, XML_GetCurrentLineNumber, "i(p)")(parser));
	real_number(real, "column", REAL(real, XML_GetCurrentColumnNumber, "i(p)")(parser));
	real_number(real, "byte", REAL(real, XML_GetCurrentByteIndex, "i(p)")(parser));
	real_number(real, "error", REAL(real, XML_GetErrorCode, "i(p)")(parser));
}

/* Piece by piece; the status of the last one that was taken. */
static enum XML_Status parse(struct real *real, const char *text, size_t length)
{
	XML_Parser parser = REAL(real, XML_ParserCreate, "p(p)")(NULL);
	enum XML_Status status = XML_STATUS_OK;
	const char *reason;

	REAL_CHECK(parser);
	/* The table of names is salted: the same in both runs. */
	REAL_CHECK(REAL(real, XML_SetHashSalt, "i(pi)")(parser, 12345));
	for (size_t done = 0; done < length && status == XML_STATUS_OK;) {
		size_t n = length - done < CHUNK ? length - done : CHUNK;

		status = REAL(real, XML_Parse, "i(ppii)", IN(text + done, n))
			 (parser, text + done, (int)n, done + n == length);
		position(real, parser);
		done += n;
	}
	real_number(real, "status", status);
	reason = REAL(real, XML_ErrorString, "p(i)")
		 (REAL(real, XML_GetErrorCode, "i(p)")(parser));
	if (reason)
		real_output(real, reason, reason, strlen(reason));
	REAL(real, XML_ParserFree, "v(p)")(parser);
	return status;
}

static void well_formed(struct real *real)
{
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);

	REAL_CHECK(length > 10 * CHUNK);
	REAL_CHECK(parse(real, text, length) == XML_STATUS_OK);
}

static void broken(struct real *real)
{
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);

	/* Cut off, a stray bracket, an unknown entity, a byte that is not UTF-8. */
	REAL_CHECK(parse(real, text, length / 3) == XML_STATUS_ERROR);
	for (unsigned int n = 0; n < 3; n++) {
		char *copy = real_copy(real, text, length);

		memcpy(copy + (n + 1) * 20000, (const char *[]){ "<<", "&e;", "\xff" }[n],
		       (const size_t[]){ 2, 3, 1 }[n]);
		REAL_CHECK(parse(real, copy, length) == XML_STATUS_ERROR);
		real_free(real, copy);
	}
}

/* The library lends its buffer, which trusted code fills. */
static void buffer(struct real *real)
{
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	XML_Parser parser = REAL(real, XML_ParserCreate, "p(p)")(NULL);

	for (size_t done = 0; done < length;) {
		size_t n = length - done < CHUNK ? length - done : CHUNK;
		void *theirs = REAL(real, XML_GetBuffer, "p(pi)")(parser, CHUNK);

		REAL_CHECK(theirs);
		memcpy(theirs, text + done, n);
		REAL_CHECK(REAL(real, XML_ParseBuffer, "i(pii)")(parser, (int)n,
								 done + n == length));
		position(real, parser);
		done += n;
	}
	REAL(real, XML_ParserFree, "v(p)")(parser);
}

REAL_FIXTURE

REAL_TEST(well_formed)
{
	EXPECT_TRUE(real_same(LIBRARY, well_formed));
}

REAL_TEST(broken)
{
	EXPECT_TRUE(real_same(LIBRARY, broken));
}

REAL_TEST(buffer_of_the_library)
{
	EXPECT_TRUE(real_same(LIBRARY, buffer));
}

REAL_TEST(without_the_text)
{
	EXPECT_TRUE(real_stops(LIBRARY, well_formed, "XML_Parse"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libexpat1-dev")
#endif
