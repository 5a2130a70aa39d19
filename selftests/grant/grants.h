/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs of this suite share: objects, and one access in a call. */
#ifndef GRANTS_H
#define GRANTS_H

#include "foreign_call.h"

#define IN	FFG_RIGHT_READ
#define INOUT	(FFG_RIGHT_READ | FFG_RIGHT_WRITE)
#define SLOTS	6

RAW_FN unsigned char *object(struct __test_metadata *_metadata, const struct raw *raw,
			     uint64_t length, struct ffg_object_desc *desc)
{
	ASSERT_EQ(0, raw_alloc(raw, length, 0, desc));
	return (unsigned char *)(uintptr_t)desc->address;
}

/* One access in a call with a record. */
RAW_FN int reads(const struct raw *raw, const struct shapes *shapes,
		 const struct ffg_record_id *id, const unsigned char *at)
{
	return FOREIGN(raw, 0, id, shapes->read1(at, 0));
}

RAW_FN int writes(const struct raw *raw, const struct shapes *shapes,
		  const struct ffg_record_id *id, unsigned char *at)
{
	return FOREIGN(raw, 0, id, shapes->write1(at, 0, 0x77));
}

#endif /* GRANTS_H */
