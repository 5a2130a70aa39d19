// SPDX-License-Identifier: GPL-2.0-only
/* Keys of domains and domain-wide grants by the bare ioctls. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "kselftest_harness.h"

#include "ffg_raw.h"

#define INOUT	(FFG_RIGHT_READ | FFG_RIGHT_WRITE)
#define WIDE	(INOUT | FFG_RIGHT_DOMAIN)
#define BYTE	7

FIXTURE(raw) {
	struct raw raw;
	int domain, other;		/* keys */
	int line;
	struct ffg_object_desc desc;
	volatile char *at;
};

static int keys(const struct raw *raw, uint32_t safe, uint32_t slots, uint32_t domains)
{
	struct ffg_keys keys = {
		.size = sizeof(keys),
		.safe = safe,
		.slots = slots,
		.domains = domains,
	};

	return raw_ioctl(raw->fd, FFG_IOC_KEYS, &keys);
}

static int grant_in(const struct raw *raw, const struct ffg_grant_desc *desc, uint32_t domain,
		    uint32_t flags, struct ffg_record_id *id)
{
	struct ffg_grant grant = {
		.size = sizeof(grant),
		.flags = flags,
		.count = desc ? 1 : 0,
		.grants = (uintptr_t)desc,
		.domain = domain,
	};
	int err = raw_ioctl(raw->fd, FFG_IOC_GRANT, &grant);

	*id = (struct ffg_record_id){ .record = grant.record, .serial = grant.serial };
	return err;
}

static int wake(const struct raw *raw, uint32_t flags)
{
	struct ffg_wake wake = { .size = sizeof(wake), .flags = flags };

	return raw_ioctl(raw->fd, FFG_IOC_WAKE, &wake);
}

FIXTURE_SETUP(raw)
{
	struct raw *raw = &self->raw;

	raw_catch_faults();
	raw->fd = raw_device();
	ASSERT_LE(0, raw->fd);
	ASSERT_EQ(0, raw_hello(raw, 0));
	raw->safe = pkey_alloc(0, 0);
	self->domain = pkey_alloc(0, 0);
	self->other = pkey_alloc(0, 0);
	for (int i = 0; i < 2; i++)
		raw->slots |= 1U << pkey_alloc(0, 0);
	raw->all = RAW_CLOSED(raw->safe) | RAW_CLOSED(self->domain) | RAW_CLOSED(self->other);
	for (int key = 1; key < 16; key++)
		if (raw->slots & 1U << key)
			raw->all |= RAW_CLOSED(key);
}

FIXTURE_TEARDOWN(raw)
{
	raw_close(&self->raw);
}

#define DONATE() ASSERT_EQ(0, donate(self))
static int donate(FIXTURE_DATA(raw) *self)
{
	struct raw *raw = &self->raw;
	int err = keys(raw, raw->safe, raw->slots, 1U << self->domain | 1U << self->other);

	if (!err)
		err = raw_map(raw);
	if (!err)
		self->line = raw_attach(raw);
	if (!err)
		err = raw_alloc(raw, 100, 0, &self->desc);
	self->at = (volatile char *)self->desc.address + BYTE;
	return err;
}

/* What code of the domain, in whatever thread, sees of the object. */
static int touch_in(FIXTURE_DATA(raw) *self, int domain)
{
	return raw_touch_as(raw_rdpkru() | (self->raw.all & ~RAW_CLOSED(domain)), self->at, true);
}

TEST_F(raw, keys_are_checked)
{
	struct raw *raw = &self->raw;
	uint32_t domains = 1U << self->domain;

	EXPECT_EQ(-EINVAL, keys(raw, raw->safe, raw->slots, domains | 1U << raw->safe));
	EXPECT_EQ(-EINVAL, keys(raw, raw->safe, raw->slots | domains, domains));
	EXPECT_EQ(-EINVAL, keys(raw, raw->safe, raw->slots, domains | 1));
	EXPECT_EQ(-EINVAL, keys(raw, raw->safe, raw->slots, domains | 1 << 16));
	EXPECT_EQ(-EINVAL, keys(raw, raw->safe, 0, domains));
	EXPECT_EQ(0, pkey_free(self->other));
	EXPECT_EQ(-EKEYREVOKED, keys(raw, raw->safe, raw->slots, domains | 1U << self->other));
	EXPECT_EQ(0, keys(raw, raw->safe, raw->slots, domains));
	EXPECT_EQ(-EALREADY, keys(raw, raw->safe, raw->slots, domains));
}

