/* SPDX-License-Identifier: MIT */
/*
 * Frames out (spec: netvsc, section 5; rndis, sections 5, 6; net-performance, section 3.4). The
 * caller writes a frame behind a gap for its header, straight into a section of the send buffer;
 * commit puts the header there. Several frames share a section and a request while there is
 * room; the end of one that has none lies in an overflow buffer and travels as a GPA range.
 *
 * Sections go round as base/reuse.h says. What is in them is only written here, with the exception
 * of a frame's first bytes, from which nothing but offsets that are checked is made.
 */
#include <stdlib.h>

#include "base/nospec.h"
#include "vsc/netvsc_priv.h"

/* ---- memory ----------------------------------------------------------------------------- */

static int queue_memory(struct nv_queue *q, uint32_t first, uint32_t nr)
{
	struct netvsc *n = q->n;
	uint32_t i;
	int err;

	q->sections = calloc(nr, sizeof(*q->sections));
	if (!q->sections)
		return -ENOMEM;
	q->tx = n->tx + (size_t)first * n->section_size;
	q->nr_sections = nr;
	for (i = 0; i < nr; i++)
		q->sections[i].gen = 1;
	err = reuse_init(&q->free, 0, nr, NV_ROUND);
	if (!err)
		err = hv_child_alloc_pages(n->child, NV_OVERFLOWS * (NV_OVERFLOW / 4096),
					   &q->spill_gpa);
	if (err)
		return err;
	q->spill = n->mem + q->spill_gpa;
	for (i = 0; i < NV_OVERFLOWS; i++)
		q->spill_free[i] = (uint8_t)(NV_OVERFLOWS - i);
	q->nr_spill = NV_OVERFLOWS;
	return 0;
}

int nv_tx_init(struct netvsc *n)
{
	uint32_t each = MIN(n->nr_sections / n->nr_queues, NV_MAX_SECTIONS);
	int err = each ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n->nr_queues && !err; i++)
		err = queue_memory(&n->queue[i], i * each, each);
	return err;
}

void nv_tx_fini(struct netvsc *n)
{
	for (uint32_t i = 0; i < NETVSC_MAX_QUEUES; i++) {
		struct nv_queue *q = &n->queue[i];

		free(q->sections);
		reuse_fini(&q->free);
		if (q->spill)
			hv_child_free_pages(n->child, q->spill_gpa,
					    NV_OVERFLOWS * (NV_OVERFLOW / 4096));
	}
}

/* ---- requests ---------------------------------------------------------------------------------
 */

static uint8_t *section_at(const struct nv_queue *q, uint32_t section)
{
	return q->tx + (size_t)(section - 1) * q->n->section_size;
}

static uint64_t request_id(const struct nv_queue *q, uint32_t section)
{
	return (uint64_t)q->sections[section - 1].gen << 32 | section;
}

/* The end of the last frame, page by page, as one range. */
static int send_mixed(struct nv_queue *q, const struct nvsp_message *m, uint32_t section)
{
	uint32_t buffer = q->sections[section - 1].overflow - 1u;
	uint64_t pfn[NV_OVERFLOW / 4096], gpa = q->spill_gpa + (uint64_t)buffer * NV_OVERFLOW;
	uint32_t pages = (q->open.overflow + 4095) / 4096;

	for (uint32_t i = 0; i < pages; i++)
		pfn[i] = gpa / 4096 + i;
	return vmbus_chan_send_gpa_direct(q->chan, VMPKT_FLAG_COMPLETION_REQUESTED,
					  request_id(q, section), q->open.overflow, 0, pfn, pages,
					  m, NVSP_SIZE);
}

static int send_request(struct nv_queue *q)
{
	const struct nv_open *o = &q->open;
	/* As the provider counts them: the queue's first section is one of the whole buffer. */
	uint32_t index = (uint32_t)((q->tx - q->n->tx) / q->n->section_size) + o->section - 1;
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET,
				  .rndis = { NVSP_DATA, index, o->used } };

	if (o->overflow)
		return send_mixed(q, &m, o->section);
	return vmbus_chan_send(q->chan, VMPKT_FLAG_COMPLETION_REQUESTED, request_id(q, o->section),
			       &m, NVSP_SIZE);
}

