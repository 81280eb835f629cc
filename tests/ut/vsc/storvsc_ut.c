/* SPDX-License-Identifier: MIT */
/*
 * The client library against a provider that behaves: handshake, discovery, what it
 * puts on the wire, asynchronous and synchronous I/O.
 */
#include "tests/fake/vstor_vectors.h"
#include "tests/ut/vsc/mini_vsp.h"

static struct mini_vsp vsp;
static struct storvsc *s;

static const struct storvsc_config config = { .queues = 4, .depth = 32, .timeout_ms = 2000 };

static void setup(void)
{
	mini_init(&vsp, 4);
	vsp.subs = 3;
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &config), 0);
}

static void teardown(void)
{
	storvsc_close(s);
	mini_fini(&vsp);
}

/* ---- handshake and discovery ------------------------------------------------------- */

START_TEST(queues_follow_what_both_sides_want)
{
	static const struct {
		uint32_t wanted, vps;
		uint16_t subs, offered;
		uint32_t got;
	} t[] = {
		{ 1, 4, 3, 8, 1 },     { 4, 4, 3, 8, 4 }, { 8, 4, 3, 8, 4 }, { 4, 4, 0, 8, 1 },
		{ 4, 4, 1, 8, 2 },     { 0, 4, 3, 8, 1 }, { 4, 1, 3, 8, 1 }, /* C15 */
		{ 4, 4, 65535, 8, 4 }, { 4, 4, 3, 1, 2 }, /* promised three, offers one */
	};
	struct storvsc_config cfg = config;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		mini_init(&vsp, t[i].vps);
		vsp.subs = t[i].subs;
		fake_client_offer_subs(vsp.bus, t[i].offered);
		cfg.queues = t[i].wanted;
		ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &cfg), 0);
		ck_assert_uint_eq(storvsc_queues(s), t[i].got);
		teardown();
	}
}
END_TEST

START_TEST(versions)
{
	static const uint16_t caps[] = { VSTOR_V6_2, VSTOR_V6_0, VSTOR_V5_1 };

	mini_init(&vsp, 1);
	vsp.version = caps[_i];
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &config), 0);
	ck_assert_uint_eq(s->version, caps[_i]);
	teardown();
}
END_TEST

START_TEST(no_common_version)
{
	mini_init(&vsp, 1);
	vsp.version = VSTOR_V4_2;
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &config), -EPROTONOSUPPORT);
	mini_fini(&vsp);
}
END_TEST

START_TEST(no_such_controller)
{
	mini_init(&vsp, 1);
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 1, &config), -ENODEV);
	fake_client_fail_open(vsp.bus, -ENOENT);
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &config), -ENOENT);
	mini_fini(&vsp);
}
END_TEST

START_TEST(open_survives_every_failed_allocation)
{
	uint32_t n;
	int err;

	for (n = 0;; n++) {
		mini_init(&vsp, 4);
		vsp.subs = 3;
		fake_client_fail_alloc(vsp.bus, n);
		err = storvsc_open(&s, vsp.bus, 0, &config);
		if (!err)
			storvsc_close(s);
		else
			ck_assert_int_eq(err, -ENOMEM);
		mini_fini(&vsp);
		if (!err && n > 20)
			break;
	}
}
END_TEST

START_TEST(disk_info)
{
	struct storvsc_disk d;
	uint8_t luns[4];

	ck_assert_int_eq(storvsc_luns(s, luns, 4), 1);
	ck_assert_uint_eq(luns[0], 0);
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	ck_assert_uint_eq(d.size, MINI_SIZE);
	ck_assert_uint_eq(d.block_size, 512);
	ck_assert_uint_eq(d.physical_block, 4096);
	ck_assert(d.write_cache && d.fua && d.discard && !d.readonly);
	ck_assert_uint_eq(d.max_discard, 4096 * 512);
	ck_assert_uint_eq(d.max_zero, 2048 * 512);
	ck_assert_str_eq(d.vendor, "Msft");
	ck_assert_str_eq(d.product, "Virtual Disk");
	ck_assert_str_eq(d.revision, "1.0");
	ck_assert_str_eq(d.serial, "SERIAL07");
	ck_assert_mem_eq(d.naa, "\x60\x02\x24\x80\1\2\3\4\5\6\7\x8\x9\xa\xb\xc", 16);
	ck_assert_int_eq(storvsc_disk_info(s, 9, &d), -ENXIO);
}
END_TEST

