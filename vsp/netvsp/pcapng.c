/* SPDX-License-Identifier: MIT */
/* Blocks of a pcapng file. All that is in it is little-endian, as its first block says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/net/vnet.h"
#include "vsp/netvsp/pcapng.h"
#include "vsp/netvsp/spool.h"

#define BLOCK_SECTION	 0x0a0d0d0au
#define BLOCK_INTERFACE	 1u
#define BLOCK_STATISTICS 5u
#define BLOCK_PACKET	 6u
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINK_ETHERNET	 1u
#define SNAP_ALL	 262144u

#define OPT_END		 0u
#define OPT_USER_APPL	 4u /* of the section */
#define OPT_IF_NAME	 2u
#define OPT_IF_TSRESOL	 9u
#define OPT_FLAGS	 2u /* of a packet */
#define OPT_DROPPED	 4u
#define OPT_RECEIVED	 4u /* of the statistics */
#define OPT_LOST	 5u
#define FLAG_INBOUND	 1u
#define FLAG_OUTBOUND	 2u

#define DEFAULT_BUFFER	 (4u * 1024 * 1024)
#define MAX_NAME	 256u

struct option {
	uint16_t code, len;
} PACKED;
WIRE_SIZE(struct option, 4);

struct block {
	uint32_t type, len;
} PACKED;
WIRE_SIZE(struct block, 8);

struct section {
	struct block block;
	uint32_t magic;
	uint16_t major, minor;
	uint64_t len;
} PACKED;
WIRE_SIZE(struct section, 24);

struct interface {
	struct block block;
	uint16_t link, reserved;
	uint32_t snaplen;
} PACKED;
WIRE_SIZE(struct interface, 16);

struct packet {
	struct block block;
	uint32_t interface;
	uint32_t time_high, time_low;
	uint32_t captured, original;
} PACKED;
WIRE_SIZE(struct packet, 28);

/* What follows the bytes of a packet. */
struct packet_flags {
	struct option option;
	uint32_t flags;
} PACKED;
struct packet_dropped {
	struct option option;
	uint64_t count;
} PACKED;
struct tail {
	struct option end;
	uint32_t len;
} PACKED;
WIRE_SIZE(struct tail, 8);

struct statistics {
	struct block block;
	uint32_t interface;
	uint32_t time_high, time_low;
	struct packet_dropped received, lost;
	struct tail tail;
} PACKED;
WIRE_SIZE(struct statistics, 52);

struct vsw_mirror {
	struct spool *spool;
	uint32_t snaplen;
	uint64_t frames, bytes, dropped;
	uint64_t told; /* of those dropped, in the file */
	char *path;
};

static uint32_t padding(uint32_t len)
{
	return -len & 3;
}

static uint64_t wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- beginning and end -------------------------------------------------------------------- */

/* An option whose value is @text, at @at; returns its end. */
static uint8_t *put_option(uint8_t *at, uint16_t code, const void *value, uint16_t len)
{
	struct option o = { code, len };

	memcpy(at, &o, sizeof(o));
	memcpy(at + sizeof(o), value, len);
	memset(at + sizeof(o) + len, 0, padding(len));
	return at + sizeof(o) + len + padding(len);
}

/* Closes the options of the block at @block, which end at @at, and sets its length. */
static uint8_t *end_block(uint8_t *block, uint8_t *at)
{
	struct tail t = { .len = (uint32_t)(at - block) + (uint32_t)sizeof(t) };

	memcpy(at, &t, sizeof(t));
	memcpy(block + offsetof(struct block, len), &t.len, sizeof(t.len));
	return at + sizeof(t);
}

static void put_header(struct vsw_mirror *m, const char *interface)
{
	static const char program[] = "hvbus " HVBUS_VERSION;
	static const uint8_t nanoseconds = 9;
	uint8_t buf[256 + MAX_NAME], *at = buf, *second;
	struct section s = { { BLOCK_SECTION, 0 }, BYTE_ORDER_MAGIC, 1, 0, UINT64_MAX };
	struct interface i = { { BLOCK_INTERFACE, 0 }, LINK_ETHERNET, 0, m->snaplen };

	memcpy(at, &s, sizeof(s));
	at = put_option(at + sizeof(s), OPT_USER_APPL, program, sizeof(program) - 1);
	second = at = end_block(buf, at);
	memcpy(at, &i, sizeof(i));
	at = put_option(at + sizeof(i), OPT_IF_NAME, interface, (uint16_t)strlen(interface));
	at = put_option(at, OPT_IF_TSRESOL, &nanoseconds, 1);
	at = end_block(second, at);
	if (!spool_begin(m->spool, (uint32_t)(at - buf)))
		return;
	spool_put(m->spool, buf, (size_t)(at - buf));
	spool_commit(m->spool);
}

