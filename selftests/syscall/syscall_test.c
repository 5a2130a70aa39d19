// SPDX-License-Identifier: GPL-2.0-only
/*
 * System calls on memory of the arena, open and closed. What the kernel reads and writes for a
 * thread obeys the thread's PKRU; what would take hold of the page itself is refused.
 */
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

static const char text[] = "sixteen letters.";

#define LENGTH	(sizeof(text) - 1)

FIXTURE(syscall)
{
	struct raw raw;
	struct ffg_object_desc desc, large;
	char *object;
	int pipe[2];
	uint32_t open, closed, read_only;
};

FIXTURE_SETUP(syscall)
{
	struct raw *raw = &self->raw;

	ASSERT_EQ(0, raw_open(raw, 4));
	raw_catch_faults();
	ASSERT_EQ(0, raw_alloc(raw, RAW_PAGE, FFG_OBJECT_START, &self->desc));
	ASSERT_EQ(0, raw_alloc(raw, 64 * RAW_PAGE, FFG_OBJECT_START, &self->large));
	self->object = (char *)self->desc.address;
	memcpy(self->object, text, LENGTH);
	ASSERT_EQ(0, pipe2(self->pipe, O_NONBLOCK));
	self->open = raw_rdpkru();
	self->closed = self->open | raw->all;
	self->read_only = self->open | RAW_WD(raw->safe);
}

FIXTURE_TEARDOWN(syscall)
{
	raw_wrpkru(self->open);
	raw_close(&self->raw);
}

/* The value of a system call made with a PKRU of its own: >= 0, or a negative errno. */
#define WITH(pkru, call) ({			\
	long ret_;				\
						\
	raw_wrpkru(pkru);			\
	ret_ = (call);				\
	raw_wrpkru(self->open);			\
	ret_ < 0 ? -errno : ret_;		\
})

TEST_F(syscall, write_reads)
{
	char copy[LENGTH];

	EXPECT_EQ(LENGTH, WITH(self->open, write(self->pipe[1], self->object, LENGTH)));
	EXPECT_EQ(LENGTH, read(self->pipe[0], copy, LENGTH));
	EXPECT_EQ(0, memcmp(copy, text, LENGTH));
	EXPECT_EQ(LENGTH, WITH(self->read_only, write(self->pipe[1], self->object, LENGTH)));
	EXPECT_EQ(LENGTH, read(self->pipe[0], copy, LENGTH));
	EXPECT_EQ(-EFAULT, WITH(self->closed, write(self->pipe[1], self->object, LENGTH)));
	/* Nothing went out. */
	EXPECT_EQ(-EAGAIN, WITH(self->open, read(self->pipe[0], copy, LENGTH)));
	/* Nor from where no object is. */
	EXPECT_EQ(-EFAULT, WITH(self->open, write(self->pipe[1], self->object + RAW_PAGE, LENGTH)));
	EXPECT_EQ(-EFAULT, WITH(self->open, write(self->pipe[1], self->object - LENGTH, LENGTH)));
}

TEST_F(syscall, read_writes)
{
	char *late = (char *)self->large.address + 40 * RAW_PAGE;

	ASSERT_EQ(LENGTH, write(self->pipe[1], "LETTERS, SIXTEEN", LENGTH));
	EXPECT_EQ(-EFAULT, WITH(self->closed, read(self->pipe[0], self->object, LENGTH)));
	EXPECT_EQ(0, memcmp(self->object, text, LENGTH));
	ASSERT_EQ(LENGTH, write(self->pipe[1], "LETTERS, SIXTEEN", LENGTH));
	EXPECT_EQ(-EFAULT, WITH(self->read_only, read(self->pipe[0], self->object, LENGTH)));
	EXPECT_EQ(0, memcmp(self->object, text, LENGTH));
	while (read(self->pipe[0], &(char){ 0 }, 1) == 1)
		;
	ASSERT_EQ(LENGTH, write(self->pipe[1], "LETTERS, SIXTEEN", LENGTH));
	EXPECT_EQ(LENGTH, WITH(self->open, read(self->pipe[0], self->object, LENGTH)));
	EXPECT_EQ(0, memcmp(self->object, "LETTERS, SIXTEEN", LENGTH));
	/* The first touch of a page may be the kernel's. */
	ASSERT_EQ(LENGTH, write(self->pipe[1], text, LENGTH));
	EXPECT_EQ(LENGTH, WITH(self->open, read(self->pipe[0], late, LENGTH)));
	EXPECT_EQ(0, memcmp(late, text, LENGTH));
}

