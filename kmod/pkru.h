/* SPDX-License-Identifier: GPL-2.0-only */
/* Protection keys as bits of PKRU: two bits for each key, access-disable and write-disable. */
#ifndef FFG_PKRU_H
#define FFG_PKRU_H

#include <linux/mm.h>
#include <linux/pkeys.h>
#include <asm/pkru.h>

/* Access-disable bit of a key: also its bit in a mask of held slots. */
static inline u32 ffg_pkru_ad(unsigned int key)
{
	return PKRU_AD_BIT << (key * PKRU_BITS_PER_PKEY);
}

static inline u32 ffg_pkru_wd(unsigned int key)
{
	return PKRU_WD_BIT << (key * PKRU_BITS_PER_PKEY);
}

/* PKRU bits that close every key of a mask of keys. */
static inline u32 ffg_pkru_close(u32 keys)
{
	u32 pkru = 0;

	for (unsigned int key = 1; key < 16; key++)
		if (keys & BIT(key))
			pkru |= ffg_pkru_ad(key) | ffg_pkru_wd(key);
	return pkru;
}

/*
 * Are all keys of the mask allocated in @mm, and none its execute-only key?  Keys are the
 * program's: it may have freed one behind our back.  The caller holds mmap_lock.
 */
static inline bool ffg_keys_usable(struct mm_struct *mm, u32 keys)
{
	int execute_only = mm->context.execute_only_pkey;

	if (keys & ~mm_pkey_allocation_map(mm))
		return false;
	return execute_only <= 0 || !(keys & BIT(execute_only));
}

#endif /* FFG_PKRU_H */
