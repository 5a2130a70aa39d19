/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The device without the library: what a suite that tests the ioctls needs to
 * get to the point of its test.
 *
 * Functions answer 0 or a negative errno, like the ioctls; none of them
 * prints, asserts or exits. A context belongs to one mm, so whatever forks (the
 * harness does for each test) opens its own in the child.
 */
#ifndef FFG_RAW_H
#define FFG_RAW_H

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/ffiguard.h>

#define RAW_DEVICE	"/dev/ffiguard"
#define RAW_PAGE	4096UL
#define RAW_FN		static inline __attribute__((unused))

/* ---- PKRU ---- */

#define RAW_AD(key)	(1U << (2 * (key)))		/* no access */
#define RAW_WD(key)	(2U << (2 * (key)))		/* no writing */
#define RAW_CLOSED(key)	(RAW_AD(key) | RAW_WD(key))

RAW_FN uint32_t raw_rdpkru(void)
{
	uint32_t pkru, zero;

	__asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(pkru), "=d"(zero) : "c"(0));
	return pkru;
}

RAW_FN void raw_wrpkru(uint32_t pkru)
{
	__asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(pkru), "c"(0), "d"(0) : "memory");
}

/* ---- the device ---- */

/**
 * struct raw - an open context
 * @fd: descriptor; -1: none
 * @safe: SAFE key
 * @slots: mask of the keys that are slots
 * @slot_count: how many
 * @all: PKRU bits that close SAFE and all slots
 * @hello: what the module answered
 * @arena: mapping, @hello.arena_size long; NULL: not mapped (all four)
 * @lines: @hello.lines_size
 * @lines_ro: @hello.lines_size
 * @records: @hello.records_size
 */
struct raw {
	int fd;
	int safe;
	uint32_t slots;
	unsigned int slot_count;
	uint32_t all;
	struct ffg_hello hello;
	char *arena;
	struct ffg_line *lines;
	const struct ffg_line *lines_ro;
	const struct ffg_record *records;
};

RAW_FN int raw_ioctl(int fd, unsigned long command, void *arg)
{
	return ioctl(fd, command, arg) ? -errno : 0;
}

