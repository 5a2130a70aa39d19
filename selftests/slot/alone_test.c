// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process of one thread: nobody is interrupted and no line but its own is looked at.  That has to
 * end as soon as anybody shares its memory, thread or not.
 */
#include <sched.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "slots.h"

#define STACK	65536
#define BINDS	10

FIXTURE(alone)
{
	struct slots s;
	struct thing things[2];		/* for the one slot that there is */
	unsigned char *stack;
	pid_t neighbour;
	volatile int line;		/* of the neighbour; -1: not yet, below: an error */
	volatile int stop;
};

FIXTURE_SETUP(alone)
{
	self->line = -1;
	self->neighbour = 0;
	self->stack = malloc(STACK);
	ASSERT_NE(NULL, self->stack);
	ASSERT_EQ(0, raw_open(&self->s.raw, 1));
	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &self->things[i]));
}

FIXTURE_TEARDOWN(alone)
{
	self->stop = 1;
	if (self->neighbour > 0)
		EXPECT_EQ(self->neighbour, waitpid(self->neighbour, NULL, 0));
	raw_close(&self->s.raw);
	free(self->stack);
}

static uint64_t barriers(const struct raw *raw)
{
	struct ffg_stats stats;

	raw_stats(raw, 0, &stats);
	return stats.ipis;
}

TEST_F(alone, sends_no_barrier)
{
	uint64_t before = barriers(&self->s.raw);

	for (unsigned int i = 0; i < BINDS; i++)
		EXPECT_EQ(0, raw_bind(&self->s.raw, &self->things[i % 2].id, 0, 0));
	EXPECT_EQ(before, barriers(&self->s.raw));
}

TEST_F(alone, keeps_what_its_own_line_holds)
{
	struct ffg_line *line = &self->s.raw.lines[0];

	ASSERT_EQ(0, raw_bind(&self->s.raw, &self->things[0].id, 0, 0));
	line->outer = raw_word(&self->s.raw, &self->things[0].id);
	EXPECT_EQ(-EBUSY, raw_bind(&self->s.raw, &self->things[1].id, 0, 0))
		TH_LOG("a slot was handed on that an interrupted call has open");
	line->outer = FFG_LINE_IDLE;
	EXPECT_EQ(0, raw_bind(&self->s.raw, &self->things[1].id, 0, 0));
}

/* Says that it has the first thing's slot open, and goes when it is told to. */
static int neighbour_main(void *arg)
{
	FIXTURE_DATA(alone) *self = arg;
	int line = raw_attach(&self->s.raw);

	if (line >= 0)
		self->s.raw.lines[line].outer = raw_word(&self->s.raw, &self->things[0].id);
	self->line = line >= 0 ? line : line - 1;
	while (!self->stop)
		foreign_sleep_ms(1);
	return 0;
}

/* clone(CLONE_VM) without CLONE_THREAD: each process has one thread. */
TEST_F(alone, not_beside_a_process_that_shares_the_memory)
{
	uint64_t before = barriers(&self->s.raw);

	ASSERT_EQ(0, raw_bind(&self->s.raw, &self->things[0].id, 0, 0));
	EXPECT_EQ(before, barriers(&self->s.raw));
	self->neighbour = clone(neighbour_main, self->stack + STACK, CLONE_VM | SIGCHLD, self);
	ASSERT_LT(0, self->neighbour);
	while (self->line == -1)
		foreign_sleep_ms(1);
	ASSERT_LE(0, self->line);
	for (unsigned int i = 0; i < BINDS; i++)
		EXPECT_EQ(-EBUSY, raw_bind(&self->s.raw, &self->things[1].id, 0, 0))
			TH_LOG("a slot was handed on that a process with the same memory has open");
	/* It lives, but lets go: that is believed behind a barrier alone. */
	self->s.raw.lines[self->line].outer = FFG_LINE_IDLE;
	EXPECT_EQ(0, raw_bind(&self->s.raw, &self->things[1].id, 0, 0));
	EXPECT_LT(before, barriers(&self->s.raw));
}

TEST_HARNESS_MAIN
