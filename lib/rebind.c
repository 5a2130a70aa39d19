// SPDX-License-Identifier: LGPL-2.1-or-later
/* Rebinding: the dynamic relocations of a library, done once more for some names. */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"
#include "rebind.h"

/* The parts of a dynamic section that matter. */
struct relocations {
	const ElfW(Sym) *symbols;
	const char *strings;
	struct {
		const ElfW(Rela) *first;
		size_t size;		/* bytes */
	} table[2];			/* of data, and of calls */
};

static void read_dynamic(const struct ffg_loaded *object, struct relocations *found)
{
	const ElfW(Dyn) *dynamic = object->dynamic;

	memset(found, 0, sizeof(*found));
	found->strings = object->strings;
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		const void *pointer = ffg_loaded_pointer(object, dynamic->d_un.d_ptr);

		switch (dynamic->d_tag) {
		case DT_SYMTAB:
			found->symbols = pointer;
			break;
		case DT_RELA:
			found->table[0].first = pointer;
			break;
		case DT_RELASZ:
			found->table[0].size = dynamic->d_un.d_val;
			break;
		case DT_JMPREL:
			found->table[1].first = pointer;
			break;
		case DT_PLTRELSZ:
			found->table[1].size = dynamic->d_un.d_val;
			break;
		}
	}
}

static const struct ffg_rebind *find(const char *name, const struct ffg_rebind *table,
				     unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (!strcmp(table[i].name, name))
			return &table[i];
	return NULL;
}

static void rebind_table(const struct ffg_loaded *object, const struct relocations *from,
			 unsigned int which, const struct ffg_rebind *table, unsigned int count)
{
	const ElfW(Rela) *entry = from->table[which].first;
	size_t entries = from->table[which].size / sizeof(*entry);

	for (; entry && entries; entry++, entries--) {
		unsigned int type = ELF64_R_TYPE(entry->r_info);
		const ElfW(Sym) *symbol = &from->symbols[ELF64_R_SYM(entry->r_info)];
		const struct ffg_rebind *to;

		if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT &&
		    type != R_X86_64_64)
			continue;
		/* A function of that name that the library has itself is its own matter. */
		if (symbol->st_shndx != SHN_UNDEF)
			continue;
		to = find(from->strings + symbol->st_name, table, count);
		if (to)
			__atomic_store_n((uintptr_t *)(object->base + entry->r_offset), to->to,
					 __ATOMIC_RELAXED);
	}
}

int ffg_rebind(const struct ffg_loaded *object, const struct ffg_rebind *table,
	       unsigned int count)
{
	void *relro = (void *)object->relro;
	size_t length = object->relro_end - object->relro;
	struct relocations from;

	read_dynamic(object, &from);
	if (!from.symbols || !from.strings)
		return 0;
	if (length && mprotect(relro, length, PROT_READ | PROT_WRITE))
		return ffg_fail_errno(errno, "%s: table of addresses", object->name);
	for (unsigned int which = 0; which < 2; which++)
		rebind_table(object, &from, which, table, count);
	if (length && mprotect(relro, length, PROT_READ))
		return ffg_fail_errno(errno, "%s: table of addresses", object->name);
	return 0;
}
