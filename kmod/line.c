// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lines: what each thread is doing at the gate.
 *
 * A line says with plain stores which slots its thread may have open ("held").  The gate
 * stores, then looks at the record word again; the module marks the word stale, sends an
 * IPI to all CPUs of the mm, which drains their store buffers, and then looks at the lines.
 * So either the gate sees the stale word or the module sees the held slot.  selftests/unit
 * has the exhaustive model of this; without the IPI it is broken, if seldom.
 */
#include <linux/mm.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/fsgsbase.h>

#include "compat/sched.h"
#include "context.h"
#include "domain.h"
#include "line.h"
#include "mutant.h"
#include "pkru.h"
#include "vma.h"

int ffg_lines_alloc(struct ffg_context *ctx)
{
	struct ffg_lines *lines = &ctx->lines;

	if (!lines->pages)
		lines->pages = kvcalloc(FFG_LINE_PAGES, sizeof(*lines->pages), GFP_KERNEL_ACCOUNT);
	if (!lines->owner)
		lines->owner = kvcalloc(FFG_LINES_MAX, sizeof(*lines->owner), GFP_KERNEL_ACCOUNT);
	if (!lines->pages || !lines->owner)
		return -ENOMEM;
	return 0;
}

void ffg_lines_init(struct ffg_context *ctx)
{
	xa_init(&ctx->lines.by_thread);
}

void ffg_lines_exit(struct ffg_context *ctx)
{
	struct ffg_lines *lines = &ctx->lines;

	ffg_count_add(ctx, FFG_STAT_LINES, -(s64)lines->count);
	for (unsigned int i = 0; i < lines->top; i++)
		put_pid(lines->owner[i]);
	for (unsigned int i = 0; lines->pages && i < FFG_LINE_PAGES; i++)
		if (lines->pages[i])
			__free_page(lines->pages[i]);
	xa_destroy(&lines->by_thread);
	kvfree(lines->owner);
	kvfree(lines->pages);
}

static struct ffg_line *ffg_line_at(struct ffg_context *ctx, unsigned int index)
{
	struct ffg_line *line = page_address(ctx->lines.pages[index / FFG_LINES_PER_PAGE]);

	return line + index % FFG_LINES_PER_PAGE;
}

/* The living thread of this mm that owns a line.  The caller holds the RCU read lock. */
static struct task_struct *ffg_line_task(struct ffg_context *ctx, unsigned int index)
{
	struct pid *owner = ctx->lines.owner[index];
	struct task_struct *task = owner ? pid_task(owner, PIDTYPE_PID) : NULL;

	/* A thread that has given up the mm reaches nothing any more. */
	return task && READ_ONCE(task->mm) == ctx->mm ? task : NULL;
}

/**
 * ffg_line_index() - index of the calling thread's line
 * @ctx: context
 *
 * What the line itself says is not to be trusted.  The caller holds the arena mutex.
 *
 * Return: the index, or -1.
 */
int ffg_line_index(struct ffg_context *ctx)
{
	struct ffg_lines *lines = &ctx->lines;
	pid_t thread = task_pid_nr(current);
	u16 *hint = &lines->hint[thread % FFG_LINE_HINTS];
	void *entry;

	if (*hint < lines->top && lines->owner[*hint] == task_pid(current))
		return *hint;
	entry = xa_load(&lines->by_thread, thread);
	if (!entry || lines->owner[xa_to_value(entry)] != task_pid(current))
		return -1;
	*hint = xa_to_value(entry);
	return *hint;
}

/**
 * ffg_line_current() - line of the calling thread
 * @ctx: context
 *
 * The caller holds the arena mutex.  Return: the line or NULL.
 */
struct ffg_line *ffg_line_current(struct ffg_context *ctx)
{
	int index = ffg_line_index(ctx);

	return index < 0 ? NULL : ffg_line_at(ctx, index);
}

