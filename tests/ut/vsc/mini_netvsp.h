/* SPDX-License-Identifier: MIT */
/*
 * A small network provider for the client's tests: answers what a bring-up asks, from inside the
 * client's waits, and keeps what came. Hooks see every message first and may answer it wrongly,
 * late, or not at all. Frames that arrive are collected; mini_deliver() sends some the other way.
 */
#ifndef HVBUS_TESTS_UT_VSC_MINI_NETVSP_H
#define HVBUS_TESTS_UT_VSC_MINI_NETVSP_H

#include <check.h>
#include <stdlib.h>

#include "base/iov.h"
#include "tests/fake/fake_child.h"
#include "vmbus/wire/vmbus_msg.h"
#include "vsc/netvsc_priv.h"

#define NMINI_SECTION 6144u
#define NMINI_LOG     64
#define NMINI_RAW     (80u << 10) /* bytes of a request */

struct nmini_request { /* of the client, data */
	uint64_t id;
	uint16_t type;
	uint32_t channel, section, used, ranges, len;
	uint8_t *bytes;
};

struct nmini {
	struct vmbus_client *bus;
	/* True: the hook has dealt with the message. */
	bool (*nvsp)(struct nmini *v, const struct vmpkt *pkt, const struct nvsp_message *m);
	bool (*rndis)(struct nmini *v, const uint8_t *msg, uint32_t len);
	uint32_t version, mtu, subs, max_packets, section, table_entries;
	uint8_t mac[6];
	bool no_csum, no_lso, no_rsc, cable_out, mute; /* mute: completes no data */
	uint64_t rx_gpa, tx_gpa;
	uint32_t rx_bytes, suballoc, next_sub, max_transfer;
	struct nvsp_message log[NMINI_LOG]; /* in-band messages but data */
	uint16_t log_flags[NMINI_LOG];
	uint64_t log_id[NMINI_LOG];
	uint32_t n_log;
	uint8_t control[NMINI_LOG][1024]; /* RNDIS control messages */
	uint32_t control_len[NMINI_LOG], n_control;
	struct nmini_request data[NMINI_LOG];
	uint32_t n_data;
	struct {
		uint32_t channel;
		uint64_t id;
		uint32_t status, len;
	} back[256]; /* packets given back */
	uint32_t n_back;
};

static inline uint8_t *nmini_mem(struct nmini *v, uint64_t gpa)
{
	return hv_gpa_ptr(fake_client_gpa(v->bus), gpa, 1);
}

static inline struct vmbus_chan *nmini_chan(struct nmini *v, uint32_t sub)
{
	return fake_client_host(v->bus, (uint16_t)sub);
}

static inline void nmini_complete(struct nmini *v, uint32_t sub, uint64_t id,
				  const struct nvsp_message *m)
{
	ck_assert_int_eq(vmbus_chan_send_completion(nmini_chan(v, sub), id, m, NVSP_SIZE), 0);
}

/* ---- towards the client ------------------------------------------------------------------- */

/* Where sub-allocation @i is. */
static inline uint8_t *nmini_sub(struct nmini *v, uint32_t i)
{
	return nmini_mem(v, v->rx_gpa + (uint64_t)i * v->suballoc);
}

static inline void nmini_ranges(struct nmini *v, uint32_t sub, uint64_t id, uint32_t channel_type,
				const struct vmpkt_xfer_range *r, uint32_t n)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET,
				  .rndis = { channel_type, NVSP_NO_SECTION, 0 } };

	ck_assert_int_eq(vmbus_chan_send_xfer_pages(nmini_chan(v, sub),
						    VMPKT_FLAG_COMPLETION_REQUESTED, id,
						    NVSP_RX_BUFFER_ID, r, n, &m, NVSP_SIZE),
			 0);
	vmbus_chan_flush(nmini_chan(v, sub));
}

