/* SPDX-License-Identifier: MIT */
/*
 * The SCSI target: controllers' LUN tables, a table-driven disk (spec: scsi-target).
 * Knows nothing of VMBus: a task comes in as CDB + scatter list, and goes out as
 * status + sense + bytes moved.
 *
 * Threads: a task runs on the loop of the blk_queue it was started with. LUN state that
 * several loops share is atomic or behind the LUN's lock; never on the READ/WRITE path.
 */
#ifndef HVBUS_VSP_STORVSP_SCSI_SCSI_H
#define HVBUS_VSP_STORVSP_SCSI_SCSI_H

#include "vsp/storvsp/blk/blk_policy.h"

#define SCSI_CDB_LEN   16
#define SCSI_SENSE_LEN 18
#define SCSI_MAX_LUNS  64

enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_CONDITION_MET = 0x04,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_TASK_ABORTED = 0x40,
};

struct scsi_task;

/*
 * Progress of a command that works through a range piece by piece (UNMAP, VERIFY, ..):
 * no guest can make one backend operation, or one turn of the loop, arbitrarily long.
 */
struct scsi_walk {
	/* Takes the result of the last operation and fills blk for the next; false: the end. */
	bool (*step)(struct scsi_task *t, int res);
	uint64_t pos, end;    /* bytes of the extent in work */
	uint64_t begin;	      /* where it began */
	uint32_t next, count; /* extents of the private list in scratch */
	uint32_t scratch_len, pattern_len;
	void *pattern;	      /* NULL until something has to be written */
	uint8_t want, cannot; /* enum blk_op; bit per enum blk_op that the backend lacks */
	uint32_t queries;
	uint8_t phase;	 /* the step function's */
	uint8_t at_once; /* operations in this turn */
	bool fua;
	bool locked; /* holds, or waits for, a range */
	bool aborted;
};

/* What a task is about to change, see scsi_lock.c. */
struct scsi_range {
	struct scsi_task *next;
	uint64_t start, end; /* bytes */
	void (*go)(struct scsi_task *t);
	bool exclusive;
};

/*
 * One command. Owned by the caller; untouched by it between execute and done. Only the
 * "in" fields have to be set, the rest may hold anything.
 */
struct scsi_task {
	/* in */
	uint8_t cdb[SCSI_CDB_LEN]; /* private copy */
	uint8_t cdb_len;	   /* as the initiator said, 0..255 */
	uint8_t data_dir;	   /* SCSI_DIR_*, the initiator's claim: a cross-check */
	uint16_t niov;
	const struct iovec *iov;	   /* the initiator's buffer */
	uint32_t data_len;		   /* bytes of it that may be used */
	struct blk_queue *queue;	   /* to scsi_lun_dev() on this loop; absent LUN: NULL */
	struct scsi_medium *medium;	   /* of a drive: where @queue leads */
	void (*done)(struct scsi_task *t); /* only when scsi_execute() returned false */
	/* out */
	uint8_t status;	      /* enum scsi_status */
	uint8_t sense_len;    /* 0 or SCSI_SENSE_LEN */
	bool absent;	      /* with CHECK CONDITION: there is no LUN, and no sense */
	uint32_t transferred; /* bytes moved; 0 when it failed */
	/* the target's, while it runs. What READ and WRITE touch ends inside @blk */
	struct scsi_lun *lun; /* NULL: absent */
	void *scratch;	      /* cut iovec or extent list, NULL mostly */
	struct scsi_nexus *nexus;
	struct blk_req blk;
	struct iovec slice_iov[2];
	struct scsi_walk walk;
	struct scsi_range range;
	struct loop_call call; /* another turn, or the range */
	/* out, when it failed */
	uint8_t sense[SCSI_SENSE_LEN + 2];
};

enum { SCSI_DIR_OUT = 0, SCSI_DIR_IN = 1, SCSI_DIR_NONE = 2 };

struct scsi_lun;    /* one logical unit: a disk */
struct scsi_target; /* one controller's LUN table, as one initiator nexus sees it */
struct scsi_nexus;  /* what one target's initiator and one LUN have between them */

/*
 * Keeps the persistent reservations of a LUN over a restart (APTPL). Called one at a time
 * per LUN, on the loop of the command that waits for it.
 */
struct scsi_pr_keeper {
	/*
	 * Replaces what was kept by @len bytes at @state (valid during the call), all or
	 * nothing, then calls @saved(@arg, 0 or -errno) once, on the thread of this call,
	 * maybe before it returns.
	 */
	void (*save)(void *ctx, const void *state, uint32_t len, void (*saved)(void *arg, int err),
		     void *arg);
	void *ctx;
};

/* SCSI_DVD: a drive, maybe empty, for images that come and go; read-only, blocks of 2048. */
enum scsi_type { SCSI_DISK, SCSI_DVD };

