// SPDX-License-Identifier: GPL-2.0-only
/* expat with handlers: events in trusted code, which asks and tells the parser in turn. */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<expat.h>)

#include <expat.h>

#define LIBRARY	"libexpat.so.1"
#define DOCUMENT "/usr/share/backgrounds/xfce/xfce-shapes.svg"

/* Trusted, and unknown to expat. */
struct reader {
	struct real *real;
	XML_Parser parser;
	unsigned int depth, elements, stop_at, suspend_at;
};

static void note(const struct reader *reader, const char *what, const char *text)
{
	real_output(reader->real, what, text, strlen(text));
}

static void start(void *data, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *reader = data;

	note(reader, "start", name);
	for (; *attributes; attributes++)
		note(reader, "attribute", *attributes);
	reader->depth++;
	/* Asked in the middle of the outer call. */
	if (++reader->elements % 50 == 1) {
		real_number(reader->real, "line",
			    REAL(reader->real, XML_GetCurrentLineNumber, "i(p)")(reader->parser));
		real_number(reader->real, "attributes",
			    REAL(reader->real, XML_GetSpecifiedAttributeCount, "i(p)")
				(reader->parser));
	}
	if (reader->elements == reader->stop_at)
		REAL_CHECK(REAL(reader->real, XML_StopParser, "i(pi)")(reader->parser, XML_FALSE));
	if (reader->elements == reader->suspend_at)
		REAL_CHECK(REAL(reader->real, XML_StopParser, "i(pi)")(reader->parser, XML_TRUE));
}

static void end(void *data, const XML_Char *name)
{
	struct reader *reader = data;

	note(reader, "end", name);
	REAL_CHECK(reader->depth--);
}

static void characters(void *data, const XML_Char *text, int length)
{
	struct reader *reader = data;

	REAL_CHECK(length >= 0 && length < 1 << 20);
	real_output(reader->real, "text", text, length);
}

static void comment(void *data, const XML_Char *text)
{
	note(data, "comment", text);
}

static void instruction(void *data, const XML_Char *target, const XML_Char *text)
{
	note(data, "target", target);
	note(data, "instruction", text);
}

static XML_Parser parser_new(struct real *real, struct reader *reader)
{
	XML_Parser parser = REAL(real, XML_ParserCreate, "p(p)")(NULL);

	REAL_CHECK(parser);
	REAL_CHECK(REAL(real, XML_SetHashSalt, "i(pi)")(parser, 12345));
	REAL(real, XML_SetUserData, "v(pp)")(parser, real_data(real, reader));
	REAL(real, XML_SetElementHandler, "v(ppp)")
		(parser, real_callback(real, start, "v(ppp)", 1, reader),
		 real_callback(real, end, "v(pp)", 1, reader));
	REAL(real, XML_SetCharacterDataHandler, "v(pp)")
		(parser, real_callback(real, characters, "v(ppi)", 1, reader));
	REAL(real, XML_SetCommentHandler, "v(pp)")
		(parser, real_callback(real, comment, "v(pp)", 1, reader));
	REAL(real, XML_SetProcessingInstructionHandler, "v(pp)")
		(parser, real_callback(real, instruction, "v(ppp)", 1, reader));
	reader->real = real;
	reader->parser = parser;
	return parser;
}

static void document(struct real *real)
{
	struct reader reader = { .depth = 0 };
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	XML_Parser parser = parser_new(real, &reader);

	for (size_t done = 0; done < length;) {
		size_t n = length - done < 10000 ? length - done : 10000;

		REAL_CHECK(REAL(real, XML_Parse, "i(ppii)", IN(text + done, n))
			   (parser, text + done, (int)n, done + n == length) == XML_STATUS_OK);
		done += n;
	}
	REAL_CHECK(!reader.depth && reader.elements > 50);
	REAL(real, XML_ParserFree, "v(p)")(parser);
}

static void stopped(struct real *real)
{
	struct reader reader = { .stop_at = 23 };
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	XML_Parser parser = parser_new(real, &reader);

	REAL_CHECK(REAL(real, XML_Parse, "i(ppii)", IN(text, length))
		   (parser, text, (int)length, 1) == XML_STATUS_ERROR);
	real_number(real, "error", REAL(real, XML_GetErrorCode, "i(p)")(parser));
	REAL(real, XML_ParserFree, "v(p)")(parser);
}

