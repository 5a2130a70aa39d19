// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is the same for every ioctl: sizes, flags, reserved members, addresses, states. Each
 * test runs for each command and begins with proof that the command succeeds when nothing is wrong
 * with it.
 */
#include <stdio.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "command.h"

FIXTURE(command)
{
	struct scene scene;
	union argument argument;
	const struct command *command;
};

FIXTURE_VARIANT(command)
{
	enum command_which which;
};

#define VARIANT(name, value) \
	FIXTURE_VARIANT_ADD(command, name) { .which = value }

VARIANT(hello, HELLO);
VARIANT(keys, KEYS);
VARIANT(limits, LIMITS);
VARIANT(line_attach, LINE_ATTACH);
VARIANT(line_detach, LINE_DETACH);
VARIANT(object_alloc, OBJECT_ALLOC);
VARIANT(object_free, OBJECT_FREE);
VARIANT(object_check, OBJECT_CHECK);
VARIANT(object_query, OBJECT_QUERY);
VARIANT(grant, GRANT);
VARIANT(bind, BIND);
VARIANT(revoke, REVOKE);
VARIANT(wake, WAKE);
VARIANT(fault, FAULT);
VARIANT(stats, STATS);

FIXTURE_SETUP(command)
{
	self->command = &commands[variant->which];
	ASSERT_EQ(0, scene_open(&self->scene));
	ASSERT_EQ(0, scene_reach(&self->scene, self->command->state));
}

FIXTURE_TEARDOWN(command)
{
	scene_close(&self->scene);
}

#define PREPARE() \
	ASSERT_EQ(0, scene_prepare(&self->scene, variant->which, &self->argument))
#define ISSUE(argument) \
	raw_ioctl(self->scene.raw.fd, self->command->number, argument)

TEST_F(command, exact_size)
{
	for (int i = 0; i < 3; i++) {
		PREPARE();
		memset(self->argument.bytes + self->command->size, 0xa5, 64);
		EXPECT_EQ(0, ISSUE(&self->argument));
		EXPECT_EQ(self->command->size, self->argument.header.size);
		/* Nothing is written behind what the caller said it has. */
		for (int j = 0; j < 64; j++)
			ASSERT_EQ(0xa5, self->argument.bytes[self->command->size + j]);
	}
}

TEST_F(command, too_small)
{
	for (uint32_t size = 0; size < self->command->size; size++) {
		PREPARE();
		self->argument.header.size = size;
		ASSERT_EQ(-EINVAL, ISSUE(&self->argument)) TH_LOG("size %u", size);
		self->argument.header.size = self->command->size;
		ASSERT_EQ(0, ISSUE(&self->argument)) TH_LOG("after size %u", size);
	}
}

TEST_F(command, larger_with_zero_tail)
{
	const uint32_t size = self->command->size;
	const uint32_t sizes[] = { size + 1, size + 8, size + 100, 4096 };

	for (int i = 0; i < 4; i++) {
		PREPARE();
		self->argument.header.size = sizes[i];
		self->argument.bytes[sizes[i]] = 0xa5;
		EXPECT_EQ(0, ISSUE(&self->argument)) TH_LOG("size %u", sizes[i]);
		EXPECT_EQ(sizes[i], self->argument.header.size);
		for (uint32_t at = size; at < sizes[i]; at++)
			ASSERT_EQ(0, self->argument.bytes[at]);
		EXPECT_EQ(0xa5, self->argument.bytes[sizes[i]]);
	}
}

TEST_F(command, larger_with_other_tail)
{
	const uint32_t size = self->command->size;
	const uint32_t sizes[] = { size + 1, size + 8, size + 100, 4096 };

	for (int i = 0; i < 4; i++) {
		PREPARE();
		self->argument.header.size = sizes[i];
		self->argument.bytes[sizes[i] - 1] = 1;
		EXPECT_EQ(-E2BIG, ISSUE(&self->argument)) TH_LOG("size %u", sizes[i]);
		self->argument.bytes[sizes[i] - 1] = 0;
		EXPECT_EQ(0, ISSUE(&self->argument)) TH_LOG("after size %u", sizes[i]);
	}
}