/* Slots that a line leaves open, as a mask of access-disable bits. */
static u32 ffg_line_held(struct ffg_context *ctx, const struct ffg_line *line)
{
	/*
	 * One load: with two, a nested call that begins or ends in between hides what is
	 * held.
	 */
	u64 both = READ_ONCE(*(const u64 *)&line->outer);

	return ~((u32)both & (u32)(both >> 32)) & ctx->slots.all;
}

/*
 * Kernel threads of io_uring and vhost work on this mm with the PKRU that their maker had
 * when they were made, and pass no fork tracepoint.  Made by foreign code inside a call
 * (SAFE is closed), they keep that call's slots open for ever.
 */
static u32 ffg_workers_held(struct ffg_context *ctx)
{
	struct task_struct *task;
	u32 held = 0;

	for_each_thread(current, task) {
		u32 pkru;

		if (likely(!(READ_ONCE(task->flags) & (PF_IO_WORKER | PF_USER_WORKER))))
			continue;
		pkru = READ_ONCE(task->thread.pkru);
		if (pkru & ffg_pkru_ad(ctx->safe))
			held |= ~pkru & ctx->slots.all;
	}
	return held;
}

/**
 * ffg_lines_held() - slots that some thread may have open
 * @ctx: context
 * @own: line of the calling thread, or NULL
 *
 * Exact for what was stored before the last ffg_lines_barrier().  If the caller is alone the
 * only line of a living thread is its own, and there are no workers.  The caller holds the
 * arena mutex.
 *
 * Return: a mask of slots.
 */
u32 ffg_lines_held(struct ffg_context *ctx, const struct ffg_line *own)
{
	u32 held = 0;

	if (FFG_MUTANT(HELD_SCAN))
		return 0;
	if (ffg_context_alone(ctx))
		return own ? ffg_line_held(ctx, own) : 0;
	rcu_read_lock();
	for (unsigned int i = 0; i < ctx->lines.top; i++) {
		u32 mine = ctx->lines.owner[i] ? ffg_line_held(ctx, ffg_line_at(ctx, i)) : 0;

		if (mine && ffg_line_task(ctx, i))
			held |= mine;
	}
	held |= ffg_workers_held(ctx);
	rcu_read_unlock();
	return held;
}

/**
 * ffg_lines_holder() - a thread other than the caller that has a slot open
 * @ctx: context
 * @bit: mask of slots
 *
 * The caller holds the arena mutex.  Return: its id in the caller's pid namespace, or 0.
 */
u32 ffg_lines_holder(struct ffg_context *ctx, u32 bit)
{
	u32 id = 0;

	rcu_read_lock();
	for (unsigned int i = 0; i < ctx->lines.top && !id; i++) {
		struct task_struct *task = ffg_line_task(ctx, i);

		if (task && task != current && ffg_line_held(ctx, ffg_line_at(ctx, i)) & bit)
			id = task_pid_vnr(task);
	}
	rcu_read_unlock();
	return id;
}

/**
 * ffg_lines_alive() - does a line have a thread that uses the mm?
 * @ctx: context
 * @index: index of the line
 *
 * The caller holds the arena mutex.
 */
bool ffg_lines_alive(struct ffg_context *ctx, unsigned int index)
{
	bool alive;

	rcu_read_lock();
	alive = ffg_line_task(ctx, index);
	rcu_read_unlock();
	return alive;
}

/**
 * ffg_lines_running() - a thread that is in a call with a record
 * @ctx: context
 * @record: user address of the record
 * @serial: serial of the record
 *
 * The thread is asked to call FFG_IOC_WAKE behind it.  Exact for what was stored before the
 * last ffg_lines_barrier().  The caller holds the arena mutex.
 *
 * Return: index of its line, or -1.
 */