#define SCSI_PR_STATE_MAX 4132u /* bytes of a state, at most */

struct scsi_lun_config {
	enum scsi_type type;
	struct blk_dev *dev;   /* stays the caller's; outlives the LUN. SCSI_DVD: may be NULL */
	const char *serial;    /* NULL: from the device's id. Printable, at most 32 characters */
	uint8_t id[16];	       /* disk id, bytes as stored (VPD 83); all zero: from the device */
	uint32_t max_transfer; /* bytes per command that the transport carries; 0 = 256 KiB */
	const struct scsi_pr_keeper *keeper; /* copied. NULL: reservations end with the LUN */
};

/* Errors: -EINVAL (serial, or a block size that is not 512..4096), -ENOMEM. */
int scsi_lun_create(struct scsi_lun **out, const struct scsi_lun_config *cfg);
/* No task runs on it, and no target has it any more. */
void scsi_lun_destroy(struct scsi_lun *l);
struct blk_dev *scsi_lun_dev(struct scsi_lun *l);
/*
 * The reservations that a keeper kept, before anything is attached. The bytes may come from
 * anybody: -EINVAL and a sentence in @why when they are not exactly a state that was saved.
 */
int scsi_lun_restore(struct scsi_lun *l, const void *state, uint32_t len, char *why, size_t whylen);

/* ---- drives: LUNs whose medium can be changed ------------------------------------- */

struct scsi_medium; /* an image in a drive; counted */

bool scsi_lun_is_drive(const struct scsi_lun *l);

/*
 * Puts @dev (NULL: nothing) into the drive, also against a guest's PREVENT: this is the hand
 * of the owner. Initiators hear of it; commands for the medium before finish first.
 * @released(@ctx, dev) when nobody uses @dev any more, on any thread: that may be much
 * later, when transports have dropped their queues to it. Errors: -EINVAL (no drive),
 * -ENOMEM.
 */
int scsi_lun_set_medium(struct scsi_lun *l, struct blk_dev *dev,
			void (*released)(void *ctx, struct blk_dev *dev), void *ctx);

/* For transports, any thread: what is in the drive now, NULL nothing; given back with put. */
struct scsi_medium *scsi_lun_medium_get(struct scsi_lun *l);
void scsi_medium_put(struct scsi_medium *m);
struct blk_dev *scsi_medium_dev(const struct scsi_medium *m);
/* blk_dev_resize() has changed the device: every initiator hears of it (2A/09). Any thread. */
void scsi_lun_resized(struct scsi_lun *l);

/* Unit attentions, most urgent first (spec: scsi-target, section 14). */
enum scsi_ua {
	SCSI_UA_MEDIUM_CHANGED,		 /* 28/00 */
	SCSI_UA_POWER_ON,		 /* 29/00 */
	SCSI_UA_BUS_DEVICE_RESET,	 /* 29/03 */
	SCSI_UA_RESERVATIONS_PREEMPTED,	 /* 2A/03 */
	SCSI_UA_RESERVATIONS_RELEASED,	 /* 2A/04 */
	SCSI_UA_REGISTRATIONS_PREEMPTED, /* 2A/05 */
	SCSI_UA_CAPACITY_CHANGED,	 /* 2A/09 */
	SCSI_UA_MODE_CHANGED,		 /* 2A/01 */
	SCSI_UA_COMMANDS_CLEARED,	 /* 2F/00 */
	SCSI_UA_LUNS_CHANGED,		 /* 3F/0E */
};

/* Every initiator of @l hears of it once, with its next command. Any thread. */
void scsi_lun_unit_attention(struct scsi_lun *l, enum scsi_ua ua);

/* ---- the table of a controller --------------------------------------------- */

int scsi_target_create(struct scsi_target **out);
/*
 * Who the initiator behind this controller is, stable over restarts of it and of us: its
 * persistent registrations are found by it (and READ FULL STATUS derives its transport id
 * from it). Two targets with the same id are the same initiator. Before the first attach.
 */
#define SCSI_INITIATOR_LEN 16
void scsi_target_set_initiator(struct scsi_target *t, const uint8_t *id);
/*
 * The initiator lost its connection, or asked for a reset (of one LUN, or of all with
 * SCSI_ALL_LUNS): what lasts no longer than that is undone, RESERVE(6) and PREVENT MEDIUM
 * REMOVAL. After a reset another initiator that lost one of them hears BUS DEVICE RESET.
 * Any thread.
 */
#define SCSI_ALL_LUNS 0xff
void scsi_target_lost(struct scsi_target *t);
void scsi_target_reset(struct scsi_target *t, uint8_t number);
/* No task runs on it. Its LUNs stay; it is lost to them. */
void scsi_target_destroy(struct scsi_target *t);

