// SPDX-License-Identifier: GPL-2.0-only
/* Contexts: one per mm; handshake, keys, budgets, life time. */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/pkeys.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "context.h"
#include "grant.h"
#include "pkru.h"

/* All contexts that said hello.  Written under ffg_contexts_lock, read under RCU. */
static HLIST_HEAD(ffg_contexts);
static DEFINE_SPINLOCK(ffg_contexts_lock);

/*
 * Module-wide budgets.  The OOM killer does not see what a VM_PFNMAP area holds, so it
 * has to be bounded: half of the memory for all contexts, a quarter for each.
 */
static struct ffg_budget ffg_total[FFG_RESOURCES];
static unsigned long ffg_default[FFG_RESOURCES];

void ffg_context_init(void)
{
	unsigned long ram = totalram_pages();

	ffg_default[FFG_OBJECTS] = max(ram / 4, 1024UL);
	ffg_default[FFG_FRAMES] = max(ram / 4, 1024UL);
	ffg_default[FFG_TABLES] = max(ram / 64, 256UL);
	for (int i = 0; i < FFG_RESOURCES; i++)
		ffg_total[i].max = 2 * ffg_default[i];
}

void ffg_context_exit(void)
{
	/* Each open file holds the module, so there is no context left: wait for their RCU. */
	rcu_barrier();
	for (int i = 0; i < FFG_RESOURCES; i++)
		WARN_ON(atomic_long_read(&ffg_total[i].used));
}

static bool ffg_budget_take(struct ffg_budget *budget, long n)
{
	if (atomic_long_add_return(n, &budget->used) <= READ_ONCE(budget->max))
		return true;
	atomic_long_sub(n, &budget->used);
	return false;
}

/**
 * ffg_charge() - take @n of a resource out of the budgets
 * @ctx: context
 * @what: resource
 * @n: how many
 *
 * Return: 0 or -EDQUOT.
 */
int ffg_charge(struct ffg_context *ctx, enum ffg_resource what, long n)
{
	if (!ffg_budget_take(&ctx->budget[what], n))
		return -EDQUOT;
	if (!ffg_budget_take(&ffg_total[what], n)) {
		atomic_long_sub(n, &ctx->budget[what].used);
		return -EDQUOT;
	}
	return 0;
}

/**
 * ffg_uncharge() - give back what ffg_charge() took
 * @ctx: context
 * @what: resource
 * @n: how many
 */
void ffg_uncharge(struct ffg_context *ctx, enum ffg_resource what, long n)
{
	atomic_long_sub(n, &ctx->budget[what].used);
	atomic_long_sub(n, &ffg_total[what].used);
}

/**
 * ffg_budget_used() - what is in use
 * @ctx: context, or NULL for all
 * @now: out: by resource
 */
void ffg_budget_used(struct ffg_context *ctx, unsigned long now[FFG_RESOURCES])
{
	const struct ffg_budget *budget = ctx ? ctx->budget : ffg_total;

	for (int i = 0; i < FFG_RESOURCES; i++)
		now[i] = atomic_long_read(&budget[i].used);
}

/**
 * ffg_context_new() - context of a file that was just opened
 *
 * Return: the context, or NULL.
 */
struct ffg_context *ffg_context_new(void)
{
	struct ffg_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);

	if (!ctx)
		return NULL;
	ctx->stats = alloc_percpu_gfp(struct ffg_counters, GFP_KERNEL_ACCOUNT);
	if (!ctx->stats) {
		kfree(ctx);
		return NULL;
	}
	mutex_init(&ctx->lock);
	init_waitqueue_head(&ctx->waiters);
	for (int i = 0; i < FFG_RESOURCES; i++)
		ctx->budget[i].max = ffg_default[i];
	ffg_arena_init(ctx);
	ffg_lines_init(ctx);
	ffg_records_init(ctx);
	return ctx;
}

static void ffg_context_free_rcu(struct rcu_head *rcu)
{
	struct ffg_context *ctx = container_of(rcu, struct ffg_context, rcu);

	free_percpu(ctx->stats);
	kfree(ctx);
}

/**
 * ffg_context_free() - the last descriptor and the last mapping are gone
 * @ctx: context
 */
void ffg_context_free(struct ffg_context *ctx)
{
	ffg_records_exit(ctx);
	ffg_lines_exit(ctx);
	ffg_arena_exit(ctx);
	if (ctx->mm) {
		spin_lock(&ffg_contexts_lock);
		hlist_del_init_rcu(&ctx->node);
		spin_unlock(&ffg_contexts_lock);
		mmdrop(ctx->mm);
	}
	call_rcu(&ctx->rcu, ffg_context_free_rcu);
}

/**
 * ffg_context_of() - context of an mm
 * @mm: address space
 *
 * The caller holds the RCU read lock.  Return: a living context or NULL.
 */
struct ffg_context *ffg_context_of(struct mm_struct *mm)
{
	struct ffg_context *ctx;

	hlist_for_each_entry_rcu(ctx, &ffg_contexts, node)
		if (ctx->mm == mm && !READ_ONCE(ctx->dead))
			return ctx;
	return NULL;
}

