/* SPDX-License-Identifier: MIT */
/*
 * The synthetic network adapter (VSP): NVSP 1 to 6.1 and RNDIS towards one guest, a port of a
 * virtual switch on the other side (spec: netvsc, rndis). One struct netvsp is one adapter of one
 * partition.
 *
 * Threads: create, destroy, and everything below on the bus's loop, which is the switch's. All
 * channels of the adapter run there too.
 */
#ifndef HVBUS_VSP_NETVSP_NETVSP_H
#define HVBUS_VSP_NETVSP_NETVSP_H

#include "vmbus/device.h"
#include "vsp/netvsp/vswitch.h"

struct netvsp;

#define NETVSP_MAX_QUEUES 16u
#define NETVSP_MAX_MTU	  65535u /* IP */
#define NETVSP_SPEED	  10000000000ull

struct netvsp_config {
	struct guid instance;
	const char *name; /* "nic0", of the device; also of the switch's port unless port_name */
	const char *port_name; /* unique in the switch; NULL = "pPARTITION.name" */
	const char *friendly;  /* what Windows and Linux show (alias); NULL = "Network Adapter" */
	uint8_t mac[NET_MAC_LEN];
	uint16_t max_queues;  /* channels; 0 = as many as VPs, at most 8 */
	uint32_t max_mtu;     /* IP; 0 = 9000. What the guest wishes for is clamped to it */
	uint32_t max_version; /* NVSP; 0 = 6.1 */
	uint64_t speed;	      /* bit/s, for show; 0 = NETVSP_SPEED */
	bool no_offloads;     /* nothing is offered to the guest: as an old host */
	struct vsw_policy policy;
	struct loop *loop; /* the switch's: all channels run there. Not NULL */
};

/*
 * Offers the adapter and connects it to @sw (borrowed, outlives it).
 * Errors: as vmbus_device_offer() and vsw_port_add(), with a sentence in @why (may be NULL).
 */
int netvsp_create(struct netvsp **out, struct vmbus_bus *bus, struct vsw *sw,
		  const struct netvsp_config *cfg, char *why, size_t whylen);
/*
 * Disconnects from the switch at once and revokes the device; @gone(ctx) when nothing of it is in
 * use any more and it is freed.
 */
void netvsp_destroy(struct netvsp *n, void (*gone)(void *ctx), void *ctx);

/* The cable: the guest is told by an RNDIS indication; frames are dropped while it is out. */
void netvsp_set_link(struct netvsp *n, bool up);
/* LINK_SPEED_CHANGE, if the guest can be told; otherwise it sees it at its next query. */
void netvsp_set_speed(struct netvsp *n, uint64_t bps);
/* NETWORK_CHANGE: the guest is to look for its addresses again. */
void netvsp_network_change(struct netvsp *n);

/*
 * At this moment nothing is on its way between the adapter and its guest: both have read all that
 * the other wrote, every request is answered, every place in the receive buffer is given back, a
 * guest that looks at its cable knows how it is, and a driver that began has come to an end with
 * it.
 */
bool netvsp_idle(const struct netvsp *n);

/* NULL while there is no port: after netvsp_destroy(). */
struct vsw_port *netvsp_port(const struct netvsp *n);

struct netvsp_stats {
	/* "closed", "init", "config", "ready", "operational", "halted", "revoked", "failed" */
	const char *state;
	const char *failed; /* why, when it is, or NULL */
	uint32_t version;   /* NVSP: 0 or e.g. 0x60001 */
	uint32_t mtu;	    /* IP, negotiated */
	uint16_t channels, max_queues;
	uint32_t filter; /* packet filter, as RNDIS */
	bool link, rsc, rss;
	/* Of the buffers; rx_usable: all but those that are kept for control messages. */
	uint32_t rx_sections, rx_usable, rx_free, tx_sections;
	uint64_t speed;				      /* bit/s, as the guest is told */
	uint64_t tx_requests, tx_frames, tx_rejected; /* rejected: completed with a failure */
	uint64_t tx_dropped; /* frames taken while the guest's own filter was not set yet */
	uint64_t rx_packets, rx_frames, rx_fragments;
	uint64_t control, control_rejected, oids_unknown;
	uint64_t ignored; /* messages and completions that made no sense */
};
void netvsp_stats(const struct netvsp *n, struct netvsp_stats *out);

#endif