int ffg_lines_running(struct ffg_context *ctx, unsigned long record, u64 serial)
{
	for (unsigned int i = 0; i < ctx->lines.top; i++) {
		struct ffg_line *line;

		if (!ctx->lines.owner[i])
			continue;
		line = ffg_line_at(ctx, i);
		if (READ_ONCE(line->tpkru) == FFG_LINE_IDLE || READ_ONCE(line->record) != record ||
		    READ_ONCE(line->serial) != serial || !ffg_lines_alive(ctx, i))
			continue;
		WRITE_ONCE(line->wake, 1);
		return i;
	}
	return -1;
}

/**
 * ffg_lines_ask_wake() - ask every thread to say when it lets go of slots
 * @ctx: context
 *
 * All of them: a thread that holds nothing now may hold what the caller waits for when it
 * looks the next time.  The caller holds the arena mutex.
 */
void ffg_lines_ask_wake(struct ffg_context *ctx)
{
	for (unsigned int i = 0; i < ctx->lines.top; i++)
		if (ctx->lines.owner[i])
			WRITE_ONCE(ffg_line_at(ctx, i)->wake, 1);
}

/**
 * ffg_lines_cite() - is a thread inside a call with a record?
 * @ctx: context
 * @record: user address of the record
 *
 * The caller holds the arena mutex.
 */
bool ffg_lines_cite(struct ffg_context *ctx, unsigned long record)
{
	for (unsigned int i = 0; i < ctx->lines.top; i++) {
		const struct ffg_line *line;

		if (!ctx->lines.owner[i])
			continue;
		line = ffg_line_at(ctx, i);
		if (READ_ONCE(line->record) == record && READ_ONCE(line->tpkru) != FFG_LINE_IDLE)
			return true;
	}
	return false;
}

static void ffg_lines_ipi(void *unused)
{
	/* Taking the interrupt is the barrier. */
}

/**
 * ffg_lines_barrier() - everything that threads of the mm stored becomes visible
 * @ctx: context
 *
 * And all that the caller stored is seen by what they load afterwards.  CPUs outside the
 * mask pass a full barrier when they switch to the mm.  TLB flushes do not serve: the
 * kernel may leave CPUs out.  A caller that is alone has nobody to interrupt.
 */
void ffg_lines_barrier(struct ffg_context *ctx)
{
	/* Stale words before the look at the lines; pairs with the interrupt on the others. */
	smp_mb();
	if (FFG_MUTANT(IPI) || ffg_context_alone(ctx))
		return;
	preempt_disable();
	smp_call_function_many(mm_cpumask(ctx->mm), ffg_lines_ipi, NULL, true);
	preempt_enable();
	ffg_count(ctx, FFG_STAT_IPIS);
}

/* A line without an owner, or whose owner is dead. */
static int ffg_line_pick(struct ffg_context *ctx)
{
	struct ffg_lines *lines = &ctx->lines;
	int found = -EUSERS;

	rcu_read_lock();
	for (unsigned int i = 0; i < lines->top && found < 0; i++)
		if (!ffg_line_task(ctx, i))
			found = i;
	rcu_read_unlock();
	if (found < 0 && lines->top < FFG_LINES_MAX)
		found = lines->top;
	return found;
}

static void ffg_line_disown(struct ffg_context *ctx, unsigned int index)
{
	struct ffg_lines *lines = &ctx->lines;
	unsigned long thread;
	void *entry;

	/* By index, not by id: the id of a dead owner may be another thread's by now. */
	xa_for_each(&lines->by_thread, thread, entry)
		if (xa_to_value(entry) == index)
			xa_erase(&lines->by_thread, thread);
	put_pid(lines->owner[index]);
	lines->owner[index] = NULL;
	ffg_domain_disown(ctx, index);
	lines->count--;
	ffg_count_add(ctx, FFG_STAT_LINES, -1);
}

/**
 * ffg_lines_wake() - the calling thread let go of slots: wake those who asked for it
 * @ctx: context
 * @line: its line
 *
 * The caller holds the arena mutex, under which waiters look at the lines and fall asleep,
 * so that none falls asleep in between.
 */
