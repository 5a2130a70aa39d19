/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The call gate.  gate.h says what the parts are and what stops a thread in here.
 *
 * A call that finds its record valid enters no kernel, runs two WRPKRU and no locked instruction.
 *
 * What the checks are worth does not rest on the order in which foreign code might reach them: each
 * WRPKRU is followed by code that stops unless the value loaded is the one that the gate
 * stored for this very thread, so a jump to it gains nothing.  What is read to decide that is
 * memory that foreign code cannot write (the read-only alias of the lines, the constants,
 * and, with SAFE open, the lines themselves).
 *
 * Frame pointer and CFI are kept, so that backtraces of foreign code go on in the caller:
 * in foreign mode rbp is the gate's frame pointer.  Exceptions end at the gate: a handler in
 * trusted code would run with the rights of foreign code.
 */
#include "gate.h"
#include "gate_x86_64.h"
#include "mutant.h"

	.text
	.p2align 12
HIDDEN(ffg_gate_begin)
ffg_gate_begin:

/*
 * Thunks.  r11 is the only register they may use: rax and r10 may carry something by the C
 * calling convention until the prologue knows the signature.
 */
FUNCTION(ffg_gate_thunks):
	.cfi_startproc
	.set i, 0
	.rept GATE_THUNKS
	mov	ffg_gate_table+8*i(%rip), %r11
	jmp	*R_GATE(%r11)
	.p2align 4
	.set i, i+1
	.endr
	.cfi_endproc
HIDDEN(ffg_gate_thunks_end)
ffg_gate_thunks_end:
	.size	ffg_gate_thunks, . - ffg_gate_thunks

/*
 * Prologues: NI integer and NV vector registers carry arguments, the others are cleared.  Upper
 * halves of vectors are cleared too unless WIDE.  r10, r12 and r15 are seen to by the common path.
 */
	.macro	PROLOGUE name, ni, nv, wide
	.p2align 5
	.type	\name, @function
\name:
	.cfi_startproc
	.if	\ni <= 0
	xor	%edi, %edi
	.endif
	.if	\ni <= 1
	xor	%esi, %esi
	.endif
	.if	\ni <= 2
	xor	%edx, %edx
	.endif
	.if	\ni <= 3
	xor	%ecx, %ecx
	.endif
	.if	\ni <= 4
	xor	%r8d, %r8d
	.endif
	.if	\ni <= 5
	xor	%r9d, %r9d
	.endif
	.if	\wide == 0 && \nv <= 4
	/* Shorter than clearing twelve registers: aside into the red zone, all cleared, back. */
	.set	n, 0
	.irp	x, 0, 1, 2, 3
	.if	n < \nv
	vmovups	%xmm\x, -24-16*\x(%rsp)
	.endif
	.set	n, n+1
	.endr
	vzeroall
	.set	n, 0
	.irp	x, 0, 1, 2, 3
	.if	n < \nv
	vmovups	-24-16*\x(%rsp), %xmm\x
	.endif
	.set	n, n+1
	.endr
	.else
	.if	\wide == 0
	vzeroupper
	.endif
	.set	n, 0
	.irp	x, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.if	n >= \nv
	vpxor	%xmm\x, %xmm\x, %xmm\x
	.endif
	.set	n, n+1
	.endr
	.endif
	jmp	*R_COMMON(%r11)
	.cfi_endproc
	.size	\name, . - \name
	.endm

	.altmacro
	.macro	PROLOGUE_AT k, ni, nv
	PROLOGUE ffg_gate_prologue_\k, \ni, \nv, 0
	PROLOGUE ffg_gate_wide_\k, \ni, \nv, 1
	.endm
	.macro	PROLOGUE_POINTER prefix, k
	.quad	\prefix\()_\k
	.endm

	.set	k, 0
	.rept	63
	PROLOGUE_AT %k, %(k/9), %(k%9)
	.set	k, k+1
	.endr

	.pushsection .data.rel.ro, "aw"
	.p2align 3
HIDDEN(ffg_gate_prologue)
ffg_gate_prologue:
	.set	k, 0
	.rept	63
	PROLOGUE_POINTER ffg_gate_prologue, %k
	.set	k, k+1
	.endr
