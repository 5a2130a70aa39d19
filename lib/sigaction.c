// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * sigaction() and its relatives, in front of libc's (interpose.c says how).
 *
 * From the first context on a handler that trusted code registers is registered as the thunk of
 * signal_x86_64.S; those that were there before are taken over then.  The program sees
 * its own handler and flags.  What foreign code registers goes to libc as it is, and runs
 * with every key closed; only a handler that it found there and puts back stays trusted.
 * SIGSEGV and the others that the library handles itself: chain.c.
 *
 * These are async-signal-safe, as libc's are.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chain.h"
#include "interpose.h"
#include "mutant.h"
#include "signal_thunk.h"

#define INTERPOSED __attribute__((visibility("default"), weak))
#define SIGNALS 65

/* libc's, for which its headers have no prototype, or not always */
extern int __sigaction(int signal, const struct sigaction *action, struct sigaction *old);
extern __sighandler_t __sysv_signal(int signal, __sighandler_t handler);
extern __sighandler_t sysv_signal(int signal, __sighandler_t handler);
extern __sighandler_t bsd_signal(int signal, __sighandler_t handler);
extern __sighandler_t ssignal(int signal, __sighandler_t handler);

/*
 * Handler and disposition change together under @writer, with all signals blocked.  @taken: the
 * thunk stands in from now on.
 */
static char writer;
static bool taken;
static bool with_info[SIGNALS];		/* SA_SIGINFO was among the program's flags */
static bool no_defer[SIGNALS];		/* SA_NODEFER was */
static sigset_t masks[SIGNALS];		/* sa_mask of the program */
static bool interrupts[SIGNALS];	/* siginterrupt() */

