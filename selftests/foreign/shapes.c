// SPDX-License-Identifier: GPL-2.0-only
/*
 * libshapes: the shapes of memory bugs, one function each.
 *
 * Every target comes at run time, so the compiler can drop no access; a function
 * that reads returns what it read.  Nothing here is wrong by itself: whether an
 * access is in bounds is up to the caller, so each attack has its own control.
 */
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

typedef unsigned char v16 __attribute__((vector_size(16)));
typedef unsigned char v32 __attribute__((vector_size(32)));

/* ---- spatial ---- */

void shape_write1(unsigned char *p, ptrdiff_t offset, int value)
{
	p[offset] = (unsigned char)value;
}

int shape_read1(const unsigned char *p, ptrdiff_t offset)
{
	return p[offset];
}

/* Four bytes at once, at any alignment: straddles an end that is less than 4 bytes away. */
void shape_write4(unsigned char *p, ptrdiff_t offset, uint32_t value)
{
	memcpy(p + offset, &value, sizeof(value));
}

uint32_t shape_read4(const unsigned char *p, ptrdiff_t offset)
{
	uint32_t value;

	memcpy(&value, p + offset, sizeof(value));
	return value;
}

/* A vector loop that rounds the length up, as codecs like to. */
void shape_write16(unsigned char *p, ptrdiff_t offset, int value)
{
	v16 v = { 0 };

	v += (unsigned char)value;
	memcpy(p + offset, &v, sizeof(v));
}

__attribute__((target("avx"))) void shape_write32(unsigned char *p, ptrdiff_t offset, int value)
{
	v32 v = { 0 };

	v += (unsigned char)value;
	memcpy(p + offset, &v, sizeof(v));
}

/* Through libc; what is returned keeps the call from being a jump, which would leave no frame. */
int shape_fill(unsigned char *p, int value, size_t length)
{
	memset(p, value, length);
	return p[0];
}

int shape_copy(unsigned char *to, const unsigned char *from, size_t length)
{
	memmove(to, from, length);
	return to[0];
}

unsigned int shape_sum(const unsigned char *p, size_t length)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < length; i++)
		sum += p[i];
	return sum;
}

/* A two-byte field that the library's header declares as four. */
void shape_set_flag(uint32_t *flag)
{
	*flag = 0x01010101;
}

/* A parameter that is promised to be read only. */
int shape_write_const(const char *text)
{
	char *p = (char *)(uintptr_t)text;

	p[0] ^= 0x20;
	return p[0];
}

/* A string function on bytes that have no terminator. */
size_t shape_length(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

/* Two objects, of which one call may have been given only one. */
int shape_compare(const unsigned char *a, const unsigned char *b, size_t length)
{
	int difference = 0;

	for (size_t i = 0; i < length; i++)
		difference |= a[i] ^ b[i];
	return difference;
}

/* ---- temporal ---- */

static unsigned char *kept;

void shape_keep(unsigned char *p)
{
	kept = p;
}

void shape_write_kept(ptrdiff_t offset, int value)
{
	kept[offset] = (unsigned char)value;
}

int shape_read_kept(ptrdiff_t offset)
{
	return kept[offset];
}

/* ---- threads ---- */

static pthread_t thread;
static unsigned char *volatile thread_target;
static volatile int thread_go, thread_done;

static void *thread_main(void *arg)
{
	(void)arg;
	while (!thread_go)
		usleep(100);
	if (thread_target)
		*thread_target = 0x77;
	thread_done = 1;
	return NULL;
}

/* A worker that writes @p when told to. */
int shape_thread_start(unsigned char *p)
{
	thread_target = p;
	thread_go = 0;
	thread_done = 0;
	return pthread_create(&thread, NULL, thread_main, NULL);
}

int shape_thread_write(void)
{
	thread_go = 1;
	pthread_join(thread, NULL);
	return thread_done;
}

/* Writes @p over and over until *stop is set: what goes on while somebody else revokes. */
unsigned long shape_spin(volatile unsigned char *p, const volatile int *stop)
{
	unsigned long rounds = 0;

	while (!*stop) {
		*p = (unsigned char)rounds;
		rounds++;
	}
	return rounds;
}

/* Tells through *state that it runs, waits for its caller's other thread, then writes. */
void shape_rendezvous(unsigned char *p, volatile int *state, int value)
{
	*state = 1;
	while (*state == 1)
		usleep(100);
	p[0] = (unsigned char)value;
	*state = 3;
}

/* ---- stack ---- */

/* Not a tail call, and every frame is really used. */
unsigned long shape_recurse(unsigned long depth)
{
	volatile unsigned char frame[512];

	frame[depth % sizeof(frame)] = (unsigned char)depth;
	if (!depth)
		return frame[0];
	return shape_recurse(depth - 1) + frame[depth % sizeof(frame)];
}

/* ---- plain crashes, which are not violations ---- */

void shape_crash_null(volatile int *null)
{
	*null = 1;
}

void shape_crash_illegal(void)
{
	__asm__ volatile("ud2");
}

/* ---- accesses from strange places ---- */

/* Writes with a frame pointer and a stack pointer that lead nowhere. */
__attribute__((naked)) void shape_write_lost(unsigned char *p __attribute__((unused)))
{
	__asm__("push %rbp\n\t"
		"mov %rsp, %rdx\n\t"
		"mov $0x123456789abcd000, %rbp\n\t"
		"mov $0x7000, %rsp\n\t"
		"movb $1, (%rdi)\n\t"
		"mov %rdx, %rsp\n\t"
		"pop %rbp\n\t"
		"ret");
}
