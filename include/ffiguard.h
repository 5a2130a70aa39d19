/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file ffiguard.h - call foreign libraries without lending them your memory
 *
 * The life of a program that uses it:
 *
 *	struct ffg_context *ctx = ffg_context_open(NULL);
 *	struct ffg_domain *png = ffg_domain_open(ctx, "libpng16.so.16", 0);
 *	uint8_t *out = ffg_object_alloc(ctx, size, 0);
 *	struct ffg_call *call = ffg_call_new(png, "png_image_finish_read", "i(pppip)");
 *	ffg_call_grant(call, image, sizeof(*image), FFG_INOUT);
 *	ffg_call_grant(call, out, size, FFG_OUT);
 *	__typeof__(&png_image_finish_read) finish = ffg_call_entry(call);
 *	int ok = finish(image, NULL, out, stride, NULL);
 *	if (ffg_call_error(call))
 *		...
 *
 * Errors.  A function that returns int returns 0 or one of enum ffg_error; one that
 * returns a pointer returns NULL and leaves the code in ffg_error() and a sentence
 * that says what to do in ffg_error_message(), both per thread.  A failed function changes nothing.
 *
 * Threads.  Every function may be called from any thread at the same time unless it says
 * otherwise; an opaque pointer must not be used while another thread frees it.  A
 * thread that makes guarded calls attaches first (ffg_thread_attach()); the thread that opens
 * the context is attached.
 *
 * Fork.  The child has no arena: every function but ffg_context_open(), ffg_context_close() and
 * the error functions returns FFG_E_FORKED there, and a touch of an object is reported as
 * "arena not inherited".  The child may close its copy of the context and open one of its own.
 *
 * Signals.  Handlers that trusted code registers (sigaction(), signal() and the like) run, in
 * attached threads, with trusted rights: they may touch objects and make guarded calls
 * through entries prepared before, also on top of a guarded call that they interrupted; its slots
 * stay its own, so such a call may fail with FFG_E_BUSY.  It fails with FFG_E_NESTED where
 * the foreign stack is used up, or foreign code runs on a stack of its own making.
 * A handler must not detach its thread.  None of the functions is async-signal-safe.
 */
#ifndef FFIGUARD_H
#define FFIGUARD_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <linux/ffiguard.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef FFG_API
#define FFG_API __attribute__((visibility("default")))
#endif

struct ffg_context;	/* one per process: device, arena, keys */
struct ffg_domain;	/* a foreign library and what it loads */
struct ffg_call;	/* a prepared call: function, signature, grants */

/* ---- errors ---- */

enum ffg_error {
	FFG_OK = 0,
	FFG_E_INVAL = 1,	/* an argument is out of its range */
	FFG_E_NOMEM,		/* out of memory */
	FFG_E_NO_DEVICE,	/* /dev/ffiguard is missing: the module is not loaded */
	FFG_E_PERM,		/* /dev/ffiguard may not be opened */
	FFG_E_NO_PKU,		/* CPU or kernel lack protection keys, FSGSBASE or AVX */
	FFG_E_NO_KEYS,		/* too few protection keys are free in this process */
	FFG_E_KEY_LOST,		/* a protection key of the context was freed by somebody else */
	FFG_E_VERSION,		/* module and library do not speak the same API level */
	FFG_E_ACTIVE,		/* the process has a context already */
	FFG_E_FORKED,		/* the context belongs to the parent process */
	FFG_E_LIMIT,		/* a budget or a table is full */
	FFG_E_BUSY,		/* in use: a grant, a slot, or a call is in the way */
	FFG_E_NOT_OBJECT,	/* the address is no byte of a living object */
	FFG_E_RANGE,		/* the range goes beyond the object */
	FFG_E_DUPLICATE,	/* the object is granted to the call already */
	FFG_E_CONTEXT,		/* object, domain or call of another context */
	FFG_E_NO_LIBRARY,	/* the library cannot be loaded */
	FFG_E_NO_SYMBOL,	/* the library has no such symbol */
	FFG_E_SIGNATURE,	/* the signature cannot be parsed or passed */
	FFG_E_UNATTACHED,	/* the thread did not attach */
	FFG_E_ATTACHED,		/* the thread is attached already */
	FFG_E_NESTED,		/* a guarded call inside a guarded call of the same thread */
	FFG_E_REVOKED,		/* the grants of the call were revoked */
	FFG_E_DAMAGED,		/* slack of an object was overwritten */
	FFG_E_SYSTEM,		/* the kernel said something else: see errno */
	FFG_E_VIOLATION,	/* the call was ended by a violation: see ffg_call_report() */
	FFG_E_CRASHED,		/* the call was ended by a crash or an abort() of foreign code */
	FFG_E_EXITED,		/* foreign code wanted to end the process: the call was ended */
	FFG_E_TIMEOUT,		/* the call ran longer than its budget */
	FFG_E_COUNT_		/* number of codes; not a code */
};

