/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Poison of slack: a pattern of eight random bytes, chosen when the module is loaded, so
 * that foreign code cannot know what to put back.  Pure code, also compiled by
 * selftests/unit.
 */
#ifndef FFG_POISON_H
#define FFG_POISON_H

#include <linux/types.h>

void ffg_poison_fill(void *page, size_t from, size_t to, u64 pattern);
bool ffg_poison_check(const void *page, size_t from, size_t to, u64 pattern,
		      size_t *first, size_t *last);

#endif /* FFG_POISON_H */
