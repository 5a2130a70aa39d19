// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls: a foreign function, its signature, its grants, its record.
 *
 * The entry of a call is fixed from ffg_call_new() on.  It leads to the call's record,
 * which ffg_call_entry() makes, or, when there is none, to an error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gate.h"

#define DAMAGE_MAX	16	/* told in one report */

/* 0, or the error of a call that must not be used; @call is alive. */
static int check(const struct ffg_call *call)
{
	if (!call)
		return ffg_fail(FFG_E_INVAL, "the call is NULL");
	return ffg_context_check(call->context);
}

/* ---- new and free ---- */

static void link_call(struct ffg_call *call)
{
	struct ffg_context *context = call->context;

	pthread_mutex_lock(&context->lock);
	call->link = &context->calls;
	call->next = context->calls;
	if (call->next)
		call->next->link = &call->next;
	context->calls = call;
	if (call->domain)
		call->domain->calls++;
	pthread_mutex_unlock(&context->lock);
}

static void unlink_call(struct ffg_call *call)
{
	struct ffg_context *context = call->context;

	pthread_mutex_lock(&context->lock);
	*call->link = call->next;
	if (call->next)
		call->next->link = call->link;
	if (call->domain)
		call->domain->calls--;
	pthread_mutex_unlock(&context->lock);
}

static void discard(struct ffg_call *call)
{
	pthread_mutex_destroy(&call->lock);
	free(call->grants);
	free(call->names);
	free(call->name);
	free(call);
}

/* A call that is in no list yet.  @name may be NULL. */
static struct ffg_call *make(struct ffg_context *context, struct ffg_domain *domain,
			     unsigned int key, const char *name, void *function,
			     const char *signature)
{
	struct ffg_call *call = calloc(1, sizeof(*call));
	int thunk;

	if (call)
		call->name = strdup(name ? name : "");
	if (!call || !call->name) {
		free(call);
		ffg_fail(FFG_E_NOMEM, "call: out of memory");
		return NULL;
	}
	call->context = context;
	call->domain = domain;
	call->key = key;
	call->function = function;
	pthread_mutex_init(&call->lock, NULL);
	if (ffg_signature_parse(signature, &call->signature)) {
		discard(call);
		return NULL;
	}
	thunk = ffg_gate_thunk_take(call);
	if (thunk < 0) {
		ffg_fail(FFG_E_LIMIT, "no more than %d calls at the same time", GATE_THUNKS);
		discard(call);
		return NULL;
	}
	call->thunk = (unsigned int)thunk;
	return call;
}

static struct ffg_call *new_call(struct ffg_domain *domain, const char *name, void *function,
				 const char *signature)
{
	struct ffg_call *call = make(domain->context, domain, domain->key, name, function,
				     signature);

	if (call)
		link_call(call);
	return call;
}

struct ffg_call *ffg_call_new(struct ffg_domain *domain, const char *symbol, const char *signature)
{
	void *function;

	if (!domain || !symbol) {
		ffg_fail(FFG_E_INVAL, "domain or symbol is NULL");
		return NULL;
	}
	if (ffg_context_check(domain->context))
		return NULL;
	function = ffg_domain_symbol(domain, symbol);
	return function ? new_call(domain, symbol, function, signature) : NULL;
}

struct ffg_call *ffg_call_new_address(struct ffg_domain *domain, void *function,
				      const char *signature)
{
	if (!domain || !function) {
		ffg_fail(FFG_E_INVAL, "domain or function is NULL");
		return NULL;
	}
	if (ffg_context_check(domain->context))
		return NULL;
	return new_call(domain, NULL, function, signature);
}

/* ---- records ---- */

/* Under call->lock, or not shared yet.  What was granted before stays as it is on failure. */
static int record_new(struct ffg_call *call, uint32_t flags, uint32_t *record, uint64_t *serial)
{
	uint64_t user[14];
	struct ffg_grant grant = {
		.size = sizeof(grant),
		.flags = flags,
		.count = call->count,
		.grants = (uintptr_t)call->grants,
		.user = (uintptr_t)user,
		.domain = call->key,
	};
	int error;

	ffg_gate_record(call, user);
	error = ffg_sys_ioctl(call->context, FFG_IOC_GRANT, &grant);
	*record = grant.record;
	*serial = grant.serial;
	return error;
}

/*
 * Ends a record; *@damages: slacks found overwritten, reported already.  0 or an errno.
 * With FFG_REVOKE_KEEP the record stays, dead: a thread may be inside it or about to enter.
 */
static int record_revoke(struct ffg_call *call, uint32_t record, uint64_t serial, uint32_t flags,
			 unsigned int *damages)
{
	struct ffg_damage damage[DAMAGE_MAX];
	struct ffg_record_id id = { .record = record, .serial = serial };
	struct ffg_revoke revoke = {
		.size = sizeof(revoke),
		.flags = flags,
		.count = 1,
		.damage_count = DAMAGE_MAX,
		.records = (uintptr_t)&id,
		.damage = (uintptr_t)damage,
	};
	int error = ffg_sys_ioctl(call->context, FFG_IOC_REVOKE, &revoke);

	*damages = error ? 0 : revoke.damage_count;
	if (*damages)
		ffg_violation_damage("revoked", call->name, call->names, call->count, damage,
				     *damages < DAMAGE_MAX ? *damages : DAMAGE_MAX);
	return error;
}