/* A descriptor, or a negative errno. */
RAW_FN int raw_device(void)
{
	int fd = open(RAW_DEVICE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

RAW_FN int raw_hello(struct raw *raw, uint64_t arena_size)
{
	raw->hello = (struct ffg_hello){
		.size = sizeof(raw->hello),
		.api = FFG_API_LEVEL,
		.arena_size = arena_size,
	};
	return raw_ioctl(raw->fd, FFG_IOC_HELLO, &raw->hello);
}

/* Allocates the keys: SAFE and @slots slots (1 to 14; fewer if the process has not that many). */
RAW_FN int raw_keys(struct raw *raw, unsigned int slots)
{
	struct ffg_keys keys = { .size = sizeof(keys) };
	int key = pkey_alloc(0, 0);

	if (key < 0)
		return -errno;
	raw->safe = key;
	raw->all = RAW_CLOSED(key);
	for (; raw->slot_count < slots; raw->slot_count++) {
		key = pkey_alloc(0, 0);
		if (key < 0)
			break;
		raw->slots |= 1U << key;
		raw->all |= RAW_CLOSED(key);
	}
	keys.safe = raw->safe;
	keys.slots = raw->slots;
	return raw_ioctl(raw->fd, FFG_IOC_KEYS, &keys);
}

/* One mapping of the device, where the kernel likes; NULL with errno set. */
RAW_FN void *raw_mmap(const struct raw *raw, uint64_t offset, uint64_t length, int prot)
{
	void *at = mmap(NULL, length, prot, MAP_SHARED | MAP_NORESERVE, raw->fd, (off_t)offset);

	return at == MAP_FAILED ? NULL : at;
}

RAW_FN int raw_map(struct raw *raw)
{
	const struct ffg_hello *hello = &raw->hello;

	raw->arena = raw_mmap(raw, FFG_MMAP_ARENA, hello->arena_size, PROT_READ | PROT_WRITE);
	if (!raw->arena)
		return -errno;
	raw->lines = raw_mmap(raw, FFG_MMAP_LINES, hello->lines_size, PROT_READ | PROT_WRITE);
	if (!raw->lines)
		return -errno;
	raw->lines_ro = raw_mmap(raw, FFG_MMAP_LINES_RO, hello->lines_size, PROT_READ);
	if (!raw->lines_ro)
		return -errno;
	raw->records = raw_mmap(raw, FFG_MMAP_RECORDS, hello->records_size, PROT_READ);
	return raw->records ? 0 : -errno;
}

/* Gives the calling thread a line: its index, also if it has one, or a negative errno. */
RAW_FN int raw_attach(const struct raw *raw)
{
	struct ffg_line_attach attach = { .size = sizeof(attach) };
	int err = raw_ioctl(raw->fd, FFG_IOC_LINE_ATTACH, &attach);

	return err && err != -EALREADY ? err : (int)attach.index;
}

RAW_FN int raw_detach(const struct raw *raw)
{
	struct ffg_line_detach detach = { .size = sizeof(detach) };

	return raw_ioctl(raw->fd, FFG_IOC_LINE_DETACH, &detach);
}

/*
 * All of it: open, HELLO, KEYS, the four mappings, a line for the caller (its index is 0).
 * @slots: how many slots to donate. After an error raw_close() cleans up.
 */
RAW_FN int raw_open(struct raw *raw, unsigned int slots)
{
	int err;

	*raw = (struct raw){ .fd = raw_device() };
	if (raw->fd < 0)
		return raw->fd;
	err = raw_hello(raw, 0);
	if (!err)
		err = raw_keys(raw, slots);
	if (!err)
		err = raw_map(raw);
	if (!err)
		err = raw_attach(raw);
	return err < 0 ? err : 0;
}

RAW_FN void raw_unmap(struct raw *raw)
{
	if (raw->records)
		munmap((void *)raw->records, raw->hello.records_size);
	if (raw->lines_ro)
		munmap((void *)raw->lines_ro, raw->hello.lines_size);
	if (raw->lines)
		munmap(raw->lines, raw->hello.lines_size);
	if (raw->arena)
		munmap(raw->arena, raw->hello.arena_size);
	raw->records = NULL;
	raw->lines_ro = NULL;
	raw->lines = NULL;
	raw->arena = NULL;
}

/* Unmaps, closes, frees the keys. */
RAW_FN void raw_close(struct raw *raw)
{
	raw_unmap(raw);
	if (raw->fd >= 0)
		close(raw->fd);
	raw->fd = -1;
	for (int key = 1; key < 16; key++)
		if (raw->slots & 1U << key || key == raw->safe)
			pkey_free(key);
}

/* ---- objects ---- */

RAW_FN int raw_alloc_batch(const struct raw *raw, struct ffg_object_desc *desc, uint32_t count)
{
	struct ffg_object_alloc alloc = {
		.size = sizeof(alloc),
		.count = count,
		.objects = (uintptr_t)desc,
	};

	return raw_ioctl(raw->fd, FFG_IOC_OBJECT_ALLOC, &alloc);
}

/* One object; @flags: FFG_OBJECT_*. */
RAW_FN int raw_alloc(const struct raw *raw, uint64_t length, uint32_t flags,
		     struct ffg_object_desc *desc)
{
	*desc = (struct ffg_object_desc){ .length = length, .flags = flags };
	return raw_alloc_batch(raw, desc, 1);
}

/* @objects: array of handles; __u64 and uint64_t are different types. */
RAW_FN int raw_object_batch(const struct raw *raw, unsigned long command, const void *objects,
			    uint32_t count, struct ffg_damage *damage, uint32_t *damage_count)
{
	struct ffg_object_batch batch = {
		.size = sizeof(batch),
		.count = count,
		.damage_count = damage_count ? *damage_count : 0,
		.objects = (uintptr_t)objects,
		.damage = (uintptr_t)damage,
	};
	int err = raw_ioctl(raw->fd, command, &batch);

	if (damage_count)
		*damage_count = batch.damage_count;
	return err;
}

RAW_FN int raw_free_batch(const struct raw *raw, const void *objects, uint32_t count)
{
	return raw_object_batch(raw, FFG_IOC_OBJECT_FREE, objects, count, NULL, NULL);
}

/* Without room for what it finds. */
RAW_FN int raw_check_batch(const struct raw *raw, const void *objects, uint32_t count)
{
	return raw_object_batch(raw, FFG_IOC_OBJECT_CHECK, objects, count, NULL, NULL);
}

RAW_FN int raw_free(const struct raw *raw, uint64_t object)
{
	return raw_free_batch(raw, &object, 1);
}

/* Damage of one object: 1 and *@damage, 0, or a negative errno. */
RAW_FN int raw_check(const struct raw *raw, uint64_t object, struct ffg_damage *damage)
{
	uint32_t count = 1;
	int err = raw_object_batch(raw, FFG_IOC_OBJECT_CHECK, &object, 1, damage, &count);

	return err ? err : (int)count;
}

RAW_FN int raw_query(const struct raw *raw, const volatile void *at, struct ffg_object_query *query)
{
	*query = (struct ffg_object_query){ .size = sizeof(*query), .address = (uintptr_t)at };
	return raw_ioctl(raw->fd, FFG_IOC_OBJECT_QUERY, query);
}

RAW_FN int raw_stats(const struct raw *raw, uint32_t flags, struct ffg_stats *stats)
{
	*stats = (struct ffg_stats){ .size = sizeof(*stats), .flags = flags };
	return raw_ioctl(raw->fd, FFG_IOC_STATS, stats);
}

/*
 * Counters of all contexts, through a context of its own that ends again: the mm must have none.
 * What leaked shows here.
 */
RAW_FN int raw_totals(struct ffg_stats *stats)
{
	struct raw raw = { .fd = raw_device() };
	int err;

	if (raw.fd < 0)
		return raw.fd;
	err = raw_hello(&raw, 0);
	if (!err)
		err = raw_stats(&raw, FFG_STATS_TOTAL, stats);
	close(raw.fd);
	return err;
}

/* ---- grants ---- */

RAW_FN struct ffg_grant_desc raw_range(uint64_t object, uint64_t offset, uint64_t length,
				       uint32_t rights)
{
	return (struct ffg_grant_desc){
		.object = object,
		.offset = offset,
		.length = length,
		.rights = rights,
	};
}

/* The whole of an object. */
RAW_FN struct ffg_grant_desc raw_whole(const struct ffg_object_desc *desc, uint32_t rights)
{
	return raw_range(desc->object, 0, desc->length, rights);
}

/* Makes a record; @flags: FFG_BIND_*. */
RAW_FN int raw_grant(const struct raw *raw, const struct ffg_grant_desc *grants, uint32_t count,
		     uint32_t flags, struct ffg_record_id *id)
{
	struct ffg_grant grant = {
		.size = sizeof(grant),
		.flags = flags,
		.count = count,
		.grants = (uintptr_t)grants,
	};
	int err = raw_ioctl(raw->fd, FFG_IOC_GRANT, &grant);

	*id = (struct ffg_record_id){ .record = grant.record, .serial = grant.serial };
	return err;
}

RAW_FN int raw_bind(const struct raw *raw, const struct ffg_record_id *id, uint32_t flags,
		    uint64_t timeout_ns)
{
	struct ffg_bind bind = {
		.size = sizeof(bind),
		.flags = flags,
		.record = id->record,
		.serial = id->serial,
		.timeout_ns = timeout_ns,
	};

	return raw_ioctl(raw->fd, FFG_IOC_BIND, &bind);
}

/* @damage and @damage_count may be NULL; *@damage_count: in room, out found. */
RAW_FN int raw_revoke_batch(const struct raw *raw, const struct ffg_record_id *ids, uint32_t count,
			    uint32_t flags, struct ffg_damage *damage, uint32_t *damage_count)
{
	struct ffg_revoke revoke = {
		.size = sizeof(revoke),
		.flags = flags,
		.count = count,
		.damage_count = damage_count ? *damage_count : 0,
		.records = (uintptr_t)ids,
		.damage = (uintptr_t)damage,
	};
	int err = raw_ioctl(raw->fd, FFG_IOC_REVOKE, &revoke);

	if (damage_count)
		*damage_count = revoke.damage_count;
	return err;
}

RAW_FN int raw_revoke(const struct raw *raw, const struct ffg_record_id *id)
{
	return raw_revoke_batch(raw, id, 1, 0, NULL, NULL);
}

RAW_FN uint32_t raw_word(const struct raw *raw, const struct ffg_record_id *id)
{
	return __atomic_load_n(&raw->records[id->record].word, __ATOMIC_RELAXED);
}

/* ---- a call: what the gate does, without its stack and registers ---- */

/**
 * struct raw_call - a call that is running
 * @line: line of the thread
 * @tpkru: PKRU to go back to
 * @fpkru: PKRU of foreign mode
 */
struct raw_call {
	struct ffg_line *line;
	uint32_t tpkru;
	uint32_t fpkru;
};

/*
 * Enters a call of the calling thread, whose line has the index @line: false, with nothing changed,
 * if the record is stale. Until raw_leave() memory of the record's grants is open with call->fpkru
 * loaded, which raw_touch_as() does; the caller itself stays in trusted mode.
 */
RAW_FN bool raw_enter(const struct raw *raw, int line, const struct ffg_record_id *id,
		      struct raw_call *call)
{
	uint32_t word = raw_word(raw, id) & ~FFG_WORD_STALE;

	call->line = &raw->lines[line];
	call->tpkru = raw_rdpkru();
	call->fpkru = call->tpkru | word;
	__atomic_store_n(&call->line->record, (uintptr_t)&raw->records[id->record],
			 __ATOMIC_RELAXED);
	__atomic_store_n(&call->line->serial, id->serial, __ATOMIC_RELAXED);
	__atomic_store_n(&call->line->tpkru, call->tpkru, __ATOMIC_RELAXED);
	__atomic_store_n(&call->line->fpkru, call->fpkru, __ATOMIC_RELAXED);
	/* No barrier of the processor, as in the gate: the module has one. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (raw_word(raw, id) == word)
		return true;
	__atomic_store_n(&call->line->fpkru, FFG_LINE_IDLE, __ATOMIC_RELAXED);
	__atomic_store_n(&call->line->tpkru, FFG_LINE_IDLE, __ATOMIC_RELAXED);
	return false;
}

/* Ends the call; true if the module asked for a wake. */
RAW_FN bool raw_leave(struct raw_call *call)
{
	__atomic_store_n(&call->line->fpkru, FFG_LINE_IDLE, __ATOMIC_RELAXED);
	__atomic_store_n(&call->line->tpkru, FFG_LINE_IDLE, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&call->line->wake, __ATOMIC_RELAXED);
}

RAW_FN int raw_wake(const struct raw *raw)
{
	struct ffg_wake wake = { .size = sizeof(wake) };

	return raw_ioctl(raw->fd, FFG_IOC_WAKE, &wake);
}

/* Judges a fault; @pkru: of the code that faulted. */
RAW_FN int raw_fault(const struct raw *raw, const volatile void *at, uint32_t access, uint32_t pkru,
		     struct ffg_fault *fault)
{
	*fault = (struct ffg_fault){
		.size = sizeof(*fault),
		.address = (uintptr_t)at,
		.ip = (uintptr_t)__builtin_return_address(0),
		.access = access,
		.pkru = pkru,
	};
	return raw_ioctl(raw->fd, FFG_IOC_FAULT, fault);
}

/* ---- touching what may fault ---- */

/* What raw_touch() answers beside 0: si_code of SIGSEGV, RAW_BUS + si_code of SIGBUS. */
#define RAW_MAPERR	1	/* SEGV_MAPERR */
#define RAW_ACCERR	2	/* SEGV_ACCERR */
#define RAW_PKUERR	4	/* SEGV_PKUERR */
#define RAW_BUS		0x100

/* In key-0 memory of the thread, which a signal handler reaches whatever PKRU it begins with. */
static _Thread_local sigjmp_buf raw_landing;
static _Thread_local volatile sig_atomic_t raw_armed;

RAW_FN void raw_on_fault(int number, siginfo_t *info, void *unused)
{
	(void)unused;
	if (!raw_armed) {
		/* Not ours: die of it, at the same instruction. */
		signal(number, SIG_DFL);
		return;
	}
	raw_armed = 0;
	siglongjmp(raw_landing, info->si_code + (number == SIGBUS ? RAW_BUS : 0));
}

/* Handlers of SIGSEGV and SIGBUS; once for each process before it touches. */
RAW_FN void raw_catch_faults(void)
{
	/* NODEFER, so that leaving the handler with a jump needs no signal mask. */
	struct sigaction action = {
		.sa_sigaction = raw_on_fault,
		.sa_flags = SA_SIGINFO | SA_NODEFER,
	};

	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* Copies one byte with @pkru loaded: 0, or why it faulted. */
RAW_FN int raw_access_as(uint32_t pkru, volatile char *at, bool write, volatile char *byte)
{
	const uint32_t own = raw_rdpkru();
	char value = *byte;
	int code = sigsetjmp(raw_landing, 0);

	if (!code) {
		raw_armed = 1;
		raw_wrpkru(pkru);
		if (write)
			*at = value;
		else
			value = *at;
	}
	raw_wrpkru(own);
	raw_armed = 0;
	if (!code && !write)
		*byte = value;
	return code;
}

/* Touches one byte with @pkru loaded. A write stores 0x5a. */
RAW_FN int raw_touch_as(uint32_t pkru, volatile void *at, bool write)
{
	volatile char byte = 0x5a;

	return raw_access_as(pkru, at, write, &byte);
}

/* With the PKRU that the caller has. */
RAW_FN int raw_touch(volatile void *at, bool write)
{
	return raw_touch_as(raw_rdpkru(), at, write);
}

#endif /* FFG_RAW_H */
