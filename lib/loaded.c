// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is loaded: dl_iterate_phdr(), and who needs whom by DT_NEEDED. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "loaded.h"

#define PAGE	4096UL

const void *ffg_loaded_pointer(const struct ffg_loaded *object, ElfW(Addr) value)
{
	return (const void *)(value < object->base ? object->base + value : value);
}

static void read_dynamic(struct ffg_loaded *object)
{
	const ElfW(Dyn) *dynamic = object->dynamic;
	ElfW(Xword) soname = 0;

	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_STRTAB)
			object->strings = ffg_loaded_pointer(object, dynamic->d_un.d_ptr);
		else if (dynamic->d_tag == DT_SONAME)
			soname = dynamic->d_un.d_val;
	}
	if (object->strings && soname)
		object->soname = object->strings + soname;
}

static int add_loaded(struct dl_phdr_info *info, size_t size, void *data)
{
	struct ffg_loaded_list *list = data;
	struct ffg_loaded *grown, *object;
	const char *slash;

	(void)size;
	grown = reallocarray(list->loaded, list->count + 1, sizeof(*grown));
	if (!grown) {
		list->failed = true;
		return 1;
	}
	list->loaded = grown;
	object = &grown[list->count++];
	memset(object, 0, sizeof(*object));
	object->base = info->dlpi_addr;
	object->parts = info->dlpi_phdr;
	object->part_count = info->dlpi_phnum;
	object->tls_module = info->dlpi_tls_modid;
	object->tls = info->dlpi_tls_data;
	slash = strrchr(info->dlpi_name, '/');
	object->name = slash ? slash + 1 : info->dlpi_name;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
			object->dynamic = (const void *)start;
		/* As the dynamic linker rounds it. */
		if (info->dlpi_phdr[i].p_type == PT_GNU_RELRO) {
			object->relro = start & ~(PAGE - 1);
			object->relro_end = (start + info->dlpi_phdr[i].p_memsz) & ~(PAGE - 1);
		}
	}
	read_dynamic(object);
	return 0;
}

int ffg_loaded_list(struct ffg_loaded_list *list)
{
	memset(list, 0, sizeof(*list));
	dl_iterate_phdr(add_loaded, list);
	if (!list->failed)
		return 0;
	ffg_loaded_free(list);
	return ffg_fail(FFG_E_NOMEM, "list of loaded libraries: out of memory");
}

void ffg_loaded_free(struct ffg_loaded_list *list)
{
	free(list->loaded);
	memset(list, 0, sizeof(*list));
}

bool ffg_loaded_has(const struct ffg_loaded_list *list, const struct ffg_loaded *object)
{
	for (unsigned int i = 0; i < list->count; i++)
		if (list->loaded[i].base == object->base)
			return true;
	return false;
}

static struct ffg_loaded *find_name(const struct ffg_loaded_list *list, const char *name)
{
	for (unsigned int i = 0; i < list->count; i++) {
		struct ffg_loaded *object = &list->loaded[i];

		if (!strcmp(name, object->name) ||
		    (object->soname && !strcmp(name, object->soname)))
			return object;
	}
	return NULL;
}

/* Marks what @object needs; those found first time are looked at in turn. */
static bool mark_needed_by(const struct ffg_loaded_list *list, const struct ffg_loaded *object)
{
	const ElfW(Dyn) *dynamic = object->dynamic;
	bool more = false;

	for (; dynamic && object->strings && dynamic->d_tag != DT_NULL; dynamic++) {
		const char *name, *slash;
		struct ffg_loaded *needed;

		if (dynamic->d_tag != DT_NEEDED)
			continue;
		name = object->strings + dynamic->d_un.d_val;
		slash = strrchr(name, '/');
		needed = find_name(list, slash ? slash + 1 : name);
		if (needed && !needed->needed) {
			needed->needed = true;
			more = true;
		}
	}
	return more;
}

void ffg_loaded_need(const struct ffg_loaded_list *list, const void *handle)
{
	const struct link_map *map = handle;
	bool more = true;

	for (unsigned int i = 0; i < list->count; i++)
		list->loaded[i].needed = list->loaded[i].base == map->l_addr;
	while (more) {
		more = false;
		for (unsigned int i = 0; i < list->count; i++)
			if (list->loaded[i].needed)
				more |= mark_needed_by(list, &list->loaded[i]);
	}
}