static void put_spill(struct nv_queue *q, struct nv_section *s)
{
	if (s->overflow)
		q->spill_free[q->nr_spill++] = s->overflow;
	s->overflow = 0;
}

bool nv_tx_close(struct nv_queue *q)
{
	struct nv_section *s;
	bool large = q->open.overflow;
	int err;

	q->open.closed = true;
	err = send_request(q);
	if (unlikely(err)) {
		q->cramped = err == -EAGAIN;
		if (err != -EAGAIN)
			nv_fail(q->n, -EIO, "the root broke the ring");
		return false;
	}
	s = &q->sections[q->open.section - 1];
	s->busy = 1;
	s->frames = (uint8_t)q->open.frames;
	if (!large)
		put_spill(q, s);
	q->cramped = false;
	q->pending += q->open.frames;
	NV_BUMP(q->stats.tx_requests);
	q->open = (struct nv_open){ 0 };
	if (large) /* there is work for the root while the next one is written */
		vmbus_chan_flush(q->chan);
	return true;
}

static bool take_section(struct nv_queue *q)
{
	if (reuse_peek(&q->free) == REUSE_NONE)
		return false;
	if (vmbus_chan_send_room(q->chan) < NV_REQUEST_ROOM) {
		q->cramped = true;
		return false;
	}
	q->open.section = reuse_take(&q->free) + 1u;
	return true;
}

/* The buffer for the end of the next frame, which may be the section's last. */
static uint8_t *spill_of(struct nv_queue *q)
{
	struct nv_section *s = &q->sections[q->open.section - 1];

	if (!s->overflow) {
		if (!q->nr_spill)
			return NULL;
		s->overflow = q->spill_free[--q->nr_spill];
	}
	return q->spill + (size_t)(s->overflow - 1) * NV_OVERFLOW;
}

bool nv_tx_completed(struct nv_queue *q, const struct vmpkt *pkt)
{
	uint32_t index = (uint32_t)pkt->trans_id - 1;
	struct nvsp_message m;
	struct nv_section *s;

	if (unlikely(index >= q->nr_sections))
		return false;
	s = &q->sections[index_nospec(index, q->nr_sections)];
	if (unlikely(!s->busy || s->gen != pkt->trans_id >> 32))
		return false;
	m.rndis_complete.status = NVSP_STATUS_FAIL;
	if (likely(pkt->payload_len >= 8))
		memcpy(&m, pkt->payload, 8);
	if (unlikely(m.rndis_complete.status != NVSP_STATUS_SUCCESS))
		NV_ADD(q->stats.tx_failed, s->frames);
	q->pending -= s->frames;
	put_spill(q, s);
	s->busy = 0;
	s->gen++;
	reuse_give(&q->free, (uint16_t)index, (uint16_t)index, 1);
	return true;
}

/* ---- a frame's place ----------------------------------------------------------------------------
 */

static uint32_t next_at(const struct nv_queue *q)
{
	return (q->open.used + q->n->align - 1) & ~(q->n->align - 1);
}

/*
 * For a frame like the one of @len bytes before it. Its end could lie in an overflow buffer, but
 * that costs as much as a request.
 */
static bool has_room(const struct nv_queue *q, uint32_t len)
{
	const struct netvsc *n = q->n;
	uint32_t at = next_at(q) + NV_HEADER;

	if (len < NV_HEAD_ROOM)
		len = NV_HEAD_ROOM;
	return q->open.frames < n->max_frames && at + len <= n->section_size &&
	       at + n->info.mtu + NET_ETH_LEN <= n->max_request;
}

int netvsc_tx_begin(struct netvsc *n, uint32_t qi, struct netvsc_tx *tx)
{
	struct nv_queue *q = &n->queue[qi];
	uint8_t *spill;
	uint32_t at;

	if (unlikely(nv_failed(n)))
		return nv_failed(n);
	if (q->open.closed && !nv_tx_close(q))
		goto full;
	if (!q->open.section && !take_section(q))
		goto full;
	spill = spill_of(q);
	if (unlikely(!spill)) { /* what is collected need not wait for one */
		if (q->open.frames)
			nv_tx_close(q);
		goto full;
	}
	at = next_at(q) + NV_HEADER;
	tx->iov[0] = (struct iovec){ section_at(q, q->open.section) + at, n->section_size - at };
	tx->iov[1] = (struct iovec){ spill, NV_OVERFLOW };
	return 0;
full:
	NV_BUMP(q->stats.tx_full);
	return nv_failed(n) ? nv_failed(n) : -EAGAIN;
}

