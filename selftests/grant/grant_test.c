// SPDX-License-Identifier: GPL-2.0-only
/*
 * Grants: what is closed without one, what the records of a context do to each other, and what
 * is refused. What a grant opens, byte by byte, is in placement_test.c; how it ends is in
 * revoke_test.c.
 */
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "grants.h"

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

/* As many as there may be, and not one more until one goes. */
TEST_F_TIMEOUT(grant, all_records, 400)
{
	unsigned int made = 1;		/* the one without grants */
	struct ffg_record_id id = { 0 }, last;
	struct ffg_stats stats;
	int err;

	while (!(err = raw_grant(&self->raw, NULL, 0, 0, &last))) {
		id = last;
		made++;
	}
	EXPECT_EQ(-EUSERS, err);
	EXPECT_EQ(FFG_RECORDS_MAX, made);
	EXPECT_EQ(-EUSERS, raw_grant(&self->raw, NULL, 0, 0, &last));
	raw_stats(&self->raw, 0, &stats);
	EXPECT_EQ(FFG_RECORDS_MAX, stats.records);
	ASSERT_EQ(0, raw_revoke(&self->raw, &id));
	ASSERT_EQ(0, raw_grant(&self->raw, NULL, 0, 0, &last));
	EXPECT_EQ(id.record, last.record);
	EXPECT_NE(id.serial, last.serial);
	EXPECT_EQ(-ENOENT, raw_bind(&self->raw, &id, 0, 0));
	EXPECT_EQ(-EUSERS, raw_grant(&self->raw, NULL, 0, 0, &id));
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
