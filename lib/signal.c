// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Signal handlers of trusted code: what the thunk in signal_x86_64.S does in C.
 *
 * A handler may make guarded calls whatever it interrupted.  While it runs, the line of the thread
 * looks idle, but what the interrupted call holds is kept in @outer, so that its slots stay its
 * own; afterwards everything is put back, and the frame gets no more rights than the thread
 * has then.
 */
#include <cpuid.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "callback.h"
#include "mutant.h"
#include "signal_thunk.h"

#define HANDLER_PKRU	0x55555554U	/* what the kernel starts handlers with */
#define SIGNALS		65
/* A guarded call on top of an interrupted one needs so much of the foreign stack. */
#define NEST_ROOM	(16UL << 10)
/* The stack of a thread is near where its call left it. */
#define NEAR		(16UL << 20)

/* As the kernel makes it; glibc's ucontext_t is longer, which handlers must not rely on. */
struct ffg_signal_frame {
	uintptr_t restorer;
	uint64_t context[(FRAME_INFO - 8) / 8];
	siginfo_t info;
};

_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP]) + 8 == FRAME_RIP, "frame");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_RSP]) + 8 == FRAME_RSP, "frame");
_Static_assert(offsetof(ucontext_t, uc_mcontext.gregs[REG_R12]) + 8 == FRAME_R12, "frame");
_Static_assert(offsetof(ucontext_t, uc_mcontext.fpregs) + 8 == FRAME_XSTATE, "frame");
_Static_assert(sizeof(struct ffg_signal_frame) == FRAME_SIZE, "frame");

union ffg_signal_page ffg_signal_page __attribute__((aligned(4096)));
static const struct ffg_signal_constants *const constants = &ffg_signal_page.constants;

/* Where the two WRPKRU of the path of callbacks are. */
static const char *callback_open, *callback_return;

/* Return address of every frame: libc's, known when the first thunk is registered. */
static uintptr_t restorer;

/* By number; an entry stays when the program takes its handler away: one may be on its way. */
static ffg_signal_fn handlers[SIGNALS];

ffg_signal_fn ffg_signal_handler(int signal)
{
	if (signal < 1 || signal >= SIGNALS)
		return NULL;
	return __atomic_load_n(&handlers[signal], __ATOMIC_ACQUIRE);
}

void ffg_signal_handler_set(int signal, ffg_signal_fn function)
{
	__atomic_store_n(&handlers[signal], function, __ATOMIC_RELEASE);
}

void ffg_signal_restorer_set(uintptr_t address)
{
	__atomic_store_n(&restorer, address, __ATOMIC_RELEASE);
}

__attribute__((noreturn)) static void stop(const char *where)
{
	((void (*)(void))(uintptr_t)where)();
	__builtin_unreachable();
}

