/* SPDX-License-Identifier: MIT */
/*
 * A small storage provider for the client's tests: one RAM disk at LUN 0 (and one absent
 * everywhere else), answered from inside the client's waits. A hook sees every request
 * first and may answer it wrongly, late, or not at all.
 */
#ifndef HVBUS_TESTS_UT_VSC_MINI_VSP_H
#define HVBUS_TESTS_UT_VSC_MINI_VSP_H

#include <check.h>
#include <stdlib.h>

#include "base/iov.h"
#include "tests/fake/fake_child.h"
#include "vmbus/wire/vmbus_msg.h"
#include "vmbus/wire/vstor.h"
#include "vsc/storvsc_priv.h"

#define MINI_SIZE  (4u << 20)
#define MINI_BLOCK 512u
#define MINI_LOG   4096

struct mini_vsp {
	struct vmbus_client *bus;
	/* True: the hook has dealt with the request. */
	bool (*hook)(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
		     const struct vstor_packet *p);
	uint16_t version;      /* highest accepted */
	uint16_t subs;	       /* announced sub-channels */
	uint32_t max_transfer; /* announced */
	bool no_write_same, no_unmap, no_fua, no_cache, readonly;
	uint32_t block; /* in READ CAPACITY */
	uint64_t last;	/* LBA in READ CAPACITY */
	uint32_t stall; /* requests that are left alone, from the ring's head */
	uint32_t n_log;
	struct vstor_packet log[MINI_LOG]; /* SRBs as they came */
	uint8_t *disk;
};

static inline void mini_reply(struct vmbus_chan *c, uint64_t id, const struct vstor_packet *p)
{
	ck_assert_int_eq(vmbus_chan_send_completion(c, id, p, VSTOR_PACKET), 0);
}

/* A plain completion of @p: srb and scsi status, and bytes moved. */
static inline struct vstor_packet mini_done(const struct vstor_packet *p, uint8_t srb_status,
					    uint8_t scsi_status, uint32_t moved)
{
	struct vstor_packet r = { .operation = VSTOR_OP_COMPLETE_IO };

	r.srb = p->srb;
	memset(r.srb.sense, 0, sizeof(r.srb.sense));
	r.srb.srb_status = srb_status;
	r.srb.scsi_status = scsi_status;
	r.srb.sense_info_length = VSTOR_SENSE_ROOM;
	r.srb.data_transfer_length = moved;
	return r;
}

static inline struct vstor_packet mini_sense(const struct vstor_packet *p, uint8_t key, uint8_t asc,
					     uint8_t ascq)
{
	struct vstor_packet r = mini_done(p, (key == 5 ? 6 : 4) | VSTOR_SRB_AUTOSENSE, 2, 0);

	r.srb.sense[0] = 0x70;
	r.srb.sense[2] = key;
	r.srb.sense[7] = 10;
	r.srb.sense[12] = asc;
	r.srb.sense[13] = ascq;
	return r;
}