/* A control message in sub-allocation 0. */
static inline void nmini_say(struct nmini *v, const void *msg, uint32_t len)
{
	struct vmpkt_xfer_range r = { len, 0 };

	memcpy(nmini_sub(v, 0), msg, len);
	nmini_ranges(v, 0, 0, NVSP_CONTROL, &r, 1);
}

/* What goes with a frame. */
struct nmini_info {
	bool csum, vlan, hash, fragment;
	uint32_t csum_v, vlan_v, hash_v, fragment_v;
};

/* Writes a message with @len bytes of frame into sub-allocation @i; its range. */
static inline struct vmpkt_xfer_range nmini_put(struct nmini *v, uint32_t i, const void *frame,
						uint32_t len, const struct nmini_info *info)
{
	struct rndis_packet p = { .type = RNDIS_PACKET,
				  .length = NVSP_RX_HEADROOM + len,
				  .data_offset = NVSP_RX_HEADROOM - 8,
				  .data_length = len };
	struct rndis_info_u32 e[4];
	uint32_t k = 0;

#define NMINI_ELEMENT(flag, type, value)                                                           \
	if (info && info->flag)                                                                    \
	e[k++] = (struct rndis_info_u32){ { 16, (uint32_t)(type), 12 }, info->value }
	NMINI_ELEMENT(fragment, RNDIS_INFO_FRAGMENT, fragment_v);
	NMINI_ELEMENT(csum, RNDIS_INFO_CSUM, csum_v);
	NMINI_ELEMENT(vlan, RNDIS_INFO_8021Q, vlan_v);
	NMINI_ELEMENT(hash, RNDIS_INFO_HASH, hash_v);
	if (k) {
		p.info_offset = sizeof(p) - 8;
		p.info_length = k * 16;
	}
	memcpy(nmini_sub(v, i), &p, sizeof(p));
	memcpy(nmini_sub(v, i) + sizeof(p), e, k * 16);
	memcpy(nmini_sub(v, i) + NVSP_RX_HEADROOM, frame, len);
	return (struct vmpkt_xfer_range){ NVSP_RX_HEADROOM + len, i * v->suballoc };
}

/* One frame in a packet of its own. */
static inline void nmini_deliver(struct nmini *v, uint32_t sub, const void *frame, uint32_t len,
				 const struct nmini_info *info)
{
	uint32_t i = 16 + v->next_sub++ % 16;
	struct vmpkt_xfer_range r = nmini_put(v, i, frame, len, info);

	nmini_ranges(v, sub, i, NVSP_DATA, &r, 1);
}

/* ---- RNDIS ---------------------------------------------------------------------------------- */

static inline void nmini_offload(const struct nmini *v, struct ndis_offload *o)
{
	uint32_t lso = v->no_lso ? 0 : 2;

	*o = (struct ndis_offload){ .header = { NDIS_OBJECT_OFFLOAD, 3, sizeof(*o) } };
	if (!v->no_csum) {
		o->csum4 = (struct ndis_csum_offload){ 2, NDIS_CSUM4_ALL, 2, NDIS_CSUM4_ALL };
		o->csum6 = (struct ndis_csum_offload){ 2, NDIS_CSUM6_ALL, 2, NDIS_CSUM6_ALL };
	}
	o->lso4 = (struct ndis_lso){ lso, NDIS_LSO_MAX, 2 };
	o->lso6 = (struct ndis_lso){ lso, NDIS_LSO_MAX, 2 };
	o->lso6_flags = NDIS_LSO6_ALL;
	o->rsc4 = o->rsc6 = !v->no_rsc;
}

