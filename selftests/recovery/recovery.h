/* SPDX-License-Identifier: GPL-2.0-only */
/* A context and the domain of libends, whose calls end badly. */
#ifndef RECOVERY_H
#define RECOVERY_H

#include "death.h"

struct recovery {
	struct ffg_context *context;
	struct ffg_domain *domain;
};

/* These end the process if they fail. */
void recovery_open(struct recovery *r, unsigned int policy);
void recovery_open_options(struct recovery *r, unsigned int policy,
			   const struct ffg_options *options);
void recovery_attach(const struct recovery *r);
void *recovery_object(const struct recovery *r, size_t length);
struct ffg_call *recovery_call(const struct recovery *r, const char *symbol,
			       const char *signature);

/* Some line, by the alias that can be read in foreign mode. */
unsigned char *recovery_line(const struct recovery *r);
/* Where ended calls go on, which no header tells. */
const void *recovery_landing(void);
unsigned int recovery_pkru(void);
/* Calls @function(@argument); 0 if callee-saved registers and stack pointer are what they were. */
unsigned long recovery_kept(void (*function)(unsigned char *), unsigned char *argument);
/* Free registers of the x87 stack. */
int recovery_x87_free(void);

#endif /* RECOVERY_H */
