// SPDX-License-Identifier: GPL-2.0-only
/*
 * Grants: what is closed without one, what the records of a context do to each other, and how
 * they end. What a grant opens, byte by byte, is in placement_test.c.
 */
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "foreign_call.h"

#define IN	FFG_RIGHT_READ
#define INOUT	(FFG_RIGHT_READ | FFG_RIGHT_WRITE)
#define SLOTS	6

FIXTURE(grant)
{
	struct raw raw;
	struct shapes shapes;
	struct ffg_record_id nothing;	/* a record without grants */
};

FIXTURE_SETUP(grant)
{
	foreign_catch_faults();
	ASSERT_TRUE(shapes_load(&self->shapes));
	ASSERT_EQ(0, raw_open(&self->raw, SLOTS));
	ASSERT_EQ(0, raw_grant(&self->raw, NULL, 0, FFG_BIND_NOW, &self->nothing));
}

FIXTURE_TEARDOWN(grant)
{
	raw_close(&self->raw);
}

static unsigned char *object(struct __test_metadata *_metadata, const struct raw *raw,
			     uint64_t length, struct ffg_object_desc *desc)
{
	ASSERT_EQ(0, raw_alloc(raw, length, 0, desc));
	return (unsigned char *)(uintptr_t)desc->address;
}

/* One access in a call with a record. */
static int reads(const struct raw *raw, const struct shapes *shapes,
		 const struct ffg_record_id *id, const unsigned char *at)
{
	return FOREIGN(raw, 0, id, shapes->read1(at, 0));
}

static int writes(const struct raw *raw, const struct shapes *shapes,
		  const struct ffg_record_id *id, unsigned char *at)
{
	return FOREIGN(raw, 0, id, shapes->write1(at, 0, 0x77));
}

/* ---- without a grant ---- */

TEST_F(grant, object_without_a_grant_is_closed)
{
	static const uint64_t lengths[] = { 1, 100, 4096, 5 * 4096 };

	for (unsigned int i = 0; i < 4; i++) {
		struct ffg_object_desc desc;
		unsigned char *p = object(_metadata, &self->raw, lengths[i], &desc);

		*p = 0x11;
		EXPECT_EQ(RAW_PKUERR, reads(&self->raw, &self->shapes, &self->nothing, p))
			TH_LOG("an object without a grant was read");
		EXPECT_EQ(RAW_PKUERR, writes(&self->raw, &self->shapes, &self->nothing, p))
			TH_LOG("an object without a grant was written");
		EXPECT_EQ(RAW_PKUERR, reads(&self->raw, &self->shapes, &self->nothing,
					    p + lengths[i] - 1));
		EXPECT_EQ(0x11, *p);
	}
}

TEST_F(grant, lines_and_records_are_closed)
{
	unsigned char *line = (unsigned char *)&self->raw.lines[0].fpkru;
	unsigned char *alias = (unsigned char *)&self->raw.lines_ro[0].fpkru;
	unsigned char *record = (unsigned char *)&self->raw.records[self->nothing.record].word;

	EXPECT_EQ(RAW_PKUERR, reads(&self->raw, &self->shapes, &self->nothing, line));
	EXPECT_EQ(RAW_PKUERR, writes(&self->raw, &self->shapes, &self->nothing, line));
	EXPECT_EQ(RAW_PKUERR, reads(&self->raw, &self->shapes, &self->nothing, record));
	EXPECT_EQ(RAW_PKUERR, writes(&self->raw, &self->shapes, &self->nothing, record));
	/* The gate reads the alias while SAFE is closed; nobody writes it, trusted code neither. */
	EXPECT_EQ(0, reads(&self->raw, &self->shapes, &self->nothing, alias));
	EXPECT_EQ(RAW_ACCERR, writes(&self->raw, &self->shapes, &self->nothing, alias));
	EXPECT_EQ(RAW_ACCERR, raw_touch(alias, true));
	EXPECT_EQ(RAW_ACCERR, raw_touch(record, true));
}

