/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the library share.  Nothing here is part of the interface.
 *
 * Locks, outermost first:
 *   context_mutex	(context.c) opening, closing, fork
 *   thread_mutex	(thread.c) list of attached threads
 *   context->lock	lists and counters of the context, and the members so marked
 *   call->lock		grants and record of one call
 * None is taken in a signal handler or on the path of a guarded call; the slow path
 * of the gate (a stale record) takes none either.
 *
 * What a signal handler may use says so ("async-signal-safe").
 */
#ifndef FFG_INTERNAL_H
#define FFG_INTERNAL_H

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <ucontext.h>

#include "ffiguard.h"

#pragma GCC visibility push(hidden)

/* ---- error.c ---- */

/* Sets code and message of the calling thread; returns @code. */
int ffg_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/*
 * The same for an errno of the module or the kernel: picks the code, appends the
 * meaning of @error, leaves errno = @error.
 */
int ffg_fail_errno(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sets the code with a fixed message; no formatting, for the gate's slow path. */
void ffg_fail_fixed(int code);

/* ---- sys.c ---- */

#define FFG_KEYS	16			/* protection keys of the processor */
#define FFG_PKRU_AD(k)	(1U << (2 * (k)))	/* access disable */
#define FFG_PKRU_KEY(k)	(3U << (2 * (k)))	/* access and write disable */

static inline uint32_t ffg_rdpkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

static inline void ffg_wrpkru(uint32_t pkru)
{
	__asm__ volatile(".byte 0x0f,0x01,0xef" : : "a"(pkru), "c"(0), "d"(0) : "memory");
}

struct ffg_context;
/* ioctl on the device; 0 or a positive errno.  errno is left alone.  Async-signal-safe. */
int ffg_sys_ioctl(const struct ffg_context *context, unsigned long command, void *argument);
/* What the CPU or the kernel lacks, as a phrase; NULL: nothing. */
const char *ffg_sys_missing(void);
/*
 * The PKRU value in the frame of a signal handler (third argument of the handler), which
 * is loaded when the handler returns; NULL if the frame has none.  Async-signal-safe.
 */
uint32_t *ffg_sys_frame_pkru(void *ucontext);
pid_t ffg_sys_tid(void);

/* ---- context.c ---- */

struct ffg_context {
	int fd;
	pid_t pid;			/* process that opened it */
	bool forked;			/* a forked child's copy, without the mappings */
	unsigned int safe;		/* the SAFE key */
	uint32_t slot_keys;		/* bit k: key k is a slot */
	unsigned int slots;
	uint32_t domain_keys;		/* bit k: key k is for domains */
	uint32_t ours;			/* PKRU bits of all keys of the context */
	uint32_t closed;		/* of these without the keys of domains */
	uint64_t features;
	uint64_t flags;			/* of struct ffg_options */
	char *arena;
	size_t arena_size;
	struct ffg_line *lines;		/* keyed SAFE */
	const struct ffg_line *lines_ro;	/* the same memory, key 0, read-only */
	size_t lines_size;
	const struct ffg_record *records;	/* keyed SAFE, read-only */
	size_t records_size;
	size_t stack_size;		/* of a foreign stack */

	/*
	 * Callback of the program.  Written under lock, data first; the violation handler reads the
	 * function with acquire order.
	 */
	ffg_violation_fn violation;
	void *violation_data;

	pthread_mutex_t lock;
	struct ffg_domain *domains;	/* under lock */
	struct ffg_call *calls;		/* under lock */
	/* For ffg_gate_call(), by the key of the domain, [0]: it has none; constant while open. */
	struct ffg_call *apply[FFG_KEYS];
};

/*
 * The context of the process or NULL; in a forked child the parent's until closed.
 * Async-signal-safe.
 */
struct ffg_context *ffg_context_process(void);
/* Where 0 is read in a forked child, even if it ran no fork handlers. */
const uint32_t *ffg_context_inherited(void);
/* 0 if @context is the process's and usable here, else an error code that is set. */
int ffg_context_check(const struct ffg_context *context);
/* Is @address in the arena, the lines or the records?  Async-signal-safe. */
bool ffg_context_owns(const struct ffg_context *context, uintptr_t address);

/* ---- thread.c, stack.c ---- */

struct ffg_stack {
	char *map;			/* with both guards */
	size_t map_size;
	uintptr_t low;			/* lowest usable byte */
	uintptr_t top;			/* first stack pointer; memory returns go above it */
};

/* The thread's last guarded call that ended in recovery; written by the signal handler. */
struct ffg_recovery {
	const struct ffg_call *call;	/* NULL: none, or it is freed */
	uint64_t calls;			/* of the line at that time */
	bool traced;			/* frames, function and advice of the report are there */
	greg_t registers[NGREG];	/* where it went wrong */
	struct ffg_violation report;
};

/* What the watchdog knows of a thread, under thread_mutex but where it says atomic. */
struct ffg_watch {
	uint64_t calls;			/* of the line, as seen at the time @since; 0: in none */
	uint64_t since;			/* nanoseconds */
	uint64_t sent_at;
	uint64_t expired;		/* atomic: which call has to end */
	int sent;			/* atomic: a signal is on its way */
	bool last;			/* atomic: end it or die */
};

struct ffg_thread {
	struct ffg_context *context;
	pid_t id;
	struct ffg_line *line;		/* readable only while SAFE is open */
	const struct ffg_line *line_ro;	/* readable always */
	struct ffg_stack stack;
	void *altstack;			/* ours, or NULL if the program has a large enough one */
	size_t altstack_size;
	stack_t altstack_before;	/* the program's */
	/* ffg_gate_call() in progress: what the report says; see ffg_gate_running() */
	struct ffg_domain *domain;
	const char *what;
	struct ffg_recovery recovery;
	struct ffg_watch watch;
	struct ffg_line **line_slot;	/* the thread's ffg_gate_line, for who closes the context */
	struct ffg_thread *next, **link;	/* all that are attached, under thread_mutex */
};

/*
 * State of the calling thread or NULL if it is not attached.  Async-signal-safe, also in
 * foreign mode.
 */
struct ffg_thread *ffg_thread_self(void);
/* The context closes: every thread is detached. */
void ffg_thread_close(struct ffg_context *context);
/* In a forked child: no thread is attached, the stacks of the parent's threads are unmapped. */
void ffg_thread_fork(void);
/* Around fork(), so that the child does not inherit a lock that another thread holds. */
void ffg_thread_lock(void);
void ffg_thread_unlock(void);
/* Under that lock: @visit for each attached thread. */
void ffg_thread_each(void (*visit)(struct ffg_thread *thread, void *data), void *data);
int ffg_stack_new(struct ffg_stack *stack, size_t size);
void ffg_stack_free(struct ffg_stack *stack);
/* Bytes from the lowest usable one to the end, for a stack of @size. */
size_t ffg_stack_usable(size_t size);

/* ---- signature.c ---- */

enum ffg_return_form {
	FFG_RETURN_REGISTERS,		/* rax, rdx, xmm0, xmm1, or nothing */
	FFG_RETURN_MEMORY,		/* rdi points to the caller's buffer */
	FFG_RETURN_X87,			/* st(0): long double */
	FFG_RETURN_X87_PAIR,		/* st(0), st(1): complex long double */
	FFG_RETURN_FORMS
};

struct ffg_signature {
	unsigned int integers;		/* 0..6 integer registers, a memory return's rdi included */
	unsigned int vectors;		/* 0..8 vector registers */
	unsigned int stack_words;	/* 8-byte words on the stack */
	unsigned int stack_align;	/* of the argument area in words: 2, 4 or 8 */
	bool wide;			/* 256 or 512 bit vectors among the arguments */
	bool variadic;
	bool unknown;			/* no signature: everything is passed */
	enum ffg_return_form form;
	unsigned int return_size;	/* bytes, FFG_RETURN_MEMORY */
};

/* 0 or FFG_E_SIGNATURE, set with the place of the mistake.  @text may be NULL. */
int ffg_signature_parse(const char *text, struct ffg_signature *signature);

/* ---- call.c ---- */

struct ffg_object_name;

struct ffg_call {
	struct ffg_context *context;
	struct ffg_domain *domain;	/* NULL: a call of the library itself */
	unsigned int key;		/* of the domain, 0: none */
	struct ffg_call *next, **link;	/* context->calls, under context->lock */
	char *name;			/* of the function, for reports; constant */
	void *function;
	struct ffg_signature signature;
	unsigned int thunk;		/* index of the entry */

	pthread_mutex_t lock;		/* guards what follows */
	unsigned int count;
	struct ffg_grant_desc *grants;
	struct ffg_object_name *names;	/* of the objects of grants[] */
	bool recorded;			/* record and serial are valid */
	bool revoked;
	bool changed;			/* grants or budget changed since the record was made */
	uint32_t budget;		/* milliseconds, 0: the domain's */
	uint32_t armed;			/* of the record: what the watchdog goes by */
	uint32_t record;
	uint64_t serial;
};

/* The calls of the library itself, with the context. */
int ffg_call_open(struct ffg_context *context);
void ffg_call_close(struct ffg_context *context);
/* In a forked child: free the calls' memory. */
void ffg_call_forget(struct ffg_context *context);

/* ---- domain.c (of which call.c needs this much; the rest of the struct is domain.c's) ---- */

struct ffg_domain {
	struct ffg_context *context;
	struct ffg_domain *next;	/* context->domains, under context->lock */
	unsigned int calls;		/* calls alive, under context->lock */
	unsigned int callbacks;		/* callbacks alive, under context->lock */
	void *handle;			/* of dlopen() */
	char *library;			/* as given to ffg_domain_open() */
	unsigned int key;		/* protection key of its memory, 0: none; constant */
	enum ffg_policy policy;		/* constant */
	unsigned int budget;		/* milliseconds for a call, 0: any; under context->lock */
	struct ffg_snapshot *snapshot;	/* of its data, for ffg_domain_reset(); constant */
	struct ffg_domain_copy *heap;	/* of its heap, likewise */
};

/* ---- gate (gate.h, gate.c, gate_x86_64.S) ---- */

/*
 * Run @function(argument[0..5]) behind the gate with no grants, @key (0: none) being that of the
 * domain whose code it is; *@result, if not NULL, is what it returned in rax.  @what is for
 * reports ("constructors"), and must live until the function returns.
 * The thread is attached, or the error is FFG_E_UNATTACHED; inside a guarded call it is
 * FFG_E_NESTED.  The codes are set as ffg_fail() does.
 */
int ffg_gate_call(struct ffg_domain *domain, unsigned int key, const char *what, void *function,
		  const uintptr_t argument[6], uintptr_t *result);

/*
 * Does the calling code run without the rights of trusted code: foreign code, a thread
 * that foreign code started, a signal handler?  Such code calls foreign functions as they are; only
 * trusted code goes through the gate.  Async-signal-safe.
 */
bool ffg_gate_is_foreign(void);

/*
 * The call that the thread is in, for reports: *@domain (or NULL), name of the function.
 * NULL: in no call.  Async-signal-safe; opens no key: reads lines only by the alias, and the
 * record only if SAFE is open (the caller opens it).
 */
const char *ffg_gate_running(struct ffg_domain **domain);

/*
 * May foreign code of @domain be below @thread: in a call of it, or in any callback?  For a thread
 * that changes this meanwhile the answer is either.  SAFE is open.
 */
bool ffg_gate_serves(const struct ffg_thread *thread, const struct ffg_domain *domain);

/* Is @ip inside the gate (thunks, prologues, common path)?  Async-signal-safe. */
bool ffg_gate_contains(uintptr_t ip);

/*
 * A fault (SIGSEGV, SIGILL) with the instruction pointer inside the gate: what it means, as
 * a sentence, or NULL if @ip is not in the gate.  The sentences are listed in gate.h.
 * Async-signal-safe.
 */
const char *ffg_gate_explain(uintptr_t ip);

/*
 * First thing that the SIGSEGV handler does: an entry called where SAFE is closed
 * without being foreign code (an unattached thread, a signal handler) is no violation.
 * True: the frame was mended (the entry fails with its error, or is tried again), return
 * from the handler.  False: judge the fault.  Async-signal-safe.
 */
bool ffg_gate_mend(void *ucontext);

/* Set up and take down with the context; under context_mutex. */
int ffg_gate_open(struct ffg_context *context);
void ffg_gate_close(struct ffg_context *context);
/* In a forked child: every entry fails with FFG_E_FORKED from now on. */
void ffg_gate_fork(struct ffg_context *context);
/*
 * Entries: index of a free one or -1; point one at a record or, with NULL, let it fail with
 * @error.
 */
int ffg_gate_thunk_take(struct ffg_call *call);
void ffg_gate_thunk_set(unsigned int thunk, const struct ffg_record *record, int error);
void ffg_gate_thunk_give(unsigned int thunk);
void *ffg_gate_thunk_address(unsigned int thunk);
/*
 * The tables of entries and of callbacks are keyed SAFE; a thread that did not attach may have
 * them closed.  Opens them; returns what to close again.
 */
uint32_t ffg_gate_table_open(void);
void ffg_gate_table_close(uint32_t pkru);
/* Error of this thread's last entry of @call that could not be made, then 0. */
int ffg_gate_error(const struct ffg_call *call);
/* The call is going: this thread's report of it, too. */
void ffg_recover_forget(const struct ffg_call *call);
/* Fills @user for FFG_IOC_GRANT. */
void ffg_gate_record(struct ffg_call *call, uint64_t user[14]);

/* ---- callback.c: called by gate.c and by jump.c ---- */

/*
 * Is @ip on the path of callbacks, and what does a fault there mean?  Where it writes for
 * foreign code is not of it.  Async-signal-safe.
 */
bool ffg_callback_contains(uintptr_t ip);
const char *ffg_callback_explain(uintptr_t ip);
/* The key of the table, with the context. */
int ffg_callback_key(int key);
/* In a forked child. */
void ffg_callback_fork(void);
/* Trusted code jumps to a frame with stack pointer @sp: callbacks below it are over. */
void ffg_callback_jump(uintptr_t sp);

/* ---- jump.c ---- */

/* libc's siglongjmp(@buffer, 1), without a look at borders: for the library itself. */
void ffg_jump_back(sigjmp_buf buffer) __attribute__((noreturn));

/* ---- signal.c, sigaction.c (signal_thunk.h has the rest) ---- */

/* With the context: what the thunk of signal handlers reads. */
int ffg_signal_setup(const struct ffg_context *context);
void ffg_signal_cleanup(void);
/* From now on handlers of trusted code have its rights, those that are registered already, too. */
void ffg_signal_take(bool closed_stacks);
/* In a forked child. */
void ffg_signal_fork(void);
/* The thread attaches: its alternate stack, if any, is disarmed while a handler runs. */
void ffg_signal_altstack(void);
/* Is @ip in the thunk, and what does a fault there mean?  Async-signal-safe. */
bool ffg_signal_contains(uintptr_t ip);
const char *ffg_signal_explain(uintptr_t ip);
/* What the kernel says of @signal: in the place of the thunk the program's handler. */
struct sigaction;
void ffg_signal_translate(int signal, struct sigaction *action);
/* Trusted code jumps to a frame with stack pointer @sp: handlers below it are over. */
void ffg_signal_jump(uintptr_t sp);

/* ---- watchdog.c ---- */

/* A record with a budget of @milliseconds is being made.  0 or an error code that is set. */
int ffg_watchdog_start(unsigned int milliseconds);
/* The context closes: the thread ends. */
void ffg_watchdog_stop(void);
/* In a forked child: there is no such thread. */
void ffg_watchdog_fork(void);

/* ---- snapshot.c ---- */

struct ffg_snapshot;
struct ffg_loaded_list;
/*
 * Copy the writable data of the library @handle (of dlopen()) and of what it needs, as far as it
 * was not loaded @before.  NULL: no memory, which is set.
 */
struct ffg_snapshot *ffg_snapshot_take(const struct ffg_loaded_list *before, const void *handle);
/* The same data again. */
void ffg_snapshot_restore(struct ffg_snapshot *snapshot);
/* Is the data of @handle itself in it? */
bool ffg_snapshot_covers(const struct ffg_snapshot *snapshot, const void *handle);
/* Does another library, @handle, use something of it?  0 or an error code that is set. */
int ffg_snapshot_shared(const struct ffg_snapshot *snapshot, const void *handle, bool *shared);
void ffg_snapshot_free(struct ffg_snapshot *snapshot);

/* ---- violation.c, report.c: called by context.c and object.c ---- */

/* Install the SIGSEGV and SIGILL handlers; once per process.  0 or an error code that is set. */
int ffg_violation_install(void);
/* Before the context goes: the handlers pass everything on from now on. */
void ffg_violation_remove(void);
/* What domains that recover need beside: more signals.  0 or an error code that is set. */
int ffg_violation_recover(void);
/* What is needed beside to let single accesses happen.  0 or an error code that is set. */
int ffg_violation_allow(void);
/*
 * Report, the callback's turn, and the end of the process by @signal when the handler returns.
 * Async-signal-safe.
 */
void ffg_violation_die(struct ffg_violation *v, const struct ffg_context *context, int signal,
		       siginfo_t *info, const ucontext_t *frame);
/*
 * Fills in what a report has beside what happened: thread, frames, advice.  @registers are those of
 * the place; with @stack, what called it is still on the foreign stack.  Trusted mode.
 */
void ffg_violation_trace(struct ffg_violation *v, const greg_t *registers, bool stack);
/* An object as the program knows it. */
struct ffg_object_name {
	uint64_t object;		/* handle */
	uint64_t address;
	uint64_t length;
};

/*
 * Print the report of @count damaged slacks (and tell nobody else: the program gets FFG_E_DAMAGED).
 * @when: "freed", "revoked"
 * @call: name of the call whose grants ended, or NULL
 * @names: the objects that may be damaged
 */
void ffg_violation_damage(const char *when, const char *call, const struct ffg_object_name *names,
			  unsigned int named, const struct ffg_damage *damage, unsigned int count);

/* ---- domain.c, interpose.c: called by context.c ---- */

/* In the child of fork(), before anything else of the library runs there. */
void ffg_domain_fork(struct ffg_context *context);
/* Free the child's copies of the domains; the libraries stay loaded. */
void ffg_domain_forget(struct ffg_context *context);

#pragma GCC visibility pop

#endif /* FFG_INTERNAL_H */
