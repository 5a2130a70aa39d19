// SPDX-License-Identifier: GPL-2.0-only
/* libxml2: the tree is on the library's heap, and the program walks it; so are the dumps. */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<libxml/parser.h>)

#include <libxml/HTMLparser.h>
#include <libxml/HTMLtree.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlerror.h>
#include <libxml/xpath.h>

#define LIBRARY	"libxml2.so.2"
#define DOCUMENT "/usr/share/backgrounds/xfce/xfce-leaves.svg"

/* xmlFree() is a variable of the library's that points to a function. */
static void free_theirs(struct real *real, void *memory)
{
	xmlFreeFunc *function = real_symbol(real, "xmlFree");

	((xmlFreeFunc)real_entry_address(real, "xmlFree()", (void *)*function, "v(p)",
		(const struct real_grant[]){ REAL_END, REAL_END }))(memory);
}

static void dump(struct real *real, xmlDocPtr document)
{
	struct {
		xmlChar *text;
		int length;
	} *output = real_alloc(real, sizeof(*output));
	char *encoding = real_string(real, "UTF-8");

	REAL(real, xmlDocDumpFormatMemoryEnc, "v(ppppi)", OUT(output, sizeof(*output)),
	     IN(encoding, 6))(document, &output->text, &output->length, encoding, 1);
	REAL_CHECK(output->text && output->length > 1000);
	real_output(real, "dump", output->text, output->length);
	free_theirs(real, output->text);
	real_free(real, output);
	real_free(real, encoding);
}

/* Trusted code walks the foreign tree. */
static unsigned int walk(struct real *real, const xmlNode *node)
{
	unsigned int count = 0;

	for (; node; node = node->next) {
		if (node->type == XML_ELEMENT_NODE) {
			real_output(real, "element", node->name, strlen((const char *)node->name));
			for (const xmlAttr *at = node->properties; at; at = at->next)
				real_output(real, "attribute", at->name,
					    strlen((const char *)at->name));
			count += 1 + walk(real, node->children);
		}
	}
	return count;
}

static xmlDocPtr read_document(struct real *real, const char *text, size_t length, int options)
{
	char *name = real_string(real, "document.svg");
	xmlDocPtr document = REAL(real, xmlReadMemory, "p(pippi)", IN(text, length), IN(name, 13))
			     (text, (int)length, name, NULL, options);

	real_free(real, name);
	return document;
}

static void document(struct real *real)
{
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	xmlDocPtr tree;
	xmlNodePtr root;

	REAL(real, xmlInitParser, "v()")();
	tree = read_document(real, text, length, XML_PARSE_NONET);
	REAL_CHECK(tree);
	/* The tree is the library's and cites nothing of the text. */
	real_free(real, text);
	root = REAL(real, xmlDocGetRootElement, "p(p)")(tree);
	REAL_CHECK(root && walk(real, root) > 20);
	dump(real, tree);
	REAL(real, xmlFreeDoc, "v(p)")(tree);
	REAL(real, xmlCleanupParser, "v()")();
}

static void xpath(struct real *real)
{
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	xmlChar *expression = (xmlChar *)real_string(real, "//*[@id]/@id");
	xmlDocPtr tree = read_document(real, text, length, XML_PARSE_NONET);
	xmlXPathContextPtr context;
	xmlXPathObjectPtr result;

	REAL_CHECK(tree);
	context = REAL(real, xmlXPathNewContext, "p(p)")(tree);
	REAL_CHECK(context);
	result = REAL(real, xmlXPathEvalExpression, "p(pp)", IN(expression, 13))(expression,
										 context);
	REAL_CHECK(result && result->nodesetval && result->nodesetval->nodeNr > 10);
	for (int n = 0; n < result->nodesetval->nodeNr; n++) {
		xmlChar *value = REAL(real, xmlNodeGetContent, "p(p)")
				 (result->nodesetval->nodeTab[n]);

		REAL_CHECK(value);
		real_output(real, "id", value, strlen((char *)value));
		free_theirs(real, value);
	}
	REAL(real, xmlXPathFreeObject, "v(p)")(result);
	REAL(real, xmlXPathFreeContext, "v(p)")(context);
	REAL(real, xmlFreeDoc, "v(p)")(tree);
}

static void last_error(struct real *real)
{
	const xmlError *error = REAL(real, xmlGetLastError, "p()")();

	REAL_CHECK(error);
	real_number(real, "code", error->code);
	real_number(real, "line", error->line);
	real_output(real, error->message, error->message, strlen(error->message));
	REAL(real, xmlResetLastError, "v()")();
}

static void broken(struct real *real)
{
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	const int quiet = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
	xmlDocPtr tree;

	length /= 2;
	REAL_CHECK(!read_document(real, text, length, quiet));
	last_error(real);
	tree = read_document(real, text, length, quiet | XML_PARSE_RECOVER);
	REAL_CHECK(tree);
	last_error(real);
	dump(real, tree);
	REAL(real, xmlFreeDoc, "v(p)")(tree);
}

/* The parser for HTML takes everything. */
static void html(struct real *real)
{
	struct {
		xmlChar *text;
		int length;
	} *output = real_alloc(real, sizeof(*output));
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	htmlDocPtr tree = REAL(real, htmlReadMemory, "p(pippi)", IN(text, length))
			  (text, (int)length, NULL, NULL,
			   HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING);

	REAL_CHECK(tree);
	REAL(real, htmlDocDumpMemory, "v(ppp)", OUT(output, sizeof(*output)))(tree, &output->text,
									      &output->length);
	REAL_CHECK(output->text && output->length > 1000);
	real_output(real, "dump", output->text, output->length);
	free_theirs(real, output->text);
	REAL(real, xmlFreeDoc, "v(p)")(tree);
}

REAL_FIXTURE

REAL_TEST(document)
{
	EXPECT_TRUE(real_same(LIBRARY, document));
}

REAL_TEST(xpath)
{
	EXPECT_TRUE(real_same(LIBRARY, xpath));
}

REAL_TEST(broken)
{
	EXPECT_TRUE(real_same(LIBRARY, broken));
}

REAL_TEST(html)
{
	EXPECT_TRUE(real_same(LIBRARY, html));
}

REAL_TEST(without_the_encoding)
{
	EXPECT_TRUE(real_stops(LIBRARY, document, "xmlDocDumpFormatMemoryEnc"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libxml2-dev")
#endif
