// SPDX-License-Identifier: GPL-2.0-only
/*
 * ffiguard: per-object, per-call memory grants for foreign code.
 *
 * This file is the init ladder and nothing else: what ffg_NAME_init() did,
 * ffg_NAME_exit() undoes, in reverse order.
 */
#include <linux/module.h>

#include "context.h"
#include "device.h"
#include "frame.h"
#include "thread.h"

static int __init ffg_init(void)
{
	int err;

	ffg_frame_init();
	ffg_context_init();
	err = ffg_thread_init();
	if (err)
		return err;
	err = ffg_device_init();
	if (err)
		goto exit_thread;
	return 0;

exit_thread:
	ffg_thread_exit();
	return err;
}

static void __exit ffg_exit(void)
{
	ffg_device_exit();
	ffg_thread_exit();
	ffg_context_exit();
}

module_init(ffg_init);
module_exit(ffg_exit);

MODULE_DESCRIPTION("Per-object, per-call memory grants for foreign code");
MODULE_AUTHOR("The ffiguard authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
