/* SPDX-License-Identifier: MIT */
/*
 * Synthetic SCSI disks for a child partition (VSC): the library that programs use.
 *
 *   struct hv_child *hv;         hv_child_connect(&hv, "/run/hvbus.sock", ...)
 *   struct vmbus_client *bus;    vmbus_client_connect(&bus, hv, NULL)
 *   struct storvsc *ctl;         storvsc_open(&ctl, bus, 0, NULL)
 *   struct storvsc_disk disk;    storvsc_disk_info(ctl, lun, &disk)
 *   storvsc_read(ctl, 0, lun, buf, offset, len)
 *
 * or in one step: storvsc_attach(). Buffers for asynchronous I/O lie in guest memory
 * (storvsc_alloc()); the synchronous calls take any buffer and bounce if they must.
 *
 * The root is not trusted: completions are matched against a table of outstanding
 * requests by index and generation; lengths are clamped; a corrupt ring fails every
 * outstanding request with -EIO and never hangs or crashes the caller. What it cannot be
 * made to do is to write what a READ asked for: a root that completes one without
 * writing leaves the buffer as it was, so a caller that must not show stale memory as
 * file data clears the buffer first (storvsc_alloc() gives zeroes).
 *
 * Threads: one thread per queue (channel); queue i sleeps on VP i. Calls that name
 * no queue may be made by any one thread at a time and use queue 0, except
 * storvsc_alloc() and storvsc_free(), which any thread may call.
 * Errors: negative errno; the SCSI reason of the last failure of a queue as text from
 * storvsc_last_error().
 */
#ifndef HVBUS_VSC_STORVSC_H
#define HVBUS_VSC_STORVSC_H

#include <stdbool.h>
#include <stdint.h>

#include "vsc/ic_client.h"

struct storvsc; /* one controller */

struct storvsc_config {
	uint32_t queues;     /* channels wanted, at most the VPs; 0 = 1. Fewer may be granted */
	uint32_t depth;	     /* requests in flight per queue; 0 = 256 */
	uint32_t ring_bytes; /* per direction; 0 = 256 KiB + control page */
	int32_t spin_us; /* before sleeping in reap: 0 = never, -1 = for ever; NULL config: 50 */
	uint32_t timeout_ms; /* of the synchronous calls; 0 = 60 s */
	/*
	 * storvsc_attach() only: answer the root's heartbeats and requests to shut down; the VP is
	 * chosen. A root without such services is fine. NULL = do not.
	 */
	const struct ic_client_config *integration;
};

/*
 * Opens controller number @index (offer order) and initialises it.
 * Errors: -ENODEV (no such controller), -EPROTO (the root broke the protocol),
 * -EPROTONOSUPPORT (no common version), -ETIMEDOUT, -ECONNRESET, -ENOMEM.
 */
int storvsc_open(struct storvsc **out, struct vmbus_client *bus, uint32_t index,
		 const struct storvsc_config *cfg);
/*
 * Waits (bounded) for what is in flight, closes the channels. Requests that are still
 * unfinished then are forgotten; no buffer is touched any more.
 */
void storvsc_close(struct storvsc *s);

/* Everything in one: connect to @socket, bus, controller @index. Closed by storvsc_detach(). */
int storvsc_attach(struct storvsc **out, const char *socket, uint32_t index, uint64_t memory,
		   const struct storvsc_config *cfg, char *why, size_t whylen);
void storvsc_detach(struct storvsc *s);

uint32_t storvsc_queues(const struct storvsc *s);	/* channels really open */
uint32_t storvsc_max_transfer(const struct storvsc *s); /* bytes per request */
struct hv_child *storvsc_child(struct storvsc *s);

/* LUNs present, ascending, at most @max; returns how many there are, or -errno. */
int storvsc_luns(struct storvsc *s, uint8_t *luns, int max);

/*
 * True when the root has said since the last call that disks came, went or changed:
 * look at storvsc_luns() and storvsc_disk_info() again.
 */
bool storvsc_changed(struct storvsc *s);

struct storvsc_disk {
	uint64_t size; /* bytes */
	uint32_t block_size, physical_block;
	bool readonly, write_cache, fua, discard;
	uint32_t max_discard; /* bytes per STORVSC_DISCARD */
	uint32_t max_zero;    /* bytes per STORVSC_ZERO; 0 = the disk cannot */
	char vendor[9], product[17], revision[5], serial[40];
	uint8_t naa[16]; /* designator of VPD 83, or zeroes */
};
/*
 * Asks the disk; also makes a LUN usable that was not there at storvsc_open(). Errors:
 * -ENXIO (no such LUN), -ENODEV (it is something else than a disk), -EPROTO (its answers
 * make no sense).
 */
int storvsc_disk_info(struct storvsc *s, uint8_t lun, struct storvsc_disk *out);

/* ---- guest memory ------------------------------------------------------------- */

void *storvsc_alloc(struct storvsc *s, size_t bytes); /* page-aligned, NULL when out of memory */
void storvsc_free(struct storvsc *s, void *p, size_t bytes);

/* ---- asynchronous -------------------------------------------------------------------- */

enum storvsc_op { STORVSC_READ, STORVSC_WRITE, STORVSC_FLUSH, STORVSC_DISCARD, STORVSC_ZERO };
#define STORVSC_FUA 0x1u

