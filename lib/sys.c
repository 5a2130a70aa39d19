// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The processor and the kernel: what they lack, extended state, the device.
 */
#include <cpuid.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "internal.h"
#include "sys.h"

#define HWCAP2_FSGSBASE_BIT	(1UL << 1)

/* Bits of XCR0, XINUSE and XSTATE_BV. */
#define XSTATE_X87		(1U << 0)
#define XSTATE_SSE		(1U << 1)
#define XSTATE_AVX		(1U << 2)
#define XSTATE_OPMASK		(1U << 5)
#define XSTATE_ZMM_HI256	(1U << 6)
#define XSTATE_HI16_ZMM		(1U << 7)
#define XSTATE_PKRU		(1U << 9)
#define XSTATE_TILES		(3U << 17)

/* The legacy area, the header, and room for what x87 alone needs. */
struct xsave_area {
	uint8_t legacy[512];
	uint64_t header[8];
} __attribute__((aligned(64)));

/* struct _fpx_sw_bytes of the kernel, in the legacy area of a signal frame. */
struct frame_software {
	uint32_t magic;
	uint32_t extended_size;
	uint64_t features;
	uint32_t state_size;
};

#define FRAME_SOFTWARE		464
#define FRAME_MAGIC		0x46505853U
#define FRAME_XSTATE_BV		512

int ffg_sys_ioctl(const struct ffg_context *context, unsigned long command, void *argument)
{
	int saved = errno, error = 0;

	if (ioctl(context->fd, command, argument) < 0)
		error = errno;
	errno = saved;
	return error;
}

pid_t ffg_sys_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static uint64_t xgetbv(uint32_t index)
{
	uint32_t eax, edx;

	__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(index));
	return (uint64_t)edx << 32 | eax;
}

static bool has_xgetbv1(void)
{
	uint32_t eax, ebx, ecx, edx;

	return __get_cpuid_count(0xd, 1, &eax, &ebx, &ecx, &edx) && (eax & (1U << 2));
}

const char *ffg_sys_missing(void)
{
	uint32_t eax, ebx, ecx, edx;

	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ecx & (1U << 3)))
		return "the CPU has no protection keys (CPUID: pku)";
	if (!(ecx & (1U << 4)))
		return "the kernel does not use protection keys (CPUID: ospke; booted with nopku?)";
	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT))
		return "the kernel does not enable FSGSBASE (AT_HWCAP2; booted with nofsgsbase?)";
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE) || !(ecx & bit_AVX) ||
	    (xgetbv(0) & (XSTATE_SSE | XSTATE_AVX)) != (XSTATE_SSE | XSTATE_AVX))
		return "the CPU or the kernel has no AVX state (CPUID: avx, osxsave)";
	if ((xgetbv(0) & (XSTATE_OPMASK | XSTATE_TILES)) && !has_xgetbv1())
		return "the CPU cannot tell whether AVX-512 state is in use (CPUID: xgetbv1)";
	return NULL;
}

/*
 * Can it be seen that x87 data registers are clean?  Not under emulation, where they are always
 * reported in use, and not if FNINIT and FLDCW alone make them so: the gate runs both.
 */
static bool x87_is_tracked(void)
{
	struct xsave_area area;
	uint16_t saved, initial = 0x37f;
	uint64_t used;

	memset(&area, 0, sizeof(area));
	__asm__ volatile("fnstcw %0\n\t"
			 "xrstor64 %1\n\t"
			 "fninit\n\t"
			 "fldcw %2"
			 : "=m"(saved) : "m"(area), "m"(initial), "a"(XSTATE_X87), "d"(0));
	used = xgetbv(1);
	__asm__ volatile("fldcw %0" : : "m"(saved));
	return !(used & XSTATE_X87);
}

void ffg_sys_xstate(struct ffg_xstate *xstate)
{
	uint32_t enabled = (uint32_t)xgetbv(0);

	xstate->save = enabled & (XSTATE_X87 | XSTATE_SSE | XSTATE_AVX | XSTATE_OPMASK |
				  XSTATE_ZMM_HI256 | XSTATE_HI16_ZMM);
	xstate->scrub = 0;
	if (!has_xgetbv1())
		return;
	/* Upper halves of the first sixteen vectors are cleared by the prologues. */
	xstate->scrub = enabled & (XSTATE_OPMASK | XSTATE_HI16_ZMM | XSTATE_TILES);
	if (x87_is_tracked())
		xstate->scrub |= XSTATE_X87;
}

/* Where PKRU lies in an XSAVE area of the standard format; a constant of the processor. */
static uint32_t pkru_offset(void)
{
	static uint32_t offset;
	uint32_t eax, ebx, ecx, edx;

	if (!offset && __get_cpuid_count(0xd, 9, &eax, &ebx, &ecx, &edx))
		__atomic_store_n(&offset, ebx, __ATOMIC_RELAXED);
	return offset;
}

uint32_t *ffg_sys_frame_pkru(void *ucontext)
{
	char *state = (char *)((ucontext_t *)ucontext)->uc_mcontext.fpregs;
	struct frame_software software;
	uint32_t offset = pkru_offset();
	uint64_t present;
	uint32_t *pkru;

	if (!state || !offset)
		return NULL;
	memcpy(&software, state + FRAME_SOFTWARE, sizeof(software));
	if (software.magic != FRAME_MAGIC || !(software.features & XSTATE_PKRU) ||
	    software.state_size < offset + sizeof(*pkru))
		return NULL;
	pkru = (uint32_t *)(void *)(state + offset);
	memcpy(&present, state + FRAME_XSTATE_BV, sizeof(present));
	if (!(present & XSTATE_PKRU)) {
		/* Not written: it is 0.  Say so, or a change would not count. */
		*pkru = 0;
		present |= XSTATE_PKRU;
		memcpy(state + FRAME_XSTATE_BV, &present, sizeof(present));
	}
	return pkru;
}
