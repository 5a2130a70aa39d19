// SPDX-License-Identifier: GPL-2.0-only
/*
 * ffiguard: per-object, per-call memory grants for foreign code.
 *
 * This file is the init ladder and nothing else: every subsystem gives
 * ffg_NAME_init() and ffg_NAME_exit(), undone here in reverse order.
 */
#include <linux/module.h>

#include "device.h"

static int __init ffg_init(void)
{
	return ffg_device_init();
}

static void __exit ffg_exit(void)
{
	ffg_device_exit();
}

module_init(ffg_init);
module_exit(ffg_exit);

MODULE_DESCRIPTION("Per-object protection-key grants for foreign code");
MODULE_AUTHOR("The ffiguard authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
