// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arena: address space for objects.
 *
 * Extents, quarantine and random placement; PTEs of objects.  Each PTE carries the
 * protection key of what it maps: a slot's if the page is bound, else SAFE.  What the VMA
 * itself says (key 0) only matters for faults on absent pages, which the kernel checks
 * against the VMA's key.
 */
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "arena.h"
#include "compat/mm.h"
#include "context.h"
#include "frame.h"
#include "mutant.h"
#include "object.h"
#include "pkru.h"
#include "trace.h"
#include "vma.h"

void ffg_arena_init(struct ffg_context *ctx)
{
	struct ffg_arena *arena = &ctx->arena;

	mutex_init(&arena->grow);
	xa_init(&arena->chunks);
	arena->next = FFG_ARENA_FIRST;
	for (int i = 0; i < FFG_CLASSES; i++) {
		INIT_LIST_HEAD(&arena->classes[i].free);
		INIT_LIST_HEAD(&arena->classes[i].quarantine);
	}
}

/**
 * ffg_arena_enter() - take the locks under which PTEs of the arena may change
 * @ctx: context
 *
 * mmap_lock (read), then the arena mutex.  munmap() takes the VMA out of the mm before it
 * goes on with mmap_lock downgraded to read, and frees page tables then: a VMA that the mm
 * does not know any more must not be touched.  A caller that is alone is not in munmap().
 *
 * Return: 0; -EINTR, -ENODATA before the arena is mapped, or -ESHUTDOWN, with no lock held.
 */
int ffg_arena_enter(struct ffg_context *ctx)
{
	struct ffg_arena *arena = &ctx->arena;
	int err = 0;

	if (mmap_read_lock_killable(ctx->mm))
		return -EINTR;
	mutex_lock(&ctx->lock);
	if (ctx->dead)
		err = -ESHUTDOWN;
	else if (!arena->vma)
		err = -ENODATA;
	else if (!ffg_context_alone(ctx) && vma_lookup(ctx->mm, arena->base) != arena->vma)
		err = -ESHUTDOWN;
	if (err)
		ffg_arena_leave(ctx);
	return err;
}

/**
 * ffg_arena_leave() - drop the locks of ffg_arena_enter()
 * @ctx: context
 */
void ffg_arena_leave(struct ffg_context *ctx)
{
	mutex_unlock(&ctx->lock);
	mmap_read_unlock(ctx->mm);
}

/* Page-table pages that the arena is charged for. */
static unsigned long ffg_arena_tables(const struct ffg_arena *arena)
{
	return (arena->next - FFG_ARENA_FIRST) >> FFG_CHUNK_SHIFT;
}

static unsigned int ffg_class_shift(unsigned int class)
{
	return FFG_EXTENT_SHIFT + class;
}

/* Units of 2 MiB in a chunk of a class: one, or as many as one extent has. */
static unsigned long ffg_chunk_units(unsigned int class)
{
	return max(FFG_CHUNK_SIZE, BIT(ffg_class_shift(class))) >> FFG_CHUNK_SHIFT;
}

/**
 * ffg_arena_class() - class of extents for an object
 * @pages: its pages
 *
 * Return: the class or -EFBIG.
 */
int ffg_arena_class(unsigned long pages)
{
	for (int class = 0; class < FFG_CLASSES; class++)
		/* A guard page on both sides, and the gap. */
		if ((pages + 2) * PAGE_SIZE + FFG_GAP <= 1UL << ffg_class_shift(class))
			return class;
	return -EFBIG;
}

static void ffg_chunk_free(struct ffg_context *ctx, struct ffg_chunk *chunk)
{
	unsigned long first = chunk->start >> FFG_CHUNK_SHIFT;
	unsigned long units = ffg_chunk_units(chunk->class);

	for (unsigned long unit = first; unit < first + units; unit++)
		xa_erase(&ctx->arena.chunks, unit);
	ffg_uncharge(ctx, FFG_TABLES, units);
	kvfree(chunk);
}

