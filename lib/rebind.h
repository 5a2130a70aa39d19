/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other functions in the place of those that a loaded library is bound to. */
#ifndef FFG_REBIND_H
#define FFG_REBIND_H

#include "loaded.h"

#pragma GCC visibility push(hidden)

struct ffg_rebind {
	const char *name;
	uintptr_t to;
};

/*
 * Let every reference of @object to one of the @count names lead to its new address: calls,
 * function pointers in tables and in initialized data.  What the library looks up itself
 * (dlsym()) and copies that its constructors made are not found.  All symbols are bound
 * (RTLD_NOW).  0, or an error code that is set.
 */
int ffg_rebind(const struct ffg_loaded *object, const struct ffg_rebind *table,
	       unsigned int count);

#pragma GCC visibility pop

#endif /* FFG_REBIND_H */
