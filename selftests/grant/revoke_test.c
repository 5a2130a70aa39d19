// SPDX-License-Identifier: GPL-2.0-only
/* Revoke: how a grant ends, for a call that runs, for a later one, and for other records. */
#include "kselftest_harness.h"

#include "grants.h"

FIXTURE(revoke)
{
	struct raw raw;
	struct shapes shapes;
	struct ffg_record_id nothing;	/* a record without grants */
};

FIXTURE_SETUP(revoke)
{
	foreign_catch_faults();
	ASSERT_TRUE(shapes_load(&self->shapes));
	ASSERT_EQ(0, raw_open(&self->raw, SLOTS));
	ASSERT_EQ(0, raw_grant(&self->raw, NULL, 0, FFG_BIND_NOW, &self->nothing));
}

FIXTURE_TEARDOWN(revoke)
{
	raw_close(&self->raw);
}

/*
 * A thread that is inside the call on another CPU, with the page in its TLB, is stopped when the
 * command returns: nothing changes any more. Another one, with an object of its own, goes on.
 */
TEST_F(revoke, revoke_stops_a_running_call_at_once)
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
		for (uint64_t end = foreign_now_ms() + 20000; !*p && foreign_now_ms() < end;)
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
TEST_F(revoke, kept_pointer_is_closed_in_a_later_call)
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

TEST_F(revoke, revoke_twice)
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

TEST_F(revoke, revoke_that_keeps_the_record)
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
TEST_F_TIMEOUT(revoke, index_of_a_running_record_is_not_reused, 300)
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
TEST_F(revoke, other_records_of_a_revoked_object_go_on)
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

TEST_HARNESS_MAIN
