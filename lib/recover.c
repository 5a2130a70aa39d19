// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Recovery: is it sound here, and the way back.
 *
 * What is given up is the part of the foreign stack that belongs to the call.  A frame of libc or
 * of the dynamic linker there may hold a lock that the whole process needs, so the stack is looked
 * through word by word for what could be a return address into them.  Remnants of calls that are
 * over look the same: if there is such a word the stack is unwound, which costs more, and only a
 * chain of frames that leads to the gate and passes no such code proves that there is none.
 * The innermost frame may be a function that can hold no lock (lockfree.c), as memcpy().
 *
 * The handler changes the signal frame only: rights, registers, and the landing as the next
 * instruction.  Slots stay held, and the line in use, until the landing lets go of them.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "chain.h"
#include "domain_memory.h"
#include "gate.h"
#include "lockfree.h"
#include "mutant.h"
#include "recover.h"

#define FLAGS_CLEAR	0x202
#define TRAP_SIZE	2		/* of the instruction at ffg_recover_trap */

/* Code of libc and of the dynamic linker, which trusted and foreign code share. */
#define SHARED_MAX	4
static struct shared {
	uintptr_t first, end;
	const char *why;
} shared[SHARED_MAX];
static unsigned int shared_count;

/* Where handlers return to: no call comes before it, but the kernel puts it on stacks. */
static uintptr_t restorer;

/* Set once all of the above is. */
static bool active;

/* ---- before the first domain ---- */

static const char in_libc[] =
	"a frame of libc is on the foreign stack: its locks may be held";
static const char in_linker[] =
	"a frame of the dynamic linker is on the foreign stack: its locks may be held";

static int add_shared(struct dl_phdr_info *info, size_t size, void *data)
{
	uintptr_t libc = *(uintptr_t *)data;
	uintptr_t linker = getauxval(AT_BASE);
	bool found = info->dlpi_addr == linker;

	(void)size;
	for (unsigned int i = 0; i < info->dlpi_phnum && !found; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		found = part->p_type == PT_LOAD &&
			libc - info->dlpi_addr - part->p_vaddr < part->p_memsz;
	}
	for (unsigned int i = 0; i < info->dlpi_phnum && found; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];

		if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) ||
		    shared_count == SHARED_MAX)
			continue;
		shared[shared_count].first = info->dlpi_addr + part->p_vaddr;
		shared[shared_count].end = shared[shared_count].first + part->p_memsz;
		shared[shared_count].why = info->dlpi_addr == linker ? in_linker : in_libc;
		shared_count++;
	}
	return 0;
}

/* struct sigaction of the kernel */
struct kernel_action {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};

int ffg_recover_install(void (*handler)(int, siginfo_t *, void *))
{
	static const int signals[] = { SIGBUS, SIGFPE, SIGABRT };
	static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
	struct kernel_action action = { 0 };
	uintptr_t libc = (uintptr_t)getauxval;
	int error = 0;

	pthread_mutex_lock(&once);
	if (!active) {
		shared_count = 0;
		dl_iterate_phdr(add_shared, &libc);
		syscall(SYS_rt_sigaction, SIGSEGV, NULL, &action, sizeof(action.mask));
		restorer = action.restorer;
		for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]) && !error; i++)
			error = ffg_chain_install(signals[i], handler);
		if (!error && shared_count < 2)
			error = ENOEXEC;
		if (!error)
			__atomic_store_n(&active, true, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&once);
	return error ? ffg_fail_errno(error, "recovery: signals, or the text of libc") : 0;
}

/* ---- may this call be given up? ---- */

static const struct shared *shared_at(uintptr_t address)
{
	for (unsigned int i = 0; i < shared_count; i++)
		if (address - shared[i].first < shared[i].end - shared[i].first)
			return &shared[i];
	return NULL;
}

/*
 * Does an instruction that may be a call end at @address?  CALL rel32, or FF /2 with its operand in
 * a register or in memory, by any addressing mode.
 */
static bool behind_call(const struct shared *code, uintptr_t address)
{
	const uint8_t *end = (const uint8_t *)address;

	if (address - code->first < 8)
		return true;
	if (end[-5] == 0xe8)
		return true;
	for (unsigned int length = 2; length <= 7; length++)
		if (end[-(int)length] == 0xff && (end[1 - (int)length] & 0x38) == 0x10)
			return true;
	return false;
}

/* Why the stack from @from to @end must not be given up, or NULL. */
static const char *stack_obstacle(uintptr_t from, uintptr_t end)
{
	/* Stack pointers are not always aligned while a function is being entered. */
	for (from &= ~7UL; from < end; from += 8) {
		uintptr_t word = *(const uintptr_t *)from;
		const struct shared *code = shared_at(word);

		if (code && (word == restorer || behind_call(code, word)))
			return code->why;
	}
	return NULL;
}

/* Unwinding from the place to the gate. */
struct chain {
	uintptr_t ip;			/* of the place, 0: it was reached */
	uintptr_t at, end;		/* of the stack */
	bool leaf;			/* the place itself may be in libc */
	bool reached;			/* the gate */
};

