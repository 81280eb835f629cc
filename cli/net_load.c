/* SPDX-License-Identifier: MIT */
/*
 * One-way streams and round trips over synthetic NICs.
 */
#include "cli/net_load.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "vsp/netvsp/port_test.h"

#define RX_BURST  64
#define STALL_NS  2000000000ull
#define ANSWER_NS 2000000000ull
#define LOOKS	  16u /* bursts between two looks at the clock */
#define ACK_EVERY 16u /* shares of a window between two words to a source */

static struct netvsc_rx rx[RX_BURST];

/* ---- ends ----------------------------------------------------------------------- */

int net_end_open(struct net_end *e, const char *socket, const char *switch_name, uint32_t mtu,
		 char *why, size_t whylen)
{
	static const uint8_t test_port[NET_MAC_LEN] = PORT_TEST_MAC;
	char wishes[96];
	struct hv_child_config hc = { .name = "bench", .memory = 32u << 20, .wishes = wishes };
	struct netvsc_config nc = { .mtu = mtu };
	int err;

	*e = (struct net_end){ 0 };
	memcpy(e->peer, test_port, NET_MAC_LEN);
	snprintf(wishes, sizeof(wishes), "nic switch=%s,mtu=%u", switch_name, mtu);
	err = hv_child_connect(&e->child, socket, &hc, why, whylen);
	if (err)
		return err;
	err = vmbus_client_connect(&e->bus, e->child, NULL);
	if (err)
		snprintf(why, whylen, "VMBus: %s", strerror(-err));
	if (!err)
		err = netvsc_open(&e->nic, e->bus, 0, &nc, why, whylen);
	if (!err)
		err = netvsc_up(e->nic, true);
	if (err) {
		net_end_close(e);
		return err;
	}
	netvsc_info(e->nic, &e->info);
	return 0;
}

void net_end_close(struct net_end *e)
{
	netvsc_close(e->nic);
	vmbus_client_destroy(e->bus);
	if (e->child)
		hv_child_destroy(e->child);
	*e = (struct net_end){ 0 };
}

void net_end_peer(struct net_end *a, struct net_end *b)
{
	memcpy(a->peer, b->info.mac, NET_MAC_LEN);
	memcpy(b->peer, a->info.mac, NET_MAC_LEN);
}

/* ---- frames ------------------------------------------------------------------------ */

/* Frames of @size bytes to @e's peer start like this. */
static const struct net_load_head *head_for(struct net_end *e, uint32_t size)
{
	struct net_load_head *h = &e->head;

	if (h->size != size || memcmp(h->bytes, e->peer, NET_MAC_LEN)) {
		h->size = size;
		h->order_at = port_test_frame(h->bytes, e->peer, e->info.mac, size, &h->meta);
	}
	return h;
}

/* One frame with @o in it. -EAGAIN: no room now. */
static int put(struct net_end *e, uint32_t size, const struct port_test_order *o)
{
	const struct net_load_head *h = head_for(e, size);
	uint32_t start = h->order_at + (uint32_t)sizeof(*o), first;
	struct netvsc_tx tx;
	uint8_t *to;
	int err = netvsc_tx_begin(e->nic, 0, &tx);

	if (err)
		return err;
	to = tx.iov[0].iov_base; /* has room for headers */
	memcpy(to, h->bytes, h->order_at);
	memcpy(to + h->order_at, o, sizeof(*o));
	/* The rest of the payload is written fresh too: a sender's frames come from somewhere. */
	first = tx.iov[0].iov_len < size ? (uint32_t)tx.iov[0].iov_len : size;
	memset(to + start, (int)o->seq, first - start);
	if (size > first)
		memset(tx.iov[1].iov_base, (int)o->seq, size - first);
	return netvsc_tx_commit(e->nic, 0, &tx, size, &h->meta);
}

/* The order in a received frame, if there is one; a frame's headers are in one piece. */
static bool get(const struct netvsc_rx *r, struct port_test_order *o)
{
	const uint8_t *head = r->iov[0].iov_base;
	uint32_t at = port_test_find(head, (uint32_t)r->iov[0].iov_len);

	if (at)
		memcpy(o, head + at, sizeof(*o));
	return at;
}

/* Something of every cache line is read: a receiver does look at what it gets. */
static uint64_t touch(const struct netvsc_rx *r)
{
	uint64_t sum = 0;

	for (int i = 0; i < r->iovcnt; i++)
		for (size_t at = 0; at + 8 <= r->iov[i].iov_len; at += 64)
			sum += *((const volatile uint8_t *)r->iov[i].iov_base + at);
	return sum;
}

/* Only what belongs to the adapter's upkeep: transmit completions. */
static int upkeep(struct net_end *e)
{
	int n = netvsc_rx(e->nic, 0, rx, RX_BURST);

	netvsc_rx_done(e->nic, 0);
	return n < 0 ? n : 0;
}

