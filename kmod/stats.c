// SPDX-License-Identifier: GPL-2.0-only
/* Counters. */
#include <linux/percpu.h>

#include "context.h"
#include "stats.h"

static DEFINE_PER_CPU(struct ffg_counters, ffg_counters_total);

/**
 * ffg_count_add() - more, or less
 * @ctx: context
 * @stat: of what
 * @n: how many more
 */
void ffg_count_add(struct ffg_context *ctx, enum ffg_stat stat, s64 n)
{
	this_cpu_add(ctx->stats->count[stat], n);
	this_cpu_add(ffg_counters_total.count[stat], n);
}

/**
 * ffg_count() - one more
 * @ctx: context
 * @stat: of what
 */
void ffg_count(struct ffg_context *ctx, enum ffg_stat stat)
{
	this_cpu_inc(ctx->stats->count[stat]);
	this_cpu_inc(ffg_counters_total.count[stat]);
}

static u64 ffg_sum(struct ffg_counters __percpu *counters, enum ffg_stat stat)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		/* Racy on purpose: a counter that another CPU is adding to. */
		sum += data_race(per_cpu_ptr(counters, cpu)->count[stat]);
	return sum;
}

/**
 * ffg_stats() - FFG_IOC_STATS
 * @ctx: context
 * @arg: argument, in and out
 *
 * Return: 0 or -EINVAL.
 */
int ffg_stats(struct ffg_context *ctx, struct ffg_stats *arg)
{
	struct ffg_counters __percpu *counters = ctx->stats;
	unsigned long now[FFG_RESOURCES];

	if (arg->flags & ~FFG_STATS_TOTAL)
		return -EINVAL;
	if (arg->flags & FFG_STATS_TOTAL)
		counters = &ffg_counters_total;
	ffg_budget_used(arg->flags & FFG_STATS_TOTAL ? NULL : ctx, now);
	arg->objects = now[FFG_OBJECTS];
	arg->frames = now[FFG_FRAMES];
	arg->tables = now[FFG_TABLES];
	arg->records = ffg_sum(counters, FFG_STAT_RECORDS);
	arg->lines = ffg_sum(counters, FFG_STAT_LINES);
	arg->quarantined = ffg_sum(counters, FFG_STAT_QUARANTINED);
	arg->allocs = ffg_sum(counters, FFG_STAT_ALLOCS);
	arg->frees = ffg_sum(counters, FFG_STAT_FREES);
	arg->grants = ffg_sum(counters, FFG_STAT_GRANTS);
	arg->revokes = ffg_sum(counters, FFG_STAT_REVOKES);
	arg->binds = ffg_sum(counters, FFG_STAT_BINDS);
	arg->bind_hits = ffg_sum(counters, FFG_STAT_BIND_HITS);
	arg->evictions = ffg_sum(counters, FFG_STAT_EVICTIONS);
	arg->shared = ffg_sum(counters, FFG_STAT_SHARED);
	arg->busy = ffg_sum(counters, FFG_STAT_BUSY);
	arg->waits = ffg_sum(counters, FFG_STAT_WAITS);
	arg->faults = ffg_sum(counters, FFG_STAT_FAULTS);
	arg->retries = ffg_sum(counters, FFG_STAT_RETRIES);
	arg->violations = ffg_sum(counters, FFG_STAT_VIOLATIONS);
	arg->damages = ffg_sum(counters, FFG_STAT_DAMAGES);
	arg->ipis = ffg_sum(counters, FFG_STAT_IPIS);
	return 0;
}
