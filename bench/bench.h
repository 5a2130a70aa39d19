/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Instructions of one operation, kernel included, as a virtual machine counts them.
 *
 * With QEMU's -icount shift=0 the time stamp counter advances by one with each guest instruction,
 * so a result does not depend on the speed or load of the host.  What measuring itself costs is
 * taken off.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../examples/common/example.h"

#define NOINLINE __attribute__((noinline, noclone))
#define BARRIER() __asm__ volatile("" : : : "memory")

static inline uint64_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* ---- samples (sample.c) ---- */

#define SAMPLES_MAX	512

/* Instructions from now() to now() with nothing in between. */
double sample_overhead(void);
/* The middle one; sorts. */
double sample_median(double *samples, size_t count);

/*
 * MEASURE() - instructions of one run of the statement: median of @runs loops of @iterations, less
 * an empty loop.  A loop before the first one warms up.
 */
#define MEASURE(runs, iterations, ...) __extension__ ({				\
	double samples_[SAMPLES_MAX], empty_[9];				\
	uint64_t begin_;							\
	int runs_ = (runs), n_ = (iterations);					\
	for (int i_ = 0; i_ < 9; i_++) {					\
		begin_ = now();							\
		for (int j_ = 0; j_ < n_; j_++)					\
			BARRIER();						\
		empty_[i_] = now() - begin_;					\
	}									\
	for (int i_ = -1; i_ < runs_; i_++) {					\
		begin_ = now();							\
		for (int j_ = 0; j_ < n_; j_++) {				\
			__VA_ARGS__;						\
			BARRIER();						\
		}								\
		if (i_ >= 0)							\
			samples_[i_] = now() - begin_;				\
	}									\
	(sample_median(samples_, runs_) - sample_median(empty_, 9)) / n_;	\
})

/* ---- rows (row.c) ---- */

/* A goal of "at most"; NO_GOAL: a row that tells only. */
#define NO_GOAL		-1.0

/* Opens OUT/KERNEL.jsonl in the folder @out, or nothing if it is NULL. */
void rows_open(const char *out);
/* Prints a row and writes its line.  @name may have a %-directive for @number. */
void row(double value, const char *unit, double goal, const char *name, ...)
	__attribute__((format(printf, 4, 5)));
/* Headline of a part of the table. */
void rows_part(const char *title);
/* Runs @part in a child, which may open a context of its own; its rows count, too. */
void rows_run(void (*part)(void));
/* How many goals were missed. */
int rows_close(void);

#define INSTRUCTIONS		"instructions"
#define OVER_PLAIN		"instructions over a plain call"
#define PERCENT			"% over unguarded"

/* ---- parts ---- */

void part_calls(void);		/* calls.c */
void part_callbacks(void);	/* calls.c */
void part_call_costs(void);	/* calls.c: entries and WRPKRU from outside */
void part_objects(void);	/* objects.c: grants, evictions, by ioctl */
void part_evictions(void);	/* calls.c: by a call */
void part_heap(void);		/* heap.c */
void part_recovery(void);	/* recovery.c */
void part_peers(void);		/* peers.c */
void part_png(void);		/* picture.c */

/* ---- foreign functions (foreign/libbench.c) ---- */

/* Path of libbench.so. */
extern char foreign_path[4096];
/* Loaded without guards. */
void *foreign_symbol(const char *name);

struct foreign_big {
	long word[6];
};

typedef void (*nothing_fn)(void);
typedef long (*six_fn)(long a, long b, long c, long d, long e, long f);
typedef double (*fourteen_fn)(long a, long b, long c, long d, long e, long f, double s, double t,
			      double u, double v, double w, double x, double y, double z);
typedef long (*ten_fn)(long a, long b, long c, long d, long e, long f, long g, long h, long i,
		       long j);
typedef struct foreign_big (*big_fn)(long a);
typedef void (*touch_fn)(unsigned char *const *objects, int count);
typedef long (*back_fn)(long (*function)(long), long times);

#endif /* BENCH_H */