/* Bytes of the answer to a query, or -1: not supported. */
static inline int nmini_oid(const struct nmini *v, uint32_t oid, uint8_t *out)
{
	struct ndis_rss_capabilities rss = { { NDIS_OBJECT_RSS_CAPABILITIES, 2, sizeof(rss) },
					     NDIS_RSS_CAPS,
					     1,
					     v->subs + 1,
					     (uint16_t)v->table_entries };
	struct ndis_offload offload;
	uint32_t value;

	switch (oid) {
	case OID_GEN_MAXIMUM_FRAME_SIZE:
		value = v->mtu;
		break;
	case OID_GEN_LINK_SPEED:
		value = 100000000;
		break;
	case OID_GEN_MEDIA_CONNECT_STATUS:
		value = v->cable_out;
		break;
	case OID_802_3_PERMANENT_ADDRESS:
		memcpy(out, v->mac, 6);
		return 6;
	case OID_GEN_FRIENDLY_NAME:
		memset(out, 0, 512);
		memcpy(out, "l\0a\0n\0", 6);
		return 512;
	case OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES:
		nmini_offload(v, &offload);
		memcpy(out, &offload, sizeof(offload));
		return sizeof(offload);
	case OID_GEN_RECEIVE_SCALE_CAPABILITIES:
		memcpy(out, &rss, sizeof(rss));
		return sizeof(rss);
	default:
		return -1;
	}
	memcpy(out, &value, 4);
	return 4;
}

static inline void nmini_answer_query(struct nmini *v, const uint8_t *msg)
{
	struct {
		struct rndis_query_complete q;
		uint8_t data[600];
	} a = { .q = { .type = RNDIS_QUERY | RNDIS_COMPLETION, .info_offset = 16 } };
	struct rndis_query q;
	int n;

	memcpy(&q, msg, sizeof(q));
	a.q.request = q.request;
	n = nmini_oid(v, q.oid, a.data);
	if (n < 0)
		a.q.status = RNDIS_STATUS_NOT_SUPPORTED;
	a.q.info_length = n < 0 ? 0 : (uint32_t)n;
	if (q.oid == OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES && q.info_length < a.q.info_length)
		a.q.info_length = ((struct ndis_object *)(void *)a.data)->size =
			(uint16_t)q.info_length;
	a.q.length = (uint32_t)sizeof(a.q) + a.q.info_length;
	nmini_say(v, &a, a.q.length);
}

static inline void nmini_rndis(struct nmini *v, const uint8_t *msg, uint32_t len)
{
	struct rndis_request r;
	struct rndis_initialize_complete init = { RNDIS_INITIALIZE | RNDIS_COMPLETION,
						  52,
						  0,
						  0,
						  1,
						  0,
						  1,
						  0,
						  v->max_packets,
						  v->max_transfer,
						  RNDIS_ALIGNMENT,
						  0,
						  0 };
	struct rndis_set_complete set = { RNDIS_SET | RNDIS_COMPLETION, 16, 0, 0 };

	memcpy(&r, msg, sizeof(r));
	ck_assert_uint_eq(r.length, len);
	if (v->n_control < NMINI_LOG) {
		memcpy(v->control[v->n_control], msg, len);
		v->control_len[v->n_control++] = len;
	}
	if (v->rndis && v->rndis(v, msg, len))
		return;
	init.request = set.request = r.request;
	if (r.type == RNDIS_INITIALIZE)
		nmini_say(v, &init, sizeof(init));
	else if (r.type == RNDIS_SET)
		nmini_say(v, &set, sizeof(set));
	else if (r.type == RNDIS_QUERY)
		nmini_answer_query(v, msg);
	else
		ck_assert_uint_eq(r.type, RNDIS_HALT);
}

/* ---- NVSP -------------------------------------------------------------------------------------
 */

