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

#include <errno.h>
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
	/*
	 * WRITEs that are only counted, see scsi_lock.c. Together with transfers[BLK_WRITE], which
	 * has the others, and those that failed as minus one, they are the number of all.
	 */
	uint64_t begun, ended;
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

struct scsi_pr;	   /* scsi_pr.h */
struct scsi_drive; /* scsi_dvd.c */
struct scsi_op;

#define SCSI_SCRATCH_MAX (32u << 20) /* private memory that the tasks of one LUN may hold */

struct scsi_lun {
	/* fixed at creation: all that READ and WRITE look at */
	struct blk_dev *dev;
	uint64_t blocks;     /* but this: scsi_blocks(), once per command */
	uint64_t max_blocks; /* per READ or WRITE */
	uint16_t rules;	     /* OP_* that forbid something here; others need no look */
	uint8_t shift;	     /* log2 of the block size */
	/* shared by all loops; of rules, OP_WRITES changes */
	bool swp;	 /* software write protect */
	uint32_t strict; /* WRITEs must register, see scsi_lock.c */
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
	pthread_mutex_t range_lock; /* the rest, and writing strict */
	struct scsi_task *range_held, *range_waiting;
	uint32_t exclusives;	   /* that hold or wait for a range */
	bool counted_gone;	   /* since strict is set, no WRITE is only counted any more */
	struct scsi_pr *pr;	   /* reservations */
	struct scsi_drive *drive;  /* NULL: the medium stays */
	const struct scsi_op *ops; /* by opcode */
	struct scsi_counts counts[SCSI_SHARDS];
};

/* Beside the attentions, so that READ and WRITE need one look: a reservation may be in the way. */
#define SCSI_NEXUS_RESERVED (1u << 31)
/*
 * Among the attentions, which every command looks at: the LUN was detached, and may be freed as
 * soon as no loop runs a command that came before.
 */
#define SCSI_NEXUS_GONE	    (1u << 30)
/* Its initiator has not yet been told so, by a command that found nothing. */
#define SCSI_NEXUS_UNTOLD   (1u << 29)

struct scsi_nexus {
	struct scsi_lun *lun;	    /* NULL: nothing attached; published with release */
	uint32_t attentions;	    /* bit per enum scsi_ua; any thread sets, any loop takes */
	uint32_t situation;	    /* enum scsi_situation; written under the LUN's lock */
	struct scsi_target *target; /* whose entry this is */
	bool prevents;		    /* medium removal; this and the next two under the LUN's lock */
	bool aborted;		    /* just lost its registration, and its commands with it */
	uint8_t event;		    /* of the medium, not yet reported */
	struct scsi_nexus *next;    /* of the same LUN; under the LUN's lock */
};

