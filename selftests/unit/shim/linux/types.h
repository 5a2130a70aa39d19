/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's names of types, for pure kernel code that is compiled in user space. */
#ifndef FFG_SHIM_LINUX_TYPES_H
#define FFG_SHIM_LINUX_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include_next <linux/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#endif /* FFG_SHIM_LINUX_TYPES_H */
