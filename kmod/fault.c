// SPDX-License-Identifier: GPL-2.0-only
/*
 * Judging faults: is it a violation, or a call whose valid grant lost its slot on the way?
 *
 * A key that denies access to a present page is final for the kernel: the thread gets
 * SIGSEGV, and its handler asks here.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "bind.h"
#include "context.h"
#include "fault.h"
#include "object.h"
#include "pkru.h"
#include "trace.h"

/* How often a word may become stale again before the fault counts as busy. */
#define FFG_FAULT_TRIES	4

/* Does the grant cover the page at an address? */
static bool ffg_fault_covered(const struct ffg_record_grant *grant, u64 address)
{
	unsigned long page = (address - grant->object->start) >> PAGE_SHIFT;

	return page >= grant->first && page - grant->first < grant->pages;
}

/* Why a touch of an object by the running call is a violation; 0: it is not. */
static u32 ffg_fault_reason(struct ffg_context *ctx, const struct ffg_call_record *record,
			    const struct ffg_record_grant *grant, struct ffg_fault *arg)
{
	if (!grant) {
		if (arg->slot)
			arg->owner = ffg_lines_holder(ctx, ffg_pkru_ad(arg->slot));
		return arg->owner ? FFG_REASON_OTHER_CALL : FFG_REASON_NOT_GRANTED;
	}
	if (record->revoked)
		return FFG_REASON_REVOKED;
	if (!ffg_fault_covered(grant, arg->address))
		return FFG_REASON_RANGE;
	if (arg->access == FFG_ACCESS_WRITE && !(grant->rights & FFG_RIGHT_WRITE))
		return FFG_REASON_READ_ONLY;
	return arg->access == FFG_ACCESS_EXEC ? FFG_REASON_BOUNDS : 0;
}

/*
 * Fill in the answer.  Returns the record to bind anew, or NULL.  The caller holds the
 * arena mutex.
 */
static struct ffg_call_record *ffg_fault_judge(struct ffg_context *ctx, struct ffg_fault *arg)
{
	struct ffg_line *line = ffg_line_current(ctx);
	struct ffg_call_record *record = NULL;
	struct ffg_record_grant *grant = NULL;
	struct ffg_object_query at;

	ffg_object_describe(ctx, arg->address, &at);
	arg->where = at.where;
	arg->object = at.object;
	arg->base = at.base;
	arg->length = at.length;
	arg->offset = at.offset;
	arg->slot = at.slot;
	arg->verdict = FFG_VERDICT_VIOLATION;
	if (line)
		record = ffg_record_running(ctx, line);
	/*
	 * Only for the foreign code itself: a signal handler on top of it runs with other
	 * rights, and the frame below it will open what the line holds now.
	 */
	if (record && (line->fpkru ^ arg->pkru) & ctx->pkru_all)
		record = NULL;
	if (record && at.object)
		grant = ffg_record_grant_of(record, at.object);
	if (grant) {
		arg->grant_offset = grant->offset;
		arg->grant_length = grant->length;
		arg->grant_rights = grant->rights;
	}

	switch (at.where) {
	case FFG_WHERE_OUTSIDE:
		arg->verdict = FFG_VERDICT_NOT_OURS;
		return NULL;
	case FFG_WHERE_CONTROL:
		arg->reason = FFG_REASON_CONTROL;
		return NULL;
	case FFG_WHERE_GUARD:
		arg->reason = FFG_REASON_BOUNDS;
		return NULL;
	case FFG_WHERE_FREED:
		arg->reason = FFG_REASON_FREED;
		return NULL;
	case FFG_WHERE_UNUSED:
		arg->reason = FFG_REASON_UNUSED;
		return NULL;
	}
	if (!record) {
		arg->reason = FFG_REASON_NO_CALL;
		return NULL;
	}
	arg->reason = ffg_fault_reason(ctx, record, grant, arg);
	return arg->reason ? NULL : record;
}

/*
 * The grant is valid: bind the record anew.  As after a callback: the thread first lets go
 * of what its line holds, so that two faulting threads cannot wait for each other, and the
 * module itself writes what it holds next, under the mutex under which it knows the word to
 * be valid.  @closed: its word when nothing is granted.
 */
static int ffg_fault_rebind(struct ffg_context *ctx, u32 index, u64 serial, u32 closed,
			    u32 *pkru)
{
	struct ffg_call_record *record;
	struct ffg_line *line;
	int err = 0;

	for (int tries = 0; tries < FFG_FAULT_TRIES && !err; tries++) {
		bool valid = false;

		err = ffg_bind_record(ctx, index, serial, true, 0);
		mutex_lock(&ctx->lock);
		line = ffg_line_current(ctx);
		record = ffg_record_find(ctx, index, serial);
		if (!line || !record) {
			err = -ENOENT;
		} else if (err == -EINTR) {
			/* A signal comes first: go back with nothing open, and fault again. */
			*pkru = line->tpkru | closed;
			WRITE_ONCE(line->fpkru, *pkru);
			valid = true;
			err = 0;
		} else if (!err && !(record->shared->word & FFG_WORD_STALE)) {
			*pkru = line->tpkru | record->shared->word;
			WRITE_ONCE(line->fpkru, *pkru);
			valid = true;
		}
		mutex_unlock(&ctx->lock);
		if (valid)
			return 0;
	}
	/* The call goes on, if at all, with nothing open. */
	mutex_lock(&ctx->lock);
	line = ffg_line_current(ctx);
	if (line) {
		*pkru = line->tpkru | closed;
		WRITE_ONCE(line->fpkru, *pkru);
	}
	mutex_unlock(&ctx->lock);
	return err ?: -EBUSY;
}

/**
 * ffg_fault() - FFG_IOC_FAULT
 * @ctx: context
 * @arg: argument, in and out
 *
 * Return: 0 or -EINVAL.
 */
int ffg_fault(struct ffg_context *ctx, struct ffg_fault *arg)
{
	struct ffg_fault out = {
		.size = arg->size,
		.address = arg->address,
		.ip = arg->ip,
		.access = arg->access,
		.pkru = arg->pkru,
	};
	struct ffg_call_record *record;
	u32 index = 0, closed = 0;
	u64 serial = 0;
	int err;

	if (arg->flags || arg->access > FFG_ACCESS_EXEC)
		return -EINVAL;
	mutex_lock(&ctx->lock);
	record = ffg_fault_judge(ctx, &out);
	if (record) {
		index = record->index;
		serial = record->serial;
		closed = record->closed;
		WRITE_ONCE(ffg_line_current(ctx)->fpkru, FFG_LINE_IDLE);
		ffg_lines_wake(ctx, ffg_line_current(ctx));
	}
	mutex_unlock(&ctx->lock);

	if (record) {
		err = ffg_fault_rebind(ctx, index, serial, closed, &out.pkru);
		if (!err) {
			out.verdict = FFG_VERDICT_RETRY;
			ffg_count(ctx, FFG_STAT_RETRIES);
		} else {
			out.reason = err == -ESTALE ? FFG_REASON_REVOKED : FFG_REASON_BUSY;
		}
	}
	if (out.verdict == FFG_VERDICT_VIOLATION) {
		trace_ffg_violation(out.address, out.ip, out.reason, out.access, out.object);
		ffg_count(ctx, FFG_STAT_VIOLATIONS);
	}
	*arg = out;
	return 0;
}
