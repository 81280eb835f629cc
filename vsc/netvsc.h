/* SPDX-License-Identifier: MIT */
/*
 * Synthetic NICs for a child partition (VSC): the library that programs use (spec: netvsc,
 * rndis).
 *
 *   hv_child_connect(&hv, "/run/hvbus.sock", ...)
 *   vmbus_client_connect(&bus, hv, NULL)
 *   netvsc_open(&nic, bus, 0, NULL)
 *   netvsc_up(nic, true)
 *
 * Sending: the caller writes a frame, or has it written by readv(2), straight into memory that
 * the root reads.
 *
 *   struct netvsc_tx tx;
 *   if (netvsc_tx_begin(nic, q, &tx) == 0) {
 *           n = readv(tap, tx.iov, 2);
 *           netvsc_tx_commit(nic, q, &tx, n, &meta);
 *   }
 *   netvsc_tx_flush(nic, q);      once per burst: publishes, signals the root if it sleeps
 *
 * Receiving: frames are looked at where the root has put them and given back after the burst.
 *
 *   n = netvsc_rx(nic, q, rx, 64);
 *   ... writev(tap, rx[i].iov, rx[i].iovcnt) ...
 *   netvsc_rx_done(nic, q);
 *
 * The root is not trusted: every header is copied and checked; what does not fit is counted and
 * dropped, a corrupt ring fails the adapter (-EIO from then on), never the caller. The bytes
 * of a received frame lie in memory that the root can change at any time: who decides on them
 * copies them first.
 *
 * Threads: a queue belongs to one thread, and its VP too. The control calls (open, close, up,
 * mtu, mac) are for one thread at a time, and while they change something no queue may be
 * in use unless said otherwise.
 */
#ifndef HVBUS_VSC_NETVSC_H
#define HVBUS_VSC_NETVSC_H

#include "base/net/frame.h"
#include "vmbus/client.h"

struct netvsc;

#define NETVSC_MAX_QUEUES 16u
#define NETVSC_RX_IOV	  80u /* pieces of one frame; longer ones are dropped and counted */

struct netvsc_config {
	uint32_t queues;      /* wanted; 0 = 1. The root may grant fewer, see netvsc_info() */
	uint32_t mtu;	      /* IP; 0 = 1500 */
	uint32_t max_version; /* NVSP; 0 = 6.1 */
	uint32_t ring_bytes;  /* per direction; 0 = 256 KiB */
	uint32_t rx_bytes;    /* receive buffer; 0 = 8 MiB */
	uint32_t tx_bytes;    /* send buffer; 0 = 1 MiB */
	uint32_t timeout_ms;  /* for each answer; 0 = 10 s */
	bool no_offloads;     /* neither asked for nor sent */
	bool no_rsc;	      /* large frames come in pieces of the MTU */
	bool no_trusted_csum; /* as a stock driver: complete checksums are wanted */
};

/*
 * Finds the @index-th adapter and brings it up to where frames could flow: negotiation, buffers,
 * RNDIS, sub-channels, receive side scaling. Queue i lives on VP i (modulo their number).
 * Errors: -ENODEV (no such adapter), -EPROTO (the root does not keep to the protocol),
 * -EPROTONOSUPPORT (no version in common), -EIO (refused), -ETIMEDOUT, -ECONNRESET, -ENOMEM. A
 * sentence in @why (may be NULL).
 */
int netvsc_open(struct netvsc **out, struct vmbus_client *bus, uint32_t index,
		const struct netvsc_config *cfg, char *why, size_t whylen);
/* HALT, revoke, close, free. Bounded in time whatever the root does. NULL is fine. */
void netvsc_close(struct netvsc *n);

struct netvsc_info {
	uint8_t mac[NET_MAC_LEN];
	uint32_t mtu;	  /* IP, as agreed */
	uint32_t version; /* NVSP */
	uint32_t queues;
	uint64_t speed;	     /* bit/s; 0 = unknown */
	bool csum, tso, rsc; /* may be sent (csum, tso); comes in (rsc) */
	bool trusted_csum;   /* received frames may be NET_CSUM_PARTIAL */
	uint32_t tso_max; /* bytes of the largest frame, says the root; roots take NET_FRAME_MAX */
	char name[64];	  /* the root's name for it */
};
void netvsc_info(const struct netvsc *n, struct netvsc_info *out);
/* Packet filter: directed, multicast and broadcast frames, or nothing. Errors as open. */
int netvsc_up(struct netvsc *n, bool up);
int netvsc_promiscuous(struct netvsc *n, bool on);
/* -EPERM: the root does not allow it. */
int netvsc_set_mac(struct netvsc *n, const uint8_t mac[NET_MAC_LEN]);
/*
 * State of the cable; changes come with netvsc_rx() on queue 0, or netvsc_wait(). Any thread.
 */
