// SPDX-License-Identifier: GPL-2.0-only
/* What the examples share: errors, files, objects. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "example.h"

void fail(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	va_start(arguments, format);
	fprintf(stderr, "example: ");
	vfprintf(stderr, format, arguments);
	fprintf(stderr, "\n");
	va_end(arguments);
	exit(1);
}

void fail_ffg(const char *what)
{
	fail("%s: %s", what, ffg_error_message());
}

static int file_open(const char *path, size_t *length)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &status))
		fail("cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode) || !status.st_size)
		fail("%s is empty or no file", path);
	*length = (size_t)status.st_size;
	return fd;
}

static void file_fill(int fd, const char *path, void *to, size_t length)
{
	for (size_t done = 0; done < length;) {
		ssize_t n = read(fd, (char *)to + done, length - done);

		if (n <= 0)
			fail("cannot read %s: %s", path, n ? strerror(errno) : "it got shorter");
		done += (size_t)n;
	}
	close(fd);
}

unsigned char *file_read(const char *path, size_t *length)
{
	int fd = file_open(path, length);
	unsigned char *bytes = malloc(*length);

	if (!bytes)
		fail("out of memory");
	file_fill(fd, path, bytes, *length);
	return bytes;
}

void *file_object(struct ffg_context *context, const char *path, size_t *length)
{
	int fd = file_open(path, length);
	void *object = ffg_object_alloc(context, *length, FFG_OBJECT_END);

	if (!object)
		fail_ffg(path);
	/* Trusted code uses an object like any memory, system calls included. */
	file_fill(fd, path, object, *length);
	return object;
}

void *shared_new(size_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("out of memory");
	return memory;
}

void grant(struct ffg_call *call, const void *object, size_t length, unsigned int rights)
{
	if (!call || ffg_call_grant(call, object, length, rights) != 0)
		fail_ffg("grant");
}

void object_show(struct ffg_context *context, const char *name, const void *object,
		 const char *rights, const char *calls)
{
	struct ffg_object_query query;
	char slot[16] = "none";

	if (!object) {
		printf("  %-10s %10s  %-9s  %-4s  %-10s  %s\n", "object", "bytes", "placement",
		       "slot", "rights", "granted to");
		return;
	}
	if (ffg_object_query(context, object, &query))
		fail_ffg(name);
	if (query.slot)
		snprintf(slot, sizeof(slot), "%u", query.slot);
	printf("  %-10s %10llu  %-9s  %-4s  %-10s  %s\n", name, (unsigned long long)query.length,
	       query.placement & FFG_OBJECT_START ? "start" : "end", slot, rights, calls);
}

struct search {
	const char *name;
	int found;
};

static int search_library(struct dl_phdr_info *info, size_t size, void *data)
{
	struct search *search = data;

	(void)size;
	if (!strstr(info->dlpi_name, search->name))
		return 0;
	search->found = 0;
	for (int n = 0; n < info->dlpi_phnum; n++) {
		const Elf64_Phdr *segment = &info->dlpi_phdr[n];
		const char *code = (const char *)info->dlpi_addr + segment->p_vaddr;
		const char *end = code + segment->p_memsz;

		if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
			continue;
		while ((code = memmem(code, (size_t)(end - code), "\x0f\x01\xef", 3))) {
			search->found++;
			code++;
		}
	}
	return 1;
}

int wrpkru_in(const char *name)
{
	struct search search = { name, -1 };

	dl_iterate_phdr(search_library, &search);
	return search.found;
}
