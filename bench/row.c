// SPDX-License-Identifier: GPL-2.0-only
/* The table and the JSON lines. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

static int json = -1;
static const char *kernel = "unknown";
static int *missed;		/* shared with the children */

void rows_open(const char *out)
{
	char *path;

	missed = shared_new(sizeof(*missed));
	if (getenv("FFG_KERNEL"))
		kernel = getenv("FFG_KERNEL");
	if (!out)
		return;
	if (asprintf(&path, "%s/%s.jsonl", out, kernel) < 0)
		fail("out of memory");
	json = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (json < 0)
		fail("cannot write %s: %s", path, strerror(errno));
	free(path);
}

void rows_part(const char *title)
{
	printf("\n%-33s %13s  %-32s %10s\n", title, "value", "unit", "goal");
	fflush(stdout);
}

/* Whole numbers as such, small ones with what counts. */
static const char *number(double value, char text[32])
{
	snprintf(text, 32, value < 100 && value != (long)value ? "%.3f" : "%.1f", value);
	return text;
}

void row(double value, const char *unit, double goal, const char *name, ...)
{
	char full[64], line[256], text[32];
	va_list arguments;
	int length;

	va_start(arguments, name);
	vsnprintf(full, sizeof(full), name, arguments);
	va_end(arguments);
	printf("%-33s %13s  %-32s", full, number(value, text), unit);
	if (goal >= 0) {
		printf(" %10g  %s", goal, value <= goal ? "met" : "MISSED");
		*missed += value > goal;
	}
	printf("\n");
	fflush(stdout);
	length = snprintf(line, sizeof(line),
			  "{\"name\": \"%s\", \"value\": %s, \"unit\": \"%s\", \"kernel\": \"%s\"}\n",
			  full, number(value, text), unit, kernel);
	if (json >= 0 && write(json, line, (size_t)length) != length)
		fail("cannot write: %s", strerror(errno));
}

void rows_run(void (*part)(void))
{
	int status;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		part();
		fflush(NULL);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status)
		fail("a part of the bench ended with status %#x", status);
}

int rows_close(void)
{
	if (json >= 0 && (fsync(json) || close(json)))
		fail("cannot write: %s", strerror(errno));
	return *missed;
}
