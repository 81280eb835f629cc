/* SPDX-License-Identifier: MIT */
/*
 * The guest's side of NVSP and RNDIS, as a stock guest speaks it or wrongly on purpose, over the
 * channels of a fake_bus (spec: netvsc, sections 3, 4, 14; rndis, section 8). In small steps: a
 * test takes those it needs. Failures that a test did not ask for abort it with a line of text.
 */
#ifndef HVBUS_TESTS_FAKE_MOCK_NET_GUEST_H
#define HVBUS_TESTS_FAKE_MOCK_NET_GUEST_H

#include "tests/fake/fake_bus.h"
#include "vmbus/wire/nvsp.h"
#include "vmbus/wire/rndis.h"

#define MOCK_NET_NO_ID	   0xfffffffffffffffdull /* what Linux uses when it wants no answer */
#define MOCK_NET_CAPS	   0xacull /* SR-IOV, 802.1Q, teaming, RSC: Linux, version 6.1 */
#define MOCK_NET_STASH	   128u
#define MOCK_NET_RING	   32u	/* pages of each ring */
#define MOCK_NET_RX_PAGES  512u /* of the buffers, unless told otherwise */
#define MOCK_NET_TX_PAGES  48u
#define MOCK_NET_DATA_SIZE (128u << 10) /* of guest memory that frames are sent from */

/* A packet of the host. */
struct mock_net_packet {
	uint16_t type, flags, set;
	uint64_t id;
	uint32_t len; /* of the payload, as on the ring */
	uint8_t payload[128];
	uint32_t nr_ranges;
	struct vmpkt_xfer_range range[NVSP_RX_RANGES_RSC];
};

struct mock_net_guest {
	struct vmbus_bus *bus;
	uint32_t dev;
	struct vmbus_chan *chan[FAKE_BUS_SUBS];
	uint32_t version;
	uint32_t request_len; /* bytes of NVSP messages; 40 as Linux sends them */
	uint64_t next_id;
	uint32_t next_request; /* RNDIS */

	uint64_t rx_gpa, tx_gpa, control_gpa, data_gpa;
	uint32_t rx_gpadl, tx_gpadl, rx_pages, tx_pages;
	uint32_t rx_size, rx_count, tx_size; /* as the host said; 0 = refused */

	/* Packets that came while something else was waited for, in order, with their channel. */
	struct mock_net_packet *stash;
	uint16_t stash_sub[MOCK_NET_STASH];
	uint32_t stashed;

	/* RNDIS indications that came, the last one's status and information. */
	uint32_t indications, status, info_len;
	uint8_t info[256];
};

/* ---- life ---------------------------------------------------------------------------- */

/* Opens the primary channel of device @dev. To be ended with mock_net_free(). */
void mock_net_open(struct mock_net_guest *g, struct vmbus_bus *bus, uint32_t dev);
/* Opens it again after a close; buffers and version are forgotten. */
void mock_net_reopen(struct mock_net_guest *g);
/* Memory only. */
void mock_net_free(struct mock_net_guest *g);

/* INIT: accepted? */
bool mock_net_init(struct mock_net_guest *g, uint32_t version);
/* SEND_NDIS_CONFIG (version 2 and later; @mtu of IP) and SEND_NDIS_VERSION, as Linux sends them. */
void mock_net_config(struct mock_net_guest *g, uint32_t mtu, uint64_t caps);
/* Makes a GPADL of new memory and offers it: NVSP_STATUS_*. */
uint32_t mock_net_rx_buffer(struct mock_net_guest *g, uint32_t pages);
uint32_t mock_net_tx_buffer(struct mock_net_guest *g, uint32_t pages);
/* All of the above. */
void mock_net_negotiate(struct mock_net_guest *g, uint32_t version, uint32_t mtu, uint64_t caps);
/* RNDIS INITIALIZE. */
void mock_net_initialize(struct mock_net_guest *g);
/* Everything: open, 6.1, MTU 1500, MOCK_NET_CAPS, packet filter 0x0d. */
void mock_net_start(struct mock_net_guest *g, struct vmbus_bus *bus);
/* Asks for @n sub-channels and opens those granted, which it returns. */
uint32_t mock_net_subchannels(struct mock_net_guest *g, uint32_t n);

/* ---- NVSP ------------------------------------------------------------------------------ */

/* Any bytes, in-band. */
void mock_net_send_raw(struct mock_net_guest *g, uint16_t sub, uint16_t flags, uint64_t id,
		       const void *bytes, uint32_t len);
