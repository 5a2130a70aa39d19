/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_SHIM_LINUX_STRING_H
#define FFG_SHIM_LINUX_STRING_H

#include <string.h>
#include <linux/types.h>

static inline void *memset64(u64 *words, u64 value, size_t count)
{
	for (size_t i = 0; i < count; i++)
		words[i] = value;
	return words;
}

#endif /* FFG_SHIM_LINUX_STRING_H */
