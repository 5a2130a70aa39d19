// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a violation does: the report, the callback, the way the process dies.
 *
 * Each attack comes from libshapes, which knows nothing of guards, and stands beside a control:
 * the same function making a legal access.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

typedef void (*write1_fn)(unsigned char *, long, int);
typedef int (*read1_fn)(const unsigned char *, long);
typedef void (*keep_fn)(unsigned char *);
typedef void (*write_kept_fn)(long, int);
typedef int (*fill_fn)(unsigned char *, int, size_t);
typedef unsigned long (*recurse_fn)(unsigned long);
typedef void (*rendezvous_fn)(unsigned char *, volatile int *, int);

static struct death death;

/* ---- accesses in one object ---- */

struct access {
	const char *symbol;		/* shape_write1 or shape_read1 */
	size_t length;
	unsigned int flags;
	size_t grant_offset, grant_length;	/* 0, 0: no grant */
	unsigned int rights;
	long offset;
};

static void body_access(const void *data)
{
	const struct access *a = data;
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, a->length, a->flags);
	bool writes = !strcmp(a->symbol, "shape_write1");
	struct ffg_call *call = scene_call(&s, a->symbol, writes ? "v(pii)" : "i(pi)");

	object[0] = 0x41;
	if (a->grant_length)
		SCENE_CHECK(ffg_call_grant(call, object + a->grant_offset, a->grant_length,
					   a->rights) == 0);
	if (writes)
		((write1_fn)ffg_call_entry(call))(object, a->offset, 0x5a);
	else
		fprintf(stderr, "read %#x\n", ((read1_fn)ffg_call_entry(call))(object, a->offset));
	SCENE_CHECK(ffg_call_error(call) == 0);
	if (writes)
		fprintf(stderr, "wrote %#x\n", object[a->offset]);
}

TEST(write_past_end)
{
	struct access a = { "shape_write1", 64, FFG_OBJECT_END, 0, 64, FFG_INOUT, 63 };

	death_run(&death, body_access, &a);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "wrote 0x5a"));

	a.offset = 64;
	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV,
		     "ffiguard: violation: write out of the object's bounds\n",
		     ", the first byte past the end of the object (guard page)\n",
		     ", 64 bytes\n",
		     "  granted: bytes 0 to 63, read-write\n",
		     "  call:    shape_write1, thread ",
		     "  at:      0x",
		     " shape_write1+0x",
		     " (libshapes.so+0x",
		     "  advice:  look for a wrong length or index");
}

TEST(write_far_past_end)
{
	struct access a = { "shape_write1", 64, FFG_OBJECT_END, 0, 64, FFG_INOUT, 64 + 99 };

	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write out of the object's bounds\n",
		     ", 99 bytes past the end of the object (guard page)\n");
}

TEST(read_past_end)
{
	struct access a = { "shape_read1", 64, FFG_OBJECT_END, 0, 64, FFG_IN, 0 };

	death_run(&death, body_access, &a);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "read 0x41"));

	a.offset = 64;
	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV, "violation: read out of the object's bounds\n",
		     "  granted: bytes 0 to 63, read-only\n", " shape_read1+0x");
	EXPECT_FALSE(death_said(&death, "\nread 0x"));
}

TEST(write_before_start)
{
	struct access a = { "shape_write1", 64, FFG_OBJECT_START, 0, 64, FFG_INOUT, -1 };

	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write out of the object's bounds\n",
		     ", 1 byte before the object (guard page)\n");
}

TEST(write_read_only)
{
	struct access a = { "shape_write1", 64, FFG_OBJECT_END, 0, 64, FFG_IN, 8 };

	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of an object that was granted read-only\n",
		     ", byte 8 of the object\n", "  granted: bytes 0 to 63, read-only\n",
		     "  advice:  grant it with FFG_INOUT");
}

