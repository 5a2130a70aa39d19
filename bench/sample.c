// SPDX-License-Identifier: GPL-2.0-only
/* Samples and their middle. */
#include <stdlib.h>

#include "bench.h"

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double sample_median(double *samples, size_t count)
{
	qsort(samples, count, sizeof(*samples), compare);
	return samples[count / 2];
}

double sample_overhead(void)
{
	double samples[15];

	for (int n = 0; n < 15; n++) {
		uint64_t begin = now();

		samples[n] = now() - begin;
	}
	return sample_median(samples, 15);
}
