// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults: pages that come with the first touch, and the verdicts of FFG_IOC_FAULT: one test for
 * each reason, each with a real fault of the thread before it where there is one.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

#define READ	FFG_RIGHT_READ
#define BOTH	(FFG_RIGHT_READ | FFG_RIGHT_WRITE)

FIXTURE(fault)
{
	struct raw raw;
	struct ffg_object_desc desc[3];
	struct ffg_record_id id;
	struct raw_call call;
	struct ffg_stats before;
	struct ffg_fault fault;
};

FIXTURE_SETUP(fault)
{
	struct raw *raw = &self->raw;

	ASSERT_EQ(0, raw_open(raw, 4));
	raw_catch_faults();
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, raw_alloc(raw, 4 * RAW_PAGE, 0, &self->desc[i]));
	ASSERT_EQ(0, raw_stats(raw, 0, &self->before));
}

FIXTURE_TEARDOWN(fault)
{
	raw_close(&self->raw);
}

/* First byte of an object. */
#define AT(which)	((char *)self->desc[which].address)

/* Into a call that was granted [@offset, +@length) of the first object. */
#define ENTER(offset, length, rights) do {						\
	struct ffg_grant_desc grant_ = raw_range(self->desc[0].object, offset, length, rights); \
											\
	ASSERT_EQ(0, raw_grant(&self->raw, &grant_, 1, FFG_BIND_NOW, &self->id));	\
	ASSERT_TRUE(raw_enter(&self->raw, 0, &self->id, &self->call));			\
} while (0)

/* A touch that faults so, and the module's reason for it. */
#define EXPECT_VIOLATION(code, cause, at, how) do {					\
	struct ffg_stats stats_[2];							\
											\
	ASSERT_EQ(0, raw_stats(&self->raw, 0, &stats_[0]));				\
	EXPECT_EQ(code, raw_touch_as(self->call.fpkru, at, (how) == FFG_ACCESS_WRITE));	\
	ASSERT_EQ(0, raw_fault(&self->raw, at, how, self->call.fpkru, &self->fault));	\
	EXPECT_EQ(FFG_VERDICT_VIOLATION, self->fault.verdict);				\
	EXPECT_EQ(cause, self->fault.reason);						\
	ASSERT_EQ(0, raw_stats(&self->raw, 0, &stats_[1]));				\
	EXPECT_EQ(stats_[0].violations + 1, stats_[1].violations);			\
	EXPECT_EQ(stats_[0].retries, stats_[1].retries);				\
} while (0)

#define EXPECT_OBJECT(which, at_offset, at_where) do {			\
	EXPECT_EQ(self->desc[which].object, self->fault.object);	\
	EXPECT_EQ(self->desc[which].address, self->fault.base);		\
	EXPECT_EQ(self->desc[which].length, self->fault.length);	\
	EXPECT_EQ(at_offset, self->fault.offset);			\
	EXPECT_EQ(at_where, self->fault.where);				\
} while (0)

/* ---- verdicts ---- */

TEST_F(fault, not_ours)
{
	const void *const others[] = {
		self, (void *)0, (void *)~0UL, (void *)0xffff888000000000UL,
	};

	ENTER(0, 100, BOTH);
	for (unsigned int i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		ASSERT_EQ(0, raw_fault(&self->raw, others[i], FFG_ACCESS_WRITE, self->call.fpkru,
				       &self->fault));
		EXPECT_EQ(FFG_VERDICT_NOT_OURS, self->fault.verdict) TH_LOG("%p", others[i]);
		EXPECT_EQ(FFG_WHERE_OUTSIDE, self->fault.where);
		EXPECT_EQ(0, self->fault.object);
	}
	ASSERT_EQ(0, raw_stats(&self->raw, 0, &self->before));
	EXPECT_EQ(0, self->before.violations);
}

/*
 * The bytes before and behind the arena. What lies there is the kernel's choice, unless a test
 * chooses: memory that is not ours, nothing, or the records.
 */
