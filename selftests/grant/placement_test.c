// SPDX-License-Identifier: GPL-2.0-only
/*
 * "What granted means, byte by byte" (Documentation/threat-model.rst): every cell of the table
 * for the two placements, for reading and writing, in calls that were given the object read-only
 * and read-write.
 */
#include "kselftest_harness.h"

#include "foreign_call.h"

#define IN	FFG_RIGHT_READ
#define INOUT	(FFG_RIGHT_READ | FFG_RIGHT_WRITE)
#define SLOTS	6

/* Object sizes: one byte to several pages, and those next to a page. */
static const uint64_t lengths[] = {
	1, 2, 3, 8, 15, 16, 17, 100, 2048, 4080, 4095, 4096, 4097, 8191, 8192, 8193, 3 * 4096 + 100,
	9 * 4096 + 1,
};

/*
 * 0 is the default: as much as the length allows, so that no padding comes between end and guard.
 */
static const uint32_t alignments[] = { 0, 16 };

FIXTURE(placement)
{
	struct raw raw;
	struct shapes shapes;
};

FIXTURE_VARIANT(placement)
{
	uint32_t flags;
};

FIXTURE_VARIANT_ADD(placement, end)
{
	.flags = FFG_OBJECT_END,
};

FIXTURE_VARIANT_ADD(placement, start)
{
	.flags = FFG_OBJECT_START,
};

FIXTURE_SETUP(placement)
{
	foreign_catch_faults();
	ASSERT_TRUE(shapes_load(&self->shapes));
	ASSERT_EQ(0, raw_open(&self->raw, SLOTS));
}

FIXTURE_TEARDOWN(placement)
{
	raw_close(&self->raw);
}

static uint64_t page_of(uint64_t address)
{
	return address & ~(RAW_PAGE - 1);
}

/* An object and a record that grants a part of it. */
struct scene {
	struct ffg_object_desc desc;
	unsigned char *base;
	uint64_t head;		/* slack before its first byte */
	uint64_t tail;		/* bytes between its last and the guard page */
	uint64_t from;		/* granted range */
	uint64_t length;
	uint32_t rights;
	struct ffg_record_id id;
};

static void scene_alloc(struct __test_metadata *_metadata, const struct raw *raw, uint64_t length,
			uint32_t align, uint32_t flags, struct scene *scene)
{
	*scene = (struct scene){ .desc = { .length = length, .align = align, .flags = flags } };
	ASSERT_EQ(0, raw_alloc_batch(raw, &scene->desc, 1));
	scene->base = (unsigned char *)(uintptr_t)scene->desc.address;
	scene->head = scene->desc.address - page_of(scene->desc.address);
	scene->tail = page_of(scene->desc.address + length - 1) + RAW_PAGE -
		      (scene->desc.address + length);
	memset(scene->base, 0x40, length);
}

static void scene_grant(struct __test_metadata *_metadata, const struct raw *raw,
			struct scene *scene, uint64_t from, uint64_t length, uint32_t rights)
{
	struct ffg_grant_desc grant = raw_range(scene->desc.object, from, length, rights);

	scene->from = from;
	scene->length = length;
	scene->rights = rights;
	ASSERT_EQ(0, raw_grant(raw, &grant, 1, FFG_BIND_NOW, &scene->id));
}

static void scene_free(struct __test_metadata *_metadata, const struct raw *raw,
		       struct scene *scene)
{
	ASSERT_EQ(0, raw_free(raw, scene->desc.object));
}

/*
 * The rule: pages that the range touches are open, the object's others closed, what is beside
 * absent.
 */
static int rule(const struct scene *scene, int64_t offset, bool write)
{
	uint64_t base = scene->desc.address, page = page_of(base + offset);

	if (page < page_of(base) || page > page_of(base + scene->desc.length - 1))
		return RAW_MAPERR;
	if (page < page_of(base + scene->from) ||
	    page > page_of(base + scene->from + scene->length - 1))
		return RAW_PKUERR;
	return write && !(scene->rights & FFG_RIGHT_WRITE) ? RAW_PKUERR : 0;
}

