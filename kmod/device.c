// SPDX-License-Identifier: GPL-2.0-only
/* The misc device /dev/ffiguard: open, release, mmap and ioctl dispatch. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpufeature.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>

#include "device.h"

static const struct file_operations ffg_device_fops = {
	.owner = THIS_MODULE,
};

static struct miscdevice ffg_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ffiguard",
	.fops = &ffg_device_fops,
	/* The device acts on the caller's own memory only, hence for all. */
	.mode = 0666,
};

int ffg_device_init(void)
{
	if (!cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		pr_err("no protection keys: the CPU lacks PKU or the kernel was booted with nopku\n");
		return -ENODEV;
	}
	return misc_register(&ffg_device);
}

void ffg_device_exit(void)
{
	misc_deregister(&ffg_device);
}
