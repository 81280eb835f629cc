/* SPDX-License-Identifier: MIT */
/* A child partition without manners; see the header. */
#include "tests/hostile/evil_guest.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "hv-core/proc/proc_sock.h"

#define CDB_READ10  0x28
#define CDB_WRITE10 0x2a

/* ---- socket ---------------------------------------------------------------------- */

const char *evil_wishes = "";

struct hv_proc_hello evil_hello(void)
{
	return (struct hv_proc_hello){
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_GUEST,
		.memory = EVIL_PAGES * 4096ull,
		.nr_vps = EVIL_VPS,
		.name = "evil",
	};
}

int evil_socket(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = EVIL_PATIENCE_MS / 1000 };
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(s, 0);
	strcpy(sa.sun_path, path);
	ck_assert_int_eq(connect(s, (struct sockaddr *)&sa, sizeof(sa)), 0);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return s;
}

bool evil_cut_off(struct evil_guest *g, int ms)
{
	struct pollfd p = { g->sock, POLLRDHUP, 0 };

	return poll(&p, 1, ms) > 0;
}

int64_t evil_call(struct evil_guest *g, const struct hv_proc_call *call, int *fd)
{
	struct hv_proc_result res;
	int fds[PROC_MAX_FDS], n;

	if (proc_sock_send(g->sock, call, sizeof(*call), NULL, 0, 0))
		return -1;
	if (proc_sock_recv(g->sock, &res, sizeof(res), fds, &n) != sizeof(res))
		return -1;
	if (fd)
		*fd = fds[0];
	else if (fds[0] >= 0)
		close(fds[0]);
	return call->op == HV_PROC_HYPERCALL ? (int64_t)(res.value & 0xffff) : res.error;
}

int64_t evil_wrmsr(struct evil_guest *g, uint32_t vp, uint32_t msr, uint64_t value)
{
	struct hv_proc_call call = { .op = HV_PROC_WRMSR, .vp = vp, .arg = { msr, value } };

	return evil_call(g, &call, NULL);
}

static void connect_guest(struct evil_guest *g, const char *path)
{
	struct hv_proc_hello h = evil_hello();
	char hello[sizeof(h) + HV_PROC_WISHES];
	size_t wishes = strlen(evil_wishes);
	int fds[PROC_MAX_FDS], n;

	memcpy(hello, &h, sizeof(h));
	memcpy(hello + sizeof(h), evil_wishes, wishes);
	*g = (struct evil_guest){ .path = path,
				  .sock = evil_socket(path),
				  .bell = -1,
				  .rings = EVIL_RINGS,
				  .relid = EVIL_RELID };
	ck_assert_int_eq(proc_sock_send(g->sock, hello, sizeof(h) + wishes, NULL, 0, 0), 0);
	ck_assert_int_eq(proc_sock_recv(g->sock, &g->welcome, sizeof(g->welcome), fds, &n),
			 sizeof(g->welcome));
	ck_assert_msg(!g->welcome.error, "%s", g->welcome.text);
	g->memfd = fds[0];
	g->mem = mmap(NULL, h.memory, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	g->irq = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[1], 0);
	ck_assert(g->mem != MAP_FAILED && g->irq != MAP_FAILED);
	close(fds[1]);
	for (uint32_t vp = 0; vp < EVIL_VPS; vp++) {
		uint64_t page = (EVIL_SYNIC + 2ull * vp) * 4096;

		ck_assert_int_eq(evil_wrmsr(g, vp, HV_MSR_SIMP, page | HV_SYNIC_PAGE_ENABLE), 0);
		ck_assert_int_eq(
			evil_wrmsr(g, vp, HV_MSR_SIEFP, (page + 4096) | HV_SYNIC_PAGE_ENABLE), 0);
		ck_assert_int_eq(evil_wrmsr(g, vp, HV_MSR_SINT0 + HV_VMBUS_SINT, 0x20), 0);
		ck_assert_int_eq(evil_wrmsr(g, vp, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE), 0);
	}
}

void evil_end(struct evil_guest *g)
{
	if (g->sock < 0)
		return;
	close(g->sock);
	close(g->memfd);
	if (g->bell >= 0)
		close(g->bell);
	munmap(g->mem, EVIL_PAGES * 4096ull);
	munmap(g->irq, 4096);
	g->sock = -1;
}

/* ---- messages -------------------------------------------------------------------------- */