/* One more chunk at the end of what is in use; nobody sees its extents yet. */
static struct ffg_chunk *ffg_chunk_new(struct ffg_context *ctx, unsigned int class)
{
	struct ffg_arena *arena = &ctx->arena;
	unsigned long units = ffg_chunk_units(class);
	unsigned long size = units << FFG_CHUNK_SHIFT;
	unsigned int count = size >> ffg_class_shift(class);
	struct ffg_chunk *chunk;
	int err;

	if (size > arena->size - arena->next)
		return ERR_PTR(-ENOSPC);
	err = ffg_charge(ctx, FFG_TABLES, units);
	if (err)
		return ERR_PTR(err);
	chunk = kvzalloc(struct_size(chunk, extents, count), GFP_KERNEL_ACCOUNT);
	if (!chunk) {
		ffg_uncharge(ctx, FFG_TABLES, units);
		return ERR_PTR(-ENOMEM);
	}
	chunk->start = arena->next;
	chunk->class = class;
	chunk->count = count;
	for (unsigned long unit = 0; unit < units; unit++) {
		err = xa_err(xa_store(&arena->chunks, (arena->next >> FFG_CHUNK_SHIFT) + unit,
				      chunk, GFP_KERNEL_ACCOUNT));
		if (err) {
			ffg_chunk_free(ctx, chunk);
			return ERR_PTR(err);
		}
	}
	arena->next += size;
	return chunk;
}

/* The extents of a chunk may be taken.  The caller holds the arena mutex. */
static void ffg_chunk_publish(struct ffg_context *ctx, struct ffg_chunk *chunk)
{
	struct ffg_class *cls = &ctx->arena.classes[chunk->class];

	for (unsigned int i = 0; i < chunk->count; i++) {
		chunk->extents[i].chunk = chunk;
		list_add(&chunk->extents[i].link, &cls->free);
	}
	cls->free_count += chunk->count;
}

/* The chunks that are missing for @need; the caller holds arena->grow. */
static int ffg_arena_grow(struct ffg_context *ctx, const unsigned long need[FFG_CLASSES])
{
	struct ffg_arena *arena = &ctx->arena;
	struct ffg_chunk *chunk, *made = NULL;

	if (READ_ONCE(ctx->dead))
		return -ESHUTDOWN;
	for (unsigned int class = 0; class < FFG_CLASSES; class++) {
		unsigned long have = READ_ONCE(arena->classes[class].free_count);

		for (; have < need[class]; have += chunk->count) {
			chunk = ffg_chunk_new(ctx, class);
			if (IS_ERR(chunk))
				goto undo;
			chunk->older = made;
			made = chunk;
		}
	}
	mutex_lock(&ctx->lock);
	for (; made; made = made->older)
		ffg_chunk_publish(ctx, made);
	mutex_unlock(&ctx->lock);
	return 0;

undo:
	while (made) {
		struct ffg_chunk *older = made->older;

		arena->next = made->start;
		ffg_chunk_free(ctx, made);
		made = older;
	}
	return PTR_ERR(chunk);
}

/**
 * ffg_arena_reserve() - see to it that there are free extents
 * @ctx: context
 * @need: how many of each class
 *
 * They are not reserved for the caller: ffg_arena_take() may still find none.
 *
 * Return: 0, -ENOSPC, -EDQUOT or -ENOMEM; then nothing has changed.
 */
int ffg_arena_reserve(struct ffg_context *ctx, const unsigned long need[FFG_CLASSES])
{
	unsigned int class;
	int err = 0;

	for (class = 0; class < FFG_CLASSES; class++)
		if (READ_ONCE(ctx->arena.classes[class].free_count) < need[class])
			break;
	if (class == FFG_CLASSES)
		return 0;
	mutex_lock(&ctx->arena.grow);
	err = ffg_arena_grow(ctx, need);
	mutex_unlock(&ctx->arena.grow);
	return err;
}