TEST_F(raw, words)
{
	struct ffg_record_id id;
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole;

	DONATE();
	ASSERT_EQ(0, grant_in(raw, NULL, 0, FFG_BIND_NOW, &id));
	EXPECT_EQ(raw->all, raw_word(raw, &id));
	ASSERT_EQ(0, grant_in(raw, NULL, self->domain, FFG_BIND_NOW, &id));
	EXPECT_EQ(raw->all & ~RAW_CLOSED(self->domain), raw_word(raw, &id));
	whole = raw_whole(&self->desc, FFG_RIGHT_READ);
	ASSERT_EQ(0, grant_in(raw, &whole, self->other, FFG_BIND_NOW, &id));
	EXPECT_EQ(0, raw_word(raw, &id) & RAW_CLOSED(self->other));
	EXPECT_EQ(RAW_CLOSED(self->domain), raw_word(raw, &id) & RAW_CLOSED(self->domain));
	/* Dead or stale, it says the same of the domain, and nothing of slots. */
	ASSERT_EQ(0, raw_revoke_batch(raw, &id, 1, FFG_REVOKE_KEEP, NULL, NULL));
	EXPECT_EQ((raw->all & ~RAW_CLOSED(self->other)) | FFG_WORD_STALE, raw_word(raw, &id));
}

TEST_F(raw, grants_are_checked)
{
	struct ffg_record_id id;
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole;

	DONATE();
	whole = raw_whole(&self->desc, WIDE);
	EXPECT_EQ(-EINVAL, grant_in(raw, &whole, 0, 0, &id));
	EXPECT_EQ(-EINVAL, grant_in(raw, &whole, raw->safe, 0, &id));
	EXPECT_EQ(-EINVAL, grant_in(raw, &whole, __builtin_ctz(raw->slots), 0, &id));
	EXPECT_EQ(-EINVAL, grant_in(raw, &whole, 16, 0, &id));
	EXPECT_EQ(-EINVAL, grant_in(raw, &whole, 1U << 31, 0, &id));
	whole.rights = FFG_RIGHT_READ | FFG_RIGHT_DOMAIN;
	EXPECT_EQ(-EINVAL, grant_in(raw, &whole, self->domain, 0, &id));
	whole.rights = FFG_RIGHT_DOMAIN;
	EXPECT_EQ(-EINVAL, grant_in(raw, &whole, self->domain, 0, &id));
	whole.rights = WIDE;
	EXPECT_EQ(0, grant_in(raw, &whole, self->domain, 0, &id));
	/* Who has no line could not close it. */
	ASSERT_EQ(0, raw_detach(raw));
	EXPECT_EQ(-EINVAL, raw_bind(raw, &id, 0, 0));
}

TEST_F(raw, open_from_bind_to_wake)
{
	struct ffg_record_id id;
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole;
	struct raw_call call;

	DONATE();
	whole = raw_whole(&self->desc, WIDE);
	ASSERT_EQ(0, grant_in(raw, &whole, self->domain, FFG_BIND_NOW, &id));
	for (int round = 0; round < 5; round++) {
		EXPECT_FALSE(raw_enter(raw, self->line, &id, &call));
		EXPECT_EQ(RAW_PKUERR, touch_in(self, self->domain));
		ASSERT_EQ(0, raw_bind(raw, &id, 0, 0));
		ASSERT_TRUE(raw_enter(raw, self->line, &id, &call));
		EXPECT_EQ(0, touch_in(self, self->domain));
		EXPECT_EQ(RAW_PKUERR, touch_in(self, self->other));
		/* It does not need a slot, and trusted code has it as ever. */
		EXPECT_EQ(raw->all & ~RAW_CLOSED(self->domain), raw_word(raw, &id));
		EXPECT_EQ(0, raw_touch(self->at, true));
		EXPECT_TRUE(raw_leave(&call));
		ASSERT_EQ(0, wake(raw, FFG_WAKE_KEEP));
		EXPECT_EQ(0, touch_in(self, self->domain));
		EXPECT_EQ(1, raw->lines[self->line].wake);
		ASSERT_EQ(0, wake(raw, 0));
		EXPECT_EQ(0, raw->lines[self->line].wake);
		EXPECT_EQ(RAW_PKUERR, touch_in(self, self->domain));
	}
}

