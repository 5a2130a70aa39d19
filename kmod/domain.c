// SPDX-License-Identifier: GPL-2.0-only
/*
 * Domain-wide grants: objects that every thread of a domain reaches while a call runs, those too
 * that foreign code has started before.
 *
 * Nobody can change the rights of a thread from outside, but those of a page: the object carries
 * the key of the domain, which is open wherever the domain's code runs.  The record is bound for
 * each call anew, by the thread that is about to make it (its opener), and closed by FFG_IOC_WAKE
 * at the end of the call, as a slot changes hands: the word becomes stale, a barrier, the lines
 * are looked through, the pages are rekeyed.  If another thread runs the record by then it
 * becomes the opener.  What an opener that died has left open is closed when somebody comes by.
 */
#include <linux/mm.h>
#include <linux/list.h>

#include "context.h"
#include "domain.h"
#include "mutant.h"
#include "object.h"
#include "trace.h"

/**
 * ffg_domain_opened() - has the thread of a line opened records that are open?
 * @ctx: context
 * @index: index of the line
 *
 * The caller holds the arena mutex.
 */
bool ffg_domain_opened(struct ffg_context *ctx, int index)
{
	const struct ffg_call_record *record;

	list_for_each_entry(record, &ctx->open, by_open)
		if (record->opener == index)
			return true;
	return false;
}

/**
 * ffg_domain_bind() - open the domain-wide grants of a record
 * @ctx: context
 * @record: record; what was in the way is dissolved
 *
 * The calling thread, which has a line, is the opener, unless another one has opened them.
 * The caller holds mmap_lock (read) and the arena mutex.
 */
void ffg_domain_bind(struct ffg_context *ctx, struct ffg_call_record *record)
{
	struct ffg_line *line = ffg_line_current(ctx);

	for (unsigned int i = 0; i < record->count; i++) {
		struct ffg_record_grant *grant = &record->grants[i];
		struct ffg_object *object = grant->object;

		if (!ffg_domain_wide(grant) || object->opened == grant)
			continue;
		object->opened = grant;
		object->binding = &ctx->wide[record->domain];
		object->bound_first = grant->first;
		object->bound_pages = grant->pages;
		ffg_arena_zap(ctx, object, grant->first, grant->pages);
		ffg_arena_map(ctx, object, grant->first, grant->pages);
		trace_ffg_bind(object->handle, record->domain, grant->rights);
		ffg_count(ctx, FFG_STAT_BINDS);
	}
	if (list_empty(&record->by_open)) {
		list_add_tail(&record->by_open, &ctx->open);
		record->opener = ffg_line_index(ctx);
		WRITE_ONCE(line->wake, 1);
	}
}

/**
 * ffg_domain_close() - the objects of a record carry the key of its domain no more
 * @ctx: context
 * @record: record; its word is stale
 *
 * Complete when it returns.  The caller holds mmap_lock (read) and the arena mutex.
 */
void ffg_domain_close(struct ffg_context *ctx, struct ffg_call_record *record)
{
	if (list_empty(&record->by_open))
		return;
	list_del_init(&record->by_open);
	for (unsigned int i = 0; i < record->count; i++) {
		struct ffg_record_grant *grant = &record->grants[i];
		struct ffg_object *object = grant->object;

		if (!ffg_domain_wide(grant) || object->opened != grant)
			continue;
		object->opened = NULL;
		object->binding = NULL;
		if (!FFG_MUTANT(WIDE_CLOSE))
			ffg_arena_zap(ctx, object, grant->first, grant->pages);
		trace_ffg_evict(object->handle, record->domain);
		ffg_count(ctx, FFG_STAT_EVICTIONS);
	}
}

/* Is the call over that opened the record?  @index: of the caller's line, which is, or -1. */
static bool ffg_domain_over(struct ffg_context *ctx, const struct ffg_call_record *record,
			    int index)
{
	return record->opener < 0 || record->opener == index ||
	       !ffg_lines_alive(ctx, record->opener);
}

/**
 * ffg_domain_settle() - close what calls that are over have opened
 * @ctx: context
 * @index: line of the caller, if its outermost call is over; else -1
 *
 * The caller holds mmap_lock (read) and the arena mutex.
 */
void ffg_domain_settle(struct ffg_context *ctx, int index)
{
	struct ffg_call_record *record, *next;
	bool any = false;

	list_for_each_entry(record, &ctx->open, by_open) {
		if (!ffg_domain_over(ctx, record, index))
			continue;
		ffg_record_stale(record);
		any = true;
	}
	if (!any)
		return;
	/* As for slots: who enters with the word that was valid is seen behind the barrier. */
	ffg_lines_barrier(ctx);
	list_for_each_entry_safe(record, next, &ctx->open, by_open) {
		if (!ffg_domain_over(ctx, record, index))
			continue;
		record->opener = ffg_lines_running(ctx, ffg_record_address(ctx, record->index),
						   record->serial);
		if (record->opener < 0)
			ffg_domain_close(ctx, record);
	}
}

/**
 * ffg_domain_disown() - a line is given up
 * @ctx: context
 * @index: index of the line
 *
 * What its thread has open is nobody's, and is closed by ffg_domain_settle().  The caller holds
 * the arena mutex.
 */
void ffg_domain_disown(struct ffg_context *ctx, int index)
{
	struct ffg_call_record *record;

	list_for_each_entry(record, &ctx->open, by_open)
		if (record->opener == index)
			record->opener = -1;
}
