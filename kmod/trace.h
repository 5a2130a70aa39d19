/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints ffiguard:*: the stable names are those of the events and their fields. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ffiguard

#if !defined(FFG_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define FFG_TRACE_H

#include <linux/tracepoint.h>
#include <linux/types.h>

TRACE_EVENT(ffg_alloc,
	TP_PROTO(u64 object, u64 address, u64 length),
	TP_ARGS(object, address, length),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u64, address)
		__field(u64, length)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->address = address;
		__entry->length = length;
	),
	TP_printk("object=%llx address=%llx length=%llu",
		  __entry->object, __entry->address, __entry->length)
);

TRACE_EVENT(ffg_free,
	TP_PROTO(u64 object),
	TP_ARGS(object),
	TP_STRUCT__entry(
		__field(u64, object)
	),
	TP_fast_assign(
		__entry->object = object;
	),
	TP_printk("object=%llx", __entry->object)
);

TRACE_EVENT(ffg_grant,
	TP_PROTO(u32 record, u64 object, u64 offset, u64 length, u32 rights),
	TP_ARGS(record, object, offset, length, rights),
	TP_STRUCT__entry(
		__field(u32, record)
		__field(u32, rights)
		__field(u64, object)
		__field(u64, offset)
		__field(u64, length)
	),
	TP_fast_assign(
		__entry->record = record;
		__entry->rights = rights;
		__entry->object = object;
		__entry->offset = offset;
		__entry->length = length;
	),
	TP_printk("record=%u object=%llx offset=%llu length=%llu rights=%u", __entry->record,
		  __entry->object, __entry->offset, __entry->length, __entry->rights)
);

TRACE_EVENT(ffg_revoke,
	TP_PROTO(u32 record, u32 grants),
	TP_ARGS(record, grants),
	TP_STRUCT__entry(
		__field(u32, record)
		__field(u32, grants)
	),
	TP_fast_assign(
		__entry->record = record;
		__entry->grants = grants;
	),
	TP_printk("record=%u grants=%u", __entry->record, __entry->grants)
);

TRACE_EVENT(ffg_bind,
	TP_PROTO(u64 object, u32 slot, u32 rights),
	TP_ARGS(object, slot, rights),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u32, slot)
		__field(u32, rights)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->slot = slot;
		__entry->rights = rights;
	),
	TP_printk("object=%llx slot=%u rights=%u", __entry->object, __entry->slot,
		  __entry->rights)
);

TRACE_EVENT(ffg_evict,
	TP_PROTO(u64 object, u32 slot),
	TP_ARGS(object, slot),
	TP_STRUCT__entry(
		__field(u64, object)
		__field(u32, slot)
	),
	TP_fast_assign(
		__entry->object = object;
		__entry->slot = slot;
	),
	TP_printk("object=%llx slot=%u", __entry->object, __entry->slot)
);

TRACE_EVENT(ffg_fault,
	TP_PROTO(u64 address, u64 object, u32 slot),
	TP_ARGS(address, object, slot),
	TP_STRUCT__entry(
		__field(u64, address)
		__field(u64, object)
		__field(u32, slot)
	),
	TP_fast_assign(
		__entry->address = address;
		__entry->object = object;
		__entry->slot = slot;
	),
	TP_printk("address=%llx object=%llx slot=%u", __entry->address, __entry->object,
		  __entry->slot)
);

TRACE_EVENT(ffg_violation,
	TP_PROTO(u64 address, u64 ip, u32 reason, u32 access, u64 object),
	TP_ARGS(address, ip, reason, access, object),
	TP_STRUCT__entry(
		__field(u64, address)
		__field(u64, ip)
		__field(u32, reason)
		__field(u32, access)
		__field(u64, object)
	),
	TP_fast_assign(
		__entry->address = address;
		__entry->ip = ip;
		__entry->reason = reason;
		__entry->access = access;
		__entry->object = object;
	),
	TP_printk("address=%llx ip=%llx reason=%u access=%u object=%llx", __entry->address,
		  __entry->ip, __entry->reason, __entry->access, __entry->object)
);

#endif /* FFG_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
