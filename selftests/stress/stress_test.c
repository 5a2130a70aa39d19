// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once, from more threads than processors, with an oracle: each thread knows every
 * byte of its objects and what each of its records grants, so it knows how every access of its
 * foreign code has to end. Objects of one thread are targets of the others' attacks; some
 * objects belong to all, and are bound, revoked and rebound under the running calls of others.
 *
 * Bounded by time. FFG_SEED repeats a run as far as threads can be repeated.
 */
#include <stdarg.h>
#include <sys/random.h>

#include "kselftest_harness.h"

#include "foreign_call.h"

#define IN		FFG_RIGHT_READ
#define INOUT		(FFG_RIGHT_READ | FFG_RIGHT_WRITE)
#define THREADS		4
#define SLOTS		4
#define OBJECTS		10	/* of each thread */
#define SHARED		4	/* of all; nobody writes them */
#define RECORDS		6	/* of each thread */
#define GRANTS		5	/* in a record, at most */
#define LENGTH_MAX	(6 * 4096)
#define STRESS_MS	18000
#define ENOUGH		50UL	/* calls, accesses and attacks */

/* The first error of all threads; the others stop. */
static char failure[512];
static volatile int stop;

__attribute__((format(printf, 1, 2)))
static void fail(const char *format, ...)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	va_list args;

	pthread_mutex_lock(&lock);
	if (!failure[0]) {
		va_start(args, format);
		vsnprintf(failure, sizeof(failure), format, args);
		va_end(args);
	}
	stop = 1;
	pthread_mutex_unlock(&lock);
}

/* An object and what all of its bytes ought to be. */
struct item {
	unsigned char *volatile at;	/* NULL: none; other threads attack it */
	struct ffg_object_desc desc;
	unsigned char *bytes;
	unsigned int grants;		/* records of its owner that cite it */
};

struct entry {
	struct ffg_record_id id;
	unsigned int count;
	struct item *items[GRANTS];
	struct ffg_grant_desc grants[GRANTS];
	bool alive;
};

struct worker {
	pthread_t thread;
	unsigned int number;
	uint64_t dice;
	int line;
	struct item items[OBJECTS];
	struct entry entries[RECORDS];
	unsigned long calls, accesses, attacks, busy, allocs, revokes, waits;
};

static struct raw raw;
static struct shapes shapes;
static struct item shared[SHARED];
static struct worker workers[THREADS];
static uint64_t seed;

static uint64_t roll(struct worker *w)
{
	w->dice ^= w->dice << 13;
	w->dice ^= w->dice >> 7;
	w->dice ^= w->dice << 17;
	return w->dice >> 11;
}

static unsigned int below(struct worker *w, unsigned int limit)
{
	return roll(w) % limit;
}

/* Bytes of an object as they were when it was made, from a number of its own. */
static bool item_make(struct item *item, uint64_t length, uint32_t flags, unsigned int number)
{
	int err = raw_alloc(&raw, length, flags, &item->desc);
	unsigned char *at = (unsigned char *)(uintptr_t)item->desc.address;

	if (err) {
		fail("OBJECT_ALLOC of %llu: %d", (unsigned long long)length, err);
		return false;
	}
	item->bytes = malloc(length);
	for (uint64_t i = 0; i < length; i++) {
		if (at[i]) {
			fail("byte %llu of a new object is %#x", (unsigned long long)i, at[i]);
			return false;
		}
		item->bytes[i] = number + i * 31;
	}
	memcpy(at, item->bytes, length);
	item->grants = 0;
	item->at = at;
	return true;
}

/* What trusted code sees of an object is what it ought to be. */
static void item_check(const struct worker *w, const struct item *item, const char *when)
{
	for (uint64_t i = 0; i < item->desc.length; i++) {
		if (item->at[i] != item->bytes[i]) {
			fail("thread %u, %s: byte %llu of an object of %llu is %#x, not %#x",
			     w->number, when, (unsigned long long)i,
			     (unsigned long long)item->desc.length, item->at[i], item->bytes[i]);
			return;
		}
	}
}

