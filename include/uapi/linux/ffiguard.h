/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * ffiguard: the contract between /dev/ffiguard and user space.
 *
 * A context belongs to one address space (mm).  The order of calls is
 *
 *	open("/dev/ffiguard")
 *	FFG_IOC_HELLO		agree on the API level, learn sizes and features
 *	FFG_IOC_KEYS		donate protection keys: one SAFE key, slots, keys of domains
 *	mmap() x 4		arena, lines, lines read-only, records
 *	FFG_IOC_LINE_ATTACH	once for each thread that calls foreign code
 *
 * and then, in any order, objects are allocated and freed, and granted to
 * call records.  Every command but FFG_IOC_HELLO answers -EPROTO before a
 * successful FFG_IOC_HELLO, and every command that needs keys before
 * FFG_IOC_KEYS.
 *
 * Conventions
 *  - The argument is a pointer to the structure of the command.  Its first
 *    member, @size, is sizeof() as the caller was compiled.  A larger structure
 *    than the kernel knows is accepted if the bytes that it does not know are
 *    zero (-E2BIG otherwise); a smaller one is filled up with zeroes, down to the
 *    first published size (-EINVAL below).  What comes back is cut to @size.
 *  - A structure whose command answers in it has to be writable (-EFAULT, and the command
 *    does not run); those of KEYS, LINE_DETACH, OBJECT_ALLOC, BIND and WAKE are only read.
 *  - Unknown flags and non-zero reserved members are -EINVAL, unknown commands
 *    -ENOTTY.  A failed command changes nothing.
 *  - Arrays are passed as a 64-bit user address and a count of at most
 *    FFG_BATCH_MAX; a batch succeeds or fails as a whole.
 *  - Commands may be issued by any thread of the process, at the same time.
 *  - From another address space than the context's (after fork or exec, or
 *    over a passed descriptor) every command answers -EXDEV.
 *  - After the arena was unmapped every command answers -ESHUTDOWN.
 *  - -EINTR: SIGKILL is pending.  -ENOMEM: out of memory, nothing changed.
 *    -EDQUOT: a budget of the context or of the module is used up.
 *
 * The protection model (per-PTE protection keys, slots, call records) is described
 * in Documentation/design.rst, the errors of each command in
 * Documentation/uapi.rst.
 */
#ifndef _UAPI_LINUX_FFIGUARD_H
#define _UAPI_LINUX_FFIGUARD_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FFG_API_LEVEL		1

#define FFG_IOC_MAGIC		0xfb
/* Numbers do not begin at 0, so that a garbage command is never one of ours. */
#define FFG_IOC_HELLO		_IO(FFG_IOC_MAGIC, 0x41)
#define FFG_IOC_KEYS		_IO(FFG_IOC_MAGIC, 0x42)
#define FFG_IOC_LIMITS		_IO(FFG_IOC_MAGIC, 0x43)
#define FFG_IOC_LINE_ATTACH	_IO(FFG_IOC_MAGIC, 0x44)
#define FFG_IOC_LINE_DETACH	_IO(FFG_IOC_MAGIC, 0x45)
#define FFG_IOC_OBJECT_ALLOC	_IO(FFG_IOC_MAGIC, 0x46)
#define FFG_IOC_OBJECT_FREE	_IO(FFG_IOC_MAGIC, 0x47)
#define FFG_IOC_OBJECT_CHECK	_IO(FFG_IOC_MAGIC, 0x48)
#define FFG_IOC_OBJECT_QUERY	_IO(FFG_IOC_MAGIC, 0x49)
#define FFG_IOC_GRANT		_IO(FFG_IOC_MAGIC, 0x4a)
#define FFG_IOC_BIND		_IO(FFG_IOC_MAGIC, 0x4b)
#define FFG_IOC_REVOKE		_IO(FFG_IOC_MAGIC, 0x4c)
#define FFG_IOC_WAKE		_IO(FFG_IOC_MAGIC, 0x4d)
#define FFG_IOC_FAULT		_IO(FFG_IOC_MAGIC, 0x4e)
#define FFG_IOC_STATS		_IO(FFG_IOC_MAGIC, 0x4f)

/* mmap() offsets.  All mappings are MAP_SHARED and not inherited by fork. */
/* PROT_READ | PROT_WRITE, the whole arena_size */
#define FFG_MMAP_ARENA		0x0000000000000000ULL
/* PROT_READ | PROT_WRITE, keyed SAFE */
#define FFG_MMAP_LINES		0x0000100000000000ULL
/* PROT_READ, key 0: what the gate reads while SAFE is closed */
#define FFG_MMAP_LINES_RO	0x0000200000000000ULL
/* PROT_READ, keyed SAFE */
#define FFG_MMAP_RECORDS	0x0000300000000000ULL

