/* SPDX-License-Identifier: GPL-2.0-only */
/* No mutant is built here: what would remove a protection is never defined. */
#ifndef FFG_SHIM_LINUX_KCONFIG_H
#define FFG_SHIM_LINUX_KCONFIG_H

#define __is_defined(x)	0

#endif /* FFG_SHIM_LINUX_KCONFIG_H */