static void do_alloc(struct worker *w)
{
	struct item *item = &w->items[below(w, OBJECTS)];
	uint64_t length = below(w, 3) ? 1 + below(w, 300) : 1 + below(w, LENGTH_MAX);

	if (item->at)
		return;
	w->allocs++;
	item_make(item, length, below(w, 2) ? FFG_OBJECT_START : FFG_OBJECT_END, roll(w));
}

static void do_free(struct worker *w)
{
	struct item *item = &w->items[below(w, OBJECTS)];
	struct ffg_damage damage;
	uint64_t object = item->desc.object;
	unsigned char *at = item->at;
	uint32_t count = 1;
	int err;

	if (!at)
		return;
	item_check(w, item, "before free");
	if (!item->grants)
		item->at = NULL;
	err = raw_object_batch(&raw, FFG_IOC_OBJECT_FREE, &object, 1, &damage, &count);
	if (err != (item->grants ? -EBUSY : 0))
		fail("OBJECT_FREE of an object with %u grants: %d", item->grants, err);
	else if (!err && count)
		fail("OBJECT_FREE: damage at %lld that nobody did", (long long)damage.offset);
	if (!item->grants) {
		free(item->bytes);
		item->bytes = NULL;
	}
}

static void do_grant(struct worker *w)
{
	struct entry *entry = &w->entries[below(w, RECORDS)];
	unsigned int want = below(w, GRANTS + 1);
	int err;

	if (entry->alive)
		return;
	entry->count = 0;
	for (unsigned int i = 0; i < want; i++) {
		bool common = below(w, 2);
		struct item *item = common ? &shared[below(w, SHARED)] :
				    &w->items[below(w, OBJECTS)];
		bool twice = false;
		uint64_t from, length;

		for (unsigned int j = 0; j < entry->count; j++)
			twice |= entry->items[j] == item;
		if (!item->at || twice)
			continue;
		from = below(w, 2) ? 0 : below(w, item->desc.length);
		length = item->desc.length - from;
		if (below(w, 2))
			length = 1 + below(w, length);
		entry->items[entry->count] = item;
		entry->grants[entry->count++] = raw_range(item->desc.object, from, length,
							  common || below(w, 3) == 0 ? IN : INOUT);
	}
	err = raw_grant(&raw, entry->grants, entry->count, below(w, 2) ? FFG_BIND_NOW : 0,
			&entry->id);
	if (err == -EBUSY) {
		w->busy++;
		return;
	}
	if (err) {
		fail("GRANT of %u: %d", entry->count, err);
		return;
	}
	entry->alive = true;
	for (unsigned int i = 0; i < entry->count; i++)
		if (entry->items[i] >= w->items && entry->items[i] < w->items + OBJECTS)
			entry->items[i]->grants++;
}

static void do_revoke(struct worker *w, struct entry *entry)
{
	struct ffg_damage damage[GRANTS];
	uint32_t count = GRANTS;
	int err;

	if (!entry->alive)
		return;
	w->revokes++;
	if (!below(w, 4)) {
		/* In two steps: dead, then gone. */
		err = raw_revoke_batch(&raw, &entry->id, 1, FFG_REVOKE_KEEP, damage, &count);
		if (err || count)
			fail("REVOKE, keeping: %d, %u damages", err, count);
		err = raw_bind(&raw, &entry->id, 0, 0);
		if (err != -ESTALE)
			fail("BIND of a dead record: %d", err);
		count = GRANTS;
	}
	err = raw_revoke_batch(&raw, &entry->id, 1, 0, damage, &count);
	if (err || count)
		fail("REVOKE: %d, %u damages", err, count);
	err = raw_revoke(&raw, &entry->id);
	if (err != -ENOENT)
		fail("REVOKE twice: %d", err);
	entry->alive = false;
	for (unsigned int i = 0; i < entry->count; i++)
		if (entry->items[i] >= w->items && entry->items[i] < w->items + OBJECTS)
			entry->items[i]->grants--;
}

