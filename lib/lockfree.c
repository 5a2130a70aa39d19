// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Functions that cannot hold a lock: memcpy(), strlen() and their like.
 *
 * One that calls nothing, enters no kernel and has no locked instruction that could acquire
 * something is given up like foreign code.  That is found in its bytes, at every offset, as
 * instructions are not decoded: what looks like such an instruction counts as one, so the answer
 * may be no without need.  (XCHG is not looked for: its bytes are too common.  Libc locks with
 * CMPXCHG, and has a call for the case that it must wait.)  Where a function begins and ends the
 * unwinder's table says; a lock that a caller took would be a caller's frame, which recover.c
 * looks for.
 */
#include <dlfcn.h>
#include <string.h>

#include "lockfree.h"

#define LENGTH_MAX	65536

/* .eh_frame_hdr as all linkers write it: offsets from its beginning, sorted. */
struct unwind_table {
	uint8_t version;
	uint8_t pointer_encoding;
	uint8_t count_encoding;
	uint8_t table_encoding;
	int32_t pointer;
	uint32_t count;
	struct {
		int32_t function;
		int32_t entry;
	} entries[];
};

#define VERSION		1
#define UDATA4		0x03
#define DATAREL_SDATA4	0x3b

/* Bytes from the beginning of the function at @ip to that of the next; false: not known. */
static bool function_at(uintptr_t ip, const uint8_t **begin, size_t *length)
{
	struct dl_find_object object;
	const struct unwind_table *table;
	uintptr_t base, low = 0, high;

	if (_dl_find_object((void *)ip, &object) != 0 || !object.dlfo_eh_frame)
		return false;
	table = object.dlfo_eh_frame;
	base = (uintptr_t)table;
	if (table->version != VERSION || table->count_encoding != UDATA4 ||
	    table->table_encoding != DATAREL_SDATA4 || table->count < 2)
		return false;
	high = table->count - 1;		/* the last function has no end */
	if (ip < base + table->entries[0].function || ip >= base + table->entries[high].function)
		return false;
	while (high - low > 1) {
		uintptr_t middle = (low + high) / 2;

		if (base + table->entries[middle].function <= ip)
			low = middle;
		else
			high = middle;
	}
	*begin = (const uint8_t *)(base + table->entries[low].function);
	*length = (size_t)(table->entries[high].function - table->entries[low].function);
	return *length <= LENGTH_MAX;
}

/* Does what is at @code look like an instruction that calls? */
static bool is_call(const uint8_t *code, uintptr_t text, uintptr_t text_end)
{
	int32_t distance;

	if (code[0] == 0xff && (code[1] & 0x38) == 0x10)
		return true;
	if (code[0] != 0xe8)
		return false;
	memcpy(&distance, code + 1, sizeof(distance));
	return (uintptr_t)code + 5 + distance - text < text_end - text;
}

/* LOCK INC, DEC, CMPXCHG, XADD, BTS, BTR, CMPXCHG8B or 16B, with or without a REX prefix */
static bool is_locked(const uint8_t *code)
{
	if (code[0] != 0xf0)
		return false;
	code++;
	if ((code[0] & 0xf0) == 0x40)
		code++;
	if ((code[0] & 0xfe) == 0xfe && (code[1] & 0x30) == 0)
		return true;
	if (code[0] != 0x0f)
		return false;
	switch (code[1]) {
	case 0xab:
	case 0xb0:
	case 0xb1:
	case 0xb3:
	case 0xba:
	case 0xc0:
	case 0xc1:
	case 0xc7:
		return true;
	}
	return false;
}

static bool is_system_call(const uint8_t *code)
{
	return (code[0] == 0x0f && (code[1] == 0x05 || code[1] == 0x34)) ||
	       (code[0] == 0xcd && code[1] == 0x80);
}

bool ffg_lockfree_at(uintptr_t ip, uintptr_t text, uintptr_t text_end)
{
	const uint8_t *code;
	size_t length;

	if (!function_at(ip, &code, &length) || (uintptr_t)code < text ||
	    (uintptr_t)code + length + 8 > text_end)
		return false;
	for (size_t at = 0; at < length; at++)
		if (is_call(code + at, text, text_end) || is_locked(code + at) ||
		    is_system_call(code + at))
			return false;
	return true;
}