/**
 * ffg_arena_take() - address space for an object
 * @ctx: context
 * @class: class of the extent
 * @pages: pages of the object
 * @start: out: address of its first page
 * @handle: out: handle for it
 *
 * The caller holds the arena mutex.
 *
 * Return: the extent, or NULL if there is no free one.
 */
struct ffg_extent *ffg_arena_take(struct ffg_context *ctx, unsigned int class,
				  unsigned long pages, unsigned long *start, u64 *handle)
{
	struct ffg_arena *arena = &ctx->arena;
	struct ffg_class *cls = &arena->classes[class];
	unsigned long size = 1UL << ffg_class_shift(class);
	unsigned long room = (size - FFG_GAP) / PAGE_SIZE - pages - 2;
	struct ffg_extent *extent;
	const struct ffg_chunk *chunk;
	unsigned long offset, gap;
	u32 dice;

	if (list_empty(&cls->free))
		return NULL;
	dice = get_random_u32();
	if (dice & 1)
		extent = list_first_entry(&cls->free, struct ffg_extent, link);
	else
		extent = list_last_entry(&cls->free, struct ffg_extent, link);
	list_del(&extent->link);
	cls->free_count--;

	chunk = extent->chunk;
	offset = chunk->start + ((extent - chunk->extents) << ffg_class_shift(class));
	/* One guard page, then a random gap. */
	gap = 1 + ((u64)(dice >> 1) * (room + 1) >> 31);
	*start = arena->base + offset + gap * PAGE_SIZE;
	extent->generation++;
	*handle = extent->generation << FFG_HANDLE_SHIFT | offset >> FFG_EXTENT_SHIFT;
	return extent;
}

/**
 * ffg_arena_give() - an object has left its extent
 * @ctx: context
 * @extent: extent; its base and length stay, to explain a stale pointer
 *
 * The extent goes to the quarantine; the one that has been there longest is free again.
 * The caller holds the arena mutex.
 */
void ffg_arena_give(struct ffg_context *ctx, struct ffg_extent *extent)
{
	unsigned int class = extent->chunk->class;
	struct ffg_class *cls = &ctx->arena.classes[class];

	extent->object = NULL;
	list_add_tail(&extent->link, &cls->quarantine);
	if (!FFG_MUTANT(QUARANTINE) && cls->quarantine_count < max(FFG_QUARANTINE >> class, 4U)) {
		cls->quarantine_count++;
		ffg_count_add(ctx, FFG_STAT_QUARANTINED, 1);
		return;
	}
	extent = list_first_entry(&cls->quarantine, struct ffg_extent, link);
	if (get_random_u32() & 1)
		list_move(&extent->link, &cls->free);
	else
		list_move_tail(&extent->link, &cls->free);
	cls->free_count++;
}

/**
 * ffg_arena_untake() - undo ffg_arena_take() of an object that never came to life
 * @ctx: context
 * @extent: extent
 *
 * The caller holds the arena mutex.
 */
void ffg_arena_untake(struct ffg_context *ctx, struct ffg_extent *extent)
{
	struct ffg_class *cls = &ctx->arena.classes[extent->chunk->class];

	list_add(&extent->link, &cls->free);
	cls->free_count++;
}

/**
 * ffg_arena_lookup() - extent at an address
 * @ctx: context
 * @address: any address
 *
 * Return: the extent that @address lies in, or NULL outside the arena and where none was made.
 * The caller holds the arena mutex.
 */
struct ffg_extent *ffg_arena_lookup(struct ffg_context *ctx, unsigned long address)
{
	unsigned long offset = address - ctx->arena.base;
	struct ffg_chunk *chunk;

	if (!ctx->arena.base || offset >= ctx->arena.size)
		return NULL;
	chunk = xa_load(&ctx->arena.chunks, offset >> FFG_CHUNK_SHIFT);
	if (!chunk)
		return NULL;
	return &chunk->extents[(offset - chunk->start) >> ffg_class_shift(chunk->class)];
}

