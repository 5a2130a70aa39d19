/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stubs for libc to call: the argument stays where it is, the number of the stub is the second
 * argument of ffg_interpose_stub_run().  256 stubs of 16 bytes: FFG_INTERPOSE_STUBS and
 * FFG_INTERPOSE_STUB_SIZE of interpose.h.
 */
	.text
	.p2align 4
	.globl	ffg_interpose_stubs
	.hidden	ffg_interpose_stubs
	.hidden	ffg_interpose_stub_run
	.type	ffg_interpose_stubs, @function
ffg_interpose_stubs:
	.cfi_startproc
	.set	stub, 0
	.rept	256
	.p2align 4
	mov	$stub, %esi
	jmp	ffg_interpose_stub_run
	.set	stub, stub + 1
	.endr
	.p2align 4
	.cfi_endproc
	.size	ffg_interpose_stubs, . - ffg_interpose_stubs

	.section .note.GNU-stack, "", @progbits