/* One frame that waits for room; what comes meanwhile is nobody's. */
static int put_soon(struct net_end *e, uint32_t size, const struct port_test_order *o)
{
	uint64_t end = clock_ns() + ANSWER_NS;
	int err;

	while ((err = put(e, size, o)) == -EAGAIN && clock_ns() < end) {
		netvsc_tx_flush(e->nic, 0);
		err = upkeep(e);
		if (err)
			return err;
	}
	netvsc_tx_flush(e->nic, 0);
	return err == -EAGAIN ? -ETIMEDOUT : err;
}

/* ---- one way ------------------------------------------------------------------------- */

struct stream {
	struct net_load *l;
	uint32_t window, looks;
	bool moved; /* since the clock was looked at */
	uint64_t sent, got, next, lost, start, end, heard;
};

/*
 * What is under way fits a third of the receive buffer: the rest is for frames that were read
 * and are still to be given back, and a switch that shares a buffer refuses whoever has more.
 */
#define WAY_BYTES  (8u << 20)
#define RX_SECTION 1728u

static uint32_t window_of(const struct net_load *l)
{
	uint32_t sections = l->size / (RX_SECTION - 128u) + 1;
	uint32_t most = WAY_BYTES / 3 / RX_SECTION / sections;

	return l->window < most ? l->window : most;
}

static void stream_begin(struct stream *s, struct net_load *l)
{
	*s = (struct stream){ .l = l, .window = window_of(l), .start = clock_ns() };
	s->heard = s->start;
	s->end = s->start + l->ns;
}

static int send_burst(struct stream *s, struct net_end *e)
{
	struct port_test_order o = { .magic = PORT_TEST_MAGIC,
				     .op = PORT_TEST_COUNT,
				     .time = s->start };
	int err = 0;

	for (uint32_t i = 0; i < s->l->batch; i++) {
		if (s->sent - s->got - s->lost >= s->window)
			break;
		o.seq = s->sent;
		err = put(e, s->l->size, &o);
		if (err)
			break;
		s->sent++;
	}
	netvsc_tx_flush(e->nic, 0);
	return err == -EAGAIN ? 0 : err;
}

/* How many frames of the stream came; negative: the adapter is finished. */
static int receive_burst(struct stream *s, struct net_end *e)
{
	struct port_test_order o;
	int n = netvsc_rx(e->nic, 0, rx, RX_BURST), taken = 0;

	for (int i = 0; i < n; i++) {
		if (!get(&rx[i], &o) || o.op != PORT_TEST_COUNT || o.time != s->start)
			continue; /* or of the stream before this one */
		touch(&rx[i]);
		if (o.seq > s->next)
			s->lost += o.seq - s->next;
		s->next = o.seq + 1;
		s->got++;
		taken++;
	}
	netvsc_rx_done(e->nic, 0);
	return n < 0 ? n : taken;
}

/* The time, looked at now and then; 0 = go on, 1 = over, -ETIMEDOUT. */
static int stream_over(struct stream *s, bool moved)
{
	uint64_t now;

	s->moved |= moved;
	if (++s->looks % LOOKS)
		return 0;
	now = clock_ns();
	if (s->moved)
		s->heard = now;
	s->moved = false;
	if (now - s->heard > STALL_NS)
		return -ETIMEDOUT;
	return now >= s->end;
}

static void stream_done(struct stream *s)
{
	s->l->frames = s->got;
	s->l->lost = s->lost;
	s->l->elapsed_ns = clock_ns() - s->start;
}

int net_load_pair(struct net_load *l, struct net_end *from, struct net_end *to)
{
	struct stream s;
	int n, err = 0;

	stream_begin(&s, l);
	while (!err) {
		err = send_burst(&s, from);
		if (!err)
			err = upkeep(from);
		if (err)
			break;
		n = receive_burst(&s, to);
		err = n < 0 ? n : stream_over(&s, n);
	}
	stream_done(&s);
	return err < 0 ? err : 0;
}

/* ---- the test port ---------------------------------------------------------------------- */

/* Sends @o until its answer comes, which is then in *@o. */
static int ask(struct net_end *e, struct port_test_order *o)
{
	uint64_t end = clock_ns() + ANSWER_NS, token = clock_ns();
	uint32_t op = o->op;
	int err, n;

	o->magic = PORT_TEST_MAGIC;
	o->time = token;
	err = put_soon(e, 64, o);
	while (!err && clock_ns() < end) {
		struct port_test_order got;

		n = netvsc_rx(e->nic, 0, rx, RX_BURST);
		for (int i = 0; i < n; i++)
			if (get(&rx[i], &got) && got.op == op && got.time == token) {
				*o = got;
				token = 0;
			}
		netvsc_rx_done(e->nic, 0);
		if (n < 0)
			return n;
		if (!token)
			return 0;
	}
	return err ? err : -ETIMEDOUT;
}