/** ffg_strerror() - a short text for a code of enum ffg_error; never NULL. */
FFG_API const char *ffg_strerror(int error);
/** ffg_error() - code of the last function of this thread that failed. */
FFG_API int ffg_error(void);
/** ffg_error_message() - what failed and what to do; valid until the thread's next failure. */
FFG_API const char *ffg_error_message(void);
/** ffg_version() - version of the library that runs, "0.1.0". */
FFG_API const char *ffg_version(void);

/* ---- context ---- */

struct ffg_violation;
enum ffg_action {
	FFG_ACTION_DIE = 0,	/* print the report, then die at the violating instruction */
	FFG_ACTION_DIE_QUIET,	/* the same without the report */
	FFG_ACTION_ALLOW	/* let this access happen, this time */
};
/**
 * typedef ffg_violation_fn - called in the SIGSEGV handler of the violating thread
 *
 * Only async-signal-safe functions may be called.  Trusted memory and objects are open.
 *
 * FFG_ACTION_ALLOW: the instruction is run with all memory of the program open, in that thread
 * alone, and nothing is open behind it that was not before; the next access asks again.  It takes
 * two signals each time.  Not for guard pages, freed objects and what ffiguard keeps: there it is
 * FFG_ACTION_DIE.
 */
typedef enum ffg_action (*ffg_violation_fn)(const struct ffg_violation *violation, void *data);

/*
 * What is closed to foreign code besides objects, the trusted heap and what the library keeps:
 *
 * FFG_CLOSE_STACKS: the stacks of attached threads.  What stays open: thread-local storage, and
 * what shares its page with it or with the arguments of the process.  Memory of local variables can
 * then not be lent to foreign code at all: objects only.  Handlers that bypass sigaction() of libc
 * must run on an alternate stack; that goes for libc's own, too: pthread_cancel(), and setuid() and
 * its like in a process of several threads, end the process, and so does foreign code that ends its
 * thread.
 *
 * FFG_CLOSE_STATICS: .data and .bss of the executable, but the pages that hold copies of a
 * library's data (stdout, environ).  FFG_E_INVAL if libffiguard is linked into it as an archive.
 */
#define FFG_CLOSE_STACKS	(1ULL << 0)
#define FFG_CLOSE_STATICS	(1ULL << 1)

struct ffg_options {
	size_t size;			/* sizeof(struct ffg_options) */
	uint64_t flags;			/* FFG_CLOSE_*, or 0 */
	uint64_t arena_size;		/* bytes of address space; 0: default */
	size_t stack_size;		/* foreign stack of a thread, 64 KiB to 1 GiB; 0: 1 MiB */
	unsigned int slots;		/* keys for objects, 1 to 14; 0: all that are free */
	unsigned int keys_left;		/* protection keys to leave to the rest of the program */
	ffg_violation_fn violation;	/* NULL: FFG_ACTION_DIE */
	void *violation_data;
	unsigned int domain_keys;	/* keys for domains, see ffg_domain_open(), 0 to 13 */
	unsigned int reserved;		/* 0 */
};

/**
 * ffg_context_open() - open the device, take protection keys, map the arena
 * @options: NULL for the defaults
 *
 * One context per process.  Attaches the calling thread and installs a SIGSEGV handler, which
 * passes on what is not ours to the handler that the program installed before or installs later.
 * Errors: FFG_E_NO_DEVICE, FFG_E_PERM, FFG_E_NO_PKU, FFG_E_NO_KEYS, FFG_E_VERSION, FFG_E_ACTIVE,
 * FFG_E_NOMEM, FFG_E_INVAL.
 */
FFG_API struct ffg_context *ffg_context_open(const struct ffg_options *options);
/**
 * ffg_context_close() - give everything back
 *
 * Objects are freed, calls and domains of the context must be gone (FFG_E_BUSY).  NULL is ignored.
 * In a forked child it frees the child's copy.
 */
FFG_API int ffg_context_close(struct ffg_context *context);
/** ffg_context_stats() - the module's counters; @stats->size and ->flags are set by the callee. */
FFG_API int ffg_context_stats(struct ffg_context *context, struct ffg_stats *stats);
/** ffg_context_limits() - read budgets, or set them with FFG_LIMITS_SET in @limits->flags. */
FFG_API int ffg_context_limits(struct ffg_context *context, struct ffg_limits *limits);
/** ffg_context_slots() - number of slots (protection keys for objects) that the context has. */
FFG_API unsigned int ffg_context_slots(struct ffg_context *context);

