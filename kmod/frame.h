/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_FRAME_H
#define FFG_FRAME_H

#include <linux/mm_types.h>

struct ffg_context;

extern u64 ffg_poison __ro_after_init;

void ffg_frame_init(void);
struct page *ffg_frame_alloc(struct ffg_context *ctx);
void ffg_frame_free(struct ffg_context *ctx, struct page *frame);

#endif /* FFG_FRAME_H */