/* ---- bytes on the wire ---------------------------------------------------------------- */

static struct vmpkt caught;
static uint8_t caught_copy[4096];

static bool catch_srb(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
		      const struct vstor_packet *p)
{
	(void)v;
	(void)c;
	(void)p;
	caught = *pkt;
	memcpy(caught_copy, pkt->payload, pkt->payload_len);
	return false;
}

static void check_payload(const char *vector)
{
	uint8_t want[VSTOR_PACKET];

	vector_bytes(vector, want, sizeof(want));
	ck_assert_mem_eq(caught_copy, want, sizeof(want));
}

START_TEST(golden_requests)
{
	uint8_t *buf = storvsc_alloc(s, 8192);
	uint8_t whole[128];
	uint8_t lun;

	vsp.hook = catch_srb;
	/* Section 16.5 is a read of LUN 1, which exists here only as far as the client knows. */
	s->lun[1] = s->lun[0];
	ck_assert_int_eq(storvsc_read(s, 0, 1, buf, 0x800 * 512, 4096), -ENXIO);
	check_payload(V16_5_READ10);
	/* Section 17.2: ext4's superblock with FUA; fstrim. */
	ck_assert_int_eq(storvsc_write(s, 0, 0, buf + 0x400, 2 * 512, 1024, STORVSC_FUA), 0);
	vector_bytes(V17_WRITE10_FUA, whole, sizeof(whole));
	ck_assert_mem_eq(caught_copy, whole + 40, 64);
	ck_assert_int_eq(storvsc_discard(s, 0, 0, 16 * 512, 32 * 512), 0);
	vector_bytes(V17_UNMAP, whole, sizeof(whole));
	ck_assert_mem_eq(caught_copy, whole + 40, 64);
	lun = 0;
	ck_assert_int_eq(storvsc_scsi(s, 0, lun, (uint8_t[16]){ 0 }, 2, NULL, 0, NULL, NULL), 0);
	vector_bytes(V17_TEST_UNIT_READY, whole, sizeof(whole));
	ck_assert_mem_eq(caught_copy, whole + 16, 64);
	ck_assert_uint_eq(caught.type, VMPKT_INBAND);
	storvsc_free(s, buf, 8192);
}
END_TEST

static bool catch_control(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
			  const struct vstor_packet *p)
{
	static const char *const want[] = {
		[VSTOR_OP_BEGIN_INITIALIZATION] = V17_BEGIN,
		[VSTOR_OP_QUERY_PROTOCOL_VERSION] = V17_VERSION,
		[VSTOR_OP_QUERY_PROPERTIES] = V17_PROPERTIES,
		[VSTOR_OP_END_INITIALIZATION] = V17_END,
		[VSTOR_OP_CREATE_SUB_CHANNELS] = V17_CREATE_SUBS,
	};
	uint8_t whole[128];

	(void)c;
	if (p->operation == VSTOR_OP_EXECUTE_SRB)
		return false;
	vector_bytes(want[p->operation], whole, sizeof(whole));
	ck_assert_mem_eq(pkt->payload, whole + 16, 64);
	v->n_log++;
	return false;
}

START_TEST(golden_handshake)
{
	struct storvsc_config cfg = config;

	cfg.queues = 2;
	mini_init(&vsp, 2);
	vsp.subs = 3;
	vsp.hook = catch_control;
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &cfg), 0);
	ck_assert_uint_eq(storvsc_queues(s), 2);
	ck_assert_uint_ge(vsp.n_log, 5);
	teardown();
}
END_TEST

