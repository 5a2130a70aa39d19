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
static unsigned long delay;
static unsigned int asked, done;

static void wait_ms(unsigned long ms)
{
	struct timespec time = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

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
		wait_ms(delay);
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

/* Have it done later, after so many milliseconds. */
void pool_begin(unsigned char *memory, ptrdiff_t offset, int byte, unsigned long ms)
{
	pthread_mutex_lock(&mutex);
	place = memory + offset;
	value = byte;
	delay = ms;
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

int pool_do(unsigned char *memory, ptrdiff_t offset, int byte)
{
	pool_begin(memory, offset, byte, 0);
	return pool_end();
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
int pool_around(unsigned char *memory, ptrdiff_t offset, int byte, void (*callback)(void))
{
	pool_begin(memory, offset, byte, 200);
	callback();
	return pool_end();
}

/* The thread is asked, and then the call goes wrong. */
void pool_crash(unsigned char *memory, ptrdiff_t offset, int byte, volatile int *nowhere)
{
	pool_begin(memory, offset, byte, 300);
	*nowhere = 1;
}
