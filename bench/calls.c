// SPDX-License-Identifier: GPL-2.0-only
/* Guarded calls: by signature, by grants, evicting, and what they cost beside instructions. */
#include <stdlib.h>
#include <sys/wait.h>

#include "bench.h"

#define GRANTS_MAX	12
#define GOAL_CALL	95

static struct ffg_context *context;
static struct ffg_domain *library;
static unsigned char *objects[64];

static void setup(unsigned int count)
{
	context = ffg_context_open(NULL);
	if (!context)
		fail_ffg("no context");
	library = ffg_domain_open(context, foreign_path, 0);
	if (!library)
		fail_ffg(foreign_path);
	for (unsigned int n = 0; n < count; n++) {
		objects[n] = ffg_object_alloc(context, 64, FFG_OBJECT_END);
		if (!objects[n])
			fail_ffg("objects");
		objects[n][8] = 1;
	}
}

/* A call with objects [from, from + count) granted; they are bound when the entry is there. */
static struct ffg_call *call_new(const char *symbol, const char *signature, unsigned int from,
				 unsigned int count)
{
	struct ffg_call *call = ffg_call_new(library, symbol, signature);

	if (!call)
		fail_ffg(symbol);
	for (unsigned int n = from; n < from + count; n++)
		grant(call, objects[n], 64, FFG_INOUT);
	return call;
}

static void *entry(struct ffg_call *call)
{
	void *function = ffg_call_entry(call);

	if (!function)
		fail_ffg("entry");
	return function;
}

/* ---- by signature: over a plain call of the same function ---- */

static volatile long sink;
static volatile double sink_double;
static struct foreign_big sink_big;

static NOINLINE double cost_nothing(nothing_fn f)
{
	return MEASURE(9, 2000, f());
}

static NOINLINE double cost_six(six_fn f)
{
	return MEASURE(9, 2000, sink = f(1, 2, 3, 4, 5, 6));
}

static NOINLINE double cost_fourteen(fourteen_fn f)
{
	return MEASURE(9, 2000, sink_double = f(1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6, 7, 8));
}

