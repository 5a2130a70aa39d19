// SPDX-License-Identifier: GPL-2.0-only
/*
 * Objects and grants by ioctl, as the library issues them.  Objects are present before they
 * are granted (both sides of a comparison are), and each timed part ends with a touch of the
 * object, so that a fault left for later is charged.
 *
 * A frame is zeroed and its slack poisoned when the object is made, so grant.first has none of
 * that.  grant.first.charged has all of it: mean of the first objects of a context, made in one
 * batch, with the call records that they are the first to need.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define RUNS		48
#define GOAL_FIRST	4000
#define GOAL_EACH	2500
#define GOAL_EVICT	3500
#define BATCH		8
#define REFILL		48

struct object {
	uint64_t handle;
	volatile unsigned char *byte;
	size_t length;
};

static int device;
static unsigned int slots;
static double overhead;

static void request(unsigned long command, void *argument, const char *what)
{
	if (ioctl(device, command, argument))
		fail("%s: %s", what, strerror(errno));
}

static void map(uint64_t length, int protection, uint64_t offset)
{
	if (mmap(NULL, length, protection, MAP_SHARED, device, (off_t)offset) == MAP_FAILED)
		fail("mmap of the device: %s", strerror(errno));
}

static void setup(void)
{
	struct ffg_hello hello = { .size = sizeof(hello), .api = FFG_API_LEVEL };
	struct ffg_keys keys = { .size = sizeof(keys) };
	struct ffg_line_attach attach = { .size = sizeof(attach) };
	int key = pkey_alloc(0, 0);

	device = open("/dev/ffiguard", O_RDWR | O_CLOEXEC);
	if (device < 0 || key < 0)
		fail("no device or no protection key: %s", strerror(errno));
	request(FFG_IOC_HELLO, &hello, "hello");
	keys.safe = (unsigned int)key;
	while ((key = pkey_alloc(0, 0)) > 0) {
		keys.slots |= 1U << key;
		slots++;
	}
	request(FFG_IOC_KEYS, &keys, "keys");
	map(hello.arena_size, PROT_READ | PROT_WRITE, FFG_MMAP_ARENA);
	map(hello.lines_size, PROT_READ | PROT_WRITE, FFG_MMAP_LINES);
	map(hello.lines_size, PROT_READ, FFG_MMAP_LINES_RO);
	map(hello.records_size, PROT_READ, FFG_MMAP_RECORDS);
	request(FFG_IOC_LINE_ATTACH, &attach, "line");
	overhead = sample_overhead();
}

static void object_new(struct object *object, size_t length)
{
	struct ffg_object_desc desc = { .length = length };
	struct ffg_object_alloc alloc = {
		.size = sizeof(alloc), .count = 1, .objects = (uintptr_t)&desc,
	};

	request(FFG_IOC_OBJECT_ALLOC, &alloc, "alloc");
	object->handle = desc.object;
	object->byte = (unsigned char *)(uintptr_t)desc.address;
	object->length = length;
}

static void touch(const struct object *object)
{
	for (size_t at = 0; at < object->length; at += 4096)
		object->byte[at]++;
}

static void object_free(struct object *object)
{
	struct ffg_object_batch batch = {
		.size = sizeof(batch), .count = 1, .objects = (uintptr_t)&object->handle,
	};

	request(FFG_IOC_OBJECT_FREE, &batch, "free");
}

/* What is timed in "grant": the ioctl, and the first touch of each object. */
static double grant_timed(struct object *objects, unsigned int count, struct ffg_record_id *id)
{
	struct ffg_grant_desc desc[BATCH];
	uint64_t user[14] = { 0 };
	struct ffg_grant grant = {
		.size = sizeof(grant), .flags = FFG_BIND_NOW, .count = count,
		.grants = (uintptr_t)desc, .user = (uintptr_t)user,
	};
	uint64_t begin;

	for (unsigned int n = 0; n < count; n++)
		desc[n] = (struct ffg_grant_desc){
			.object = objects[n].handle, .length = objects[n].length,
			.rights = FFG_RIGHT_READ | FFG_RIGHT_WRITE,
		};
	begin = now();
	if (ioctl(device, FFG_IOC_GRANT, &grant))
		fail("grant: %s", strerror(errno));
	for (unsigned int n = 0; n < count; n++)
		objects[n].byte[0]++;
	begin = now() - begin;
	*id = (struct ffg_record_id){ .record = grant.record, .serial = grant.serial };
	return (double)begin - overhead;
}

static double revoke_timed(struct ffg_record_id *id)
{
	struct ffg_revoke revoke = { .size = sizeof(revoke), .count = 1, .records = (uintptr_t)id };
	uint64_t begin = now();

	request(FFG_IOC_REVOKE, &revoke, "revoke");
	return (double)(now() - begin) - overhead;
}

/* Grants of @count new objects at once, with free slots; *@revoke: of ending them. */
static double first(size_t length, unsigned int count, double *revoke)
{
	double samples[RUNS], revokes[RUNS];
	struct object objects[BATCH];
	struct ffg_record_id id;
	int runs = length > 65536 ? 9 : RUNS;

	for (int run = 0; run < runs; run++) {
		for (unsigned int n = 0; n < count; n++) {
			object_new(&objects[n], length);
			touch(&objects[n]);
		}
		samples[run] = grant_timed(objects, count, &id);
		revokes[run] = revoke_timed(&id);
		for (unsigned int n = 0; n < count; n++)
			object_free(&objects[n]);
	}
	*revoke = sample_median(revokes, runs);
	return sample_median(samples, runs);
}