static inline void nmini_data(struct nmini *v, uint32_t sub, const struct vmpkt *pkt,
			      const struct nvsp_message *m, struct vmbus_chan *c)
{
	struct nvsp_message ok = { .type = NVSP_SEND_RNDIS_PACKET_COMPLETE,
				   .rndis_complete = { NVSP_STATUS_SUCCESS } };
	struct nmini_request *d = &v->data[v->n_data % NMINI_LOG];
	struct iovec iov[64];
	uint32_t bytes = 0;
	int n = 0;

	v->n_data++;
	if (!d->bytes)
		d->bytes = malloc(NMINI_RAW);
	d->id = pkt->trans_id;
	d->type = pkt->type;
	d->channel = sub;
	d->section = m->rndis.section;
	d->used = m->rndis.section_size;
	d->ranges = pkt->range_count;
	ck_assert_uint_le(d->used, v->section);
	memcpy(d->bytes, nmini_mem(v, v->tx_gpa + (uint64_t)d->section * v->section), d->used);
	if (pkt->type == VMPKT_GPA_DIRECT)
		n = vmbus_chan_iov_all(c, pkt, iov, 64, &bytes);
	ck_assert_int_ge(n, 0);
	ck_assert_uint_eq(iov_to_buf(iov, n, 0, d->bytes + d->used, bytes), bytes);
	d->len = d->used + bytes;
	if (!v->mute)
		nmini_complete(v, sub, pkt->trans_id, &ok);
}

static inline void nmini_rndis_packet(struct nmini *v, uint32_t sub, const struct vmpkt *pkt,
				      const struct nvsp_message *m, struct vmbus_chan *c)
{
	struct nvsp_message ok = { .type = NVSP_SEND_RNDIS_PACKET_COMPLETE,
				   .rndis_complete = { NVSP_STATUS_SUCCESS } };
	uint8_t msg[1024];
	struct iovec iov[2];
	uint32_t bytes;
	int n;

	if (m->rndis.channel_type == NVSP_DATA) {
		nmini_data(v, sub, pkt, m, c);
		return;
	}
	ck_assert_uint_eq(sub, 0);
	n = vmbus_chan_iov_all(c, pkt, iov, 2, &bytes);
	ck_assert_int_gt(n, 0);
	ck_assert_uint_le(bytes, sizeof(msg));
	iov_to_buf(iov, n, 0, msg, bytes);
	nmini_complete(v, 0, pkt->trans_id, &ok);
	nmini_rndis(v, msg, bytes);
}

static inline void nmini_setup(struct nmini *v, const struct vmpkt *pkt,
			       const struct nvsp_message *m)
{
	struct nvsp_message a = { .type = m->type + 1 };

	switch (m->type) {
	case NVSP_INIT:
		a.init_complete.deprecated = 0xffffffff;
		a.init_complete.status = m->init.version <= v->version;
		break;
	case NVSP_SEND_RECEIVE_BUFFER:
		v->rx_gpa = fake_client_gpadl(v->bus, m->send_buffer.gpadl);
		a.receive_buffer_complete.status = NVSP_STATUS_SUCCESS;
		a.receive_buffer_complete.sections = 1;
		a.receive_buffer_complete.size = v->suballoc;
		a.receive_buffer_complete.count = v->rx_bytes / v->suballoc;
		a.receive_buffer_complete.end = v->rx_bytes / v->suballoc * v->suballoc;
		break;
	case NVSP_SEND_SEND_BUFFER:
		v->tx_gpa = fake_client_gpadl(v->bus, m->send_buffer.gpadl);
		a.send_buffer_complete.status = NVSP_STATUS_SUCCESS;
		a.send_buffer_complete.section_size = v->section;
		break;
	case NVSP_SUBCHANNEL:
		a.type = NVSP_SUBCHANNEL;
		a.subchannel_complete.status = NVSP_STATUS_SUCCESS;
		a.subchannel_complete.count = MIN(m->subchannel.count, v->subs);
		break;
	default:
		return;
	}
	nmini_complete(v, 0, pkt->trans_id, &a);
}