static uint64_t rdfsbase(void)
{
	uint64_t base;

	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

/* ---- nesting ---- */

/*
 * The line at the time of the interruption; on the stack of the handler.  line->user[4] leads to
 * the innermost.
 */
struct nest {
	struct nest *previous;
	struct ffg_thread *thread;
	const char *what;
	struct ffg_domain *domain;
	uint64_t record;
	uint64_t serial;
	uint64_t fsp;
	uint32_t outer;
	uint32_t fpkru;
	uint32_t tpkru;
	uint32_t mxcsr;
	uint32_t fcw;
	bool calls;
	stack_t alternate;		/* armed before the handler */
};

static struct nest **innermost(struct ffg_line *line)
{
	return (struct nest **)(void *)&line->user[4];
}

/* Both words with one store: the module reads them with one load. */
static void hold(struct ffg_line *line, uint32_t outer, uint32_t fpkru)
{
	__atomic_store_n((uint64_t *)(void *)&line->outer, (uint64_t)fpkru << 32 | outer,
			 __ATOMIC_RELEASE);
}

/* @calls: guarded calls can be made; else an entry finds the line in use. */
static void nest_begin(struct nest *nest, struct ffg_line *line, uint64_t fsp,
		       const ucontext_t *context, bool calls)
{
	*nest = (struct nest){
		.previous = *innermost(line),
		.thread = ffg_thread_self(),
		.record = line->record,
		.serial = line->serial,
		.fsp = fsp,
		.outer = line->outer,
		.fpkru = line->fpkru,
		.tpkru = line->tpkru,
		.mxcsr = line->mxcsr,
		.fcw = line->fcw,
		.calls = calls,
		.alternate = context->uc_stack,
	};
	if (nest->thread) {
		nest->what = nest->thread->what;
		nest->domain = nest->thread->domain;
	}
	__atomic_store_n(innermost(line), nest, __ATOMIC_RELEASE);
	if (!calls) {
		if (nest->tpkru == FFG_LINE_IDLE)
			__atomic_store_n(&line->tpkru, 0, __ATOMIC_RELEASE);
		return;
	}
	if (nest->thread)
		nest->thread->what = NULL;
	hold(line, FFG_MUTANT(SIGNAL_HELD) ? nest->outer : nest->outer & nest->fpkru,
	     FFG_LINE_IDLE);
	__atomic_store_n(&line->tpkru, FFG_LINE_IDLE, __ATOMIC_RELEASE);
}

/* Its record is still what it was when the call began, and nothing of it was revoked? */
static bool record_valid(const struct nest *nest)
{
	const struct ffg_context *context = ffg_context_process();
	const struct ffg_record *record = (const struct ffg_record *)(uintptr_t)nest->record;
	uintptr_t offset = nest->record - (uintptr_t)context->records;

	return offset < context->records_size && offset % sizeof(*record) == 0 &&
	       !(__atomic_load_n(&record->word, __ATOMIC_ACQUIRE) & FFG_WORD_STALE) &&
	       record->serial == nest->serial;
}

/*
 * @foreign: foreign code of the call was interrupted, so that what it holds can be let go of: with
 * nothing open it goes on all the same, and its faults bind again what is still granted.
 */
static void nest_end(const struct nest *nest, struct ffg_line *line, bool foreign)
{
	uint32_t fpkru = nest->fpkru;

	if (foreign && !FFG_MUTANT(SIGNAL_MASK) && !record_valid(nest))
		fpkru = nest->fpkru | ffg_context_process()->closed;
	line->record = nest->record;
	line->serial = nest->serial;
	line->mxcsr = nest->mxcsr;
	line->fcw = nest->fcw;
	if (nest->thread) {
		nest->thread->what = nest->what;
		nest->thread->domain = nest->domain;
	}
	/* A nested call ends with @fpkru before @outer: here with one store. */
	hold(line, nest->outer, fpkru);
	__atomic_store_n(&line->tpkru, nest->tpkru, __ATOMIC_RELEASE);
	__atomic_store_n(innermost(line), nest->previous, __ATOMIC_RELEASE);
	if (fpkru != nest->fpkru && line->wake)
		ffg_gate_wake();
}

/* ---- what was interrupted ---- */

static bool in_foreign_stack(const struct ffg_line *line, uintptr_t address)
{
	return address - line->user[0] < constants->stack;
}

static ucontext_t *context_of(struct ffg_signal_frame *frame)
{
	return (ucontext_t *)(void *)frame->context;
}

static uintptr_t reg(const ucontext_t *context, int which)
{
	return (uintptr_t)context->uc_mcontext.gregs[which];
}

static bool between(uintptr_t ip, const char *first, const char *end)
{
	return ip >= (uintptr_t)first && ip < (uintptr_t)end;
}

/* The gate, trusted, on the foreign stack: just before it opens, or just behind the close. */
static bool gate_good(ucontext_t *context, const struct ffg_line *line, uint64_t tsp)
{
	const struct ffg_record *record = (const struct ffg_record *)(uintptr_t)line->record;
	uintptr_t ip = reg(context, REG_RIP), function, frame;

	for (unsigned int n = 0; n < GATE_VARIANTS; n++) {
		const struct ffg_gate_variant *path = &ffg_gate_variant[n];

		if (!between(ip, path->common, path->end))
			continue;
		if (ip > (uintptr_t)path->close) {
			/* Do the checks again. */
			context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)path->close + 3;
			context->uc_mcontext.gregs[REG_RAX] = line->tpkru;
			return true;
		}
		memcpy(&function, (const char *)record + R_FUNCTION, sizeof(function));
		frame = tsp + 40 + (n % GATE_CHECKED == FFG_RETURN_MEMORY ? 8 : 0);
		return ip <= (uintptr_t)path->open && reg(context, REG_RBX) == (uintptr_t)line &&
		       reg(context, REG_RBP) == frame &&
		       (reg(context, REG_R11) == line->record ||
			reg(context, REG_R11) == function);
	}
	return false;
}

