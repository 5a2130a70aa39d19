/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The thunk that stands for every signal handler of trusted code.  signal_thunk.h says what stops a
 * thread in here.
 *
 * The thunk opens the rights of trusted code before it touches a stack, and as everywhere
 * the WRPKRU is followed by checks that stop whoever jumped to it.  A handler that interrupted
 * foreign code does not run on a stack that foreign code can write: the frame is copied to
 * the trusted stack, below the guarded call, and the handler returns from the copy.
 *
 * Signals interrupt the thunk as they do everything else.  So that a handler on top finds its
 * way at every instruction,
 *   - the stack pointer is the frame (ffg_signal_begin to _lowered, _tail to _tail_popped) or
 *     8 beyond it (to _end), as long as L_FSP does not lie below the interrupted foreign frames:
 *     from the frame the one below is found;
 *   - L_TSP is lowered before anything is copied there, and raised when it is not needed.
 */
#include "gate_x86_64.h"
#include "signal_thunk.h"
#include "mutant.h"

#define LABEL(name)	HIDDEN(name); name

	.text
	.p2align 6
FUNCTION(ffg_signal_thunk):
LABEL(ffg_signal_begin):
	.cfi_startproc
	mov	ffg_gate_line@gottpoff(%rip), %rax
	mov	%fs:(%rax), %rbx		/* a hint */
	lea	ffg_gate_page+FFG_GATE_NOBODY(%rip), %rax
	cmp	%rax, %rbx
	je	ffg_signal_plain		/* not attached */
	mov	ffg_signal_page+S_INHERITED(%rip), %rax
	cmpl	$0, (%rax)
	je	ffg_signal_plain		/* a forked child */
	mov	ffg_signal_page+S_RIGHTS(%rip), %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	WRPKRU
LABEL(ffg_signal_open):
	and	$GATE_LINE_MASK, %ebx
	add	ffg_gate_page+FFG_GATE_LINES(%rip), %rbx
LABEL(ffg_signal_known):
#if !FFG_MUTANT(SIGNAL_CHECK)
	cmp	ffg_signal_page+S_RIGHTS(%rip), %eax
	jne	ffg_signal_stop_rights
	rdfsbase %rax
	cmp	%rax, L_FS_BASE(%rbx)		/* faults if SAFE is closed still */
	jne	ffg_signal_stop_thread
#endif
	cld
	mov	%edi, %r14d

	/* The frame of what was interrupted, below any that interrupted this thunk. */
	mov	%rsp, %rdx
	lea	ffg_signal_begin(%rip), %rsi
.Lchase:
	mov	FRAME_RIP(%rdx), %r10
	mov	FRAME_RSP(%rdx), %r11
	mov	%r10, %rax
	sub	%rsi, %rax
	cmp	$ffg_signal_end - ffg_signal_begin, %rax
	jae	.Lfound
	cmp	$ffg_signal_lowered - ffg_signal_begin, %rax
	jb	1f
	cmp	$ffg_signal_tail - ffg_signal_begin, %rax
	jb	.Lfound
	cmp	$ffg_signal_tail_popped - ffg_signal_begin, %rax
	jb	1f
	sub	$8, %r11
1:	mov	%r11, %rdx
	jmp	.Lchase
.Lfound:

	/* The foreign stack of calls that the handler makes begins below what is in use. */
	mov	L_FSP(%rbx), %r12
	mov	%r12, %r8
#if !FFG_MUTANT(SIGNAL_STACK)
	/* A thunk below may have its frame there still, which it has not copied yet. */
	mov	FRAME_RSP(%rsp), %rcx
	mov	%rcx, %rax
	sub	L_LOW(%rbx), %rax
	cmp	ffg_signal_page+S_STACK(%rip), %rax
	cmovb	%rcx, %r11
	mov	%r11, %rcx
	sub	L_LOW(%rbx), %rcx
	cmp	ffg_signal_page+S_STACK(%rip), %rcx
	jae	1f
	sub	$RED_ZONE, %r11
	and	$-64, %r11
	cmp	%r8, %r11
	cmovb	%r11, %r8
	/* In the gate: arguments and results lie below L_FSP. */