/* The kernel does not look at PKRU on this way: the module has to. */
TEST_F(grant, own_mem_file_obeys_rights)
{
	struct ffg_object_desc desc[3];
	unsigned char *closed = object(_metadata, &self->raw, 100, &desc[0]);
	unsigned char *in = object(_metadata, &self->raw, 100, &desc[1]);
	unsigned char *inout = object(_metadata, &self->raw, 100, &desc[2]);
	struct ffg_grant_desc grants[] = { raw_whole(&desc[1], IN), raw_whole(&desc[2], INOUT) };
	int mem = open("/proc/self/mem", O_RDWR);
	volatile long count[6];
	struct ffg_record_id id;
	volatile char byte = 0x5a;
	int code;

	ASSERT_LE(0, mem);
	*closed = 0x11;
	*in = 0x11;
	*inout = 0x11;
	ASSERT_EQ(0, raw_grant(&self->raw, grants, 2, FFG_BIND_NOW, &id));
	code = FOREIGN(&self->raw, 0, &id,
		       count[0] = pread(mem, (char *)&byte, 1, (uintptr_t)closed);
		       count[1] = pwrite(mem, "w", 1, (uintptr_t)closed);
		       count[2] = pread(mem, (char *)&byte, 1, (uintptr_t)in);
		       count[3] = pwrite(mem, "w", 1, (uintptr_t)in);
		       count[4] = pread(mem, (char *)&byte, 1, (uintptr_t)inout);
		       count[5] = pwrite(mem, "w", 1, (uintptr_t)inout));
	ASSERT_EQ(0, code);
	EXPECT_EQ(-1, count[0])
		TH_LOG("a closed object was read through /proc/self/mem");
	EXPECT_EQ(-1, count[1])
		TH_LOG("a closed object was written through /proc/self/mem");
	EXPECT_EQ(1, count[2]);
	EXPECT_EQ(-1, count[3])
		TH_LOG("a read-only grant was written through /proc/self/mem");
	EXPECT_EQ(1, count[4]);
	EXPECT_EQ(1, count[5]);
	EXPECT_EQ(0x11, *closed);
	EXPECT_EQ(0x11, *in);
	EXPECT_EQ('w', *inout);
	close(mem);
}

/* ---- records beside each other ---- */

TEST_F(grant, two_records_share_an_object_with_different_rights)
{
	struct ffg_object_desc desc;
	unsigned char *p = object(_metadata, &self->raw, 100, &desc);
	struct ffg_grant_desc in = raw_whole(&desc, IN), inout = raw_whole(&desc, INOUT);
	struct spinner spinner = {
		.raw = &self->raw, .shapes = &self->shapes, .target = p, .cpu = 1,
	};
	struct ffg_record_id reader;
	struct ffg_stats before, after;

	ASSERT_TRUE(foreign_pin(0));
	ASSERT_EQ(0, raw_grant(&self->raw, &inout, 1, FFG_BIND_NOW, &spinner.id));
	ASSERT_EQ(0, raw_grant(&self->raw, &in, 1, FFG_BIND_NOW, &reader));
	ASSERT_EQ(0, spinner_start(&spinner));
	raw_stats(&self->raw, 0, &before);
	for (int round = 0; round < 200; round++) {
		ASSERT_EQ(0, reads(&self->raw, &self->shapes, &reader, p));
		ASSERT_EQ(RAW_PKUERR, writes(&self->raw, &self->shapes, &reader, p));
	}
	raw_stats(&self->raw, 0, &after);
	/* They share the binding too: nobody had to give way. */
	EXPECT_EQ(before.evictions, after.evictions);
	EXPECT_EQ(0, spinner_stop(&spinner));
	/* What was read-only for one call is writable for the next. */
	ASSERT_EQ(0, writes(&self->raw, &self->shapes, &spinner.id, p));
	ASSERT_EQ(RAW_PKUERR, writes(&self->raw, &self->shapes, &reader, p));
}

