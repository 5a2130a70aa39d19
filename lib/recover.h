/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Recovery: a guarded call that went wrong returns to its trusted caller as one that failed.
 *
 * Offered for calls of domains that were opened with FFG_POLICY_RECOVER, where nothing but foreign
 * code is given up: no frame of libc or of the dynamic linker, which may hold their locks.
 */
#ifndef FFG_RECOVER_H
#define FFG_RECOVER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>
#include <unwind.h>

#include "internal.h"

#pragma GCC visibility push(hidden)

/* Before the first domain with FFG_POLICY_RECOVER: 0 or an error code that is set. */
int ffg_recover_install(void (*handler)(int, siginfo_t *, void *));

/*
 * ---- for the violation handler; async-signal-safe ----
 *
 * Each returns true if the frame now leads to the end of the call: the handler returns.  False:
 * nothing was changed; @v->unrecovered says why if the policy of the domain was to recover.
 */
bool ffg_recover(struct ffg_violation *v, const struct ffg_context *context, ucontext_t *frame);
/* The same for a signal that is no violation; fills @v. */
bool ffg_recover_crash(struct ffg_violation *v, const struct ffg_context *context, int signal,
		       const siginfo_t *info, ucontext_t *frame);
/* SIGILL of ffg_recover_trap(): true if it was that; the process may go on to end or not. */
bool ffg_recover_ending(struct ffg_violation *v, const struct ffg_context *context,
			ucontext_t *frame);

/* ---- for exit(), abort() and their kin ---- */

enum ffg_recover_end {
	FFG_RECOVER_EXIT,		/* the status is that of exit() */
	FFG_RECOVER_ABORT
};

/*
 * Foreign code called a function that ends the process; @from: where on the stack the address lies
 * to which that function would return.  Comes back if the process has to end.
 */
void ffg_recover_end_of(enum ffg_recover_end what, int status, const void *from);

/* ---- violation.c ---- */

/*
 * _Unwind_Backtrace(), or with @registers from there, on a stack that may be in any state; false:
 * it led to memory that is not there.  Async-signal-safe.
 */
bool ffg_violation_unwind(const greg_t *registers, _Unwind_Trace_Fn step, void *data);

/* ---- recover_x86_64.S ---- */

extern const char ffg_recover_begin[], ffg_recover_end[];	/* the landing */
extern const char ffg_recover_landing[];
void ffg_recover_trap(int what, int status, uintptr_t from);
_Unwind_Reason_Code ffg_recover_unwind(const greg_t *registers, _Unwind_Trace_Fn step, void *data);

#pragma GCC visibility pop

#endif /* FFG_RECOVER_H */
