// SPDX-License-Identifier: GPL-2.0-only
/*
 * Foreign code that runs without being called: constructors, destructors, threads, and whatever it
 * hands to libc for later.  Each way tries to write a guarded object and must be stopped; the same
 * way with the address of ordinary memory must get through, or it proved nothing.
 *
 * The attacks are libentry's and libresolver's, see there.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

#define CHILD_DIED	43		/* the grandchild died of SIGSEGV */

enum trigger {
	ON_OPEN,			/* nothing more to do: wait for it */
	ON_CLOSE,			/* ffg_domain_close() */
	ON_EXIT,			/* exit() with the domain open */
	ON_QUICK_EXIT,
	ON_THREAD_END,			/* armed in a thread of its own, which ends */
	ON_DETACHED_THREAD_END,		/* which gives up its line before */
	ON_FORK,
	ON_SIGNAL,			/* raised by trusted code */
	ON_FOREIGN_SIGNAL,		/* raised in a guarded call */
	ON_FLUSH,			/* fflush(NULL) by trusted code */
	ON_TRUSTED_TIMER,		/* trusted code had such a timer first */
};

struct entry {
	const char *way;
	enum trigger trigger;
	bool by_call;			/* armed by a guarded call, else by the constructor */
	bool guarded;			/* the target is an object */
	const char *call;		/* what the report names as the call */
	int status;			/* of the attacked process, if not death by SIGSEGV */
};

static unsigned char *secret;

/* The object is still as it was: seen from the report itself. */
static enum ffg_action witness(const struct ffg_violation *violation, void *data)
{
	(void)data;
	if (!violation->forked && write(2, secret[0] == 0x41 ? "intact\n" : "broken\n", 7) != 7)
		_exit(98);
	return FFG_ACTION_DIE;
}

struct thread_data {
	const struct scene *scene;
	const struct entry *entry;
	int (*arm)(const char *);
};

static void *thread_main(void *data)
{
	const struct thread_data *t = data;

	SCENE_CHECK(ffg_thread_attach(t->scene->context) == 0);
	SCENE_CHECK(t->arm(t->entry->way) == 0);
	if (t->entry->trigger == ON_DETACHED_THREAD_END)
		SCENE_CHECK(ffg_thread_detach(t->scene->context) == 0);
	return NULL;
}

static void trusted_timer(union sigval value)
{
	(void)value;
}

/* Makes libc start its timer thread, with the rights of this one. */
static void timer_first(void)
{
	struct sigevent event = {
		.sigev_notify = SIGEV_THREAD, .sigev_notify_function = trusted_timer,
	};
	struct itimerspec when = { .it_value.tv_nsec = 1000000 };
	timer_t timer;

	SCENE_CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	SCENE_CHECK(timer_settime(timer, 0, &when, NULL) == 0);
	usleep(50000);
}

static void pull_trigger(const struct scene *s, const struct entry *e, int (*arm)(const char *))
{
	struct thread_data data = { s, e, arm };
	volatile int *done;
	void (*foreign_raise)(void);
	pthread_t thread;
	pid_t child;
	int status;

	switch (e->trigger) {
	case ON_OPEN:
	case ON_TRUSTED_TIMER:
		/* Ten seconds at most: the host may be busy. */
		done = ffg_domain_symbol(s->domain, "entry_done");
		SCENE_CHECK(done);
		for (int i = 0; !*done && i < 1000; i++)
			usleep(10000);
		break;
	case ON_CLOSE:
		SCENE_CHECK(ffg_domain_close(s->domain) == 0);
		break;
	case ON_EXIT:
		exit(0);
	case ON_QUICK_EXIT:
		quick_exit(0);
	case ON_THREAD_END:
	case ON_DETACHED_THREAD_END:
		SCENE_CHECK(pthread_create(&thread, NULL, thread_main, &data) == 0);
		SCENE_CHECK(pthread_join(thread, NULL) == 0);
		break;
	case ON_FORK:
		child = fork();
		SCENE_CHECK(child >= 0);
		if (!child)
			_exit(0);
		SCENE_CHECK(waitpid(child, &status, 0) == child);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
			_exit(CHILD_DIED);
		SCENE_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		break;
	case ON_SIGNAL:
		raise(SIGUSR1);
		break;
	case ON_FOREIGN_SIGNAL:
		foreign_raise = scene_entry(s, "entry_raise", "v()", NULL, 0, 0);
		foreign_raise();
		break;
	case ON_FLUSH:
		fflush(NULL);
		break;
	}
}

