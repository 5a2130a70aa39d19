// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Closing memory that the program has already: stacks of trusted threads, static data of the
 * executable and of libraries, ranges that the program names.
 *
 * Whole pages get the key SAFE.  What shares a page with something that has to stay open stays
 * open, too: thread-local storage at the end of a thread's stack (libc and the kernel's rseq use
 * it in foreign mode), the arguments and environment above the first frame of the main thread, data
 * that a library takes from the executable by a copy relocation (stdout, environ).
 */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "closed.h"
#include "mutant.h"

#define PAGE	4096UL
#define RANGES	1024

/*
 * What is closed.  @length is written last when an entry is made and first when it ends: a fault
 * handler reads without the lock.
 */
static struct range {
	uintptr_t address;
	size_t length;			/* 0: free */
	uintptr_t reach;		/* the main thread's stack may grow down to here */
	int kind;
	int thread;
	char name[sizeof(((struct ffg_region *)0)->name)];
} ranges[RANGES];
static pthread_mutex_t range_mutex = PTHREAD_MUTEX_INITIALIZER;	/* guards changes of ranges[] */

static uintptr_t page_down(uintptr_t address)
{
	return address & ~(PAGE - 1);
}

static uintptr_t page_up(uintptr_t address)
{
	return page_down(address + PAGE - 1);
}

/* ---- ranges; under range_mutex ---- */

static struct range *range_new(void)
{
	for (unsigned int n = 0; n < RANGES; n++)
		if (!ranges[n].length)
			return &ranges[n];
	return NULL;
}

static void range_set(struct range *range, uintptr_t address, size_t length, const struct range *as)
{
	__atomic_store_n(&range->length, 0, __ATOMIC_RELEASE);
	range->address = address;
	range->reach = as->reach ? as->reach : address;
	range->kind = as->kind;
	range->thread = as->thread;
	memmove(range->name, as->name, sizeof(range->name));
	__atomic_store_n(&range->length, length, __ATOMIC_RELEASE);
}

static int key_set(uintptr_t address, size_t length, unsigned int key)
{
	if (FFG_MUTANT(CLOSE))
		key = 0;
	return pkey_mprotect((void *)address, length, PROT_READ | PROT_WRITE, (int)key);
}

static int range_close(unsigned int key, uintptr_t from, uintptr_t to, const struct range *as)
{
	struct range *range;
	int error = 0;

	if (from >= to)
		return 0;
	pthread_mutex_lock(&range_mutex);
	range = range_new();
	if (!range)
		error = ffg_fail(FFG_E_LIMIT, "no more than %d ranges can be closed", RANGES);
	else if (key_set(from, to - from, key))
		error = ffg_fail_errno(errno, "closing %s", as->name);
	else
		range_set(range, from, to - from, as);
	pthread_mutex_unlock(&range_mutex);
	return error;
}

/* Takes [@from, @to) out of the range; what remains of it stays closed. */
static int range_cut(struct range *range, uintptr_t from, uintptr_t to)
{
	uintptr_t begin = range->address, end = begin + range->length;
	struct range *rest = NULL;

	if (from < begin)
		from = begin;
	if (to > end)
		to = end;
	if (from >= to)
		return 0;
	if (from > begin && to < end) {
		rest = range_new();
		if (!rest)
			return ffg_fail(FFG_E_LIMIT, "no more than %d ranges can be closed",
					RANGES);
	}
	if (key_set(from, to - from, 0))
		return ffg_fail_errno(errno, "opening %s", range->name);
	if (rest)
		range_set(rest, to, end - to, range);
	if (from > begin)
		__atomic_store_n(&range->length, from - begin, __ATOMIC_RELEASE);
	else
		range_set(range, to, end - to, range);
	return 0;
}

struct bounds {
	uintptr_t low, high;
};

/* The mapping with @address; the main thread's stack is as long as it was used. */
static int mapping_of(uintptr_t address, struct bounds *bounds)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[PATH_MAX + 128];
	int error = ENOENT;

	if (!maps)
		return errno;
	while (error && fgets(line, sizeof(line), maps)) {
		char *at;

		bounds->low = strtoul(line, &at, 16);
		bounds->high = strtoul(at + 1, NULL, 16);
		if (address >= bounds->low && address < bounds->high)
			error = 0;
	}
	fclose(maps);
	return error;
}

static void range_end(struct range *range)
{
	uintptr_t from = range->address, to = from + range->length;
	struct bounds grown;

	if (range->reach != from && !mapping_of(from, &grown))
		from = grown.low;
	key_set(from, to - from, 0);
	__atomic_store_n(&range->length, 0, __ATOMIC_RELEASE);
}

/* ---- stacks ---- */

extern void *__libc_stack_end;		/* of ld.so: where the main thread's first frame began */

