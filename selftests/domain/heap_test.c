// SPDX-License-Identifier: GPL-2.0-only
/*
 * The heap of a domain: what libblocks allocates is its own, libshapes, in another domain, cannot
 * touch it, and whoever frees a block finds its heap.
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

#define WAYS	11

typedef void *(*new_fn)(size_t);
typedef void *(*by_fn)(int, size_t);
typedef void *(*resize_fn)(void *, size_t);
typedef void (*free_fn)(void *);
typedef size_t (*usable_fn)(void *);
typedef int (*fill_fn)(void *, size_t, int);
typedef long (*churn_fn)(unsigned int);
typedef int (*read_fn)(const void *, long);
typedef void (*write_fn)(void *, long, int);
typedef char *(*text_fn)(const char *);

static struct death death;

/* Two domains with @keys protection keys for domains: libblocks, and libshapes. */
struct pair {
	struct scene owner, other;
};

static struct pair pair_open(unsigned int keys, unsigned int policy)
{
	struct ffg_options options = { .size = sizeof(options), .domain_keys = keys };
	struct pair pair = { .owner = scene_open(NULL, &options) };

	pair.other.context = pair.owner.context;
	pair.owner.domain = ffg_domain_open(pair.owner.context, scene_path("blocks"), policy);
	SCENE_CHECK(pair.owner.domain);
	pair.other.domain = ffg_domain_open(pair.owner.context, scene_path("shapes"), policy);
	SCENE_CHECK(pair.other.domain);
	return pair;
}

static void *entry(const struct scene *s, const char *symbol, const char *signature)
{
	return scene_entry(s, symbol, signature, NULL, 0, 0);
}

/* ---- where blocks are ---- */

struct in {
	uintptr_t address;
	unsigned int number, found;	/* of the heap, from 1 on */
};

static void look(const struct ffg_region *region, void *data)
{
	struct in *in = data;

	if (region->kind != FFG_REGION_DOMAIN_HEAP)
		return;
	in->number++;
	if (in->address - region->address < region->length)
		in->found = in->number;
}

/* The number of the domain heap that it is in; 0: in none. */
static unsigned int heap_of(const struct scene *s, const void *block)
{
	struct in in = { .address = (uintptr_t)block };

	SCENE_CHECK(!ffg_context_regions(s->context, look, &in));
	return in.found;
}

static void body_ways(const void *data)
{
	struct pair pair = pair_open(2, 0);
	by_fn by = entry(&pair.owner, "block_by", "p(ii)");
	usable_fn usable = entry(&pair.owner, "block_usable", "i(p)");
	unsigned int heap;

	(void)data;
	for (int way = 0; way < WAYS; way++) {
		unsigned char *block = by(way, 100);

		SCENE_CHECK(block);
		heap = heap_of(&pair.owner, block);
		if (!heap || heap != heap_of(&pair.owner, by(0, 1)))
			scene_fail("way %d: not in the heap of the domain", way);
		if (way < 8 && (usable(block) < 100 || malloc_usable_size(block) < 100))
			scene_fail("way %d: %zu bytes", way, malloc_usable_size(block));
		if (way == 1)
			for (int i = 0; i < 100; i++)
				SCENE_CHECK(!block[i]);
		free(block);
	}
	/* Trusted code's own is where it always was. */
	SCENE_CHECK(!heap_of(&pair.owner, malloc(100)));
	fprintf(stderr, "all ways\n");
}

TEST(all_ways_to_allocate)
{
	death_run(&death, body_ways, NULL);
	DEATH_LIVED(&death, "all ways\n");
}

static void body_without(const void *data)
{
	struct pair pair = pair_open(0, 0);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");

	(void)data;
	SCENE_CHECK(!heap_of(&pair.owner, new(100)));
	fprintf(stderr, "libc's heap\n");
}

TEST(without_keys_it_is_libcs)
{
	death_run(&death, body_without, NULL);
	DEATH_LIVED(&death, "libc's heap\n");
}

static void body_shared(const void *data)
{
	struct ffg_options options = { .size = sizeof(options), .domain_keys = 1 };
	struct scene s = scene_open("blocks", &options), more = s;
	new_fn new = entry(&s, "block_new", "p(i)");
	void *block = new(50);

	(void)data;
	more.domain = ffg_domain_open(s.context, scene_path("shapes"), 0);
	SCENE_CHECK(more.domain);
	fprintf(stderr, "shared %#x\n", ((read_fn)entry(&more, "shape_read1", "i(pi)"))(block, 3));
}