/* Parameter data of a command that has some; bytes in @out, or -1. */
static inline int mini_params(const struct mini_vsp *v, const uint8_t *cdb, uint8_t *out)
{
	static const uint8_t vpd80[] = { 0, 0x80, 0, 8, 'S', 'E', 'R', 'I', 'A', 'L', '0', '7' };
	static const uint8_t naa[] = {
		0x60, 0x02, 0x24, 0x80, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
	};

	memset(out, 0, 128);
	if (cdb[0] == 0xa0) {
		be32_put(out, 8);
		return 16;
	}
	if (cdb[0] == 0x12 && !cdb[1]) {
		memcpy(out, "\0\0\5\2\x5b\0\0\2Msft    Virtual Disk    1.0 ", 36);
		return 96;
	}
	if (cdb[0] == 0x12 && cdb[2] == 0x80) {
		memcpy(out, vpd80, sizeof(vpd80));
		return sizeof(vpd80);
	}
	if (cdb[0] == 0x12 && cdb[2] == 0x83) {
		memcpy(out, "\0\x83\0\x14\1\3\0\x10", 8);
		memcpy(out + 8, naa, 16);
		return 24;
	}
	if (cdb[0] == 0x12 && cdb[2] == 0xb0) {
		be16_put(out + 2, 0x3c);
		out[1] = 0xb0;
		be32_put(out + 20, v->no_unmap ? 0 : 4096);
		be32_put(out + 24, v->no_unmap ? 0 : 16);
		be64_put(out + 36, 2048);
		return 64;
	}
	if (cdb[0] == 0x12 && cdb[2] == 0xb2) {
		memcpy(out, "\0\xb2\0\4\1\xe4\2\0", 8);
		return 8;
	}
	if (cdb[0] == 0x9e) {
		be64_put(out, v->last);
		be32_put(out + 8, v->block);
		out[13] = 3;
		out[14] = v->no_unmap ? 0 : 0xc0;
		return 32;
	}
	if (cdb[0] == 0x1a) {
		out[0] = 23;
		out[2] = (uint8_t)((v->readonly ? 0x80 : 0) | (v->no_fua ? 0 : 0x10));
		out[4] = 0x08;
		out[5] = 0x12;
		out[6] = v->no_cache ? 0 : 4;
		return 24;
	}
	return -1;
}

static inline struct vstor_packet mini_medium(struct mini_vsp *v, const struct vstor_packet *p,
					      const struct iovec *iov, int niov)
{
	const uint8_t *cdb = p->srb.cdb;
	bool wide = cdb[0] >= 0x80;
	uint64_t at = (wide ? be64_at(cdb + 2) : be32_at(cdb + 2)) * MINI_BLOCK;
	uint64_t len = (wide ? be32_at(cdb + 10) : be16_at(cdb + 7)) * (uint64_t)MINI_BLOCK;
	uint8_t list[24], block[MINI_BLOCK];

	if (cdb[0] == 0x42) {
		if (v->no_unmap)
			return mini_sense(p, 5, 0x20, 0);
		ck_assert_uint_eq(iov_to_buf(iov, niov, 0, list, 24), 24);
		at = be64_at(list + 8) * MINI_BLOCK;
		len = be32_at(list + 16) * (uint64_t)MINI_BLOCK;
	}
	if (cdb[0] == 0x93 && v->no_write_same)
		return mini_sense(p, 5, 0x20, 0);
	if (at > MINI_SIZE || len > MINI_SIZE - at)
		return mini_sense(p, 5, 0x21, 0);
	if ((cdb[0] & 0x1f) == 0x08)
		iov_from_buf(iov, niov, 0, v->disk + at, len);
	else if (v->readonly)
		return mini_sense(p, 7, 0x27, 0);
	else if ((cdb[0] & 0x1f) == 0x0a)
		iov_to_buf(iov, niov, 0, v->disk + at, len);
	else {
		if (cdb[0] == 0x93) {
			iov_to_buf(iov, niov, 0, block, MINI_BLOCK);
			ck_assert(!block[0] && !memcmp(block, block + 1, MINI_BLOCK - 1));
		}
		memset(v->disk + at, 0, len);
	}
	return mini_done(p, 1, 0, p->srb.data_transfer_length);
}

