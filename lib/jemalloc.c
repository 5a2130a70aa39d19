// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What jemalloc calls instead of the C library and the kernel.
 *
 * Its memory comes from the heap's address space.  Function pointers and values that the C
 * library would keep in ordinary memory are kept with the heap.  No setting from outside of the
 * program (environment, /etc/malloc.conf) reaches it: they are meant for the process's malloc().
 */
#include <errno.h>
#include <sys/mman.h>

#include "jemalloc.h"

const char *const ffg_je_malloc_conf =
	"dss:disabled,background_thread:false,abort_conf:true";

void *ffg_os_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	void *map;

	(void)protection;
	(void)fd;
	(void)offset;
	if (flags & MAP_FIXED) {
		/* Commit or decommit of what it has: zeroed, and never without its key. */
		return madvise(address, length, MADV_DONTNEED) ? MAP_FAILED : address;
	}
	map = ffg_heap_map(length);
	return map ? map : MAP_FAILED;
}

int ffg_os_munmap(void *address, size_t length)
{
	ffg_heap_unmap(address, length);
	return 0;
}

int ffg_os_mprotect(void *address, size_t length, int protection)
{
	(void)address;
	(void)length;
	(void)protection;
	errno = ENOTSUP;
	return -1;
}

void *ffg_os_sbrk(intptr_t increment)
{
	(void)increment;
	errno = ENOMEM;
	return (void *)-1;
}

/* There is one key, the heap's own: its destructor calls this one. */
int ffg_os_pthread_key_create(pthread_key_t *key, void (*destructor)(void *value))
{
	*key = 0;
	ffg_je_hooks->thread_exit = destructor;
	return 0;
}

int ffg_os_pthread_setspecific(pthread_key_t key, const void *value)
{
	(void)key;
	ffg_je_thread.specific = (void *)(uintptr_t)value;
	return 0;
}

int ffg_os_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	ffg_je_hooks->before_fork = prepare;
	ffg_je_hooks->after_fork = parent;
	ffg_je_hooks->after_fork_child = child;
	return 0;
}

/* Statistics at exit, which nobody can ask for. */
int ffg_os_atexit(void (*function)(void))
{
	(void)function;
	return 0;
}

/* It looks for pthread_create(), for background threads, which are off. */
void *ffg_os_dlsym(void *handle, const char *symbol)
{
	(void)handle;
	(void)symbol;
	return NULL;
}

char *ffg_os_secure_getenv(const char *name)
{
	(void)name;
	return NULL;
}

ssize_t ffg_os_readlink(const char *path, char *buffer, size_t length)
{
	(void)path;
	(void)buffer;
	(void)length;
	errno = ENOENT;
	return -1;
}