static struct statistics statistics(const struct vsw_mirror *m)
{
	uint64_t now = wall_ns();
	struct statistics s = {
		.block = { BLOCK_STATISTICS, sizeof(s) },
		.time_high = (uint32_t)(now >> 32),
		.time_low = (uint32_t)now,
		.received = { { OPT_RECEIVED, 8 }, m->frames + m->dropped },
		.lost = { { OPT_LOST, 8 }, m->dropped },
		.tail = { .len = sizeof(s) },
	};

	return s;
}

int vsw_mirror_open(struct vsw_mirror **out, const struct vsw_mirror_config *cfg)
{
	const char *path = cfg->path ? cfg->path : "";
	struct vsw_mirror *m;
	int err;

	if (!cfg->interface || strlen(cfg->interface) > MAX_NAME)
		return -EINVAL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->snaplen = cfg->snaplen ? cfg->snaplen : SNAP_ALL;
	m->path = strdup(path);
	err = m->path ? 0 : -ENOMEM;
	if (!err)
		err = spool_open(&m->spool, cfg->fd, cfg->buffer ? cfg->buffer : DEFAULT_BUFFER);
	if (err) {
		free(m->path);
		free(m);
		return err;
	}
	put_header(m, cfg->interface);
	*out = m;
	return 0;
}

void vsw_mirror_close(struct vsw_mirror *m)
{
	struct statistics s;

	if (!m)
		return;
	s = statistics(m);
	spool_close(m->spool, &s, m->dropped ? sizeof(s) : 0);
	free(m->path);
	free(m);
}

void vsw_mirror_stats(const struct vsw_mirror *m, struct vsw_mirror_stats *out)
{
	*out = (struct vsw_mirror_stats){
		.frames = m->frames,
		.dropped = m->dropped,
		.bytes = m->bytes,
		.error = spool_error(m->spool),
		.path = m->path,
	};
}

/* ---- frames --------------------------------------------------------------------------------- */

/* What the wire would show: checksums complete, also of a large frame, and the tag in the frame. */
static void make_plain(struct net_frame *f, const struct net_meta *meta)
{
	f->meta = *meta;
	f->meta.gso = NET_GSO_NONE;
	net_csum_complete(f);
	net_vlan_push(f);
}

static void put_frame(struct spool *s, const struct net_frame *f, uint32_t captured)
{
	static const uint8_t zeroes[4];
	uint32_t n = f->head_len < captured ? f->head_len : captured, left = captured - n;

	spool_put(s, f->head, n);
	for (int i = 0; left && i < f->iovcnt; i++) {
		n = f->iov[i].iov_len < left ? (uint32_t)f->iov[i].iov_len : left;
		spool_put(s, f->iov[i].iov_base, n);
		left -= n;
	}
	spool_put(s, zeroes, padding(captured));
}

static void put_tail(struct vsw_mirror *m, uint32_t len, bool outbound)
{
	struct packet_flags flags = { { OPT_FLAGS, 4 }, outbound ? FLAG_OUTBOUND : FLAG_INBOUND };
	struct packet_dropped dropped = { { OPT_DROPPED, 8 }, m->dropped - m->told };
	struct tail tail = { .len = len };

	spool_put(m->spool, &flags, sizeof(flags));
	if (dropped.count)
		spool_put(m->spool, &dropped, sizeof(dropped));
	spool_put(m->spool, &tail, sizeof(tail));
	m->told = m->dropped;
}

static uint32_t block_length(const struct vsw_mirror *m, uint32_t captured)
{
	uint32_t len = sizeof(struct packet) + captured + padding(captured);

	len += sizeof(struct packet_flags) + sizeof(struct tail);
	return m->dropped > m->told ? len + (uint32_t)sizeof(struct packet_dropped) : len;
}

void vsw_mirror_frame(struct vsw_mirror *m, const struct net_frame *f, const struct net_meta *meta,
		      bool outbound)
{
	uint32_t original = f->len + (meta->tagged ? NET_VLAN_LEN : 0);
	uint32_t captured = original < m->snaplen ? original : m->snaplen;
	uint32_t len = block_length(m, captured);
	uint8_t head[NET_HEAD_MAX + 2 * NET_VLAN_LEN];
	struct net_frame plain = *f;
	uint64_t now;

	/* Room first: a frame that is lost costs no sum. */
	if (spool_error(m->spool) || !spool_begin(m->spool, len)) {
		m->dropped++;
		return;
	}
	memcpy(head, f->head, f->head_len);
	plain.head = head;
	make_plain(&plain, meta);
	now = wall_ns();
	spool_put(m->spool,
		  &(struct packet){ .block = { BLOCK_PACKET, len },
				    .time_high = (uint32_t)(now >> 32),
				    .time_low = (uint32_t)now,
				    .captured = captured,
				    .original = original },
		  sizeof(struct packet));
	put_frame(m->spool, &plain, captured);
	put_tail(m, len, outbound);
	spool_commit(m->spool);
	m->frames++;
	m->bytes += original;
}
