/* SPDX-License-Identifier: MIT */
/*
 * The network adapter of a guest without manners (evil_guest.h), which has wished for one with
 * EVIL_NIC_QUEUES queues: NVSP and RNDIS from raw memory, nothing checked. What must work fails the
 * test when it does not.
 */
#ifndef HVBUS_TESTS_HOSTILE_EVIL_NIC_H
#define HVBUS_TESTS_HOSTILE_EVIL_NIC_H

#include "base/net/frame.h"
#include "tests/hostile/evil_guest.h"
#include "vmbus/wire/nvsp.h"
#include "vmbus/wire/rndis.h"

/* Guest pages, behind those of evil_guest.h. */
#define EVIL_NIC_RINGS	  640u /* of each channel */
#define EVIL_NIC_RX	  712u
#define EVIL_NIC_RX_PAGES 32u
#define EVIL_NIC_TX	  840u
#define EVIL_NIC_TX_PAGES 48u
#define EVIL_NIC_CONTROL  888u
#define EVIL_NIC_DATA	  896u /* 64 pages of frames */

#define EVIL_NIC_RELID	  2u /* behind the only controller */
#define EVIL_NIC_QUEUES	  4u
#define EVIL_NIC_GPADL	  0xe1e20u /* and one for each further channel */
#define EVIL_NIC_RX_GPADL 0xe1e30u
#define EVIL_NIC_TX_GPADL 0xe1e31u
#define EVIL_NIC_CAPS	  (NVSP_CAP_8021Q | NVSP_CAP_TEAMING | NVSP_CAP_RSC)

struct evil_nic {
	struct evil_guest *g;
	struct evil_guest chan[EVIL_NIC_QUEUES]; /* the same guest with that channel's rings */
	uint32_t channels;			 /* that are open */
	uint32_t rx_size, rx_count;
	uint32_t status; /* of the last answer to rx_buffer or tx_buffer */
	uint8_t mac[NET_MAC_LEN];
	uint32_t frames; /* received */
};

/* A packet of the root. */
struct evil_nic_packet {
	struct vmpkt_desc desc;
	uint32_t len; /* of the payload */
	struct nvsp_message m;
	uint32_t nr_ranges;
	struct vmpkt_xfer_range range; /* the first */
};

enum evil_nic_stage {
	EVIL_NIC_OPEN,
	EVIL_NIC_INIT,	  /* 6.1 agreed */
	EVIL_NIC_CONFIG,  /* NDIS config and version said */
	EVIL_NIC_BUFFERS, /* both */
	EVIL_NIC_RNDIS,	  /* initialised */
	EVIL_NIC_UP,	  /* address known, filter set */
};

/* @g has got to EVIL_OFFERED at least. */
void evil_nic_reach(struct evil_nic *n, struct evil_guest *g, enum evil_nic_stage stage);
/* Doorbells only: the partition is somebody else's. */
void evil_nic_end(struct evil_nic *n);
/* The whole way, a frame to the first of the peers (net_peer.h), and back. */
void evil_nic_works(struct evil_guest *g);

/* ---- NVSP ---------------------------------------------------------------------------- */

/* @words of a message, the rest 0; with an answer asked for. */
void evil_nvsp(struct evil_nic *n, uint32_t ch, uint64_t id, const uint32_t *words, uint32_t nr);
#define EVIL_NVSP(n, id, ...)                                                                      \
	evil_nvsp(n, 0, id, (const uint32_t[]){ __VA_ARGS__ },                                     \
		  sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4)
bool evil_nic_recv(struct evil_nic *n, uint32_t ch, struct evil_nic_packet *p, int ms);
/* The completion of @id, other packets are taken on the way. False: none came within @ms. */
bool evil_nic_answer(struct evil_nic *n, uint32_t ch, uint64_t id, struct nvsp_message *m, int ms);
/* Gives back a packet of the root. */
void evil_nic_done(struct evil_nic *n, uint32_t ch, uint64_t id);
/* Takes and gives back what is there. */
void evil_nic_drain(struct evil_nic *n, uint32_t ch);
/*
 * Until the root has read enough of what a flood, and what was given back in it, left in the ring:
 * a request on top of that would break the ring.
 */
void evil_nic_room(struct evil_nic *n, uint32_t ch);
/* With the pages from @pfn as GPADL @id: the root's status. */
uint32_t evil_nic_rx_buffer(struct evil_nic *n, uint32_t gpadl);
uint32_t evil_nic_tx_buffer(struct evil_nic *n, uint32_t gpadl);
/* GPADL of @n pages from @pfn, on the primary channel. */
uint32_t evil_nic_gpadl(struct evil_nic *n, uint32_t id, uint32_t pfn, uint32_t pages);
/* Asks for @count, opens those that are granted; how many. */
uint32_t evil_nic_subs(struct evil_nic *n, uint32_t count);

/* ---- RNDIS ------------------------------------------------------------------------------ */

/* Any bytes as a control message; nobody waits. */
void evil_rndis_send(struct evil_nic *n, uint64_t id, const void *msg, uint32_t len);
/* The same, and its answer: its bytes, or 0 when none came within @ms. */
uint32_t evil_rndis(struct evil_nic *n, const void *msg, uint32_t len, void *answer, uint32_t room,
		    int ms);
/* SET of four bytes: RNDIS status. */
uint32_t evil_rndis_set(struct evil_nic *n, uint32_t oid, uint32_t value);

/* ---- frames ------------------------------------------------------------------------------ */

/* To peer @to with @type; its length, at least 60. */
uint32_t evil_frame(const struct evil_nic *n, uint8_t *out, uint32_t to, uint16_t type,
		    uint32_t len);
/* An RNDIS PACKET at @out around a frame that is behind it already; its length. */
uint32_t evil_packet(uint8_t *out, uint32_t len, const void *info, uint32_t info_len);
/* What is at EVIL_NIC_DATA goes out from there, @len bytes; 0 of @flags: no completion. */
void evil_nic_data(struct evil_nic *n, uint32_t ch, uint16_t flags, uint64_t id, uint32_t len);
/*
 * As many requests as go, for @ms, each with the @len bytes at EVIL_NIC_DATA; without an answer,
 * and what the root sends is taken, but only given back when @give.
 */
uint64_t evil_nic_flood(struct evil_nic *n, uint32_t ch, uint32_t len, int ms, bool give);
/* A frame to peer @to comes back as it was. */
void evil_nic_ping(struct evil_nic *n, uint32_t to);

#endif
