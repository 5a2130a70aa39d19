/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * long probe(void *entry, const uint64_t general[6], const uint8_t vector[16][32],
 *	      uint64_t canary)
 *
 * Calls the entry with the six integer argument registers and sixteen 256-bit vectors
 * as given and every other register full of the canary.  Returns how many callee-saved registers do
 * not come back.
 */
	.text
	.globl	probe
	.type	probe, @function
probe:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rcx
	mov	%rdi, %r11
	mov	%rsi, %r10
	.irp	r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	vmovdqu	32*\r(%rdx), %ymm\r
	.endr
	mov	%rcx, %rax
	mov	%rcx, %rbx
	mov	%rcx, %rbp
	mov	%rcx, %r12
	mov	%rcx, %r13
	mov	%rcx, %r14
	mov	%rcx, %r15
	mov	(%r10), %rdi
	mov	8(%r10), %rsi
	mov	16(%r10), %rdx
	mov	24(%r10), %rcx
	mov	32(%r10), %r8
	mov	40(%r10), %r9
	mov	%rax, %r10
	call	*%r11
	mov	(%rsp), %rcx
	xor	%eax, %eax
	.irp	r, rbx, rbp, r12, r13, r14, r15
	cmp	%rcx, %\r
	je	1f
	inc	%eax
1:
	.endr
	pop	%rcx
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	vzeroupper
	ret
	.size	probe, . - probe
	.section .note.GNU-stack,"",@progbits
