// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Regions: what is closed to foreign code, and what is not.
 *
 * Each part of the library lists what it closes or opens; what else the process can write is
 * read from the kernel and said to be open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "callback.h"
#include "closed.h"
#include "domain_memory.h"
#include "gate.h"
#include "heap.h"
#include "region.h"
#include "text.h"

static bool arena_regions(const struct ffg_context *context, ffg_region_visit_fn visit,
			  void *data);
static bool control_regions(const struct ffg_context *context, ffg_region_visit_fn visit,
			    void *data);
static bool gate_regions(const struct ffg_context *context, ffg_region_visit_fn visit, void *data);

/*
 * Who knows regions, one line each.  "handler": the function takes no lock, allocates nothing
 * and may be called in the SIGSEGV handler, with SAFE open; a fault in one of its closed
 * regions is reported with its name.
 */
static const struct {
	ffg_region_list_fn list;
	bool handler;
} parts[] = {
	{ ffg_heap_regions, true },
	{ ffg_closed_regions, true },
	{ ffg_domain_memory_regions, true },
	{ arena_regions, false },	/* the module judges faults there */
	{ control_regions, false },
	{ gate_regions, true },
	{ ffg_thread_regions, false },
};

#define PARTS	(sizeof(parts) / sizeof(parts[0]))

void ffg_region_name(struct ffg_region *region, const char *name)
{
	size_t length = strlen(name);

	if (length >= sizeof(region->name))
		length = sizeof(region->name) - 1;
	memcpy(region->name, name, length);
	region->name[length] = '\0';
}

/* ---- the context's own ---- */

static bool visit_range(ffg_region_visit_fn visit, void *data, const void *address, size_t length,
			int kind, int state, const char *name)
{
	struct ffg_region region = {
		.address = (uintptr_t)address,
		.length = length,
		.kind = kind,
		.state = state,
	};

	ffg_region_name(&region, name);
	return visit(&region, data);
}

static bool arena_regions(const struct ffg_context *context, ffg_region_visit_fn visit,
			  void *data)
{
	return visit_range(visit, data, context->arena, context->arena_size, FFG_REGION_OBJECTS,
			   FFG_REGION_CLOSED, "objects, but what a call was granted");
}

static bool control_regions(const struct ffg_context *context, ffg_region_visit_fn visit,
			    void *data)
{
	return visit_range(visit, data, context->lines, context->lines_size, FFG_REGION_CONTROL,
			   FFG_REGION_CLOSED, "lines") ||
	       visit_range(visit, data, context->lines_ro, context->lines_size,
			   FFG_REGION_CONTROL, FFG_REGION_READ_ONLY, "lines, alias of the gate") ||
	       visit_range(visit, data, context->records, context->records_size,
			   FFG_REGION_CONTROL, FFG_REGION_CLOSED, "records");
}

static bool gate_regions(const struct ffg_context *context, ffg_region_visit_fn visit, void *data)
{
	(void)context;
	return visit_range(visit, data, &ffg_gate_table, sizeof(ffg_gate_table),
			   FFG_REGION_CONTROL, FFG_REGION_CLOSED, "table of entries") ||
	       visit_range(visit, data, ffg_callback_table, sizeof(ffg_callback_table),
			   FFG_REGION_CONTROL, FFG_REGION_CLOSED, "table of callbacks") ||
	       visit_range(visit, data, &ffg_gate_page, sizeof(ffg_gate_page),
			   FFG_REGION_CONTROL, FFG_REGION_READ_ONLY, "constants of the gate");
}

/* ---- by address ---- */

struct search {
	uintptr_t address;
	struct ffg_region *found;
};

static bool match(const struct ffg_region *region, void *data)
{
	struct search *search = data;

	if (region->state != FFG_REGION_CLOSED ||
	    search->address - region->address >= region->length)
		return false;
	*search->found = *region;
	return true;
}

bool ffg_region_find(const struct ffg_context *context, uintptr_t address,
		     struct ffg_region *region)
{
	struct search search = { .address = address, .found = region };
	uint32_t pkru = ffg_rdpkru();
	bool found = false;

	if (context->forked)
		return false;
	ffg_wrpkru(pkru & ~FFG_PKRU_KEY(context->safe));
	for (unsigned int n = 0; n < PARTS && !found; n++)
		found = parts[n].handler && parts[n].list(context, match, &search);
	ffg_wrpkru(pkru);
	return found;
}

/* ---- all of them ---- */

struct listing {
	struct ffg_region *regions;
	size_t count, room;
	bool failed;
};