static _Unwind_Reason_Code chain_step(struct _Unwind_Context *frame, void *data)
{
	struct chain *chain = data;
	uintptr_t ip = _Unwind_GetIP(frame), at = _Unwind_GetCFA(frame);

	if (chain->ip && ip != chain->ip)
		return _URC_NO_REASON;
	if (chain->ip && chain->leaf) {
		chain->ip = 0;
		return _URC_NO_REASON;
	}
	chain->ip = 0;
	/* A leaf keeps nothing on the stack: it can be no part of a larger function. */
	if (chain->leaf && at != chain->at + 8)
		return _URC_END_OF_STACK;
	chain->leaf = false;
	if (ffg_gate_contains(ip)) {
		chain->reached = true;
		return _URC_END_OF_STACK;
	}
	/* Frames lie in order, or the stack was overwritten. */
	if (shared_at(ip) || at < chain->at || at > chain->end)
		return _URC_END_OF_STACK;
	chain->at = at;
	return _URC_NO_REASON;
}

/* No frame of libc or the dynamic linker between the place and the gate, for sure? */
static bool chain_is_clean(const ucontext_t *frame, bool leaf, uintptr_t end)
{
	const greg_t *registers = frame->uc_mcontext.gregs;
	struct chain chain = {
		.ip = registers[REG_RIP],
		.at = registers[REG_RSP],
		.end = end,
		.leaf = leaf,
	};

	return ffg_violation_unwind(registers, chain_step, &chain) && chain.reached;
}

/* What the interrupted thread was doing. */
struct interrupted {
	struct ffg_thread *thread;
	uint32_t *pkru;
	struct ffg_call *call;
	struct ffg_domain *domain;
};

/*
 * Is it a call of a domain that recovers?  Reads no line but by the alias; the record only with
 * SAFE open, as do those who use what it finds: it opens the keys.  *@closed: what to load to close
 * them again.
 */
static bool in_call(struct interrupted *at, const struct ffg_context *context, ucontext_t *frame,
		    uint32_t *closed)
{
	const struct ffg_record *record;
	uintptr_t offset;

	*closed = ffg_rdpkru();
	at->thread = ffg_thread_self();
	at->pkru = ffg_sys_frame_pkru(frame);
	if (!at->thread || !at->pkru || context->forked ||
	    at->thread->line_ro->tpkru == FFG_LINE_IDLE ||
	    !(*at->pkru & FFG_PKRU_AD(context->safe)))
		return false;
	offset = at->thread->line_ro->record - (uintptr_t)context->records;
	if (offset >= context->records_size || offset % sizeof(*record))
		return false;
	ffg_wrpkru(*closed & ~context->ours);
	record = (const struct ffg_record *)((uintptr_t)context->records + offset);
	/* The call may have been reset meanwhile, and its index given to another. */
	if (record->serial != at->thread->line_ro->serial) {
		ffg_wrpkru(*closed);
		return false;
	}
	at->call = (struct ffg_call *)(uintptr_t)record->user[(R_CALL - R_USER) / 8];
	at->domain = at->thread->what ? at->thread->domain : at->call->domain;
	if (at->domain && at->domain->policy == FFG_POLICY_RECOVER)
		return true;
	ffg_wrpkru(*closed);
	return false;
}

