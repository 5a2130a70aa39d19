// SPDX-License-Identifier: GPL-2.0-only
/* Running something that is expected to die, and what it said. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "death.h"

#define DEATH_SECONDS	60

/* Reads until all writers are gone, or for DEATH_SECONDS: a grandchild may keep the pipe. */
static void collect(struct death *death, int fd)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	time_t end = time(NULL) + DEATH_SECONDS;
	size_t length = 0;
	ssize_t n;

	while (length < sizeof(death->text) - 1 && time(NULL) < end) {
		if (poll(&poller, 1, 1000) <= 0)
			continue;
		n = read(fd, death->text + length, sizeof(death->text) - 1 - length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		length += n;
	}
	death->text[length] = '\0';
}

void death_run(struct death *death, void (*body)(const void *), const void *data)
{
	int pipes[2];
	pid_t child;

	memset(death, 0, sizeof(*death));
	fflush(NULL);
	if (pipe(pipes) != 0)
		abort();
	child = fork();
	if (child < 0)
		abort();
	if (!child) {
		struct rlimit no_core = { 0, 0 };

		/* A child that hangs is a failure that says so: killed by SIGALRM. */
		alarm(DEATH_SECONDS);
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[0]);
		close(pipes[1]);
		body(data);
		_exit(0);
	}
	close(pipes[1]);
	collect(death, pipes[0]);
	close(pipes[0]);
	while (waitpid(child, &death->status, 0) < 0 && errno == EINTR)
		;
}

bool death_by(const struct death *death, int signal)
{
	return WIFSIGNALED(death->status) && WTERMSIG(death->status) == signal;
}

bool death_exit(const struct death *death, int status)
{
	if (WIFEXITED(death->status) && WEXITSTATUS(death->status) == status)
		return true;
	death_show(death);
	return false;
}

bool death_said(const struct death *death, const char *words)
{
	return strstr(death->text, words);
}

void death_show(const struct death *death)
{
	char *copy = strdup(death->text), *rest = copy, *line;

	if (WIFSIGNALED(death->status))
		printf("# died of signal %d (%s); it said:\n", WTERMSIG(death->status),
		       strsignal(WTERMSIG(death->status)));
	else
		printf("# ended with status %d; it said:\n", WEXITSTATUS(death->status));
	while (rest && (line = strsep(&rest, "\n")) && (*line || rest))
		printf("#   | %s\n", line);
	free(copy);
}

void scene_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "scene: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	_exit(SCENE_FAILED);
}

const char *scene_path(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/lib%s.so", FFG_FOREIGN_DIR, name) < 0)
		abort();
	return path;
}

struct scene scene_open(const char *name, const struct ffg_options *options)
{
	struct scene scene = { .context = ffg_context_open(options) };

	if (!scene.context)
		scene_fail("no context: %s", ffg_error_message());
	if (name) {
		scene.domain = ffg_domain_open(scene.context, scene_path(name), 0);
		if (!scene.domain)
			scene_fail("no domain: %s", ffg_error_message());
	}
	return scene;
}

struct ffg_call *scene_call(const struct scene *scene, const char *symbol, const char *signature)
{
	struct ffg_call *call = ffg_call_new(scene->domain, symbol, signature);

	if (!call)
		scene_fail("no call of %s: %s", symbol, ffg_error_message());
	return call;
}

void *scene_entry(const struct scene *scene, const char *symbol, const char *signature,
		  void *object, size_t length, unsigned int rights)
{
	struct ffg_call *call = scene_call(scene, symbol, signature);

	if (object && ffg_call_grant(call, object, length, rights) != 0)
		scene_fail("no grant for %s: %s", symbol, ffg_error_message());
	return ffg_call_entry(call);
}

void *scene_object(const struct scene *scene, size_t length, unsigned int flags)
{
	void *object = ffg_object_alloc(scene->context, length, flags);

	if (!object)
		scene_fail("no object: %s", ffg_error_message());
	return object;
}