/*
 * The same on the path of callbacks: behind its first WRPKRU, where it starts again until
 * the line is known, or just before its second.
 */
static bool callback_good(ucontext_t *context, const struct ffg_line *line)
{
	uintptr_t ip = reg(context, REG_RIP);

	if (ip <= (uintptr_t)callback_open || ip > (uintptr_t)callback_return)
		return false;
	if (reg(context, REG_RBX) == (uintptr_t)line)
		return ip <= (uintptr_t)callback_return - 64 || !reg(context, REG_RCX) ||
		       in_foreign_stack(line, reg(context, REG_RCX));
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)callback_open + 3;
	context->uc_mcontext.gregs[REG_RAX] = line->tpkru;
	return true;
}

/* The thunk itself, behind its WRPKRU; until the line is known it starts there again. */
static bool thunk_good(ucontext_t *context, const struct ffg_line *line)
{
	if (reg(context, REG_RIP) >= (uintptr_t)ffg_signal_known)
		return reg(context, REG_RBX) == (uintptr_t)line;
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)ffg_signal_open;
	context->uc_mcontext.gregs[REG_RAX] = constants->rights;
	return true;
}

/* Does a handler run that must make no calls?  Its line is in use though it is trusted. */
static bool refuses(struct ffg_line *line)
{
	const struct nest *nest = *innermost(line);

	return nest && !nest->calls;
}

/*
 * Can it be a frame of the kernel's?  @tsp: where the call left the trusted stack; @trusted: what
 * was interrupted has SAFE open.
 */
static bool frame_good(struct ffg_signal_frame *frame, struct ffg_line *line, uint64_t tsp,
		       bool trusted)
{
	uintptr_t ip = reg(context_of(frame), REG_RIP);

	if (frame->restorer != __atomic_load_n(&restorer, __ATOMIC_ACQUIRE))
		return false;
	if (!trusted || line->tpkru == FFG_LINE_IDLE || refuses(line))
		return true;
	/* Trusted code in a guarded call: the library's own. */
	if (ip - constants->text >= constants->text_size)
		return false;
	if (!in_foreign_stack(line, reg(context_of(frame), REG_RSP)))
		return reg(context_of(frame), REG_RSP) - tsp + NEAR < 2 * NEAR ||
		       ffg_signal_alternate(reg(context_of(frame), REG_RSP));
	if (between(ip, ffg_signal_open, ffg_signal_lowered))
		return thunk_good(context_of(frame), line);
	if (ffg_callback_contains(ip))
		return callback_good(context_of(frame), line);
	return ffg_gate_contains(ip) && gate_good(context_of(frame), line, tsp);
}

/* The frame of what was interrupted by the first of several signals, as the thunk finds it. */
static const ucontext_t *first_of(const ucontext_t *context)
{
	uintptr_t ip = reg(context, REG_RIP), sp = reg(context, REG_RSP);

	while (between(ip, ffg_signal_begin, ffg_signal_lowered) ||
	       between(ip, ffg_signal_tail, ffg_signal_end)) {
		if (!between(ip, ffg_signal_tail_popped, ffg_signal_end))
			sp += 8;
		context = (const ucontext_t *)sp;
		ip = reg(context, REG_RIP);
		sp = reg(context, REG_RSP);
	}
	return context;
}

static uint32_t pkru_of(const ucontext_t *context)
{
	const char *state = (const char *)context->uc_mcontext.fpregs;
	uint32_t present, pkru;

	memcpy(&present, state + XSTATE_BV, sizeof(present));
	memcpy(&pkru, state + constants->pkru, sizeof(pkru));
	return present & XSTATE_BV_PKRU ? pkru : 0;
}

/* Is it known where the foreign stack is free, and enough of it? */
static bool can_nest(const ucontext_t *context, const struct ffg_line *line)
{
	if (line->fsp - line->user[0] > constants->stack ||
	    line->fsp - line->user[0] < NEST_ROOM)
		return false;
	if (line->tpkru == FFG_LINE_IDLE)
		return true;
	/* Foreign code on a stack of its own making, or a handler of foreign code. */
	context = first_of(context);
	return in_foreign_stack(line, reg(context, REG_RSP)) ||
	       !(pkru_of(context) & constants->safe);
}

/* ---- handlers ---- */