/* What a region is. */
enum ffg_region_kind {
	FFG_REGION_OTHER = 0,
	FFG_REGION_HEAP,		/* the trusted heap */
	FFG_REGION_OBJECTS,		/* the arena */
	FFG_REGION_CONTROL,		/* what module and library keep about threads and calls */
	FFG_REGION_FOREIGN_STACK,
	FFG_REGION_STACK,		/* stack of trusted code */
	FFG_REGION_STATIC,		/* data of the executable or of a library */
	FFG_REGION_LIBC_HEAP,		/* what malloc() gives */
	FFG_REGION_DOMAIN_HEAP		/* what malloc() gives code of a domain with a key */
};

enum ffg_region_state {
	FFG_REGION_OPEN = 0,		/* foreign code can read and write it */
	FFG_REGION_READ_ONLY,		/* foreign code can read it */
	FFG_REGION_CLOSED
};

struct ffg_region {
	size_t size;			/* sizeof(struct ffg_region) */
	uint64_t address;
	uint64_t length;
	int kind;			/* enum ffg_region_kind */
	int state;			/* enum ffg_region_state, seen from foreign code */
	int thread;			/* thread id, if it is of one thread, else 0 */
	char name[76];			/* "trusted heap"; of what is open the kernel's name */
};

typedef void (*ffg_region_fn)(const struct ffg_region *region, void *data);

/**
 * ffg_context_regions() - what is closed to foreign code, and what is not
 *
 * Calls @function for each region, by rising addresses: those that ffiguard closes, those that it
 * made for foreign code, and everything else that is mapped writable, which is open.  It is a
 * picture of one moment: other threads may map and unmap meanwhile.  Errors: FFG_E_INVAL,
 * FFG_E_NOMEM, FFG_E_SYSTEM (no /proc).
 */
FFG_API int ffg_context_regions(struct ffg_context *context, ffg_region_fn function, void *data);
/** ffg_context_describe() - the same as text, one line each, written to the descriptor @fd. */
FFG_API int ffg_context_describe(struct ffg_context *context, int fd);

/**
 * ffg_library_close() - close .data and .bss of a library of trusted code
 * @library: name or path of a library that is loaded, as the dynamic linker lists it
 *
 * Whoever needs them in foreign mode gets a violation: never close libc, the dynamic linker, or
 * what foreign libraries use.  Errors: FFG_E_NO_LIBRARY, FFG_E_LIMIT (1024 ranges), FFG_E_INVAL.
 */
FFG_API int ffg_library_close(struct ffg_context *context, const char *library);
/**
 * ffg_memory_close() - close memory of the program's own, until the context closes
 *
 * The whole pages of [address, address + length), which must be private, readable and writable, and
 * be opened with ffg_memory_open() before they are unmapped.  Errors: FFG_E_INVAL (no whole page),
 * FFG_E_LIMIT (1024 ranges), FFG_E_SYSTEM.
 */
FFG_API int ffg_memory_close(struct ffg_context *context, const void *address, size_t length);
/**
 * ffg_memory_open() - open what was closed of [address, address + length), in whole pages
 *
 * Of stacks, static data, and ffg_memory_close(); the heap and objects stay closed.
 */
FFG_API int ffg_memory_open(struct ffg_context *context, const void *address, size_t length);

/* ---- trusted heap ---- */

/*
 * Memory for trusted code: while a context is open, foreign code can neither read nor write it.
 * A touch is a violation, FFG_REASON_TRUSTED.  These functions stand beside malloc() and
 * free(), whose memory foreign code reaches as before; what is said of those in malloc(3) is
 * true of these, too.
 *
 * They may be used before a context is open and after it is closed; what they gave before is
 * closed from ffg_context_open() on, and ordinary memory after ffg_context_close() and in a
 * forked child, in which all of it stays usable.
 *
 * Any thread may use them at the same time.  A thread that is older than the context has trusted
 * memory closed, as objects, until it attaches.  Fork: safe, also with other threads.  Foreign
 * code that calls them commits a violation.  Not async-signal-safe.
 *
 * Each thread's stack has up to 12 KiB less room than without ffiguard, which must be linked to
 * the program: dlopen() of libffiguard cannot provide that.
 *
 * No memory: NULL, errno ENOMEM and FFG_E_NOMEM.
 */

/**
 * ffg_malloc() - @size bytes
 *
 * Aligned to 16, or to 8 if @size is less than 16.  @size may be 0.
 */
