// SPDX-License-Identifier: GPL-2.0-only
/*
 * libends: the ways in which a call ends badly, one function each, and data that they leave
 * half done.
 */
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- state ---- */

/* .data, .bss and thread-local; the constructor changes some of each. */
int ends_data[1024] = { 1, 2, 3 };
int ends_bss[100000];
static __thread int ends_tls = 5;
static __thread int ends_tls_zero;
const char *ends_name = "before";

__attribute__((constructor)) static void construct(void)
{
	ends_data[1] = 20;
	ends_bss[7] = 70;
	ends_tls = 50;
}

/* Digits of everything: tells whether anything is other than after the constructor. */
long ends_sum(void)
{
	long sum = ends_tls + 1000L * ends_tls_zero + (long)strlen(ends_name) * 1000000;

	for (int i = 0; i < 1024; i++)
		sum += (i + 1L) * ends_data[i];
	for (int i = 0; i < 100000; i++)
		sum += (i + 1L) * ends_bss[i];
	return sum;
}

void ends_spoil(void)
{
	memset(ends_data, 0x55, sizeof(ends_data));
	memset(ends_bss, 0xaa, sizeof(ends_bss));
	ends_tls = -1;
	ends_tls_zero = -1;
	ends_name = "spoiled";
}

/* ---- ends ---- */

long ends_write(unsigned char *p, long offset, int value)
{
	p[offset] = (unsigned char)value;
	return 1234;
}

long ends_read(const unsigned char *p, long offset)
{
	return p[offset];
}

/* Leaves rubbish in everything that a caller relies on, then does the access. */
void ends_wreck(unsigned char *p)
{
	unsigned int mxcsr = 0x9fc0;
	unsigned short fcw = 0x07f;

	__asm__ volatile("ldmxcsr %0\n\tfldcw %1\n\tfld1\n\tfld1\n\tstd\n\t"
			 "mov $-1, %%rbx\n\tmov $-1, %%r12\n\tmov $-1, %%r13\n\t"
			 "mov $-1, %%r14\n\tmov $-1, %%r15\n\t"
			 "movb $1, (%2)\n\tcld"
			 : : "m"(mxcsr), "m"(fcw), "r"(p)
			 : "rbx", "r12", "r13", "r14", "r15", "memory");
}

struct ends_big {
	long word[9];
};

struct ends_big ends_big(unsigned char *p)
{
	struct ends_big big = { { 1, 2, 3 } };

	p[0] = 1;
	return big;
}

long double ends_long_double(unsigned char *p)
{
	p[0] = 1;
	return 1.5L;
}

double ends_double(unsigned char *p)
{
	p[0] = 1;
	return 2.5;
}

long ends_null(void)
{
	volatile long *volatile null = NULL;

	return null[1];
}

/* Not canonical: general protection, without an address. */
long ends_wild(void)
{
	return *(volatile long *)0xdead000000000000;
}

long ends_bus(const char *path)
{
	int fd = open(path, O_RDONLY);
	volatile char *map = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE, fd, 0);

	close(fd);
	return map[(1 << 20) - 1];
}

int ends_divide(int a, int b)
{
	return a / b;
}

void ends_trap(void)
{
	__builtin_trap();
}

unsigned long ends_recurse(unsigned long depth)
{
	volatile unsigned char buffer[512];

	buffer[depth % sizeof(buffer)] = (unsigned char)depth;
	return depth ? ends_recurse(depth - 1) + buffer[depth % sizeof(buffer)] : 0;
}

/* With buffers on the stack that nobody filled. */
long ends_recurse_write(long depth, unsigned char *p)
{
	volatile unsigned char buffer[700];

	buffer[depth] = 1;
	if (!depth)
		*p = 1;
	return depth ? ends_recurse_write(depth - 1, p) + buffer[depth] : 0;
}

void ends_exit(int status)
{
	exit(status);
}

void ends_exit_now(int status)
{
	_exit(status);
}

void ends_exit_c99(int status)
{
	_Exit(status);
}

void ends_exit_quick(int status)
{
	quick_exit(status);
}

void ends_abort(void)
{
	abort();
}

void ends_assert(int value)
{
	assert(value == 42);
}

/* As a canary that was overwritten; the compiler's own check would need the bug. */
extern void __stack_chk_fail(void);
void ends_smashed(void)
{
	__stack_chk_fail();
}

/* abort() as libc's own code would: by a signal, from here without libc on the stack. */
static long system_call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

void ends_signal(int number)
{
	system_call(SYS_tgkill, system_call(SYS_getpid, 0, 0, 0), system_call(SYS_gettid, 0, 0, 0),
		    number);
}