bool netvsc_link(const struct netvsc *n);
/* 0, or why the adapter is finished: -EIO, -ECONNRESET, -ENOENT (taken away). Any thread. */
int netvsc_failed(const struct netvsc *n);
const char *netvsc_why(const struct netvsc *n); /* a sentence; "" while all is well */

/* ---- sending ------------------------------------------------------------------------- */

struct netvsc_tx {
	/*
	 * Where the frame goes, in this order: the rest of a send-buffer section, then a buffer
	 * for what does not fit (together at least NET_FRAME_MAX bytes).
	 */
	struct iovec iov[2];
};

/*
 * -EAGAIN: no section or no room in the ring: flush, wait, try again. netvsc_failed(). Otherwise
 * one netvsc_tx_commit() follows; a second begin gives the same memory. At least 320 bytes are
 * in iov[0].
 */
int netvsc_tx_begin(struct netvsc *n, uint32_t q, struct netvsc_tx *tx);
/*
 * Queues the frame of @len bytes (14..NET_FRAME_MAX, not more than the MTU without GSO) that is in
 * tx->iov now. @meta: tag and offloads as in net/frame.h (NULL: none). Frames with partial
 * checksums or GSO are given as frame.h has them: lengths and pseudo header right. A frame that
 * starts up to 16 bytes behind the memory given (its tag was taken out) says so in
 * tx->iov[0]. len 0: nothing is sent. -EINVAL: a frame or metadata that cannot be sent; nothing is
 * sent.
 */
int netvsc_tx_commit(struct netvsc *n, uint32_t q, const struct netvsc_tx *tx, uint32_t len,
		     const struct net_meta *meta);
void netvsc_tx_flush(struct netvsc *n, uint32_t q);
/* Frames handed over that the root has not completed. */
uint32_t netvsc_tx_pending(const struct netvsc *n, uint32_t q);
/* On which queue the root wants frames of the flow with this hash. Any thread. */
uint32_t netvsc_tx_queue(const struct netvsc *n, uint32_t hash);

/* ---- receiving ----------------------------------------------------------------------- */

struct netvsc_rx {
	struct iovec iov[NETVSC_RX_IOV];
	int iovcnt;
	uint32_t len;
	struct net_meta meta; /* tag, hash; csum GOOD, PARTIAL (start and offset to be found by who
				 needs them), UNKNOWN */
	bool large;	      /* longer than the MTU: from the root's large-send path, TCP */
	bool ip4_stale;	      /* the IPv4 header checksum is verified, but not what it should be */
};

/*
 * Frames that are there, without waiting: how many of @max, 0, or netvsc_failed(). Also takes
 * what else came: transmit completions, answers, link changes. Frames stay valid until
 * netvsc_rx_done(), which is due after each call that returned some.
 */
int netvsc_rx(struct netvsc *n, uint32_t q, struct netvsc_rx *out, int max);
/* Gives the frames back to the root and publishes that. */
void netvsc_rx_done(struct netvsc *n, uint32_t q);

/* ---- waiting --------------------------------------------------------------------------- */

/*
 * About to sleep: flushes, asks the root for signals, looks once more. False: there is something
 * after all. Either way netvsc_disarm() follows before anything else.
 */
bool netvsc_arm(struct netvsc *n, uint32_t q);
/* Awake: no signals needed until the next arm. Takes the interrupt. */
void netvsc_disarm(struct netvsc *n, uint32_t q);
/* Readable when queue @q's VP is interrupted, after netvsc_arm(): for poll(2) beside other fds. */
int netvsc_fd(struct netvsc *n, uint32_t q);
/*
 * The same without the VP, which is to be armed once although several devices of the bus have their
 * channels on it: first these for all of them, and if all say true, vmbus_client_arm(), poll,
 * vmbus_client_disarm(); then the other for all of them.
 */
bool netvsc_arm_ring(struct netvsc *n, uint32_t q);
void netvsc_disarm_ring(struct netvsc *n, uint32_t q);
/* Arms, sleeps, disarms. 1 something came, 0 time out, or netvsc_failed(). */
int netvsc_wait(struct netvsc *n, uint32_t q, uint64_t timeout_ns);

struct netvsc_stats {
	uint64_t tx_frames, tx_bytes, tx_requests, tx_failed; /* failed: the root said so */
	uint64_t tx_large, tx_full;			      /* full: begin() found no room */
	uint64_t rx_frames, rx_bytes, rx_packets, rx_fragments;
	uint64_t rx_bad;  /* frames dropped: what the root wrote makes no sense */
	uint64_t ignored; /* packets that answered nothing */
	uint64_t signals_sent, signals_suppressed, sleeps;
};
void netvsc_stats(const struct netvsc *n, uint32_t q, struct netvsc_stats *out);

#endif
