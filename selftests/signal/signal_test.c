// SPDX-License-Identifier: GPL-2.0-only
/* Signal handlers of trusted code: their rights, their stack, and what they leave behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "kselftest_harness.h"

#include "handlers.h"

static struct death death;

FIXTURE(signal) {
	raise_fn raise;
};

FIXTURE_SETUP(signal)
{
	stage_open(NULL);
	self->raise = (raise_fn)stage_entry("signals_raise", "i(pi)");
}

FIXTURE_TEARDOWN(signal)
{
	/* The process ends. */
}

TEST_F(signal, in_trusted_code)
{
	stage_handle(SIGUSR1, 0);
	raise(SIGUSR1);
	EXPECT_EQ(1, stage.handled);
	EXPECT_EQ(0, stage.failed);
}

/* Also calls that both use the gate: the interrupted one goes on as if nothing was. */
TEST_F(signal, in_a_guarded_call)
{
	stage_handle(SIGUSR1, 0);
	for (int n = 0; n < 20; n++)
		EXPECT_EQ(2, self->raise(stage.mine, SIGUSR1));
	EXPECT_EQ(20, stage.handled);
	EXPECT_EQ(0, stage.failed);
	EXPECT_EQ(2, stage.mine[0]);
}

/* Not on the stack that foreign code can write. */
TEST_F(signal, runs_on_the_trusted_stack)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	stage_handle(SIGUSR1, 0);
	self->raise(stage.mine, SIGUSR1);
	EXPECT_GT(1 << 20, here - stage.stack);
	/* One that asks for the alternate stack does not run there on top of foreign code. */
	stage_altstack();
	stage_handle(SIGUSR1, SA_ONSTACK);
	self->raise(stage.mine, SIGUSR1);
	EXPECT_GT(1 << 20, here - stage.stack);
	/* On top of trusted code it does. */
	raise(SIGUSR1);
	EXPECT_LT(1 << 20, here - stage.stack);
	EXPECT_EQ(3, stage.handled);
	EXPECT_EQ(0, stage.failed);
}

TEST_F(signal, foreign_frames_are_left_alone)
{
	long (*frame)(int) =
		(long (*)(int))scene_entry(&stage.scene, "signals_frame", "i(i)", NULL, 0, 0);

	stage_handle(SIGUSR1, 0);
	EXPECT_EQ(0, frame(SIGUSR1));
	EXPECT_EQ(1, stage.handled);
}

struct large { unsigned char bytes[2000]; };
static struct large (*overwrite)(int);
static int overwritten;

static void overwriting_handler(int signal)
{
	struct large large = overwrite(0x5a);

	(void)signal;
	for (unsigned int n = 0; n < sizeof(large.bytes); n++)
		overwritten += large.bytes[n] == 0x5a;
}

/* The stack of the nested call is below the frames and results of the interrupted one. */
TEST_F(signal, nested_call_has_its_own_stack)
{
	long (*frame)(int) =
		(long (*)(int))scene_entry(&stage.scene, "signals_frame", "i(i)", NULL, 0, 0);

	overwrite = (struct large (*)(int))
		scene_entry(&stage.scene, "signals_overwrite", "m2000(i)", NULL, 0, 0);
	signal(SIGUSR1, overwriting_handler);
	EXPECT_EQ(0, frame(SIGUSR1));
	EXPECT_EQ(2000, overwritten);
}

static int depth_left;

static void deep_handler(int signal)
{
	if (depth_left-- > 0)
		((raise_fn)stage_entry("signals_raise", "i(pi)"))(stage.mine, signal);
	stage_handler(signal, &(siginfo_t){ .si_signo = signal }, NULL);
}

/* Handler in a call in a handler in a call. */
TEST_F(signal, sixteen_deep)
{
	struct sigaction action = { .sa_handler = deep_handler, .sa_flags = SA_NODEFER };

	sigaction(SIGUSR1, &action, NULL);
	depth_left = 16;
	EXPECT_EQ(2, self->raise(stage.mine, SIGUSR1));
	EXPECT_EQ(17, stage.handled);
	EXPECT_EQ(0, stage.failed);
}

