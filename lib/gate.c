// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The gate seen from C: its entries, the slow paths, what its faults mean.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "gate.h"
#include "recover.h"
#include "sys.h"

#define USER(offset)	(((offset) - R_USER) / 8)	/* index in user[] */

union ffg_gate_page ffg_gate_page __attribute__((aligned(4096)));
struct ffg_gate_table ffg_gate_table __attribute__((aligned(4096)));
_Static_assert(sizeof(ffg_gate_table) % 4096 == 0, "the pages of the table carry a key");

__thread struct ffg_line *ffg_gate_line __attribute__((tls_model("initial-exec"))) =
	&ffg_gate_page.constants.nobody;

/*
 * Entries that failed in this thread, for ffg_call_error(), the oldest overwritten first.  Not
 * in struct ffg_thread: threads that did not attach have errors, too.
 */
#define FAILURES 8
static __thread struct {
	const struct ffg_call *call[FAILURES];
	int error[FAILURES];
	unsigned int next;
} failures __attribute__((tls_model("initial-exec")));

/* Guards the owners of entries; NULL: the entry is free.  Read without it in signal handlers. */
static pthread_mutex_t thunk_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct ffg_call *owner[GATE_THUNKS];
static unsigned int thunk_hint;

/* ---- entries ---- */

uint32_t ffg_gate_table_open(void)
{
	struct ffg_context *context = ffg_context_process();
	uint32_t pkru = ffg_rdpkru();

	if (context && !context->forked && (pkru & FFG_PKRU_KEY(context->safe)))
		ffg_wrpkru(pkru & ~FFG_PKRU_KEY(context->safe));
	return pkru;
}

void ffg_gate_table_close(uint32_t pkru)
{
	if (pkru != ffg_rdpkru())
		ffg_wrpkru(pkru);
}

static void closed_set(unsigned int thunk, const struct ffg_call *call, int error)
{
	struct ffg_record *closed = &ffg_gate_table.closed[thunk];

	closed->user[USER(R_GATE)] = (uintptr_t)ffg_gate_closed;
	closed->user[USER(R_CALL)] = (uintptr_t)call;
	memcpy((char *)closed + R_ERROR, &(uint32_t){ (uint32_t)error }, sizeof(uint32_t));
	__atomic_store_n(&ffg_gate_table.record[thunk], closed, __ATOMIC_RELEASE);
}

int ffg_gate_thunk_take(struct ffg_call *call)
{
	uint32_t pkru = ffg_gate_table_open();
	int found = -1;

	pthread_mutex_lock(&thunk_mutex);
	for (unsigned int n = 0; n < GATE_THUNKS; n++) {
		unsigned int thunk = (thunk_hint + n) % GATE_THUNKS;

		if (owner[thunk])
			continue;
		owner[thunk] = call;
		thunk_hint = thunk + 1;
		closed_set(thunk, call, FFG_E_REVOKED);
		found = (int)thunk;
		break;
	}
	pthread_mutex_unlock(&thunk_mutex);
	ffg_gate_table_close(pkru);
	return found;
}

void ffg_gate_thunk_set(unsigned int thunk, const struct ffg_record *record, int error)
{
	uint32_t pkru = ffg_gate_table_open();

	if (record)
		__atomic_store_n(&ffg_gate_table.record[thunk], record, __ATOMIC_RELEASE);
	else
		closed_set(thunk, owner[thunk], error);
	ffg_gate_table_close(pkru);
}

void ffg_gate_thunk_give(unsigned int thunk)
{
	uint32_t pkru = ffg_gate_table_open();

	closed_set(thunk, NULL, FFG_E_INVAL);
	pthread_mutex_lock(&thunk_mutex);
	owner[thunk] = NULL;
	pthread_mutex_unlock(&thunk_mutex);
	ffg_gate_table_close(pkru);
}

void *ffg_gate_thunk_address(unsigned int thunk)
{
	return (void *)(uintptr_t)(ffg_gate_thunks + (size_t)thunk * GATE_THUNK_SIZE);
}

