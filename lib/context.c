// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Contexts: the device, protection keys, mappings, fork.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "closed.h"
#include "domain_memory.h"
#include "gate.h"
#include "heap.h"

#define DEVICE		"/dev/ffiguard"
#define STACK_DEFAULT	(1UL << 20)
#define STACK_MIN	(64UL << 10)	/* GATE_STACK_WORDS_MAX and something to work with */
#define STACK_MAX	(1UL << 30)

/* Outermost lock: one thread opens or closes at a time, and none while another forks. */
static pthread_mutex_t context_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct ffg_context *process;	/* written under context_mutex, read atomically without */
static uint32_t *inherited;		/* 0 in a child, also of a fork() that ran no handlers */
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static int fork_error;

struct ffg_context *ffg_context_process(void)
{
	return __atomic_load_n(&process, __ATOMIC_ACQUIRE);
}

/* ---- fork ---- */

static void free_keys(const struct ffg_context *context)
{
	for (int key = 1; key < FFG_KEYS; key++)
		if (context->ours & FFG_PKRU_KEY(key))
			pkey_free(key);
}

/* The child has no mapping of the device; the keys it has are its own copy and free again. */
static void become_child(struct ffg_context *context)
{
	if (context->forked)
		return;
	ffg_wrpkru(ffg_rdpkru() & ~context->ours);
	ffg_closed_release();
	ffg_signal_fork();
	ffg_domain_fork(context);
	ffg_thread_fork();
	ffg_watchdog_fork();
	ffg_gate_fork(context);
	ffg_domain_memory_fork();
	ffg_heap_fork();
	free_keys(context);
	close(context->fd);
	context->fd = -1;
	context->forked = true;
}

static void before_fork(void)
{
	pthread_mutex_lock(&context_mutex);
	ffg_thread_lock();
	if (process)
		pthread_mutex_lock(&process->lock);
	ffg_domain_memory_lock();
}

static void after_fork(void)
{
	ffg_domain_memory_unlock();
	if (process)
		pthread_mutex_unlock(&process->lock);
	ffg_thread_unlock();
	pthread_mutex_unlock(&context_mutex);
}

static void after_fork_child(void)
{
	if (process)
		become_child(process);
	after_fork();
}

static void watch_fork(void)
{
	fork_error = pthread_atfork(before_fork, after_fork, after_fork_child);
	if (fork_error)
		return;
	inherited = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (inherited == MAP_FAILED || madvise(inherited, 4096, MADV_WIPEONFORK))
		fork_error = errno;
	else
		*inherited = 1;
}

const uint32_t *ffg_context_inherited(void)
{
	return inherited;
}

int ffg_context_check(const struct ffg_context *context)
{
	struct ffg_context *ours = ffg_context_process();

	if (!context)
		return ffg_fail(FFG_E_INVAL, "the context is NULL");
	if (!context->forked) {
		if (context != ours)
			return ffg_fail(FFG_E_CONTEXT, "not the context of this process");
		if (*inherited)
			return 0;
		become_child(ours);	/* a child that ran no fork handlers; it has one thread */
	}
	return ffg_fail(FFG_E_FORKED, "%s", ffg_strerror(FFG_E_FORKED));
}

bool ffg_context_owns(const struct ffg_context *context, uintptr_t address)
{
	return address - (uintptr_t)context->arena < context->arena_size ||
	       address - (uintptr_t)context->lines < 2 * GATE_LINES_ALIGN ||
	       address - (uintptr_t)context->records < context->records_size;
}

/* ---- keys ---- */

