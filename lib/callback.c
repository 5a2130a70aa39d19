// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Callbacks: trusted functions that foreign code may call.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "callback.h"
#include "sys.h"

struct ffg_callback_slot ffg_callback_table[CALLBACKS] __attribute__((aligned(4096)));
_Static_assert(sizeof(ffg_callback_table) % 4096 == 0, "the pages of the table carry a key");

struct ffg_callback {
	struct ffg_context *context;
	struct ffg_domain *domain;
	unsigned int slot;
};

/*
 * Guards which slots are taken; what a slot says is read without it.  A freed slot rests as
 * long as it can: foreign code may have kept its entry.
 */
static pthread_mutex_t slot_mutex = PTHREAD_MUTEX_INITIALIZER;
static bool taken[CALLBACKS];
static unsigned int slot_hint;

static int slot_take(void)
{
	int found = -1;

	pthread_mutex_lock(&slot_mutex);
	for (unsigned int n = 0; n < CALLBACKS && found < 0; n++) {
		unsigned int slot = (slot_hint + n) % CALLBACKS;

		if (taken[slot])
			continue;
		taken[slot] = true;
		slot_hint = slot + 1;
		found = (int)slot;
	}
	pthread_mutex_unlock(&slot_mutex);
	return found;
}

static void slot_give(unsigned int slot)
{
	pthread_mutex_lock(&slot_mutex);
	taken[slot] = false;
	pthread_mutex_unlock(&slot_mutex);
}

/* Data first: a slot whose function is set can be called. */
static void slot_set(unsigned int slot, const struct ffg_callback_slot *value)
{
	struct ffg_callback_slot *at = &ffg_callback_table[slot];
	uint32_t pkru = ffg_gate_table_open();
	void *function = value->function;

	__atomic_store_n(&at->domain, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&at->function, NULL, __ATOMIC_RELEASE);
	at->data = value->data;
	at->argument = value->argument;
	at->words = value->words;
	at->form = value->form;
	at->return_size = value->return_size;
	at->align = value->align;
	at->closed = value->closed;
	__atomic_store_n(&at->function, function, __ATOMIC_RELEASE);
	__atomic_store_n(&at->domain, value->domain, __ATOMIC_RELEASE);
	ffg_gate_table_close(pkru);
}

static int signature_check(const char *text, struct ffg_signature *signature)
{
	int error = ffg_signature_parse(text, signature);

	if (error)
		return error;
	if (signature->variadic)
		return ffg_fail(FFG_E_SIGNATURE,
				"signature \"%s\": a callback cannot be variadic: name the arguments that it takes",
				text);
	if (text && (*text == 'y' || *text == 'z'))
		return ffg_fail(FFG_E_SIGNATURE,
				"signature \"%s\": a callback cannot return 256 or 512 bit vectors",
				text);
	return 0;
}

struct ffg_callback *ffg_callback_new(struct ffg_domain *domain, void *function,
				      const char *signature)
{
	struct ffg_callback_slot value = { .function = function, .domain = domain };
	struct ffg_signature parsed;
	struct ffg_callback *callback;
	int slot;

	if (!domain || !function) {
		ffg_fail(FFG_E_INVAL, "domain or function is NULL");
		return NULL;
	}
	if (ffg_context_check(domain->context) || signature_check(signature, &parsed))
		return NULL;
	callback = calloc(1, sizeof(*callback));
	if (!callback) {
		ffg_fail(FFG_E_NOMEM, "callback: out of memory");
		return NULL;
	}
	slot = slot_take();
	if (slot < 0) {
		ffg_fail(FFG_E_LIMIT, "no more than %d callbacks at the same time", CALLBACKS);
		free(callback);
		return NULL;
	}
	value.words = parsed.stack_words;
	value.form = parsed.form;
	value.return_size = parsed.return_size;
	value.align = -8 * (int64_t)parsed.stack_align;
	value.closed = domain->context->ours & ~(domain->key ? FFG_PKRU_KEY(domain->key) : 0);
	slot_set((unsigned int)slot, &value);
	*callback = (struct ffg_callback){ domain->context, domain, (unsigned int)slot };
	pthread_mutex_lock(&domain->context->lock);
	domain->callbacks++;
	pthread_mutex_unlock(&domain->context->lock);
	return callback;
}

int ffg_callback_data(struct ffg_callback *callback, unsigned int argument, void *data)
{
	struct ffg_callback_slot value;
	uint32_t pkru;
	int error;

	if (!callback || argument < 1 || argument > 6)
		return ffg_fail(FFG_E_INVAL,
				"argument %u: 1 to 6, counting those that are passed in integer registers",
				argument);
	error = ffg_context_check(callback->context);
	if (error)
		return error;
	pkru = ffg_gate_table_open();
	value = ffg_callback_table[callback->slot];
	ffg_gate_table_close(pkru);
	value.argument = argument;
	value.data = data;
	slot_set(callback->slot, &value);
	return 0;
}

