// SPDX-License-Identifier: GPL-2.0-only
/*
 * bench [PART...]: what ffiguard costs, and its peers, in instructions.
 *
 * To be run under -icount by bench/run.  FFG_BENCH_OUT: folder for the JSON lines.  Exit status
 * 0, also if goals are missed; 1: something could not be measured.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

static const struct {
	const char *name;
	void (*run)(void);
	int in_child;
} parts[] = {
	{ "calls", part_calls, 1 },
	{ "callbacks", part_callbacks, 1 },
	{ "outside", part_call_costs, 0 },
	{ "objects", part_objects, 1 },
	{ "evictions", part_evictions, 1 },
	{ "heap", part_heap, 1 },
	{ "recovery", part_recovery, 1 },
	{ "peers", part_peers, 1 },
	{ "png", part_png, 1 },
};

char foreign_path[4096];

void *foreign_symbol(const char *name)
{
	void *library = dlopen(foreign_path, RTLD_NOW | RTLD_LOCAL);
	void *symbol = library ? dlsym(library, name) : NULL;

	if (!symbol)
		fail("%s", dlerror());
	return symbol;
}

/* libbench.so lies beside the program. */
static void find_foreign(void)
{
	char *slash;

	if (readlink("/proc/self/exe", foreign_path, sizeof(foreign_path) - 16) <= 0)
		fail("cannot find myself");
	slash = strrchr(foreign_path, '/');
	strcpy(slash, "/libbench.so");
}

/* Every instruction is to count one: two loops, one twice as long as the other, tell. */
static void check_counter(void)
{
	double once = MEASURE(5, 1000, BARRIER());
	double nops = MEASURE(5, 1000, __asm__ volatile(".rept 100; nop; .endr"));

	if (once > 1 || once < -1 || nops < 99 || nops > 101)
		fail("not in a VM that counts instructions (100 are %.1f): use bench/run", nops);
}

int main(int argc, char **argv)
{
	int missed;

	find_foreign();
	rows_open(getenv("FFG_BENCH_OUT"));
	check_counter();
	printf("kernel %s; instructions: of the guest, user and kernel\n", getenv("FFG_KERNEL"));
	for (size_t n = 0; n < sizeof(parts) / sizeof(parts[0]); n++) {
		int wanted = argc < 2;

		for (int word = 1; word < argc; word++)
			wanted |= !strcmp(argv[word], parts[n].name);
		if (!wanted)
			continue;
		if (parts[n].in_child)
			rows_run(parts[n].run);
		else
			parts[n].run();
	}
	missed = rows_close();
	printf("\n%d goal%s missed\n", missed, missed == 1 ? "" : "s");
	return 0;
}
