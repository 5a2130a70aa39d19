/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Address space of the trusted heap: one reservation, of which ranges are given out. */
#ifndef FFG_SPACE_H
#define FFG_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

#define FFG_SPACE_TABLE_SIZE	(1UL << 20)	/* of each of the two tables below */

struct ffg_space_range {
	size_t offset, length;
};

/*
 * Lies in memory that carries SAFE, as everything that it points to.  The caller has a lock, or
 * there is one thread.
 */
struct ffg_space {
	char *base;
	size_t size;			/* of the reservation; constant */
	size_t committed;		/* readable and writable up to here */
	size_t used;			/* given out, at least once, up to here */
	int key;			/* protection key of what is committed */
	struct ffg_space_range *gaps;	/* free below used, sorted, never adjacent */
	size_t gap_count;
	void **user_table;		/* FFG_SPACE_TABLE_SIZE bytes for the heap */
};

/* Reserve address space, as much as can be had.  0 or an errno. */
int ffg_space_open(struct ffg_space *space);
/* A range, zeroed; NULL: none, errno is set. */
void *ffg_space_map(struct ffg_space *space, size_t length);
/* Give (a part of) such ranges back. */
void ffg_space_unmap(struct ffg_space *space, void *address, size_t length);
/* Let all of it carry @key.  0 or an errno. */
int ffg_space_key(struct ffg_space *space, int key);

#pragma GCC visibility pop

#endif /* FFG_SPACE_H */