/* There are fewer keys than domains: who shares one shares the heap. */
TEST(more_domains_than_keys)
{
	death_run(&death, body_shared, NULL);
	DEATH_LIVED(&death, "shared 0x41\n");
}

/* ---- attacks ---- */

enum victim { BLOCK, BIG_BLOCK, FREED, HEADER };

struct attack {
	enum victim what;
	bool write, own;
};

static void body_attack(const void *data)
{
	const struct attack *attack = data;
	struct pair pair = pair_open(2, 0);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");
	free_fn release = entry(&pair.owner, "block_free", "v(p)");
	fill_fn fill = entry(&pair.owner, "block_fill", "i(pii)");
	unsigned char *block = new(attack->what == BIG_BLOCK ? 10 << 20 : 200);

	SCENE_CHECK(block);
	if (attack->what == HEADER)
		block = (unsigned char *)((uintptr_t)block & ~0xffffUL);
	if (attack->what == FREED)
		release(block);
	if (attack->own)
		SCENE_CHECK(fill(block, 100, 0x41) == 0x41);
	else if (attack->write)
		((write_fn)entry(&pair.other, "shape_write1", "v(pii)"))(block, 8, 0x5a);
	else
		((read_fn)entry(&pair.other, "shape_read1", "i(pi)"))(block, 8);
	fprintf(stderr, "has %#x\n", block[8]);
}

static void attack(enum victim what, bool write)
{
	struct attack data = { what, write, false };

	death_run(&death, body_attack, &data);
}

TEST(own_block)
{
	struct attack data = { BLOCK, true, true };

	death_run(&death, body_attack, &data);
	DEATH_LIVED(&death, "has 0x41\n");
}

#define STOPPED(access)								\
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: ", access,		\
		     "heap of a domain")

TEST(read_of_anothers_block)
{
	attack(BLOCK, false);
	STOPPED("read");
}

TEST(write_to_anothers_block)
{
	attack(BLOCK, true);
	STOPPED("write");
}

TEST(write_to_anothers_large_block)
{
	attack(BIG_BLOCK, true);
	STOPPED("write");
}

TEST(read_of_what_another_freed)
{
	attack(FREED, false);
	STOPPED("read");
}

TEST(write_to_what_the_heap_keeps)
{
	attack(HEADER, true);
	STOPPED("write");
}

static void body_free_others(const void *data)
{
	struct pair pair = pair_open(2, 0);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");
	struct ffg_call *call;
	void *block = new(100);

	(void)data;
	call = ffg_call_new_address(pair.other.domain, free, "v(p)");
	SCENE_CHECK(call);
	((free_fn)ffg_call_entry(call))(block);
	fprintf(stderr, "freed\n");
}

TEST(free_of_anothers_block)
{
	death_run(&death, body_free_others, NULL);
	STOPPED("");
}

static void body_thread(const void *data)
{
	struct pair pair = pair_open(2, 0);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");
	struct scene *reader = *(const bool *)data ? &pair.owner : &pair.other;
	void *function = ffg_domain_symbol(pair.owner.domain, "block_read_in_thread");
	struct ffg_call *call = ffg_call_new_address(reader->domain, function, "i(p)");

	SCENE_CHECK(call);
	fprintf(stderr, "thread read %#x\n", ((int (*)(void *))ffg_call_entry(call))(new(100)));
}

/* Threads of the library have its key, and no other. */
TEST(thread_of_the_library)
{
	bool own = true;

	death_run(&death, body_thread, &own);
	DEATH_LIVED(&death, "thread read 0x41\n");
}

TEST(thread_of_another_library)
{
	bool own = false;

	death_run(&death, body_thread, &own);
	STOPPED("read");
}

/* ---- across the border ---- */

