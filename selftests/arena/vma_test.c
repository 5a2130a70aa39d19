// SPDX-License-Identifier: GPL-2.0-only
/*
 * The arena's mapping against everything that would take it to pieces: a part that goes, moves or
 * changes its protection would leave PTEs that carry keys where nobody expects them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

#define RW	(PROT_READ | PROT_WRITE)

FIXTURE(vma)
{
	struct raw raw;
	struct ffg_object_desc desc;
	char *object;
	struct raw_mapping {
		char *at;
		uint64_t length;
	} mappings[4];
};

FIXTURE_SETUP(vma)
{
	struct raw *raw = &self->raw;

	ASSERT_EQ(0, raw_open(raw, 4));
	raw_catch_faults();
	ASSERT_EQ(0, raw_alloc(raw, 4 * RAW_PAGE, 0, &self->desc));
	self->object = (char *)self->desc.address;
	memset(self->object, 0x77, 4 * RAW_PAGE);
	self->mappings[0] = (struct raw_mapping){ raw->arena, raw->hello.arena_size };
	self->mappings[1] = (struct raw_mapping){ (char *)raw->lines, raw->hello.lines_size };
	self->mappings[2] = (struct raw_mapping){ (char *)raw->lines_ro, raw->hello.lines_size };
	self->mappings[3] = (struct raw_mapping){ (char *)raw->records, raw->hello.records_size };
}

FIXTURE_TEARDOWN(vma)
{
	raw_close(&self->raw);
}

/* Whatever was tried: context, object, its bytes, its key and the lines are as they were. */
#define EXPECT_WHOLE() do {								\
	const struct raw *raw_ = &self->raw;						\
	struct ffg_object_desc other_;							\
	struct ffg_stats stats_;							\
											\
	EXPECT_EQ(0, raw_stats(raw_, 0, &stats_));					\
	EXPECT_EQ(1, stats_.objects);							\
	EXPECT_EQ(4, stats_.frames);							\
	for (unsigned long at_ = 0; at_ < 4 * RAW_PAGE; at_ += 512) {			\
		volatile char byte_ = 0;						\
											\
		EXPECT_EQ(0, raw_access_as(raw_rdpkru(), self->object + at_, false, &byte_)); \
		EXPECT_EQ(0x77, byte_);							\
	}										\
	EXPECT_EQ(RAW_PKUERR, raw_touch_as(raw_rdpkru() | raw_->all, self->object, false)); \
	EXPECT_EQ(RAW_PKUERR, raw_touch_as(raw_rdpkru() | raw_->all, &raw_->lines->user, false)); \
	EXPECT_EQ(0, raw_touch_as(raw_rdpkru() | raw_->all, (void *)raw_->lines_ro, false)); \
	EXPECT_EQ(RAW_ACCERR, raw_touch((void *)raw_->lines_ro, true));			\
	EXPECT_EQ(0, raw_detach(raw_));							\
	EXPECT_EQ(0, raw_attach(raw_));							\
	EXPECT_EQ(0, raw_alloc(raw_, 100, 0, &other_));					\
	EXPECT_EQ(0, raw_free(raw_, other_.object));					\
} while (0)

#define EXPECT_REFUSED(error, call) do {	\
	errno = 0;				\
	EXPECT_EQ(-1, (long)(call));		\
	EXPECT_EQ(error, errno);		\
} while (0)

TEST_F(vma, mprotect)
{
	const int prots[] = { PROT_NONE, PROT_READ, PROT_WRITE, RW, RW | PROT_EXEC, PROT_EXEC };

	for (int i = 0; i < 4; i++) {
		struct raw_mapping *map = &self->mappings[i];

		for (int j = 0; j < 6; j++) {
			EXPECT_REFUSED(EACCES, mprotect(map->at, map->length, prots[j]));
			EXPECT_REFUSED(EACCES, mprotect(map->at, RAW_PAGE, prots[j]));
			EXPECT_REFUSED(EACCES, mprotect(map->at + RAW_PAGE, RAW_PAGE, prots[j]));
		}
	}
	EXPECT_REFUSED(EACCES, mprotect(self->object, 4 * RAW_PAGE, PROT_READ));
	EXPECT_WHOLE();
}

