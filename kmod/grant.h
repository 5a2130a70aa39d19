/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_GRANT_H
#define FFG_GRANT_H

#include <linux/ffiguard.h>

struct ffg_context;

int ffg_grant(struct ffg_context *ctx, struct ffg_grant *arg);
void ffg_grants_end_all(struct ffg_context *ctx);
int ffg_revoke(struct ffg_context *ctx, struct ffg_revoke *arg);

#endif /* FFG_GRANT_H */