static void body_entry(const void *data)
{
	static unsigned char plain = 0x41;
	const struct entry *e = data;
	struct ffg_options options = { .size = sizeof(options), .violation = witness };
	struct scene s = scene_open(NULL, &options);
	int (*arm)(const char *) = NULL;
	void (*set)(unsigned char *);
	bool in_thread = e->trigger == ON_THREAD_END || e->trigger == ON_DETACHED_THREAD_END;
	unsigned char *target;
	char address[32];

	secret = scene_object(&s, 64, FFG_OBJECT_END);
	secret[0] = 0x41;
	target = e->guarded ? secret : &plain;
	if (e->trigger == ON_TRUSTED_TIMER)
		timer_first();
	if (!e->by_call) {
		snprintf(address, sizeof(address), "%lx", (unsigned long)target);
		setenv("ENTRY_TARGET", address, 1);
		if (!in_thread)
			setenv("ENTRY_WAY", e->way, 1);
	}
	s.domain = ffg_domain_open(s.context, scene_path("entry"), 0);
	SCENE_CHECK(s.domain);
	if (e->by_call) {
		set = scene_entry(&s, "entry_set", "v(p)", NULL, 0, 0);
		set(target);
	}
	if (e->by_call || in_thread)
		arm = scene_entry(&s, "entry_arm", "i(p)", NULL, 0, 0);
	if (e->by_call)
		SCENE_CHECK(arm(e->way) == 0);
	pull_trigger(&s, e, arm);
	fprintf(stderr, "survived\n");
}

static void attack_and_control(struct __test_metadata *_metadata, struct entry e)
{
	static struct death death;
	char reached[64], done[64], call[96];

	snprintf(reached, sizeof(reached), "entry: %s reached\n", e.way);
	snprintf(done, sizeof(done), "entry: %s done\n", e.way);

	/* The control: this way of getting in works, and nobody minds ordinary memory. */
	e.guarded = false;
	death_run(&death, body_entry, &e);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, reached));
	EXPECT_TRUE(death_said(&death, done));
	EXPECT_FALSE(death_said(&death, "ffiguard: violation"));

	e.guarded = true;
	death_run(&death, body_entry, &e);
	if (e.status) {
		EXPECT_TRUE(death_exit(&death, e.status));
	} else {
		DEATH_EXPECT(&death, SIGSEGV, "intact\n", ", byte 0 of the object\n",
			     "ffiguard: violation: write of an object");
	}
	EXPECT_TRUE(death_said(&death, reached));
	EXPECT_FALSE(death_said(&death, done));
	EXPECT_FALSE(death_said(&death, "survived"));
	EXPECT_TRUE(death_said(&death, "ffiguard: violation: write of an "));
	EXPECT_TRUE(death_said(&death, "(libentry.so+0x"));
	if (e.call) {
		snprintf(call, sizeof(call), "  call:    %s, thread ", e.call);
		if (!death_said(&death, call))
			death_show(&death);
		EXPECT_TRUE(death_said(&death, call));
	}
}

#define ENTRY_TEST(name, ...)							\
	TEST(name)								\
	{									\
		attack_and_control(_metadata, (struct entry){ __VA_ARGS__ });	\
	}

