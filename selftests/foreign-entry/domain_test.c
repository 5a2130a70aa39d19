// SPDX-License-Identifier: GPL-2.0-only
/* Domains: opening, looking up and closing foreign libraries, and every way to do it wrong. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

FIXTURE(domain)
{
	struct ffg_context *context;
};

FIXTURE_SETUP(domain)
{
	self->context = scene_open(NULL, NULL).context;
}

/* Nothing is left behind that would keep the context open. */
FIXTURE_TEARDOWN(domain)
{
	EXPECT_EQ(0, ffg_context_close(self->context));
}

/* Opening is slow in a debug kernel with the files of the host. */
TEST_F_TIMEOUT(domain, open_and_close, 120)
{
	struct ffg_domain *domain;

	/* More often than there are protection keys. */
	for (int i = 0; i < 60; i++) {
		domain = ffg_domain_open(self->context, scene_path("entry"), 0);
		ASSERT_NE(NULL, domain);
		ASSERT_EQ(0, ffg_domain_close(domain));
	}
	/* Closed means unloaded. */
	EXPECT_EQ(NULL, dlopen(scene_path("entry"), RTLD_NOW | RTLD_NOLOAD));
	EXPECT_EQ(0, ffg_domain_close(NULL));
}

TEST_F(domain, wrong_arguments)
{
	EXPECT_EQ(NULL, ffg_domain_open(NULL, scene_path("shapes"), 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_domain_open(self->context, NULL, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_domain_open(self->context, "", 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_domain_open(self->context, scene_path("shapes"), 0x100));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_domain_symbol(NULL, "shape_sum"));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
}

/* The dynamic linker's own words are passed on. */
TEST_F(domain, no_such_library)
{
	EXPECT_EQ(NULL, ffg_domain_open(self->context, "libnowhere.so.9", 0));
	EXPECT_EQ(FFG_E_NO_LIBRARY, ffg_error());
	EXPECT_NE(NULL, strstr(ffg_error_message(), "libnowhere.so.9"));
	EXPECT_NE(NULL, strstr(ffg_error_message(), "No such file or directory"));
	EXPECT_EQ(NULL, ffg_domain_open(self->context, "/etc/passwd", 0));
	EXPECT_EQ(FFG_E_NO_LIBRARY, ffg_error());
	EXPECT_NE(NULL, strstr(ffg_error_message(), "invalid ELF header"));
}

TEST_F(domain, symbols)
{
	struct ffg_domain *domain = ffg_domain_open(self->context, scene_path("entry"), 0);
	int *reached;
	struct ffg_call *call;

	ASSERT_NE(NULL, domain);
	EXPECT_EQ(NULL, ffg_domain_symbol(domain, NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_domain_symbol(domain, "entry_nowhere"));
	EXPECT_EQ(FFG_E_NO_SYMBOL, ffg_error());
	EXPECT_NE(NULL, strstr(ffg_error_message(), "entry_nowhere"));
	EXPECT_EQ(NULL, ffg_call_new(domain, "entry_nowhere", "v()"));
	EXPECT_EQ(FFG_E_NO_SYMBOL, ffg_error());

	/* Data, and what code does with it. */
	reached = ffg_domain_symbol(domain, "entry_reached");
	ASSERT_NE(NULL, reached);
	EXPECT_EQ(0, *reached);
	call = ffg_call_new(domain, "entry_call", "v()");
	ASSERT_NE(NULL, call);
	((void (*)(void))ffg_call_entry(call))();
	EXPECT_EQ(0, ffg_call_error(call));
	EXPECT_EQ(1, *reached);

	/* Not for everybody: the library is open for its domain alone. */
	EXPECT_EQ(NULL, dlsym(RTLD_DEFAULT, "entry_call"));

	EXPECT_EQ(FFG_E_BUSY, ffg_domain_close(domain));
	EXPECT_EQ(FFG_E_BUSY, ffg_context_close(self->context));
	((void (*)(void))ffg_call_entry(call))();
	EXPECT_EQ(2, *reached);
	EXPECT_EQ(0, ffg_call_free(call));
	EXPECT_EQ(0, ffg_domain_close(domain));
}

/* Names may lie in guarded objects, which the dynamic linker cannot read behind the gate. */
TEST_F(domain, names_in_objects)
{
	char *library = ffg_object_alloc(self->context, 4096, 0);
	char *symbol = ffg_object_alloc(self->context, 64, 0);
	struct ffg_domain *domain;

	ASSERT_NE(NULL, library);
	ASSERT_NE(NULL, symbol);
	strcpy(library, scene_path("shapes"));
	strcpy(symbol, "shape_sum");
	domain = ffg_domain_open(self->context, library, 0);
	ASSERT_NE(NULL, domain);
	EXPECT_NE(NULL, ffg_domain_symbol(domain, symbol));
	EXPECT_EQ(0, ffg_domain_close(domain));
	EXPECT_EQ(0, ffg_object_free(self->context, library));
	EXPECT_EQ(0, ffg_object_free(self->context, symbol));
}

TEST_F(domain, twice)
{
	struct ffg_domain *first = ffg_domain_open(self->context, scene_path("shapes"), 0);
	struct ffg_domain *second = ffg_domain_open(self->context, scene_path("shapes"), 0);

	ASSERT_NE(NULL, first);
	ASSERT_NE(NULL, second);
	EXPECT_NE(first, second);
	EXPECT_EQ(ffg_domain_symbol(first, "shape_sum"), ffg_domain_symbol(second, "shape_sum"));
	EXPECT_EQ(0, ffg_domain_close(first));
	EXPECT_NE(NULL, ffg_domain_symbol(second, "shape_sum"));
	EXPECT_EQ(0, ffg_domain_close(second));
}

/* ---- threads ---- */

struct stranger {
	struct ffg_context *context;
	struct ffg_domain *domain;
	int open, symbol, close;
};

static void *stranger_main(void *data)
{
	struct stranger *s = data;

	s->open = ffg_domain_open(s->context, scene_path("entry"), 0) ? 0 : ffg_error();
	s->symbol = ffg_domain_symbol(s->domain, "shape_sum") ? 0 : ffg_error();
	s->close = ffg_domain_close(s->domain);
	return NULL;
}

/* Foreign code would have to run, and an unattached thread has no gate. */
TEST_F(domain, unattached_thread)
{
	struct stranger s = { .context = self->context };
	pthread_t thread;

	s.domain = ffg_domain_open(self->context, scene_path("shapes"), 0);
	ASSERT_NE(NULL, s.domain);
	ASSERT_EQ(0, pthread_create(&thread, NULL, stranger_main, &s));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(FFG_E_UNATTACHED, s.open);
	EXPECT_EQ(FFG_E_UNATTACHED, s.symbol);
	EXPECT_EQ(FFG_E_UNATTACHED, s.close);
	/* Nothing changed. */
	EXPECT_NE(NULL, ffg_domain_symbol(s.domain, "shape_sum"));
	EXPECT_EQ(0, ffg_domain_close(s.domain));
}

#define THREADS	4

static void *opener_main(void *data)
{
	struct ffg_context *context = data;
	static const char *const names[] = { "shapes", "entry", "process", "resolver" };
	long failed = 0;

	failed += ffg_thread_attach(context) != 0;
	for (int i = 0; i < 20; i++) {
		struct ffg_domain *domain = ffg_domain_open(context, scene_path(names[i % 4]), 0);

		failed += !domain || ffg_domain_close(domain) != 0;
	}
	failed += ffg_thread_detach(context) != 0;
	return (void *)failed;
}

TEST_F_TIMEOUT(domain, threads, 120)
{
	pthread_t thread[THREADS];
	void *failed;

	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, opener_main, self->context));
	for (int i = 0; i < THREADS; i++) {
		ASSERT_EQ(0, pthread_join(thread[i], &failed));
		EXPECT_EQ(NULL, failed);
	}
}

TEST_HARNESS_MAIN
