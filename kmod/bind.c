// SPDX-License-Identifier: GPL-2.0-only
/*
 * Binding: giving the objects of a call record their slots.
 *
 * A slot changes hands in one order, whether anybody seems to use it or not:
 *
 *	1. the word of every record that cites an object bound to it becomes stale
 *	2. barrier: IPI to all CPUs of the mm
 *	3. scan of all lines: a slot that a thread may have open is left alone
 *	4. the pages bound to it are rekeyed to SAFE, and the TLBs flushed
 *	5. the pages of the new owner carry its key
 *	6. the word of the new owner's record becomes valid
 *
 * A record opens a slot only if all that is bound to the slot lies within its grants, so a
 * slot is shared only by objects of one record that have equal rights.  selftests/unit has
 * the model.
 */
#include <linux/freezer.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "bind.h"
#include "context.h"
#include "domain.h"
#include "mutant.h"
#include "object.h"
#include "pkru.h"
#include "trace.h"

/* Bounds of a wait, and how often a waiter looks whether a holder died. */
#define FFG_WAIT_DEFAULT_NS	(100 * NSEC_PER_MSEC)
#define FFG_WAIT_MAX_NS		NSEC_PER_SEC
#define FFG_WAIT_SLICE_MS	20

/* How often threads may take slots between the choice and the scan before it counts as busy. */
#define FFG_BIND_TRIES		4

void ffg_bindings_init(struct ffg_context *ctx)
{
	for (unsigned int i = 0; i < ctx->slots.count; i++) {
		ctx->bindings[i].key = ctx->slots.slot[i].key;
		INIT_LIST_HEAD(&ctx->bindings[i].objects);
	}
	for (unsigned int key = 1; key < ARRAY_SIZE(ctx->wide); key++) {
		ctx->wide[key].key = key;
		ctx->wide[key].wide = true;
	}
}

static struct ffg_slot *ffg_binding_slot(struct ffg_context *ctx, struct ffg_binding *binding)
{
	return &ctx->slots.slot[binding - ctx->bindings];
}

static u32 ffg_binding_bit(const struct ffg_binding *binding)
{
	return ffg_pkru_ad(binding->key);
}

/* Takes the lowest slot out of a mask that is not empty. */
static struct ffg_binding *ffg_binding_pop(struct ffg_context *ctx, u32 *slots)
{
	unsigned int key = __ffs(*slots) / PKRU_BITS_PER_PKEY;

	*slots &= *slots - 1;
	return &ctx->bindings[ctx->slots.index[key]];
}

/**
 * ffg_record_stale() - the gate must ask before it uses the record again
 * @record: record
 *
 * The caller holds the arena mutex.
 */
void ffg_record_stale(struct ffg_call_record *record)
{
	WRITE_ONCE(record->shared->word, record->shared->word | FFG_WORD_STALE);
}

/*
 * Step 1: a valid word that cites the slot belongs to a record that grants one of its
 * objects.
 */
static void ffg_binding_stale(struct ffg_binding *binding)
{
	struct ffg_record_grant *grant;
	struct ffg_object *object;

	list_for_each_entry(object, &binding->objects, by_binding)
		list_for_each_entry(grant, &object->grants, by_object)
			ffg_record_stale(grant->record);
}

/**
 * ffg_bind_dissolve() - nothing carries the slot's key any more
 * @ctx: context
 * @binding: binding
 *
 * Makes the records stale, rekeys to SAFE and flushes: complete when it returns.  PTEs come
 * back with the next fault.  The slot may still be open in threads: it is handed on only
 * after a scan.  The caller holds mmap_lock (read) and the arena mutex.
 */