TEST(not_granted)
{
	struct access a = { "shape_write1", 64, FFG_OBJECT_END, 0, 0, 0, 8 };

	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV,
		     "violation: write of an object that the call was not granted\n",
		     ", byte 8 of the object\n", "  granted: nothing of it\n");

	a.symbol = "shape_read1";
	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV,
		     "violation: read of an object that the call was not granted\n");
}

TEST(outside_granted_range)
{
	struct access a = { "shape_write1", 3 * 4096, FFG_OBJECT_END, 0, 4096, FFG_INOUT, 100 };

	death_run(&death, body_access, &a);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "wrote 0x5a"));

	a.offset = 2 * 4096 + 5;
	death_run(&death, body_access, &a);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write outside the granted range of an object\n",
		     ", byte 8197 of the object\n", "  granted: bytes 0 to 4095, read-write\n");
}

/* ---- through libc, so that the backtrace has two foreign frames ---- */

static void body_fill(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 256, FFG_OBJECT_END);
	fill_fn fill = scene_entry(&s, "shape_fill", "i(pii)", object, 256, FFG_OUT);

	fprintf(stderr, "filled %#x\n", fill(object, 0x33, *(const size_t *)data));
}

TEST(backtrace)
{
	size_t length = 256;

	death_run(&death, body_fill, &length);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "filled 0x33"));

	length = 100000;
	death_run(&death, body_fill, &length);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write out of the object's bounds\n",
		     "  call:    shape_fill, thread ", "  at:      0x", "(libc.so.6+0x",
		     "  from:    0x", " shape_fill+0x");
}

/* ---- temporal ---- */

static void body_freed(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	keep_fn keep = scene_entry(&s, "shape_keep", "v(p)", NULL, 0, 0);
	struct ffg_call *call = scene_call(&s, "shape_write_kept", "v(ii)");
	write_kept_fn write_kept;

	SCENE_CHECK(ffg_call_grant(call, object, 64, FFG_INOUT) == 0);
	write_kept = ffg_call_entry(call);
	keep(object);
	write_kept(3, 0x44);
	SCENE_CHECK(ffg_call_error(call) == 0 && object[3] == 0x44);
	fprintf(stderr, "control passed\n");
	SCENE_CHECK(ffg_call_reset(call) == 0);
	if (*(const int *)data)
		SCENE_CHECK(ffg_object_free(s.context, object) == 0);
	write_kept = ffg_call_entry(call);
	write_kept(3, 0x45);
}

TEST(kept_pointer)
{
	int freed = 0;

	death_run(&death, body_freed, &freed);
	DEATH_EXPECT(&death, SIGSEGV, "control passed\n",
		     "violation: write of an object that the call was not granted\n",
		     ", byte 3 of the object\n", "  call:    shape_write_kept, thread ");
}

TEST(freed)
{
	int freed = 1;

	death_run(&death, body_freed, &freed);
	DEATH_EXPECT(&death, SIGSEGV, "control passed\n", "violation: write of a freed object\n",
		     "  object:  ", "freed\n", "kept a pointer");
}

static void body_trusted_freed(const void *data)
{
	struct scene s = scene_open(NULL, NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);

	(void)data;
	object[0] = 1;
	SCENE_CHECK(ffg_object_free(s.context, object) == 0);
	object[0] = 2;
}

/* Guard pages and quarantine serve trusted code as well. */
TEST(trusted_use_after_free)
{
	death_run(&death, body_trusted_freed, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of a freed object\n",
		     "  call:    none, thread ", "(violation_test+0x");
}

/* ---- two threads ---- */

struct partner {
	struct scene scene;
	unsigned char *object;
	struct ffg_call *call;
	volatile int state;
};

static void *partner_main(void *data)
{
	struct partner *p = data;

	SCENE_CHECK(ffg_thread_attach(p->scene.context) == 0);
	((rendezvous_fn)ffg_call_entry(p->call))(p->object, &p->state, 0x55);
	SCENE_CHECK(ffg_call_error(p->call) == 0);
	SCENE_CHECK(ffg_thread_detach(p->scene.context) == 0);
	return NULL;
}

