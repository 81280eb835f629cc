/* SPDX-License-Identifier: MIT */
/*
 * Frames for the tests of base/net, made and verified one byte at a time, by nothing of what is
 * tested.
 */
#ifndef HVBUS_TESTS_UT_BASE_NET_RIG_H
#define HVBUS_TESTS_UT_BASE_NET_RIG_H

#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "base/net/frame.h"

#define RIG_FRAME (NET_FRAME_MAX + 64u)

struct rig_spec {
	bool ip6, udp;
	uint32_t tags;	      /* 0..2 in the frame */
	uint32_t ip_options;  /* IPv4: bytes, multiple of 4 */
	uint32_t extensions;  /* IPv6: destination option headers of 8 bytes */
	uint32_t tcp_options; /* bytes, multiple of 4 */
	uint8_t flags;	      /* TCP */
	uint16_t id;	      /* IPv4 */
	uint32_t seq;
	uint32_t payload;
};

struct rig_packet {
	uint8_t bytes[RIG_FRAME];
	uint32_t len, l3, l4, header_len;
};

static inline uint32_t rig_random(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15ull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32);
}

/* In [low, high]. */
static inline uint32_t rig_between(uint32_t low, uint32_t high)
{
	return low + rig_random() % (high - low + 1);
}

/* RFC 1071 as it is written: big-endian words, folded at the end. */
static inline uint16_t rig_sum(uint64_t sum, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint64_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static inline uint16_t rig_pseudo(const uint8_t *ip, bool ip6, uint8_t protocol, uint32_t len)
{
	return rig_sum(protocol + (uint64_t)len, ip + (ip6 ? 8 : 12), ip6 ? 32 : 8);
}

static inline uint32_t rig_put_eth(uint8_t *b, const struct rig_spec *s)
{
	static const uint8_t macs[] = {
		0x00, 0x15, 0x5d, 1, 2, 0xa1, 0x00, 0x15, 0x5d, 1, 2, 0xa0
	};
	uint32_t at = sizeof(macs);

	memcpy(b, macs, sizeof(macs));
	for (uint32_t i = 0; i < s->tags; i++, at += 4) {
		be16_put(b + at, i + 1 < s->tags ? NET_ETHERTYPE_QINQ : NET_ETHERTYPE_VLAN);
		be16_put(b + at + 2, (uint16_t)(100 + i));
	}
	be16_put(b + at, s->ip6 ? 0x86dd : 0x0800);
	return at + 2;
}

static inline uint32_t rig_put_ip4(uint8_t *ip, const struct rig_spec *s)
{
	uint32_t len = 20 + s->ip_options;

	memcpy(ip,
	       "\x45\x00\x00\x00\x00\x00\x40\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02",
	       20);
	ip[0] = (uint8_t)(0x40 | len / 4);
	ip[9] = s->udp ? 17 : 6;
	be16_put(ip + 4, s->id);
	memset(ip + 20, 1, s->ip_options); /* no operation */
	return len;
}

static inline uint32_t rig_put_ip6(uint8_t *ip, const struct rig_spec *s)
{
	uint8_t *next = ip + 6;
	uint32_t at = 40;

	memcpy(ip, "\x60\x01\x23\x45\x00\x00\x06\x40", 8);
	for (uint32_t i = 0; i < 32; i++)
		ip[8 + i] = (uint8_t)(i % 16 == 0 ? 0xfd : i * 3);
	for (uint32_t i = 0; i < s->extensions; i++, at += 8) {
		*next = 60;
		next = ip + at;
		memcpy(ip + at, "\x06\x00\x01\x04\x00\x00\x00\x00", 8); /* padding option */
	}
	*next = s->udp ? 17 : 6;
	return at;
}

static inline uint32_t rig_put_l4(uint8_t *p, const struct rig_spec *s)
{
	if (s->udp) {
		memcpy(p, "\x04\xd2\x13\x89\x00\x00\x00\x00", 8);
		be16_put(p + 4, (uint16_t)(8 + s->payload));
		return 8;
	}
	memcpy(p,
	       "\x04\xd2\x13\x89\x00\x00\x00\x00\x00\x00\x00\x01\x50\x00\xff\xff\x00\x00\x00\x00",
	       20);
	be32_put(p + 4, s->seq);
	p[12] = (uint8_t)((20 + s->tcp_options) / 4 << 4);
	p[13] = s->flags;
	memset(p + 20, 1, s->tcp_options);
	return 20 + s->tcp_options;
}

/* Lengths right, checksum fields zero. The payload is @payload, or random when that is NULL. */
static inline void rig_build(struct rig_packet *k, const struct rig_spec *s, const uint8_t *payload)
{
	uint8_t *b = k->bytes;

	k->l3 = rig_put_eth(b, s);
	k->l4 = k->l3 + (s->ip6 ? rig_put_ip6(b + k->l3, s) : rig_put_ip4(b + k->l3, s));
	k->header_len = k->l4 + rig_put_l4(b + k->l4, s);
	k->len = k->header_len + s->payload;
	ck_assert_uint_le(k->len, RIG_FRAME);
	for (uint32_t i = 0; i < s->payload; i++)
		b[k->header_len + i] = payload ? payload[i] : (uint8_t)rig_random();
	if (s->ip6)
		be16_put(b + k->l3 + 4, (uint16_t)(k->len - k->l3 - 40));
	else
		be16_put(b + k->l3 + 2, (uint16_t)(k->len - k->l3));
}

static inline void rig_put_ip_check(struct rig_packet *k)
{
	uint8_t *ip = k->bytes + k->l3;

	be16_put(ip + 10, 0);
	be16_put(ip + 10, (uint16_t)~rig_sum(0, ip, (ip[0] & 0xfu) * 4));
}

static inline uint8_t *rig_l4_check(struct rig_packet *k, bool udp)
{
	return k->bytes + k->l4 + (udp ? 6 : 16);
}

/* Complete checksums, as they are on the wire. */
static inline void rig_put_checks(struct rig_packet *k, const struct rig_spec *s)
{
	uint8_t *field = rig_l4_check(k, s->udp);
	uint32_t len = k->len - k->l4;
	uint16_t check;

	if (!s->ip6)
		rig_put_ip_check(k);
	be16_put(field, 0);
	check = (uint16_t)~rig_sum(rig_pseudo(k->bytes + k->l3, s->ip6, s->udp ? 17 : 6, len),
				   k->bytes + k->l4, len);
	be16_put(field, s->udp && !check ? 0xffff : check);
}

/* What a driver leaves in the field: with the length, or without as NDIS has it. */
static inline void rig_put_pseudo(struct rig_packet *k, const struct rig_spec *s, bool with_length)
{
	be16_put(rig_l4_check(k, s->udp), rig_pseudo(k->bytes + k->l3, s->ip6, s->udp ? 17 : 6,
						     with_length ? k->len - k->l4 : 0));
}

/* The form in which NDIS drivers hand over large frames. */
static inline void rig_make_ndis(struct rig_packet *k, const struct rig_spec *s)
{
	rig_put_pseudo(k, s, false);
	if (s->ip6) {
		be16_put(k->bytes + k->l3 + 4, 0);
	} else {
		be16_put(k->bytes + k->l3 + 2, 0);
		be16_put(k->bytes + k->l3 + 10, 0);
	}
}

/* A frame of which @copy bytes are in the private copy. The rest is one piece. */
struct rig_frame {
	struct net_frame f;
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
	struct iovec rest[1];
};

static inline struct net_frame *rig_frame(struct rig_frame *r, void *bytes, uint32_t len,
					  uint32_t copy)
{
	struct iovec iov = { bytes, len };

	ck_assert_int_eq(net_frame_init(&r->f, r->head, copy, &iov, 1, r->rest), 0);
	return &r->f;
}

static inline uint32_t rig_flatten(const struct net_frame *f, uint8_t *out)
{
	uint32_t at = f->head_len;

	memcpy(out, f->head, at);
	for (int i = 0; i < f->iovcnt; i++) {
		ck_assert_uint_le(at + f->iov[i].iov_len, RIG_FRAME);
		memcpy(out + at, f->iov[i].iov_base, f->iov[i].iov_len);
		at += (uint32_t)f->iov[i].iov_len;
	}
	ck_assert_uint_eq(at, f->len);
	return at;
}

static inline bool rig_same(const struct net_frame *f, const struct rig_packet *k)
{
	static uint8_t flat[RIG_FRAME];

	return rig_flatten(f, flat) == k->len && !memcmp(flat, k->bytes, k->len);
}

static inline int rig_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