TEST_F(fault, beside_the_arena)
{
	const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct raw *raw = &self->raw;
	char *room, *end;

	raw_close(raw);
	*raw = (struct raw){ .fd = raw_device() };
	ASSERT_EQ(0, raw_hello(raw, 64 << 20));
	ASSERT_EQ(0, raw_keys(raw, 4));
	room = mmap(NULL, (66 << 20) + raw->hello.records_size, PROT_NONE, anonymous, -1, 0);
	ASSERT_NE(MAP_FAILED, room);
	room += RAW_PAGE;
	ASSERT_EQ(room, mmap(room, raw->hello.arena_size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_FIXED | MAP_NORESERVE, raw->fd, FFG_MMAP_ARENA));
	raw->arena = room;
	end = room + raw->hello.arena_size;
	for (int what = 0; what < 3; what++) {
		if (what == 1) {
			ASSERT_EQ(0, munmap(end, RAW_PAGE));
			ASSERT_EQ(0, munmap(room - RAW_PAGE, RAW_PAGE));
		} else if (what == 2) {
			raw->records = mmap(end, raw->hello.records_size, PROT_READ,
					    MAP_SHARED | MAP_FIXED, raw->fd, FFG_MMAP_RECORDS);
			ASSERT_EQ(end, (void *)raw->records);
		}
		ASSERT_EQ(0, raw_fault(raw, room - 1, FFG_ACCESS_READ, 0, &self->fault));
		EXPECT_EQ(FFG_VERDICT_NOT_OURS, self->fault.verdict);
		EXPECT_EQ(FFG_WHERE_OUTSIDE, self->fault.where);
		ASSERT_EQ(0, raw_fault(raw, room, FFG_ACCESS_READ, 0, &self->fault));
		EXPECT_EQ(FFG_WHERE_UNUSED, self->fault.where);
		ASSERT_EQ(0, raw_fault(raw, end - 1, FFG_ACCESS_READ, 0, &self->fault));
		EXPECT_EQ(FFG_WHERE_UNUSED, self->fault.where);
		ASSERT_EQ(0, raw_fault(raw, end, FFG_ACCESS_READ, 0, &self->fault));
		EXPECT_EQ(what == 2 ? FFG_VERDICT_VIOLATION : FFG_VERDICT_NOT_OURS,
			  self->fault.verdict);
		EXPECT_EQ(what == 2 ? FFG_WHERE_CONTROL : FFG_WHERE_OUTSIDE, self->fault.where);
	}
}

TEST_F(fault, not_granted)
{
	ENTER(0, 100, BOTH);
	EXPECT_EQ(0, raw_touch_as(self->call.fpkru, (void *)self->desc[0].address, true));
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_NOT_GRANTED, AT(1) + 7,
			 FFG_ACCESS_READ);
	EXPECT_OBJECT(1, 7, FFG_WHERE_OBJECT);
	EXPECT_EQ(0, self->fault.grant_rights);
	EXPECT_EQ(0, self->fault.owner);
	EXPECT_EQ(0, self->fault.slot);
}

TEST_F(fault, beyond_the_granted_pages)
{
	ENTER(RAW_PAGE, RAW_PAGE + 1, READ);
	EXPECT_EQ(0, raw_touch_as(self->call.fpkru, AT(0) + RAW_PAGE, false));
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_RANGE, AT(0), FFG_ACCESS_READ);
	EXPECT_OBJECT(0, 0, FFG_WHERE_OBJECT);
	EXPECT_EQ(RAW_PAGE, self->fault.grant_offset);
	EXPECT_EQ(RAW_PAGE + 1, self->fault.grant_length);
	EXPECT_EQ(READ, self->fault.grant_rights);
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_RANGE, AT(0) + 3 * RAW_PAGE,
			 FFG_ACCESS_WRITE);
}

TEST_F(fault, read_only)
{
	ENTER(0, 4 * RAW_PAGE, READ);
	EXPECT_EQ(0, raw_touch_as(self->call.fpkru, (void *)self->desc[0].address, false));
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_READ_ONLY, AT(0) + 100,
			 FFG_ACCESS_WRITE);
	EXPECT_OBJECT(0, 100, FFG_WHERE_OBJECT);
	EXPECT_EQ(READ, self->fault.grant_rights);
	EXPECT_NE(0, self->fault.slot);
	EXPECT_NE(0, self->raw.slots & 1U << self->fault.slot);
}

