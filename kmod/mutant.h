/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mutants: `make check-mutants` builds the module with one protection removed at a time
 * (FFG_MUTANT=NAME on the make command line) and sees the test of that protection fail.
 * In every other build FFG_MUTANT() is false and the compiler drops it.
 */
#ifndef FFG_MUTANT_H
#define FFG_MUTANT_H

#include <linux/kconfig.h>

#define FFG_MUTANT(name) __is_defined(FFG_MUTANT_##name)

#endif /* FFG_MUTANT_H */
