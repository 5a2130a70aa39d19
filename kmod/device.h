/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_DEVICE_H
#define FFG_DEVICE_H

int ffg_device_init(void);
void ffg_device_exit(void);

#endif /* FFG_DEVICE_H */