struct scsi_target {
	uint8_t initiator[SCSI_INITIATOR_LEN];
	pthread_mutex_t abort_lock; /* this and the next two; taken under a LUN's lock */
	void (*abort)(void *ctx, uint8_t number, struct scsi_fence *f);
	void *abort_ctx;
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

/* ---- ranges (scsi_lock.c) ------------------------------------------------------- */

void scsi_lock_init(struct scsi_lun *l);
void scsi_lock_fini(struct scsi_lun *l);
/*
 * Bytes [@start, @end) of the LUN are changed by @t; exclusive: by nobody else, and what it
 * reads stays. False: not yet, @go will be called on the task's loop when it is granted.
 */
bool scsi_range_lock(struct scsi_task *t, uint64_t start, uint64_t end, bool exclusive,
		     void (*go)(struct scsi_task *t));
void scsi_range_unlock(struct scsi_task *t);
void scsi_counted_gone(struct scsi_lun *l);

/* The calling thread's counters; NULL: it has none of its own. */
ALWAYS_INLINE struct scsi_counts *scsi_own_counts(struct scsi_lun *l)
{
	uint64_t shard = scsi_thread_shard - 1; /* huge before the thread has one */

	return likely(shard < SCSI_SHARDS - 1) ? &l->counts[shard] : NULL;
}

/* @n: what scsi_write_begin() said. */
ALWAYS_INLINE void scsi_write_end(struct scsi_lun *l, struct scsi_counts *n)
{
	store_release(&n->ended, n->ended + 1); /* L3 */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (unlikely(load_relaxed(&l->strict)))
		scsi_counted_gone(l);
}

/* The same for one that wrote nothing. */
ALWAYS_INLINE void scsi_write_forget(struct scsi_lun *l, struct scsi_counts *n)
{
	store_relaxed(&n->transfers[BLK_WRITE], n->transfers[BLK_WRITE] - 1);
	scsi_write_end(l, n);
}

/*
 * Before a WRITE goes out. It may, and one of these two follows, on the same thread; or NULL:
 * it has to lock its range.
 */
ALWAYS_INLINE struct scsi_counts *scsi_write_begin(struct scsi_lun *l)
{
	struct scsi_counts *n = scsi_own_counts(l);

	if (unlikely(!n))
		return NULL;
	__asm__("" : "+r"(n)); /* a pointer, not an index that is scaled again at each use */
	store_relaxed(&n->begun, n->begun + 1);
	__atomic_signal_fence(__ATOMIC_SEQ_CST); /* the CPU's part is membarrier()'s */
	if (likely(!load_acquire(&l->strict)))	 /* L1, L4 */
		return n;
	scsi_write_forget(l, n);
	return NULL;
}

/* Sense of the most urgent unit attention, which is then no longer pending; 0: none. */
uint32_t scsi_nexus_take_attention(struct scsi_nexus *n);
/* One nexus hears of it. Under the LUN's lock. */
void scsi_nexus_attention(struct scsi_nexus *n, enum scsi_ua ua);

/* As scsi_lun_unit_attention(), but for those on other nexuses than @n. */
void scsi_unit_attention_others(struct scsi_nexus *n, enum scsi_ua ua);

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
	CDB_LEN32_AT5,
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
	OP_THIN = 1 << 9,     /* exists where blocks can be deallocated, or nothing written */
	OP_ANY_LUN = 1 << 10, /* answered where no LUN is */
	OP_CHECK = 1 << 11,   /* has field rules of its own */
};

/* What a reservation means for a command: the rows of the matrix in scsi_reserve.c. */
enum scsi_access {
	ACCESS_MODIFY, /* also what a row says that says nothing: the safe side */
	ACCESS_READ,
	ACCESS_STATUS,	   /* disturbs nobody */
	ACCESS_ALWAYS,	   /* not even RESERVE(6) shuts it out */
	ACCESS_START_STOP, /* starting is STATUS, stopping MODIFY */
	ACCESS_PREVENT,	   /* allowing is ALWAYS, preventing MODIFY */
	ACCESS_RESERVE,
	ACCESS_RELEASE,
	ACCESS_PERSISTENT, /* PERSISTENT RESERVE IN, OUT: rules of their own */
};
#define OP_ACCESS_SHIFT	 16
#define OP_ACCESS(class) ((uint32_t)(class) << OP_ACCESS_SHIFT)

/* The table's macros take both as one word. */
#define OP_READING	 OP_ACCESS(ACCESS_READ)
#define OP_STATUS	 OP_ACCESS(ACCESS_STATUS)
#define OP_ALWAYS	 OP_ACCESS(ACCESS_ALWAYS)

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
	uint8_t access;		     /* enum scsi_access */
	uint8_t usage[SCSI_CDB_LEN]; /* bits that are looked at; byte 0 is the opcode */
} __attribute__((aligned(CACHE_LINE)));

extern const struct scsi_op scsi_ops[256]; /* a disk's */
extern const struct scsi_op scsi_dvd_ops[256];

/* ---- how a task ends: each returns true, "finished" ------------------------------- */

bool scsi_good(struct scsi_task *t, uint32_t transferred);
bool scsi_fail(struct scsi_task *t, uint32_t sense);
bool scsi_fail_at(struct scsi_task *t, uint32_t sense, uint64_t information);
bool scsi_task_set_full(struct scsi_task *t); /* the initiator tries again later */
bool scsi_busy(struct scsi_task *t);	      /* so it does, for another reason */
bool scsi_conflict(struct scsi_task *t);      /* RESERVATION CONFLICT */
/* Parameter data: as much of @full bytes as @alloc and the buffer allow. */
bool scsi_data_in(struct scsi_task *t, const void *data, uint32_t full, uint32_t alloc);