int64_t evil_post(struct evil_guest *g, uint32_t conn, uint32_t type, const void *msg, uint32_t len,
		  uint32_t size)
{
	struct hv_proc_call call = { .op = HV_PROC_HYPERCALL, .arg = { HV_CALL_POST_MESSAGE } };
	struct hv_post_message_input in = { .connection_id = conn,
					    .message_type = type,
					    .payload_size = size };

	memcpy(in.payload, msg, len);
	memcpy(call.input, &in, sizeof(in));
	return evil_call(g, &call, NULL);
}

int64_t evil_say(struct evil_guest *g, const uint32_t *words, uint32_t n)
{
	uint32_t conn = words[0] == VMBUS_MSG_INITIATE_CONTACT ? HV_CONN_VMBUS_CONTACT
							       : HV_CONN_VMBUS_MESSAGE;

	return evil_post(g, conn, HV_MESSAGE_VMBUS, words, n * 4, n * 4);
}

bool evil_take(struct evil_guest *g, union vmbus_msg *m, int ms)
{
	struct hv_message *slot =
		&((struct hv_message_page *)evil_page(g, EVIL_SYNIC))->slot[HV_VMBUS_SINT];
	struct hv_proc_call eom = { .op = HV_PROC_EOM };
	uint64_t limit = clock_ns() + (uint64_t)ms * 1000000;
	uint8_t flags;

	while (load_acquire(&slot->type) == HV_MESSAGE_NONE) {
		if (clock_ns() > limit)
			return false;
		usleep(50);
	}
	memcpy(m, slot->payload, sizeof(*m));
	store_release(&slot->type, HV_MESSAGE_NONE);
	full_fence();
	flags = *(volatile uint8_t *)&slot->flags;
	if (flags & HV_MESSAGE_FLAG_PENDING)
		proc_sock_send(g->sock, &eom, sizeof(eom), NULL, 0, 0);
	return true;
}

union vmbus_msg evil_expect(struct evil_guest *g, uint32_t type)
{
	union vmbus_msg m;

	do {
		ck_assert_msg(evil_take(g, &m, EVIL_PATIENCE_MS), "no %s from the root",
			      vmbus_msg_name(type));
	} while (m.hdr.type != type);
	return m;
}

uint32_t evil_gpadl(struct evil_guest *g, uint32_t id, const uint64_t *pfn, uint64_t first,
		    uint32_t n)
{
	uint32_t w[60] = { VMBUS_MSG_GPADL_HEADER, 0,	     g->relid, id,
			   (8 + 8 * n) | 1u << 16, n * 4096, 0 };
	uint32_t i, number;

	for (i = 0; i < n && i < VMBUS_GPADL_HEADER_PFNS; i++) {
		uint64_t page = pfn ? pfn[i] : first + i;

		memcpy(&w[7 + 2 * i], &page, 8);
	}
	evil_say(g, w, 7 + 2 * i);
	for (number = 1; i < n; number++) {
		uint32_t b[60] = { VMBUS_MSG_GPADL_BODY, 0, number, id }, k;

		for (k = 0; i < n && k < VMBUS_GPADL_BODY_PFNS; i++, k++) {
			uint64_t page = pfn ? pfn[i] : first + i;

			memcpy(&b[4 + 2 * k], &page, 8);
		}
		evil_say(g, b, 4 + 2 * k);
	}
	return evil_expect(g, VMBUS_MSG_GPADL_CREATED).gpadl_created.status;
}

uint32_t evil_open(struct evil_guest *g, uint32_t relid, uint32_t gpadl, uint32_t vp,
		   uint32_t downstream)
{
	struct vmbus_msg_open m = {
		{ VMBUS_MSG_OPENCHANNEL, 0 }, relid, 77, gpadl, vp, downstream, { 0 }
	};

	memset(evil_page(g, g->rings), 0, 2 * EVIL_RING_PAGES * 4096);
	g->out = (struct evil_ring){ evil_page(g, g->rings), evil_page(g, g->rings + 1), 0 };
	g->in = (struct evil_ring){ evil_page(g, g->rings + EVIL_RING_PAGES),
				    evil_page(g, g->rings + EVIL_RING_PAGES + 1), 0 };
	g->out.ctrl->feature_bits = VMRING_FEATURE_PENDING_SEND_SZ;
	g->in.ctrl->feature_bits = VMRING_FEATURE_PENDING_SEND_SZ;
	evil_post(g, HV_CONN_VMBUS_MESSAGE, HV_MESSAGE_VMBUS, &m, sizeof(m), sizeof(m));
	return evil_expect(g, VMBUS_MSG_OPENCHANNEL_RESULT).open_result.status;
}

