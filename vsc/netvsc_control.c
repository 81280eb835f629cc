/* SPDX-License-Identifier: MIT */
/*
 * One request and its answer (spec: netvsc, section 3; rndis, sections 1, 2). Requests go one at a
 * time; what comes is matched by id and type, copied once into a buffer of fixed size, and
 * dropped when nobody asked (hostile case C21). Every wait has a deadline.
 */
#include "base/clock.h"
#include "vsc/netvsc_priv.h"

static uint64_t deadline(const struct netvsc *n)
{
	return clock_ns() + n->timeout_ns;
}

/* ---- what comes ---------------------------------------------------------------------- */

bool nv_call_completed(struct netvsc *n, const struct vmpkt *pkt)
{
	struct nv_call *c = &n->call;

	if (!c->id || pkt->trans_id != c->id || c->completion_len)
		return false;
	c->completion_len = MIN(pkt->payload_len, (uint32_t)sizeof(c->completion));
	memset(&c->completion, 0, sizeof(c->completion));
	memcpy(&c->completion, pkt->payload, c->completion_len);
	if (!c->completion_len)
		c->completion_len = 1; /* empty, but it came */
	return true;
}

static bool answer_in(struct netvsc *n, const uint8_t *msg, uint32_t len, uint32_t type)
{
	struct nv_call *c = &n->call;
	uint32_t request;

	if (!c->request || c->answer_len || type != (c->type | RNDIS_COMPLETION) ||
	    len < sizeof(struct rndis_set_complete) || len > sizeof(c->answer))
		return false;
	snapshot(c->answer, msg, len);
	memcpy(&request, c->answer + 8, sizeof(request));
	if (request != c->request)
		return false;
	c->answer_len = len;
	return true;
}

static bool status_in(struct netvsc *n, const uint8_t *msg, uint32_t len)
{
	struct rndis_indicate i;
	uint32_t speed;

	if (len < sizeof(i))
		return false;
	snapshot(&i, msg, sizeof(i));
	switch (i.status) {
	case RNDIS_STATUS_MEDIA_CONNECT:
		store_relaxed(&n->link, 1);
		return true;
	case RNDIS_STATUS_MEDIA_DISCONNECT:
		store_relaxed(&n->link, 0);
		return true;
	case RNDIS_STATUS_LINK_SPEED_CHANGE:
		if (i.info_length < sizeof(speed) ||
		    i.info_offset > len - RNDIS_OFFSET_BASE - sizeof(speed))
			return false;
		snapshot(&speed, msg + RNDIS_OFFSET_BASE + i.info_offset, sizeof(speed));
		store_relaxed(&n->info.speed, speed * 100ull);
		return true;
	default: /* what concerns the address or the offloads is nothing to us */
		return true;
	}
}

bool nv_control_in(struct netvsc *n, const uint8_t *msg, uint32_t len)
{
	struct rndis_header h;

	snapshot(&h, msg, sizeof(h));
	if (h.length < sizeof(h) || h.length > len)
		return false;
	if (h.type == RNDIS_INDICATE_STATUS)
		return status_in(n, msg, h.length);
	return answer_in(n, msg, h.length, h.type);
}

/* ---- asking --------------------------------------------------------------------------- */

int nv_tell(struct netvsc *n, const struct nvsp_message *m)
{
	int err = vmbus_chan_send(n->queue[0].chan, 0, NV_ID_QUIET, m, NVSP_SIZE);

	vmbus_chan_flush(n->queue[0].chan);
	return err == -EPROTO ? -EIO : err;
}

static uint64_t new_call(struct netvsc *n)
{
	struct nv_call *c = &n->call;

	c->id = (uint64_t)++c->gen << 32 | NV_ID_CALL;
	c->completion_len = 0;
	c->answer_len = 0;
	return c->id;
}

/* Until both the completion and, if there is to be one, the answer are there. */
static int await(struct netvsc *n)
{
	struct nv_call *c = &n->call;
	uint64_t until = deadline(n);
	int err;

	for (;;) {
		nv_rx_discard(&n->queue[0]);
		if (c->completion_len && (!c->request || c->answer_len))
			return 0;
		if (c->completion_len && c->completion.type == NVSP_SEND_RNDIS_PACKET_COMPLETE &&
		    c->completion.rndis_complete.status != NVSP_STATUS_SUCCESS)
			return -EIO; /* refused: there will be no answer */
		err = nv_wait_until(n, until);
		if (err <= 0)
			return err ? err : -ETIMEDOUT;
	}
}

