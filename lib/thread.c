// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Threads: attach, detach, exit.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "closed.h"
#include "gate.h"
#include "heap.h"
#include "region.h"

#define ALTSTACK_SIZE	(64UL << 10)	/* a report with its backtrace is deep */
#define ALTSTACK_GUARD	4096UL
#define ALTSTACK_MIN	(32UL << 10)	/* what a program has to have for it to be left alone */

static __thread struct ffg_thread *self __attribute__((tls_model("initial-exec")));

static pthread_mutex_t thread_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct ffg_thread *threads;	/* under thread_mutex */

static pthread_key_t exit_key;
static pthread_once_t exit_once = PTHREAD_ONCE_INIT;
static int exit_error;

struct ffg_thread *ffg_thread_self(void)
{
	struct ffg_thread *thread = self;

	return thread && thread->context ? thread : NULL;
}

void ffg_thread_lock(void)
{
	pthread_mutex_lock(&thread_mutex);
}

void ffg_thread_unlock(void)
{
	pthread_mutex_unlock(&thread_mutex);
}

void ffg_thread_each(void (*visit)(struct ffg_thread *thread, void *data), void *data)
{
	for (struct ffg_thread *thread = threads; thread; thread = thread->next)
		visit(thread, data);
}

/* ---- alternate signal stack: foreign code may have used up its own ---- */

/* The program gets back what it had, unless it has set another one since. */
static void altstack_free(struct ffg_thread *thread)
{
	stack_t now;

	if (!thread->altstack)
		return;
	if (!sigaltstack(NULL, &now) && now.ss_sp == (char *)thread->altstack + ALTSTACK_GUARD)
		sigaltstack(&thread->altstack_before, NULL);
	munmap(thread->altstack, thread->altstack_size);
	thread->altstack = NULL;
}