void evil_close(struct evil_guest *g)
{
	EVIL_SAY(g, VMBUS_MSG_CLOSECHANNEL, 0, g->relid);
}

void evil_take_bell(struct evil_guest *g)
{
	struct hv_proc_call call = { .op = HV_PROC_HYPERCALL,
				     .arg = { HV_CALL_SIGNAL_EVENT | HV_CALL_FAST,
					      HV_CONN_CHANNEL_BASE + g->relid } };

	if (g->bell >= 0)
		close(g->bell);
	g->bell = -1;
	ck_assert_int_eq(evil_call(g, &call, &g->bell), HV_STATUS_SUCCESS);
	ck_assert_int_ge(g->bell, 0);
}

static void init_stor(struct evil_guest *g)
{
	static const struct vstor_packet steps[] = {
		{ .operation = VSTOR_OP_BEGIN_INITIALIZATION },
		{ .operation = VSTOR_OP_QUERY_PROTOCOL_VERSION, .version = { VSTOR_V6_2, 0 } },
		{ .operation = VSTOR_OP_QUERY_PROPERTIES },
		{ .operation = VSTOR_OP_END_INITIALIZATION },
	};

	for (uint32_t i = 0; i < ARRAY_SIZE(steps); i++)
		ck_assert_uint_eq(evil_vstor_call(g, &steps[i]).p.status, 0);
}

void evil_reopen(struct evil_guest *g)
{
	evil_close(g);
	ck_assert_uint_eq(evil_open(g, g->relid, EVIL_GPADL, 0, EVIL_RING_PAGES), 0);
	evil_take_bell(g);
	init_stor(g);
}

void evil_restart(struct evil_guest *g, enum evil_stage stage)
{
	union vmbus_msg m;

	if (stage >= EVIL_CONTACT) {
		EVIL_SAY(g, VMBUS_MSG_INITIATE_CONTACT, 0, VMBUS_V5_3, 0, HV_VMBUS_SINT, 0, 0, 0, 0,
			 0);
		ck_assert_uint_eq(evil_expect(g, VMBUS_MSG_VERSION_RESPONSE).version.supported, 1);
	}
	if (stage >= EVIL_OFFERED) {
		EVIL_SAY(g, VMBUS_MSG_REQUESTOFFERS, 0);
		m = evil_expect(g, VMBUS_MSG_OFFERCHANNEL);
		ck_assert_uint_eq(m.offer.relid, EVIL_RELID);
		evil_expect(g, VMBUS_MSG_ALLOFFERS_DELIVERED);
	}
	if (stage >= EVIL_GPADLED)
		ck_assert_uint_eq(evil_gpadl(g, EVIL_GPADL, NULL, EVIL_RINGS, 2 * EVIL_RING_PAGES),
				  0);
	if (stage >= EVIL_OPEN) {
		ck_assert_uint_eq(evil_open(g, EVIL_RELID, EVIL_GPADL, 0, EVIL_RING_PAGES), 0);
		evil_take_bell(g);
	}
	if (stage >= EVIL_READY)
		init_stor(g);
}

uint32_t evil_sub_offered(struct evil_guest *g)
{
	struct vstor_packet p = { .operation = VSTOR_OP_CREATE_SUB_CHANNELS,
				  .sub_channel_count = 1 };
	union vmbus_msg m;

	ck_assert_uint_eq(evil_vstor_call(g, &p).p.status, 0);
	m = evil_expect(g, VMBUS_MSG_OFFERCHANNEL);
	ck_assert_uint_eq(m.offer.sub_index, 1);
	return m.offer.relid;
}

void evil_sub_open(struct evil_guest *sub, const struct evil_guest *g, uint32_t relid)
{
	*sub = *g;
	sub->bell = -1;
	sub->rings = EVIL_SUB_RINGS;
	sub->relid = relid;
	ck_assert_uint_eq(
		evil_gpadl(sub, EVIL_SUB_GPADL, NULL, EVIL_SUB_RINGS, 2 * EVIL_RING_PAGES), 0);
	ck_assert_uint_eq(evil_open(sub, relid, EVIL_SUB_GPADL, 1, EVIL_RING_PAGES), 0);
	evil_take_bell(sub);
}

