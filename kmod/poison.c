// SPDX-License-Identifier: GPL-2.0-only
/* Filling slack with poison, and finding what was written over it.  Pure code. */
#include <linux/string.h>
#include <linux/types.h>

#include "poison.h"

/* Byte of the pattern at an offset: it repeats every eight bytes from the page's start. */
static u8 ffg_poison_at(size_t offset, u64 pattern)
{
	return pattern >> (offset % 8 * 8);
}

/**
 * ffg_poison_fill() - fill bytes [@from, @to) of a page
 * @page: start of the page, aligned to eight bytes
 * @from: first offset
 * @to: offset behind the last
 * @pattern: poison
 */
void ffg_poison_fill(void *page, size_t from, size_t to, u64 pattern)
{
	u8 *bytes = page;
	u64 *words = page;

	for (; from < to && from % 8; from++)
		bytes[from] = ffg_poison_at(from, pattern);
	if (from + 8 <= to) {
		size_t count = (to - from) / 8;

		memset64(&words[from / 8], pattern, count);
		from += count * 8;
	}
	for (; from < to; from++)
		bytes[from] = ffg_poison_at(from, pattern);
}

/* Are all of eight words the pattern?  They are if their AND and their OR are. */
static bool ffg_poison_block(const u64 *words, u64 pattern)
{
	u64 a = words[0], b = words[1], c = words[2], d = words[3];
	u64 e = words[4], f = words[5], g = words[6], h = words[7];

	return (a & b & c & d & e & f & g & h) == pattern &&
	       (a | b | c | d | e | f | g | h) == pattern;
}

/**
 * ffg_poison_check() - are bytes [@from, @to) of a page still poison?
 * @page: start of the page, aligned to eight bytes
 * @from: first offset
 * @to: offset behind the last
 * @pattern: poison
 * @first: out: offset of the first byte that differs
 * @last: out: offset of the last byte that differs
 *
 * User space may write to the page meanwhile; each byte is read as it is at that moment.
 *
 * Return: true if all is poison; @first and @last are left alone then.
 */
bool ffg_poison_check(const void *page, size_t from, size_t to, u64 pattern,
		      size_t *first, size_t *last)
{
	const u8 *bytes = page;
	const u64 *words = page;
	size_t at = from, end = to;

	/* Blocks first: poison is the usual case. */
	for (; at < end && at % 8; at++)
		if (bytes[at] != ffg_poison_at(at, pattern))
			break;
	for (; at % 8 == 0 && at + 64 <= end; at += 64)
		if (!ffg_poison_block(&words[at / 8], pattern))
			break;
	/* Then words, from both ends towards the difference. */
	while (at < end) {
		if (at % 8 == 0 && at + 8 <= end) {
			if (words[at / 8] == pattern) {
				at += 8;
				continue;
			}
		}
		if (bytes[at] != ffg_poison_at(at, pattern))
			break;
		at++;
	}
	if (at >= end)
		return true;
	while (end > at + 1) {
		if (end % 8 == 0 && end - 8 > at && words[end / 8 - 1] == pattern) {
			end -= 8;
			continue;
		}
		if (bytes[end - 1] != ffg_poison_at(end - 1, pattern))
			break;
		end--;
	}
	*first = at;
	*last = end - 1;
	return false;
}
