// SPDX-License-Identifier: GPL-2.0-only
/*
 * libforms: a function of every shape that the calling convention knows, and
 * functions that look at, or make a mess of, the state of the processor.
 */
#include <complex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

/* ---- values ---- */

struct pair { long a; double d; };
struct bytes3 { unsigned char c[3]; };
struct big { long w[6]; };
struct odd { unsigned char c[37]; };
struct huge { unsigned char c[8192]; };
typedef double v4d __attribute__((vector_size(32)));

void form_nothing(void)
{
}

int form_int(int a, unsigned char b, short c)
{
	return a * 3 + b - c;
}

void *form_pointer(void *p, long n)
{
	return (char *)p + n;
}

double form_many(long a, long b, long c, long d, long e, long f, double x0, double x1, double x2,
		 double x3, double x4, double x5, double x6, double x7, long s0, double s1, long s2,
		 double s3)
{
	return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + x0 + 2 * x1 + 3 * x2 + 4 * x3 + 5 * x4 +
	       6 * x5 + 7 * x6 + 8 * x7 + 9 * s0 + 10 * s1 + 11 * s2 + 12 * s3;
}

long form_odd_stack(long a, long b, long c, long d, long e, long f, long g)
{
	return a + b * 10 + c * 100 + d * 1000 + e * 10000 + f * 100000 + g * 1000000;
}

/* 20 words on the stack: more than the gate copies without a loop. */
long form_long_stack(long a, long b, long c, long d, long e, long f, long s0, long s1, long s2,
		     long s3, long s4, long s5, long s6, long s7, long s8, long s9, long s10,
		     long s11, long s12, long s13, long s14, long s15, long s16, long s17, long s18,
		     long s19, long s20)
{
	long s[] = { a, b, c, d, e, f, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13,
		     s14, s15, s16, s17, s18, s19, s20 }, sum = 0;

	for (unsigned int n = 0; n < sizeof(s) / sizeof(s[0]); n++)
		sum = sum * 3 + s[n];
	return sum;
}

float form_float(float a, double b, int c)
{
	return (float)(a * b + c);
}

long double form_ld(long double a, int b, long double c)
{
	return a * b - c;
}

/* A word, padding to 16 bytes, a long double. */
long double form_ld_padded(long a, long b, long c, long d, long e, long f, long g, long double x)
{
	return a + b + c + d + e + f + g * 100 + x;
}

long double complex form_ldc(long double re, long double im)
{
	return (re + 1) + (im - 1) * I;
}

__int128 form_i128(__int128 a, long b)
{
	return a * b + 1;
}

/* One register is left: the __int128 goes to the stack, what follows into the register. */
__int128 form_i128_split(long a, long b, long c, long d, long e, __int128 x, long f)
{
	return x + a + b + c + d + e + f * 1000;
}

struct pair form_pair(long a, double d)
{
	return (struct pair){ a + 1, d * 2 };
}

struct bytes3 form_bytes3(int a)
{
	struct bytes3 out = { { 0 } };

	for (int n = 0; n < 3; n++)
		out.c[n] = (unsigned char)(a + n);
	return out;
}

struct big form_big(long a, long b)
{
	return (struct big){ { a, b, a + b, a - b, a * b, 42 } };
}

struct odd form_odd(int seed)
{
	struct odd out;

	for (unsigned int n = 0; n < sizeof(out.c); n++)
		out.c[n] = (unsigned char)(seed + n * 7);
	return out;
}

struct huge form_huge(int seed)
{
	struct huge out;

	for (unsigned int n = 0; n < sizeof(out.c); n++)
		out.c[n] = (unsigned char)(seed ^ n);
	return out;
}

long form_by_value(struct big b, long a, struct odd o, int last)
{
	long sum = a + last;

	for (int n = 0; n < 6; n++)
		sum = sum * 5 + b.w[n];
	for (unsigned int n = 0; n < sizeof(o.c); n++)
		sum = sum * 3 + o.c[n];
	return sum;
}

struct big form_big_stack(long a, long b, long c, long d, long e, long f, long g)
{
	return (struct big){ { a, b, c, d, e + f, g } };
}

double form_variadic(int n, ...)
{
	double sum = 0;
	va_list list;

	va_start(list, n);
	while (n--)
		sum = sum * 2 + va_arg(list, double);
	va_end(list);
	return sum;
}

long form_variadic_mixed(const char *format, ...)
{
	long sum = 0;
	va_list list;

	va_start(list, format);
	for (; *format; format++)
		sum = sum * 3 + (*format == 'd' ? (long)va_arg(list, double) : va_arg(list, long));
	va_end(list);
	return sum;
}

__attribute__((target("avx"))) v4d form_v4d(v4d a, double b, v4d c)
{
	return a * c + b;
}

/* Nine 256-bit vectors: the last one is on the stack, at a multiple of 32. */
__attribute__((target("avx")))
v4d form_v4d_stack(v4d a, v4d b, v4d c, v4d d, v4d e, v4d f, v4d g, v4d h, v4d i, long n)
{
	return a + b + c + d + e + f + g + h + i * (double)n;
}

double complex form_dc(double complex a, double complex b)
{
	return a * b;
}

