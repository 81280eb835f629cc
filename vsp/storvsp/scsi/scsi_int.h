/* SPDX-License-Identifier: MIT */
/*
 * What the files of the SCSI target share: the logical unit, its counters, the opcode
 * table's row, and the ways a task ends. Nobody outside this folder includes it.
 *
 * A task's way: scsi_target.c finds the LUN and makes the checks that the row of the
 * opcode table asks for; the row's handler gets a legal command and ends it with
 * scsi_good(), scsi_fail() or scsi_data_in(), or leaves a blk_req behind.
 */
#ifndef HVBUS_VSP_STORVSP_SCSI_SCSI_INT_H
#define HVBUS_VSP_STORVSP_SCSI_SCSI_INT_H

#include <pthread.h>

#include "base/atomic.h"
#include "base/iov.h"
#include "base/wire.h"
#include "vsp/storvsp/scsi/scsi.h"
#include "vsp/storvsp/scsi/scsi_sense.h"

/* ---- counters ---------------------------------------------------------------- */

/* One writer per shard, so that counting on the READ/WRITE path is a plain add. */
struct scsi_counts {
	uint64_t transfers[2], bytes[2]; /* by BLK_READ and BLK_WRITE */
	uint64_t flushes, others, errors;
} __attribute__((aligned(CACHE_LINE)));

#define SCSI_SHARDS 16 /* the last is shared by all threads after the first fifteen */

extern __thread uint32_t scsi_thread_shard __attribute__((tls_model("initial-exec")));
uint32_t scsi_thread_number(void); /* first use in a thread */

/* Shard of the calling thread, plus one. */
ALWAYS_INLINE uint32_t scsi_shard(void)
{
	uint32_t s = scsi_thread_shard;

	return likely(s) ? s : scsi_thread_number();
}