static const char *ladder_of(const struct ffg_signature *signature,
			     const struct ffg_gate_variant *variant)
{
	unsigned int words = signature->stack_words;
	bool loop = words > GATE_LADDER || (words && signature->stack_align > 2);

	if (!signature->variadic && !signature->unknown)
		return loop ? variant->ladder_loop : variant->ladder[words];
	return loop || words != GATE_LADDER ? variant->ladder_variadic_loop
					    : variant->ladder_variadic;
}

void ffg_gate_record(struct ffg_call *call, uint64_t user[14])
{
	const struct ffg_signature *signature = &call->signature;
	const struct ffg_gate_variant *variant =
		&ffg_gate_variant[signature->form +
				  (ffg_gate_page.constants.scrub ? GATE_CHECKED : 0)];
	unsigned int prologue = signature->integers * 9 + signature->vectors;
	uint32_t words = signature->stack_words, align = signature->stack_align;
	uint32_t pads = (align - words % align) % align;
	char *bytes = (char *)user - R_USER;

	memset(user, 0, 14 * sizeof(*user));
	user[USER(R_GATE)] = (uintptr_t)(signature->wide ? ffg_gate_prologue_wide :
					 ffg_gate_prologue)[prologue];
	user[USER(R_COMMON)] = (uintptr_t)variant->common;
	user[USER(R_FUNCTION)] = (uintptr_t)call->function;
	if (signature->variadic || signature->unknown)
		user[USER(R_FUNCTION)] = (uintptr_t)ffg_gate_variadic;
	user[USER(R_LADDER)] = (uintptr_t)ladder_of(signature, variant);
	user[USER(R_CALL)] = (uintptr_t)call;
	user[USER(R_TARGET)] = (uintptr_t)call->function;
	user[USER(R_DOMAIN)] = (uintptr_t)call->domain;
	memcpy(bytes + R_WORDS, &words, sizeof(words));
	memcpy(bytes + R_PADS, &pads, sizeof(pads));
	memcpy(bytes + R_RETURN, &signature->return_size, sizeof(signature->return_size));
	memcpy(bytes + R_BUDGET, &call->armed, sizeof(call->armed));
}

/* ---- slow paths ---- */

int ffg_gate_bind_record(uint32_t index, uint64_t serial, uint64_t wait_ns)
{
	struct ffg_context *context = ffg_context_process();
	struct ffg_bind bind = {
		.size = sizeof(bind),
		.flags = FFG_BIND_WAIT,
		.record = index,
		.serial = serial,
		.timeout_ns = wait_ns,
	};
	unsigned int interrupted = 0;
	int error;

	if (!context)
		return FFG_E_INVAL;
	/* A signal ends the wait; its handler has run.  A storm of them must not wait for ever. */
	do {
		error = ffg_sys_ioctl(context, FFG_IOC_BIND, &bind);
	} while (error == EINTR && interrupted++ < GATE_BIND_SIGNALS);
	switch (error) {
	case 0:
		return 0;
	case ENOENT:
	case ESTALE:
		return FFG_E_REVOKED;
	case EBUSY:
	case EDEADLK:
	case EINTR:
		return FFG_E_BUSY;
	case EKEYREVOKED:
		return FFG_E_KEY_LOST;
	case ENOMEM:
		return FFG_E_NOMEM;
	case EDQUOT:
		return FFG_E_LIMIT;
	case EXDEV:
		return FFG_E_FORKED;
	default:
		return FFG_E_SYSTEM;
	}
}

int ffg_gate_bind(const struct ffg_record *record, unsigned int attempt)
{
	const struct ffg_thread *thread = ffg_thread_self();
	int error = FFG_E_BUSY;

	if (attempt <= GATE_BIND_ATTEMPTS)
		error = ffg_gate_bind_record(record->index, record->serial,
					     thread && thread->line->user[2] ?
					     GATE_NESTED_WAIT_NS : 0);
	/* The call is not made: what an attempt has opened for other threads is closed again. */
	if (error && thread && thread->line->wake)
		ffg_gate_wake();
	return error;
}

