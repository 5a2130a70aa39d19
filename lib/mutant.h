/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mutants: `make check-mutants` builds the library with one protection removed at a time
 * (-DFFG_MUTANT_NAME) and sees the test of that protection fail.  In every other build
 * FFG_MUTANT() is false and the compiler drops it.
 */
#ifndef FFG_MUTANT_H
#define FFG_MUTANT_H

/* 1 if @name is defined as 1, else 0: a defined one inserts an argument before the 1. */
#define FFG_MUTANT(name)		FFG_MUTANT_IS(FFG_MUTANT_##name)
#define FFG_MUTANT_IS(value)		FFG_MUTANT_IS_(value)
#define FFG_MUTANT_IS_(value)		FFG_MUTANT_PICK(FFG_MUTANT_ARGUMENT_##value)
#define FFG_MUTANT_PICK(argument)	FFG_MUTANT_SECOND(argument 1, 0, 0)
#define FFG_MUTANT_SECOND(first, second, ...)	second
#define FFG_MUTANT_ARGUMENT_1		0,

#endif /* FFG_MUTANT_H */