/* Thread-local storage of this thread that lies in its stack begins at *@data. */
static int lowest_tls(struct dl_phdr_info *info, size_t size, void *data)
{
	struct bounds *bounds = data;
	uintptr_t tls = (uintptr_t)info->dlpi_tls_data;

	(void)size;
	if (tls > bounds->low && tls < bounds->high)
		bounds->high = tls;
	return 0;
}

static int stack_bounds(struct bounds *bounds)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	pthread_attr_t attributes;
	void *address;
	size_t size;
	int error;

	if (getpid() == ffg_sys_tid()) {
		error = mapping_of(here, bounds);
		if (!error && (uintptr_t)__libc_stack_end < bounds->high &&
		    (uintptr_t)__libc_stack_end > here)
			bounds->high = (uintptr_t)__libc_stack_end;
		return error;
	}
	error = pthread_getattr_np(pthread_self(), &attributes);
	if (error)
		return error;
	pthread_attr_getstack(&attributes, &address, &size);
	pthread_attr_destroy(&attributes);
	bounds->low = (uintptr_t)address;
	bounds->high = bounds->low + size;
	if (here < bounds->low || here >= bounds->high)
		return ENOENT;		/* on a stack of the program's own making */
	dl_iterate_phdr(lowest_tls, bounds);
	return 0;
}

/* The kernel makes the main thread's stack longer when it is used, with the same key. */
static uintptr_t reach_of(const struct bounds *bounds)
{
	struct rlimit limit;

	if (getpid() != ffg_sys_tid() || getrlimit(RLIMIT_STACK, &limit) ||
	    limit.rlim_cur >= bounds->high)
		return 0;
	return page_up(bounds->high - limit.rlim_cur);
}

int ffg_closed_thread(struct ffg_context *context, struct ffg_thread *thread)
{
	struct range as = { .kind = FFG_REGION_STACK, .thread = thread->id,
			    .name = "trusted stack" };
	struct bounds bounds;
	int error;

	if (!(context->flags & FFG_CLOSE_STACKS))
		return 0;
	error = stack_bounds(&bounds);
	if (error)
		return ffg_fail_errno(error, "bounds of the thread's stack");
	as.reach = reach_of(&bounds);
	return range_close(context->safe, page_up(bounds.low), page_down(bounds.high), &as);
}

void ffg_closed_thread_end(struct ffg_thread *thread)
{
	pthread_mutex_lock(&range_mutex);
	for (unsigned int n = 0; n < RANGES; n++)
		if (ranges[n].length && ranges[n].thread == thread->id)
			range_end(&ranges[n]);
	pthread_mutex_unlock(&range_mutex);
}

/* ---- static data ---- */

struct statics {
	unsigned int key;
	const char *library;		/* NULL: the executable */
	bool found;
	int error;
};

/* As the dynamic linker does: the file's name without its folder, or all of it. */
static bool is_library(const struct dl_phdr_info *info, const char *library)
{
	const char *base = strrchr(info->dlpi_name, '/');

	if (!library)
		return !*info->dlpi_name;
	return !strcmp(info->dlpi_name, library) || (base && !strcmp(base + 1, library));
}

/* Where copy relocations put data of libraries: *@from moves to the end of the first such one. */
static bool next_copy(const struct dl_phdr_info *info, uintptr_t from, struct bounds *copy)
{
	const ElfW(Dyn) *dynamic = NULL;
	const ElfW(Rela) *rela = NULL;
	const ElfW(Sym) *symbols = NULL;
	size_t size = 0;
	bool found = false;

	for (unsigned int n = 0; n < info->dlpi_phnum; n++)
		if (info->dlpi_phdr[n].p_type == PT_DYNAMIC)
			dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[n].p_vaddr);
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_RELA)
			rela = (const ElfW(Rela) *)dynamic->d_un.d_ptr;
		else if (dynamic->d_tag == DT_RELASZ)
			size = dynamic->d_un.d_val;
		else if (dynamic->d_tag == DT_SYMTAB)
			symbols = (const ElfW(Sym) *)dynamic->d_un.d_ptr;
	}
	if (!rela || !symbols)
		return false;
	for (size_t n = 0; n < size / sizeof(*rela); n++) {
		uintptr_t at = info->dlpi_addr + rela[n].r_offset;
		uintptr_t end = at + symbols[ELF64_R_SYM(rela[n].r_info)].st_size;

		if (ELF64_R_TYPE(rela[n].r_info) != R_X86_64_COPY || page_up(end) <= from ||
		    (found && at >= copy->low))
			continue;
		*copy = (struct bounds){ at, end };
		found = true;
	}
	return found;
}

static int close_segment(const struct statics *statics, const struct dl_phdr_info *info,
			 uintptr_t from, uintptr_t to)
{
	struct range as = { .kind = FFG_REGION_STATIC };
	struct bounds copy = { 0, 0 };
	int error = 0;

	snprintf(as.name, sizeof(as.name), "static data of %s",
		 statics->library ? statics->library : program_invocation_short_name);
	while (!error && from < to) {
		if (!next_copy(info, from, &copy) || page_down(copy.low) >= to)
			return range_close(statics->key, from, to, &as);
		error = range_close(statics->key, from, page_down(copy.low), &as);
		from = page_up(copy.high);
	}
	return error;
}