void evil_sub_end(struct evil_guest *sub)
{
	close(sub->bell);
	sub->bell = -1;
}

void evil_reach(struct evil_guest *g, const char *path, enum evil_stage stage)
{
	*g = (struct evil_guest){ .path = path, .sock = -1 };
	if (stage >= EVIL_CONNECTED)
		connect_guest(g, path);
	evil_restart(g, stage);
}

/* ---- rings ---------------------------------------------------------------------------------- */

/*
 * Plain stores into memory that others use, the racer of the same test among them: that is
 * what a hostile guest does, and no finding of the thread sanitizer.
 */
__attribute__((no_sanitize("thread"))) void evil_ring_put(struct evil_ring *r, uint32_t at,
							  const void *bytes, uint32_t len)
{
	const uint8_t *b = bytes;

	for (uint32_t i = 0; i < len; i++)
		r->data[(at + i) % EVIL_RING_SIZE] = b[i];
}

void evil_ring_get(const struct evil_ring *r, uint32_t at, void *bytes, uint32_t len)
{
	uint8_t *b = bytes;

	for (uint32_t i = 0; i < len; i++)
		b[i] = r->data[(at + i) % EVIL_RING_SIZE];
}

void evil_publish(struct evil_guest *g, uint32_t write_index)
{
	store_release(&g->out.ctrl->write_index, write_index);
	evil_ring_bell(g);
}

void evil_ring_bell(struct evil_guest *g)
{
	eventfd_write(g->bell, 1);
}

void evil_queue(struct evil_guest *g, uint16_t type, uint16_t offset8, uint16_t flags, uint64_t id,
		const void *body, uint32_t len)
{
	struct vmpkt_desc d = { type, offset8, (uint16_t)((16 + len) / 8), flags, id };
	uint64_t trailer = (uint64_t)g->out.next << 32;

	evil_ring_put(&g->out, g->out.next, &d, sizeof(d));
	evil_ring_put(&g->out, g->out.next + 16, body, len);
	evil_ring_put(&g->out, g->out.next + 16 + len, &trailer, 8);
	g->out.next = (g->out.next + 24 + len) % EVIL_RING_SIZE;
}

void evil_send(struct evil_guest *g, uint16_t type, uint16_t offset8, uint16_t flags, uint64_t id,
	       const void *body, uint32_t len)
{
	evil_queue(g, type, offset8, flags, id, body, len);
	evil_publish(g, g->out.next);
}

void evil_direct(struct evil_guest *g, uint16_t flags, uint64_t id, const void *p, uint32_t plen,
		 uint64_t pfn, uint32_t bytes, uint32_t offset)
{
	uint32_t n = (offset + bytes + 4095) / 4096, len = 16 + 8 * n;
	uint8_t body[16 + 8 * 80 + 64] = { 0 };
	struct vmpkt_gpa_direct h = { 0, 1 };
	struct vmpkt_gpa_range r = { bytes, offset };

	ck_assert(n <= 80 && plen <= 64);
	memcpy(body, &h, 8);
	memcpy(body + 8, &r, 8);
	for (uint32_t i = 0; i < n; i++, pfn++)
		memcpy(body + 16 + 8 * i, &pfn, 8);
	memcpy(body + len, p, plen);
	evil_send(g, VMPKT_GPA_DIRECT, (uint16_t)((16 + len) / 8), flags, id, body, len + plen);
}

uint32_t evil_out_free(const struct evil_guest *g)
{
	uint32_t read = load_acquire(&g->out.ctrl->read_index);
	uint32_t used = (g->out.next + EVIL_RING_SIZE - read) % EVIL_RING_SIZE;

	return EVIL_RING_SIZE - 8 - used;
}

bool evil_recv(struct evil_guest *g, struct evil_packet *p, int ms)
{
	uint64_t limit = clock_ns() + (uint64_t)ms * 1000000;
	uint32_t next = g->in.next, off;

	while (load_acquire(&g->in.ctrl->write_index) == next) {
		if (clock_ns() > limit)
			return false;
		usleep(20);
	}
	memset(p, 0, sizeof(*p));
	evil_ring_get(&g->in, next, &p->desc, sizeof(p->desc));
	off = p->desc.offset8 * 8u;
	ck_assert_uint_ge(off, 16);
	ck_assert_uint_ge(p->desc.len8 * 8u, off);
	p->len = p->desc.len8 * 8u - off;
	evil_ring_get(&g->in, next + off, &p->p, p->len < sizeof(p->p) ? p->len : sizeof(p->p));
	g->in.next = (next + p->desc.len8 * 8u + 8) % EVIL_RING_SIZE;
	store_release(&g->in.ctrl->read_index, g->in.next);
	g->answers++;
	return true;
}