static int take_keys(struct ffg_context *context, const struct ffg_options *options)
{
	uint32_t before = ffg_rdpkru();
	unsigned int first = 1 + options->domain_keys, count = 0, use;
	unsigned int least = first + (options->slots ? options->slots : 1);
	int key[FFG_KEYS];

	for (int k; count < FFG_KEYS && (k = pkey_alloc(0, 0)) > 0; count++)
		key[count] = k;
	use = options->slots ? least : count - options->keys_left;
	if (count < options->keys_left + least)
		use = 0;
	for (unsigned int n = use; n < count; n++) {
		pkey_free(key[n]);
		before &= ~FFG_PKRU_KEY(key[n]);
		before |= FFG_PKRU_AD(key[n]);
	}
	for (unsigned int n = 0; n < use; n++)
		context->ours |= FFG_PKRU_KEY(key[n]);
	ffg_wrpkru(before & ~context->ours);
	if (!use)
		return ffg_fail(FFG_E_NO_KEYS,
				"%u protection keys are free; %u are needed (SAFE, %u slots, %u of domains), %u to be left",
				count, least, least - first, options->domain_keys,
				options->keys_left);
	context->safe = (unsigned int)key[0];
	context->slots = use - first;
	for (unsigned int n = 1; n < first; n++)
		context->domain_keys |= 1U << key[n];
	for (unsigned int n = first; n < use; n++)
		context->slot_keys |= 1U << key[n];
	context->closed = context->ours;
	for (unsigned int n = 1; n < first; n++)
		context->closed &= ~FFG_PKRU_KEY(key[n]);
	return 0;
}

static int donate_keys(struct ffg_context *context)
{
	struct ffg_keys keys = {
		.size = sizeof(keys),
		.safe = context->safe,
		.slots = context->slot_keys,
		.domains = context->domain_keys,
	};
	int error = ffg_sys_ioctl(context, FFG_IOC_KEYS, &keys);

	return error ? ffg_fail_errno(error, "protection keys for the module") : 0;
}

/* ---- device and mappings ---- */

static int open_device(struct ffg_context *context, const struct ffg_options *options)
{
	struct ffg_hello hello = {
		.size = sizeof(hello),
		.api = FFG_API_LEVEL,
		.arena_size = options->arena_size,
	};
	int error;

	context->fd = open(DEVICE, O_RDWR | O_CLOEXEC);
	if (context->fd < 0) {
		error = errno;
		if (error == ENOENT || error == ENXIO || error == ENODEV)
			return ffg_fail(FFG_E_NO_DEVICE, "%s", ffg_strerror(FFG_E_NO_DEVICE));
		if (error == EACCES || error == EPERM)
			return ffg_fail(FFG_E_PERM,
					DEVICE ": %s (may the user open it?)",
					strerror(error));
		return ffg_fail_errno(error, "open " DEVICE);
	}
	error = ffg_sys_ioctl(context, FFG_IOC_HELLO, &hello);
	if (error == EBUSY || error == EALREADY)
		return ffg_fail(FFG_E_ACTIVE, "%s (another copy of the library opened it?)",
				ffg_strerror(FFG_E_ACTIVE));
	if (error)
		return ffg_fail_errno(error, "handshake with the module (API level %u)",
				      FFG_API_LEVEL);
	context->features = hello.features;
	context->arena_size = hello.arena_size;
	context->lines_size = hello.lines_size;
	context->records_size = hello.records_size;
	if (context->lines_size > GATE_LINES_ALIGN)
		return ffg_fail(FFG_E_VERSION, "the lines are larger than the gate can address");
	return 0;
}

static void *map_device(struct ffg_context *context, void *at, size_t size, int protection,
			uint64_t offset)
{
	void *map = mmap(at, size, protection, MAP_SHARED | (at ? MAP_FIXED : 0), context->fd,
			 (off_t)offset);

	if (map != MAP_FAILED)
		return map;
	ffg_fail_errno(errno, "mapping %zu bytes of the device", size);
	return NULL;
}

/* Both line mappings side by side, at the alignment that the gate relies on. */
static int map_lines(struct ffg_context *context)
{
	size_t room = 3UL * GATE_LINES_ALIGN;
	char *map = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			 0),
	     *at;

	if (map == MAP_FAILED)
		return ffg_fail_errno(errno, "address space for the lines");
	at = (char *)(((uintptr_t)map + GATE_LINES_ALIGN - 1) & ~(uintptr_t)(GATE_LINES_ALIGN - 1));
	if (at > map)
		munmap(map, (size_t)(at - map));
	munmap(at + 2UL * GATE_LINES_ALIGN, (size_t)(map + room - at) - 2UL * GATE_LINES_ALIGN);
	context->lines = (struct ffg_line *)(void *)at;
	context->lines_ro = (const struct ffg_line *)(void *)(at + GATE_LINES_ALIGN);
	if (!map_device(context, at, context->lines_size, PROT_READ | PROT_WRITE,
			FFG_MMAP_LINES) ||
	    !map_device(context, at + GATE_LINES_ALIGN, context->lines_size, PROT_READ,
			FFG_MMAP_LINES_RO))
		return ffg_error();
	return 0;
}

