/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way of a callback: from foreign code into a registered trusted function, and back.
 * callback.h says what stops a thread in here.
 *
 * While the function runs, the line of the thread looks idle: the slots of the outer call are let
 * go of, and a guarded call that the function makes enters the gate as any other, its foreign stack
 * below the frames of the outer one.  What is needed to go back lies on the trusted
 * stack.
 *
 * A signal handler that interrupts the path anywhere and makes calls of its own finds either a
 * stack pointer in the foreign stack, below which is free, or L_FSP below all foreign frames:
 * L_FSP is lowered before the switch to the trusted stack and raised after the switch back.
 */
#include "callback.h"
#include "gate_x86_64.h"
#include "mutant.h"

	.text
	.p2align 12
HIDDEN(ffg_callback_begin)
ffg_callback_begin:

FUNCTION(ffg_callback_thunks):
	.cfi_startproc
	.set	i, 0
	.rept	CALLBACKS
	.p2align 4
	mov	$i, %r11d
	jmp	ffg_callback_path
	.set	i, i + 1
	.endr
	.p2align 4
	.cfi_endproc
HIDDEN(ffg_callback_thunks_end)
ffg_callback_thunks_end:
	.size	ffg_callback_thunks, . - ffg_callback_thunks

/*
 * Registers: rbx the line, r15 the slot of the table, r12 to r14 keep rax, rdx and rcx.  rbp is
 * the foreign frame before the switch of stacks, and struct ffg_callback_frame behind it.
 */
	.p2align 6
	.type	ffg_callback_path, @function
ffg_callback_path:
	.cfi_startproc
	.cfi_personality 0x1b, ffg_callback_personality
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
	sub	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	mov	%rax, %r12
	mov	%rdx, %r13
	mov	%rcx, %r14
	mov	ffg_gate_line@gottpoff(%rip), %rax
	mov	%fs:(%rax), %rbx		/* a hint */
	xor	%ecx, %ecx
	RDPKRU
	mov	ffg_gate_page+FFG_GATE_NOT_OURS(%rip), %ecx
	not	%ecx
	test	%ecx, %eax
	jz	.Ltrusted			/* all our keys are open: trusted code calls */
	not	%ecx
	and	%ecx, %eax
	xor	%ecx, %ecx
	WRPKRU
	/* Is it what this thread had when it entered the gate?  Idle lines have another value. */
	and	$GATE_LINE_MASK, %ebx
	add	ffg_gate_page+FFG_GATE_LINES(%rip), %rbx
#if !FFG_MUTANT(CALLBACK_CHECK)
	cmp	%eax, L_TPKRU(%rbx)
	jne	ffg_callback_stop_rights
#endif
	rdfsbase %rax
	cmp	%rax, L_FS_BASE(%rbx)
	jne	ffg_callback_stop_thread
	/* A callback of the domain whose call this is? */
	cmp	$CALLBACKS, %r11d
	jae	ffg_callback_stop_state
	mov	%r11d, %r15d
	shl	$C_SHIFT, %r15
	lea	ffg_callback_table(%rip), %rax
	add	%rax, %r15
	mov	L_RECORD(%rbx), %rcx
	mov	R_DOMAIN(%rcx), %rax
	test	%rax, %rax
	jz	ffg_callback_stop_state
#if !FFG_MUTANT(CALLBACK_STATE)
	cmp	%rax, C_DOMAIN(%r15)
	jne	ffg_callback_stop_state