#define FFG_BATCH_MAX		256	/* entries in one array */
#define FFG_GRANTS_MAX		64	/* grants in one call record */
#define FFG_OBJECT_MAX		(1ULL << 30)	/* bytes in one object */
#define FFG_ALIGN_MAX		4096	/* largest alignment of an object */
#define FFG_LINES_MAX		4096	/* attached threads */
#define FFG_RECORDS_MAX		65536	/* call records */

/* Feature bits of struct ffg_hello. */
/* Threads that are started in foreign mode begin with every slot closed. */
#define FFG_FEATURE_THREAD_STRIP (1ULL << 0)

/**
 * struct ffg_hello - FFG_IOC_HELLO, the handshake
 * @size: sizeof(struct ffg_hello)
 * @flags: must be 0
 * @api: in: FFG_API_LEVEL that the caller was compiled for; out: the module's
 * @reserved: must be 0
 * @features: in: bits that the caller cannot do without (-EOPNOTSUPP if one is
 *	missing); out: all bits that the module offers
 * @arena_size: in: bytes of address space for the arena, a multiple of 2 MiB of at
 *	least 4 MiB, or 0 for the default; out: what was chosen, the length to mmap
 * @lines_size: out: length of both line mappings
 * @records_size: out: length of the record mapping
 *
 * Creates the context of the calling mm.  Errors: -EALREADY this descriptor has a
 * context; -EBUSY the mm has one through another descriptor; -EPROTO an api level
 * that the module does not speak; -EINVAL a bad arena_size.
 */
struct ffg_hello {
	__u32 size;
	__u32 flags;
	__u32 api;
	__u32 reserved;
	__u64 features;
	__u64 arena_size;
	__u64 lines_size;
	__u64 records_size;
};

/**
 * struct ffg_keys - FFG_IOC_KEYS, donate protection keys
 * @size: sizeof(struct ffg_keys)
 * @flags: must be 0
 * @safe: the key (1..15) that closes lines, records and unbound objects
 * @slots: mask of the keys (bits 1..15) to use as slots, without @safe
 * @domains: mask of the keys of domains, without @safe and @slots; may be 0
 * @reserved: must be 0
 *
 * A domain's key is the program's to put on memory of that domain.  The module keeps it
 * closed in foreign code, but for the calls of records that name it (struct ffg_grant)
 * and the threads that such foreign code starts.
 *
 * The keys come from pkey_alloc() and stay the caller's to free, after the
 * context is gone.  The module does not use a key that is not allocated in
 * the mm any more: commands that need it answer -EKEYREVOKED.  Errors: -EALREADY
 * keys were donated; -EINVAL key 0, no slot, overlapping masks; -EKEYREVOKED
 * a key is not allocated, or is the mm's execute-only key.
 */
struct ffg_keys {
	__u32 size;
	__u32 flags;
	__u32 safe;
	__u32 slots;
	__u32 domains;
	__u32 reserved;
};

/**
 * struct ffg_limits - FFG_IOC_LIMITS, budgets
 * @size: sizeof(struct ffg_limits)
 * @flags: FFG_LIMITS_SET, or 0 to read only
 * @objects: objects alive; 0 leaves the budget as it is
 * @frames: pages of memory (4 KiB) held by objects; 0 as above
 * @tables: page-table pages (4 KiB) of the arena; 0 as above
 *
 * Out: the budgets in force.  Raising a budget over the module's default for a
 * context needs CAP_SYS_RESOURCE (-EPERM).  A budget below what is in use stops
 * new allocations only.
 */
struct ffg_limits {
	__u32 size;
	__u32 flags;
	__u64 objects;
	__u64 frames;
	__u64 tables;
};

#define FFG_LIMITS_SET		(1U << 0)

/*
 * A line: what one thread is doing at the gate.  128 bytes, in memory of the
 * module that the gate reads and writes without entering the kernel.
 *
 * @fpkru is at once the PKRU value of foreign mode and the statement "this thread
 * may have these slots open": the module takes no slot from an object as long
 * as a line leaves its bits clear.  FFG_LINE_IDLE: nothing open, not in a call.
 * Written by the owning thread with plain stores; by the module in
 * FFG_IOC_FAULT, which is the owning thread too.
 *
 * @outer stands beside it because the module reads both with one load: a call that
 * is made on top of an interrupted one stores @outer before @fpkru when it begins, and
 * @fpkru before @outer when it ends, so that every instant shows all that is held.
 */