/* Make @ctx the context of current->mm, if that has none. */
static int ffg_context_register(struct ffg_context *ctx)
{
	struct ffg_context *other;
	int err = 0;

	spin_lock(&ffg_contexts_lock);
	rcu_read_lock();
	other = ffg_context_of(current->mm);
	rcu_read_unlock();
	if (other) {
		err = -EBUSY;
	} else {
		mmgrab(current->mm);
		WRITE_ONCE(ctx->mm, current->mm);
		hlist_add_head_rcu(&ctx->node, &ffg_contexts);
	}
	spin_unlock(&ffg_contexts_lock);
	return err;
}

/**
 * ffg_context_hello() - FFG_IOC_HELLO
 * @ctx: context of the descriptor
 * @arg: argument, in and out
 *
 * Return: 0 or an error of struct ffg_hello.
 */
int ffg_context_hello(struct ffg_context *ctx, struct ffg_hello *arg)
{
	const u64 features = FFG_FEATURE_THREAD_STRIP;
	u64 size = arg->arena_size ?: FFG_ARENA_DEFAULT;
	int err;

	if (arg->flags || arg->reserved)
		return -EINVAL;
	if (arg->api != FFG_API_LEVEL)
		return -EPROTO;
	if (arg->features & ~features)
		return -EOPNOTSUPP;
	if (size > FFG_ARENA_MAX || size <= FFG_ARENA_FIRST || !IS_ALIGNED(size, FFG_CHUNK_SIZE))
		return -EINVAL;

	mutex_lock(&ctx->lock);
	if (ctx->mm) {
		err = -EALREADY;
		goto unlock;
	}
	err = ffg_lines_alloc(ctx);
	if (err)
		goto unlock;
	err = ffg_records_alloc(ctx);
	if (err)
		goto unlock;
	ctx->arena.size = size;
	err = ffg_context_register(ctx);
	if (err)
		goto unlock;
	arg->api = FFG_API_LEVEL;
	arg->features = features;
	arg->arena_size = size;
	arg->lines_size = FFG_LINES_SIZE;
	arg->records_size = FFG_RECORDS_SIZE;
unlock:
	mutex_unlock(&ctx->lock);
	return err;
}

/**
 * ffg_context_keys() - FFG_IOC_KEYS
 * @ctx: context
 * @arg: argument
 *
 * Return: 0 or an error of struct ffg_keys.
 */
int ffg_context_keys(struct ffg_context *ctx, struct ffg_keys *arg)
{
	u32 keys;
	int err = 0;

	if (arg->flags || arg->reserved || arg->safe < 1 || arg->safe > 15 || !arg->slots ||
	    (arg->slots | arg->domains) & ~0xfffeU || arg->slots & arg->domains ||
	    (arg->slots | arg->domains) & BIT(arg->safe))
		return -EINVAL;

	keys = arg->slots | arg->domains | BIT(arg->safe);
	mmap_read_lock(ctx->mm);
	mutex_lock(&ctx->lock);
	if (ctx->safe) {
		err = -EALREADY;
		goto unlock;
	}
	if (!ffg_keys_usable(ctx->mm, keys)) {
		err = -EKEYREVOKED;
		goto unlock;
	}
	ffg_slots_init(&ctx->slots, arg->slots);
	ffg_bindings_init(ctx);
	ctx->keys = keys;
	ctx->domains = arg->domains;
	ctx->pkru_all = ffg_pkru_close(ctx->keys);
	/* Whoever sees SAFE sees the rest: pairs with ffg_context_ready(). */
	smp_store_release(&ctx->safe, arg->safe);
unlock:
	mutex_unlock(&ctx->lock);
	mmap_read_unlock(ctx->mm);
	return err;
}

/**
 * ffg_context_limits() - FFG_IOC_LIMITS
 * @ctx: context
 * @arg: argument, in and out
 *
 * Return: 0 or an error of struct ffg_limits.
 */
int ffg_context_limits(struct ffg_context *ctx, struct ffg_limits *arg)
{
	const u64 want[FFG_RESOURCES] = { arg->objects, arg->frames, arg->tables };
	int i;

	if (arg->flags & ~FFG_LIMITS_SET)
		return -EINVAL;
	if (arg->flags & FFG_LIMITS_SET) {
		for (i = 0; i < FFG_RESOURCES; i++) {
			if (want[i] > LONG_MAX)
				return -EINVAL;
			if (want[i] > ffg_default[i] && !capable(CAP_SYS_RESOURCE))
				return -EPERM;
		}
		for (i = 0; i < FFG_RESOURCES; i++)
			if (want[i])
				WRITE_ONCE(ctx->budget[i].max, want[i]);
	}
	arg->objects = READ_ONCE(ctx->budget[FFG_OBJECTS].max);
	arg->frames = READ_ONCE(ctx->budget[FFG_FRAMES].max);
	arg->tables = READ_ONCE(ctx->budget[FFG_TABLES].max);
	return 0;
}

/**
 * ffg_context_shutdown() - the arena is being unmapped
 * @ctx: context
 *
 * Takes the grants and frees the objects; PTEs are gone already.  From here on the mm may
 * have another context.
 */
void ffg_context_shutdown(struct ffg_context *ctx)
{
	mutex_lock(&ctx->lock);
	WRITE_ONCE(ctx->dead, true);
	WRITE_ONCE(ctx->arena.vma, NULL);
	ffg_grants_end_all(ctx);
	ctx->wakes++;
	wake_up_all(&ctx->waiters);
	mutex_unlock(&ctx->lock);
	ffg_arena_free_all(ctx);
}