static int altstack_new(struct ffg_thread *thread)
{
	stack_t stack, before;
	char *map;

	if (thread->altstack || sigaltstack(NULL, &before))
		return 0;
	/* Rust's runtime gives each thread one of 8 KiB, in which a report would overflow. */
	if (!(before.ss_flags & SS_DISABLE) && before.ss_size >= ALTSTACK_MIN)
		return 0;
	map = mmap(NULL, ALTSTACK_SIZE + ALTSTACK_GUARD, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (map == MAP_FAILED)
		return ffg_fail_errno(errno, "alternate signal stack");
	stack.ss_sp = map + ALTSTACK_GUARD;
	stack.ss_size = ALTSTACK_SIZE;
	stack.ss_flags = 0;
	if (mprotect(map, ALTSTACK_GUARD, PROT_NONE) || sigaltstack(&stack, NULL)) {
		int error = errno;

		munmap(map, ALTSTACK_SIZE + ALTSTACK_GUARD);
		return ffg_fail_errno(error, "alternate signal stack");
	}
	before.ss_flags &= ~SS_ONSTACK;
	thread->altstack_before = before;
	thread->altstack = map;
	thread->altstack_size = ALTSTACK_SIZE + ALTSTACK_GUARD;
	return 0;
}

/* ---- attach and detach ---- */

static void unlink_thread(struct ffg_thread *thread)
{
	*thread->link = thread->next;
	if (thread->next)
		thread->next->link = thread->link;
	thread->link = NULL;
}

/* Under thread_mutex; the line is the module's again, or soon will be. */
static void release(struct ffg_thread *thread)
{
	__atomic_store_n(thread->line_slot, &ffg_gate_page.constants.nobody, __ATOMIC_RELEASE);
	unlink_thread(thread);
	ffg_closed_thread_end(thread);
	thread->context = NULL;
	thread->line = NULL;
	thread->line_ro = NULL;
	ffg_stack_free(&thread->stack);
}

static int line_detach(const struct ffg_context *context)
{
	struct ffg_line_detach detach = { .size = sizeof(detach) };

	return ffg_sys_ioctl(context, FFG_IOC_LINE_DETACH, &detach);
}

static void at_exit(void *data)
{
	struct ffg_thread *thread = data;

	pthread_mutex_lock(&thread_mutex);
	if (thread->context) {
		line_detach(thread->context);
		release(thread);
	}
	pthread_mutex_unlock(&thread_mutex);
	altstack_free(thread);
	self = NULL;
	free(thread);
}

static void make_exit_key(void)
{
	exit_error = pthread_key_create(&exit_key, at_exit);
}

static int line_attach(const struct ffg_context *context, unsigned int *index)
{
	struct ffg_line_attach attach = { .size = sizeof(attach) };
	int error = ffg_sys_ioctl(context, FFG_IOC_LINE_ATTACH, &attach);

	if (error && error != EALREADY)
		return ffg_fail_errno(error, "line for the thread");
	if (((size_t)attach.index + 1) << FFG_LINE_SHIFT > context->lines_size)
		return ffg_fail(FFG_E_VERSION, "the module gave a line beyond its mapping");
	*index = attach.index;
	return 0;
}

static struct ffg_thread *thread_of_this(void)
{
	struct ffg_thread *thread = self;

	if (thread)
		return thread;
	pthread_once(&exit_once, make_exit_key);
	if (exit_error) {
		ffg_fail_errno(exit_error, "thread-specific data");
		return NULL;
	}
	thread = calloc(1, sizeof(*thread));
	if (!thread || pthread_setspecific(exit_key, thread)) {
		free(thread);
		ffg_fail(FFG_E_NOMEM, "state of the thread: out of memory");
		return NULL;
	}
	self = thread;
	return thread;
}

int ffg_thread_attach(struct ffg_context *context)
{
	struct ffg_thread *thread;
	uint32_t pkru = ffg_rdpkru();
	unsigned int index = 0;
	int error;

	error = ffg_context_check(context);
	if (error)
		return error;
	if (ffg_thread_self())
		return ffg_fail(FFG_E_ATTACHED, "%s", ffg_strerror(FFG_E_ATTACHED));
	thread = thread_of_this();
	if (!thread)
		return ffg_error();
	error = ffg_stack_new(&thread->stack, context->stack_size);
	if (error)
		return error;
	error = altstack_new(thread);
	if (error)
		goto no_altstack;
	error = line_attach(context, &index);
	if (error)
		goto no_line;
	/* A thread that is older than the context has our keys closed. */
	ffg_wrpkru(pkru & ~context->ours);
	error = ffg_heap_attach();
	if (error)
		goto no_heap;
	thread->id = ffg_sys_tid();
	error = ffg_closed_thread(context, thread);
	if (error)
		goto no_heap;
	thread->line = &context->lines[index];
	thread->line_ro = &context->lines_ro[index];
	thread->line->fpkru = FFG_LINE_IDLE;
	thread->line->tpkru = FFG_LINE_IDLE;
	thread->line->fsp = thread->stack.top;
	thread->line->user[0] = thread->stack.low;
	thread->line->user[1] = 0;
	thread->line->user[2] = 0;
	thread->line->user[4] = 0;
	ffg_signal_altstack();
	thread->domain = NULL;
	thread->what = NULL;
	thread->recovery.call = NULL;
	thread->watch.since = 0;
	thread->watch.sent = 0;
	thread->line_slot = &ffg_gate_line;
	pthread_mutex_lock(&thread_mutex);
	thread->context = context;
	thread->link = &threads;
	thread->next = threads;
	if (threads)
		threads->link = &thread->next;
	threads = thread;
	pthread_mutex_unlock(&thread_mutex);
	ffg_gate_line = thread->line;
	return 0;

no_heap:
	ffg_wrpkru(pkru);
	line_detach(context);
no_line:
	altstack_free(thread);
no_altstack:
	ffg_stack_free(&thread->stack);
	return error;
}

int ffg_thread_detach(struct ffg_context *context)
{
	struct ffg_thread *thread = ffg_thread_self();
	int error = ffg_context_check(context);

	if (error)
		return error;
	if (!thread)
		return ffg_fail(FFG_E_UNATTACHED, "the thread is not attached");
	error = line_detach(context);
	if (error)
		return ffg_fail_errno(error, "the thread cannot be detached inside a guarded call");
	pthread_mutex_lock(&thread_mutex);
	release(thread);
	pthread_mutex_unlock(&thread_mutex);
	altstack_free(thread);
	return 0;
}

void ffg_thread_close(struct ffg_context *context)
{
	pthread_mutex_lock(&thread_mutex);
	for (struct ffg_thread *thread = threads, *next; thread; thread = next) {
		next = thread->next;
		if (thread->context == context)
			release(thread);
	}
	pthread_mutex_unlock(&thread_mutex);
	if (self)
		altstack_free(self);
}

void ffg_thread_fork(void)
{
	struct ffg_thread *mine = ffg_thread_self();
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (mine) {
		/* A child that foreign code forked stays on that stack until it ends or execs. */
		if (here - (uintptr_t)mine->stack.map < mine->stack.map_size)
			mine->stack.map = NULL;
		release(mine);
	}
	/* The other threads are gone, and their thread-local storage is not to be touched. */
	for (struct ffg_thread *thread = threads, *next; thread; thread = next) {
		next = thread->next;
		ffg_stack_free(&thread->stack);
		if (thread->altstack)
			munmap(thread->altstack, thread->altstack_size);
		free(thread);
	}
	threads = NULL;
}

bool ffg_thread_regions(const struct ffg_context *context, ffg_region_visit_fn visit, void *data)
{
	bool stop = false;

	(void)context;
	pthread_mutex_lock(&thread_mutex);
	for (struct ffg_thread *thread = threads; thread && !stop; thread = thread->next) {
		struct ffg_region region = {
			.address = thread->stack.low,
			.length = (uintptr_t)thread->stack.map + thread->stack.map_size -
				thread->stack.low,
			.kind = FFG_REGION_FOREIGN_STACK,
			.state = FFG_REGION_OPEN,
			.thread = thread->id,
		};

		ffg_region_name(&region, "foreign stack");
		stop = visit(&region, data);
	}
	pthread_mutex_unlock(&thread_mutex);
	return stop;
}
