/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * jemalloc as build-aux/jemalloc-object makes it: its names begin with ffg_je_, what it asks of
 * the C library and the kernel begins with ffg_os_ and is ours (jemalloc.c), its writable data are
 * whole pages, and so is what it keeps for each thread.
 */
#ifndef FFG_JEMALLOC_H
#define FFG_JEMALLOC_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

#define FFG_PAGE		4096UL
#define FFG_JE_THREAD_SIZE	4032	/* of it jemalloc uses 2632; the object's making checks */

/* ---- jemalloc ---- */

void *ffg_je_malloc(size_t size);
void *ffg_je_calloc(size_t count, size_t size);
void *ffg_je_realloc(void *address, size_t size);
void *ffg_je_aligned_alloc(size_t align, size_t size);
void ffg_je_free(void *address);
size_t ffg_je_malloc_usable_size(const void *address);
extern const char *const ffg_je_malloc_conf;	/* its settings */

/* A page of each thread's static TLS: what jemalloc keeps for the thread, and behind it ours. */
struct ffg_je_thread {
	char jemalloc[FFG_JE_THREAD_SIZE];
	uint64_t cookie;		/* see heap.c */
	void *specific;			/* jemalloc's thread-specific datum */
	unsigned int index;		/* in the table of threads */
	unsigned int rounds;		/* of destructors at thread exit */
	char reserved[FFG_PAGE - FFG_JE_THREAD_SIZE - 24];
};
_Static_assert(sizeof(struct ffg_je_thread) == FFG_PAGE, "a page");
extern __thread struct ffg_je_thread ffg_je_thread __attribute__((tls_model("initial-exec")));

/* Its writable data, by the linker: whole pages, in which our own may lie, too. */
extern char __start_ffg_heap_data[], __stop_ffg_heap_data[];
extern char __start_ffg_heap_bss[], __stop_ffg_heap_bss[];

/* ---- what it calls, jemalloc.c ---- */

void *ffg_os_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
int ffg_os_munmap(void *address, size_t length);
int ffg_os_mprotect(void *address, size_t length, int protection);
void *ffg_os_sbrk(intptr_t increment);
int ffg_os_pthread_key_create(pthread_key_t *key, void (*destructor)(void *value));
int ffg_os_pthread_setspecific(pthread_key_t key, const void *value);
int ffg_os_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int ffg_os_atexit(void (*function)(void));
void *ffg_os_dlsym(void *handle, const char *symbol);
char *ffg_os_secure_getenv(const char *name);
ssize_t ffg_os_readlink(const char *path, char *buffer, size_t length);

/* ---- what these do, heap.c ---- */

void *ffg_heap_map(size_t length);
void ffg_heap_unmap(void *address, size_t length);

/* What jemalloc asked to be called: at thread exit and around fork(). */
struct ffg_je_hooks {
	void (*thread_exit)(void *value);
	void (*before_fork)(void);
	void (*after_fork)(void);
	void (*after_fork_child)(void);
};
extern struct ffg_je_hooks *const ffg_je_hooks;		/* in memory that carries SAFE */

#pragma GCC visibility pop

#endif /* FFG_JEMALLOC_H */