/* Which rights the pages rule of a record gives at an address. */
static unsigned int rights_at(const struct entry *entry, const unsigned char *at)
{
	uintptr_t page = (uintptr_t)at / RAW_PAGE;

	for (unsigned int i = 0; i < entry->count; i++) {
		uintptr_t from = (uintptr_t)entry->items[i]->at + entry->grants[i].offset;

		if (page >= from / RAW_PAGE &&
		    page <= (from + entry->grants[i].length - 1) / RAW_PAGE)
			return entry->grants[i].rights;
	}
	return 0;
}

/* The fault was judged: is it what the module should have said?  False: ask again another time. */
static bool stopped_rightly(struct worker *w)
{
	if (foreign_fault.verdict == FFG_VERDICT_VIOLATION &&
	    foreign_fault.reason == FFG_REASON_BUSY) {
		w->busy++;
		return false;
	}
	return true;
}

/* Foreign code on bytes that the call was given. */
static void access_granted(struct worker *w, struct raw_call *call, struct entry *entry)
{
	unsigned int which = below(w, entry->count);
	struct item *item = entry->items[which];
	const struct ffg_grant_desc *grant = &entry->grants[which];
	uint64_t at = grant->offset + below(w, grant->length);
	unsigned int length = 1 + below(w, 32);
	unsigned char value = roll(w);
	volatile unsigned int sum = 0;
	unsigned int want = 0;
	int code;

	if (length > grant->offset + grant->length - at)
		length = grant->offset + grant->length - at;
	w->accesses++;
	if (grant->rights == INOUT && below(w, 2)) {
		code = FOREIGN_IN(call, shapes.fill(item->at + at, value, length));
		/* If it had to stop in the middle of it, what it had written stays. */
		if (!code)
			memset(item->bytes + at, value, length);
		else
			memcpy(item->bytes + at, item->at + at, length);
	} else {
		code = FOREIGN_IN(call, sum = shapes.sum(item->at + at, length));
		for (unsigned int i = 0; i < length; i++)
			want += item->bytes[at + i];
		if (!code && sum != want)
			fail("thread %u: foreign code read %u, not %u", w->number, sum, want);
	}
	if (code && stopped_rightly(w))
		fail("thread %u: stopped (%d: %u, %u) at byte %llu of %llu, granted %u",
		     w->number, code, foreign_fault.verdict, foreign_fault.reason,
		     (unsigned long long)at, (unsigned long long)item->desc.length, grant->rights);
}

/* Foreign code where it has no business: another's object, a page not granted, a guard page ... */
static void attack(struct worker *w, struct raw_call *call, struct entry *entry)
{
	struct worker *victim = &workers[below(w, THREADS)];
	struct item *item = below(w, 4) ? &victim->items[below(w, OBJECTS)] :
			    &shared[below(w, SHARED)];
	unsigned char *at = item->at;
	bool write = below(w, 2);
	unsigned int rights;
	int code;

	if (!at)
		return;
	/* The others may free it and have a new one of another length: any address will do. */
	switch (below(w, 4)) {
	case 0:
		at += below(w, 100);
		break;
	case 1:
		at += below(w, LENGTH_MAX);
		break;
	case 2:
		at -= 1 + below(w, 2 * RAW_PAGE);
		break;
	}
	/* What lies beside the arena is not guarded. */
	if ((uintptr_t)at - (uintptr_t)raw.arena >= raw.hello.arena_size)
		return;
	rights = rights_at(entry, at);
	/* What it was given it may do; slack is left alone, since its damage would be found. */
	if (rights && (!write || rights == INOUT))
		return;
	w->attacks++;
	if (write)
		code = FOREIGN_IN(call, shapes.write1(at, 0, 0xee));
	else
		code = FOREIGN_IN(call, shapes.read1(at, 0));
	if (!code)
		fail("thread %u: foreign code %s at %p without a grant (rights %u)", w->number,
		     write ? "wrote" : "read", (void *)at, rights);
	else if (foreign_fault.verdict != FFG_VERDICT_VIOLATION)
		fail("thread %u: an attack was stopped (%d), but judged %u", w->number, code,
		     foreign_fault.verdict);
}

