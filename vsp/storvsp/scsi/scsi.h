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

#define SCSI_CDB_LEN	16
#define SCSI_SENSE_LEN	18
#define SCSI_MAX_LUNS	64

enum scsi_status {
	SCSI_GOOD = 0x00,
	SCSI_CHECK_CONDITION = 0x02,
	SCSI_CONDITION_MET = 0x04,
	SCSI_BUSY = 0x08,
	SCSI_RESERVATION_CONFLICT = 0x18,
	SCSI_TASK_SET_FULL = 0x28,
	SCSI_TASK_ABORTED = 0x40,
};

/* One command. Owned by the caller; untouched by it between execute and done. */
struct scsi_task {
	/* in */
	uint8_t cdb[SCSI_CDB_LEN];    /* private copy */
	uint8_t cdb_len;	      /* as the initiator said, 0..255; only a hint */
	uint8_t data_dir;	      /* SCSI_DIR_*, the initiator's claim: a cross-check */
	uint16_t niov;
	const struct iovec *iov;      /* the initiator's buffer */
	uint32_t data_len;	      /* bytes of it */
	struct blk_queue *queue;      /* the LUN's queue on this loop, see scsi_lun_queue() */
	void (*done)(struct scsi_task *t); /* only when scsi_execute() returned false */
	/* out */
	uint8_t status;		      /* enum scsi_status */
	uint8_t sense_len;	      /* 0 or SCSI_SENSE_LEN */
	uint8_t sense[SCSI_SENSE_LEN + 2];
	uint32_t transferred;	      /* bytes moved; 0 when it failed */
	/* the target's, while it runs */
	struct scsi_lun *lun;
	struct blk_req blk;
	struct iovec slice_iov[2];
	void *scratch;		      /* bounce for parameter data and patterns, NULL mostly */
	uint64_t state[6];
};

enum { SCSI_DIR_OUT = 0, SCSI_DIR_IN = 1, SCSI_DIR_NONE = 2 };

struct scsi_lun;    /* one logical unit: a disk */
struct scsi_target; /* one controller's LUN table, as one initiator nexus sees it */

struct scsi_lun_config {
	struct blk_dev *dev;	/* stays the caller's; outlives the LUN */
	const char *serial;	/* NULL: from the device's id. Printable, at most 32 characters */
	uint8_t id[16];		/* disk id, bytes as stored (VPD 83); all zero: from the device */
	uint32_t max_transfer;	/* bytes per command that the transport carries; for VPD B0 */
};

/* Errors: -EINVAL, -ENOMEM. */
int scsi_lun_create(struct scsi_lun **out, const struct scsi_lun_config *cfg);
void scsi_lun_destroy(struct scsi_lun *l); /* no task runs on it */
struct blk_dev *scsi_lun_dev(struct scsi_lun *l);

/* ---- the table of a controller --------------------------------------------- */

int scsi_target_create(struct scsi_target **out);
void scsi_target_destroy(struct scsi_target *t);
/* -EEXIST, -EINVAL (number >= SCSI_MAX_LUNS). The LUN stays the caller's. Main loop only. */
int scsi_target_attach(struct scsi_target *t, uint8_t number, struct scsi_lun *l);
struct scsi_lun *scsi_target_lun(const struct scsi_target *t, uint8_t number); /* NULL: absent */

/* ---- commands ------------------------------------------------------------------ */

/*
 * Executes @task on LUN @number of @target (path and target 0). True: finished, the
 * out fields are set and done is not called. False: done will be called on the
 * queue's loop. The LUN may be absent: INQUIRY and REPORT LUNS are answered as
 * scsi-target and storvsc section 11 say, everything else sets *@absent (status CHECK
 * CONDITION, no sense).
 */
bool scsi_execute(struct scsi_target *target, uint8_t number, struct scsi_task *task, bool *absent);

/* INQUIRY / REPORT LUNS sent to a (path, target) other than 0/0: nothing is there. */
bool scsi_execute_nowhere(struct scsi_task *task, bool *absent);

struct scsi_lun_stats {
	uint64_t reads, writes, flushes, others, errors;
	uint64_t read_bytes, written_bytes;
	uint32_t last_sense; /* key << 16 | asc << 8 | ascq of the last failure */
};
void scsi_lun_stats(const struct scsi_lun *l, struct scsi_lun_stats *out);

#endif
