/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Foreign code in a call without the library: what the gate stores in the line and loads into
 * PKRU, on the caller's own stack. The functions of libshapes are foreign code that does as it
 * is told, right or wrong; a fault ends the call, unless the module says that it is to be tried
 * again.
 */
#ifndef FOREIGN_CALL_H
#define FOREIGN_CALL_H

#include <cpuid.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

#include "ffg_raw.h"

/* Of the harness, which is included before: the debug kernels take ten times as long. */
#ifdef TEST_TIMEOUT_DEFAULT
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150
#endif

/*
 * Whoever uses FOREIGN() gets a sigsetjmp() in its loops. What the statement changes must be
 * volatile or static; nothing else changes between the jump's two ends, which the compiler cannot
 * know.
 */
#pragma GCC diagnostic ignored "-Wclobbered"

/* ---- libshapes ---- */

struct shapes {
	void (*write1)(unsigned char *p, ptrdiff_t offset, int value);
	int (*read1)(const unsigned char *p, ptrdiff_t offset);
	void (*write4)(unsigned char *p, ptrdiff_t offset, uint32_t value);
	void (*write16)(unsigned char *p, ptrdiff_t offset, int value);
	int (*fill)(unsigned char *p, int value, size_t length);
	unsigned int (*sum)(const unsigned char *p, size_t length);
	void (*keep)(unsigned char *p);
	void (*write_kept)(ptrdiff_t offset, int value);
	int (*read_kept)(ptrdiff_t offset);
	int (*thread_start)(unsigned char *p);
	int (*thread_write)(void);
	unsigned long (*spin)(volatile unsigned char *p, const volatile int *stop);
};

/* False, with a message, if the library or a function is missing. */
RAW_FN bool shapes_load(struct shapes *shapes)
{
	static const char *const names[] = {
		"shape_write1", "shape_read1", "shape_write4", "shape_write16", "shape_fill",
		"shape_sum", "shape_keep", "shape_write_kept", "shape_read_kept",
		"shape_thread_start", "shape_thread_write", "shape_spin",
	};
	void *library = dlopen(FFG_FOREIGN_DIR "/libshapes.so", RTLD_NOW);
	void **function = (void **)shapes;

	_Static_assert(sizeof(*shapes) == sizeof(names), "a name for each");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		function[i] = library ? dlsym(library, names[i]) : NULL;
		if (!function[i]) {
			printf("# %s\n", dlerror());
			return false;
		}
	}
	return true;
}

/* ---- faults ---- */

/* Set: the handler asks the module first, as the library's does. */
static _Thread_local const struct raw *foreign_judge;
/* What the module said last to this thread. */
static _Thread_local struct ffg_fault foreign_fault;
static _Thread_local volatile unsigned int foreign_retries;
/* Threads that were stopped outside of FOREIGN(): how many, and the si_code of the last one. */
static volatile int foreign_strays, foreign_stray_code;

/* PKRU of the interrupted code, in the signal frame. */
RAW_FN uint32_t *foreign_frame_pkru(ucontext_t *context)
{
	unsigned int size, offset, c, d;

	if (!context->uc_mcontext.fpregs || !__get_cpuid_count(0xd, 9, &size, &offset, &c, &d))
		return NULL;
	return (uint32_t *)((char *)context->uc_mcontext.fpregs + offset);
}

RAW_FN void foreign_on_fault(int number, siginfo_t *info, void *context)
{
	uint32_t *pkru = foreign_frame_pkru(context);
	const unsigned long error = ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR];

	if (!raw_armed) {
		/* A thread of foreign code: it ends here, the test goes on. */
		foreign_stray_code = info->si_code;
		__atomic_add_fetch(&foreign_strays, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_exit, 0);
	}
	if (foreign_judge && pkru && number == SIGSEGV &&
	    !raw_fault(foreign_judge, info->si_addr, error & 2 ? FFG_ACCESS_WRITE : FFG_ACCESS_READ,
		       *pkru, &foreign_fault) &&
	    foreign_fault.verdict == FFG_VERDICT_RETRY) {
		*pkru = foreign_fault.pkru;
		/* PKRU need not be among what the frame restores: it may have been zero. */
		*(uint64_t *)((char *)((ucontext_t *)context)->uc_mcontext.fpregs + 512) |= 1U << 9;
		foreign_retries++;
		return;
	}
	raw_armed = 0;
	siglongjmp(raw_landing, info->si_code + (number == SIGBUS ? RAW_BUS : 0));
}

