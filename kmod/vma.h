/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_VMA_H
#define FFG_VMA_H

#include <linux/mm.h>

struct ffg_context;

pgprot_t ffg_vma_prot(const struct vm_area_struct *vma, unsigned int key);
void ffg_vma_setup(struct vm_area_struct *vma, struct ffg_context *ctx,
		   const struct vm_operations_struct *ops);
int ffg_vma_control(struct ffg_context *ctx, struct vm_area_struct *vma, unsigned long size,
		    const struct vm_operations_struct *ops);
vm_fault_t ffg_vma_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last);
int ffg_vma_may_split(struct vm_area_struct *vma, unsigned long address);
int ffg_vma_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		     unsigned long newflags);
int ffg_vma_mremap(struct vm_area_struct *vma);

#endif /* FFG_VMA_H */
