// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * malloc() and its kin for foreign code of a domain that has a heap, and free(), realloc() and
 * malloc_usable_size() for everybody: blocks are told apart by their address, so that each
 * finds its heap whoever frees it.
 *
 * The former take the place of libc's in the libraries of the domain (rebind.c): libc itself
 * goes on to allocate from its own heap, since what it makes there (streams, locales) belongs to
 * the whole process.  The latter stand in front of libc's as those of interpose.c do; libc calls
 * them too, for example for the buffer of getline().
 *
 * A heap is what foreign code wrote there: trusted code does not follow its pointers, but lets the
 * gate do the work with the rights of the domain.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "domain_memory.h"
#include "rebind.h"
#include "text.h"

#define INTERPOSED __attribute__((visibility("default"), weak))
#define PAGE	4096UL

/* libc's under the names that nobody stands in front of, for as long as ours are not known. */
extern void __libc_free(void *address);
extern void *__libc_realloc(void *address, size_t size);

static struct {
	void (*free)(void *address);
	void *(*realloc)(void *address, size_t size);
	size_t (*usable)(void *address);
} next = { .free = __libc_free, .realloc = __libc_realloc };

__attribute__((constructor)) static void find_next(void)
{
	void *found[3] = {
		dlsym(RTLD_NEXT, "free"),
		dlsym(RTLD_NEXT, "realloc"),
		dlsym(RTLD_NEXT, "malloc_usable_size"),
	};

	if (found[0] && found[1]) {
		next.free = (void (*)(void *))found[0];
		next.realloc = (void *(*)(void *, size_t))found[1];
	}
	next.usable = (size_t (*)(void *))found[2];
}

/*
 * Is the thread in the middle of a heap, which a recovery would leave locked?  Foreign code can
 * write it, to its own harm.
 */
static __thread bool inside __attribute__((tls_model("initial-exec")));

bool ffg_domain_malloc_inside(void)
{
	return inside;
}

/* ---- by trusted code ---- */

static bool by_gate(unsigned int key, const char *what, void *function,
		    const uintptr_t argument[6], uintptr_t *result)
{
	int saved = errno;
	int error;

	if (!ffg_thread_self() || !key)
		return false;
	error = ffg_gate_call(NULL, key, what, function, argument, result);
	errno = saved;
	return !error;
}

static void domain_free(void *address)
{
	unsigned int key;
	struct ffg_domain_heap *heap = ffg_domain_memory_find(address, &key);
	const uintptr_t argument[6] = { (uintptr_t)heap, (uintptr_t)address };

	if (!heap)
		return;
	if (ffg_domain_memory_foreign()) {
		inside = true;
		ffg_domain_heap_free(heap, address);
		inside = false;
	} else {
		by_gate(key, "free()", (void *)ffg_domain_heap_free, argument, NULL);
	}
}

static size_t domain_usable(void *address)
{
	unsigned int key;
	struct ffg_domain_heap *heap = ffg_domain_memory_find(address, &key);
	const uintptr_t argument[6] = { (uintptr_t)heap, (uintptr_t)address };
	uintptr_t size = 0;

	if (!heap)
		return 0;
	if (ffg_domain_memory_foreign())
		return ffg_domain_heap_usable(heap, address);
	by_gate(key, "malloc_usable_size()", (void *)ffg_domain_heap_usable, argument, &size);
	return size;
}

/* The block stays in its heap, whoever wants it larger. */
static void *domain_realloc(void *address, size_t size)
{
	unsigned int key;
	struct ffg_domain_heap *heap = ffg_domain_memory_find(address, &key);
	const uintptr_t argument[6] = { (uintptr_t)heap, (uintptr_t)address, size };
	uintptr_t result = 0;

	if (!size) {
		domain_free(address);
		return NULL;
	}
	if (heap && ffg_domain_memory_foreign()) {
		inside = true;
		address = ffg_domain_heap_realloc(heap, address, size);
		inside = false;
		return address;
	}
	if (!heap ||
	    !by_gate(key, "realloc()", (void *)ffg_domain_heap_realloc, argument, &result) ||
	    !result)
		errno = ENOMEM;
	return (void *)result;
}

/* ---- in front of libc's ---- */

INTERPOSED void free(void *address)
{
	if (ffg_domain_memory_owns(address))
		domain_free(address);
	else
		next.free(address);
}

