// SPDX-License-Identifier: GPL-2.0-only
/* The misc device /dev/ffiguard: open, release, mmap. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpufeature.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>

#include "arena.h"
#include "context.h"
#include "device.h"
#include "ioctl.h"
#include "line.h"
#include "record.h"

static int ffg_device_open(struct inode *inode, struct file *file)
{
	struct ffg_context *ctx = ffg_context_new();

	if (!ctx)
		return -ENOMEM;
	file->private_data = ctx;
	return nonseekable_open(inode, file);
}

static int ffg_device_release(struct inode *inode, struct file *file)
{
	ffg_context_free(file->private_data);
	return 0;
}

static long ffg_device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return ffg_ioctl(file->private_data, cmd, arg);
}

static int ffg_device_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct ffg_context *ctx = file->private_data;

	if (!READ_ONCE(ctx->mm) || !ffg_context_ready(ctx))
		return -EPROTO;
	if (ctx->mm != vma->vm_mm)
		return -EXDEV;
	switch ((u64)vma->vm_pgoff << PAGE_SHIFT) {
	case FFG_MMAP_ARENA:
		return ffg_arena_mmap(ctx, vma);
	case FFG_MMAP_LINES:
		return ffg_lines_mmap(ctx, vma, FFG_LINES_RW);
	case FFG_MMAP_LINES_RO:
		return ffg_lines_mmap(ctx, vma, FFG_LINES_RO);
	case FFG_MMAP_RECORDS:
		return ffg_records_mmap(ctx, vma);
	default:
		return -EINVAL;
	}
}

static const struct file_operations ffg_device_fops = {
	.owner		= THIS_MODULE,
	.open		= ffg_device_open,
	.release	= ffg_device_release,
	.mmap		= ffg_device_mmap,
	.unlocked_ioctl	= ffg_device_ioctl,
};

static struct miscdevice ffg_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "ffiguard",
	.fops	= &ffg_device_fops,
	/* The device acts on the caller's own memory only, hence for all. */
	.mode	= 0666,
};

int __init ffg_device_init(void)
{
	if (!cpu_feature_enabled(X86_FEATURE_OSPKE)) {
		pr_err("no protection keys: the CPU lacks PKU or the kernel was booted with nopku\n");
		return -ENODEV;
	}
	/* The module reads a thread's fs base with RDFSBASE, and so does the gate. */
	if (!cpu_feature_enabled(X86_FEATURE_FSGSBASE)) {
		pr_err("no FSGSBASE: the CPU lacks it or the kernel was booted with nofsgsbase\n");
		return -ENODEV;
	}
	return misc_register(&ffg_device);
}

void ffg_device_exit(void)
{
	misc_deregister(&ffg_device);
}