/* ---- asynchronous ---------------------------------------------------------------------------- */

static struct storvsc_io *submit_one(uint32_t q, uint8_t op, uint64_t offset, struct iovec *iov,
				     int niov)
{
	struct storvsc_io *io = calloc(1, sizeof(*io));
	int i;

	io->op = op;
	io->offset = offset;
	io->iov = iov;
	io->niov = niov;
	for (i = 0; i < niov; i++)
		io->len += iov[i].iov_len;
	ck_assert_int_eq(storvsc_submit(s, q, io), 0);
	return io;
}

START_TEST(scattered_buffers)
{
	uint8_t *buf = storvsc_alloc(s, 16 * 4096);
	struct iovec w[3] = { { buf + 4096 + 512, 3584 }, { buf + 5 * 4096, 8192 }, { buf, 1024 } };
	struct iovec r = { buf + 8 * 4096 + 512, 12800 };
	struct storvsc_io *io, *out[4];
	uint32_t i;

	for (i = 0; i < 8 * 4096; i++)
		buf[i] = (uint8_t)(i / 100);
	io = submit_one(1, STORVSC_WRITE, 7 * 512, w, 3);
	ck_assert_int_eq(storvsc_reap(s, 1, out, 4, 1, UINT64_MAX), 1);
	ck_assert_ptr_eq(out[0], io);
	ck_assert_int_eq(io->result, 0);
	ck_assert_mem_eq(vsp.disk + 7 * 512, w[0].iov_base, 3584);
	ck_assert_mem_eq(vsp.disk + 7 * 512 + 3584, w[1].iov_base, 8192);
	ck_assert_mem_eq(vsp.disk + 7 * 512 + 11776, w[2].iov_base, 1024);
	free(io);
	io = submit_one(1, STORVSC_READ, 7 * 512, &r, 1);
	ck_assert_int_eq(storvsc_reap(s, 1, out, 4, 1, UINT64_MAX), 1);
	ck_assert_mem_eq(r.iov_base, vsp.disk + 7 * 512, 12800);
	free(io);
	storvsc_free(s, buf, 16 * 4096);
}
END_TEST

