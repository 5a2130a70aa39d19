// SPDX-License-Identifier: GPL-2.0-only
/*
 * sqlite3: a database in memory, the library's; results that it allocated are read by trusted
 * code and given back.
 */
#include <stdlib.h>
#include <string.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<sqlite3.h>)

#include <sqlite3.h>

#define LIBRARY	"libsqlite3.so.0"

static const char script[] =
	"CREATE TABLE part(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL, photo BLOB);"
	"CREATE INDEX part_name ON part(name);"
	"BEGIN;"
	"WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500)\n"
	" INSERT INTO part SELECT x, printf('part %s%04d', char(65 + x % 26), x * 7919 % 1000),\n"
	" x * 1.25, zeroblob(x % 40) FROM n;"
	"COMMIT;"
	"UPDATE part SET price = NULL WHERE id % 10 = 0;"
	"DELETE FROM part WHERE id % 17 = 3;";

static const char query[] =
	"SELECT substr(name, 6, 1) AS letter, count(*), sum(price), group_concat(id, '+'),\n"
	" hex(max(photo)) FROM part GROUP BY letter HAVING count(*) > ? ORDER BY letter DESC";

struct pointers {
	sqlite3 *database;
	sqlite3_stmt *statement;
	const char *tail;
	char *message;
	char **table;
	int rows, columns;
};

static struct pointers *open_database(struct real *real)
{
	struct pointers *p = real_alloc(real, sizeof(*p));
	char *name = real_string(real, ":memory:");

	REAL_CHECK(REAL(real, sqlite3_open, "i(pp)", IN(name, 9),
			OUT(&p->database, sizeof(p->database)))(name, &p->database) == SQLITE_OK);
	real_free(real, name);
	return p;
}

static int execute(struct real *real, struct pointers *p, const char *text)
{
	char *sql = real_string(real, text);
	int result = REAL(real, sqlite3_exec, "i(ppppp)", IN(sql, strlen(text) + 1),
			  OUT(&p->message, sizeof(p->message)))(p->database, sql, NULL, NULL,
								&p->message);

	real_free(real, sql);
	return result;
}

static void prepare(struct real *real, struct pointers *p, const char *text)
{
	char *sql = real_string(real, text);

	REAL_CHECK(REAL(real, sqlite3_prepare_v2, "i(ppipp)", IN(sql, strlen(text) + 1),
			OUT(p, sizeof(*p)))(p->database, sql, -1, &p->statement, &p->tail) ==
		   SQLITE_OK);
	REAL_CHECK(p->statement && p->tail == sql + strlen(text));
	/* The statement has a copy. */
	real_free(real, sql);
}

static void close_database(struct real *real, struct pointers *p)
{
	REAL_CHECK(REAL(real, sqlite3_close, "i(p)")(p->database) == SQLITE_OK);
	real_free(real, p);
}

static void theirs(struct real *real, const char *what, const void *text)
{
	REAL_CHECK(text);
	real_output(real, what, text, strlen(text));
}

static void row(struct real *real, sqlite3_stmt *statement)
{
	int columns = REAL(real, sqlite3_column_count, "i(p)")(statement);

	for (int n = 0; n < columns; n++) {
		int type = REAL(real, sqlite3_column_type, "i(pi)")(statement, n);
		double number;

		real_number(real, "type", type);
		if (type == SQLITE_FLOAT) {
			number = REAL(real, sqlite3_column_double, "d(pi)")(statement, n);
			real_output(real, "number", &number, sizeof(number));
		} else if (type == SQLITE_BLOB) {
			real_output(real, "blob",
				    REAL(real, sqlite3_column_blob, "p(pi)")(statement, n),
				    REAL(real, sqlite3_column_bytes, "i(pi)")(statement, n));
		} else if (type != SQLITE_NULL) {
			theirs(real, "text",
			       REAL(real, sqlite3_column_text, "p(pi)")(statement, n));
		}
	}
}

static unsigned int rows(struct real *real, struct pointers *p)
{
	unsigned int count = 0;
	int result;

	while ((result = REAL(real, sqlite3_step, "i(p)")(p->statement)) == SQLITE_ROW) {
		row(real, p->statement);
		count++;
	}
	REAL_CHECK(result == SQLITE_DONE);
	return count;
}

static void query_rows(struct real *real)
{
	struct pointers *p = open_database(real);

	REAL_CHECK(execute(real, p, script) == SQLITE_OK);
	prepare(real, p, query);
	REAL_CHECK(REAL(real, sqlite3_bind_int, "i(pii)")(p->statement, 1, 15) == SQLITE_OK);
	REAL_CHECK(rows(real, p) > 10);
	REAL_CHECK(REAL(real, sqlite3_finalize, "i(p)")(p->statement) == SQLITE_OK);
	close_database(real, p);
}

