/* SPDX-License-Identifier: GPL-2.0-only */
/* Task flags that came after 6.1. */
#ifndef FFG_COMPAT_SCHED_H
#define FFG_COMPAT_SCHED_H

#include <linux/sched.h>

/* 6.4: threads of vhost; before, those were kernel threads of another mm. */
#ifndef PF_USER_WORKER
#define PF_USER_WORKER 0
#endif

#endif /* FFG_COMPAT_SCHED_H */