START_TEST(submit_checks)
{
	uint8_t *buf = storvsc_alloc(s, 300 * 4096), outside[512];
	struct {
		const char *why;
		struct storvsc_io io;
		struct iovec iov[2];
		int want;
	} t[] = {
		{ "unknown LUN",
		  { .op = STORVSC_READ, .lun = 3, .len = 512, .niov = 1 },
		  { { buf, 512 } },
		  -ENXIO },
		{ "length 0", { .op = STORVSC_READ, .niov = 1 }, { { buf, 0 } }, -EINVAL },
		{ "half a block",
		  { .op = STORVSC_READ, .len = 256, .niov = 1 },
		  { { buf, 256 } },
		  -EINVAL },
		{ "offset inside a block",
		  { .op = STORVSC_READ, .offset = 1, .len = 512, .niov = 1 },
		  { { buf, 512 } },
		  -EINVAL },
		{ "not guest memory",
		  { .op = STORVSC_READ, .len = 512, .niov = 1 },
		  { { outside, 512 } },
		  -EINVAL },
		{ "runs out of guest memory",
		  { .op = STORVSC_READ, .len = 4096, .niov = 1 },
		  { { s->mem + s->mem_size - 512, 4096 } },
		  -EINVAL },
		{ "iov shorter",
		  { .op = STORVSC_READ, .len = 1024, .niov = 1 },
		  { { buf, 512 } },
		  -EINVAL },
		{ "iov longer",
		  { .op = STORVSC_READ, .len = 512, .niov = 1 },
		  { { buf, 1024 } },
		  -EINVAL },
		{ "no iov",
		  { .op = STORVSC_READ, .len = 512, .niov = 0 },
		  { { buf, 512 } },
		  -EINVAL },
		{ "second starts inside a page",
		  { .op = STORVSC_WRITE, .len = 8192, .niov = 2 },
		  { { buf, 4096 }, { buf + 8192 + 512, 4096 } },
		  -EINVAL },
		{ "first ends inside a page",
		  { .op = STORVSC_WRITE, .len = 4608, .niov = 2 },
		  { { buf, 512 }, { buf + 8192, 4096 } },
		  -EINVAL },
		{ "empty entry",
		  { .op = STORVSC_WRITE, .len = 4096, .niov = 2 },
		  { { buf, 4096 }, { buf + 8192, 0 } },
		  -EINVAL },
		{ "more than max transfer",
		  { .op = STORVSC_READ, .len = 256 * 1024 + 512, .niov = 1 },
		  { { buf, 256 * 1024 + 512 } },
		  -EMSGSIZE },
		{ "discard too long",
		  { .op = STORVSC_DISCARD, .len = 4097 * 512 },
		  { { 0 } },
		  -EMSGSIZE },
		{ "zero too long",
		  { .op = STORVSC_ZERO, .len = 2049 * 512 },
		  { { 0 } },
		  -EMSGSIZE },
		{ "discard of nothing", { .op = STORVSC_DISCARD }, { { 0 } }, -EINVAL },
		{ "no such operation", { .op = 99, .len = 512 }, { { 0 } }, -EINVAL },
	};
	struct storvsc_io *out[1];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		t[i].io.iov = t[i].iov;
		ck_assert_msg(storvsc_submit(s, 0, &t[i].io) == t[i].want, "%s", t[i].why);
	}
	ck_assert_int_eq(storvsc_submit(s, 4, &t[0].io), -EINVAL);
	ck_assert_int_eq(storvsc_reap(s, 0, out, 1, 1, UINT64_MAX), 0); /* nothing was queued */
	storvsc_free(s, buf, 300 * 4096);
}
END_TEST

START_TEST(depth_is_the_limit)
{
	uint8_t *buf = storvsc_alloc(s, 4096);
	struct iovec iov = { buf, 4096 };
	struct storvsc_io io[33], *out[64];
	int i;

	for (i = 0; i < 33; i++) {
		io[i] = (struct storvsc_io){ .len = 4096, .iov = &iov, .niov = 1 };
		ck_assert_int_eq(storvsc_submit(s, 0, &io[i]), i < 32 ? 0 : -EAGAIN);
	}
	ck_assert_int_eq(storvsc_reap(s, 0, out, 64, 0, 0), 0); /* nothing was kicked */
	storvsc_kick(s, 0);
	mini_work(&vsp);
	ck_assert_int_eq(storvsc_reap(s, 0, out, 10, 10, 0), 10);
	ck_assert_int_eq(storvsc_reap(s, 0, out, 64, 64, UINT64_MAX), 22);
	for (i = 0; i < 22; i++)
		ck_assert_int_eq(out[i]->result, 0);
	storvsc_free(s, buf, 4096);
}
END_TEST

/* A ring that holds fewer packets than there are slots. */
START_TEST(full_ring_is_back_pressure)
{
	struct storvsc_config cfg = { .depth = 256, .ring_bytes = 4096, .timeout_ms = 2000 };
	struct storvsc_io io[256], *out[256];
	uint32_t done = 0, sent = 0;
	struct iovec iov;
	uint8_t *buf;
	int n, err;

	mini_init(&vsp, 1);
	ck_assert_int_eq(storvsc_open(&s, vsp.bus, 0, &cfg), 0);
	buf = storvsc_alloc(s, 4096);
	iov = (struct iovec){ buf, 4096 };
	while (done < 256) {
		while (sent < 256) {
			io[sent] = (struct storvsc_io){ .len = 4096, .iov = &iov, .niov = 1 };
			err = storvsc_submit(s, 0, &io[sent]);
			if (err) {
				ck_assert_int_eq(err, -EAGAIN);
				break;
			}
			sent++;
		}
		ck_assert_uint_le(sent - done, 40);
		n = storvsc_reap(s, 0, out, 256, 1, UINT64_MAX);
		ck_assert_int_gt(n, 0);
		done += (uint32_t)n;
	}
	storvsc_free(s, buf, 4096);
	teardown();
}
END_TEST