TEST_F(vma, pkey_mprotect)
{
	const int keys[] = { 0, self->raw.safe, __builtin_ctz(self->raw.slots) };

	for (int i = 0; i < 4; i++) {
		struct raw_mapping *map = &self->mappings[i];

		for (int j = 0; j < 3; j++) {
			EXPECT_REFUSED(EACCES, pkey_mprotect(map->at, map->length, RW, keys[j]));
			EXPECT_REFUSED(EACCES, pkey_mprotect(map->at, map->length, PROT_READ,
							     keys[j]));
			EXPECT_REFUSED(EACCES, pkey_mprotect(map->at + RAW_PAGE, RAW_PAGE, RW,
							     keys[j]));
		}
	}
	EXPECT_REFUSED(EACCES, pkey_mprotect(self->object, 4 * RAW_PAGE, RW, 0));
	EXPECT_WHOLE();
}

TEST_F(vma, munmap_of_a_part)
{
	for (int i = 0; i < 4; i++) {
		struct raw_mapping *map = &self->mappings[i];

		EXPECT_REFUSED(EINVAL, munmap(map->at, RAW_PAGE));
		EXPECT_REFUSED(EINVAL, munmap(map->at + RAW_PAGE, RAW_PAGE));
		EXPECT_REFUSED(EINVAL, munmap(map->at, map->length - RAW_PAGE));
		EXPECT_REFUSED(EINVAL, munmap(map->at + RAW_PAGE, map->length - RAW_PAGE));
		EXPECT_REFUSED(EINVAL, munmap(map->at + map->length - RAW_PAGE, RAW_PAGE));
	}
	EXPECT_REFUSED(EINVAL, munmap(self->object, 4 * RAW_PAGE));
	EXPECT_WHOLE();
}

TEST_F(vma, mremap_larger_or_smaller)
{
	for (int i = 0; i < 4; i++) {
		struct raw_mapping *map = &self->mappings[i];

		EXPECT_REFUSED(EFAULT, mremap(map->at, map->length, map->length + RAW_PAGE, 0));
		EXPECT_REFUSED(EFAULT, mremap(map->at, map->length, map->length * 2,
					      MREMAP_MAYMOVE));
		EXPECT_REFUSED(EINVAL, mremap(map->at, map->length, map->length - RAW_PAGE, 0));
		EXPECT_REFUSED(EFAULT, mremap(map->at, RAW_PAGE, 2 * RAW_PAGE, MREMAP_MAYMOVE));
	}
	EXPECT_WHOLE();
}

/* To an address of one's own: the kernel makes a second mapping, asks, and takes it back. */
TEST_F(vma, mremap_elsewhere)
{
	for (int i = 0; i < 4; i++) {
		struct raw_mapping *map = &self->mappings[i];
		char *to = mmap(NULL, map->length, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		ASSERT_NE(MAP_FAILED, to);
		EXPECT_EQ(MAP_FAILED, mremap(map->at, map->length, map->length,
					     MREMAP_MAYMOVE | MREMAP_FIXED, to));
		EXPECT_EQ(MAP_FAILED, mremap(map->at, RAW_PAGE, RAW_PAGE,
					     MREMAP_MAYMOVE | MREMAP_FIXED, to));
		EXPECT_EQ(MAP_FAILED, mremap(map->at + RAW_PAGE, RAW_PAGE, RAW_PAGE,
					     MREMAP_MAYMOVE | MREMAP_FIXED, to));
		/* The source may be kept, and an old length of 0 means a copy of shared memory. */
		EXPECT_EQ(MAP_FAILED, mremap(map->at, map->length, map->length,
					     MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to));
		EXPECT_EQ(MAP_FAILED, mremap(map->at, 0, map->length, MREMAP_MAYMOVE));
		EXPECT_EQ(MAP_FAILED, mremap(map->at, 0, RAW_PAGE, MREMAP_MAYMOVE));
		munmap(to, map->length);
		EXPECT_WHOLE();
	}
}

TEST_F(vma, madvise)
{
	static const struct {
		int advice;
		bool whole;		/* refused for all of it, not only for a part */
	} advices[] = {
		{ MADV_DONTNEED, true }, { MADV_FREE, true }, { MADV_REMOVE, true },
		{ MADV_DOFORK, true }, { MADV_DODUMP, true }, { MADV_WIPEONFORK, true },
		{ MADV_PAGEOUT, true }, { MADV_POPULATE_READ, true }, { MADV_POPULATE_WRITE, true },
		{ MADV_RANDOM, false }, { MADV_SEQUENTIAL, false },
	};

	for (int i = 0; i < 4; i++) {
		struct raw_mapping *map = &self->mappings[i];

		for (unsigned int j = 0; j < sizeof(advices) / sizeof(advices[0]); j++) {
			EXPECT_EQ(-1, madvise(map->at + RAW_PAGE, RAW_PAGE, advices[j].advice)) {
				TH_LOG("advice %d to a page of mapping %d", advices[j].advice, i);
			}
			if (!advices[j].whole)
				continue;
			EXPECT_EQ(-1, madvise(map->at, map->length, advices[j].advice)) {
				TH_LOG("advice %d to mapping %d", advices[j].advice, i);
			}
		}
	}
	EXPECT_EQ(-1, madvise(self->object, 4 * RAW_PAGE, MADV_DONTNEED));
	EXPECT_WHOLE();
}

/* Over a part: refused. The kernel would drop the keys silently. */
TEST_F(vma, map_fixed_over_a_part)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	int id = shmget(IPC_PRIVATE, RAW_PAGE, IPC_CREAT | 0600);

	ASSERT_LE(0, id);
	for (int i = 0; i < 4; i++) {
		struct raw_mapping *map = &self->mappings[i];
		char *const places[] = {
			map->at, map->at + RAW_PAGE, map->at + map->length - RAW_PAGE,
			i ? map->at : self->object,
		};

		for (int j = 0; j < 4; j++) {
			EXPECT_EQ(MAP_FAILED, mmap(places[j], RAW_PAGE, RW, flags | MAP_FIXED,
						   -1, 0));
			EXPECT_EQ(MAP_FAILED, mmap(places[j], RAW_PAGE, RW,
						   flags | MAP_FIXED_NOREPLACE, -1, 0));
			EXPECT_EQ((void *)-1, shmat(id, places[j], SHM_REMAP));
		}
	}
	shmctl(id, IPC_RMID, NULL);
	EXPECT_WHOLE();
}

