/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text for signal handlers: appended to a buffer of the caller, written in one piece. */
#ifndef FFG_TEXT_H
#define FFG_TEXT_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

struct ffg_text {
	size_t length;
	char text[4096];		/* a report has about 1500 bytes; more is cut off */
};

static inline void ffg_text_put(struct ffg_text *text, const char *string)
{
	while (*string && text->length < sizeof(text->text))
		text->text[text->length++] = *string++;
}

static inline void ffg_text_number(struct ffg_text *text, uint64_t value, unsigned int base)
{
	char digits[21];
	unsigned int i = sizeof(digits) - 1;

	digits[i] = '\0';
	do {
		digits[--i] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	ffg_text_put(text, digits + i);
}

static inline void ffg_text_dec(struct ffg_text *text, uint64_t value)
{
	ffg_text_number(text, value, 10);
}

static inline void ffg_text_signed(struct ffg_text *text, int64_t value)
{
	if (value < 0)
		ffg_text_put(text, "-");
	ffg_text_number(text, value < 0 ? -(uint64_t)value : (uint64_t)value, 10);
}

static inline void ffg_text_hex(struct ffg_text *text, uint64_t value)
{
	ffg_text_put(text, "0x");
	ffg_text_number(text, value, 16);
}

/* "1 byte", "7 bytes" */
static inline void ffg_text_bytes(struct ffg_text *text, uint64_t count)
{
	ffg_text_dec(text, count);
	ffg_text_put(text, count == 1 ? " byte" : " bytes");
}

static inline void ffg_text_write(const struct ffg_text *text, int fd)
{
	size_t done = 0;

	while (done < text->length) {
		ssize_t n = write(fd, text->text + done, text->length - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		done += n;
	}
}

#endif /* FFG_TEXT_H */
