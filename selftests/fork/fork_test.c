// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fork: the child has no arena and is told so, wherever it finds out; the parent notices nothing.
 *
 * The harness forks for each test, so a test opens its context itself.  What is expected to die
 * does so in a child of its own (lib/death.h), which forks once more.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

#define IN_CHILD	55		/* exit status of a child whose checks all passed */

extern char **environ;

typedef void (*write1_fn)(unsigned char *, long, int);

static int wait_status(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

FIXTURE(fork)
{
	struct scene scene;
	unsigned char *object;
	struct ffg_call *call;
	write1_fn write1;
};

FIXTURE_SETUP(fork)
{
	self->scene = scene_open("shapes", NULL);
	self->object = scene_object(&self->scene, 64, FFG_OBJECT_END);
	self->object[0] = 0x41;
	self->call = scene_call(&self->scene, "shape_write1", "v(pii)");
	ASSERT_EQ(0, ffg_call_grant(self->call, self->object, 64, FFG_INOUT));
	self->write1 = ffg_call_entry(self->call);
}

/* After whatever the test did: the parent's context works as before. */
FIXTURE_TEARDOWN(fork)
{
	EXPECT_EQ(0x41, self->object[0]);
	self->write1(self->object, 1, 0x77);
	EXPECT_EQ(0, ffg_call_error(self->call));
	EXPECT_EQ(0x77, self->object[1]);
	EXPECT_EQ(0, ffg_call_free(self->call));
	EXPECT_EQ(0, ffg_object_free(self->scene.context, self->object));
	EXPECT_EQ(0, ffg_domain_close(self->scene.domain));
	EXPECT_EQ(0, ffg_context_close(self->scene.context));
}

/* Every function but those that open, close and explain. */
TEST_F(fork, functions_say_forked)
{
	struct ffg_context *context = self->scene.context;
	struct ffg_stats stats = { 0 };
	struct ffg_limits limits = { 0 };
	struct ffg_object_query query;
	struct ffg_object_desc desc = { .length = 1 };
	void *object = self->object;
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		SCENE_CHECK(ffg_context_stats(context, &stats) == FFG_E_FORKED);
		SCENE_CHECK(ffg_context_limits(context, &limits) == FFG_E_FORKED);
		SCENE_CHECK(ffg_thread_attach(context) == FFG_E_FORKED);
		SCENE_CHECK(ffg_thread_detach(context) == FFG_E_FORKED);
		SCENE_CHECK(!ffg_object_alloc(context, 1, 0) && ffg_error() == FFG_E_FORKED);
		SCENE_CHECK(ffg_object_alloc_batch(context, &desc, 1) == FFG_E_FORKED);
		SCENE_CHECK(ffg_object_free(context, object) == FFG_E_FORKED);
		SCENE_CHECK(ffg_object_free_batch(context, &object, 1) == FFG_E_FORKED);
		SCENE_CHECK(ffg_object_check(context, object, NULL) == FFG_E_FORKED);
		SCENE_CHECK(ffg_object_query(context, object, &query) == FFG_E_FORKED);
		SCENE_CHECK(!ffg_domain_open(context, scene_path("shapes"), 0) &&
			    ffg_error() == FFG_E_FORKED);
		SCENE_CHECK(!ffg_domain_symbol(self->scene.domain, "shape_sum") &&
			    ffg_error() == FFG_E_FORKED);
		SCENE_CHECK(ffg_domain_close(self->scene.domain) == FFG_E_FORKED);
		SCENE_CHECK(!ffg_call_new(self->scene.domain, "shape_sum", NULL) &&
			    ffg_error() == FFG_E_FORKED);
		SCENE_CHECK(ffg_call_grant(self->call, object, 1, FFG_IN) == FFG_E_FORKED);
		SCENE_CHECK(ffg_call_revoke(self->call) == FFG_E_FORKED);
		SCENE_CHECK(ffg_call_reset(self->call) == FFG_E_FORKED);
		SCENE_CHECK(ffg_call_free(self->call) == FFG_E_FORKED);
		SCENE_CHECK(ffg_violation_set(context, NULL, NULL) == FFG_E_FORKED);
		_exit(IN_CHILD);
	}
	child = wait_status(child);
	EXPECT_TRUE(WIFEXITED(child));
	EXPECT_EQ(IN_CHILD, WEXITSTATUS(child));
}

/* An entry made in the parent calls nothing in the child. */
TEST_F(fork, entry_says_forked)
{
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		self->write1(self->object, 0, 0x66);
		SCENE_CHECK(ffg_call_error(self->call) == FFG_E_FORKED);
		_exit(IN_CHILD);
	}
	child = wait_status(child);
	EXPECT_TRUE(WIFEXITED(child));
	EXPECT_EQ(IN_CHILD, WEXITSTATUS(child));
}