static void suspended(struct real *real)
{
	struct reader reader = { .suspend_at = 7 };
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	XML_Parser parser = parser_new(real, &reader);
	enum XML_Status status = REAL(real, XML_Parse, "i(ppii)", IN(text, length))
				 (parser, text, (int)length, 1);

	for (int times = 0; status == XML_STATUS_SUSPENDED; times++) {
		real_number(real, "suspended", reader.elements);
		REAL_CHECK(times < 100);
		reader.suspend_at += 13;
		status = REAL(real, XML_ResumeParser, "i(p)", IN(text, length))(parser);
	}
	REAL_CHECK(status == XML_STATUS_OK);
	REAL(real, XML_ParserFree, "v(p)")(parser);
}

/* Entities that name others: a parser within a callback within a parser, 17 deep. */
#define DEPTH	17

static int deepest;

static int external(XML_Parser parser, const XML_Char *context, const XML_Char *base,
		    const XML_Char *system, const XML_Char *public)
{
	static struct real *real;
	static int depth;
	XML_Parser inner;
	char name[32], text[80], *shared;
	int status, length;

	(void)base;
	(void)public;
	if (!parser) {		/* told by the test, not by expat */
		real = (struct real *)(uintptr_t)context;
		return 0;
	}
	note(&(struct reader){ .real = real }, "system", system);
	inner = REAL(real, XML_ExternalEntityParserCreate, "p(ppp)")(parser, context, NULL);
	REAL_CHECK(inner);
	if (++depth > deepest)
		deepest = depth;
	length = depth < DEPTH ? snprintf(text, sizeof(text), "<e%d>&x%d;</e%d>", depth, depth + 1,
					  depth) :
				 snprintf(text, sizeof(text), "bottom");
	shared = real_copy(real, text, length);
	snprintf(name, sizeof(name), "XML_Parse %d", depth);
	status = REAL_AS(real, name, XML_Parse, "i(ppii)", IN(shared, length))
		 (inner, shared, length, 1);
	REAL(real, XML_ParserFree, "v(p)")(inner);
	real_free(real, shared);
	depth--;
	return status == XML_STATUS_OK;
}

static void nested(struct real *real)
{
	struct reader reader = { .depth = 0 };
	XML_Parser parser = parser_new(real, &reader);
	char text[2000] = "<!DOCTYPE d [", *shared;
	size_t length;

	external(NULL, (const XML_Char *)real, NULL, NULL, NULL);
	for (int n = 1; n <= DEPTH; n++) {
		length = strlen(text);
		snprintf(text + length, sizeof(text) - length, "<!ENTITY x%d SYSTEM 'x%d'>", n, n);
	}
	strcat(text, "]><d>&x1;</d>");
	length = strlen(text);
	shared = real_copy(real, text, length);
	REAL(real, XML_SetExternalEntityRefHandler, "v(pp)")
		(parser, real_callback(real, external, "i(ppppp)", 0, NULL));
	REAL_CHECK(REAL(real, XML_Parse, "i(ppii)", IN(shared, length))
		   (parser, shared, (int)length, 1) == XML_STATUS_OK);
	REAL_CHECK(deepest == DEPTH && reader.elements == DEPTH);
	REAL(real, XML_ParserFree, "v(p)")(parser);
}

REAL_FIXTURE

REAL_TEST(document)
{
	EXPECT_TRUE(real_same(LIBRARY, document));
}

REAL_TEST(stopped_by_a_handler)
{
	EXPECT_TRUE(real_same(LIBRARY, stopped));
}

REAL_TEST(suspended_by_a_handler)
{
	EXPECT_TRUE(real_same(LIBRARY, suspended));
}

REAL_TEST(seventeen_deep)
{
	EXPECT_TRUE(real_same(LIBRARY, nested));
}

REAL_TEST(without_the_text)
{
	EXPECT_TRUE(real_stops(LIBRARY, document, "XML_Parse"));
	EXPECT_TRUE(real_stops(LIBRARY, nested, "XML_Parse 9"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libexpat1-dev")
#endif
