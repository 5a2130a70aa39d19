// SPDX-License-Identifier: GPL-2.0-only
/*
 * A signal at every instruction: of the gate on the way in and out, of the foreign function, of
 * a callback, and of the entry of signal handlers itself.  The child is single-stepped and
 * given the signal after so many steps; each time the handler makes a guarded call.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "handlers.h"

#define STEPS_MAX 3000

enum what { PLAIN, MEMORY, CALLBACK };

struct step_case {
	enum what what;
	int flags;			/* of the handlers */
	bool second;			/* a signal while the first one is being delivered */
};

/* Shared with the child. */
struct shared {
	uint64_t entry;			/* where to begin to count */
	uint64_t thunk;
	volatile long rounds, wrong, errors, failed, handled;
};
static struct shared *shared;

struct structure { long w[32]; };
static struct structure structure_of(int seed)
{
	struct structure result;

	for (int n = 0; n < 32; n++)
		result.w[n] = seed * 1000 + n;
	return result;
}

static long called_back(long a, void *data)
{
	(void)data;
	return a * 2;
}

typedef struct structure (*structure_fn)(int);
typedef int (*sum_fn)(int, unsigned char, short);
typedef long (*back_fn)(void *, long, void *);

/* The child's work, once; whether it came out wrong. */
static bool work_once(enum what what, void *entry, void *callback, int round)
{
	struct structure got, expected;

	switch (what) {
	case PLAIN:
		return ((sum_fn)entry)(round, 7, 3) != round * 3 + 7 - 3;
	case MEMORY:
		got = ((structure_fn)entry)(round);
		expected = structure_of(round);
		return memcmp(&got, &expected, sizeof(got)) != 0;
	case CALLBACK:
		return ((back_fn)entry)(callback, round, NULL) != round * 2 + 1;
	}
	return true;
}

static void child(const struct step_case *step)
{
	static const char *const symbols[] = { "form_int", "signals_structure", "call_long" };
	static const char *const signatures[] = { "i(iii)", "m256(i)", "i(pip)" };
	static const char *const libraries[] = { "forms", "signals", "callers" };
	struct ffg_callback *callback = NULL;
	struct ffg_domain *domain;
	struct ffg_call *call;
	void *entry;

	stage_open(NULL);
	stage_altstack();
	stage_handle(SIGUSR1, step->flags);
	stage_handle(SIGUSR2, step->flags);
	domain = ffg_domain_open(stage.scene.context, scene_path(libraries[step->what]), 0);
	SCENE_CHECK(domain);
	call = ffg_call_new(domain, symbols[step->what], signatures[step->what]);
	SCENE_CHECK(call && !ffg_call_grant(call, stage.mine, 64, FFG_INOUT));
	entry = ffg_call_entry(call);
	if (step->what == CALLBACK) {
		callback = ffg_callback_new(domain, (void *)called_back, "i(ip)");
		SCENE_CHECK(callback);
	}
	work_once(step->what, entry, callback ? ffg_callback_entry(callback) : NULL, 0);
	stage.poke(stage.theirs, 1);
	shared->thunk = stage_thunk(SIGUSR1, NULL);
	shared->entry = (uintptr_t)entry;
	for (int round = 1;; round++) {
		raise(SIGSTOP);
		shared->wrong += work_once(step->what, entry,
					   callback ? ffg_callback_entry(callback) : NULL, round);
		shared->errors += ffg_call_error(call) != 0;
		shared->failed = stage.failed;
		shared->handled = stage.handled;
		shared->rounds = round;
	}
}

static uint64_t ip_of(pid_t pid)
{
	return (uint64_t)ptrace(PTRACE_PEEKUSER, pid,
				(void *)offsetof(struct user_regs_struct, rip), NULL);
}

