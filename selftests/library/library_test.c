// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every function of the library with what it must refuse: the documented error, a message, and
 * nothing changed.
 */
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

/* ---- opening ---- */

/* Opens with @options; the error, and that it has a sentence. */
static int open_error(struct ffg_options options)
{
	struct ffg_context *context;

	options.size = sizeof(options);
	context = ffg_context_open(&options);
	if (context) {
		ffg_context_close(context);
		return FFG_OK;
	}
	return *ffg_error_message() ? ffg_error() : -1;
}

static int free_keys(void)
{
	int key[16], count = 0;

	while (count < 16 && (key[count] = pkey_alloc(0, 0)) > 0)
		count++;
	for (int n = 0; n < count; n++)
		pkey_free(key[n]);
	return count;
}

TEST(options)
{
	struct ffg_options options = { .size = 4 };
	int keys = free_keys();

	EXPECT_EQ(NULL, ffg_context_open(&options));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(FFG_E_INVAL, open_error((struct ffg_options){ .flags = 1 << 2 }));
	EXPECT_EQ(FFG_E_INVAL, open_error((struct ffg_options){ .slots = 15 }));
	EXPECT_EQ(FFG_E_INVAL, open_error((struct ffg_options){ .keys_left = 16 }));
	EXPECT_EQ(FFG_E_INVAL, open_error((struct ffg_options){ .stack_size = 100 }));
	EXPECT_EQ(FFG_E_INVAL, open_error((struct ffg_options){ .arena_size = 12345 }));
	EXPECT_EQ(FFG_E_NO_KEYS, open_error((struct ffg_options){ .keys_left = 14 }));
	EXPECT_EQ(FFG_E_NO_KEYS, open_error((struct ffg_options){ .slots = 14, .keys_left = 1 }));
	EXPECT_EQ(FFG_OK, open_error((struct ffg_options){ .slots = 1 }));
	EXPECT_EQ(FFG_OK, open_error((struct ffg_options){ .keys_left = keys - 2 }));
	EXPECT_EQ(FFG_OK, open_error((struct ffg_options){ .stack_size = 65536 }));
	/* Every key came back, also from the failures. */
	EXPECT_EQ(keys, free_keys());
}

TEST(slots_and_keys_left)
{
	struct ffg_options options = { .size = sizeof(options), .slots = 3, .keys_left = 2 };
	int keys = free_keys();
	struct ffg_context *context = ffg_context_open(&options);

	ASSERT_NE(NULL, context);
	EXPECT_EQ(3, ffg_context_slots(context));
	EXPECT_EQ(keys - 4, free_keys());
	EXPECT_EQ(0, ffg_context_close(context));
	options.slots = 0;
	context = ffg_context_open(&options);
	ASSERT_NE(NULL, context);
	EXPECT_EQ(keys - 3, (int)ffg_context_slots(context));
	EXPECT_EQ(2, free_keys());
	EXPECT_EQ(0, ffg_context_close(context));
}

TEST(keys_exhausted)
{
	struct ffg_context *context;
	int last = 0, key;

	while ((key = pkey_alloc(0, 0)) > 0)
		last = key;
	EXPECT_EQ(FFG_E_NO_KEYS, open_error((struct ffg_options){ .flags = 0 }));
	pkey_free(last);
	EXPECT_EQ(FFG_E_NO_KEYS, open_error((struct ffg_options){ .flags = 0 }));
	pkey_free(last - 1);
	context = ffg_context_open(NULL);
	ASSERT_NE(NULL, context);
	EXPECT_EQ(1, ffg_context_slots(context));
}