/**
 * ffg_arena_by_handle() - extent of a living object
 * @ctx: context
 * @handle: any number
 *
 * Return: the extent or NULL.  The caller holds the arena mutex.
 */
struct ffg_extent *ffg_arena_by_handle(struct ffg_context *ctx, u64 handle)
{
	u64 index = handle & (BIT_ULL(FFG_HANDLE_SHIFT) - 1);
	struct ffg_extent *extent;

	extent = ffg_arena_lookup(ctx, ctx->arena.base + (index << FFG_EXTENT_SHIFT));
	if (!extent || !extent->object || extent->object->handle != handle)
		return NULL;
	return extent;
}

/* What ffg_arena_set_pte() needs. */
struct ffg_arena_range {
	struct ffg_context *ctx;
	struct ffg_object *object;
	pgprot_t safe;
	pgprot_t slot;
};

/* One PTE, under its page-table lock. */
static int ffg_arena_set_pte(pte_t *pte, unsigned long address, void *data)
{
	const struct ffg_arena_range *range = data;
	struct ffg_object *object = range->object;
	unsigned long page = (address - object->start) >> PAGE_SHIFT;
	struct page *frame;
	bool bound;

	if (FFG_MUTANT(GUARD_PAGE))
		page = min(page, object->pages - 1);
	frame = object->frames[page];
	/* Present: it carries the right key, or it would have been zapped. */
	if (!frame || !pte_none(*pte))
		return 0;
	bound = ffg_object_bound_at(object, page);
	set_pte_at(range->ctx->mm, address, pte,
		   pte_mkspecial(pfn_pte(page_to_pfn(frame), bound ? range->slot : range->safe)));
	return 0;
}

/**
 * ffg_arena_map() - insert PTEs for the pages of an object that have frames
 * @ctx: context
 * @object: object
 * @first: first page
 * @count: number of pages
 *
 * The frames are ordinary memory, which vmf_insert_pfn_prot() would look up in the tables
 * of memory types for each page anew; one walk for all of them costs a tenth.  The caller
 * is a page fault or holds mmap_lock (read), and holds the arena mutex.
 *
 * Return: 0, or -ENOMEM for a page table: the next fault inserts what is missing.
 */
int ffg_arena_map(struct ffg_context *ctx, struct ffg_object *object,
		  unsigned long first, unsigned long count)
{
	struct ffg_arena_range range = {
		.ctx = ctx,
		.object = object,
		.safe = ffg_vma_prot(ctx->arena.vma, ctx->safe),
	};

	if (object->binding)
		range.slot = ffg_vma_prot(ctx->arena.vma, object->binding->key);
	if (FFG_MUTANT(GUARD_PAGE) && first + count == object->pages)
		count++;
	object->mapped = true;
	return apply_to_page_range(ctx->mm, object->start + first * PAGE_SIZE, count * PAGE_SIZE,
				   ffg_arena_set_pte, &range);
}

/**
 * ffg_arena_zap() - remove PTEs and TLB entries of an object's pages
 * @ctx: context
 * @object: object
 * @first: first page
 * @count: number of pages
 *
 * When it returns no CPU reaches the pages by what they carried before.  The caller holds
 * mmap_lock (read) and the arena mutex.
 */
void ffg_arena_zap(struct ffg_context *ctx, struct ffg_object *object,
		   unsigned long first, unsigned long count)
{
	if (!object->mapped)
		return;
	zap_special_vma_range(ctx->arena.vma, object->start + first * PAGE_SIZE, count * PAGE_SIZE);
	if (count == object->pages)
		object->mapped = false;
}

/* A lazily populated object gets frames for an aligned block of this many pages at once. */
#define FFG_FAULT_AROUND	16UL

static vm_fault_t ffg_arena_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct ffg_context *ctx = vma->vm_private_data;
	struct page *spare[FFG_FAULT_AROUND];
	struct ffg_object *object;
	unsigned long page, first, last;
	unsigned int spares = 0, used = 0;
	struct ffg_extent *extent;
	vm_fault_t ret;

	ffg_count(ctx, FFG_STAT_FAULTS);
