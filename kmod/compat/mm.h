/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory management that moved between 6.1 and 7.x, under the newest name. */
#ifndef FFG_COMPAT_MM_H
#define FFG_COMPAT_MM_H

#include <linux/mm.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_mod(struct vm_area_struct *vma, unsigned long set, unsigned long clear)
{
	vma->vm_flags = (vma->vm_flags | set) & ~clear;
}
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
static inline void zap_special_vma_range(struct vm_area_struct *vma, unsigned long address,
					 unsigned long size)
{
	zap_vma_ptes(vma, address, size);
}
#endif

#endif /* FFG_COMPAT_MM_H */