HIDDEN(ffg_gate_prologue_wide)
ffg_gate_prologue_wide:
	.set	k, 0
	.rept	63
	PROLOGUE_POINTER ffg_gate_wide, %k
	.set	k, k+1
	.endr
	.popsection
	.noaltmacro

/*
 * The common path.  FORM: enum ffg_return_form.  CHECKED: look at the extended state.
 *
 * Registers: rbx the line, rbp the frame, r11 the record (from the thunk), r13 and r14 keep rdx
 * and rcx, which RDPKRU and WRPKRU want, r12 counts attempts.
 */
	.macro	COMMON name, form, checked
	.p2align 6
	.type	\name, @function
\name:
	.cfi_startproc
	.cfi_personality 0x1b, ffg_gate_personality
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	mov	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	push	%rbx
	.cfi_offset %rbx, -24
	push	%r12
	.cfi_offset %r12, -32
	push	%r13
	.cfi_offset %r13, -40
	push	%r14
	.cfi_offset %r14, -48
	push	%r15
	.cfi_offset %r15, -56
	.if	\form == 1
	push	%rdi				/* the caller's buffer */
	.endif
	mov	%rdx, %r13
	mov	%rcx, %r14
	/*
	 * The line.  That it is this thread's is checked behind both WRPKRU; a thread without
	 * one has a line that is never idle, as has a thread that is in a call.
	 */
	mov	ffg_gate_line@gottpoff(%rip), %rax
	mov	%fs:(%rax), %rbx
	cmpl	$-1, L_TPKRU(%rbx)
	jne	.Lrefuse\@
	xor	%r12d, %r12d
.Lretry\@:
	.if	\checked
	mov	$1, %ecx
	xgetbv
	test	ffg_gate_page+FFG_GATE_SCRUB(%rip), %eax
	jnz	.Lscrub\@
.Lscrubbed\@:
	.endif
	/*
	 * From here on a signal handler that calls an entry finds the line in use; what it did
	 * before this store it has finished, and nothing of it is needed.
	 */
	xor	%ecx, %ecx
	RDPKRU
	mov	%eax, L_TPKRU(%rbx)
	stmxcsr	L_MXCSR(%rbx)
	fnstcw	L_FCW(%rbx)
	mov	%rsp, L_TSP(%rbx)
	mov	%r11, L_RECORD(%rbx)
	mov	R_SERIAL(%r11), %r10
	mov	%r10, L_SERIAL(%rbx)
	incq	L_CALLS(%rbx)
	/*
	 * Hold, then look: the store says what this thread may have open, and the word is
	 * still the same after it, so nobody takes these slots from here on.  Whoever makes
	 * the word stale interrupts every processor before reading the lines, which orders
	 * this store and load.  Bit 0 is cleared: a stale word never equals it.
	 */
	mov	R_WORD(%r11), %r10d
	and	$~R_WORD_STALE, %r10d
	or	%r10d, %eax
	mov	%eax, L_FPKRU(%rbx)
	cmp	%r10d, R_WORD(%r11)
	jne	.Lstale\@
	mov	L_FSP(%rbx), %rsp
	.if	\form == 1			/* the buffer of the memory return lies above all */
	mov	R_RETURN(%r11), %ecx
	sub	%rcx, %rsp
	and	$-64, %rsp
	mov	%rsp, %rdi
	xor	%ecx, %ecx
	.endif
	xor	%r15d, %r15d
	jmp	*R_LADDER(%r11)

	/* The ladder: each word of stack arguments, last one first; an odd number is filled up. */
	.set	n, GATE_LADDER-1
	.rept	GATE_LADDER/2
	PUSH_ODD %n, \@
	.set	n, n-2
	.endr
.Lladder_variadic_loop\@:
	mov	R_TARGET(%r11), %r15
.Lladder_loop\@:
	mov	R_PADS(%r11), %ecx
	jrcxz	2f
1:	pushq	$0
	dec	%ecx
	jnz	1b
2:	mov	R_WORDS(%r11), %ecx
3:	pushq	8(%rbp,%rcx,8)
	dec	%ecx
	jnz	3b
	jmp	.Lladder_0_\@
.Lladder_variadic\@:
	mov	R_TARGET(%r11), %r15
	.set	n, GATE_LADDER
	.rept	GATE_LADDER
	PUSH_WORD %n, \@
	.set	n, n-1
	.endr
