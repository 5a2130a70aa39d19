// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The handler of SIGSEGV and SIGILL, and for domains that recover of the other signals of a crash:
 * is it ours, and what becomes of it.
 *
 * Runs on the alternate stack, with the PKRU of every signal handler: all keys but key 0
 * closed.  So until the fault is known to be ours nothing but ordinary memory is read, and the
 * program's handler, if it is not, finds everything as the kernel left it.  No locks, no
 * allocation: the interrupted code may hold any lock.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include "chain.h"
#include "internal.h"
#include "recover.h"
#include "region.h"
#include "step.h"
#include "symbol.h"

/* Bits of the page fault error code that the kernel leaves in the frame. */
#define FAULT_WRITE	(1U << 1)
#define FAULT_FETCH	(1U << 4)

/* ---- backtrace ---- */

/*
 * Foreign code may have left its stack and its unwind tables in any state: a fault while unwinding
 * ends the backtrace, not the report.
 */
static __thread sigjmp_buf *unwinding __attribute__((tls_model("initial-exec")));
static __thread uint32_t unwinding_pkru __attribute__((tls_model("initial-exec")));

struct backtrace {
	uintptr_t ip;			/* interrupted instruction */
	const greg_t *registers;	/* NULL: it lies below the frames of this handler */
	volatile unsigned int count;
	uintptr_t address[FFG_BACKTRACE_MAX];
};

static _Unwind_Reason_Code backtrace_step(struct _Unwind_Context *frame, void *data)
{
	struct backtrace *trace = data;
	int before = 0;
	uintptr_t ip = _Unwind_GetIPInfo(frame, &before);

	/* First come the frames of this handler. */
	if (!trace->count && ip != trace->ip)
		return _URC_NO_REASON;
	if (trace->count && !ip)
		return _URC_END_OF_STACK;
	/* Between foreign frames and trusted ones; those of a call that is over are gone. */
	if (trace->count && ffg_gate_contains(ip))
		return trace->registers ? _URC_END_OF_STACK : _URC_NO_REASON;
	/* A return address is the instruction after the call, perhaps of the next function. */
	trace->address[trace->count] = before || !trace->count ? ip : ip - 1;
	trace->count++;
	return trace->count < FFG_BACKTRACE_MAX ? _URC_NO_REASON : _URC_END_OF_STACK;
}

bool ffg_violation_unwind(const greg_t *registers, _Unwind_Trace_Fn step, void *data)
{
	sigjmp_buf out;
	sigset_t faults, mask;
	volatile bool whole = false;

	if (sigsetjmp(out, 1) == 0) {
		unwinding_pkru = ffg_rdpkru();
		unwinding = &out;
		sigemptyset(&faults);
		sigaddset(&faults, SIGSEGV);
		pthread_sigmask(SIG_UNBLOCK, &faults, &mask);
		if (registers)
			ffg_recover_unwind(registers, step, data);
		else
			_Unwind_Backtrace(step, data);
		pthread_sigmask(SIG_SETMASK, &mask, NULL);
		whole = true;
	}
	unwinding = NULL;
	return whole;
}

static void backtrace_get(struct backtrace *trace, uintptr_t ip, const greg_t *registers)
{
	trace->ip = ip;
	trace->registers = registers;
	trace->count = 0;
	ffg_violation_unwind(registers, backtrace_step, trace);
	if (!trace->count) {
		trace->address[0] = ip;
		trace->count = 1;
	}
}

/* ---- what happened ---- */

static const char *const advices[] = {
	[FFG_REASON_NOT_GRANTED] =
		"grant it to this call if the library may touch it; else the library is wrong",
	[FFG_REASON_RANGE] =
		"grant a longer range, or look for a wrong length argument",
	[FFG_REASON_READ_ONLY] =
		"grant it with FFG_INOUT if the library may write it",
	[FFG_REASON_BOUNDS] =
		"look for a wrong length or index; the object may be allocated too small",
	[FFG_REASON_FREED] =
		"the library kept a pointer, or the object was freed too early",
	[FFG_REASON_REVOKED] =
		"the library used the pointer after its time: keep the grant longer if it may",
	[FFG_REASON_OTHER_CALL] =
		"the library shares state between threads: give this one objects or grants",
	[FFG_REASON_NO_CALL] =
		"code that nobody called (a thread, a handler, a destructor) has no grants",
	[FFG_REASON_CONTROL] =
		"a wild pointer: only the gate touches these pages",
	[FFG_REASON_BUSY] =
		"open the context with more slots, or let fewer threads be in calls at once",
	[FFG_REASON_UNUSED] =
		"a wild pointer",
	[FFG_REASON_TRUSTED] =
		"a wild pointer, or memory to be shared: ffg_object_alloc() and a grant",
	[FFG_REASON_STACK] =
		"endless recursion, or see stack_size of struct ffg_options",
	[FFG_REASON_CRASH] =
		"a bug of the library: no guarded memory was touched",
	[FFG_REASON_ABORT] =
		"the library found its state or its arguments wrong",
	[FFG_REASON_EXIT] =
		"a library that is used right does not end the process",
	[FFG_REASON_TIMEOUT] =
		"see ffg_call_budget(), or look for an endless loop",
};