/* The ring is ours alone here: full, it is because the root does not read it. */
static int sent(struct netvsc *n, int err)
{
	struct nv_call *c = &n->call;

	if (!err) {
		vmbus_chan_flush(n->queue[0].chan);
		err = await(n);
	}
	c->id = 0;
	c->request = 0;
	return err == -EPROTO ? -EIO : err == -EAGAIN ? -ETIMEDOUT : err;
}

int nv_ask(struct netvsc *n, struct nvsp_message *m, uint32_t type, uint32_t least)
{
	uint64_t id = new_call(n);
	int err = nv_failed(n);

	if (!err)
		err = sent(n, vmbus_chan_send(n->queue[0].chan, VMPKT_FLAG_COMPLETION_REQUESTED, id,
					      m, NVSP_SIZE));
	if (err)
		return err;
	if (n->call.completion.type != type || n->call.completion_len < least)
		return -EPROTO;
	*m = n->call.completion;
	return 0;
}

int nv_rndis(struct netvsc *n, void *msg, uint32_t len, uint32_t least)
{
	struct nvsp_message m = { .type = NVSP_SEND_RNDIS_PACKET,
				  .rndis = { NVSP_CONTROL, NVSP_NO_SECTION, 0 } };
	struct rndis_request *r = msg;
	struct nv_call *c = &n->call;
	uint64_t id = new_call(n), pfn = n->ctl_gpa / 4096;
	int err = nv_failed(n);

	if (err)
		return err;
	r->length = len;
	r->request = ++c->last_request;
	c->type = r->type;
	c->request = r->type == RNDIS_HALT ? 0 : r->request;
	memcpy(n->ctl, msg, len);
	err = sent(n, vmbus_chan_send_gpa_direct(n->queue[0].chan, VMPKT_FLAG_COMPLETION_REQUESTED,
						 id, len, 0, &pfn, 1, &m, NVSP_SIZE));
	if (err)
		return err;
	if (n->call.completion.type != NVSP_SEND_RNDIS_PACKET_COMPLETE)
		return -EPROTO;
	return c->answer_len < least ? -EPROTO : 0;
}

/* ---- queries and sets --------------------------------------------------------------------- */

struct nv_command {
	struct rndis_query q;
	uint8_t data[RNDIS_CONTROL_MAX - sizeof(struct rndis_query)];
};

static void command(struct nv_command *c, uint32_t type, uint32_t oid, const void *data,
		    uint32_t len)
{
	c->q = (struct rndis_query){ .type = type,
				     .oid = oid,
				     .info_length = len,
				     .info_offset = sizeof(c->q) - RNDIS_OFFSET_BASE };
	if (len)
		memcpy(c->data, data, len);
}

int nv_query(struct netvsc *n, uint32_t oid, const void *in, uint32_t in_len, void *out,
	     uint32_t room)
{
	struct rndis_query_complete a;
	struct nv_command c;
	uint32_t len;
	int err;

	command(&c, RNDIS_QUERY, oid, in, in_len);
	err = nv_rndis(n, &c, (uint32_t)sizeof(c.q) + in_len, sizeof(a));
	if (err)
		return err;
	memcpy(&a, n->call.answer, sizeof(a));
	if (a.status)
		return -EIO;
	len = n->call.answer_len - RNDIS_OFFSET_BASE;
	if (a.info_offset > len || a.info_length > len - a.info_offset)
		return -EPROTO;
	len = MIN(a.info_length, room);
	memcpy(out, n->call.answer + RNDIS_OFFSET_BASE + a.info_offset, len);
	return (int)len;
}

int nv_set(struct netvsc *n, uint32_t oid, const void *data, uint32_t len, uint32_t *status)
{
	struct nv_command c;
	int err;

	command(&c, RNDIS_SET, oid, data, len);
	err = nv_rndis(n, &c, (uint32_t)sizeof(c.q) + len, sizeof(struct rndis_set_complete));
	if (!err)
		memcpy(status, n->call.answer + 12, sizeof(*status));
	return err;
}