static inline void mini_srb(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
			    const struct vstor_packet *p)
{
	uint8_t data[128];
	struct iovec iov[300];
	struct vstor_packet r;
	uint32_t len = p->srb.data_transfer_length;
	int n, niov = 0;

	if (v->n_log < MINI_LOG)
		v->log[v->n_log++] = *p;
	if (len) {
		niov = vmbus_chan_iov(c, pkt, 0, len, iov, ARRAY_SIZE(iov));
		ck_assert_int_gt(niov, 0);
	}
	n = mini_params(v, p->srb.cdb, data);
	if (p->srb.lun || p->srb.path_id || p->srb.target_id) {
		r = mini_done(p, VSTOR_SRB_INVALID_LUN, 2, 0);
		if (p->srb.cdb[0] == 0x12) {
			memset(data, 0, 36);
			data[0] = 0x7f;
			iov_from_buf(iov, niov, 0, data, 36);
			r = mini_done(p, 1, 0, 36);
		}
	} else if (n >= 0) {
		n = (uint32_t)n < len ? n : (int)len;
		iov_from_buf(iov, niov, 0, data, (size_t)n);
		r = mini_done(p, 1, 0, (uint32_t)n);
	} else if (p->srb.cdb[0] == 0x00 || p->srb.cdb[0] == 0x35) {
		r = mini_done(p, 1, 0, 0);
	} else if (strchr("\x28\x2a\x88\x8a\x42\x93", p->srb.cdb[0])) {
		r = mini_medium(v, p, iov, niov);
	} else {
		r = mini_sense(p, 5, 0x20, 0);
	}
	mini_reply(c, pkt->trans_id, &r);
}

static inline void mini_control(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
				const struct vstor_packet *p)
{
	struct vstor_packet r = { .operation = VSTOR_OP_COMPLETE_IO };

	if (p->operation == VSTOR_OP_QUERY_PROTOCOL_VERSION) {
		r.version = p->version;
		if (p->version.major_minor > v->version)
			r.status = VSTOR_STATUS_REVISION_MISMATCH;
	} else if (p->operation == VSTOR_OP_QUERY_PROPERTIES) {
		r.properties.max_channel_count = v->subs;
		r.properties.flags = v->subs ? VSTOR_PROP_MULTI_CHANNEL : 0;
		r.properties.max_transfer_bytes = v->max_transfer;
	}
	mini_reply(c, pkt->trans_id, &r);
}

static inline void mini_packet(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt)
{
	struct vstor_packet p;

	ck_assert_uint_eq(pkt->payload_len, VSTOR_PACKET);
	ck_assert_uint_eq(pkt->flags, VMPKT_FLAG_COMPLETION_REQUESTED);
	ck_assert_uint_ne(pkt->trans_id, 0);
	memcpy(&p, pkt->payload, sizeof(p));
	ck_assert_uint_eq(p.flags, VSTOR_FLAG_COMPLETION);
	if (v->hook && v->hook(v, c, pkt, &p))
		return;
	if (p.operation == VSTOR_OP_EXECUTE_SRB)
		mini_srb(v, c, pkt, &p);
	else
		mini_control(v, c, pkt, &p);
}

/* The root's work function: everything that is in the rings. */
static inline void mini_work(void *ctx)
{
	struct mini_vsp *v = ctx;
	struct vmpkt pkt;
	uint16_t sub;

	for (sub = 0; sub < FAKE_CHILD_CHANS; sub++) {
		struct vmbus_chan *c = fake_client_host(v->bus, sub);

		if (!c)
			continue;
		while (!v->stall && vmbus_chan_recv(c, &pkt) > 0)
			mini_packet(v, c, &pkt);
		vmbus_chan_recv_done(c);
		vmbus_chan_flush(c);
	}
}

static inline void mini_init(struct mini_vsp *v, uint32_t vps)
{
	static const struct guid scsi = VMBUS_CLASS_SCSI;

	memset(v, 0, sizeof(*v));
	v->bus = fake_client_create(&scsi, vps, 24u << 20);
	v->version = VSTOR_V6_2;
	v->max_transfer = 256 << 10;
	v->block = MINI_BLOCK;
	v->last = MINI_SIZE / MINI_BLOCK - 1;
	v->disk = calloc(1, MINI_SIZE);
	fake_client_on_wait(v->bus, mini_work, v);
}

/* Every page that the client took must have been given back. */
static inline void mini_fini(struct mini_vsp *v)
{
	ck_assert_uint_eq(fake_client_counts(v->bus)->pages_used, 0);
	fake_client_destroy(v->bus);
	free(v->disk);
}

#endif
