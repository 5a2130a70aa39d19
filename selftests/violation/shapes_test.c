// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shapes that memory bugs come in, one test each: a legal use of a libshapes function, then
 * the same function with the bug.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

static struct death death;

#define BOUNDS		"ffiguard: violation: write out of the object's bounds\n"
#define NOT_GRANTED	"ffiguard: violation: write of an object that the call was not granted\n"

/* Runs @body with 0, which must end well, and with 1, which must die and say @words. */
static void control_and_attack(struct __test_metadata *_metadata, void (*body)(const void *),
			       const char *words)
{
	int attack = 0;

	death_run(&death, body, &attack);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "survived\n"));
	EXPECT_FALSE(death_said(&death, "ffiguard: violation"));

	attack = 1;
	death_run(&death, body, &attack);
	DEATH_EXPECT(&death, SIGSEGV, "(libshapes.so+0x");
	if (!death_said(&death, words))
		death_show(&death);
	EXPECT_TRUE(death_said(&death, words));
	EXPECT_FALSE(death_said(&death, "survived\n"));
}

static void survived(void)
{
	fprintf(stderr, "survived\n");
}

/* ---- one access at an offset ---- */

struct access {
	const char *symbol;
	size_t length;
	unsigned int flags;
	long offset;
};

static void body_access(const void *data)
{
	const struct access *a = data;
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, a->length, a->flags);
	void (*write)(unsigned char *, long, int) =
		scene_entry(&s, a->symbol, "v(pii)", object, a->length, FFG_INOUT);

	write(object, a->offset, 0x5a);
	SCENE_CHECK(object[a->offset] == 0x5a);
	survived();
}

static void access_shape(struct __test_metadata *_metadata, const char *symbol, unsigned int flags,
			 long legal, long wrong)
{
	struct access a = { symbol, 64, flags, legal };

	death_run(&death, body_access, &a);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "survived\n"));

	a.offset = wrong;
	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV, BOUNDS, "(libshapes.so+0x");
}

TEST(four_bytes_across_the_end)
{
	access_shape(_metadata, "shape_write4", FFG_OBJECT_END, 60, 62);
}

TEST(vector_across_the_end)
{
	access_shape(_metadata, "shape_write16", FFG_OBJECT_END, 48, 56);
	access_shape(_metadata, "shape_write32", FFG_OBJECT_END, 32, 33);
}

TEST(underflow)
{
	access_shape(_metadata, "shape_write1", FFG_OBJECT_START, 0, -1);
	access_shape(_metadata, "shape_write32", FFG_OBJECT_START, 0, -32);
	access_shape(_metadata, "shape_write4", FFG_OBJECT_START, 0, -2);
}

/* A terminator one past the last character. */
TEST(terminator_past_the_end)
{
	access_shape(_metadata, "shape_write1", FFG_OBJECT_END, 63, 64);
}

/* ---- far ---- */

static void body_fill(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 3 * 4096, FFG_OBJECT_END);
	int (*fill)(unsigned char *, int, size_t) =
		scene_entry(&s, "shape_fill", "i(pii)", object, 3 * 4096, FFG_OUT);

	SCENE_CHECK(fill(object, 0x11, *(const int *)data ? 1UL << 32 : 3 * 4096) == 0x11);
	SCENE_CHECK(object[3 * 4096 - 1] == 0x11);
	survived();
}

/* A negative length that became a large one. */
TEST(four_gigabytes)
{
	control_and_attack(_metadata, body_fill, BOUNDS);
}

#define NEIGHBOURS 12

/* Neighbours that the same call was granted, so that a lucky jump would be a legal access. */
static void body_jump(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	struct ffg_call *call = scene_call(&s, "shape_write1", "v(pii)");
	void (*write)(unsigned char *, long, int);
	unsigned char *object[NEIGHBOURS];

	for (unsigned int i = 0; i < NEIGHBOURS; i++) {
		object[i] = scene_object(&s, 256, FFG_OBJECT_END);
		SCENE_CHECK(ffg_call_grant(call, object[i], 256, FFG_INOUT) == 0);
	}
	write = ffg_call_entry(call);
	for (unsigned int i = 0; i < NEIGHBOURS; i++)
		write(object[i], 255, 1);
	survived();
	write(object[NEIGHBOURS / 2], *(const long *)data, 1);
	fprintf(stderr, "jumped\n");
}

TEST(jump_over_a_page)
{
	static const long distances[] = {
		255 + 1, 255 + 4096, 255 + 8192, 255 + 16384, 255 + 32768, 255 + 61440,
		-4096, -8192, -16384, -32768, -61440,
	};
	long nowhere = 0;

	death_run(&death, body_jump, &nowhere);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "survived\njumped\n"));
	for (unsigned int i = 0; i < sizeof(distances) / sizeof(distances[0]); i++) {
		death_run(&death, body_jump, &distances[i]);
		DEATH_EXPECT(&death, SIGSEGV, "survived\nffiguard: violation: write ");
		EXPECT_FALSE(death_said(&death, "jumped\n"));
	}
}

/* ---- wrong ideas about an object ---- */

static void body_flag(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	size_t length = *(const int *)data ? 2 : 4;
	void *object = scene_object(&s, length, FFG_OBJECT_END);
	void (*set)(void *) = scene_entry(&s, "shape_set_flag", "v(p)", object, length, FFG_INOUT);

	set(object);
	survived();
}