/* Objects of one record share slots by rights; no order of grants makes IN writable. */
TEST(in_stays_read_only_in_a_shared_slot)
{
	struct ffg_object_desc desc[6];
	struct ffg_grant_desc grants[6];
	struct shapes shapes;
	struct raw raw;

	foreign_catch_faults();
	ASSERT_TRUE(shapes_load(&shapes));
	ASSERT_EQ(0, raw_open(&raw, 2));
	for (unsigned int i = 0; i < 6; i++)
		object(_metadata, &raw, 50 + 3000 * i, &desc[i]);
	for (unsigned int writable = 0; writable < 1U << 6; writable++) {
		struct ffg_record_id id;

		for (unsigned int i = 0; i < 6; i++)
			grants[i] = raw_whole(&desc[i], writable & 1U << i ? INOUT : IN);
		ASSERT_EQ(0, raw_grant(&raw, grants, 6, FFG_BIND_NOW, &id));
		for (unsigned int i = 0; i < 6; i++) {
			unsigned char *p = (unsigned char *)(uintptr_t)desc[i].address;
			int want = writable & 1U << i ? 0 : RAW_PKUERR;

			ASSERT_EQ(0, reads(&raw, &shapes, &id, p));
			ASSERT_EQ(want, writes(&raw, &shapes, &id, p))
				TH_LOG("object %u of rights %02x", i, writable);
		}
		ASSERT_EQ(0, raw_revoke(&raw, &id));
	}
	raw_close(&raw);
}

/* Pages that an earlier record had granted, and a later one has not, are closed again. */
TEST_F(grant, pages_left_over_from_another_record_are_closed)
{
	struct ffg_object_desc desc;
	unsigned char *p = object(_metadata, &self->raw, 8 * RAW_PAGE, &desc);
	struct ffg_grant_desc ranges[] = {
		raw_whole(&desc, INOUT),
		raw_range(desc.object, 3 * RAW_PAGE, 1, INOUT),
		raw_range(desc.object, RAW_PAGE, 4 * RAW_PAGE, IN),
		raw_range(desc.object, 7 * RAW_PAGE + 5, 1, INOUT),
	};
	struct ffg_record_id ids[4];

	for (unsigned int i = 0; i < 4; i++)
		ASSERT_EQ(0, raw_grant(&self->raw, &ranges[i], 1, 0, &ids[i]));
	/* In turn, so that each finds what each other left. */
	for (unsigned int round = 0; round < 16; round++) {
		unsigned int which = round % 4 ^ round / 4;
		const struct ffg_grant_desc *range = &ranges[which];

		ASSERT_EQ(0, raw_bind(&self->raw, &ids[which], 0, 0));
		for (unsigned int page = 0; page < 8; page++) {
			bool open = page >= range->offset / RAW_PAGE &&
				    page <= (range->offset + range->length - 1) / RAW_PAGE;
			unsigned char *at = p + page * RAW_PAGE + 17;

			ASSERT_EQ(open ? 0 : RAW_PKUERR,
				  reads(&self->raw, &self->shapes, &ids[which], at))
				TH_LOG("round %u, record %u, page %u", round, which, page);
			ASSERT_EQ(open && range->rights == INOUT ? 0 : RAW_PKUERR,
				  writes(&self->raw, &self->shapes, &ids[which], at))
				TH_LOG("round %u, record %u, page %u", round, which, page);
		}
	}
	/* And all of them when nothing is granted any more. */
	ASSERT_EQ(0, raw_revoke_batch(&self->raw, ids, 4, 0, NULL, NULL));
	for (unsigned int page = 0; page < 8; page++)
		ASSERT_EQ(RAW_PKUERR, reads(&self->raw, &self->shapes, &self->nothing,
					    p + page * RAW_PAGE));
}

/* ---- revoke ---- */

/*
 * A thread that is inside the call on another CPU, with the page in its TLB, is stopped when the
 * command returns: nothing changes any more. Another one, with an object of its own, goes on.
 */
