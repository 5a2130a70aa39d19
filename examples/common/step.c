// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counting WRPKRU from outside: the parent single-steps the child through the gate.  At the first
 * instruction of the foreign function it plants a breakpoint at the return address and lets it run.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "example.h"

#define STEPS_MAX	1000000
#define TRAP_FLAG	0x100ULL

/* Between the two processes. */
static struct {
	uint64_t entry;
	uint64_t function;
	uint64_t end;
	struct steps steps;
} *shared;

/* Where the stepping ends. */
__attribute__((noinline)) static void steps_stop(void)
{
	__asm__ volatile("" : : : "memory");
}

void steps_begin(const void *entry, const void *function)
{
	shared->entry = (uintptr_t)entry;
	shared->function = (uintptr_t)function;
	shared->end = (uintptr_t)steps_stop;
	raise(SIGSTOP);
}

struct steps steps_end(void)
{
	steps_stop();
	return shared->steps;
}

static void resume(pid_t child, int how, int *status)
{
	if (ptrace(how, child, NULL, NULL) || waitpid(child, status, 0) != child)
		fail("cannot trace the child: %s", strerror(errno));
}

/* At the first instruction of the foreign function: run to its return. */
static void step_over(pid_t child, struct user_regs_struct *registers)
{
	uint64_t back = (uint64_t)ptrace(PTRACE_PEEKDATA, child, (void *)registers->rsp, NULL);
	uint64_t stack = registers->rsp + 8;
	long code = ptrace(PTRACE_PEEKTEXT, child, (void *)back, NULL);
	int status;

	if (ptrace(PTRACE_POKETEXT, child, (void *)back, (void *)((code & ~0xffL) | 0xcc)))
		fail("cannot set a breakpoint: %s", strerror(errno));
	resume(child, PTRACE_CONT, &status);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
		fail("the foreign function did not return: status %#x", status);
	ptrace(PTRACE_POKETEXT, child, (void *)back, (void *)code);
	ptrace(PTRACE_GETREGS, child, NULL, registers);
	if (registers->rip != back + 1 || registers->rsp != stack)
		fail("the foreign function returned to an unexpected place");
	registers->rip = back;
	ptrace(PTRACE_SETREGS, child, NULL, registers);
}

static void step(pid_t child)
{
	struct steps steps = { 0, 0 };
	struct user_regs_struct registers;
	bool counting = false, called = false;
	uint64_t back = 0;
	int status;

	for (long n = 0; n < STEPS_MAX; n++) {
		ptrace(PTRACE_GETREGS, child, NULL, &registers);
		if (registers.rip == shared->entry) {
			back = (uint64_t)ptrace(PTRACE_PEEKDATA, child,
						(void *)registers.rsp, NULL);
			counting = true;
		}
		if (registers.rip == back)
			counting = false;
		if (registers.rip == shared->function) {
			if (called)
				fail("the foreign function was called twice");
			called = true;
			step_over(child, &registers);
		}
		if (registers.rip == shared->end) {
			if (!called)
				fail("the foreign function was not called");
			shared->steps = steps;
			/* Once a POPF was stepped the kernel takes the flag for the child's own. */
			registers.eflags &= ~TRAP_FLAG;
			ptrace(PTRACE_SETREGS, child, NULL, &registers);
			return;
		}
		if (counting) {
			long code = ptrace(PTRACE_PEEKTEXT, child, (void *)registers.rip, NULL);

			steps.wrpkru += (code & 0xffffff) == 0xef010f;
			steps.instructions++;
		}
		resume(child, PTRACE_SINGLESTEP, &status);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			fail("stepping: status %#x at %#llx", status, registers.rip);
	}
	fail("stepping: no end after %d instructions", STEPS_MAX);
}

int steps_run(void (*body)(void *), void *data)
{
	int status;
	pid_t child;

	shared = shared_new(sizeof(*shared));
	fflush(NULL);
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			fail("ptrace: %s", strerror(errno));
		body(data);
		fflush(NULL);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child)
		fail("waitpid: %s", strerror(errno));
	while (WIFSTOPPED(status)) {
		int signal = WSTOPSIG(status);

		if (signal == SIGSTOP) {
			step(child);
			signal = 0;
		}
		if (ptrace(PTRACE_CONT, child, NULL, (void *)(long)signal) ||
		    waitpid(child, &status, 0) != child)
			fail("cannot trace the child: %s", strerror(errno));
	}
	return status;
}
