/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the programs of this suite share: a context with few slots, and threads that spin beside
 * it.
 */
#ifndef SLOTS_H
#define SLOTS_H

#include "foreign_call.h"

#define IN	FFG_RIGHT_READ
#define INOUT	(FFG_RIGHT_READ | FFG_RIGHT_WRITE)
#define CPUS	2

/**
 * struct slots - a context and its threads
 * @raw: context
 * @shapes: foreign code
 * @idle: threads in foreign mode, one for each CPU, that hold nothing
 * @holders: for slots_hold()
 * @nowhere: key-0 bytes that @idle write
 */
struct slots {
	struct raw raw;
	struct shapes shapes;
	struct spinner idle[CPUS];
	struct spinner holders[16];
	volatile unsigned char nowhere[CPUS];
};

/* An object with a record that grants it whole. */
struct thing {
	struct ffg_object_desc desc;
	unsigned char *at;
	struct ffg_record_id id;
};

RAW_FN int slots_open(struct slots *s, unsigned int slots)
{
	int err;

	foreign_catch_faults();
	if (!shapes_load(&s->shapes) || sysconf(_SC_NPROCESSORS_ONLN) != CPUS)
		return -ENODEV;
	err = raw_open(&s->raw, slots);
	for (unsigned int i = 0; i < CPUS && !err; i++) {
		s->idle[i] = (struct spinner){
			.raw = &s->raw,
			.shapes = &s->shapes,
			.target = &s->nowhere[i],
			.cpu = i,
		};
		err = raw_grant(&s->raw, NULL, 0, FFG_BIND_NOW, &s->idle[i].id);
		if (!err)
			err = spinner_start(&s->idle[i]);
	}
	return err;
}

RAW_FN int slots_close(struct slots *s)
{
	int err = 0;

	for (unsigned int i = 0; i < 16; i++)
		spinner_stop(&s->holders[i]);
	/* The two that spin beside all of it must not have noticed anything. */
	for (unsigned int i = 0; i < CPUS; i++)
		err = spinner_stop(&s->idle[i]) ?: err;
	raw_close(&s->raw);
	return err;
}

/* A thread on @cpu that stays in a call with the record of @thing. */
RAW_FN int slots_hold(struct slots *s, struct spinner *spinner, const struct thing *thing, int cpu)
{
	*spinner = (struct spinner){
		.raw = &s->raw,
		.shapes = &s->shapes,
		.id = thing->id,
		.target = thing->at,
		.cpu = cpu,
	};
	return spinner_start(spinner);
}

RAW_FN int thing_new(const struct slots *s, uint64_t length, uint32_t rights, struct thing *thing)
{
	int err = raw_alloc(&s->raw, length, 0, &thing->desc);
	struct ffg_grant_desc grant = raw_whole(&thing->desc, rights);

	if (err)
		return err;
	thing->at = (unsigned char *)(uintptr_t)thing->desc.address;
	return raw_grant(&s->raw, &grant, 1, 0, &thing->id);
}

/* Key that its first page carries; 0: SAFE. */
RAW_FN unsigned int thing_slot(const struct slots *s, const struct thing *thing)
{
	struct ffg_object_query query;

	return raw_query(&s->raw, thing->at, &query) ? 0 : query.slot;
}

/* A call with the record of @as that touches the first byte of @thing. */
RAW_FN int thing_write(const struct slots *s, const struct thing *as, const struct thing *thing,
		       int value)
{
	return FOREIGN(&s->raw, 0, &as->id, s->shapes.write1(thing->at, 0, value));
}

RAW_FN int thing_read(const struct slots *s, const struct thing *as, const struct thing *thing)
{
	return FOREIGN(&s->raw, 0, &as->id, s->shapes.read1(thing->at, 0));
}

#endif /* SLOTS_H */
