// SPDX-License-Identifier: GPL-2.0-only
/*
 * Call records: table, shared memory, life.  What is granted through them, and how their
 * words become valid and stale, is in grant.c and bind.c.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "context.h"
#include "record.h"
#include "vma.h"

void ffg_records_init(struct ffg_context *ctx)
{
	xa_init_flags(&ctx->records.table, XA_FLAGS_ALLOC);
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
	struct ffg_call_record *record;
	unsigned long index;

	xa_for_each(&records->table, index, record)
		kvfree(record);
	xa_destroy(&records->table);
	for (unsigned int i = 0; records->pages && i < FFG_RECORD_PAGES; i++)
		if (records->pages[i])
			__free_page(records->pages[i]);
	kvfree(records->pages);
}

static unsigned long ffg_record_address(struct ffg_context *ctx, u32 index)
{
	return ctx->records.base + ((unsigned long)index << FFG_RECORD_SHIFT);
}

/* Find a free index, and memory for what is shared. */
static int ffg_record_index(struct ffg_context *ctx, struct ffg_call_record *record)
{
	const struct xa_limit limit = XA_LIMIT(0, FFG_RECORDS_MAX - 1);
	struct ffg_records *records = &ctx->records;
	struct page *spare, **page;
	bool cited = false;
	int err;

	do {
		/* Cyclic, so that an index rests before it is used again. */
		err = xa_alloc_cyclic(&records->table, &record->index, NULL, limit, &records->next,
				      GFP_KERNEL_ACCOUNT);
		if (err < 0)
			return err == -EBUSY ? -EUSERS : err;
		/* A thread in flight with the record's last owner must not meet another. */
		mutex_lock(&ctx->lock);
		cited = ffg_lines_cite(ctx, ffg_record_address(ctx, record->index));
		mutex_unlock(&ctx->lock);
		if (cited)
			xa_release(&records->table, record->index);
	} while (cited);

	page = &records->pages[record->index / FFG_RECORDS_PER_PAGE];
	if (!READ_ONCE(*page)) {
		spare = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!spare) {
			xa_release(&records->table, record->index);
			return -ENOMEM;
		}
		mutex_lock(&ctx->lock);
		if (!*page) {
			WRITE_ONCE(*page, spare);
			spare = NULL;
		}
		mutex_unlock(&ctx->lock);
		if (spare)
			__free_page(spare);
	}
	record->shared = (struct ffg_record *)page_address(*page) +
			 record->index % FFG_RECORDS_PER_PAGE;
	return 0;
}

/**
 * ffg_record_new() - a record that nobody sees yet
 * @ctx: context
 * @count: number of its grants
 *
 * Return: the record, for ffg_record_publish() or ffg_record_cancel(), or an ERR_PTR().
 */
struct ffg_call_record *ffg_record_new(struct ffg_context *ctx, unsigned int count)
{
	struct ffg_call_record *record;
	int err;

	record = kvzalloc(struct_size(record, grants, count), GFP_KERNEL_ACCOUNT);
	if (!record)
		return ERR_PTR(-ENOMEM);
	record->count = count;
	for (unsigned int i = 0; i < count; i++) {
		record->grants[i].record = record;
		INIT_LIST_HEAD(&record->grants[i].by_object);
	}
	err = ffg_record_index(ctx, record);
	if (err) {
		kvfree(record);
		return ERR_PTR(err);
	}
	return record;
}

/**
 * ffg_record_cancel() - undo ffg_record_new()
 * @ctx: context
 * @record: record
 */
void ffg_record_cancel(struct ffg_context *ctx, struct ffg_call_record *record)
{
	xa_release(&ctx->records.table, record->index);
	kvfree(record);
}

/**
 * ffg_record_publish() - the record comes to life, stale
 * @ctx: context
 * @record: record
 * @user: the library's words
 *
 * The caller holds the arena mutex.
 */
void ffg_record_publish(struct ffg_context *ctx, struct ffg_call_record *record, const u64 *user)
{
	struct ffg_record *shared = record->shared;

	record->serial = ++ctx->records.serial;
	ctx->records.count++;
	WRITE_ONCE(shared->word, ctx->pkru_all | FFG_WORD_STALE);
	shared->index = record->index;
	memcpy(shared->user, user, sizeof(shared->user));
	WRITE_ONCE(shared->serial, record->serial);
	/* The index is reserved: nothing is allocated. */
	xa_store(&ctx->records.table, record->index, record, GFP_NOWAIT);
}

/**
 * ffg_record_remove() - the record is gone; its index is free
 * @ctx: context
 * @record: record without grants; the caller frees it
 *
 * The caller holds the arena mutex.
 */
void ffg_record_remove(struct ffg_context *ctx, struct ffg_call_record *record)
{
	WRITE_ONCE(record->shared->serial, 0);
	xa_erase(&ctx->records.table, record->index);
	ctx->records.count--;
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
	struct ffg_call_record *record = xa_load(&ctx->records.table, index);

	return record && record->serial == serial ? record : NULL;
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

	if (READ_ONCE(line->tpkru) == FFG_LINE_IDLE || !ctx->records.base ||
	    offset >= FFG_RECORDS_SIZE || offset % sizeof(struct ffg_record))
		return NULL;
	return xa_load(&ctx->records.table, offset >> FFG_RECORD_SHIFT);
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
	struct page *page = READ_ONCE(ctx->records.pages[index]);

	if (!page)
		return VM_FAULT_SIGSEGV;
	return vmf_insert_pfn_prot(vma, vmf->address, page_to_pfn(page),
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