#endif
	cmp	L_LOW(%rbx), %rsp
	jb	ffg_callback_stop_stack
	cmp	L_FSP(%rbx), %rsp
	jae	ffg_callback_stop_stack
	cmpl	$CALLBACK_DEPTH_MAX, L_DEPTH(%rbx)
	jae	ffg_callback_stop_depth

	/* The outer call goes to the trusted stack. */
	mov	L_FSP(%rbx), %rax
	lea	-RED_ZONE(%rsp), %rcx
	and	$-64, %rcx
	mov	%rcx, L_FSP(%rbx)
	mov	L_TSP(%rbx), %r10
	lea	-F_SIZE(%r10), %rsp
	and	$-16, %rsp
	mov	%rbp, F_RBP(%rsp)
	mov	%rax, F_FSP(%rsp)
	mov	%rsp, %rbp
	/* The frame that called is found at F_RBP(%rbp): CFA = *(rbp + F_RBP) + 16 */
	.cfi_escape 0x0f, 5, 0x76, F_RBP, 0x06, 0x23, 16
	mov	%r10, F_TSP(%rbp)
	mov	L_CALLBACK(%rbx), %rax
	mov	%rax, F_PREVIOUS(%rbp)
	mov	L_RECORD(%rbx), %rax
	mov	%rax, F_RECORD(%rbp)
	mov	L_SERIAL(%rbx), %rax
	mov	%rax, F_SERIAL(%rbp)
	mov	L_TPKRU(%rbx), %eax
	mov	%eax, F_TPKRU(%rbp)
	mov	L_FCW(%rbx), %eax
	mov	%eax, F_FCW(%rbp)
	mov	L_MXCSR(%rbx), %eax
	mov	%eax, F_MXCSR(%rbp)
	mov	%rbp, L_CALLBACK(%rbx)
	incl	L_DEPTH(%rbx)
	pushq	$0x202				/* clears DF, AC, NT, TF */
	popfq
	ldmxcsr	F_MXCSR(%rbp)
	fninit
	fldcw	F_FCW(%rbp)
	movq	$-1, L_FPKRU(%rbx)		/* nothing held, trusted mode: one store */
	cmpl	$0, L_WAKE(%rbx)
	jne	.Lwake
.Lwoken:
	cmpl	$1, C_FORM(%r15)
	jne	1f
	/* A memory return: not where foreign code says, but in a buffer here. */
	mov	%rdi, F_RDI(%rbp)
	mov	C_RETURN(%r15), %eax
	sub	%rax, %rsp
	and	$-64, %rsp
	mov	%rsp, F_BUFFER(%rbp)
	mov	%rsp, %rdi
1:	mov	C_WORDS(%r15), %ecx
	lea	(,%rcx,8), %rax
	sub	%rax, %rsp
	and	C_ALIGN(%r15), %rsp
	mov	F_RBP(%rbp), %r10
	jrcxz	3f
2:	mov	8(%r10,%rcx,8), %rax
	mov	%rax, -8(%rsp,%rcx,8)
	dec	%ecx
	jnz	2b
3:	cmpl	$0, C_ARGUMENT(%r15)
	jne	.Ldata
.Lcall:
	mov	%r12, %rax
	mov	%r13, %rdx
	mov	%r14, %rcx
	xor	%r10d, %r10d
	call	*C_FUNCTION(%r15)

	mov	%rax, %r14
	mov	%rdx, %r13
	mov	%rbp, %rsp
	xor	%r12d, %r12d
	mov	C_FORM(%r15), %eax
	test	%eax, %eax
	jz	.Lvectors
	cmp	$2, %eax
	jae	.Lx87
	/*
	 * The memory return, first to the foreign stack below all that is in use, and from
	 * there with foreign rights.
	 */
	mov	L_FSP(%rbx), %rdi
	mov	C_RETURN(%r15), %ecx
	sub	%rcx, %rdi
	and	$-64, %rdi
	cmp	L_LOW(%rbx), %rdi
	jb	ffg_callback_stop_stack
	mov	%rdi, L_FSP(%rbx)		/* a signal handler's call stays below it */
	mov	%rdi, %r12
	mov	F_BUFFER(%rbp), %rsi
	rep movsb
.Lvectors:
	vmovups	%xmm0, F_RESULT(%rbp)
	vmovups	%xmm1, F_RESULT+16(%rbp)
	vzeroall
	vmovups	F_RESULT(%rbp), %xmm0
	vmovups	F_RESULT+16(%rbp), %xmm1
	fninit
.Lcleared:
	mov	ffg_gate_page+FFG_GATE_SCRUB(%rip), %eax
	test	%eax, %eax
	jnz	.Lscrub

	/*
	 * Back into the outer call: hold, then look, as at the entry of the gate.  The record
	 * may have been revoked meanwhile, and its index given to another: its serial tells,
	 * read behind its word.
	 */
