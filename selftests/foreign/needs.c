// SPDX-License-Identifier: GPL-2.0-only
/*
 * Foreign code that uses what libc and the dynamic linker keep for the whole process. The number of
 * what does not work, or 0.
 */
#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

extern char *program_invocation_name;
static __thread int local = 3;

static void *thread(void *data)
{
	local++;
	return data;
}

int needs_all(void)
{
	const char *value = getenv("FFG_TEST_VARIABLE");
	time_t now = 86400;
	struct tm tm;
	pthread_t id;
	void *result;
	char text[64], *copy;

	if (!value || strcmp(value, "set"))
		return 1;
	if (!getauxval(AT_PAGESZ) || !getauxval(AT_RANDOM) || !*(char *)getauxval(AT_EXECFN))
		return 2;
	if (!program_invocation_name || !*program_invocation_name)
		return 3;
	if (close(-1) != -1 || errno != EBADF)
		return 4;
	if (printf("# from foreign code: %d\n", 5) < 0 || fflush(stdout))
		return 5;
	if (!setlocale(LC_ALL, "C") || !localtime_r(&now, &tm) ||
	    !strftime(text, sizeof(text), "%Y", &tm) || strcmp(text, "1970"))
		return 6;
	if (local++ != 3)
		return 7;
	if (!dlopen("libm.so.6", RTLD_NOW) || !dlsym(RTLD_DEFAULT, "cos"))
		return 8;
	copy = strdup(text);
	if (!copy)
		return 9;
	free(copy);
	if (pthread_create(&id, NULL, thread, text) || pthread_join(id, &result) || result != text)
		return 10;
	if (setenv("FFG_TEST_VARIABLE", "changed", 1) || unsetenv("FFG_TEST_VARIABLE"))
		return 11;
	return 0;
}
