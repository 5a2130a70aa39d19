// SPDX-License-Identifier: GPL-2.0-only
/* libsignals: foreign code to be interrupted, and jumps into the entry of signal handlers. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Writes its object again and again; says how often it was not as it had left it. */
long signals_work(volatile unsigned char *p, long rounds)
{
	long wrong = 0;

	for (long n = 0; n < rounds; n++) {
		*p = (unsigned char)n;
		for (int spin = 0; spin < 20; spin++)
			wrong += *p != (unsigned char)n;
	}
	return wrong;
}

/* A frame full of numbers below which others may put theirs. */
long signals_frame(int signal)
{
	volatile unsigned char frame[4096];
	long wrong = 0;

	for (unsigned int n = 0; n < sizeof(frame); n++)
		frame[n] = (unsigned char)(n * 7);
	raise(signal);
	for (unsigned int n = 0; n < sizeof(frame); n++)
		wrong += frame[n] != (unsigned char)(n * 7);
	return wrong;
}

/* Overwrites a good part of the stack below its caller, with a large result on top. */
struct large { unsigned char bytes[2000]; };
struct large signals_overwrite(int value)
{
	volatile unsigned char room[16384];
	struct large result;

	memset((void *)room, value, sizeof(room));
	memset(&result, room[77], sizeof(result));
	return result;
}

/* A memory return of many numbers. */
struct structure { long w[32]; };
struct structure signals_structure(int seed)
{
	struct structure result;

	for (int n = 0; n < 32; n++)
		result.w[n] = seed * 1000 + n;
	return result;
}

/* Raises, and is still allowed to write its object afterwards? */
int signals_raise(volatile unsigned char *p, int signal)
{
	*p = 1;
	raise(signal);
	*p = 2;
	return *p;
}

/* What it may reach after the handler of @signal. */
uint32_t signals_rights(int signal)
{
	uint32_t eax, edx;

	raise(signal);
	__asm__ volatile(".byte 0x0f,0x01,0xee" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

/* Raises, then looks at something it was not granted. */
int signals_then_read(volatile unsigned char *p, int signal)
{
	raise(signal);
	return *p;
}

/* Turns until a handler changes rax; what the handler put there. */
long signals_turn(volatile int *turning);
__asm__(".text\n.globl signals_turn\n.type signals_turn, @function\nsignals_turn:\n"
	"movl $1, (%rdi); xor %eax, %eax\n"
	"1: pause; test %rax, %rax; jz 1b\n"
	"ret\n"
	".size signals_turn, . - signals_turn\n");

/* The same on a stack of its own making, as libraries with fibers have it. */
static unsigned char fiber[65536] __attribute__((aligned(64)));
int signals_on_a_fiber(int signal)
{
	long result;
	register long sp __asm__("r12");

	__asm__ volatile("mov %%rsp, %1\n\t"
			 "mov %2, %%rsp\n\t"
			 "call raise@plt\n\t"
			 "mov %1, %%rsp"
			 : "=a"(result), "=&r"(sp) : "r"(fiber + sizeof(fiber)), "D"(signal)
			 : "memory", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11");
	return (int)result;
}

/* ---- attacks ---- */

void signals_leak(void);
__asm__(".text\n.globl signals_leak\n.type signals_leak, @function\nsignals_leak:\n"
	"mov $77, %edi; mov $231, %eax; syscall\n");

/* A jump to @target with chosen values, and a stack pointer that leads to @frame. */
struct signals_jump {
	uint64_t target, rax, rbx, rdi, rsp;
};
void signals_jump(const struct signals_jump *jump);
__asm__(".text\n.globl signals_jump\n.type signals_jump, @function\nsignals_jump:\n"
	"mov (%rdi), %r11; mov 8(%rdi), %rax; mov 16(%rdi), %rbx\n"
	"mov 32(%rdi), %rdx; test %rdx, %rdx; cmovnz %rdx, %rsp; mov 24(%rdi), %rdi\n"
	"lea 312(%rsp), %rsi; lea 8(%rsp), %r9; xor %ecx, %ecx; xor %edx, %edx\n"
	"jmp *%r11\n"
	".size signals_jump, . - signals_jump\n");

/*
 * As the kernel makes it, but for what the attacker wants: everything open, and to go on in
 * signals_leak().
 */
static unsigned char forged[16384] __attribute__((aligned(64)));

struct signals_forge {
	struct signals_jump jump;
	uint64_t restorer, pkru_at, xstate_size, rip, rsp;
	int on_stack;			/* the foreign stack, not static memory */
};

static void put64(unsigned char *at, uint64_t value)
{
	memcpy(at, &value, 8);
}

void signals_forge(const struct signals_forge *forge)
{
	unsigned char local[16384] __attribute__((aligned(64)));
	unsigned char *frame = (forge->on_stack ? local : forged) + 4096 - 8, *state = frame + 584;
	struct signals_jump jump = forge->jump;
	uint32_t word;

	memset(forge->on_stack ? local : forged, 0, sizeof(forged));
	state = (unsigned char *)(((uintptr_t)frame + 440 + 63) & ~63UL);
	put64(frame, forge->restorer);
	put64(frame + 8, 7);
	put64(frame + 168, forge->rsp ? forge->rsp : (uintptr_t)frame + 8192);
	put64(frame + 176, forge->rip ? forge->rip : (uintptr_t)signals_leak);
	put64(frame + 184, 0x202);
	put64(frame + 192, 0x2b000000000033UL);
	put64(frame + 232, (uintptr_t)state);
	put64(state + 24, 0x1f80);
	word = 0x46505853;
	memcpy(state + 464, &word, 4);
	word = (uint32_t)forge->xstate_size + 4;
	memcpy(state + 468, &word, 4);
	put64(state + 472, 0x2ff & 0x207);
	memcpy(state + 480, &forge->xstate_size, 4);
	put64(state + 512, 1 << 9);
	word = 0;
	memcpy(state + forge->pkru_at, &word, 4);
	word = 0x46505845;
	memcpy(state + forge->xstate_size, &word, 4);
	jump.rsp = (uintptr_t)frame;
	signals_jump(&jump);
}