static int map_all(struct ffg_context *context)
{
	int error;

	context->arena = map_device(context, NULL, context->arena_size, PROT_READ | PROT_WRITE,
				    FFG_MMAP_ARENA);
	if (!context->arena)
		return ffg_error();
	error = map_lines(context);
	if (error)
		return error;
	context->records =
		map_device(context, NULL, context->records_size, PROT_READ, FFG_MMAP_RECORDS);
	return context->records ? 0 : ffg_error();
}

static void unmap_all(struct ffg_context *context)
{
	if (context->arena)
		munmap(context->arena, context->arena_size);
	if (context->lines)
		munmap(context->lines, 2UL * GATE_LINES_ALIGN);
	if (context->records)
		munmap((void *)(uintptr_t)context->records, context->records_size);
}

/* ---- open and close ---- */

static int check_options(const struct ffg_options *given, struct ffg_options *options)
{
	memset(options, 0, sizeof(*options));
	if (given) {
		if (given->size != sizeof(*options))
			return ffg_fail(FFG_E_INVAL, "ffg_options.size is %zu, not %zu",
					given->size, sizeof(*options));
		*options = *given;
	}
	if (options->flags & ~(FFG_CLOSE_STACKS | FFG_CLOSE_STATICS))
		return ffg_fail(FFG_E_INVAL, "unknown flags in ffg_options");
	if (options->slots > 14 || options->domain_keys > 13 || options->keys_left > 15)
		return ffg_fail(FFG_E_INVAL,
				"ffg_options: at most 14 slots, 13 keys of domains, 15 keys left");
	if (options->reserved)
		return ffg_fail(FFG_E_INVAL, "ffg_options.reserved is not 0");
	if (!options->stack_size)
		options->stack_size = STACK_DEFAULT;
	if (options->stack_size < STACK_MIN || options->stack_size > STACK_MAX)
		return ffg_fail(FFG_E_INVAL, "ffg_options.stack_size: %lu to %lu bytes",
				STACK_MIN, STACK_MAX);
	return 0;
}

static void release(struct ffg_context *context)
{
	ffg_closed_release();
	ffg_domain_memory_close();
	ffg_heap_close();
	unmap_all(context);
	if (context->fd >= 0)
		close(context->fd);
	free_keys(context);
	pthread_mutex_destroy(&context->lock);
	free(context);
}

/* From here on threads can attach and the handlers see the context. */
static int start(struct ffg_context *context)
{
	int error = ffg_gate_open(context);

	if (error)
		return error;
	error = ffg_signal_setup(context);
	if (error) {
		ffg_gate_close(context);
		return error;
	}
	__atomic_store_n(&process, context, __ATOMIC_RELEASE);
	error = ffg_thread_attach(context);
	if (!error)
		error = ffg_call_open(context);
	if (!error)
		error = ffg_violation_install();
	if (!error && context->violation)
		error = ffg_violation_allow();
	if (!error) {
		ffg_signal_take(context->flags & FFG_CLOSE_STACKS);
		return 0;
	}
	ffg_call_close(context);
	ffg_thread_close(context);
	ffg_signal_cleanup();
	ffg_gate_close(context);
	__atomic_store_n(&process, NULL, __ATOMIC_RELEASE);
	return error;
}

static struct ffg_context *open_locked(const struct ffg_options *options)
{
	struct ffg_context *context = calloc(1, sizeof(*context));

	if (!context) {
		ffg_fail(FFG_E_NOMEM, "context: out of memory");
		return NULL;
	}
	context->fd = -1;
	context->pid = getpid();
	context->stack_size = options->stack_size;
	context->flags = options->flags;
	context->violation = options->violation;
	context->violation_data = options->violation_data;
	pthread_mutex_init(&context->lock, NULL);
	*inherited = 1;
	if (!open_device(context, options) && !take_keys(context, options) &&
	    !donate_keys(context) && !map_all(context) && !ffg_heap_open(context) &&
	    !ffg_domain_memory_open(context) && !ffg_closed_open(context) && !start(context))
		return context;
	release(context);
	return NULL;
}