START_TEST(timeout_of_reap)
{
	uint8_t *buf = storvsc_alloc(s, 4096);
	struct iovec iov = { buf, 512 };
	struct storvsc_io *io = submit_one(0, STORVSC_READ, 0, &iov, 1), *out[1];

	vsp.stall = 1;
	ck_assert_int_eq(storvsc_reap(s, 0, out, 1, 1, 2000000), 0);
	vsp.stall = 0;
	ck_assert_int_eq(storvsc_reap(s, 0, out, 1, 1, UINT64_MAX), 1);
	ck_assert_int_eq(io->result, 0);
	free(io);
	storvsc_free(s, buf, 4096);
}
END_TEST

/* A synchronous call in the middle of asynchronous ones keeps their completions. */
START_TEST(mixed_with_synchronous)
{
	uint8_t *buf = storvsc_alloc(s, 4096);
	struct iovec iov = { buf, 4096 };
	struct storvsc_io *io[20], *out[20];
	uint8_t mine[512];
	int i;

	for (i = 0; i < 20; i++)
		io[i] = submit_one(2, STORVSC_READ, 4096u * (uint32_t)i, &iov, 1);
	ck_assert_int_eq(storvsc_read(s, 2, 0, mine, 0, 512), 0);
	ck_assert_int_eq(storvsc_flush(s, 2, 0), 0);
	ck_assert_int_eq(storvsc_reap(s, 2, out, 20, 20, UINT64_MAX), 20);
	for (i = 0; i < 20; i++) {
		ck_assert_ptr_eq(out[i], io[i]); /* in the order they finished */
		free(io[i]);
	}
	storvsc_free(s, buf, 4096);
}
END_TEST

/* ---- synchronous --------------------------------------------------------------------------------
 */

START_TEST(any_length_any_buffer)
{
	size_t len = 1536 * 1024 + 512, i;
	uint8_t *a = malloc(len), *b = malloc(len);

	for (i = 0; i < len; i++)
		a[i] = (uint8_t)(i * 31 + i / 512);
	ck_assert_int_eq(storvsc_write(s, 3, 0, a, 512, len, 0), 0);
	ck_assert_mem_eq(vsp.disk + 512, a, len);
	ck_assert_int_eq(storvsc_read(s, 0, 0, b, 512, len), 0);
	ck_assert_mem_eq(a, b, len);
	ck_assert_int_eq(storvsc_discard(s, 0, 0, 0, MINI_SIZE), 0); /* several requests */
	ck_assert(!vsp.disk[0] && !memcmp(vsp.disk, vsp.disk + 1, MINI_SIZE - 1));
	memset(vsp.disk, 0xff, MINI_SIZE);
	ck_assert_int_eq(storvsc_zero(s, 0, 0, 512, MINI_SIZE - 1024), 0);
	ck_assert_uint_eq(vsp.disk[511], 0xff);
	ck_assert_uint_eq(vsp.disk[512], 0);
	ck_assert_uint_eq(vsp.disk[MINI_SIZE - 513], 0);
	ck_assert_uint_eq(vsp.disk[MINI_SIZE - 512], 0xff);
	free(a);
	free(b);
}
END_TEST

START_TEST(zero_without_write_same_is_written)
{
	vsp.no_write_same = true;
	memset(vsp.disk, 0xff, MINI_SIZE);
	ck_assert_int_eq(storvsc_zero(s, 0, 0, 1024, 700 * 1024), 0);
	ck_assert_uint_eq(vsp.disk[1023], 0xff);
	ck_assert_uint_eq(vsp.disk[1024], 0);
	ck_assert_uint_eq(vsp.disk[701 * 1024 - 1], 0);
	ck_assert_uint_eq(vsp.disk[701 * 1024], 0xff);
}
END_TEST

