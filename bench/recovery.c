// SPDX-License-Identifier: GPL-2.0-only
/* What it costs to go on: a call that is ended, and a reset; beside a new process. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "bench.h"

#define GOAL_VIOLATION	6000

static struct ffg_context *context;
static struct ffg_domain *library;
static unsigned char *closed[1];
static struct ffg_call *call;
static touch_fn touch;

static void violate(void)
{
	touch(closed, 1);
	if (ffg_call_error(call) != FFG_E_VIOLATION)
		fail("the violation was not ended");
}

/* The least that a recovery by signal can cost: the fault, the handler, the way back. */
static char *absent;

static void skip(int signal, siginfo_t *info, void *data)
{
	(void)signal;
	(void)info;
	((ucontext_t *)data)->uc_mcontext.gregs[REG_RIP] += 3;
}

static NOINLINE void fault(void)
{
	/* Three bytes long */
	__asm__ volatile("movb $0, (%0)" : : "r"(absent) : "memory");
}

static double cost_of_signal(void)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO }, before;
	double cost;

	action.sa_sigaction = skip;
	absent = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (absent == MAP_FAILED || sigaction(SIGSEGV, &action, &before))
		fail("no signal");
	cost = MEASURE(9, 100, fault());
	sigaction(SIGSEGV, &before, NULL);
	return cost;
}

/* Another program, as a supervisor starts a worker anew. */
static void restart(void)
{
	int status;
	pid_t child = vfork();

	if (!child) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		fail("the child failed");
}

void part_recovery(void)
{
	double plain, ended;

	double bare = cost_of_signal();

	context = ffg_context_open(NULL);
	if (!context)
		fail_ffg("no context");
	library = ffg_domain_open(context, foreign_path, FFG_POLICY_RECOVER);
	if (!library)
		fail_ffg(foreign_path);
	closed[0] = ffg_object_alloc(context, 64, FFG_OBJECT_END);
	call = ffg_call_new(library, "bench_touch", "v(pi)");
	if (!closed[0] || !call)
		fail_ffg("call");
	touch = (touch_fn)ffg_call_entry(call);
	rows_part("recovery");
	plain = MEASURE(9, 100, touch(closed, 0));
	ended = MEASURE(9, 100, violate());
	row(ended - plain, INSTRUCTIONS ", over a call that returns", GOAL_VIOLATION,
	    "recover.violation");
	row(bare, INSTRUCTIONS ", nothing but the signal", NO_GOAL, "peer.sigsegv");
	row(MEASURE(9, 20, violate(); ffg_call_report(call)) - ended,
	    INSTRUCTIONS, NO_GOAL, "recover.report");
	row(MEASURE(9, 100, ffg_domain_reset(library)), INSTRUCTIONS ", 1 small library", NO_GOAL,
	    "recover.reset");
	row(MEASURE(5, 5, restart()), INSTRUCTIONS ", vfork, exec, exit", NO_GOAL, "peer.restart");
}