/* ---- its header
 * ------------------------------------------------------------------------------------- */

/* The type of the payload, behind tags that are in the frame; *@l3: where it starts. */
static uint16_t ethertype(const uint8_t *frame, uint32_t *l3)
{
	uint32_t at = 12;
	uint16_t type = be16_at(frame + at);

	for (int tags = 0; tags < 2 && (type == NET_ETHERTYPE_VLAN || type == NET_ETHERTYPE_QINQ);
	     tags++) {
		at += NET_VLAN_LEN;
		type = be16_at(frame + at);
	}
	*l3 = at + 2;
	return type;
}

/*
 * As NDIS has it: no lengths, no IPv4 header checksum, and a pseudo header without length. The
 * frame is in our own section.
 */
static void ndis_lengths(uint8_t *frame, const struct net_meta *m, uint32_t l3, uint32_t len)
{
	uint8_t *sum_at = frame + m->csum_start + 16;
	uint32_t sum = be16_at(sum_at), l4_len = len - m->csum_start;

	sum += ~(l4_len & 0xffff) & 0xffff;
	sum = (sum & 0xffff) + (sum >> 16);
	be16_put(sum_at, (uint16_t)((sum & 0xffff) + (sum >> 16)));
	if (m->gso == NET_GSO_TCP4) {
		be16_put(frame + l3 + 2, 0);
		be16_put(frame + l3 + 10, 0);
	} else {
		be16_put(frame + l3 + 4, 0);
	}
}

/* The element that asks for a checksum or for segments; 0: none, -EINVAL. */
static int offload(const struct netvsc *n, uint8_t *frame, const struct net_meta *m, uint32_t len,
		   uint32_t *type, uint32_t *value)
{
	uint32_t l3, start = m->csum_start;
	uint16_t proto;

	if (m->csum != NET_CSUM_PARTIAL)
		return m->gso ? -EINVAL : 0;
	proto = ethertype(frame, &l3);
	if (!n->info.csum || start < l3 + 20 || start > 0x3ff || start + 8u > len ||
	    start + 20u > NV_HEAD_ROOM - NV_SLIDE)
		return -EINVAL;
	if (!m->gso) {
		if (proto != NET_ETHERTYPE_IP4 && proto != NET_ETHERTYPE_IP6)
			return -EINVAL;
		*type = RNDIS_INFO_CSUM;
		*value = proto == NET_ETHERTYPE_IP4 ? RNDIS_TX_CSUM_IP4 : RNDIS_TX_CSUM_IP6;
		if (m->csum_offset != 16 && m->csum_offset != 6)
			return -EINVAL;
		*value |= m->csum_offset == 16 ? RNDIS_TX_CSUM_TCP : RNDIS_TX_CSUM_UDP;
		*value |= start << 16;
		return 1;
	}
	if (!n->info.tso || !m->gso_size || m->csum_offset != 16 || len < start + 20u ||
	    proto != (m->gso == NET_GSO_TCP4 ? NET_ETHERTYPE_IP4 : NET_ETHERTYPE_IP6))
		return -EINVAL;
	ndis_lengths(frame, m, l3, len);
	*type = RNDIS_INFO_LSO;
	*value = RNDIS_LSO_V2 | start << 20 | m->gso_size;
	if (m->gso == NET_GSO_TCP6)
		*value |= RNDIS_LSO_IP6;
	return 1;
}

static void element(struct rndis_info_u32 *e, uint32_t type, uint32_t value)
{
	*e = (struct rndis_info_u32){ { sizeof(*e), type, sizeof(e->info) }, value };
}