TEST_F(fault, out_of_bounds)
{
	ENTER(0, 4 * RAW_PAGE, BOTH);
	EXPECT_VIOLATION(RAW_MAPERR, FFG_REASON_BOUNDS,
			 AT(0) + 4 * RAW_PAGE, FFG_ACCESS_WRITE);
	EXPECT_OBJECT(0, 4 * RAW_PAGE, FFG_WHERE_GUARD);
	EXPECT_VIOLATION(RAW_MAPERR, FFG_REASON_BOUNDS, AT(0) - 1,
			 FFG_ACCESS_READ);
	EXPECT_OBJECT(0, -1, FFG_WHERE_GUARD);
}

TEST_F(fault, freed)
{
	ENTER(0, 100, BOTH);
	ASSERT_EQ(0, raw_free(&self->raw, self->desc[1].object));
	EXPECT_VIOLATION(RAW_MAPERR, FFG_REASON_FREED, AT(1) + 9,
			 FFG_ACCESS_READ);
	EXPECT_EQ(FFG_WHERE_FREED, self->fault.where);
	EXPECT_EQ(self->desc[1].address, self->fault.base);
	EXPECT_EQ(self->desc[1].length, self->fault.length);
	EXPECT_EQ(9, self->fault.offset);
}

TEST_F(fault, unused)
{
	ENTER(0, 100, BOTH);
	EXPECT_VIOLATION(RAW_MAPERR, FFG_REASON_UNUSED,
			 self->raw.arena + self->raw.hello.arena_size - 1, FFG_ACCESS_READ);
	EXPECT_EQ(FFG_WHERE_UNUSED, self->fault.where);
	EXPECT_EQ(0, self->fault.object);
}

TEST_F(fault, control)
{
	ENTER(0, 100, BOTH);
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_CONTROL, (char *)&self->raw.lines->user,
			 FFG_ACCESS_WRITE);
	EXPECT_EQ(FFG_WHERE_CONTROL, self->fault.where);
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_CONTROL, (char *)self->raw.records,
			 FFG_ACCESS_READ);
	EXPECT_VIOLATION(RAW_ACCERR, FFG_REASON_CONTROL, (char *)self->raw.lines_ro,
			 FFG_ACCESS_WRITE);
}

TEST_F(fault, no_call)
{
	self->call.fpkru = raw_rdpkru() | self->raw.all;
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_NO_CALL, AT(0),
			 FFG_ACCESS_READ);
	EXPECT_OBJECT(0, 0, FFG_WHERE_OBJECT);
	/* Nor after one. */
	ENTER(0, 100, BOTH);
	raw_leave(&self->call);
	self->call.fpkru = raw_rdpkru() | self->raw.all;
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_NO_CALL, AT(0),
			 FFG_ACCESS_READ);
	/* Nor in a handler on top of one: it has other rights than the call. */
	ASSERT_TRUE(raw_enter(&self->raw, 0, &self->id, &self->call));
	self->call.fpkru = raw_rdpkru() | self->raw.all;
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_NO_CALL, AT(0),
			 FFG_ACCESS_READ);
	/* Nor for a thread without a line. */
	raw_leave(&self->call);
	ASSERT_EQ(0, raw_detach(&self->raw));
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_NO_CALL, AT(0),
			 FFG_ACCESS_READ);
}

TEST_F(fault, revoked)
{
	ENTER(0, 100, BOTH);
	EXPECT_EQ(0, raw_touch_as(self->call.fpkru, AT(0), true));
	ASSERT_EQ(0, raw_revoke_batch(&self->raw, &self->id, 1, FFG_REVOKE_KEEP, NULL, NULL));
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_REVOKED, AT(0) + 5,
			 FFG_ACCESS_WRITE);
	EXPECT_OBJECT(0, 5, FFG_WHERE_OBJECT);
	EXPECT_EQ(0, self->fault.grant_offset);
	EXPECT_EQ(100, self->fault.grant_length);
	/* The record is gone, too: it cannot say any more what it granted. */
	ASSERT_EQ(0, raw_revoke(&self->raw, &self->id));
	ASSERT_EQ(0, raw_fault(&self->raw, AT(0), FFG_ACCESS_WRITE,
			       self->call.fpkru, &self->fault));
	EXPECT_EQ(FFG_VERDICT_VIOLATION, self->fault.verdict);
}

