/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's harness with more patience: the processor is emulated, the kernel may check itself,
 * and the host may be busy. Half a minute for a test is not enough then.
 */
#ifndef FFG_KSELFTEST_HARNESS_H
#define FFG_KSELFTEST_HARNESS_H

#include_next <kselftest_harness.h>

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	110	/* seconds; run-programs gives a program 120 */

#endif /* FFG_KSELFTEST_HARNESS_H */