/*
 * Frame, poison, object, call record, grant and touch, for the first objects of a context: what
 * first() has left out.
 */
static double charged(size_t length)
{
	struct ffg_object_desc desc[REFILL];
	struct ffg_object_alloc alloc = {
		.size = sizeof(alloc), .count = REFILL, .objects = (uintptr_t)desc,
	};
	struct ffg_record_id id[REFILL];
	struct object object;
	double spent;
	uint64_t begin;

	for (unsigned int n = 0; n < REFILL; n++)
		desc[n] = (struct ffg_object_desc){ .length = length };
	begin = now();
	request(FFG_IOC_OBJECT_ALLOC, &alloc, "alloc");
	spent = (double)(now() - begin) - overhead;
	for (unsigned int n = 0; n < REFILL; n++) {
		object = (struct object){
			.handle = desc[n].object, .length = length,
			.byte = (unsigned char *)(uintptr_t)desc[n].address,
		};
		spent += grant_timed(&object, 1, &id[n]);
		/* Its slot is free for the next one. */
		revoke_timed(&id[n]);
	}
	for (unsigned int n = 0; n < REFILL; n++) {
		object.handle = desc[n].object;
		object_free(&object);
	}
	return spent / REFILL;
}

/* Each in a process of its own, so that nothing is left of an earlier one. */
static void charged_64(void)
{
	setup();
	row(charged(64), INSTRUCTIONS ", all of it", GOAL_FIRST, "grant.first.charged.64");
}

static void charged_4096(void)
{
	setup();
	row(charged(4096), INSTRUCTIONS ", all of it", GOAL_FIRST, "grant.first.charged.4096");
}

/* Bind of a record whose slot went to others; all slots are taken. */
static double evict(size_t length)
{
	unsigned int count = slots + 1;
	struct ffg_record_id id[16];
	struct object objects[16];
	double samples[RUNS];

	for (unsigned int n = 0; n < count; n++) {
		object_new(&objects[n], length);
		touch(&objects[n]);
		grant_timed(&objects[n], 1, &id[n]);
	}
	for (int run = -(int)count; run < RUNS; run++) {
		unsigned int n = (unsigned int)(run + (int)count) % count;
		struct ffg_bind bind = {
			.size = sizeof(bind), .record = id[n].record, .serial = id[n].serial,
		};
		uint64_t begin = now();

		if (ioctl(device, FFG_IOC_BIND, &bind))
			fail("bind: %s", strerror(errno));
		objects[n].byte[0]++;
		if (run >= 0)
			samples[run] = (double)(now() - begin) - overhead;
	}
	for (unsigned int n = 0; n < count; n++) {
		revoke_timed(&id[n]);
		object_free(&objects[n]);
	}
	return sample_median(samples, RUNS);
}

static double alloc_free(size_t length)
{
	struct object object;

	return MEASURE(15, 20, object_new(&object, length); object.byte[0]++; object_free(&object));
}

/* The whole life of an object that is granted once. */
static double life(size_t length)
{
	struct ffg_record_id id;
	struct object object;

	return MEASURE(15, 20, object_new(&object, length); grant_timed(&object, 1, &id);
		       revoke_timed(&id); object_free(&object));
}

void part_objects(void)
{
	static const size_t sizes[] = { 64, 4096, 65536, 4 << 20 };
	double all[4], each[4], evicts[4], revokes[4], unused;
	struct ffg_wake wake = { .size = sizeof(wake) };

	rows_part("first grant, from allocation on");
	rows_run(charged_64);
	rows_run(charged_4096);
	setup();
	/* The first records of the context are made; that is charged above. */
	first(4096, 1, &unused);
	for (int n = 0; n < 4; n++) {
		all[n] = first(sizes[n], 1, &revokes[n]);
		each[n] = first(sizes[n], BATCH, &unused) / BATCH;
		evicts[n] = evict(sizes[n]);
	}
	rows_part("grant");
	row(MEASURE(9, 200, ioctl(device, FFG_IOC_WAKE, &wake)), INSTRUCTIONS, NO_GOAL,
	    "ioctl.nothing");
	row(all[1], INSTRUCTIONS ", one ioctl", GOAL_FIRST, "grant.first");
	row(each[1], INSTRUCTIONS " each, one ioctl", GOAL_EACH, "grant.batch8.each");
	row(evicts[1], INSTRUCTIONS ", one ioctl", GOAL_EVICT, "evict.bind");
	row(revokes[1], INSTRUCTIONS ", one ioctl", NO_GOAL, "revoke");
	for (int n = 0; n < 4; n++) {
		const size_t size = sizes[n];
		bool small = size <= 4096;

		row(all[n], INSTRUCTIONS, small ? GOAL_FIRST : NO_GOAL, "grant.first.%zu", size);
		row(each[n], INSTRUCTIONS, small ? GOAL_EACH : NO_GOAL, "grant.batch8.each.%zu",
		    size);
		row(evicts[n], INSTRUCTIONS, small ? GOAL_EVICT : NO_GOAL, "evict.bind.%zu", size);
		row(revokes[n], INSTRUCTIONS, NO_GOAL, "revoke.%zu", size);
	}
	for (int n = 0; n < 3; n++) {
		row(alloc_free(sizes[n]), INSTRUCTIONS ", with a touch", NO_GOAL,
		    "object.alloc_free.%zu", sizes[n]);
		row(life(sizes[n]), INSTRUCTIONS ", alloc to free", NO_GOAL,
		    "object.granted_once.%zu", sizes[n]);
	}
}