/* A vector of which one part is closed: nothing of that part moves. */
TEST_F(syscall, writev_of_open_and_closed)
{
	struct iovec iov[2] = {
		{ .iov_base = (void *)text, .iov_len = LENGTH },
		{ .iov_base = self->object, .iov_len = LENGTH },
	};
	char copy[3 * LENGTH];
	long sent = WITH(self->closed, writev(self->pipe[1], iov, 2));

	EXPECT_TRUE(sent == -EFAULT || sent == LENGTH);
	EXPECT_GE((long)LENGTH, read(self->pipe[0], copy, sizeof(copy)));
}

static long futex(void *at, int op, int value, const struct timespec *timeout)
{
	return syscall(SYS_futex, at, op, value, timeout, NULL, 0);
}

TEST_F(syscall, futex)
{
	const struct timespec soon = { .tv_nsec = 1000000 };
	int *word = (int *)self->object;
	int value = *word;

	/* A private one is an address: it works where the word may be read. */
	EXPECT_EQ(-EAGAIN, WITH(self->open, futex(word, FUTEX_WAIT_PRIVATE, value + 1, &soon)));
	EXPECT_EQ(-ETIMEDOUT, WITH(self->open, futex(word, FUTEX_WAIT_PRIVATE, value, &soon)));
	EXPECT_EQ(0, WITH(self->open, futex(word, FUTEX_WAKE_PRIVATE, 1, NULL)));
	EXPECT_EQ(-EFAULT, WITH(self->closed, futex(word, FUTEX_WAIT_PRIVATE, value, &soon)));
	/* A shared one wants the page. */
	EXPECT_EQ(-EFAULT, WITH(self->open, futex(word, FUTEX_WAIT, value, &soon)));
	EXPECT_EQ(-EFAULT, WITH(self->open, futex(word, FUTEX_WAKE, 1, NULL)));
	EXPECT_EQ(-EFAULT, WITH(self->closed, futex(word, FUTEX_WAIT, value, &soon)));
	EXPECT_EQ(value, *word);
}

/* ---- whoever wants the page itself ---- */

TEST_F(syscall, vmsplice)
{
	struct iovec iov = { .iov_base = self->object, .iov_len = LENGTH };

	EXPECT_EQ(-EFAULT, WITH(self->open, vmsplice(self->pipe[1], &iov, 1, SPLICE_F_NONBLOCK)));
	EXPECT_EQ(-EFAULT, WITH(self->closed, vmsplice(self->pipe[1], &iov, 1, SPLICE_F_NONBLOCK)));
}

TEST_F(syscall, process_vm)
{
	char copy[LENGTH] = { 0 };
	struct iovec here = { .iov_base = copy, .iov_len = LENGTH };
	struct iovec there = { .iov_base = self->object, .iov_len = LENGTH };
	int status;
	pid_t child, parent = getpid();

	EXPECT_EQ(-EFAULT, WITH(self->open, process_vm_readv(parent, &here, 1, &there, 1, 0)));
	EXPECT_EQ(-EFAULT, WITH(self->closed, process_vm_readv(parent, &here, 1, &there, 1, 0)));
	EXPECT_EQ(-EFAULT, WITH(self->open, process_vm_writev(parent, &here, 1, &there, 1, 0)));
	EXPECT_EQ(-EFAULT, WITH(self->closed, process_vm_writev(parent, &here, 1, &there, 1, 0)));
	/* From another process, which sees ordinary memory. */
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct iovec plain = { .iov_base = (void *)text, .iov_len = LENGTH };
		int wrong = process_vm_readv(parent, &here, 1, &plain, 1, 0) != (long)LENGTH;

		wrong += process_vm_readv(parent, &here, 1, &there, 1, 0) >= 0;
		wrong += process_vm_writev(parent, &here, 1, &there, 1, 0) >= 0;
		_exit(wrong);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	for (unsigned int i = 0; i < LENGTH; i++)
		EXPECT_EQ(0, copy[i]);
	EXPECT_EQ(0, memcmp(self->object, text, LENGTH));
}

/*
 * Direct I/O pins pages, which it may not; where the file system copies instead, PKRU decides.
 * The file is this program, wherever it lies; tmpfs knows no direct I/O before Linux 6.6.
 */
