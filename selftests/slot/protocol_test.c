// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slot protocol on two processors: a thread stores what it holds and looks at the record
 * word, the module makes the word stale, interrupts the processors and looks at the lines.
 *
 * That it needs the interrupt is proven by selftests/unit/slot_protocol_model.py. Seen it would
 * be only with a store that waits in its buffer while the module scans, some times in millions of
 * evictions on a real processor and hardly ever in an emulated one: the litmus test below is
 * honest about the rest of the protocol, and the interrupt itself has a test of its own that
 * counts.
 */
#include "kselftest_harness.h"

#include "slots.h"

#define LITMUS_MS	4000
#define ENOUGH		100UL	/* calls, and evictions, that say something */
#define COLD_SIZE	(8U << 20)
#define BARRIERS	200

FIXTURE(protocol)
{
	struct slots s;
};

FIXTURE_SETUP(protocol)
{
	ASSERT_EQ(0, slots_open(&self->s, 1));
}

FIXTURE_TEARDOWN(protocol)
{
	EXPECT_EQ(0, slots_close(&self->s));
}

/* Function call interrupts that a processor has had, or -1. */
static long call_interrupts(int cpu)
{
	FILE *file = fopen("/proc/interrupts", "r");
	char text[1024];
	long count = -1;

	while (file && fgets(text, sizeof(text), file)) {
		char *at = strstr(text, "CAL:");

		if (!at)
			continue;
		at += 4;
		for (int i = 0; i <= cpu; i++)
			count = strtol(at, &at, 10);
	}
	if (file)
		fclose(file);
	return count;
}

/*
 * Every bind interrupts the other processor, where foreign code runs, though there is nothing to
 * flush: the object is larger than what is mapped in advance and nobody has touched it.
 */
TEST_F(protocol, bind_interrupts_the_other_processor)
{
	struct ffg_stats before, after;
	struct thing thing;
	long had, has;

	ASSERT_TRUE(foreign_pin(0));
	ASSERT_EQ(0, thing_new(&self->s, 64 * RAW_PAGE, INOUT, &thing));
	had = call_interrupts(1);
	ASSERT_LE(0, had);
	raw_stats(&self->s.raw, 0, &before);
	for (unsigned int i = 0; i < BARRIERS; i++) {
		struct ffg_grant_desc grant = raw_whole(&thing.desc, INOUT);
		struct ffg_record_id id;

		ASSERT_EQ(0, raw_grant(&self->s.raw, &grant, 1, FFG_BIND_NOW, &id));
		ASSERT_EQ(0, raw_revoke(&self->s.raw, &id));
	}
	has = call_interrupts(1);
	raw_stats(&self->s.raw, 0, &after);
	EXPECT_EQ(before.frames, after.frames);
	EXPECT_EQ(before.faults, after.faults);
	EXPECT_LE(BARRIERS, has - had)
		TH_LOG("%ld function call interrupts in %u binds", has - had, BARRIERS);
	EXPECT_LE(BARRIERS, after.ipis - before.ipis);
}

struct litmus {
	struct slots *s;
	struct thing *thing;
	volatile int stop;
	unsigned char *cold;
	unsigned long calls, stale, faults, wrong;
};

static void *litmus_main(void *arg)
{
	struct litmus *litmus = arg;
	const struct raw *raw = &litmus->s->raw;
	int line = raw_attach(raw);
	uint32_t dice = 1;

	foreign_pin(1);
	while (!litmus->stop) {
		struct raw_call call;
		volatile unsigned int value = 0;
		int code;

		/*
		 * Stores that miss the caches, so that the one of the line has to wait behind
		 * them.
		 */
		for (unsigned int i = 0; i < 6; i++) {
			dice = dice * 1103515245 + 12345;
			*(volatile unsigned char *)&litmus->cold[dice % COLD_SIZE] = 1;
		}
		if (!raw_enter(raw, line, &litmus->thing->id, &call)) {
			litmus->stale++;
			continue;
		}
		/*
		 * In the call the slot is this thread's: whatever faults here was taken away
		 * under it.
		 */
		code = FOREIGN_IN(&call, value = litmus->s->shapes.sum(litmus->thing->at, 64));
		if (code)
			litmus->faults++;
		else if (value != 0x11)
			litmus->wrong++;
		litmus->calls++;
		raw_leave(&call);
	}
	return NULL;
}

/* Some seconds, and where the host is busy until something was tried, but not for ever. */
static bool litmus_goes_on(const struct litmus *litmus, uint64_t begun, unsigned long evictions)
{
	uint64_t ms = foreign_now_ms() - begun;

	if (ms < LITMUS_MS)
		return true;
	return ms < 15 * LITMUS_MS &&
	       (evictions <= ENOUGH ||
		__atomic_load_n(&litmus->calls, __ATOMIC_RELAXED) <= ENOUGH ||
		__atomic_load_n(&litmus->stale, __ATOMIC_RELAXED) <= ENOUGH);
}

/* Nobody is ever in a call whose slot was given to another. */
TEST_F(protocol, litmus)
{
	struct litmus litmus = { .s = &self->s };
	unsigned long evictions = 0, busy = 0;
	struct thing things[2];
	pthread_t thread;
	uint64_t begun;

	for (unsigned int i = 0; i < 2; i++) {
		ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &things[i]));
		*things[i].at = 0x11 * (i + 1);
	}
	/* Both processors for the two threads of this test. */
	for (unsigned int i = 0; i < CPUS; i++)
		ASSERT_EQ(0, spinner_stop(&self->s.idle[i]));
	ASSERT_TRUE(foreign_pin(0));
	litmus.cold = malloc(COLD_SIZE);
	litmus.thing = &things[0];
	ASSERT_NE(NULL, litmus.cold);
	memset(litmus.cold, 1, COLD_SIZE);
	ASSERT_EQ(0, pthread_create(&thread, NULL, litmus_main, &litmus));
	begun = foreign_now_ms();
	while (litmus_goes_on(&litmus, begun, evictions)) {
		int err = raw_bind(&self->s.raw, &things[1].id, 0, 0);

		ASSERT_TRUE(!err || err == -EBUSY);
		evictions += !err;
		busy += err == -EBUSY;
		err = raw_bind(&self->s.raw, &things[0].id, 0, 0);
		ASSERT_TRUE(!err || err == -EBUSY);
		for (volatile unsigned int i = 0; i < (evictions + busy) % 300; i++)
			;
	}
	litmus.stop = 1;
	ASSERT_EQ(0, pthread_join(thread, NULL));
	TH_LOG("%lu calls, %lu found a stale word; %lu evictions, %lu found it held", litmus.calls,
	       litmus.stale, evictions, busy);
	EXPECT_EQ(0, litmus.faults)
		TH_LOG("%lu calls were in a slot that was taken away", litmus.faults);
	EXPECT_EQ(0, litmus.wrong)
		TH_LOG("%lu calls saw another object's bytes", litmus.wrong);
	/* Or nothing was tried. */
	EXPECT_LT(ENOUGH, litmus.calls);
	EXPECT_LT(ENOUGH, litmus.stale);
	EXPECT_LT(ENOUGH, evictions);
	EXPECT_LT(0, busy);
	free(litmus.cold);
}

TEST_HARNESS_MAIN