TEST_F(fault, bad_arguments)
{
	struct ffg_fault fault = { .size = sizeof(fault), .access = 3 };

	EXPECT_EQ(-EINVAL, raw_ioctl(self->raw.fd, FFG_IOC_FAULT, &fault));
	fault.access = 0xffffffff;
	EXPECT_EQ(-EINVAL, raw_ioctl(self->raw.fd, FFG_IOC_FAULT, &fault));
	/* To run a granted object is a violation, too. */
	ENTER(0, 100, BOTH);
	ASSERT_EQ(0, raw_fault(&self->raw, AT(0), FFG_ACCESS_EXEC,
			       self->call.fpkru, &self->fault));
	EXPECT_EQ(FFG_VERDICT_VIOLATION, self->fault.verdict);
}

/* ---- two threads ---- */

/**
 * struct helper - a thread that is inside a call
 * @raw: context
 * @id: record of the call
 * @thread: thread
 * @barrier: reached when the call runs, when it shall go on, and when it is over
 * @tid: its id
 * @at: touched when it goes on; NULL: nothing
 * @codes: what came of it: with the rights that it had, and with those that the module gave it
 * @verdict: of the module between the two
 * @line_pkru: what its line said afterwards
 * @pkru: what the module said
 */
struct helper {
	const struct raw *raw;
	struct ffg_record_id id;
	pthread_t thread;
	pthread_barrier_t barrier;
	int tid;
	char *at;
	int codes[2];
	uint32_t verdict;
	uint32_t line_pkru;
	uint32_t pkru;
};

static void *helper_body(void *data)
{
	struct helper *helper = data;
	int line = raw_attach(helper->raw);
	struct raw_call call;
	bool entered;

	helper->tid = syscall(SYS_gettid);
	entered = line >= 0 && raw_enter(helper->raw, line, &helper->id, &call);
	if (!entered)
		helper->tid = -1;
	pthread_barrier_wait(&helper->barrier);
	pthread_barrier_wait(&helper->barrier);
	if (entered && helper->at) {
		struct ffg_fault fault = { 0 };

		helper->codes[0] = raw_touch_as(call.fpkru, helper->at, true);
		raw_fault(helper->raw, helper->at, FFG_ACCESS_WRITE, call.fpkru, &fault);
		helper->verdict = fault.verdict;
		helper->pkru = fault.pkru;
		helper->line_pkru = call.line->fpkru;
		helper->codes[1] = raw_touch_as(fault.pkru, helper->at, true);
	}
	if (entered && raw_leave(&call))
		raw_wake(helper->raw);
	pthread_barrier_wait(&helper->barrier);
	return NULL;
}

static bool helper_start(struct helper *helper, const struct raw *raw,
			 const struct ffg_record_id *id, char *at)
{
	*helper = (struct helper){ .raw = raw, .id = *id, .at = at };
	pthread_barrier_init(&helper->barrier, NULL, 2);
	if (pthread_create(&helper->thread, NULL, helper_body, helper))
		return false;
	pthread_barrier_wait(&helper->barrier);
	return helper->tid > 0;
}

static void helper_go_on(struct helper *helper)
{
	pthread_barrier_wait(&helper->barrier);
	pthread_barrier_wait(&helper->barrier);
	pthread_join(helper->thread, NULL);
}

TEST_F(fault, another_threads_grant)
{
	struct ffg_grant_desc theirs = raw_whole(&self->desc[1], BOTH);
	struct ffg_record_id id;
	struct helper helper;

	ASSERT_EQ(0, raw_grant(&self->raw, &theirs, 1, FFG_BIND_NOW, &id));
	ENTER(0, 100, BOTH);
	ASSERT_TRUE(helper_start(&helper, &self->raw, &id, NULL));
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_OTHER_CALL, AT(1) + 1,
			 FFG_ACCESS_WRITE);
	EXPECT_OBJECT(1, 1, FFG_WHERE_OBJECT);
	EXPECT_EQ((uint32_t)helper.tid, self->fault.owner);
	EXPECT_EQ(0, self->fault.grant_rights);
	EXPECT_NE(0, self->fault.slot);
	helper_go_on(&helper);
	/* Bound still, but nobody has it open. */
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_NOT_GRANTED, AT(1) + 1,
			 FFG_ACCESS_WRITE);
	EXPECT_EQ(0, self->fault.owner);
}

