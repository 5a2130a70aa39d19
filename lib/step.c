// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Single accesses that are allowed.
 *
 * The frame that the handler returns to gets the trap flag and a PKRU with all of our keys open;
 * behind the instruction comes SIGTRAP, and the frame of that gets back what the thread had.  All
 * signals but those of instructions are blocked meanwhile: the handlers of trusted code take who
 * has all keys open for trusted code.
 */
#include <string.h>

#include "chain.h"
#include "mutant.h"
#include "step.h"

#define TRAP_FLAG	0x100
#define KERNEL_MASK	8	/* bytes of a signal mask of the kernel's */

static bool installed;

/* Of the step that the thread makes. */
static __thread struct {
	bool running;
	uint32_t pkru;
	char mask[KERNEL_MASK];
} step __attribute__((tls_model("initial-exec")));

int ffg_step_install(void (*handler)(int, siginfo_t *, void *))
{
	int error = ffg_chain_install(SIGTRAP, handler);

	if (error)
		return ffg_fail_errno(error, "cannot handle signal %d", SIGTRAP);
	__atomic_store_n(&installed, true, __ATOMIC_RELEASE);
	return 0;
}

bool ffg_step_begin(const struct ffg_context *context, ucontext_t *frame)
{
	static const int faults[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP, SIGSYS };
	uint32_t *pkru = ffg_sys_frame_pkru(frame);
	sigset_t most;

	if (!pkru || !__atomic_load_n(&installed, __ATOMIC_ACQUIRE))
		return false;
	sigfillset(&most);
	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&most, faults[i]);
	step.pkru = *pkru;
	memcpy(step.mask, &frame->uc_sigmask, KERNEL_MASK);
	step.running = true;
	*pkru &= ~context->ours;
	memcpy(&frame->uc_sigmask, &most, KERNEL_MASK);
	frame->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
	return true;
}

bool ffg_step_end(ucontext_t *frame)
{
	if (!step.running)
		return false;
	step.running = false;
	if (!FFG_MUTANT(STEP_CLOSE))
		*ffg_sys_frame_pkru(frame) = step.pkru;
	memcpy(&frame->uc_sigmask, step.mask, KERNEL_MASK);
	frame->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	return true;
}