/* Under call->lock. */
static int record_end(struct ffg_call *call, int why, uint32_t flags, bool *damaged)
{
	unsigned int damages = 0;
	int error = 0;

	*damaged = false;
	ffg_gate_thunk_set(call->thunk, NULL, why);
	if (call->recorded)
		error = record_revoke(call, call->record, call->serial, flags, &damages);
	if (error && error != ENOENT)
		return ffg_fail_errno(error, "revoke of %s", call->name);
	if (!(flags & FFG_REVOKE_KEEP))
		call->recorded = false;
	*damaged = damages;
	return 0;
}

static int damage_error(const struct ffg_call *call)
{
	return ffg_fail(FFG_E_DAMAGED, "%s by %s", ffg_strerror(FFG_E_DAMAGED),
			call->name[0] ? call->name : "the call");
}

/* Under call->lock. */
static unsigned int budget_of(const struct ffg_call *call)
{
	if (call->budget || !call->domain)
		return call->budget;
	return __atomic_load_n(&call->domain->budget, __ATOMIC_RELAXED);
}

/* Under call->lock: a record with all grants in the place of the one before. */
static int record_make(struct ffg_call *call)
{
	unsigned int damages;
	uint32_t record;
	uint64_t serial;
	int error;

	call->armed = budget_of(call);
	if (call->armed) {
		error = ffg_watchdog_start(call->armed);
		if (error)
			return error;
	}
	error = record_new(call, FFG_BIND_NOW, &record, &serial);
	/* No slot right now is no error: the entry binds when it is called. */
	if (error == EBUSY || error == EDEADLK)
		error = record_new(call, 0, &record, &serial);
	if (error)
		return ffg_fail_errno(error, "grants of %s", call->name);
	if (record >= call->context->records_size >> FFG_RECORD_SHIFT) {
		record_revoke(call, record, serial, 0, &damages);
		return ffg_fail(FFG_E_VERSION, "the module gave a record beyond its mapping");
	}
	ffg_gate_thunk_set(call->thunk, &call->context->records[record], 0);
	/*
	 * Damage found here is reported; the call's next revoke has nothing more to say about
	 * it.
	 */
	if (call->recorded)
		record_revoke(call, call->record, call->serial, 0, &damages);
	call->record = record;
	call->serial = serial;
	call->recorded = true;
	call->changed = false;
	return 0;
}

void *ffg_call_entry(struct ffg_call *call)
{
	void *entry = NULL;

	if (check(call))
		return NULL;
	pthread_mutex_lock(&call->lock);
	if (call->revoked)
		ffg_fail_fixed(FFG_E_REVOKED);
	else if ((call->recorded && !call->changed && call->armed == budget_of(call)) ||
		 !record_make(call))
		entry = ffg_gate_thunk_address(call->thunk);
	pthread_mutex_unlock(&call->lock);
	return entry;
}

int ffg_call_budget(struct ffg_call *call, unsigned int milliseconds)
{
	int error = check(call);

	if (error)
		return error;
	pthread_mutex_lock(&call->lock);
	call->budget = milliseconds;
	pthread_mutex_unlock(&call->lock);
	return 0;
}

int ffg_call_error(struct ffg_call *call)
{
	return call ? ffg_gate_error(call) : ffg_fail(FFG_E_INVAL, "the call is NULL");
}

/* ---- grants ---- */

/* The object at @address, which must hold @length bytes from there. */
static int find_object(struct ffg_context *context, const void *address, size_t length,
		       struct ffg_object_query *object)
{
	int error = ffg_object_query(context, address, object);

	if (error)
		return error;
	if (object->where == FFG_WHERE_FREED)
		return ffg_fail(FFG_E_NOT_OBJECT, "the object at %p was freed", address);
	if (object->where == FFG_WHERE_OUTSIDE)
		return ffg_fail(FFG_E_NOT_OBJECT,
				"%p is no guarded object: allocate it with ffg_object_alloc(); windows on other memory do not exist yet",
				address);
	if (object->where != FFG_WHERE_OBJECT)
		return ffg_fail(FFG_E_NOT_OBJECT, "%p is no byte of a living object", address);
	if (length > object->length - (uint64_t)object->offset)
		return ffg_fail(FFG_E_RANGE,
				"%zu bytes from offset %lld go beyond the object of %llu bytes",
				length, (long long)object->offset,
				(unsigned long long)object->length);
	return 0;
}

