// SPDX-License-Identifier: GPL-2.0-only
/*
 * Call records: table, shared memory, life.  What is granted through them, and how their
 * words become valid and stale, is in grant.c and bind.c.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "context.h"
#include "mutant.h"
#include "pkru.h"
#include "record.h"
#include "vma.h"

/* A record rests until this many others have come to rest after it. */
#define FFG_RECORDS_REST	32

/* Room for grants that every record has, so that most records fit most calls. */
#define FFG_RECORD_GRANTS	8U

void ffg_records_init(struct ffg_context *ctx)
{
	INIT_LIST_HEAD(&ctx->records.resting);
	INIT_LIST_HEAD(&ctx->open);
}

int ffg_records_alloc(struct ffg_context *ctx)
{
	struct ffg_records *records = &ctx->records;

	if (!records->pages)
		records->pages = kvcalloc(FFG_RECORD_PAGES, sizeof(*records->pages),
					  GFP_KERNEL_ACCOUNT);
	return records->pages ? 0 : -ENOMEM;
}

void ffg_records_exit(struct ffg_context *ctx)
{
	struct ffg_records *records = &ctx->records;

	ffg_count_add(ctx, FFG_STAT_RECORDS, -(s64)records->count);
	for (u32 index = 0; index < records->top; index++)
		kvfree(ffg_record_at(ctx, index));
	for (unsigned int i = 0; records->pages && i < FFG_RECORD_PAGES && records->pages[i]; i++) {
		__free_page(records->pages[i]->shared);
		kfree(records->pages[i]);
	}
	kvfree(records->pages);
}

/**
 * ffg_record_address() - where user space sees a record
 * @ctx: context
 * @index: index of the record
 *
 * The caller holds the arena mutex.  Return: the address.
 */
unsigned long ffg_record_address(struct ffg_context *ctx, u32 index)
{
	return ctx->records.base + ((unsigned long)index << FFG_RECORD_SHIFT);
}

/**
 * ffg_record_at() - a record by its index, whoever owns it
 * @ctx: context
 * @index: less than records.top
 *
 * The caller holds the arena mutex.  Return: the record.
 */
struct ffg_call_record *ffg_record_at(struct ffg_context *ctx, u32 index)
{
	const struct ffg_record_page *page = ctx->records.pages[index / FFG_RECORDS_PER_PAGE];

	return page->record[index % FFG_RECORDS_PER_PAGE];
}

static struct ffg_record_page *ffg_record_page_new(void)
{
	struct ffg_record_page *page = kzalloc(sizeof(*page), GFP_KERNEL_ACCOUNT);

	if (!page)
		return NULL;
	page->shared = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page->shared) {
		kfree(page);
		return NULL;
	}
	return page;
}

static struct ffg_call_record *ffg_record_alloc(unsigned int count)
{
	unsigned int capacity = max(count, FFG_RECORD_GRANTS);
	struct ffg_call_record *record;

	record = kvzalloc(struct_size(record, grants, capacity), GFP_KERNEL_ACCOUNT);
	if (record) {
		record->capacity = capacity;
		INIT_LIST_HEAD(&record->link);
		INIT_LIST_HEAD(&record->by_open);
	}
	return record;
}

/*
 * A record that has rested: a thread that was in flight with its last owner must not meet
 * another, so it takes its time, and is not taken while a line cites it.
 */
static struct ffg_call_record *ffg_record_reuse(struct ffg_context *ctx)
{
	struct ffg_records *records = &ctx->records;
	struct ffg_call_record *record;

	if (records->rested <= FFG_RECORDS_REST && records->top < FFG_RECORDS_MAX)
		return NULL;
	list_for_each_entry(record, &records->resting, link) {
		if (ffg_lines_cite(ctx, ffg_record_address(ctx, record->index)))
			continue;
		list_del_init(&record->link);
		records->rested--;
		return record;
	}
	return NULL;
}