.Lladder_0_\@:
	mov	R_FUNCTION(%r11), %r11
.Lopen\@:
	WRPKRU
	/* Is it the value that this thread's call may have?  rbx is a hint from here on. */
	mov	%ebx, %ecx
	and	$GATE_LINE_MASK, %ecx
	add	ffg_gate_page+FFG_GATE_LINES_RO(%rip), %rcx
	cmp	%eax, L_FPKRU(%rcx)
	jne	ffg_gate_stop_enter
	rdfsbase %rax
	cmp	%rax, L_FS_BASE(%rcx)
	jne	ffg_gate_stop_enter_thread
	mov	%r13, %rdx
	mov	%r14, %rcx
	call	*%r11
	.if	\form >= 2			/* FNINIT would lose it */
	fstpt	-16(%rsp)
	.if	\form == 3
	fstpt	-32(%rsp)
	.endif
	mov	%rsp, %rsi
	.endif
	mov	%rax, %r14
	mov	%rdx, %r13
	xor	%ecx, %ecx
	RDPKRU
	and	ffg_gate_page+FFG_GATE_NOT_OURS(%rip), %eax
.Lclose\@:
	WRPKRU
	/* Is it what it was at the entry?  The load faults if SAFE is closed still. */
	and	$GATE_LINE_MASK, %ebx
	add	ffg_gate_page+FFG_GATE_LINES(%rip), %rbx
#if !FFG_MUTANT(GATE_CHECK)
	cmp	%eax, L_TPKRU(%rbx)
	jne	ffg_gate_stop_leave
	rdfsbase %rax
	cmp	%rax, L_FS_BASE(%rbx)
	jne	ffg_gate_stop_leave_thread
#endif
	mov	L_TSP(%rbx), %rsp
	.if	\form == 1
	.cfi_def_cfa %rsp, 64
	.else
	.cfi_def_cfa %rsp, 56
	.endif
	pushq	$0x202				/* clears DF, AC, NT, TF */
	popfq
	ldmxcsr	L_MXCSR(%rbx)
	fninit
	fldcw	L_FCW(%rbx)
	.if	\form == 1
	mov	L_RECORD(%rbx), %rcx
	mov	L_FSP(%rbx), %rsi
	.endif
	movq	$-1, L_FPKRU(%rbx)		/* nothing held, trusted mode: one store */
	.if	\form == 1
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	mov	%rdi, %r14			/* what the convention wants in rax */
	mov	R_RETURN(%rcx), %edx
	sub	%rdx, %rsi
	and	$-64, %rsi
	mov	%edx, %ecx
	shr	$3, %ecx
	rep movsq
	mov	%edx, %ecx
	and	$7, %ecx
	rep movsb
	.endif
	.if	\form == 3
	fldt	-32(%rsi)
	.endif
	.if	\form >= 2
	fldt	-16(%rsi)
	.endif
	cmpl	$0, L_WAKE(%rbx)
	jne	.Lwake\@
.Lwoken\@:
	mov	%r14, %rax
	mov	%r13, %rdx
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
	ret
	.cfi_restore_state
.Lwake\@:
	call	ffg_gate_wake_path
	jmp	.Lwoken\@

	/* What is off the path, with the frame as before the switch of stacks. */
	.cfi_def_cfa %rbp, 16
	.if	\checked
.Lscrub\@:
	call	ffg_gate_scrub_path
	jmp	.Lscrubbed\@
	.endif
.Lstale\@:
	movq	$-1, L_FPKRU(%rbx)
	call	ffg_gate_bind_path
	test	%eax, %eax
	jz	.Lretry\@
	jmp	.Lfail\@
.Lrefuse\@:
	call	ffg_gate_refuse_path
.Lfail\@:
	lea	-40(%rbp), %rsp
	mov	R_CALL(%r11), %r11
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	.cfi_def_cfa %rsp, 8
	jmp	ffg_gate_fail
	.cfi_endproc
.Lend\@:
	.size	\name, . - \name

	.pushsection .data.rel.ro, "aw"
	.quad	\name, .Lopen\@, .Lclose\@, .Lend\@
	.quad	.Lladder_loop\@, .Lladder_variadic\@, .Lladder_variadic_loop\@
	.set	n, 0
	.rept	GATE_LADDER+1
	LADDER_POINTER %n, \@
	.set	n, n+1
	.endr
	.popsection
	.endm

	.altmacro
