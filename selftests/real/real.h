/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A real library, unmodified, run twice by the same code: as it is, in a process of its own, and
 * behind the gate, in another one.  What the two put out must be equal, byte for byte.
 *
 * All that the library reads or writes of the program's is a guarded object, granted to the
 * call that needs it and to no other; in the run without guards it is plain memory.  Memory that
 * the library allocates is its own.
 */
#ifndef REAL_H
#define REAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ffiguard.h>

struct real_call;
struct real_callback;

/* One run. */
struct real {
	bool guarded;
	unsigned int keys;		/* guarded: of domains */
	const char *library;
	const char *withheld;		/* function whose last grant is not given; NULL: none */
	struct ffg_context *context;	/* guarded */
	struct ffg_domain *domain;
	void *handle;			/* not guarded: of dlopen() */
	struct real_call *calls;	/* functions that were called */
	struct real_call *last;
	struct real_callback *callbacks;
	struct real_output *output;
};

struct real_grant {
	const void *address;		/* NULL: nothing to grant */
	size_t length;
	unsigned int rights;		/* 0: marks both ends of a list */
};

#define REAL_END		((struct real_grant){ NULL, 0, 0 })
#define IN(address, length)	((struct real_grant){ address, length, FFG_IN })
#define OUT(address, length)	((struct real_grant){ address, length, FFG_OUT })
#define IN_OUT(address, length)	((struct real_grant){ address, length, FFG_INOUT })
#define THREADS(address, length) ((struct real_grant){ address, length, FFG_THREADS })

/*
 * REAL() - the function to call: REAL(real, strlen, "i(p)", IN(text, 6))(text)
 *
 * The type is that of the declaration in the library's header.  Grants are those of this
 * call; what an earlier call of the function was granted is over.
 */
#define REAL(real, function, signature, ...)					\
	((__typeof__(&(function)))real_entry(real, #function, signature,	\
		(const struct real_grant[]){ REAL_END, ##__VA_ARGS__, REAL_END }))
void *real_entry(struct real *real, const char *function, const char *signature,
		 const struct real_grant *grants);
/*
 * The same with a prepared call of its own, as it takes if an outer call of the function is in
 * progress; @name: that of the function, a blank, and what tells the calls apart.
 */
#define REAL_AS(real, name, function, signature, ...)				\
	((__typeof__(&(function)))real_entry(real, name, signature,		\
		(const struct real_grant[]){ REAL_END, ##__VA_ARGS__, REAL_END }))
/* The same for a function whose address the library told; @name: for reports. */
void *real_entry_address(struct real *real, const char *name, void *function,
			 const char *signature, const struct real_grant *grants);
/*
 * What the library is given to call: @function, or an entry for it.  @argument: which of its
 * integer arguments is user data, 0 if none; @data: what @function gets there.  Behind the gate
 * the library is not told @data: it is given what real_data() says.
 */
void *real_callback(struct real *real, void *function, const char *signature,
		    unsigned int argument, void *data);
void *real_data(struct real *real, void *data);
/* Address of a symbol of the library. */
void *real_symbol(struct real *real, const char *name);

/* Memory that the library is to see; zeroed, or a copy.  A failure ends the run. */
void *real_alloc(struct real *real, size_t length);
void *real_copy(struct real *real, const void *from, size_t length);
char *real_string(struct real *real, const char *text);
void *real_file(struct real *real, const char *path, size_t *length);
void real_free(struct real *real, void *memory);

/* What is compared.  @what: one word, for the message. */
void real_output(struct real *real, const char *what, const void *bytes, size_t length);
void real_number(struct real *real, const char *what, long number);
/* Ends the run as a failure. */
void real_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define REAL_CHECK(condition) do {						\
	if (!(condition))							\
		real_fail("%s:%d: %s", __FILE__, __LINE__, #condition);		\
} while (0)

typedef void (*real_body)(struct real *real);
/*
 * Both runs, and a third one in which the domain has a protection key and so a heap of its own:
 * do they end well, and is what they put out equal and not empty?
 */
bool real_same(const char *library, real_body body);
/* The same without the run in which there is no such key. */
bool real_same_with_key(const char *library, real_body body);
/*
 * The guarded run with the last grant of every call of @function withheld: does it die of a
 * violation that names @function?
 */
bool real_stops(const char *library, real_body body, const char *function);
/* The guarded run as it is: does it die of a violation, with these words in the report? */
bool real_dies(const char *library, real_body body, const char *words);

/* For programs that are tests: emulated, in a debug kernel, real work takes its time. */
#define REAL_SECONDS	500
#define REAL_FIXTURE								\
	FIXTURE(real) {								\
	};									\
	FIXTURE_SETUP(real)							\
	{									\
	}									\
	FIXTURE_TEARDOWN(real)							\
	{									\
	}
#define REAL_TEST(name)		TEST_F_TIMEOUT(real, name, REAL_SECONDS)
/*
 * What a program is made of if the library's header is not there: a skip, which is a failure but
 * where skips.list allows it.
 */
#define REAL_MISSING(package)							\
	TEST(missing)								\
	{									\
		SKIP(return, "built without %s: install it", package);		\
	}									\
	TEST_HARNESS_MAIN

#endif /* REAL_H */