static void body_ownership(const void *data)
{
	struct pair pair = pair_open(2, 0);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");
	free_fn release = entry(&pair.owner, "block_free", "v(p)");
	free_fn give = entry(&pair.owner, "block_give", "v(p)");
	resize_fn resize = entry(&pair.owner, "block_resize", "p(pi)");
	unsigned char *block = new(100), *mine = malloc(100);
	unsigned int heap = heap_of(&pair.owner, block);

	(void)data;
	/* The library's, changed and freed by trusted code: it stays the library's. */
	block = realloc(block, 5000);
	SCENE_CHECK(block && heap_of(&pair.owner, block) == heap && block[99] == 0x41);
	block = reallocarray(block, 10, 1000);
	SCENE_CHECK(block && heap_of(&pair.owner, block) == heap && block[99] == 0x41);
	free(block);
	/* Trusted code's, changed and freed by the library. */
	memset(mine, 0x42, 100);
	mine = resize(mine, 5000);
	SCENE_CHECK(mine && !heap_of(&pair.owner, mine) && mine[99] == 0x42);
	release(mine);
	give(malloc(10));
	give(new(10));
	/* What the constructor had is libc's. */
	block = ((void *(*)(void))entry(&pair.owner, "block_constructed", "p()"))();
	SCENE_CHECK(!strcmp((char *)block, "constructed") && !heap_of(&pair.owner, block));
	release(block);
	fprintf(stderr, "each has its own\n");
}

TEST(ownership_across_the_border)
{
	death_run(&death, body_ownership, NULL);
	DEATH_LIVED(&death, "each has its own\n");
}

static void body_line(const void *data)
{
	struct pair pair = pair_open(1, 0);
	text_fn line = (text_fn)entry(&pair.owner, "block_line", "p(p)");
	char path[] = "/proc/self/status", *text;

	(void)data;
	text = line(path);
	SCENE_CHECK(text && heap_of(&pair.owner, text) && !strncmp(text, "Name:", 5));
	free(text);
	fprintf(stderr, "a line\n");
}

/* libc makes the library's buffer longer. */
TEST(buffer_for_libc)
{
	death_run(&death, body_line, NULL);
	DEATH_LIVED(&death, "a line\n");
}

static void body_free_twice(const void *data)
{
	struct pair pair = pair_open(1, 0);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");
	free_fn release = entry(&pair.owner, "block_free", "v(p)");
	unsigned char *block = new(100);

	if (*(const int *)data == 2) {
		release(block);
		release(block);
	} else {
		release(block + 16);
	}
	fprintf(stderr, "survived\n");
}

TEST(free_of_what_is_no_block)
{
	for (int how = 1; how <= 2; how++) {
		death_run(&death, body_free_twice, &how);
		DEATH_EXPECT(&death, SIGABRT, "which is no block of its domain's heap");
	}
}

static void body_free_twice_trusted(const void *data)
{
	struct pair pair = pair_open(1, FFG_POLICY_RECOVER);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");
	void (*volatile release)(void *) = free;
	unsigned char *block = new(100);

	(void)data;
	release(block);
	release(block);
	fprintf(stderr, "survived\n");
}

TEST(free_twice_by_trusted_code)
{
	death_run(&death, body_free_twice_trusted, NULL);
	DEATH_EXPECT(&death, SIGABRT, "which is no block of its domain's heap");
}

static void body_recover(const void *data)
{
	struct pair pair = pair_open(1, FFG_POLICY_RECOVER);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");
	struct ffg_call *call = scene_call(&pair.owner, "block_free", "v(p)");
	free_fn release = ffg_call_entry(call);
	unsigned char *block = new(100);

	(void)data;
	for (int i = 0; i < 10; i++) {
		release(block + 16);
		SCENE_CHECK(ffg_call_error(call) == FFG_E_CRASHED);
	}
	SCENE_CHECK(block[0] == 0x41);
	release(block);
	SCENE_CHECK(!ffg_call_error(call));
	release(block);
	SCENE_CHECK(ffg_call_error(call) == FFG_E_CRASHED);
	/* Nothing was locked for ever. */
	SCENE_CHECK(((churn_fn)entry(&pair.owner, "block_churn", "i(i)"))(1000) > 0);
	fprintf(stderr, "recovered\n");
}

TEST(bad_free_recovered)
{
	death_run(&death, body_recover, NULL);
	DEATH_LIVED(&death, "recovered\n");
}