static NOINLINE double cost_ten(ten_fn f)
{
	return MEASURE(9, 2000, sink = f(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
}

static NOINLINE double cost_big(big_fn f)
{
	return MEASURE(9, 2000, sink_big = f(1));
}

static NOINLINE double cost_touch(touch_fn f, int count)
{
	return MEASURE(9, 2000, f(objects, count));
}

/* Different slots of the first objects, while they are bound. */
static int slots_used(int count)
{
	struct ffg_object_query query;
	uint32_t keys = 0;

	for (int n = 0; n < count; n++) {
		if (ffg_object_query(context, objects[n], &query) || !query.slot)
			fail("object %d is not bound", n);
		keys |= 1U << query.slot;
	}
	return __builtin_popcount(keys);
}

#define OVER(cost, symbol, signature) \
	(cost(entry(call_new(symbol, signature, 0, 0))) - cost(foreign_symbol(symbol)))

void part_calls(void)
{
	static const int counts[] = { 1, 4, 12 };

	setup(GRANTS_MAX);
	rows_part("guarded call");
	row(cost_nothing(foreign_symbol("bench_nothing")), INSTRUCTIONS, NO_GOAL, "call.plain");
	row(OVER(cost_nothing, "bench_nothing", "v()"), OVER_PLAIN, GOAL_CALL, "gate.empty");
	row(OVER(cost_six, "bench_six", "i(iiiiii)"), OVER_PLAIN, GOAL_CALL, "gate.6_integer");
	row(OVER(cost_fourteen, "bench_fourteen", "d(iiiiiidddddddd)"), OVER_PLAIN, GOAL_CALL,
	    "gate.6_integer_8_sse");
	row(OVER(cost_ten, "bench_ten", "i(iiiiiiiiii)"), OVER_PLAIN, NO_GOAL,
	    "gate.4_stack_words");
	row(OVER(cost_big, "bench_big", "m48(i)"), OVER_PLAIN, NO_GOAL, "gate.struct_return");
	row(OVER(cost_nothing, "bench_nothing", NULL), OVER_PLAIN, NO_GOAL, "gate.no_signature");
	for (int n = 0; n < 3; n++) {
		struct ffg_call *call = call_new("bench_touch", "v(pi)", 0, counts[n]);
		double guarded = cost_touch(entry(call), counts[n]);

		row(guarded - cost_touch(foreign_symbol("bench_touch"), counts[n]), OVER_PLAIN,
		    GOAL_CALL, "call.grants.%d", counts[n]);
		row(slots_used(counts[n]), "slots in use", NO_GOAL, "call.grants.%d.slots",
		    counts[n]);
		if (ffg_call_error(call))
			fail_ffg("call");
		ffg_call_free(call);
	}
}

/* ---- callbacks: over a plain call of the function by foreign code ---- */

#define BACKS	100	/* in each guarded call, so that the call itself is next to nothing */

static NOINLINE long called_back(long value)
{
	return value + 1;
}

static nothing_fn nested;

static NOINLINE long calls_on(long value)
{
	nested();
	return value + 1;
}

static void *callback(long (*function)(long))
{
	struct ffg_callback *callback = ffg_callback_new(library, (void *)function, "i(i)");

	if (!callback)
		fail_ffg("callback");
	return ffg_callback_entry(callback);
}

static NOINLINE double cost_back(back_fn f, long (*function)(long))
{
	return MEASURE(9, 20, sink = f(function, BACKS)) / BACKS;
}

/* Of @grants objects: the outer call gives their slots up and takes them again. */
static double cost_guarded_back(int grants, long (*function)(long))
{
	struct ffg_call *call = call_new("bench_back", "i(pi)", 0, grants);
	double cost = cost_back(entry(call), callback(function));

	ffg_call_free(call);
	return cost;
}

void part_callbacks(void)
{
	double plain, call;

	setup(GRANTS_MAX);
	rows_part("callback");
	nested = entry(call_new("bench_nothing", "v()", 0, 0));
	plain = cost_back(foreign_symbol("bench_back"), called_back);
	call = cost_nothing(nested);
	row(cost_guarded_back(0, called_back) - plain, OVER_PLAIN, NO_GOAL, "callback.empty");
	row(cost_guarded_back(4, called_back) - plain, OVER_PLAIN, NO_GOAL, "callback.grants.4");
	row(cost_guarded_back(4, calls_on) - plain - call, "and the call that it makes", NO_GOAL,
	    "callback.nested_call");
}

/* ---- from outside ---- */

static struct outside {
	long entries, faults, wrpkru, instructions;
} *outside;

#define REPEATS	1000

static void outside_body(void *data)
{
	struct ffg_call *call;
	struct counts counts;
	struct steps steps;
	touch_fn touch;

	(void)data;
	setup(4);
	call = call_new("bench_touch", "v(pi)", 0, 4);
	touch = (touch_fn)entry(call);
	touch(objects, 4);
	counts_begin();
	for (int n = 0; n < REPEATS; n++)
		touch(objects, 4);
	counts = counts_end();
	steps_begin((void *)touch, ffg_domain_symbol(library, "bench_touch"));
	touch(objects, 4);
	steps = steps_end();
	outside->entries = counts.entries;
	outside->faults = counts.faults;
	outside->wrpkru = steps.wrpkru;
	outside->instructions = steps.instructions;
}

void part_call_costs(void)
{
	outside = shared_new(sizeof(*outside));
	if (steps_run(outside_body, NULL))
		fail("counting from outside failed");
	row((double)outside->entries / REPEATS, "of a repeated call, 4 grants", 0,
	    "call.kernel_entries");
	row((double)outside->faults / REPEATS, "of a repeated call, 4 grants", 0,
	    "call.page_faults");
	row(outside->wrpkru, "of a call, single-stepped", 2, "call.wrpkru");
	row(outside->instructions, "of the gate, single-stepped", NO_GOAL, "call.stepped");
}

/* ---- evicting: more calls in turn than there are slots ---- */

void part_evictions(void)
{
	unsigned int slots, calls;
	touch_fn touch[16];
	double plain, evicting;
	unsigned int next = 0;

	setup(16);
	slots = ffg_context_slots(context);
	calls = slots + 1;
	for (unsigned int n = 0; n < calls; n++)
		touch[n] = (touch_fn)entry(call_new("bench_touch", "v(pi)", n, 1));
	plain = cost_touch(foreign_symbol("bench_touch"), 1);
	evicting = MEASURE(9, 200, touch[next](&objects[next], 1); next = (next + 1) % calls);
	row(evicting - plain, OVER_PLAIN, NO_GOAL, "call.evicting");
	row(slots, "slots", NO_GOAL, "slots");
}
