// SPDX-License-Identifier: GPL-2.0-only
/*
 * sqlite3 with functions of the program: they run trusted, ask for their arguments and give
 * their results by guarded calls, in the middle of the outer one.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<sqlite3.h>)

#include <sqlite3.h>

#define LIBRARY	"libsqlite3.so.0"

/* Trusted, and unknown to sqlite. */
struct program {
	struct real *real;
	sqlite3 *database, *other;
	unsigned int waits, ticks;
};

static struct program *program;	/* for functions that are told no user data */

static sqlite3 *open_database(struct real *real, const char *name)
{
	sqlite3 **pointer = real_alloc(real, sizeof(*pointer)), *database;
	char *file = real_string(real, name);

	REAL_CHECK(REAL(real, sqlite3_open, "i(pp)", IN(file, strlen(name) + 1),
			OUT(pointer, sizeof(*pointer)))(file, pointer) == SQLITE_OK);
	database = *pointer;
	real_free(real, file);
	real_free(real, pointer);
	return database;
}

static void begin(struct real *real, struct program *p, const char *name)
{
	p->real = real;
	p->database = open_database(real, name);
	program = p;
}

static int row(void *data, int columns, char **texts, char **names)
{
	const struct program *p = data;

	for (int n = 0; n < columns; n++) {
		real_output(p->real, "column", names[n], strlen(names[n]));
		if (texts[n])
			real_output(p->real, "text", texts[n], strlen(texts[n]));
		else
			real_number(p->real, "null", n);
	}
	return 0;
}

/* @name: of the prepared call, which may be in the middle of another one. */
static int execute_as(struct program *p, const char *name, sqlite3 *database, const char *text)
{
	struct real *real = p->real;
	char *sql = real_string(real, text);
	int result = REAL_AS(real, name, sqlite3_exec, "i(ppppp)", IN(sql, strlen(text) + 1))
		     (database, sql, real_callback(real, row, "i(pipp)", 1, p),
		      real_data(real, p), NULL);

	real_free(real, sql);
	real_number(real, name, result);
	return result;
}

static int execute(struct program *p, const char *text)
{
	return execute_as(p, "sqlite3_exec", p->database, text);
}

static void end(struct program *p)
{
	REAL_CHECK(REAL(p->real, sqlite3_close, "i(p)")(p->database) == SQLITE_OK);
}

/* ---- functions ---- */

/* rot13(text) */
static void rot13(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct real *real = program->real;
	const unsigned char *text;
	char *result;
	int length;

	REAL_CHECK(count == 1);
	REAL_CHECK(REAL(real, sqlite3_user_data, "p(p)")(context) == real_data(real, program));
	text = REAL(real, sqlite3_value_text, "p(p)")(values[0]);
	if (!text) {
		result = real_string(real, "rot13 of nothing");
		REAL(real, sqlite3_result_error, "v(ppi)", IN(result, 17))(context, result, -1);
		real_free(real, result);
		return;
	}
	length = REAL(real, sqlite3_value_bytes, "i(p)")(values[0]);
	REAL_CHECK(length >= 0 && length < 1000);
	result = real_alloc(real, length + 1);
	for (int n = 0; n < length; n++) {
		char c = text[n], base = c >= 'a' ? 'a' : 'A';

		result[n] = (c | 32) >= 'a' && (c | 32) <= 'z' ? base + (c - base + 13) % 26 : c;
	}
	REAL(real, sqlite3_result_text, "v(ppip)", IN(result, length + 1))(context, result, length,
									   SQLITE_TRANSIENT);
	real_free(real, result);
}

/* product(number), an aggregate whose state is sqlite's memory */
static void product_step(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct real *real = program->real;
	double *state = REAL(real, sqlite3_aggregate_context, "p(pi)")(context, sizeof(*state));

	REAL_CHECK(state && count == 1);
	if (!*state)
		*state = 1;
	*state *= REAL(real, sqlite3_value_double, "d(p)")(values[0]);
}

static void product_final(sqlite3_context *context)
{
	struct real *real = program->real;
	const double *state = REAL(real, sqlite3_aggregate_context, "p(pi)")(context, 0);

	REAL(real, sqlite3_result_double, "v(pd)")(context, state ? *state : 0);
}

static int backwards(void *data, int length, const void *text, int other_length, const void *other)
{
	const struct program *p = data;
	int least = length < other_length ? length : other_length;
	int result = memcmp(other, text, least);

	REAL_CHECK(p == program);
	return result ? result : other_length - length;
}