/* ---- with libc on the stack ---- */

static unsigned char *target;

static int compare(const void *a, const void *b)
{
	target[0] = 1;
	return *(const int *)a - *(const int *)b;
}

void ends_in_qsort(unsigned char *p)
{
	int numbers[4] = { 4, 3, 2, 1 };

	target = p;
	qsort(numbers, 4, sizeof(*numbers), compare);
}

static int compare_exit(const void *a, const void *b)
{
	(void)a;
	(void)b;
	exit(3);
}

void ends_exit_in_qsort(void)
{
	int numbers[4] = { 4, 3, 2, 1 };

	qsort(numbers, 4, sizeof(*numbers), compare_exit);
}

/* Below printf(), which holds the lock of the stream. */
int ends_in_printf(const char *wild)
{
	return fprintf(stderr, "%s\n", wild);
}

static int compare_forever(const void *a, const void *b)
{
	(void)a;
	(void)b;
	for (volatile int i = 1; i;)
		;
	return 0;
}

void ends_spin_in_qsort(void)
{
	int numbers[4] = { 4, 3, 2, 1 };

	qsort(numbers, 4, sizeof(*numbers), compare_forever);
}

void ends_raise(void)
{
	raise(SIGABRT);
}

/* String functions, which hold no lock; called, not jumped to. */
long ends_string(int which, unsigned char *to, const unsigned char *from, unsigned long length)
{
	char *s = (char *)to;
	const char *t = (const char *)from;
	volatile long result = 0;

	switch (which) {
	case 0:
		result = (long)memcpy(to, from, length);
		break;
	case 1:
		result = (long)memmove(to, from, length);
		break;
	case 2:
		result = (long)memset(to, 1, length);
		break;
	case 3:
		result = (long)strlen(t);
		break;
	case 4:
		result = (long)strcpy(s, t);
		break;
	case 5:
		result = (long)strchr(t, 1);
		break;
	case 6:
		result = memcmp(s, t, length);
		break;
	case 7:
		result = (long)memchr(t, 1, length);
		break;
	}
	return result;
}

/* The same functions, called by libc. */
int ends_string_in_libc(const char *wild)
{
	char *copy = strdup(wild);

	free(copy);
	return !copy;
}

/* ---- time ---- */

void ends_spin(void)
{
	for (volatile int i = 1; i;)
		;
}

/* With the signals of budgets, whichever they are, blocked. */
void ends_spin_deaf(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	ends_spin();
}

void ends_sleep(unsigned int milliseconds)
{
	usleep(milliseconds * 1000);
}

/* Busy in its own code, all the time. */
void ends_work(unsigned int rounds)
{
	for (volatile unsigned int i = 0; i < rounds; i++)
		;
}

/* ---- jumps and threads ---- */

void ends_jump(const char *to, void *line, void *rbx)
{
	(void)line;
	__asm__ volatile("mov %1, %%rbx\n\tmov $0, %%r15d\n\tmov $1, %%eax\n\tmov $0, %%r11d\n\t"
			 "jmp *%0" : : "r"(to), "r"(rbx) : "rbx", "r15", "rax", "r11");
}

static volatile int go_on;

static void *wait_until(void *data)
{
	(void)data;
	while (!go_on)
		usleep(1000);
	return NULL;
}

static pthread_t worker;

int ends_thread_start(void)
{
	go_on = 0;
	return pthread_create(&worker, NULL, wait_until, NULL);
}

int ends_thread_end(void)
{
	go_on = 1;
	return pthread_join(worker, NULL);
}

static void *crash(void *data)
{
	*(volatile char *)data = 1;
	return NULL;
}

int ends_thread_crash(void *where)
{
	if (pthread_create(&worker, NULL, crash, where))
		return -1;
	return pthread_join(worker, NULL);
}

void ends_allocate_and_crash(unsigned long length)
{
	char *volatile memory = malloc(length);

	memory[0] = 1;
	__builtin_trap();
}

/* ---- callbacks ---- */

long ends_call(long (*function)(void *), void *data)
{
	return function(data) + 1;
}

/* Writes after the callback, which is a violation if @p was not granted. */
long ends_call_then_write(long (*function)(void *), void *data, volatile unsigned char *p)
{
	long result = function(data);

	p[0] = 1;
	return result + 1;
}

void ends_sort(void *base, unsigned long count, int (*compare)(const void *, const void *))
{
	qsort(base, count, sizeof(int), compare);
}

/* Until @flag, in memory that anybody may touch. */
void ends_wait_for(volatile int *flag)
{
	while (!*flag)
		;
}