/* The odd entries, which fill up and go on at the same number of words. */
	.macro	PUSH_ODD n, variant
.Lladder_\n\()_\variant:
	pushq	$0
	jmp	.Lladder_word_\n\()_\variant
	.endm
/* Word N of the stack arguments, 1 the first; an even number of words enters here. */
	.macro	PUSH_WORD n, variant
	.if	(\n) % 2 == 0
.Lladder_\n\()_\variant:
	.endif
.Lladder_word_\n\()_\variant:
	pushq	8+8*\n(%rbp)
	.endm
	.macro	LADDER_POINTER n, variant
	.quad	.Lladder_\n\()_\variant
	.endm

	.pushsection .data.rel.ro, "aw"
	.p2align 3
HIDDEN(ffg_gate_variant)
ffg_gate_variant:
	.popsection
	COMMON	ffg_gate_registers, 0, 0
	COMMON	ffg_gate_memory, 1, 0
	COMMON	ffg_gate_x87, 2, 0
	COMMON	ffg_gate_x87_pair, 3, 0
	COMMON	ffg_gate_registers_checked, 0, 1
	COMMON	ffg_gate_memory_checked, 1, 1
	COMMON	ffg_gate_x87_checked, 2, 1
	COMMON	ffg_gate_x87_pair_checked, 3, 1
	.noaltmacro

	STOP	ffg_gate_stop_enter
	STOP	ffg_gate_stop_enter_thread
	STOP	ffg_gate_stop_leave
	STOP	ffg_gate_stop_leave_thread

/* Foreign mode: al is an upper bound of the vector registers that a variadic call uses. */
	.p2align 4
FUNCTION(ffg_gate_variadic):
	.cfi_startproc
	mov	$8, %eax
	jmp	*%r15
	.cfi_endproc
	.size	ffg_gate_variadic, . - ffg_gate_variadic

/* Foreign mode: the function is the first stack word; for ffg_gate_call(). */
	.p2align 4
FUNCTION(ffg_gate_apply):
	.cfi_startproc
	mov	8(%rsp), %rax
	jmp	*%rax
	.cfi_endproc
	.size	ffg_gate_apply, . - ffg_gate_apply

/* The word of record r11 is stale: keeps what carries an argument; eax: 0, or an error. */
	.p2align 4
	.type	ffg_gate_bind_path, @function
ffg_gate_bind_path:
	.cfi_startproc
	KEEP	%rdi
	KEEP	%rsi
	KEEP	%r8
	KEEP	%r9
	KEEP	%r11
	SAVE_STATE %r15
	inc	%r12d
	mov	%r11, %rdi
	mov	%r12d, %esi
	call	ffg_gate_bind
	mov	%eax, %r10d
	RESTORE_STATE %r15
	mov	%r10d, %eax
	TAKE_BACK	%r11
	TAKE_BACK	%r9
	TAKE_BACK	%r8
	TAKE_BACK	%rsi
	TAKE_BACK	%rdi
	ret
	.cfi_endproc
	.size	ffg_gate_bind_path, . - ffg_gate_bind_path

/* The call is over and its result in r14, r13, vectors and x87: keeps them. */
	.p2align 4
	.type	ffg_gate_wake_path, @function
ffg_gate_wake_path:
	.cfi_startproc
	SAVE_STATE %r12
	call	ffg_gate_wake
	RESTORE_STATE %r12
	ret
	.cfi_endproc
	.size	ffg_gate_wake_path, . - ffg_gate_wake_path

/* Mask registers, upper vectors, tiles or x87 data are in use: resets them. */
	.p2align 4
	.type	ffg_gate_scrub_path, @function
ffg_gate_scrub_path:
	.cfi_startproc
	mov	%rsp, %r15
	.cfi_def_cfa_register %r15
	sub	$640, %rsp
	and	$-64, %rsp
	CLEAR_HEADER
	fnstcw	576(%rsp)
	mov	ffg_gate_page+FFG_GATE_SCRUB(%rip), %eax
	xor	%edx, %edx
	xrstor64 (%rsp)
	fldcw	576(%rsp)
	mov	%r15, %rsp
	.cfi_def_cfa_register %rsp
	ret
	.cfi_endproc
	.size	ffg_gate_scrub_path, . - ffg_gate_scrub_path