static void functions_add(struct program *p)
{
	struct real *real = p->real;
	char *name = real_string(real, "rot13");

	REAL_CHECK(REAL(real, sqlite3_create_function_v2, "i(ppiippppp)", IN(name, 6))
		   (p->database, name, 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, real_data(real, p),
		    real_callback(real, rot13, "v(pip)", 0, NULL), NULL, NULL, NULL) == SQLITE_OK);
	real_free(real, name);
	name = real_string(real, "product");
	REAL_CHECK(REAL(real, sqlite3_create_function_v2, "i(ppiippppp)", IN(name, 8))
		   (p->database, name, 1, SQLITE_UTF8, NULL, NULL,
		    real_callback(real, product_step, "v(pip)", 0, NULL),
		    real_callback(real, product_final, "v(p)", 0, NULL), NULL) == SQLITE_OK);
	real_free(real, name);
	name = real_string(real, "backwards");
	REAL_CHECK(REAL(real, sqlite3_create_collation, "i(ppipp)", IN(name, 10))
		   (p->database, name, SQLITE_UTF8, real_data(real, p),
		    real_callback(real, backwards, "i(pipip)", 1, p)) == SQLITE_OK);
	real_free(real, name);
}

static void functions(struct real *real)
{
	struct program p = { .waits = 0 };

	begin(real, &p, ":memory:");
	functions_add(&p);
	REAL_CHECK(!execute(&p, "CREATE TABLE t(a TEXT, n REAL);"
				"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c\n"
				"WHERE x < 60) INSERT INTO t SELECT printf('Word %d of all',\n"
				"x * 37 % 61), 1 + x / 100.0 FROM c"));
	REAL_CHECK(!execute(&p, "SELECT rot13(a), n FROM t ORDER BY a COLLATE backwards"));
	REAL_CHECK(!execute(&p, "SELECT n > 1.3 AS big, product(n) FROM t GROUP BY big"));
	REAL_CHECK(!execute(&p, "CREATE INDEX i ON t(rot13(a));"
				"SELECT count(*) FROM t WHERE rot13(a) > 'Jbeq 3'"));
	REAL_CHECK(execute(&p, "SELECT rot13(NULL)") == SQLITE_ERROR);
	end(&p);
}

/* ---- handlers ---- */

static int tick(void *data)
{
	struct program *p = data;

	return ++p->ticks > 20;
}

static void interrupted(struct real *real)
{
	struct program p = { .waits = 0 };

	begin(real, &p, ":memory:");
	REAL(real, sqlite3_progress_handler, "v(pipp)")
		(p.database, 1000, real_callback(real, tick, "i(p)", 1, &p), real_data(real, &p));
	REAL_CHECK(execute(&p, "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)\n"
			       "SELECT max(x) FROM c") == SQLITE_INTERRUPT);
	real_number(real, "ticks", p.ticks);
	end(&p);
}

/* The lock is the other connection's: the handler waits three times, then makes it commit. */
static int busy(void *data, int times)
{
	struct program *p = data;

	real_number(p->real, "busy", times);
	p->waits++;
	if (times == 3)
		REAL_CHECK(!execute_as(p, "sqlite3_exec COMMIT", p->other, "COMMIT"));
	return times < 10;
}

static void busy_handler(struct real *real)
{
	char folder[] = "/tmp/ffg-real-XXXXXX", *name;
	struct program p = { .waits = 0 };

	if (!mkdtemp(folder) || asprintf(&name, "%s/db", folder) < 0)
		real_fail("no folder");
	begin(real, &p, name);
	p.other = open_database(real, name);
	REAL(real, sqlite3_busy_handler, "i(ppp)")
		(p.database, real_callback(real, busy, "i(pi)", 1, &p), real_data(real, &p));
	REAL_CHECK(!execute_as(&p, "sqlite3_exec", p.other,
			       "CREATE TABLE t(a); BEGIN EXCLUSIVE;"
			       "INSERT INTO t VALUES('other')"));
	REAL_CHECK(!execute(&p, "INSERT INTO t VALUES('mine'); SELECT * FROM t"));
	REAL_CHECK(p.waits == 4);
	REAL_CHECK(REAL(real, sqlite3_close, "i(p)")(p.other) == SQLITE_OK);
	end(&p);
	unlink(name);
	rmdir(folder);
	free(name);
}

REAL_FIXTURE

REAL_TEST(functions)
{
	EXPECT_TRUE(real_same(LIBRARY, functions));
}

REAL_TEST(progress_handler)
{
	EXPECT_TRUE(real_same(LIBRARY, interrupted));
}

REAL_TEST(busy_handler)
{
	EXPECT_TRUE(real_same(LIBRARY, busy_handler));
}

REAL_TEST(without_the_result)
{
	EXPECT_TRUE(real_stops(LIBRARY, functions, "sqlite3_result_text"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libsqlite3-dev")
#endif