static bool is_ours(const struct dl_phdr_info *info)
{
	for (unsigned int n = 0; n < info->dlpi_phnum; n++)
		if (info->dlpi_phdr[n].p_type == PT_LOAD &&
		    (uintptr_t)ranges - info->dlpi_addr - info->dlpi_phdr[n].p_vaddr <
		    info->dlpi_phdr[n].p_memsz)
			return true;
	return false;
}

static int close_statics(struct dl_phdr_info *info, size_t size, void *data)
{
	struct statics *statics = data;
	uintptr_t relro = 0;

	(void)size;
	if (!is_library(info, statics->library))
		return 0;
	statics->found = true;
	if (is_ours(info)) {
		statics->error = ffg_fail(FFG_E_INVAL,
					  "%s holds the library's own data, which signal handlers read: link libffiguard as a shared library to close it",
					  statics->library ? statics->library : "the executable");
		return 1;
	}
	for (unsigned int n = 0; n < info->dlpi_phnum; n++)
		if (info->dlpi_phdr[n].p_type == PT_GNU_RELRO)
			relro = info->dlpi_addr + info->dlpi_phdr[n].p_vaddr +
				info->dlpi_phdr[n].p_memsz;
	for (unsigned int n = 0; n < info->dlpi_phnum && !statics->error; n++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[n];
		uintptr_t from = info->dlpi_addr + segment->p_vaddr, to = from + segment->p_memsz;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W))
			continue;
		/* The linker made whole pages of it read-only, from the segment's beginning. */
		from = relro > from && relro <= to ? page_down(relro) : page_down(from);
		statics->error = close_segment(statics, info, from, page_up(to));
	}
	return 1;
}

static int statics_close(struct ffg_context *context, const char *library)
{
	struct statics statics = { .key = context->safe, .library = library };

	dl_iterate_phdr(close_statics, &statics);
	if (!statics.found)
		return ffg_fail(FFG_E_NO_LIBRARY, "%s is not loaded",
				library ? library : "the executable");
	return statics.error;
}

/* ---- with the context ---- */

int ffg_closed_open(struct ffg_context *context)
{
	return context->flags & FFG_CLOSE_STATICS ? statics_close(context, NULL) : 0;
}

void ffg_closed_release(void)
{
	pthread_mutex_init(&range_mutex, NULL);		/* a forked child's may be locked */
	for (unsigned int n = 0; n < RANGES; n++)
		if (ranges[n].length)
			range_end(&ranges[n]);
}

bool ffg_closed_regions(const struct ffg_context *context, ffg_region_visit_fn visit, void *data)
{
	bool stop = false;

	(void)context;
	for (unsigned int n = 0; n < RANGES && !stop; n++) {
		size_t length = __atomic_load_n(&ranges[n].length, __ATOMIC_ACQUIRE);
		struct ffg_region region = {
			.address = ranges[n].reach,
			.length = ranges[n].address - ranges[n].reach + length,
			.kind = ranges[n].kind,
			.state = FFG_REGION_CLOSED,
			.thread = ranges[n].thread,
		};

		if (!length)
			continue;
		ffg_region_name(&region, ranges[n].name);
		stop = visit(&region, data);
	}
	return stop;
}

/* ---- what programs call ---- */

int ffg_library_close(struct ffg_context *context, const char *library)
{
	int error = ffg_context_check(context);

	return error ? error : statics_close(context, library);
}

int ffg_memory_close(struct ffg_context *context, const void *address, size_t length)
{
	struct range as = { .kind = FFG_REGION_OTHER, .name = "memory that the program closed" };
	uintptr_t from = page_up((uintptr_t)address), to = page_down((uintptr_t)address + length);
	int error = ffg_context_check(context);

	if (error)
		return error;
	if (from >= to)
		return ffg_fail(FFG_E_INVAL, "%zu bytes at %p: there is no whole page in it",
				length, address);
	return range_close(context->safe, from, to, &as);
}

int ffg_memory_open(struct ffg_context *context, const void *address, size_t length)
{
	uintptr_t from = page_down((uintptr_t)address), to = page_up((uintptr_t)address + length);
	int error = ffg_context_check(context);

	if (error)
		return error;
	if (!length)
		return ffg_fail(FFG_E_INVAL, "a range of 0 bytes");
	pthread_mutex_lock(&range_mutex);
	for (unsigned int n = 0; n < RANGES && !error; n++)
		if (ranges[n].length)
			error = range_cut(&ranges[n], from, to);
	pthread_mutex_unlock(&range_mutex);
	return error;
}