TEST_F(grant, revoke_stops_a_running_call_at_once)
{
	struct ffg_object_desc desc[2];
	volatile unsigned char *p = object(_metadata, &self->raw, 64, &desc[0]);
	volatile unsigned char *q = object(_metadata, &self->raw, 64, &desc[1]);
	struct ffg_grant_desc grants[] = { raw_whole(&desc[0], INOUT), raw_whole(&desc[1], INOUT) };

	ASSERT_TRUE(foreign_pin(0));
	for (int round = 0; round < 20; round++) {
		struct spinner victim = {
			.raw = &self->raw, .shapes = &self->shapes, .target = p, .cpu = 1,
		};
		struct spinner other = {
			.raw = &self->raw, .shapes = &self->shapes, .target = q, .cpu = 1,
		};
		int code;

		ASSERT_EQ(0, raw_grant(&self->raw, &grants[0], 1, FFG_BIND_NOW, &victim.id));
		ASSERT_EQ(0, raw_grant(&self->raw, &grants[1], 1, FFG_BIND_NOW, &other.id));
		ASSERT_EQ(0, spinner_start(&victim));
		ASSERT_EQ(0, spinner_start(&other));
		*p = 0;
		for (uint64_t end = foreign_now_ms() + 2000; !*p && foreign_now_ms() < end;)
			;
		ASSERT_NE(0, *p)
			TH_LOG("the foreign thread does not run");
		ASSERT_EQ(0, raw_revoke(&self->raw, &victim.id));
		*p = 0;
		foreign_sleep_ms(20);
		EXPECT_EQ(0, *p)
			TH_LOG("written after revoke had returned");
		code = spinner_stop(&victim);
		EXPECT_EQ(RAW_PKUERR, code)
			TH_LOG("the running call was not stopped by revoke");
		code = spinner_stop(&other);
		EXPECT_EQ(0, code)
			TH_LOG("a call with another object was stopped by revoke");
		ASSERT_EQ(0, raw_revoke(&self->raw, &other.id));
		if (victim.code != RAW_PKUERR)
			break;
	}
}

/* A pointer that foreign code kept is worth nothing in a later call. */
TEST_F(grant, kept_pointer_is_closed_in_a_later_call)
{
	struct ffg_object_desc desc[2];
	unsigned char *p = object(_metadata, &self->raw, 64, &desc[0]);
	unsigned char *q = object(_metadata, &self->raw, 64, &desc[1]);
	struct ffg_grant_desc grants[] = { raw_whole(&desc[0], INOUT), raw_whole(&desc[1], INOUT) };
	struct ffg_record_id first, second;
	int code;

	ASSERT_EQ(0, raw_grant(&self->raw, &grants[0], 1, FFG_BIND_NOW, &first));
	ASSERT_EQ(0, raw_grant(&self->raw, &grants[1], 1, FFG_BIND_NOW, &second));
	code = FOREIGN(&self->raw, 0, &first,
		       self->shapes.keep(p); self->shapes.write_kept(0, 1));
	ASSERT_EQ(0, code);
	/* The grant still lives, but it is not of this call. */
	code = FOREIGN(&self->raw, 0, &second, self->shapes.write_kept(0, 2));
	EXPECT_EQ(RAW_PKUERR, code);
	ASSERT_EQ(0, raw_revoke(&self->raw, &first));
	code = FOREIGN(&self->raw, 0, &second, self->shapes.write_kept(0, 2));
	EXPECT_EQ(RAW_PKUERR, code);
	code = FOREIGN(&self->raw, 0, &second, self->shapes.read_kept(0));
	EXPECT_EQ(RAW_PKUERR, code);
	code = FOREIGN(&self->raw, 0, &second, self->shapes.write1(q, 0, 2));
	EXPECT_EQ(0, code);
	EXPECT_EQ(1, *p);
}

