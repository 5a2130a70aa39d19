// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The trusted heap: memory that carries SAFE while a context is open, so that foreign code can
 * neither read nor write it.
 *
 * The allocator is jemalloc (jemalloc.h).  Closed are the blocks, jemalloc's own data, and the
 * page that it keeps in each thread's TLS: its cache of free blocks is there, and who can write
 * that chooses what the next ffg_malloc() returns.  A thread's page gets the key, and its
 * contents are what they were when the library was loaded, before the thread first allocates or
 * can run foreign code (register_thread()); ordinary memory again it is when the thread has
 * ended, since the C library uses it for the next one.
 *
 * Everything but heap_page and each page of a thread that is not registered carries SAFE.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "heap.h"
#include "jemalloc.h"
#include "mutant.h"
#include "space.h"
#include "text.h"

#define SAFE_DATA	__attribute__((section("ffg_heap_data"), aligned(4096)))
#define THREADS_MAX	(FFG_SPACE_TABLE_SIZE / sizeof(void *))
#define EXIT_ROUNDS	3	/* the last but one that the C library makes of destructors */
#define LATE		1	/* cookie of a thread whose destructor ran, less the heap's */

struct heap {
	uint64_t cookie;		/* of registered threads; even, 0: not prepared */
	pthread_mutex_t lock;		/* guards what follows; taken after jemalloc's locks */
	struct ffg_space space;
	unsigned int threads;		/* of space.user_table[] that were ever used */
	uint32_t fork_pkru;		/* of the thread that forks */
	int error;			/* of preparing, or why it cannot be tried */
	int key;			/* protection key of all of it; 0: there is no context */
	bool prepared;			/* under life_lock, as error */
	pthread_mutex_t life_lock;	/* outermost: preparing, fork */
	pthread_key_t exit_key;
	struct ffg_je_hooks hooks;
	struct ffg_je_thread virgin;	/* the page of a thread before its first use */
};

static union {
	struct heap heap;
	char pages[3 * FFG_PAGE];
} safe SAFE_DATA = {
	.heap = {
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.life_lock = PTHREAD_MUTEX_INITIALIZER,
	},
};

static struct heap *const heap = &safe.heap;
struct ffg_je_hooks *const ffg_je_hooks = &safe.heap.hooks;

/* What is read while SAFE is closed: constant and read-only once the heap is prepared. */
static union {
	struct {
		uintptr_t base;
		size_t size;
	};
	char page[FFG_PAGE];
} heap_page __attribute__((aligned(4096)));

/* ---- keys ---- */

/* For destructors and fork handlers, which any thread may run.  Returns what to close again. */
static uint32_t safe_open(void)
{
	struct ffg_context *context = ffg_context_process();
	uint32_t pkru;

	if (!context || context->forked)
		return 0;
	pkru = ffg_rdpkru();
	if (pkru & FFG_PKRU_KEY(context->safe))
		ffg_wrpkru(pkru & ~FFG_PKRU_KEY(context->safe));
	return pkru;
}

static void safe_close(uint32_t pkru)
{
	struct ffg_context *context = ffg_context_process();

	if (context && !context->forked && pkru != ffg_rdpkru())
		ffg_wrpkru(pkru);
}

static int key_data(int key)
{
	size_t data = (size_t)(__stop_ffg_heap_data - __start_ffg_heap_data);
	size_t bss = (size_t)(__stop_ffg_heap_bss - __start_ffg_heap_bss);
	int protection = PROT_READ | PROT_WRITE;

	if (FFG_MUTANT(HEAP_DATA))
		return 0;
	if (pkey_mprotect(__start_ffg_heap_data, data, protection, key) ||
	    pkey_mprotect(__start_ffg_heap_bss, bss, protection, key))
		return errno;
	return 0;
}

static int key_thread(void *page, int key)
{
	if (FFG_MUTANT(HEAP_THREAD))
		return 0;
	return pkey_mprotect(page, FFG_PAGE, PROT_READ | PROT_WRITE, key) ? errno : 0;
}

