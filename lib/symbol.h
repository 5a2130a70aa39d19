/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lies at a code address: library, offset, symbol.
 *
 * Async-signal-safe and without locks, for the violation handler: rests on
 * _dl_find_object(), which the dynamic linker keeps readable at any time, also
 * while constructors run and for libraries that foreign code loads itself.
 */
#ifndef FFG_SYMBOL_H
#define FFG_SYMBOL_H

#include <stdbool.h>
#include <stdint.h>

#include <ffiguard.h>

/* Fills @frame for @address; unknown parts are left empty. */
void ffg_symbol_find(uint64_t address, struct ffg_frame *frame);
/* Is @address within a loaded object (program, library, vDSO)? */
bool ffg_symbol_loaded(const void *address);

#endif /* FFG_SYMBOL_H */
