// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Functions of libc that end the process, in front of libc's own.
 *
 * Called by foreign code in a call of a domain that recovers they end the call instead; otherwise
 * they are what they were.  What libc calls by itself (a failed check of malloc(), the end of
 * main()) does not come by here.  As in interpose.c the symbols have no version and are weak.
 */
#include <assert.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "recover.h"

#define INTERPOSED __attribute__((visibility("default"), weak, noinline, noreturn))

/* Without a prototype in libc's headers */
extern void __stack_chk_fail(void);

enum ending {
	E_ABORT,
	E_ASSERT,
	E_EXIT,
	E_EXIT_C99,
	E_EXIT_NOW,
	E_EXIT_QUICK,
	E_STACK,
	E_COUNT
};

static const char *const names[E_COUNT] = {
	[E_ABORT] = "abort",
	[E_ASSERT] = "__assert_fail",
	[E_EXIT] = "exit",
	[E_EXIT_C99] = "_Exit",
	[E_EXIT_NOW] = "_exit",
	[E_EXIT_QUICK] = "quick_exit",
	[E_STACK] = "__stack_chk_fail",
};

static void *functions[E_COUNT];

static void *resolve(enum ending which)
{
	void *function = __atomic_load_n(&functions[which], __ATOMIC_ACQUIRE);

	if (!function) {
		function = dlsym(RTLD_NEXT, names[which]);
		if (!function)
			syscall(SYS_exit_group, 127);
		__atomic_store_n(&functions[which], function, __ATOMIC_RELEASE);
	}
	return function;
}

/* dlsym() takes the dynamic linker's lock; from here on nobody needs it. */
__attribute__((constructor)) static void resolve_all(void)
{
	for (unsigned int i = 0; i < E_COUNT; i++)
		resolve(i);
}

#define REAL(which, name) ((__typeof__(&(name)))resolve(which))

/* Where on the stack the address lies to which the calling function would return. */
#define RETURN_ADDRESS()	((const char *)__builtin_frame_address(0) + 8)

INTERPOSED void exit(int status)
{
	ffg_recover_end_of(FFG_RECOVER_EXIT, status, RETURN_ADDRESS());
	REAL(E_EXIT, exit)(status);
	__builtin_unreachable();
}

INTERPOSED void _exit(int status)
{
	ffg_recover_end_of(FFG_RECOVER_EXIT, status, RETURN_ADDRESS());
	REAL(E_EXIT_NOW, _exit)(status);
	__builtin_unreachable();
}

INTERPOSED void _Exit(int status)
{
	ffg_recover_end_of(FFG_RECOVER_EXIT, status, RETURN_ADDRESS());
	REAL(E_EXIT_C99, _Exit)(status);
	__builtin_unreachable();
}

INTERPOSED void quick_exit(int status)
{
	ffg_recover_end_of(FFG_RECOVER_EXIT, status, RETURN_ADDRESS());
	REAL(E_EXIT_QUICK, quick_exit)(status);
	__builtin_unreachable();
}

INTERPOSED void abort(void)
{
	ffg_recover_end_of(FFG_RECOVER_ABORT, 0, RETURN_ADDRESS());
	REAL(E_ABORT, abort)();
	__builtin_unreachable();
}

INTERPOSED void __assert_fail(const char *assertion, const char *file, unsigned int line,
			      const char *function)
{
	ffg_recover_end_of(FFG_RECOVER_ABORT, 0, RETURN_ADDRESS());
	REAL(E_ASSERT, __assert_fail)(assertion, file, line, function);
	__builtin_unreachable();
}

INTERPOSED void __stack_chk_fail(void)
{
	ffg_recover_end_of(FFG_RECOVER_ABORT, 0, RETURN_ADDRESS());
	REAL(E_STACK, __stack_chk_fail)();
	__builtin_unreachable();
}
