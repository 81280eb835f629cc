/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of the network adapter; nobody else includes it.
 *
 * towards the guest's driver          frames
 *   netvsp.c     device, life             net_tx.c    requests of the guest become frames
 *   nvsp.c       negotiation, its table   net_rx.c    the switch's deliver(): frames for it
 *   net_rndis.c  control messages         rxbuf.c     sub-allocations of the receive buffer
 *   net_oid.c    what can be queried      net_steer.c receive side scaling
 *   net_offload.c  checksums, large frames
 *
 *   net_chan.c   a channel's drain: who gets which packet
 *
 * Everything runs on one thread (netvsp.h).
 */
#ifndef HVBUS_VSP_NETVSP_NET_PRIV_H
#define HVBUS_VSP_NETVSP_NET_PRIV_H

#include "base/loop.h"
#include "base/net/toeplitz.h"
#include "vmbus/wire/nvsp.h"
#include "vmbus/wire/rndis_data.h"
#include "vsp/netvsp/netvsp.h"
#include "vsp/netvsp/rxbuf.h"

#define NET_CONTROL_QUEUE (100u << 10) /* bytes of control messages that wait; then cut off */
#define NET_DRAIN_PACKETS 64u	       /* of one drain */
#define NET_DRAIN_BYTES	  (256u << 10)
#define NET_MAX_RANGES	  64u	       /* pieces of one request */
#define NET_MAX_FRAMES	  128u	       /* of one request */
#define NET_MAX_REQUEST	  (128u << 10) /* bytes of one request, all frames together */

/* NVSP negotiation (spec: netvsc, section 4). The table is in nvsp.c. */
enum net_state {
	NET_CLOSED,	 /* the primary channel is */
	NET_INIT,	 /* waits for INIT */
	NET_CONFIG,	 /* version agreed: NDIS config and version, buffers */
	NET_READY,	 /* all but the send buffer, which is optional, is there: RNDIS may begin */
	NET_OPERATIONAL, /* RNDIS initialised */
	NET_HALTED,	 /* RNDIS was halted; may begin again */
	NET_REVOKED,	 /* a buffer was taken away: drain and wait for the close */
	NET_FAILED,	 /* broke the protocol: drain, answer nothing, wait for the close */
};

/* Offload settings in force, as bits of what may be done towards this guest. */
struct net_offload {
	bool rx_ip4, rx_tcp4, rx_udp4, rx_tcp6, rx_udp6; /* checksums may be said to be good */
	bool tx_ip4, tx_tcp4, tx_udp4, tx_tcp6, tx_udp6; /* for answers to queries only */
	bool lso4, lso6, rsc4, rsc6;
};

struct net_rss {
	bool enabled;
	uint32_t types;			/* NET_HASH_* */
	uint32_t entries;		/* of the table, a power of two */
	uint16_t table[NDIS_RSS_TABLE]; /* channel */
	uint8_t key[NET_RSS_KEY];
	struct net_toeplitz hash;
};

/*
 * A request whose frames are being sent. It is held while the port may not send, and from one drain
 * to the next when its frames are more than one may send (net_tx.c).
 */
struct net_request {
	bool held;
	struct vmpkt pkt;    /* in the channel's copy: nothing is received meanwhile */
	struct nvsp_rndis r; /* private */
	uint32_t at;	     /* byte of the next message */
	uint32_t frames;     /* so far */
};

/* An answer that the ring has no room for. */
struct net_owed {
	bool is;
	uint64_t id;
	uint32_t len;
	struct nvsp_message m;
};

/* One open channel. */
struct net_chan {
	struct netvsp *n;
	struct vmbus_chan *chan;
	uint16_t sub; /* 0 = primary */
	bool open;

	/* net_rx.c, towards the guest: the batch that is being made */
	uint32_t nr_ranges;
	uint32_t generation; /* of the receive buffer that the ranges are in */
	uint16_t first;	     /* sub-allocation of the first range: the transaction id */
	uint16_t last;	     /* and of the last one */
	uint16_t max_ranges; /* that the ring has room for */

	/* net_tx.c, net_chan.c */
	uint32_t budget; /* bytes on the wire that this drain may still send */
	struct net_request request;
	struct net_owed owed;
	struct loop_timer timer; /* until the port may send again */

	struct vmpkt_xfer_range range[NVSP_RX_RANGES_RSC];
};

struct net_tx_buffer {
	struct vmbus_buffer *buf; /* NULL = none */
	uint16_t id;
	uint32_t sections;
};