ENTRY_TEST(constructor, .way = "constructor", .trigger = ON_OPEN, .call = "constructors")
ENTRY_TEST(thread_of_constructor, .way = "thread", .trigger = ON_OPEN, .call = "none")
ENTRY_TEST(thread_of_call, .way = "thread", .trigger = ON_OPEN, .by_call = true, .call = "none")
ENTRY_TEST(destructor_at_close, .way = "destructor", .trigger = ON_CLOSE, .call = "destructors")
ENTRY_TEST(destructor_at_exit, .way = "destructor", .trigger = ON_EXIT)
ENTRY_TEST(atexit_of_constructor, .way = "atexit", .trigger = ON_EXIT, .call = "an exit handler")
ENTRY_TEST(atexit_of_call, .way = "atexit", .trigger = ON_EXIT, .by_call = true,
	   .call = "an exit handler")
ENTRY_TEST(atexit_at_close, .way = "atexit", .trigger = ON_CLOSE, .call = "destructors")
ENTRY_TEST(on_exit_handler, .way = "on-exit", .trigger = ON_EXIT, .call = "an exit handler")
ENTRY_TEST(quick_exit_handler, .way = "quick-exit", .trigger = ON_QUICK_EXIT,
	   .call = "an exit handler")
ENTRY_TEST(thread_local_of_main, .way = "tls", .trigger = ON_EXIT,
	   .call = "a thread_local destructor")
ENTRY_TEST(thread_local, .way = "tls", .trigger = ON_THREAD_END,
	   .call = "a thread_local destructor")
ENTRY_TEST(thread_local_detached, .way = "tls", .trigger = ON_DETACHED_THREAD_END)
ENTRY_TEST(key_destructor, .way = "key", .trigger = ON_THREAD_END)
ENTRY_TEST(key_destructor_detached, .way = "key", .trigger = ON_DETACHED_THREAD_END)
ENTRY_TEST(tss_destructor, .way = "tss", .trigger = ON_THREAD_END)
ENTRY_TEST(fork_prepare, .way = "fork-prepare", .trigger = ON_FORK, .call = "a fork handler")
ENTRY_TEST(fork_parent, .way = "fork-parent", .trigger = ON_FORK, .call = "a fork handler")
ENTRY_TEST(fork_child, .way = "fork-child", .trigger = ON_FORK, .status = CHILD_DIED)
ENTRY_TEST(fork_prepare_of_call, .way = "fork-prepare", .trigger = ON_FORK, .by_call = true)
ENTRY_TEST(signal_handler, .way = "signal", .trigger = ON_SIGNAL)
ENTRY_TEST(signal_handler_in_call, .way = "signal", .trigger = ON_FOREIGN_SIGNAL)
ENTRY_TEST(stream_at_exit, .way = "cookie", .trigger = ON_EXIT)
ENTRY_TEST(stream_at_flush, .way = "cookie", .trigger = ON_FLUSH, .call = "a stream function")
ENTRY_TEST(timer_thread, .way = "timer", .trigger = ON_OPEN)
ENTRY_TEST(timer_thread_after_trusted, .way = "timer", .trigger = ON_TRUSTED_TIMER)

/* ---- IFUNC resolvers ---- */

#define TARGET_FD	200		/* see libresolver */

struct resolver {
	bool guarded;
	bool by_symbol;			/* at ffg_domain_symbol() instead of at ffg_domain_open() */
};

static void body_resolver(const void *data)
{
	static unsigned char plain = 0x41;
	const struct resolver *r = data;
	struct ffg_options options = { .size = sizeof(options), .violation = witness };
	struct scene s = scene_open(NULL, &options);
	unsigned char *none = NULL, *target;
	int (*answer)(void);
	int pipes[2];

	secret = scene_object(&s, 64, FFG_OBJECT_END);
	secret[0] = 0x41;
	target = r->guarded ? secret : &plain;
	SCENE_CHECK(pipe(pipes) == 0 && dup2(pipes[0], TARGET_FD) == TARGET_FD);
	if (r->by_symbol)
		SCENE_CHECK(write(pipes[1], &none, sizeof(none)) == sizeof(none));
	SCENE_CHECK(write(pipes[1], &target, sizeof(target)) == sizeof(target));
	close(pipes[1]);
	s.domain = ffg_domain_open(s.context, scene_path("resolver"), 0);
	SCENE_CHECK(s.domain);
	fprintf(stderr, "opened\n");
	answer = scene_entry(&s, "resolver_answer", "i()", NULL, 0, 0);
	SCENE_CHECK(answer() == 42);
	SCENE_CHECK(plain == 0x66);
}