retry:
	mutex_lock(&ctx->lock);
	ret = VM_FAULT_SIGSEGV;
	extent = ffg_arena_lookup(ctx, vmf->address);
	object = extent ? extent->object : NULL;
	if (!object || vmf->address < object->start || ctx->arena.vma != vma)
		goto unlock;
	page = (vmf->address - object->start) >> PAGE_SHIFT;
	if (page >= object->pages)
		goto unlock;

	first = page & ~(FFG_FAULT_AROUND - 1);
	last = min(first + FFG_FAULT_AROUND, object->pages);
	if (!object->frames[page] && !spares) {
		mutex_unlock(&ctx->lock);
		for (; spares < last - first; spares++) {
			spare[spares] = ffg_frame_alloc(ctx);
			if (IS_ERR(spare[spares]))
				break;
		}
		if (!spares)
			return PTR_ERR(spare[0]) == -ENOMEM ? VM_FAULT_OOM : VM_FAULT_SIGBUS;
		goto retry;
	}
	/* The page that faulted first: there may be fewer spares than pages. */
	if (!object->frames[page])
		ffg_object_set_frame(object, page, spare[used++]);
	for (unsigned long i = first; i < last && used < spares; i++)
		if (!object->frames[i])
			ffg_object_set_frame(object, i, spare[used++]);
	/* With those around it: what was zapped for a bind comes back with few faults. */
	ret = ffg_arena_map(ctx, object, first, last - first) ? VM_FAULT_OOM : VM_FAULT_NOPAGE;
	trace_ffg_fault(vmf->address, object->handle, object->binding ? object->binding->key : 0);
unlock:
	mutex_unlock(&ctx->lock);
	while (used < spares)
		ffg_frame_free(ctx, spare[used++]);
	return ret;
}

/*
 * ptrace and /proc/pid/mem.  A debugger sees all; the process itself, foreign code
 * included, only what its PKRU allows: the kernel does not look at PKRU on this way.
 */
static int ffg_arena_access(struct vm_area_struct *vma, unsigned long address, void *buf,
			    int len, int write)
{
	struct ffg_context *ctx = vma->vm_private_data;
	unsigned long page, offset = offset_in_page(address);
	struct ffg_object *object;
	struct ffg_extent *extent;
	unsigned int key;
	int ret = -EFAULT;
	u32 closed;
	void *at;

	len = min_t(int, len, PAGE_SIZE - offset);
	mutex_lock(&ctx->lock);
	extent = ffg_arena_lookup(ctx, address);
	object = extent ? extent->object : NULL;
	if (!object || address < object->start)
		goto unlock;
	page = (address - object->start) >> PAGE_SHIFT;
	if (page >= object->pages)
		goto unlock;
	key = ffg_object_bound_at(object, page) ? object->binding->key : ctx->safe;
	closed = ffg_pkru_ad(key) | (write ? ffg_pkru_wd(key) : 0);
	if (current->mm == vma->vm_mm && rdpkru() & closed && !FFG_MUTANT(ACCESS))
		goto unlock;
	ret = len;
	if (!object->frames[page]) {
		/* Nobody touched it yet: zeroes, and nothing that could be written to. */
		if (write)
			ret = -EFAULT;
		else
			memset(buf, 0, len);
		goto unlock;
	}
	at = page_address(object->frames[page]) + offset;
	if (write)
		memcpy(at, buf, len);
	else
		memcpy(buf, at, len);
unlock:
	mutex_unlock(&ctx->lock);
	return ret;
}

/* Also called for the copy that mremap() makes before it asks ffg_vma_mremap(). */
static void ffg_arena_close(struct vm_area_struct *vma)
{
	struct ffg_context *ctx = vma->vm_private_data;

	if (READ_ONCE(ctx->arena.vma) == vma)
		ffg_context_shutdown(ctx);
}