static void body_reset(const void *data)
{
	struct pair pair = pair_open(2, FFG_POLICY_RECOVER);
	new_fn new = entry(&pair.owner, "block_new", "p(i)");
	struct ffg_call *call = scene_call(&pair.owner, "block_free", "v(p)");
	free_fn release = ffg_call_entry(call);
	void *first = NULL, *other = NULL;
	unsigned char *block;

	(void)data;
	for (int i = 0; i < 40; i++) {
		void *large = new(8 << 20), *small = new(40);

		/* Every time it is the same heap again: nothing of the last round is there. */
		SCENE_CHECK(large && small);
		SCENE_CHECK(!i || (large == first && small == other));
		first = large;
		other = small;
		release((char *)large + 16);
		SCENE_CHECK(ffg_call_error(call) == FFG_E_CRASHED);
		SCENE_CHECK(!ffg_domain_reset(pair.owner.domain));
	}
	block = ((by_fn)entry(&pair.owner, "block_by", "p(ii)"))(1, 8 << 20);
	for (int i = 0; i < 8 << 20; i += 64)
		SCENE_CHECK(!block[i]);
	fprintf(stderr, "reset\n");
}

TEST(reset_restores_the_heap)
{
	death_run(&death, body_reset, NULL);
	DEATH_LIVED(&death, "reset\n");
}

/* ---- use ---- */

static void body_churn(const void *data)
{
	struct pair pair = pair_open(2, 0);
	churn_fn churn = entry(&pair.owner, "block_churn", "i(i)");
	churn_fn threads = entry(&pair.owner, "block_churn_threads", "i(i)");
	long sum = churn(20000);

	(void)data;
	SCENE_CHECK(sum > 0);
	SCENE_CHECK(churn(20000) == sum);
	SCENE_CHECK(threads(5000) == 4 * churn(5000));
	fprintf(stderr, "churned\n");
}

TEST(threads_share_the_heap)
{
	death_run(&death, body_churn, NULL);
	DEATH_LIVED(&death, "churned\n");
}

static void body_fork(const void *data)
{
	struct pair pair = pair_open(2, 0);
	unsigned char *block = ((new_fn)entry(&pair.owner, "block_new", "p(i)"))(100);
	int status;
	pid_t child;

	(void)data;
	SCENE_CHECK(((int (*)(void *, int))entry(&pair.owner, "block_fork", "i(pi)"))(block, 0x41)
		    == 1);
	child = fork();
	if (!child) {
		bool same = block[0] == 0x41;

		free(block);
		_exit(same ? 0 : 1);
	}
	SCENE_CHECK(waitpid(child, &status, 0) == child && !status);
	SCENE_CHECK(block[0] == 0x41);
	free(block);
	fprintf(stderr, "forked\n");
}

TEST(fork_by_either)
{
	death_run(&death, body_fork, NULL);
	DEATH_LIVED(&death, "forked\n");
}

/* ---- what runs when no call of the domain does ---- */

struct thread_end {
	const struct pair *pair;
	int by_free;
};

static void *thread_end(void *data)
{
	struct thread_end *end = data;
	struct ffg_call *call;

	SCENE_CHECK(!ffg_thread_attach(end->pair->owner.context));
	call = scene_call(&end->pair->owner, "block_of_the_thread", "i(ii)");
	SCENE_CHECK(!((int (*)(int, size_t))ffg_call_entry(call))(end->by_free, 100));
	return NULL;
}

static void body_thread_end(const void *data)
{
	struct pair pair = pair_open(2, 0);
	struct thread_end end = { .pair = &pair, .by_free = *(const int *)data };
	pthread_t thread;

	SCENE_CHECK(!pthread_create(&thread, NULL, thread_end, &end));
	pthread_join(thread, NULL);
	fprintf(stderr, "joined\n");
}

TEST(destructor_at_the_end_of_a_thread)
{
	int by_free = 0;

	death_run(&death, body_thread_end, &by_free);
	DEATH_LIVED(&death, "end of the thread: 0x41\njoined\n");
	by_free = 1;
	death_run(&death, body_thread_end, &by_free);
	DEATH_LIVED(&death, "joined\n");
}

static void body_exit(const void *data)
{
	struct pair pair = pair_open(2, 0);

	((void (*)(size_t))entry(&pair.owner, "block_keep", "v(i)"))(100);
	((void (*)(void))entry(&pair.owner, "block_at_exit", "v()"))();
	exit(*(const int *)data);
}

/* The domain is open when the process ends. */
TEST(destructor_at_exit)
{
	int status = 0;

	death_run(&death, body_exit, &status);
	DEATH_LIVED(&death, "exit handler: 0x41\ndestructor: 0x41\n");
}