static inline void nmini_packet(struct nmini *v, uint32_t sub, struct vmbus_chan *c,
				const struct vmpkt *pkt)
{
	struct nvsp_message m = { 0 };

	memcpy(&m, pkt->payload, MIN(pkt->payload_len, (uint32_t)sizeof(m)));
	if (pkt->type == VMPKT_COMPLETION) {
		ck_assert_uint_eq(m.type, NVSP_SEND_RNDIS_PACKET_COMPLETE);
		v->back[v->n_back % 256].channel = sub;
		v->back[v->n_back % 256].id = pkt->trans_id;
		v->back[v->n_back % 256].len = pkt->payload_len;
		v->back[v->n_back++ % 256].status = m.rndis_complete.status;
		return;
	}
	ck_assert_uint_eq(pkt->payload_len, NVSP_SIZE);
	if (m.type != NVSP_SEND_RNDIS_PACKET && v->n_log < NMINI_LOG) {
		v->log_id[v->n_log] = pkt->trans_id;
		v->log_flags[v->n_log] = pkt->flags;
		v->log[v->n_log++] = m;
	}
	if (v->nvsp && v->nvsp(v, pkt, &m))
		return;
	if (m.type == NVSP_SEND_RNDIS_PACKET)
		nmini_rndis_packet(v, sub, pkt, &m, c);
	else
		nmini_setup(v, pkt, &m);
}

/* The root's work function: everything that is in the rings. */
static inline void nmini_work(void *ctx)
{
	struct nmini *v = ctx;
	struct vmpkt pkt;

	for (uint16_t sub = 0; sub < FAKE_CHILD_CHANS; sub++) {
		struct vmbus_chan *c = fake_client_host(v->bus, sub);

		if (!c)
			continue;
		while (vmbus_chan_recv(c, &pkt) > 0)
			nmini_packet(v, sub, c, &pkt);
		vmbus_chan_recv_done(c);
		vmbus_chan_flush(c);
	}
}

static inline void nmini_init(struct nmini *v, uint32_t vps)
{
	static const struct guid net = VMBUS_CLASS_NET;
	static const uint8_t mac[6] = { 0x00, 0x15, 0x5d, 0x01, 0x02, 0xa0 };

	memset(v, 0, sizeof(*v));
	v->bus = fake_client_create(&net, vps, 16u << 20);
	v->version = NVSP_V6_1;
	v->mtu = 1500;
	v->subs = 3;
	v->max_packets = RNDIS_MAX_PACKETS;
	v->max_transfer = RNDIS_MAX_TRANSFER;
	v->section = NMINI_SECTION;
	v->suballoc = 1806;
	v->rx_bytes = 256u << 10;
	v->table_entries = NDIS_RSS_TABLE;
	memcpy(v->mac, mac, 6);
	fake_client_on_wait(v->bus, nmini_work, v);
}

/* Every page that the client took must have been given back. */
static inline void nmini_fini(struct nmini *v)
{
	ck_assert_uint_eq(fake_client_counts(v->bus)->pages_used, 0);
	ck_assert_uint_eq(fake_client_counts(v->bus)->closes, fake_client_counts(v->bus)->opens);
	fake_client_destroy(v->bus);
	for (int i = 0; i < NMINI_LOG; i++)
		free(v->data[i].bytes);
}

/* The last message of @type that the client sent in-band. */
static inline const struct nvsp_message *nmini_find(const struct nmini *v, uint32_t type)
{
	for (uint32_t i = v->n_log; i-- > 0;)
		if (v->log[i].type == type)
			return &v->log[i];
	ck_abort_msg("no message of type %u", type);
	return NULL;
}

/* The @nth control message that sets or asks for @oid. */
static inline const uint8_t *nmini_find_oid(const struct nmini *v, uint32_t oid, uint32_t nth)
{
	struct rndis_query q;

	for (uint32_t i = 0; i < v->n_control; i++) {
		memcpy(&q, v->control[i], sizeof(q));
		if ((q.type == RNDIS_SET || q.type == RNDIS_QUERY) && q.oid == oid && !nth--)
			return v->control[i];
	}
	ck_abort_msg("OID %x was not asked for", oid);
	return NULL;
}

#endif