/* ---- storage --------------------------------------------------------------------------------- */

void evil_vstor(struct evil_guest *g, uint64_t id, const struct vstor_packet *p)
{
	evil_send(g, VMPKT_INBAND, 2, VMPKT_FLAG_COMPLETION_REQUESTED, id, p, VSTOR_PACKET);
}

struct evil_packet evil_vstor_call(struct evil_guest *g, const struct vstor_packet *p)
{
	struct evil_packet a;

	evil_vstor(g, 0xca11, p);
	do {
		ck_assert_msg(evil_recv(g, &a, EVIL_PATIENCE_MS), "no answer from the controller");
	} while (a.desc.trans_id != 0xca11);
	return a;
}

struct vstor_packet evil_srb(uint8_t lun, const void *cdb, uint8_t cdb_len, uint8_t data_in,
			     uint32_t len)
{
	struct vstor_packet p = {
		.operation = VSTOR_OP_EXECUTE_SRB,
		.flags = VSTOR_FLAG_COMPLETION,
		.srb = { .length = VSTOR_PAYLOAD,
			 .lun = lun,
			 .cdb_length = cdb_len,
			 .sense_info_length = VSTOR_SENSE_ROOM,
			 .data_in = data_in,
			 .data_transfer_length = len },
	};

	memcpy(p.srb.cdb, cdb, cdb_len < VSTOR_CDB_LEN ? cdb_len : VSTOR_CDB_LEN);
	return p;
}

void evil_srb_send(struct evil_guest *g, uint64_t id, const struct vstor_packet *p, uint64_t pfn,
		   uint32_t bytes, uint32_t offset)
{
	evil_direct(g, VMPKT_FLAG_COMPLETION_REQUESTED, id, p, VSTOR_PACKET, pfn, bytes, offset);
}

struct vstor_packet evil_rw(uint8_t lun, bool write, uint32_t lba, uint16_t blocks)
{
	uint8_t cdb[10] = { write ? CDB_WRITE10 : CDB_READ10 };

	be32_put(cdb + 2, lba);
	be16_put(cdb + 7, blocks);
	return evil_srb(lun, cdb, 10, write ? VSTOR_DATA_OUT : VSTOR_DATA_IN, blocks * 512u);
}

struct vstor_packet evil_tur(void)
{
	static const uint8_t cdb[6];

	return evil_srb(0, cdb, 6, VSTOR_DATA_NONE, 0);
}

static void move_block(struct evil_guest *g, bool write)
{
	struct vstor_packet p = evil_rw(0, write, 64, 8);
	struct evil_packet a;

	evil_srb_send(g, 0xb10c, &p, EVIL_BUF, 4096, 0);
	do {
		ck_assert_msg(evil_recv(g, &a, EVIL_PATIENCE_MS), "no answer from the disk");
	} while (a.desc.trans_id != 0xb10c);
	ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_SUCCESS);
	ck_assert_uint_eq(a.p.srb.data_transfer_length, 4096);
}

void evil_verified_io(struct evil_guest *g)
{
	uint32_t *buf = evil_page(g, EVIL_BUF), salt = (uint32_t)clock_ns(), i;

	for (i = 0; i < 1024; i++)
		buf[i] = (salt & 0xffff) + i;
	move_block(g, true);
	memset(buf, 0, 4096);
	move_block(g, false);
	for (i = 0; i < 1024; i++)
		ck_assert_uint_eq(buf[i], (salt & 0xffff) + i);
}

/* ---- racer ------------------------------------------------------------------------------------
 */

static void *race(void *arg)
{
	struct evil_racer *r = arg;

	while (!load_relaxed(&r->stop)) {
		store_relaxed(r->word, r->a);
		store_relaxed(r->word, r->b);
	}
	return NULL;
}

void evil_race(struct evil_racer *r, void *word, uint32_t a, uint32_t b)
{
	*r = (struct evil_racer){ .word = word, .a = a, .b = b };
	ck_assert_int_eq(pthread_create(&r->thread, NULL, race, r), 0);
}

void evil_race_end(struct evil_racer *r)
{
	store_relaxed(&r->stop, 1);
	pthread_join(r->thread, NULL);
}
