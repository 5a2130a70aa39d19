/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counting what the processor runs, from outside: a child is single-stepped.
 */
#ifndef STEPPER_H
#define STEPPER_H

#include <stdbool.h>
#include <stdint.h>

struct steps {
	bool ended;			/* the entry returned */
	long instructions;		/* of the entry, with what it calls */
	int wrpkru;
	int rdpkru;
	int locked;			/* lock prefix, or xchg with memory */
	int system_calls;
	uint64_t wrpkru_at[4];		/* addresses, in order */
};

/*
 * Runs @body(@data) in a child, which opens its context itself and then calls step_begin()
 * and the entry.
 */
void steps_run(struct steps *steps, void (*body)(const void *), const void *data);
/* For the body: the count begins at the address of an entry, called after this. */
void step_begin(const void *entry);

#endif /* STEPPER_H */