/* *@data: 0 lets the partner write, 1 revokes its grant before, 2 writes the partner's object. */
static void body_partner(const void *data)
{
	static struct partner p;
	write1_fn write1;
	pthread_t thread;
	int what = *(const int *)data;

	p.scene = scene_open("shapes", NULL);
	p.object = scene_object(&p.scene, 64, FFG_OBJECT_END);
	p.call = scene_call(&p.scene, "shape_rendezvous", "v(ppi)");
	SCENE_CHECK(ffg_call_grant(p.call, p.object, 64, FFG_INOUT) == 0);
	write1 = scene_entry(&p.scene, "shape_write1", "v(pii)", NULL, 0, 0);
	SCENE_CHECK(pthread_create(&thread, NULL, partner_main, &p) == 0);
	while (p.state != 1)
		usleep(1000);
	if (what == 1)
		SCENE_CHECK(ffg_call_revoke(p.call) == 0);
	if (what == 2)
		write1(p.object, 7, 0x66);
	p.state = 2;
	pthread_join(thread, NULL);
	fprintf(stderr, "partner wrote %#x\n", p.object[0]);
}

TEST(revoked_in_call)
{
	int what = 0;

	death_run(&death, body_partner, &what);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "partner wrote 0x55"));

	what = 1;
	death_run(&death, body_partner, &what);
	DEATH_EXPECT(&death, SIGSEGV,
		     "violation: write of an object whose grant was revoked\n",
		     "  call:    shape_rendezvous, thread ");
}

TEST(other_threads_grant)
{
	int what = 2;

	death_run(&death, body_partner, &what);
	DEATH_EXPECT(&death, SIGSEGV,
		     "violation: write of an object that another thread's call was granted\n",
		     ", byte 7 of the object\n", " has it now\n",
		     "  call:    shape_write1, thread ");
}

static void body_thread(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	static unsigned char plain;
	int (*start)(unsigned char *) =
		scene_entry(&s, "shape_thread_start", "i(p)", object, 64, FFG_INOUT);
	int (*go)(void) = scene_entry(&s, "shape_thread_write", "i()", NULL, 0, 0);

	SCENE_CHECK(start(*(const int *)data ? object : &plain) == 0);
	SCENE_CHECK(go() == 1 && plain == 0x77);
	fprintf(stderr, "thread wrote\n");
}

/* A thread that is started inside a call with a grant does not have it. */
TEST(foreign_thread)
{
	int guarded = 0;

	death_run(&death, body_thread, &guarded);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "thread wrote"));

	guarded = 1;
	death_run(&death, body_thread, &guarded);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of an object outside of any guarded call\n",
		     ", byte 0 of the object\n", "  call:    none, thread ", "(libshapes.so+0x");
}

/* ---- not an object ---- */

/* Address of the @index'th smallest mapping of the device; the largest is the arena. */
static unsigned char *device_mapping(const char *rights)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long low, high, best = 0, size = ~0UL;
	char flags[8];

	while (maps && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "/dev/ffiguard") ||
		    sscanf(line, "%lx-%lx %7s", &low, &high, flags) != 3 ||
		    strncmp(flags, rights, 2) || high - low >= size)
			continue;
		best = low;
		size = high - low;
	}
	if (maps)
		fclose(maps);
	SCENE_CHECK(best);
	return (unsigned char *)best;
}

static void body_control(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	read1_fn read1 = scene_entry(&s, "shape_read1", "i(pi)", NULL, 0, 0);
	write1_fn write1 = scene_entry(&s, "shape_write1", "v(pii)", NULL, 0, 0);

	if (*(const int *)data)
		write1(device_mapping("rw"), 0, 0);	/* lines */
	else
		fprintf(stderr, "read %d\n", read1(device_mapping("rw"), 0));
}

TEST(control_pages)
{
	int writes = 0;

	death_run(&death, body_control, &writes);
	DEATH_EXPECT(&death, SIGSEGV, "violation: read of ffiguard's own control pages\n",
		     " (lines or records)\n", "  object:  none\n");
	writes = 1;
	death_run(&death, body_control, &writes);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write of ffiguard's own control pages\n");
}