static void do_call(struct worker *w)
{
	struct entry *entry = &w->entries[below(w, RECORDS)];
	struct raw_call call;
	unsigned int flags = below(w, 2) ? FFG_BIND_WAIT : 0;
	int err;

	if (!entry->alive)
		return;
	err = foreign_enter(&raw, w->line, &entry->id, flags, &call);
	if (err == -EBUSY || err == -EAGAIN) {
		w->busy++;
		return;
	}
	if (err) {
		fail("thread %u: a call could not be made: %d", w->number, err);
		return;
	}
	w->calls++;
	for (unsigned int i = below(w, 8); i-- && !stop;) {
		if (entry->count && below(w, 4))
			access_granted(w, &call, entry);
		else
			attack(w, &call, entry);
		/* No slot was to be had for what a revoke had closed: nothing is open any more. */
		if (call.line->fpkru == FFG_LINE_IDLE)
			break;
		/* A thread that goes to sleep in the call holds its slots all the while. */
		if (!below(w, 64))
			sched_yield();
	}
	if (raw_leave(&call)) {
		w->waits++;
		raw_wake(&raw);
	}
}

static void do_check(struct worker *w)
{
	struct item *item = &w->items[below(w, OBJECTS)];
	struct ffg_object_query query;
	struct ffg_damage damage;
	int err;

	if (!item->at)
		return;
	item_check(w, item, "in between");
	err = raw_check(&raw, item->desc.object, &damage);
	if (err)
		fail("OBJECT_CHECK: %d", err);
	err = raw_query(&raw, item->at + item->desc.length - 1, &query);
	if (err || query.object != item->desc.object || query.where != FFG_WHERE_OBJECT ||
	    query.grants != item->grants)
		fail("OBJECT_QUERY: %d, where %u, %u grants of %u", err, query.where, query.grants,
		     item->grants);
}

/* Trusted code writes as well, while its own calls are over. */
static void do_trusted_write(struct worker *w)
{
	struct item *item = &w->items[below(w, OBJECTS)];
	uint64_t at;

	if (!item->at)
		return;
	at = below(w, item->desc.length);
	item->bytes[at] = roll(w);
	item->at[at] = item->bytes[at];
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	w->line = raw_attach(&raw);
	if (w->line < 0)
		fail("LINE_ATTACH: %d", w->line);
	foreign_judge = &raw;
	while (!stop) {
		switch (below(w, 16)) {
		case 0:
		case 1:
			do_alloc(w);
			break;
		case 2:
			do_free(w);
			break;
		case 3:
		case 4:
			do_grant(w);
			break;
		case 5:
			do_revoke(w, &w->entries[below(w, RECORDS)]);
			break;
		case 6:
			do_check(w);
			break;
		case 7:
			do_trusted_write(w);
			break;
		default:
			do_call(w);
		}
	}
	if (failure[0])
		return NULL;
	for (unsigned int i = 0; i < RECORDS; i++)
		do_revoke(w, &w->entries[i]);
	for (unsigned int i = 0; i < OBJECTS; i++) {
		if (!w->items[i].at)
			continue;
		item_check(w, &w->items[i], "at the end");
		if (raw_free(&raw, w->items[i].desc.object))
			fail("thread %u: an object could not be freed at the end", w->number);
	}
	return NULL;
}

FIXTURE(stress)
{
	const char *seed;
};

FIXTURE_SETUP(stress)
{
	self->seed = getenv("FFG_SEED");
	if (self->seed)
		seed = strtoull(self->seed, NULL, 0);
	else
		ASSERT_EQ((ssize_t)sizeof(seed), getrandom(&seed, sizeof(seed), 0));
	/* Also when it hangs. */
	fprintf(stderr, "# FFG_SEED=%#llx\n", (unsigned long long)seed);
	foreign_catch_faults();
	ASSERT_TRUE(shapes_load(&shapes));
	ASSERT_EQ(0, raw_open(&raw, SLOTS));
}