INTERPOSED void *realloc(void *address, size_t size)
{
	return ffg_domain_memory_owns(address) ? domain_realloc(address, size) :
						 next.realloc(address, size);
}

INTERPOSED size_t malloc_usable_size(void *address)
{
	if (ffg_domain_memory_owns(address))
		return domain_usable(address);
	return next.usable ? next.usable(address) : 0;
}

/* Called by the heap, in foreign mode, with nothing locked. */
void ffg_domain_heap_bad(const void *address)
{
	struct ffg_text text = { .length = 0 };

	ffg_text_put(&text, "ffiguard: foreign code freed ");
	ffg_text_hex(&text, (uintptr_t)address);
	ffg_text_put(&text, ", which is no block of its domain's heap (freed before?)\n");
	ffg_text_write(&text, STDERR_FILENO);
	inside = false;
	abort();
}

/* ---- in the place of libc's, for the libraries of domains ---- */

static struct ffg_domain_heap *heap_here(void)
{
	return ffg_domain_memory_heap(ffg_domain_memory_running());
}

static void *take(struct ffg_domain_heap *heap, size_t align, size_t size, bool zero)
{
	void *block;

	inside = true;
	block = ffg_domain_heap_alloc(heap, align, size, zero);
	inside = false;
	return block;
}

static void *domain_malloc(size_t size)
{
	struct ffg_domain_heap *heap = heap_here();

	return heap ? take(heap, 1, size, false) : malloc(size);
}

static void *domain_calloc(size_t count, size_t size)
{
	struct ffg_domain_heap *heap = heap_here();

	if (!heap)
		return calloc(count, size);
	if (__builtin_mul_overflow(count, size, &size)) {
		errno = ENOMEM;
		return NULL;
	}
	return take(heap, 1, size, true);
}

static void *domain_realloc_any(void *address, size_t size)
{
	return address ? realloc(address, size) : domain_malloc(size);
}

static void *domain_aligned_alloc(size_t align, size_t size)
{
	struct ffg_domain_heap *heap = heap_here();

	return heap ? take(heap, align, size, false) : aligned_alloc(align, size);
}

static int domain_posix_memalign(void **address, size_t align, size_t size)
{
	int saved = errno, error = 0;
	void *block;

	if (align % sizeof(void *) || align & (align - 1) || !align)
		return EINVAL;
	block = domain_aligned_alloc(align, size);
	if (!block)
		error = errno;
	else
		*address = block;
	errno = saved;
	return error;
}

static void *domain_valloc(size_t size)
{
	return domain_aligned_alloc(PAGE, size);
}

static void *domain_pvalloc(size_t size)
{
	return domain_aligned_alloc(PAGE, (size + PAGE - 1) & ~(PAGE - 1));
}

static char *copy_text(const char *text, size_t length)
{
	char *copy = domain_malloc(length + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

static char *domain_strdup(const char *text)
{
	return copy_text(text, strlen(text));
}

static char *domain_strndup(const char *text, size_t most)
{
	return copy_text(text, strnlen(text, most));
}

int ffg_domain_malloc_bind(const struct ffg_loaded_list *before, const void *handle)
{
	static const struct ffg_rebind table[] = {
		{ "__strdup", (uintptr_t)domain_strdup },
		{ "aligned_alloc", (uintptr_t)domain_aligned_alloc },
		{ "calloc", (uintptr_t)domain_calloc },
		{ "free", (uintptr_t)free },
		{ "malloc", (uintptr_t)domain_malloc },
		{ "malloc_usable_size", (uintptr_t)malloc_usable_size },
		{ "memalign", (uintptr_t)domain_aligned_alloc },
		{ "posix_memalign", (uintptr_t)domain_posix_memalign },
		{ "pvalloc", (uintptr_t)domain_pvalloc },
		{ "realloc", (uintptr_t)domain_realloc_any },
		{ "strdup", (uintptr_t)domain_strdup },
		{ "strndup", (uintptr_t)domain_strndup },
		{ "valloc", (uintptr_t)domain_valloc },
	};
	struct ffg_loaded_list now;
	int error = ffg_loaded_list(&now);

	if (error)
		return error;
	ffg_loaded_need(&now, handle);
	for (unsigned int i = 0; i < now.count && !error; i++)
		if (now.loaded[i].needed && !ffg_loaded_has(before, &now.loaded[i]))
			error = ffg_rebind(&now.loaded[i], table, sizeof(table) / sizeof(table[0]));
	ffg_loaded_free(&now);
	return error;
}
