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

/* ---- SAX: no tree, events in trusted code ---- */

/* Trusted, and unknown to libxml2. */
struct events {
	struct real *real;
	unsigned int depth, elements, errors;
};

static void note(const struct events *events, const char *what, const xmlChar *text)
{
	real_output(events->real, what, text, text ? strlen((const char *)text) : 0);
}

/* Nine arguments: three come by the stack. */
static void start(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
		  int namespaces, const xmlChar **namespace, int attributes, int defaulted,
		  const xmlChar **attribute)
{
	struct events *events = data;

	note(events, "element", name);
	note(events, "prefix", prefix);
	note(events, "namespace", uri);
	REAL_CHECK(namespaces >= 0 && attributes >= 0 && defaulted >= 0 && attributes < 1000);
	for (int n = 0; n < 2 * namespaces; n++)
		note(events, "prefix or URI", namespace[n]);
	for (int n = 0; n < attributes; n++) {
		/* name, prefix, URI, begin and end of the value */
		note(events, "attribute", attribute[5 * n]);
		real_output(events->real, "value", attribute[5 * n + 3],
			    attribute[5 * n + 4] - attribute[5 * n + 3]);
	}
	events->depth++;
	events->elements++;
}

static void end(void *data, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri)
{
	struct events *events = data;

	(void)prefix;
	(void)uri;
	note(events, "end", name);
	REAL_CHECK(events->depth--);
}

static void characters(void *data, const xmlChar *text, int length)
{
	const struct events *events = data;

	REAL_CHECK(length >= 0 && length < 1 << 20);
	real_output(events->real, "text", text, length);
}

static void sax_error(void *data, xmlErrorPtr error)
{
	struct events *events = data;

	real_number(events->real, "code", error->code);
	note(events, "message", (const xmlChar *)error->message);
	events->errors++;
}

static void sax_of(struct real *real, size_t cut)
{
	struct events events = { .real = real };
	xmlSAXHandler *handler = real_alloc(real, sizeof(*handler));
	size_t length;
	char *text = real_file(real, DOCUMENT, &length);
	int result;

	length -= cut;
	handler->initialized = XML_SAX2_MAGIC;
	handler->startElementNs =
		(startElementNsSAX2Func)real_callback(real, start, "v(ppppipiip)", 1, &events);
	handler->endElementNs =
		(endElementNsSAX2Func)real_callback(real, end, "v(pppp)", 1, &events);
	handler->characters =
		(charactersSAXFunc)real_callback(real, characters, "v(ppi)", 1, &events);
	handler->serror =
		(xmlStructuredErrorFunc)real_callback(real, sax_error, "v(pp)", 1, &events);
	result = REAL(real, xmlSAXUserParseMemory, "i(pppi)", IN(handler, sizeof(*handler)),
		      IN(text, length))(handler, real_data(real, &events), text, (int)length);
	real_number(real, "result", result);
	REAL_CHECK(events.elements > 20 && !!result == !!cut && !!events.errors == !!cut);
}

static void sax(struct real *real)
{
	sax_of(real, 0);
}

static void sax_broken(struct real *real)
{
	sax_of(real, 100);
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

REAL_TEST(sax)
{
	EXPECT_TRUE(real_same(LIBRARY, sax));
}

REAL_TEST(sax_broken)
{
	EXPECT_TRUE(real_same(LIBRARY, sax_broken));
}

REAL_TEST(without_the_encoding)
{
	EXPECT_TRUE(real_stops(LIBRARY, document, "xmlDocDumpFormatMemoryEnc"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libxml2-dev")
#endif
