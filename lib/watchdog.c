// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Time budgets.
 *
 * The gate counts calls in the line of the thread and knows no time.  A thread of the library,
 * started with the first budget, looks at the lines now and then: one that is in the same call for
 * longer than the call's budget gets a signal, whose handler ends the call, or, where that is not
 * possible now, leaves it to be tried again.  What the line says is only a hint until the handler
 * has seen that the thread is in that call indeed.
 *
 * Locks: @mutex (the thread's state), never held together with thread_mutex, which is taken while
 * the lines are looked at and keeps the threads from ending.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "chain.h"
#include "gate.h"
#include "interpose.h"
#include "mutant.h"
#include "recover.h"
#include "text.h"

#define TICK_MAX	25U		/* milliseconds */
#define GRACE_MIN	1000U
#define MILLION		1000000ULL

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t watchdog;		/* under mutex, as is what follows */
static bool running;
static bool stopping;
static unsigned int tick;		/* milliseconds between two looks */

/* Marks our signals: the program may send itself the same one. */
static char cookie;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 * MILLION + (uint64_t)now.tv_nsec;
}

/* ---- the watched thread ---- */

static bool in_foreign_mode(const struct ffg_context *context, const struct ffg_thread *thread,
			    ucontext_t *frame)
{
	uint32_t *pkru = ffg_sys_frame_pkru(frame);

	return pkru && (*pkru & FFG_PKRU_AD(context->safe)) &&
	       thread->line_ro->tpkru != FFG_LINE_IDLE;
}

static void run_out(const struct ffg_context *context, struct ffg_thread *thread, siginfo_t *info,
		    ucontext_t *frame)
{
	struct ffg_violation v;

	memset(&v, 0, offsetof(struct ffg_violation, frame));
	v.reason = FFG_REASON_TIMEOUT;
	v.address = frame->uc_mcontext.gregs[REG_RIP];
	v.access = FFG_ACCESS_EXEC;
	if (ffg_recover(&v, context, frame))
		return;
	if (v.unrecovered && !__atomic_load_n(&thread->watch.last, __ATOMIC_ACQUIRE))
		return;
	ffg_violation_die(&v, context, SIGABRT, info, frame);
}

static void handler(int signal, siginfo_t *info, void *ucontext)
{
	const struct ffg_context *context = ffg_context_process();
	struct ffg_thread *thread = ffg_thread_self();
	int saved = errno;

	if (info->si_code != SI_QUEUE || info->si_value.sival_ptr != &cookie ||
	    info->si_pid != getpid()) {
		ffg_chain_pass(signal, info, ucontext);
	} else if (context && thread) {
		/* In trusted mode, also of a handler or in the gate: it is tried again. */
		if (in_foreign_mode(context, thread, ucontext) &&
		    __atomic_load_n(&thread->watch.expired, __ATOMIC_ACQUIRE) ==
		    thread->line_ro->calls)
			run_out(context, thread, info, ucontext);
		__atomic_store_n(&thread->watch.sent, 0, __ATOMIC_RELEASE);
	}
	errno = saved;
}

/* ---- the watching thread ---- */

static uint32_t budget_of(const struct ffg_context *context, uint64_t address)
{
	uint64_t offset = address - (uintptr_t)context->records;
	uint32_t budget;

	if (offset >= context->records_size || offset % sizeof(struct ffg_record))
		return 0;
	memcpy(&budget, (const char *)context->records + offset + R_BUDGET, sizeof(budget));
	return budget;
}

static void send(const struct ffg_thread *thread)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_ptr = &cookie;
	syscall(SYS_rt_tgsigqueueinfo, getpid(), thread->id, ffg_chain_realtime(), &info);
}

