// SPDX-License-Identifier: GPL-2.0-only
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "real.h"

#define OUTPUT_MAX	(256UL << 20)
#define RECORDS_MAX	65536
#define FAILED		97

/* In memory that the child fills for its parent. */
struct real_output {
	unsigned int count;
	struct {
		char what[24];
		size_t end;		/* in bytes[] */
	} record[RECORDS_MAX];
	unsigned char bytes[OUTPUT_MAX];
};

struct real_call {
	struct real_call *next;
	char *name;
	struct ffg_call *call;
	struct real_grant grants[16];
	void *entry;
};

struct real_callback {
	struct real_callback *next;
	struct ffg_callback *callback;
};

void real_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "real: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	_exit(FAILED);
}

/* ---- calls ---- */

static bool grants_equal(const struct real_grant *a, const struct real_grant *b)
{
	for (; a->rights || b->rights; a++, b++)
		if (a->address != b->address || a->length != b->length || a->rights != b->rights)
			return false;
	return true;
}

/* Keeps a copy of the list of @grants, from its first mark to its last, without what is nothing. */
static void grants_copy(struct real_grant *to, const struct real_grant *grants, size_t max,
			bool withheld)
{
	struct real_grant *at = to;

	for (grants++; grants->rights; grants++) {
		if (!grants->address)
			continue;
		if (at == to + max - 1)
			real_fail("too many grants");
		*at++ = *grants;
	}
	if (withheld) {
		if (at == to)
			real_fail("there is no grant to withhold");
		at--;
	}
	*at = REAL_END;
}

static void call_check(struct real_call *call)
{
	int error = call ? ffg_call_error(call->call) : 0;

	if (error)
		real_fail("%s could not be called: %s", call->name, ffg_strerror(error));
}

static struct real_call *call_find(struct real *real, const char *name)
{
	struct real_call *call;

	for (call = real->calls; call; call = call->next)
		if (!strcmp(call->name, name))
			break;
	return call;
}

/* "XML_Parse 2" is another call of XML_Parse(); the caller frees. */
static char *symbol_of(const char *name)
{
	char *symbol = strndup(name, strcspn(name, " "));

	if (!symbol)
		real_fail("out of memory");
	return symbol;
}

static struct real_call *call_make(struct real *real, const char *name, void *function,
				   const char *signature)
{
	struct real_call *call = calloc(1, sizeof(*call));
	char *symbol = symbol_of(name);

	if (!call)
		real_fail("out of memory");
	call->name = strdup(name);
	call->call = function ? ffg_call_new_address(real->domain, function, signature) :
				ffg_call_new(real->domain, symbol, signature);
	free(symbol);
	if (!call->call)
		real_fail("%s: %s", name, ffg_error_message());
	call->next = real->calls;
	real->calls = call;
	return call;
}

void *real_entry_address(struct real *real, const char *name, void *function,
			 const char *signature, const struct real_grant *grants)
{
	struct real_grant list[16];
	struct real_call *call;

	if (!real->guarded)
		return function ? function : real_symbol(real, name);
	call_check(real->last);
	grants_copy(list, grants, sizeof(list) / sizeof(list[0]),
		    real->withheld && !strcmp(real->withheld, name));
	call = call_find(real, name);
	if (!call)
		call = call_make(real, name, function, signature);
	else if (!grants_equal(call->grants, list) && ffg_call_reset(call->call))
		real_fail("%s: %s", name, ffg_error_message());
	if (!call->entry || !grants_equal(call->grants, list)) {
		for (const struct real_grant *grant = list; grant->rights; grant++)
			if (ffg_call_grant(call->call, grant->address, grant->length,
					   grant->rights))
				real_fail("%s: %s", name, ffg_error_message());
		call->entry = ffg_call_entry(call->call);
		if (!call->entry)
			real_fail("%s: %s", name, ffg_error_message());
		memcpy(call->grants, list, sizeof(list));
	}
	real->last = call;
	return call->entry;
}

void *real_entry(struct real *real, const char *function, const char *signature,
		 const struct real_grant *grants)
{
	return real_entry_address(real, function, NULL, signature, grants);
}

void *real_symbol(struct real *real, const char *name)
{
	char *symbol = symbol_of(name);
	void *address = real->guarded ? ffg_domain_symbol(real->domain, symbol) :
					dlsym(real->handle, symbol);

	if (!address)
		real_fail("%s has no %s", real->library, symbol);
	free(symbol);
	return address;
}

/* ---- callbacks ---- */