static void writer_lock(sigset_t *mask)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, mask);
	while (__atomic_test_and_set(&writer, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void writer_unlock(const sigset_t *mask)
{
	__atomic_clear(&writer, __ATOMIC_RELEASE);
	pthread_sigmask(SIG_SETMASK, mask, NULL);
}

/*
 * With closed stacks a handler begins on a stack that it cannot touch yet: the kernel of 6.1 cannot
 * put the frame of another signal there.  So every signal is blocked until the thunk has opened its
 * rights.  Set once, with the first context that closes stacks.
 */
static bool blocking;

static void block_until_open(struct sigaction *thunk)
{
	static const int faults[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP, SIGABRT };

	sigfillset(&thunk->sa_mask);
	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&thunk->sa_mask, faults[i]);
}

void ffg_signal_unblock(int signal, const ucontext_t *context)
{
	sigset_t mask = context->uc_sigmask;

	if (!__atomic_load_n(&blocking, __ATOMIC_ACQUIRE))
		return;
	/* What the kernel would have set. */
	sigorset(&mask, &context->uc_sigmask, &masks[signal]);
	if (!no_defer[signal])
		sigaddset(&mask, signal);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
}

static bool is_function(const struct sigaction *action)
{
	return action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN &&
	       action->sa_handler != SIG_ERR;
}

static bool is_thunk(const struct sigaction *action)
{
	return (action->sa_flags & SA_SIGINFO) && action->sa_sigaction == ffg_signal_thunk;
}

/* The kernel knows the return address of handlers, which libc does not show. */
static void learn_restorer(int signal)
{
	struct {
		void *handler;
		unsigned long flags;
		uintptr_t restorer;
		unsigned long mask;
	} action;

	if (!syscall(SYS_rt_sigaction, signal, NULL, &action, 8))
		ffg_signal_restorer_set(action.restorer);
}

/* What the program gave, for what the kernel has. */
static void translate(int signal, struct sigaction *action)
{
	if (!is_thunk(action))
		return;
	action->sa_sigaction = ffg_signal_handler(signal);
	action->sa_mask = masks[signal];
	if (!with_info[signal])
		action->sa_flags &= ~SA_SIGINFO;
}

/* Under the writer's lock; @action is the program's. */
static int put(int signal, const struct sigaction *action)
{
	ffg_signal_fn before = ffg_signal_handler(signal);
	struct sigaction thunk = *action;
	bool info = with_info[signal];
	int error;

	if (is_thunk(action))			/* siginterrupt(), and who asked the kernel */
		return ffg_interpose_sigaction(signal, action, NULL);
	with_info[signal] = action->sa_flags & SA_SIGINFO;
	no_defer[signal] = action->sa_flags & SA_NODEFER;
	masks[signal] = action->sa_mask;
	if (blocking && !FFG_MUTANT(SIGNAL_BLOCK))
		block_until_open(&thunk);
	ffg_signal_handler_set(signal, action->sa_sigaction);
	thunk.sa_sigaction = ffg_signal_thunk;
	thunk.sa_flags |= SA_SIGINFO;
	error = ffg_interpose_sigaction(signal, &thunk, NULL);
	if (!error) {
		learn_restorer(signal);
		return 0;
	}
	with_info[signal] = info;
	ffg_signal_handler_set(signal, before);
	return error;
}

/* Does a handler that is registered now get the thunk? */
static bool is_trusted(int signal, const struct sigaction *action)
{
	if (!is_function(action) || !__atomic_load_n(&taken, __ATOMIC_ACQUIRE))
		return false;
	return !ffg_gate_is_foreign() || action->sa_sigaction == ffg_signal_handler(signal);
}

static int change(int signal, const struct sigaction *action, struct sigaction *old)
{
	struct sigaction copy, before;
	sigset_t mask;
	int error;

	if (ffg_chain_has(signal)) {
		ffg_chain_action(signal, action, old);
		return 0;
	}
	if (!__atomic_load_n(&taken, __ATOMIC_ACQUIRE) || signal < 1 || signal >= SIGNALS)
		return ffg_interpose_sigaction(signal, action, old);
	/* A fault on what the caller gave must not come under the lock. */
	if (action)
		copy = *action;
	writer_lock(&mask);
	error = ffg_interpose_sigaction(signal, NULL, &before);
	if (!error)
		translate(signal, &before);
	if (!error && action && is_trusted(signal, &copy)) {
		error = put(signal, &copy);
	} else if (!error && action) {
		/* It runs with all keys closed: not on a stack that is. */
		if (blocking && is_function(&copy))
			copy.sa_flags |= SA_ONSTACK;
		error = ffg_interpose_sigaction(signal, &copy, NULL);
	}
	writer_unlock(&mask);
	if (!error && old)
		*old = before;
	return error;
}

void ffg_signal_take(bool closed_stacks)
{
	struct sigaction action;
	sigset_t mask;
	bool again;

	writer_lock(&mask);
	again = closed_stacks && !blocking;
	if (again)
		__atomic_store_n(&blocking, true, __ATOMIC_RELEASE);
	for (int signal = 1; signal < SIGNALS; signal++) {
		if (ffg_chain_has(signal) || ffg_interpose_sigaction(signal, NULL, &action) ||
		    !is_function(&action) || (is_thunk(&action) && !again))
			continue;
		translate(signal, &action);
		put(signal, &action);
	}
	__atomic_store_n(&taken, true, __ATOMIC_RELEASE);
	writer_unlock(&mask);
}

void ffg_signal_translate(int signal, struct sigaction *action)
{
	translate(signal, action);
}

void ffg_signal_fork(void)
{
	__atomic_clear(&writer, __ATOMIC_RELEASE);
}

/* ---- what programs call ---- */

INTERPOSED int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
	return change(signal, action, old);
}

INTERPOSED int __sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
	return change(signal, action, old);
}

static __sighandler_t simple(int signal, __sighandler_t handler, int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags }, old;

	if (handler == SIG_ERR || signal < 1 || signal >= SIGNALS) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return change(signal, &action, &old) ? SIG_ERR : old.sa_handler;
}

