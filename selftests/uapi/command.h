/* SPDX-License-Identifier: GPL-2.0-only */
/* The ioctls as a table, and a valid argument for each. */
#ifndef COMMAND_H
#define COMMAND_H

#include <linux/ffiguard.h>

#include "ffg_raw.h"

/* What must have happened before a command. */
enum command_state {
	STATE_OPEN,
	STATE_HELLO,
	STATE_KEYS,
};

enum command_which {
	HELLO,
	KEYS,
	LIMITS,
	LINE_ATTACH,
	LINE_DETACH,
	OBJECT_ALLOC,
	OBJECT_FREE,
	OBJECT_CHECK,
	OBJECT_QUERY,
	GRANT,
	BIND,
	REVOKE,
	WAKE,
	FAULT,
	STATS,
	COMMANDS
};

/**
 * struct command - one ioctl
 * @number: command
 * @size: bytes of its structure
 * @state: what it needs
 * @flags: flags that it knows
 * @reserved: offset of a member that must be 0, or 0
 * @silent: it does not change its structure, which may be read-only
 */
struct command {
	unsigned long number;
	uint32_t size;
	enum command_state state;
	uint32_t flags;
	size_t reserved;
	bool silent;
};

extern const struct command commands[COMMANDS];

/* Every structure begins with these two. */
struct header {
	uint32_t size;
	uint32_t flags;
};

/* Room for a structure of a module that knows more, and then some. */
union argument {
	struct header header;
	struct ffg_hello hello;
	struct ffg_keys keys;
	struct ffg_limits limits;
	struct ffg_line_attach line_attach;
	struct ffg_line_detach line_detach;
	struct ffg_object_alloc object_alloc;
	struct ffg_object_batch object_batch;
	struct ffg_object_query object_query;
	struct ffg_grant grant;
	struct ffg_bind bind;
	struct ffg_revoke revoke;
	struct ffg_wake wake;
	struct ffg_fault fault;
	struct ffg_stats stats;
	unsigned char bytes[8192];
};

/**
 * struct scene - where commands are tried
 * @raw: context; its keys are allocated once, @raw.fd may be opened anew
 * @desc: array of the commands that take one
 * @grant: the same
 * @id: the same
 * @handle: the same
 * @damage: the same
 */
struct scene {
	struct raw raw;
	struct ffg_object_desc desc;
	struct ffg_grant_desc grant;
	struct ffg_record_id id;
	uint64_t handle;
	struct ffg_damage damage;
};

/* Allocates the keys. All functions here answer 0 or a negative errno. */
int scene_open(struct scene *scene);
/* Closes the context, if any, and brings a new one to @state; at STATE_KEYS all is mapped. */
int scene_reach(struct scene *scene, enum command_state state);
void scene_close(struct scene *scene);
/*
 * Makes an argument with which the command succeeds now, and whatever that needs: an object to
 * free, a record to bind; for FFG_IOC_HELLO and FFG_IOC_KEYS a context that lacks just that.
 */
int scene_prepare(struct scene *scene, enum command_which which, union argument *argument);

#endif /* COMMAND_H */
