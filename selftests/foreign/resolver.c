// SPDX-License-Identifier: GPL-2.0-only
/*
 * libresolver: an attack from an IFUNC resolver, which runs while the library is being relocated.
 *
 * Nothing of libc can be relied on there, so the target comes as eight bytes in descriptor 200,
 * by a system call of its own; 0 or nothing there: no attack.
 */
#include <stdint.h>
#include <sys/syscall.h>

#define TARGET_FD 200

static long system_call(long number, long a, const void *b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

static int answer(void)
{
	return 42;
}

static int (*resolve_answer(void))(void)
{
	unsigned char *target = 0;
	static const char reached[] = "entry: resolver reached\n";
	static const char done[] = "entry: resolver done\n";

	if (system_call(SYS_read, TARGET_FD, &target, sizeof(target)) == sizeof(target) && target) {
		system_call(SYS_write, 2, reached, sizeof(reached) - 1);
		*target = 0x66;
		system_call(SYS_write, 2, done, sizeof(done) - 1);
	}
	return answer;
}

int resolver_answer(void) __attribute__((ifunc("resolve_answer")));

/* A reference from within, so that opening the library resolves it. */
int (*resolver_pointer)(void) = resolver_answer;