FFG_API void *ffg_malloc(size_t size) __attribute__((malloc, alloc_size(1)));
/** ffg_calloc() - an array, zeroed; NULL if @count * @size is no size_t */
FFG_API void *ffg_calloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));
/**
 * ffg_realloc() - move to a block of @size bytes; if there is none, @address stays as it is
 *
 * NULL as @address: ffg_malloc().  0 as @size: @address is freed, and the result is a block that
 * may be freed, too.
 */
FFG_API void *ffg_realloc(void *address, size_t size) __attribute__((alloc_size(2)));
/** ffg_aligned_alloc() - with an alignment; errno EINVAL unless @align is a power of two */
FFG_API void *ffg_aligned_alloc(size_t align, size_t size)
	__attribute__((malloc, alloc_size(2)));
/**
 * ffg_free() - free what one of the above gave; NULL is ignored
 *
 * Another address, one of malloc()'s among them, ends the process with a message.  The other
 * way round, free() of memory of the trusted heap is undefined in trusted code, as is free() of
 * anything that malloc() did not give, and a violation in foreign code.
 */
FFG_API void ffg_free(void *address);
/** ffg_malloc_usable_size() - bytes that may be used at @address, at least what was asked for */
FFG_API size_t ffg_malloc_usable_size(const void *address);

/* ---- threads ---- */

/**
 * ffg_thread_attach() - let the calling thread make guarded calls
 *
 * Opens the context's keys for the thread, gives it a line, a foreign stack with guard pages
 * and, if it has none of 32 KiB or more, an alternate signal stack.  Undone at thread exit.
 * Errors: FFG_E_ATTACHED, FFG_E_LIMIT, FFG_E_NOMEM.
 */
FFG_API int ffg_thread_attach(struct ffg_context *context);
/** ffg_thread_detach() - undo ffg_thread_attach(); FFG_E_BUSY inside a guarded call. */
FFG_API int ffg_thread_detach(struct ffg_context *context);

/* ---- objects ---- */

/**
 * ffg_object_alloc() - allocate a guarded object, zeroed
 * @length: bytes, 1 to FFG_OBJECT_MAX
 * @flags: FFG_OBJECT_END (overruns stop at once) or FFG_OBJECT_START (underruns do)
 *
 * A plain pointer for trusted code, aligned to 16 bytes or to the largest power of two that
 * divides @length. Foreign code reaches it only while granted.  Errors: FFG_E_INVAL,
 * FFG_E_LIMIT, FFG_E_NOMEM.
 */
FFG_API void *ffg_object_alloc(struct ffg_context *context, size_t length, unsigned int flags);
/** ffg_object_alloc_aligned() - the same with an alignment, a power of two up to 4096. */
FFG_API void *ffg_object_alloc_aligned(struct ffg_context *context, size_t length, size_t align,
				       unsigned int flags);
/**
 * ffg_object_alloc_batch() - all of @objects or none
 *
 * In: length, align, flags of each; out: object, address.
 */
FFG_API int ffg_object_alloc_batch(struct ffg_context *context, struct ffg_object_desc *objects,
				   unsigned int count);
/**
 * ffg_object_free() - check the slack and free an object
 * @object: address of its first byte; NULL is ignored
 *
 * Errors: FFG_E_NOT_OBJECT (also on a second free), FFG_E_BUSY while a call grants it;
 * FFG_E_DAMAGED: the object is freed, and slack was overwritten (reported as a violation on
 * stderr).
 */
FFG_API int ffg_object_free(struct ffg_context *context, void *object);
/** ffg_object_free_batch() - all of @objects or none; errors as ffg_object_free(). */
FFG_API int ffg_object_free_batch(struct ffg_context *context, void *const *objects,
				  unsigned int count);
/**
 * ffg_object_check() - was the slack of an object overwritten?
 * @damage: NULL, or where the exact range is told
 *
 * Returns FFG_E_DAMAGED if so.
 */
FFG_API int ffg_object_check(struct ffg_context *context, const void *object,
			     struct ffg_damage *damage);
/** ffg_object_query() - what lies at @address; any address, interior ones included. */
FFG_API int ffg_object_query(struct ffg_context *context, const void *address,
			     struct ffg_object_query *query);

/* ---- domains ---- */