static const char unattached[] =
	"a thread of trusted code that is older than the context attaches first";

static const char *advice(const struct ffg_violation *v)
{
	if (v->forked && v->reason == FFG_REASON_GATE)
		return "a child that foreign code forks must end or exec, not return";
	if (v->forked)
		return "open a context of its own in the child, or touch the object in the parent";
	if (v->reason < 0 || (size_t)v->reason >= sizeof(advices) / sizeof(advices[0]))
		return NULL;
	return advices[v->reason];
}

/* Advice, thread and frames; opens no key. */
static void fill_place(struct ffg_violation *v, uintptr_t ip, const greg_t *registers)
{
	struct backtrace trace;

	v->size = sizeof(*v);
	v->thread = ffg_sys_tid();
	backtrace_get(&trace, ip, registers);
	v->frames = trace.count;
	for (unsigned int i = 0; i < trace.count; i++)
		ffg_symbol_find(trace.address[i], &v->frame[i]);
	if (!v->advice)
		v->advice = advice(v);
}

static void fill_origin(struct ffg_violation *v, const struct ffg_context *context,
			const ucontext_t *frame, struct ffg_domain **domain)
{
	*domain = NULL;
	/* It is ours: the stack, the call record, and the callback, need the keys. */
	if (!v->forked)
		ffg_wrpkru(ffg_rdpkru() & ~context->ours);
	fill_place(v, frame->uc_mcontext.gregs[REG_RIP], NULL);
	if (!v->forked)
		v->function = ffg_gate_running(domain);
}

void ffg_violation_trace(struct ffg_violation *v, const greg_t *registers, bool stack)
{
	/* With these the address is where exit() or abort() would have returned to. */
	bool called = v->reason == FFG_REASON_ABORT || v->reason == FFG_REASON_EXIT;
	uintptr_t ip = called ? v->address : (uintptr_t)registers[REG_RIP];

	if (stack) {
		fill_place(v, ip, registers);
	} else {
		v->size = sizeof(*v);
		v->thread = ffg_sys_tid();
		v->frames = 1;
		ffg_symbol_find(ip, &v->frame[0]);
		if (!v->advice)
			v->advice = advice(v);
	}
	if (called)
		ffg_symbol_find(ip - 1, &v->frame[0]);
}

/* The members that are there before the frames; those are many. */
static void begin(struct ffg_violation *v)
{
	memset(v, 0, offsetof(struct ffg_violation, frame));
}

/* What shall become of it: what the callback says, or else the policy of the domain. */
static enum ffg_action decide(struct ffg_violation *v, const struct ffg_context *context,
			      const ucontext_t *frame, bool *audit)
{
	struct ffg_domain *domain;
	ffg_violation_fn callback;

	fill_origin(v, context, frame, &domain);
	*audit = domain && domain->policy == FFG_POLICY_AUDIT;
	callback = __atomic_load_n(&context->violation, __ATOMIC_ACQUIRE);
	if (!callback)
		return *audit ? FFG_ACTION_ALLOW : FFG_ACTION_DIE;
	*audit = false;
	return callback(v, context->violation_data);
}

static void die(const struct ffg_violation *v, enum ffg_action action, int signal, siginfo_t *info)
{
	if (action != FFG_ACTION_DIE_QUIET)
		ffg_violation_print(STDERR_FILENO, v);
	ffg_chain_die(signal, info);
}

void ffg_violation_die(struct ffg_violation *v, const struct ffg_context *context, int signal,
		       siginfo_t *info, const ucontext_t *frame)
{
	bool audit;

	die(v, decide(v, context, frame, &audit), signal, info);
}

/* Memory of the program's, with a key that can be opened for an instruction? */
static bool can_allow(const struct ffg_violation *v, const siginfo_t *info)
{
	return info->si_signo == SIGSEGV && info->si_code == SEGV_PKUERR && !v->forked &&
	       v->reason != FFG_REASON_CONTROL && v->reason != FFG_REASON_GATE &&
	       v->reason != FFG_REASON_STACK && v->region.kind != FFG_REGION_CONTROL;
}

