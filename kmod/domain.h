/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_DOMAIN_H
#define FFG_DOMAIN_H

#include <linux/types.h>

#include "record.h"

struct ffg_context;

/* Is it a grant to all threads of the record's domain? */
static inline bool ffg_domain_wide(const struct ffg_record_grant *grant)
{
	return grant->rights & FFG_RIGHT_DOMAIN;
}

bool ffg_domain_opened(struct ffg_context *ctx, int index);
void ffg_domain_bind(struct ffg_context *ctx, struct ffg_call_record *record);
void ffg_domain_close(struct ffg_context *ctx, struct ffg_call_record *record);
void ffg_domain_settle(struct ffg_context *ctx, int index);
void ffg_domain_disown(struct ffg_context *ctx, int index);

#endif /* FFG_DOMAIN_H */
