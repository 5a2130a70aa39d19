// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Function pointers that foreign code hands to libc.
 *
 * libc calls them later, from trusted code: at exit, at fork, when a thread ends.
 * The functions below stand in front of libc's.  What foreign code registers is
 * registered as a stub that runs it behind the gate; what trusted code registers
 * goes to libc as it is, and so does everything while there is no context.
 *
 * Not here because it needs no stub: signal handlers start with every key closed (those of
 * trusted code: sigaction.c), qsort()'s and dl_iterate_phdr()'s functions are called by whoever
 * passes them; the start routine of a thread runs in that thread, and is counted.  Not covered:
 * asynchronous I/O with SIGEV_THREAD.
 *
 * The symbols have no version, so that they bind where a version of libc's is asked for, and
 * are weak, so that libc's own do not clash with them when an archive is linked.  They stand in
 * front of libc's if the program is linked to libffiguard, shared or as an archive; not
 * if libffiguard itself was loaded by dlopen().  In an executable linked with -static
 * there is no libc behind them, and nothing could be opened either: it ends at its start.
 *
 * No locks: registration may come from any thread, from a signal handler or a forked child.
 */
#include <dlfcn.h>
#include <errno.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include "domain_memory.h"
#include "internal.h"
#include "interpose.h"
#include "mutant.h"
#include "symbol.h"

#define INTERPOSED __attribute__((visibility("default"), weak))

/* libc's, for which its headers have no prototype */
extern int __cxa_atexit(void (*function)(void *), void *argument, void *dso);
extern int __cxa_at_quick_exit(void (*function)(void *), void *dso);
extern int __cxa_thread_atexit_impl(void (*function)(void *), void *argument, void *dso);
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
			     void *dso);

/* ---- the functions that we stand in front of ---- */

enum interposed {
	I_CXA_ATEXIT,
	I_CXA_AT_QUICK_EXIT,
	I_CXA_THREAD_ATEXIT,
	I_FOPENCOOKIE,
	I_KEY_CREATE,
	I_MQ_NOTIFY,
	I_ON_EXIT,
	I_PTHREAD_CREATE,
	I_REGISTER_ATFORK,
	I_SIGACTION,
	I_THRD_CREATE,
	I_TIMER_CREATE,
	I_TSS_CREATE,
	I_COUNT
};

static const char *const names[I_COUNT] = {
	[I_CXA_ATEXIT] = "__cxa_atexit",
	[I_CXA_AT_QUICK_EXIT] = "__cxa_at_quick_exit",
	[I_CXA_THREAD_ATEXIT] = "__cxa_thread_atexit_impl",
	[I_FOPENCOOKIE] = "fopencookie",
	[I_KEY_CREATE] = "pthread_key_create",
	[I_MQ_NOTIFY] = "mq_notify",
	[I_ON_EXIT] = "on_exit",
	[I_PTHREAD_CREATE] = "pthread_create",
	[I_REGISTER_ATFORK] = "__register_atfork",
	[I_SIGACTION] = "sigaction",
	[I_THRD_CREATE] = "thrd_create",
	[I_TIMER_CREATE] = "timer_create",
	[I_TSS_CREATE] = "tss_create",
};

static void *functions[I_COUNT];