START_TEST(no_unmap)
{
	struct storvsc_disk d;

	vsp.no_unmap = true;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	ck_assert(!d.discard);
	ck_assert_int_eq(storvsc_discard(s, 0, 0, 0, 512), -EOPNOTSUPP);
}
END_TEST

/* FUA where the disk cannot: a flush behind the write, but none where no cache is. */
START_TEST(fua_emulation)
{
	uint8_t block[512] = { 0 };
	struct storvsc_io io = { .op = STORVSC_WRITE, .flags = STORVSC_FUA, .len = 512 };
	struct iovec iov = { storvsc_alloc(s, 4096), 512 };
	struct storvsc_disk d;

	io.iov = &iov;
	io.niov = 1;
	vsp.no_fua = true;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	vsp.n_log = 0;
	ck_assert_int_eq(storvsc_write(s, 0, 0, block, 0, 512, STORVSC_FUA), 0);
	ck_assert_uint_eq(vsp.n_log, 2);
	ck_assert_uint_eq(vsp.log[0].srb.cdb[1], 0);
	ck_assert_uint_eq(vsp.log[1].srb.cdb[0], 0x35);
	ck_assert_int_eq(storvsc_submit(s, 0, &io), -EOPNOTSUPP);
	vsp.no_cache = true;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	vsp.n_log = 0;
	ck_assert_int_eq(storvsc_write(s, 0, 0, block, 0, 512, STORVSC_FUA), 0);
	ck_assert_uint_eq(vsp.n_log, 1);
	storvsc_free(s, iov.iov_base, 4096);
}
END_TEST

START_TEST(errors_have_a_number_and_a_text)
{
	uint8_t block[512] = { 0 }, sense[18];
	struct storvsc_disk d;
	uint32_t moved = 77;

	ck_assert_int_eq(storvsc_read(s, 1, 0, block, MINI_SIZE, 512), -EINVAL);
	ck_assert_str_eq(storvsc_last_error(s, 1), "LBA out of range (sense 5/21/00)");
	ck_assert_str_eq(storvsc_last_error(s, 2), "");
	ck_assert_int_eq(storvsc_read(s, 1, 5, block, 0, 512), -ENXIO);
	vsp.readonly = true;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	ck_assert(d.readonly);
	ck_assert_int_eq(storvsc_write(s, 1, 0, block, 0, 512, 0), -EROFS);
	ck_assert_str_eq(storvsc_last_error(s, 1), "write protected (sense 7/27/00)");
	ck_assert_int_eq(storvsc_scsi(s, 0, 0, (uint8_t[16]){ 0xc7 }, 1, block, 512, &moved, sense),
			 -EOPNOTSUPP);
	ck_assert_uint_eq(moved, 0);
	ck_assert_uint_eq(sense[2], 5);
	ck_assert_uint_eq(sense[12], 0x20);
	ck_assert_int_eq(storvsc_scsi(s, 0, 0, (uint8_t[16]){ 0 }, 3, NULL, 0, NULL, NULL),
			 -EINVAL);
}
END_TEST

START_TEST(raw_command)
{
	uint8_t data[64], sense[18];
	uint32_t moved;

	memset(data, 0xaa, sizeof(data));
	ck_assert_int_eq(storvsc_scsi(s, 0, 0, (uint8_t[16]){ 0x12, 1, 0x80, 0, 64 }, 1, data, 64,
				      &moved, sense),
			 0);
	ck_assert_uint_eq(moved, 12);
	ck_assert_mem_eq(data + 4, "SERIAL07", 8);
	ck_assert_uint_eq(data[12], 0xaa); /* nothing beyond what came */
	ck_assert_uint_eq(sense[0], 0);
}
END_TEST