1:	lea	ffg_gate_begin(%rip), %rax
	mov	%r10, %rcx
	sub	%rax, %rcx
	lea	ffg_gate_end(%rip), %rdi
	sub	%rax, %rdi
	cmp	%rdi, %rcx
	jae	2f
	mov	L_RECORD(%rbx), %rcx
	test	%rcx, %rcx
	jz	2f
	mov	R_WORDS(%rcx), %eax
	mov	R_PADS(%rcx), %edi
	add	%rdi, %rax
	mov	R_RETURN(%rcx), %ecx
	lea	2*RED_ZONE+64(%rcx,%rax,8), %rcx
	mov	%r12, %rax
	sub	%rcx, %rax
	and	$-64, %rax
	cmp	%r8, %rax
	cmovb	%rax, %r8
	/* On the way back from a callback: r12 may be a result in the foreign stack. */
2:	lea	ffg_callback_begin(%rip), %rax
	sub	%rax, %r10
	lea	ffg_callback_end(%rip), %rdi
	sub	%rax, %rdi
	cmp	%rdi, %r10
	jae	3f
	mov	FRAME_R12(%rdx), %rax
	and	$-64, %rax
	mov	%rax, %rcx
	sub	L_LOW(%rbx), %rcx
	cmp	ffg_signal_page+S_STACK(%rip), %rcx
	jae	3f
	cmp	%r8, %rax
	cmovb	%rax, %r8
3:
#endif
	mov	%r8, L_FSP(%rbx)

	/* Where does the handler run? */
	mov	L_TSP(%rbx), %r13
	mov	%rsp, %rcx
	sub	L_LOW(%rbx), %rcx
	cmp	ffg_signal_page+S_STACK(%rip), %rcx
	jae	4f
	/* Trusted code is on the foreign stack inside the gate only. */
	cmpl	$-1, L_TPKRU(%rbx)
	jne	.Lmove
	jmp	ffg_signal_stop_frame
4:	cmpl	$-1, L_TPKRU(%rbx)
	je	.Lstay
	cmp	%rsp, %rdx
	jne	.Lstay				/* on top of this thunk, which is not done yet */
	mov	FRAME_XSTATE(%rsp), %rcx
	mov	XSTATE_BV(%rcx), %eax
	test	$XSTATE_BV_PKRU, %eax
	jz	.Lstay				/* all of PKRU is 0 */
	mov	ffg_signal_page+S_PKRU(%rip), %eax
	mov	(%rcx,%rax), %eax
	test	%eax, ffg_signal_page+S_SAFE(%rip)
	jz	.Lstay				/* trusted code, in the gate or on an own stack */
.Lmove:
#if !FFG_MUTANT(SIGNAL_MOVE)
	mov	%r13, %rdi
	sub	$RED_ZONE, %rdi
	sub	ffg_signal_page+S_ROOM(%rip), %rdi
	and	$-64, %rdi
	mov	%rdi, L_TSP(%rbx)
	mov	%rsp, %rsi
	mov	%esp, %eax
	and	$63, %eax			/* the extended state stays aligned */
	add	%rax, %rdi
	mov	%rdi, %r15
	mov	FRAME_XSTATE(%rsp), %rdx
	mov	XSTATE_SIZE(%rdx), %ecx
	sub	%rsp, %rdx
	cmp	$FRAME_SIZE, %rdx
	jb	ffg_signal_stop_frame
	cmp	$FRAME_GAP, %rdx
	ja	ffg_signal_stop_frame
	cmp	ffg_signal_page+S_XSTATE(%rip), %ecx
	ja	ffg_signal_stop_frame
	add	%rdx, %rcx
	rep movsb
	add	%r15, %rdx
	mov	%rdx, FRAME_XSTATE(%r15)
	mov	%r15, %rsp
#endif
.Lstay:
	mov	%rsp, %r15
LABEL(ffg_signal_lowered):
	.cfi_def_cfa %r15, 8
	and	$-16, %rsp
	mov	%r14d, %edi
	mov	%r15, %rsi
	mov	%rbx, %rdx
	mov	%r12, %rcx
	mov	%r13, %r8
	call	ffg_signal_run
	mov	%r15, %rsp
LABEL(ffg_signal_tail):
	mov	%r12, L_FSP(%rbx)
	mov	%r13, L_TSP(%rbx)
	movq	$0, (%rsp)			/* a frame is good for one return */
	add	$8, %rsp
LABEL(ffg_signal_tail_popped):
	mov	$15, %eax			/* rt_sigreturn */
	syscall
LABEL(ffg_signal_end):
	ud2
	.cfi_endproc
	.size	ffg_signal_thunk, . - ffg_signal_thunk

	STOP	ffg_signal_stop_rights
	STOP	ffg_signal_stop_thread
	STOP	ffg_signal_stop_frame
LABEL(ffg_signal_last):

	.section .note.GNU-stack,"",@progbits