void ffg_gate_wake(void)
{
	struct ffg_context *context = ffg_context_process();
	const struct ffg_thread *thread = ffg_thread_self();
	const struct ffg_line *line = thread ? thread->line : NULL;
	struct ffg_wake wake = { .size = sizeof(wake) };

	/* In a callback, or in a handler on top of a call: what that was granted is open still. */
	if (line && (line->user[2] || line->user[4] || line->tpkru != FFG_LINE_IDLE))
		wake.flags = FFG_WAKE_KEEP;
	if (context)
		ffg_sys_ioctl(context, FFG_IOC_WAKE, &wake);
}

int ffg_gate_refuse(const struct ffg_line *line)
{
	return line == &ffg_gate_page.constants.nobody ? FFG_E_UNATTACHED : FFG_E_NESTED;
}

struct ffg_gate_failure ffg_gate_failed(struct ffg_call *call, int error, void *first)
{
	struct ffg_gate_failure failure = { 0, 0 };
	unsigned int at = failures.next++ % FAILURES;

	for (unsigned int n = 0; n < FAILURES; n++)
		if (failures.call[n] == call)
			failures.call[n] = NULL;
	failures.call[at] = call;
	failures.error[at] = error;
	ffg_fail_fixed(error);
	if (!call)
		return failure;
	switch (call->signature.form) {
	case FFG_RETURN_MEMORY:
		memset(first, 0, call->signature.return_size);
		failure.rax = (uintptr_t)first;
		break;
	case FFG_RETURN_X87:
		failure.x87 = 1;
		break;
	case FFG_RETURN_X87_PAIR:
		failure.x87 = 2;
		break;
	default:
		break;
	}
	return failure;
}

int ffg_gate_error(const struct ffg_call *call)
{
	for (unsigned int n = 0; n < FAILURES; n++) {
		if (failures.call[n] != call)
			continue;
		failures.call[n] = NULL;
		return failures.error[n];
	}
	return 0;
}

/* ---- unwinding ---- */

_Unwind_Reason_Code ffg_gate_personality(int version, _Unwind_Action actions, uint64_t class,
					 struct _Unwind_Exception *exception,
					 struct _Unwind_Context *context)
{
	(void)version;
	(void)class;
	if (!(actions & _UA_FORCE_UNWIND))
		return actions & _UA_SEARCH_PHASE ? _URC_FATAL_PHASE1_ERROR :
						    _URC_FATAL_PHASE2_ERROR;
	if (!ffg_gate_is_foreign())
		return _URC_CONTINUE_UNWIND;	/* in a slow path, with the caller's rights */
	/* The thread ends: what it still runs is trusted code. */
	_Unwind_SetGR(context, 0, (uintptr_t)exception);
	_Unwind_SetIP(context, (uintptr_t)ffg_gate_unwind);
	return _URC_INSTALL_CONTEXT;
}

/* ---- calls of the library itself ---- */

typedef uintptr_t (*apply_fn)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t,
			      void *);

int ffg_gate_call(struct ffg_domain *domain, unsigned int key, const char *what, void *function,
		  const uintptr_t argument[6], uintptr_t *result)
{
	struct ffg_thread *thread = ffg_thread_self();
	struct ffg_context *context = ffg_context_process();
	struct ffg_domain *outer_domain;
	const char *outer_what;
	struct ffg_call *call;
	apply_fn apply;
	uintptr_t value;
	int error;

	call = context ? context->apply[key] : NULL;
	if (!thread || !call)
		return ffg_fail(FFG_E_UNATTACHED, "%s", ffg_strerror(FFG_E_UNATTACHED));
	if (thread->line_ro->tpkru != FFG_LINE_IDLE)
		return ffg_fail(FFG_E_NESTED, "%s: %s", what, ffg_strerror(FFG_E_NESTED));
	apply = (apply_fn)ffg_gate_thunk_address(call->thunk);
	outer_domain = thread->domain;
	outer_what = thread->what;
	thread->domain = domain;
	thread->what = what;
	value = apply(argument[0], argument[1], argument[2], argument[3], argument[4], argument[5],
		      function);
	thread->what = outer_what;
	thread->domain = outer_domain;
	error = ffg_gate_error(call);
	if (error)
		return ffg_fail(error, "%s: %s", what, ffg_strerror(error));
	if (result)
		*result = value;
	return 0;
}

