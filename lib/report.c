// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reports in words.  Everything here is async-signal-safe.
 *
 * The format is meant for people and for grep: the first line begins with "ffiguard: violation: ",
 * each further one with two spaces and a key that is there in every report:
 *
 *	ffiguard: violation: write out of the object's bounds
 *	  address: 0x7f2a40012000, the first byte past the end of the object
 *	  object:  0x7f2a40011f9c, 100 bytes
 *	  granted: bytes 0 to 99, read-write
 *	  call:    shape_write1, thread 4711
 *	  at:      0x7f2a3fc0119a shape_write1+0xa (libshapes.so+0x119a)
 *	  from:    ...		(none to four times)
 *	  advice:  ...
 *	  policy:  ...		(if the domain's could not be kept)
 *
 * What ends a call without being a violation begins with "ffiguard: crash: ", "exit: " or
 * "timeout: ".
 */
#include <signal.h>

#include "internal.h"
#include "text.h"

#define CALLERS_SHOWN	4

static const char *headline(const struct ffg_violation *v)
{
	if (v->forked && v->reason == FFG_REASON_GATE)
		return "into a guarded call of the parent process";
	if (v->forked)
		return "of an arena that is not inherited";
	switch (v->reason) {
	case FFG_REASON_NOT_GRANTED:
		return "of an object that the call was not granted";
	case FFG_REASON_RANGE:
		return "outside the granted range of an object";
	case FFG_REASON_READ_ONLY:
		return "of an object that was granted read-only";
	case FFG_REASON_BOUNDS:
		return "out of the object's bounds";
	case FFG_REASON_FREED:
		return "of a freed object";
	case FFG_REASON_REVOKED:
		return "of an object whose grant was revoked";
	case FFG_REASON_OTHER_CALL:
		return "of an object that another thread's call was granted";
	case FFG_REASON_NO_CALL:
		return "of an object outside of any guarded call";
	case FFG_REASON_CONTROL:
		return "of ffiguard's own control pages";
	case FFG_REASON_BUSY:
		return "of a granted object for which no slot could be had";
	case FFG_REASON_UNUSED:
		return "in the arena where no object is";
	case FFG_REASON_STACK:
		return "beyond the foreign stack";
	case FFG_REASON_GATE:
		return "refused by the gate";
	}
	return "that was not expected";
}

static const char *access_word(int access)
{
	switch (access) {
	case FFG_ACCESS_READ:
		return "read";
	case FFG_ACCESS_WRITE:
		return "write";
	case FFG_ACCESS_EXEC:
		return "execution";
	}
	return "access";
}

static const char *signal_word(int signal)
{
	switch (signal) {
	case SIGSEGV:
		return "SIGSEGV";
	case SIGBUS:
		return "SIGBUS";
	case SIGFPE:
		return "SIGFPE";
	case SIGILL:
		return "SIGILL";
	case SIGABRT:
		return "SIGABRT";
	}
	return "a signal";
}

/* What is no violation; true if it was that. */
static bool put_end(struct ffg_text *text, const struct ffg_violation *v)
{
	switch (v->reason) {
	case FFG_REASON_CRASH:
		ffg_text_put(text, "ffiguard: crash: ");
		ffg_text_put(text, signal_word(v->signal));
		ffg_text_put(text, " in foreign code\n");
		return true;
	case FFG_REASON_ABORT:
		ffg_text_put(text, "ffiguard: crash: foreign code aborts\n");
		return true;
	case FFG_REASON_EXIT:
		ffg_text_put(text, "ffiguard: exit: foreign code ends the process with status ");
		ffg_text_signed(text, v->status);
		ffg_text_put(text, "\n");
		return true;
	case FFG_REASON_TIMEOUT:
		ffg_text_put(text, "ffiguard: timeout: the budget of the call has run out\n");
		return true;
	}
	return false;
}

static void put_region(struct ffg_text *text, const struct ffg_region *region)
{
	ffg_text_put(text, "of closed memory: ");
	ffg_text_put(text, region->name);
	if (region->thread) {
		ffg_text_put(text, ", thread ");
		ffg_text_dec(text, region->thread);
	}
}

static void put_headline(struct ffg_text *text, const struct ffg_violation *v)
{
	if (put_end(text, v))
		return;
	ffg_text_put(text, "ffiguard: violation: ");
	if (v->reason == FFG_REASON_GATE)
		ffg_text_put(text, v->forked ? "return" : "call");
	else
		ffg_text_put(text, access_word(v->access));
	if (v->access_size) {
		ffg_text_put(text, " of ");
		ffg_text_bytes(text, v->access_size);
	}
	ffg_text_put(text, " ");
	if (v->reason == FFG_REASON_TRUSTED)
		put_region(text, &v->region);
	else
		ffg_text_put(text, headline(v));
	ffg_text_put(text, "\n");
}

/* Where @offset is as seen from an object of @length bytes. */
static void put_place(struct ffg_text *text, int64_t offset, uint64_t length)
{
	if (offset < 0) {
		ffg_text_bytes(text, -(uint64_t)offset);
		ffg_text_put(text, " before the object");
	} else if ((uint64_t)offset < length) {
		ffg_text_put(text, "byte ");
		ffg_text_dec(text, offset);
		ffg_text_put(text, " of the object");
	} else if ((uint64_t)offset == length) {
		ffg_text_put(text, "the first byte past the end of the object");
	} else {
		ffg_text_bytes(text, offset - length);
		ffg_text_put(text, " past the end of the object");
	}
}

static void put_address(struct ffg_text *text, const struct ffg_violation *v)
{
	ffg_text_put(text, "  address: ");
	ffg_text_hex(text, v->address);
	if (v->object) {
		ffg_text_put(text, ", ");
		put_place(text, v->offset, v->object_length);
	}
	switch (v->where) {
	case FFG_WHERE_SLACK:
		ffg_text_put(text, " (slack)");
		break;
	case FFG_WHERE_GUARD:
		ffg_text_put(text, " (guard page)");
		break;
	case FFG_WHERE_CONTROL:
		ffg_text_put(text, " (lines or records)");
		break;
	}
	ffg_text_put(text, "\n");
}

static void put_object(struct ffg_text *text, const struct ffg_violation *v)
{
	ffg_text_put(text, "  object:  ");
	if (!v->object) {
		ffg_text_put(text, v->where == FFG_WHERE_FREED ? "freed\n" : "none\n");
		return;
	}
	ffg_text_hex(text, v->object);
	ffg_text_put(text, ", ");
	ffg_text_bytes(text, v->object_length);
	if (v->where == FFG_WHERE_FREED)
		ffg_text_put(text, ", freed");
	ffg_text_put(text, "\n");
}

static void put_grant(struct ffg_text *text, const struct ffg_violation *v)
{
	ffg_text_put(text, "  granted: ");
	if (!v->grant_rights) {
		ffg_text_put(text, "nothing of it");
	} else {
		ffg_text_put(text, "bytes ");
		ffg_text_dec(text, v->grant_offset);
		ffg_text_put(text, " to ");
		ffg_text_dec(text, v->grant_offset + v->grant_length - 1);
		ffg_text_put(text, v->grant_rights & FFG_RIGHT_WRITE ? ", read-write" :
			     ", read-only");
	}
	if (v->owner) {
		ffg_text_put(text, "; thread ");
		ffg_text_dec(text, v->owner);
		ffg_text_put(text, " has it now");
	}
	ffg_text_put(text, "\n");
}

static void put_call(struct ffg_text *text, const struct ffg_violation *v)
{
	ffg_text_put(text, "  call:    ");
	/* A call that was made from an address has no name. */
	ffg_text_put(text, !v->function ? "none" : *v->function ? v->function : "unnamed");
	ffg_text_put(text, ", thread ");
	ffg_text_dec(text, v->thread);
	ffg_text_put(text, "\n");
}

static void put_frame(struct ffg_text *text, const char *key, const struct ffg_frame *frame)
{
	ffg_text_put(text, key);
	ffg_text_hex(text, frame->address);
	if (*frame->symbol) {
		ffg_text_put(text, " ");
		ffg_text_put(text, frame->symbol);
		ffg_text_put(text, "+");
		ffg_text_hex(text, frame->symbol_offset);
	}
	if (*frame->library) {
		ffg_text_put(text, " (");
		ffg_text_put(text, frame->library);
		ffg_text_put(text, "+");
		ffg_text_hex(text, frame->library_offset);
		ffg_text_put(text, ")");
	}
	ffg_text_put(text, "\n");
}

FFG_API void ffg_violation_print(int fd, const struct ffg_violation *v)
{
	struct ffg_text text = { .length = 0 };

	put_headline(&text, v);
	put_address(&text, v);
	put_object(&text, v);
	put_grant(&text, v);
	put_call(&text, v);
	for (unsigned int i = 0; i < v->frames && i <= CALLERS_SHOWN; i++)
		put_frame(&text, i ? "  from:    " : "  at:      ", &v->frame[i]);
	if (v->advice) {
		ffg_text_put(&text, "  advice:  ");
		ffg_text_put(&text, v->advice);
		ffg_text_put(&text, "\n");
	}
	if (v->unrecovered) {
		ffg_text_put(&text, "  policy:  recover, but ");
		ffg_text_put(&text, v->unrecovered);
		ffg_text_put(&text, "\n");
	}
	ffg_text_write(&text, fd);
}

static void put_damage(struct ffg_text *text, const struct ffg_object_name *name,
		       const struct ffg_damage *damage)
{
	struct ffg_violation v = { .where = FFG_WHERE_SLACK };

	if (name) {
		v.object = name->address;
		v.object_length = name->length;
	}
	put_object(text, &v);
	ffg_text_put(text, "  damage:  ");
	ffg_text_bytes(text, damage->length);
	ffg_text_put(text, ", ");
	if (name) {
		put_place(text, damage->offset, name->length);
	} else {
		ffg_text_put(text, "at offset ");
		ffg_text_signed(text, damage->offset);
	}
	ffg_text_put(text, "\n");
}

void ffg_violation_damage(const char *when, const char *call, const struct ffg_object_name *names,
			  unsigned int named, const struct ffg_damage *damage, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct ffg_text text = { .length = 0 };
		unsigned int at = 0;

		while (at < named && names[at].object != damage[i].object)
			at++;
		ffg_text_put(&text, "ffiguard: violation: slack of an object was overwritten\n");
		put_damage(&text, at < named ? &names[at] : NULL, &damage[i]);
		ffg_text_put(&text, "  found:   when it was ");
		ffg_text_put(&text, when);
		if (call && *call) {
			ffg_text_put(&text, ", after calls of ");
			ffg_text_put(&text, call);
		}
		ffg_text_put(&text, "\n  advice:  allocate it with ");
		ffg_text_put(&text, damage[i].offset < 0 ? "FFG_OBJECT_START" : "FFG_OBJECT_END");
		ffg_text_put(&text, " to stop such a write where it happens\n");
		ffg_text_write(&text, STDERR_FILENO);
	}
}