static void body_unused(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	write1_fn write1 = scene_entry(&s, "shape_write1", "v(pii)", object, 64, FFG_INOUT);
	struct ffg_object_query query = { .where = FFG_WHERE_OBJECT };
	unsigned char *p = object;

	(void)data;
	/* Far from every object, but in the arena. */
	while (query.where != FFG_WHERE_UNUSED) {
		p += 1 << 20;
		SCENE_CHECK(ffg_object_query(s.context, p, &query) == 0);
	}
	write1(p, 0, 1);
}

TEST(unused_arena)
{
	death_run(&death, body_unused, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write in the arena where no object is\n",
		     "  object:  none\n");
}

static void body_recurse(const void *data)
{
	struct ffg_options options = { .size = sizeof(options), .stack_size = 64 << 10 };
	struct scene s = scene_open("shapes", &options);
	recurse_fn recurse = scene_entry(&s, "shape_recurse", "i(i)", NULL, 0, 0);

	recurse(*(const unsigned long *)data);
	fprintf(stderr, "returned\n");
}

TEST(stack_overflow)
{
	unsigned long depth = 10;

	death_run(&death, body_recurse, &depth);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "returned"));

	depth = 1000000;
	death_run(&death, body_recurse, &depth);
	DEATH_EXPECT(&death, SIGSEGV, "violation: write beyond the foreign stack\n",
		     "  call:    shape_recurse, thread ", " shape_recurse+0x",
		     "stack_size of struct ffg_options");
}

/* ---- the callback ---- */

static unsigned char *secret;
static const enum ffg_action *callback_action;

static enum ffg_action callback(const struct ffg_violation *v, void *data)
{
	char line[160];
	int length;

	/* snprintf() with integers alone does not allocate. */
	length = snprintf(line, sizeof(line), "callback: %d %d %d %d %lu %ld %s %u %s\n",
			  v->size == sizeof(*v), v->reason, v->where, v->access,
			  (unsigned long)v->object_length, (long)v->offset,
			  v->function ? v->function : "-", v->frames, v->frame[0].library);
	if (write(2, line, length) != length)
		_exit(98);
	length = snprintf(line, sizeof(line), "secret: %#x, data %s, object %d\n", secret[0],
			  (const char *)data, v->object == (uintptr_t)secret);
	if (write(2, line, length) != length)
		_exit(98);
	return *callback_action;
}

static void body_callback(const void *data)
{
	struct ffg_options options = {
		.size = sizeof(options), .violation = callback, .violation_data = "mine",
	};
	struct scene s = scene_open("shapes", &options);
	write1_fn write1 = scene_entry(&s, "shape_write1", "v(pii)", NULL, 0, 0);

	callback_action = data;
	secret = scene_object(&s, 64, FFG_OBJECT_END);
	secret[0] = 0x42;
	write1(secret, 0, 0x43);
}

TEST(callback_dies)
{
	enum ffg_action action = FFG_ACTION_DIE;

	death_run(&death, body_callback, &action);
	DEATH_EXPECT(&death, SIGSEGV, "callback: 1 1 1 1 64 0 shape_write1 ",
		     " libshapes.so\n", "secret: 0x42, data mine, object 1\n",
		     "ffiguard: violation: write of an object that the call was not granted\n");
}

TEST(callback_dies_quietly)
{
	enum ffg_action action = FFG_ACTION_DIE_QUIET;

	death_run(&death, body_callback, &action);
	DEATH_EXPECT(&death, SIGSEGV, "secret: 0x42, data mine, object 1\n");
	EXPECT_FALSE(death_said(&death, "ffiguard: violation"));
}

/* ---- how it dies ---- */