TEST_F(grant, revoke_twice)
{
	struct ffg_object_desc desc;
	unsigned char *p = object(_metadata, &self->raw, 64, &desc);
	struct ffg_grant_desc grant = raw_whole(&desc, INOUT);
	struct ffg_record_id ids[3], twice[2], unknown;

	for (unsigned int i = 0; i < 3; i++)
		ASSERT_EQ(0, raw_grant(&self->raw, &grant, 1, FFG_BIND_NOW, &ids[i]));
	ASSERT_EQ(0, raw_revoke(&self->raw, &ids[0]));
	EXPECT_EQ(-ENOENT, raw_revoke(&self->raw, &ids[0]));
	EXPECT_EQ(-ENOENT, raw_bind(&self->raw, &ids[0], 0, 0));

	/* All or nothing: in a batch with one that is gone, or twice the same. */
	EXPECT_EQ(-ENOENT, raw_revoke_batch(&self->raw, ids, 3, 0, NULL, NULL));
	twice[0] = ids[1];
	twice[1] = ids[1];
	EXPECT_EQ(-ENOENT, raw_revoke_batch(&self->raw, twice, 2, 0, NULL, NULL));
	ASSERT_EQ(0, writes(&self->raw, &self->shapes, &ids[1], p));
	ASSERT_EQ(0, writes(&self->raw, &self->shapes, &ids[2], p));

	/* The right index with a wrong serial is another record. */
	unknown = ids[1];
	unknown.serial++;
	EXPECT_EQ(-ENOENT, raw_revoke(&self->raw, &unknown));
	EXPECT_EQ(0, raw_revoke_batch(&self->raw, &ids[1], 2, 0, NULL, NULL));
	EXPECT_EQ(0, raw_free(&self->raw, desc.object));
}

TEST_F(grant, revoke_that_keeps_the_record)
{
	struct ffg_object_desc desc;
	unsigned char *p = object(_metadata, &self->raw, 64, &desc);
	struct ffg_grant_desc grant = raw_whole(&desc, INOUT);
	struct ffg_record_id id;
	struct ffg_stats before, after;

	ASSERT_EQ(0, raw_grant(&self->raw, &grant, 1, FFG_BIND_NOW, &id));
	ASSERT_EQ(0, writes(&self->raw, &self->shapes, &id, p));
	raw_stats(&self->raw, 0, &before);
	ASSERT_EQ(0, raw_revoke_batch(&self->raw, &id, 1, FFG_REVOKE_KEEP, NULL, NULL));
	/* No thread enters with it any more, and nothing makes it valid. */
	EXPECT_EQ(FFG_WORD_STALE, raw_word(&self->raw, &id) & FFG_WORD_STALE);
	EXPECT_EQ(-ESTALE, raw_bind(&self->raw, &id, 0, 0));
	EXPECT_EQ(-ESTALE, raw_bind(&self->raw, &id, FFG_BIND_WAIT, 0));
	EXPECT_EQ(-ESTALE, writes(&self->raw, &self->shapes, &id, p));
	EXPECT_EQ(id.serial, self->raw.records[id.record].serial);
	raw_stats(&self->raw, 0, &after);
	EXPECT_EQ(before.records, after.records);
	/* It holds the object no longer. */
	EXPECT_EQ(0, raw_free(&self->raw, desc.object));
	/* Again changes nothing; without the flag it goes. */
	EXPECT_EQ(0, raw_revoke_batch(&self->raw, &id, 1, FFG_REVOKE_KEEP, NULL, NULL));
	EXPECT_EQ(-ESTALE, raw_bind(&self->raw, &id, 0, 0));
	EXPECT_EQ(0, raw_revoke(&self->raw, &id));
	EXPECT_EQ(-ENOENT, raw_bind(&self->raw, &id, 0, 0));
	raw_stats(&self->raw, 0, &after);
	EXPECT_EQ(before.records - 1, after.records);
}

/*
 * The index of a record that a thread is still in a call with is not given to another one, and
 * neither is that of a dead one that was kept.  Another index comes round in the meantime, so the
 * search did pass by.
 */