/*
 * What becomes of a call that foreign code cannot end well: flags of ffg_domain_open().
 *
 * FFG_POLICY_RECOVER: on a violation, a crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL in foreign code, the
 * foreign stack used up), on exit(), _exit(), quick_exit(), abort(), a failed assert() or a smashed
 * stack, and when its budget has run out, the entry returns zero of its type, ffg_call_error()
 * tells why (FFG_E_VIOLATION, FFG_E_CRASHED, FFG_E_EXITED, FFG_E_TIMEOUT) and ffg_call_report()
 * has the report. The call's grants are closed; nothing that it left half done is undone but by
 * ffg_domain_reset(), and memory that it had allocated in libc's heap is lost.
 *
 * Not where a frame of libc or of the dynamic linker is on the foreign stack, as their locks may be
 * held (memcpy(), strlen() and their like, called by foreign code, hold none); not in threads
 * that foreign code started, in constructors and destructors.  There the policy is
 * FFG_POLICY_DIE, and the report says why.
 *
 * FFG_POLICY_AUDIT: violations are reported and allowed as by FFG_ACTION_ALLOW, to find out what a
 * library touches; there is no protection.  An instruction is reported once for each object or
 * page.  With a callback it is what the callback says, and the report is its own to print.  In
 * threads that foreign code started the policy is FFG_POLICY_DIE.
 */
enum ffg_policy {
	FFG_POLICY_DIE = 0,		/* report and die, or what the callback does */
	FFG_POLICY_RECOVER = 1,
	FFG_POLICY_AUDIT = 2
};

/**
 * ffg_domain_open() - load a foreign library with its constructors behind the gate
 * @library: as for dlopen()
 * @flags: one of enum ffg_policy
 *
 * Constructors, IFUNC resolvers and destructors run with no grants.  Functions that the library
 * hands to libc (atexit, thread-specific data destructors, fork handlers) run behind the gate
 * too, and the threads that it starts with every guarded object closed.  A library that the
 * program has loaded already was constructed ungated; that cannot be undone.
 *
 * With ffg_options.domain_keys the domain gets one of these protection keys, the one that the
 * fewest domains have, and with it a heap of its own: from now on malloc() and its kin, strdup()
 * and what C++'s new rests on take memory from there if they are called by the library, by those
 * that were loaded with it, or by threads that these started.  Foreign code of domains with other
 * keys can neither read nor write it; trusted code can, and free() and realloc() of trusted code
 * work on it, too (in attached threads; else free() leaves the block alone).  What constructors
 * allocated, what libc allocates itself (stdio), and what libraries allocate that were loaded
 * before stays in libc's heap, which all foreign code can use.  A block that outlives its domain
 * stays where it is.
 *
 * Errors: FFG_E_NO_LIBRARY, FFG_E_UNATTACHED.
 */
FFG_API struct ffg_domain *ffg_domain_open(struct ffg_context *context, const char *library,
					   unsigned int flags);
/**
 * ffg_domain_close() - unload, destructors behind the gate
 *
 * FFG_E_BUSY while calls of it exist. NULL is ignored.
 */
FFG_API int ffg_domain_close(struct ffg_domain *domain);
/**
 * ffg_domain_symbol() - address of a symbol, for ffg_call_new_address() or as data
 *
 * NULL: FFG_E_NO_SYMBOL.
 */
FFG_API void *ffg_domain_symbol(struct ffg_domain *domain, const char *symbol);

/**
 * ffg_domain_reset() - the data of a domain as they were after its constructors
 *
 * For domains that were opened with FFG_POLICY_RECOVER, after a call was ended: writable data of
 * the library and of what was loaded with it are restored, and of their thread-local data the
 * calling thread's, and the domain's heap if it has one that no other domain uses: blocks of it are
 * gone then, those too that trusted code still has.  What is not: memory in libc's heap, files it
 * opened, its exit handlers, thread-local data of other threads, libraries that it loaded itself.
 * No thread may be in a call of the domain (FFG_E_BUSY if one is seen there).  FFG_E_INVAL: the
 * domain has another policy.  FFG_E_BUSY: the library, or one that it needs, was loaded before the
 * domain was opened or serves another domain too, or foreign code started threads that still run.
 */
FFG_API int ffg_domain_reset(struct ffg_domain *domain);
/**
 * ffg_domain_budget() - time budget for each call of a domain
 * @milliseconds: 0: none, which is the default
 *
 * Counts for calls whose entry is asked for (ffg_call_entry()) afterwards and that have no budget
 * of their own.  See ffg_call_budget().
 */
FFG_API int ffg_domain_budget(struct ffg_domain *domain, unsigned int milliseconds);

/* ---- calls ---- */

/* Rights of a grant.  FFG_OUT is read-write in place: protection keys have no write-only. */
#define FFG_IN		FFG_RIGHT_READ
#define FFG_OUT		(FFG_RIGHT_READ | FFG_RIGHT_WRITE)
#define FFG_INOUT	(FFG_RIGHT_READ | FFG_RIGHT_WRITE)
/*
 * FFG_INOUT for all threads of the domain while the call runs, also for those that foreign code
 * started before it: libraries that let threads of their own do the work.  The domain must have a
 * key (ffg_options.domain_keys).  Such a call enters the kernel twice.
 */