/* The thread has blocked the signal, or never comes out of the kernel. */
static void end_process(const struct ffg_thread *thread)
{
	struct sigaction fatal = { .sa_handler = SIG_DFL };
	struct ffg_text text = { .length = 0 };
	sigset_t set;

	ffg_text_put(&text, "ffiguard: timeout: the budget of a call has run out, and thread ");
	ffg_text_dec(&text, (uint64_t)thread->id);
	ffg_text_put(&text, " takes no signal\n");
	ffg_text_write(&text, STDERR_FILENO);
	ffg_interpose_sigaction(SIGABRT, &fatal, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGABRT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	syscall(SYS_tgkill, getpid(), ffg_sys_tid(), SIGABRT);
}

static void look(struct ffg_thread *thread, void *data)
{
	const struct ffg_line *line = thread->line_ro;
	struct ffg_watch *watch = &thread->watch;
	uint64_t now = *(uint64_t *)data, calls = __atomic_load_n(&line->calls, __ATOMIC_ACQUIRE);
	uint64_t budget = 0, grace;

	if (__atomic_load_n(&line->tpkru, __ATOMIC_ACQUIRE) != FFG_LINE_IDLE)
		budget = budget_of(thread->context, __atomic_load_n(&line->record,
								    __ATOMIC_RELAXED));
	if (!budget || (calls != watch->calls && !FFG_MUTANT(WATCH_CALLS)) || !watch->since) {
		watch->since = budget ? now : 0;
		watch->calls = calls;
		__atomic_store_n(&watch->last, false, __ATOMIC_RELEASE);
		return;
	}
	if (now - watch->since < budget * MILLION)
		return;
	grace = budget + (budget > GRACE_MIN ? budget : GRACE_MIN);
	if (now - watch->since > grace * MILLION)
		__atomic_store_n(&watch->last, true, __ATOMIC_RELEASE);
	__atomic_store_n(&watch->expired, calls, __ATOMIC_RELEASE);
	if (!__atomic_exchange_n(&watch->sent, 1, __ATOMIC_ACQ_REL)) {
		watch->sent_at = now;
		send(thread);
	} else if (now - watch->sent_at > 2 * grace * MILLION) {
		end_process(thread);
	}
}

static void *watch(void *data)
{
	pthread_mutex_lock(&mutex);
	while (!stopping) {
		uint64_t now = now_ns(), at;
		struct timespec until;

		pthread_mutex_unlock(&mutex);
		ffg_thread_lock();
		ffg_thread_each(look, &now);
		ffg_thread_unlock();
		pthread_mutex_lock(&mutex);
		at = now + tick * MILLION;
		until.tv_sec = (time_t)(at / (1000 * MILLION));
		until.tv_nsec = (long)(at % (1000 * MILLION));
		if (!stopping)
			pthread_cond_clockwait(&changed, &mutex, CLOCK_MONOTONIC, &until);
	}
	pthread_mutex_unlock(&mutex);
	return data;
}

/* Under mutex. */
static int start(void)
{
	sigset_t all, mask;
	int signal = ffg_chain_realtime(), error;

	if (!signal)
		return ffg_fail(FFG_E_LIMIT, "time budgets: no real-time signal is free");
	error = ffg_chain_install(signal, handler);
	if (error)
		return ffg_fail_errno(error, "time budgets: signal %d", signal);
	stopping = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	error = pthread_create(&watchdog, NULL, watch, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	if (error)
		return ffg_fail_errno(error, "time budgets: thread");
	running = true;
	return 0;
}

int ffg_watchdog_start(unsigned int milliseconds)
{
	unsigned int wanted = milliseconds / 4;
	int error = 0;

	if (wanted < 1)
		wanted = 1;
	if (wanted > TICK_MAX)
		wanted = TICK_MAX;
	pthread_mutex_lock(&mutex);
	if (!running || wanted < tick)
		tick = wanted;
	if (!running)
		error = start();
	else
		pthread_cond_signal(&changed);
	pthread_mutex_unlock(&mutex);
	return error;
}

void ffg_watchdog_stop(void)
{
	bool join;

	pthread_mutex_lock(&mutex);
	join = running;
	running = false;
	stopping = true;
	pthread_cond_signal(&changed);
	pthread_mutex_unlock(&mutex);
	if (join)
		pthread_join(watchdog, NULL);
}

void ffg_watchdog_fork(void)
{
	pthread_mutex_init(&mutex, NULL);
	pthread_cond_init(&changed, NULL);
	running = false;
}