void ffg_bind_dissolve(struct ffg_context *ctx, struct ffg_binding *binding)
{
	struct ffg_object *object, *next;

	ffg_binding_stale(binding);
	list_for_each_entry_safe(object, next, &binding->objects, by_binding) {
		list_del_init(&object->by_binding);
		object->binding = NULL;
		if (!FFG_MUTANT(REVOKE_FLUSH))
			ffg_arena_zap(ctx, object, object->bound_first, object->bound_pages);
		trace_ffg_evict(object->handle, binding->key);
		ffg_count(ctx, FFG_STAT_EVICTIONS);
	}
	binding->count = 0;
	ffg_slot_set_bound(&ctx->slots, ffg_binding_slot(ctx, binding), false);
}

/* Step 5: bind the object of a grant. */
static void ffg_bind_object(struct ffg_context *ctx, struct ffg_binding *binding,
			    struct ffg_record_grant *grant)
{
	struct ffg_slot *slot = ffg_binding_slot(ctx, binding);
	struct ffg_object *object = grant->object;

	object->binding = binding;
	object->bound_first = grant->first;
	object->bound_pages = grant->pages;
	list_add_tail(&object->by_binding, &binding->objects);
	binding->rights = grant->rights;
	binding->count++;
	ffg_slot_set_bound(&ctx->slots, slot, true);
	ffg_slot_touch(&ctx->slots, slot);
	ffg_arena_zap(ctx, object, grant->first, grant->pages);
	ffg_arena_map(ctx, object, grant->first, grant->pages);
	trace_ffg_bind(object->handle, binding->key, grant->rights);
	ffg_count(ctx, FFG_STAT_BINDS);
	if (binding->count == 2)
		ffg_count(ctx, FFG_STAT_SHARED);
}

/*
 * Is the object of a grant bound as the record may use it: these pages, and nothing that it
 * was not given?
 */
static bool ffg_grant_bound(struct ffg_record_grant *grant)
{
	const struct ffg_object *object = grant->object, *other;
	const struct ffg_binding *binding = object->binding;
	const struct ffg_record_grant *theirs;

	if (!binding || object->bound_first != grant->first || object->bound_pages != grant->pages)
		return false;
	if (binding->count == 1)
		return true;
	if (binding->rights != grant->rights)
		return false;
	list_for_each_entry(other, &binding->objects, by_binding) {
		theirs = ffg_record_grant_of(grant->record, other->handle);
		if (!theirs || theirs->rights != binding->rights ||
		    theirs->first != other->bound_first || theirs->pages != other->bound_pages)
			return false;
	}
	return true;
}

/*
 * What the record needs: slots that it has, bindings in its way, grants to be bound.  -EBUSY:
 * another record has an object open for its domain.
 */
static int ffg_bind_survey(struct ffg_context *ctx, struct ffg_call_record *record,
			   struct ffg_slot_plan *plan)
{
	*plan = (struct ffg_slot_plan){ 0 };
	for (unsigned int i = 0; i < record->count; i++) {
		struct ffg_record_grant *grant = &record->grants[i];
		struct ffg_binding *binding = grant->object->binding;

		if (binding && binding->wide && grant->object->opened != grant)
			return -EBUSY;
		if (ffg_domain_wide(grant)) {
			if (binding && !binding->wide)
				plan->must |= ffg_binding_bit(binding);
			continue;
		}
		if (ffg_grant_bound(grant)) {
			plan->keep |= ffg_binding_bit(binding);
			continue;
		}
		if (binding)
			plan->must |= ffg_binding_bit(binding);
		if (grant->rights & FFG_RIGHT_WRITE)
			plan->writers++;
		else
			plan->readers++;
	}
	return 0;
}

/*
 * Slots for what is not bound yet.  If there are too few, the bindings that the record has
 * are given up as well: then all of its grants can share.
 */
static int ffg_bind_plan(struct ffg_context *ctx, struct ffg_call_record *record, u32 held,
			 struct ffg_slot_plan *plan)
{
	int err = ffg_bind_survey(ctx, record, plan);

