// SPDX-License-Identifier: GPL-2.0-only
/* libpool: a library whose constructor starts a thread, which does the work ever after. */
#include <pthread.h>
#include <stddef.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* What there is to do: one at a time. */
static volatile unsigned char *place;
static int value, result;
static const volatile int *signal_to_go;
static unsigned int asked, done;

static void wait_ms(unsigned int ms)
{
	struct timespec time = { 0, ms * 1000000L };

	nanosleep(&time, NULL);
}

/* Reads the byte, and writes the value if it is not negative. */
static void *work(void *data)
{
	pthread_mutex_lock(&mutex);
	for (;;) {
		while (asked == done)
			pthread_cond_wait(&changed, &mutex);
		pthread_mutex_unlock(&mutex);
		while (signal_to_go && !*signal_to_go)
			wait_ms(1);
		result = *place;
		if (value >= 0)
			*place = (unsigned char)value;
		pthread_mutex_lock(&mutex);
		done++;
		pthread_cond_broadcast(&changed);
	}
	return data;
}

__attribute__((constructor)) static void start(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, work, NULL);
}

/* Have it done as soon as somebody sets *GO, or at once. */
void pool_begin(unsigned char *memory, ptrdiff_t offset, int byte, const volatile int *go)
{
	pthread_mutex_lock(&mutex);
	place = memory + offset;
	value = byte;
	signal_to_go = go;
	asked++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

/* Until nothing is to be done: what was read last. */
int pool_end(void)
{
	int last;

	pthread_mutex_lock(&mutex);
	while (asked != done)
		pthread_cond_wait(&changed, &mutex);
	last = result;
	pthread_mutex_unlock(&mutex);
	return last;
}

/* The thread is not cancelled with the lock. */
int pool_do(unsigned char *memory, ptrdiff_t offset, int byte)
{
	int state, last;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	pool_begin(memory, offset, byte, NULL);
	last = pool_end();
	pthread_setcancelstate(state, NULL);
	return last;
}

/* The same for as long as the object says so, by its first byte, which somebody else sets. */
int pool_while(volatile unsigned char *memory, ptrdiff_t offset, int byte)
{
	int last = 0;

	while (memory[0]) {
		last = pool_do((unsigned char *)memory, offset, byte);
		wait_ms(1);
	}
	return last;
}

/* Begun before a callback, and ended behind it. */
int pool_around(unsigned char *memory, ptrdiff_t offset, int byte, void (*callback)(void),
		const volatile int *go)
{
	pool_begin(memory, offset, byte, go);
	callback();
	return pool_end();
}

int pool_nothing(void)
{
	return 0;
}

/* The thread is asked, and then the call goes wrong. */
void pool_crash(unsigned char *memory, ptrdiff_t offset, int byte, const volatile int *go,
		volatile int *nowhere)
{
	pool_begin(memory, offset, byte, go);
	*nowhere = 1;
}