.Lreturn:
	mov	F_PREVIOUS(%rbp), %rax
	mov	%rax, L_CALLBACK(%rbx)
	decl	L_DEPTH(%rbx)
	mov	F_TSP(%rbp), %rax
	mov	%rax, L_TSP(%rbx)
	mov	F_MXCSR(%rbp), %eax
	mov	%eax, L_MXCSR(%rbx)
	mov	F_FCW(%rbp), %eax
	mov	%eax, L_FCW(%rbx)
.Lretry:
	mov	F_RECORD(%rbp), %r11
	mov	%r11, L_RECORD(%rbx)
	mov	F_SERIAL(%rbp), %r10
	mov	%r10, L_SERIAL(%rbx)
	mov	F_TPKRU(%rbp), %eax
	mov	%eax, L_TPKRU(%rbx)
	mov	R_WORD(%r11), %ecx
	and	$~R_WORD_STALE, %ecx
	or	%ecx, %eax
	mov	%eax, L_FPKRU(%rbx)
	cmp	%ecx, R_WORD(%r11)
	jne	.Lstale
#if !FFG_MUTANT(CALLBACK_SERIAL)
	cmp	%r10, R_SERIAL(%r11)
	jne	.Lclosed
#endif
.Lgo:
	mov	F_RDI(%rbp), %rdi
	mov	C_RETURN(%r15), %esi
	mov	F_FSP(%rbp), %rcx
	mov	F_RBP(%rbp), %rbp
	.cfi_def_cfa %rbp, 16
	lea	-FOREIGN_FRAME(%rbp), %rsp
	test	%r12, %r12
	cmovnz	%r12, %rsp			/* signal frames go below the memory return */
	mov	%rcx, L_FSP(%rbx)
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r15d, %r15d
	xor	%ecx, %ecx
	xor	%edx, %edx
	WRPKRU
	mov	%ebx, %ecx
	and	$GATE_LINE_MASK, %ecx
	add	ffg_gate_page+FFG_GATE_LINES_RO(%rip), %rcx
	cmp	%eax, L_FPKRU(%rcx)
	jne	ffg_callback_stop_return
	rdfsbase %rax
	cmp	%rax, L_FS_BASE(%rcx)
	jne	ffg_callback_stop_return
	test	%r12, %r12
	jz	1f
	mov	%rdi, %r14			/* what the convention wants in rax */
	mov	%esi, %ecx
	mov	%r12, %rsi
HIDDEN(ffg_callback_copy)
ffg_callback_copy:
	rep movsb
	lea	-FOREIGN_FRAME(%rbp), %rsp
1:	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	mov	%r14, %rax
	mov	%r13, %rdx
	xor	%ecx, %ecx
	xor	%esi, %esi
	xor	%edi, %edi
	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	.cfi_def_cfa %rsp, 8
	ret

	/* Trusted code calls: no border is crossed. */
	.cfi_def_cfa %rbp, 16
.Ltrusted:
	mov	%r12, %rax
	mov	%r13, %rdx
	mov	%r14, %rcx
	shl	$C_SHIFT, %r11
	lea	ffg_callback_table(%rip), %r10
	mov	C_FUNCTION(%r10,%r11), %r11
	mov	-16(%rbp), %r12
	mov	-24(%rbp), %r13
	mov	-32(%rbp), %r14
	mov	-8(%rbp), %rbx
	mov	%rbp, %rsp
	pop	%rbp
	.cfi_def_cfa %rsp, 8
	test	%r11, %r11
	jz	ffg_callback_stop_state
	jmp	*%r11

	.cfi_escape 0x0f, 5, 0x76, F_RBP, 0x06, 0x23, 16
.Lwake:
	call	ffg_callback_wake_path
	jmp	.Lwoken
	/* The registered data in the place of what foreign code passes. */
.Ldata:
	mov	C_DATA(%r15), %rax
	mov	C_ARGUMENT(%r15), %ecx
	dec	%ecx
	jz	1f
	dec	%ecx
	jz	2f
	dec	%ecx
	jz	3f
	dec	%ecx
	jz	4f
	dec	%ecx
	jz	5f
	mov	%rax, %r9
	jmp	.Lcall
1:	mov	%rax, %rdi
	jmp	.Lcall
2:	mov	%rax, %rsi
	jmp	.Lcall