RAW_FN void foreign_catch_faults(void)
{
	/* NODEFER, so that leaving the handler with a jump needs no signal mask. */
	struct sigaction action = {
		.sa_sigaction = foreign_on_fault,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* ---- calls ---- */

/* Tries of a bind before the call is given up. */
#define FOREIGN_TRIES	1000

/* Enters the call, binding the record if it is stale; 0 or a negative errno. */
RAW_FN int foreign_enter(const struct raw *raw, int line, const struct ffg_record_id *id,
			 uint32_t flags, struct raw_call *call)
{
	int err = -EAGAIN;

	for (int tries = 0; tries < FOREIGN_TRIES; tries++) {
		if (raw_enter(raw, line, id, call))
			return 0;
		err = raw_bind(raw, id, flags, 0);
		if (err)
			return err;
	}
	return err;
}

RAW_FN void foreign_leave(const struct raw *raw, struct raw_call *call)
{
	if (raw_leave(call))
		raw_wake(raw);
}

/*
 * Runs a statement in foreign mode, in a call that was entered: 0, or what stopped it (RAW_MAPERR
 * ...). PKRU is what the line says: the module may have bound the record anew since it was
 * entered.
 */
#define FOREIGN_IN(call, ...) ({						\
	volatile int foreign_code_ = sigsetjmp(raw_landing, 0);			\
	if (!foreign_code_) {							\
		raw_armed = 1;							\
		raw_wrpkru(__atomic_load_n(&(call)->line->fpkru, __ATOMIC_RELAXED));\
		__VA_ARGS__;							\
	}									\
	raw_wrpkru((call)->tpkru);						\
	raw_armed = 0;								\
	(int)foreign_code_;							\
})

/* A whole call around it; a negative errno if it could not be made. */
#define FOREIGN(raw, line, id, ...) ({						\
	struct raw_call foreign_call_;						\
	volatile int foreign_result_ = foreign_enter(raw, line, id, 0, &foreign_call_);\
	if (!foreign_result_) {							\
		foreign_result_ = FOREIGN_IN(&foreign_call_, __VA_ARGS__);	\
		foreign_leave(raw, &foreign_call_);				\
	}									\
	(int)foreign_result_;							\
})

/* ---- threads ---- */

RAW_FN bool foreign_pin(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	return !sched_setaffinity(0, sizeof(cpus), &cpus);
}

RAW_FN uint64_t foreign_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ULL + now.tv_nsec / 1000000;
}

RAW_FN void foreign_sleep_ms(unsigned int ms)
{
	struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

/**
 * struct spinner - a thread that spins in one call of foreign code
 * @raw: context
 * @shapes: foreign code
 * @id: record of the call
 * @target: byte that it writes all the time
 * @cpu: where; -1: anywhere
 * @stop: makes it leave the call
 * @line: index of its line
 * @inside: it is in the call
 * @code: what FOREIGN_IN() answered, or a negative errno
 * @woke: the module had asked for a wake when it left
 */
struct spinner {
	const struct raw *raw;
	const struct shapes *shapes;
	struct ffg_record_id id;
	volatile unsigned char *target;
	int cpu;
	volatile int stop;
	volatile int line;
	volatile int inside;
	volatile int code;
	volatile int woke;
	pthread_t thread;
	bool running;
};

RAW_FN void *spinner_main(void *arg)
{
	struct spinner *spinner = arg;
	struct raw_call call = { 0 };
	int line = raw_attach(spinner->raw);

	spinner->line = line;
	if (spinner->cpu >= 0)
		foreign_pin(spinner->cpu);
	spinner->code = line < 0 ? line :
			foreign_enter(spinner->raw, line, &spinner->id, FFG_BIND_WAIT, &call);
	spinner->inside = 1;
	if (spinner->code)
		return NULL;
	spinner->code = FOREIGN_IN(&call, spinner->shapes->spin(spinner->target, &spinner->stop));
	spinner->woke = raw_leave(&call);
	if (spinner->woke)
		raw_wake(spinner->raw);
	return NULL;
}

/* Returns when the thread is in its call: 0, or why it is not. */
RAW_FN int spinner_start(struct spinner *spinner)
{
	if (pthread_create(&spinner->thread, NULL, spinner_main, spinner))
		return -EAGAIN;
	spinner->running = true;
	while (!spinner->inside)
		foreign_sleep_ms(1);
	return spinner->code;
}

/* Makes it leave, and answers what it met. */
RAW_FN int spinner_stop(struct spinner *spinner)
{
	if (!spinner->running)
		return spinner->code;
	spinner->stop = 1;
	pthread_join(spinner->thread, NULL);
	spinner->running = false;
	return spinner->code;
}

#endif /* FOREIGN_CALL_H */