struct ffg_line {
	__u32 outer;		/* AND of what interrupted calls hold; FFG_LINE_IDLE: none */
	__u32 fpkru;		/* PKRU in foreign mode; FFG_LINE_IDLE: none */
	__u32 tpkru;		/* PKRU to go back to; FFG_LINE_IDLE: in trusted mode */
	__u32 mxcsr;
	__u64 record;		/* address of the record of the running call */
	__u64 tsp;		/* trusted stack pointer */
	__u64 fsp;		/* top of the foreign stack */
	__u64 fs_base;		/* fs base of the thread; written by the module at attach */
	__u64 foreign_fs_base;	/* reserved: fs base in foreign mode */
	__u32 fcw;
	__u32 wake;		/* set by the module: FFG_IOC_WAKE after the call */
	__u64 self;		/* index << FFG_LINE_SHIFT; written by the module at attach */
	__u64 calls;		/* the library's: counts calls, for watchdogs */
	__u64 serial;		/* serial of the record of the running call */
	__u64 user[5];		/* the library's */
};

#define FFG_LINE_IDLE		0xffffffffU
#define FFG_LINE_SHIFT		7

/*
 * A call record: the grants of a prepared call, validated once.  128 bytes,
 * read-only to user space.
 *
 * @word holds the bits to set in PKRU around the call: 11 for each key that stays
 * closed, 10 for a slot that is read-only, 00 for one that is open and the domain's key.  Bit 0,
 * which would close key 0 and is never legal, says that the word is stale:
 * FFG_IOC_BIND makes it valid again.  The only source of held and PKRU bits.
 */
struct ffg_record {
	__u32 word;
	__u32 index;
	__u64 serial;		/* never reused; 0: the record is free */
	__u64 user[14];		/* as given to FFG_IOC_GRANT */
};

#define FFG_WORD_STALE		1U
#define FFG_RECORD_SHIFT	7

/**
 * struct ffg_line_attach - FFG_IOC_LINE_ATTACH, give the calling thread a line
 * @size: sizeof(struct ffg_line_attach)
 * @flags: must be 0
 * @index: out: index of the line in both line mappings
 * @reserved: must be 0
 *
 * A thread has one line; lines of dead threads are given out again.
 * Errors: -EALREADY the thread has a line (@index is set all the same);
 * -EUSERS no line is left; -ENODATA the lines are not mapped.
 */
struct ffg_line_attach {
	__u32 size;
	__u32 flags;
	__u32 index;
	__u32 reserved;
};

/**
 * struct ffg_line_detach - FFG_IOC_LINE_DETACH, give the calling thread's line back
 * @size: sizeof(struct ffg_line_detach)
 * @flags: must be 0
 *
 * Errors: -ENOENT the thread has no line; -EBUSY it is inside a guarded call.
 */
struct ffg_line_detach {
	__u32 size;
	__u32 flags;
};

/* Placement of an object in its pages. */
#define FFG_OBJECT_END		0U		/* ends at the page's end, less alignment padding */
#define FFG_OBJECT_START	(1U << 0)	/* begins at the page's start */

/**
 * struct ffg_object_desc - one object of FFG_IOC_OBJECT_ALLOC
 * @length: in: bytes, 1 to FFG_OBJECT_MAX
 * @align: in: alignment of the address, a power of two up to FFG_ALIGN_MAX;
 *	0 means 16, or the largest power of two that divides @length if that is less
 * @flags: in: FFG_OBJECT_END or FFG_OBJECT_START
 * @object: out: handle, never reused within the context
 * @address: out: address of the first byte
 *
 * The object is zeroed.  It has pages of its own with an unmapped guard page on
 * both sides; the rest of its first and last page (slack) is filled with poison.
 */
struct ffg_object_desc {
	__u64 length;
	__u32 align;
	__u32 flags;
	__u64 object;
	__u64 address;
};

/**
 * struct ffg_object_alloc - FFG_IOC_OBJECT_ALLOC
 * @size: sizeof(struct ffg_object_alloc)
 * @flags: must be 0
 * @count: entries at @objects, 1 to FFG_BATCH_MAX
 * @reserved: must be 0
 * @objects: address of an array of struct ffg_object_desc
 *
 * Errors: -ENODATA the arena is not mapped; -ENOSPC no address space left;
 * -EINVAL length 0, bad alignment; -EFBIG longer than FFG_OBJECT_MAX.
 */
