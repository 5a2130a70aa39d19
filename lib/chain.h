/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The program's own handlers of the signals that the violation handler takes.
 *
 * Once ours are installed, sigaction() and signal() of the program (interpose.c) change
 * and show what is kept here, and what is not ours is passed on to it as if the kernel
 * had delivered it.  Everything here is async-signal-safe, as sigaction() is.
 */
#ifndef FFG_CHAIN_H
#define FFG_CHAIN_H

#include <signal.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

/* Put @handler in front of what the program has for @signal; 0 or an errno.  Twice is no error. */
int ffg_chain_install(int signal, void (*handler)(int, siginfo_t *, void *));
/* A real-time signal that nobody had use for; the same one each time.  0: there is none. */
int ffg_chain_realtime(void);
/* Has ffg_chain_install() taken @signal? */
bool ffg_chain_has(int signal);
/* sigaction() on the program's action. */
void ffg_chain_action(int signal, const struct sigaction *action, struct sigaction *old);
/* Do what the program's action says, from within our handler. */
void ffg_chain_pass(int signal, siginfo_t *info, void *ucontext);
/*
 * Let the process die of @signal as soon as the handler returns, at the interrupted
 * instruction and with the same siginfo, even if that instruction would not fault a second time.
 */
void ffg_chain_die(int signal, siginfo_t *info);
/* In a forked child: no other thread is in the middle of anything. */
void ffg_chain_fork(void);

#pragma GCC visibility pop

#endif /* FFG_CHAIN_H */
