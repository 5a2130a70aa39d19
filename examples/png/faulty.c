// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same program with a faulty library in libpng's place: each fault in a process of its own,
 * which must die of it with a report.
 *
 * libbadpng (selftests/foreign/badpng.c) knows nothing of ffiguard.  Its variables are plain data
 * of the library: they tell it which fault to commit.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "png.h"

static const struct fault {
	char letter;			/* 0: none */
	const char *what;
	const char *report;		/* what the report must begin with */
	const char *call;		/* and the call that it must name */
} faults[] = {
	{ 0, "it has no fault", NULL, NULL },
	{ 'a', "it writes one byte past the pixels",
	  "ffiguard: violation: write out of the object's bounds\n",
	  "  call:    png_image_finish_read," },
	{ 'b', "it reads an object of the caller that it was not granted",
	  "ffiguard: violation: read of an object that the call was not granted\n",
	  "  call:    png_image_finish_read," },
	{ 'c', "it keeps the pointer to the pixels and writes through it in a later call",
	  "ffiguard: violation: write of an object that the call was not granted\n",
	  "  call:    png_image_free," },
};

static void variable_set(struct guarded *guarded, const char *name, const void *value, size_t size)
{
	void *variable = ffg_domain_symbol(guarded->library, name);

	if (!variable)
		fail_ffg(name);
	memcpy(variable, value, size);
}

static void decode(const struct fault *fault, const char *path)
{
	struct guarded guarded = { 0 };
	int letter = fault->letter;
	char *secret;

	guarded_open(&guarded, "libbadpng.so", path);
	secret = ffg_object_alloc(guarded.context, 32, FFG_OBJECT_END);
	if (!secret)
		fail_ffg("another object");
	strcpy(secret, "a key of the caller");
	variable_set(&guarded, "badpng_fault", &letter, sizeof(letter));
	variable_set(&guarded, "badpng_other", &secret, sizeof(secret));

	guarded.image->version = PNG_IMAGE_VERSION;
	if (!guarded.decoder.begin(guarded.image, guarded.file, guarded.file_length))
		fail("libbadpng cannot read the header");
	guarded_prepare(&guarded);
	if (!guarded.decoder.finish(guarded.image, NULL, guarded.pixels, 0, NULL))
		fail("libbadpng cannot read the pixels");
	guarded.decoder.free(guarded.image);
	ffg_object_free(guarded.context, secret);
	guarded_close(&guarded);
}

/* Everything that the child writes, its report included, as a string. */
static char *collect(int fd)
{
	static char text[8192];
	size_t length = 0;
	ssize_t n;

	while (length < sizeof(text) - 1 &&
	       (n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	return text;
}

static void print_indented(char *text)
{
	for (char *line; (line = strsep(&text, "\n")) && (*line || text);)
		printf("    | %s\n", line);
}

/* 1 if the fault had its way. */
static int fault_run(const struct fault *fault, const char *path)
{
	struct rlimit no_core = { 0, 0 };
	int ends[2], status;
	bool as_expected;
	pid_t child;
	char *text;

	fflush(NULL);
	if (pipe(ends))
		fail("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		fail("fork: %s", strerror(errno));
	if (!child) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		setrlimit(RLIMIT_CORE, &no_core);
		alarm(60);
		decode(fault, path);
		_exit(0);
	}
	close(ends[1]);
	text = collect(ends[0]);
	close(ends[0]);
	if (waitpid(child, &status, 0) != child)
		fail("waitpid: %s", strerror(errno));
	if (fault->letter)
		as_expected = WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV &&
			      !strncmp(text, fault->report, strlen(fault->report)) &&
			      strstr(text, fault->call);
	else
		as_expected = WIFEXITED(status) && !WEXITSTATUS(status) && !*text;
	printf("  %s: %s\n", fault->what,
	       !as_expected ? "NOT AS EXPECTED" : fault->letter ? "stopped" : "nothing to stop");
	if (!as_expected)
		printf("    status %#x\n", status);
	print_indented(text);
	printf("\n");
	return !as_expected;
}

int faulty_run(const char *path)
{
	int missed = 0;

	for (size_t n = 0; n < sizeof(faults) / sizeof(faults[0]); n++)
		missed += fault_run(&faults[n], path);
	return missed;
}
