// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trusted stacks and static data: closed to foreign code, ordinary to trusted code, and ordinary
 * memory again when the context closes, in a forked child, and when their thread has ended. Each
 * attack stands beside a control, the same access with nothing closed.
 */
#include <alloca.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

static struct death death;
static unsigned char bss[3 * 4096];
static unsigned char data[4096] = { 7 };

enum memory { LOCAL, MAIN_LOCAL, THREAD_LOCAL_FRAME, GROWN, BSS, DATA, RANGE, REOPENED };

struct attack {
	enum memory what;
	bool write, closed;
};

static unsigned char *main_local;

/* Deep enough that the kernel has to make the stack longer. */
static unsigned char *grow(void)
{
	unsigned char *deep = alloca(1 << 20);

	__asm__ volatile("" : "+r"(deep) : : "memory");
	*deep = 1;
	return deep;
}

static void touch(const struct scene *scene, const struct attack *attack, unsigned char *target)
{
	void (*write1)(unsigned char *, long, int) = (void (*)(unsigned char *, long, int))
		scene_entry(scene, "shape_write1", "v(pii)", NULL, 0, 0);
	int (*read1)(const unsigned char *, long) = (int (*)(const unsigned char *, long))
		scene_entry(scene, "shape_read1", "i(pi)", NULL, 0, 0);

	/* Trusted code first: to it nothing has changed. */
	*target = 7;
	if (attack->write)
		write1(target, 0, 99);
	else
		read1(target, 0);
	fprintf(stderr, "foreign code got through\n");
}

static void *thread_body(void *argument)
{
	void **arguments = argument;
	unsigned char local[64];

	SCENE_CHECK(!ffg_thread_attach(((struct scene *)arguments[0])->context));
	touch(arguments[0], arguments[1], local);
	return NULL;
}

static void body(const void *argument)
{
	const struct attack *attack = argument;
	struct ffg_options options = {
		.size = sizeof(options),
		.flags = attack->closed ? FFG_CLOSE_STACKS | FFG_CLOSE_STATICS : 0,
	};
	struct scene scene = scene_open("shapes", &options);
	unsigned char local[64], *target = local;
	void *arguments[2] = { &scene, (void *)attack };
	pthread_t thread;

	switch (attack->what) {
	case LOCAL:
		break;
	case MAIN_LOCAL:
		target = main_local;
		break;
	case THREAD_LOCAL_FRAME:
		SCENE_CHECK(!pthread_create(&thread, NULL, thread_body, arguments));
		pthread_join(thread, NULL);
		return;
	case GROWN:
		target = grow();
		break;
	case BSS:
		target = bss + 4096;
		break;
	case DATA:
		target = data + 64;
		break;
	case RANGE:
	case REOPENED:
		target = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (attack->closed)
			SCENE_CHECK(!ffg_memory_close(scene.context, target, 8192));
		if (attack->what == REOPENED)
			SCENE_CHECK(!ffg_memory_open(scene.context, target, 100));
		break;
	}
	touch(&scene, attack, target);
}

FIXTURE(attack) {
};

FIXTURE_VARIANT(attack) {
	enum memory what;
	const char *name;
};

FIXTURE_VARIANT_ADD(attack, local_variable) {
	.what = LOCAL, .name = "trusted stack",
};
FIXTURE_VARIANT_ADD(attack, local_variable_of_main) {
	.what = MAIN_LOCAL, .name = "trusted stack",
};
FIXTURE_VARIANT_ADD(attack, local_variable_of_a_thread) {
	.what = THREAD_LOCAL_FRAME, .name = "trusted stack",
};
FIXTURE_VARIANT_ADD(attack, stack_that_grew) {
	.what = GROWN, .name = "trusted stack",
};
FIXTURE_VARIANT_ADD(attack, zeroed_data) {
	.what = BSS, .name = "static data of stack_test",
};
FIXTURE_VARIANT_ADD(attack, static_data) {
	.what = DATA, .name = "static data of stack_test",
};
FIXTURE_VARIANT_ADD(attack, range) {
	.what = RANGE, .name = "memory that the program closed",
};

FIXTURE_SETUP(attack)
{
}

FIXTURE_TEARDOWN(attack)
{
}

TEST_F(attack, closed)
{
	for (int write = 0; write < 2; write++) {
		struct attack attack = { .what = variant->what, .write = write, .closed = true };

		death_run(&death, body, &attack);
		EXPECT_FALSE(death_said(&death, "foreign code got through"))
			TH_LOG("foreign code reached it");
		DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation");
		EXPECT_TRUE(death_said(&death, variant->name));
	}
}

TEST_F(attack, control)
{
	for (int write = 0; write < 2; write++) {
		struct attack attack = { .what = variant->what, .write = write };

		death_run(&death, body, &attack);
		EXPECT_TRUE(death_exit(&death, 0));
		EXPECT_TRUE(death_said(&death, "foreign code got through"));
	}
}

TEST(reopened_range)
{
	struct attack attack = { .what = REOPENED, .write = true, .closed = true };

	death_run(&death, body, &attack);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "foreign code got through"));
}

