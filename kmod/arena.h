/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_ARENA_H
#define FFG_ARENA_H

#include <linux/bits.h>
#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/xarray.h>

struct ffg_context;
struct ffg_object;

/* One page-table page maps a chunk: the unit in which address space is taken into use. */
#define FFG_CHUNK_SHIFT		21
#define FFG_CHUNK_SIZE		BIT(FFG_CHUNK_SHIFT)

/*
 * Extents of class k are 128 KiB << k long.  An object lies in the first part of its
 * extent and at least FFG_GAP in front of the extent's end, so that two objects are
 * FFG_GAP apart: an index that is off by thousands still hits nothing.
 */
#define FFG_EXTENT_SHIFT	17
#define FFG_CLASSES		15
#define FFG_GAP			SZ_64K

#define FFG_ARENA_DEFAULT	BIT(38)	/* 256 GiB of address space */
/* Nothing lies in the first chunk: what is mapped below the arena is a gap away, too. */
#define FFG_ARENA_FIRST		FFG_CHUNK_SIZE
#define FFG_ARENA_MAX		BIT(43)

/* Freed extents that wait before they are given out again: this many of class 0. */
#define FFG_QUARANTINE		256U

/* A handle is the extent's generation above its index in units of the smallest extent. */
#define FFG_HANDLE_SHIFT	26

/**
 * struct ffg_extent - address space of one object
 * @chunk: chunk that it is part of
 * @object: who lives there, or NULL
 * @generation: how many objects lived there, the present one included
 * @base: first byte of the present or last object; 0: none yet
 * @length: its length
 * @link: in the class's free list or quarantine
 */
struct ffg_extent {
	struct ffg_chunk *chunk;
	struct ffg_object *object;
	u64 generation;
	unsigned long base;
	u64 length;
	struct list_head link;
};

/**
 * struct ffg_chunk - one or more 2 MiB units of the arena, cut into extents of one class
 * @start: offset in the arena
 * @class: class of the extents
 * @count: number of extents
 * @older: made before it, while it is being made
 * @extents: the extents
 */
struct ffg_chunk {
	unsigned long start;
	unsigned int class;
	unsigned int count;
	struct ffg_chunk *older;
	struct ffg_extent extents[];
};

/**
 * struct ffg_class - extents of one size
 * @free: extents to give out; freed ones are added and taken at random ends
 * @quarantine: freed extents, oldest first
 * @free_count: length of @free
 * @quarantine_count: length of @quarantine
 */
struct ffg_class {
	struct list_head free;
	struct list_head quarantine;
	unsigned long free_count;
	unsigned long quarantine_count;
};

/**
 * struct ffg_arena - the VMA in which objects live
 * @vma: the mapping or NULL; set and cleared under mmap_lock (write) and the arena mutex
 * @base: its first address; stays when it is unmapped
 * @size: bytes; set by hello
 * @grow: serialises growth; the only lock of @next
 * @next: offset of the first unit that is not in use
 * @chunks: chunk of each unit; entries are only added, under @grow
 * @classes: free address space; under the arena mutex
 */
struct ffg_arena {
	struct vm_area_struct *vma;
	unsigned long base;
	u64 size;
	struct mutex grow; /* taken outside of the arena mutex */
	unsigned long next;
	struct xarray chunks;
	struct ffg_class classes[FFG_CLASSES];
};

void ffg_arena_init(struct ffg_context *ctx);
void ffg_arena_exit(struct ffg_context *ctx);
void ffg_arena_free_all(struct ffg_context *ctx);
int ffg_arena_mmap(struct ffg_context *ctx, struct vm_area_struct *vma);

int ffg_arena_enter(struct ffg_context *ctx);
void ffg_arena_leave(struct ffg_context *ctx);

int ffg_arena_class(unsigned long pages);
int ffg_arena_reserve(struct ffg_context *ctx, const unsigned long need[FFG_CLASSES]);
struct ffg_extent *ffg_arena_take(struct ffg_context *ctx, unsigned int class,
				  unsigned long pages, unsigned long *start, u64 *handle);
void ffg_arena_untake(struct ffg_context *ctx, struct ffg_extent *extent);
void ffg_arena_give(struct ffg_context *ctx, struct ffg_extent *extent);
struct ffg_extent *ffg_arena_lookup(struct ffg_context *ctx, unsigned long address);
struct ffg_extent *ffg_arena_by_handle(struct ffg_context *ctx, u64 handle);

int ffg_arena_map(struct ffg_context *ctx, struct ffg_object *object,
		  unsigned long first, unsigned long count);
void ffg_arena_zap(struct ffg_context *ctx, struct ffg_object *object,
		   unsigned long first, unsigned long count);

#endif /* FFG_ARENA_H */
