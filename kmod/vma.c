// SPDX-License-Identifier: GPL-2.0-only
/* What all mappings of the device have in common. */
#include <linux/mm.h>

#include "compat/mm.h"
#include "context.h"
#include "mutant.h"
#include "vma.h"

/**
 * ffg_vma_prot() - protection bits of a PTE that carries a key of its own
 * @vma: mapping
 * @key: protection key
 *
 * Return: the bits for vmf_insert_pfn_prot().
 */
pgprot_t ffg_vma_prot(const struct vm_area_struct *vma, unsigned int key)
{
	pgprotval_t prot = pgprot_val(vma->vm_page_prot) & ~(pgprotval_t)_PAGE_PKEY_MASK;

	if (FFG_MUTANT(PTE_KEY))
		key = 0;
	return __pgprot(prot | (pgprotval_t)key << _PAGE_BIT_PKEY_BIT0);
}

/**
 * ffg_vma_setup() - flags and operations
 * @vma: mapping that is being made
 * @ctx: context
 * @ops: operations
 *
 * VM_PFNMAP: the kernel takes no reference on the frames, so that they can be swapped, and
 * GUP, which from another task ignores the key of a PTE, refuses them.  A forked child gets
 * nothing, a core dump neither.
 */
void ffg_vma_setup(struct vm_area_struct *vma, struct ffg_context *ctx,
		   const struct vm_operations_struct *ops)
{
	unsigned long may_not = VM_MAYEXEC;

	/* Or mprotect() could make what is read-only writable. */
	if (!(vma->vm_flags & VM_WRITE))
		may_not |= VM_MAYWRITE;
	/* VM_IO: without it MADV_DOFORK would take VM_DONTCOPY away again. */
	vm_flags_mod(vma, VM_IO | VM_PFNMAP | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP, may_not);
	vma->vm_ops = ops;
	vma->vm_private_data = ctx;
}

/**
 * ffg_vma_control() - map lines or records
 * @ctx: context
 * @vma: mapping to set up
 * @size: the only length that it may have
 * @ops: operations
 *
 * The caller holds the arena mutex.
 *
 * Return: 0 or -EINVAL.
 */
int ffg_vma_control(struct ffg_context *ctx, struct vm_area_struct *vma, unsigned long size,
		    const struct vm_operations_struct *ops)
{
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_flags & VM_EXEC ||
	    vma->vm_end - vma->vm_start != size)
		return -EINVAL;
	ffg_vma_setup(vma, ctx, ops);
	return 0;
}

/*
 * Without a map_pages the kernel retries each fault under mmap_lock; with one, even an
 * empty one, .fault may run under the VMA's lock alone.
 */
vm_fault_t ffg_vma_map_pages(struct vm_fault *vmf, pgoff_t first, pgoff_t last)
{
	return 0;
}

/* A part of a mapping has no meaning. */
int ffg_vma_may_split(struct vm_area_struct *vma, unsigned long address)
{
	return -EINVAL;
}

/* The PTEs carry keys that the VMA does not know: the kernel must not rewrite them. */
int ffg_vma_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
		     unsigned long newflags)
{
	return -EACCES;
}

int ffg_vma_mremap(struct vm_area_struct *vma)
{
	return -EINVAL;
}