void ffg_lines_wake(struct ffg_context *ctx, struct ffg_line *line)
{
	if (!READ_ONCE(line->wake))
		return;
	/* Who has opened domain-wide grants comes again to close them. */
	WRITE_ONCE(line->wake, ffg_domain_opened(ctx, ffg_line_index(ctx)));
	WRITE_ONCE(ctx->wakes, ctx->wakes + 1);
	wake_up_all(&ctx->waiters);
}

/**
 * ffg_line_attach() - FFG_IOC_LINE_ATTACH
 * @ctx: context
 * @arg: argument, in and out
 *
 * Return: 0 or an error of struct ffg_line_attach.
 */
int ffg_line_attach(struct ffg_context *ctx, struct ffg_line_attach *arg)
{
	struct ffg_lines *lines = &ctx->lines;
	pid_t thread = task_pid_nr(current);
	struct ffg_line *line;
	struct page *spare;
	int index, err;
	void *entry;

	if (arg->flags || arg->reserved)
		return -EINVAL;
	spare = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!spare)
		return -ENOMEM;
	/* So that storing under the mutex allocates nothing. */
	err = xa_reserve(&lines->by_thread, thread, GFP_KERNEL_ACCOUNT);
	if (err)
		goto free_spare;

	mutex_lock(&ctx->lock);
	index = ffg_line_index(ctx);
	if (index >= 0) {
		arg->index = index;
		err = -EALREADY;
		goto unlock;
	}
	err = -ENODATA;
	if (!lines->base[FFG_LINES_RW] || !lines->base[FFG_LINES_RO])
		goto release;
	index = ffg_line_pick(ctx);
	err = index;
	if (index < 0)
		goto release;
	err = 0;
	/* What is left of an earlier thread that had our id. */
	entry = xa_load(&lines->by_thread, thread);
	if (entry && lines->owner[xa_to_value(entry)])
		ffg_line_disown(ctx, xa_to_value(entry));
	if (lines->owner[index])
		ffg_line_disown(ctx, index);
	if (index == lines->top)
		lines->top++;
	if (!lines->pages[index / FFG_LINES_PER_PAGE]) {
		/* Read by ffg_lines_fault() without the mutex. */
		WRITE_ONCE(lines->pages[index / FFG_LINES_PER_PAGE], spare);
		spare = NULL;
	}
	line = ffg_line_at(ctx, index);
	*line = (struct ffg_line){
		.outer = FFG_LINE_IDLE,
		.fpkru = FFG_LINE_IDLE,
		.tpkru = FFG_LINE_IDLE,
		.fs_base = rdfsbase(),
		.self = (u64)index << FFG_LINE_SHIFT,
	};
	lines->owner[index] = get_pid(task_pid(current));
	lines->count++;
	ffg_count_add(ctx, FFG_STAT_LINES, 1);
	/* GFP_NOWAIT: xa_reserve() made the room, unless disowning freed it. */
	err = xa_err(xa_store(&lines->by_thread, thread, xa_mk_value(index), GFP_NOWAIT));
	if (err) {
		put_pid(lines->owner[index]);
		lines->owner[index] = NULL;
		lines->count--;
		ffg_count_add(ctx, FFG_STAT_LINES, -1);
		goto unlock;
	}
	arg->index = index;
	goto unlock;
release:
	xa_release(&lines->by_thread, thread);
unlock:
	mutex_unlock(&ctx->lock);
free_spare:
	if (spare)
		__free_page(spare);
	return err;
}

/**
 * ffg_line_detach() - FFG_IOC_LINE_DETACH
 * @ctx: context
 * @arg: argument
 *
 * Return: 0 or an error of struct ffg_line_detach.
 */
