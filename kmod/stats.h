/* SPDX-License-Identifier: GPL-2.0-only */
/* Counters, per CPU: of each context, and of all since the module was loaded. */
#ifndef FFG_STATS_H
#define FFG_STATS_H

#include <linux/percpu.h>
#include <linux/types.h>

struct ffg_context;
struct ffg_stats;

enum ffg_stat {
	FFG_STAT_ALLOCS,
	FFG_STAT_FREES,
	FFG_STAT_GRANTS,
	FFG_STAT_REVOKES,
	FFG_STAT_BINDS,
	FFG_STAT_BIND_HITS,
	FFG_STAT_EVICTIONS,
	FFG_STAT_SHARED,
	FFG_STAT_BUSY,
	FFG_STAT_WAITS,
	FFG_STAT_FAULTS,
	FFG_STAT_RETRIES,
	FFG_STAT_VIOLATIONS,
	FFG_STAT_DAMAGES,
	FFG_STAT_IPIS,
	/* These go down, too; only their sum over all CPUs means something. */
	FFG_STAT_RECORDS,
	FFG_STAT_LINES,
	FFG_STAT_QUARANTINED,
	FFG_STATS
};

struct ffg_counters {
	u64 count[FFG_STATS];
};

void ffg_count(struct ffg_context *ctx, enum ffg_stat stat);
void ffg_count_add(struct ffg_context *ctx, enum ffg_stat stat, s64 n);
int ffg_stats(struct ffg_context *ctx, struct ffg_stats *arg);

#endif /* FFG_STATS_H */