void *real_callback(struct real *real, void *function, const char *signature,
		    unsigned int argument, void *data)
{
	struct real_callback *callback;

	if (!real->guarded)
		return function;
	callback = calloc(1, sizeof(*callback));
	if (!callback)
		real_fail("out of memory");
	callback->callback = ffg_callback_new(real->domain, function, signature);
	if (!callback->callback ||
	    (argument && ffg_callback_data(callback->callback, argument, data)))
		real_fail("callback: %s", ffg_error_message());
	callback->next = real->callbacks;
	real->callbacks = callback;
	return ffg_callback_entry(callback->callback);
}

void *real_data(struct real *real, void *data)
{
	return real->guarded ? NULL : data;
}

/* ---- memory ---- */

void *real_alloc(struct real *real, size_t length)
{
	void *memory = real->guarded ? ffg_object_alloc(real->context, length, FFG_OBJECT_END) :
				       calloc(1, length);

	if (!memory)
		real_fail("%zu bytes: %s", length, ffg_error_message());
	return memory;
}

void *real_copy(struct real *real, const void *from, size_t length)
{
	return memcpy(real_alloc(real, length), from, length);
}

char *real_string(struct real *real, const char *text)
{
	return real_copy(real, text, strlen(text) + 1);
}

void *real_file(struct real *real, const char *path, size_t *length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat stat;
	void *memory;

	if (fd < 0 || fstat(fd, &stat) || !stat.st_size)
		real_fail("%s: %s", path, strerror(errno));
	memory = real_alloc(real, stat.st_size);
	for (off_t done = 0; done < stat.st_size;) {
		ssize_t n = read(fd, (char *)memory + done, stat.st_size - done);

		if (n <= 0)
			real_fail("%s: %s", path, strerror(errno));
		done += n;
	}
	close(fd);
	*length = stat.st_size;
	return memory;
}

static bool lies_in(const struct real *real, const void *address, const void *memory)
{
	struct ffg_object_query query = { .size = sizeof(query) };

	return !ffg_object_query(real->context, address, &query) &&
	       query.base == (uintptr_t)memory;
}

/* It would be refused while a call has a grant of it. */
void real_free(struct real *real, void *memory)
{
	if (!real->guarded) {
		free(memory);
		return;
	}
	for (struct real_call *call = real->calls; call; call = call->next) {
		const struct real_grant *grant = call->grants;

		while (grant->rights && !lies_in(real, grant->address, memory))
			grant++;
		if (!grant->rights)
			continue;
		if (ffg_call_reset(call->call))
			real_fail("%s: %s", call->name, ffg_error_message());
		call->grants[0] = REAL_END;
		call->entry = NULL;
	}
	if (ffg_object_free(real->context, memory))
		real_fail("%s", ffg_error_message());
}

/* ---- what comes out ---- */

void real_output(struct real *real, const char *what, const void *bytes, size_t length)
{
	struct real_output *output = real->output;
	size_t end = output->count ? output->record[output->count - 1].end : 0;

	if (output->count == RECORDS_MAX || length > OUTPUT_MAX - end)
		real_fail("too much output");
	memcpy(output->bytes + end, bytes, length);
	output->record[output->count].end = end + length;
	strncpy(output->record[output->count].what, what, sizeof(output->record[0].what) - 1);
	output->count++;
}

void real_number(struct real *real, const char *what, long number)
{
	real_output(real, what, &number, sizeof(number));
}

/* ---- runs ---- */

struct run {
	struct real_output *output;
	int status;
	char text[16384];		/* error output */
};

static void open_library(struct real *real)
{
	if (real->guarded) {
		struct ffg_options options = {
			.size = sizeof(options),
			.domain_keys = real->keys,
		};

		real->context = ffg_context_open(&options);
		if (!real->context)
			real_fail("no context: %s", ffg_error_message());
		real->domain = ffg_domain_open(real->context, real->library, 0);
		if (!real->domain)
			real_fail("no domain: %s", ffg_error_message());
	} else {
		real->handle = dlopen(real->library, RTLD_NOW | RTLD_LOCAL);
		if (!real->handle)
			real_fail("%s", dlerror());
	}
}

/* Slack is checked here, of what was not freed before: context_close() tells of none. */
static void close_library(struct real *real)
{
	struct real_callback *next_callback;
	struct real_call *next;

	if (!real->guarded) {
		dlclose(real->handle);
		return;
	}
	call_check(real->last);
	for (struct real_call *call = real->calls; call; call = next) {
		next = call->next;
		if (ffg_call_free(call->call))
			real_fail("%s: %s", call->name, ffg_error_message());
		free(call->name);
		free(call);
	}
	for (struct real_callback *callback = real->callbacks; callback;
	     callback = next_callback) {
		next_callback = callback->next;
		if (ffg_callback_free(callback->callback))
			real_fail("callback: %s", ffg_error_message());
		free(callback);
	}
	if (ffg_domain_close(real->domain) || ffg_context_close(real->context))
		real_fail("closing: %s", ffg_error_message());
}

