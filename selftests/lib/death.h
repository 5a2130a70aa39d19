/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Running something that is expected to die, and what it said.
 *
 * An arena is not inherited, so whatever shall die opens its context itself, in
 * the child that death_run() makes; the caller must have none.
 */
#ifndef DEATH_H
#define DEATH_H

#include <stdbool.h>
#include <stddef.h>

#include <ffiguard.h>

struct death {
	int status;			/* of waitpid() */
	char text[16384];		/* error output */
};

/* Runs @body(@data) in a child; a @body that returns exits with status 0 by _exit(). */
void death_run(struct death *death, void (*body)(const void *), const void *data);
/* Was it this signal? */
bool death_by(const struct death *death, int signal);
bool death_exit(const struct death *death, int status);
/* Did it say so?  On failure the whole text is shown as a TAP comment. */
bool death_said(const struct death *death, const char *words);
void death_show(const struct death *death);

/*
 * Expectations of a TEST(): signal, and report lines up to a NULL.  The text is
 * shown if one is not met.
 */
#define DEATH_EXPECT(death, signal, ...) do {					\
	static const char *const death_words[] = { __VA_ARGS__, NULL };		\
	if (!death_by(death, signal))						\
		death_show(death);						\
	EXPECT_TRUE(death_by(death, signal));					\
	for (unsigned int i_ = 0; death_words[i_]; i_++) {			\
		if (!death_said(death, death_words[i_])) {			\
			TH_LOG("missing: %s", death_words[i_]);			\
			death_show(death);					\
		}								\
		EXPECT_TRUE(death_said(death, death_words[i_]));		\
	}									\
} while (0)

/* It must have lived, and said so. */
#define DEATH_LIVED(death, words) do {						\
	bool lived_ = death_exit(death, 0) && death_said(death, words);		\
										\
	if (!lived_)								\
		death_show(death);						\
	EXPECT_TRUE(lived_);							\
} while (0)

/* ---- for bodies: whatever fails here ends the child with status SCENE_FAILED ---- */

#define SCENE_FAILED	97

struct scene {
	struct ffg_context *context;
	struct ffg_domain *domain;
};

/* Opens a context, and the foreign library lib@NAME.so unless it is NULL. */
struct scene scene_open(const char *name, const struct ffg_options *options);
/* A prepared call without grants. */
struct ffg_call *scene_call(const struct scene *scene, const char *symbol, const char *signature);
/* Its entry, with one object granted whole, or none if @object is NULL. */
void *scene_entry(const struct scene *scene, const char *symbol, const char *signature,
		  void *object, size_t length, unsigned int rights);
void *scene_object(const struct scene *scene, size_t length, unsigned int flags);
/* Path of lib@NAME.so, in a buffer of its own. */
const char *scene_path(const char *name);
/* Says why on stderr and ends the child. */
void scene_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define SCENE_CHECK(condition) do {						\
	if (!(condition))							\
		scene_fail("%s:%d: %s (%s)", __FILE__, __LINE__, #condition,	\
			   ffg_error_message());				\
} while (0)

#endif /* DEATH_H */