/* By this instruction on this object or page for the first time?  Always, if there are too many. */
static bool is_new(const struct ffg_violation *v, const ucontext_t *frame)
{
	static uint64_t seen[1024];
	uint64_t what = v->object ? v->object : v->address >> 12;
	uint64_t hash = ((uint64_t)frame->uc_mcontext.gregs[REG_RIP] * 31 + what) *
			0x9e3779b97f4a7c15;
	size_t at = hash >> 54;

	for (unsigned int n = 0; n < 16; n++) {
		uint64_t *entry = &seen[(at + n) % (sizeof(seen) / sizeof(seen[0]))], none = 0;

		if (__atomic_load_n(entry, __ATOMIC_RELAXED) == hash)
			return false;
		if (__atomic_compare_exchange_n(entry, &none, hash, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			return true;
		if (none == hash)
			return false;
	}
	return true;
}

/* Ends the call, or allows the access, or ends the process, when the handler returns. */
static void violate(struct ffg_violation *v, const struct ffg_context *context, siginfo_t *info,
		    ucontext_t *frame)
{
	enum ffg_action action;
	bool audit;

	if (ffg_recover(v, context, frame))
		return;
	action = decide(v, context, frame, &audit);
	if (action == FFG_ACTION_ALLOW) {
		if (can_allow(v, info) && ffg_step_begin(context, frame)) {
			if (audit && is_new(v, frame))
				ffg_violation_print(STDERR_FILENO, v);
			return;
		}
		v->unrecovered = "it cannot be allowed: no memory of the program's is there";
	}
	die(v, action, info->si_signo, info);
}

/*
 * No violation, but something that a domain may recover from.  True: it does.  If it could not,
 * that is told, and the program's own handler has its turn.
 */
static bool crash(const struct ffg_context *context, int signal, const siginfo_t *info,
		  ucontext_t *frame)
{
	uint32_t pkru = ffg_rdpkru();
	struct ffg_domain *domain;
	struct ffg_violation v;

	/* By the processor, or by abort() of libc in this thread. */
	if (info->si_code <= 0 &&
	    (signal != SIGABRT || info->si_code != SI_TKILL || info->si_pid != getpid()))
		return false;
	if (ffg_recover_crash(&v, context, signal, info, frame))
		return true;
	if (v.unrecovered) {
		fill_origin(&v, context, frame, &domain);
		ffg_violation_print(STDERR_FILENO, &v);
		ffg_wrpkru(pkru);
	}
	return false;
}

/* Foreign code ends the process, if the call is not ended instead. */
static bool ending(const struct ffg_context *context, ucontext_t *frame)
{
	struct ffg_domain *domain;
	struct ffg_violation v;

	if (!ffg_recover_ending(&v, context, frame))
		return false;
	if (v.unrecovered) {
		fill_origin(&v, context, frame, &domain);
		ffg_violation_print(STDERR_FILENO, &v);
	}
	return true;
}

static int access_of(const ucontext_t *frame)
{
	unsigned int error = frame->uc_mcontext.gregs[REG_ERR];

	if (error & FAULT_FETCH)
		return FFG_ACCESS_EXEC;
	return error & FAULT_WRITE ? FFG_ACCESS_WRITE : FFG_ACCESS_READ;
}

static void fill_verdict(struct ffg_violation *v, const struct ffg_fault *fault)
{
	v->reason = fault->reason;
	v->where = fault->where;
	v->object = fault->object ? fault->base : 0;
	v->object_length = fault->length;
	v->offset = fault->offset;
	v->grant_offset = fault->grant_offset;
	v->grant_length = fault->grant_length;
	v->grant_rights = fault->grant_rights;
	v->slot = fault->slot;
	v->owner = fault->owner;
}

/* A fault in the arena, the lines or the records; true if it was dealt with. */
static bool judge(const struct ffg_context *context, siginfo_t *info, ucontext_t *frame)
{
	struct ffg_violation v;
	uint32_t *pkru = ffg_sys_frame_pkru(frame);
	struct ffg_fault fault = {
		.size = sizeof(fault),
		.address = (uintptr_t)info->si_addr,
		.ip = frame->uc_mcontext.gregs[REG_RIP],
		.access = access_of(frame),
		/* Without it the module takes the fault for one of trusted code. */
		.pkru = pkru ? *pkru : 0,
	};

	begin(&v);
	v.address = fault.address;
	v.access = fault.access;
	if (context->forked || context->pid != getpid()) {
		v.forked = 1;
		v.reason = FFG_REASON_UNUSED;
	} else if (ffg_sys_ioctl(context, FFG_IOC_FAULT, &fault) != 0) {
		/* The device is gone, but the address is ours all the same. */
		v.reason = FFG_REASON_UNUSED;
	} else {
		if (fault.verdict == FFG_VERDICT_NOT_OURS)
			return false;
		if (fault.verdict == FFG_VERDICT_RETRY && pkru) {
			*pkru = fault.pkru;
			return true;
		}
		fill_verdict(&v, &fault);
	}
	violate(&v, context, info, frame);
	return true;
}

/* Closed memory of trusted code? */
static bool in_trusted(const struct ffg_context *context, const siginfo_t *info,
		       struct ffg_region *region)
{
	return info->si_code == SEGV_PKUERR &&
	       ffg_region_find(context, (uintptr_t)info->si_addr, region);
}

/* In a guard page of the thread's foreign stack? */
static bool in_stack_guard(uintptr_t address)
{
	const struct ffg_thread *thread = ffg_thread_self();
	uintptr_t map;

	if (!thread)
		return false;
	map = (uintptr_t)thread->stack.map;
	return address - map < thread->stack.low - map;
}

/* A fault of the kinds that a violation is; true if it was dealt with. */
static bool fault(const struct ffg_context *context, int signal, siginfo_t *info,
		  ucontext_t *frame)
{
	struct ffg_violation v;
	uintptr_t ip = frame->uc_mcontext.gregs[REG_RIP];
	uintptr_t address = signal == SIGSEGV ? (uintptr_t)info->si_addr : 0;

	if (signal == SIGSEGV && ffg_gate_mend(frame))
		return true;
	begin(&v);
	v.reason = FFG_REASON_GATE;
	if (signal == SIGSEGV && in_stack_guard(address)) {
		v.reason = FFG_REASON_STACK;
	} else if (ffg_signal_contains(ip)) {
		v.advice = ffg_signal_explain(ip);
	} else if (ffg_gate_contains(ip)) {
		v.forked = context->forked || context->pid != getpid();
		v.advice = v.forked ? NULL : ffg_gate_explain(ip);
	} else if (signal == SIGSEGV && !ffg_context_owns(context, address) &&
		   in_trusted(context, info, &v.region)) {
		v.reason = FFG_REASON_TRUSTED;
		if (!ffg_thread_self())
			v.advice = unattached;
	} else {
		return signal == SIGSEGV && ffg_context_owns(context, address) &&
		       judge(context, info, frame);
	}
	v.address = signal == SIGSEGV ? address : ip;
	v.access = signal == SIGSEGV ? access_of(frame) : (int)FFG_ACCESS_EXEC;
	violate(&v, context, info, frame);
	return true;
}

FFG_API int ffg_violation_handle(int signal, void *siginfo, void *ucontext)
{
	const struct ffg_context *context = ffg_context_process();
	siginfo_t *info = siginfo;
	ucontext_t *frame = ucontext;

	if (!context)
		return 0;
	if (ffg_step_end(frame) && signal == SIGTRAP)
		return 1;
	if (signal == SIGILL && info->si_code > 0 && ending(context, frame))
		return 1;
	/* Sent by somebody, or no business of ours: si_code <= 0, or another signal. */
	if (info->si_code > 0 && (signal == SIGSEGV || signal == SIGILL) &&
	    fault(context, signal, info, frame))
		return 1;
	return crash(context, signal, info, frame);
}

FFG_API int ffg_violation_set(struct ffg_context *context, ffg_violation_fn violation, void *data)
{
	int error = ffg_context_check(context);

	if (!error && violation)
		error = ffg_violation_allow();
	if (error)
		return error;
	pthread_mutex_lock(&context->lock);
	/* A handler in between gets no callback rather than one with the other's data. */
	__atomic_store_n(&context->violation, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&context->violation_data, data, __ATOMIC_RELEASE);
	__atomic_store_n(&context->violation, violation, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&context->lock);
	return 0;
}

/* ---- the handler ---- */

static void handler(int signal, siginfo_t *info, void *ucontext)
{
	int saved = errno;

	if (unwinding && signal == SIGSEGV) {
		ffg_wrpkru(unwinding_pkru);
		ffg_jump_back(*unwinding);
	}
	if (!ffg_violation_handle(signal, info, ucontext))
		ffg_chain_pass(signal, info, ucontext);
	errno = saved;
}

static _Unwind_Reason_Code backtrace_stop(struct _Unwind_Context *frame, void *data)
{
	(void)frame;
	(void)data;
	return _URC_END_OF_STACK;
}

int ffg_violation_install(void)
{
	static const int signals[] = { SIGSEGV, SIGILL };

	/* The unwinder sets up its tables at its first use: not in a handler. */
	_Unwind_Backtrace(backtrace_stop, NULL);
	for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		int error = ffg_chain_install(signals[i], handler);

		if (error)
			return ffg_fail_errno(error, "cannot handle signal %d", signals[i]);
	}
	return 0;
}

int ffg_violation_recover(void)
{
	return ffg_recover_install(handler);
}

int ffg_violation_allow(void)
{
	return ffg_step_install(handler);
}

void ffg_violation_remove(void)
{
	/*
	 * The handlers stay: the program may have saved ours as "old" through a way that
	 * does not pass sigaction().  Without a context they pass everything on.
	 */
}