struct ffg_object_alloc {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 reserved;
	__aligned_u64 objects;
};

/**
 * struct ffg_damage - poison of an object that was overwritten
 * @object: handle
 * @offset: first overwritten byte, relative to the object's first byte (may be negative)
 * @length: bytes from the first to the last overwritten one
 */
struct ffg_damage {
	__u64 object;
	__s64 offset;
	__u64 length;
};

/**
 * struct ffg_object_batch - FFG_IOC_OBJECT_FREE and FFG_IOC_OBJECT_CHECK
 * @size: sizeof(struct ffg_object_batch)
 * @flags: must be 0
 * @count: entries at @objects, 1 to FFG_BATCH_MAX
 * @damage_count: in: room at @damage; out: damaged slacks found, which may be more
 * @objects: address of an array of handles (__u64)
 * @damage: address of an array of struct ffg_damage
 *
 * FFG_IOC_OBJECT_FREE checks the slack of each object, then frees it.  Its address
 * stays unmapped for a while (quarantine).  Errors: -ENOENT a handle is not that of a
 * living object, or stands in the array twice; -EBUSY a call record still grants the object.
 * FFG_IOC_OBJECT_CHECK only looks.
 */
struct ffg_object_batch {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 damage_count;
	__aligned_u64 objects;
	__aligned_u64 damage;
};

/* What lies at an address: ffg_object_query.where, ffg_fault.where */
#define FFG_WHERE_OUTSIDE	0U	/* not in the arena */
#define FFG_WHERE_OBJECT	1U	/* a byte of a living object */
#define FFG_WHERE_SLACK		2U	/* slack in a page of a living object */
#define FFG_WHERE_GUARD		3U	/* guard page or gap beside a living object */
#define FFG_WHERE_FREED		4U	/* where a freed object was */
#define FFG_WHERE_UNUSED	5U	/* arena that no object has used lately */
#define FFG_WHERE_CONTROL	6U	/* lines or records */

/**
 * struct ffg_object_query - FFG_IOC_OBJECT_QUERY, what lies at an address
 * @size: sizeof(struct ffg_object_query)
 * @flags: must be 0
 * @address: in
 * @object: out: handle of the object there or beside it; 0: none
 * @base: out: address of its first byte
 * @length: out: its length in bytes
 * @offset: out: @address - @base
 * @where: out: FFG_WHERE_*
 * @placement: out: flags that it was allocated with
 * @slot: out: protection key of the page at @address if bound, else 0
 * @grants: out: call records that grant the object
 */
struct ffg_object_query {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u64 object;
	__u64 base;
	__u64 length;
	__s64 offset;
	__u32 where;
	__u32 placement;
	__u32 slot;
	__u32 grants;
};

/* Rights of a grant.  Protection keys have no write-only. */
#define FFG_RIGHT_READ		(1U << 0)
#define FFG_RIGHT_WRITE		(1U << 1)	/* implies FFG_RIGHT_READ */
#define FFG_RIGHT_DOMAIN	(1U << 2)	/* for all threads of the record's domain */

/**
 * struct ffg_grant_desc - one grant of a call record
 * @object: handle
 * @offset: first granted byte in the object
 * @length: granted bytes, at least 1
 * @rights: FFG_RIGHT_READ, or FFG_RIGHT_READ | FFG_RIGHT_WRITE, or both and FFG_RIGHT_DOMAIN
 * @reserved: must be 0
 *
 * Granted are the pages that the range touches; the object's other pages stay closed.
 *
 * With FFG_RIGHT_DOMAIN the pages carry the key of the record's domain, not a slot, from the
 * FFG_IOC_BIND of a thread that is about to make the call (FFG_BIND_NOW does not do it) to the
 * FFG_IOC_WAKE behind it: all threads reach them that have this key open, so those, too, that
 * code of the domain has started before.
 */
struct ffg_grant_desc {
	__u64 object;
	__u64 offset;
	__u64 length;
	__u32 rights;
	__u32 reserved;
};

/* Flags of FFG_IOC_GRANT and FFG_IOC_BIND */
#define FFG_BIND_NOW		(1U << 0)	/* GRANT: bind slots at once */
#define FFG_BIND_WAIT		(1U << 1)	/* wait, in bounds, for a slot that others hold */