/* remap_file_pages() is an old way to the same. */
TEST_F(vma, remap_file_pages)
{
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(-1, remap_file_pages(self->mappings[i].at + RAW_PAGE, RAW_PAGE, 0, 4, 0));
	EXPECT_WHOLE();
}

TEST_F(vma, munmap_of_all)
{
	struct raw *raw = &self->raw;
	struct ffg_stats stats;

	ASSERT_EQ(0, munmap(raw->arena, raw->hello.arena_size));
	EXPECT_EQ(RAW_MAPERR, raw_touch(self->object, false));
	EXPECT_EQ(-ESHUTDOWN, raw_stats(raw, 0, &stats));
	raw->arena = NULL;
	/* Memory went with the mapping, whatever descriptor and other mappings stay open. */
	ASSERT_EQ(0, raw_totals(&stats));
	EXPECT_EQ(0, stats.objects);
	EXPECT_EQ(0, stats.frames);
	EXPECT_EQ(0, stats.tables);
}

/* MAP_FIXED over all of it is munmap() of all of it. */
TEST_F(vma, map_fixed_over_all)
{
	struct raw *raw = &self->raw;
	struct ffg_stats stats;

	ASSERT_EQ(raw->arena, mmap(raw->arena, raw->hello.arena_size, RW,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0));
	EXPECT_EQ(-ESHUTDOWN, raw_stats(raw, 0, &stats));
	/* What is there now is another memory. */
	EXPECT_EQ(0, *(volatile char *)self->object);
	munmap(raw->arena, raw->hello.arena_size);
	raw->arena = NULL;
	ASSERT_EQ(0, raw_totals(&stats));
	EXPECT_EQ(0, stats.frames);
}

/* ---- what the kernel says about it ---- */

/* The VmFlags of the mapping at an address. */
static bool vm_flags(const void *at, char *flags, size_t size)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	unsigned long from, to;
	bool there = false, found = false;
	char line[512];

	while (smaps && !found && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			there = (unsigned long)at >= from && (unsigned long)at < to;
		if (there && !strncmp(line, "VmFlags:", 8)) {
			snprintf(flags, size, "%s", line + 8);
			found = true;
		}
	}
	if (smaps)
		fclose(smaps);
	return found;
}

