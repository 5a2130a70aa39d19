// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waiting for a slot: bounded, never while holding one, ended by whoever lets go, by a signal,
 * and by the death of the holder.
 */
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "slots.h"

#define MS	1000000ULL

FIXTURE(wait)
{
	struct slots s;
	struct thing things[2];		/* for the one slot that there is */
	struct spinner *holder;
};

FIXTURE_SETUP(wait)
{
	ASSERT_EQ(0, slots_open(&self->s, 1));
	for (unsigned int i = 0; i < 2; i++)
		ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &self->things[i]));
	self->holder = &self->s.holders[0];
}

FIXTURE_TEARDOWN(wait)
{
	EXPECT_EQ(0, slots_close(&self->s));
}

/* What has a bound of a second at most is over by then, whatever else the host does. */
#define AT_LAST	20000

/* A bind of the second thing, and how long it took. */
static int timed_bind(FIXTURE_DATA(wait) *self, uint32_t flags, uint64_t timeout_ns, uint64_t *ms)
{
	uint64_t begun = foreign_now_ms();
	int err = raw_bind(&self->s.raw, &self->things[1].id, flags, timeout_ns);

	*ms = foreign_now_ms() - begun;
	return err;
}

TEST_F(wait, ends_at_its_bound)
{
	struct ffg_stats before, after;
	uint64_t ms;

	ASSERT_EQ(0, slots_hold(&self->s, self->holder, &self->things[0], 1));
	raw_stats(&self->s.raw, 0, &before);
	EXPECT_EQ(-EBUSY, timed_bind(self, FFG_BIND_WAIT, 200 * MS, &ms));
	EXPECT_LE(199, ms);
	EXPECT_GT(AT_LAST, ms);
	raw_stats(&self->s.raw, 0, &after);
	EXPECT_EQ(1, after.waits - before.waits);
	EXPECT_EQ(1, after.busy - before.busy);
	/* By default, and not at all. */
	EXPECT_EQ(-EBUSY, timed_bind(self, FFG_BIND_WAIT, 0, &ms));
	EXPECT_LE(99, ms);
	EXPECT_GT(AT_LAST, ms);
	EXPECT_EQ(-EBUSY, timed_bind(self, 0, 0, &ms));
	raw_stats(&self->s.raw, 0, &before);
	EXPECT_EQ(2, before.waits - after.waits + 1);
	EXPECT_EQ(-EINVAL, timed_bind(self, FFG_BIND_WAIT, 1000 * MS + 1, &ms));
	EXPECT_EQ(0, spinner_stop(self->holder));
}

/* Who holds a slot would wait for itself, or in a circle. */
TEST_F(wait, not_while_holding)
{
	struct ffg_stats before, after;
	struct raw_call call;
	uint64_t ms;

	ASSERT_EQ(0, raw_bind(&self->s.raw, &self->things[0].id, 0, 0));
	ASSERT_TRUE(raw_enter(&self->s.raw, 0, &self->things[0].id, &call));
	raw_stats(&self->s.raw, 0, &before);
	EXPECT_EQ(-EDEADLK, timed_bind(self, FFG_BIND_WAIT, 1000 * MS, &ms));
	raw_stats(&self->s.raw, 0, &after);
	EXPECT_EQ(before.waits, after.waits);
	EXPECT_EQ(-EBUSY, timed_bind(self, 0, 0, &ms));
	EXPECT_EQ(0, FOREIGN_IN(&call, self->s.shapes.write1(self->things[0].at, 0, 1)));
	raw_leave(&call);
	EXPECT_EQ(0, timed_bind(self, FFG_BIND_WAIT, 1000 * MS, &ms));
}

struct stopper {
	struct spinner *holder;
	uint64_t stopped;		/* when it was told to leave */
};

static void *stop_later(void *arg)
{
	struct stopper *stopper = arg;

	foreign_sleep_ms(100);
	__atomic_store_n(&stopper->stopped, foreign_now_ms(), __ATOMIC_RELAXED);
	stopper->holder->stop = 1;
	return NULL;
}

TEST_F(wait, ends_when_the_holder_leaves)
{
	uint64_t ms, total = 0;

	for (unsigned int round = 0; round < 5; round++) {
		struct stopper stopper = { .holder = self->holder };
		pthread_t thread;
		int err = -EBUSY;

		ASSERT_EQ(0, slots_hold(&self->s, self->holder, &self->things[0], 1));
		ASSERT_EQ(0, pthread_create(&thread, NULL, stop_later, &stopper));
		/* On a busy host the bound may come first. */
		for (int n = 0; err == -EBUSY && n < 20; n++) {
			err = timed_bind(self, FFG_BIND_WAIT, 1000 * MS, &ms);
			total += ms;
		}
		EXPECT_EQ(0, err)
			TH_LOG("the waiter did not get the slot");
		EXPECT_NE(0, __atomic_load_n(&stopper.stopped, __ATOMIC_RELAXED))
			TH_LOG("the waiter got a slot that was held");
		ASSERT_EQ(0, pthread_join(thread, NULL));
		EXPECT_EQ(0, spinner_stop(self->holder));
		/* It was asked to say so when it leaves, and did. */
		EXPECT_EQ(1, self->holder->woke)
			TH_LOG("the holder was not asked for a wake");
		EXPECT_EQ(0, thing_slot(&self->s, &self->things[0]));
	}
	TH_LOG("5 waits of 100 ms took %llu ms", (unsigned long long)total);
}

/*
 * All threads are asked: one that holds nothing now may hold the slot when the waiter looks
 * again.
 */
