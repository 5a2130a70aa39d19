// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that foreign code starts inside a call: they have nothing open, in the call and after
 * it; and workers of io_uring, which do, keep the slots from others.
 */
#include <linux/io_uring.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "slots.h"

FIXTURE(thread)
{
	struct slots s;
	struct thing thing;
};

FIXTURE_SETUP(thread)
{
	ASSERT_EQ(0, slots_open(&self->s, 1));
	ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &self->thing));
	*self->thing.at = 0x11;
}

FIXTURE_TEARDOWN(thread)
{
	EXPECT_EQ(0, slots_close(&self->s));
}

/* The grant still lives and its slot is bound: only the thread's own PKRU stops it. */
TEST_F(thread, started_in_a_call_has_nothing_open_after_it)
{
	volatile int started = -1, done = -1;
	int code;

	code = FOREIGN(&self->s.raw, 0, &self->thing.id,
		       started = self->s.shapes.thread_start(self->thing.at));
	ASSERT_EQ(0, code);
	ASSERT_EQ(0, started);
	ASSERT_NE(0, thing_slot(&self->s, &self->thing));
	done = self->s.shapes.thread_write();
	EXPECT_EQ(0x11, *self->thing.at)
		TH_LOG("a thread that was started in a call wrote the object after it");
	EXPECT_EQ(0, done);
	EXPECT_EQ(1, foreign_strays);
	EXPECT_EQ(RAW_PKUERR, foreign_stray_code);
}

TEST_F(thread, started_in_a_call_has_nothing_open_in_it)
{
	volatile int done = -1;
	int code;

	code = FOREIGN(&self->s.raw, 0, &self->thing.id,
		       self->s.shapes.write1(self->thing.at, 0, 0x22);
		       done = self->s.shapes.thread_start(self->thing.at) ? :
			      self->s.shapes.thread_write());
	ASSERT_EQ(0, code);
	EXPECT_EQ(0x22, *self->thing.at)
		TH_LOG("a thread that was started in a call wrote the object in it");
	EXPECT_EQ(0, done);
	EXPECT_EQ(1, foreign_strays);
	EXPECT_EQ(RAW_PKUERR, foreign_stray_code);
}

/* Of trusted code's own threads nothing is taken. */
TEST_F(thread, started_by_trusted_code_has_all_open)
{
	ASSERT_EQ(0, raw_bind(&self->s.raw, &self->thing.id, 0, 0));
	ASSERT_EQ(0, self->s.shapes.thread_start(self->thing.at));
	EXPECT_EQ(1, self->s.shapes.thread_write());
	EXPECT_EQ(0x77, *self->thing.at);
	EXPECT_EQ(0, foreign_strays);
}

/* ---- io_uring ---- */

struct ring {
	int fd;
	struct io_uring_params params;
	char *sq, *cq;
	struct io_uring_sqe *sqes;
	size_t sq_size, cq_size;
};

static int ring_open(struct ring *ring)
{
	*ring = (struct ring){ 0 };
	ring->fd = syscall(SYS_io_uring_setup, 4, &ring->params);
	if (ring->fd < 0)
		return -errno;
	ring->sq_size = ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t);
	ring->cq_size = ring->params.cq_off.cqes +
			ring->params.cq_entries * sizeof(struct io_uring_cqe);
	ring->sq = mmap(NULL, ring->sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			IORING_OFF_SQ_RING);
	ring->cq = mmap(NULL, ring->cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd,
			IORING_OFF_CQ_RING);
	ring->sqes = mmap(NULL, ring->params.sq_entries * sizeof(*ring->sqes),
			  PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->sq == MAP_FAILED || ring->cq == MAP_FAILED || ring->sqes == MAP_FAILED ?
	       -ENOMEM : 0;
}

/* A read of one byte that a worker is to do, since the pipe is empty. */
static int ring_read(struct ring *ring, int fd, void *to)
{
	uint32_t *tail = (uint32_t *)(ring->sq + ring->params.sq_off.tail);
	uint32_t *array = (uint32_t *)(ring->sq + ring->params.sq_off.array);
	uint32_t slot = *tail & (ring->params.sq_entries - 1);

	ring->sqes[slot] = (struct io_uring_sqe){
		.opcode = IORING_OP_READ,
		.flags = IOSQE_ASYNC,
		.fd = fd,
		.addr = (uintptr_t)to,
		.len = 1,
	};
	array[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	return syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0);
}

/* Result of the read; it waits for it. */
static int ring_result(struct ring *ring)
{
	uint32_t *head = (uint32_t *)(ring->cq + ring->params.cq_off.head);
	struct io_uring_cqe *cqes = (struct io_uring_cqe *)(ring->cq + ring->params.cq_off.cqes);

	while (__atomic_load_n((uint32_t *)(ring->cq + ring->params.cq_off.tail),
			       __ATOMIC_ACQUIRE) == *head)
		if (syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL,
			    0) < 0)
			return -errno;
	return cqes[*head & (ring->params.cq_entries - 1)].res;
}

/*
 * A worker keeps the PKRU of who made it, and no line says so: what it has open is held until it is
 * gone.
 */
TEST_F(thread, worker_of_io_uring_holds_what_its_maker_had_open)
{
	volatile int submitted = 0;
	struct thing late;
	struct ring ring;
	int pipes[2], code, err = -EBUSY;

	ASSERT_EQ(0, thing_new(&self->s, 64, INOUT, &late));
	err = ring_open(&ring);
	if (err)
		SKIP(return, "this kernel has no io_uring (%d)", err);
	ASSERT_EQ(0, pipe(pipes));
	code = FOREIGN(&self->s.raw, 0, &self->thing.id,
		       submitted = ring_read(&ring, pipes[0], self->thing.at));
	ASSERT_EQ(0, code);
	ASSERT_EQ(1, submitted);
	foreign_sleep_ms(100);
	/* The call is over, the worker sleeps in read(). */
	EXPECT_EQ(-EBUSY, raw_bind(&self->s.raw, &late.id, 0, 0))
		TH_LOG("a slot was handed on that a worker of io_uring has open");
	*self->thing.at = 0x11;
	ASSERT_EQ(1, write(pipes[1], "w", 1));
	EXPECT_EQ(1, ring_result(&ring));
	EXPECT_EQ('w', *self->thing.at);

	/* Workers end some time after their ring, or five seconds of idleness. */
	close(ring.fd);
	munmap(ring.sq, ring.sq_size);
	munmap(ring.cq, ring.cq_size);
	munmap(ring.sqes, ring.params.sq_entries * sizeof(*ring.sqes));
	for (uint64_t end = foreign_now_ms() + 20000; err == -EBUSY && foreign_now_ms() < end;) {
		err = raw_bind(&self->s.raw, &late.id, 0, 0);
		foreign_sleep_ms(100);
	}
	EXPECT_EQ(0, err)
		TH_LOG("the slot is held though the worker ought to be gone");
}

TEST_HARNESS_MAIN
