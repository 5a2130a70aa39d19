// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Snapshots of the data of libraries: taken after their constructors, restored by
 * ffg_domain_reset().
 *
 * What is copied are the writable segments without what the dynamic linker made read-only
 * (RELRO), of the library of a domain and of what it needs, as far as it was loaded with it.
 * Libraries that were there before serve the program, too, and are left alone.  All symbols were
 * bound before the constructors ran (RTLD_NOW), so the tables of addresses are among the copies
 * as they stay.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "loaded.h"
#include "mutant.h"

#define PAGE	4096UL

/* Writable memory and its copy. */
struct range {
	char *start;
	size_t length;
	char *copy;
};

/* Thread-local storage of one object. */
struct tls {
	size_t module;
	const char *image;
	size_t image_length, length;
	char *copy;			/* of the thread that opened the domain, or NULL */
};

struct ffg_snapshot {
	pthread_t opener;
	struct range *ranges;
	unsigned int range_count;
	struct tls *tls;
	unsigned int tls_count;
	uintptr_t *bases;		/* of the objects that are in it */
	unsigned int base_count;
};

/* ---- taking ---- */

static int add_range(struct ffg_snapshot *snapshot, uintptr_t start, uintptr_t end)
{
	struct range *grown;
	char *copy;

	if (start >= end)
		return 0;
	grown = reallocarray(snapshot->ranges, snapshot->range_count + 1, sizeof(*grown));
	if (!grown)
		return -1;
	snapshot->ranges = grown;
	copy = malloc(end - start);
	if (!copy)
		return -1;
	memcpy(copy, (const char *)start, end - start);
	grown[snapshot->range_count++] = (struct range){ (char *)start, end - start, copy };
	return 0;
}

static int add_tls(struct ffg_snapshot *snapshot, const struct ffg_loaded *object,
		   const ElfW(Phdr) *part)
{
	struct tls *grown = reallocarray(snapshot->tls, snapshot->tls_count + 1, sizeof(*grown));
	struct tls *tls;

	if (!grown)
		return -1;
	snapshot->tls = grown;
	tls = &grown[snapshot->tls_count++];
	*tls = (struct tls){
		.module = object->tls_module,
		.image = (const char *)(object->base + part->p_vaddr),
		.image_length = part->p_filesz,
		.length = part->p_memsz,
	};
	if (!object->tls)
		return 0;
	tls->copy = malloc(tls->length);
	if (!tls->copy)
		return -1;
	memcpy(tls->copy, object->tls, tls->length);
	return 0;
}

static int add_object(struct ffg_snapshot *snapshot, const struct ffg_loaded *object)
{
	uintptr_t *grown = reallocarray(snapshot->bases, snapshot->base_count + 1,
					sizeof(*grown));
	uintptr_t closed = object->relro, closed_end = object->relro_end;
	int error = grown ? 0 : -1;

	if (error)
		return error;
	snapshot->bases = grown;
	grown[snapshot->base_count++] = object->base;
	for (unsigned int i = 0; i < object->part_count && !error; i++) {
		const ElfW(Phdr) *part = &object->parts[i];
		uintptr_t start = object->base + part->p_vaddr, end = start + part->p_memsz;

		if (part->p_type == PT_TLS)
			error = add_tls(snapshot, object, part);
		if (part->p_type != PT_LOAD || !(part->p_flags & PF_W))
			continue;
		if (closed_end <= start || closed >= end || closed >= closed_end) {
			error = add_range(snapshot, start, end);
			continue;
		}
		error = add_range(snapshot, start, closed);
		if (!error)
			error = add_range(snapshot, closed_end, end);
	}
	return error;
}

struct ffg_snapshot *ffg_snapshot_take(const struct ffg_loaded_list *before, const void *handle)
{
	struct ffg_snapshot *snapshot = calloc(1, sizeof(*snapshot));
	struct ffg_loaded_list now;
	int error = snapshot ? ffg_loaded_list(&now) : -1;

	if (error)
		goto fail;
	snapshot->opener = pthread_self();
	ffg_loaded_need(&now, handle);
	for (unsigned int i = 0; i < now.count && !error; i++)
		if (now.loaded[i].needed && !ffg_loaded_has(before, &now.loaded[i]))
			error = add_object(snapshot, &now.loaded[i]);
	ffg_loaded_free(&now);
	if (!error)
		return snapshot;
fail:
	ffg_snapshot_free(snapshot);
	ffg_fail(FFG_E_NOMEM, "snapshot: out of memory");
	return NULL;
}

void ffg_snapshot_free(struct ffg_snapshot *snapshot)
{
	if (!snapshot)
		return;
	for (unsigned int i = 0; i < snapshot->range_count; i++)
		free(snapshot->ranges[i].copy);
	for (unsigned int i = 0; i < snapshot->tls_count; i++)
		free(snapshot->tls[i].copy);
	free(snapshot->ranges);
	free(snapshot->tls);
	free(snapshot->bases);
	free(snapshot);
}

/* ---- restoring ---- */

/* Only what differs is written, so that pages that nobody changed stay shared. */
static void restore(char *to, const char *from, size_t length)
{
	while (length) {
		size_t piece = PAGE - ((uintptr_t)to & (PAGE - 1));

		if (piece > length)
			piece = length;
		if (memcmp(to, from, piece) != 0)
			memcpy(to, from, piece);
		to += piece;
		from += piece;
		length -= piece;
	}
}

static void restore_tls(const struct ffg_snapshot *snapshot, const struct tls *tls, char *to)
{
	if (tls->copy && pthread_equal(snapshot->opener, pthread_self())) {
		memcpy(to, tls->copy, tls->length);
		return;
	}
	memcpy(to, tls->image, tls->image_length);
	memset(to + tls->image_length, 0, tls->length - tls->image_length);
}

static int restore_tls_of(struct dl_phdr_info *info, size_t size, void *data)
{
	const struct ffg_snapshot *snapshot = data;

	(void)size;
	for (unsigned int i = 0; i < snapshot->tls_count; i++)
		if (snapshot->tls[i].module == info->dlpi_tls_modid && info->dlpi_tls_data)
			restore_tls(snapshot, &snapshot->tls[i], info->dlpi_tls_data);
	return 0;
}

void ffg_snapshot_restore(struct ffg_snapshot *snapshot)
{
	if (FFG_MUTANT(RESET_DATA))
		return;
	for (unsigned int i = 0; i < snapshot->range_count; i++)
		restore(snapshot->ranges[i].start, snapshot->ranges[i].copy,
			snapshot->ranges[i].length);
	if (snapshot->tls_count)
		dl_iterate_phdr(restore_tls_of, snapshot);
}

static bool snapshot_has(const struct ffg_snapshot *snapshot, uintptr_t base)
{
	for (unsigned int i = 0; i < snapshot->base_count; i++)
		if (snapshot->bases[i] == base)
			return true;
	return false;
}

bool ffg_snapshot_covers(const struct ffg_snapshot *snapshot, const void *handle)
{
	return snapshot_has(snapshot, ((const struct link_map *)handle)->l_addr);
}

int ffg_snapshot_shared(const struct ffg_snapshot *snapshot, const void *handle, bool *shared)
{
	struct ffg_loaded_list now;
	int error = ffg_loaded_list(&now);

	if (error)
		return error;
	ffg_loaded_need(&now, handle);
	*shared = false;
	for (unsigned int i = 0; i < now.count; i++)
		if (now.loaded[i].needed && snapshot_has(snapshot, now.loaded[i].base))
			*shared = true;
	ffg_loaded_free(&now);
	return 0;
}
