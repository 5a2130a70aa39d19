// SPDX-License-Identifier: LGPL-2.1-or-later
/* The program's own handlers of the signals that ours take, behind ours. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "chain.h"
#include "internal.h"
#include "interpose.h"
#include "signal_thunk.h"

/*
 * A sequence lock: written under @writer with all signals blocked, so that a handler never meets
 * a writer of its own thread; the reader, which may be a signal handler, takes no lock.
 */
struct chain_link {
	unsigned int sequence;		/* odd while @action is being written */
	bool installed;
	bool foreign;			/* by foreign code: runs with all keys closed */
	struct sigaction action;
};

#define KERNEL_MASK	8	/* bytes of a signal mask in a frame */

enum chained {
	CHAIN_SEGV,
	CHAIN_ILL,
	CHAIN_BUS,
	CHAIN_FPE,
	CHAIN_ABRT,
	CHAIN_TRAP,
	CHAIN_REALTIME,		/* one of them, see ffg_chain_realtime() */
	CHAIN_COUNT
};

static struct chain_link links[CHAIN_COUNT];
static int realtime;
static char writer;

static struct chain_link *link_of(int signal)
{
	switch (signal) {
	case SIGSEGV:
		return &links[CHAIN_SEGV];
	case SIGILL:
		return &links[CHAIN_ILL];
	case SIGBUS:
		return &links[CHAIN_BUS];
	case SIGFPE:
		return &links[CHAIN_FPE];
	case SIGABRT:
		return &links[CHAIN_ABRT];
	case SIGTRAP:
		return &links[CHAIN_TRAP];
	}
	return signal && signal == __atomic_load_n(&realtime, __ATOMIC_ACQUIRE) ?
	       &links[CHAIN_REALTIME] : NULL;
}

/* Returns whether it is foreign code's. */
static bool link_read(struct chain_link *link, struct sigaction *action)
{
	unsigned int before, after;
	bool foreign;

	do {
		before = __atomic_load_n(&link->sequence, __ATOMIC_ACQUIRE);
		memcpy(action, &link->action, sizeof(*action));
		foreign = link->foreign;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = __atomic_load_n(&link->sequence, __ATOMIC_RELAXED);
	} while (before != after || before & 1);
	return foreign;
}

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

/* Under the writer's lock. */
static void link_write(struct chain_link *link, const struct sigaction *action, bool foreign)
{
	__atomic_store_n(&link->sequence, link->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy(&link->action, action, sizeof(*action));
	link->foreign = foreign;
	__atomic_store_n(&link->sequence, link->sequence + 1, __ATOMIC_RELEASE);
}

/* Signals of instructions, which must get through. */
static const int faults[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP, SIGSYS };

int ffg_chain_install(int signal, void (*handler)(int, siginfo_t *, void *))
{
	struct chain_link *link = link_of(signal);
	struct sigaction ours = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
	struct sigaction old;
	sigset_t mask;
	int error = 0;

	ours.sa_sigaction = handler;
	/* A handler on top of ours could not tell where the foreign stack is free. */
	sigfillset(&ours.sa_mask);
	for (unsigned int i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&ours.sa_mask, faults[i]);
	writer_lock(&mask);
	if (ffg_interpose_sigaction(signal, NULL, &old) != 0) {
		error = errno;
	} else if (!(old.sa_flags & SA_SIGINFO) || old.sa_sigaction != handler) {
		/* Known before ours can run: a fault in between finds it. */
		ffg_signal_translate(signal, &old);
		link_write(link, &old, false);
		if (ffg_interpose_sigaction(signal, &ours, NULL) != 0)
			error = errno;
		else
			__atomic_store_n(&link->installed, true, __ATOMIC_RELEASE);
	}
	writer_unlock(&mask);
	return error;
}

int ffg_chain_realtime(void)
{
	int signal = __atomic_load_n(&realtime, __ATOMIC_ACQUIRE);
	struct sigaction action;

	for (int n = SIGRTMAX; !signal && n >= SIGRTMIN; n--)
		if (!ffg_interpose_sigaction(n, NULL, &action) && !(action.sa_flags & SA_SIGINFO) &&
		    action.sa_handler == SIG_DFL)
			signal = n;
	__atomic_store_n(&realtime, signal, __ATOMIC_RELEASE);
	return signal;
}

bool ffg_chain_has(int signal)
{
	struct chain_link *link = link_of(signal);

	return link && __atomic_load_n(&link->installed, __ATOMIC_ACQUIRE);
}

void ffg_chain_action(int signal, const struct sigaction *action, struct sigaction *old)
{
	struct chain_link *link = link_of(signal);
	struct sigaction copy, before;
	bool foreign;
	sigset_t mask;

	/* @action and @old may be one; and a fault on them must not come under the lock. */
	if (action)
		copy = *action;
	foreign = link_read(link, &before);
	if (old)
		*old = before;
	if (!action)
		return;
	/* A handler that foreign code found there and puts back is whose it was. */
	if (copy.sa_handler != before.sa_handler)
		foreign = ffg_gate_is_foreign();
	writer_lock(&mask);
	link_write(link, &copy, foreign);
	writer_unlock(&mask);
}

void ffg_chain_die(int signal, siginfo_t *info)
{
	struct sigaction fatal = { .sa_handler = SIG_DFL };

	ffg_interpose_sigaction(signal, &fatal, NULL);
	/*
	 * The signal is blocked in its handler, so this one waits until the handler returns.
	 * Without it the instruction could get through the second time: another thread may just
	 * have allocated there.
	 */
	syscall(SYS_rt_tgsigqueueinfo, getpid(), ffg_sys_tid(), signal, info);
}

void ffg_chain_pass(int signal, siginfo_t *info, void *ucontext)
{
	struct sigaction action;
	struct sigaction fresh = { .sa_handler = SIG_DFL };
	sigset_t mask;
	bool foreign;

	foreign = link_read(link_of(signal), &action);
	if (!(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (!(action.sa_flags & SA_SIGINFO) &&
	    (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)) {
		ffg_chain_die(signal, info);
		return;
	}
	if (action.sa_flags & SA_RESETHAND)
		ffg_chain_action(signal, &fresh, NULL);
	/* As the kernel would have; sigreturn takes it back. */
	sigemptyset(&mask);
	memcpy(&mask, &((const ucontext_t *)ucontext)->uc_sigmask, KERNEL_MASK);
	sigorset(&mask, &mask, &action.sa_mask);
	if (!(action.sa_flags & SA_NODEFER))
		sigaddset(&mask, signal);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	/* One that takes the number only does not mind the rest. */
	if (foreign)
		action.sa_sigaction(signal, info, ucontext);
	else
		ffg_signal_chain(action.sa_sigaction, signal, info, ucontext);
}

void ffg_chain_fork(void)
{
	__atomic_clear(&writer, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		if (!(links[i].sequence & 1))
			continue;
		/* Half of it was written by a thread that this process has not. */
		memset(&links[i].action, 0, sizeof(links[i].action));
		links[i].sequence++;
	}
}
