// SPDX-License-Identifier: GPL-2.0-only
/* Does real.c see a difference, a failure, a violation that does not come? */
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#define LIBRARY	"libc.so.6"

static void nothing(struct real *real)
{
	(void)real;
}

static void length_of(struct real *real)
{
	char *text = real_string(real, "some text");

	real_number(real, "length", REAL(real, strlen, "i(p)", IN(text, 10))(text));
	real_free(real, text);
}

static void one_byte(struct real *real)
{
	length_of(real);
	real_output(real, "byte", real->guarded ? "a" : "b", 1);
}

static void another_name(struct real *real)
{
	real_output(real, real->guarded ? "a" : "b", "c", 1);
}

static void one_more(struct real *real)
{
	length_of(real);
	if (real->guarded)
		length_of(real);
}

static void failure(struct real *real)
{
	length_of(real);
	REAL_CHECK(!real->guarded);
}

static void no_grant(struct real *real)
{
	char *text = real_string(real, "some text");

	real_number(real, "length", REAL(real, strlen, "i(p)")(text));
}

static void underrun(struct real *real)
{
	char *text = real_alloc(real, 10);

	/* Another byte than the poison has. */
	REAL(real, memset, "p(pii)", OUT(text, 10))(real->guarded ? text - 1 : text,
						    real->guarded ? text[-1] ^ 1 : 'x', 10);
	real_number(real, "done", 1);
	real_free(real, text);
}

REAL_FIXTURE

REAL_TEST(equal)
{
	EXPECT_TRUE(real_same(LIBRARY, length_of));
}

REAL_TEST(different)
{
	EXPECT_FALSE(real_same(LIBRARY, nothing));
	EXPECT_FALSE(real_same(LIBRARY, one_byte));
	EXPECT_FALSE(real_same(LIBRARY, another_name));
	EXPECT_FALSE(real_same(LIBRARY, one_more));
	EXPECT_FALSE(real_same(LIBRARY, failure));
	EXPECT_FALSE(real_same(LIBRARY, no_grant));
	EXPECT_FALSE(real_same("libnosuch.so.1", length_of));
}

/* One byte in the slack in front of an object. */
REAL_TEST(damage)
{
	EXPECT_FALSE(real_same(LIBRARY, underrun));
}

REAL_TEST(violation)
{
	EXPECT_TRUE(real_stops(LIBRARY, length_of, "strlen"));
	EXPECT_FALSE(real_stops(LIBRARY, length_of, "strcpy"));
	EXPECT_FALSE(real_stops(LIBRARY, nothing, "strlen"));
	EXPECT_FALSE(real_stops(LIBRARY, underrun, "strlen"));
}

TEST_HARNESS_MAIN