/* One foreign access at @offset of the object: it must end with @code. */
static void probe(struct __test_metadata *_metadata, FIXTURE_DATA(placement) *self,
		  const struct scene *scene, int64_t offset, bool write, int code)
{
	unsigned char *target = scene->base;
	int got;

	if (write)
		got = FOREIGN(&self->raw, 0, &scene->id, self->shapes.write1(target, offset, 0x41));
	else
		got = FOREIGN(&self->raw, 0, &scene->id, self->shapes.read1(target, offset));
	if (got != code)
		TH_LOG("%s at %lld of %llu bytes (slack %llu, %llu), [%llu, +%llu) granted %s: %d",
		       write ? "write" : "read", (long long)offset,
		       (unsigned long long)scene->desc.length, (unsigned long long)scene->head,
		       (unsigned long long)scene->tail, (unsigned long long)scene->from,
		       (unsigned long long)scene->length, scene->rights == IN ? "IN" : "INOUT",
		       got);
	ASSERT_EQ(code, got);
}

/* Both accesses, by the rule. */
static void probe_rule(struct __test_metadata *_metadata, FIXTURE_DATA(placement) *self,
		       const struct scene *scene, int64_t offset)
{
	probe(_metadata, self, scene, offset, false, rule(scene, offset, false));
	probe(_metadata, self, scene, offset, true, rule(scene, offset, true));
}

/* Runs @body for every size, alignment and right, with the whole object granted. */
static void each_scene(struct __test_metadata *_metadata, FIXTURE_DATA(placement) *self,
		       uint32_t flags,
		       void (*body)(struct __test_metadata *_metadata,
				    FIXTURE_DATA(placement) *self, struct scene *scene))
{
	for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++)
		for (unsigned int variant = 0; variant < 4; variant++) {
			struct scene scene;

			scene_alloc(_metadata, &self->raw, lengths[i], alignments[variant & 1],
				    flags, &scene);
			scene_grant(_metadata, &self->raw, &scene, 0, lengths[i],
				    variant & 2 ? IN : INOUT);
			body(_metadata, self, &scene);
			ASSERT_EQ(0, raw_revoke(&self->raw, &scene.id));
			scene_free(_metadata, &self->raw, &scene);
		}
}

/*
 * Slack on the far side: a write is found late, by FFG_IOC_OBJECT_CHECK, at revoke and at free; a
 * read sees poison. @from, @to: offsets of the slack.
 */
static void probe_slack(struct __test_metadata *_metadata, FIXTURE_DATA(placement) *self,
			struct scene *scene, int64_t from, int64_t to)
{
	struct ffg_damage damage = { 0 };
	unsigned char was_from, was_to;
	uint32_t count = 1;

	if (from == to)
		return;
	was_from = scene->base[from];
	was_to = scene->base[to - 1];
	ASSERT_EQ(0, raw_check(&self->raw, scene->desc.object, &damage));
	probe(_metadata, self, scene, from, false, 0);
	probe(_metadata, self, scene, to - 1, false, 0);
	/* Every eight bytes the same, and not what a zeroed or a shared page would show. */
	for (int64_t at = from; at + 8 < to; at++)
		ASSERT_EQ(scene->base[at], scene->base[at + 8]);

	if (scene->rights == IN) {
		probe(_metadata, self, scene, from, true, RAW_PKUERR);
		ASSERT_EQ(0, raw_check(&self->raw, scene->desc.object, &damage));
		return;
	}
	scene->base[from] = 0x42;	/* in case that 0x41 is the poison */
	probe(_metadata, self, scene, from, true, 0);
	ASSERT_EQ(0x41, scene->base[from]);
	if (was_from == 0x41)
		scene->base[from] = 0x42;
	EXPECT_EQ(1, raw_check(&self->raw, scene->desc.object, &damage))
		TH_LOG("slack that was overwritten is not found");
	ASSERT_EQ(scene->desc.object, damage.object);
	ASSERT_EQ(from, damage.offset);
	ASSERT_EQ(1, damage.length);

	/* Both ends: the range spans them. */
	scene->base[to - 1] = was_to ^ 0xff;
	damage = (struct ffg_damage){ 0 };
	ASSERT_EQ(0, raw_revoke_batch(&self->raw, &scene->id, 1, 0, &damage, &count));
	ASSERT_EQ(1, count);
	ASSERT_EQ(scene->desc.object, damage.object);
	ASSERT_EQ(from, damage.offset);
	ASSERT_EQ((uint64_t)(to - from), damage.length);