TEST_F(raw, one_key_at_a_time)
{
	struct ffg_record_id id, second, ordinary;
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole;

	DONATE();
	whole = raw_whole(&self->desc, WIDE);
	ASSERT_EQ(0, grant_in(raw, &whole, self->domain, 0, &id));
	ASSERT_EQ(0, grant_in(raw, &whole, self->other, 0, &second));
	whole.rights = INOUT;
	ASSERT_EQ(0, grant_in(raw, &whole, 0, FFG_BIND_NOW, &ordinary));
	/* Bound to a slot before, it is taken from there. */
	ASSERT_EQ(0, raw_bind(raw, &id, 0, 0));
	EXPECT_EQ(FFG_WORD_STALE, raw_word(raw, &ordinary) & FFG_WORD_STALE);
	EXPECT_EQ(-EBUSY, raw_bind(raw, &ordinary, 0, 0));
	EXPECT_EQ(-EBUSY, raw_bind(raw, &second, 0, 0));
	EXPECT_EQ(-EBUSY, raw_bind(raw, &second, FFG_BIND_WAIT, 1000000));
	EXPECT_EQ(0, touch_in(self, self->domain));
	ASSERT_EQ(0, wake(raw, 0));
	ASSERT_EQ(0, raw_bind(raw, &second, 0, 0));
	EXPECT_EQ(0, touch_in(self, self->other));
	EXPECT_EQ(RAW_PKUERR, touch_in(self, self->domain));
	ASSERT_EQ(0, raw_revoke(raw, &second));
	EXPECT_EQ(RAW_PKUERR, touch_in(self, self->other));
	ASSERT_EQ(0, raw_bind(raw, &ordinary, 0, 0));
	ASSERT_EQ(0, raw_revoke(raw, &ordinary));
	ASSERT_EQ(0, raw_revoke(raw, &id));
	EXPECT_EQ(0, raw_free(raw, self->desc.object));
}

/* Both kinds in one record: each is open as it was granted, and ends with it. */
TEST_F(raw, both_kinds_of_grants)
{
	struct ffg_grant_desc both[2];
	struct ffg_grant grant = { .size = sizeof(grant), .count = 2 };
	struct raw *raw = &self->raw;
	struct ffg_object_desc own;
	struct ffg_record_id id;
	volatile char *at;
	uint32_t word;

	DONATE();
	ASSERT_EQ(0, raw_alloc(raw, 100, 0, &own));
	at = (volatile char *)own.address;
	both[0] = raw_whole(&own, INOUT);
	both[1] = raw_whole(&self->desc, WIDE);
	grant.grants = (uintptr_t)both;
	grant.domain = self->domain;
	ASSERT_EQ(0, raw_ioctl(raw->fd, FFG_IOC_GRANT, &grant));
	id = (struct ffg_record_id){ .record = grant.record, .serial = grant.serial };
	for (int round = 0; round < 3; round++) {
		ASSERT_EQ(0, raw_bind(raw, &id, 0, 0));
		word = raw_word(raw, &id);
		EXPECT_EQ(0, raw_touch_as(raw_rdpkru() | word, at, true));
		EXPECT_EQ(0, raw_touch_as(raw_rdpkru() | word, self->at, true));
		/* A thread of the domain has the one, not the other. */
		EXPECT_EQ(0, touch_in(self, self->domain));
		EXPECT_EQ(RAW_PKUERR,
			  raw_touch_as(raw_rdpkru() | (raw->all & ~RAW_CLOSED(self->domain)), at,
				       true));
		ASSERT_EQ(0, wake(raw, 0));
		EXPECT_EQ(RAW_PKUERR, touch_in(self, self->domain));
		EXPECT_EQ(FFG_WORD_STALE, raw_word(raw, &id) & FFG_WORD_STALE);
	}
	ASSERT_EQ(0, raw_bind(raw, &id, 0, 0));
	ASSERT_EQ(0, raw_revoke(raw, &id));
	EXPECT_EQ(RAW_PKUERR, raw_touch_as(raw_rdpkru() | word, at, true));
	EXPECT_EQ(RAW_PKUERR, touch_in(self, self->domain));
}