/* Under the lock. */
static int key_all(int key)
{
	int error = key_data(key);

	if (!error)
		error = ffg_space_key(&heap->space, key);
	for (unsigned int n = 0; n < heap->threads && !error; n++)
		if (heap->space.user_table[n])
			error = key_thread(heap->space.user_table[n], key);
	if (!error)
		heap->key = key;
	return error;
}

/* ---- fork ---- */

static void before_fork(void)
{
	uint32_t pkru = safe_open();

	pthread_mutex_lock(&heap->life_lock);
	if (heap->hooks.before_fork)
		heap->hooks.before_fork();
	pthread_mutex_lock(&heap->lock);
	heap->fork_pkru = pkru;
}

static void after_fork(void)
{
	uint32_t pkru = heap->fork_pkru;

	pthread_mutex_unlock(&heap->lock);
	if (heap->hooks.after_fork)
		heap->hooks.after_fork();
	pthread_mutex_unlock(&heap->life_lock);
	safe_close(pkru);
}

/* The stacks of the other threads, with their TLS, are the C library's to use again. */
static void after_fork_child(void)
{
	uint32_t pkru = heap->fork_pkru;

	pthread_mutex_init(&heap->lock, NULL);
	pthread_mutex_init(&heap->life_lock, NULL);
	for (unsigned int n = 0; n < heap->threads; n++) {
		void **page = &heap->space.user_table[n];

		if (!*page || *page == &ffg_je_thread)
			continue;
		if (heap->key)
			key_thread(*page, 0);
		*page = NULL;
	}
	if (heap->hooks.after_fork_child)
		heap->hooks.after_fork_child();
	safe_close(pkru);
}

/* ---- threads ---- */

/* Under the lock.  False: the table is full. */
static bool table_add(struct ffg_je_thread *page, unsigned int *index)
{
	unsigned int at = 0;

	while (at < heap->threads && heap->space.user_table[at])
		at++;
	if (at == THREADS_MAX)
		return false;
	heap->space.user_table[at] = page;
	if (at == heap->threads)
		__atomic_store_n(&heap->threads, at + 1, __ATOMIC_RELEASE);
	*index = at;
	return true;
}

/* Under the lock.  Closes the page, and gives it the contents that it had at first. */
static int close_page(struct ffg_je_thread *page)
{
	unsigned int index;
	int error = heap->key ? key_thread(page, heap->key) : 0;

	if (error)
		return error;
	if (!table_add(page, &index)) {
		if (heap->key)
			key_thread(page, 0);
		return ENOMEM;
	}
	memcpy(page, &heap->virgin, sizeof(*page));
	page->index = index;
	page->cookie = heap->cookie;
	return 0;
}

/* 0 or an errno. */
static int register_thread(void)
{
	struct ffg_je_thread *page = &ffg_je_thread;
	int error;

	/* Who prepared the heap is registered: lists of other threads lead through its page. */
	if (page->cookie == heap->cookie || page->cookie == (heap->cookie ^ LATE))
		return 0;
	pthread_mutex_lock(&heap->lock);
	error = close_page(page);
	pthread_mutex_unlock(&heap->lock);
	if (!error)
		pthread_setspecific(heap->exit_key, heap_page.page);
	return error;
}

static void unregister_thread(struct ffg_je_thread *page)
{
	pthread_mutex_lock(&heap->lock);
	heap->space.user_table[page->index] = NULL;
	page->cookie = heap->cookie ^ LATE;
	if (heap->key)
		key_thread(page, 0);
	pthread_mutex_unlock(&heap->lock);
}

/*
 * jemalloc wants to be called once more after it cleaned up, and again if destructors of others
 * allocated meanwhile.  What these allocate after the last round needs no cleaning up.
 */
static void thread_exit(void *value)
{
	struct ffg_je_thread *page = &ffg_je_thread;
	uint32_t pkru = safe_open();

	if (page->cookie == heap->cookie) {
		void *specific = page->specific;

		page->specific = NULL;
		if (specific)
			heap->hooks.thread_exit(specific);
		if (page->specific && ++page->rounds < EXIT_ROUNDS)
			pthread_setspecific(heap->exit_key, value);
		else
			unregister_thread(page);
	}
	safe_close(pkru);
}