	/* What is put back is no damage. */
	scene->base[from] = was_from;
	scene->base[to - 1] = was_to;
	ASSERT_EQ(0, raw_check(&self->raw, scene->desc.object, &damage));
	scene_grant(_metadata, &self->raw, scene, 0, scene->desc.length, scene->rights);
}

static void past_the_end(struct __test_metadata *_metadata, FIXTURE_DATA(placement) *self,
			 struct scene *scene)
{
	int64_t length = scene->desc.length;
	unsigned char last = scene->base[length - 1];

	/* At the end it is the padding of the alignment at most. */
	if (!(scene->desc.flags & FFG_OBJECT_START))
		ASSERT_GE(15, scene->tail);
	probe_rule(_metadata, self, scene, length - 1);
	scene->base[length - 1] = last;
	probe(_metadata, self, scene, length + scene->tail, true, RAW_MAPERR);
	probe(_metadata, self, scene, length + scene->tail, false, RAW_MAPERR);
	probe(_metadata, self, scene, length + scene->tail + RAW_PAGE - 1, true, RAW_MAPERR);
	probe(_metadata, self, scene, length + scene->tail + 4 * RAW_PAGE, true, RAW_MAPERR);
	/* An access that straddles the end does nothing at all. */
	if (length >= 4 && !scene->tail) {
		int code = FOREIGN(&self->raw, 0, &scene->id,
				   self->shapes.write4(scene->base, length - 2, 0x43434343));

		ASSERT_EQ(scene->rights == IN ? RAW_PKUERR : RAW_MAPERR, code);
		ASSERT_EQ(last, scene->base[length - 1]);
		ASSERT_EQ(last, scene->base[length - 2]);
	}
	probe_slack(_metadata, self, scene, length, length + scene->tail);
}

TEST_F(placement, past_the_end)
{
	each_scene(_metadata, self, variant->flags, past_the_end);
}

static void before_the_start(struct __test_metadata *_metadata, FIXTURE_DATA(placement) *self,
			     struct scene *scene)
{
	int64_t head = scene->head;

	if (scene->desc.flags & FFG_OBJECT_START)
		ASSERT_EQ(0, head);
	probe_rule(_metadata, self, scene, 0);
	probe(_metadata, self, scene, -head - 1, true, RAW_MAPERR);
	probe(_metadata, self, scene, -head - 1, false, RAW_MAPERR);
	probe(_metadata, self, scene, -head - (int64_t)RAW_PAGE, true, RAW_MAPERR);
	probe_slack(_metadata, self, scene, -head, 0);
}

TEST_F(placement, before_the_start)
{
	each_scene(_metadata, self, variant->flags, before_the_start);
}

/* Damage that nobody looked at is told when the object is freed. */
TEST_F(placement, damage_is_told_at_free)
{
	struct ffg_damage damage = { 0 };
	struct scene scene;
	uint32_t count = 1;
	uint64_t object;
	int64_t at;
	int code;

	scene_alloc(_metadata, &self->raw, 100, 0, variant->flags, &scene);
	at = scene.head ? -7 : 107;
	scene_grant(_metadata, &self->raw, &scene, 0, 100, INOUT);
	code = FOREIGN(&self->raw, 0, &scene.id,
		       self->shapes.write1(scene.base, at, scene.base[at] ^ 1));
	ASSERT_EQ(0, code);
	ASSERT_EQ(0, raw_revoke(&self->raw, &scene.id));
	object = scene.desc.object;
	ASSERT_EQ(0, raw_object_batch(&self->raw, FFG_IOC_OBJECT_FREE, &object, 1, &damage,
				      &count));
	ASSERT_EQ(1, count);
	EXPECT_EQ(scene.desc.object, damage.object);
	EXPECT_EQ(at, damage.offset);
	EXPECT_EQ(1, damage.length);
}

/* Partial grants of an object: the rule of pages, at both ends of each of its pages. */
static void partial(struct __test_metadata *_metadata, FIXTURE_DATA(placement) *self,
		    uint32_t flags, uint64_t length, uint64_t from, uint64_t granted)
{
	for (unsigned int rights = IN; rights <= INOUT; rights += INOUT - IN) {
		struct scene scene;
		int64_t end;

		scene_alloc(_metadata, &self->raw, length, 0, flags, &scene);
		scene_grant(_metadata, &self->raw, &scene, from, granted, rights);
		end = length + scene.tail;
		for (int64_t page = -(int64_t)scene.head; page < end; page += RAW_PAGE) {
			probe_rule(_metadata, self, &scene, page);
			probe_rule(_metadata, self, &scene, page + 2000);
			probe_rule(_metadata, self, &scene, page + RAW_PAGE - 1);
		}
		probe_rule(_metadata, self, &scene, from);
		probe_rule(_metadata, self, &scene, from + granted - 1);
		ASSERT_EQ(0, raw_revoke(&self->raw, &scene.id));
		scene_free(_metadata, &self->raw, &scene);
	}
}