void *ffg_callback_entry(struct ffg_callback *callback)
{
	if (!callback) {
		ffg_fail(FFG_E_INVAL, "the callback is NULL");
		return NULL;
	}
	return (void *)(uintptr_t)(ffg_callback_thunks +
				   (size_t)callback->slot * CALLBACK_THUNK_SIZE);
}

int ffg_callback_free(struct ffg_callback *callback)
{
	struct ffg_callback_slot none = { 0 };
	int error;

	if (!callback)
		return 0;
	error = ffg_context_check(callback->context);
	if (error)
		return error;
	slot_set(callback->slot, &none);
	pthread_mutex_lock(&callback->context->lock);
	callback->domain->callbacks--;
	pthread_mutex_unlock(&callback->context->lock);
	slot_give(callback->slot);
	free(callback);
	return 0;
}

/* ---- called by callback_x86_64.S and by the unwinder ---- */

int ffg_callback_bind(uint32_t index, uint64_t serial)
{
	return ffg_gate_bind_record(index, serial, GATE_NESTED_WAIT_NS);
}

_Unwind_Reason_Code ffg_callback_personality(int version, _Unwind_Action actions, uint64_t class,
					     struct _Unwind_Exception *exception,
					     struct _Unwind_Context *context)
{
	(void)version;
	(void)class;
	if (!(actions & _UA_FORCE_UNWIND))
		return actions & _UA_SEARCH_PHASE ? _URC_FATAL_PHASE1_ERROR :
						    _URC_FATAL_PHASE2_ERROR;
	/* The thread ends: no cleanup of foreign code runs with the rights of trusted code. */
	_Unwind_SetGR(context, 0, (uintptr_t)exception);
	_Unwind_SetIP(context, (uintptr_t)ffg_callback_unwind);
	return _URC_INSTALL_CONTEXT;
}

/* ---- longjmp() ---- */

/*
 * A jump within one side of the border is libc's.  Trusted code that jumps out of callbacks
 * ends their outer calls: foreign frames need nothing for it, as the calls hold nothing
 * while their callbacks run.
 */
void ffg_callback_jump(uintptr_t sp)
{
	struct ffg_thread *thread = ffg_thread_self();
	struct ffg_callback_frame *frame;
	struct ffg_line *line;

	if (!thread || ffg_gate_is_foreign())
		return;
	line = thread->line;
	for (;;) {
		frame = (struct ffg_callback_frame *)(uintptr_t)line->user[1];
		if (!frame || (uintptr_t)frame > sp)
			break;
		line->fsp = frame->fsp;
		line->user[2]--;
		line->user[1] = (uintptr_t)frame->previous;
	}
	if (line->wake)
		ffg_gate_wake();
}

/* ---- what the stops mean ---- */

static const struct {
	const char *stop;
	const char *meaning;
} stops[] = {
	{ ffg_callback_stop_rights,
	  "a callback was called outside of guarded calls, or its path entered in the middle" },
	{ ffg_callback_stop_thread,
	  "a callback was called with the state of another thread, or with a changed fs base" },
	{ ffg_callback_stop_state,
	  "foreign code called a callback that does not exist, or is not for this domain's calls" },
	{ ffg_callback_stop_stack,
	  "a callback was called with a stack pointer outside of the thread's foreign stack" },
	{ ffg_callback_stop_depth, "callbacks are nested too deep" },
	{ ffg_callback_stop_return,
	  "the way out of a callback was entered in its middle" },
	{ ffg_callback_stop_jump,
	  "foreign code called longjmp() to leave its guarded call" },
};

bool ffg_callback_contains(uintptr_t ip)
{
	return ip >= (uintptr_t)ffg_callback_begin && ip < (uintptr_t)ffg_callback_end &&
	       ip != (uintptr_t)ffg_callback_copy;
}

const char *ffg_callback_explain(uintptr_t ip)
{
	for (unsigned int n = 0; n < sizeof(stops) / sizeof(stops[0]); n++)
		if (ip == (uintptr_t)stops[n].stop)
			return stops[n].meaning;
	return "on the way of a callback: a thread that is in no guarded call, a jump, or no stack";
}

/* ---- context ---- */

int ffg_callback_key(int key)
{
	if (pkey_mprotect(ffg_callback_table, sizeof(ffg_callback_table), PROT_READ | PROT_WRITE,
			  key))
		return ffg_fail_errno(errno, "protection key of the table of callbacks");
	return 0;
}

void ffg_callback_fork(void)
{
	pthread_mutex_init(&slot_mutex, NULL);
}
