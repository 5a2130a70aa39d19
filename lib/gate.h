/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The call gate: layout shared by gate_x86_64.S and gate.c.
 *
 * An entry is a thunk.  It loads its record, jumps to the prologue for the signature, which
 * clears the registers that carry no argument, and that jumps to the common path, of which
 * there is one variant for each form of return value, with and without a check of the extended
 * state.
 *
 * What can stop a thread inside the gate, and what ffg_gate_explain() says:
 *
 *   where		signal	because
 *   thunk		SEGV	SAFE is closed: foreign code called an entry
 *   ffg_gate_stop_enter	ILL	PKRU is not what this call may have: a jump to the
 *				first WRPKRU
 *   ..._stop_enter_thread ILL	the same with the line of another thread
 *   ffg_gate_stop_leave	ILL	PKRU on return is not what it was: a jump to the second
 *				WRPKRU, or foreign code changed the rights of a key that
 *				is not ours
 *   ..._stop_leave_thread ILL	the same with the line of another thread, or the fs base
 *				was changed
 *   after 1st WRPKRU	SEGV	a bad hint of the line (rbx), or the foreign stack is used up
 *   after 2nd WRPKRU	SEGV	SAFE stayed closed, or a bad hint of the line: a jump there
 *   ffg_recover_landing	SEGV	SAFE is closed: a jump there
 */
#ifndef FFG_GATE_H
#define FFG_GATE_H

/* struct ffg_line */
#define L_FPKRU		4
#define L_TPKRU		8
#define L_MXCSR		12
#define L_RECORD	16
#define L_TSP		24
#define L_FSP		32
#define L_FS_BASE	40
#define L_FCW		56
#define L_WAKE		60
#define L_CALLS		72
#define L_SERIAL	80
#define L_LOW		88		/* user[0]: lowest usable byte of the foreign stack */
#define L_CALLBACK	96		/* user[1]: frame of the innermost callback, or NULL */
#define L_DEPTH		104		/* user[2]: callbacks that the thread is in */

/*
 * Both line mappings begin at a multiple of this, so that the low bits of the address
 * of a line, which foreign code may have changed, still select nothing but a line.
 */
#define GATE_LINES_ALIGN	(1 << 19)
#define GATE_LINE_MASK		(GATE_LINES_ALIGN - (1 << 7))

/* struct ffg_record; user[] as ffg_gate_record() fills it */
#define R_WORD		0
#define R_WORD_STALE	1
#define R_INDEX		4
#define R_SERIAL	8
#define R_USER		16
#define R_GATE		(R_USER + 0)	/* prologue */
#define R_COMMON	(R_USER + 8)	/* variant of the common path */
#define R_FUNCTION	(R_USER + 16)	/* what it calls */
#define R_LADDER	(R_USER + 24)	/* where it enters the ladder of stack words */
#define R_CALL		(R_USER + 32)	/* struct ffg_call */
#define R_TARGET	(R_USER + 40)	/* variadic: the function; R_FUNCTION sets al before it */
#define R_WORDS		(R_USER + 48)	/* u32: stack words, if more than the ladder has */
#define R_PADS		(R_USER + 52)	/* u32: zeroes to push before them */
#define R_RETURN	(R_USER + 56)	/* u32: bytes of a memory return */
#define R_ERROR		(R_USER + 60)	/* u32: of a closed entry */
#define R_DOMAIN	(R_USER + 64)	/* struct ffg_domain, or NULL */
#define R_BUDGET	(R_USER + 72)	/* u32: milliseconds, 0: none */

/* struct ffg_gate_constants */
#define FFG_GATE_LINES		0
#define FFG_GATE_LINES_RO	8
#define FFG_GATE_NOT_OURS	16
#define FFG_GATE_SCRUB		20
#define FFG_GATE_SAVE		24

#define GATE_THUNKS	4096
#define GATE_THUNK_SIZE	16
#define GATE_LADDER	16		/* stack words without a loop */
#define GATE_VARIANTS	8		/* enum ffg_return_form, twice */
#define GATE_CHECKED	4		/* first variant that looks at the extended state */

/*
 * A memory return has its buffer at the top of the foreign stack, a multiple of 64.  Below it
 * come the words of stack arguments.
 */
#define GATE_RETURN_MAX		65536
#define GATE_STACK_WORDS_MAX	4096	/* 32 KiB of arguments */

/* Attempts to make a stale record valid before the entry gives up. */
#define GATE_BIND_ATTEMPTS	64
/*
 * What a call within a callback waits for a slot: foreign frames below it may hold what the
 * slot's holder wants, so never for long.
 */
#define GATE_NESTED_WAIT_NS	50000000
/* Waits for a slot that signals may cut short. */
#define GATE_BIND_SIGNALS	256

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <unwind.h>

#include "internal.h"