/* A message of @g->request_len bytes; its id. */
uint64_t mock_net_send(struct mock_net_guest *g, uint16_t sub, bool completion,
		       const struct nvsp_message *m);
/* The next packet of the host on @sub, without letting it run. False: none. */
bool mock_net_poll(struct mock_net_guest *g, uint16_t sub, struct mock_net_packet *p);
/* Flushes, lets the host run until it is idle. */
void mock_net_run(struct mock_net_guest *g);
/* Both: stashed packets first. */
bool mock_net_recv(struct mock_net_guest *g, uint16_t sub, struct mock_net_packet *p);
/* Sends with completion requested and waits for it: the payload in *@answer, its length. */
uint32_t mock_net_call(struct mock_net_guest *g, const struct nvsp_message *m,
		       struct nvsp_message *answer);
/* Descriptor, ranges and payload as they were in the ring; the length. Room for @max bytes. */
uint32_t mock_net_bytes(const struct mock_net_packet *p, uint8_t *out, uint32_t max);

/* ---- RNDIS control --------------------------------------------------------------------- */

/* Sends a control message from guest memory and returns its transaction id. */
uint64_t mock_net_control_send(struct mock_net_guest *g, uint16_t sub, const void *msg,
			       uint32_t len);
/*
 * Sends, waits for the NVSP completion (its status is returned) and for the answer, which is
 * copied to @answer (room for RNDIS_CONTROL_MAX bytes) and *@answer_len; 0 = none came.
 */
uint32_t mock_net_control(struct mock_net_guest *g, const void *msg, uint32_t len, void *answer,
			  uint32_t *answer_len);
/* RNDIS status. @out: room for RNDIS_CONTROL_MAX bytes. */
uint32_t mock_net_query(struct mock_net_guest *g, uint32_t oid, const void *in, uint32_t in_len,
			void *out, uint32_t *out_len);
uint32_t mock_net_query_u32(struct mock_net_guest *g, uint32_t oid); /* has to succeed */
uint32_t mock_net_set(struct mock_net_guest *g, uint32_t oid, const void *in, uint32_t len);
uint32_t mock_net_filter(struct mock_net_guest *g, uint32_t filter);

/* ---- frames ------------------------------------------------------------------------------ */

/*
 * An RNDIS PACKET message at @out: header, @ppi (whole elements, may be NULL), frame. Its
 * length, padded to a multiple of 8 when @pad.
 */
uint32_t mock_net_packet(uint8_t *out, const void *frame, uint32_t len, const void *ppi,
			 uint32_t ppi_len, bool pad);
/* @len bytes from @msg through send-buffer section @section; the transaction id, 0 = ring full. */
uint64_t mock_net_send_section(struct mock_net_guest *g, uint16_t sub, uint32_t section,
			       const void *msg, uint32_t len);
/* @len bytes from @msg in @pieces ranges of guest memory (cut evenly); @section as in the wire. */
uint64_t mock_net_send_direct(struct mock_net_guest *g, uint16_t sub, const void *msg, uint32_t len,
			      uint32_t pieces, uint32_t section, uint32_t section_size);
/* One frame through section 0, waits for the completion: NVSP_STATUS_*. */
uint32_t mock_net_frame(struct mock_net_guest *g, uint16_t sub, const void *frame, uint32_t len);

/* A range of a transfer-pages packet, where it lies in the receive buffer. */
uint8_t *mock_net_range(struct mock_net_guest *g, const struct mock_net_packet *p, uint32_t i);
/* The guest is done with a transfer-pages packet. */
void mock_net_complete(struct mock_net_guest *g, uint16_t sub, uint64_t id, uint32_t status);
/*
 * The next data packet on @sub that is there or comes: every range is checked (bounds, one
 * message, lengths). False: none. Not completed.
 */
bool mock_net_recv_data(struct mock_net_guest *g, uint16_t sub, struct mock_net_packet *p);
/* The frame in range @i of it: its bytes, and its length in *@len. */
const uint8_t *mock_net_frame_at(struct mock_net_guest *g, const struct mock_net_packet *p,
				 uint32_t i, uint32_t *len);
/* Its element of @type (RNDIS_INFO_*); false: it has none. */
bool mock_net_info_at(struct mock_net_guest *g, const struct mock_net_packet *p, uint32_t i,
		      uint32_t type, uint32_t *value);

#endif