/*
 * Waiting until commands that were in flight are over, wherever they run: each place that has
 * some takes a part, and gives it back when nothing of them happens any more. Any thread.
 * The fence belongs to who waits, until @passed, which the last part calls.
 */
struct scsi_fence {
	uint32_t left;
	uint32_t failed; /* somebody gave up waiting: something may still happen */
	void (*passed)(struct scsi_fence *f);
};
/* With one part, that of who hands out the others. */
void scsi_fence_init(struct scsi_fence *f, void (*passed)(struct scsi_fence *f));
void scsi_fence_hold(struct scsi_fence *f); /* one more part */
void scsi_fence_fail(struct scsi_fence *f); /* before the part is given back */
void scsi_fence_pass(struct scsi_fence *f);
/* The same for who can go on by itself: true instead of a call of @passed. */
bool scsi_fence_last(struct scsi_fence *f);

/*
 * The transport's side of PREEMPT AND ABORT: ends what the initiator has in flight to LUN
 * @number, as aborted where it can, and holds @f for what it cannot, for a bounded time. Called
 * on any thread, under locks of the target: it may only ask, and takes its own locks.
 * NULL takes it back; when that returns nobody is inside any more. Without one nothing of the
 * initiator is ever in flight for longer than a call.
 */
void scsi_target_set_abort(struct scsi_target *t,
			   void (*abort)(void *ctx, uint8_t number, struct scsi_fence *f),
			   void *ctx);
/*
 * An initiator that has not noticed that another LUN went from this place hears of it with its
 * first command (3F/0E). -EEXIST, -EINVAL (number >= SCSI_MAX_LUNS). The LUN stays the
 * caller's. Main loop only.
 */
int scsi_target_attach(struct scsi_target *t, uint8_t number, struct scsi_lun *l);
/*
 * From now on nothing is there, for who looks: a command that looked before still runs, so
 * the LUN must live until every loop that uses the target has been seen to be past it
 * (storvsp_release_lun()). Main loop only; no-op when nothing is there.
 */
void scsi_target_detach(struct scsi_target *t, uint8_t number);
struct scsi_lun *scsi_target_lun(const struct scsi_target *t, uint8_t number); /* NULL: absent */
/* The initiator hears of it from each LUN that is attached. Main loop only. */
void scsi_target_unit_attention(struct scsi_target *t, enum scsi_ua ua);

/* ---- commands ------------------------------------------------------------------ */

/*
 * Executes @task on LUN @number of @target (path and target 0). True: finished, the
 * out fields are set and done is not called. False: done will be called on the
 * queue's loop. The LUN may be absent: INQUIRY and REPORT LUNS are answered as
 * scsi-target and storvsc section 11 say, everything else ends with @absent.
 */
bool scsi_execute(struct scsi_target *target, uint8_t number, struct scsi_task *task);
/*
 * The answer of LUN @number when nothing is there; always finished. For a transport that has
 * looked and found nothing: looking again, it could find a disk that was attached meanwhile,
 * to which it has no queue.
 */
void scsi_execute_absent(struct scsi_target *target, uint8_t number, struct scsi_task *task);

/*
 * The same in two steps, for who sends many: the way to a LUN stays as long as the
 * target does; NULL while the LUN is absent.
 */
struct scsi_nexus *scsi_target_nexus(struct scsi_target *target, uint8_t number);
bool scsi_task_execute(struct scsi_task *task, struct scsi_nexus *nexus);

/*
 * Ends a task that has not reached the kernel: true, and done has been called, from in here,
 * with ABORTED COMMAND; nothing of it happens any more. Else false: one that works piece by
 * piece stops after the piece in flight and then ends so, others end as they would have.
 * Call on the task's loop, between scsi_execute() and done.
 */
bool scsi_task_abort(struct scsi_task *task);

/* Where a task is, between scsi_execute() and done. On its loop. For reports. */
struct scsi_position {
	const char *name; /* "WRITE(10)" */
	uint8_t opcode;
	uint64_t lba; /* of what is being done now; 0 for a flush */
	uint32_t blocks;
	enum blk_where where;
};
void scsi_task_position(const struct scsi_task *task, struct scsi_position *out);

/* INQUIRY / REPORT LUNS sent to a (path, target) other than 0/0: nothing is there. */
bool scsi_execute_nowhere(struct scsi_task *task);

struct scsi_lun_stats {
	uint64_t reads, writes, flushes, others, errors;
	uint64_t read_bytes, written_bytes;
	uint64_t latency_ns_sum, latency_count, latency_ns_max; /* of the samples noted below */
	uint32_t last_sense; /* key << 16 | asc << 8 | ascq of the last failure */
};
/* One request's time, as the transport saw it; a sample of all is enough. Any thread. */
void scsi_lun_note_latency(struct scsi_lun *l, uint64_t ns);
void scsi_lun_stats(const struct scsi_lun *l, struct scsi_lun_stats *out);

#endif