static bool collect(const struct ffg_region *region, void *data)
{
	struct listing *listing = data;

	if (!region->length)
		return false;
	if (listing->count == listing->room) {
		size_t room = listing->room ? 2 * listing->room : 64;
		struct ffg_region *more = reallocarray(listing->regions, room, sizeof(*more));

		if (!more) {
			listing->failed = true;
			return true;
		}
		listing->regions = more;
		listing->room = room;
	}
	listing->regions[listing->count] = *region;
	listing->regions[listing->count++].size = sizeof(*region);
	return false;
}

static int by_address(const void *a, const void *b)
{
	const struct ffg_region *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static int kind_of(const char *name)
{
	if (!strncmp(name, "[stack", 6))
		return FFG_REGION_STACK;
	if (!strcmp(name, "[heap]"))
		return FFG_REGION_LIBC_HEAP;
	return *name == '/' ? FFG_REGION_STATIC : FFG_REGION_OTHER;
}

/*
 * What of [@from, @to) is in none of the first @known regions, which are sorted, is open.
 * The kernel's mappings may have been split and merged at will.
 */
static void collect_open(struct listing *listing, size_t known, uintptr_t from, uintptr_t to,
			 const char *name)
{
	for (size_t n = 0; n <= known && from < to; n++) {
		uintptr_t begin = to, end = to;
		struct ffg_region open = {
			.address = from,
			.kind = kind_of(name),
			.state = FFG_REGION_OPEN,
		};

		if (n < known) {
			begin = listing->regions[n].address;
			end = begin + listing->regions[n].length;
		}
		if (end <= from)
			continue;
		if (begin > to)
			begin = to;
		if (begin > from) {
			open.length = begin - from;
			ffg_region_name(&open, *name ? name : "anonymous memory");
			if (collect(&open, listing))
				return;
		}
		from = end;
	}
}

/* Writable mappings that nobody listed. */
static int collect_rest(struct listing *listing)
{
	size_t known = listing->count, room = 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	char *line = NULL;

	if (!maps)
		return ffg_fail_errno(errno, "/proc/self/maps");
	if (known)
		qsort(listing->regions, known, sizeof(*listing->regions), by_address);
	while (!listing->failed && getline(&line, &room, maps) > 0) {
		unsigned long from, to;
		char rights[5];
		int name = 0;

		if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %n", &from, &to, rights, &name) < 3 ||
		    rights[1] != 'w')
			continue;
		line[strcspn(line, "\n")] = '\0';
		collect_open(listing, known, from, to, name ? line + name : "");
	}
	free(line);
	fclose(maps);
	return 0;
}

FFG_API int ffg_context_regions(struct ffg_context *context, ffg_region_fn function, void *data)
{
	struct listing listing = { .regions = NULL };
	int error = ffg_context_check(context);

	if (error)
		return error;
	if (!function)
		return ffg_fail(FFG_E_INVAL, "the function is NULL");
	for (unsigned int n = 0; n < PARTS; n++)
		parts[n].list(context, collect, &listing);
	error = collect_rest(&listing);
	if (listing.failed)
		error = ffg_fail(FFG_E_NOMEM, "regions: out of memory");
	if (!error && listing.count)
		qsort(listing.regions, listing.count, sizeof(*listing.regions), by_address);
	for (size_t n = 0; n < listing.count && !error; n++)
		function(&listing.regions[n], data);
	free(listing.regions);
	return error;
}

/* ---- as text ---- */

static const char *const states[] = {
	[FFG_REGION_OPEN] = "open",
	[FFG_REGION_READ_ONLY] = "read-only",
	[FFG_REGION_CLOSED] = "closed",
};

static void describe(const struct ffg_region *region, void *data)
{
	static const char column[] = "           ";
	struct ffg_text text = { .length = 0 };
	const char *state = states[region->state];

	ffg_text_put(&text, state);
	ffg_text_put(&text, column + strlen(state));
	ffg_text_hex(&text, region->address);
	ffg_text_put(&text, "-");
	ffg_text_hex(&text, region->address + region->length);
	ffg_text_put(&text, "  ");
	ffg_text_put(&text, region->name);
	if (region->thread) {
		ffg_text_put(&text, ", thread ");
		ffg_text_dec(&text, (uint64_t)region->thread);
	}
	ffg_text_put(&text, "\n");
	ffg_text_write(&text, *(int *)data);
}

FFG_API int ffg_context_describe(struct ffg_context *context, int fd)
{
	return ffg_context_regions(context, describe, &fd);
}