TEST_F(syscall, direct_io)
{
	char *own = aligned_alloc(RAW_PAGE, RAW_PAGE);
	int fd = open("/proc/self/exe", O_RDONLY | O_DIRECT);
	long got;

	ASSERT_NE(NULL, own);
	ASSERT_LE(0, fd);
	ASSERT_EQ(RAW_PAGE, pread(fd, own, RAW_PAGE, 0));
	EXPECT_GE(0, WITH(self->closed, pread(fd, self->object, RAW_PAGE, 0)));
	EXPECT_EQ(0, memcmp(self->object, text, LENGTH));
	EXPECT_GE(0, WITH(self->read_only, pread(fd, self->object, RAW_PAGE, 0)));
	EXPECT_EQ(0, memcmp(self->object, text, LENGTH));
	got = WITH(self->open, pread(fd, self->object, RAW_PAGE, 0));
	EXPECT_TRUE(got == -EFAULT || got == (long)RAW_PAGE) TH_LOG("%ld", got);
	EXPECT_EQ(0, memcmp(self->object, got < 0 ? text : own, LENGTH));
	close(fd);
	free(own);
}

/* ---- debuggers ---- */



TEST_F(syscall, own_mem_file)
{
	const off_t at = (off_t)(uintptr_t)self->object;
	int mem = open("/proc/self/mem", O_RDWR), early;
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole = raw_whole(&self->desc, FFG_RIGHT_READ);
	struct ffg_record_id id;
	struct raw_call call;
	char copy[LENGTH];

	ASSERT_LE(0, mem);
	early = mem;
	/* Open, it is as any memory. */
	EXPECT_EQ(LENGTH, WITH(self->open, pread(mem, copy, LENGTH, at)));
	EXPECT_EQ(0, memcmp(copy, text, LENGTH));
	EXPECT_EQ(LENGTH, WITH(self->open, pwrite(mem, "LETTERS, SIXTEEN", LENGTH, at)));
	EXPECT_EQ(0, memcmp(self->object, "LETTERS, SIXTEEN", LENGTH));
	/* Closed: by a descriptor opened before and by a new one. */
	for (int i = 0; i < 2; i++) {
		memset(copy, 0, LENGTH);
		EXPECT_GE(0, WITH(self->closed, pread(mem, copy, LENGTH, at)));
		for (unsigned int j = 0; j < LENGTH; j++)
			EXPECT_EQ(0, copy[j]);
		EXPECT_GE(0, WITH(self->closed, pwrite(mem, text, LENGTH, at)));
		EXPECT_EQ(0, memcmp(self->object, "LETTERS, SIXTEEN", LENGTH));
		mem = WITH(self->closed, open("/proc/self/mem", O_RDWR));
		ASSERT_LE(0, mem);
	}
	/* Write-disabled: reading only. */
	EXPECT_EQ(LENGTH, WITH(self->read_only, pread(mem, copy, LENGTH, at)));
	EXPECT_GE(0, WITH(self->read_only, pwrite(mem, text, LENGTH, at)));
	EXPECT_EQ(0, memcmp(self->object, "LETTERS, SIXTEEN", LENGTH));
	/* Granted read-only to a call, it is that for the call. */
	ASSERT_EQ(0, raw_grant(raw, &whole, 1, FFG_BIND_NOW, &id));
	ASSERT_TRUE(raw_enter(raw, 0, &id, &call));
	EXPECT_EQ(LENGTH, WITH(call.fpkru, pread(mem, copy, LENGTH, at)));
	EXPECT_EQ(0, memcmp(copy, "LETTERS, SIXTEEN", LENGTH));
	EXPECT_GE(0, WITH(call.fpkru, pwrite(mem, text, LENGTH, at)));
	EXPECT_GE(0, WITH(call.fpkru, pread(mem, copy, LENGTH, (off_t)self->large.address)));
	raw_leave(&call);
	/* Lines and records have no such door at all. */
	EXPECT_GE(0, WITH(self->closed, pwrite(mem, text, LENGTH, (off_t)(uintptr_t)raw->lines)));
	EXPECT_GE(0, WITH(self->closed, pread(mem, copy, LENGTH, (off_t)(uintptr_t)raw->lines)));
	EXPECT_GE(0, WITH(self->closed, pwrite(mem, text, LENGTH,
					       (off_t)(uintptr_t)raw->lines_ro)));
	EXPECT_GE(0, WITH(self->closed, pwrite(mem, text, LENGTH, (off_t)(uintptr_t)raw->records)));
	/* Beyond the object. */
	EXPECT_GE(0, WITH(self->open, pread(mem, copy, LENGTH, at + RAW_PAGE)));
	EXPECT_GE(0, WITH(self->open, pread(mem, copy, LENGTH, at - LENGTH)));
	close(mem);
	close(early);
}

/* Reads and writes of a page that was never touched. */
TEST_F(syscall, mem_file_of_an_untouched_page)
{
	const off_t at = (off_t)self->large.address + 8 * RAW_PAGE;
	int mem = open("/proc/self/mem", O_RDWR);
	uint64_t word = 1;

	ASSERT_LE(0, mem);
	EXPECT_EQ(8, WITH(self->open, pread(mem, &word, 8, at)));
	EXPECT_EQ(0, word);
	close(mem);
}

