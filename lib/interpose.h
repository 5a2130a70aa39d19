/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Functions of libc that take a function pointer for later, in front of libc's own.
 * interpose.c says why, and what is left to libc.
 */
#ifndef FFG_INTERPOSE_H
#define FFG_INTERPOSE_H

#include <signal.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* Stubs that libc calls in place of a foreign function, and what they stand for. */
#define FFG_INTERPOSE_STUBS	256
/* Bytes from one stub to the next. */
#define FFG_INTERPOSE_STUB_SIZE	16

/* libc's own sigaction(). */
int ffg_interpose_sigaction(int signal, const struct sigaction *action, struct sigaction *old);

/* Threads that foreign code started and that have not ended. */
unsigned int ffg_interpose_threads(void);

/* interpose_x86_64.S */
extern const char ffg_interpose_stubs[];
/* What a stub does: run the function that it stands for with the stub's argument. */
void ffg_interpose_stub_run(uintptr_t argument, unsigned int stub);

#pragma GCC visibility pop

#endif /* FFG_INTERPOSE_H */
