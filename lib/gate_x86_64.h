/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the assembly of the gate, of callbacks and of signal handlers share.
 */
#ifndef FFG_GATE_X86_64_H
#define FFG_GATE_X86_64_H

#define RDPKRU	.byte 0x0f, 0x01, 0xee
#define WRPKRU	.byte 0x0f, 0x01, 0xef

#define HIDDEN(name)	.globl name; .hidden name
#define FUNCTION(name)	HIDDEN(name); .type name, @function; name

	.macro	STOP name
FUNCTION(\name):
	.cfi_startproc
	ud2
	.cfi_endproc
	.size	\name, . - \name
	.endm

/* What the slow paths keep of the extended state: 64-byte aligned, header cleared. */
#define SAVE_SIZE	2752
	.macro	CLEAR_HEADER
	.irp	at, 0, 8, 16, 24, 32, 40, 48, 56
	movq	$0, 512+\at(%rsp)
	.endr
	.endm
	.macro	SAVE_STATE keep
	mov	%rsp, \keep
	.cfi_def_cfa_register \keep
	sub	$SAVE_SIZE, %rsp
	and	$-64, %rsp
	CLEAR_HEADER
	mov	ffg_gate_page+FFG_GATE_SAVE(%rip), %eax
	xor	%edx, %edx
	xsave64	(%rsp)
	.endm
	.macro	RESTORE_STATE keep
	mov	ffg_gate_page+FFG_GATE_SAVE(%rip), %eax
	xor	%edx, %edx
	xrstor64 (%rsp)
	mov	\keep, %rsp
	.cfi_def_cfa_register %rsp
	.endm
	.macro	KEEP reg
	push	\reg
	.cfi_adjust_cfa_offset 8
	.endm
	.macro	TAKE_BACK reg
	pop	\reg
	.cfi_adjust_cfa_offset -8
	.endm

#endif /* FFG_GATE_X86_64_H */
