/* SPDX-License-Identifier: MIT */
/*
 * A port inside the root that counts, echoes and sends (port_test.h).
 *
 * What it sends goes into the switch from a poller, not from inside deliver(): a port may not put
 * in frames while it is getting some.
 */
#include "vsp/netvsp/port_test.h"

#include <errno.h>
#include <stdlib.h>

#include "base/loop.h"
#include "base/net/csum.h"

#define TCP_AT	 (NET_ETH_LEN + 20u)
#define TCP_END	 (TCP_AT + 20u)
#define DISCARD	 9u /* the TCP port */

#define BURST	 64u
#define ECHOES	 64u  /* that wait for the poller */
#define ECHO_LEN 128u /* longer ones come back shortened */

struct port_test {
	struct loop *loop;
	struct vsw_port *port;
	struct vsw *sw;
	struct loop_poller poller;
	bool polling;

	uint64_t counted, next, lost;

	/* source */
	bool source;
	uint32_t size, order_at;
	struct net_meta meta;
	uint64_t sent, acked, window, token;

	uint32_t echoes;
	struct {
		uint32_t len;
		uint8_t frame[ECHO_LEN];
	} echo[ECHOES];

	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	uint8_t payload[NET_FRAME_MAX];
};

static bool has_work(const struct port_test *p)
{
	return p->echoes || (p->source && p->sent - p->acked < p->window);
}

static void wake(struct port_test *p)
{
	if (p->polling || !has_work(p))
		return;
	p->polling = true;
	loop_poller_add(p->loop, &p->poller);
}

/* ---- frames ---------------------------------------------------------------------- */

/* An IPv4 and a TCP header from 10.0.0.1 to 10.0.0.2, for the length of the frame. */
static void put_tcp(uint8_t *to, uint32_t len, struct net_meta *meta)
{
	static const uint8_t ip[20] = { 0x45, 0, 0,  0, 0, 0, 0x40, 0, 64, 6,
					0,    0, 10, 0, 0, 1, 10,   0, 0,  2 };
	uint8_t *tcp = to + TCP_AT;
	uint32_t sum = net_csum_add(0, ip + 12, 8);
	uint16_t folded;

	be16_put(to + 2 * NET_MAC_LEN, NET_ETHERTYPE_IP4);
	memcpy(to + NET_ETH_LEN, ip, sizeof(ip));
	be16_put(to + NET_ETH_LEN + 2, (uint16_t)(len - NET_ETH_LEN));
	folded = net_csum_ip4(to + NET_ETH_LEN, sizeof(ip));
	memcpy(to + NET_ETH_LEN + 10, &folded, 2);
	memset(tcp, 0, 20);
	be16_put(tcp + 2, DISCARD);
	tcp[12] = 5 << 4;
	tcp[13] = 0x10; /* ACK */
	be16_put(tcp + 16, 6);
	be16_put(tcp + 18, (uint16_t)(len - TCP_AT));
	folded = net_csum_fold(net_csum_add(sum, tcp + 16, 4));
	memcpy(tcp + 16, &folded, 2);
	memset(tcp + 18, 0, 2);
	meta->csum = NET_CSUM_PARTIAL;
	meta->csum_start = TCP_AT;
	meta->csum_offset = 16;
	meta->gso = NET_GSO_TCP4;
	meta->gso_size = PORT_TEST_MSS;
	meta->header_len = TCP_END;
}

uint32_t port_test_frame(uint8_t *to, const uint8_t *dst, const uint8_t *src, uint32_t len,
			 struct net_meta *meta)
{
	*meta = (struct net_meta){ 0 };
	memcpy(to, dst, NET_MAC_LEN);
	memcpy(to + NET_MAC_LEN, src, NET_MAC_LEN);
	if (len > PORT_TEST_LARGE) {
		put_tcp(to, len, meta);
		return TCP_END;
	}
	be16_put(to + 2 * NET_MAC_LEN, PORT_TEST_ETHERTYPE);
	return NET_ETH_LEN;
}

uint32_t port_test_find(const uint8_t *head, uint32_t len)
{
	uint32_t at = NET_ETH_LEN, magic;

	if (len < PORT_TEST_MIN)
		return 0;
	if (be16_at(head + 2 * NET_MAC_LEN) == NET_ETHERTYPE_IP4)
		at = TCP_END;
	else if (be16_at(head + 2 * NET_MAC_LEN) != PORT_TEST_ETHERTYPE)
		return 0;
	if (len < at + sizeof(struct port_test_order))
		return 0;
	memcpy(&magic, head + at, sizeof(magic));
	return magic == PORT_TEST_MAGIC ? at : 0;
}

/* ---- out ------------------------------------------------------------------------- */

static void put_in(struct port_test *p, const void *bytes, uint32_t len,
		   const struct net_meta *meta)
{
	struct iovec all = { (void *)(uintptr_t)bytes, len }, rest[1];
	struct net_frame f;

	if (net_frame_init(&f, p->head, NET_HEAD_FIRST, &all, 1, rest))
		return;
	if (meta)
		f.meta = *meta;
	vsw_input(p->port, &f);
}

static void send_echoes(struct port_test *p)
{
	for (uint32_t i = 0; i < p->echoes; i++)
		put_in(p, p->echo[i].frame, p->echo[i].len, NULL);
	p->echoes = 0;
}