/* Relaxed: totals only, nothing is published through them. Pairs with scsi_lun_stats(). */
ALWAYS_INLINE void scsi_count(uint64_t *counter, uint64_t n, uint32_t shard)
{
	if (likely(shard < SCSI_SHARDS))
		store_relaxed(counter, load_relaxed(counter) + n);
	else
		__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* ---- the logical unit --------------------------------------------------------- */

#define SCSI_SCRATCH_MAX (32u << 20) /* private memory that the tasks of one LUN may hold */

struct scsi_lun {
	/* fixed at creation: all that READ and WRITE look at */
	struct blk_dev *dev;
	uint64_t blocks;     /* but this: scsi_blocks(), once per command */
	uint64_t max_blocks; /* per READ or WRITE */
	uint16_t rules;	     /* OP_* that forbid something here; others need no look */
	uint8_t shift;	     /* log2 of the block size */
	/* fixed at creation: the rest */
	bool readonly;
	bool thin;
	bool fua;		      /* DPO and FUA are honoured */
	bool write_cache;	      /* WCE */
	uint8_t physical_exp;	      /* log2 of physical / logical block */
	uint32_t max_transfer;	      /* bytes */
	uint64_t discard_granularity; /* bytes, multiple of the block size */
	uint8_t id[16];
	char serial[33];
	/* shared by all loops */
	uint8_t flush_failed; /* written data may be gone: no flush succeeds any more */
	uint32_t last_sense;
	uint64_t latency_sum, latency_count, latency_max; /* ns; updated once per sample */
	uint32_t scratch;     /* bytes in use, at most SCSI_SCRATCH_MAX */
	pthread_mutex_t lock; /* the list; taken by attach, destroy and unit attentions */
	struct scsi_nexus *nexuses;
	struct scsi_counts counts[SCSI_SHARDS];
};

/*
 * Among the attentions, which every command looks at: the LUN was detached, and may be freed as
 * soon as no loop runs a command that came before.
 */
#define SCSI_NEXUS_GONE (1u << 31)

struct scsi_nexus {
	struct scsi_lun *lun;	    /* NULL: nothing attached; published with release */
	uint32_t attentions;	    /* bit per enum scsi_ua; any thread sets, any loop takes */
	struct scsi_target *target; /* whose entry this is */
	struct scsi_nexus *next;    /* of the same LUN; under the LUN's lock */
};

struct scsi_target {
	struct scsi_nexus nexus[SCSI_MAX_LUNS];
};

/*
 * The capacity, which a resize changes under running commands. Relaxed: a command sees the old
 * or the new one; who was told of the change (a unit attention) sees the new.
 */
ALWAYS_INLINE uint64_t scsi_blocks(const struct scsi_lun *l)
{
	return load_relaxed(&l->blocks);
}

ALWAYS_INLINE uint32_t scsi_block_size(const struct scsi_lun *l)
{
	return 1u << l->shift;
}

/* Private memory for a task, counted against the LUN. NULL: over the limit or none left. */
void *scsi_scratch_get(struct scsi_lun *l, uint32_t len);
void scsi_scratch_put(struct scsi_lun *l, void *p, uint32_t len); /* @p may be NULL */

/* Sense of the most urgent unit attention, which is then no longer pending; 0: none. */
uint32_t scsi_nexus_take_attention(struct scsi_nexus *n);

/* ---- the opcode table ----------------------------------------------------------- */

/* Where a CDB keeps its LBA and its length (blocks, allocation or list length). */
enum scsi_layout {
	CDB_NONE,
	CDB_RW6,
	CDB_RW10,
	CDB_RW12,
	CDB_RW16,
	CDB_LEN8_AT4,
	CDB_LEN16_AT3,
	CDB_LEN16_AT7,
	CDB_LEN32_AT6,
	CDB_LEN32_AT10,
};

enum {
	OP_IN = 1 << 0,	      /* data goes to the initiator */
	OP_OUT = 1 << 1,      /* data comes from the initiator */
	OP_MEDIUM = 1 << 2,   /* needs a medium */
	OP_RANGE = 1 << 3,    /* LBA and count lie on it */
	OP_WRITES = 1 << 4,   /* not on a read-only LUN */
	OP_BLOCKS = 1 << 5,   /* moves count blocks: transfer limit, buffer that holds them */
	OP_LIST = 1 << 6,     /* a parameter list of count bytes comes with it */
	OP_DPOFUA = 1 << 7,   /* has DPO and FUA bits */
	OP_QUIET = 1 << 8,    /* does not report unit attentions */
	OP_THIN = 1 << 9,     /* exists on thin LUNs only */
	OP_ANY_LUN = 1 << 10, /* answered where no LUN is */
	OP_CHECK = 1 << 11,   /* has field rules of its own */
};

/* The decoded command: two registers. */
struct scsi_cmd {
	uint64_t lba;
	uint64_t count; /* 32 bits at most */
};

struct scsi_op {
	/* Ends the task and returns true, or false when a blk_req will. */
	bool (*run)(struct scsi_task *t, struct scsi_cmd c);
	/* With OP_CHECK: field rules beyond @reject; a sense code or 0. */
	uint32_t (*check)(const struct scsi_task *t, struct scsi_cmd c);
	const char *name;	       /* NULL: no such opcode */
	const struct scsi_op *actions; /* rows by service action; this row is just the way there */
	uint8_t n_actions;
	uint8_t action;
	uint8_t len;		     /* of the CDB */
	uint8_t layout;		     /* enum scsi_layout */
	uint16_t flags;		     /* OP_* */
	uint16_t wrong_dir;	     /* SCSI_DIR_* that contradicts, when there is data */
	uint8_t reject;		     /* bits of byte 1 that must be 0 */
	uint8_t usage[SCSI_CDB_LEN]; /* bits that are looked at; byte 0 is the opcode */
} __attribute__((aligned(CACHE_LINE)));

extern const struct scsi_op scsi_ops[256];

/* ---- how a task ends: each returns true, "finished" ------------------------------- */

bool scsi_good(struct scsi_task *t, uint32_t transferred);
bool scsi_fail(struct scsi_task *t, uint32_t sense);
bool scsi_fail_at(struct scsi_task *t, uint32_t sense, uint64_t information);
bool scsi_task_set_full(struct scsi_task *t); /* the initiator tries again later */
/* Parameter data: as much of @full bytes as @alloc and the buffer allow. */
bool scsi_data_in(struct scsi_task *t, const void *data, uint32_t full, uint32_t alloc);

/* ---- handlers ----------------------------------------------------------------------- */

/* scsi_rw.c */
bool scsi_read(struct scsi_task *t, struct scsi_cmd c);
bool scsi_write(struct scsi_task *t, struct scsi_cmd c);
bool scsi_write_fua(struct scsi_task *t, struct scsi_cmd c); /* of CDBs that have the bit */
bool scsi_sync_cache(struct scsi_task *t, struct scsi_cmd c);
bool scsi_flush(struct scsi_task *t);

/* scsi_disk.c */
bool scsi_nothing_to_do(struct scsi_task *t, struct scsi_cmd c);
bool scsi_request_sense(struct scsi_task *t, struct scsi_cmd c);
bool scsi_read_capacity10(struct scsi_task *t, struct scsi_cmd c);
bool scsi_read_capacity16(struct scsi_task *t, struct scsi_cmd c);
bool scsi_start_stop(struct scsi_task *t, struct scsi_cmd c);
bool scsi_report_luns(struct scsi_task *t, struct scsi_cmd c);
uint32_t scsi_check_capacity10(const struct scsi_task *t, struct scsi_cmd c);
uint32_t scsi_check_start_stop(const struct scsi_task *t, struct scsi_cmd c);
uint32_t scsi_check_diagnostic(const struct scsi_task *t, struct scsi_cmd c);

/* scsi_pages.c */
bool scsi_inquiry(struct scsi_task *t, struct scsi_cmd c);
bool scsi_inquiry_absent(struct scsi_task *t, struct scsi_cmd c, bool lun0);
bool scsi_mode_sense6(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mode_sense10(struct scsi_task *t, struct scsi_cmd c);

/* scsi_thin.c */
#define SCSI_MAX_UNMAP_BLOCKS	   0x100000u
#define SCSI_MAX_UNMAP_EXTENTS	   256u
#define SCSI_MAX_WRITE_SAME_BLOCKS 0x10000u
uint32_t scsi_check_write_same(const struct scsi_task *t, struct scsi_cmd c);
bool scsi_write_same(struct scsi_task *t, struct scsi_cmd c);
bool scsi_unmap(struct scsi_task *t, struct scsi_cmd c);

#endif