static void attack_resolver(struct __test_metadata *_metadata, bool by_symbol)
{
	static struct death death;
	struct resolver r = { .by_symbol = by_symbol };

	death_run(&death, body_resolver, &r);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "entry: resolver done\n"));

	r.guarded = true;
	death_run(&death, body_resolver, &r);
	DEATH_EXPECT(&death, SIGSEGV, "entry: resolver reached\n", "intact\n",
		     "ffiguard: violation: write of an object", "(libresolver.so+0x");
	EXPECT_EQ(by_symbol, death_said(&death, "opened\n"));
	EXPECT_FALSE(death_said(&death, "entry: resolver done\n"));
}

TEST(resolver_at_open)
{
	attack_resolver(_metadata, false);
}

TEST(resolver_at_symbol)
{
	attack_resolver(_metadata, true);
}

/* ---- the other control: the attack's own function, called with a grant ---- */

static void body_granted(const void *data)
{
	struct scene s = scene_open("entry", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	void (*set)(unsigned char *) = scene_entry(&s, "entry_set", "v(p)", NULL, 0, 0);
	void (*call)(void) = scene_entry(&s, "entry_call", "v()", object, 64, FFG_INOUT);

	(void)data;
	set(object);
	call();
	SCENE_CHECK(object[0] == 0x66);
	fprintf(stderr, "granted\n");
}

TEST(granted_call)
{
	static struct death death;

	death_run(&death, body_granted, NULL);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "entry: call done\ngranted\n"));
}

/* ---- what trusted code registers keeps its rights ---- */

static unsigned char *trusted_object;

static void trusted_touch(const char *who)
{
	trusted_object[0]++;
	fprintf(stderr, "%s: %d\n", who, trusted_object[0]);
}

static void trusted_exit(void) { trusted_touch("trusted atexit"); }
static void trusted_prepare(void) { trusted_touch("trusted prepare"); }
static void trusted_key(void *value) { (void)value; trusted_touch("trusted key"); }

static void *trusted_thread(void *data)
{
	pthread_key_t key;

	SCENE_CHECK(ffg_thread_attach(data) == 0);
	SCENE_CHECK(pthread_key_create(&key, trusted_key) == 0);
	SCENE_CHECK(pthread_setspecific(key, "x") == 0);
	return NULL;
}

static void body_trusted(const void *data)
{
	struct scene s;
	pthread_t thread;
	pid_t child;

	(void)data;
	SCENE_CHECK(atexit(trusted_exit) == 0);		/* before there is a context */
	s = scene_open("entry", NULL);
	trusted_object = scene_object(&s, 64, FFG_OBJECT_END);
	SCENE_CHECK(atexit(trusted_exit) == 0);		/* and after */
	SCENE_CHECK(pthread_create(&thread, NULL, trusted_thread, s.context) == 0);
	SCENE_CHECK(pthread_join(thread, NULL) == 0);
	SCENE_CHECK(pthread_atfork(trusted_prepare, NULL, NULL) == 0);
	child = fork();
	SCENE_CHECK(child >= 0);
	if (!child)
		_exit(0);
	SCENE_CHECK(waitpid(child, NULL, 0) == child);
	exit(5);
}

TEST(trusted_handlers)
{
	static struct death death;

	death_run(&death, body_trusted, NULL);
	EXPECT_TRUE(death_exit(&death, 5));
	EXPECT_TRUE(death_said(&death, "trusted key: 1\n"));
	EXPECT_TRUE(death_said(&death, "trusted prepare: 2\n"));
	EXPECT_TRUE(death_said(&death, "trusted atexit: 3\ntrusted atexit: 4\n"));
}

TEST_HARNESS_MAIN