/*
 * The port's own count is the result: @sent runs ahead of it by what is in the ring and the
 * buffers only.
 */
int net_load_to_root(struct net_load *l, struct net_end *e)
{
	struct port_test_order o = { .op = PORT_TEST_REPORT };
	struct stream s;
	int err = ask(e, &o);

	stream_begin(&s, l);
	while (!err) {
		uint64_t before = s.sent;

		s.got = s.sent - netvsc_tx_pending(e->nic, 0);
		err = send_burst(&s, e);
		if (!err)
			err = upkeep(e);
		if (!err)
			err = stream_over(&s, s.sent != before);
	}
	if (err < 0)
		return err;
	o = (struct port_test_order){ .op = PORT_TEST_REPORT };
	err = ask(e, &o);
	s.got = o.value;
	s.lost = o.lost;
	stream_done(&s);
	return err;
}

/* How far we are, now and then; without room for it, next time. */
static int tell_source(const struct stream *s, struct net_end *e, struct port_test_order *o)
{
	uint64_t told = o->seq;
	int err;

	if (s->next - told <= s->window / ACK_EVERY)
		return 0;
	o->seq = s->next;
	err = put(e, 64, o);
	netvsc_tx_flush(e->nic, 0);
	if (err != -EAGAIN)
		return err;
	o->seq = told;
	return 0;
}

int net_load_from_root(struct net_load *l, struct net_end *e)
{
	struct port_test_order o = { .magic = PORT_TEST_MAGIC,
				     .op = PORT_TEST_SOURCE,
				     .size = l->size };
	struct stream s;
	int n, err;

	stream_begin(&s, l);
	o.value = s.window;
	o.time = s.start;
	err = put_soon(e, 64, &o);
	while (!err) {
		n = receive_burst(&s, e);
		err = n < 0 ? n : tell_source(&s, e, &o);
		if (!err)
			err = stream_over(&s, n);
	}
	stream_done(&s);
	if (err < 0)
		return err;
	o.op = PORT_TEST_STOP;
	err = put_soon(e, 64, &o);
	o = (struct port_test_order){ .op = PORT_TEST_REPORT };
	return err ? err : ask(e, &o); /* behind it nothing of the stream is under way */
}

/* ---- round trips ---------------------------------------------------------------------------- */

/* Is the frame of this trip there? 1 yes, 0 not yet. */
static int heard(struct net_load *l, struct net_end *e, uint64_t trip)
{
	struct port_test_order o;
	int n, found = 0;

	if (l->sleep) {
		n = netvsc_wait(e->nic, 0, STALL_NS);
		if (n <= 0)
			return n ? n : -ETIMEDOUT;
	}
	n = netvsc_rx(e->nic, 0, rx, RX_BURST);
	for (int i = 0; i < n; i++)
		found |= get(&rx[i], &o) && o.time == trip;
	netvsc_rx_done(e->nic, 0);
	return n < 0 ? n : found;
}

static int say(struct net_load *l, struct net_end *e, uint32_t op, uint64_t trip)
{
	const struct port_test_order o = { .magic = PORT_TEST_MAGIC, .op = op, .time = trip };

	return put_soon(e, l->size, &o);
}

static int wait_for(struct net_load *l, struct net_end *e, uint64_t start)
{
	uint32_t looks = 0;
	int n;

	while (!(n = heard(l, e, start)))
		if (++looks % 1024 == 0 && clock_ns() - start > STALL_NS)
			return -ETIMEDOUT;
	return n < 0 ? n : 0;
}

static int one_trip(struct net_load *l, struct net_end *e, struct net_end *echo)
{
	uint32_t op = echo ? PORT_TEST_COUNT : PORT_TEST_ECHO;
	uint64_t start = clock_ns(), end;
	int err = say(l, e, op, start);

	if (!err && echo)
		err = wait_for(l, echo, start);
	if (!err && echo)
		err = say(l, echo, op, start);
	if (!err)
		err = wait_for(l, e, start);
	end = clock_ns();
	if (!err)
		hist_add(l->rtt, end - start);
	return err;
}

int net_load_rtt_pair(struct net_load *l, struct net_end *e, struct net_end *echo)
{
	uint64_t start = clock_ns();
	int err = 0;

	l->frames = 0;
	while (!err && clock_ns() - start < l->ns) {
		err = one_trip(l, e, echo);
		l->frames += !err;
	}
	l->elapsed_ns = clock_ns() - start;
	return err;
}

int net_load_rtt(struct net_load *l, struct net_end *e)
{
	return net_load_rtt_pair(l, e, NULL);
}