/* ---- other threads ---- */

struct opener {
	const struct raw *raw;
	const struct ffg_record_id *id;
	bool detach;
	sem_t opened, go;
	pid_t id_of_thread;
	int err;
};

static void *open_and_end(void *data)
{
	struct opener *opener = data;
	int line = raw_attach(opener->raw);

	opener->id_of_thread = gettid();
	opener->err = line < 0 ? line : raw_bind(opener->raw, opener->id, 0, 0);
	sem_post(&opener->opened);
	sem_wait(&opener->go);
	if (opener->detach && !opener->err)
		opener->err = raw_detach(opener->raw);
	return NULL;
}

/* To its last instruction in the kernel, which is after pthread_join(). */
static void join(pthread_t thread, const struct opener *opener)
{
	char path[40];

	pthread_join(thread, NULL);
	snprintf(path, sizeof(path), "/proc/self/task/%d", opener->id_of_thread);
	while (!access(path, F_OK))
		usleep(1000);
}

TEST_F(raw, opener_that_ends)
{
	struct ffg_record_id id, none;
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole;

	DONATE();
	whole = raw_whole(&self->desc, WIDE);
	ASSERT_EQ(0, grant_in(raw, &whole, self->domain, 0, &id));
	for (int round = 0; round < 4; round++) {
		struct opener opener = { .raw = raw, .id = &id, .detach = round & 1 };
		pthread_t thread;

		sem_init(&opener.opened, 0, 0);
		sem_init(&opener.go, 0, 0);
		ASSERT_EQ(0, pthread_create(&thread, NULL, open_and_end, &opener));
		sem_wait(&opener.opened);
		EXPECT_EQ(0, opener.err);
		EXPECT_EQ(0, touch_in(self, self->domain));
		/* Another thread's wake is none of its business. */
		ASSERT_EQ(0, wake(raw, 0));
		EXPECT_EQ(0, touch_in(self, self->domain));
		sem_post(&opener.go);
		join(thread, &opener);
		EXPECT_EQ(0, opener.err);
		/* Whoever binds anything closes it. */
		ASSERT_EQ(0, grant_in(raw, NULL, 0, FFG_BIND_NOW, &none));
		EXPECT_EQ(RAW_PKUERR, touch_in(self, self->domain));
		ASSERT_EQ(0, raw_revoke(raw, &none));
	}
}

TEST_F(raw, another_thread_goes_on)
{
	struct ffg_record_id id;
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole;
	struct opener opener = { .raw = raw, .id = &id };
	struct ffg_record_id none;
	struct raw_call call;
	pthread_t thread;

	DONATE();
	whole = raw_whole(&self->desc, WIDE);
	ASSERT_EQ(0, grant_in(raw, &whole, self->domain, 0, &id));
	sem_init(&opener.opened, 0, 0);
	sem_init(&opener.go, 0, 0);
	ASSERT_EQ(0, pthread_create(&thread, NULL, open_and_end, &opener));
	sem_wait(&opener.opened);
	/* It is open: no system call here.  Then who has opened it is gone. */
	ASSERT_TRUE(raw_enter(raw, self->line, &id, &call));
	sem_post(&opener.go);
	join(thread, &opener);
	ASSERT_EQ(0, grant_in(raw, NULL, 0, FFG_BIND_NOW, &none));
	EXPECT_EQ(0, touch_in(self, self->domain));
	EXPECT_TRUE(raw_leave(&call));
	ASSERT_EQ(0, wake(raw, 0));
	EXPECT_EQ(RAW_PKUERR, touch_in(self, self->domain));
}

TEST_F(raw, unmapped_while_open)
{
	struct ffg_record_id id;
	struct raw *raw = &self->raw;
	struct ffg_grant_desc whole;

	DONATE();
	whole = raw_whole(&self->desc, WIDE);
	ASSERT_EQ(0, grant_in(raw, &whole, self->domain, 0, &id));
	ASSERT_EQ(0, raw_bind(raw, &id, 0, 0));
	ASSERT_EQ(0, munmap(raw->arena, raw->hello.arena_size));
	raw->arena = NULL;
	EXPECT_EQ(-ESHUTDOWN, raw_bind(raw, &id, 0, 0));
	EXPECT_EQ(-ESHUTDOWN, wake(raw, 0));
}

TEST_HARNESS_MAIN
