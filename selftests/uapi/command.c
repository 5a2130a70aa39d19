// SPDX-License-Identifier: GPL-2.0-only
/* The ioctls as a table, and a valid argument for each. */
#include "command.h"

#define COMMAND(which, type, needs, known, reserved_at, ...)		\
	[which] = {							\
		.number = FFG_IOC_##which,				\
		.size = sizeof(struct type),				\
		.state = needs,						\
		.flags = known,						\
		.reserved = reserved_at,				\
		__VA_ARGS__						\
	}

const struct command commands[COMMANDS] = {
	COMMAND(HELLO, ffg_hello, STATE_OPEN, 0, offsetof(struct ffg_hello, reserved)),
	COMMAND(KEYS, ffg_keys, STATE_HELLO, 0, offsetof(struct ffg_keys, reserved),
		.silent = true),
	COMMAND(LIMITS, ffg_limits, STATE_HELLO, FFG_LIMITS_SET, 0),
	COMMAND(LINE_ATTACH, ffg_line_attach, STATE_KEYS, 0,
		offsetof(struct ffg_line_attach, reserved)),
	COMMAND(LINE_DETACH, ffg_line_detach, STATE_KEYS, 0, 0, .silent = true),
	COMMAND(OBJECT_ALLOC, ffg_object_alloc, STATE_KEYS, 0,
		offsetof(struct ffg_object_alloc, reserved), .silent = true),
	COMMAND(OBJECT_FREE, ffg_object_batch, STATE_KEYS, 0, 0),
	COMMAND(OBJECT_CHECK, ffg_object_batch, STATE_KEYS, 0, 0),
	COMMAND(OBJECT_QUERY, ffg_object_query, STATE_KEYS, 0, 0),
	COMMAND(GRANT, ffg_grant, STATE_KEYS, FFG_BIND_NOW | FFG_BIND_WAIT,
		offsetof(struct ffg_grant, reserved)),
	COMMAND(BIND, ffg_bind, STATE_KEYS, FFG_BIND_WAIT, offsetof(struct ffg_bind, reserved),
		.silent = true),
	COMMAND(REVOKE, ffg_revoke, STATE_KEYS, FFG_REVOKE_KEEP, 0),
	COMMAND(WAKE, ffg_wake, STATE_KEYS, FFG_WAKE_KEEP, 0, .silent = true),
	COMMAND(FAULT, ffg_fault, STATE_KEYS, 0, 0),
	COMMAND(STATS, ffg_stats, STATE_HELLO, FFG_STATS_TOTAL, 0),
};

int scene_open(struct scene *scene)
{
	*scene = (struct scene){ .raw.fd = -1 };
	scene->raw.safe = pkey_alloc(0, 0);
	if (scene->raw.safe < 0)
		return -errno;
	scene->raw.all = RAW_CLOSED(scene->raw.safe);
	for (int i = 0; i < 4; i++) {
		int key = pkey_alloc(0, 0);

		if (key < 0)
			return -errno;
		scene->raw.slots |= 1U << key;
		scene->raw.all |= RAW_CLOSED(key);
		scene->raw.slot_count++;
	}
	return 0;
}

int scene_reach(struct scene *scene, enum command_state state)
{
	struct ffg_keys keys = {
		.size = sizeof(keys),
		.safe = scene->raw.safe,
		.slots = scene->raw.slots,
	};
	int err;

	raw_unmap(&scene->raw);
	if (scene->raw.fd >= 0)
		close(scene->raw.fd);
	scene->raw.fd = raw_device();
	if (scene->raw.fd < 0)
		return scene->raw.fd;
	if (state == STATE_OPEN)
		return 0;
	err = raw_hello(&scene->raw, 0);
	if (err || state == STATE_HELLO)
		return err;
	err = raw_ioctl(scene->raw.fd, FFG_IOC_KEYS, &keys);
	return err ? err : raw_map(&scene->raw);
}

void scene_close(struct scene *scene)
{
	raw_close(&scene->raw);
}

/* A record of one grant of an object of its own. */
static int scene_record(struct scene *scene)
{
	int err = raw_alloc(&scene->raw, 100, 0, &scene->desc);

	scene->grant = raw_whole(&scene->desc, FFG_RIGHT_READ);
	return err ? err : raw_grant(&scene->raw, &scene->grant, 1, 0, &scene->id);
}

int scene_prepare(struct scene *scene, enum command_which which, union argument *argument)
{
	int err = 0;

	memset(argument, 0, sizeof(*argument));
	argument->header.size = commands[which].size;
	switch (which) {
	case HELLO:
		err = scene_reach(scene, STATE_OPEN);
		argument->hello.api = FFG_API_LEVEL;
		break;
	case KEYS:
		err = scene_reach(scene, STATE_HELLO);
		argument->keys.safe = scene->raw.safe;
		argument->keys.slots = scene->raw.slots;
		break;
	case LINE_ATTACH:
		raw_detach(&scene->raw);
		break;
	case LINE_DETACH:
		err = raw_attach(&scene->raw) < 0;
		break;
	case OBJECT_ALLOC:
		scene->desc = (struct ffg_object_desc){ .length = 100 };
		argument->object_alloc.count = 1;
		argument->object_alloc.objects = (uintptr_t)&scene->desc;
		break;
	case OBJECT_FREE:
	case OBJECT_CHECK:
		err = raw_alloc(&scene->raw, 100, 0, &scene->desc);
		scene->handle = scene->desc.object;
		argument->object_batch.count = 1;
		argument->object_batch.objects = (uintptr_t)&scene->handle;
		argument->object_batch.damage_count = 1;
		argument->object_batch.damage = (uintptr_t)&scene->damage;
		break;
	case OBJECT_QUERY:
		argument->object_query.address = (uintptr_t)scene->raw.arena;
		break;
	case GRANT:
		err = raw_alloc(&scene->raw, 100, 0, &scene->desc);
		scene->grant = raw_whole(&scene->desc, FFG_RIGHT_READ);
		argument->grant.count = 1;
		argument->grant.grants = (uintptr_t)&scene->grant;
		break;
	case BIND:
		err = scene_record(scene);
		argument->bind.record = scene->id.record;
		argument->bind.serial = scene->id.serial;
		break;
	case REVOKE:
		err = scene_record(scene);
		argument->revoke.count = 1;
		argument->revoke.records = (uintptr_t)&scene->id;
		break;
	case FAULT:
		argument->fault.address = (uintptr_t)scene->raw.arena;
		break;
	case LIMITS:
	case WAKE:
	case STATS:
	case COMMANDS:
		break;
	}
	return err;
}