int ffg_line_detach(struct ffg_context *ctx, struct ffg_line_detach *arg)
{
	int index, err = 0;

	if (arg->flags)
		return -EINVAL;
	mutex_lock(&ctx->lock);
	index = ffg_line_index(ctx);
	if (index < 0)
		err = -ENOENT;
	else if (ffg_line_at(ctx, index)->tpkru != FFG_LINE_IDLE)
		err = -EBUSY;
	else
		ffg_line_disown(ctx, index);
	mutex_unlock(&ctx->lock);
	return err;
}

/**
 * ffg_line_wake() - FFG_IOC_WAKE
 * @ctx: context
 * @arg: argument
 *
 * Return: 0 or -EINVAL.
 */
int ffg_line_wake(struct ffg_context *ctx, struct ffg_wake *arg)
{
	struct ffg_line *line;
	bool settle;

	if (arg->flags & ~FFG_WAKE_KEEP)
		return -EINVAL;
	mutex_lock(&ctx->lock);
	line = ffg_line_current(ctx);
	if (line)
		ffg_lines_wake(ctx, line);
	settle = line && !(arg->flags & FFG_WAKE_KEEP) &&
		 ffg_domain_opened(ctx, ffg_line_index(ctx));
	mutex_unlock(&ctx->lock);
	/* Nobody but the caller itself could have changed that meanwhile. */
	if (settle && !ffg_arena_enter(ctx)) {
		ffg_domain_settle(ctx, ffg_line_index(ctx));
		/* For those who wait for what was closed. */
		ffg_lines_wake(ctx, line);
		ffg_arena_leave(ctx);
	}
	return 0;
}

static vm_fault_t ffg_lines_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct ffg_context *ctx = vma->vm_private_data;
	/* The alias for foreign mode is the one that cannot be written. */
	unsigned int key = vma->vm_flags & VM_WRITE ? ctx->safe : 0;
	unsigned long index = (vmf->address - vma->vm_start) >> PAGE_SHIFT;
	struct page *page = READ_ONCE(ctx->lines.pages[index]);

	if (!page)
		return VM_FAULT_SIGSEGV;
	return vmf_insert_pfn_prot(vma, vmf->address, page_to_pfn(page),
				   ffg_vma_prot(vma, key));
}

static void ffg_lines_close(struct vm_area_struct *vma)
{
	struct ffg_context *ctx = vma->vm_private_data;

	unsigned int which = vma->vm_flags & VM_WRITE ? FFG_LINES_RW : FFG_LINES_RO;

	mutex_lock(&ctx->lock);
	/* Or it is the copy that mremap() makes before it asks ffg_vma_mremap(). */
	if (ctx->lines.base[which] == vma->vm_start)
		ctx->lines.base[which] = 0;
	mutex_unlock(&ctx->lock);
}

static const struct vm_operations_struct ffg_lines_vm_ops = {
	.fault		= ffg_lines_fault,
	.map_pages	= ffg_vma_map_pages,
	.may_split	= ffg_vma_may_split,
	.mprotect	= ffg_vma_mprotect,
	.mremap		= ffg_vma_mremap,
	.close		= ffg_lines_close,
};

/**
 * ffg_lines_mmap() - map the lines
 * @ctx: context
 * @vma: mapping to set up
 * @which: FFG_LINES_RW or FFG_LINES_RO
 *
 * Return: 0, -EINVAL for wrong protection or length, -EBUSY if they are mapped.
 */
int ffg_lines_mmap(struct ffg_context *ctx, struct vm_area_struct *vma, unsigned int which)
{
	bool write = which == FFG_LINES_RW;
	int err = 0;

	if (!!(vma->vm_flags & VM_WRITE) != write)
		return -EINVAL;
	mutex_lock(&ctx->lock);
	if (ctx->lines.base[which])
		err = -EBUSY;
	else
		err = ffg_vma_control(ctx, vma, FFG_LINES_SIZE, &ffg_lines_vm_ops);
	if (!err)
		ctx->lines.base[which] = vma->vm_start;
	mutex_unlock(&ctx->lock);
	return err;
}
