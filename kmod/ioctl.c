// SPDX-License-Identifier: GPL-2.0-only
/* Dispatch of the ioctls: sizes, states, copies.  What a command means is elsewhere. */
#include <linux/build_bug.h>
#include <linux/nospec.h>
#include <linux/stddef.h>
#include <linux/uaccess.h>

#include "bind.h"
#include "context.h"
#include "fault.h"
#include "grant.h"
#include "ioctl.h"
#include "line.h"
#include "object.h"
#include "stats.h"

union ffg_argument {
	u32 size;
	struct ffg_hello hello;
	struct ffg_keys keys;
	struct ffg_limits limits;
	struct ffg_line_attach line_attach;
	struct ffg_line_detach line_detach;
	struct ffg_object_alloc object_alloc;
	struct ffg_object_batch object_batch;
	struct ffg_object_query object_query;
	struct ffg_grant grant;
	struct ffg_bind bind;
	struct ffg_revoke revoke;
	struct ffg_wake wake;
	struct ffg_fault fault;
	struct ffg_stats stats;
};

/* What a command needs to have happened. */
enum ffg_state {
	FFG_STATE_OPEN,
	FFG_STATE_HELLO,
	FFG_STATE_KEYS,
};

/**
 * struct ffg_command - one ioctl
 * @size: size of its structure
 * @min_size: size that was published first
 * @state: what it needs
 * @answers: it changes its structure
 * @run: what it does
 */
struct ffg_command {
	unsigned int size;
	unsigned int min_size;
	enum ffg_state state;
	bool answers;
	int (*run)(struct ffg_context *ctx, void *arg);
};

/* One wrapper for each command: a function is called by its own type. */
#define FFG_RUN(function, type)							\
	static int function##_run(struct ffg_context *ctx, void *arg)		\
	{									\
		return function(ctx, (struct type *)arg);			\
	}

FFG_RUN(ffg_context_hello, ffg_hello)
FFG_RUN(ffg_context_keys, ffg_keys)
FFG_RUN(ffg_context_limits, ffg_limits)
FFG_RUN(ffg_line_attach, ffg_line_attach)
FFG_RUN(ffg_line_detach, ffg_line_detach)
FFG_RUN(ffg_object_alloc, ffg_object_alloc)
FFG_RUN(ffg_object_free, ffg_object_batch)
FFG_RUN(ffg_object_check, ffg_object_batch)
FFG_RUN(ffg_object_query, ffg_object_query)
FFG_RUN(ffg_grant, ffg_grant)
FFG_RUN(ffg_bind, ffg_bind)
FFG_RUN(ffg_revoke, ffg_revoke)
FFG_RUN(ffg_line_wake, ffg_wake)
FFG_RUN(ffg_fault, ffg_fault)
FFG_RUN(ffg_stats, ffg_stats)

#define FFG_COMMAND(command, type, last, needs, says, function)			\
	[_IOC_NR(command) - _IOC_NR(FFG_IOC_HELLO)] = {				\
		.size = sizeof(struct type),					\
		.min_size = offsetofend(struct type, last),			\
		.state = needs,							\
		.answers = says,						\
		.run = function##_run,						\
	}

static const struct ffg_command ffg_commands[] = {
	FFG_COMMAND(FFG_IOC_HELLO, ffg_hello, records_size, FFG_STATE_OPEN, true,
		    ffg_context_hello),
	FFG_COMMAND(FFG_IOC_KEYS, ffg_keys, reserved, FFG_STATE_HELLO, false,
		    ffg_context_keys),
	FFG_COMMAND(FFG_IOC_LIMITS, ffg_limits, tables, FFG_STATE_HELLO, true, ffg_context_limits),
	FFG_COMMAND(FFG_IOC_LINE_ATTACH, ffg_line_attach, reserved, FFG_STATE_KEYS, true,
		    ffg_line_attach),
	FFG_COMMAND(FFG_IOC_LINE_DETACH, ffg_line_detach, flags, FFG_STATE_KEYS, false,
		    ffg_line_detach),
	FFG_COMMAND(FFG_IOC_OBJECT_ALLOC, ffg_object_alloc, objects, FFG_STATE_KEYS, false,
		    ffg_object_alloc),
	FFG_COMMAND(FFG_IOC_OBJECT_FREE, ffg_object_batch, damage, FFG_STATE_KEYS, true,
		    ffg_object_free),
	FFG_COMMAND(FFG_IOC_OBJECT_CHECK, ffg_object_batch, damage, FFG_STATE_KEYS, true,
		    ffg_object_check),
	FFG_COMMAND(FFG_IOC_OBJECT_QUERY, ffg_object_query, grants, FFG_STATE_KEYS, true,
		    ffg_object_query),
	FFG_COMMAND(FFG_IOC_GRANT, ffg_grant, reserved, FFG_STATE_KEYS, true, ffg_grant),
	FFG_COMMAND(FFG_IOC_BIND, ffg_bind, timeout_ns, FFG_STATE_KEYS, false, ffg_bind),
	FFG_COMMAND(FFG_IOC_REVOKE, ffg_revoke, damage, FFG_STATE_KEYS, true, ffg_revoke),
	FFG_COMMAND(FFG_IOC_WAKE, ffg_wake, flags, FFG_STATE_KEYS, false, ffg_line_wake),
	FFG_COMMAND(FFG_IOC_FAULT, ffg_fault, slot, FFG_STATE_KEYS, true, ffg_fault),
	FFG_COMMAND(FFG_IOC_STATS, ffg_stats, ipis, FFG_STATE_HELLO, true, ffg_stats),
};

