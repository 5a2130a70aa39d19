// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * longjmp() and the border between trusted and foreign code.
 *
 * Within foreign code (libpng's error path) it is libc's.  Out of a guarded call it is stopped:
 * the code it goes to would run with the rights of foreign code.  Trusted code may jump out of
 * callbacks: the calls that they belong to are over then.
 *
 * These stand in front of libc's functions as those in interpose.c do, and for the same programs.
 * They keep nothing on the stack that the jump needs: they never return.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>

#include "callback.h"

#define INTERPOSED __attribute__((visibility("default"), weak))

/* libc's layout of a jmp_buf on x86-64; the stack pointer is mangled as PTR_MANGLE does. */
#define JMP_BUF_SP	6

extern void __longjmp_chk(jmp_buf buffer, int value) __attribute__((noreturn));

typedef void (*longjmp_fn)(jmp_buf, int) __attribute__((noreturn));

enum { J_LONGJMP, J_LONGJMP_UNDERSCORE, J_SIGLONGJMP, J_CHECKED, J_COUNT };

static const char *const names[J_COUNT] = {
	[J_LONGJMP] = "longjmp",
	[J_LONGJMP_UNDERSCORE] = "_longjmp",
	[J_SIGLONGJMP] = "siglongjmp",
	[J_CHECKED] = "__longjmp_chk",
};
static void *functions[J_COUNT];

/* Also before our constructor: other libraries' constructors may run first. */
static longjmp_fn resolve(unsigned int which)
{
	void *function = __atomic_load_n(&functions[which], __ATOMIC_ACQUIRE);

	if (!function) {
		function = dlsym(RTLD_NEXT, names[which]);
		if (!function)
			abort();
		__atomic_store_n(&functions[which], function, __ATOMIC_RELEASE);
	}
	return (longjmp_fn)function;
}

__attribute__((constructor)) static void resolve_all(void)
{
	for (unsigned int i = 0; i < J_COUNT; i++)
		resolve(i);
}

static uintptr_t stack_pointer_of(const struct __jmp_buf_tag *buffer)
{
	uintptr_t value = (uintptr_t)buffer->__jmpbuf[JMP_BUF_SP];
	uintptr_t guard;

	__asm__("mov %%fs:0x30, %0" : "=r"(guard));
	return (value >> 17 | value << 47) ^ guard;
}

/* Does foreign code stay in the frames of the call that it is in? */
static bool stays(uintptr_t sp)
{
	const struct ffg_thread *thread = ffg_thread_self();

	return !thread || thread->line_ro->tpkru == FFG_LINE_IDLE ||
	       (sp >= thread->line_ro->user[0] && sp <= thread->line_ro->fsp);
}

static void check(const struct __jmp_buf_tag *buffer)
{
	uintptr_t sp = stack_pointer_of(buffer);

	ffg_signal_jump(sp);
	if (!ffg_gate_is_foreign())
		ffg_callback_jump(sp);
	else if (!stays(sp))
		((void (*)(void))(uintptr_t)ffg_callback_stop_jump)();
}

INTERPOSED void longjmp(jmp_buf buffer, int value)
{
	check(buffer);
	resolve(J_LONGJMP)(buffer, value);
}

INTERPOSED void _longjmp(jmp_buf buffer, int value)
{
	check(buffer);
	resolve(J_LONGJMP_UNDERSCORE)(buffer, value);
}

INTERPOSED void siglongjmp(sigjmp_buf buffer, int value)
{
	check(buffer);
	resolve(J_SIGLONGJMP)(buffer, value);
}

INTERPOSED void __longjmp_chk(jmp_buf buffer, int value)
{
	check(buffer);
	resolve(J_CHECKED)(buffer, value);
}

void ffg_jump_back(sigjmp_buf buffer)
{
	resolve(J_SIGLONGJMP)(buffer, 1);
}
