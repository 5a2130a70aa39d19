/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_THREAD_H
#define FFG_THREAD_H

int ffg_thread_init(void);
void ffg_thread_exit(void);

#endif /* FFG_THREAD_H */