/* The first one on the alternate stack, from which its calls switch away. */
TEST_F(signal, eight_deep_on_an_alternate_stack)
{
	struct sigaction action = { .sa_handler = deep_handler };

	action.sa_flags = SA_NODEFER | SA_ONSTACK;
	stage_altstack();
	sigaction(SIGUSR1, &action, NULL);
	for (int n = 1; n < 4; n++) {
		depth_left = 7;
		raise(SIGUSR1);
		EXPECT_EQ(8 * n, stage.handled);
		EXPECT_EQ(0, stage.failed);
	}
}

static struct ffg_call *fiber_call;
static int fiber_error;

static void fiber_handler(int signal)
{
	(void)signal;
	stage.theirs[0] = 9;
	stage.poke(stage.theirs, 1);
	fiber_error = ffg_call_error(stage.poke_call);
}

/* Where the foreign stack is free is not known then: rights yes, calls no. */
TEST_F(signal, on_a_stack_of_foreign_code)
{
	int (*fiber)(int);

	fiber_call = scene_call(&stage.scene, "signals_on_a_fiber", "i(i)");
	fiber = (int (*)(int))ffg_call_entry(fiber_call);
	signal(SIGUSR1, fiber_handler);
	EXPECT_EQ(0, fiber(SIGUSR1));
	EXPECT_EQ(9, stage.theirs[0]);
	EXPECT_EQ(FFG_E_NESTED, fiber_error);
	EXPECT_EQ(0, ffg_call_error(fiber_call));
	EXPECT_EQ(2, self->raise(stage.mine, SIGUSR1));
	EXPECT_EQ(0, fiber_error);
}

/* ---- the frame ---- */

