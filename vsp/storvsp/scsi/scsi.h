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

#include "vsp/storvsp/blk/blk.h"

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

/*
 * Progress of a command that works through a range piece by piece (UNMAP, WRITE SAME):
 * no guest can make one backend operation, or one turn of the loop, arbitrarily long.
 */
struct scsi_walk {
	uint64_t pos, end;    /* bytes of the extent in work */
	uint32_t next, count; /* extents of the private list in scratch */
	uint32_t scratch_len, pattern_len;
	void *pattern;	      /* NULL until something has to be written */
	uint8_t want, cannot; /* enum blk_op; bit per enum blk_op that the backend lacks */
	bool aborted;
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
	/* out, when it failed */
	uint8_t sense[SCSI_SENSE_LEN + 2];
};

enum { SCSI_DIR_OUT = 0, SCSI_DIR_IN = 1, SCSI_DIR_NONE = 2 };

struct scsi_lun;    /* one logical unit: a disk */
struct scsi_target; /* one controller's LUN table, as one initiator nexus sees it */
struct scsi_nexus;  /* what one target's initiator and one LUN have between them */

struct scsi_lun_config {
	struct blk_dev *dev;   /* stays the caller's; outlives the LUN */
	const char *serial;    /* NULL: from the device's id. Printable, at most 32 characters */
	uint8_t id[16];	       /* disk id, bytes as stored (VPD 83); all zero: from the device */
	uint32_t max_transfer; /* bytes per command that the transport carries; 0 = 256 KiB */
};

/* Errors: -EINVAL (serial, or a block size that is not 512..4096), -ENOMEM. */
int scsi_lun_create(struct scsi_lun **out, const struct scsi_lun_config *cfg);
/* No task runs on it, and no target has it any more. */
void scsi_lun_destroy(struct scsi_lun *l);
struct blk_dev *scsi_lun_dev(struct scsi_lun *l);
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
/* No task runs on it. Its LUNs stay. */
void scsi_target_destroy(struct scsi_target *t);
/* -EEXIST, -EINVAL (number >= SCSI_MAX_LUNS). The LUN stays the caller's. Main loop only. */
int scsi_target_attach(struct scsi_target *t, uint8_t number, struct scsi_lun *l);
/*
 * From now on nothing is there, for who looks: a command that looked before still runs, so
 * the LUN must live until every loop that uses the target has been seen to be past it
 * (storvsp_release_lun()). Main loop only; no-op when nothing is there.
 */
void scsi_target_detach(struct scsi_target *t, uint8_t number);
struct scsi_lun *scsi_target_lun(const struct scsi_target *t, uint8_t number); /* NULL: absent */

/* ---- commands ------------------------------------------------------------------ */

/*
 * Executes @task on LUN @number of @target (path and target 0). True: finished, the
 * out fields are set and done is not called. False: done will be called on the
 * queue's loop. The LUN may be absent: INQUIRY and REPORT LUNS are answered as
 * scsi-target and storvsc section 11 say, everything else ends with @absent.
 */
bool scsi_execute(struct scsi_target *target, uint8_t number, struct scsi_task *task);

/*
 * The same in two steps, for who sends many: the way to a LUN stays as long as the
 * target does; NULL while the LUN is absent.
 */
struct scsi_nexus *scsi_target_nexus(struct scsi_target *target, uint8_t number);
bool scsi_task_execute(struct scsi_task *task, struct scsi_nexus *nexus);

/*
 * Asks a task that works piece by piece to stop after the piece in flight; it then ends
 * with ABORTED COMMAND. Other tasks end as they would have. Call on the task's loop,
 * between scsi_execute() and done.
 */
void scsi_task_abort(struct scsi_task *task);

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
