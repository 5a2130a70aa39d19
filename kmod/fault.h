/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_FAULT_H
#define FFG_FAULT_H

#include <linux/ffiguard.h>

struct ffg_context;

int ffg_fault(struct ffg_context *ctx, struct ffg_fault *arg);

#endif /* FFG_FAULT_H */
