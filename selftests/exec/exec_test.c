// SPDX-License-Identifier: GPL-2.0-only
/*
 * exec: the new program begins with nothing of the old one's context, and can have its own.
 *
 * The program executes itself: with AFTER_EXEC as its argument it is the new program and ends
 * with IN_NEW if all is as it should be.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "death.h"

#define AFTER_EXEC	"--after-exec"
#define IN_NEW		66
/* What a process starts with: every key but key 0 closed for access. */
#define PKRU_INIT	0x55555554U

typedef void (*write1_fn)(unsigned char *, long, int);

static char self_path[4096];

static uint32_t rdpkru(void)
{
	uint32_t eax, edx;

	__asm__ volatile("rdpkru" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

static bool mapped(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	bool found = false;

	SCENE_CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, name))
			found = true;
	fclose(maps);
	return found;
}

static bool has_descriptor(const char *name)
{
	char path[64], target[256];
	ssize_t length;

	for (int fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		if (!strcmp(target, name))
			return true;
	}
	return false;
}

/* The new program. */
static void after_exec(void)
{
	struct sigaction action;
	struct scene s;
	unsigned char *object;
	write1_fn write1;

	SCENE_CHECK(rdpkru() == PKRU_INIT);
	SCENE_CHECK(!mapped("/dev/ffiguard"));
	SCENE_CHECK(!has_descriptor("/dev/ffiguard"));
	SCENE_CHECK(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
	s = scene_open("shapes", NULL);
	SCENE_CHECK(mapped("/dev/ffiguard") && has_descriptor("/dev/ffiguard"));
	object = scene_object(&s, 64, FFG_OBJECT_END);
	write1 = scene_entry(&s, "shape_write1", "v(pii)", object, 64, FFG_INOUT);
	write1(object, 5, 0x55);
	SCENE_CHECK(object[5] == 0x55);
	_exit(IN_NEW);
}

static struct death death;

static void body_exec(const void *data)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	write1_fn write1 = scene_entry(&s, "shape_write1", "v(pii)", object, 64, FFG_INOUT);

	(void)data;
	write1(object, 0, 1);
	SCENE_CHECK(mapped("/dev/ffiguard"));
	execl(self_path, self_path, AFTER_EXEC, (char *)NULL);
	scene_fail("exec: %s", strerror(errno));
}

TEST(from_trusted_code)
{
	death_run(&death, body_exec, NULL);
	EXPECT_TRUE(death_exit(&death, IN_NEW));
}

/* Foreign code executes with every key of ours closed, and in the middle of a call with a grant. */
static void body_foreign(const void *data)
{
	struct scene s = scene_open("process", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	int (*exec)(const char *, const char *) =
		scene_entry(&s, data, "i(pp)", object, 64, FFG_INOUT);

	object[0] = 1;
	_exit(exec(self_path, AFTER_EXEC));
}

TEST(from_foreign_code)
{
	death_run(&death, body_foreign, "process_exec");
	EXPECT_TRUE(death_exit(&death, IN_NEW));
}

TEST(from_foreign_spawn)
{
	death_run(&death, body_foreign, "process_spawn");
	EXPECT_TRUE(death_exit(&death, IN_NEW));
}

TEST(from_foreign_vfork)
{
	death_run(&death, body_foreign, "process_vfork");
	EXPECT_TRUE(death_exit(&death, IN_NEW));
}

/* ---- exec ends the other threads, wherever they are ---- */

static struct {
	struct scene scene;
	unsigned char *object;
	struct ffg_call *call;
	volatile int state;
} linger;

static void *linger_main(void *data)
{
	int (*entry)(unsigned char *, volatile int *) = ffg_call_entry(linger.call);

	(void)data;
	SCENE_CHECK(ffg_thread_attach(linger.scene.context) == 0);
	entry(linger.object, &linger.state);
	return NULL;
}

static void body_thread(const void *data)
{
	pthread_t thread;

	(void)data;
	linger.scene = scene_open("process", NULL);
	linger.object = scene_object(&linger.scene, 64, FFG_OBJECT_END);
	linger.call = scene_call(&linger.scene, "process_linger", "i(pp)");
	SCENE_CHECK(ffg_call_grant(linger.call, linger.object, 64, FFG_INOUT) == 0);
	SCENE_CHECK(pthread_create(&thread, NULL, linger_main, NULL) == 0);
	while (linger.state != 1)
		usleep(1000);
	execl(self_path, self_path, AFTER_EXEC, (char *)NULL);
	scene_fail("exec: %s", strerror(errno));
}

TEST(while_others_call)
{
	death_run(&death, body_thread, NULL);
	EXPECT_TRUE(death_exit(&death, IN_NEW));
}

/* An exec that fails changes nothing. */
TEST(failed)
{
	struct scene s = scene_open("shapes", NULL);
	unsigned char *object = scene_object(&s, 64, FFG_OBJECT_END);
	write1_fn write1 = scene_entry(&s, "shape_write1", "v(pii)", object, 64, FFG_INOUT);

	EXPECT_EQ(-1, execl("/nowhere", "/nowhere", (char *)NULL));
	EXPECT_EQ(ENOENT, errno);
	write1(object, 3, 0x33);
	EXPECT_EQ(0x33, object[3]);
}

int main(int argc, char **argv)
{
	ssize_t length = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);

	if (length <= 0)
		return KSFT_FAIL;
	if (argc > 1 && !strcmp(argv[1], AFTER_EXEC))
		after_exec();
	return test_harness_run(argc, argv);
}
