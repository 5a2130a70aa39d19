// SPDX-License-Identifier: GPL-2.0-only
/* libprocess: a library that starts processes, as many do behind an innocent call. */
#define _GNU_SOURCE
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

/* The child ends in foreign code. */
int process_fork_exit(int status)
{
	pid_t child = fork();

	if (!child)
		_exit(status);
	return wait_for(child);
}

/* The child writes @p, then ends. */
int process_fork_write(unsigned char *p)
{
	pid_t child = fork();

	if (!child) {
		*p = 0x66;
		_exit(0);
	}
	return wait_for(child);
}

/* Returns twice, as fork() does. */
int process_fork(void)
{
	return fork();
}

int process_spawn(const char *path, const char *argument)
{
	char *const arguments[] = { (char *)path, (char *)argument, NULL };
	pid_t child;

	if (posix_spawn(&child, path, NULL, NULL, arguments, environ) != 0)
		return -1;
	return wait_for(child);
}

int process_vfork(const char *path, const char *argument)
{
	pid_t child = vfork();

	if (!child) {
		execl(path, path, argument, (char *)NULL);
		_exit(127);
	}
	return wait_for(child);
}

int process_exec(const char *path, const char *argument)
{
	return execl(path, path, argument, (char *)NULL);
}

/* Stays in the call until *stop is set. */
int process_linger(volatile unsigned char *p, volatile int *state)
{
	int rounds = 0;

	*state = 1;
	while (*state == 1) {
		*p = (unsigned char)rounds++;
		usleep(100);
	}
	return rounds > 0;
}