static uint64_t fs_base(void)
{
	uint64_t base;

	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

/* Why the call cannot be given up, or NULL.  @from: first word of the stack that counts. */
static const char *obstacle(const struct interrupted *at, const ucontext_t *frame, uintptr_t from)
{
	const struct ffg_stack *stack = &at->thread->stack;
	uintptr_t ip = frame->uc_mcontext.gregs[REG_RIP], end = at->thread->line_ro->fsp;
	const struct shared *code = shared_at(ip);
	const char *why;

	if (from - (uintptr_t)stack->map > end - (uintptr_t)stack->map)
		return "it was not on the foreign stack of its call, but a handler's or its own";
	if (ffg_domain_malloc_inside())
		return "it was inside of malloc(), and the heap of its domain may be locked";
	if (at->thread->line_ro->fs_base != fs_base())
		return "the fs base of the thread was changed";
	/* Beyond its end nothing of the stack is there. */
	why = stack_obstacle(from < stack->low ? stack->low : from, end);
	if (code) {
		if (!ffg_lockfree_at(ip, code->first, code->end))
			return code->why;
		why = code->why;
	}
	return why && chain_is_clean(frame, code, end) ? NULL : why;
}

static int error_of(int reason)
{
	switch (reason) {
	case FFG_REASON_CRASH:
	case FFG_REASON_ABORT:
		return FFG_E_CRASHED;
	case FFG_REASON_EXIT:
		return FFG_E_EXITED;
	case FFG_REASON_TIMEOUT:
		return FFG_E_TIMEOUT;
	default:
		return FFG_E_VIOLATION;
	}
}

/* Keeps what ffg_call_report() needs; the rest of the report is found when it is asked for. */
static void keep(const struct interrupted *at, const struct ffg_violation *v,
		 const ucontext_t *frame)
{
	struct ffg_recovery *recovery = &at->thread->recovery;

	memcpy(&recovery->report, v, offsetof(struct ffg_violation, frame));
	recovery->report.frames = 0;
	memcpy(recovery->registers, frame->uc_mcontext.gregs, sizeof(recovery->registers));
	recovery->call = at->call;
	recovery->calls = at->thread->line_ro->calls;
	recovery->traced = false;
}

static void leave(const struct interrupted *at, ucontext_t *frame, int error)
{
	greg_t *registers = frame->uc_mcontext.gregs;

	*at->pkru = at->thread->line_ro->tpkru;
	registers[REG_RIP] = (greg_t)(uintptr_t)ffg_recover_landing;
	registers[REG_EFL] = FLAGS_CLEAR;
	registers[REG_RBX] = (greg_t)(uintptr_t)at->thread->line;
	registers[REG_R11] = (greg_t)(uintptr_t)at->call;
	registers[REG_R15] = at->call->signature.form == FFG_RETURN_MEMORY;
	registers[REG_RAX] = error;
}

static bool recover_from(struct ffg_violation *v, const struct ffg_context *context,
			 ucontext_t *frame, uintptr_t from)
{
	struct interrupted at;
	uint32_t closed;

	if (!__atomic_load_n(&active, __ATOMIC_ACQUIRE) || !in_call(&at, context, frame, &closed))
		return false;
	/* A child of vfork() has this thread's state; for what the module judges it was asked. */
	if (v->reason >= FFG_REASON_STACK && context->pid != getpid()) {
		ffg_wrpkru(closed);
		return false;
	}
	v->unrecovered = obstacle(&at, frame, from);
	if (v->unrecovered && !FFG_MUTANT(RECOVER_LIBC)) {
		ffg_wrpkru(closed);
		return false;
	}
	keep(&at, v, frame);
	leave(&at, frame, error_of(v->reason));
	ffg_wrpkru(closed);
	return true;
}

bool ffg_recover(struct ffg_violation *v, const struct ffg_context *context, ucontext_t *frame)
{
	return recover_from(v, context, frame, frame->uc_mcontext.gregs[REG_RSP]);
}

bool ffg_recover_crash(struct ffg_violation *v, const struct ffg_context *context, int signal,
		       const siginfo_t *info, ucontext_t *frame)
{
	uintptr_t ip = frame->uc_mcontext.gregs[REG_RIP];

	memset(v, 0, offsetof(struct ffg_violation, frame));
	v->reason = FFG_REASON_CRASH;
	v->signal = signal;
	v->address = signal == SIGSEGV || signal == SIGBUS ? (uintptr_t)info->si_addr : ip;
	return ffg_recover(v, context, frame);
}

bool ffg_recover_ending(struct ffg_violation *v, const struct ffg_context *context,
			ucontext_t *frame)
{
	greg_t *registers = frame->uc_mcontext.gregs;
	uintptr_t from = registers[REG_RDX];

	if ((uintptr_t)registers[REG_RIP] != (uintptr_t)ffg_recover_trap)
		return false;
	memset(v, 0, offsetof(struct ffg_violation, frame));
	v->reason = registers[REG_RDI] == FFG_RECOVER_EXIT ? FFG_REASON_EXIT : FFG_REASON_ABORT;
	v->status = (int)registers[REG_RSI];
	v->signal = v->reason == FFG_REASON_ABORT ? SIGABRT : 0;
	v->address = *(const uintptr_t *)from;
	if (!recover_from(v, context, frame, from))
		registers[REG_RIP] += TRAP_SIZE;
	return true;
}

void ffg_recover_end_of(enum ffg_recover_end what, int status, const void *from)
{
	const struct ffg_thread *thread = ffg_thread_self();

	/* In a child of vfork() the line is the parent's. */
	if (!__atomic_load_n(&active, __ATOMIC_ACQUIRE) || !ffg_gate_is_foreign() || !thread ||
	    thread->line_ro->tpkru == FFG_LINE_IDLE || thread->context->pid != getpid())
		return;
	ffg_recover_trap((int)what, status, (uintptr_t)from);
}

/* ---- the report ---- */

FFG_API const struct ffg_violation *ffg_call_report(struct ffg_call *call)
{
	struct ffg_thread *thread = ffg_thread_self();
	struct ffg_recovery *recovery = thread ? &thread->recovery : NULL;

	if (!call || !recovery || recovery->call != call) {
		ffg_fail(FFG_E_INVAL, "no call of this thread was recovered, or another one since");
		return NULL;
	}
	if (!recovery->traced) {
		/* The foreign stack is as it was until the next call of the thread. */
		bool stack = recovery->calls == thread->line_ro->calls;

		ffg_violation_trace(&recovery->report, recovery->registers, stack);
		recovery->report.function = call->name;
		recovery->traced = true;
	}
	return &recovery->report;
}

void ffg_recover_forget(const struct ffg_call *call)
{
	struct ffg_thread *thread = ffg_thread_self();

	if (thread && thread->recovery.call == call)
		thread->recovery.call = NULL;
}