TEST(one_context)
{
	struct ffg_context *context = ffg_context_open(NULL);

	ASSERT_NE(NULL, context);
	EXPECT_EQ(NULL, ffg_context_open(NULL));
	EXPECT_EQ(FFG_E_ACTIVE, ffg_error());
	EXPECT_EQ(0, ffg_context_close(context));
	for (int n = 0; n < 50; n++) {
		context = ffg_context_open(NULL);
		ASSERT_NE(NULL, context);
		ASSERT_NE(NULL, ffg_object_alloc(context, 100, 0));
		ASSERT_EQ(0, ffg_context_close(context));
	}
	EXPECT_EQ(0, ffg_context_close(NULL));
}

/* An empty /dev of this process alone. */
TEST(no_device)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/dev", "tmpfs", 0, NULL))
		SKIP(return, "no mount namespace: not root?");
	EXPECT_EQ(FFG_E_NO_DEVICE, open_error((struct ffg_options){ .flags = 0 }));
	EXPECT_NE(NULL, strstr(ffg_error_message(), "modprobe"));
}

TEST(no_permission)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", "/dev", "tmpfs", 0, NULL))
		SKIP(return, "no mount namespace: not root?");
	fclose(fopen("/dev/ffiguard", "w"));
	ASSERT_EQ(0, chmod("/dev/ffiguard", 0600));
	ASSERT_EQ(0, seteuid(65534));
	EXPECT_EQ(FFG_E_PERM, open_error((struct ffg_options){ .flags = 0 }));
}

/* ---- what needs a context ---- */

FIXTURE(library) {
	struct scene scene;
	struct ffg_context *context;
};

FIXTURE_SETUP(library)
{
	self->scene = scene_open("forms", NULL);
	self->context = self->scene.context;
}

FIXTURE_TEARDOWN(library)
{
	/* The process ends. */
}

