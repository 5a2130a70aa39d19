// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Errors: a code and a sentence for each thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static __thread int last_code;
static __thread char last_message[320];

static const char *const text[FFG_E_COUNT_] = {
	[FFG_OK] = "no error",
	[FFG_E_INVAL] = "an argument is out of its range",
	[FFG_E_NOMEM] = "out of memory",
	[FFG_E_NO_DEVICE] = "/dev/ffiguard is missing: load the module (modprobe ffiguard)",
	[FFG_E_PERM] = "/dev/ffiguard may not be opened: permission denied",
	[FFG_E_NO_PKU] = "the CPU or the kernel lacks a feature that is needed",
	[FFG_E_NO_KEYS] = "too few protection keys are free in this process",
	[FFG_E_KEY_LOST] = "a protection key of the context was freed by other code",
	[FFG_E_VERSION] = "module and library speak different API levels: update one of them",
	[FFG_E_ACTIVE] = "the process has a context already",
	[FFG_E_FORKED] = "the context belongs to the parent process: open one in the child",
	[FFG_E_LIMIT] = "a budget or a table is full",
	[FFG_E_BUSY] = "in use: a grant, a slot or a call is in the way",
	[FFG_E_NOT_OBJECT] = "the address is no byte of a living object",
	[FFG_E_RANGE] = "the range goes beyond the object",
	[FFG_E_DUPLICATE] = "the object is granted to the call already",
	[FFG_E_CONTEXT] = "object, domain or call of another context",
	[FFG_E_NO_LIBRARY] = "the library cannot be loaded",
	[FFG_E_NO_SYMBOL] = "the library has no such symbol",
	[FFG_E_SIGNATURE] = "the signature cannot be parsed or passed",
	[FFG_E_UNATTACHED] = "the thread did not attach: call ffg_thread_attach() in it first",
	[FFG_E_ATTACHED] = "the thread is attached already",
	[FFG_E_NESTED] = "a guarded call inside a guarded call of the same thread",
	[FFG_E_REVOKED] = "the grants were revoked, or the call was reset and not prepared again",
	[FFG_E_DAMAGED] = "slack of an object was overwritten",
	[FFG_E_SYSTEM] = "the kernel refused: see errno",
	[FFG_E_VIOLATION] = "a violation ended the call: see ffg_call_report()",
	[FFG_E_CRASHED] = "foreign code crashed or aborted, which ended the call",
	[FFG_E_EXITED] = "foreign code wanted to end the process, which ended the call",
	[FFG_E_TIMEOUT] = "the call ran longer than its budget and was ended",
};

const char *ffg_strerror(int error)
{
	if (error < 0 || error >= FFG_E_COUNT_ || !text[error])
		return "unknown error code";
	return text[error];
}

int ffg_error(void)
{
	return last_code;
}

const char *ffg_error_message(void)
{
	return last_code && !last_message[0] ? ffg_strerror(last_code) : last_message;
}

void ffg_fail_fixed(int code)
{
	last_code = code;
	last_message[0] = '\0';		/* the text of the code says it */
}

int ffg_fail(int code, const char *format, ...)
{
	int saved = errno;
	va_list list;

	last_code = code;
	va_start(list, format);
	vsnprintf(last_message, sizeof(last_message), format, list);
	va_end(list);
	errno = saved;
	return code;
}

static int code_of(int error)
{
	switch (error) {
	case ENOMEM:
		return FFG_E_NOMEM;
	case EDQUOT:
	case EUSERS:
	case ENOSPC:
	case EMFILE:
	case ENFILE:
		return FFG_E_LIMIT;
	case EBUSY:
	case EDEADLK:
		return FFG_E_BUSY;
	case EINVAL:
	case EFBIG:
		return FFG_E_INVAL;
	case EXDEV:
		return FFG_E_FORKED;
	case EKEYREVOKED:
		return FFG_E_KEY_LOST;
	case EPERM:
	case EACCES:
		return FFG_E_PERM;
	case ENOENT:
		return FFG_E_NOT_OBJECT;
	case ERANGE:
		return FFG_E_RANGE;
	case EEXIST:
		return FFG_E_DUPLICATE;
	case EPROTO:
	case EOPNOTSUPP:
	case ENOTTY:
		return FFG_E_VERSION;
	default:
		return FFG_E_SYSTEM;
	}
}

int ffg_fail_errno(int error, const char *format, ...)
{
	char what[160];
	va_list list;
	int code = code_of(error);

	va_start(list, format);
	vsnprintf(what, sizeof(what), format, list);
	va_end(list);
	errno = error;
	if (code == FFG_E_SYSTEM)
		ffg_fail(code, "%s: %s", what, strerror(error));
	else
		ffg_fail(code, "%s: %s (%s)", what, ffg_strerror(code), strerror(error));
	errno = error;
	return code;
}