/* Give a record its place: that of @old, or one that was never used. */
static int ffg_record_place(struct ffg_context *ctx, struct ffg_call_record *record,
			    const struct ffg_call_record *old)
{
	struct ffg_records *records = &ctx->records;
	struct ffg_record_page **page, *spare = NULL;
	int err = 0;

	if (!old && records->top % FFG_RECORDS_PER_PAGE == 0) {
		spare = ffg_record_page_new();
		if (!spare)
			return -ENOMEM;
	}
	mutex_lock(&ctx->lock);
	record->index = old ? old->index : records->top;
	page = &records->pages[record->index / FFG_RECORDS_PER_PAGE];
	if (record->index == FFG_RECORDS_MAX) {
		err = -EUSERS;
		goto unlock;
	}
	if (!*page) {
		/* Another thread took the last place of the page before. */
		err = spare ? 0 : -EAGAIN;
		if (err)
			goto unlock;
		WRITE_ONCE(*page, spare);
		spare = NULL;
	}
	record->shared = (struct ffg_record *)page_address((*page)->shared) +
			 record->index % FFG_RECORDS_PER_PAGE;
	(*page)->record[record->index % FFG_RECORDS_PER_PAGE] = record;
	if (!old)
		records->top++;
unlock:
	mutex_unlock(&ctx->lock);
	if (spare) {
		__free_page(spare->shared);
		kfree(spare);
	}
	return err;
}

/* A record with room for @count grants, in the place of @old if there is one. */
static struct ffg_call_record *ffg_record_make(struct ffg_context *ctx, unsigned int count,
					       struct ffg_call_record *old)
{
	struct ffg_call_record *record = ffg_record_alloc(count);
	int err = -ENOMEM;

	while (record) {
		err = ffg_record_place(ctx, record, old);
		if (!err) {
			kvfree(old);
			return record;
		}
		if (err != -EAGAIN)
			break;
	}
	kvfree(record);
	if (old) {
		mutex_lock(&ctx->lock);
		ffg_record_rest(ctx, old);
		mutex_unlock(&ctx->lock);
	}
	return ERR_PTR(err);
}

/**
 * ffg_record_new() - a record without an owner
 * @ctx: context
 * @count: number of its grants
 *
 * Return: the record, for ffg_record_publish() or ffg_record_rest(), or an ERR_PTR().
 */
struct ffg_call_record *ffg_record_new(struct ffg_context *ctx, unsigned int count)
{
	struct ffg_call_record *record;

	mutex_lock(&ctx->lock);
	record = ffg_record_reuse(ctx);
	mutex_unlock(&ctx->lock);
	if (!record || record->capacity < count)
		record = ffg_record_make(ctx, count, record);
	if (IS_ERR(record))
		return record;
	record->bound = false;
	record->revoked = false;
	record->wide = false;
	record->count = count;
	for (unsigned int i = 0; i < count; i++)
		record->grants[i].record = record;
	return record;
}

/**
 * ffg_record_publish() - the record has an owner; it is stale
 * @ctx: context
 * @record: record
 * @domain: key of its domain, or 0
 * @user: the library's words
 *
 * The caller holds the arena mutex.
 */
void ffg_record_publish(struct ffg_context *ctx, struct ffg_call_record *record,
			unsigned int domain, const u64 *user)
{
	struct ffg_record *shared = record->shared;

	record->serial = ++ctx->records.serial;
	ctx->records.count++;
	ffg_count_add(ctx, FFG_STAT_RECORDS, 1);
	record->domain = domain;
	record->closed = ctx->pkru_all;
	if (FFG_MUTANT(DOMAIN_WORD))
		record->closed &= ~ffg_pkru_close(ctx->domains);
	if (domain)
		record->closed &= ~(ffg_pkru_ad(domain) | ffg_pkru_wd(domain));
	WRITE_ONCE(shared->word, record->closed | FFG_WORD_STALE);
	shared->index = record->index;
	memcpy(shared->user, user, sizeof(shared->user));
	WRITE_ONCE(shared->serial, record->serial);
}

/**
 * ffg_record_rest() - the record has no owner any more, or never had one
 * @ctx: context
 * @record: record without grants
 *
 * The caller holds the arena mutex.
 */