START_TEST(raw_command_in_scsi_words)
{
	uint8_t data[64] = { 0 };
	struct storvsc_raw r = { .dir = 1, .cdb = { 0xc7 }, .data = data, .len = sizeof(data) };

	ck_assert_int_eq(storvsc_raw(s, 0, &r), 0); /* it was answered */
	ck_assert_uint_eq(r.scsi_status, 2);
	ck_assert_uint_eq(r.srb_status, VSTOR_SRB_INVALID_REQUEST);
	ck_assert_uint_eq(r.sense_len, 18);
	ck_assert_uint_eq(r.sense[2], 5);
	ck_assert_uint_eq(r.sense[12], 0x20);
	ck_assert_uint_eq(r.transferred, 0);
	memcpy(r.cdb, "\x12\1\x80\0\x40", 5);
	ck_assert_int_eq(storvsc_raw(s, 1, &r), 0);
	ck_assert_uint_eq(r.scsi_status, 0);
	ck_assert_uint_eq(r.srb_status, VSTOR_SRB_SUCCESS);
	ck_assert_uint_eq(r.sense_len, 0);
	ck_assert_uint_eq(r.sense[2], 0);
	ck_assert_uint_eq(r.transferred, 12);
	ck_assert_mem_eq(data + 4, "SERIAL07", 8);
	ck_assert_uint_eq(vsp.log[vsp.n_log - 1].srb.cdb_length, 6);
	memset(r.cdb, 0, sizeof(r.cdb));
	r.dir = 2;
	r.lun = 5;
	r.cdb_len = 12;
	ck_assert_int_eq(storvsc_raw(s, 0, &r), 0);
	ck_assert_uint_eq(r.srb_status, VSTOR_SRB_INVALID_LUN);
	ck_assert_uint_eq(vsp.log[vsp.n_log - 1].srb.cdb_length, 12);
}
END_TEST

START_TEST(raw_command_refusals)
{
	struct storvsc_raw r = { .dir = 3 }, none = { .dir = 2, .len = UINT32_MAX },
			   much = { .dir = 1, .len = UINT32_MAX };

	ck_assert_int_eq(storvsc_raw(s, 0, &r), -EINVAL);
	r.dir = 2;
	r.cdb_len = 17;
	ck_assert_int_eq(storvsc_raw(s, 0, &r), -EINVAL);
	ck_assert_int_eq(storvsc_raw(s, 64, &none), -EINVAL);
	ck_assert_int_eq(storvsc_raw(s, 0, &none), 0);
	ck_assert_int_eq(storvsc_raw(s, 0, &much), -EMSGSIZE);
}
END_TEST

static uint32_t reset_verdict, reset_seen;
static uint8_t reset_lun;

static bool answer_reset(struct mini_vsp *v, struct vmbus_chan *c, const struct vmpkt *pkt,
			 const struct vstor_packet *p)
{
	struct vstor_packet r = { .operation = VSTOR_OP_COMPLETE_IO, .status = reset_verdict };

	(void)v;
	reset_seen = p->operation;
	reset_lun = p->srb.lun;
	mini_reply(c, pkt->trans_id, &r);
	return true;
}

START_TEST(resets)
{
	vsp.hook = answer_reset;
	ck_assert_int_eq(storvsc_reset(s, 0, 7), 0);
	ck_assert_uint_eq(reset_seen, VSTOR_OP_RESET_LUN);
	ck_assert_uint_eq(reset_lun, 7);
	ck_assert_int_eq(storvsc_reset(s, 1, -1), 0);
	ck_assert_uint_eq(reset_seen, VSTOR_OP_RESET_BUS);
	reset_verdict = VSTOR_STATUS_UNSUCCESSFUL;
	ck_assert_int_eq(storvsc_reset(s, 0, 0), -EOPNOTSUPP);
	ck_assert_int_eq(storvsc_reset(s, 0, 256), -EINVAL);
	ck_assert_int_eq(storvsc_reset(s, 64, 0), -EINVAL);
	vsp.hook = NULL;
}
END_TEST