/* Continues or steps with a signal; the next stop's signal, or -1: it ended. */
static int go(pid_t pid, int how, int signal)
{
	int status = 0;

	if (ptrace(how, pid, NULL, (void *)(long)signal) || waitpid(pid, &status, 0) != pid ||
	    !WIFSTOPPED(status)) {
		printf("# the child does not stop: status %#x\n", status);
		return -1;
	}
	if (how == PTRACE_SINGLESTEP && WSTOPSIG(status) != SIGTRAP)
		printf("# stepping: signal %d at %#lx\n", WSTOPSIG(status), ip_of(pid));
	return WSTOPSIG(status);
}

static void registers_of(pid_t pid, struct user_regs_struct *registers)
{
	memset(registers, 0, sizeof(*registers));
	ptrace(PTRACE_GETREGS, pid, NULL, registers);
}

/* Stepping over POPF leaves the trap flag behind: the program's own, as it seems. */
static void clear_trap(pid_t pid)
{
	struct user_regs_struct registers;

	registers_of(pid, &registers);
	if (!(registers.eflags & 0x100))
		return;
	registers.eflags &= ~0x100UL;
	ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}

/* Lets it run to @address; signals other than @signal wait. */
static bool run_to(pid_t pid, uint64_t address, int signal)
{
	struct user_regs_struct registers;
	long code;
	int got;

	clear_trap(pid);
	if (ip_of(pid) == address && !signal)
		return true;
	code = ptrace(PTRACE_PEEKTEXT, pid, (void *)address, NULL);
	ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)((code & ~0xffL) | 0xcc));
	got = go(pid, PTRACE_CONT, signal);
	ptrace(PTRACE_POKETEXT, pid, (void *)address, (void *)code);
	registers_of(pid, &registers);
	if (got != SIGTRAP || registers.rip != address + 1) {
		printf("# running to %#lx: signal %d at %#llx\n", address, got, registers.rip);
		return false;
	}
	registers.rip = address;
	ptrace(PTRACE_SETREGS, pid, NULL, &registers);
	return true;
}

/* One instruction, a string instruction as a whole. */
static bool step(pid_t pid)
{
	uint64_t ip = ip_of(pid);
	unsigned long code = (unsigned long)ptrace(PTRACE_PEEKTEXT, pid, (void *)ip, NULL);

	if ((code & 0xffff) == 0xa4f3)
		return run_to(pid, ip + 2, 0);
	if ((code & 0xffffff) == 0xa548f3)
		return run_to(pid, ip + 3, 0);
	return go(pid, PTRACE_SINGLESTEP, 0) == SIGTRAP;
}

/* Lets it run to its next SIGSTOP; other signals get through. */
static bool run_on(pid_t pid, int signal)
{
	for (;;) {
		clear_trap(pid);
		signal = go(pid, PTRACE_CONT, signal);
		if (signal < 0 || signal == SIGSTOP)
			return signal == SIGSTOP;
		if (signal == SIGSEGV || signal == SIGILL || signal == SIGTRAP)
			printf("# signal %d at %#lx\n", signal, ip_of(pid));
	}
}

static uint64_t sp_of(pid_t pid)
{
	struct user_regs_struct registers;

	registers_of(pid, &registers);
	return registers.rsp;
}

/* Every instruction; every seventh on kernels that check themselves, which take much longer. */
static long stride(void)
{
	const char *kernel = getenv("FFG_KERNEL");

	return kernel && (!strcmp(kernel, "debug") || !strcmp(kernel, "kcsan")) ? 7 : 1;
}

/* For the instructions from the entry to the return. */
static long step_all(pid_t pid, const struct step_case *step_case)
{
	for (long k = 0; k < STEPS_MAX; k += stride()) {
		bool over = false;
		uint64_t back;

		if (!run_to(pid, shared->entry, 0))
			return -1;
		back = (uint64_t)ptrace(PTRACE_PEEKDATA, pid, (void *)sp_of(pid), NULL);
		for (long n = 0; n < k && !over; n++) {
			if (!step(pid))
				return -1;
			over = ip_of(pid) == back;
		}
		if (step_case->second)
			kill(pid, SIGUSR2);
		if (!run_on(pid, SIGUSR1))
			return -1;
		if (over)
			return k;
	}
	return STEPS_MAX;
}

