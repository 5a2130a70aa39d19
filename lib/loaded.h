/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is loaded into the process: the program, its libraries, and what they need. */
#ifndef FFG_LOADED_H
#define FFG_LOADED_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* A loaded object; what it points to is there as long as the object. */
struct ffg_loaded {
	uintptr_t base;
	const ElfW(Phdr) *parts;
	unsigned int part_count;
	const char *name;		/* file name without folders */
	const char *soname;
	const char *strings;
	const ElfW(Dyn) *dynamic;
	uintptr_t relro, relro_end;	/* made read-only by the dynamic linker; 0: nothing */
	size_t tls_module;
	char *tls;			/* the calling thread's block, or NULL */
	bool needed;
};

struct ffg_loaded_list {
	struct ffg_loaded *loaded;
	unsigned int count;
	bool failed;
};

/* All that is loaded now.  0 or an error code that is set. */
int ffg_loaded_list(struct ffg_loaded_list *list);
void ffg_loaded_free(struct ffg_loaded_list *list);
/* Sets needed for the object of @handle (of dlopen()) and what it needs, and for no other. */
void ffg_loaded_need(const struct ffg_loaded_list *list, const void *handle);
bool ffg_loaded_has(const struct ffg_loaded_list *list, const struct ffg_loaded *object);
/* An address as it stands in a dynamic section. */
const void *ffg_loaded_pointer(const struct ffg_loaded *object, ElfW(Addr) value);

#pragma GCC visibility pop

#endif /* FFG_LOADED_H */