#define FFG_THREADS	(FFG_INOUT | FFG_RIGHT_DOMAIN)

/**
 * ffg_call_new() - prepare a call of a foreign function
 * @symbol: name of the function in the domain
 * @signature: "RETURN(ARGUMENTS)", or NULL
 *
 * One letter for each argument; spaces and commas between them are skipped:
 *
 *	i	any integer, enum or bool up to 64 bits
 *	p	pointer
 *	f d	float, double
 *	D	long double
 *	q	__int128
 *	y z	256-bit and 512-bit vector
 *	sN	structure of N bytes passed in memory (by the calling convention: larger than 16
 *		bytes, or no registers left for all of it); sN:A if its alignment A is 16, 32 or 64
 *	...	last: variadic; the arguments before it are fixed, any may follow, up to 16 words
 *		on the stack
 *
 * A structure that is passed in registers is written as its eight-byte parts: struct { long a;
 * double b; } is "id", struct { float x, y; } is "d".  RETURN: v nothing, i p f d D q y z as
 * above, mN a structure of N bytes (up to 65536) returned in memory, r one returned in
 * registers, c complex long double.
 *
 * Registers that carry no argument are cleared before foreign code runs, upper halves of
 * vectors too, unless there are vector arguments y or z.  With NULL, and after "...", every
 * argument register and 16 stack words are passed as they are: trusted remnants may be among
 * them.
 *
 * A structure returned in memory is written to the caller's buffer after the call, exactly N
 * bytes; the buffer that foreign code sees is the gate's.
 *
 * A call may be used by several threads at once, each attached.  Looking up @symbol is itself a
 * guarded call without grants.  Errors: FFG_E_NO_SYMBOL, FFG_E_SIGNATURE, FFG_E_LIMIT (4096
 * calls), FFG_E_UNATTACHED, FFG_E_NESTED, FFG_E_NOMEM, FFG_E_INVAL.
 */
FFG_API struct ffg_call *ffg_call_new(struct ffg_domain *domain, const char *symbol,
				      const char *signature);
/**
 * ffg_call_new_address() - the same for a function whose address is known
 *
 * Any thread may do it.
 */
FFG_API struct ffg_call *ffg_call_new_address(struct ffg_domain *domain, void *function,
					      const char *signature);
/**
 * ffg_call_grant() - grant [address, address + length) of an object to the call
 * @rights: FFG_IN, FFG_OUT, FFG_INOUT or FFG_THREADS
 *
 * The pages that the range touches are open to foreign code while it runs in this call.  Memory
 * that is no guarded object is FFG_E_NOT_OBJECT (windows on other memory do not exist
 * yet).  Errors: FFG_E_RANGE, FFG_E_DUPLICATE, FFG_E_LIMIT (64 grants), FFG_E_REVOKED.
 */
FFG_API int ffg_call_grant(struct ffg_call *call, const void *address, size_t length,
			   unsigned int rights);
/**
 * ffg_call_entry() - the function to call, with the C type of the foreign function
 *
 * The address stays the same until the call is freed.  Grants are opened and closed around each
 * call of it; it does not enter the kernel if they are bound.  Ask for it again after
 * ffg_call_grant() or ffg_call_reset(): that is when the grants are given to the module, and no
 * thread may be in the entry meanwhile.  NULL: FFG_E_REVOKED, FFG_E_NOT_OBJECT (an object was
 * freed since), FFG_E_LIMIT, FFG_E_NOMEM, FFG_E_KEY_LOST.
 *
 * If the call cannot be made the entry returns zero of its type without calling (a structure
 * returned in memory is zeroed), and ffg_call_error() tells why: FFG_E_BUSY, FFG_E_REVOKED,
 * FFG_E_UNATTACHED, FFG_E_NESTED, FFG_E_FORKED, FFG_E_KEY_LOST, FFG_E_NOMEM, FFG_E_INVAL (the
 * call was freed).
 */
FFG_API void *ffg_call_entry(struct ffg_call *call);
/**
 * ffg_call_error() - why this thread's last entry of @call that failed could not be made
 *
 * 0 if none failed since it was asked last.  The last 8 calls that failed in a thread are kept
 * apart.
 */