/* A debugger in another process sees and changes all, whatever the PKRU of either. */
TEST_F(syscall, ptrace)
{
	pid_t child, parent = getpid();
	int status, ready[2];
	char byte = 0;

	ASSERT_EQ(0, pipe(ready));
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		long word;
		int wrong = 0;

		if (ptrace(PTRACE_ATTACH, parent, NULL, NULL) || waitpid(parent, NULL, __WALL) < 0)
			_exit(100);
		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, parent, self->object, NULL);
		wrong += errno || memcmp(&word, text, sizeof(word));
		memcpy(&word, "DEBUGGED", 8);
		wrong += !!ptrace(PTRACE_POKEDATA, parent, self->object, word);
		errno = 0;
		ptrace(PTRACE_PEEKDATA, parent, self->object + RAW_PAGE, NULL);
		wrong += !errno;
		ptrace(PTRACE_DETACH, parent, NULL, NULL);
		wrong += write(ready[1], "", 1) != 1;
		_exit(wrong);
	}
	/* Traced while the object is closed to it. */
	raw_wrpkru(self->closed);
	while (read(ready[0], &byte, 1) != 1)
		;
	raw_wrpkru(self->open);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, memcmp(self->object, "DEBUGGED letters", 8));
	EXPECT_EQ(0, memcmp(self->object + 8, text + 8, 8));
}

/* ---- io_uring, without its library ---- */

struct ring {
	int fd;
	struct io_uring_params params;
	char *queues;
	struct io_uring_sqe *entries;
};

static int ring_open(struct ring *ring)
{
	*ring = (struct ring){ 0 };
	ring->fd = syscall(SYS_io_uring_setup, 4, &ring->params);
	if (ring->fd < 0)
		return -errno;
	ring->queues = mmap(NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			    ring->fd, IORING_OFF_SQ_RING);
	ring->entries = mmap(NULL, RAW_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			     ring->fd, IORING_OFF_SQES);
	return ring->queues == MAP_FAILED || (void *)ring->entries == MAP_FAILED ? -ENOMEM : 0;
}

/* One operation, waited for: its result. Everything that the kernel needs besides @at is key 0. */
static int ring_do(struct ring *ring, int op, int fd, void *at, unsigned int length, uint8_t flags)
{
	const struct io_sqring_offsets *sq = &ring->params.sq_off;
	const struct io_cqring_offsets *cq = &ring->params.cq_off;
	unsigned int *tail = (unsigned int *)(ring->queues + sq->tail);
	unsigned int mask = *(unsigned int *)(ring->queues + sq->ring_mask);
	unsigned int *done = (unsigned int *)(ring->queues + cq->head);
	unsigned int index = *tail & mask;
	struct io_uring_cqe *cqe;

	ring->entries[index] = (struct io_uring_sqe){
		.opcode = op,
		.flags = flags,
		.fd = fd,
		.addr = (uintptr_t)at,
		.len = length,
		.off = -1ULL,
	};
	((unsigned int *)(ring->queues + sq->array))[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return -errno;
	cqe = (struct io_uring_cqe *)(ring->queues + cq->cqes) +
	      (*done & *(unsigned int *)(ring->queues + cq->ring_mask));
	index = cqe->res;
	__atomic_store_n(done, *done + 1, __ATOMIC_RELEASE);
	return index;
}

TEST_F(syscall, io_uring)
{
	struct iovec iov = { .iov_base = self->object, .iov_len = RAW_PAGE };
	char copy[LENGTH];
	struct ring ring;
	int err = ring_open(&ring);

	ASSERT_EQ(0, err);
	raw_wrpkru(self->open);
	EXPECT_EQ(LENGTH, ring_do(&ring, IORING_OP_WRITE, self->pipe[1], self->object, LENGTH, 0));
	EXPECT_EQ(LENGTH, read(self->pipe[0], copy, LENGTH));
	EXPECT_EQ(0, memcmp(copy, text, LENGTH));
	raw_wrpkru(self->closed);
	err = ring_do(&ring, IORING_OP_WRITE, self->pipe[1], self->object, LENGTH, 0);
	raw_wrpkru(self->open);
	EXPECT_EQ(-EFAULT, err);
	/* Fixed buffers would pin the pages. */
	EXPECT_EQ(-1, syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &iov, 1));
	EXPECT_EQ(EFAULT, errno);
	close(ring.fd);
}

TEST_HARNESS_MAIN
