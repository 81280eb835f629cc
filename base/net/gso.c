/* SPDX-License-Identifier: MIT */
/* A large TCP frame in pieces: headers made anew for each, the payload referred to. */
#include "base/iov.h"
#include "base/net/gso.h"
#include "base/net/ip.h"

/*
 * Sums of the headers without what differs between segments: lengths, IPv4 id, sequence number,
 * flags. The checksum fields are to count as 0.
 */
static void sum_template(struct net_gso *g, const struct net_frame *f)
{
	uint8_t copy[NET_HEAD_MAX];
	struct net_ip4 *ip = (void *)(copy + f->proto.l3);
	struct net_tcp *tcp = (void *)(copy + f->proto.l4);
	uint16_t header_len = f->meta.header_len;

	memcpy(copy, f->head, header_len);
	tcp->seq = be32_make(0);
	tcp->flags = 0;
	tcp->check = be16_make(0);
	g->tcp_sum = net_csum_add(net_csum_pseudo(f, 0), tcp, header_len - f->proto.l4);
	if (f->proto.version != 4)
		return;
	ip->total = ip->id = ip->check = be16_make(0);
	g->ip_sum = net_csum_add(0, ip, (ip->version_ihl & 0xfu) * 4);
}

void net_gso_begin(struct net_gso *g, const struct net_frame *f)
{
	g->whole = f;
	g->done = g->segment = 0;
	g->piece = 0;
	g->skip = 0;
	g->payload = 0;
	g->ip_sum = 0;
	if (f->meta.gso == NET_GSO_NONE)
		return;
	g->payload = f->len - f->meta.header_len;
	sum_template(g, f);
}

/* Up to @want bytes of the payload that came with the headers; none once they are behind us. */
static uint32_t take_head(struct net_gso *g, uint32_t want)
{
	const struct net_frame *f = g->whole;
	uint32_t at = f->meta.header_len + g->done, n;

	if (at >= f->head_len)
		return 0;
	n = f->head_len - at;
	if (n > want)
		n = want;
	g->iov[0] = (struct iovec){ f->head + at, n };
	g->frame.iovcnt = 1;
	return n;
}

/* The next piece of the list, or what is wanted of it. */
static uint32_t take_piece(struct net_gso *g, uint32_t want)
{
	const struct iovec *from = &g->whole->iov[g->piece];
	size_t n = from->iov_len - g->skip;

	if (n > want)
		n = want;
	if (n)
		g->iov[g->frame.iovcnt++] = (struct iovec){ (char *)from->iov_base + g->skip, n };
	g->skip += n;
	if (g->skip == from->iov_len) {
		g->piece++;
		g->skip = 0;
	}
	return (uint32_t)n;
}

/* Lists up to @want bytes of payload; fewer when there are too many pieces. */
static uint32_t take_payload(struct net_gso *g, uint32_t want)
{
	uint32_t got;

	g->frame.iovcnt = 0;
	got = take_head(g, want);
	while (got < want && g->piece < g->whole->iovcnt && g->frame.iovcnt < NET_GSO_IOV)
		got += take_piece(g, want - got);
	return got;
}

static void finish_ip(struct net_gso *g, uint32_t bytes)
{
	const struct net_frame *f = g->whole;
	uint32_t length = f->meta.header_len + bytes - f->proto.l3;
	struct net_ip4 *ip = (void *)(g->head + f->proto.l3);
	struct net_ip6 *ip6 = (void *)ip;
	uint32_t at =
		f->proto.l3 + (uint32_t)offsetof(struct net_ip4, total); /* id is next to it */
	uint16_t check;

	if (f->proto.version == 6) {
		ip6->payload = be16_make((uint16_t)(length - sizeof(*ip6)));
		return;
	}
	ip->total = be16_make((uint16_t)length);
	ip->id = be16_make((uint16_t)(be16_get(ip->id) + g->segment));
	check = (uint16_t)~net_csum_fold(net_csum_add(g->ip_sum, g->head + at, 4));
	memcpy(&ip->check, &check, sizeof(check));
}

static void finish_tcp(struct net_gso *g, uint32_t bytes)
{
	const struct net_frame *f = g->whole;
	struct net_tcp *tcp = (void *)(g->head + f->proto.l4);
	uint32_t header = f->meta.header_len - f->proto.l4, sum;
	uint16_t check;

	tcp->seq = be32_make(be32_get(tcp->seq) + g->done);
	if (g->segment)
		tcp->flags &= (uint8_t)~NET_TCP_CWR;
	if (g->done + bytes < g->payload)
		tcp->flags &= (uint8_t) ~(NET_TCP_FIN | NET_TCP_PSH);
	sum = net_csum_add(g->tcp_sum, tcp->seq.b, sizeof(tcp->seq));
	sum = net_csum_join(sum, (uint32_t)tcp->flags << 8, 0);
	sum = net_csum_join(sum, __builtin_bswap32(header + bytes), 0); /* of the pseudo header */
	sum = net_csum_join(sum, net_csum_iov(0, g->iov, g->frame.iovcnt, 0, bytes), 0);
	check = (uint16_t)~net_csum_fold(sum);
	memcpy(&tcp->check, &check, sizeof(check));
}

/* The frame around headers and payload; what is known of the whole is known of it. */
static void finish_frame(struct net_gso *g, uint32_t bytes)
{
	const struct net_frame *f = g->whole;
	struct net_frame *s = &g->frame;

	s->head = g->head;
	s->head_len = f->meta.header_len;
	s->len = s->head_len + bytes;
	s->iov = g->iov;
	s->parsed = true;
	s->proto = f->proto;
	s->proto.l3_len = s->len - f->proto.l3;
	s->meta = f->meta;
	s->meta.csum = NET_CSUM_GOOD;
	s->meta.csum_start = s->meta.csum_offset = 0;
	s->meta.gso = NET_GSO_NONE;
	s->meta.gso_ecn = false;
	s->meta.gso_size = s->meta.header_len = 0;
}

struct net_frame *net_gso_next(struct net_gso *g)
{
	const struct net_frame *f = g->whole;
	uint32_t bytes = g->payload - g->done;

	if (bytes > f->meta.gso_size)
		bytes = f->meta.gso_size;
	bytes = take_payload(g, bytes);
	if (!bytes)
		return NULL;
	memcpy(g->head, f->head, f->meta.header_len);
	finish_frame(g, bytes);
	finish_ip(g, bytes);
	finish_tcp(g, bytes);
	g->done += bytes;
	g->segment++;
	return &g->frame;
}

uint32_t net_gso_count(const struct net_frame *f, uint32_t *wire_bytes)
{
	uint32_t payload, count = 1;

	if (f->meta.gso != NET_GSO_NONE) {
		payload = f->len - f->meta.header_len;
		count = (payload + f->meta.gso_size - 1) / f->meta.gso_size;
	}
	if (wire_bytes)
		*wire_bytes = f->len + (count - 1) * f->meta.header_len;
	return count;
}
