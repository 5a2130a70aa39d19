/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Functions that cannot hold a lock; lockfree.c says how that is found. */
#ifndef FFG_LOCKFREE_H
#define FFG_LOCKFREE_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/*
 * Is the function at @ip, whose library has its code in [@text, @text_end), one that calls nothing
 * and acquires nothing?  Async-signal-safe.
 */
bool ffg_lockfree_at(uintptr_t ip, uintptr_t text, uintptr_t text_end);

#pragma GCC visibility pop

#endif /* FFG_LOCKFREE_H */