static void frame_handler(int signal, siginfo_t *info, void *data)
{
	ucontext_t *context = data;

	(void)signal;
	stage.failed += info->si_pid != getpid() || context->uc_mcontext.gregs[REG_RAX] != 0;
	context->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void *interrupter(void *data)
{
	volatile int *turning = data;

	while (!*turning)
		usleep(1000);
	kill(getpid(), SIGUSR1);
	return NULL;
}

/* siginfo is true, and registers that the handler changes are changed. */
TEST_F(signal, frame_can_be_changed)
{
	static volatile int turning;
	long (*turn)(volatile int *) =
		(long (*)(volatile int *))stage_entry("signals_turn", "i(p)");
	struct sigaction action = { .sa_sigaction = frame_handler, .sa_flags = SA_SIGINFO };
	sigset_t mask;
	pthread_t thread;

	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	ASSERT_EQ(0, pthread_create(&thread, NULL, interrupter, (void *)&turning));
	pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	EXPECT_EQ(4711, turn(&turning));
	EXPECT_EQ(0, stage.failed);
	pthread_join(thread, NULL);
}

/* ---- rights after the handler ---- */

static uint32_t pkru_offset(void)
{
	uint32_t eax = 0xd, ebx, ecx = 9, edx;

	__asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx;
}

static void opening_handler(int signal, siginfo_t *info, void *data)
{
	char *state = (char *)((ucontext_t *)data)->uc_mcontext.fpregs;

	(void)signal;
	(void)info;
	memset(state + pkru_offset(), 0, 4);
}

static void body_opening(const void *data)
{
	struct sigaction action = { .sa_sigaction = opening_handler, .sa_flags = SA_SIGINFO };
	raise_fn read;

	(void)data;
	stage_open(NULL);
	sigaction(SIGUSR1, &action, NULL);
	read = (raise_fn)stage_entry("signals_then_read", "i(pi)");
	SCENE_CHECK(read(stage.mine, SIGUSR1) == stage.mine[0]);
	read(stage.theirs, SIGUSR1);
}

/* Not even a handler that means to gives foreign code more than the call has. */
TEST(rights_cannot_be_added)
{
	death_run(&death, body_opening, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: read of an object");
}

static struct ffg_call *revoked_call;

static void revoking_handler(int signal)
{
	(void)signal;
	SCENE_CHECK(!ffg_call_revoke(revoked_call));
}

static void body_revoked(const void *data)
{
	raise_fn write;

	(void)data;
	stage_open(NULL);
	signal(SIGUSR1, revoking_handler);
	revoked_call = scene_call(&stage.scene, "signals_raise", "i(pi)");
	SCENE_CHECK(!ffg_call_grant(revoked_call, stage.mine, 64, FFG_INOUT));
	write = (raise_fn)ffg_call_entry(revoked_call);
	write(stage.mine, SIGUSR1);
}

/* A grant that is revoked while its thread is in a handler stays revoked. */
TEST(revoked_in_the_handler)
{
	death_run(&death, body_revoked, NULL);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: write of an object", "revoked");
}

/* And its slot is closed when the handler returns, not only at the next touch. */
TEST_F(signal, slot_is_closed_after_revoke)
{
	uint32_t (*rights)(int), before, after;

	revoked_call = scene_call(&stage.scene, "signals_rights", "i(i)");
	ASSERT_EQ(0, ffg_call_grant(revoked_call, stage.mine, 64, FFG_INOUT));
	rights = (uint32_t (*)(int))ffg_call_entry(revoked_call);
	signal(SIGUSR1, SIG_IGN);
	before = rights(SIGUSR1);
	signal(SIGUSR1, revoking_handler);
	after = rights(SIGUSR1);
	EXPECT_NE(0x55555554, before & 0x55555554);
	EXPECT_EQ(0x55555554, after & 0x55555554) {
		TH_LOG("a slot of a revoked grant is open after the handler");
	}
}

static int other_error;

static void slot_handler(int signal)
{
	(void)signal;
	stage.poke(stage.theirs, 1);
	other_error = ffg_call_error(stage.poke_call);
}

/* The slots of the interrupted call are its own while the handler makes calls. */
TEST(slots_stay_held)
{
	struct ffg_options options = { .size = sizeof(options), .slots = 1 };
	raise_fn write;

	stage_open(&options);
	signal(SIGUSR1, slot_handler);
	write = (raise_fn)stage_entry("signals_raise", "i(pi)");
	other_error = -1;
	EXPECT_EQ(2, write(stage.mine, SIGUSR1));
	EXPECT_EQ(FFG_E_BUSY, other_error) {
		TH_LOG("the slot of an interrupted call was taken");
	}
	stage.poke(stage.theirs, 5);
	EXPECT_EQ(0, ffg_call_error(stage.poke_call));
	EXPECT_EQ(5, stage.theirs[0]);
}

/* ---- what the program sees ---- */

static void handler_one(int signal) { stage.handled += signal == SIGUSR1; }
static void handler_two(int signal) { (void)signal; stage.handled += 100; }

/* siginterrupt() and sigset() are marked as deprecated, and used all the same. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
TEST_F(signal, view_of_the_program)
{
	struct sigaction action = { .sa_handler = handler_one, .sa_flags = SA_RESTART }, old;

	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	EXPECT_NE((uintptr_t)handler_one, stage_thunk(SIGUSR1, NULL));
	ASSERT_EQ(0, sigaction(SIGUSR1, NULL, &old));
	EXPECT_TRUE(old.sa_handler == handler_one);
	EXPECT_EQ(SA_RESTART, old.sa_flags & (SA_RESTART | SA_SIGINFO | SA_ONSTACK | SA_NODEFER));
	EXPECT_TRUE(signal(SIGUSR1, handler_two) == handler_one);
	ASSERT_EQ(0, siginterrupt(SIGUSR1, 1));
	ASSERT_EQ(0, sigaction(SIGUSR1, NULL, &old));
	EXPECT_TRUE(old.sa_handler == handler_two);
	EXPECT_EQ(0, old.sa_flags & (SA_RESTART | SA_SIGINFO));
	EXPECT_TRUE(signal(SIGUSR1, SIG_IGN) == handler_two);
	raise(SIGUSR1);
	EXPECT_TRUE(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
	EXPECT_TRUE(signal(SIGUSR1, handler_one) == SIG_DFL);
	EXPECT_TRUE(signal(SIGKILL, handler_one) == SIG_ERR);
	EXPECT_EQ(EINVAL, errno);
	EXPECT_TRUE(signal(1000, handler_one) == SIG_ERR);
	EXPECT_EQ(-1, sigaction(0, &action, NULL));
	EXPECT_EQ(-1, sigaction(SIGSTOP, &action, NULL));
	ASSERT_EQ(0, sigaction(SIGSTOP, NULL, &old));
	EXPECT_TRUE(old.sa_handler == SIG_DFL);
	raise(SIGUSR1);
	EXPECT_EQ(1, stage.handled);
	EXPECT_TRUE(sigset(SIGUSR1, handler_two) == handler_one);
	EXPECT_TRUE(sigset(SIGUSR1, SIG_HOLD) == handler_two);
	raise(SIGUSR1);
	EXPECT_EQ(1, stage.handled);
	EXPECT_TRUE(sigset(SIGUSR1, handler_two) == SIG_HOLD);
	EXPECT_EQ(101, stage.handled);
	action.sa_flags = SA_RESETHAND;
	ASSERT_EQ(0, sigaction(SIGUSR1, &action, NULL));
	raise(SIGUSR1);
	EXPECT_EQ(102, stage.handled);
	ASSERT_EQ(0, sigaction(SIGUSR1, NULL, &old));
	EXPECT_TRUE(old.sa_handler == SIG_DFL);
}
#pragma GCC diagnostic pop

static sigset_t mask_seen;
static void mask_handler(int signal) { (void)signal; sigprocmask(SIG_BLOCK, NULL, &mask_seen); }

TEST_F(signal, mask)
{
	struct sigaction action = { .sa_handler = mask_handler };
	sigset_t now;

	sigaddset(&action.sa_mask, SIGWINCH);
	sigaction(SIGUSR1, &action, NULL);
	self->raise(stage.mine, SIGUSR1);
	EXPECT_TRUE(sigismember(&mask_seen, SIGUSR1) && sigismember(&mask_seen, SIGWINCH));
	EXPECT_FALSE(sigismember(&mask_seen, SIGUSR2));
	sigprocmask(SIG_BLOCK, NULL, &now);
	EXPECT_TRUE(sigisemptyset(&now));
	action.sa_flags = SA_NODEFER;
	sigaction(SIGUSR1, &action, NULL);
	self->raise(stage.mine, SIGUSR1);
	EXPECT_FALSE(sigismember(&mask_seen, SIGUSR1));
}

/* Handlers that were there before the context was opened. */
static void body_before(const void *data)
{
	struct sigaction old;

	(void)data;
	stage_handle(SIGUSR1, 0);
	signal(SIGUSR2, handler_two);
	stage_open(NULL);
	SCENE_CHECK(signal(SIGUSR2, handler_two) == handler_two);
	SCENE_CHECK(!sigaction(SIGUSR1, NULL, &old) && old.sa_sigaction == stage_handler);
	((raise_fn)stage_entry("signals_raise", "i(pi)"))(stage.mine, SIGUSR1);
	SCENE_CHECK(stage.handled == 1 && !stage.failed);
}

TEST(registered_before_the_context)
{
	death_run(&death, body_before, NULL);
	EXPECT_TRUE(death_exit(&death, 0));
}

/* ---- jumps ---- */

static sigjmp_buf out;
static void jumping_handler(int signal) { siglongjmp(out, signal); }

TEST_F(signal, jump_out_of_a_handler)
{
	signal(SIGUSR1, jumping_handler);
	for (int n = 0; n < 100; n++) {
		if (!sigsetjmp(out, 1))
			raise(SIGUSR1);
		stage.theirs[0] = 1;
		EXPECT_EQ(7, stage.poke(stage.theirs, 7));
	}
}

/* Out of a guarded call that was interrupted: the call is over, its slots are free. */
static void body_jump_over(const void *data)
{
	struct ffg_options options = { .size = sizeof(options), .slots = 1 };
	raise_fn entry;

	(void)data;
	stage_open(&options);
	entry = (raise_fn)stage_entry("signals_raise", "i(pi)");
	signal(SIGUSR1, jumping_handler);
	for (int n = 0; n < 100; n++) {
		if (!sigsetjmp(out, 1))
			entry(stage.mine, SIGUSR1);
		SCENE_CHECK(stage.poke(stage.theirs, 7) == 7);
		SCENE_CHECK(!ffg_call_error(stage.poke_call));
	}
	fprintf(stderr, "jumped\n");
}

TEST(jump_over_a_guarded_call)
{
	death_run(&death, body_jump_over, NULL);
	EXPECT_TRUE(death_exit(&death, 0));
	EXPECT_TRUE(death_said(&death, "jumped\n"));
}

/* ---- threads and processes ---- */

static void *unattached(void *data)
{
	(void)data;
	raise(SIGUSR1);
	return NULL;
}

TEST_F(signal, unattached_thread)
{
	pthread_t thread;

	signal(SIGUSR1, handler_one);
	ASSERT_EQ(0, pthread_create(&thread, NULL, unattached, NULL));
	pthread_join(thread, NULL);
	EXPECT_EQ(1, stage.handled);
}

TEST_F(signal, forked_child)
{
	int status;
	pid_t child;

	signal(SIGUSR1, handler_one);
	child = fork();
	if (!child) {
		raise(SIGUSR1);
		_exit(stage.handled == 1 && signal(SIGUSR1, SIG_DFL) == handler_one ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	/* One that ran no fork handlers. */
	child = (pid_t)syscall(SYS_fork);
	if (!child) {
		syscall(SYS_kill, syscall(SYS_getpid), SIGUSR1);
		_exit(stage.handled == 1 ? 0 : 1);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, stage.handled);
}

/* With a context, without one, with another one. */
static void body_contexts(const void *data)
{
	struct scene scene = scene_open(NULL, NULL);

	(void)data;
	signal(SIGUSR1, handler_one);
	raise(SIGUSR1);
	SCENE_CHECK(!ffg_context_close(scene.context));
	raise(SIGUSR1);
	SCENE_CHECK(signal(SIGUSR1, handler_one) == handler_one);
	raise(SIGUSR1);
	stage_open(NULL);
	stage.handled = 3;
	raise(SIGUSR1);
	SCENE_CHECK(stage.handled == 4);
}

TEST(after_the_context)
{
	death_run(&death, body_contexts, NULL);
	EXPECT_TRUE(death_exit(&death, 0));
}

TEST_F(signal, signalfd)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	signal(SIGUSR1, handler_one);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, 0);
	ASSERT_LE(0, fd);
	EXPECT_EQ(2, self->raise(stage.mine, SIGUSR1));
	ASSERT_EQ(sizeof(info), read(fd, &info, sizeof(info)));
	EXPECT_EQ(SIGUSR1, info.ssi_signo);
	EXPECT_EQ(0, stage.handled);
}

/* ---- SIGSEGV as Rust's runtime handles it ---- */

static void rust_handler(int signal, siginfo_t *info, void *data)
{
	struct sigaction action = { .sa_handler = SIG_DFL };

	(void)info;
	(void)data;
	/* It would compare with the guard page; not its own: as if there were no handler. */
	stage.theirs[0]++;
	if (write(2, "rust\n", 5) != 5)
		_exit(98);
	sigaction(signal, &action, NULL);
}

enum rust { RUST_FOREIGN_NULL, RUST_TRUSTED_NULL, RUST_VIOLATION };

static void body_rust(const void *data)
{
	enum rust rust = *(const enum rust *)data;
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK }, old;
	volatile unsigned char *volatile null = (unsigned char *)16;
	raise_fn entry;

	action.sa_sigaction = rust_handler;
	SCENE_CHECK(!sigaction(SIGSEGV, NULL, &old) && old.sa_handler == SIG_DFL);
	SCENE_CHECK(!sigaction(SIGSEGV, &action, NULL));
	stage_altstack();
	stage_open(NULL);
	entry = (raise_fn)stage_entry("signals_raise", "i(pi)");
	if (rust == RUST_TRUSTED_NULL)
		*null = 1;
	else
		entry(rust == RUST_VIOLATION ? stage.theirs : null, SIGWINCH);
}

TEST(rust_handler_foreign_fault)
{
	enum rust rust = RUST_FOREIGN_NULL;

	death_run(&death, body_rust, &rust);
	DEATH_EXPECT(&death, SIGSEGV, "rust\n");
	EXPECT_FALSE(death_said(&death, "ffiguard: violation"));
}

TEST(rust_handler_trusted_fault)
{
	enum rust rust = RUST_TRUSTED_NULL;

	death_run(&death, body_rust, &rust);
	DEATH_EXPECT(&death, SIGSEGV, "rust\n");
}

TEST(rust_handler_violation)
{
	enum rust rust = RUST_VIOLATION;

	death_run(&death, body_rust, &rust);
	DEATH_EXPECT(&death, SIGSEGV, "ffiguard: violation: write of an object");
	EXPECT_FALSE(death_said(&death, "rust\n"));
}

TEST_HARNESS_MAIN