static void send_source(struct port_test *p)
{
	struct port_test_order o = { .magic = PORT_TEST_MAGIC,
				     .op = PORT_TEST_COUNT,
				     .time = p->token };

	for (uint32_t i = 0; i < BURST && p->sent - p->acked < p->window; i++) {
		o.seq = p->sent++;
		memcpy(p->payload + p->order_at, &o, sizeof(o));
		put_in(p, p->payload, p->size, &p->meta);
	}
}

static bool test_poll(struct loop_poller *lp)
{
	struct port_test *p = container_of(lp, struct port_test, poller);
	bool work = has_work(p);

	if (work) {
		send_echoes(p);
		if (p->source)
			send_source(p);
		vsw_flush(p->sw);
	}
	if (!has_work(p)) {
		p->polling = false;
		loop_poller_del(p->loop, lp);
	}
	return work;
}

static bool test_arm(struct loop_poller *lp)
{
	return !has_work(container_of(lp, struct port_test, poller));
}

static void test_disarm(struct loop_poller *lp)
{
	(void)lp;
}

/* ---- in ---------------------------------------------------------------------------- */

static void count(struct port_test *p, uint64_t seq)
{
	if (seq > p->next)
		p->lost += seq - p->next;
	p->next = seq + 1;
	p->counted++;
}

/* A short frame back to the sender of @f, with @o in it. */
static void answer(struct port_test *p, const struct net_frame *f, const struct port_test_order *o)
{
	uint32_t len = f->len < ECHO_LEN ? f->len : ECHO_LEN;
	struct net_meta meta;
	uint8_t *to;

	if (p->echoes == ECHOES)
		return;
	to = p->echo[p->echoes].frame;
	p->echo[p->echoes++].len = len;
	memset(to, 0, len);
	memcpy(to + port_test_frame(to, f->head + NET_MAC_LEN, vsw_port_mac(p->port), len, &meta),
	       o, sizeof(*o));
}

static void start_source(struct port_test *p, const struct net_frame *f,
			 const struct port_test_order *o)
{
	if (p->source) {
		if (o->seq <= p->sent && o->seq > p->acked)
			p->acked = o->seq;
		return;
	}
	if (o->size < PORT_TEST_MIN || o->size > sizeof(p->payload))
		return;
	p->source = true;
	p->size = o->size;
	p->window = o->value;
	p->token = o->time;
	p->sent = p->acked = 0;
	memset(p->payload, 0x5a, p->size);
	p->order_at = port_test_frame(p->payload, f->head + NET_MAC_LEN, vsw_port_mac(p->port),
				      p->size, &p->meta);
}

static void report(struct port_test *p, const struct net_frame *f, struct port_test_order *o)
{
	o->value = p->counted;
	o->lost = (uint32_t)p->lost;
	p->counted = p->next = p->lost = 0;
	answer(p, f, o);
}

static enum vsw_drop test_deliver(void *ctx, const struct net_frame *f, const struct net_meta *meta,
				  uint32_t from)
{
	struct port_test *p = ctx;
	struct port_test_order o;
	uint32_t at = port_test_find(f->head, f->head_len);

	(void)meta;
	(void)from;
	if (!at)
		return VSW_DROP_FILTER;
	memcpy(&o, f->head + at, sizeof(o));
	switch (o.op) {
	case PORT_TEST_COUNT:
		count(p, o.seq);
		break;
	case PORT_TEST_ECHO:
		answer(p, f, &o);
		break;
	case PORT_TEST_SOURCE:
		start_source(p, f, &o);
		break;
	case PORT_TEST_STOP:
		p->source = false;
		break;
	case PORT_TEST_REPORT:
		report(p, f, &o);
		break;
	default:
		return VSW_DROP_FILTER;
	}
	return VSW_FORWARDED;
}

static void test_flush(void *ctx)
{
	wake(ctx);
}

static const struct vsw_port_ops ops = { .deliver = test_deliver, .flush = test_flush };

int port_test_create(struct port_test **out, struct loop *loop, struct vsw *sw, const char *name,
		     const uint8_t mac[NET_MAC_LEN], char *why, size_t whylen)
{
	struct port_test *p = calloc(1, sizeof(*p));
	struct vsw_port_config cfg = { .name = name,
				       .role = VSW_HOST,
				       .caps = VSW_CAN_CSUM | VSW_CAN_TSO4 | VSW_CAN_TSO6 |
					       VSW_CAN_VLAN,
				       .mtu = NET_FRAME_MAX - NET_ETH_LEN,
				       .ops = &ops,
				       .ctx = p };
	int err;

	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->sw = sw;
	p->poller.poll = test_poll;
	p->poller.arm = test_arm;
	p->poller.disarm = test_disarm;
	memcpy(cfg.mac, mac, NET_MAC_LEN);
	err = vsw_port_add(&p->port, sw, &cfg, why, whylen);
	if (err) {
		free(p);
		return err;
	}
	*out = p;
	return 0;
}

void port_test_destroy(struct port_test *p)
{
	if (!p)
		return;
	if (p->polling)
		loop_poller_del(p->loop, &p->poller);
	vsw_port_del(p->port);
	free(p);
}
