/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signal handlers of trusted code: layout shared by signal_x86_64.S and signal.c, and what
 * sigaction.c and chain.c use.
 *
 * The kernel starts every handler with all keys but key 0 closed.  What trusted code registers is
 * therefore registered as a thunk, which opens the rights of trusted code, sees to the stack
 * and to the line, and calls the program's handler.  (No file here is called signal.h:
 * that name is libc's.)
 *
 * What stops a thread there, and what ffg_signal_explain() says:
 *
 *   where		signal	because
 *   ffg_signal_stop_rights ILL	a jump to the WRPKRU with another value than the thunk's
 *   ..._stop_thread	ILL	the same with the line of another thread, or the fs base was changed
 *   ..._stop_frame	ILL	no frame lies there that the kernel can have made
 *   elsewhere		SEGV	a jump, with a stack pointer to nowhere
 */
#ifndef FFG_SIGNAL_THUNK_H
#define FFG_SIGNAL_THUNK_H

#include "gate.h"

/* struct ffg_gate_constants */
#define FFG_GATE_NOBODY		32

/* struct ffg_signal_constants */
#define S_INHERITED	0
#define S_RIGHTS	8
#define S_SAFE		12
#define S_STACK		16
#define S_PKRU		24
#define S_XSTATE	28
#define S_ROOM		32

/* The frame that the kernel makes for a handler; its stack pointer points to it. */
#define FRAME_R12	80
#define FRAME_RSP	168
#define FRAME_RIP	176
#define FRAME_XSTATE	232
#define FRAME_INFO	312
#define FRAME_SIZE	440
/* From the frame to the extended state at most: alignments of both. */
#define FRAME_GAP	(FRAME_SIZE + 128)
/* In the extended state: how much of it there is, and what of it is not initial. */
#define XSTATE_SIZE	468
#define XSTATE_BV	512
#define XSTATE_BV_PKRU	(1 << 9)

#define RED_ZONE	128

#ifndef __ASSEMBLER__

#include <signal.h>
#include <ucontext.h>

#pragma GCC visibility push(hidden)

/*
 * What the thunk reads before it can know where it is: a page of its own, read-only while
 * a context is open.
 */
struct ffg_signal_constants {
	const uint32_t *inherited;	/* 0 there in a forked child */
	uint32_t rights;		/* PKRU of a handler with our keys open */
	uint32_t safe;			/* access-disable bit of SAFE */
	uint64_t stack;			/* bytes of a foreign stack, from line->user[0] up */
	uint32_t pkru;			/* where PKRU lies in the extended state */
	uint32_t xstate;		/* bytes of extended state in a frame at most */
	uint64_t room;			/* for a frame with it on the trusted stack */
	uintptr_t text;			/* the library's code */
	uintptr_t text_size;
};

union ffg_signal_page {
	struct ffg_signal_constants constants;
	char page[4096];
};
extern union ffg_signal_page ffg_signal_page;
GATE_SAME(struct ffg_gate_constants, nobody, FFG_GATE_NOBODY);
GATE_SAME(struct ffg_signal_constants, inherited, S_INHERITED);
GATE_SAME(struct ffg_signal_constants, rights, S_RIGHTS);
GATE_SAME(struct ffg_signal_constants, safe, S_SAFE);
GATE_SAME(struct ffg_signal_constants, stack, S_STACK);
GATE_SAME(struct ffg_signal_constants, pkru, S_PKRU);
GATE_SAME(struct ffg_signal_constants, xstate, S_XSTATE);
GATE_SAME(struct ffg_signal_constants, room, S_ROOM);

struct ffg_signal_frame;

/* signal_x86_64.S */
extern const char ffg_signal_begin[], ffg_signal_lowered[];
extern const char ffg_signal_tail[], ffg_signal_tail_popped[], ffg_signal_end[];
extern const char ffg_signal_last[];	/* the stops included */
extern const char ffg_signal_open[];	/* behind the WRPKRU */
extern const char ffg_signal_known[];	/* rbx is the line from here on */
extern const char ffg_signal_stop_rights[], ffg_signal_stop_thread[], ffg_signal_stop_frame[];
void ffg_signal_thunk(int signal, siginfo_t *info, void *ucontext);

/* signal.c, called by signal_x86_64.S */
void ffg_signal_plain(int signal, siginfo_t *info, void *ucontext);
void ffg_signal_run(int signal, struct ffg_signal_frame *frame, struct ffg_line *line,
		    uint64_t fsp, uint64_t tsp);

/* ---- signal.c, called by sigaction.c, chain.c ---- */

/* Does @address lie in the thread's alternate stack, armed or not? */
bool ffg_signal_alternate(uintptr_t address);

/* SS_AUTODISARM of linux/signal.h */
#define FFG_AUTODISARM	((int)(1U << 31))

typedef void (*ffg_signal_fn)(int, siginfo_t *, void *);

/* What the thunk calls for @signal, or NULL. */
ffg_signal_fn ffg_signal_handler(int signal);
void ffg_signal_handler_set(int signal, ffg_signal_fn function);
/* Where frames of handlers return to. */
void ffg_signal_restorer_set(uintptr_t address);
/* sigaction.c: before a handler runs, the signals are blocked that the program wants to be. */
void ffg_signal_unblock(int signal, const ucontext_t *context);
/*
 * Call a trusted handler from within one of the library's own, which the kernel started with all
 * keys closed.
 */
void ffg_signal_chain(ffg_signal_fn function, int signal, siginfo_t *info, void *ucontext);

#pragma GCC visibility pop

#endif /* __ASSEMBLER__ */
#endif /* FFG_SIGNAL_THUNK_H */