struct storvsc_io {
	uint8_t op; /* enum storvsc_op */
	uint8_t flags;
	uint8_t lun;
	uint64_t offset, len; /* bytes, multiples of the block size */
	/*
	 * READ and WRITE: in guest memory, @len in all. Entries but the first must start, and
	 * all but the last must end, on a page boundary. Stays valid until reaped.
	 */
	const struct iovec *iov;
	int niov;
	void *cookie;		 /* the caller's */
	int result;		 /* after reap: 0 or -errno */
	uint32_t sense;		 /* key << 16 | asc << 8 | ascq, or 0 */
	uint32_t slot;		 /* the library's */
	struct storvsc_io *next; /* the library's */
};

/*
 * Queues @io on queue @q. All is sent by storvsc_kick() or the next reap that waits, the
 * first of many before.
 * @io is the library's until reaped. Errors, with nothing queued: -EAGAIN (depth or ring
 * exhausted, reap first), -EINVAL (not multiples of the block size, or a buffer outside
 * guest memory), -EMSGSIZE (longer than max transfer, max_discard, max_zero), -ENXIO
 * (unknown LUN), -EOPNOTSUPP (FUA, DISCARD or ZERO that the disk cannot do), -EIO and
 * -ECONNRESET (dead).
 */
int storvsc_submit(struct storvsc *s, uint32_t q, struct storvsc_io *io);
void storvsc_kick(struct storvsc *s, uint32_t q);

/*
 * Collects finished requests into @out (at most @max). Waits until at least @min are
 * there, nothing is outstanding any more, or @timeout_ns is over (0 = do not wait). Returns
 * how many, or -ECONNRESET / -EIO after the channel died and every request of it has been
 * returned. After that the root may still write into buffers of requests that failed
 * this way, until storvsc_close().
 */
int storvsc_reap(struct storvsc *s, uint32_t q, struct storvsc_io **out, int max, int min,
		 uint64_t timeout_ns);

/* ---- synchronous ------------------------------------------------------------------------ */

/*
 * Any length and any buffer; split as the disk wants it. -ETIMEDOUT: no answer in time; a
 * buffer in guest memory may then be written until storvsc_close(). The other errors
 * are those of storvsc_submit() and storvsc_sense_errno().
 */

int storvsc_read(struct storvsc *s, uint32_t q, uint8_t lun, void *buf, uint64_t offset,
		 size_t len);
int storvsc_write(struct storvsc *s, uint32_t q, uint8_t lun, const void *buf, uint64_t offset,
		  size_t len, unsigned flags);
int storvsc_flush(struct storvsc *s, uint32_t q, uint8_t lun);
int storvsc_discard(struct storvsc *s, uint32_t q, uint8_t lun, uint64_t offset, uint64_t len);
int storvsc_zero(struct storvsc *s, uint32_t q, uint8_t lun, uint64_t offset, uint64_t len);

/*
 * A raw CDB; @data in or out as @dir (0 out, 1 in, 2 none), at most max transfer.
 * *@transferred may be NULL. A failure of the command is an errno, with its sense in
 * @sense (zeroes when there is none; may be NULL).
 */
int storvsc_scsi(struct storvsc *s, uint32_t q, uint8_t lun, const uint8_t cdb[16], int dir,
		 void *data, uint32_t len, uint32_t *transferred, uint8_t sense[18]);

/*
 * The same for those who want SCSI's own words: whatever the root answers is success, and
 * what it answered is in the second half. Nothing is retried. Errors, with no answer:
 * -EMSGSIZE, -EINVAL, -ENOMEM, -ETIMEDOUT, -EPROTO, -EIO and -ECONNRESET (dead).
 */
struct storvsc_raw {
	uint8_t lun;
	uint8_t cdb_len; /* at most 16; 0 = what the opcode says */
	uint8_t dir;	 /* 0 out, 1 in, 2 none */
	uint8_t cdb[16];
	void *data; /* any memory */
	uint32_t len;
	uint32_t timeout_ms; /* 0 = the controller's */

	uint8_t scsi_status;
	uint8_t srb_status;   /* enum vstor_srb_status, without its flags */
	uint8_t sense_len;    /* 0 = none, at most 18 */
	uint8_t sense[18];    /* zeroes behind sense_len */
	uint32_t transferred; /* bytes, at most @len */
};
int storvsc_raw(struct storvsc *s, uint32_t q, struct storvsc_raw *r);

/*
 * Resets LUN @lun, or the bus if it is negative; returns behind the last answer of queue @q.
 * -EOPNOTSUPP: the root refuses.
 */
int storvsc_reset(struct storvsc *s, uint32_t q, int lun);

/* Text of the last failure of queue @q ("LBA out of range (sense 5/21/00)"); never NULL. */
const char *storvsc_last_error(const struct storvsc *s, uint32_t q);
/*
 * Sense to errno, 0 for no sense and recovered errors: LBA out of range and other illegal
 * requests -EINVAL, unknown opcode -EOPNOTSUPP, 7/27/07 -ENOSPC, other write protection
 * -EROFS, no medium -ENOMEDIUM, aborted -ECANCELED, miscompare -EILSEQ, unit attention
 * -EAGAIN, the rest -EIO. Without sense: reservation conflict -EBADE, busy -EBUSY.
 */
int storvsc_sense_errno(uint32_t sense);
/* Sense to words; static storage. */
const char *storvsc_sense_text(uint32_t sense);

struct storvsc_stats {
	uint64_t submitted, completed, errors;
	uint64_t ignored; /* packets of the root that answered nothing we asked */
	uint64_t retried; /* unit attentions and busy answers that were sent again */
	uint64_t signals_sent, signals_suppressed;
	uint64_t sleeps; /* waits that ended up sleeping */
	uint64_t spins;	 /* waits that found something by spinning */
};
void storvsc_stats(const struct storvsc *s, uint32_t q, struct storvsc_stats *out);

#endif