/* Under call->lock. */
static int add_grant(struct ffg_call *call, const struct ffg_grant_desc *grant,
		     const struct ffg_object_name *name)
{
	struct ffg_object_name *names;
	struct ffg_grant_desc *grants;

	if (call->revoked)
		return ffg_fail(FFG_E_REVOKED, "%s", ffg_strerror(FFG_E_REVOKED));
	for (unsigned int n = 0; n < call->count; n++)
		if (call->grants[n].object == grant->object)
			return ffg_fail(FFG_E_DUPLICATE, "%s", ffg_strerror(FFG_E_DUPLICATE));
	if (call->count == FFG_GRANTS_MAX)
		return ffg_fail(FFG_E_LIMIT, "no more than %d grants in a call", FFG_GRANTS_MAX);
	names = reallocarray(call->names, call->count + 1, sizeof(*names));
	if (names)
		call->names = names;
	grants = reallocarray(call->grants, call->count + 1, sizeof(*grants));
	if (grants)
		call->grants = grants;
	if (!names || !grants)
		return ffg_fail(FFG_E_NOMEM, "grant: out of memory");
	names[call->count] = *name;
	grants[call->count++] = *grant;
	call->changed = true;
	return 0;
}

int ffg_call_grant(struct ffg_call *call, const void *address, size_t length, unsigned int rights)
{
	struct ffg_object_query object;
	struct ffg_object_name name;
	struct ffg_grant_desc grant;
	int error = check(call);

	if (error)
		return error;
	if (!length)
		return ffg_fail(FFG_E_INVAL, "a grant of 0 bytes");
	if (rights != FFG_IN && rights != FFG_INOUT && rights != FFG_THREADS)
		return ffg_fail(FFG_E_INVAL,
				"rights %#x are not FFG_IN, FFG_OUT, FFG_INOUT or FFG_THREADS",
				rights);
	if (rights == FFG_THREADS && !call->key)
		return ffg_fail(FFG_E_INVAL,
				"FFG_THREADS: the domain has no key (ffg_options.domain_keys)");
	error = find_object(call->context, address, length, &object);
	if (error)
		return error;
	grant = (struct ffg_grant_desc){
		.object = object.object,
		.offset = (uint64_t)object.offset,
		.length = length,
		.rights = rights,
	};
	name = (struct ffg_object_name){ object.object, object.base, object.length };
	pthread_mutex_lock(&call->lock);
	error = add_grant(call, &grant, &name);
	pthread_mutex_unlock(&call->lock);
	return error;
}

int ffg_call_revoke(struct ffg_call *call)
{
	bool damaged;
	int error = check(call);

	if (error)
		return error;
	pthread_mutex_lock(&call->lock);
	if (call->revoked)
		error = ffg_fail(FFG_E_REVOKED, "the grants of the call were revoked already");
	else
		error = record_end(call, FFG_E_REVOKED, FFG_REVOKE_KEEP, &damaged);
	if (!error) {
		call->revoked = true;
		if (damaged)
			error = damage_error(call);
	}
	pthread_mutex_unlock(&call->lock);
	return error;
}

int ffg_call_reset(struct ffg_call *call)
{
	bool damaged;
	int error = check(call);

	if (error)
		return error;
	pthread_mutex_lock(&call->lock);
	error = record_end(call, FFG_E_REVOKED, 0, &damaged);
	if (!error) {
		call->count = 0;
		call->changed = false;
		call->revoked = false;
		if (damaged)
			error = damage_error(call);
	}
	pthread_mutex_unlock(&call->lock);
	return error;
}

int ffg_call_free(struct ffg_call *call)
{
	bool damaged;
	int error;

	if (!call)
		return 0;
	error = check(call);
	if (error)
		return error;
	pthread_mutex_lock(&call->lock);
	error = record_end(call, FFG_E_INVAL, 0, &damaged);
	pthread_mutex_unlock(&call->lock);
	if (error)
		return error;
	if (damaged)
		error = damage_error(call);
	ffg_gate_thunk_give(call->thunk);
	ffg_gate_error(call);		/* a later call may have the same address */
	ffg_recover_forget(call);
	unlink_call(call);
	discard(call);
	return error;
}

/* ---- with the context ---- */

static int apply_open(struct ffg_context *context, unsigned int key)
{
	/* The seventh argument, on the stack, is the function. */
	struct ffg_call *call = make(context, NULL, key, "ffg_gate_call",
				     (void *)(uintptr_t)ffg_gate_apply, "p(ppppppp)");
	int error;

	if (!call)
		return ffg_error();
	error = record_make(call);
	if (error) {
		ffg_gate_thunk_give(call->thunk);
		discard(call);
		return error;
	}
	context->apply[key] = call;
	return 0;
}

int ffg_call_open(struct ffg_context *context)
{
	int error = 0;

	for (unsigned int key = 0; key < FFG_KEYS && !error; key++)
		if (!key || context->domain_keys & 1U << key)
			error = apply_open(context, key);
	return error;
}

void ffg_call_close(struct ffg_context *context)
{
	for (unsigned int key = 0; key < FFG_KEYS; key++) {
		struct ffg_call *call = context->apply[key];

		if (!call)
			continue;
		ffg_gate_thunk_give(call->thunk);
		discard(call);
		context->apply[key] = NULL;
	}
}

void ffg_call_forget(struct ffg_context *context)
{
	for (struct ffg_call *call = context->calls, *next; call; call = next) {
		next = call->next;
		ffg_gate_thunk_give(call->thunk);
		discard(call);
	}
	context->calls = NULL;
	ffg_call_close(context);
}