/*
 * As early as can be: no foreign code has run, and there is one thread.  A fork() finds the heap
 * prepared or not, never in the middle.
 */
__attribute__((constructor(101))) static void begin(void)
{
	memcpy(&heap->virgin, &ffg_je_thread, sizeof(heap->virgin));
	heap->error = pthread_atfork(before_fork, after_fork, after_fork_child);
}

/* ---- life ---- */

/* Under life_lock.  0 or an errno. */
static int prepare(void)
{
	uint64_t cookie;
	int error;

	if ((uintptr_t)&ffg_je_thread % FFG_PAGE)
		return ENOTSUP;			/* TLS is not where the linker wanted it */
	error = ffg_space_open(&heap->space);
	if (!error)
		error = pthread_key_create(&heap->exit_key, thread_exit);
	if (error)
		return error;
	heap_page.base = (uintptr_t)heap->space.base;
	heap_page.size = heap->space.size;
	if (mprotect(&heap_page, sizeof(heap_page), PROT_READ))
		return errno;
	if (getrandom(&cookie, sizeof(cookie), GRND_NONBLOCK) != sizeof(cookie))
		cookie = __builtin_ia32_rdtsc() * 0x9e3779b97f4a7c15UL;
	cookie |= 2;
	__atomic_store_n(&heap->cookie, cookie & ~(uint64_t)LATE, __ATOMIC_RELEASE);
	error = register_thread();
	/* jemalloc starts now, or a fork() might find it in the middle of that. */
	if (!error)
		ffg_je_free(ffg_je_malloc(1));
	return error;
}

int ffg_heap_prepare(void)
{
	int error;

	pthread_mutex_lock(&heap->life_lock);
	if (!heap->prepared && !heap->error)
		heap->error = prepare();
	heap->prepared = true;
	error = heap->error;
	pthread_mutex_unlock(&heap->life_lock);
	return error ? ffg_fail_errno(error, "the trusted heap") : 0;
}

int ffg_heap_open(const struct ffg_context *context)
{
	int error;

	pthread_mutex_lock(&heap->lock);
	error = key_all((int)context->safe);
	if (error)
		key_all(0);
	pthread_mutex_unlock(&heap->lock);
	return error ? ffg_fail_errno(error, "protection key of the trusted heap") : 0;
}

void ffg_heap_close(void)
{
	pthread_mutex_lock(&heap->lock);
	if (heap->key)
		key_all(0);
	pthread_mutex_unlock(&heap->lock);
}

void ffg_heap_fork(void)
{
	if (heap->key)
		key_all(0);
}

/* ---- what jemalloc needs ---- */

void *ffg_heap_map(size_t length)
{
	void *map;

	pthread_mutex_lock(&heap->lock);
	map = ffg_space_map(&heap->space, length);
	pthread_mutex_unlock(&heap->lock);
	return map;
}

void ffg_heap_unmap(void *address, size_t length)
{
	pthread_mutex_lock(&heap->lock);
	ffg_space_unmap(&heap->space, address, length);
	pthread_mutex_unlock(&heap->lock);
}

/* ---- interface ---- */

/* False: there is no memory for the thread, errno is set. */
static __attribute__((noinline)) bool enter_slow(void)
{
	int saved = errno, error;

	error = ffg_heap_prepare() ? heap->error : register_thread();
	errno = error ? ENOMEM : saved;
	return !error;
}

int ffg_heap_attach(void)
{
	int error = ffg_heap_prepare();

	if (error || ffg_je_thread.cookie == heap->cookie)
		return error;
	error = register_thread();
	return error ? ffg_fail_errno(error, "trusted heap of the thread") : 0;
}

/* Foreign code that calls the functions of the heap stops here: SAFE is closed. */
static inline bool enter(void)
{
	uint64_t cookie = heap->cookie;

	return __builtin_expect(cookie && ffg_je_thread.cookie == cookie, 1) || enter_slow();
}

