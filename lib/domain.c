// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Domains: foreign libraries, opened, looked up and closed behind the gate.
 *
 * dlopen() runs constructors and IFUNC resolvers, dlsym() IFUNC resolvers, dlclose()
 * destructors: all of that is foreign code, and libc's part of the work needs no rights either.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain.h"
#include "domain_memory.h"
#include "interpose.h"
#include "internal.h"
#include "loaded.h"
#include "mutant.h"

/* 0 if @domain can be used here and now. */
static int domain_check(const struct ffg_domain *domain)
{
	if (!domain)
		return ffg_fail(FFG_E_INVAL, "domain is NULL");
	return ffg_context_check(domain->context);
}

/* The text of dlerror(), which is per thread: of what just ran behind the gate. */
static const char *loader_error(void)
{
	const char *text = dlerror();

	return text ? text : "the dynamic linker gave no reason";
}

static void discard(struct ffg_domain *domain)
{
	if (!domain)
		return;
	ffg_snapshot_free(domain->snapshot);
	ffg_domain_memory_discard(domain->heap);
	free(domain->library);
	free(domain);
}

static int domain_unload(struct ffg_domain *domain)
{
	const uintptr_t argument[6] = { (uintptr_t)domain->handle };
	uintptr_t result;
	int error = ffg_gate_call(domain, domain->key, "destructors", (void *)dlclose, argument,
				  &result);

	if (!error && (int)result)
		error = ffg_fail(FFG_E_SYSTEM, "cannot close %s: %s", domain->library,
				 loader_error());
	return error;
}

/* A key of the context's, that of the fewest domains; 0: it has none.  Under context->lock. */
static unsigned int choose_key(const struct ffg_context *context)
{
	unsigned int used[FFG_KEYS] = { 0 }, best = 0;

	for (const struct ffg_domain *d = context->domains; d; d = d->next)
		used[d->key]++;
	for (unsigned int key = 1; key < FFG_KEYS; key++)
		if (context->domain_keys & 1U << key && (!best || used[key] < used[best]))
			best = key;
	return best;
}

/* Load the library behind the gate.  0 or an error code that is set. */
static int load(struct ffg_domain *domain)
{
	const uintptr_t argument[6] = { (uintptr_t)domain->library, RTLD_NOW | RTLD_LOCAL };
	uintptr_t handle;
	int error = 0;

	if (FFG_MUTANT(DOMAIN_GATE))
		handle = (uintptr_t)dlopen(domain->library, RTLD_NOW | RTLD_LOCAL);
	else
		error = ffg_gate_call(domain, domain->key, "constructors", (void *)dlopen, argument,
				      &handle);
	if (!error && !handle)
		error = ffg_fail(FFG_E_NO_LIBRARY, "cannot load %s: %s", domain->library,
				 loader_error());
	if (!error)
		domain->handle = (void *)handle;
	return error;
}

/* What is to be done with what was not loaded @before.  0 or an error code that is set. */
static int prepare(struct ffg_domain *domain, const struct ffg_loaded_list *before)
{
	int error = domain->key ? ffg_domain_malloc_bind(before, domain->handle) : 0;

	if (error || domain->policy != FFG_POLICY_RECOVER)
		return error;
	domain->snapshot = ffg_snapshot_take(before, domain->handle);
	if (domain->snapshot && domain->key)
		domain->heap = ffg_domain_memory_copy(domain->key);
	return domain->snapshot && (domain->heap || !domain->key) ? 0 : ffg_error();
}

FFG_API struct ffg_domain *ffg_domain_open(struct ffg_context *context, const char *library,
					   unsigned int flags)
{
	struct ffg_loaded_list before = { .count = 0 };
	struct ffg_domain *domain;

	if (ffg_context_check(context) != 0)
		return NULL;
	if (!library || !*library || flags > FFG_POLICY_AUDIT) {
		ffg_fail(FFG_E_INVAL, flags ? "flags are one of enum ffg_policy" :
			 "no library named");
		return NULL;
	}
	domain = calloc(1, sizeof(*domain));
	if (!domain)
		goto no_memory;
	domain->context = context;
	domain->policy = (enum ffg_policy)flags;
	pthread_mutex_lock(&context->lock);
	domain->key = choose_key(context);
	pthread_mutex_unlock(&context->lock);
	if (domain->policy == FFG_POLICY_RECOVER && ffg_violation_recover() != 0)
		goto fail;
	if (domain->policy == FFG_POLICY_AUDIT && ffg_violation_allow() != 0)
		goto fail;
	/* A copy: the caller's may lie in an object, which is closed behind the gate. */
	domain->library = strdup(library);
	if (!domain->library)
		goto no_memory;

	if (ffg_loaded_list(&before) != 0 || load(domain) != 0)
		goto fail;
	if (prepare(domain, &before) != 0) {
		domain_unload(domain);
		goto fail;
	}
	ffg_loaded_free(&before);

	pthread_mutex_lock(&context->lock);
	domain->next = context->domains;
	context->domains = domain;
	pthread_mutex_unlock(&context->lock);
	return domain;

no_memory:
	ffg_fail(FFG_E_NOMEM, "no memory for a domain");
fail:
	ffg_loaded_free(&before);
	discard(domain);
	return NULL;
}

/* Under context->lock. */
static void domain_unlink(struct ffg_domain *domain)
{
	struct ffg_domain **link = &domain->context->domains;

	while (*link != domain)
		link = &(*link)->next;
	*link = domain->next;
}