/**
 * struct ffg_grant - FFG_IOC_GRANT, make a call record
 * @size: sizeof(struct ffg_grant)
 * @flags: FFG_BIND_NOW, FFG_BIND_WAIT
 * @count: entries at @grants, 0 to FFG_GRANTS_MAX, no object twice
 * @record: out: index of the record
 * @grants: address of an array of struct ffg_grant_desc
 * @user: address of 14 __u64 that become the record's user[], or 0
 * @serial: out: serial of the record
 * @timeout_ns: with FFG_BIND_WAIT: bound of the wait, at most 1 s; 0: 100 ms
 * @domain: key of the domain that the call is made in, which stays open in it; 0: none
 * @reserved: must be 0
 *
 * Errors: -ENOENT no such object; -ERANGE beyond the object; -EEXIST an object twice;
 * -EINVAL length 0, bad rights, @domain is no key of a domain or 0 with FFG_RIGHT_DOMAIN;
 * -EUSERS no record left; and those of FFG_IOC_BIND.
 */
struct ffg_grant {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 record;
	__aligned_u64 grants;
	__aligned_u64 user;
	__u64 serial;
	__u64 timeout_ns;
	__u32 domain;
	__u32 reserved;
};

/**
 * struct ffg_bind - FFG_IOC_BIND, make the word of a record valid
 * @size: sizeof(struct ffg_bind)
 * @flags: FFG_BIND_WAIT
 * @record: index of the record
 * @reserved: must be 0
 * @serial: serial of the record
 * @timeout_ns: as in struct ffg_grant
 *
 * Binds each object of the record to a slot: one that it has, a free one, or the coldest
 * that no thread holds; if there are too few, the read-only grants share one slot and the writable
 * ones another.  Errors: -ENOENT no such record; -ESTALE it was revoked; -EBUSY other threads hold
 * the slots (after the wait, if any); -EDEADLK the caller may not wait because it
 * holds slots itself; -EINTR a signal came while it waited; -EKEYREVOKED a
 * key is gone.
 */
struct ffg_bind {
	__u32 size;
	__u32 flags;
	__u32 record;
	__u32 reserved;
	__u64 serial;
	__u64 timeout_ns;
};

/* Names a call record. */
struct ffg_record_id {
	__u32 record;
	__u32 reserved;
	__u64 serial;
};

/**
 * struct ffg_revoke - FFG_IOC_REVOKE, end call records and their grants
 * @size: sizeof(struct ffg_revoke)
 * @flags: FFG_REVOKE_KEEP: end the grants, but keep the records, dead: FFG_IOC_BIND
 *	answers -ESTALE, and their indices are not given to others until they are
 *	revoked without this flag.  For records that a thread may still be about to enter.
 * @count: entries at @records, 1 to FFG_BATCH_MAX
 * @damage_count: as in struct ffg_object_batch, for the objects of the records
 * @records: address of an array of struct ffg_record_id
 * @damage: address of an array of struct ffg_damage
 *
 * When the command returns, no thread reaches an object through these records, not even
 * one that is inside a call with them.  It waits for no thread.  Another record that grants the
 * same object binds anew at its next call; a thread inside such a call faults once and goes on
 * (FFG_IOC_FAULT).  Errors: -ENOENT no such record, or twice in the array.
 */
struct ffg_revoke {
	__u32 size;
	__u32 flags;
	__u32 count;
	__u32 damage_count;
	__aligned_u64 records;
	__aligned_u64 damage;
};

#define FFG_REVOKE_KEEP		(1U << 0)

/**
 * struct ffg_wake - FFG_IOC_WAKE, tell waiters that the calling thread let go of its slots
 * @size: sizeof(struct ffg_wake)
 * @flags: FFG_WAKE_KEEP: the thread is still inside of a call, further out: its domain-wide
 *	grants stay open, and it is asked to come again.  Without it they are closed, unless
 *	another thread is in a call with the same record.
 */
struct ffg_wake {
	__u32 size;
	__u32 flags;
};

#define FFG_WAKE_KEEP		(1U << 0)

/* ffg_fault.access */
#define FFG_ACCESS_READ		0U
#define FFG_ACCESS_WRITE	1U
#define FFG_ACCESS_EXEC		2U

/* ffg_fault.verdict */
#define FFG_VERDICT_NOT_OURS	0U	/* the address is nothing of this context's */
#define FFG_VERDICT_RETRY	1U	/* the grant is valid: load @pkru, run again */
#define FFG_VERDICT_VIOLATION	2U