/* ---- ordinary life with everything closed ---- */

static struct scene closed_scene(const char *library)
{
	struct ffg_options options = {
		.size = sizeof(options),
		.flags = FFG_CLOSE_STACKS | FFG_CLOSE_STATICS,
	};

	return scene_open(library, &options);
}

/* What foreign code needs of the process works: errno, environment, standard output, locale. */
TEST(foreign_code_has_what_it_needs)
{
	struct scene scene = closed_scene("needs");
	int (*needs)(void) = (int (*)(void))scene_entry(&scene, "needs_all", "i()", NULL, 0, 0);

	setenv("FFG_TEST_VARIABLE", "set", 1);
	EXPECT_EQ(0, needs()) TH_LOG("see foreign/needs.c for the number");
	EXPECT_EQ(0, ffg_error());
}

static long callback_local(long value, void *unused)
{
	unsigned char local[8192];

	(void)unused;
	memset(local, (int)value, sizeof(local));
	return local[4096];
}

TEST(callbacks_and_nested_calls)
{
	struct scene scene = closed_scene("callers");
	long (*entry)(void *, long, void *) = (long (*)(void *, long, void *))
		scene_entry(&scene, "call_long", "i(pip)", NULL, 0, 0);
	struct ffg_callback *callback =
		ffg_callback_new(scene.domain, (void *)callback_local, "i(ip)");

	ASSERT_NE(NULL, callback);
	for (int i = 0; i < 100; i++)
		ASSERT_EQ(i + 1, entry(ffg_callback_entry(callback), i, NULL));
}

static volatile sig_atomic_t alarms;

static void on_alarm(int number)
{
	unsigned char local[2048];

	(void)number;
	memset(local, 1, sizeof(local));
	alarms += local[100];
}

TEST(signal_handlers)
{
	struct scene scene = closed_scene("callers");
	long (*entry)(void) = (long (*)(void))scene_entry(&scene, "call_pkru", "i()", NULL, 0, 0);

	signal(SIGALRM, on_alarm);
	for (int round = 0; round < 100; round++) {
		raise(SIGALRM);
		entry();
	}
	EXPECT_EQ(100, alarms);
}

/* ---- ways out of a call, onto a stack that is closed ---- */

TEST(recovery)
{
	struct scene scene = closed_scene(NULL);
	volatile unsigned char local[64];
	struct ffg_call *call;

	scene.domain = ffg_domain_open(scene.context, scene_path("shapes"), FFG_POLICY_RECOVER);
	ASSERT_NE(NULL, scene.domain);
	call = scene_call(&scene, "shape_write1", "v(pii)");
	for (int round = 0; round < 100; round++) {
		local[0] = (unsigned char)round;
		((void (*)(volatile unsigned char *, long, int))ffg_call_entry(call))(local, 0, 99);
		ASSERT_EQ(FFG_E_VIOLATION, ffg_call_error(call));
		ASSERT_EQ(round, local[0]);
	}
}

static jmp_buf outside;

static long jumps_out(long value, void *unused)
{
	(void)unused;
	longjmp(outside, (int)value);
}

TEST(jump_out_of_a_callback)
{
	struct scene scene = closed_scene("callers");
	long (*entry)(void *, long, void *) = (long (*)(void *, long, void *))
		scene_entry(&scene, "call_long", "i(pip)", NULL, 0, 0);
	struct ffg_callback *callback =
		ffg_callback_new(scene.domain, (void *)jumps_out, "i(ip)");
	static volatile int rounds;

	ASSERT_NE(NULL, callback);
	for (rounds = 0; rounds < 100; rounds++) {
		int code = setjmp(outside);

		if (!code)
			entry(ffg_callback_entry(callback), 5, NULL);
		ASSERT_EQ(5, code);
	}
}

/* libc would look for cleanup handlers on the stack: the thread is stopped, not let through. */
static void cleanup(void *unused)
{
	(void)unused;
}

static __attribute__((noinline)) void calls_with_cleanup(void (*entry)(void))
{
	pthread_cleanup_push(cleanup, NULL);
	entry();
	pthread_cleanup_pop(0);
}

static void *exits_thread(void *argument)
{
	struct scene *scene = argument;

	SCENE_CHECK(!ffg_thread_attach(scene->context));
	/* Not in the page that stays open. */
	__asm__ volatile("" : : "r"(alloca(8192)) : "memory");
	calls_with_cleanup((void (*)(void))
			   scene_entry(scene, "call_exit_thread", "v()", NULL, 0, 0));
	return NULL;
}

static void body_exit_thread(const void *unused)
{
	struct scene scene = closed_scene("callers");
	pthread_t thread;

	(void)unused;
	SCENE_CHECK(!pthread_create(&thread, NULL, exits_thread, &scene));
	pthread_join(thread, NULL);
}

TEST(thread_that_ends_in_foreign_code)
{
	death_run(&death, body_exit_thread, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "closed memory: trusted stack");
}

/* ---- signals that come together: each begins on a stack that the one before cannot touch ---- */

static volatile sig_atomic_t came[3], nested, deferred;

