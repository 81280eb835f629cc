/* SPDX-License-Identifier: MIT */
/*
 * RNDIS control messages (spec: rndis, section 2; hostile cases N24, N25, N31, N32). Requests are
 * carried out when they come, one after the other; answers and indications leave in that order,
 * each in a sub-allocation of its own, or wait.
 */
#include "vsp/netvsp/net_priv.h"

#include <errno.h>
#include <stdlib.h>

struct net_control { /* waits */
	struct net_control *next;
	uint32_t len;
	uint8_t msg[];
};

/* ---- what goes to the guest ----------------------------------------------------------- */

static bool queue(struct netvsp *n, const void *msg, uint32_t len)
{
	struct net_control *w;

	if (n->control_bytes + len > NET_CONTROL_QUEUE)
		return false;
	w = malloc(sizeof(*w) + len);
	if (!w)
		return false;
	w->next = NULL;
	w->len = len;
	memcpy(w->msg, msg, len);
	if (n->control_last)
		n->control_last->next = w;
	else
		n->control_first = w;
	n->control_last = w;
	n->control_bytes += len;
	return true;
}

static void unqueue(struct netvsp *n)
{
	struct net_control *w = n->control_first;

	n->control_first = w->next;
	if (!n->control_first)
		n->control_last = NULL;
	n->control_bytes -= w->len;
	free(w);
}

/* Now, or behind what waits. False: there is too much of that. */
static bool send_or_queue(struct netvsp *n, const void *msg, uint32_t len)
{
	return (!n->control_first && !net_rx_control(n, msg, len)) || queue(n, msg, len);
}

/* A guest that asks and never takes answers is not served any more. */
static void answer(struct netvsp *n, const void *msg, uint32_t len)
{
	if (!send_or_queue(n, msg, len))
		nvsp_fail(n, "too many control messages");
}

void net_rndis_indicate(struct netvsp *n, uint32_t status, const void *info, uint32_t len)
{
	struct rndis_indicate h = { RNDIS_INDICATE_STATUS, (uint32_t)sizeof(h) + len, status, len,
				    len ? sizeof(h) - RNDIS_OFFSET_BASE : 0 };
	uint8_t msg[sizeof(h) + sizeof(struct ndis_offload)];

	/* Half of the queue is for answers: news of ours must not cut anybody off. */
	if (n->state != NET_OPERATIONAL || len > sizeof(msg) - sizeof(h) ||
	    n->control_bytes > NET_CONTROL_QUEUE / 2)
		return;
	memcpy(msg, &h, sizeof(h));
	if (len)
		memcpy(msg + sizeof(h), info, len);
	send_or_queue(n, msg, h.length);
}

/*
 * A driver looks at link events from the time on when it has set its filter; what it believes is
 * what it asked or was told last. A cable that moves faster than the guest reads is told of by its
 * last position.
 */
static bool tell_link(struct netvsp *n)
{
	bool up = n->port && vsw_port_link(n->port);

	if (n->link == up || !n->filter || n->state != NET_OPERATIONAL || n->control_first)
		return false;
	n->link = up;
	net_rndis_indicate(n, up ? RNDIS_STATUS_MEDIA_CONNECT : RNDIS_STATUS_MEDIA_DISCONNECT, NULL,
			   0);
	return true;
}

void net_rndis_changed(void *ctx)
{
	struct netvsp *n = ctx;

	if (n->port) /* a policy may have taken the address back that the guest chose */
		memcpy(n->mac, vsw_port_mac(n->port), NET_MAC_LEN);
	tell_link(n);
}

bool net_rndis_push(struct netvsp *n)
{
	bool did = nvsp_push(n);

	while (n->control_first && nvsp_serving(n) &&
	       !net_rx_control(n, n->control_first->msg, n->control_first->len)) {
		unqueue(n);
		did = true;
	}
	return tell_link(n) || did;
}

void net_rndis_reset(struct netvsp *n)
{
	n->filter = 0;
	n->multicast = 0;
	while (n->control_first)
		unqueue(n);
	net_rss_reset(n);
	net_offload_reset(n);
	net_offload_caps(n);
}

/* ---- requests --------------------------------------------------------------------------- */

static uint32_t do_initialize(struct netvsp *n, const uint8_t *msg, uint32_t len)
{
	struct rndis_initialize_complete c = {
		.type = RNDIS_INITIALIZE | RNDIS_COMPLETION,
		.length = sizeof(c),
		.major = 1,
		.device_flags = 1, /* connectionless */
		.max_packets = RNDIS_MAX_PACKETS,
		.max_transfer = RNDIS_MAX_TRANSFER,
		.alignment = RNDIS_ALIGNMENT,
	};
	struct rndis_initialize r;

	(void)len;
	memcpy(&r, msg, sizeof(r));
	c.request = r.request;
	if (n->state == NET_OPERATIONAL)
		c.status = RNDIS_STATUS_FAILURE;
	else
		n->state = NET_OPERATIONAL;
	answer(n, &c, sizeof(c));
	return NVSP_STATUS_SUCCESS;
}

/* The NVSP completion is its only answer. */
static uint32_t do_halt(struct netvsp *n, const uint8_t *msg, uint32_t len)
{
	(void)msg;
	(void)len;
	net_rndis_reset(n);
	if (n->state == NET_OPERATIONAL)
		n->state = NET_HALTED;
	return NVSP_STATUS_SUCCESS;
}

/* Where the information of a QUERY or SET lies. False: outside of its message. */
static bool info(const struct rndis_query *q, const uint8_t *msg, uint32_t len, const uint8_t **in)
{
	*in = NULL;
	if (!q->info_length)
		return true; /* whatever the offset says */
	if (q->info_offset < sizeof(*q) - RNDIS_OFFSET_BASE || q->info_offset > len ||
	    q->info_length > len || q->info_offset + RNDIS_OFFSET_BASE + q->info_length > len)
		return false;
	*in = msg + RNDIS_OFFSET_BASE + q->info_offset;
	return true;
}

