// SPDX-License-Identifier: GPL-2.0-only
/*
 * Accesses that are allowed one at a time: by the answer of the callback (FFG_ACTION_ALLOW), or
 * because the domain is only watched (FFG_POLICY_AUDIT).
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

typedef void (*write1_fn)(unsigned char *, long, int);
typedef int (*read1_fn)(const unsigned char *, long);
typedef int (*fill_fn)(unsigned char *, int, size_t);
typedef int (*copy_fn)(unsigned char *, const unsigned char *, size_t);

static struct death death;

/* How often the text has the words. */
static unsigned int times(const char *words)
{
	unsigned int count = 0;

	for (const char *at = death.text; (at = strstr(at, words)); at++)
		count++;
	return count;
}

static struct scene watched(void)
{
	struct scene s = scene_open(NULL, NULL);

	s.domain = ffg_domain_open(s.context, scene_path("shapes"), FFG_POLICY_AUDIT);
	SCENE_CHECK(s.domain);
	return s;
}

static void *entry(const struct scene *s, const char *symbol, const char *signature)
{
	return scene_entry(s, symbol, signature, NULL, 0, 0);
}

/* ---- audit ---- */

static void body_audit(const void *data)
{
	struct scene s = watched();
	unsigned char *object = scene_object(&s, 100, 0), *other = scene_object(&s, 100, 0);
	unsigned char *trusted = ffg_malloc(100);
	write1_fn write1 = entry(&s, "shape_write1", "v(pii)");
	read1_fn read1 = entry(&s, "shape_read1", "i(pi)");

	(void)data;
	for (int i = 0; i < 20; i++)
		write1(object, i, i + 1);
	for (int i = 0; i < 20; i++)
		SCENE_CHECK(object[i] == i + 1 && read1(object, i) == i + 1);
	write1(other, 0, 0x22);
	memset(trusted, 0x33, 100);
	SCENE_CHECK(read1(trusted, 5) == 0x33);
	write1(trusted, 6, 0x44);
	SCENE_CHECK(other[0] == 0x22 && trusted[6] == 0x44);
	fprintf(stderr, "all of it happened\n");
}

TEST(audit)
{
	death_run(&death, body_audit, NULL);
	DEATH_LIVED(&death, "all of it happened\n");
	/* Once for each place in the code and object: two of the first object, one of the other. */
	EXPECT_EQ(2, times("violation: write of an object that the call was not granted"));
	EXPECT_EQ(1, times("violation: read of an object that the call was not granted"));
	EXPECT_EQ(2, times("trusted heap"));
}

static void body_libc(const void *data)
{
	struct scene s = watched();
	unsigned char *from = scene_object(&s, 10000, 0), *to = scene_object(&s, 10000, 0);
	fill_fn fill = entry(&s, "shape_fill", "i(pii)");
	copy_fn copy = entry(&s, "shape_copy", "i(ppi)");

	(void)data;
	fill(from, 0x5a, 3000);
	copy(to, from, 3000);
	for (int i = 0; i < 3000; i++)
		SCENE_CHECK(from[i] == 0x5a && to[i] == 0x5a);
	SCENE_CHECK(!from[3000] && !to[3000]);
	fprintf(stderr, "copied\n");
}

/* Vectors, string instructions, two closed objects in one instruction. */
TEST(audit_below_libc)
{
	death_run(&death, body_libc, NULL);
	DEATH_LIVED(&death, "copied\n");
}

static volatile unsigned int handled;

static void handler(int signal)
{
	(void)signal;
	handled++;
}

static void body_storm(const void *data)
{
	struct itimerval timer = { { 0, 300 }, { 0, 300 } };
	struct scene s = watched();
	unsigned char *object = scene_object(&s, 100, 0);
	write1_fn write1 = entry(&s, "shape_write1", "v(pii)");

	(void)data;
	SCENE_CHECK(signal(SIGALRM, handler) != SIG_ERR && !setitimer(ITIMER_REAL, &timer, NULL));
	for (int i = 0; i < 2000 || handled < 20; i++) {
		write1(object, i % 100, i & 0xff);
		SCENE_CHECK(object[i % 100] == (i & 0xff));
	}
	fprintf(stderr, "stormed\n");
}

TEST(audit_in_a_storm_of_signals)
{
	death_run(&death, body_storm, NULL);
	DEATH_LIVED(&death, "stormed\n");
}