TEST_F(command, much_too_large)
{
	const uint32_t sizes[] = { 4097, 8192, 0x7fffffff, 0x80000000, 0xffffffff };

	PREPARE();
	for (int i = 0; i < 5; i++) {
		self->argument.header.size = sizes[i];
		EXPECT_EQ(-E2BIG, ISSUE(&self->argument)) TH_LOG("size %u", sizes[i]);
	}
	self->argument.header.size = self->command->size;
	EXPECT_EQ(0, ISSUE(&self->argument));
}

TEST_F(command, unknown_flags)
{
	PREPARE();
	for (int bit = 0; bit < 32; bit++) {
		if (self->command->flags & 1U << bit)
			continue;
		self->argument.header.flags = 1U << bit;
		EXPECT_EQ(-EINVAL, ISSUE(&self->argument)) TH_LOG("bit %d", bit);
		/* A known flag beside it changes nothing. */
		self->argument.header.flags |= self->command->flags;
		EXPECT_EQ(-EINVAL, ISSUE(&self->argument)) TH_LOG("bit %d and known ones", bit);
	}
	self->argument.header.flags = 0;
	EXPECT_EQ(0, ISSUE(&self->argument));
}

TEST_F(command, reserved_member)
{
	uint32_t *reserved;

	if (!self->command->reserved)
		return;		/* It has none: nothing to refuse. */
	PREPARE();
	reserved = (uint32_t *)(self->argument.bytes + self->command->reserved);
	for (int bit = 0; bit < 32; bit++) {
		*reserved = 1U << bit;
		EXPECT_EQ(-EINVAL, ISSUE(&self->argument)) TH_LOG("bit %d", bit);
	}
	*reserved = 0;
	EXPECT_EQ(0, ISSUE(&self->argument));
}

TEST_F(command, bad_addresses)
{
	const uint32_t size = self->command->size;
	char *pages = mmap(NULL, 3 * RAW_PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *bad[] = {
		NULL, (void *)1, (void *)-1UL, (void *)-8UL,
		(void *)0xffff888000000000UL, (void *)0xffffffff81000000UL,
		(void *)0x8000000000000000UL, (void *)0x00007ffffffff000UL,
		pages + RAW_PAGE,		/* no access */
		pages + 2 * RAW_PAGE,		/* not mapped */
		pages + RAW_PAGE - 3,		/* size itself reaches into the next page */
		pages + RAW_PAGE - size + 1,	/* its last byte does */
		pages + RAW_PAGE - 4,		/* all but the size */
	};

	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, mprotect(pages + RAW_PAGE, RAW_PAGE, PROT_NONE));
	ASSERT_EQ(0, munmap(pages + 2 * RAW_PAGE, RAW_PAGE));
	PREPARE();
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if ((char *)bad[i] > pages && (char *)bad[i] < pages + RAW_PAGE)
			memcpy(bad[i], &self->argument, pages + RAW_PAGE - (char *)bad[i]);
		EXPECT_EQ(-EFAULT, ISSUE(bad[i])) TH_LOG("address %p", bad[i]);
	}
	/* Up to the last byte that there is. */
	memcpy(pages + RAW_PAGE - size, &self->argument, size);
	EXPECT_EQ(0, ISSUE(pages + RAW_PAGE - size));
}

/* The answer cannot be told: then nothing may have happened. */
TEST_F(command, read_only_argument)
{
	union argument *page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ffg_stats before = { 0 }, after = { 0 };

	ASSERT_NE(MAP_FAILED, page);
	PREPARE();
	*page = self->argument;
	ASSERT_EQ(0, mprotect(page, sizeof(*page), PROT_READ));
	if (self->command->silent) {
		ASSERT_EQ(0, ISSUE(page));
		return;
	}
	if (self->command->state != STATE_OPEN)
		ASSERT_EQ(0, raw_stats(&self->scene.raw, 0, &before));
	EXPECT_EQ(-EFAULT, ISSUE(page));
	if (self->command->state != STATE_OPEN)
		ASSERT_EQ(0, raw_stats(&self->scene.raw, 0, &after));
	EXPECT_EQ(before.objects, after.objects);
	EXPECT_EQ(before.frames, after.frames);
	EXPECT_EQ(before.records, after.records);
	EXPECT_EQ(before.lines, after.lines);
	EXPECT_EQ(before.allocs - before.frees, after.allocs - after.frees);
	/* Not done yet, so it can be done. */
	EXPECT_EQ(0, ISSUE(&self->argument));
}

