// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Foreign stacks.
 *
 * From low to high: a guard, the stack, room for stack arguments that nobody passed but that a
 * callback's signature names, a guard.  Only what is touched takes memory.
 */
#include <errno.h>
#include <sys/mman.h>

#include "gate.h"

/*
 * Larger than what a frame jumps over without a probe, mostly; and than what a guarded call by a
 * callback near the end puts there at once: a memory return and stack arguments.
 */
#define GUARD	(256UL << 10)
#define ABOVE	(GATE_STACK_WORDS_MAX * 8UL + 4096)

_Static_assert(GATE_RETURN_MAX + GATE_STACK_WORDS_MAX * 8UL + 8192 < GUARD, "guard");

size_t ffg_stack_usable(size_t size)
{
	return ((size + 4095) & ~4095UL) + ABOVE;
}

int ffg_stack_new(struct ffg_stack *stack, size_t size)
{
	size_t usable;
	char *map;

	size = (size + 4095) & ~4095UL;
	usable = size + ABOVE;
	stack->map_size = usable + 2 * GUARD;
	map = mmap(NULL, stack->map_size, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return ffg_fail_errno(errno, "foreign stack of %zu bytes", size);
	if (mprotect(map + GUARD, usable, PROT_READ | PROT_WRITE)) {
		int error = errno;

		munmap(map, stack->map_size);
		return ffg_fail_errno(error, "foreign stack of %zu bytes", size);
	}
	stack->map = map;
	stack->low = (uintptr_t)map + GUARD;
	stack->top = stack->low + size;
	return 0;
}

void ffg_stack_free(struct ffg_stack *stack)
{
	if (stack->map)
		munmap(stack->map, stack->map_size);
	stack->map = NULL;
}
