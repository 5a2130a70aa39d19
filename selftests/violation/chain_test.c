// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is no violation is passed on to the program: its SIGSEGV and SIGILL handlers, set before the
 * context was opened or after, by sigaction(), by signal() or by the bare system call.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

typedef void (*write1_fn)(unsigned char *, long, int);
typedef void (*crash_fn)(void *);

static struct death death;

/* Not NULL itself, which compilers know better than to touch. */
static int *volatile nearly_null = (int *)16;

enum chained { BEFORE, AFTER, SIMPLE, RAW, NOT_SET };

static void chained_info(int signal, siginfo_t *info, void *ucontext)
{
	char line[80];
	int length = snprintf(line, sizeof(line), "chained %d at %p code %d\n", signal,
			      info->si_addr, info->si_code);

	(void)ucontext;
	if (write(2, line, length) != length)
		_exit(98);
	_exit(42);
}

static void chained_simple(int signal)
{
	char line[40];
	int length = snprintf(line, sizeof(line), "chained %d\n", signal);

	if (write(2, line, length) != length)
		_exit(98);
	_exit(42);
}

/* A handler of a program whose language runtime makes its system calls itself. */
static void chained_raw(int signal, siginfo_t *info, void *ucontext)
{
	if (!ffg_violation_handle(signal, info, ucontext))
		chained_info(signal, info, ucontext);
	if (write(2, "handled\n", 8) != 8)
		_exit(98);
}

extern void raw_restorer(void);
__asm__(".globl raw_restorer\nraw_restorer: mov $15, %eax\n syscall\n");

static void handler_raw(int signal)
{
	struct {
		void (*handler)(int, siginfo_t *, void *);
		unsigned long flags;
		void (*restorer)(void);
		unsigned long mask;
	} action = { chained_raw, SA_SIGINFO | SA_ONSTACK | 0x04000000, raw_restorer, 0 };

	SCENE_CHECK(syscall(SYS_rt_sigaction, signal, &action, NULL, 8) == 0);
}

struct chain_case {
	enum chained how;
	int signal;
	const char *symbol;		/* of libshapes; NULL: violation */
	bool trusted;			/* the program itself crashes */
};

static void handler_set(enum chained how, int signal_number)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO };

	action.sa_sigaction = chained_info;
	switch (how) {
	case BEFORE:
	case AFTER:
		SCENE_CHECK(sigaction(signal_number, &action, NULL) == 0);
		break;
	case SIMPLE:
		SCENE_CHECK(signal(signal_number, chained_simple) != SIG_ERR);
		break;
	case RAW:
		handler_raw(signal_number);
		break;
	case NOT_SET:
		break;
	}
}

static void body_chain(const void *data)
{
	const struct chain_case *c = data;
	struct scene s;
	unsigned char *object;

	if (c->how == BEFORE)
		handler_set(c->how, c->signal);
	s = scene_open("shapes", NULL);
	if (c->how != BEFORE)
		handler_set(c->how, c->signal);
	object = scene_object(&s, 64, FFG_OBJECT_END);
	if (c->trusted)
		*nearly_null = 1;
	else if (c->symbol)
		((crash_fn)scene_entry(&s, c->symbol, "v(p)", NULL, 0, 0))(nearly_null);
	else
		((write1_fn)scene_entry(&s, "shape_write1", "v(pii)", NULL, 0, 0))(object, 0, 1);
}

TEST(foreign_null)
{
	struct chain_case c = { BEFORE, SIGSEGV, "shape_crash_null", false };

	death_run(&death, body_chain, &c);
	EXPECT_TRUE(death_exit(&death, 42));
	EXPECT_TRUE(death_said(&death, "chained 11 at 0x10 code 1\n"));

	c.how = AFTER;
	death_run(&death, body_chain, &c);
	EXPECT_TRUE(death_exit(&death, 42));
	EXPECT_TRUE(death_said(&death, "chained 11 at 0x10 code 1\n"));

	c.how = SIMPLE;
	death_run(&death, body_chain, &c);
	EXPECT_TRUE(death_exit(&death, 42));
	EXPECT_TRUE(death_said(&death, "chained 11\n"));
	EXPECT_FALSE(death_said(&death, "ffiguard: violation"));
}

