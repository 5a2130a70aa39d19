/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_IOCTL_H
#define FFG_IOCTL_H

struct ffg_context;

long ffg_ioctl(struct ffg_context *ctx, unsigned int cmd, unsigned long user);

#endif /* FFG_IOCTL_H */
