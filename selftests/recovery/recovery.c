// SPDX-License-Identifier: GPL-2.0-only
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "recovery.h"

void recovery_open_options(struct recovery *r, unsigned int policy,
			   const struct ffg_options *options)
{
	r->context = ffg_context_open(options);
	if (!r->context)
		scene_fail("no context: %s", ffg_error_message());
	r->domain = ffg_domain_open(r->context, scene_path("ends"), policy);
	if (!r->domain)
		scene_fail("no domain: %s", ffg_error_message());
}

void recovery_open(struct recovery *r, unsigned int policy)
{
	recovery_open_options(r, policy, NULL);
}

void recovery_attach(const struct recovery *r)
{
	if (ffg_thread_attach(r->context))
		scene_fail("no line: %s", ffg_error_message());
}

void *recovery_object(const struct recovery *r, size_t length)
{
	void *object = ffg_object_alloc(r->context, length, FFG_OBJECT_END);

	if (!object)
		scene_fail("no object: %s", ffg_error_message());
	return object;
}

struct ffg_call *recovery_call(const struct recovery *r, const char *symbol,
			       const char *signature)
{
	struct ffg_call *call = ffg_call_new(r->domain, symbol, signature);

	if (!call)
		scene_fail("no call of %s: %s", symbol, ffg_error_message());
	return call;
}

/* Of the mappings of the device the read-only shared one that is smallest are the lines' alias. */
unsigned char *recovery_line(const struct recovery *r)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long first, end;
	char line[512], rights[8];
	unsigned long found = 0;

	(void)r;
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s", &first, &end, rights) == 3 &&
		    strstr(line, "/dev/ffiguard") && !strcmp(rights, "r--s") &&
		    (!found || end - first <= 1 << 19))
			found = first;
	if (maps)
		fclose(maps);
	if (!found)
		scene_fail("the lines are not to be found");
	return (unsigned char *)found;
}

/* and $..., %ebx; add ...(%rip), %rbx; mov 24(%rbx), %rsp: the line, and its stack pointer. */
static int find_landing(struct dl_phdr_info *info, size_t size, void *data)
{
	static const int code[] = { 0x81, 0xe3, -1, -1, -1, -1, 0x48, 0x03, 0x1d, -1, -1, -1, -1,
				    0x48, 0x8b, 0x63, 0x18 };
	const unsigned char **found = data;

	(void)size;
	if (!strstr(info->dlpi_name, "libffiguard"))
		return 0;
	for (unsigned int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		const unsigned char *text = (const void *)(info->dlpi_addr + part->p_vaddr);

		if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
			continue;
		for (size_t at = 0; at + 17 <= part->p_memsz; at++) {
			int n = 0;

			while (n < 17 && (code[n] < 0 || text[at + n] == code[n]))
				n++;
			if (n == 17)
				*found = text + at;
		}
	}
	return 1;
}

const void *recovery_landing(void)
{
	const unsigned char *found = NULL;

	dl_iterate_phdr(find_landing, &found);
	if (!found)
		scene_fail("the landing is not to be found");
	return found;
}

unsigned int recovery_pkru(void)
{
	unsigned int eax, edx;

	__asm__ volatile("rdpkru" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

/* Sets the callee-saved registers, calls, and adds up what is different; rbp: the stack pointer. */
__asm__("	.text\n"
	"recovery_kept_path:\n"
	"	push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n"
	"	sub $8, %rsp\n"
	"	mov %rdi, %rax; mov %rsi, %rdi\n"
	"	mov $0x1111, %ebx; mov $0x2222, %r12d; mov $0x3333, %r13d\n"
	"	mov $0x4444, %r14d; mov $0x5555, %r15d; mov %rsp, %rbp\n"
	"	call *%rax\n"
	"	xor $0x1111, %rbx; xor $0x2222, %r12; xor $0x3333, %r13\n"
	"	xor $0x4444, %r14; xor $0x5555, %r15; xor %rsp, %rbp\n"
	"	mov %rbx, %rax; or %r12, %rax; or %r13, %rax\n"
	"	or %r14, %rax; or %r15, %rax; or %rbp, %rax\n"
	"	add $8, %rsp\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n"
	"	ret\n");

extern unsigned long recovery_kept_path(void (*function)(unsigned char *), unsigned char *argument);

unsigned long recovery_kept(void (*function)(unsigned char *), unsigned char *argument)
{
	return recovery_kept_path(function, argument);
}

int recovery_x87_free(void)
{
	unsigned int environment[7];
	int count = 0;

	__asm__ volatile("fnstenv %0\n\tfldenv %0" : "+m"(environment));
	for (unsigned int tags = environment[2] & 0xffff, i = 0; i < 8; i++, tags >>= 2)
		count += (tags & 3) == 3;
	return count;
}