void ffg_record_rest(struct ffg_context *ctx, struct ffg_call_record *record)
{
	if (record->serial) {
		ctx->records.count--;
		ffg_count_add(ctx, FFG_STAT_RECORDS, -1);
	}
	record->serial = 0;
	record->count = 0;
	WRITE_ONCE(record->shared->serial, 0);
	list_add_tail(&record->link, &ctx->records.resting);
	ctx->records.rested++;
}

/**
 * ffg_record_find() - a record by its name
 * @ctx: context
 * @index: any number
 * @serial: any number
 *
 * The caller holds the arena mutex.  Return: the record or NULL.
 */
struct ffg_call_record *ffg_record_find(struct ffg_context *ctx, u32 index, u64 serial)
{
	struct ffg_call_record *record;

	if (index >= ctx->records.top || !serial)
		return NULL;
	record = ffg_record_at(ctx, index);
	return record->serial == serial ? record : NULL;
}

/**
 * ffg_record_running() - record of the call that a thread is in
 * @ctx: context
 * @line: line of the thread
 *
 * The caller holds the arena mutex.  Return: the record, which may be revoked, or NULL.
 */
struct ffg_call_record *ffg_record_running(struct ffg_context *ctx, const struct ffg_line *line)
{
	unsigned long offset = READ_ONCE(line->record) - ctx->records.base;
	struct ffg_call_record *record;

	if (READ_ONCE(line->tpkru) == FFG_LINE_IDLE || !ctx->records.base ||
	    offset >= FFG_RECORDS_SIZE || offset % sizeof(struct ffg_record))
		return NULL;
	if (offset >> FFG_RECORD_SHIFT >= ctx->records.top)
		return NULL;
	record = ffg_record_at(ctx, offset >> FFG_RECORD_SHIFT);
	/* Its index may have gone to another record while the thread was in the call. */
	return record->serial && record->serial == READ_ONCE(line->serial) ? record : NULL;
}

/**
 * ffg_record_grant_of() - what a record grants of an object
 * @record: record
 * @handle: handle of the object
 *
 * Return: the grant or NULL.
 */
struct ffg_record_grant *ffg_record_grant_of(struct ffg_call_record *record, u64 handle)
{
	for (unsigned int i = 0; i < record->count; i++)
		if (record->grants[i].handle == handle)
			return &record->grants[i];
	return NULL;
}

static vm_fault_t ffg_records_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct ffg_context *ctx = vma->vm_private_data;
	unsigned long index = (vmf->address - vma->vm_start) >> PAGE_SHIFT;
	struct ffg_record_page *page = READ_ONCE(ctx->records.pages[index]);

	if (!page)
		return VM_FAULT_SIGSEGV;
	return vmf_insert_pfn_prot(vma, vmf->address, page_to_pfn(page->shared),
				   ffg_vma_prot(vma, ctx->safe));
}

static void ffg_records_close(struct vm_area_struct *vma)
{
	struct ffg_context *ctx = vma->vm_private_data;

	mutex_lock(&ctx->lock);
	/* Or it is the copy that mremap() makes before it asks ffg_vma_mremap(). */
	if (ctx->records.base == vma->vm_start)
		ctx->records.base = 0;
	mutex_unlock(&ctx->lock);
}

static const struct vm_operations_struct ffg_records_vm_ops = {
	.fault		= ffg_records_fault,
	.map_pages	= ffg_vma_map_pages,
	.may_split	= ffg_vma_may_split,
	.mprotect	= ffg_vma_mprotect,
	.mremap		= ffg_vma_mremap,
	.close		= ffg_records_close,
};

/**
 * ffg_records_mmap() - map the records, read-only
 * @ctx: context
 * @vma: mapping to set up
 *
 * Return: 0, -EINVAL for wrong protection or length, -EBUSY if they are mapped.
 */
int ffg_records_mmap(struct ffg_context *ctx, struct vm_area_struct *vma)
{
	int err;

	if (vma->vm_flags & VM_WRITE)
		return -EINVAL;
	mutex_lock(&ctx->lock);
	if (ctx->records.base)
		err = -EBUSY;
	else
		err = ffg_vma_control(ctx, vma, FFG_RECORDS_SIZE, &ffg_records_vm_ops);
	if (!err)
		ctx->records.base = vma->vm_start;
	mutex_unlock(&ctx->lock);
	return err;
}