void ffg_signal_plain(int signal, siginfo_t *info, void *ucontext)
{
	ffg_signal_fn function = ffg_signal_handler(signal);

	ffg_signal_unblock(signal, ucontext);
	if (function)
		function(signal, info, ucontext);
}

static void frame_pkru_set(struct ffg_signal_frame *frame, uint32_t value)
{
	uint32_t *pkru = ffg_sys_frame_pkru(context_of(frame));

	if (!pkru)
		stop(ffg_signal_stop_frame);
	*pkru = value;
}

void ffg_signal_run(int signal, struct ffg_signal_frame *frame, struct ffg_line *line,
		    uint64_t fsp, uint64_t tsp)
{
	fpregset_t state = context_of(frame)->uc_mcontext.fpregs;
	ffg_signal_fn function = ffg_signal_handler(signal);
	uint32_t ours = ~ffg_gate_page.constants.not_ours;
	uint32_t pkru, theirs;
	bool busy, foreign;
	struct nest nest;

	if (!function || !ffg_sys_frame_pkru(context_of(frame)))
		stop(ffg_signal_stop_frame);
	pkru = pkru_of(context_of(frame));
	if (!FFG_MUTANT(SIGNAL_FRAME) &&
	    !frame_good(frame, line, tsp, !(pkru & constants->safe)))
		stop(ffg_signal_stop_frame);
	busy = line->tpkru != FFG_LINE_IDLE;
	/* Not in a handler of foreign code or of the library, which have less. */
	foreign = busy && !((pkru ^ line->fpkru) & ours);
	nest_begin(&nest, line, fsp, context_of(frame), can_nest(context_of(frame), line));
	ffg_signal_unblock(signal, context_of(frame));
	function(signal, &frame->info, context_of(frame));
	nest_end(&nest, line, foreign);
	/* The program may change its frame, but not the rights to what is ours. */
	context_of(frame)->uc_mcontext.fpregs = state;
	theirs = pkru_of(context_of(frame)) & ~ours;
	pkru &= ours;
	if (busy && (pkru & constants->safe))
		pkru |= line->fpkru & ours;
	frame_pkru_set(frame, pkru | theirs);
}

void ffg_signal_chain(ffg_signal_fn function, int signal, siginfo_t *info, void *ucontext)
{
	const struct ffg_context *context = ffg_context_process();
	const struct ffg_thread *thread = ffg_thread_self();
	uintptr_t sp = reg(ucontext, REG_RSP);
	uint32_t *pkru = ffg_sys_frame_pkru(ucontext);
	uint32_t closed = ffg_rdpkru();
	bool busy, foreign, calls;
	struct ffg_line *line;
	struct nest nest;
	uint64_t fsp;

	if (!context || !thread || context->forked || !*constants->inherited || !pkru) {
		function(signal, info, ucontext);
		return;
	}
	line = thread->line;
	ffg_wrpkru(closed & ~context->ours);
	if (line->fs_base != rdfsbase())
		stop(ffg_signal_stop_thread);
	fsp = line->fsp;
	busy = line->tpkru != FFG_LINE_IDLE;
	foreign = busy && !((*pkru ^ line->fpkru) & context->ours);
	calls = !busy || (foreign && in_foreign_stack(line, sp));
	if (busy && calls)
		line->fsp = (sp - RED_ZONE) & ~63UL;
	nest_begin(&nest, line, fsp, ucontext,
		   calls && line->fsp - line->user[0] >= NEST_ROOM);
	function(signal, info, ucontext);
	nest_end(&nest, line, foreign);
	line->fsp = fsp;
	if (foreign)
		*pkru |= line->fpkru & context->ours;
	ffg_wrpkru(closed);
}

/* ---- what faults in the thunk mean ---- */

bool ffg_signal_contains(uintptr_t ip)
{
	return between(ip, ffg_signal_begin, ffg_signal_last);
}

const char *ffg_signal_explain(uintptr_t ip)
{
	if (!ffg_signal_contains(ip))
		return NULL;
	if (ip == (uintptr_t)ffg_signal_stop_rights)
		return "a jump into the entry of signal handlers with other rights than it has";
	if (ip == (uintptr_t)ffg_signal_stop_thread)
		return "a jump into the entry of signal handlers with the state of another thread";
	if (ip == (uintptr_t)ffg_signal_stop_frame)
		return "a jump into the entry of signal handlers: no signal was delivered";
	return "in the entry of signal handlers: a jump, or the stack is used up";
}

