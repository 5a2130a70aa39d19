// SPDX-License-Identifier: GPL-2.0-only
/* libbench: foreign functions that do next to nothing.  Built without our headers. */
#include <stdlib.h>
#include <string.h>

struct big { long word[6]; };

void bench_nothing(void)
{
}

long bench_six(long a, long b, long c, long d, long e, long f)
{
	return a + b + c + d + e + f;
}

double bench_fourteen(long a, long b, long c, long d, long e, long f, double s, double t, double u,
		      double v, double w, double x, double y, double z)
{
	return a + b + c + d + e + f + s + t + u + v + w + x + y + z;
}

long bench_ten(long a, long b, long c, long d, long e, long f, long g, long h, long i, long j)
{
	return a + b + c + d + e + f + g + h + i + j;
}

struct big bench_big(long a)
{
	struct big big;

	memset(&big, 0, sizeof(big));
	big.word[0] = a;
	return big;
}

/* Writes a byte of each object. */
void bench_touch(unsigned char *const *objects, int count)
{
	for (int n = 0; n < count; n++)
		objects[n][8]++;
}

/* Calls back, as qsort() does. */
long bench_back(long (*function)(long), long times)
{
	long value = 0;

	for (long n = 0; n < times; n++)
		value = function(value);
	return value;
}

/* So many blocks, one after the other. */
void bench_blocks(int count, size_t size)
{
	for (int n = 0; n < count; n++) {
		volatile unsigned char *block = malloc(size);

		block[0] = 1;
		free((void *)block);
	}
}