static const struct vm_operations_struct ffg_arena_vm_ops = {
	.fault		= ffg_arena_fault,
	.map_pages	= ffg_vma_map_pages,
	.access		= ffg_arena_access,
	.may_split	= ffg_vma_may_split,
	.mprotect	= ffg_vma_mprotect,
	.mremap		= ffg_vma_mremap,
	.close		= ffg_arena_close,
};

/**
 * ffg_arena_mmap() - map the arena
 * @ctx: context
 * @vma: mapping to set up
 *
 * VM_PFNMAP: no struct page is refcounted by PTEs, so that frames can be swapped and GUP,
 * which would ignore a PTE's key from another task, refuses.
 *
 * Return: 0, -EINVAL for another length or protection, -EBUSY if it is mapped, -ESHUTDOWN if it
 * was.
 */
int ffg_arena_mmap(struct ffg_context *ctx, struct vm_area_struct *vma)
{
	int err = 0;

	mutex_lock(&ctx->lock);
	if (ctx->dead) {
		err = -ESHUTDOWN;
	} else if ((vma->vm_flags & (VM_SHARED | VM_READ | VM_WRITE | VM_EXEC)) !=
		   (VM_SHARED | VM_READ | VM_WRITE) ||
		   vma->vm_end - vma->vm_start != ctx->arena.size) {
		err = -EINVAL;
	} else if (ctx->arena.vma) {
		err = -EBUSY;
	} else {
		ffg_vma_setup(vma, ctx, &ffg_arena_vm_ops);
		WRITE_ONCE(ctx->arena.vma, vma);
		ctx->arena.base = vma->vm_start;
	}
	mutex_unlock(&ctx->lock);
	return err;
}

/**
 * ffg_arena_free_all() - the arena is unmapped: free objects, frames and the charge of its tables
 * @ctx: context, marked dead
 */
void ffg_arena_free_all(struct ffg_context *ctx)
{
	struct ffg_arena *arena = &ctx->arena;
	struct ffg_chunk *chunk;
	unsigned long unit;

	mutex_lock(&arena->grow);
	xa_for_each(&arena->chunks, unit, chunk) {
		if (unit != chunk->start >> FFG_CHUNK_SHIFT)
			continue;
		for (unsigned int i = 0; i < chunk->count; i++) {
			struct ffg_object *object;

			mutex_lock(&ctx->lock);
			object = chunk->extents[i].object;
			if (object)
				ffg_arena_give(ctx, &chunk->extents[i]);
			mutex_unlock(&ctx->lock);
			if (object)
				ffg_object_release(ctx, object);
		}
		cond_resched();
	}
	ffg_uncharge(ctx, FFG_TABLES, ffg_arena_tables(arena));
	arena->next = FFG_ARENA_FIRST;
	arena->size = 0;	/* no more growth */
	mutex_unlock(&arena->grow);
}

void ffg_arena_exit(struct ffg_context *ctx)
{
	struct ffg_arena *arena = &ctx->arena;
	struct ffg_chunk *chunk;
	unsigned long unit;

	/* Never mapped: growth needs a mapping, but an empty arena may have been sized. */
	for (int i = 0; i < FFG_CLASSES; i++)
		ffg_count_add(ctx, FFG_STAT_QUARANTINED, -(s64)arena->classes[i].quarantine_count);
	if (!ctx->dead)
		ffg_uncharge(ctx, FFG_TABLES, ffg_arena_tables(arena));
	xa_for_each(&arena->chunks, unit, chunk)
		if (unit == chunk->start >> FFG_CHUNK_SHIFT) {
			/*
			 * The other units of the chunk come later, and must not be looked
			 * at.
			 */
			unsigned long units = ffg_chunk_units(chunk->class);

			for (unsigned long i = 1; i < units; i++)
				xa_erase(&arena->chunks, unit + i);
			kvfree(chunk);
		}
	xa_destroy(&arena->chunks);
	mutex_destroy(&arena->grow);
}