FFG_API int ffg_call_error(struct ffg_call *call);
/**
 * ffg_call_report() - what ended this thread's last call that was recovered
 *
 * NULL (FFG_E_INVAL) if that was no entry of @call.  Valid until the next call of the thread that
 * is recovered, and while @call is.  The frames that lead to the place are in it if the thread
 * made no guarded call in between.
 */
FFG_API const struct ffg_violation *ffg_call_report(struct ffg_call *call);
/**
 * ffg_call_budget() - time budget of each call, in place of its domain's
 * @milliseconds: 0: the domain's, which is the default
 *
 * Counts from the next ffg_call_entry() on.  A thread of the library watches; the call's own path
 * gets no longer.  The call is ended up to half of its budget (at most 50 ms) late, as by
 * FFG_POLICY_RECOVER with FFG_E_TIMEOUT; while it is in a place where that is not possible it is
 * tried again for another budget (at least 1 s), and then the process dies.  With FFG_POLICY_DIE
 * the process dies at once.  Time that foreign code waits in the kernel counts, time in
 * callbacks does not: the clock starts anew after one.
 */
FFG_API int ffg_call_budget(struct ffg_call *call, unsigned int milliseconds);
/**
 * ffg_call_revoke() - end the grants of the call, now, for every thread
 *
 * When it returns no thread reaches an object through this call, not even one that is inside
 * it. Later entries fail with FFG_E_REVOKED until ffg_call_reset().  FFG_E_DAMAGED: revoked, and
 * slack was overwritten.
 */
FFG_API int ffg_call_revoke(struct ffg_call *call);
/**
 * ffg_call_reset() - revoke and forget the grants, so that others can be given
 *
 * No thread may be in the entry.  FFG_E_DAMAGED as above: the call is reset all the same.
 */
FFG_API int ffg_call_reset(struct ffg_call *call);
/**
 * ffg_call_free() - revoke and free; no thread may be in the entry
 *
 * NULL is ignored.  FFG_E_DAMAGED as above: the call is freed all the same.
 */
FFG_API int ffg_call_free(struct ffg_call *call);

/* ---- callbacks ---- */

/**
 * ffg_callback_new() - let foreign code call a trusted function
 * @domain: whose guarded calls may call it
 * @function: the function; it runs with the rights of trusted code, on the caller's trusted stack
 * @signature: its arguments as in ffg_call_new(), or NULL
 *
 * Foreign code is given the address of ffg_callback_entry().  It can be called only inside a
 * guarded call of @domain, by the thread that is in that call; from anywhere else the call of it
 * is a violation.  Trusted code may call it, too: then it is @function itself.
 *
 * While the function runs, the grants of the outer call are closed: nothing is open to
 * foreign code in this thread. They are opened again when it returns, those excepted that were
 * revoked meanwhile. The function may make guarded calls in turn, 64 deep at most; such a call
 * waits 50 ms at most for a slot, then it fails with FFG_E_BUSY.
 *
 * What foreign code passes is to be believed no more than what it returns: a pointer may point
 * anywhere.  ffg_callback_data() has the user-data pointer given by the gate.  Stack arguments
 * are copied; a structure returned in memory is written with the rights of foreign code.
 * Not possible: variadic functions, 256 or 512 bit vectors as result.
 *
 * The function may leave by longjmp() to trusted code outside of the guarded call, which ends
 * that call, and may end the thread.  An exception that it throws ends the process, as it would
 * cross frames of foreign code.
 *
 * Any thread may make a callback; threads that call it are attached.  In a forked child the
 * entry is a violation.  Errors: FFG_E_INVAL, FFG_E_SIGNATURE, FFG_E_LIMIT (1024
 * callbacks), FFG_E_NOMEM, FFG_E_FORKED.
 */
struct ffg_callback;
FFG_API struct ffg_callback *ffg_callback_new(struct ffg_domain *domain, void *function,
					      const char *signature);
/**
 * ffg_callback_data() - fix the user-data argument
 * @argument: which one of those that are passed in integer registers, 1 to 6
 * @data: what the function gets there, whatever foreign code passes
 *
 * Foreign code can neither change nor see @data.  No thread may be in the callback.
 * Errors: FFG_E_INVAL, FFG_E_FORKED.
 */
FFG_API int ffg_callback_data(struct ffg_callback *callback, unsigned int argument, void *data);
/** ffg_callback_entry() - the function pointer for foreign code; NULL: @callback is NULL */
FFG_API void *ffg_callback_entry(struct ffg_callback *callback);
/**
 * ffg_callback_free() - a later call of the entry is a violation
 *
 * No thread may be in the callback.  NULL is ignored.
 */
FFG_API int ffg_callback_free(struct ffg_callback *callback);