/* ---- with the context ---- */

/* The two WRPKRU between the thunks of callbacks and their end. */
static bool find_callback(void)
{
	const char *at = ffg_callback_thunks_end, *found[2] = { NULL, NULL };
	unsigned int count = 0;

	for (; at + 3 <= ffg_callback_end; at++) {
		if (memcmp(at, "\x0f\x01\xef", 3))
			continue;
		if (count < 2)
			found[count] = at;
		count++;
	}
	callback_open = found[0];
	callback_return = found[1];
	return count == 2;
}

/* The segment with the library's code. */
static int find_text(struct dl_phdr_info *info, size_t size, void *data)
{
	struct ffg_signal_constants *own = data;
	uintptr_t thunk = (uintptr_t)ffg_signal_begin;

	(void)size;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uintptr_t start = info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_LOAD || thunk - start >= header->p_memsz)
			continue;
		own->text = start;
		own->text_size = header->p_memsz;
		return 1;
	}
	return 0;
}

void ffg_signal_cleanup(void)
{
	mprotect(&ffg_signal_page, sizeof(ffg_signal_page), PROT_READ | PROT_WRITE);
}

int ffg_signal_setup(const struct ffg_context *context)
{
	struct ffg_signal_constants *own = &ffg_signal_page.constants;
	uint32_t eax, ebx, ecx, edx;

	/* The extended state as the kernel writes it to frames, and 4 bytes that end it. */
	if (!__get_cpuid_count(0xd, 0, &eax, &ebx, &ecx, &edx))
		return ffg_fail(FFG_E_NO_PKU, "the CPU does not say how large its state is");
	/* In a forked child it may be read-only still. */
	ffg_signal_cleanup();
	own->xstate = ecx + 4;
	if (!__get_cpuid_count(0xd, 9, &eax, &ebx, &ecx, &edx) || !find_callback())
		return ffg_fail(FFG_E_NO_PKU, "the CPU does not say where PKRU lies");
	own->pkru = ebx;
	if (!dl_iterate_phdr(find_text, own))
		return ffg_fail(FFG_E_SYSTEM, "the library's own code is not to be found");
	own->inherited = ffg_context_inherited();
	own->rights = HANDLER_PKRU & ~context->ours;
	own->safe = FFG_PKRU_AD(context->safe);
	own->stack = ffg_stack_usable(context->stack_size);
	own->room = ((own->xstate + 63UL) & ~63UL) + FRAME_GAP + 2 * 64;
	if (mprotect(&ffg_signal_page, sizeof(ffg_signal_page), PROT_READ))
		return ffg_fail_errno(errno, "constants of the entry of signal handlers");
	return 0;
}

/* ---- jumps out of handlers ---- */

/* Is the handler of @nest left by a jump to @sp?  One of both may be on an alternate stack. */
static bool is_left(const struct nest *nest, uintptr_t sp)
{
	bool from = ffg_signal_alternate((uintptr_t)nest);

	return from == ffg_signal_alternate(sp) ? (uintptr_t)nest < sp : from;
}

void ffg_signal_jump(uintptr_t sp)
{
	struct ffg_thread *thread = ffg_thread_self();
	struct ffg_line *line;
	struct nest *nest;
	stack_t alternate;
	uint64_t fsp = 0;

	if (!thread || (ffg_rdpkru() & FFG_PKRU_AD(thread->context->safe)))
		return;
	line = thread->line;
	while ((nest = *innermost(line)) && is_left(nest, sp)) {
		if (nest->fsp > fsp)
			fsp = nest->fsp;
		/* One that another handler below had disarmed is armed by that one's. */
		alternate = nest->alternate;
		hold(line, nest->outer, FFG_LINE_IDLE);
		__atomic_store_n(&line->tpkru, FFG_LINE_IDLE, __ATOMIC_RELEASE);
		__atomic_store_n(innermost(line), nest->previous, __ATOMIC_RELEASE);
	}
	if (!fsp)
		return;
	/* The outermost of what is over had the most of the foreign stack left. */
	ffg_callback_jump(sp);
	if (line->fsp < fsp)
		line->fsp = fsp;
	/* The return of the handler would have armed it. */
	alternate.ss_flags &= ~SS_ONSTACK;
	if (!ffg_signal_alternate(sp))
		syscall(SYS_sigaltstack, &alternate, NULL);
	if (line->wake)
		ffg_gate_wake();
}