/* ---- the state of the processor ---- */

struct form_state {
	uint64_t general[16];		/* rax rbx rcx rdx rsi rdi rbp rsp r8 .. r15 */
	uint64_t flags;
	uint32_t mxcsr;
	uint32_t fcw;
	unsigned char vector[16][32];
};
struct form_state form_seen;

void form_look(void);
__asm__(".text\n.globl form_look\n.type form_look, @function\nform_look:\n"
	"push %rax\n"
	"mov form_seen@gotpcrel(%rip), %rax\n"
	"mov %rbx, 8(%rax); mov %rcx, 16(%rax); mov %rdx, 24(%rax); mov %rsi, 32(%rax)\n"
	"mov %rdi, 40(%rax); mov %rbp, 48(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax)\n"
	"mov %r10, 80(%rax); mov %r11, 88(%rax); mov %r12, 96(%rax); mov %r13, 104(%rax)\n"
	"mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
	"lea 8(%rsp), %rcx; mov %rcx, 56(%rax)\n"
	"pop %rcx; mov %rcx, (%rax)\n"
	"pushf; pop %rcx; mov %rcx, 128(%rax)\n"
	"stmxcsr 136(%rax); movl $0, 140(%rax); fnstcw 140(%rax)\n"
	".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
	"vmovdqu %ymm\\r, 144+32*\\r(%rax)\n"
	".endr\n"
	"xor %eax, %eax\n"
	"ret\n"
	".size form_look, . - form_look\n");

/* Every flag and control word that user code can change, and every register but one. */
int form_mess(int x);
__asm__(".text\n.globl form_mess\n.type form_mess, @function\nform_mess:\n"
	"mov $0x1f80, %eax; or $0xe040, %eax; push %rax; ldmxcsr (%rsp); pop %rax\n"
	"fninit; fldz; fldz; fldz\n"
	"push $0x0c7f; fldcw (%rsp); pop %rax\n"
	"lea 1(%rdi), %eax\n"
	"mov $-1, %rcx; mov %rcx, %rsi; mov %rcx, %rdi; mov %rcx, %r8; mov %rcx, %r9; mov %rcx, %r10\n"
	"mov %rcx, %r11; mov %rcx, %r12; mov %rcx, %r13; mov %rcx, %r14; mov %rcx, %r15; mov %rcx, %rbp\n"
	"pushf; orq $0x44400, (%rsp); popf\n"	/* DF, NT, AC */
	"ret\n"
	".size form_mess, . - form_mess\n");

uint32_t form_pkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

uint64_t form_rbx(void)
{
	uint64_t value;

	__asm__ volatile("mov %%rbx, %0" : "=r"(value));
	return value;
}

uint64_t form_rsp(void)
{
	return (uint64_t)(uintptr_t)__builtin_frame_address(0);
}

int form_raise(int signal)
{
	return raise(signal);
}

long form_call(long (*function)(void))
{
	return function() + 1;
}

/* Throws an exception that nobody knows; comes back with the reason why it was not caught. */
int form_throw(void)
{
	static struct _Unwind_Exception exception = { .exception_class = 0x464f524d53000000 };

	return _Unwind_RaiseException(&exception);
}

/* How many frames there are above. */
static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *count)
{
	(void)context;
	++*(int *)count;
	return _URC_NO_REASON;
}

int form_depth(void)
{
	int count = 0;

	_Unwind_Backtrace(count_frame, &count);
	return count;
}

/*
 * For a thread that stays inside a call: says that it is there, waits to be let go, and says in
 * @there what it returns.
 */
double form_wait(volatile int *there, volatile int *leave)
{
	unsigned int turns = 0;

	*there = 1;
	while (!*leave)
		turns++;
	*there = (int)(turns & 0x7fffffff);
	return *there;
}

unsigned char form_poke(volatile unsigned char *p, int value)
{
	if (value >= 0)
		*p = (unsigned char)value;
	return *p;
}

/* Uses up the stack. */
int form_recurse(int n)
{
	volatile char room[4096];

	room[0] = (char)n;
	return n ? form_recurse(n - 1) + room[0] : room[0];
}

/*
 * A jump to @target with chosen registers.  r11 is the function that a gate entered in its
 * middle would call: it says by its exit status that it ran.
 */
void form_leak(void);
__asm__(".text\n.globl form_leak\n.type form_leak, @function\nform_leak:\n"
	"mov $77, %edi; mov $231, %eax; syscall\n");

void form_jump(void *target, uint32_t eax, uint64_t rbx);
__asm__(".text\n.globl form_jump\n.type form_jump, @function\nform_jump:\n"
	"mov %rdi, %r10; mov %esi, %eax; mov %rdx, %rbx\n"
	"mov form_leak@gotpcrel(%rip), %r11\n"
	"xor %ecx, %ecx; xor %edx, %edx\n"
	"jmp *%r10\n"
	".size form_jump, . - form_jump\n");

/* Changes the rights of a key that is not the caller's to change. */
void form_key(uint32_t set)
{
	uint32_t pkru = form_pkru() ^ set;

	__asm__ volatile(".byte 0x0f,0x01,0xef" : : "a"(pkru), "c"(0), "d"(0) : "memory");
}