bool ffg_gate_is_foreign(void)
{
	struct ffg_context *context = ffg_context_process();
	struct ffg_thread *thread = ffg_thread_self();

	if (!context || context->forked)
		return false;
	if (ffg_rdpkru() & FFG_PKRU_AD(context->safe))
		return true;
	return thread && thread->line_ro->tpkru != FFG_LINE_IDLE;
}

/* The call of a record; reads the record, so SAFE must be open. */
static const struct ffg_call *call_of(const struct ffg_context *context, uint64_t address)
{
	const struct ffg_record *record = (const struct ffg_record *)(uintptr_t)address;
	uintptr_t first = (uintptr_t)context->records;

	if (address < first || address >= first + context->records_size ||
	    (address - first) % sizeof(*record))
		return NULL;
	return (const struct ffg_call *)(uintptr_t)record->user[USER(R_CALL)];
}

bool ffg_gate_serves(const struct ffg_thread *thread, const struct ffg_domain *domain)
{
	const struct ffg_context *context = thread->context;
	const struct ffg_line *line = thread->line_ro;
	uint64_t offset = line->record - (uintptr_t)context->records;
	const struct ffg_record *record;

	if (line->user[2])
		return true;	/* which calls lie below a callback is not looked up */
	if (line->tpkru == FFG_LINE_IDLE)
		return false;
	if (thread->domain == domain)
		return true;
	if (offset >= context->records_size || offset % sizeof(*record))
		return false;
	record = (const struct ffg_record *)((const char *)context->records + offset);
	return record->user[USER(R_DOMAIN)] == (uintptr_t)domain;
}

const char *ffg_gate_running(struct ffg_domain **domain)
{
	struct ffg_context *context = ffg_context_process();
	struct ffg_thread *thread = ffg_thread_self();
	const struct ffg_call *call;

	*domain = NULL;
	if (!context || context->forked || !thread || thread->line_ro->tpkru == FFG_LINE_IDLE)
		return NULL;
	if (thread->what) {
		*domain = thread->domain;
		return thread->what;
	}
	if (ffg_rdpkru() & FFG_PKRU_AD(context->safe))
		return NULL;
	call = call_of(context, thread->line_ro->record);
	if (!call)
		return NULL;
	*domain = call->domain;
	return call->name;
}

/* ---- faults ---- */

static bool between(uintptr_t ip, const char *first, const char *end)
{
	return ip >= (uintptr_t)first && ip < (uintptr_t)end;
}

bool ffg_gate_contains(uintptr_t ip)
{
	return between(ip, ffg_gate_begin, ffg_gate_end) ||
	       between(ip, ffg_recover_begin, ffg_recover_end) || ffg_callback_contains(ip);
}

/* One sentence for each place in the gate where a thread can be stopped; gate.h has the list. */
static const struct {
	const char *stop;
	const char *meaning;
} stops[] = {
	{ ffg_gate_stop_enter,
	  "the gate was entered in its middle with rights that this call does not have" },
	{ ffg_gate_stop_enter_thread,
	  "the gate was entered in its middle with the state of another thread" },
	{ ffg_gate_stop_leave,
	  "the gate was left with other rights than it was entered with: a jump or a changed key" },
	{ ffg_gate_stop_leave_thread,
	  "the gate was left with the state of another thread: a jump, or a changed fs base" },
};

/* The same for the common path, by the part of it. */
static const char *explain_path(uintptr_t ip, const struct ffg_gate_variant *path)
{
	if (between(ip, path->common, path->open))
		return "on the way into the gate: stack arguments that nobody passed, or too many";
	if (between(ip, path->open, path->close))
		return "inside the gate: the foreign stack is used up, or a jump into the gate";
	if (between(ip, path->close, path->end))
		return "on the way out of the gate: a jump into it, or rbx was not kept";
	return NULL;
}

