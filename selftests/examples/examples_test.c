// SPDX-License-Identifier: GPL-2.0-only
/*
 * The programs of examples/, as a user runs them: each compares its result with an unguarded
 * one by itself.  Here: its exit status, what it says, and what it does with a file that is none.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#define PNG_FILE	"/usr/share/backgrounds/xfce/xfce-verticals.png"
#define NO_PNG_FILE	"/etc/passwd"

#define IDENTICAL	"\npixels   33177600 bytes, identical with those of the unguarded process"
#define VIOLATION	"    | ffiguard: violation: "

static char said[32768];

/* Output and error output in @said; the status of wait(). */
static int run(const char *name, const char *argument)
{
	char *path;
	int ends[2], status;
	size_t length = 0;
	ssize_t n;
	pid_t child;

	if (asprintf(&path, "%s/%s/%s", FFG_EXAMPLES_DIR, name, name) < 0 || pipe(ends))
		return -1;
	child = fork();
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		setenv("LD_LIBRARY_PATH", FFG_FOREIGN_DIR, 0);
		execl(path, path, argument, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], said + length, sizeof(said) - 1 - length)) > 0)
		length += n;
	said[length] = '\0';
	close(ends[0]);
	free(path);
	return waitpid(child, &status, 0) == child ? status : -1;
}

static int count(const char *words)
{
	int found = 0;

	for (const char *at = said; (at = strstr(at, words)); at++)
		found++;
	return found;
}

static void show(void)
{
	char *rest = said, *line;

	while ((line = strsep(&rest, "\n")) && (*line || rest))
		printf("#   | %s\n", line);
}

/* A fixture only for the longer time-outs: emulated, in a debug kernel, a decode takes its time. */
FIXTURE(example) {
};

FIXTURE_SETUP(example)
{
	said[0] = '\0';
}

FIXTURE_TEARDOWN(example)
{
}

TEST_F_TIMEOUT(example, png, 400)
{
	EXPECT_EQ(0, run("png", NULL)) {
		show();
	}
	EXPECT_EQ(1, count(IDENTICAL));
	EXPECT_EQ(3, count(": stopped\n"));
	EXPECT_EQ(1, count(VIOLATION "write out of the object's bounds\n"));
	EXPECT_EQ(1, count(VIOLATION "read of an object that the call was not granted\n"));
	EXPECT_EQ(1, count(VIOLATION "write of an object that the call was not granted\n"));
}

TEST_F_TIMEOUT(example, png_rows, 200)
{
	EXPECT_EQ(0, run("png-rows", NULL)) {
		show();
	}
	EXPECT_EQ(1, count(IDENTICAL));
}

TEST_F_TIMEOUT(example, zlib, 100)
{
	EXPECT_EQ(0, run("zlib", NULL)) {
		show();
	}
	EXPECT_EQ(1, count(" bytes, identical with gunzip's\n"));
}

TEST_F_TIMEOUT(example, readme, 100)
{
	EXPECT_EQ(0, run("readme", PNG_FILE)) {
		show();
	}
	EXPECT_EQ(1, count("3840 x 2160, first byte "));
}

/* Missing if there was no rustc: then it ends with status 127, and this fails. */
TEST_F_TIMEOUT(example, rust, 300)
{
	EXPECT_EQ(0, run("rust", NULL)) {
		show();
	}
	EXPECT_EQ(1, count("pixels   3840 x 2160, identical with those of the unguarded"));
	EXPECT_EQ(1, count("\nthreads  4 threads, 40 of 40 pictures identical\n"));
	EXPECT_EQ(1, count("trusted code caught; in a callback caught; calls afterwards work\n"));
	EXPECT_EQ(1, count("\nrecovery 20 violations survived, each time the next picture is"));
	EXPECT_EQ(4, count(" stopped, with its report\n"));
}

/* Not a PNG, not there, no word at all: an error in words, nobody dies of a signal. */
static bool refused(const char *name, const char *argument, const char *words)
{
	int status = run(name, argument);
	bool right = WIFEXITED(status) && WEXITSTATUS(status) == 1 && count(words) == 1;

	if (!right) {
		printf("# %s: status %#x\n", name, status);
		show();
	}
	return right;
}

TEST_F_TIMEOUT(example, bad_input, 100)
{
	EXPECT_TRUE(refused("png", NO_PNG_FILE, "is no PNG file"));
	EXPECT_TRUE(refused("png", "/nonexistent", "cannot open /nonexistent"));
	EXPECT_TRUE(refused("png-rows", "/nonexistent", "without guards ended with status"));
	EXPECT_TRUE(refused("zlib", "/nonexistent", "gzip cannot unpack"));
	EXPECT_TRUE(refused("zlib", NO_PNG_FILE, "gzip cannot unpack"));
	EXPECT_TRUE(refused("readme", NO_PNG_FILE, "PNG"));
	EXPECT_TRUE(refused("rust", NO_PNG_FILE, "Not a PNG file"));
	EXPECT_TRUE(refused("readme", NULL, "which file?"));
}

TEST_HARNESS_MAIN
