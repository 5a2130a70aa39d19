// SPDX-License-Identifier: GPL-2.0-only
/* Frames: the physical pages of objects, charged to the context and to the caller's memcg. */
#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/random.h>

#include "context.h"
#include "frame.h"

u64 ffg_poison __ro_after_init;

void __init ffg_frame_init(void)
{
	ffg_poison = get_random_u64();
}

/**
 * ffg_frame_alloc() - one zeroed page for an object
 * @ctx: context that is charged
 *
 * May sleep and reclaim: not under the arena mutex.
 *
 * Return: the page, or an ERR_PTR() of -EDQUOT or -ENOMEM.
 */
struct page *ffg_frame_alloc(struct ffg_context *ctx)
{
	struct page *frame;
	int err = ffg_charge(ctx, FFG_FRAMES, 1);

	if (err)
		return ERR_PTR(err);
	frame = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!frame) {
		ffg_uncharge(ctx, FFG_FRAMES, 1);
		return ERR_PTR(-ENOMEM);
	}
	return frame;
}

/**
 * ffg_frame_free() - give a page back; no PTE and no TLB entry may map it
 * @ctx: context that is charged
 * @frame: page
 */
void ffg_frame_free(struct ffg_context *ctx, struct page *frame)
{
	__free_page(frame);
	ffg_uncharge(ctx, FFG_FRAMES, 1);
}