	if (err)
		return err;
	plan->held = held;
	if (!plan->readers && !plan->writers)
		return 0;
	err = ffg_slot_plan(&ctx->slots, plan);
	if (!err || !plan->keep)
		return err;
	plan->must |= plan->keep;
	plan->keep = 0;
	plan->readers = 0;
	plan->writers = 0;
	for (unsigned int i = 0; i < record->count; i++)
		if (ffg_domain_wide(&record->grants[i]))
			continue;
		else if (record->grants[i].rights & FFG_RIGHT_WRITE)
			plan->writers++;
		else
			plan->readers++;
	return ffg_slot_plan(&ctx->slots, plan);
}

/*
 * Steps 1 to 3 for the slots of a plan, and those whose bindings are in the way.  No word
 * cites a slot that is not bound, but a thread that was in time may still have it open.
 * Returns what is held.
 */
static u32 ffg_bind_clear(struct ffg_context *ctx, const struct ffg_line *own, u32 slots)
{
	slots &= ctx->slots.bound;
	while (slots)
		ffg_binding_stale(ffg_binding_pop(ctx, &slots));
	ffg_lines_barrier(ctx);
	return ffg_lines_held(ctx, own);
}

/* Steps 4 and 5. */
static void ffg_bind_commit(struct ffg_context *ctx, struct ffg_call_record *record,
			    const struct ffg_slot_plan *plan)
{
	u32 leave = (plan->taken | plan->must) & ctx->slots.bound;
	unsigned int next = 0;

	while (leave)
		ffg_bind_dissolve(ctx, ffg_binding_pop(ctx, &leave));
	for (unsigned int i = 0; i < record->count; i++) {
		struct ffg_record_grant *grant = &record->grants[i];
		unsigned int which;

		if (ffg_domain_wide(grant))
			continue;
		if (grant->object->binding) {
			ffg_count(ctx, FFG_STAT_BIND_HITS);
			ffg_slot_touch(&ctx->slots, ffg_binding_slot(ctx, grant->object->binding));
			continue;
		}
		if (!plan->shared)
			which = next++;
		else
			which = grant->rights & FFG_RIGHT_WRITE ? plan->count - 1 : 0;
		ffg_bind_object(ctx, &ctx->bindings[plan->slot[which]], grant);
	}
}

/* Step 6. */
static void ffg_bind_publish(struct ffg_context *ctx, struct ffg_call_record *record)
{
	u32 word = record->closed;

	for (unsigned int i = 0; i < record->count; i++) {
		unsigned int key = record->grants[i].object->binding->key;

		if (ffg_domain_wide(&record->grants[i]))
			continue;
		word &= ~ffg_pkru_ad(key);
		if (record->grants[i].rights & FFG_RIGHT_WRITE)
			word &= ~ffg_pkru_wd(key);
	}
	record->bound = true;
	WRITE_ONCE(record->shared->word, word);
}

/*
 * Bind now or say -EBUSY.  @own: the caller's line or NULL.  The caller holds mmap_lock
 * (read) and the arena mutex.
 */
static int ffg_bind_try(struct ffg_context *ctx, const struct ffg_line *own,
			struct ffg_call_record *record)
{
	struct ffg_slot_plan plan;
	u32 held;
	int err;

	if (!(record->shared->word & FFG_WORD_STALE))
		return 0;
	/* It is opened by who is going to call, and closed by the same thread. */
	if (record->wide && !own)
		return -EINVAL;
	if (!list_empty(&ctx->open))
		ffg_domain_settle(ctx, -1);
	/*
	 * A first look, to choose well, if there are others; only what is seen behind the
	 * barrier counts.
	 */
	held = ctx->lines.count > 1 ? ffg_lines_held(ctx, own) : 0;
	for (int tries = 0; ; tries++) {
		err = ffg_bind_plan(ctx, record, held, &plan);
		if (err || !(plan.taken | plan.must))
			break;
		held = ffg_bind_clear(ctx, own, plan.taken | plan.must);
		if (!(held & (plan.taken | plan.must)))
			break;
		if (tries == FFG_BIND_TRIES)
			return -EBUSY;
	}
	if (err)
		return err;
	ffg_bind_commit(ctx, record, &plan);
	if (record->wide)
		ffg_domain_bind(ctx, record);
	ffg_bind_publish(ctx, record);
	return 0;
}