struct netvsp {
	struct netvsp_config cfg; /* names point to own memory */
	char name[16], port_name[VSW_NAME], friendly[256];
	struct vmbus_bus *bus;
	struct vmbus_device *dev;
	struct loop *loop;
	struct vsw *sw;
	struct vsw_port *port; /* NULL once destroyed */
	void (*gone)(void *ctx);
	void *gone_ctx;

	/* nvsp.c */
	enum net_state state;
	const char *failed;
	uint32_t version;
	uint32_t size; /* of NVSP messages: 28 or 40 */
	uint32_t mtu;  /* IP */
	uint64_t caps; /* the guest's NVSP_CAP_* */
	bool got_config, got_version;
	uint32_t ndis_major, ndis_minor;
	uint16_t granted; /* sub-channels */
	/* For net_rndis_push(): sub-channels to offer, send table and data path to say. */
	bool offer_due, table_due, path_due;
	bool table_sent;
	struct net_chan chan[NETVSP_MAX_QUEUES];
	uint16_t nr_open;

	/* buffers */
	struct net_tx_buffer tx;
	struct rxbuf rx;
	uint32_t longest;    /* bytes of a received frame that is not a large one */
	uint32_t touched;    /* net_rx.c: channels with a batch, as bits */
	uint16_t rsc_packet; /* number of the last coalesced frame */

	/* net_rndis.c */
	uint32_t filter; /* RNDIS_FILTER_*; 0 = nothing is delivered */
	struct net_offload offload;
	bool offload_changed; /* the guest is to be told */
	bool link;	      /* what the guest knows */
	uint64_t speed;
	uint32_t multicast; /* addresses in the list; for queries */
	uint8_t multicast_list[32][NET_MAC_LEN];
	uint8_t mac[NET_MAC_LEN]; /* in use */
	/* Control messages that wait for a sub-allocation or for room in the ring. */
	struct net_control *control_first, *control_last;
	uint32_t control_bytes;
	/* Sub-allocations 0..NVSP_RX_CONTROL-1 that are free, as bits; all when the buffer comes.
	 */
	uint32_t control_free;

	/* net_steer.c */
	struct net_rss rss;

	struct netvsp_stats count; /* the counters in it */
};

/* ---- nvsp.c --------------------------------------------------------------------- */

/* Requests of the guest are served: SEND_RNDIS_PACKET may go to net_tx_request() directly. */
static inline bool nvsp_serving(const struct netvsp *n)
{
	return n->state >= NET_READY && n->state <= NET_HALTED;
}
/*
 * A message of the guest, in-band or GPA-direct, of any type and length, in any state; no
 * completion packets. SEND_RNDIS_PACKET ends up in net_tx_request() when it may.
 */
void nvsp_message(struct net_chan *c, const struct vmpkt *pkt);
/*
 * The guest broke the protocol: from now on nothing of it is processed. @why: static text. The
 * buffers stay mapped until the guest closes or tears them down; nothing is written any more.
 */
void nvsp_fail(struct netvsp *n, const char *why);
/* The channel was opened, or is closed: state, implied revokes. */
void nvsp_opened(struct net_chan *c);
void nvsp_closed(struct net_chan *c);
/*
 * Both buffers are let go of: nobody reads or writes them from here on. Batches that are being
 * made (net_chan.range) are forgotten, control_free is 0. Never from inside of net_tx_request().
 */
void nvsp_revoke(struct netvsp *n);
/* NVSP's part of net_rndis_push(). */
bool nvsp_push(struct netvsp *n);

/* ---- net_rndis.c ------------------------------------------------------------------ */

/*
 * A control message: a private copy. NVSP_STATUS_* for its NVSP completion. Only while
 * nvsp_serving(). Answers are queued or sent (net_rx_control()) from inside.
 */
uint32_t net_rndis_control(struct netvsp *n, const uint8_t *msg, uint32_t len);
/*
 * Sends what waits, as far as there is room. True: some went out. To be called from each drain of
 * the primary channel, after what came was looked at; costs nothing when nothing waits.
 */
bool net_rndis_push(struct netvsp *n);
/* Everything a HALT, a revoke or a close ends: filter, offloads, scaling, what waits. */
void net_rndis_reset(struct netvsp *n);
void net_rndis_indicate(struct netvsp *n, uint32_t status, const void *info, uint32_t len);
/* struct vsw_port_ops.changed: the link may have; the guest is told if it is to know. */
void net_rndis_changed(void *ctx);