/* The structures are an ABI: no holes, and these sizes. */
static void ffg_ioctl_build_check(void)
{
	BUILD_BUG_ON(sizeof(struct ffg_hello) != 48);
	BUILD_BUG_ON(sizeof(struct ffg_keys) != 24);
	BUILD_BUG_ON(sizeof(struct ffg_limits) != 32);
	BUILD_BUG_ON(sizeof(struct ffg_line) != 1 << FFG_LINE_SHIFT);
	/* Both words of what is held come with one aligned load. */
	BUILD_BUG_ON(offsetof(struct ffg_line, outer) % sizeof(u64));
	BUILD_BUG_ON(offsetof(struct ffg_line, fpkru) != offsetof(struct ffg_line, outer) + 4);
	BUILD_BUG_ON(sizeof(struct ffg_record) != 1 << FFG_RECORD_SHIFT);
	BUILD_BUG_ON(sizeof(struct ffg_line_attach) != 16);
	BUILD_BUG_ON(sizeof(struct ffg_line_detach) != 8);
	BUILD_BUG_ON(sizeof(struct ffg_object_desc) != 32);
	BUILD_BUG_ON(sizeof(struct ffg_object_alloc) != 24);
	BUILD_BUG_ON(sizeof(struct ffg_damage) != 24);
	BUILD_BUG_ON(sizeof(struct ffg_object_batch) != 32);
	BUILD_BUG_ON(sizeof(struct ffg_object_query) != 64);
	BUILD_BUG_ON(sizeof(struct ffg_grant_desc) != 32);
	BUILD_BUG_ON(sizeof(struct ffg_grant) != 56);
	BUILD_BUG_ON(sizeof(struct ffg_bind) != 32);
	BUILD_BUG_ON(sizeof(struct ffg_record_id) != 16);
	BUILD_BUG_ON(sizeof(struct ffg_revoke) != 32);
	BUILD_BUG_ON(sizeof(struct ffg_wake) != 8);
	BUILD_BUG_ON(sizeof(struct ffg_fault) != 104);
	BUILD_BUG_ON(sizeof(struct ffg_stats) != 176);
}

/* May the command run in the context's present state? */
static int ffg_ioctl_state(const struct ffg_context *ctx, enum ffg_state needs)
{
	const struct mm_struct *mm = READ_ONCE(ctx->mm);

	if (mm && mm != current->mm)
		return -EXDEV;
	if (needs >= FFG_STATE_HELLO && !mm)
		return -EPROTO;
	if (needs >= FFG_STATE_KEYS && !ffg_context_ready(ctx))
		return -EPROTO;
	return READ_ONCE(ctx->dead) ? -ESHUTDOWN : 0;
}

/*
 * Can the answer be stored?  It lies in two pages at most, so its first and its last byte
 * tell.  They are written with what they hold.
 */
static int ffg_ioctl_writable(void __user *to, const void *arg, u32 length)
{
	const u8 *byte = arg;

	if (put_user(byte[0], (u8 __user *)to) ||
	    put_user(byte[length - 1], (u8 __user *)to + length - 1))
		return -EFAULT;
	return 0;
}

/**
 * ffg_ioctl() - one command
 * @ctx: context of the descriptor
 * @cmd: command
 * @user: address of its structure
 *
 * Return: 0 or a negative error.
 */
long ffg_ioctl(struct ffg_context *ctx, unsigned int cmd, unsigned long user)
{
	unsigned int number = _IOC_NR(cmd) - _IOC_NR(FFG_IOC_HELLO);
	void __user *from = (void __user *)user;
	const struct ffg_command *command;
	union ffg_argument arg;
	u32 size;
	int err;

	ffg_ioctl_build_check();
	if (_IOC_TYPE(cmd) != FFG_IOC_MAGIC || _IOC_DIR(cmd) != _IOC_NONE || _IOC_SIZE(cmd) ||
	    number >= ARRAY_SIZE(ffg_commands))
		return -ENOTTY;
	command = &ffg_commands[array_index_nospec(number, ARRAY_SIZE(ffg_commands))];

	err = ffg_ioctl_state(ctx, command->state);
	if (err)
		return err;
	if (get_user(size, (u32 __user *)from))
		return -EFAULT;
	if (size < command->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	err = copy_struct_from_user(&arg, command->size, from, size);
	if (err)
		return err;
	/* It may have been changed between the two reads. */
	arg.size = size;
	/* A command that could not answer must not run. */
	if (command->answers && ffg_ioctl_writable(from, &arg, min(size, command->size)))
		return -EFAULT;

	err = command->run(ctx, &arg);
	/* Of the failures only FFG_IOC_LINE_ATTACH's -EALREADY has something to say. */
	if ((err && err != -EALREADY) || !command->answers)
		return err;
	if (copy_to_user(from, &arg, min(size, command->size)))
		return -EFAULT;
	return err;
}