TEST_F(command, too_early)
{
	for (enum command_state state = STATE_OPEN; state < self->command->state; state++) {
		memset(&self->argument, 0, sizeof(self->argument));
		self->argument.header.size = self->command->size;
		ASSERT_EQ(0, scene_reach(&self->scene, state));
		EXPECT_EQ(-EPROTO, ISSUE(&self->argument)) TH_LOG("in state %d", state);
		/* Whatever the argument. */
		EXPECT_EQ(-EPROTO, ISSUE(NULL));
	}
	ASSERT_EQ(0, scene_reach(&self->scene, self->command->state));
	PREPARE();
	EXPECT_EQ(0, ISSUE(&self->argument));
}

TEST_F(command, from_a_forked_child)
{
	union argument *argument = &self->argument;
	int status;
	pid_t child;

	PREPARE();
	if (variant->which == HELLO)	/* There must be a context that is not the child's. */
		ASSERT_EQ(0, ISSUE(argument));
	child = fork();
	ASSERT_LE(0, child);
	if (!child)
		_exit(ISSUE(argument) == -EXDEV && ISSUE(NULL) == -EXDEV ? 0 : 1);
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* The parent's is as it was. */
	EXPECT_EQ(variant->which == HELLO ? -EALREADY : 0, ISSUE(argument));
}

TEST_F(command, after_the_arena)
{
	ASSERT_EQ(0, scene_reach(&self->scene, STATE_KEYS));
	memset(&self->argument, 0, sizeof(self->argument));
	self->argument.header.size = self->command->size;
	ASSERT_EQ(0, munmap(self->scene.raw.arena, self->scene.raw.hello.arena_size));
	self->scene.raw.arena = NULL;
	EXPECT_EQ(-ESHUTDOWN, ISSUE(&self->argument));
	EXPECT_EQ(-ESHUTDOWN, ISSUE(NULL));
}

/* ---- commands that are none ---- */

TEST(garbage_commands)
{
	const unsigned int sizes[] = { 0, 8, 48, 0x3fff };
	struct scene scene;
	union argument argument = { 0 }, same;

	memset(&argument, 0x11, sizeof(argument));
	same = argument;
	ASSERT_EQ(0, scene_open(&scene));
	ASSERT_EQ(0, scene_reach(&scene, STATE_KEYS));
	for (unsigned int magic = 0; magic < 256; magic++) {
		for (unsigned int number = 0; number < 256; number++) {
			bool ours = magic == FFG_IOC_MAGIC && number >= 0x41 && number <= 0x4f;

			/*
			 * The file system's own commands never reach the module: 'f', 'X' and
			 * 'T' are theirs.
			 */
			if (ours || magic == 'f' || magic == 'X' || magic == 'T' || magic == 0)
				continue;
			if (magic != FFG_IOC_MAGIC && number % 16)
				continue;
			ASSERT_EQ(-ENOTTY, raw_ioctl(scene.raw.fd, _IO(magic, number), &argument))
				TH_LOG("magic %x number %x", magic, number);
			ASSERT_EQ(-ENOTTY, raw_ioctl(scene.raw.fd, _IO(magic, number), NULL));
		}
	}
	/* Our numbers with another direction or size. */
	for (int which = 0; which < COMMANDS; which++)
		for (unsigned int dir = 0; dir < 4; dir++)
			for (int i = 0; i < 4; i++) {
				unsigned int cmd = _IOC(dir, FFG_IOC_MAGIC,
							_IOC_NR(commands[which].number), sizes[i]);

				if (cmd == commands[which].number)
					continue;
				ASSERT_EQ(-ENOTTY, raw_ioctl(scene.raw.fd, cmd, &argument));
			}
	EXPECT_EQ(0, memcmp(&argument, &same, sizeof(argument)));
	scene_close(&scene);
}

TEST_HARNESS_MAIN