/* Continues @child to its next SIGSEGV; false if it ended instead. */
static bool next_fault(pid_t child, siginfo_t *info, struct user_regs_struct *registers)
{
	int status, signal = 0;

	for (;;) {
		ptrace(PTRACE_CONT, child, NULL, signal);
		if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
			return false;
		signal = WSTOPSIG(status);
		if (signal == SIGSEGV)
			break;
	}
	return ptrace(PTRACE_GETSIGINFO, child, NULL, info) == 0 &&
	       ptrace(PTRACE_GETREGS, child, NULL, registers) == 0;
}

/* A debugger, or the core, sees the fault itself: instruction, address and code. */
TEST(dies_at_the_instruction)
{
	struct access a = { "shape_write1", 64, FFG_OBJECT_END, 0, 64, FFG_INOUT, 64 };
	struct user_regs_struct first_registers, registers;
	siginfo_t first, info;
	int status;
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		if (!freopen("/dev/null", "w", stderr) ||
		    ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(SCENE_FAILED);
		raise(SIGSTOP);
		body_access(&a);
		_exit(0);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(next_fault(child, &first, &first_registers));
	EXPECT_GT(first.si_code, 0);
	ptrace(PTRACE_CONT, child, NULL, SIGSEGV);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status));
	ASSERT_EQ(SIGSEGV, WSTOPSIG(status));
	ASSERT_EQ(0, ptrace(PTRACE_GETSIGINFO, child, NULL, &info));
	ASSERT_EQ(0, ptrace(PTRACE_GETREGS, child, NULL, &registers));
	EXPECT_EQ(first_registers.rip, registers.rip);
	EXPECT_EQ(first_registers.rsp, registers.rsp);
	EXPECT_EQ((uintptr_t)first.si_addr, (uintptr_t)info.si_addr);
	EXPECT_EQ(first.si_code, info.si_code);
	ptrace(PTRACE_CONT, child, NULL, SIGSEGV);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGSEGV, WTERMSIG(status));
}

/* ---- odds ---- */

/* A fault while a foreign stack that makes no sense is unwound ends the backtrace alone. */
static void body_wild_stack(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	void (*wild)(unsigned char *) = scene_entry(&s, "shape_write_lost", "v(p)", NULL, 0, 0);

	(void)data;
	wild(object);
}

TEST(backtrace_of_a_ruined_stack)
{
	death_run(&death, body_wild_stack, NULL);
	DEATH_EXPECT(&death, SIGSEGV,
		     "violation: write of an object that the call was not granted\n",
		     "  at:      0x", " shape_write_lost+0x");
}

/* ---- damage ---- */

static void body_damage(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_START);
	struct ffg_call *call = scene_call(&s, "shape_write1", "v(pii)");
	write1_fn write1;

	SCENE_CHECK(ffg_call_grant(call, object, 64, FFG_INOUT) == 0);
	write1 = ffg_call_entry(call);
	write1(object, 64 + *(const int *)data, object[64 + *(const int *)data] ^ 0xff);
	SCENE_CHECK(ffg_call_error(call) == 0);
	fprintf(stderr, "free: %d\n", ffg_call_free(call));
	fprintf(stderr, "object: %d\n", ffg_object_free(s.context, object));
}

TEST(damage_is_reported)
{
	int offset = -1;
	char words[40];

	death_run(&death, body_damage, &offset);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "free: 0\nobject: 0\n"));

	offset = 10;
	death_run(&death, body_damage, &offset);
	EXPECT_TRUE(death_exit(&death, 0));
	snprintf(words, sizeof(words), "free: %d\n", FFG_E_DAMAGED);
	EXPECT_TRUE(death_said(&death, words));
	EXPECT_TRUE(death_said(&death, "violation: slack of an object was overwritten\n"));
	EXPECT_TRUE(death_said(&death, ", 64 bytes\n  damage:  1 byte, 10 bytes past the end"));
	EXPECT_TRUE(death_said(&death, "when it was revoked, after calls of shape_write1\n"));
	if (!death_said(&death, "damage:"))
		death_show(&death);
}

TEST_HARNESS_MAIN
