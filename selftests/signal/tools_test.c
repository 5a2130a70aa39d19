// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guarded program with handlers under gdb, under strace, and its core: what comes out is the
 * same, and the objects are in no core.  The program is this one, with an argument.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "handlers.h"

static const char secret[] = "ffiguard secret 4711 of a handler";

/* Masked, so that it is found where it was put only. */
static void masked(volatile unsigned char *to, char mask)
{
	for (size_t n = 0; n < sizeof(secret); n++)
		to[n] = secret[n] ^ mask;
}

static void dying_handler(int signal)
{
	masked(stage.theirs, 0x15);
	masked(malloc(sizeof(secret)), 0x2a);
	kill(getpid(), signal == SIGUSR1 ? SIGABRT : SIGKILL);
}

/* What is traced: handlers in guarded calls. */
static int guarded_program(const char *what)
{
	raise_fn entry;

	stage_open(NULL);
	entry = (raise_fn)stage_entry("signals_raise", "i(pi)");
	stage_handle(SIGUSR2, 0);
	for (int n = 0; n < 10; n++)
		if (entry(stage.mine, SIGUSR2) != 2)
			return 3;
	if (stage.handled != 10 || stage.failed)
		return 4;
	if (!strcmp(what, "die")) {
		signal(SIGUSR1, dying_handler);
		entry(stage.mine, SIGUSR1);
		return 5;
	}
	printf("guarded: %ld handlers\n", stage.handled);
	return 0;
}

/* Before the harness has anything to say. */
__attribute__((constructor(65535))) static void program(void)
{
	const char *what = getenv("FFG_GUARDED_PROGRAM");

	if (!what)
		return;
	unsetenv("FFG_GUARDED_PROGRAM");
	exit(guarded_program(what));
}

#include "kselftest_harness.h"

/* Runs @command with the program's name in $PROGRAM; what it says, and its status. */
static int tool(const char *command, char *said, size_t size)
{
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	FILE *pipe;
	size_t got;

	if (length < 0)
		return -1;
	self[length] = '\0';
	setenv("PROGRAM", self, 1);
	fflush(NULL);
	pipe = popen(command, "r");
	if (!pipe)
		return -1;
	got = fread(said, 1, size - 1, pipe);
	said[got] = '\0';
	return pclose(pipe);
}

#define SHOW(said) TH_LOG("it said: %.1500s", said)

TEST(strace)
{
	static char said[65536];

	if (system("command -v strace >/dev/null"))
		SKIP(return, "there is no strace");
	ASSERT_EQ(0, tool("FFG_GUARDED_PROGRAM=run strace -f -o /tmp/trace \"$PROGRAM\" 2>&1",
			  said, sizeof(said))) {
		SHOW(said);
	}
	EXPECT_NE(NULL, strstr(said, "guarded: 10 handlers"));
	ASSERT_EQ(0, tool("grep -c -e '--- SIGUSR2' /tmp/trace", said, sizeof(said)));
	EXPECT_EQ(10, atoi(said));
	/* The kernel sees each handler return. */
	ASSERT_EQ(0, tool("grep -c rt_sigreturn /tmp/trace", said, sizeof(said)));
	EXPECT_LE(10, atoi(said));
}

/* One string each. */
#define EX(command)	" -ex '" command "'"
static const char gdb_command[] =
	"FFG_GUARDED_PROGRAM=run gdb -nx -batch -iex 'set debuginfod enabled off'"
	EX("handle SIGUSR2 nostop noprint pass") EX("break stage_handler") EX("run")
	EX("backtrace") EX("delete") EX("continue") " \"$PROGRAM\" 2>&1";

TEST(gdb)
{
	static char said[65536];

	if (system("command -v gdb >/dev/null"))
		SKIP(return, "there is no gdb");
	ASSERT_EQ(0, tool(gdb_command, said, sizeof(said)));
	EXPECT_NE(NULL, strstr(said, "guarded: 10 handlers")) {
		SHOW(said);
	}
	/* From the handler through the frame of the signal and the gate to the caller. */
	EXPECT_NE(NULL, strstr(said, "signal handler called")) {
		SHOW(said);
	}
	EXPECT_NE(NULL, strstr(said, "signals_raise"));
	EXPECT_NE(NULL, strstr(said, "guarded_program"));
	EXPECT_NE(NULL, strstr(said, "exited normally"));
}

static bool contains(const char *core, size_t length, char mask)
{
	for (size_t at = 0; at + sizeof(secret) <= length; at++) {
		size_t n = 0;

		while (n < sizeof(secret) && core[at + n] == (char)(secret[n] ^ mask))
			n++;
		if (n == sizeof(secret))
			return true;
	}
	return false;
}

static char *read_all(const char *path, size_t *length)
{
	FILE *file = fopen(path, "r");
	char *all = NULL;
	long size;

	if (!file)
		return NULL;
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	rewind(file);
	if (size > 0) {
		all = malloc((size_t)size);
		*length = all ? fread(all, 1, (size_t)size, file) : 0;
	}
	fclose(file);
	return all;
}

TEST(core_of_a_process_in_a_handler)
{
	static char said[4096];
	size_t length = 0;
	char *core;
	int status;

	if (access("/proc/self/coredump_filter", F_OK))
		SKIP(return, "the kernel writes no core files (CONFIG_ELF_CORE)");
	setrlimit(RLIMIT_CORE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
	status = system("echo /tmp/ffg-signal-core >/proc/sys/kernel/core_pattern");
	EXPECT_EQ(0, status);
	status = tool("FFG_GUARDED_PROGRAM=die \"$PROGRAM\"; echo $?", said, sizeof(said));
	EXPECT_EQ(0, status);
	EXPECT_EQ(128 + SIGABRT, atoi(said)) {
		SHOW(said);
	}
	status = system("mv /tmp/ffg-signal-core* /tmp/the-core");
	core = read_all("/tmp/the-core", &length);
	ASSERT_NE(NULL, core);
	/* The control: what is no object is in it. */
	EXPECT_TRUE(contains(core, length, 0x2a));
	EXPECT_FALSE(contains(core, length, 0x15));
}

TEST_HARNESS_MAIN
