/* SPDX-License-Identifier: GPL-2.0-only */
/* What the examples share: errors, files, and counting from outside what a call costs. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <ffiguard.h>

/* Says why and ends the program with status 1. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* The same with what the library says about its last failure. */
void fail_ffg(const char *what) __attribute__((noreturn));
/* A whole file, in memory to be freed; ends the program if it cannot be read. */
unsigned char *file_read(const char *path, size_t *length);
/* The bytes of a file as a guarded object. */
void *file_object(struct ffg_context *context, const char *path, size_t *length);
/* Memory that a forked child fills for its parent. */
void *shared_new(size_t length);
/* Grants an object or ends the program. */
void grant(struct ffg_call *call, const void *object, size_t length, unsigned int rights);
/* One row of the table of objects; @object NULL: its headline. */
void object_show(struct ffg_context *context, const char *name, const void *object,
		 const char *rights, const char *calls);
/* How often WRPKRU stands in the code of the loaded library @name; -1: not loaded. */
int wrpkru_in(const char *name);

/*
 * Counters of the kernel, not of ffiguard: how often this thread entered it by a system call
 * and by a page fault.  What counting itself adds is taken off.
 */
struct counts {
	long entries;
	long faults;
};

void counts_begin(void);
struct counts counts_end(void);

/*
 * Single-stepping by another process.  steps_run() runs @body(@data) in a child and gives its
 * status; what the child runs from a steps_begin() to the next steps_end() is stepped, but for
 * the foreign function itself, which runs at full speed.  Counted is from the first
 * instruction of @entry to its return.
 */
struct steps {
	long instructions;		/* of the gate, both ways */
	long wrpkru;
};

int steps_run(void (*body)(void *), void *data);
void steps_begin(const void *entry, const void *function);
struct steps steps_end(void);

#endif /* EXAMPLE_H */