/* Elements in the order that stock guests have them. Bytes of them, or -EINVAL. */
static int elements(const struct netvsc *n, struct rndis_info_u32 *e, uint8_t *frame,
		    const struct net_meta *m, uint32_t len)
{
	uint32_t type, value;
	int k = 0, more;

	if (!m)
		return 0;
	if (m->hash_valid)
		element(&e[k++], RNDIS_INFO_HASH, m->hash);
	if (m->tagged)
		element(&e[k++], RNDIS_INFO_8021Q, rndis_vlan_from_tci(m->vlan_tci));
	more = offload(n, frame, m, len, &type, &value);
	if (unlikely(more < 0))
		return more;
	if (more)
		element(&e[k++], type, value);
	return k * (int)sizeof(*e);
}

/* Where the frame that was begun lies: bytes that it starts later than expected, or -EINVAL. */
static int slide(const struct nv_queue *q, const struct netvsc_tx *tx, uint32_t len)
{
	const uint8_t *at = section_at(q, q->open.section) + next_at(q) + NV_HEADER;
	size_t by = (size_t)((const uint8_t *)tx->iov[0].iov_base - at);

	if (unlikely(!q->open.section || q->open.closed || by > NV_SLIDE))
		return -EINVAL;
	return len < NET_ETH_LEN || len > NET_FRAME_MAX ? -EINVAL : (int)by;
}

/*
 * The message before gets its padding now that there is one behind it: from a copy that the root
 * cannot change, for we only write.
 */
static void pad_last(struct nv_queue *q, uint8_t *section)
{
	uint32_t to = next_at(q), length = to - q->open.last;

	if (!q->open.frames || to == q->open.used)
		return;
	memset(section + q->open.used, 0, to - q->open.used);
	memcpy(section + q->open.last + 4, &length, sizeof(length));
}

int netvsc_tx_commit(struct netvsc *n, uint32_t qi, const struct netvsc_tx *tx, uint32_t len,
		     const struct net_meta *meta)
{
	struct {
		struct rndis_packet p;
		struct rndis_info_u32 info[3];
	} PACKED *h;
	struct nv_queue *q = &n->queue[qi];
	uint32_t at, room;
	uint8_t *section;
	int by, info;

	_Static_assert(sizeof(*h) == NV_HEADER, "the gap in front of a frame");
	if (!len)
		return 0;
	by = slide(q, tx, len);
	if (unlikely(by < 0 ||
		     (len > n->info.mtu + NET_ETH_LEN + NET_VLAN_LEN && !(meta && meta->gso))))
		return -EINVAL;
	at = next_at(q);
	section = section_at(q, q->open.section);
	h = (void *)(section + at);
	info = elements(n, h->info, tx->iov[0].iov_base, meta, len);
	if (unlikely(info < 0))
		return info;
	room = n->section_size - at - NV_HEADER - (uint32_t)by;
	h->p = (struct rndis_packet){
		.type = RNDIS_PACKET,
		.length = NV_HEADER + (uint32_t)by + len,
		.data_offset = NV_HEADER + (uint32_t)by - RNDIS_OFFSET_BASE,
		.data_length = len,
		.info_offset = sizeof(h->p) - RNDIS_OFFSET_BASE,
		.info_length = (uint32_t)info,
	};
	for (size_t k = (size_t)info / sizeof(h->info[0]); k < ARRAY_SIZE(h->info); k++)
		element(&h->info[k], 0, 0);
	pad_last(q, section);
	q->open.last = at;
	q->open.used = at + NV_HEADER + (uint32_t)by + MIN(len, room);
	q->open.overflow = len > room ? len - room : 0;
	q->open.frames++;
	NV_BUMP(q->stats.tx_frames);
	NV_ADD(q->stats.tx_bytes, len);
	if (meta && meta->gso)
		NV_BUMP(q->stats.tx_large);
	if (q->open.overflow || !has_room(q, len))
		nv_tx_close(q);
	return 0;
}

void netvsc_tx_flush(struct netvsc *n, uint32_t qi)
{
	struct nv_queue *q = &n->queue[qi];

	if (q->open.frames)
		nv_tx_close(q);
	vmbus_chan_flush(q->chan);
}

uint32_t netvsc_tx_pending(const struct netvsc *n, uint32_t qi)
{
	return n->queue[qi].pending;
}
