// SPDX-License-Identifier: GPL-2.0-only
/*
 * The paths through the gate: what the fast one costs, and a thread that waits for the slot of
 * another one's call.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"
#include "stepper.h"

typedef unsigned char (*poke_fn)(volatile unsigned char *, int);
typedef double (*wait_fn)(volatile int *, volatile int *);

/* ---- a thread waits for the slot that another one's call holds ---- */

struct holder {
	struct scene scene;
	volatile int there, leave;
	double result;
	int error;
};

static void *hold(void *data)
{
	struct holder *holder = data;
	void *object = scene_object(&holder->scene, 64, 0);
	wait_fn wait;
	struct ffg_call *call;

	SCENE_CHECK(!ffg_thread_attach(holder->scene.context));
	call = scene_call(&holder->scene, "form_wait", "d(pp)");
	SCENE_CHECK(!ffg_call_grant(call, object, 64, FFG_INOUT));
	wait = (wait_fn)ffg_call_entry(call);
	holder->result = wait(&holder->there, &holder->leave);
	holder->error = ffg_call_error(call);
	return NULL;
}

/* Lets the holder go as soon as somebody waits. */
static void *let_go(void *data)
{
	struct holder *holder = data;
	struct ffg_stats stats;

	for (int n = 0; n < 2000; n++) {
		SCENE_CHECK(!ffg_context_stats(holder->scene.context, &stats));
		if (stats.waits)
			break;
		usleep(1000);
	}
	holder->leave = 1;
	return NULL;
}

/* The call that ends wakes the one that waits, and returns what it had to return. */
TEST(wake)
{
	struct ffg_options options = { .size = sizeof(options), .slots = 1 };
	static struct holder holder;
	struct ffg_stats stats;
	unsigned char *object;
	struct ffg_call *call;
	poke_fn poke;
	pthread_t thread[2];

	holder.scene = scene_open("forms", &options);
	object = scene_object(&holder.scene, 64, 0);
	call = scene_call(&holder.scene, "form_poke", "i(pi)");
	ASSERT_EQ(0, ffg_call_grant(call, object, 64, FFG_INOUT));
	poke = (poke_fn)ffg_call_entry(call);
	ASSERT_EQ(0, pthread_create(&thread[0], NULL, hold, &holder));
	while (!holder.there)
		usleep(1000);
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, let_go, &holder));
	/* Its wait is bounded; on a busy machine the bound may come first. */
	for (int n = 0; n < 50; n++) {
		if (poke(object, 0x77) == 0x77)
			break;
		ASSERT_EQ(FFG_E_BUSY, ffg_call_error(call));
	}
	EXPECT_EQ(0x77, object[0]);
	pthread_join(thread[0], NULL);
	pthread_join(thread[1], NULL);
	EXPECT_EQ(0, holder.error);
	EXPECT_TRUE(holder.result == holder.there);
	ASSERT_EQ(0, ffg_context_stats(holder.scene.context, &stats));
	EXPECT_LT(0, stats.waits);
}

/* ---- cost ---- */

static struct {
	const char *symbol;
	const char *signature;
	unsigned int grants;
} cost;

static void body_cost(const void *data)
{
	struct scene scene = scene_open("forms", NULL);
	struct ffg_call *call = scene_call(&scene, cost.symbol, cost.signature);
	void (*entry)(void);

	(void)data;
	for (unsigned int n = 0; n < cost.grants; n++)
		SCENE_CHECK(!ffg_call_grant(call, scene_object(&scene, 64, 0), 64, FFG_INOUT));
	entry = (void (*)(void))ffg_call_entry(call);
	SCENE_CHECK(entry);
	entry();
	step_begin((void *)entry);
	entry();
}

#define BUDGET	95	/* instructions over a plain call */

static int cost_of(const char *symbol, const char *signature, unsigned int grants, bool checked)
{
	struct steps steps;
	long over;

	cost.symbol = symbol;
	cost.signature = signature;
	cost.grants = grants;
	steps_run(&steps, body_cost, NULL);
	over = steps.instructions - 1;		/* the callee's return is the plain call's too */
	printf("# gate: %-22s %2u grants: %3ld instructions over a plain call, ",
	       signature ? signature : "(no signature)", grants, over);
	printf("WRPKRU %d, locked %d, system calls %d\n", steps.wrpkru, steps.locked,
	       steps.system_calls);
	if (!steps.ended || steps.wrpkru != 2 || steps.locked || steps.system_calls)
		return 1;
	return checked && over > BUDGET;
}

/* "v(...)" with @ni integers and @nv doubles. */
static void shape(char signature[32], int ni, int nv)
{
	snprintf(signature, 32, "v(%.*s%.*s)", ni, "iiiiii", nv, "dddddddd");
}

TEST(instructions)
{
	char signature[32];

	for (int ni = 0; ni <= 6; ni += 3)
		for (int nv = 0; nv <= 8; nv += 4) {
			shape(signature, ni, nv);
			EXPECT_EQ(0, cost_of("form_nothing", signature, 0, true));
		}
	EXPECT_EQ(0, cost_of("form_nothing", "v(iiiiiidddddddd)", 1, true));
	EXPECT_EQ(0, cost_of("form_nothing", "v(iiiiiidddddddd)", 12, true));
	EXPECT_EQ(0, cost_of("form_nothing", "v(iiiiiiiiii)", 4, false));
	EXPECT_EQ(0, cost_of("form_nothing", "v(i...)", 4, false));
	EXPECT_EQ(0, cost_of("form_nothing", NULL, 4, false));
}

TEST_HARNESS_MAIN