static void on_one(int number)
{
	volatile unsigned char local[512];

	local[0] = 1;
	came[number == SIGALRM ? 0 : number == SIGUSR1 ? 1 : 2] += local[0];
	if (number != SIGUSR1)
		return;
	/* In its sa_mask, and not. */
	raise(SIGUSR2);
	deferred += came[2] == 0;
	raise(SIGALRM);
	nested += came[0] == 2;
}

TEST(signals_that_come_together)
{
	struct scene scene = closed_scene("callers");
	long (*entry)(void) = (long (*)(void))scene_entry(&scene, "call_pkru", "i()", NULL, 0, 0);
	struct sigaction action = { .sa_handler = on_one }, old;
	sigset_t three, before;

	sigemptyset(&three);
	sigaddset(&three, SIGALRM);
	sigaddset(&three, SIGUSR1);
	sigaddset(&three, SIGUSR2);
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	sigaddset(&action.sa_mask, SIGUSR2);
	sigaction(SIGUSR1, &action, NULL);
	ASSERT_EQ(0, sigaction(SIGUSR1, NULL, &old));
	EXPECT_EQ(1, sigismember(&old.sa_mask, SIGUSR2));
	EXPECT_EQ(0, sigismember(&old.sa_mask, SIGALRM));
	for (int round = 0; round < 100; round++) {
		memset((void *)came, 0, sizeof(came));
		sigprocmask(SIG_BLOCK, &three, &before);
		raise(SIGALRM);
		raise(SIGUSR1);
		sigprocmask(SIG_SETMASK, &before, NULL);
		entry();
		ASSERT_EQ(2, came[0]);
		ASSERT_EQ(1, came[1]);
		ASSERT_EQ(1, came[2]);
	}
	EXPECT_EQ(100, deferred);
	EXPECT_EQ(100, nested);
	/* And all of them at once. */
	action.sa_handler = on_alarm;
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	alarms = 0;
	for (int round = 0; round < 100; round++) {
		sigprocmask(SIG_BLOCK, &three, &before);
		raise(SIGALRM);
		raise(SIGUSR1);
		raise(SIGUSR2);
		sigprocmask(SIG_SETMASK, &before, NULL);
	}
	EXPECT_EQ(300, alarms);
	sigprocmask(SIG_BLOCK, NULL, &before);
	EXPECT_EQ(0, sigismember(&before, SIGUSR1));
}

static void *nothing(void *argument)
{
	SCENE_CHECK(!ffg_thread_attach(argument));
	return NULL;
}

/* libc gives the stack of a thread that ended to the next one, which may be a foreign one. */
TEST(stacks_of_ended_threads_are_open)
{
	struct scene scene = closed_scene("callers");
	long (*in_thread)(void *) =
		(long (*)(void *))scene_entry(&scene, "call_thread", "i()", NULL, 0, 0);
	pthread_t thread;

	for (int round = 0; round < 20; round++) {
		ASSERT_EQ(0, pthread_create(&thread, NULL, nothing, scene.context));
		ASSERT_EQ(0, pthread_join(thread, NULL));
		ASSERT_EQ(5, in_thread(NULL));
	}
}

TEST(open_again_when_the_context_closes)
{
	struct scene scene = closed_scene("shapes");
	unsigned char local = 1, *deep = grow();

	ASSERT_EQ(0, ffg_domain_close(scene.domain));
	ASSERT_EQ(0, ffg_context_close(scene.context));
	/* With every key closed but the first, which a signal handler has. */
	__asm__ volatile(".byte 0x0f,0x01,0xef" : : "a"(0x55555554), "c"(0), "d"(0) : "memory");
	EXPECT_EQ(1, local);
	EXPECT_EQ(0, bss[4096]);
	EXPECT_EQ(1, *deep);
}

TEST(forked_child)
{
	struct scene scene = closed_scene("shapes");
	volatile unsigned char local = 1;
	int status;
	pid_t child;

	(void)scene;
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		__asm__ volatile(".byte 0x0f,0x01,0xef" : : "a"(0x55555554), "c"(0), "d"(0)
				 : "memory");
		local = 2;
		bss[4096] = 3;
		_exit(local + bss[4096]);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 5);
	EXPECT_EQ(1, local);
}

TEST(what_cannot_be_closed)
{
	struct scene scene = closed_scene("shapes");

	EXPECT_EQ(FFG_E_NO_LIBRARY, ffg_library_close(scene.context, "libnothing.so"));
	EXPECT_EQ(FFG_E_INVAL, ffg_library_close(scene.context, "libffiguard.so.0"));
	EXPECT_EQ(FFG_E_INVAL, ffg_memory_close(scene.context, data, 100));
	EXPECT_EQ(FFG_E_INVAL, ffg_memory_open(scene.context, data, 0));
	EXPECT_NE(0, ffg_memory_close(scene.context, (void *)0x10000, 4096));
}

#define main harness_main
TEST_HARNESS_MAIN
#undef main

int main(int argc, char **argv)
{
	unsigned char local[64];

	main_local = local;
	return harness_main(argc, argv);
}