/* ---- commands in pieces (scsi_walk.c) --------------------------------------------------- */

/*
 * A handler fills t->walk and t->scratch, then starts with scsi_walk_run() or
 * scsi_walk_lock(), which return as handlers do. The step function's first call has result
 * 0 and an empty t->blk; it returns true after scsi_walk_io() or with t->blk filled, or
 * false through one of those that end the walk, buffers and lock included.
 */
bool scsi_walk_run(struct scsi_task *t);
/* The same with bytes [@start, @end) locked, see scsi_range_lock(). */
bool scsi_walk_lock(struct scsi_task *t, uint64_t start, uint64_t end, bool exclusive);
/* Always true: @len bytes between @buf and the disk at walk.pos come next. */
bool scsi_walk_io(struct scsi_task *t, uint8_t op, void *buf, uint64_t len);
void *scsi_walk_buffer(struct scsi_task *t, uint32_t len); /* walk.pattern; NULL: none left */
/* Ends; always false. */
bool scsi_walk_good(struct scsi_task *t, uint32_t transferred);
bool scsi_walk_fail(struct scsi_task *t, uint32_t sense);
bool scsi_walk_fail_at(struct scsi_task *t, uint32_t sense, uint64_t information);
bool scsi_walk_full(struct scsi_task *t);
bool scsi_walk_read_failed(struct scsi_task *t, int err);

/* ---- handlers ----------------------------------------------------------------------- */

/* scsi_rw.c */
bool scsi_read(struct scsi_task *t, struct scsi_cmd c);
bool scsi_write(struct scsi_task *t, struct scsi_cmd c);
bool scsi_write_fua(struct scsi_task *t, struct scsi_cmd c); /* of CDBs that have the bit */
bool scsi_sync_cache(struct scsi_task *t, struct scsi_cmd c);
bool scsi_flush(struct scsi_task *t);
/* Lost writes stay lost: no flush and no durable write succeeds any more. */
bool scsi_flush_failed(const struct scsi_lun *l);
/* Sense for a failed t->blk that is a BLK_WRITE. */
uint32_t scsi_write_sense(const struct scsi_task *t, int err);

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

/* scsi_reserve.c */
bool scsi_reserve(struct scsi_task *t, struct scsi_cmd c);
bool scsi_release(struct scsi_task *t, struct scsi_cmd c);
/* Whether @n must not do @op now. Only asked when there is some reservation. */
bool scsi_conflicts(const struct scsi_nexus *n, const struct scsi_op *op,
		    const struct scsi_task *t);
/* Reservations or registrations changed, or a nexus came. Under the LUN's lock. */
void scsi_update_situations(struct scsi_lun *l);
void scsi_update_situation(struct scsi_lun *l, struct scsi_nexus *n);
/* @t is no initiator of @l any more. Under the LUN's lock. */
void scsi_reserve_forget(struct scsi_lun *l, const struct scsi_target *t);

/* What the initiator at @n has in flight there is aborted. Under the LUN's lock. */
void scsi_nexus_abort(struct scsi_nexus *n, struct scsi_fence *f);

/* scsi_pr.c */
int scsi_pr_create(struct scsi_lun *l, const struct scsi_pr_keeper *keeper);
void scsi_pr_destroy(struct scsi_lun *l);
bool scsi_pr_in_keys(struct scsi_task *t, struct scsi_cmd c);
bool scsi_pr_in_reservation(struct scsi_task *t, struct scsi_cmd c);
bool scsi_pr_in_capabilities(struct scsi_task *t, struct scsi_cmd c);
bool scsi_pr_in_full_status(struct scsi_task *t, struct scsi_cmd c);
bool scsi_pr_out(struct scsi_task *t, struct scsi_cmd c);