struct ffg_context *ffg_context_open(const struct ffg_options *given)
{
	struct ffg_context *context = NULL, *old;
	struct ffg_options options;
	const char *missing;

	if (check_options(given, &options))
		return NULL;
	missing = ffg_sys_missing();
	if (missing) {
		ffg_fail(FFG_E_NO_PKU, "%s", missing);
		return NULL;
	}
	if (ffg_heap_prepare())
		return NULL;
	pthread_once(&fork_once, watch_fork);
	if (fork_error) {
		ffg_fail_errno(fork_error, "fork handlers");
		return NULL;
	}
	pthread_mutex_lock(&context_mutex);
	old = process;
	if (old && !old->forked && !*inherited)
		become_child(old);
	if (old && !old->forked) {
		ffg_fail(FFG_E_ACTIVE, "%s", ffg_strerror(FFG_E_ACTIVE));
	} else {
		__atomic_store_n(&process, NULL, __ATOMIC_RELEASE);
		context = open_locked(&options);
		if (!context)
			__atomic_store_n(&process, old, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&context_mutex);
	return context;
}

/* Under context_mutex. */
static int close_locked(struct ffg_context *context)
{
	bool busy;

	pthread_mutex_lock(&context->lock);
	busy = context->calls || context->domains;
	pthread_mutex_unlock(&context->lock);
	if (busy)
		return ffg_fail(FFG_E_BUSY, "calls or domains exist: free and close them first");
	if (ffg_thread_self() && ffg_thread_self()->line_ro->tpkru != FFG_LINE_IDLE)
		return ffg_fail(FFG_E_BUSY, "the context cannot be closed inside a guarded call");
	ffg_violation_remove();
	ffg_watchdog_stop();
	ffg_call_close(context);
	ffg_thread_close(context);
	ffg_signal_cleanup();
	ffg_gate_close(context);
	__atomic_store_n(&process, NULL, __ATOMIC_RELEASE);
	release(context);
	return 0;
}

/* The child's copy: its calls and domains go with it, what they refer to is not there. */
static void close_forked(struct ffg_context *context)
{
	if (process == context)
		__atomic_store_n(&process, NULL, __ATOMIC_RELEASE);
	ffg_call_forget(context);
	ffg_domain_forget(context);
	pthread_mutex_destroy(&context->lock);
	free(context);
}

int ffg_context_close(struct ffg_context *context)
{
	int error = 0;

	if (!context)
		return 0;
	pthread_mutex_lock(&context_mutex);
	if (context == process && !context->forked && !*inherited)
		become_child(context);
	if (context->forked)
		close_forked(context);
	else if (context == process)
		error = close_locked(context);
	else
		error = ffg_fail(FFG_E_CONTEXT, "not the context of this process");
	pthread_mutex_unlock(&context_mutex);
	return error;
}

/* ---- questions ---- */

int ffg_context_stats(struct ffg_context *context, struct ffg_stats *stats)
{
	int error = ffg_context_check(context);

	if (error)
		return error;
	if (!stats)
		return ffg_fail(FFG_E_INVAL, "stats is NULL");
	stats->size = sizeof(*stats);
	stats->flags = 0;
	error = ffg_sys_ioctl(context, FFG_IOC_STATS, stats);
	return error ? ffg_fail_errno(error, "statistics") : 0;
}

int ffg_context_limits(struct ffg_context *context, struct ffg_limits *limits)
{
	int error = ffg_context_check(context);

	if (error)
		return error;
	if (!limits)
		return ffg_fail(FFG_E_INVAL, "limits is NULL");
	limits->size = sizeof(*limits);
	error = ffg_sys_ioctl(context, FFG_IOC_LIMITS, limits);
	return error ? ffg_fail_errno(error, "budgets") : 0;
}

unsigned int ffg_context_slots(struct ffg_context *context)
{
	return ffg_context_check(context) ? 0 : context->slots;
}