/* May the caller sleep until others let go?  Not while others may wait for what it holds. */
static bool ffg_bind_may_wait(const struct ffg_line *line)
{
	return !line || (line->fpkru == FFG_LINE_IDLE && line->outer == FFG_LINE_IDLE);
}

/* Find the record and bind it.  *wakes: to sleep on, if it answers -EBUSY and @wait is set. */
static int ffg_bind_once(struct ffg_context *ctx, u32 index, u64 serial, bool wait,
			 unsigned int *wakes)
{
	struct ffg_call_record *record;
	int err = ffg_arena_enter(ctx);
	struct ffg_line *line;

	if (err)
		return err;
	/* The gate that backed off held slots for a moment. */
	line = ffg_line_current(ctx);
	if (line)
		ffg_lines_wake(ctx, line);
	record = ffg_record_find(ctx, index, serial);
	if (!record)
		err = -ENOENT;
	else if (record->revoked)
		err = -ESTALE;
	else if (!ffg_keys_usable(ctx->mm, ctx->keys))
		err = -EKEYREVOKED;
	else
		err = ffg_bind_try(ctx, line, record);

	if (err == -EBUSY && wait && !ffg_bind_may_wait(line)) {
		err = -EDEADLK;
	} else if (err == -EBUSY && wait) {
		/*
		 * Whoever lets go from here on finds the flag, behind the barrier: then
		 * look once more.  The count is read under the lock that a waker takes.
		 */
		ffg_lines_ask_wake(ctx);
		ffg_lines_barrier(ctx);
		err = ffg_bind_try(ctx, line, record);
		*wakes = ctx->wakes;
	}
	ffg_arena_leave(ctx);
	return err;
}

/**
 * ffg_bind_record() - make the word of a record valid
 * @ctx: context
 * @index: index of the record
 * @serial: serial of the record
 * @wait: sleep while the slots are held by others
 * @timeout_ns: bound of the sleep; 0: the default
 *
 * Takes and drops all locks.
 *
 * Return: 0 or an error of struct ffg_bind.
 */
int ffg_bind_record(struct ffg_context *ctx, u32 index, u64 serial, bool wait, u64 timeout_ns)
{
	unsigned int wakes = 0;
	u64 end = 0;
	int err;

	for (;;) {
		err = ffg_bind_once(ctx, index, serial, wait, &wakes);
		if (err != -EBUSY || !wait)
			break;
		if (!end) {
			end = ktime_get_ns() + (timeout_ns ?: FFG_WAIT_DEFAULT_NS);
			ffg_count(ctx, FFG_STAT_WAITS);
		} else if (ktime_get_ns() >= end) {
			break;
		}
		/* In slices: the death of a holder wakes nobody. */
		wait_event_freezable_timeout(ctx->waiters, READ_ONCE(ctx->wakes) != wakes,
					     msecs_to_jiffies(FFG_WAIT_SLICE_MS));
		if (signal_pending(current)) {
			err = -EINTR;
			break;
		}
	}
	if (err == -EBUSY || err == -EDEADLK)
		ffg_count(ctx, FFG_STAT_BUSY);
	return err;
}

/**
 * ffg_bind() - FFG_IOC_BIND
 * @ctx: context
 * @arg: argument
 *
 * Return: 0 or an error of struct ffg_bind.
 */
int ffg_bind(struct ffg_context *ctx, struct ffg_bind *arg)
{
	if (arg->flags & ~FFG_BIND_WAIT || arg->reserved || arg->timeout_ns > FFG_WAIT_MAX_NS)
		return -EINVAL;
	return ffg_bind_record(ctx, arg->record, arg->serial, arg->flags & FFG_BIND_WAIT,
			       arg->timeout_ns);
}
