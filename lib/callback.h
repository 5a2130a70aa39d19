/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Callbacks: layout shared by callback_x86_64.S and callback.c.
 *
 * The entry of a callback is a thunk that loads its number.  What it stands for is read from a
 * table keyed SAFE only after the way has been opened, so foreign code can change nothing of it.
 * The path is the gate's turned round: WRPKRU opens the rights that the thread had when
 * it entered the gate, and each WRPKRU is followed by a check that stops whoever jumped to it.
 *
 * What can stop a thread there, and what ffg_callback_explain() says:
 *
 *   where		signal	because
 *   ffg_callback_stop_rights ILL	not in a guarded call, or a jump to the first WRPKRU
 *   ..._stop_thread	ILL	the same with the line of another thread, or a changed fs base
 *   ..._stop_state	ILL	no such callback, or not one of the domain whose call it is
 *   ..._stop_stack	ILL	the stack pointer is not in the thread's foreign stack
 *   ..._stop_depth	ILL	callbacks nested too deep
 *   ..._stop_return	ILL	a jump to the second WRPKRU
 *   ..._stop_jump	ILL	foreign code called longjmp() to leave its guarded call
 */
#ifndef FFG_CALLBACK_H
#define FFG_CALLBACK_H

#include "gate.h"

#define CALLBACKS		1024
#define CALLBACK_THUNK_SIZE	16
#define CALLBACK_DEPTH_MAX	64

/* struct ffg_callback_slot: a line of the table */
#define C_FUNCTION	0
#define C_DOMAIN	8
#define C_DATA		16
#define C_ARGUMENT	24		/* 1 to 6: integer register that C_DATA replaces; 0: none */
#define C_WORDS		28
#define C_FORM		32		/* enum ffg_return_form */
#define C_RETURN	36		/* bytes of a memory return */
#define C_ALIGN		40		/* of the stack arguments, in bytes, negated */
#define C_CLOSED	48		/* PKRU bits of all our keys but that of the domain */
#define C_SHIFT		6

/* struct ffg_callback_frame, on the trusted stack, aligned to 16 */
#define F_RBP		0
#define F_PREVIOUS	8
#define F_RECORD	16
#define F_SERIAL	24
#define F_TSP		32
#define F_FSP		40
#define F_TPKRU		48
#define F_FCW		52
#define F_MXCSR		56
#define F_RDI		64
#define F_BUFFER	72
#define F_RESULT	80		/* two vector or x87 registers */
#define F_SIZE		112

/* Below the foreign frame pointer: callee-saved registers, MXCSR and x87 control word. */
#define FOREIGN_FRAME	48
#define RED_ZONE	128

#ifndef __ASSEMBLER__

#pragma GCC visibility push(hidden)

struct ffg_callback_slot {
	void *function;			/* NULL: free */
	struct ffg_domain *domain;
	void *data;
	uint32_t argument;
	uint32_t words;
	uint32_t form;
	uint32_t return_size;
	int64_t align;
	uint32_t closed;
	uint32_t reserved[3];
};

/*
 * The outer call while trusted code of a callback runs: its line looks idle then, so that
 * calls which the callback makes enter the gate as any other.
 */
struct ffg_callback_frame {
	uint64_t rbp;			/* of the foreign frame below */
	struct ffg_callback_frame *previous;
	uint64_t record;
	uint64_t serial;
	uint64_t tsp;
	uint64_t fsp;
	uint32_t tpkru;
	uint32_t fcw;
	uint32_t mxcsr;
	uint32_t reserved;
	uint64_t rdi;			/* foreign buffer of a memory return */
	uint64_t buffer;		/* the one that stands for it meanwhile */
	uint64_t result[4];
};

GATE_SAME(struct ffg_callback_slot, function, C_FUNCTION);
GATE_SAME(struct ffg_callback_slot, domain, C_DOMAIN);
GATE_SAME(struct ffg_callback_slot, data, C_DATA);
GATE_SAME(struct ffg_callback_slot, argument, C_ARGUMENT);
GATE_SAME(struct ffg_callback_slot, words, C_WORDS);
GATE_SAME(struct ffg_callback_slot, form, C_FORM);
GATE_SAME(struct ffg_callback_slot, return_size, C_RETURN);
GATE_SAME(struct ffg_callback_slot, align, C_ALIGN);
GATE_SAME(struct ffg_callback_slot, closed, C_CLOSED);
_Static_assert(sizeof(struct ffg_callback_slot) == 1 << C_SHIFT, "slot of the table");
GATE_SAME(struct ffg_callback_frame, rbp, F_RBP);
GATE_SAME(struct ffg_callback_frame, previous, F_PREVIOUS);
GATE_SAME(struct ffg_callback_frame, record, F_RECORD);
GATE_SAME(struct ffg_callback_frame, serial, F_SERIAL);
GATE_SAME(struct ffg_callback_frame, tsp, F_TSP);
GATE_SAME(struct ffg_callback_frame, fsp, F_FSP);
GATE_SAME(struct ffg_callback_frame, tpkru, F_TPKRU);
GATE_SAME(struct ffg_callback_frame, fcw, F_FCW);
GATE_SAME(struct ffg_callback_frame, mxcsr, F_MXCSR);
GATE_SAME(struct ffg_callback_frame, rdi, F_RDI);
GATE_SAME(struct ffg_callback_frame, buffer, F_BUFFER);
GATE_SAME(struct ffg_callback_frame, result, F_RESULT);
_Static_assert(sizeof(struct ffg_callback_frame) == F_SIZE && F_SIZE % 16 == 0, "frame");

/* The table, in pages of its own: keyed SAFE while the context is open. */
extern struct ffg_callback_slot ffg_callback_table[CALLBACKS];

extern const char ffg_callback_begin[], ffg_callback_end[];
extern const char ffg_callback_thunks[], ffg_callback_thunks_end[];
extern const char ffg_callback_stop_rights[], ffg_callback_stop_thread[];
extern const char ffg_callback_stop_state[], ffg_callback_stop_stack[];
extern const char ffg_callback_stop_depth[], ffg_callback_stop_return[];
extern const char ffg_callback_stop_jump[];	/* called by jump.c */
extern const char ffg_callback_copy[];	/* writes where foreign code said, with its rights */
extern const char ffg_callback_unwind[];	/* landing of a thread that ends in a callback */

/*
 * The record of the outer call is stale when its callback returns.  0: try again; else the
 * foreign code goes on with nothing open, and its faults bind what they can.
 */
int ffg_callback_bind(uint32_t index, uint64_t serial);

/* Exceptions of a callback end here: foreign frames lie below. */
_Unwind_Reason_Code ffg_callback_personality(int version, _Unwind_Action actions, uint64_t class,
					     struct _Unwind_Exception *exception,
					     struct _Unwind_Context *context);

#pragma GCC visibility pop

#endif /* __ASSEMBLER__ */
#endif /* FFG_CALLBACK_H */