/* What a sub-allocation holds of an answer. */
static uint32_t room(const struct netvsp *n)
{
	uint32_t most = n->rx.size - NVSP_RX_TAIL;

	return most < RNDIS_CONTROL_MAX ? most : RNDIS_CONTROL_MAX;
}

static uint32_t do_query(struct netvsp *n, const uint8_t *msg, uint32_t len)
{
	uint8_t out[sizeof(struct rndis_query_complete) + RNDIS_CONTROL_MAX];
	struct rndis_query_complete c = {
		.type = RNDIS_QUERY | RNDIS_COMPLETION,
		.status = RNDIS_STATUS_INVALID_DATA,
		/* Also in errors: Linux looks at these two only. */
		.info_offset = sizeof(c) - RNDIS_OFFSET_BASE,
	};
	uint32_t out_len = 0;
	struct rndis_query q;
	const uint8_t *in;

	memcpy(&q, msg, sizeof(q));
	c.request = q.request;
	if (info(&q, msg, len, &in))
		c.status = net_oid_query(n, q.oid, in, q.info_length, out + sizeof(c), &out_len);
	if (c.status == RNDIS_STATUS_SUCCESS && sizeof(c) + out_len > room(n))
		c.status = RNDIS_STATUS_RESOURCES;
	if (c.status == RNDIS_STATUS_SUCCESS)
		c.info_length = out_len;
	c.length = (uint32_t)sizeof(c) + c.info_length;
	memcpy(out, &c, sizeof(c));
	answer(n, out, c.length);
	return NVSP_STATUS_SUCCESS;
}

static void tell_offload(struct netvsp *n)
{
	uint8_t out[sizeof(struct ndis_offload)];
	uint32_t len = 0;

	n->offload_changed = false;
	if (net_offload_query(n, true, NULL, 0, out, &len) == RNDIS_STATUS_SUCCESS)
		net_rndis_indicate(n, RNDIS_STATUS_OFFLOAD_CONFIG, out, len);
}

static uint32_t do_set(struct netvsp *n, const uint8_t *msg, uint32_t len)
{
	struct rndis_set_complete c = {
		.type = RNDIS_SET | RNDIS_COMPLETION,
		.length = sizeof(c),
		.status = RNDIS_STATUS_INVALID_DATA,
	};
	struct rndis_query s;
	const uint8_t *in;

	memcpy(&s, msg, sizeof(s));
	c.request = s.request;
	if (n->state != NET_OPERATIONAL)
		c.status = RNDIS_STATUS_FAILURE;
	else if (info(&s, msg, len, &in))
		c.status = net_oid_set(n, s.oid, in, s.info_length);
	answer(n, &c, sizeof(c));
	if (n->offload_changed)
		tell_offload(n);
	tell_link(n);
	return NVSP_STATUS_SUCCESS;
}

/* Nothing is queued that could be dropped; the configuration stays, filter and all. */
static uint32_t do_reset(struct netvsp *n, const uint8_t *msg, uint32_t len)
{
	struct rndis_reset_complete c = {
		.type = RNDIS_RESET | RNDIS_COMPLETION,
		.length = sizeof(c),
	};

	(void)msg;
	(void)len;
	answer(n, &c, sizeof(c));
	return NVSP_STATUS_SUCCESS;
}

static uint32_t answer_status(struct netvsp *n, const uint8_t *msg, uint32_t status)
{
	struct rndis_set_complete c = { .length = sizeof(c), .status = status };
	struct rndis_request r;

	memcpy(&r, msg, sizeof(r));
	c.type = r.type | RNDIS_COMPLETION;
	c.request = r.request;
	answer(n, &c, sizeof(c));
	return NVSP_STATUS_SUCCESS;
}

static uint32_t do_keepalive(struct netvsp *n, const uint8_t *msg, uint32_t len)
{
	(void)len;
	return answer_status(n, msg, RNDIS_STATUS_SUCCESS);
}

static uint32_t do_set_ex(struct netvsp *n, const uint8_t *msg, uint32_t len)
{
	(void)len;
	return answer_status(n, msg, RNDIS_STATUS_NOT_SUPPORTED);
}

static const struct {
	uint32_t type, min; /* bytes of its fixed part */
	uint32_t (*act)(struct netvsp *n, const uint8_t *msg, uint32_t len);
} requests[] = {
	{ RNDIS_INITIALIZE, sizeof(struct rndis_initialize), do_initialize },
	{ RNDIS_HALT, sizeof(struct rndis_request), do_halt },
	{ RNDIS_QUERY, sizeof(struct rndis_query), do_query },
	{ RNDIS_SET, sizeof(struct rndis_query), do_set },
	{ RNDIS_RESET, sizeof(struct rndis_request), do_reset },
	{ RNDIS_KEEPALIVE, sizeof(struct rndis_request), do_keepalive },
	{ RNDIS_SET_EX, sizeof(struct rndis_request), do_set_ex },
};

uint32_t net_rndis_control(struct netvsp *n, const uint8_t *msg, uint32_t len)
{
	struct rndis_header h;
	uint32_t i;

	n->count.control++;
	if (len >= sizeof(h)) {
		memcpy(&h, msg, sizeof(h));
		for (i = 0; i < ARRAY_SIZE(requests); i++)
			if (requests[i].type == h.type && h.length >= requests[i].min &&
			    h.length <= len)
				return requests[i].act(n, msg, h.length);
	}
	n->count.control_rejected++;
	return NVSP_STATUS_INVALID_RNDIS_PACKET;
}
