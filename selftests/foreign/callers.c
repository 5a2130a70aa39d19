// SPDX-License-Identifier: GPL-2.0-only
/*
 * Foreign code that calls function pointers it was given: as it should, and as it should not.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

struct big { long w[6]; };

long call_long(long (*function)(long, void *), long a, void *data)
{
	return function(a, data) + 1;
}

double call_many(double (*function)(long, long, long, long, long, long, double, double, double,
				    double, double, double, double, double, long, double, long))
{
	return function(1, 2, 3, 4, 5, 6, .5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 7, 8.5, 8) + 1;
}

struct big call_struct(struct big (*function)(long, long), long a)
{
	struct big big = function(a, a + 1);

	big.w[5]++;
	return big;
}

/* The caller's convention by hand: the callback is to write its structure at @where. */
void call_struct_at(struct big *(*function)(struct big *, long, long), struct big *where)
{
	function(where, 1, 2);
}

long double call_long_double(long double (*function)(long double), long double a)
{
	return function(a) + 1;
}

void call_sort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	qsort(base, count, size, compare);
}

/* Calls, then writes: is what was granted open again? */
int call_then_write(long (*function)(long, void *), volatile unsigned char *p, int value)
{
	long result;

	*p = (unsigned char)(value + 1);
	result = function(7, NULL);
	*p = (unsigned char)value;
	return (int)result;
}

/* A jump within foreign code, over frames that called back. */
static jmp_buf inner;

static __attribute__((noinline, noclone)) void jump_down(long (*function)(long, void *), int depth)
{
	if (depth)
		jump_down(function, depth - 1);
	else if (function(1, NULL))
		longjmp(inner, 5);
	__asm__ volatile("");			/* a frame each */
}

int call_then_jump(long (*function)(long, void *))
{
	int code = setjmp(inner);

	if (!code)
		jump_down(function, 10);
	return code;
}

void call_longjmp(struct __jmp_buf_tag *where)
{
	longjmp(where, 3);
}

/* What a callback leaves in registers that carry no result, or'ed; and what it must keep. */
long call_registers(long (*function)(long, void *), uint64_t *left);
__asm__(".text\n.globl call_registers\n.type call_registers, @function\ncall_registers:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; push %rsi\n"
	"mov $0x1111, %ebx; mov $0x2222, %ebp; mov $0x3333, %r12d; mov $0x4444, %r13d\n"
	"mov $0x5555, %r14d; mov $0x6666, %r15d\n"
	"mov %rdi, %rax; mov $9, %edi; xor %esi, %esi\n"
	"call *%rax\n"
	"or %rsi, %rcx; or %rdi, %rcx; or %r8, %rcx; or %r9, %rcx; or %r10, %rcx; or %r11, %rcx\n"
	"vpor %xmm2, %xmm3, %xmm2; vpor %xmm4, %xmm2, %xmm2; vpor %xmm15, %xmm2, %xmm2\n"
	"vmovq %xmm2, %rdx; or %rdx, %rcx\n"
	"pop %rsi; mov %rcx, (%rsi)\n"
	"xor $0x1111, %ebx; xor $0x2222, %ebp; xor $0x3333, %r12d; xor $0x4444, %r13d\n"
	"xor $0x5555, %r14d; xor $0x6666, %r15d\n"
	"or %rbp, %rbx; or %r12, %rbx; or %r13, %rbx; or %r14, %rbx; or %r15, %rbx\n"
	"mov %rbx, 8(%rsi)\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n"
	".size call_registers, . - call_registers\n");

/* With rounding and flags changed: what does the callback see, and what is there after it? */
uint32_t call_with_state(uint32_t (*function)(long, void *), uint32_t *after)
{
	uint32_t mxcsr = 0x7f80, old, seen;
	uint16_t fcw = 0x0f7f, fcw_after;

	__asm__ volatile("stmxcsr %0" : "=m"(old));
	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m"(mxcsr), "m"(fcw));
	seen = function(0, NULL);
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(after[0]), "=m"(fcw_after));
	after[1] = fcw_after;
	__asm__ volatile("ldmxcsr %0; fninit" : : "m"(old));
	return seen;
}

/* ---- threads ---- */

void call_exit_thread(void)
{
	pthread_exit((void *)42);
}

void call_sleep(volatile int *there)
{
	*there = 1;
	for (;;)
		pause();
}

static void *thread(void *data)
{
	return (void *)((long (*)(long, void *))data)(1, NULL);
}

long call_in_thread(long (*function)(long, void *))
{
	pthread_t id;
	void *result;

	if (pthread_create(&id, NULL, thread, (void *)function))
		return -1;
	pthread_join(id, &result);
	return (long)result;
}

/* ---- wrong on purpose ---- */

static long (*kept)(long, void *);

void call_keep(long (*function)(long, void *))
{
	kept = function;
}

long call_kept(void)
{
	return kept(3, NULL);
}

/* Calls with the stack pointer elsewhere. */
void call_on_stack(void *function, void *stack);
__asm__(".text\n.globl call_on_stack\n.type call_on_stack, @function\ncall_on_stack:\n"
	"push %rbp; mov %rsp, %rbp; mov %rsi, %rsp; and $-16, %rsp\n"
	"mov %rdi, %rax; mov $1, %edi; xor %esi, %esi\n"
	"call *%rax\n"
	"mov %rbp, %rsp; pop %rbp; ret\n"
	".size call_on_stack, . - call_on_stack\n");

/*
 * Into the middle of the way of a callback, with a stack as it has there: r11 as its number. If
 * that goes through it returns as if the way had been taken from its beginning.
 */
void call_into(void *target, uint32_t eax, uint64_t rbx, uint64_t r11);
__asm__(".text\n.globl call_into\n.type call_into, @function\ncall_into:\n"
	"push %rbp; mov %rsp, %rbp\n"
	"push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"movabs $0x37f00001f80, %rax; push %rax\n"
	"mov %rcx, %r11; mov %rdi, %r10; mov %esi, %eax; mov %rdx, %rbx\n"
	"xor %r12d, %r12d; xor %ecx, %ecx; xor %edx, %edx\n"
	"jmp *%r10\n"
	".size call_into, . - call_into\n");

uint64_t call_rbx(void)
{
	uint64_t value;

	__asm__ volatile("mov %%rbx, %0" : "=r"(value));
	return value;
}

uint32_t call_pkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

void call_write(volatile unsigned char *p, int value)
{
	*p = (unsigned char)value;
}

int call_read(const volatile unsigned char *p)
{
	return *p;
}

static void *thread_five(void *data)
{
	(void)data;
	return (void *)5;
}

long call_thread(void)
{
	pthread_t id;
	void *result;

	if (pthread_create(&id, NULL, thread_five, NULL))
		return -1;
	pthread_join(id, &result);
	return (long)result;
}
