/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FFG_RECORD_H
#define FFG_RECORD_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/ffiguard.h>

struct ffg_context;
struct ffg_object;

#define FFG_RECORDS_SIZE	((unsigned long)FFG_RECORDS_MAX << FFG_RECORD_SHIFT)
#define FFG_RECORDS_PER_PAGE	(PAGE_SIZE >> FFG_RECORD_SHIFT)
#define FFG_RECORD_PAGES	(FFG_RECORDS_SIZE >> PAGE_SHIFT)

/**
 * struct ffg_record_grant - one grant of a call record
 * @record: record
 * @object: object; NULL once the record is revoked
 * @handle: its handle, for reports
 * @offset: granted range
 * @length: of the object
 * @first: pages that the range touches
 * @pages: number of them
 * @rights: FFG_RIGHT_*
 * @by_object: in object->grants
 */
struct ffg_record_grant {
	struct ffg_call_record *record;
	struct ffg_object *object;
	u64 handle;
	u64 offset;
	u64 length;
	unsigned long first;
	unsigned long pages;
	u32 rights;
	struct list_head by_object;
};

/**
 * struct ffg_call_record - what the module keeps of a call record
 * @shared: what user space sees of it
 * @index: index in the record mapping
 * @serial: never reused; 0 while nobody owns the record
 * @domain: key of its domain, or 0
 * @closed: its word when it grants nothing: all keys closed but that of its domain
 * @capacity: room in @grants
 * @bound: a thread may have opened the slots of these grants
 * @revoked: the grants have ended
 * @retiring: stands in the batch that is being revoked
 * @wide: some grants are domain-wide
 * @by_open: in the context's list of records whose domain-wide grants are open
 * @opener: line of the thread that opened them; -1: it gave the line up
 * @link: among the resting records
 * @count: length of @grants
 * @grants: grants
 *
 * All of it under the arena mutex.
 */
struct ffg_call_record {
	struct ffg_record *shared;
	u32 index;
	u64 serial;
	u32 closed;
	u8 domain;
	unsigned int capacity;
	bool bound;
	bool revoked;
	bool retiring;
	bool wide;
	struct list_head by_open;
	int opener;
	struct list_head link;
	unsigned int count;
	struct ffg_record_grant grants[];
};

/**
 * struct ffg_record_page - the records of one page of the mapping
 * @shared: what user space sees
 * @record: what the module keeps; under the arena mutex
 */
struct ffg_record_page {
	struct page *shared;
	struct ffg_call_record *record[FFG_RECORDS_PER_PAGE];
};

/**
 * struct ffg_records - the call records of a context
 * @pages: by page of the mapping; an entry is set once, under the arena mutex
 * @top: records from this index on were never made
 * @resting: records without an owner, the one that has rested longest first; they keep their
 *	index, so that a new call costs no allocation
 * @rested: length of @resting
 * @serial: serial of the last record
 * @base: address of the mapping, or 0
 * @count: records alive
 */
struct ffg_records {
	struct ffg_record_page **pages;
	u32 top;
	struct list_head resting;
	unsigned int rested;
	u64 serial;
	unsigned long base;
	unsigned int count;
};

void ffg_records_init(struct ffg_context *ctx);
int ffg_records_alloc(struct ffg_context *ctx);
void ffg_records_exit(struct ffg_context *ctx);
int ffg_records_mmap(struct ffg_context *ctx, struct vm_area_struct *vma);

struct ffg_call_record *ffg_record_new(struct ffg_context *ctx, unsigned int count);
void ffg_record_publish(struct ffg_context *ctx, struct ffg_call_record *record,
			unsigned int domain, const u64 *user);
unsigned long ffg_record_address(struct ffg_context *ctx, u32 index);
void ffg_record_rest(struct ffg_context *ctx, struct ffg_call_record *record);
struct ffg_call_record *ffg_record_at(struct ffg_context *ctx, u32 index);
struct ffg_call_record *ffg_record_find(struct ffg_context *ctx, u32 index, u64 serial);
struct ffg_call_record *ffg_record_running(struct ffg_context *ctx, const struct ffg_line *line);
struct ffg_record_grant *ffg_record_grant_of(struct ffg_call_record *record, u64 handle);

#endif /* FFG_RECORD_H */