TEST_F(placement, rest_of_the_object)
{
	/* Within a page. */
	partial(_metadata, self, variant->flags, 1000, 0, 1);
	partial(_metadata, self, variant->flags, 1000, 999, 1);
	partial(_metadata, self, variant->flags, 1000, 300, 400);
	/* Whole pages, one byte on either side of their border, and across it. */
	for (uint64_t from = 4094; from <= 4098; from++)
		for (uint64_t granted = 1; granted <= 3; granted++)
			partial(_metadata, self, variant->flags, 4 * 4096, from, granted);
	partial(_metadata, self, variant->flags, 4 * 4096, 4096, 4096);
	partial(_metadata, self, variant->flags, 4 * 4096, 4096, 4097);
	partial(_metadata, self, variant->flags, 4 * 4096, 4095, 4096);
	/*
	 * Where first and last page have slack, and many pages that come into being at the first
	 * touch.
	 */
	partial(_metadata, self, variant->flags, 3 * 4096 + 100, 4100, 1);
	partial(_metadata, self, variant->flags, 3 * 4096 + 100, 3 * 4096 + 99, 1);
	partial(_metadata, self, variant->flags, 9 * 4096 + 1, 5 * 4096, 100);
	partial(_metadata, self, variant->flags, 9 * 4096 + 1, 9 * 4096, 1);
}

/* Nothing of an object that the call was not given, whether another record opened it or not. */
TEST_F(placement, neighbours)
{
	struct scene scenes[12];
	struct ffg_object_query query;

	for (unsigned int i = 0; i < 12; i++) {
		scene_alloc(_metadata, &self->raw, lengths[i], 0, variant->flags ^ (i & 1),
			    &scenes[i]);
		memset(scenes[i].base, 0x60 + i, lengths[i]);
	}
	/* The first three are bound to slots of their own. */
	for (unsigned int i = 0; i < 3; i++)
		scene_grant(_metadata, &self->raw, &scenes[i], 0, lengths[i], INOUT);
	for (unsigned int i = 0; i < 3; i++) {
		for (unsigned int j = 0; j < 12; j++) {
			int64_t offset = scenes[j].base - scenes[i].base;
			int64_t end = lengths[j] + scenes[j].tail;
			int64_t probes[] = { -(int64_t)scenes[j].head, 0, lengths[j] / 2,
				lengths[j] - 1, end - 1 };

			if (i == j)
				continue;
			for (unsigned int k = 0; k < 5; k++) {
				probe(_metadata, self, &scenes[i], offset + probes[k], false,
				      RAW_PKUERR);
				probe(_metadata, self, &scenes[i], offset + probes[k], true,
				      RAW_PKUERR);
			}
			probe(_metadata, self, &scenes[i], offset + end, true, RAW_MAPERR);
			probe(_metadata, self, &scenes[i], offset + probes[0] - 1, true,
			      RAW_MAPERR);
		}
		/* An index that is off by thousands hits nothing, as long as it is in the arena. */
		for (int64_t far = RAW_PAGE; far < 64 * 1024; far += 509) {
			int64_t below = -(int64_t)scenes[i].head - far;

			probe(_metadata, self, &scenes[i], lengths[i] + scenes[i].tail + far, true,
			      RAW_MAPERR);
			if (scenes[i].base + below >= (unsigned char *)self->raw.arena)
				probe(_metadata, self, &scenes[i], below, true, RAW_MAPERR);
		}
	}
	for (unsigned int i = 0; i < 12; i++) {
		ASSERT_EQ(0, raw_query(&self->raw, scenes[i].base, &query));
		ASSERT_EQ(i < 3, query.slot != 0);
		for (uint64_t at = 0; at < lengths[i]; at++)
			ASSERT_EQ(0x60 + i, scenes[i].base[at]);
	}
}

TEST_HARNESS_MAIN