TEST_F_TIMEOUT(grant, index_of_a_running_record_is_not_reused, 300)
{
	struct ffg_record_id cited, kept, control, batch[FFG_BATCH_MAX];
	struct raw_call call;
	bool reused = false;

	ASSERT_EQ(0, raw_grant(&self->raw, NULL, 0, FFG_BIND_NOW, &cited));
	ASSERT_EQ(0, raw_grant(&self->raw, NULL, 0, FFG_BIND_NOW, &kept));
	ASSERT_EQ(0, raw_grant(&self->raw, NULL, 0, FFG_BIND_NOW, &control));
	ASSERT_TRUE(raw_enter(&self->raw, 0, &cited, &call));
	ASSERT_EQ(0, raw_revoke(&self->raw, &cited));
	ASSERT_EQ(0, raw_revoke_batch(&self->raw, &kept, 1, FFG_REVOKE_KEEP, NULL, NULL));
	ASSERT_EQ(0, raw_revoke(&self->raw, &control));
	for (unsigned int made = 0; made < FFG_RECORDS_MAX + FFG_BATCH_MAX;) {
		for (unsigned int i = 0; i < FFG_BATCH_MAX; i++, made++) {
			ASSERT_EQ(0, raw_grant(&self->raw, NULL, 0, 0, &batch[i]));
			ASSERT_NE(cited.record, batch[i].record);
			ASSERT_NE(kept.record, batch[i].record);
			reused |= batch[i].record == control.record;
		}
		ASSERT_EQ(0, raw_revoke_batch(&self->raw, batch, FFG_BATCH_MAX, 0, NULL, NULL));
	}
	EXPECT_TRUE(reused);
	raw_leave(&call);
}

/*
 * Revoke closes the object to every record; a thread in a call with one that still grants it
 * faults once, and goes on.
 */
TEST_F(grant, other_records_of_a_revoked_object_go_on)
{
	struct ffg_object_desc desc;
	unsigned char *p = object(_metadata, &self->raw, 64, &desc);
	struct ffg_grant_desc grant = raw_whole(&desc, INOUT);
	struct ffg_stats stats;
	unsigned int rounds;
	int code;

	foreign_judge = &self->raw;
	for (rounds = 0; rounds < 20; rounds++) {
		struct ffg_record_id mine, theirs;
		struct raw_call call;

		ASSERT_EQ(0, raw_grant(&self->raw, &grant, 1, FFG_BIND_NOW, &mine));
		ASSERT_EQ(0, raw_grant(&self->raw, &grant, 1, FFG_BIND_NOW, &theirs));
		ASSERT_TRUE(raw_enter(&self->raw, 0, &mine, &call));
		code = FOREIGN_IN(&call, self->shapes.write1(p, 0, rounds));
		ASSERT_EQ(0, code);
		ASSERT_EQ(rounds, foreign_retries);
		ASSERT_EQ(0, raw_revoke(&self->raw, &theirs));
		code = FOREIGN_IN(&call, self->shapes.write1(p, 1, rounds));
		ASSERT_EQ(0, code);
		ASSERT_EQ(rounds + 1, foreign_retries);
		EXPECT_EQ(rounds, p[1]);
		/* With its own it is over. */
		ASSERT_EQ(0, raw_revoke_batch(&self->raw, &mine, 1, FFG_REVOKE_KEEP, NULL, NULL));
		code = FOREIGN_IN(&call, self->shapes.write1(p, 2, 1));
		ASSERT_EQ(RAW_PKUERR, code);
		EXPECT_EQ(FFG_VERDICT_VIOLATION, foreign_fault.verdict);
		EXPECT_EQ(FFG_REASON_REVOKED, foreign_fault.reason);
		raw_leave(&call);
		ASSERT_EQ(0, raw_revoke(&self->raw, &mine));
	}
	raw_stats(&self->raw, 0, &stats);
	EXPECT_EQ(rounds, stats.retries);
	EXPECT_EQ(rounds, stats.violations);
}

/* ---- what is refused ---- */