/* Where the thunk goes on when the handler has returned: the second MOV %R15, %RSP. */
static uint64_t tail_of(pid_t pid)
{
	bool first = true;

	for (uint64_t at = shared->thunk; at < shared->thunk + 1024; at++) {
		long code = ptrace(PTRACE_PEEKTEXT, pid, (void *)at, NULL);

		if ((code & 0xffffff) != 0xfc894c)
			continue;
		if (!first)
			return at;
		first = false;
	}
	return 0;
}

/* @depth instructions from the entry; a signal there; @j instructions of its way, or way back. */
static bool step_thunk_once(pid_t pid, long depth, long j, uint64_t tail, bool *over)
{
	uint64_t ip;

	if (!run_to(pid, shared->entry, 0))
		return false;
	for (long n = 0; n < depth; n++)
		if (!step(pid))
			return false;
	ip = ip_of(pid);
	if (!run_to(pid, tail ? tail : shared->thunk, SIGUSR1))
		return false;
	for (long n = 0; n < j && !*over; n++) {
		uint64_t now;

		if (!step(pid))
			return false;
		now = ip_of(pid);
		*over = now == ip || now - shared->thunk > 1024;
	}
	return run_on(pid, SIGUSR2);
}

static long step_thunk(pid_t pid, long depth)
{
	uint64_t tail = tail_of(pid);
	bool over = false;
	long j, k;

	for (j = 0; j < STEPS_MAX && !over; j += stride())
		if (!step_thunk_once(pid, depth, j, 0, &over))
			return -1;
	over = false;
	for (k = 0; k < STEPS_MAX && !over; k += stride())
		if (!tail || !step_thunk_once(pid, depth, k, tail, &over))
			return -1;
	return j + k;
}

static void stepping(struct __test_metadata *_metadata, struct step_case step_case,
		     long depth)
{
	int status;
	pid_t pid;
	long steps;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	fflush(NULL);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		child(&step_case);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	steps = depth ? step_thunk(pid, depth) : step_all(pid, &step_case);
	TH_LOG("%ld instructions, %ld rounds, %ld handlers", steps, shared->rounds,
	       shared->handled);
	EXPECT_LT(80, steps);
	EXPECT_GT(STEPS_MAX, steps);
	EXPECT_LE(steps / stride(), shared->rounds);
	EXPECT_EQ(0, shared->wrong);
	EXPECT_EQ(0, shared->errors);
	EXPECT_EQ(0, shared->failed);
	EXPECT_EQ((step_case.second || depth ? 2 : 1) * shared->rounds, shared->handled);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

#define STEP_TEST(name, depth, ...)						\
	TEST(name)								\
	{									\
		stepping(_metadata, (struct step_case){ __VA_ARGS__ }, depth);	\
	}

STEP_TEST(every_instruction_of_a_call, 0, PLAIN, 0, false)
STEP_TEST(every_instruction_on_an_alternate_stack, 0, PLAIN, SA_ONSTACK, false)
STEP_TEST(every_instruction_of_a_memory_return, 0, MEMORY, 0, false)
STEP_TEST(every_instruction_with_two_signals, 0, PLAIN, 0, true)
STEP_TEST(every_instruction_with_two_signals_on_an_alternate_stack, 0, PLAIN, SA_ONSTACK, true)
STEP_TEST(every_instruction_of_a_callback, 0, CALLBACK, 0, false)
STEP_TEST(every_instruction_of_a_callback_on_an_alternate_stack, 0, CALLBACK, SA_ONSTACK, false)
STEP_TEST(every_instruction_of_the_thunk, 72, PLAIN, 0, false)
STEP_TEST(every_instruction_of_the_thunk_on_an_alternate_stack, 72, PLAIN, SA_ONSTACK, false)

TEST_HARNESS_MAIN
