// SPDX-License-Identifier: GPL-2.0-only
/* A scene in which handlers do what trusted code does. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "handlers.h"

#define ALTSTACK_SIZE	65536

struct stage stage;

void stage_open(const struct ffg_options *options)
{
	stage = (struct stage){ .scene = scene_open("signals", options) };
	stage.forms = ffg_domain_open(stage.scene.context, scene_path("forms"), 0);
	SCENE_CHECK(stage.forms);
	stage.mine = scene_object(&stage.scene, 64, 0);
	stage.theirs = scene_object(&stage.scene, 64, 0);
	stage.poke_call = ffg_call_new(stage.forms, "form_poke", "i(pi)");
	SCENE_CHECK(stage.poke_call);
	SCENE_CHECK(!ffg_call_grant(stage.poke_call, stage.theirs, 64, FFG_INOUT));
	stage.poke = (poke_fn)ffg_call_entry(stage.poke_call);
	SCENE_CHECK(stage.poke);
}

void *stage_entry(const char *symbol, const char *signature)
{
	return scene_entry(&stage.scene, symbol, signature, stage.mine, 64, FFG_INOUT);
}

void stage_handler(int signal, siginfo_t *info, void *ucontext)
{
	/* One handler may interrupt another: each has bytes of its own. */
	unsigned int at = 2 * (__atomic_fetch_add(&stage.depth, 1, __ATOMIC_RELAXED) % 16);
	unsigned char value = (unsigned char)(stage.handled * 3 + signal);
	unsigned char *mine = stage.theirs + at;

	(void)ucontext;
	stage.stack = (uintptr_t)__builtin_frame_address(0);
	mine[1] = value;
	if (info->si_signo != signal || stage.poke(mine, value) != value || mine[0] != value ||
	    mine[1] != value)
		__atomic_add_fetch(&stage.failed, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&stage.handled, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&stage.depth, 1, __ATOMIC_RELAXED);
}

void stage_handle(int signal, int flags)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | flags };

	action.sa_sigaction = stage_handler;
	SCENE_CHECK(!sigaction(signal, &action, NULL));
}

void stage_altstack(void)
{
	stack_t stack = { .ss_sp = malloc(ALTSTACK_SIZE), .ss_size = ALTSTACK_SIZE };

	SCENE_CHECK(stack.ss_sp && !sigaltstack(&stack, NULL));
}

uintptr_t stage_thunk(int signal, uintptr_t *restorer)
{
	struct {
		uintptr_t handler;
		unsigned long flags;
		uintptr_t restorer;
		unsigned long mask;
	} action;

	SCENE_CHECK(!syscall(SYS_rt_sigaction, signal, NULL, &action, 8));
	if (restorer)
		*restorer = action.restorer;
	return action.handler;
}