TEST_F(grant, beyond_the_object)
{
	static const struct {
		uint64_t offset, length;
		int error;
	} ranges[] = {
		{ 0, 101, -ERANGE }, { 100, 1, -ERANGE }, { 99, 2, -ERANGE }, { 50, 51, -ERANGE },
		{ UINT64_MAX, 1, -ERANGE }, { 1, UINT64_MAX, -ERANGE }, { 4096, 1, -ERANGE },
		{ UINT64_MAX, UINT64_MAX, -ERANGE }, { 0, UINT64_MAX, -ERANGE },
		{ UINT64_MAX - 4095, 4096, -ERANGE }, { 0, 0, -EINVAL }, { 100, 0, -EINVAL },
	};
	struct ffg_object_desc desc;
	unsigned char *p = object(_metadata, &self->raw, 100, &desc);
	struct ffg_grant_desc grant;
	struct ffg_record_id id;
	struct ffg_stats before, after;

	raw_stats(&self->raw, 0, &before);
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
		grant = raw_range(desc.object, ranges[i].offset, ranges[i].length, INOUT);
		EXPECT_EQ(ranges[i].error, raw_grant(&self->raw, &grant, 1, FFG_BIND_NOW, &id))
			TH_LOG("[%llu, +%llu)", (unsigned long long)ranges[i].offset,
			       (unsigned long long)ranges[i].length);
	}
	for (unsigned int rights = 0; rights < 16; rights++) {
		if (rights == IN || rights == INOUT)
			continue;
		grant = raw_whole(&desc, rights);
		EXPECT_EQ(-EINVAL, raw_grant(&self->raw, &grant, 1, 0, &id));
	}
	raw_stats(&self->raw, 0, &after);
	EXPECT_EQ(before.records, after.records);
	EXPECT_EQ(before.grants, after.grants);
	EXPECT_EQ(RAW_PKUERR, reads(&self->raw, &self->shapes, &self->nothing, p));
	EXPECT_EQ(0, raw_free(&self->raw, desc.object));
}

TEST_F(grant, an_object_twice)
{
	struct ffg_object_desc desc[2];
	struct ffg_grant_desc grants[3];
	struct ffg_record_id id;

	object(_metadata, &self->raw, 100, &desc[0]);
	object(_metadata, &self->raw, 100, &desc[1]);
	grants[0] = raw_range(desc[0].object, 0, 10, IN);
	grants[1] = raw_whole(&desc[1], INOUT);
	grants[2] = raw_range(desc[0].object, 50, 10, INOUT);
	EXPECT_EQ(-EEXIST, raw_grant(&self->raw, grants, 3, FFG_BIND_NOW, &id));
	/* Nothing stays granted. */
	EXPECT_EQ(0, raw_free(&self->raw, desc[0].object));
	EXPECT_EQ(0, raw_free(&self->raw, desc[1].object));
}

TEST_F(grant, free_while_granted)
{
	struct ffg_object_desc desc[3];
	uint64_t handles[3];
	struct ffg_record_id id;
	struct ffg_grant_desc grant;
	unsigned char *p;

	for (unsigned int i = 0; i < 3; i++) {
		p = object(_metadata, &self->raw, 100, &desc[i]);
		handles[i] = desc[i].object;
	}
	p = (unsigned char *)(uintptr_t)desc[1].address;
	grant = raw_whole(&desc[1], INOUT);
	ASSERT_EQ(0, raw_grant(&self->raw, &grant, 1, FFG_BIND_NOW, &id));
	EXPECT_EQ(-EBUSY, raw_free(&self->raw, handles[1]));
	/* Nor the others of its batch. */
	EXPECT_EQ(-EBUSY, raw_free_batch(&self->raw, handles, 3));
	EXPECT_EQ(0, writes(&self->raw, &self->shapes, &id, p));
	for (unsigned int i = 0; i < 3; i++)
		EXPECT_EQ(0, raw_touch((void *)(uintptr_t)desc[i].address, true));
	ASSERT_EQ(0, raw_revoke(&self->raw, &id));
	EXPECT_EQ(0, raw_free_batch(&self->raw, handles, 3));
	EXPECT_EQ(RAW_MAPERR, raw_touch(p, false));
	/* And what is gone is not granted. */
	EXPECT_EQ(-ENOENT, raw_grant(&self->raw, &grant, 1, 0, &id));
}