/* The child's work after it closed its copy; with a child of its own. */
static void child_works(struct ffg_context *inherited, int generations)
{
	struct scene s;
	unsigned char *object;
	write1_fn write1;
	pid_t child;
	int status;

	SCENE_CHECK(ffg_context_close(inherited) == 0);
	s = scene_open("shapes", NULL);
	object = scene_object(&s, 64, FFG_OBJECT_END);
	write1 = scene_entry(&s, "shape_write1", "v(pii)", object, 64, FFG_INOUT);
	write1(object, 5, 0x55);
	SCENE_CHECK(object[5] == 0x55);
	if (generations) {
		child = fork();
		SCENE_CHECK(child >= 0);
		if (!child) {
			child_works(s.context, generations - 1);
			_exit(IN_CHILD);
		}
		status = wait_status(child);
		SCENE_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == IN_CHILD);
		write1(object, 6, 0x56);
		SCENE_CHECK(object[6] == 0x56);
	}
}

TEST_F(fork, child_opens_its_own)
{
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		child_works(self->scene.context, 0);
		_exit(IN_CHILD);
	}
	child = wait_status(child);
	EXPECT_TRUE(WIFEXITED(child));
	EXPECT_EQ(IN_CHILD, WEXITSTATUS(child));
}

/* Protection keys are inherited; more generations than keys shows that none is lost. */
TEST_F(fork, generations)
{
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		child_works(self->scene.context, 20);
		_exit(IN_CHILD);
	}
	child = wait_status(child);
	EXPECT_TRUE(WIFEXITED(child));
	EXPECT_EQ(IN_CHILD, WEXITSTATUS(child));
}

/* The child may leave its copy alone and open one all the same. */
TEST_F(fork, child_opens_without_closing)
{
	pid_t child = fork();

	ASSERT_GE(child, 0);
	if (!child) {
		struct scene s = scene_open("shapes", NULL);
		unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
		write1_fn write1 = scene_entry(&s, "shape_write1", "v(pii)", object, 64, FFG_INOUT);

		write1(object, 5, 0x55);
		SCENE_CHECK(object[5] == 0x55);
		_exit(IN_CHILD);
	}
	child = wait_status(child);
	EXPECT_TRUE(WIFEXITED(child));
	EXPECT_EQ(IN_CHILD, WEXITSTATUS(child));
}

/* ---- processes that share the address space ---- */

static int shared_child(void *data)
{
	unsigned char *object = data;

	object[2] = 0x22;
	return IN_CHILD;
}

/* clone(CLONE_VM) without CLONE_THREAD: another process, the same arena. */
TEST_F(fork, clone_vm)
{
	static char stack[64 << 10] __attribute__((aligned(16)));
	int child = clone(shared_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD,
			  self->object);

	ASSERT_GE(child, 0);
	child = wait_status(child);
	EXPECT_TRUE(WIFEXITED(child));
	EXPECT_EQ(IN_CHILD, WEXITSTATUS(child));
	EXPECT_EQ(0x22, self->object[2]);
}

TEST_F(fork, vfork_and_exec)
{
	pid_t child = vfork();

	if (!child) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(1);
	}
	ASSERT_GE(child, 0);
	EXPECT_EQ(0, wait_status(child));
}

TEST_F(fork, posix_spawn)
{
	char *const arguments[] = { "true", NULL };
	pid_t child;

	ASSERT_EQ(0, posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ));
	EXPECT_EQ(0, wait_status(child));
}

/* ---- foreign code forks ---- */

TEST(foreign_fork)
{
	struct scene s = scene_open("process", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	int (*fork_exit)(int) = scene_entry(&s, "process_fork_exit", "i(i)", NULL, 0, 0);
	int (*spawn)(const char *, const char *) =
		scene_entry(&s, "process_spawn", "i(pp)", object, 64, FFG_INOUT);
	int (*do_vfork)(const char *, const char *) =
		scene_entry(&s, "process_vfork", "i(pp)", object, 64, FFG_INOUT);

	EXPECT_EQ(7, fork_exit(7));
	EXPECT_EQ(0, spawn("/bin/true", NULL));
	EXPECT_EQ(1, spawn("/bin/false", NULL));
	EXPECT_EQ(0, do_vfork("/bin/true", NULL));
	EXPECT_EQ(1, do_vfork("/bin/false", NULL));
	object[0] = 1;
	EXPECT_EQ(7, fork_exit(7));
}

static void body_foreign_write(const void *data)
{
	struct scene s = scene_open("process", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	int (*fork_write)(unsigned char *) =
		scene_entry(&s, "process_fork_write", "i(p)", object, 64, FFG_INOUT);
	static unsigned char plain;

	fprintf(stderr, "child: %d\n", fork_write(*(const int *)data ? object : &plain));
	SCENE_CHECK(object[0] == 0);
}

/* A grant is not inherited either. */
TEST(foreign_child_writes)
{
	static struct death death;
	int guarded = 0;
	char words[32];

	death_run(&death, body_foreign_write, &guarded);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "child: 0\n"));

	guarded = 1;
	death_run(&death, body_foreign_write, &guarded);
	EXPECT_TRUE(death_exit(&death, 0));
	snprintf(words, sizeof(words), "child: %d\n", 256 + SIGSEGV);
	EXPECT_TRUE(death_said(&death, words));
	EXPECT_TRUE(death_said(&death, "violation: write of an arena that is not inherited\n"));
	EXPECT_TRUE(death_said(&death, " process_fork_write+0x"));
}

