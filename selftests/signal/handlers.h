/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs of this suite share: a scene in which handlers do what trusted code does. */
#ifndef HANDLERS_H
#define HANDLERS_H

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include "death.h"

typedef unsigned char (*poke_fn)(volatile unsigned char *, int);
typedef int (*raise_fn)(volatile unsigned char *, int);

/* A scene with libsignals and libforms, an object, and calls for the handler. */
struct stage {
	struct scene scene;
	struct ffg_domain *forms;
	unsigned char *mine;		/* of the main code */
	unsigned char *theirs;		/* of handlers */
	struct ffg_call *poke_call;
	poke_fn poke;
	long handled, failed;		/* by handlers */
	unsigned int depth;		/* of handlers on top of each other */
	volatile uintptr_t stack;	/* where the last handler ran */
};
extern struct stage stage;

void stage_open(const struct ffg_options *options);
/* An entry of libsignals with @mine granted. */
void *stage_entry(const char *symbol, const char *signature);
/* The handler: touches its object and makes a guarded call that does. */
void stage_handler(int signal, siginfo_t *info, void *ucontext);
void stage_handle(int signal, int flags);
/* A sigaltstack of the program's. */
void stage_altstack(void);
/* The handler that the kernel has. */
uintptr_t stage_thunk(int signal, uintptr_t *restorer);

#endif /* HANDLERS_H */