/* Another record's revoke closed the object to all: whoever has a valid grant goes on. */
TEST_F(fault, retry_after_revoke_of_another_record)
{
	struct ffg_grant_desc whole = raw_whole(&self->desc[0], BOTH);
	struct ffg_record_id id[2];
	struct ffg_stats stats;
	struct helper helper;

	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, raw_grant(&self->raw, &whole, 1, FFG_BIND_NOW, &id[i]));
		ASSERT_TRUE(helper_start(&helper, &self->raw, &id[0], AT(0)));
		ASSERT_EQ(0, raw_revoke(&self->raw, &id[1]));
		helper_go_on(&helper);
		EXPECT_EQ(RAW_PKUERR, helper.codes[0]);
		EXPECT_EQ(FFG_VERDICT_RETRY, helper.verdict);
		EXPECT_EQ(helper.pkru, helper.line_pkru);
		EXPECT_EQ(0, helper.codes[1]);
		ASSERT_EQ(0, raw_stats(&self->raw, 0, &stats));
		EXPECT_EQ(round + 1, stats.retries);
		EXPECT_EQ(0, stats.violations);
		ASSERT_EQ(0, raw_revoke(&self->raw, &id[0]));
	}
}

static void ignore(int number)
{
	(void)number;
}

/* No slot to be had: with the only one in another thread's call. */
TEST_F(fault, busy)
{
	struct sigaction action = { .sa_handler = ignore };
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole;
	struct ffg_record_id mine, theirs;
	struct ffg_line *line;
	struct helper helper;

	raw_close(raw);
	ASSERT_EQ(0, raw_open(raw, 1));
	ASSERT_EQ(0, raw_alloc_batch(raw, self->desc, 2));
	whole = raw_whole(&self->desc[0], BOTH);
	ASSERT_EQ(0, raw_grant(raw, &whole, 1, 0, &mine));
	whole = raw_whole(&self->desc[1], BOTH);
	ASSERT_EQ(0, raw_grant(raw, &whole, 1, FFG_BIND_NOW, &theirs));
	ASSERT_TRUE(helper_start(&helper, raw, &theirs, NULL));
	/* A call whose slot was lost while a signal was pending: in the call, with nothing open. */
	line = raw->lines;
	line->record = (uintptr_t)&raw->records[mine.record];
	line->serial = mine.serial;
	line->tpkru = raw_rdpkru();
	line->fpkru = line->tpkru | raw->all;
	self->call.fpkru = line->fpkru;
	/* A signal comes first: it is handled with nothing open, and the touch faults again. */
	sigaction(SIGALRM, &action, NULL);
	ualarm(20000, 20000);
	ASSERT_EQ(0, raw_fault(raw, AT(0), FFG_ACCESS_WRITE, self->call.fpkru, &self->fault));
	ualarm(0, 0);
	EXPECT_EQ(FFG_VERDICT_RETRY, self->fault.verdict);
	EXPECT_EQ(line->tpkru | raw->all, self->fault.pkru);
	EXPECT_EQ(self->fault.pkru, line->fpkru);
	line->fpkru = self->call.fpkru;
	EXPECT_VIOLATION(RAW_PKUERR, FFG_REASON_BUSY, AT(0), FFG_ACCESS_WRITE);
	EXPECT_EQ(BOTH, self->fault.grant_rights);
	helper_go_on(&helper);
	/* The line was let go of for the wait; the library would have died here. */
	line->fpkru = self->call.fpkru;
	ASSERT_EQ(0, raw_fault(raw, AT(0), FFG_ACCESS_WRITE, self->call.fpkru,
			       &self->fault));
	EXPECT_EQ(FFG_VERDICT_RETRY, self->fault.verdict);
	EXPECT_EQ(0, raw_touch_as(self->fault.pkru, AT(0), true));
}

/* ---- what lies at an address ---- */

