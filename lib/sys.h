/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the processor and the kernel offer.
 */
#ifndef FFG_SYS_H
#define FFG_SYS_H

#include <stdint.h>

#pragma GCC visibility push(hidden)

struct ffg_xstate {
	uint32_t save;		/* what a slow path of the gate must keep (XSAVE mask) */
	uint32_t scrub;		/* what may hold remnants and can be seen in use; 0: nothing */
};

/* Only after ffg_sys_missing() returned NULL. */
void ffg_sys_xstate(struct ffg_xstate *xstate);

#pragma GCC visibility pop

#endif /* FFG_SYS_H */