/* The line rbx is in use, or nobody's: eax is the error; keeps rdi and r11. */
	.p2align 4
	.type	ffg_gate_refuse_path, @function
ffg_gate_refuse_path:
	.cfi_startproc
	KEEP	%rdi
	KEEP	%r11
	mov	%rsp, %r15
	.cfi_def_cfa_register %r15
	and	$-16, %rsp
	mov	%rbx, %rdi
	call	ffg_gate_refuse
	mov	%r15, %rsp
	.cfi_def_cfa_register %rsp
	TAKE_BACK	%r11
	TAKE_BACK	%rdi
	ret
	.cfi_endproc
	.size	ffg_gate_refuse_path, . - ffg_gate_refuse_path

/* An entry that must not be used points to a record that says so. */
	.p2align 4
FUNCTION(ffg_gate_closed):
	.cfi_startproc
	mov	R_ERROR(%r11), %eax
	mov	R_CALL(%r11), %r11
	jmp	ffg_gate_fail
	.cfi_endproc
	.size	ffg_gate_closed, . - ffg_gate_closed

/*
 * The end of an entry that could not be made: returns zero in every form.  r11 the call, eax
 * the error.
 */
	.p2align 4
FUNCTION(ffg_gate_fail):
	.cfi_startproc
	KEEP	%rbp
	mov	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	.cfi_offset %rbp, -16
	and	$-16, %rsp
	mov	%rdi, %rdx
	mov	%eax, %esi
	mov	%r11, %rdi
	call	ffg_gate_failed
	vpxor	%xmm0, %xmm0, %xmm0
	vpxor	%xmm1, %xmm1, %xmm1
	jmp	2f
1:	fldz
	dec	%edx
2:	test	%edx, %edx
	jnz	1b
	leave
	.cfi_def_cfa %rsp, 8
	ret
	.cfi_endproc
	.size	ffg_gate_fail, . - ffg_gate_fail

/*
 * A thread that ends in foreign code (cancelled, pthread_exit()): unwinding leaves the gate here
 * and goes on in its caller, with the caller's rights.  rax: the exception, rbx a hint of the line.
 */
	.p2align 4
FUNCTION(ffg_gate_unwind):
	.cfi_startproc
	.cfi_undefined %rip
	mov	%rax, %rdi
	xor	%ecx, %ecx
	RDPKRU
	and	ffg_gate_page+FFG_GATE_NOT_OURS(%rip), %eax
	WRPKRU
	and	$GATE_LINE_MASK, %ebx
	add	ffg_gate_page+FFG_GATE_LINES(%rip), %rbx
	cmp	%eax, L_TPKRU(%rbx)
	jne	ffg_gate_stop_leave
	rdfsbase %rax
	cmp	%rax, L_FS_BASE(%rbx)
	jne	ffg_gate_stop_leave_thread
	mov	L_TSP(%rbx), %rsp
	pushq	$0x202
	popfq
	ldmxcsr	L_MXCSR(%rbx)
	fninit
	fldcw	L_FCW(%rbx)
	movq	$-1, L_FPKRU(%rbx)
	.cfi_endproc
	.size	ffg_gate_unwind, . - ffg_gate_unwind

/* The call of the line rbx is over, rsp is what it was behind the pushes; rdi: the exception. */
FUNCTION(ffg_gate_unwound):
	.cfi_startproc
	.cfi_undefined %rip
	cmpl	$0, L_WAKE(%rbx)
	je	1f
	mov	%rdi, %r13
	mov	%rsp, %r14
	and	$-16, %rsp
	call	ffg_gate_wake
	mov	%r14, %rsp
	mov	%r13, %rdi
	/* Of a memory return the buffer was pushed, too: it changes the alignment. */
1:	test	$8, %spl
	jnz	2f
	add	$8, %rsp
2:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	/* As if the caller had called this, at the return address. */
	jmp	_Unwind_Resume@plt
	.cfi_endproc
	.size	ffg_gate_unwound, . - ffg_gate_unwound

HIDDEN(ffg_gate_end)
ffg_gate_end:

	.section .note.GNU-stack,"",@progbits
