// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * main() begins on a page of its own.
 *
 * Above the main thread's first frame lie its arguments and environment, which foreign code
 * reads: that page of the stack cannot be closed.  So that no local variable of main() lies
 * there, it is called two pages below.  Stands in front of libc's function as those in interpose.c
 * do, whether there will be a context or not.
 */
#include <dlfcn.h>
#include <stdlib.h>

#define INTERPOSED __attribute__((visibility("default"), weak))
#define PAD (2 * 4096)

typedef int (*main_fn)(int, char **, char **);
typedef int (*start_fn)(main_fn, int, char **, void (*)(void), void (*)(void), void (*)(void),
			void *);

extern int __libc_start_main(main_fn main, int argc, char **argv, void (*init)(void),
			     void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

static main_fn program;

static int below(int argc, char **argv, char **environment)
{
	char pad[PAD];
	int status;

	__asm__ volatile("" : : "r"(pad) : "memory");
	status = program(argc, argv, environment);
	__asm__ volatile("" : : "r"(pad) : "memory");	/* until then it lay above */
	return status;
}

INTERPOSED int __libc_start_main(main_fn main, int argc, char **argv, void (*init)(void),
				 void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
	start_fn start = (start_fn)dlsym(RTLD_NEXT, "__libc_start_main");

	if (!start)
		abort();
	program = main;
	return start(below, argc, argv, init, fini, rtld_fini, stack_end);
}