static __sighandler_t bsd(int signal, __sighandler_t handler)
{
	struct sigaction action = { .sa_handler = handler }, old;

	if (handler == SIG_ERR || signal < 1 || signal >= SIGNALS) {
		errno = EINVAL;
		return SIG_ERR;
	}
	sigaddset(&action.sa_mask, signal);
	action.sa_flags = interrupts[signal] ? 0 : SA_RESTART;
	return change(signal, &action, &old) ? SIG_ERR : old.sa_handler;
}

INTERPOSED __sighandler_t signal(int number, __sighandler_t handler)
{
	return bsd(number, handler);
}

INTERPOSED __sighandler_t bsd_signal(int number, __sighandler_t handler)
{
	return bsd(number, handler);
}

INTERPOSED __sighandler_t ssignal(int number, __sighandler_t handler)
{
	return bsd(number, handler);
}

INTERPOSED __sighandler_t __sysv_signal(int number, __sighandler_t handler)
{
	return simple(number, handler, (int)SA_RESETHAND | SA_NODEFER);
}

INTERPOSED __sighandler_t sysv_signal(int number, __sighandler_t handler)
{
	return simple(number, handler, (int)SA_RESETHAND | SA_NODEFER);
}

INTERPOSED int siginterrupt(int number, int interrupt)
{
	struct sigaction action;

	if (change(number, NULL, &action))
		return -1;
	interrupts[number] = interrupt;
	if (interrupt)
		action.sa_flags &= ~SA_RESTART;
	else
		action.sa_flags |= SA_RESTART;
	return change(number, &action, NULL);
}

INTERPOSED __sighandler_t sigset(int number, __sighandler_t disposition)
{
	__sighandler_t before;
	struct sigaction old;
	sigset_t set, mask;

	sigemptyset(&set);
	if (sigaddset(&set, number))
		return SIG_ERR;
	if (disposition == SIG_HOLD) {
		if (pthread_sigmask(SIG_BLOCK, &set, &mask) || change(number, NULL, &old))
			return SIG_ERR;
		before = old.sa_handler;
	} else {
		before = simple(number, disposition, 0);
		if (before == SIG_ERR || pthread_sigmask(SIG_UNBLOCK, &set, &mask))
			return SIG_ERR;
	}
	return sigismember(&mask, number) ? SIG_HOLD : before;
}

/* ---- alternate stacks ---- */

/*
 * A handler on the alternate stack that makes a guarded call leaves that stack, so that the kernel
 * would take it for free: in attached threads it is disarmed while a handler runs.  The
 * frame of the handler arms it again.
 */
static __thread stack_t alternate __attribute__((tls_model("initial-exec"))) = {
	.ss_flags = SS_DISABLE,
};

static int altstack(const stack_t *stack, stack_t *old)
{
	int error = (int)syscall(SYS_sigaltstack, stack, old);

	if (!error && stack)
		alternate = *stack;
	return error;
}

bool ffg_signal_alternate(uintptr_t address)
{
	return !(alternate.ss_flags & SS_DISABLE) &&
	       address - (uintptr_t)alternate.ss_sp < alternate.ss_size;
}

void ffg_signal_altstack(void)
{
	stack_t now;

	if (altstack(NULL, &now) || (now.ss_flags & (SS_DISABLE | SS_ONSTACK)))
		return;
	now.ss_flags = FFG_AUTODISARM;
	altstack(&now, NULL);
}

INTERPOSED int sigaltstack(const stack_t *stack, stack_t *old)
{
	stack_t copy, before;

	if (stack) {
		copy = *stack;
		if (ffg_thread_self() && !(copy.ss_flags & SS_DISABLE))
			copy.ss_flags |= FFG_AUTODISARM;
	}
	if (altstack(stack ? &copy : NULL, &before))
		return -1;
	if (old) {
		*old = before;
		old->ss_flags &= ~FFG_AUTODISARM;
	}
	return 0;
}