static struct ffg_call *granted;

static void callback_revoke(void)
{
	SCENE_CHECK(!ffg_call_revoke(granted));
}

static void body_revoked(const void *data)
{
	struct pair pair = pair_open(2, 0);
	void *object = scene_object(&pair.owner, 100, 0);
	struct ffg_callback *callback;
	long result;

	(void)data;
	callback = ffg_callback_new(pair.owner.domain, (void *)callback_revoke, "v()");
	granted = scene_call(&pair.owner, "block_around", "i(p)");
	SCENE_CHECK(callback && !ffg_call_grant(granted, object, 100, FFG_INOUT));
	result = ((long (*)(void *))ffg_call_entry(granted))(ffg_callback_entry(callback));
	fprintf(stderr, "around %#lx\n", result);
}

/* Without its grants the call has its heap still. */
TEST(revoked_in_a_callback)
{
	death_run(&death, body_revoked, NULL);
	DEATH_LIVED(&death, "around 0x41\n");
}

static volatile int handled;

static void handler_revoke(int signal)
{
	(void)signal;
	if (!handled++)
		SCENE_CHECK(!ffg_call_revoke(granted));
}

static void body_signal(const void *data)
{
	struct itimerval timer = { { 0, 20000 }, { 0, 20000 } };
	struct pair pair = pair_open(2, 0);
	void *object = scene_object(&pair.owner, 100, 0);
	long result;

	(void)data;
	SCENE_CHECK(signal(SIGALRM, handler_revoke) != SIG_ERR);
	granted = scene_call(&pair.owner, "block_busy", "i(i)");
	SCENE_CHECK(!ffg_call_grant(granted, object, 100, FFG_INOUT));
	SCENE_CHECK(ffg_call_entry(granted) && !setitimer(ITIMER_REAL, &timer, NULL));
	result = ((churn_fn)ffg_call_entry(granted))(500);
	SCENE_CHECK(result > 0 && handled > 1);
	fprintf(stderr, "handled\n");
}

TEST(revoked_in_a_signal_handler)
{
	death_run(&death, body_signal, NULL);
	DEATH_LIVED(&death, "handled\n");
}

static void body_again(const void *data)
{
	unsigned char *left = NULL;

	(void)data;
	for (int i = 0; i < 3; i++) {
		struct pair pair = pair_open(2, 0);
		struct ffg_call *call = scene_call(&pair.owner, "block_new", "p(i)");
		unsigned char *block = ((new_fn)ffg_call_entry(call))(100);

		SCENE_CHECK(block && block != left && heap_of(&pair.owner, block));
		SCENE_CHECK(!left || left[99] == 0x41);
		left = block;
		SCENE_CHECK(!ffg_call_free(call));
		SCENE_CHECK(!ffg_domain_close(pair.owner.domain));
		SCENE_CHECK(!ffg_domain_close(pair.other.domain));
		SCENE_CHECK(block[99] == 0x41);
		SCENE_CHECK(!ffg_context_close(pair.owner.context));
		SCENE_CHECK(block[99] == 0x41);
	}
	/* Nobody is there who could: it stays. */
	free(left);
	fprintf(stderr, "again\n");
}

/* Blocks outlive the domain and the context. */
TEST(context_again)
{
	death_run(&death, body_again, NULL);
	DEATH_LIVED(&death, "again\n");
}

TEST(options)
{
	struct ffg_options options = { .size = sizeof(options), .domain_keys = 14 };

	EXPECT_EQ(NULL, ffg_context_open(&options));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	options.domain_keys = 5;
	options.slots = 10;
	EXPECT_EQ(NULL, ffg_context_open(&options));
	EXPECT_EQ(FFG_E_NO_KEYS, ffg_error());
	options.slots = 9;
	options.reserved = 1;
	EXPECT_EQ(NULL, ffg_context_open(&options));
	EXPECT_EQ(FFG_E_INVAL, ffg_error());
	options.reserved = 0;
	struct ffg_context *context = ffg_context_open(&options);

	ASSERT_NE(NULL, context);
	EXPECT_EQ(9, ffg_context_slots(context));
	EXPECT_EQ(0, ffg_context_close(context));
}

TEST_HARNESS_MAIN
