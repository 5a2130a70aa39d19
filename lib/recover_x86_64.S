/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a guarded call ends that did not come back.
 *
 * The signal handler that decides so (recover.c) lets the interrupted frame return to the landing
 * with the rights of trusted mode.  There is no WRPKRU here: who jumps to it comes with the rights
 * that it has, and faults at the first look at a line, as SAFE is closed.
 */
#include "gate.h"
#include "gate_x86_64.h"
#include "mutant.h"

	.text
	.p2align 4
HIDDEN(ffg_recover_begin)
ffg_recover_begin:

/*
 * rbx the line, r11 the call, eax the error, r15d: does the call return a structure in memory?
 * Does what the common path does behind its second WRPKRU.
 */
FUNCTION(ffg_recover_landing):
	.cfi_startproc
	.cfi_undefined %rip
	and	$GATE_LINE_MASK, %ebx
	add	ffg_gate_page+FFG_GATE_LINES(%rip), %rbx
	mov	L_TSP(%rbx), %rsp
	.cfi_endproc

	.cfi_startproc
	.cfi_def_cfa %rsp, 56
	.cfi_offset %rbp, -16
	.cfi_offset %rbx, -24
	.cfi_offset %r12, -32
	.cfi_offset %r13, -40
	.cfi_offset %r14, -48
	.cfi_offset %r15, -56
	test	%r15d, %r15d
	jz	1f
	pop	%rdi				/* the caller's buffer */
1:	pushq	$0x202
	.cfi_adjust_cfa_offset 8
	popfq
	.cfi_adjust_cfa_offset -8
	ldmxcsr	L_MXCSR(%rbx)
	fninit
	fldcw	L_FCW(%rbx)
	mov	%eax, %r13d
	mov	%r11, %r14
	mov	%rdi, %r15
#if !FFG_MUTANT(RECOVER_RELEASE)
	movq	$-1, L_FPKRU(%rbx)		/* nothing held, trusted mode: one store */
#endif
	cmpl	$0, L_WAKE(%rbx)
	jne	3f
2:	mov	%r13d, %eax
	mov	%r14, %r11
	mov	%r15, %rdi
	.cfi_remember_state
	pop	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	pop	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	pop	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	pop	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	jmp	ffg_gate_fail
	.cfi_restore_state
3:	mov	%rsp, %r12
	.cfi_def_cfa_register %r12
	and	$-16, %rsp
	call	ffg_gate_wake
	mov	%r12, %rsp
	jmp	2b
	.cfi_endproc
	.size	ffg_recover_landing, . - ffg_recover_landing

HIDDEN(ffg_recover_end)
ffg_recover_end:

/*
 * void ffg_recover_trap(int what, int status, uintptr_t from): foreign code wants to end the
 * process.  Comes back if it may.
 */
	.p2align 4
FUNCTION(ffg_recover_trap):
	.cfi_startproc
	ud2
	ret
	.cfi_endproc
	.size	ffg_recover_trap, . - ffg_recover_trap

/*
 * int ffg_recover_unwind(const greg_t *registers, _Unwind_Trace_Fn step, void *data): as
 * _Unwind_Backtrace(), but the frame above is the one that had these registers.
 */
#define GREG_R8		0
#define GREG_R9		8
#define GREG_R10	16
#define GREG_R11	24
#define GREG_R12	32
#define GREG_R13	40
#define GREG_R14	48
#define GREG_R15	56
#define GREG_RDI	64
#define GREG_RSI	72
#define GREG_RBP	80
#define GREG_RBX	88
#define GREG_RDX	96
#define GREG_RAX	104
#define GREG_RCX	112
#define GREG_RSP	120
#define GREG_RIP	128
	/* rbx points to the registers: DW_CFA_expression REG, { DW_OP_breg3 OFFSET } */
	.macro	SAVED reg, offset
	.if	\offset < 64
	.cfi_escape 0x10, \reg, 2, 0x73, \offset
	.else
	.cfi_escape 0x10, \reg, 3, 0x73, (\offset & 0x7f) | 0x80, \offset >> 7
	.endif
	.endm
	.p2align 4
FUNCTION(ffg_recover_unwind):
	.cfi_startproc
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	mov	%rdi, %rbx
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	call	ffg_recover_unwind_from
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
	.cfi_endproc
	.size	ffg_recover_unwind, . - ffg_recover_unwind

	.type	ffg_recover_unwind_from, @function
ffg_recover_unwind_from:
	.cfi_startproc
	.cfi_signal_frame
	/* DW_CFA_def_cfa_expression { DW_OP_breg3 GREG_RSP, DW_OP_deref } */
	.cfi_escape 0x0f, 4, 0x73, (GREG_RSP & 0x7f) | 0x80, GREG_RSP >> 7, 0x06
	SAVED	0, GREG_RAX
	SAVED	1, GREG_RDX
	SAVED	2, GREG_RCX
	SAVED	3, GREG_RBX
	SAVED	4, GREG_RSI
	SAVED	5, GREG_RDI
	SAVED	6, GREG_RBP
	SAVED	8, GREG_R8
	SAVED	9, GREG_R9
	SAVED	10, GREG_R10
	SAVED	11, GREG_R11
	SAVED	12, GREG_R12
	SAVED	13, GREG_R13
	SAVED	14, GREG_R14
	SAVED	15, GREG_R15
	SAVED	16, GREG_RIP
	sub	$8, %rsp
	call	_Unwind_Backtrace@PLT
	add	$8, %rsp
	ret
	.cfi_endproc
	.size	ffg_recover_unwind_from, . - ffg_recover_unwind_from

	.section .note.GNU-stack,"",@progbits