TEST_F(fault, query)
{
	struct raw *raw = &self->raw;
	struct ffg_object_query query;
	struct ffg_object_desc desc = { .length = 100, .align = 64 };
	struct ffg_record_id id;
	char *at;

	ASSERT_EQ(0, raw_alloc_batch(raw, &desc, 1));
	at = (char *)desc.address;
	for (int off = 0; off < 100; off += 33) {
		ASSERT_EQ(0, raw_query(raw, at + off, &query));
		EXPECT_EQ(FFG_WHERE_OBJECT, query.where);
		EXPECT_EQ(desc.object, query.object);
		EXPECT_EQ(desc.address, query.base);
		EXPECT_EQ(100, query.length);
		EXPECT_EQ(off, query.offset);
		EXPECT_EQ(0, query.slot);
		EXPECT_EQ(0, query.grants);
		EXPECT_EQ(FFG_OBJECT_END, query.placement);
	}
	ASSERT_EQ(0, raw_query(raw, at - 1, &query));
	EXPECT_EQ(FFG_WHERE_SLACK, query.where);
	EXPECT_EQ(-1, query.offset);
	EXPECT_EQ(desc.object, query.object);
	ASSERT_EQ(0, raw_query(raw, at + 100, &query));
	EXPECT_EQ(FFG_WHERE_SLACK, query.where);
	EXPECT_EQ(100, query.offset);
	ASSERT_EQ(0, raw_query(raw, at - RAW_PAGE, &query));
	EXPECT_EQ(FFG_WHERE_GUARD, query.where);
	EXPECT_EQ(desc.object, query.object);
	EXPECT_EQ(-(int64_t)RAW_PAGE, query.offset);
	ASSERT_EQ(0, raw_query(raw, at + RAW_PAGE, &query));
	EXPECT_EQ(FFG_WHERE_GUARD, query.where);

	for (int i = 0; i < 2; i++) {
		struct ffg_grant_desc whole = raw_whole(&desc, READ);

		ASSERT_EQ(0, raw_grant(raw, &whole, 1, FFG_BIND_NOW, &id));
		ASSERT_EQ(0, raw_query(raw, at, &query));
		EXPECT_EQ(i + 1, query.grants);
		EXPECT_NE(0, raw->slots & 1U << query.slot);
		/* The key is the slot's, as the word of the record has it. */
		EXPECT_EQ(RAW_WD(query.slot), raw_word(raw, &id) & RAW_CLOSED(query.slot));
	}
	/* Only granted pages carry it. */
	ENTER(RAW_PAGE, 1, READ);
	ASSERT_EQ(0, raw_query(raw, AT(0) + RAW_PAGE, &query));
	EXPECT_NE(0, query.slot);
	ASSERT_EQ(0, raw_query(raw, AT(0), &query));
	EXPECT_EQ(0, query.slot);

	ASSERT_EQ(0, raw_free(raw, self->desc[2].object));
	ASSERT_EQ(0, raw_query(raw, AT(2) + 3, &query));
	EXPECT_EQ(FFG_WHERE_FREED, query.where);
	EXPECT_EQ(0, query.object);
	EXPECT_EQ(3, query.offset);
	ASSERT_EQ(0, raw_query(raw, raw->arena + raw->hello.arena_size - 1, &query));
	EXPECT_EQ(FFG_WHERE_UNUSED, query.where);
	ASSERT_EQ(0, raw_query(raw, &query, &query));
	EXPECT_EQ(FFG_WHERE_OUTSIDE, query.where);
	ASSERT_EQ(0, raw_query(raw, NULL, &query));
	EXPECT_EQ(FFG_WHERE_OUTSIDE, query.where);
	ASSERT_EQ(0, raw_query(raw, raw->lines, &query));
	EXPECT_EQ(FFG_WHERE_CONTROL, query.where);
	ASSERT_EQ(0, raw_query(raw, raw->lines_ro, &query));
	EXPECT_EQ(FFG_WHERE_CONTROL, query.where);
	ASSERT_EQ(0, raw_query(raw, raw->records, &query));
	EXPECT_EQ(FFG_WHERE_CONTROL, query.where);
}

TEST_HARNESS_MAIN