/* A stale pointer meets nothing, for as long as the address rests. */
TEST_F(grant, freed_address_rests)
{
	struct ffg_object_desc desc, later;
	unsigned char *p = object(_metadata, &self->raw, 100, &desc);
	const uint64_t arena = (uintptr_t)self->raw.arena;
	uint64_t extent = (desc.address - arena) >> 17;
	struct ffg_grant_desc grant;
	struct ffg_record_id id;
	bool met = false;
	int code;

	ASSERT_EQ(0, raw_free(&self->raw, desc.object));
	for (unsigned int i = 0; i < 100; i++) {
		object(_metadata, &self->raw, 100, &later);
		EXPECT_NE(desc.object, later.object);
		met = (later.address - arena) >> 17 == extent;
		if (met)
			break;	/* and what is granted may be the very byte */
		grant = raw_whole(&later, INOUT);
		ASSERT_EQ(0, raw_grant(&self->raw, &grant, 1, FFG_BIND_NOW, &id));
		code = FOREIGN(&self->raw, 0, &id, self->shapes.write1(p, 0, 1));
		ASSERT_NE(0, code);
		ASSERT_EQ(0, raw_revoke(&self->raw, &id));
		if (i % 2)
			ASSERT_EQ(0, raw_free(&self->raw, later.object));
	}
	EXPECT_FALSE(met)
		TH_LOG("the address of a freed object was given out again at once");
}

/* Another context's object is just a number here, and its descriptor is refused there. */
TEST_F(grant, another_context)
{
	struct ffg_object_desc desc, theirs;
	struct ffg_grant_desc grant;
	struct ffg_damage damage;
	struct ffg_record_id id;
	int tell[2], answer[2], status;
	pid_t child;

	object(_metadata, &self->raw, 100, &desc);
	ASSERT_EQ(0, pipe(tell));
	ASSERT_EQ(0, pipe(answer));
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		/*
		 * The keys are inherited with the rest: this context has to do with what is left.
		 */
		struct raw own;
		int wrong = 0;

		grant = raw_whole(&desc, INOUT);
		wrong |= raw_grant(&self->raw, &grant, 1, 0, &id) != -EXDEV;
		wrong |= raw_free(&self->raw, desc.object) != -EXDEV;
		wrong |= raw_revoke(&self->raw, &self->nothing) != -EXDEV;
		wrong |= raw_open(&own, 2) != 0;
		for (unsigned int i = 0; i < 40; i++)
			wrong |= raw_alloc(&own, 100, 0, &theirs) != 0;
		wrong |= write(tell[1], &theirs, sizeof(theirs)) != sizeof(theirs);
		/* It lives until the parent has tried. */
		wrong |= read(answer[0], &status, 1) != 1;
		wrong |= raw_touch((void *)(uintptr_t)theirs.address, true) != 0;
		_exit(wrong);
	}
	ASSERT_EQ((ssize_t)sizeof(theirs), read(tell[0], &theirs, sizeof(theirs)));
	ASSERT_NE(desc.object, theirs.object);
	grant = raw_whole(&theirs, INOUT);
	EXPECT_EQ(-ENOENT, raw_grant(&self->raw, &grant, 1, FFG_BIND_NOW, &id));
	EXPECT_EQ(-ENOENT, raw_free(&self->raw, theirs.object));
	EXPECT_EQ(-ENOENT, raw_check(&self->raw, theirs.object, &damage));
	ASSERT_EQ(1, write(answer[1], "", 1));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, raw_free(&self->raw, desc.object));
}

TEST_HARNESS_MAIN