#define GATE_SAME(type, member, offset) \
	_Static_assert(offsetof(type, member) == (offset), #member)

GATE_SAME(struct ffg_line, fpkru, L_FPKRU);
GATE_SAME(struct ffg_line, tpkru, L_TPKRU);
GATE_SAME(struct ffg_line, record, L_RECORD);
GATE_SAME(struct ffg_line, tsp, L_TSP);
GATE_SAME(struct ffg_line, fsp, L_FSP);
GATE_SAME(struct ffg_line, fs_base, L_FS_BASE);
GATE_SAME(struct ffg_line, mxcsr, L_MXCSR);
GATE_SAME(struct ffg_line, fcw, L_FCW);
GATE_SAME(struct ffg_line, wake, L_WAKE);
GATE_SAME(struct ffg_line, calls, L_CALLS);
GATE_SAME(struct ffg_line, serial, L_SERIAL);
GATE_SAME(struct ffg_line, user[0], L_LOW);
GATE_SAME(struct ffg_line, user[1], L_CALLBACK);
GATE_SAME(struct ffg_line, user[2], L_DEPTH);
GATE_SAME(struct ffg_record, word, R_WORD);
GATE_SAME(struct ffg_record, index, R_INDEX);
GATE_SAME(struct ffg_record, serial, R_SERIAL);
GATE_SAME(struct ffg_record, user, R_USER);
_Static_assert(sizeof(struct ffg_line) == 1 << FFG_LINE_SHIFT, "line");
_Static_assert(FFG_LINES_MAX << FFG_LINE_SHIFT == GATE_LINES_ALIGN, "lines");
_Static_assert(FFG_LINE_SHIFT == 7, "GATE_LINE_MASK");
_Static_assert(FFG_WORD_STALE == R_WORD_STALE, "word");
_Static_assert(sizeof(struct ffg_record) == 1 << FFG_RECORD_SHIFT, "record");

#pragma GCC visibility push(hidden)

/*
 * What the gate reads in either mode.  A page of its own, read-only while the context is
 * open: the checks are worth as much as these addresses.
 */
struct ffg_gate_constants {
	char *lines;
	const char *lines_ro;
	uint32_t not_ours;		/* PKRU bits that the gate leaves alone */
	uint32_t scrub;			/* extended state to be reset if XGETBV(1) says in use */
	uint32_t save;			/* extended state that slow paths keep */
	uint32_t reserved;
	struct ffg_line nobody;		/* line of a thread that did not attach: never idle */
};

union ffg_gate_page {
	struct ffg_gate_constants constants;
	char page[4096];
};
extern union ffg_gate_page ffg_gate_page;
GATE_SAME(struct ffg_gate_constants, lines, FFG_GATE_LINES);
GATE_SAME(struct ffg_gate_constants, lines_ro, FFG_GATE_LINES_RO);
GATE_SAME(struct ffg_gate_constants, not_ours, FFG_GATE_NOT_OURS);
GATE_SAME(struct ffg_gate_constants, scrub, FFG_GATE_SCRUB);
GATE_SAME(struct ffg_gate_constants, save, FFG_GATE_SAVE);

/*
 * The record of each entry, and for entries that must not be used the record that makes them
 * fail.  Keyed SAFE while the context is open: foreign code that calls an entry faults at its
 * first instruction.
 */
struct ffg_gate_table {
	const struct ffg_record *record[GATE_THUNKS];
	struct ffg_record closed[GATE_THUNKS];
};
extern struct ffg_gate_table ffg_gate_table;

/* The line of the calling thread; initial-exec, so that the gate finds it in two instructions. */
extern __thread struct ffg_line *ffg_gate_line __attribute__((tls_model("initial-exec")));

/* ---- gate_x86_64.S ---- */

extern const char ffg_gate_begin[], ffg_gate_end[];	/* everything that is the gate */
extern const char ffg_gate_thunks[], ffg_gate_thunks_end[];
extern const char ffg_gate_stop_enter[], ffg_gate_stop_enter_thread[];
extern const char ffg_gate_stop_leave[], ffg_gate_stop_leave_thread[];
extern const char ffg_gate_closed[];	/* R_GATE of a closed entry */
extern const char ffg_gate_fail[];	/* r11: call, eax: error, all else as at the entry */
extern const char ffg_gate_variadic[];	/* R_FUNCTION of a variadic function */
extern const char ffg_gate_apply[];	/* foreign mode: calls the first stack word */
extern const char ffg_gate_unwind[];	/* landing of a thread that ends in foreign code */

/* Prologues by integer and vector registers that carry arguments. */
extern const char *const ffg_gate_prologue[7 * 9];
extern const char *const ffg_gate_prologue_wide[7 * 9];	/* keeps upper halves */

/* The places of a variant of the common path. */
struct ffg_gate_variant {
	const char *common;
	const char *open;			/* the WRPKRU that opens foreign mode */
	const char *close;			/* the WRPKRU that ends it */
	const char *end;
	const char *ladder_loop;		/* any number of words */
	const char *ladder_variadic;		/* GATE_LADDER words, and R_TARGET loaded */
	const char *ladder_variadic_loop;
	const char *ladder[GATE_LADDER + 1];	/* by words */
};
extern const struct ffg_gate_variant ffg_gate_variant[GATE_VARIANTS];

/* ---- gate.c, called by gate_x86_64.S and, for its frames, by the unwinder ---- */

/* No exception of foreign code is caught beyond the gate; a thread may exit through it. */
_Unwind_Reason_Code ffg_gate_personality(int version, _Unwind_Action actions, uint64_t class,
					 struct _Unwind_Exception *exception,
					 struct _Unwind_Context *context);

/* A record was stale at the @attempt'th try: 0 to try again, or an error code. */
int ffg_gate_bind(const struct ffg_record *record, unsigned int attempt);
/* The same for a record by name; waits for slots, @wait_ns at most, or 0: the module's bound. */
int ffg_gate_bind_record(uint32_t index, uint64_t serial, uint64_t wait_ns);
/* Somebody waits for a slot that this thread let go of. */
void ffg_gate_wake(void);
/* Why an entry cannot be used whose line is @line and not idle. */
int ffg_gate_refuse(const struct ffg_line *line);
/* What a failed entry leaves in rax, and how many zeroes in the x87 registers. */
struct ffg_gate_failure {
	uint64_t rax;
	uint64_t x87;
};
struct ffg_gate_failure ffg_gate_failed(struct ffg_call *call, int error, void *first);

#pragma GCC visibility pop

#endif /* __ASSEMBLER__ */
#endif /* FFG_GATE_H */