/* SQLITE_STATIC: the text is read in place, by later calls, and granted to those. */
static void bound_in_place(struct real *real)
{
	struct pointers *p = open_database(real);
	char *text = real_string(real, "part of Z");
	int result;

	REAL_CHECK(execute(real, p, script) == SQLITE_OK);
	prepare(real, p, "SELECT name || ' before ' || ?1, ?1 FROM part WHERE name < ?1\n"
			 " ORDER BY name DESC LIMIT 7");
	REAL_CHECK(REAL(real, sqlite3_bind_text, "i(pipip)", IN(text, 10))
		   (p->statement, 1, text, 9, SQLITE_STATIC) == SQLITE_OK);
	while ((result = REAL(real, sqlite3_step, "i(p)", IN(text, 10))(p->statement)) ==
	       SQLITE_ROW) {
		theirs(real, "name", REAL(real, sqlite3_column_text, "p(pi)", IN(text, 10))
				     (p->statement, 0));
		theirs(real, "bound", REAL(real, sqlite3_column_text, "p(pi)", IN(text, 10))
				      (p->statement, 1));
	}
	REAL_CHECK(result == SQLITE_DONE);
	REAL_CHECK(REAL(real, sqlite3_finalize, "i(p)")(p->statement) == SQLITE_OK);
	close_database(real, p);
}

/* A table and a text that the library allocated, in trusted hands. */
static void theirs_to_free(struct real *real)
{
	struct pointers *p = open_database(real);
	char *sql = real_string(real, "SELECT id, name FROM part WHERE price > 500 LIMIT 20");
	char *text;

	REAL_CHECK(execute(real, p, script) == SQLITE_OK);
	REAL_CHECK(REAL(real, sqlite3_get_table, "i(pppppp)", IN(sql, 53),
			OUT(p, sizeof(*p)))(p->database, sql, &p->table, &p->rows, &p->columns,
					    &p->message) == SQLITE_OK);
	REAL_CHECK(p->rows == 20 && p->columns == 2);
	for (int n = 0; n < (p->rows + 1) * p->columns; n++)
		theirs(real, "cell", p->table[n]);
	REAL(real, sqlite3_free_table, "v(p)")(p->table);
	real_free(real, sql);

	prepare(real, p, query);
	REAL_CHECK(REAL(real, sqlite3_bind_int, "i(pii)")(p->statement, 1, 42) == SQLITE_OK);
	text = REAL(real, sqlite3_expanded_sql, "p(p)")(p->statement);
	theirs(real, "expanded", text);
	REAL(real, sqlite3_free, "v(p)")(text);
	REAL_CHECK(REAL(real, sqlite3_finalize, "i(p)")(p->statement) == SQLITE_OK);
	close_database(real, p);
}

static void errors(struct real *real)
{
	static const char *const wrong[] = {
		"SELEC 1;", "SELECT nothing FROM nowhere",
		"INSERT INTO part(id, name) VALUES(1,'x')", "INSERT INTO part(id) VALUES(10000)",
		"SELECT 'not closed",
	};
	struct pointers *p = open_database(real);

	REAL_CHECK(execute(real, p, script) == SQLITE_OK);
	for (unsigned int n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
		real_number(real, "result", execute(real, p, wrong[n]));
		theirs(real, "message", p->message);
		REAL(real, sqlite3_free, "v(p)")(p->message);
		theirs(real, "errmsg", REAL(real, sqlite3_errmsg, "p(p)")(p->database));
		real_number(real, "extended",
			    REAL(real, sqlite3_extended_errcode, "i(p)")(p->database));
	}
	close_database(real, p);
}

/* Variadic: what a format string fetches. */
static void variadic(struct real *real)
{
	char *format = real_string(real, "%d %s %.3f %Q %llx"), *word = real_string(real, "it's");
	char *text = REAL(real, sqlite3_mprintf, "p(p...)", IN(format, 19), IN(word, 5))
		     (format, 42, word, 2.5, word, 0x123456789abcdefLL);

	theirs(real, "text", text);
	REAL(real, sqlite3_free, "v(p)")(text);
}

REAL_FIXTURE

REAL_TEST(query_rows)
{
	EXPECT_TRUE(real_same(LIBRARY, query_rows));
}

REAL_TEST(bound_in_place)
{
	EXPECT_TRUE(real_same(LIBRARY, bound_in_place));
}

REAL_TEST(theirs_to_free)
{
	EXPECT_TRUE(real_same(LIBRARY, theirs_to_free));
}

REAL_TEST(errors)
{
	EXPECT_TRUE(real_same(LIBRARY, errors));
}

REAL_TEST(variadic)
{
	EXPECT_TRUE(real_same(LIBRARY, variadic));
}

REAL_TEST(without_the_text)
{
	EXPECT_TRUE(real_stops(LIBRARY, bound_in_place, "sqlite3_step"));
	EXPECT_TRUE(real_stops(LIBRARY, query_rows, "sqlite3_prepare_v2"));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libsqlite3-dev")
#endif