START_TEST(large_lba_uses_16_byte_cdbs)
{
	struct storvsc_disk d;
	uint8_t block[512];

	vsp.last = 1ull << 40;
	ck_assert_int_eq(storvsc_disk_info(s, 0, &d), 0);
	ck_assert_uint_eq(d.size, ((1ull << 40) + 1) * 512);
	vsp.n_log = 0;
	storvsc_read(s, 0, 0, block, 0xffffffffull * 512, 512);
	storvsc_read(s, 0, 0, block, 0xfffffffeull * 512, 512);
	ck_assert_uint_eq(vsp.log[0].srb.cdb[0], 0x88);
	ck_assert_uint_eq(vsp.log[0].srb.cdb_length, 16);
	ck_assert_uint_eq(be64_at(vsp.log[0].srb.cdb + 2), 0xffffffffull);
	ck_assert_uint_eq(be32_at(vsp.log[0].srb.cdb + 10), 1);
	ck_assert_uint_eq(vsp.log[1].srb.cdb[0], 0x28);
}
END_TEST

START_TEST(statistics)
{
	struct storvsc_stats st;
	uint8_t block[512];

	storvsc_stats(s, 1, &st);
	ck_assert_uint_eq(st.submitted, 0);
	ck_assert_int_eq(storvsc_read(s, 1, 0, block, 0, 512), 0);
	ck_assert_int_eq(storvsc_read(s, 1, 0, block, MINI_SIZE, 512), -EINVAL);
	storvsc_stats(s, 1, &st);
	ck_assert_uint_eq(st.submitted, 2);
	ck_assert_uint_eq(st.completed, 2);
	ck_assert_uint_eq(st.errors, 1);
	ck_assert_uint_eq(st.ignored, 0);
	ck_assert_uint_eq(st.sleeps, 2);
	ck_assert_uint_eq(st.signals_sent + st.signals_suppressed, 2);
}
END_TEST

START_TEST(attach_says_why)
{
	struct storvsc *other;
	char why[100];

	ck_assert_int_eq(storvsc_attach(&other, "/nowhere", 0, 0, NULL, why, sizeof(why)),
			 -ECONNREFUSED);
	ck_assert_str_eq(why, "no root in this test");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("storvsc");
	TCase *alone = tcase_create("opening"), *tc = tcase_create("open");
	SRunner *sr;
	int failed;

	tcase_set_timeout(alone, 60);
	tcase_add_test(alone, queues_follow_what_both_sides_want);
	tcase_add_loop_test(alone, versions, 0, 3);
	tcase_add_test(alone, no_common_version);
	tcase_add_test(alone, no_such_controller);
	tcase_add_test(alone, open_survives_every_failed_allocation);
	tcase_add_test(alone, golden_handshake);
	tcase_add_test(alone, full_ring_is_back_pressure);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, disk_info);
	tcase_add_test(tc, golden_requests);
	tcase_add_test(tc, scattered_buffers);
	tcase_add_test(tc, submit_checks);
	tcase_add_test(tc, depth_is_the_limit);
	tcase_add_test(tc, timeout_of_reap);
	tcase_add_test(tc, mixed_with_synchronous);
	tcase_add_test(tc, any_length_any_buffer);
	tcase_add_test(tc, zero_without_write_same_is_written);
	tcase_add_test(tc, no_unmap);
	tcase_add_test(tc, fua_emulation);
	tcase_add_test(tc, errors_have_a_number_and_a_text);
	tcase_add_test(tc, raw_command);
	tcase_add_test(tc, raw_command_in_scsi_words);
	tcase_add_test(tc, raw_command_refusals);
	tcase_add_test(tc, resets);
	tcase_add_test(tc, large_lba_uses_16_byte_cdbs);
	tcase_add_test(tc, statistics);
	tcase_add_test(tc, attach_says_why);
	suite_add_tcase(suite, alone);
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