/**
 * FFG_INVOKE() - call and keep the two results apart
 * @call: struct ffg_call *
 * @prototype: the foreign function, or any expression of its type; not evaluated
 * @result: where its return value goes
 *
 * Returns the error of the entry: err = FFG_INVOKE(call, adler32, &sum, 1, buf, len);
 */
#define FFG_INVOKE(call, prototype, result, ...) __extension__ ({		\
	struct ffg_call *ffg_call_ = (call);					\
	__typeof__(&(prototype)) ffg_entry_ =					\
		(__typeof__(&(prototype)))ffg_call_entry(ffg_call_);		\
	if (ffg_entry_)								\
		*(result) = ffg_entry_(__VA_ARGS__);				\
	ffg_entry_ ? ffg_call_error(ffg_call_) : ffg_error(); })

/** FFG_INVOKE_VOID() - the same for a function that returns nothing */
#define FFG_INVOKE_VOID(call, prototype, ...) __extension__ ({			\
	struct ffg_call *ffg_call_ = (call);					\
	__typeof__(&(prototype)) ffg_entry_ =					\
		(__typeof__(&(prototype)))ffg_call_entry(ffg_call_);		\
	if (ffg_entry_)								\
		ffg_entry_(__VA_ARGS__);					\
	ffg_entry_ ? ffg_call_error(ffg_call_) : ffg_error(); })

/* ---- violations ---- */

/* Reasons that only the library sees, beside FFG_REASON_* of <linux/ffiguard.h> */
#define FFG_REASON_STACK	64	/* the foreign stack is used up */
#define FFG_REASON_GATE		65	/* rights do not match at the gate; advice says how */
#define FFG_REASON_TRUSTED	66	/* trusted memory; region says which */
/* No violations, but ends of calls that FFG_POLICY_RECOVER tells about in the same way */
#define FFG_REASON_CRASH	70	/* another signal, see signal */
#define FFG_REASON_ABORT	71	/* abort(), assert(), a smashed stack */
#define FFG_REASON_EXIT		72	/* exit() and its kin, see status */
#define FFG_REASON_TIMEOUT	73	/* the budget has run out */

#define FFG_BACKTRACE_MAX 16

struct ffg_frame {
	uint64_t address;
	uint64_t library_offset;	/* address - load address of the library */
	uint64_t symbol_offset;		/* address - address of the symbol */
	char library[64];		/* file name without folders; "": unknown */
	char symbol[64];		/* "": unknown */
};

struct ffg_violation {
	size_t size;			/* sizeof(struct ffg_violation) */
	int reason;			/* FFG_REASON_* */
	int where;			/* FFG_WHERE_* */
	int access;			/* FFG_ACCESS_* */
	unsigned int access_size;	/* bytes; 0: not known */
	uint64_t address;
	uint64_t object;		/* first byte of the object there or beside it; 0: none */
	uint64_t object_length;
	int64_t offset;			/* address - object */
	uint64_t grant_offset;		/* what the running call was granted of it */
	uint64_t grant_length;
	unsigned int grant_rights;	/* 0: nothing */
	unsigned int slot;		/* protection key of the page, 0: SAFE or none */
	int thread;			/* thread id */
	int owner;			/* who holds the object, with FFG_REASON_OTHER_CALL */
	int forked;			/* arena not inherited: touched in a forked child */
	int signal;			/* with FFG_REASON_CRASH and FFG_REASON_ABORT */
	int status;			/* with FFG_REASON_EXIT */
	const char *unrecovered;	/* why FFG_POLICY_RECOVER could not be kept, or NULL */
	const char *function;		/* foreign function that was called, or NULL */
	const char *advice;		/* one line */
	unsigned int frames;
	struct ffg_frame frame[FFG_BACKTRACE_MAX];	/* frame[0]: the violating instruction */
	struct ffg_region region;	/* FFG_REASON_TRUSTED: where address lies; else empty */
};

/** ffg_violation_print() - write a report; async-signal-safe. */
FFG_API void ffg_violation_print(int fd, const struct ffg_violation *violation);
/** ffg_violation_set() - replace the callback of the context; NULL: FFG_ACTION_DIE. */
FFG_API int ffg_violation_set(struct ffg_context *context, ffg_violation_fn violation, void *data);
/**
 * ffg_violation_handle() - for programs with a SIGSEGV handler that ours cannot chain to
 *
 * Call it with the arguments of the handler; returns 1 if the fault was ours and was dealt with
 * (return from the handler then), 0 if it was not.
 */
FFG_API int ffg_violation_handle(int signal, void *siginfo, void *ucontext);

#ifdef __cplusplus
}
#endif

#endif /* FFIGUARD_H */
