// SPDX-License-Identifier: GPL-2.0-only
/*
 * OpenBLAS: its threads are started with the library, by its constructor, and work on the matrices
 * in place.  An ordinary grant is the calling thread's: guarded matrices are then for one thread,
 * and with more the violation comes, in the worker.  FFG_THREADS is for all of them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "real.h"

#if __has_include(<cblas.h>)

#include <cblas.h>

#define LIBRARY	"libopenblas.so.0"
#define N	192
#define BYTES	(N * N * sizeof(double))

static void fill(double *matrix, int seed)
{
	for (int n = 0; n < N * N; n++)
		matrix[n] = ((n * 31 + seed) % 97 - 48) / 16.0;
}

static void threads_set(struct real *real, int threads)
{
	REAL(real, openblas_set_num_threads, "v(i)")(threads);
	REAL_CHECK(REAL(real, openblas_get_num_threads, "i()")() == threads);
}

static const char dgemm[] = "v(iiiiiidpipidpi)";

/* @all: the matrices are granted to all threads. */
static void multiply(struct real *real, int threads, bool all, double *a, double *b, double *c)
{
	fill(a, 1);
	fill(b, 2);
	fill(c, 3);
	threads_set(real, threads);
	for (int round = 0; round < 3; round++) {
		__typeof__(&cblas_dgemm) gemm = all ?
			REAL(real, cblas_dgemm, dgemm, THREADS(a, BYTES), THREADS(b, BYTES),
			     THREADS(c, BYTES)) :
			REAL(real, cblas_dgemm, dgemm, IN(a, BYTES), IN(b, BYTES),
			     IN_OUT(c, BYTES));

		gemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N, 0.5, a, N, b, N, 0.25, c, N);
	}
	real_output(real, "product", c, BYTES);
}

static void guarded_matrices(struct real *real, int threads, bool all)
{
	multiply(real, threads, all, real_alloc(real, BYTES), real_alloc(real, BYTES),
		 real_alloc(real, BYTES));
}

static void one_thread(struct real *real)
{
	guarded_matrices(real, 1, false);
}

static void two_threads(struct real *real)
{
	guarded_matrices(real, 2, false);
}

static void granted_to_threads(struct real *real)
{
	guarded_matrices(real, 2, true);
}

/* Key 0 to every thread, so nothing is granted. */
static void plain_matrices(struct real *real)
{
	double *a = malloc(BYTES), *b = malloc(BYTES), *c = malloc(BYTES);

	fill(a, 1);
	fill(b, 2);
	fill(c, 3);
	threads_set(real, 2);
	for (int round = 0; round < 3; round++)
		REAL(real, cblas_dgemm, dgemm)(CblasRowMajor, CblasNoTrans, CblasTrans, N, N, N,
					       0.5, a, N, b, N, 0.25, c, N);
	real_output(real, "product", c, BYTES);
	free(a);
	free(b);
	free(c);
}

static void vectors(struct real *real)
{
	double *x = real_alloc(real, N * sizeof(*x)), *y = real_alloc(real, N * sizeof(*y)), dot;

	for (int n = 0; n < N; n++) {
		x[n] = n / 8.0;
		y[n] = 100 - n;
	}
	dot = REAL(real, cblas_ddot, "d(ipipi)", IN(x, N * sizeof(*x)), IN(y, N * sizeof(*y)))
	      (N, x, 1, y, 1);
	real_output(real, "dot", &dot, sizeof(dot));
	REAL(real, cblas_daxpy, "v(idpipi)", IN(x, N * sizeof(*x)), IN_OUT(y, N * sizeof(*y)))
		(N, 2.5, x, 1, y, 1);
	real_output(real, "axpy", y, N * sizeof(*y));
}

static void use_threads(void)
{
	/* As many as are asked for, on a machine with fewer processors, too. */
	setenv("OPENBLAS_NUM_THREADS", "2", 1);
}

REAL_FIXTURE

REAL_TEST(one_thread)
{
	EXPECT_TRUE(real_same(LIBRARY, one_thread));
}

REAL_TEST(vectors)
{
	EXPECT_TRUE(real_same(LIBRARY, vectors));
}

REAL_TEST(without_the_product)
{
	EXPECT_TRUE(real_stops(LIBRARY, one_thread, "cblas_dgemm"));
}

REAL_TEST(workers_on_plain_matrices)
{
	use_threads();
	EXPECT_TRUE(real_same(LIBRARY, plain_matrices));
}

REAL_TEST(workers_have_no_grants)
{
	use_threads();
	EXPECT_TRUE(real_dies(LIBRARY, two_threads, "  call:    none, thread "));
}

REAL_TEST(workers_have_domain_wide_grants)
{
	use_threads();
	EXPECT_TRUE(real_same_with_key(LIBRARY, granted_to_threads));
}

TEST_HARNESS_MAIN

#else
REAL_MISSING("libopenblas-pthread-dev")
#endif