TEST(trusted_null)
{
	struct chain_case c = { AFTER, SIGSEGV, NULL, true };

	death_run(&death, body_chain, &c);
	EXPECT_TRUE(death_exit(&death, 42));
	EXPECT_TRUE(death_said(&death, "chained 11 at 0x10 code 1\n"));
	EXPECT_FALSE(death_said(&death, "ffiguard: violation"));
}

/* A violation is not the program's to handle: its handler is not asked. */
TEST(violation)
{
	struct chain_case c = { AFTER, SIGSEGV, NULL, false };

	death_run(&death, body_chain, &c);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: ");
	EXPECT_FALSE(death_said(&death, "chained"));
}

TEST(default_action)
{
	struct chain_case c = { NOT_SET, SIGSEGV, "shape_crash_null", false };

	death_run(&death, body_chain, &c);
	DEATH_EXPECT(&death, SIGSEGV, "");
	EXPECT_FALSE(death_said(&death, "ffiguard: violation"));
}

TEST(illegal_instruction)
{
	struct chain_case c = { AFTER, SIGILL, "shape_crash_illegal", false };

	death_run(&death, body_chain, &c);
	EXPECT_TRUE(death_exit(&death, 42));
	EXPECT_TRUE(death_said(&death, "chained 4 at "));

	c.how = NOT_SET;
	death_run(&death, body_chain, &c);
	DEATH_EXPECT(&death, SIGILL, "");
}

TEST(handle_by_program)
{
	struct chain_case c = { RAW, SIGSEGV, NULL, false };

	death_run(&death, body_chain, &c);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: ", "handled\n");
	EXPECT_FALSE(death_said(&death, "chained"));

	c.symbol = "shape_crash_null";
	death_run(&death, body_chain, &c);
	EXPECT_TRUE(death_exit(&death, 42));
	EXPECT_TRUE(death_said(&death, "chained 11 at 0x10 code 1\n"));
}

static sigjmp_buf jump;
static volatile int jumped;

static void jumper(int signal)
{
	jumped = signal;
	siglongjmp(jump, 1);
}

/* Runtimes that turn a null dereference into an exception leave the handler by a jump. */
static void body_longjmp(const void *data)
{
	struct scene s;

	(void)data;
	s = scene_open("shapes", NULL);
	SCENE_CHECK(signal(SIGSEGV, jumper) == SIG_DFL);
	for (int i = 0; i < 3; i++) {
		jumped = 0;
		if (!sigsetjmp(jump, 1))
			*nearly_null = 1;
		SCENE_CHECK(jumped == SIGSEGV);
	}
	fprintf(stderr, "jumped\n");
	(void)s;
}

TEST(handler_jumps_out)
{
	death_run(&death, body_longjmp, NULL);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "jumped\n"));
}

/* The program sees its own handlers, and the flags that it gave. */
static void body_view(const void *data)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_NODEFER }, old;

	(void)data;
	SCENE_CHECK(signal(SIGSEGV, chained_simple) == SIG_DFL);
	scene_open(NULL, NULL);
	SCENE_CHECK(sigaction(SIGSEGV, NULL, &old) == 0 && old.sa_handler == chained_simple);
	action.sa_sigaction = chained_info;
	SCENE_CHECK(sigaction(SIGSEGV, &action, &old) == 0 && old.sa_handler == chained_simple);
	SCENE_CHECK(sigaction(SIGSEGV, NULL, &old) == 0 && old.sa_sigaction == chained_info &&
		    (old.sa_flags & (SA_SIGINFO | SA_NODEFER | SA_ONSTACK)) ==
		    (SA_SIGINFO | SA_NODEFER));
	/* One member of a union. */
	SCENE_CHECK(signal(SIGSEGV, SIG_IGN) == old.sa_handler);
	/* Ignored: one that is sent has no effect; a fault has. */
	raise(SIGSEGV);
	fprintf(stderr, "ignored\n");
	SCENE_CHECK(signal(SIGUSR1, chained_simple) == SIG_DFL);
	SCENE_CHECK(signal(SIGUSR1, SIG_DFL) == chained_simple);
	*nearly_null = 1;
}

TEST(view_of_the_program)
{
	death_run(&death, body_view, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "ignored\n");
	EXPECT_FALSE(death_said(&death, "scene:"));
}

TEST_HARNESS_MAIN
