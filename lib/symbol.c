// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Addresses to names.
 *
 * Only exported symbols are known, and only if they cover the address: the
 * nearest symbol before it would often be the name of another function.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "symbol.h"

/* The parts of a dynamic section that name symbols. */
struct symbol_table {
	const ElfW(Sym) *symbols;
	const char *strings;
	size_t string_size;
	const uint32_t *gnu_hash;
	const uint32_t *hash;
};

/* Adds the load address where the dynamic linker has not (read-only dynamic sections: the vDSO). */
static const void *dynamic_pointer(const struct link_map *map, ElfW(Addr) value)
{
	return (const void *)(value < map->l_addr ? map->l_addr + value : value);
}

static bool symbol_table_get(const struct link_map *map, struct symbol_table *table)
{
	memset(table, 0, sizeof(*table));
	if (!map->l_ld)
		return false;
	for (const ElfW(Dyn) *dyn = map->l_ld; dyn->d_tag != DT_NULL; dyn++) {
		switch (dyn->d_tag) {
		case DT_SYMTAB:
			table->symbols = dynamic_pointer(map, dyn->d_un.d_ptr);
			break;
		case DT_STRTAB:
			table->strings = dynamic_pointer(map, dyn->d_un.d_ptr);
			break;
		case DT_STRSZ:
			table->string_size = dyn->d_un.d_val;
			break;
		case DT_GNU_HASH:
			table->gnu_hash = dynamic_pointer(map, dyn->d_un.d_ptr);
			break;
		case DT_HASH:
			table->hash = dynamic_pointer(map, dyn->d_un.d_ptr);
			break;
		}
	}
	return table->symbols && table->strings && (table->gnu_hash || table->hash);
}

/*
 * ELF does not say how many symbols there are.  DT_HASH does; with DT_GNU_HASH the
 * last symbol is the end of the chain that begins last.
 */
static size_t symbol_count(const struct symbol_table *table)
{
	if (table->hash)
		return table->hash[1];

	uint32_t buckets = table->gnu_hash[0];
	uint32_t first = table->gnu_hash[1];
	uint32_t bloom_words = table->gnu_hash[2];
	const uint32_t *bucket = table->gnu_hash + 4 + bloom_words * (sizeof(ElfW(Addr)) / 4);
	const uint32_t *chain = bucket + buckets;
	uint32_t last = 0;

	for (uint32_t i = 0; i < buckets; i++)
		if (bucket[i] > last)
			last = bucket[i];
	if (last < first)
		return first;
	while (!(chain[last - first] & 1))
		last++;
	return last + 1;
}

/* Copies with truncation; strlcpy() is not in this libc. */
static void copy_name(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
}

static void symbol_name(const struct link_map *map, struct ffg_frame *frame)
{
	struct symbol_table table;
	uint64_t offset = frame->address - map->l_addr;

	if (!symbol_table_get(map, &table))
		return;
	for (size_t count = symbol_count(&table), i = 1; i < count; i++) {
		const ElfW(Sym) *symbol = &table.symbols[i];
		unsigned int type = ELF64_ST_TYPE(symbol->st_info);

		if (symbol->st_shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_GNU_IFUNC))
			continue;
		if (offset - symbol->st_value >= symbol->st_size ||
		    symbol->st_name >= table.string_size)
			continue;
		copy_name(frame->symbol, sizeof(frame->symbol), table.strings + symbol->st_name);
		frame->symbol_offset = offset - symbol->st_value;
		return;
	}
}

/* ---- libraries that the dynamic linker is still relocating: IFUNC resolvers ---- */

/* One line of /proc/self/maps, and what came before it. */
struct mapping_line {
	char text[512];			/* cut off, if longer */
	size_t length;
	char path[512];			/* of the file whose mappings come in a row */
	uint64_t first;			/* address of the first of them */
};

static uint64_t parse_hex(const char **text)
{
	uint64_t value = 0;

	for (;; (*text)++) {
		char c = **text;

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (uint64_t)(c - 'a' + 10);
		else
			return value;
	}
}

/* "start-end rights offset device inode path"; true if it names @frame's file. */
static bool mapping_line_parse(struct mapping_line *line, struct ffg_frame *frame)
{
	const char *text = line->text, *path, *slash;
	uint64_t start, end;

	line->text[line->length] = '\0';
	line->length = 0;
	start = parse_hex(&text);
	if (*text++ != '-')
		return false;
	end = parse_hex(&text);
	path = strchr(text, '/');
	if (!path) {
		line->path[0] = '\0';
		return false;
	}
	if (strcmp(path, line->path) != 0) {
		copy_name(line->path, sizeof(line->path), path);
		line->first = start;
	}
	if (frame->address < start || frame->address >= end)
		return false;
	slash = strrchr(path, '/');
	copy_name(frame->library, sizeof(frame->library), slash + 1);
	frame->library_offset = frame->address - line->first;
	return true;
}

static void mapping_find(struct ffg_frame *frame)
{
	struct mapping_line line = { .length = 0 };
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	char buffer[512];
	bool found = false;
	ssize_t got;

	if (fd < 0)
		return;
	while (!found && (got = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < got && !found; i++) {
			if (buffer[i] == '\n')
				found = mapping_line_parse(&line, frame);
			else if (line.length < sizeof(line.text) - 1)
				line.text[line.length++] = buffer[i];
		}
	}
	close(fd);
}

void ffg_symbol_find(uint64_t address, struct ffg_frame *frame)
{
	struct dl_find_object object;
	const char *slash, *name;

	memset(frame, 0, sizeof(*frame));
	frame->address = address;
	if (_dl_find_object((void *)address, &object) != 0) {
		mapping_find(frame);
		return;
	}

	const struct link_map *map = object.dlfo_link_map;

	/* The program itself has an empty name. */
	name = map->l_name && *map->l_name ? map->l_name : program_invocation_name;
	slash = strrchr(name, '/');
	copy_name(frame->library, sizeof(frame->library), slash ? slash + 1 : name);
	frame->library_offset = address - map->l_addr;
	symbol_name(map, frame);
}

bool ffg_symbol_loaded(const void *address)
{
	struct dl_find_object object;

	return _dl_find_object((void *)address, &object) == 0;
}