/* scsi_dvd.c */
int scsi_drive_create(struct scsi_lun *l, struct blk_dev *dev);
void scsi_drive_destroy(struct scsi_lun *l);
/* Under the LUN's lock. */
bool scsi_drive_locked(const struct scsi_lun *l);
/* Sense when the medium of @t is not in the drive; else 0 and its blocks. */
uint32_t scsi_drive_medium(const struct scsi_task *t, uint32_t *blocks);
/* Event of the media class for @n, which is then no longer pending when @take, and status bits. */
uint8_t scsi_drive_event(struct scsi_nexus *n, bool take, uint8_t *status);
bool scsi_dvd_ready(struct scsi_task *t, struct scsi_cmd c);
bool scsi_dvd_read(struct scsi_task *t, struct scsi_cmd c);
bool scsi_dvd_read_cd(struct scsi_task *t, struct scsi_cmd c);
bool scsi_dvd_read_cd_msf(struct scsi_task *t, struct scsi_cmd c);
bool scsi_dvd_capacity(struct scsi_task *t, struct scsi_cmd c);
bool scsi_dvd_start_stop(struct scsi_task *t, struct scsi_cmd c);
bool scsi_dvd_prevent(struct scsi_task *t, struct scsi_cmd c);

/* scsi_mmc.c */
bool scsi_mmc_inquiry(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_toc(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_configuration(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_event(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_disc(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_track(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_structure(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_buffer(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_performance(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_mechanism(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_mode_sense(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mmc_mode_select(struct scsi_task *t, struct scsi_cmd c);

/* scsi_pages.c */
uint32_t scsi_vpd_identification(const struct scsi_lun *l, uint8_t *p);
bool scsi_inquiry(struct scsi_task *t, struct scsi_cmd c);
bool scsi_inquiry_absent(struct scsi_task *t, struct scsi_cmd c, bool lun0);
bool scsi_mode_sense6(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mode_sense10(struct scsi_task *t, struct scsi_cmd c);
#define SCSI_MODE_PAGE_MAX 20
/* The page as it is now and its changeable bits. Its length, 0: there is no such page. */
uint32_t scsi_mode_page(const struct scsi_lun *l, uint8_t code, uint8_t *now, uint8_t *mask);

/* scsi_mode.c */
bool scsi_mode_select6(struct scsi_task *t, struct scsi_cmd c);
bool scsi_mode_select10(struct scsi_task *t, struct scsi_cmd c);

/* scsi_thin.c */
#define SCSI_MAX_UNMAP_BLOCKS	   0x100000u
#define SCSI_MAX_UNMAP_EXTENTS	   256u
#define SCSI_MAX_WRITE_SAME_BLOCKS 0x10000u
uint32_t scsi_check_write_same(const struct scsi_task *t, struct scsi_cmd c);
bool scsi_write_same(struct scsi_task *t, struct scsi_cmd c);
bool scsi_unmap(struct scsi_task *t, struct scsi_cmd c);

/* scsi_verify.c */
uint32_t scsi_check_verify(const struct scsi_task *t, struct scsi_cmd c);
uint32_t scsi_check_write_verify(const struct scsi_task *t, struct scsi_cmd c);
bool scsi_verify(struct scsi_task *t, struct scsi_cmd c);
bool scsi_write_verify(struct scsi_task *t, struct scsi_cmd c);
/* Where two buffers differ first; @len: nowhere. */
uint32_t scsi_first_difference(const uint8_t *a, const uint8_t *b, uint32_t len);

/* scsi_atomic.c */
#define SCSI_MAX_COMPARE_BLOCKS 255u
uint32_t scsi_check_compare_and_write(const struct scsi_task *t, struct scsi_cmd c);
bool scsi_compare_and_write(struct scsi_task *t, struct scsi_cmd c);
bool scsi_orwrite(struct scsi_task *t, struct scsi_cmd c);

/* scsi_status.c */
bool scsi_get_lba_status(struct scsi_task *t, struct scsi_cmd c);

/* scsi_opcodes.c */
bool scsi_report_opcodes(struct scsi_task *t, struct scsi_cmd c);
bool scsi_report_tmf(struct scsi_task *t, struct scsi_cmd c);

/* scsi_log.c */
bool scsi_log_sense(struct scsi_task *t, struct scsi_cmd c);
bool scsi_read_defect_data10(struct scsi_task *t, struct scsi_cmd c);
bool scsi_read_defect_data12(struct scsi_task *t, struct scsi_cmd c);

#endif