TEST_F(library, null)
{
	struct ffg_object_query query;
	struct ffg_stats stats;
	int x;

	EXPECT_EQ(FFG_E_INVAL, ffg_context_stats(NULL, &stats));
	EXPECT_EQ(FFG_E_INVAL, ffg_context_stats(self->context, NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_context_limits(self->context, NULL));
	EXPECT_EQ(0, ffg_context_slots(NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_thread_attach(NULL));
	EXPECT_EQ(NULL, ffg_object_alloc(NULL, 1, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(FFG_E_INVAL, ffg_object_query(self->context, &x, NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_object_query(NULL, &x, &query));
	EXPECT_EQ(0, ffg_object_free(self->context, NULL));
	EXPECT_EQ(NULL, ffg_call_new(NULL, "form_int", NULL));
	EXPECT_EQ(NULL, ffg_call_new(self->scene.domain, NULL, NULL));
	EXPECT_EQ(NULL, ffg_call_new_address(self->scene.domain, NULL, NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_call_entry(NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_call_error(NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_call_grant(NULL, &x, 1, FFG_IN));
	EXPECT_EQ(FFG_E_INVAL, ffg_call_revoke(NULL));
	EXPECT_EQ(FFG_E_INVAL, ffg_call_reset(NULL));
	EXPECT_EQ(0, ffg_call_free(NULL));
	EXPECT_EQ(0, ffg_domain_close(NULL));
}

TEST_F(library, error_texts)
{
	for (int code = 0; code < FFG_E_COUNT_; code++) {
		EXPECT_NE(NULL, ffg_strerror(code));
		EXPECT_NE(0, strcmp(ffg_strerror(code), ffg_strerror(-1)));
		for (int other = 0; other < code; other++)
			EXPECT_NE(0, strcmp(ffg_strerror(code), ffg_strerror(other)));
	}
	EXPECT_STREQ(ffg_strerror(-1), ffg_strerror(FFG_E_COUNT_));
	EXPECT_STREQ("0.1.0", ffg_version());
}

TEST_F(library, busy)
{
	struct ffg_call *call = scene_call(&self->scene, "form_int", "i(iii)");

	EXPECT_EQ(FFG_E_BUSY, ffg_context_close(self->context));
	EXPECT_EQ(FFG_E_BUSY, ffg_domain_close(self->scene.domain));
	EXPECT_EQ(0, ffg_call_free(call));
	EXPECT_EQ(FFG_E_BUSY, ffg_context_close(self->context));
	EXPECT_EQ(0, ffg_domain_close(self->scene.domain));
	EXPECT_EQ(0, ffg_context_close(self->context));
}

TEST_F(library, objects)
{
	unsigned char *object = ffg_object_alloc(self->context, 100, 0), inside;
	void *batch[3] = { object, &inside, NULL };
	struct ffg_object_desc two[2] = { { .length = 10 }, { .length = 0 } };
	struct ffg_damage damage;

	ASSERT_NE(NULL, object);
	EXPECT_EQ(NULL, ffg_object_alloc(self->context, 0, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_object_alloc(self->context, FFG_OBJECT_MAX + 1, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_object_alloc(self->context, 10, 0x80));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_object_alloc_aligned(self->context, 10, 3, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_object_alloc_aligned(self->context, 10, 8192, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(NULL, ffg_object_alloc_aligned(self->context, 10, (1UL << 32) + 16, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	EXPECT_EQ(FFG_E_INVAL, ffg_object_alloc_batch(self->context, two, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_object_alloc_batch(self->context, two, FFG_BATCH_MAX + 1));
	EXPECT_EQ(FFG_E_INVAL, ffg_object_alloc_batch(self->context, two, 2));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_object_free(self->context, object + 1));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_object_free(self->context, &inside));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_object_free_batch(self->context, batch, 3));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_object_check(self->context, object + 5, &damage));
	object[99] = 1;			/* alive after all of that */
	batch[1] = object;
	EXPECT_NE(0, ffg_object_free_batch(self->context, batch, 2));
	EXPECT_EQ(0, ffg_object_check(self->context, object, &damage));
	EXPECT_EQ(0, ffg_object_free(self->context, object));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_object_free(self->context, object));
	EXPECT_NE(NULL, strstr(ffg_error_message(), "freed"));
}

TEST_F(library, damage)
{
	unsigned char *object = ffg_object_alloc(self->context, 100, FFG_OBJECT_START);
	struct ffg_damage damage = { 0 };

	ASSERT_NE(NULL, object);
	EXPECT_EQ(0, ffg_object_check(self->context, object, &damage));
	object[103] ^= 0xff;
	object[110] ^= 0xff;
	EXPECT_EQ(FFG_E_DAMAGED, ffg_object_check(self->context, object, &damage));
	EXPECT_EQ(103, damage.offset);
	EXPECT_EQ(8, damage.length);
	EXPECT_EQ(FFG_E_DAMAGED, ffg_object_check(self->context, object, NULL));
	EXPECT_EQ(FFG_E_DAMAGED, ffg_object_free(self->context, object));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_object_free(self->context, object));
}

TEST_F(library, grants)
{
	long value = 7;
	struct ffg_call *call = scene_call(&self->scene, "form_poke", "i(pi)");
	unsigned char *object = scene_object(&self->scene, 100, 0), *many[FFG_GRANTS_MAX + 1];
	int x;

	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_call_grant(call, &x, 4, FFG_IN));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_call_grant(call, object + 100, 1, FFG_IN));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_call_grant(call, object - 1, 1, FFG_IN));
	EXPECT_EQ(FFG_E_RANGE, ffg_call_grant(call, object, 101, FFG_IN));
	EXPECT_EQ(FFG_E_RANGE, ffg_call_grant(call, object + 99, 2, FFG_IN));
	EXPECT_EQ(FFG_E_RANGE, ffg_call_grant(call, object, SIZE_MAX, FFG_IN));
	EXPECT_EQ(FFG_E_INVAL, ffg_call_grant(call, object, 0, FFG_IN));
	EXPECT_EQ(FFG_E_INVAL, ffg_call_grant(call, object, 1, 0));
	EXPECT_EQ(FFG_E_INVAL, ffg_call_grant(call, object, 1, FFG_RIGHT_WRITE));
	EXPECT_EQ(FFG_E_INVAL, ffg_call_grant(call, object, 1, 8 | FFG_IN));
	EXPECT_EQ(0, ffg_call_grant(call, object, 50, FFG_IN));
	EXPECT_EQ(FFG_E_DUPLICATE, ffg_call_grant(call, object + 50, 50, FFG_INOUT));
	for (int n = 1; n <= FFG_GRANTS_MAX; n++) {
		many[n] = scene_object(&self->scene, 10, 0);
		EXPECT_EQ(n == FFG_GRANTS_MAX ? FFG_E_LIMIT : 0,
			  ffg_call_grant(call, many[n], 10, FFG_INOUT));
	}
	ASSERT_NE(NULL, ffg_call_entry(call));
	EXPECT_EQ(FFG_E_BUSY, ffg_object_free(self->context, object));
	EXPECT_EQ(0, ffg_call_revoke(call));
	/* There is no entry that could be called. */
	EXPECT_EQ(FFG_E_REVOKED, FFG_INVOKE(call, labs, &value, 1L));
	EXPECT_EQ(7, value);
	EXPECT_EQ(FFG_E_REVOKED, ffg_call_grant(call, many[FFG_GRANTS_MAX], 10, FFG_IN));
	EXPECT_EQ(0, ffg_object_free(self->context, object));
	EXPECT_EQ(0, ffg_call_reset(call));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_call_grant(call, object, 10, FFG_IN));
	EXPECT_EQ(0, ffg_call_free(call));
}

/* An object that goes between the grant and the entry. */
TEST_F(library, freed_before_the_entry)
{
	struct ffg_call *call = scene_call(&self->scene, "form_poke", "i(pi)");
	void *object = scene_object(&self->scene, 100, 0);

	ASSERT_EQ(0, ffg_call_grant(call, object, 100, FFG_IN));
	ASSERT_EQ(0, ffg_object_free(self->context, object));
	EXPECT_EQ(NULL, ffg_call_entry(call));
	EXPECT_EQ(FFG_E_NOT_OBJECT, ffg_error());
	EXPECT_EQ(0, ffg_call_reset(call));
	EXPECT_NE(NULL, ffg_call_entry(call));
}

/* Grants that come later count from the next ffg_call_entry() on. */
TEST_F(library, more_grants)
{
	struct ffg_call *call = scene_call(&self->scene, "form_poke", "i(pi)");
	unsigned char *one = scene_object(&self->scene, 10, 0);
	unsigned char *two = scene_object(&self->scene, 10, 0);
	unsigned char (*poke)(volatile unsigned char *, int);
	struct ffg_stats before, after;

	ASSERT_EQ(0, ffg_call_grant(call, one, 10, FFG_INOUT));
	poke = (unsigned char (*)(volatile unsigned char *, int))ffg_call_entry(call);
	EXPECT_EQ(1, poke(one, 1));
	ASSERT_EQ(0, ffg_context_stats(self->context, &before));
	ASSERT_EQ(0, ffg_call_grant(call, two, 10, FFG_INOUT));
	EXPECT_TRUE(poke == ffg_call_entry(call));
	EXPECT_EQ(2, poke(two, 2));
	EXPECT_EQ(3, poke(one, 3));
	ASSERT_EQ(0, ffg_context_stats(self->context, &after));
	EXPECT_EQ(before.records, after.records);
}

TEST_F(library, damage_by_a_call)
{
	struct ffg_call *call = scene_call(&self->scene, "form_poke", "i(pi)");
	unsigned char *object = scene_object(&self->scene, 10, FFG_OBJECT_START);
	unsigned char (*poke)(volatile unsigned char *, int);

	ASSERT_EQ(0, ffg_call_grant(call, object, 10, FFG_INOUT));
	poke = (unsigned char (*)(volatile unsigned char *, int))ffg_call_entry(call);
	poke(object + 20, object[20] ^ 0xff);
	EXPECT_EQ(FFG_E_DAMAGED, ffg_call_revoke(call));
	EXPECT_EQ(0, ffg_call_reset(call));
}

TEST_F(library, call_limit)
{
	static struct ffg_call *calls[4097];
	struct ffg_domain *domain = self->scene.domain;
	void *function = ffg_domain_symbol(domain, "form_nothing");
	int count = 0;

	while (count < 4097 && (calls[count] = ffg_call_new_address(domain, function, "v()")))
		count++;
	EXPECT_EQ(FFG_E_LIMIT, ffg_error());
	EXPECT_EQ(4095, count);		/* the library has one of its own */
	for (int n = 0; n < count; n++)
		EXPECT_EQ(0, ffg_call_free(calls[n]));
	EXPECT_NE(NULL, ffg_call_new_address(self->scene.domain, function, "v()"));
}

/* Somebody frees a key of ours: told, and nothing of what was closed opens. */
TEST_F(library, key_lost)
{
	struct ffg_call *call = scene_call(&self->scene, "form_poke", "i(pi)");
	void *object = scene_object(&self->scene, 100, 0);

	for (int key = 1; key < 16; key++)
		pkey_free(key);
	ASSERT_EQ(0, ffg_call_grant(call, object, 100, FFG_IN));
	EXPECT_TRUE(!ffg_call_entry(call) ? ffg_error() == FFG_E_KEY_LOST :
		    (((void (*)(void *, int))ffg_call_entry(call))(object, -1),
		     ffg_call_error(call) == FFG_E_KEY_LOST));
}

TEST_F(library, signatures)
{
	static const char *const good[] = {
		"v()", "i(i)", "v(i, p, d)", "m1(i)", "m65536(i)", "v(s1)", "v(s32768)",
		"v(s48:16i)",
		"v(s64:64s32:32)", "c(DD)", "D(D...)", "z(z)", "y(y)", "q(q)", "r(fd)", "v(...)",
		"v( )",
	};
	static const char *const bad[] = {
		"", "v", "v(", "(i)", "x()", "v(x)", "v(i", "v(i)i", "v(i) ", "vv()", "m(i)",
		"m0()",
		"m65537()", "m99999999999()", "v(s)", "v(s0)", "v(s32769)", "v(s8:3)",
		"v(s8:)",
		"v(..)", "v(...i)", "v(s32768s32768)", "v(v)", "v(m8)", "v(r)", "i(i;i)",
	};
	void *function = ffg_domain_symbol(self->scene.domain, "form_nothing");
	struct ffg_call *call;

	for (unsigned int n = 0; n < sizeof(good) / sizeof(good[0]); n++) {
		call = ffg_call_new_address(self->scene.domain, function, good[n]);
		EXPECT_NE(NULL, call) {
			TH_LOG("%s: %s", good[n], ffg_error_message());
		}
		EXPECT_EQ(0, ffg_call_free(call));
	}
	for (unsigned int n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		call = ffg_call_new_address(self->scene.domain, function, bad[n]);
		EXPECT_EQ(NULL, call) {
			TH_LOG("taken: %s", bad[n]);
		}
		EXPECT_EQ(FFG_E_SIGNATURE, ffg_error());
		EXPECT_NE(NULL, strstr(ffg_error_message(), "character"));
	}
}

TEST_F(library, symbols)
{
	EXPECT_EQ(NULL, ffg_call_new(self->scene.domain, "form_that_does_not_exist", NULL));
	EXPECT_EQ(FFG_E_NO_SYMBOL, ffg_error());
	EXPECT_EQ(NULL, ffg_domain_open(self->context, "libdoesnotexist.so.9", 0));
	EXPECT_EQ(FFG_E_NO_LIBRARY, ffg_error());
	EXPECT_EQ(NULL, ffg_domain_open(self->context, "libforms.so", 0x100));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
}

TEST_HARNESS_MAIN