/* The child of foreign code returns through the parent's gate: it has none. */
static void body_foreign_return(const void *data)
{
	struct scene s = scene_open("process", NULL);
	int (*do_fork)(void) = scene_entry(&s, "process_fork", "i()", NULL, 0, 0);
	pid_t parent = getpid();
	int child = do_fork(), status;

	(void)data;
	if (getpid() != parent) {
		fprintf(stderr, "child returned\n");
		_exit(0);
	}
	SCENE_CHECK(child > 0);
	status = wait_status(child);
	SCENE_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	fprintf(stderr, "parent returned\n");
}

TEST(foreign_child_returns)
{
	static struct death death;

	death_run(&death, body_foreign_return, NULL);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "parent returned\n"));
	EXPECT_FALSE(death_said(&death, "child returned\n"));
	EXPECT_TRUE(death_said(&death,
			       "violation: return into a guarded call of the parent process\n"));
}

/* ---- touches ---- */

enum touch { READ, WRITE, WRITE_AFTER_CLONE };

static void body_touch(const void *data)
{
	struct scene s = scene_open(NULL, NULL);
	volatile unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	enum touch touch = *(const enum touch *)data;
	pid_t child;
	int status;

	object[0] = 0x41;
	/* The bare system call runs no fork handler. */
	child = touch == WRITE_AFTER_CLONE ? syscall(SYS_fork) : fork();
	SCENE_CHECK(child >= 0);
	if (!child) {
		if (touch == READ)
			fprintf(stderr, "read %d\n", object[0]);
		else
			object[0] = 0x66;
		_exit(0);
	}
	status = wait_status(child);
	SCENE_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	SCENE_CHECK(object[0] == 0x41);
	fprintf(stderr, "parent is well\n");
}

static void expect_touch(struct __test_metadata *_metadata, enum touch touch, const char *words)
{
	static struct death death;

	death_run(&death, body_touch, &touch);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, words));
	EXPECT_TRUE(death_said(&death, "  advice:  open a context of its own in the child"));
	EXPECT_TRUE(death_said(&death, "parent is well\n"));
	EXPECT_FALSE(death_said(&death, "\nread "));
}

TEST(touch_reads)
{
	expect_touch(_metadata, READ, "violation: read of an arena that is not inherited\n");
}

TEST(touch_writes)
{
	expect_touch(_metadata, WRITE, "violation: write of an arena that is not inherited\n");
}

TEST(touch_without_handlers)
{
	expect_touch(_metadata, WRITE_AFTER_CLONE,
		     "ffiguard: violation: write of an arena that is not inherited\n");
}

/* ---- forks while another thread is in a guarded call ---- */

struct linger {
	struct scene scene;
	unsigned char *object;
	struct ffg_call *call;
	volatile int state;
};

static void *linger_main(void *data)
{
	struct linger *l = data;
	int (*linger)(unsigned char *, volatile int *) = ffg_call_entry(l->call);

	SCENE_CHECK(ffg_thread_attach(l->scene.context) == 0);
	SCENE_CHECK(linger(l->object, &l->state) == 1);
	SCENE_CHECK(ffg_call_error(l->call) == 0);
	SCENE_CHECK(ffg_thread_detach(l->scene.context) == 0);
	return NULL;
}

TEST(while_others_call)
{
	static struct linger l;
	pthread_t thread;

	l.scene = scene_open("process", NULL);
	l.object = scene_object(&l.scene, 64, FFG_OBJECT_END);
	l.call = scene_call(&l.scene, "process_linger", "i(pp)");
	ASSERT_EQ(0, ffg_call_grant(l.call, l.object, 64, FFG_INOUT));
	ASSERT_EQ(0, pthread_create(&thread, NULL, linger_main, &l));
	while (l.state != 1)
		usleep(1000);
	for (int i = 0; i < 5; i++) {
		pid_t child = fork();

		ASSERT_GE(child, 0);
		if (!child) {
			child_works(l.scene.context, 0);
			_exit(IN_CHILD);
		}
		child = wait_status(child);
		EXPECT_TRUE(WIFEXITED(child));
		EXPECT_EQ(IN_CHILD, WEXITSTATUS(child));
	}
	EXPECT_EQ(1, l.state);
	l.state = 2;
	EXPECT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(0, ffg_call_free(l.call));
	EXPECT_EQ(0, ffg_object_free(l.scene.context, l.object));
	EXPECT_EQ(0, ffg_domain_close(l.scene.domain));
	EXPECT_EQ(0, ffg_context_close(l.scene.context));
}

TEST_HARNESS_MAIN