static void no_libc(const char *name)
{
	static const char why[] = "ffiguard: libc's function is not to be found; "
		"an executable linked with -static cannot use libffiguard: ";

	if (write(STDERR_FILENO, why, sizeof(why) - 1) < 0 ||
	    write(STDERR_FILENO, name, strlen(name)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		syscall(SYS_exit_group, 126);
	syscall(SYS_exit_group, 127);
}

/* Also before our constructor: other libraries' constructors may run first. */
static void *resolve(enum interposed which)
{
	void *function = __atomic_load_n(&functions[which], __ATOMIC_ACQUIRE);

	if (!function) {
		function = dlsym(RTLD_NEXT, names[which]);
		if (!function)
			no_libc(names[which]);
		__atomic_store_n(&functions[which], function, __ATOMIC_RELEASE);
	}
	return function;
}

/* dlsym() takes the dynamic linker's lock; from here on nobody needs it. */
__attribute__((constructor)) static void resolve_all(void)
{
	for (unsigned int i = 0; i < I_COUNT; i++)
		resolve(i);
}

#define REAL(which, name) ((__typeof__(&(name)))resolve(which))

/* Is it foreign code that registers something? */
static bool foreign_asks(void)
{
	return ffg_gate_is_foreign() && !FFG_MUTANT(INTERPOSE);
}

/* ---- running a foreign function ---- */

/* A thread without a line and a child without an arena have no gate: only the keys are closed. */
static uintptr_t run_closed(const struct ffg_context *context, unsigned int key, void *function,
			    const uintptr_t argument[6])
{
	uintptr_t (*call)(uintptr_t, uintptr_t, uintptr_t) =
		(uintptr_t (*)(uintptr_t, uintptr_t, uintptr_t))function;
	uint32_t pkru = ffg_rdpkru();
	uintptr_t result;

	ffg_wrpkru((pkru | context->ours) & ~(key ? FFG_PKRU_KEY(key) : 0));
	result = call(argument[0], argument[1], argument[2]);
	ffg_wrpkru(pkru);
	return result;
}

/* In threads of libc's own: with all signals blocked, so that a violation would end in silence. */
static const char notification[] = "a notification function";

static void unblock_faults(void)
{
	sigset_t faults;

	sigemptyset(&faults);
	sigaddset(&faults, SIGSEGV);
	sigaddset(&faults, SIGILL);
	pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
}

/* @key: of the domain whose code it is, 0: none. */
static uintptr_t run(const char *what, unsigned int key, void *function, uintptr_t a, uintptr_t b,
		     uintptr_t c)
{
	const uintptr_t argument[6] = { a, b, c };
	const struct ffg_context *context = ffg_context_process();
	uintptr_t result;

	if (what == notification)
		unblock_faults();
	if (!context || ffg_gate_is_foreign())
		return ((uintptr_t (*)(uintptr_t, uintptr_t, uintptr_t))function)(a, b, c);
	if (ffg_thread_self() && context->pid == getpid() &&
	    ffg_gate_call(NULL, key, what, function, argument, &result) == 0)
		return result;
	return run_closed(context, key, function, argument);
}

/* ---- functions that take an argument of our choice: the argument says what to run ---- */

struct closure {
	const char *what;
	unsigned int key;
	void *function;
	uintptr_t argument;
};

static struct closure *closure_new(const char *what, void *function, void *argument)
{
	struct closure *closure = malloc(sizeof(*closure));

	if (closure)
		*closure = (struct closure){
			.what = what,
			.key = ffg_domain_memory_running(),
			.function = function,
			.argument = (uintptr_t)argument,
		};
	return closure;
}

static void closure_run(void *data)
{
	struct closure closure = *(struct closure *)data;

	free(data);
	run(closure.what, closure.key, closure.function, closure.argument, 0, 0);
}

static void closure_run_exit(int status, void *data)
{
	struct closure closure = *(struct closure *)data;

	free(data);
	run(closure.what, closure.key, closure.function, status, closure.argument, 0);
}

INTERPOSED int __cxa_atexit(void (*function)(void *), void *argument, void *dso)
{
	struct closure *closure;
	int error;

	if (!foreign_asks())
		return REAL(I_CXA_ATEXIT, __cxa_atexit)(function, argument, dso);
	closure = closure_new("an exit handler", function, argument);
	if (!closure)
		return -1;
	error = REAL(I_CXA_ATEXIT, __cxa_atexit)(closure_run, closure, dso);
	if (error)
		free(closure);
	return error;
}

INTERPOSED int on_exit(void (*function)(int, void *), void *argument)
{
	struct closure *closure;
	int error;

	if (!foreign_asks())
		return REAL(I_ON_EXIT, on_exit)(function, argument);
	closure = closure_new("an exit handler", function, argument);
	if (!closure)
		return -1;
	error = REAL(I_ON_EXIT, on_exit)(closure_run_exit, closure);
	if (error)
		free(closure);
	return error;
}

INTERPOSED int __cxa_thread_atexit_impl(void (*function)(void *), void *argument, void *dso)
{
	struct closure *closure;
	int error;

	if (!foreign_asks())
		return REAL(I_CXA_THREAD_ATEXIT, __cxa_thread_atexit_impl)(function, argument, dso);
	closure = closure_new("a thread_local destructor", function, argument);
	if (!closure)
		return -1;
	error = REAL(I_CXA_THREAD_ATEXIT, __cxa_thread_atexit_impl)(closure_run, closure, dso);
	if (error)
		free(closure);
	return error;
}

/* ---- functions that do not: a stub stands for each function ---- */

/*
 * Entries are set once and serve every registration of the same function by the same domain; an
 * entry whose library was unloaded is taken over when no empty one is left.  The address has the
 * domain's key in its upper bits, which are those of no user address.
 */
#define KEY_SHIFT	56

static struct {
	uintptr_t function;
	const char *what;
} stubs[FFG_INTERPOSE_STUBS];

static void *function_of(uintptr_t entry)
{
	return (void *)(entry & ((1UL << KEY_SHIFT) - 1));
}

void ffg_interpose_stub_run(uintptr_t argument, unsigned int stub)
{
	uintptr_t entry = __atomic_load_n(&stubs[stub].function, __ATOMIC_ACQUIRE);

	run(__atomic_load_n(&stubs[stub].what, __ATOMIC_ACQUIRE), entry >> KEY_SHIFT,
	    function_of(entry), argument, 0, 0);
}

static void *stub_address(unsigned int stub)
{
	return (void *)(ffg_interpose_stubs + stub * FFG_INTERPOSE_STUB_SIZE);
}

/* Takes entry @stub from @old to @entry; true if it stands for that now. */
static bool stub_take(unsigned int stub, uintptr_t old, uintptr_t entry, const char *what)
{
	if (!__atomic_compare_exchange_n(&stubs[stub].function, &old, entry, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return old == entry;
	/* What a report calls it; a reader in between has the previous text, or none. */
	__atomic_store_n(&stubs[stub].what, what, __ATOMIC_RELEASE);
	return true;
}

/* The stub for @function; NULL: there are too many. */
static void *stub_for(void *function, const char *what)
{
	uintptr_t entry = (uintptr_t)function |
			  (uintptr_t)ffg_domain_memory_running() << KEY_SHIFT;

	for (unsigned int i = 0; i < FFG_INTERPOSE_STUBS; i++) {
		uintptr_t known = __atomic_load_n(&stubs[i].function, __ATOMIC_ACQUIRE);

		if (known == entry || (!known && stub_take(i, 0, entry, what)))
			return stub_address(i);
	}
	for (unsigned int i = 0; i < FFG_INTERPOSE_STUBS; i++) {
		uintptr_t known = __atomic_load_n(&stubs[i].function, __ATOMIC_ACQUIRE);

		if (!ffg_symbol_loaded(function_of(known)) && stub_take(i, known, entry, what))
			return stub_address(i);
	}
	return NULL;
}

/* @function, or its stub if foreign code asks; false: no stub is left. */
static bool substitute(void **function, const char *what)
{
	if (!*function || !foreign_asks())
		return true;
	*function = stub_for(*function, what);
	return *function;
}

INTERPOSED int __cxa_at_quick_exit(void (*function)(void *), void *dso)
{
	void *f = (void *)function;

	if (!substitute(&f, "an exit handler"))
		return -1;
	return REAL(I_CXA_AT_QUICK_EXIT, __cxa_at_quick_exit)((void (*)(void *))f, dso);
}

INTERPOSED int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
	void *f = (void *)destructor;

	if (!substitute(&f, "a thread-specific data destructor"))
		return EAGAIN;
	return REAL(I_KEY_CREATE, pthread_key_create)(key, (void (*)(void *))f);
}

INTERPOSED int tss_create(tss_t *key, tss_dtor_t destructor)
{
	void *f = (void *)destructor;

	if (!substitute(&f, "a thread-specific data destructor"))
		return thrd_error;
	return REAL(I_TSS_CREATE, tss_create)(key, (tss_dtor_t)f);
}

INTERPOSED int __register_atfork(void (*prepare)(void), void (*parent)(void),
				 void (*child)(void), void *dso)
{
	void *f = (void *)prepare, *g = (void *)parent, *h = (void *)child;

	if (!substitute(&f, "a fork handler") || !substitute(&g, "a fork handler") ||
	    !substitute(&h, "a fork handler"))
		return ENOMEM;
	return REAL(I_REGISTER_ATFORK, __register_atfork)((void (*)(void))f, (void (*)(void))g,
							 (void (*)(void))h, dso);
}

/* The threads that run these are libc's, with the rights of whoever used such a timer first. */
INTERPOSED int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
	struct sigevent copy;
	void *f;

	if (event && event->sigev_notify == SIGEV_THREAD) {
		copy = *event;
		event = &copy;
		f = (void *)copy.sigev_notify_function;
		if (!substitute(&f, notification)) {
			errno = EAGAIN;
			return -1;
		}
		copy.sigev_notify_function = (void (*)(union sigval))f;
	}
	return REAL(I_TIMER_CREATE, timer_create)(clock, event, timer);
}

INTERPOSED int mq_notify(mqd_t queue, const struct sigevent *event)
{
	struct sigevent copy;
	void *f;

	if (event && event->sigev_notify == SIGEV_THREAD) {
		copy = *event;
		event = &copy;
		f = (void *)copy.sigev_notify_function;
		if (!substitute(&f, notification)) {
			errno = ENOMEM;
			return -1;
		}
		copy.sigev_notify_function = (void (*)(union sigval))f;
	}
	return REAL(I_MQ_NOTIFY, mq_notify)(queue, event);
}

/* ---- threads: counted, as the data of a domain cannot be reset below them ---- */

static unsigned int foreign_threads;

unsigned int ffg_interpose_threads(void)
{
	return __atomic_load_n(&foreign_threads, __ATOMIC_ACQUIRE);
}

struct thread_start {
	union {
		void *(*posix)(void *);
		int (*c11)(void *);
	} routine;
	void *argument;
};

static void thread_over(void *data)
{
	(void)data;
	__atomic_sub_fetch(&foreign_threads, 1, __ATOMIC_ACQ_REL);
}

static void *thread_posix(void *data)
{
	struct thread_start start = *(struct thread_start *)data;
	void *result;

	free(data);
	pthread_cleanup_push(thread_over, NULL);
	result = start.routine.posix(start.argument);
	pthread_cleanup_pop(1);
	return result;
}

static int thread_c11(void *data)
{
	struct thread_start start = *(struct thread_start *)data;
	int result;

	free(data);
	pthread_cleanup_push(thread_over, NULL);
	result = start.routine.c11(start.argument);
	pthread_cleanup_pop(1);
	return result;
}

static struct thread_start *thread_start_new(void *argument)
{
	struct thread_start *start = malloc(sizeof(*start));

	if (start) {
		start->argument = argument;
		__atomic_add_fetch(&foreign_threads, 1, __ATOMIC_ACQ_REL);
	}
	return start;
}

static void thread_start_failed(struct thread_start *start)
{
	thread_over(NULL);
	free(start);
}

INTERPOSED int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			      void *(*routine)(void *), void *argument)
{
	struct thread_start *start;
	int error;

	if (!foreign_asks())
		return REAL(I_PTHREAD_CREATE, pthread_create)(thread, attributes, routine,
							      argument);
	start = thread_start_new(argument);
	if (!start)
		return EAGAIN;
	start->routine.posix = routine;
	error = REAL(I_PTHREAD_CREATE, pthread_create)(thread, attributes, thread_posix, start);
	if (error)
		thread_start_failed(start);
	return error;
}

INTERPOSED int thrd_create(thrd_t *thread, thrd_start_t routine, void *argument)
{
	struct thread_start *start;
	int error;

	if (!foreign_asks())
		return REAL(I_THRD_CREATE, thrd_create)(thread, routine, argument);
	start = thread_start_new(argument);
	if (!start)
		return thrd_nomem;
	start->routine.c11 = routine;
	error = REAL(I_THRD_CREATE, thrd_create)(thread, thread_c11, start);
	if (error != thrd_success)
		thread_start_failed(start);
	return error;
}

/* ---- streams: flushed by whoever calls fflush(NULL) or exit() ---- */

struct stream {
	unsigned int key;
	void *cookie;
	cookie_io_functions_t functions;
};

static const char stream_what[] = "a stream function";

static ssize_t stream_read(void *data, char *buffer, size_t size)
{
	struct stream *stream = data;

	return run(stream_what, stream->key, (void *)stream->functions.read,
		   (uintptr_t)stream->cookie, (uintptr_t)buffer, size);
}

static ssize_t stream_write(void *data, const char *buffer, size_t size)
{
	struct stream *stream = data;

	return run(stream_what, stream->key, (void *)stream->functions.write,
		   (uintptr_t)stream->cookie, (uintptr_t)buffer, size);
}

static int stream_seek(void *data, off64_t *offset, int whence)
{
	struct stream *stream = data;

	return run(stream_what, stream->key, (void *)stream->functions.seek,
		   (uintptr_t)stream->cookie, (uintptr_t)offset, whence);
}

static int stream_close(void *data)
{
	struct stream stream = *(struct stream *)data;

	free(data);
	if (!stream.functions.close)
		return 0;
	return run(stream_what, stream.key, (void *)stream.functions.close,
		   (uintptr_t)stream.cookie, 0, 0);
}

INTERPOSED FILE *fopencookie(void *cookie, const char *mode, cookie_io_functions_t functions)
{
	struct stream *stream;
	FILE *file;

	if (!foreign_asks())
		return REAL(I_FOPENCOOKIE, fopencookie)(cookie, mode, functions);
	stream = malloc(sizeof(*stream));
	if (!stream)
		return NULL;
	*stream = (struct stream){ ffg_domain_memory_running(), cookie, functions };
	/* A function that is missing has a meaning of its own, which must be kept. */
	functions = (cookie_io_functions_t){
		.read = functions.read ? stream_read : NULL,
		.write = functions.write ? stream_write : NULL,
		.seek = functions.seek ? stream_seek : NULL,
		.close = stream_close,
	};
	file = REAL(I_FOPENCOOKIE, fopencookie)(stream, mode, functions);
	if (!file)
		free(stream);
	return file;
}

/* ---- signals: the functions themselves are in sigaction.c ---- */

int ffg_interpose_sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
	return REAL(I_SIGACTION, sigaction)(signal, action, old);
}
