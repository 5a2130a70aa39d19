// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that foreign code starts.
 *
 * A new thread inherits the PKRU of its maker.  Made inside a guarded call it would keep
 * the call's slots open for ever, and no line would say so: it begins with SAFE and all slots
 * closed instead.  The key of the domain whose code made it stays open.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/tracepoint.h>
#include <asm/pkru.h>

#include "context.h"
#include "mutant.h"
#include "pkru.h"
#include "thread.h"

static struct tracepoint *ffg_fork_tracepoint;

/* Runs in the maker, before the child does.  Takes no lock. */
static void ffg_thread_forked(void *unused, struct task_struct *parent, struct task_struct *child)
{
	const struct ffg_context *ctx;
	u32 pkru;

	if (!current->mm || child->mm != current->mm || FFG_MUTANT(THREAD_STRIP))
		return;
	rcu_read_lock();
	ctx = ffg_context_of(current->mm);
	if (ctx && ffg_context_ready(ctx)) {
		pkru = rdpkru();
		if (pkru & ffg_pkru_ad(ctx->safe))
			child->thread.pkru = pkru | ffg_pkru_close(ctx->keys & ~ctx->domains);
	}
	rcu_read_unlock();
}

static void ffg_thread_find(struct tracepoint *tracepoint, void *unused)
{
	if (!strcmp(tracepoint->name, "sched_process_fork"))
		ffg_fork_tracepoint = tracepoint;
}

/**
 * ffg_thread_init() - watch the making of threads
 *
 * Return: 0 or an error: without the probe threads would keep slots, so the module does not load.
 */
int ffg_thread_init(void)
{
	int err = -ENOENT;

	for_each_kernel_tracepoint(ffg_thread_find, NULL);
	if (ffg_fork_tracepoint)
		err = tracepoint_probe_register(ffg_fork_tracepoint, ffg_thread_forked, NULL);
	if (err)
		pr_err("cannot watch sched_process_fork: %d\n", err);
	return err;
}

void ffg_thread_exit(void)
{
	tracepoint_probe_unregister(ffg_fork_tracepoint, ffg_thread_forked, NULL);
	tracepoint_synchronize_unregister();
}
