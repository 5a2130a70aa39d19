// SPDX-License-Identifier: GPL-2.0-only
/*
 * libentry: every way in which a library's code gets to run without being called.
 *
 * Each way ends in entry_attack(), which writes one byte at the target.  The target
 * and the way come from the environment (ENTRY_TARGET, a hexadecimal address, and
 * ENTRY_WAY) for what the constructor sets up, or by entry_set() and entry_arm()
 * later.  A line on stderr tells that the attack was reached, so that a test can
 * tell "stopped" from "never ran".
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <threads.h>
#include <unistd.h>

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
extern void *__dso_handle;

unsigned char *entry_target;
int entry_reached;
volatile int entry_done;		/* attacks that nobody stopped */

static const char *destructor_way = "";

static void entry_attack(const char *way)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "entry: %s reached\n", way);

	if (write(2, line, length) != length)
		_exit(99);
	entry_reached++;
	if (entry_target)
		*entry_target = 0x66;
	length = snprintf(line, sizeof(line), "entry: %s done\n", way);
	if (write(2, line, length) != length)
		_exit(99);
	entry_done++;
}

static void attack_atexit(void) { entry_attack("atexit"); }
static void attack_quick(void) { entry_attack("quick-exit"); }
static void attack_on_exit(int status, void *arg) { (void)status; entry_attack(arg); }
static void attack_pointer(void *way) { entry_attack(way); }
static void attack_key(void *value) { (void)value; entry_attack("key"); }
static void attack_tss(void *value) { (void)value; entry_attack("tss"); }
static void attack_prepare(void) { entry_attack("fork-prepare"); }
static void attack_parent(void) { entry_attack("fork-parent"); }
static void attack_child(void) { entry_attack("fork-child"); }
static void attack_signal(int signal) { (void)signal; entry_attack("signal"); }
static void *attack_thread(void *way) { entry_attack(way); return NULL; }
static void attack_timer(union sigval value) { (void)value; entry_attack("timer"); }

static ssize_t attack_cookie(void *cookie, const char *buffer, size_t size)
{
	(void)buffer;
	entry_attack(cookie);
	return size;
}

void entry_set(unsigned char *target)
{
	entry_target = target;
}

/* Sets up the attack; 0, or -1 if there is no such way. */
int entry_arm(const char *way)
{
	pthread_t thread;
	pthread_key_t key;
	tss_t tss;

	if (!strcmp(way, "atexit"))
		return atexit(attack_atexit);
	if (!strcmp(way, "quick-exit"))
		return at_quick_exit(attack_quick);
	if (!strcmp(way, "on-exit"))
		return on_exit(attack_on_exit, "on-exit");
	if (!strcmp(way, "destructor")) {
		destructor_way = "destructor";
		return 0;
	}
	if (!strcmp(way, "tls"))
		return __cxa_thread_atexit_impl(attack_pointer, "tls", &__dso_handle);
	if (!strcmp(way, "key")) {
		if (pthread_key_create(&key, attack_key))
			return -1;
		return pthread_setspecific(key, "x");
	}
	if (!strcmp(way, "tss")) {
		if (tss_create(&tss, attack_tss) != thrd_success)
			return -1;
		return tss_set(tss, "x") == thrd_success ? 0 : -1;
	}
	if (!strcmp(way, "fork-prepare"))
		return pthread_atfork(attack_prepare, NULL, NULL);
	if (!strcmp(way, "fork-parent"))
		return pthread_atfork(NULL, attack_parent, NULL);
	if (!strcmp(way, "fork-child"))
		return pthread_atfork(NULL, NULL, attack_child);
	if (!strcmp(way, "signal"))
		return signal(SIGUSR1, attack_signal) == SIG_ERR ? -1 : 0;
	if (!strcmp(way, "thread")) {
		if (pthread_create(&thread, NULL, attack_thread, "thread"))
			return -1;
		return pthread_detach(thread);
	}
	if (!strcmp(way, "cookie")) {
		cookie_io_functions_t functions = { .write = attack_cookie };
		FILE *file = fopencookie("cookie", "w", functions);

		/* Left unflushed: libc does that at exit. */
		return file && fputc('x', file) == 'x' ? 0 : -1;
	}
	if (!strcmp(way, "timer")) {
		struct sigevent event = {
			.sigev_notify = SIGEV_THREAD,
			.sigev_notify_function = attack_timer,
		};
		struct itimerspec when = { .it_value.tv_nsec = 1000000 };
		timer_t timer;

		if (timer_create(CLOCK_MONOTONIC, &event, &timer))
			return -1;
		return timer_settime(timer, 0, &when, NULL);
	}
	return -1;
}

/* The plain call, for the positive control. */
void entry_call(void)
{
	entry_attack("call");
}

/* A signal handler that interrupts this call runs on top of a foreign frame. */
void entry_raise(void)
{
	raise(SIGUSR1);
}

__attribute__((constructor)) static void entry_constructor(void)
{
	const char *way = getenv("ENTRY_WAY");
	const char *target = getenv("ENTRY_TARGET");

	if (target)
		entry_target = (unsigned char *)(uintptr_t)strtoull(target, NULL, 16);
	if (!way)
		return;
	if (!strcmp(way, "constructor"))
		entry_attack("constructor");
	else if (entry_arm(way))
		fprintf(stderr, "entry: there is no way %s\n", way);
}

__attribute__((destructor)) static void entry_destructor(void)
{
	if (*destructor_way)
		entry_attack(destructor_way);
}
