// SPDX-License-Identifier: GPL-2.0-only
/* libc as a foreign library: qsort() and bsearch() of guarded arrays, compared by trusted code. */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#define LIBRARY	"libc.so.6"
#define COUNT	700

struct record {
	unsigned int key;
	char text[20];
};

static unsigned int compared;

static int compare(const void *a, const void *b)
{
	const struct record *first = a, *second = b;

	compared++;
	return (first->key > second->key) - (first->key < second->key);
}

static int compare_with(const void *a, const void *b, void *data)
{
	const struct record *first = a, *second = b;
	unsigned int *calls = data;

	++*calls;
	return strcmp(first->text, second->text);
}

static void fill(struct record *records)
{
	for (unsigned int n = 0; n < COUNT; n++) {
		records[n].key = n * 7919 % 1009;
		snprintf(records[n].text, sizeof(records[n].text), "%u", n * 31 % 997);
	}
}

static void sort(struct real *real)
{
	size_t bytes = COUNT * sizeof(struct record);
	struct record *records = real_alloc(real, bytes), *key = real_alloc(real, sizeof(*key));
	unsigned int calls = 0;
	void *compares = real_callback(real, compare, "i(pp)", 0, NULL);
	const struct record *found;

	fill(records);
	REAL(real, qsort, "v(piip)", IN_OUT(records, bytes))
		(records, COUNT, sizeof(*records), compares);
	real_output(real, "by key", records, bytes);
	for (unsigned int n = 0; n < 40; n++) {
		key->key = n * 50;
		found = REAL(real, bsearch, "p(ppiip)", IN(records, bytes), IN(key, sizeof(*key)))
			(key, records, COUNT, sizeof(*records), compares);
		real_number(real, "found", found ? found - records : -1);
		REAL_CHECK(!found || found->key == key->key);
	}
	real_number(real, "compared", compared);

	REAL(real, qsort_r, "v(piipp)", IN_OUT(records, bytes))
		(records, COUNT, sizeof(*records),
		 real_callback(real, compare_with, "i(ppp)", 3, &calls), real_data(real, &calls));
	REAL_CHECK(calls > COUNT);
	real_number(real, "calls", calls);
	real_output(real, "by text", records, bytes);
}

/* Trees of libc's own nodes, with pointers to objects in them. */
static struct real *walked;

static void visit(const void *node, VISIT which, int depth)
{
	const struct record *record = *(const struct record *const *)node;

	if (which == postorder || which == leaf) {
		real_number(walked, "key", record->key);
		real_number(walked, "depth", depth);
	}
}

static void tree(struct real *real)
{
	size_t bytes = 100 * sizeof(struct record);
	struct record *records = real_alloc(real, bytes);
	void **root = real_alloc(real, sizeof(*root));
	void *compares = real_callback(real, compare, "i(pp)", 0, NULL);

	walked = real;
	for (unsigned int n = 0; n < 100; n++) {
		records[n].key = n * 37 % 101;
		REAL_CHECK(REAL(real, tsearch, "p(ppp)", IN_OUT(root, sizeof(*root)))
			   (&records[n], root, compares));
	}
	REAL(real, twalk, "v(pp)")(*root, real_callback(real, visit, "v(pii)", 0, NULL));
	for (unsigned int n = 0; n < 100; n++)
		REAL_CHECK(REAL(real, tdelete, "p(ppp)", IN_OUT(root, sizeof(*root)))
			   (&records[n], root, compares));
	REAL_CHECK(!*root);
}

REAL_FIXTURE

REAL_TEST(sort_and_search)
{
	EXPECT_TRUE(real_same(LIBRARY, sort));
}

REAL_TEST(tree)
{
	EXPECT_TRUE(real_same(LIBRARY, tree));
}

REAL_TEST(without_the_array)
{
	EXPECT_TRUE(real_stops(LIBRARY, sort, "qsort"));
}

TEST_HARNESS_MAIN