static void body_guard(const void *data)
{
	struct scene s = watched();
	unsigned char *object = scene_object(&s, 100, 0);

	((write1_fn)entry(&s, "shape_write1", "v(pii)"))(object, *(const long *)data, 1);
	fprintf(stderr, "survived\n");
}

TEST(audit_needs_memory)
{
	long offset = 100;

	death_run(&death, body_guard, &offset);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: write out of the object's bounds",
		     "it cannot be allowed");
}

static void find_lines(const struct ffg_region *region, void *data)
{
	if (region->kind == FFG_REGION_CONTROL && region->state == FFG_REGION_CLOSED)
		*(unsigned char **)data = (unsigned char *)(uintptr_t)region->address;
}

static void body_lines(const void *data)
{
	struct scene s = watched();
	unsigned char *lines = NULL;

	(void)data;
	SCENE_CHECK(!ffg_context_regions(s.context, find_lines, &lines) && lines);
	((read1_fn)entry(&s, "shape_read1", "i(pi)"))(lines, 0);
	fprintf(stderr, "survived\n");
}

TEST(audit_leaves_control_pages_closed)
{
	death_run(&death, body_lines, NULL);
	EXPECT_TRUE(death_by(&death, SIGSEGV));
	EXPECT_FALSE(death_said(&death, "survived"));
}

/* ---- asked ---- */

static unsigned char *allowed;
static unsigned int asked;

/* One object is allowed, and of that the first bytes. */
static enum ffg_action ask(const struct ffg_violation *v, void *data)
{
	(void)data;
	asked++;
	return v->object == (uintptr_t)allowed && v->offset < 4 ? FFG_ACTION_ALLOW :
								  FFG_ACTION_DIE;
}

static struct scene asking(void)
{
	struct ffg_options options = { .size = sizeof(options), .violation = ask };
	struct scene s = scene_open("shapes", &options);

	allowed = scene_object(&s, 100, 0);
	return s;
}

static void body_ask(const void *data)
{
	struct scene s = asking();
	unsigned char *other = scene_object(&s, 100, 0);
	copy_fn copy = entry(&s, "shape_copy", "i(ppi)");
	write1_fn write1 = entry(&s, "shape_write1", "v(pii)");
	int what = *(const int *)data;

	for (int i = 0; i < 4; i++)
		write1(allowed, i, i + 1);
	SCENE_CHECK(allowed[0] == 1 && allowed[3] == 4 && asked == 4);
	fprintf(stderr, "allowed\n");
	if (what == 1)
		write1(allowed, 4, 1);
	if (what == 2)
		write1(other, 0, 1);
	/* What is allowed comes first here, and the next instruction touches the other. */
	if (what == 3)
		copy(other, allowed, 1);
	fprintf(stderr, "survived, asked %u times\n", asked);
}

TEST(asked_each_time)
{
	int what = 0;

	death_run(&death, body_ask, &what);
	DEATH_LIVED(&death, "survived, asked 4 times\n");
	EXPECT_EQ(0, times("ffiguard: violation"));
}

TEST(another_answer_for_the_same_object)
{
	int what = 1;

	death_run(&death, body_ask, &what);
	DEATH_EXPECT(&death, SIGSEGV, "allowed\n", "that the call was not granted");
}

TEST(another_object)
{
	int what = 2;

	death_run(&death, body_ask, &what);
	DEATH_EXPECT(&death, SIGSEGV, "allowed\n", "that the call was not granted");
}

/* Behind the instruction all is closed again. */
TEST(next_instruction)
{
	int what = 3;

	death_run(&death, body_ask, &what);
	DEATH_EXPECT(&death, SIGSEGV, "allowed\n", "violation: write of an object that the call");
	EXPECT_FALSE(death_said(&death, "survived"));
}

static void trap(int signal)
{
	(void)signal;
	if (write(2, "its own\n", 8) != 8)
		_exit(1);
}

static void body_trap(const void *data)
{
	struct scene s = asking();
	write1_fn write1 = entry(&s, "shape_write1", "v(pii)");

	(void)data;
	SCENE_CHECK(signal(SIGTRAP, trap) == SIG_DFL);
	write1(allowed, 0, 1);
	raise(SIGTRAP);
	__asm__ volatile("int3");
	write1(allowed, 0, 2);
	SCENE_CHECK(allowed[0] == 2);
	fprintf(stderr, "end\n");
}

/* The program has handlers of its own for that signal. */
TEST(traps_of_the_program)
{
	death_run(&death, body_trap, NULL);
	DEATH_LIVED(&death, "its own\nits own\nend\n");
}

TEST_HARNESS_MAIN