TEST_F(vma, not_dumped_not_inherited)
{
	char flags[512];

	for (int i = 0; i < 4; i++) {
		ASSERT_TRUE(vm_flags(self->mappings[i].at, flags, sizeof(flags)));
		EXPECT_NE(NULL, strstr(flags, " dd")) TH_LOG("mapping %d: %s", i, flags);
		EXPECT_NE(NULL, strstr(flags, " dc")) TH_LOG("mapping %d: %s", i, flags);
		EXPECT_NE(NULL, strstr(flags, " de")) TH_LOG("mapping %d: %s", i, flags);
		EXPECT_NE(NULL, strstr(flags, " pf")) TH_LOG("mapping %d: %s", i, flags);
		EXPECT_EQ(NULL, strstr(flags, " me")) TH_LOG("mapping %d: %s", i, flags);
		EXPECT_EQ(i < 2, !!strstr(flags, " mw")) TH_LOG("mapping %d: %s", i, flags);
	}
}

TEST_F(vma, child_has_no_arena)
{
	int status;
	pid_t child = fork();

	ASSERT_LE(0, child);
	if (!child) {
		char flags[512];
		int wrong = 0;

		for (int i = 0; i < 4; i++) {
			wrong += raw_touch(self->mappings[i].at, false) != RAW_MAPERR;
			wrong += vm_flags(self->mappings[i].at, flags, sizeof(flags));
		}
		wrong += raw_touch(self->object, false) != RAW_MAPERR;
		_exit(wrong);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_WHOLE();
}

/* Also if it asked for it: then the mapping would outlive its frames. */
TEST_F(vma, child_has_no_arena_by_madvise)
{
	int status;
	pid_t child;

	for (int i = 0; i < 4; i++)
		madvise(self->mappings[i].at, self->mappings[i].length, MADV_DOFORK);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		int wrong = 0;

		for (int i = 0; i < 4; i++)
			wrong += raw_touch(self->mappings[i].at, false) != RAW_MAPERR;
		_exit(wrong + (raw_touch(self->object, false) != RAW_MAPERR));
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_WHOLE();
}

/* A core file has nothing of it: written by the kernel, read here. */
TEST_F(vma, not_in_core_dumps)
{
	static const char secret[] = "ffiguard secret 4711 in the arena";
	char pattern[128] = "", path[64], *core = NULL;
	FILE *file = fopen("/proc/sys/kernel/core_pattern", "r+");
	size_t length = 0;
	int status;
	pid_t child;

	if (access("/proc/self/coredump_filter", F_OK))
		SKIP(return, "the kernel writes no core files (CONFIG_ELF_CORE)");
	if (!file || !fgets(pattern, sizeof(pattern), file))
		SKIP(return, "cannot read core_pattern");
	rewind(file);
	fputs("/tmp/ffg-core", file);
	fclose(file);
	child = fork();
	ASSERT_LE(0, child);
	if (!child) {
		struct ffg_object_desc desc;
		struct raw own;
		char *open_copy = malloc(sizeof(secret));

		setrlimit(RLIMIT_CORE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
		if (raw_open(&own, 2) || raw_alloc(&own, sizeof(secret), 0, &desc))
			_exit(1);
		for (size_t i = 0; i < sizeof(secret); i++)
			((char *)desc.address)[i] = secret[i] ^ 0x15;
		/* What must be in it, to see that it is a core. */
		for (size_t i = 0; i < sizeof(secret); i++)
			((volatile char *)open_copy)[i] = secret[i] ^ 0x2a;
		signal(SIGSEGV, SIG_DFL);
		raise(SIGSEGV);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status) && WCOREDUMP(status));
	file = fopen("/proc/sys/kernel/core_pattern", "w");
	fputs(pattern, file);
	fclose(file);
	file = fopen("/tmp/ffg-core", "r");
	if (!file) {
		snprintf(path, sizeof(path), "/tmp/ffg-core.%d", child);
		file = fopen(path, "r");
	}
	ASSERT_NE(NULL, file);
	fseek(file, 0, SEEK_END);
	length = ftell(file);
	rewind(file);
	core = malloc(length);
	ASSERT_NE(NULL, core);
	ASSERT_EQ(1, fread(core, length, 1, file));
	fclose(file);
	unlink("/tmp/ffg-core");
	for (int which = 0; which < 2; which++) {
		const char mask = which ? 0x2a : 0x15;
		bool found = false;

		for (size_t at = 0; !found && at + sizeof(secret) <= length; at++) {
			size_t i = 0;

			while (i < sizeof(secret) && core[at + i] == (char)(secret[i] ^ mask))
				i++;
			found = i == sizeof(secret);
		}
		EXPECT_EQ(which == 1, found);
	}
	free(core);
}

TEST_HARNESS_MAIN
