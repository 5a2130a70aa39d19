/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Letting a single access happen that is a violation: the instruction is run once more with all
 * keys open, and stopped behind.
 */
#ifndef FFG_STEP_H
#define FFG_STEP_H

#include <signal.h>
#include <stdbool.h>
#include <ucontext.h>

#include "internal.h"

#pragma GCC visibility push(hidden)

/* Once per process, with the handler that calls ffg_step_end().  0 or an error code that is set. */
int ffg_step_install(void (*handler)(int, siginfo_t *, void *));
/*
 * Changes the signal frame so that the interrupted instruction gets through.  False: nothing was
 * changed, since ffg_step_install() was not called or the frame has no PKRU.  Async-signal-safe.
 */
bool ffg_step_begin(const struct ffg_context *context, ucontext_t *frame);
/*
 * First thing that handlers do: if the thread was interrupted within or behind such an instruction
 * the frame becomes what it would be without; true: it was.  Async-signal-safe.
 */
bool ffg_step_end(ucontext_t *frame);

#pragma GCC visibility pop

#endif /* FFG_STEP_H */