FIXTURE_TEARDOWN(stress)
{
	raw_close(&raw);
}

/* For a time, and where the host is busy until something was done, but not for ever. */
static bool goes_on(uint64_t begun)
{
	uint64_t ms = foreign_now_ms() - begun;
	unsigned long calls = 0, accesses = 0, attacks = 0;

	for (unsigned int i = 0; i < THREADS; i++) {
		calls += __atomic_load_n(&workers[i].calls, __ATOMIC_RELAXED);
		accesses += __atomic_load_n(&workers[i].accesses, __ATOMIC_RELAXED);
		attacks += __atomic_load_n(&workers[i].attacks, __ATOMIC_RELAXED);
	}
	return ms < STRESS_MS || (ms < 4 * STRESS_MS && (calls <= ENOUGH || accesses <= ENOUGH ||
							 attacks <= ENOUGH));
}

TEST_F_TIMEOUT(stress, everything_at_once, 110)
{
	unsigned long calls = 0, accesses = 0, attacks = 0, busy = 0;
	struct ffg_stats stats;
	uint64_t begun;

	for (unsigned int i = 0; i < SHARED; i++)
		ASSERT_TRUE(item_make(&shared[i], 60 + 5000 * i, 0, i));
	for (unsigned int i = 0; i < THREADS; i++) {
		workers[i].number = i;
		workers[i].dice = (seed + i) * 0x9e3779b97f4a7c15 | 1;
		ASSERT_EQ(0, pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]));
	}
	begun = foreign_now_ms();
	while (!stop && goes_on(begun))
		foreign_sleep_ms(50);
	stop = 1;
	for (unsigned int i = 0; i < THREADS; i++) {
		struct worker *w = &workers[i];

		ASSERT_EQ(0, pthread_join(w->thread, NULL));
		calls += w->calls;
		accesses += w->accesses;
		attacks += w->attacks;
		busy += w->busy;
		TH_LOG("thread %u: %lu allocs, %lu revokes, %lu calls, %lu accesses, %lu attacks",
		       i, w->allocs, w->revokes, w->calls, w->accesses, w->attacks);
		TH_LOG("thread %u: %lu times busy, %lu wakes", i, w->busy, w->waits);
	}
	EXPECT_STREQ("", failure)
		TH_LOG("FFG_SEED=%#llx: %s", (unsigned long long)seed, failure);
	/* It was no idle run, if the machine was ever so slow. */
	EXPECT_LT(ENOUGH, calls);
	EXPECT_LT(ENOUGH, accesses);
	EXPECT_LT(ENOUGH, attacks);
	EXPECT_LT(busy, calls);

	for (unsigned int i = 0; i < SHARED; i++) {
		item_check(&workers[0], &shared[i], "shared, at the end");
		ASSERT_EQ(0, raw_free(&raw, shared[i].desc.object));
	}
	EXPECT_STREQ("", failure)
		TH_LOG("%s", failure);
	ASSERT_EQ(0, raw_stats(&raw, 0, &stats));
	TH_LOG("%llu binds, %llu evictions, %llu shared, %llu busy, %llu waits", stats.binds,
	       stats.evictions, stats.shared, stats.busy, stats.waits);
	TH_LOG("%llu retries, %llu violations", stats.retries, stats.violations);
	/* Nothing is left, and nothing was damaged. */
	EXPECT_EQ(0, stats.objects);
	EXPECT_EQ(0, stats.frames);
	EXPECT_EQ(0, stats.records);
	EXPECT_EQ(0, stats.damages);
	EXPECT_LT(0, stats.evictions);
	EXPECT_LE(attacks, stats.violations);
}

TEST_HARNESS_MAIN