/* ffg_fault.reason, for FFG_VERDICT_VIOLATION */
#define FFG_REASON_NOT_GRANTED	1U	/* object that the call was not given */
#define FFG_REASON_RANGE	2U	/* granted, but not these pages */
#define FFG_REASON_READ_ONLY	3U	/* granted for reading */
#define FFG_REASON_BOUNDS	4U	/* guard page or slack: out of the object's bounds */
#define FFG_REASON_FREED	5U	/* freed object */
#define FFG_REASON_REVOKED	6U	/* granted to this call once, revoked since */
#define FFG_REASON_OTHER_CALL	7U	/* granted to a call that another thread is in */
#define FFG_REASON_NO_CALL	8U	/* the thread is in no guarded call */
#define FFG_REASON_CONTROL	9U	/* lines or records */
#define FFG_REASON_BUSY		10U	/* granted, but no slot could be had */
#define FFG_REASON_UNUSED	11U	/* arena without an object */

/**
 * struct ffg_fault - FFG_IOC_FAULT, judge a fault of the calling thread
 * @size: sizeof(struct ffg_fault)
 * @flags: must be 0
 * @address: in: faulting address
 * @ip: in: faulting instruction, for the event
 * @access: in: FFG_ACCESS_*
 * @verdict: out: FFG_VERDICT_*
 * @reason: out: FFG_REASON_*
 * @where: out: FFG_WHERE_*
 * @object: out: as in struct ffg_object_query
 * @base: out
 * @length: out
 * @offset: out
 * @grant_offset: out: range granted to the running call, if the object is
 * @grant_length: out
 * @grant_rights: out: FFG_RIGHT_*; 0: not granted to the running call
 * @pkru: in: PKRU of the interrupted code, from the signal frame; only foreign code that
 *	runs in the call, not a signal handler on top of it, is served;
 *	out: what it has to become, with FFG_VERDICT_RETRY
 * @owner: out: thread id of the holder, with FFG_REASON_OTHER_CALL
 * @slot: out: protection key of the page if bound, else 0
 *
 * For the SIGSEGV handler: takes no user lock, may be issued in any state of the thread.
 * A violation is counted and traced.
 */
struct ffg_fault {
	__u32 size;
	__u32 flags;
	__u64 address;
	__u64 ip;
	__u32 access;
	__u32 verdict;
	__u32 reason;
	__u32 where;
	__u64 object;
	__u64 base;
	__u64 length;
	__s64 offset;
	__u64 grant_offset;
	__u64 grant_length;
	__u32 grant_rights;
	__u32 pkru;
	__u32 owner;
	__u32 slot;
};

/**
 * struct ffg_stats - FFG_IOC_STATS, counters
 * @size: sizeof(struct ffg_stats)
 * @flags: 0 for the context, FFG_STATS_TOTAL for all contexts since the module was loaded
 * @objects: alive now
 * @frames: pages held by objects now
 * @tables: page-table pages of the arena now
 * @records: alive now
 * @lines: attached now
 * @quarantined: freed addresses not yet given out again
 * @allocs: objects allocated
 * @frees: objects freed
 * @grants: grants made (objects in records)
 * @revokes: records revoked
 * @binds: bindings of objects to slots
 * @bind_hits: grants found bound by FFG_IOC_BIND
 * @evictions: bindings taken to give the slot to others
 * @shared: bindings of several objects to one slot
 * @busy: binds that found no slot
 * @waits: binds that slept
 * @faults: page faults served in the arena
 * @retries: faults of running calls that were bound anew
 * @violations: faults judged a violation
 * @damages: slacks found overwritten
 * @ipis: barriers sent to the other CPUs of the process
 */
struct ffg_stats {
	__u32 size;
	__u32 flags;
	__u64 objects;
	__u64 frames;
	__u64 tables;
	__u64 records;
	__u64 lines;
	__u64 quarantined;
	__u64 allocs;
	__u64 frees;
	__u64 grants;
	__u64 revokes;
	__u64 binds;
	__u64 bind_hits;
	__u64 evictions;
	__u64 shared;
	__u64 busy;
	__u64 waits;
	__u64 faults;
	__u64 retries;
	__u64 violations;
	__u64 damages;
	__u64 ipis;
};

#define FFG_STATS_TOTAL		(1U << 0)

#endif /* _UAPI_LINUX_FFIGUARD_H */
