/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_LINE_H
#define FFG_LINE_H

#include <linux/mm_types.h>
#include <linux/sizes.h>
#include <linux/xarray.h>
#include <linux/ffiguard.h>

struct ffg_context;
struct pid;

#define FFG_LINES_SIZE		((unsigned long)FFG_LINES_MAX << FFG_LINE_SHIFT)
#define FFG_LINES_PER_PAGE	(PAGE_SIZE >> FFG_LINE_SHIFT)
#define FFG_LINE_PAGES		(FFG_LINES_SIZE >> PAGE_SHIFT)

#define FFG_LINE_HINTS		64

/**
 * struct ffg_lines - the lines of a context
 * @pages: memory of the lines, made when the first line of a page is given out; an entry is
 *	set once, under the arena mutex
 * @owner: thread of each line, or NULL
 * @by_thread: index of the line of a thread, by its global id
 * @hint: line of a thread, by the low bits of its id: may be wrong
 * @top: lines at and above this index were never given out
 * @count: lines given out
 * @base: addresses of the two mappings, by FFG_LINES_RW and FFG_LINES_RO; 0: not mapped
 *
 * All of it under the arena mutex.  What the lines say is written by their threads at any
 * time.
 */
struct ffg_lines {
	struct page **pages;
	struct pid **owner;
	struct xarray by_thread;
	u16 hint[FFG_LINE_HINTS];
	unsigned int top;
	unsigned int count;
	unsigned long base[2];
};

#define FFG_LINES_RW	0U
#define FFG_LINES_RO	1U

void ffg_lines_init(struct ffg_context *ctx);
int ffg_lines_alloc(struct ffg_context *ctx);
void ffg_lines_exit(struct ffg_context *ctx);
int ffg_lines_mmap(struct ffg_context *ctx, struct vm_area_struct *vma, unsigned int which);
int ffg_line_index(struct ffg_context *ctx);
struct ffg_line *ffg_line_current(struct ffg_context *ctx);
u32 ffg_lines_held(struct ffg_context *ctx, const struct ffg_line *own);
u32 ffg_lines_holder(struct ffg_context *ctx, u32 bit);
void ffg_lines_wake(struct ffg_context *ctx, struct ffg_line *line);
void ffg_lines_ask_wake(struct ffg_context *ctx);
bool ffg_lines_alive(struct ffg_context *ctx, unsigned int index);
int ffg_lines_running(struct ffg_context *ctx, unsigned long record, u64 serial);
bool ffg_lines_cite(struct ffg_context *ctx, unsigned long record);
void ffg_lines_barrier(struct ffg_context *ctx);
int ffg_line_attach(struct ffg_context *ctx, struct ffg_line_attach *arg);
int ffg_line_detach(struct ffg_context *ctx, struct ffg_line_detach *arg);
int ffg_line_wake(struct ffg_context *ctx, struct ffg_wake *arg);

#endif /* FFG_LINE_H */