/* As it is; behind the gate; and so with a protection key of the domain's own. */
enum how { PLAIN, GUARDED, WITH_KEY };

static void run(struct run *run, const char *library, real_body body, enum how how,
		const char *withheld)
{
	struct real real = {
		.guarded = how != PLAIN,
		.keys = how == WITH_KEY,
		.library = library,
		.withheld = withheld,
	};
	struct rlimit no_core = { 0, 0 };
	int fd = memfd_create("stderr", MFD_CLOEXEC);
	ssize_t length;
	pid_t child;

	run->output = mmap(NULL, sizeof(*run->output), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fflush(NULL);
	child = fd < 0 || run->output == MAP_FAILED ? -1 : fork();
	if (child < 0)
		abort();
	if (!child) {
		alarm(REAL_SECONDS / 2);
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(fd, STDERR_FILENO);
		real.output = run->output;
		open_library(&real);
		body(&real);
		close_library(&real);
		_exit(0);
	}
	while (waitpid(child, &run->status, 0) < 0 && errno == EINTR)
		;
	length = pread(fd, run->text, sizeof(run->text) - 1, 0);
	run->text[length > 0 ? length : 0] = '\0';
	close(fd);
}

static void run_free(struct run *run)
{
	munmap(run->output, sizeof(*run->output));
	free(run);
}

static struct run *run_new(void)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		abort();
	return run;
}

static void show(const struct run *run, const char *which)
{
	char *copy = strdup(run->text), *rest = copy, *line;

	printf("# the run %s ended with status %#x; it said:\n", which, run->status);
	while (rest && (line = strsep(&rest, "\n")) && (*line || rest))
		printf("#   | %s\n", line);
	free(copy);
}

static bool ended_well(const struct run *run, const char *which)
{
	if (run->status == 0)
		return true;
	show(run, which);
	return false;
}

static bool outputs_equal(const struct real_output *a, const struct real_output *b)
{
	size_t from = 0;

	for (unsigned int n = 0; n < a->count && n < b->count; n++) {
		size_t end = a->record[n].end;

		if (end != b->record[n].end || strcmp(a->record[n].what, b->record[n].what) ||
		    memcmp(a->bytes + from, b->bytes + from, end - from)) {
			printf("# output %u differs: %s, %zu bytes; behind the gate %s, %zu\n", n,
			       a->record[n].what, end - from, b->record[n].what,
			       b->record[n].end - from);
			return false;
		}
		from = end;
	}
	if (a->count != b->count || !from) {
		printf("# %u outputs without guards, %u behind the gate, %zu bytes\n", a->count,
		       b->count, from);
		return false;
	}
	return true;
}

static bool equal_to(const struct run *plain, const char *library, real_body body, enum how how)
{
	struct run *guarded = run_new();
	bool same;

	run(guarded, library, body, how, NULL);
	same = ended_well(guarded, how == GUARDED ? "behind the gate" : "with a key");
	same = same && outputs_equal(plain->output, guarded->output);
	run_free(guarded);
	return same;
}

bool real_same(const char *library, real_body body)
{
	struct run *plain = run_new();
	bool same;

	run(plain, library, body, PLAIN, NULL);
	same = ended_well(plain, "without guards") && equal_to(plain, library, body, GUARDED) &&
	       equal_to(plain, library, body, WITH_KEY);
	run_free(plain);
	return same;
}

bool real_same_with_key(const char *library, real_body body)
{
	struct run *plain = run_new();
	bool same;

	run(plain, library, body, PLAIN, NULL);
	same = ended_well(plain, "without guards") && equal_to(plain, library, body, WITH_KEY);
	run_free(plain);
	return same;
}

static bool violates(const char *library, real_body body, const char *withheld, const char *words)
{
	struct run *guarded = run_new();
	bool stopped;

	run(guarded, library, body, GUARDED, withheld);
	stopped = WIFSIGNALED(guarded->status) && WTERMSIG(guarded->status) == SIGSEGV &&
		  strstr(guarded->text, "ffiguard: violation: ") && strstr(guarded->text, words);
	if (!stopped)
		show(guarded, "that was to be stopped");
	run_free(guarded);
	return stopped;
}

bool real_stops(const char *library, real_body body, const char *function)
{
	char *line;
	bool stopped;

	if (asprintf(&line, "\n  call:    %.*s,", (int)strcspn(function, " "), function) < 0)
		abort();
	stopped = violates(library, body, function, line);
	free(line);
	return stopped;
}

bool real_dies(const char *library, real_body body, const char *words)
{
	return violates(library, body, NULL, words);
}
