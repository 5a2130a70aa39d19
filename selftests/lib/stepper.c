// SPDX-License-Identifier: GPL-2.0-only
/* Counting what the processor runs, from outside: a child is single-stepped. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stepper.h"

#define STEPS_MAX	2000000

/* Shared with the child: where the count begins. */
static uint64_t *entry_shared;

__attribute__((noinline)) void step_begin(const void *entry)
{
	*entry_shared = (uint64_t)(uintptr_t)entry;
	raise(SIGSTOP);
}

static bool code_at(pid_t child, uint64_t address, unsigned char *code)
{
	errno = 0;
	for (int n = 0; n < 2; n++) {
		long word = ptrace(PTRACE_PEEKTEXT, child, (void *)(address + 8 * n), NULL);

		if (errno && !n)
			return false;
		memcpy(code + 8 * n, &word, 8);
	}
	return true;
}

static void look(struct steps *steps, uint64_t ip, const unsigned char *code)
{
	unsigned int at = 0;

	steps->instructions++;
	if (!memcmp(code, "\x0f\x01\xef", 3)) {
		if (steps->wrpkru < 4)
			steps->wrpkru_at[steps->wrpkru] = ip;
		steps->wrpkru++;
	}
	if (!memcmp(code, "\x0f\x01\xee", 3))
		steps->rdpkru++;
	if (!memcmp(code, "\x0f\x05", 2))
		steps->system_calls++;
	if (code[0] == 0xf0)
		steps->locked++;
	if (code[0] >= 0x40 && code[0] <= 0x4f)		/* REX */
		at = 1;
	if ((code[at] == 0x86 || code[at] == 0x87) && code[at + 1] < 0xc0)
		steps->locked++;
}

static void step(struct steps *steps, pid_t child)
{
	struct user_regs_struct registers;
	uint64_t back = 0, stack = 0;		/* where the entry returns to */
	unsigned char code[16];
	int status;

	for (long n = 0; n < STEPS_MAX; n++) {
		if (ptrace(PTRACE_GETREGS, child, NULL, &registers))
			return;
		if (registers.rip == *entry_shared && !back) {
			stack = registers.rsp;
			back = (uint64_t)ptrace(PTRACE_PEEKDATA, child, (void *)stack, NULL);
		}
		if (back && registers.rip == back && registers.rsp == stack + 8) {
			steps->ended = true;
			return;
		}
		if (back && code_at(child, registers.rip, code))
			look(steps, registers.rip, code);
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) ||
		    waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
			return;
		if (WSTOPSIG(status) != SIGTRAP) {
			printf("# stepping: signal %d at %#llx\n", WSTOPSIG(status), registers.rip);
			return;
		}
	}
	printf("# stepping: no end after %d instructions\n", STEPS_MAX);
}

void steps_run(struct steps *steps, void (*body)(const void *), const void *data)
{
	int status;
	pid_t child;

	memset(steps, 0, sizeof(*steps));
	entry_shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (entry_shared == MAP_FAILED)
		abort();
	fflush(NULL);
	child = fork();
	if (child < 0)
		abort();
	if (!child) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		body(data);
		_exit(0);
	}
	if (waitpid(child, &status, 0) == child && WIFSTOPPED(status) &&
	    WSTOPSIG(status) == SIGSTOP)
		step(steps, child);
	else
		printf("# stepping: the child did not stop: status %#x\n", status);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	munmap(entry_shared, 4096);
}