TEST(two_bytes_written_as_four)
{
	control_and_attack(_metadata, body_flag, BOUNDS);
}

static void body_const(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	char *object = scene_object(&s, 8, FFG_OBJECT_END);
	int (*write)(const char *) = scene_entry(&s, "shape_write_const", "i(p)", object, 8,
						 *(const int *)data ? FFG_IN : FFG_INOUT);

	strcpy(object, "Text");
	SCENE_CHECK(write(object) == 't' && object[0] == 't');
	survived();
}

TEST(write_through_const)
{
	control_and_attack(_metadata, body_const,
			   "ffiguard: violation: write of an object that was granted read-only\n");
}

static void body_string(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	char *object = scene_object(&s, 16, FFG_OBJECT_END);
	size_t (*length)(const char *) =
		scene_entry(&s, "shape_length", "i(p)", object, 16, FFG_IN);

	memset(object, 'x', 16);
	if (!*(const int *)data)
		object[15] = '\0';
	SCENE_CHECK(length(object) == 15);
	survived();
}

TEST(string_without_terminator)
{
	control_and_attack(_metadata, body_string,
			   "ffiguard: violation: read out of the object's bounds\n");
}

static void body_compare(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *a = scene_object(&s, 16, FFG_OBJECT_END);
	unsigned char *b = scene_object(&s, 16, FFG_OBJECT_END);
	struct ffg_call *call = scene_call(&s, "shape_compare", "i(ppi)");
	int (*compare)(const void *, const void *, size_t);

	SCENE_CHECK(ffg_call_grant(call, a, 16, FFG_IN) == 0);
	if (!*(const int *)data)
		SCENE_CHECK(ffg_call_grant(call, b, 16, FFG_IN) == 0);
	compare = ffg_call_entry(call);
	SCENE_CHECK(compare(a, b, 16) == 0);
	survived();
}

TEST(reads_another_object)
{
	control_and_attack(_metadata, body_compare,
			   "ffiguard: violation: read of an object that the call was not granted\n");
}

/* ---- temporal ---- */

static void body_kept(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *a = scene_object(&s, 64, FFG_OBJECT_END);
	unsigned char *b = scene_object(&s, 64, FFG_OBJECT_END);
	void (*keep)(unsigned char *) = scene_entry(&s, "shape_keep", "v(p)", b, 64, FFG_INOUT);
	void (*write)(long, int) = scene_entry(&s, "shape_write_kept", "v(ii)",
					       *(const int *)data ? a : b, 64, FFG_INOUT);

	keep(b);
	write(5, 0x55);
	SCENE_CHECK(b[5] == 0x55);
	survived();
}

/* A pointer to one object is kept, and used while another one is granted. */
TEST(kept_pointer)
{
	control_and_attack(_metadata, body_kept, NOT_GRANTED);
}

struct spinner {
	struct scene scene;
	unsigned char *object;
	struct ffg_call *call;
	volatile int stop;
};

static void *spin_main(void *data)
{
	struct spinner *p = data;
	unsigned long (*spin)(unsigned char *, volatile int *) = ffg_call_entry(p->call);

	SCENE_CHECK(ffg_thread_attach(p->scene.context) == 0);
	SCENE_CHECK(spin(p->object, &p->stop) > 0);
	SCENE_CHECK(ffg_call_error(p->call) == 0);
	return NULL;
}

static void body_spin(const void *data)
{
	static struct spinner p;
	pthread_t thread;

	p.scene = scene_open("shapes", NULL);
	p.object = scene_object(&p.scene, 64, FFG_OBJECT_END);
	p.call = scene_call(&p.scene, "shape_spin", "i(pp)");
	SCENE_CHECK(ffg_call_grant(p.call, p.object, 64, FFG_INOUT) == 0);
	SCENE_CHECK(ffg_call_entry(p.call));
	p.object[0] = 0;
	SCENE_CHECK(pthread_create(&thread, NULL, spin_main, &p) == 0);
	while (!((volatile unsigned char *)p.object)[0])
		usleep(100);
	if (*(const int *)data) {
		SCENE_CHECK(ffg_call_revoke(p.call) == 0);
		/* From here on not one more write may get through. */
		p.object[0] = 0xee;
		usleep(200000);
		fprintf(stderr, p.object[0] == 0xee ? "quiet\n" : "late write\n");
		/* The writer dies at its next write; on a busy host that is not soon. */
		sleep(10);
	}
	p.stop = 1;
	SCENE_CHECK(pthread_join(thread, NULL) == 0);
	survived();
}

/* The writer is in the middle of a loop when its grant ends. */
TEST(second_thread_writes_after_revoke)
{
	control_and_attack(_metadata, body_spin,
			   "ffiguard: violation: write of an object whose grant was revoked\n");
	EXPECT_FALSE(death_said(&death, "late write\n"));
}

/* ---- what is not stopped at once, and said so ---- */

static void body_slack(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_START);
	unsigned int (*sum)(const unsigned char *, size_t) =
		scene_entry(&s, "shape_sum", "i(pi)", object, 64, FFG_IN);

	/* Poison, not somebody's bytes: neither zeroes nor what the object holds. */
	SCENE_CHECK(sum(object, 64) == 0);
	SCENE_CHECK(sum(object, 64 + *(const int *)data) != 0);
	survived();
}

TEST(read_of_own_slack)
{
	int length = 256;

	death_run(&death, body_slack, &length);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "survived\n"));
}

TEST_HARNESS_MAIN