static __attribute__((noinline)) void *no_memory(void)
{
	ffg_fail_fixed(FFG_E_NOMEM);
	errno = ENOMEM;
	return NULL;
}

/* A pointer that is not of the heap: going on would take foreign data for the allocator's. */
static __attribute__((noinline, noreturn)) void not_ours(const char *function, const void *address)
{
	struct ffg_text text = { .length = 0 };

	ffg_text_put(&text, "ffiguard: ");
	ffg_text_put(&text, function);
	ffg_text_put(&text, "(");
	ffg_text_hex(&text, (uintptr_t)address);
	ffg_text_put(&text, "): not allocated by ffg_malloc() and its like\n");
	ffg_text_write(&text, STDERR_FILENO);
	abort();
}

static inline void check(const char *function, const void *address)
{
	if (__builtin_expect((uintptr_t)address - heap_page.base >= heap_page.size, 0))
		not_ours(function, address);
}

FFG_API void *ffg_malloc(size_t size)
{
	void *address = enter() ? ffg_je_malloc(size) : NULL;

	return __builtin_expect(!!address, 1) ? address : no_memory();
}

FFG_API void *ffg_calloc(size_t count, size_t size)
{
	void *address = enter() ? ffg_je_calloc(count, size) : NULL;

	return __builtin_expect(!!address, 1) ? address : no_memory();
}

FFG_API void *ffg_realloc(void *address, size_t size)
{
	void *moved;

	if (!address)
		return ffg_malloc(size);
	check("ffg_realloc", address);
	if (!size) {
		ffg_free(address);
		return ffg_malloc(0);
	}
	moved = enter() ? ffg_je_realloc(address, size) : NULL;
	return __builtin_expect(!!moved, 1) ? moved : no_memory();
}

FFG_API void *ffg_aligned_alloc(size_t align, size_t size)
{
	void *address;

	if (!align || (align & (align - 1))) {
		ffg_fail(FFG_E_INVAL, "ffg_aligned_alloc: %zu is no power of two", align);
		errno = EINVAL;
		return NULL;
	}
	address = enter() ? ffg_je_aligned_alloc(align, size) : NULL;
	return address ? address : no_memory();
}

FFG_API void ffg_free(void *address)
{
	if (!address)
		return;
	check("ffg_free", address);
	if (enter())
		ffg_je_free(address);
}

FFG_API size_t ffg_malloc_usable_size(const void *address)
{
	if (!address)
		return 0;
	check("ffg_malloc_usable_size", address);
	return enter() ? ffg_je_malloc_usable_size(address) : 0;
}

/* ---- what is closed ---- */

bool ffg_heap_owns(uintptr_t address)
{
	return address - heap_page.base < heap_page.size;
}

static bool visit_range(ffg_region_visit_fn visit, void *data, const void *address, size_t length,
			const char *name)
{
	struct ffg_region region = {
		.address = (uintptr_t)address,
		.length = length,
		.kind = FFG_REGION_HEAP,
		.state = FFG_REGION_CLOSED,
	};

	ffg_region_name(&region, name);
	return visit(&region, data);
}

/* Reads what carries SAFE: the caller has opened it. */
bool ffg_heap_regions(const struct ffg_context *context, ffg_region_visit_fn visit, void *data)
{
	unsigned int threads = __atomic_load_n(&heap->threads, __ATOMIC_ACQUIRE);

	(void)context;
	if (visit_range(visit, data, heap->space.base, heap->space.committed, "trusted heap") ||
	    visit_range(visit, data, __start_ffg_heap_data,
			(size_t)(__stop_ffg_heap_data - __start_ffg_heap_data),
			"trusted heap: data of the allocator") ||
	    visit_range(visit, data, __start_ffg_heap_bss,
			(size_t)(__stop_ffg_heap_bss - __start_ffg_heap_bss),
			"trusted heap: data of the allocator"))
		return true;
	for (unsigned int n = 0; n < threads; n++) {
		void *page = heap->space.user_table[n];

		if (page && visit_range(visit, data, page, FFG_PAGE,
					"trusted heap: cache of a thread"))
			return true;
	}
	return false;
}