const char *ffg_gate_explain(uintptr_t ip)
{
	const char *meaning = NULL;

	if (!ffg_gate_contains(ip))
		return NULL;
	if (ffg_callback_contains(ip))
		return ffg_callback_explain(ip);
	if (between(ip, ffg_gate_thunks, ffg_gate_thunks_end))
		return "foreign code called the entry of a guarded call";
	if (between(ip, ffg_recover_begin, ffg_recover_end))
		return "foreign code jumped to where calls that were ended go on";
	for (unsigned int n = 0; n < sizeof(stops) / sizeof(stops[0]); n++)
		if (ip == (uintptr_t)stops[n].stop)
			return stops[n].meaning;
	for (unsigned int n = 0; n < GATE_VARIANTS && !meaning; n++)
		meaning = explain_path(ip, &ffg_gate_variant[n]);
	return meaning ? meaning : "inside the gate";
}

/* Lets the interrupted entry fail with @error. */
static void divert(ucontext_t *context, unsigned int thunk, int error)
{
	greg_t *registers = context->uc_mcontext.gregs;

	registers[REG_RIP] = (greg_t)(uintptr_t)ffg_gate_fail;
	registers[REG_RAX] = error;
	registers[REG_R11] = (greg_t)(uintptr_t)owner[thunk];
}

bool ffg_gate_mend(void *frame)
{
	struct ffg_context *context = ffg_context_process();
	struct ffg_thread *thread = ffg_thread_self();
	ucontext_t *interrupted = frame;
	uintptr_t ip = (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP];
	uint32_t *pkru = ffg_sys_frame_pkru(frame);
	unsigned int thunk;

	if (!context || !pkru || !between(ip, ffg_gate_thunks, ffg_gate_thunks_end))
		return false;
	thunk = (unsigned int)((ip - (uintptr_t)ffg_gate_thunks) / GATE_THUNK_SIZE);
	if (context->forked || context->pid != getpid()) {
		divert(interrupted, thunk, FFG_E_FORKED);
		return true;
	}
	if (!(*pkru & FFG_PKRU_AD(context->safe)))
		return false;
	if (!thread) {
		divert(interrupted, thunk, FFG_E_UNATTACHED);
		return true;
	}
	if (thread->line_ro->tpkru == FFG_LINE_IDLE) {
		/* A signal handler of trusted code: the kernel closed all keys for it. */
		*pkru &= ~context->ours;
		return true;
	}
	if (*pkru == thread->line_ro->fpkru)
		return false;			/* foreign code */
	divert(interrupted, thunk, FFG_E_NESTED);
	return true;
}

/* ---- context ---- */

static int key_of_tables(int key)
{
	if (pkey_mprotect(&ffg_gate_table, sizeof(ffg_gate_table), PROT_READ | PROT_WRITE, key))
		return ffg_fail_errno(errno, "protection key of the table of entries");
	return ffg_callback_key(key);
}

int ffg_gate_open(struct ffg_context *context)
{
	struct ffg_gate_constants *constants = &ffg_gate_page.constants;
	struct ffg_xstate xstate;
	int error;

	ffg_sys_xstate(&xstate);
	constants->lines = (char *)context->lines;
	constants->lines_ro = (const char *)context->lines_ro;
	constants->not_ours = ~context->ours;
	constants->scrub = xstate.scrub;
	constants->save = xstate.save;
	error = key_of_tables((int)context->safe);
	if (error) {
		key_of_tables(0);
		return error;
	}
	if (mprotect(&ffg_gate_page, sizeof(ffg_gate_page), PROT_READ)) {
		error = errno;
		key_of_tables(0);
		return ffg_fail_errno(error, "constants of the gate");
	}
	return 0;
}

void ffg_gate_close(struct ffg_context *context)
{
	(void)context;
	mprotect(&ffg_gate_page, sizeof(ffg_gate_page), PROT_READ | PROT_WRITE);
	key_of_tables(0);
}

void ffg_gate_fork(struct ffg_context *context)
{
	pthread_mutex_init(&thunk_mutex, NULL);
	ffg_callback_fork();
	for (unsigned int thunk = 0; thunk < GATE_THUNKS; thunk++)
		if (owner[thunk])
			closed_set(thunk, owner[thunk], FFG_E_FORKED);
	ffg_gate_close(context);
}