/* ---- net_offload.c ----------------------------------------------------------------- */

/*
 * What the adapter may do for the guest changed: tells the switch port (VSW_CAN_*).
 *
 *   always                                  CSUM
 *   guest has bit 3                         VLAN: otherwise tags arrive in the frame
 *   guest has bit 7 and switched RSC on     TSO4, TSO6
 *
 * Partial checksums are completed by deliver() while it copies, but for guests with bit 63 and
 * checksum offload: a stock guest never sees a wrong one.
 */
void net_offload_caps(struct netvsp *n);
/* Nothing asked for yet: all that is possible but receive coalescing. */
void net_offload_reset(struct netvsp *n);
/* NDIS objects: what is possible, what is in force. RNDIS status, as net_oid_query(). */
uint32_t net_offload_query(struct netvsp *n, bool current, const uint8_t *in, uint32_t in_len,
			   uint8_t *out, uint32_t *len);
uint32_t net_offload_set(struct netvsp *n, const uint8_t *in, uint32_t in_len);
/* RNDIS config parameter "*TCPChecksumOffloadIPv4" and the like. False: not one of them. */
bool net_offload_keyword(struct netvsp *n, const char *name, uint64_t value, uint32_t *status);

/* ---- net_oid.c ----------------------------------------------------------------------- */

/* RNDIS status; what to answer in @out (room for RNDIS_CONTROL_MAX bytes), its length in *@len. */
uint32_t net_oid_query(struct netvsp *n, uint32_t oid, const uint8_t *in, uint32_t in_len,
		       uint8_t *out, uint32_t *len);
uint32_t net_oid_set(struct netvsp *n, uint32_t oid, const uint8_t *in, uint32_t in_len);

/* ---- net_steer.c ------------------------------------------------------------------------ */

uint32_t net_rss_set(struct netvsp *n, const uint8_t *in, uint32_t len); /* RNDIS status */
void net_rss_reset(struct netvsp *n);
/* The channel for @f, open for sure, and its hash if there is one. */
struct net_chan *net_steer(struct netvsp *n, const struct net_frame *f, uint32_t *hash,
			   bool *hashed);

/* ---- net_tx.c --------------------------------------------------------------------------- */

/*
 * SEND_RNDIS_PACKET, data or control, in any of its forms: completed exactly once, sooner or (held,
 * c->request) later. Frames before a broken one have been sent when the request fails.
 */
void net_tx_request(struct net_chan *c, const struct vmpkt *pkt, const struct nvsp_rndis *r);
/* Goes on with the request that is held. False: it still is. */
bool net_tx_resume(struct net_chan *c);
/*
 * An NVSP completion for @id, padded to n->size (@len 0: an empty one). Kept when the ring has no
 * room: drains take no request until it has gone. One per packet received, at most.
 */
void net_complete(struct net_chan *c, uint64_t id, const struct nvsp_message *m, uint32_t len);
/* Sends what was kept. False: there is still no room; the guest will signal. */
bool net_complete_owed(struct net_chan *c);

/* ---- net_rx.c --------------------------------------------------------------------------- */

extern const struct vsw_port_ops net_port_ops; /* ctx: struct netvsp */
/* A completion packet of the guest: sub-allocations come back. */
void net_rx_completed(struct net_chan *c, const struct vmpkt *pkt);
/*
 * One control message into a control sub-allocation and out on the primary channel. -EAGAIN: none
 * free, or no room in the ring: the next drain may try again. -EMSGSIZE: longer than a
 * sub-allocation, or no receive buffer.
 */
int net_rx_control(struct netvsp *n, const void *msg, uint32_t len);
/* The batch of @c goes out. False: no room in the ring; it is kept, and the guest will signal. */
bool net_rx_emit(struct net_chan *c);

/* ---- net_chan.c ------------------------------------------------------------------------- */

/*
 * A channel begins or ends: to be called with n, sub and chan set, before the first drain, and from
 * close, before vmbus_device_closed() and before @c is used for anything else. Ends what is held,
 * owed, batched or out on the channel.
 */
void net_chan_opened(struct net_chan *c);
void net_chan_closed(struct net_chan *c);
/* True: there was something to do. */
bool net_chan_drain(struct net_chan *c);
/* Both sides have read all that the other wrote, and nothing waits to be written. */
bool net_chan_idle(const struct net_chan *c);

#endif