FFG_API int ffg_domain_close(struct ffg_domain *domain)
{
	struct ffg_context *context;
	unsigned int calls, callbacks;
	int error;

	if (!domain)
		return 0;
	error = domain_check(domain);
	if (error)
		return error;
	context = domain->context;
	pthread_mutex_lock(&context->lock);
	calls = domain->calls;
	callbacks = domain->callbacks;
	pthread_mutex_unlock(&context->lock);
	if (calls)
		return ffg_fail(FFG_E_BUSY, "%s has %u calls: ffg_call_free() them first",
				domain->library, calls);
	if (callbacks)
		return ffg_fail(FFG_E_BUSY, "%s has %u callbacks: ffg_callback_free() them first",
				domain->library, callbacks);

	error = domain_unload(domain);
	if (error)
		return error;
	pthread_mutex_lock(&context->lock);
	domain_unlink(domain);
	pthread_mutex_unlock(&context->lock);
	discard(domain);
	return 0;
}

FFG_API void *ffg_domain_symbol(struct ffg_domain *domain, const char *symbol)
{
	uintptr_t address;
	char *name;
	int error;

	if (domain_check(domain) != 0)
		return NULL;
	if (!symbol || !*symbol) {
		ffg_fail(FFG_E_INVAL, "no symbol named");
		return NULL;
	}
	name = strdup(symbol);
	if (!name) {
		ffg_fail(FFG_E_NOMEM, "no memory for a symbol's name");
		return NULL;
	}

	const uintptr_t argument[6] = { (uintptr_t)domain->handle, (uintptr_t)name };

	error = ffg_gate_call(domain, domain->key, "an IFUNC resolver", (void *)dlsym, argument,
			      &address);
	if (!error && !address)
		ffg_fail(FFG_E_NO_SYMBOL, "no symbol %s in %s: %s", name, domain->library,
			 loader_error());
	free(name);
	return error ? NULL : (void *)address;
}

FFG_API int ffg_domain_budget(struct ffg_domain *domain, unsigned int milliseconds)
{
	int error = domain_check(domain);

	if (!error)
		__atomic_store_n(&domain->budget, milliseconds, __ATOMIC_RELAXED);
	return error;
}

/* ---- reset ---- */

struct busy {
	const struct ffg_domain *domain;
	bool found;
};

/* In a call of the domain, or in a callback that may have been made from one? */
static void find_busy(struct ffg_thread *thread, void *data)
{
	struct busy *busy = data;

	if (thread->context == busy->domain->context &&
	    ffg_gate_serves(thread, busy->domain))
		busy->found = true;
}

/* 0 if nobody else depends on the data of @domain now.  *@alone: or has its key. */
static int reset_check(struct ffg_domain *domain, bool *alone)
{
	struct ffg_context *context = domain->context;
	struct busy busy = { .domain = domain };
	const char *other = NULL;
	int error = 0;

	ffg_thread_lock();
	ffg_thread_each(find_busy, &busy);
	ffg_thread_unlock();
	if (busy.found)
		return ffg_fail(FFG_E_BUSY, "a thread is in a call of %s, or in a callback",
				domain->library);
	if (ffg_interpose_threads())
		return ffg_fail(FFG_E_BUSY, "threads that foreign code started still run");
	if (!ffg_snapshot_covers(domain->snapshot, domain->handle))
		return ffg_fail(FFG_E_BUSY, "%s was loaded before the domain was opened",
				domain->library);
	*alone = true;
	pthread_mutex_lock(&context->lock);
	for (struct ffg_domain *d = context->domains; d && !other && !error; d = d->next) {
		bool shared = false;

		if (d != domain && d->key == domain->key)
			*alone = false;
		if (d != domain)
			error = ffg_snapshot_shared(domain->snapshot, d->handle, &shared);
		if (shared)
			other = d->library;
	}
	if (other)
		error = ffg_fail(FFG_E_BUSY, "%s, or what it needs, serves the domain of %s, too",
				 domain->library, other);
	pthread_mutex_unlock(&context->lock);
	return error;
}

FFG_API int ffg_domain_reset(struct ffg_domain *domain)
{
	int error = domain_check(domain);
	bool alone = false;

	if (error)
		return error;
	if (!domain->snapshot)
		return ffg_fail(FFG_E_INVAL, "%s was not opened with FFG_POLICY_RECOVER",
				domain->library);
	error = reset_check(domain, &alone);
	if (error)
		return error;
	ffg_snapshot_restore(domain->snapshot);
	/* Else it is the heap of others, too. */
	if (domain->heap && alone)
		ffg_domain_memory_restore(domain->key, domain->heap);
	return 0;
}

void ffg_domain_fork(struct ffg_context *context)
{
	(void)context;
	ffg_chain_fork();
}

void ffg_domain_forget(struct ffg_context *context)
{
	for (struct ffg_domain *domain = context->domains, *next; domain; domain = next) {
		next = domain->next;
		discard(domain);
	}
	context->domains = NULL;
}

/*
 * Domains that are open when the process ends are not closed: their destructors run in
 * _dl_fini(), which no dlclose() can precede.  But destructors of the libraries that use a
 * library run before its own, and those of libraries opened later run after it: from here on
 * only foreign code and libraries that know nothing of guarded objects run in this thread.  Whose
 * destructors they are nobody knows, so that the heaps of all domains stay open.
 */
__attribute__((destructor)) static void domain_exit(void)
{
	const struct ffg_context *context = ffg_context_process();

	if (context && !ffg_gate_is_foreign() && !FFG_MUTANT(EXIT_CLOSE))
		ffg_wrpkru(ffg_rdpkru() | context->closed);
}