3:	mov	%rax, %r13
	jmp	.Lcall
4:	mov	%rax, %r14
	jmp	.Lcall
5:	mov	%rax, %r8
	jmp	.Lcall
.Lx87:
	fstpt	F_RESULT(%rbp)
	cmp	$2, %eax
	je	1f
	fstpt	F_RESULT+16(%rbp)
1:	vzeroall
	fninit
	je	2f
	fldt	F_RESULT+16(%rbp)
2:	fldt	F_RESULT(%rbp)
	jmp	.Lcleared
.Lscrub:
	and	$~1, %eax			/* x87 was reset, or carries the result */
	mov	%eax, %esi
	mov	$1, %ecx
	xgetbv
	and	%esi, %eax
	jz	.Lreturn
	sub	$640, %rsp
	and	$-64, %rsp
	CLEAR_HEADER
	mov	%esi, %eax
	xor	%edx, %edx
	xrstor64 (%rsp)
	mov	%rbp, %rsp
	jmp	.Lreturn
.Lstale:
	movq	$-1, L_FPKRU(%rbx)
	call	ffg_callback_bind_path
	test	%eax, %eax
	jz	.Lretry
	mov	F_TPKRU(%rbp), %eax
	mov	%eax, L_TPKRU(%rbx)
.Lclosed:
	mov	C_CLOSED(%r15), %eax
	or	F_TPKRU(%rbp), %eax
	mov	%eax, L_FPKRU(%rbx)
	jmp	.Lgo
	.cfi_endproc
	.size	ffg_callback_path, . - ffg_callback_path

/* Before the function is called: keeps what carries an argument. */
	.p2align 4
	.type	ffg_callback_wake_path, @function
ffg_callback_wake_path:
	.cfi_startproc
	KEEP	%rdi
	KEEP	%rsi
	KEEP	%r8
	KEEP	%r9
	KEEP	%r15
	SAVE_STATE %r15
	call	ffg_gate_wake
	RESTORE_STATE %r15
	TAKE_BACK	%r15
	TAKE_BACK	%r9
	TAKE_BACK	%r8
	TAKE_BACK	%rsi
	TAKE_BACK	%rdi
	ret
	.cfi_endproc
	.size	ffg_callback_wake_path, . - ffg_callback_wake_path

/* The word of record r11 with serial r10 is stale: keeps the result; eax: 0, or an error. */
	.p2align 4
	.type	ffg_callback_bind_path, @function
ffg_callback_bind_path:
	.cfi_startproc
	KEEP	%r15
	SAVE_STATE %r15
	mov	R_INDEX(%r11), %edi
	mov	%r10, %rsi
	call	ffg_callback_bind
	mov	%eax, %r10d
	RESTORE_STATE %r15
	mov	%r10d, %eax
	TAKE_BACK	%r15
	ret
	.cfi_endproc
	.size	ffg_callback_bind_path, . - ffg_callback_bind_path

/*
 * A thread that ends in a callback (cancelled, pthread_exit()): the foreign frames are passed over,
 * the outer call ends, and unwinding goes on in who made it.  rax: the exception, rbx
 * and rbp as in the path above.
 */
	.p2align 4
FUNCTION(ffg_callback_unwind):
	.cfi_startproc
	.cfi_undefined %rip
	mov	%rax, %rdi
	mov	F_PREVIOUS(%rbp), %rax
	mov	%rax, L_CALLBACK(%rbx)
	decl	L_DEPTH(%rbx)
	mov	F_FSP(%rbp), %rax
	mov	%rax, L_FSP(%rbx)
	mov	F_TSP(%rbp), %rsp
	jmp	ffg_gate_unwound
	.cfi_endproc
	.size	ffg_callback_unwind, . - ffg_callback_unwind

	STOP	ffg_callback_stop_rights
	STOP	ffg_callback_stop_thread
	STOP	ffg_callback_stop_state
	STOP	ffg_callback_stop_stack
	STOP	ffg_callback_stop_depth
	STOP	ffg_callback_stop_return
	STOP	ffg_callback_stop_jump

HIDDEN(ffg_callback_end)
ffg_callback_end:

	.section .note.GNU-stack,"",@progbits