TEST_F(wait, asks_every_thread_for_a_wake)
{
	uint64_t ms;

	ASSERT_EQ(0, slots_hold(&self->s, self->holder, &self->things[0], 1));
	for (unsigned int i = 0; i < 4; i++)
		self->s.raw.lines[i].wake = 0;
	ASSERT_EQ(-EBUSY, timed_bind(self, 0, 0, &ms));
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(0, self->s.raw.lines[i].wake);
	ASSERT_EQ(-EBUSY, timed_bind(self, FFG_BIND_WAIT, 50 * MS, &ms));
	for (unsigned int i = 1; i < 4; i++)
		EXPECT_EQ(1, self->s.raw.lines[i].wake);
	ASSERT_EQ(0, raw_wake(&self->s.raw));
	EXPECT_EQ(0, self->s.raw.lines[0].wake);
	EXPECT_EQ(0, spinner_stop(self->holder));
}

static void ignore(int number)
{
	(void)number;
}

TEST_F(wait, ends_at_a_signal)
{
	struct sigaction action = { .sa_handler = ignore };
	uint64_t ms;

	ASSERT_EQ(0, slots_hold(&self->s, self->holder, &self->things[0], 1));
	sigaction(SIGALRM, &action, NULL);
	/* Again and again: the first may come before the wait. */
	ualarm(100000, 100000);
	EXPECT_EQ(-EINTR, timed_bind(self, FFG_BIND_WAIT, 1000 * MS, &ms));
	ualarm(0, 0);
	EXPECT_EQ(0, spinner_stop(self->holder));
}

struct dying {
	FIXTURE_DATA(wait) *self;
	pthread_barrier_t barrier;	/* reached in the call, and when it shall end */
};

static void *hold_and_die(void *arg)
{
	struct dying *dying = arg;
	struct slots *s = &dying->self->s;
	int line = raw_attach(&s->raw);
	struct raw_call call;
	bool held = line >= 0 &&
		    !foreign_enter(&s->raw, line, &dying->self->things[0].id, 0, &call);

	pthread_barrier_wait(&dying->barrier);
	pthread_barrier_wait(&dying->barrier);
	if (held) {
		foreign_sleep_ms(100);
		/* As if it were killed in the call: nobody stores anything back. */
		syscall(SYS_exit, 0);
	}
	return NULL;
}

TEST_F(wait, ends_when_the_holder_dies)
{
	struct dying dying = { .self = self };
	uint64_t ms;

	pthread_barrier_init(&dying.barrier, NULL, 2);
	for (unsigned int round = 0; round < 5; round++) {
		pthread_t thread;
		int err = -EBUSY;

		ASSERT_EQ(0, raw_bind(&self->s.raw, &self->things[0].id, 0, 0));
		ASSERT_EQ(0, pthread_create(&thread, NULL, hold_and_die, &dying));
		pthread_barrier_wait(&dying.barrier);
		EXPECT_EQ(-EBUSY, timed_bind(self, 0, 0, &ms))
			TH_LOG("the thread does not hold the slot");
		pthread_barrier_wait(&dying.barrier);
		for (int n = 0; err == -EBUSY && n < 20; n++)
			err = timed_bind(self, FFG_BIND_WAIT, 1000 * MS, &ms);
		EXPECT_EQ(0, err)
			TH_LOG("a dead thread holds a slot");
		ASSERT_EQ(0, pthread_join(thread, NULL));
	}
	/* What it had left in its line is nothing to the thread that has the line next. */
	ASSERT_EQ(0, slots_hold(&self->s, self->holder, &self->things[1], 1));
	EXPECT_EQ(CPUS + 1, self->holder->line);
	EXPECT_EQ(0, spinner_stop(self->holder));
	EXPECT_EQ(FFG_LINE_IDLE, self->s.raw.lines[CPUS + 1].fpkru);
	EXPECT_EQ(0, thing_slot(&self->s, &self->things[0]));
}

/*
 * SIGKILL of a process one of whose threads waits while another one holds: gone at once. A wait
 * that went on to its bound would take 900 ms each time; on a busy host many may take long.
 */
TEST_F(wait, killed)
{
	uint64_t shortest = AT_LAST;

	for (unsigned int round = 0; round < 10 || (shortest >= 700 && round < 60); round++) {
		uint64_t begun, took;
		int ready[2], status;
		pid_t child;
		char byte;

		ASSERT_EQ(0, pipe(ready));
		child = fork();
		ASSERT_LE(0, child);
		if (!child) {
			static struct slots s;
			struct thing things[2];

			for (unsigned int i = 0; i < 2; i++)
				pkey_free(i ? self->s.raw.safe :
					  31 - __builtin_clz(self->s.raw.slots));
			if (slots_open(&s, 1) || thing_new(&s, 64, INOUT, &things[0]) ||
			    thing_new(&s, 64, INOUT, &things[1]) ||
			    slots_hold(&s, &s.holders[0], &things[0], 1) ||
			    write(ready[1], "", 1) != 1)
				_exit(1);
			while (raw_bind(&s.raw, &things[1].id, FFG_BIND_WAIT, 1000 * MS) == -EBUSY)
				;
			_exit(2);
		}
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		foreign_sleep_ms(20 + round % 10 * 7);
		begun = foreign_now_ms();
		ASSERT_EQ(0, kill(child, SIGKILL));
		ASSERT_EQ(child, waitpid(child, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		took = foreign_now_ms() - begun;
		if (took < shortest)
			shortest = took;
		close(ready[0]);
		close(ready[1]);
	}
	EXPECT_GT(700, shortest);
}

TEST_HARNESS_MAIN
