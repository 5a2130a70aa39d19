/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_CONTEXT_H
#define FFG_CONTEXT_H

#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <linux/ffiguard.h>

#include "arena.h"
#include "bind.h"
#include "line.h"
#include "record.h"
#include "slot.h"
#include "stats.h"

/**
 * struct ffg_budget - what is in use of one resource, and how much may be
 * @used: in use now
 * @max: budget; above module defaults only with CAP_SYS_RESOURCE
 */
struct ffg_budget {
	atomic_long_t used;
	unsigned long max;
};

enum ffg_resource {
	FFG_OBJECTS,
	FFG_FRAMES,
	FFG_TABLES,
	FFG_RESOURCES
};

/**
 * struct ffg_context - everything that one mm shares with foreign code
 * @mm: the address space, by mmgrab(): it is compared, never pinned.  NULL before
 *	FFG_IOC_HELLO; set once
 * @node: in the list of all contexts, for the thread probe; RCU
 * @rcu: frees the context after the last reader of the list
 * @lock: the arena mutex, see below
 * @safe: protection key that closes what no slot opens; 0 before FFG_IOC_KEYS; set once
 * @keys: mask of @safe, the slots' keys and @domains; set once
 * @domains: mask of the keys of domains; set once
 * @pkru_all: PKRU bits that close all of @keys
 * @dead: the arena was unmapped; the context answers -ESHUTDOWN
 * @arena: address space and objects
 * @lines: what each thread is doing at the gate
 * @records: call records
 * @open: call records whose domain-wide grants are open
 * @slots: the donated keys
 * @bindings: what is bound to each slot, by its place in @slots
 * @wide: the same of domains, by key
 * @waiters: tasks that wait for a slot
 * @wakes: counts wake-ups; a waiter sleeps until it changes
 * @budget: per resource
 * @stats: counters
 *
 * A context belongs to the open file that made it: the arena's VMA holds a reference
 * to that file, so the context outlives the VMA.  Memory of objects does not: it is
 * freed when the VMA closes, that is at munmap, exec or exit, however many descriptors
 * were passed around.
 *
 * Locks, outermost first:
 *
 *   arena.grow			growth of the arena; may allocate.  Not under mmap_lock, but
 *				for the close of the arena's VMA, when nobody can grow
 *   mmap_lock of @mm (read)	whoever changes PTEs; keeps arena.vma alive
 *     @lock			everything in the context that is not said to have
 *				another protection
 *
 * Under @lock nothing copies from or to user space, allocates frames or waits.  The
 * one allocation under it is that of page tables, inside vmf_insert_pfn_prot(): @lock
 * is therefore never taken from reclaim.  The thread probe and the IPI take no lock.
 */
struct ffg_context {
	struct mm_struct *mm;
	struct hlist_node node;
	struct rcu_head rcu;
	struct mutex lock; /* the arena mutex: see above */
	u8 safe;
	u32 keys;
	u32 domains;
	u32 pkru_all;
	bool dead;
	struct ffg_arena arena;
	struct ffg_lines lines;
	struct ffg_records records;
	struct list_head open;
	struct ffg_slots slots;
	struct ffg_binding bindings[FFG_SLOTS_MAX];
	struct ffg_binding wide[16];
	wait_queue_head_t waiters;
	unsigned int wakes;
	struct ffg_budget budget[FFG_RESOURCES];
	struct ffg_counters __percpu *stats;
};

struct ffg_context *ffg_context_new(void);
void ffg_context_free(struct ffg_context *ctx);
/* Were keys donated?  If so, all that ffg_context_keys() sets can be read without a lock. */
static inline bool ffg_context_ready(const struct ffg_context *ctx)
{
	/* Pairs with the release in ffg_context_keys(). */
	return smp_load_acquire(&ctx->safe);
}

/**
 * ffg_context_alone() - does nobody but the caller run on the mm?
 * @ctx: context; its mm is the caller's
 *
 * Whoever runs user code or does its work on the mm holds one of mm_users for as long: other
 * threads, processes made with CLONE_VM, io_uring's and vhost's workers.  So if there is one
 * user it is the caller, and since only a user of the mm can make another one it stays so
 * until the caller is back in user space: what is true here is true for the whole ioctl.
 * Others may take and drop a reference to look at the memory; they run no code of it, and
 * make this false.
 *
 * Everything that was stored by threads that are gone by now can be seen: they dropped their
 * reference after it.
 *
 * Return: true if so.
 */
static inline bool ffg_context_alone(const struct ffg_context *ctx)
{
	return thread_group_empty(current) && atomic_read_acquire(&ctx->mm->mm_users) == 1;
}

int ffg_context_hello(struct ffg_context *ctx, struct ffg_hello *arg);
int ffg_context_keys(struct ffg_context *ctx, struct ffg_keys *arg);
int ffg_context_limits(struct ffg_context *ctx, struct ffg_limits *arg);
void ffg_context_shutdown(struct ffg_context *ctx);
struct ffg_context *ffg_context_of(struct mm_struct *mm);

int ffg_charge(struct ffg_context *ctx, enum ffg_resource what, long n);
void ffg_uncharge(struct ffg_context *ctx, enum ffg_resource what, long n);

void ffg_budget_used(struct ffg_context *ctx, unsigned long now[FFG_RESOURCES]);

void ffg_context_init(void);
void ffg_context_exit(void);

#endif /* FFG_CONTEXT_H */
