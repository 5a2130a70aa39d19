/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_SHIM_LINUX_STRING_H
#define FFG_SHIM_LINUX_STRING_H

#include <string.h>

#endif /* FFG_SHIM_LINUX_STRING_H */
