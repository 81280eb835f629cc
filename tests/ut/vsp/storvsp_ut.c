/* SPDX-License-Identifier: MIT */
/*
 * The controller against a guest that speaks VSTOR packet by packet, over real rings,
 * with the real SCSI target and the memory engine. Names carry the ids of the hostile
 * cases (S, P) where one is covered.
 */
#include <check.h>
#include <stdlib.h>

#include "tests/fake/mock_stor_guest.h"
#include "tests/fake/vstor_vectors.h"
#include "vsp/storvsp/storvsp.h"

#define DISK_SIZE (8u << 20)
#define MEMORY	  (24u << 20)

static struct loop *loop;
static struct vmbus_bus *bus;
static struct blk_dev *dev[2];
static struct scsi_lun *lun[2];
static struct scsi_target *target;
static struct storvsp *ctl;
static struct mock_guest g;
static uint64_t buf; /* guest address of 1 MiB of buffer */

static void make_disk(int i, uint8_t number)
{
	struct blk_config bc = { .engine = BLK_ENGINE_MEMORY, .size = DISK_SIZE };
	struct scsi_lun_config lc = { .serial = i ? "second" : "first" };
	char why[200];

	ck_assert_int_eq(blk_dev_open(&dev[i], &bc, why, sizeof(why)), 0);
	lc.dev = dev[i];
	ck_assert_int_eq(scsi_lun_create(&lun[i], &lc), 0);
	ck_assert_int_eq(scsi_target_attach(target, number, lun[i]), 0);
}

static void setup_with(const struct storvsp_config *cfg)
{
	struct storvsp_config c = *cfg;

	ck_assert_int_eq(loop_create(&loop, NULL), 0);
	bus = fake_bus_create(loop, MEMORY);
	ck_assert_int_eq(scsi_target_create(&target), 0);
	make_disk(0, 0);
	make_disk(1, 1);
	c.name = "scsi0";
	ck_assert_int_eq(storvsp_create(&ctl, bus, target, &c), 0);
	buf = fake_bus_alloc(bus, 256);
}

static void setup(void)
{
	struct storvsp_config cfg = { .max_subchannels = 3 };

	setup_with(&cfg);
}

static void setup_started(void)
{
	setup();
	mock_guest_start(&g, bus);
}

static int gone_calls;

static void on_gone(void *ctx)
{
	ck_assert_ptr_eq(ctx, &gone_calls);
	gone_calls++;
}

static void teardown(void)
{
	int i;

	gone_calls = 0;
	storvsp_destroy(ctl, on_gone, &gone_calls);
	for (i = 0; i < 1000 && !gone_calls; i++)
		fake_bus_turn(bus);
	ck_assert_int_eq(gone_calls, 1);
	fake_bus_destroy(bus);
	scsi_target_destroy(target);
	for (i = 0; i < 2; i++) {
		scsi_lun_destroy(lun[i]);
		blk_dev_close(dev[i]);
	}
	loop_destroy(loop);
}

static void check_bytes(const struct vstor_packet *p, const char *vector)
{
	uint8_t bytes[sizeof(*p)];

	ck_assert_uint_eq(vector_bytes(vector, bytes, sizeof(bytes)), sizeof(*p));
	ck_assert_mem_eq(p, bytes, sizeof(bytes));
}

static void check_sense(const struct mock_answer *a, uint8_t srb, uint8_t key, uint8_t asc)
{
	ck_assert_uint_eq(a->p.srb.scsi_status, 2);
	ck_assert_uint_eq(a->p.srb.srb_status, srb | VSTOR_SRB_AUTOSENSE);
	ck_assert_uint_eq(a->p.srb.sense[0] & 0x7f, 0x70);
	ck_assert_uint_eq(a->p.srb.sense[2], key);
	ck_assert_uint_eq(a->p.srb.sense[12], asc);
	ck_assert_uint_eq(a->p.srb.data_transfer_length, 0);
}

static void check_good(const struct mock_answer *a, uint32_t moved)
{
	ck_assert_uint_eq(a->p.status, 0);
	ck_assert_uint_eq(a->p.srb.srb_status, VSTOR_SRB_SUCCESS);
	ck_assert_uint_eq(a->p.srb.scsi_status, 0);
	ck_assert_uint_eq(a->p.srb.data_transfer_length, moved);
}

static uint64_t rejected(void)
{
	struct storvsp_stats st;

	storvsp_stats(ctl, &st);
	return st.rejected;
}

/* The channel is fine: an ordinary read works. */
static void check_alive(struct mock_guest *mg)
{
	struct mock_srb srb = mock_rw(0, false, 0, 8, buf);
	struct mock_answer a;

	mock_guest_srb(mg, &srb, &a);
	check_good(&a, 4096);
}

/* The channel is dead with this text, and only this channel. */
static void check_faulted(struct mock_guest *mg, const char *text)
{
	struct vmbus_chan_stats st;
	struct mock_answer a;

	ck_assert(!mock_guest_recv(mg, &a));
	vmbus_chan_stats(fake_bus_host_chan(bus, mg->dev, mg->sub), &st);
	ck_assert_ptr_nonnull(st.fault);
	ck_assert_ptr_nonnull(strstr(st.fault, text));
}

/* ---- handshake -------------------------------------------------------------------- */

START_TEST(golden_handshake)
{
	struct vstor_packet v = { .version.major_minor = VSTOR_V6_2 };
	struct mock_answer a;

	mock_guest_open(&g, bus, 0, 0, 32);
	mock_guest_call(&g, VSTOR_OP_BEGIN_INITIALIZATION, NULL, &a);
	check_bytes(&a.p, V16_1_COMPLETION);
	mock_guest_call(&g, VSTOR_OP_QUERY_PROTOCOL_VERSION, &v, &a);
	ck_assert_uint_eq(a.p.version.major_minor, VSTOR_V6_2);
	mock_guest_call(&g, VSTOR_OP_QUERY_PROPERTIES, NULL, &a);
	check_bytes(&a.p, V16_3_PROPERTIES);
	mock_guest_call(&g, VSTOR_OP_END_INITIALIZATION, NULL, &a);
	check_bytes(&a.p, V16_1_COMPLETION);
	check_alive(&g);
}
END_TEST

START_TEST(offer_is_a_scsi_controller)
{
	static const struct guid scsi = VMBUS_CLASS_SCSI;
	const struct vmbus_device_desc *d = fake_bus_desc(bus, 0);

	ck_assert(guid_equal(&d->type, &scsi));
	ck_assert_uint_ge(d->max_packet, 32 + 8 * 65 + 64);
	ck_assert_str_eq(d->name, "scsi0");
}
END_TEST

enum { B, V, P, E, R, STATES }; /* begin, version, properties, end, ready */

static void reach(struct mock_guest *mg, int state)
{
	static const uint32_t ops[] = { VSTOR_OP_BEGIN_INITIALIZATION,
					VSTOR_OP_QUERY_PROTOCOL_VERSION, VSTOR_OP_QUERY_PROPERTIES,
					VSTOR_OP_END_INITIALIZATION };
	struct vstor_packet v = { .version.major_minor = VSTOR_V6_2 };
	struct mock_answer a;
	int i;

	mock_guest_open(mg, bus, 0, 0, 32);
	for (i = 0; i < state; i++) {
		mock_guest_call(mg, ops[i], ops[i] == VSTOR_OP_QUERY_PROTOCOL_VERSION ? &v : NULL,
				&a);
		ck_assert_uint_eq(a.p.status, 0);
	}
}

static const char *state_name(void)
{
	struct storvsp_stats st;

	storvsp_stats(ctl, &st);
	return st.state;
}

/* S01 S02 S05 S40: every operation in every state; the answer and the state after it. */
START_TEST(init_table_cell_by_cell)
{
	static const char *const names[] = { "begin", "version", "properties", "end", "ready" };
	enum {
		OK = 0,
		STATE = VSTOR_STATUS_INVALID_DEVICE_STATE,
		REQ = VSTOR_STATUS_INVALID_DEVICE_REQUEST,
		IO = VSTOR_STATUS_IO_DEVICE_ERROR
	};
	static const struct {
		uint32_t op;
		uint32_t status[STATES];
		int after[STATES];
	} t[] = {
		{ VSTOR_OP_BEGIN_INITIALIZATION,
		  { OK, STATE, STATE, STATE, STATE },
		  { V, V, P, E, R } },
		{ VSTOR_OP_QUERY_PROTOCOL_VERSION,
		  { STATE, OK, STATE, STATE, STATE },
		  { B, P, P, E, R } },
		{ VSTOR_OP_QUERY_PROPERTIES,
		  { STATE, STATE, OK, STATE, STATE },
		  { B, V, E, E, R } },
		{ VSTOR_OP_END_INITIALIZATION,
		  { STATE, STATE, STATE, OK, STATE },
		  { B, V, P, R, R } },
		{ VSTOR_OP_CREATE_SUB_CHANNELS,
		  { STATE, STATE, STATE, OK, OK },
		  { B, V, P, E, R } },
		{ VSTOR_OP_RESET_LUN, { STATE, STATE, STATE, STATE, OK }, { B, V, P, E, R } },
		{ VSTOR_OP_RESET_ADAPTER, { STATE, STATE, STATE, STATE, OK }, { B, V, P, E, R } },
		{ VSTOR_OP_RESET_BUS, { STATE, STATE, STATE, STATE, OK }, { B, V, P, E, R } },
		/* the state is right, the CDB is nonsense */
		{ VSTOR_OP_EXECUTE_SRB, { STATE, STATE, STATE, STATE, IO }, { B, V, P, E, R } },
		{ VSTOR_OP_FCHBA_DATA, { REQ, REQ, REQ, REQ, REQ }, { B, V, P, E, R } },
		{ VSTOR_OP_COMPLETE_IO, { REQ, REQ, REQ, REQ, REQ }, { B, V, P, E, R } },
		{ VSTOR_OP_REMOVE_DEVICE, { REQ, REQ, REQ, REQ, REQ }, { B, V, P, E, R } },
		{ VSTOR_OP_ENUMERATE_BUS, { REQ, REQ, REQ, REQ, REQ }, { B, V, P, E, R } },
		{ VSTOR_OP_EVENT_NOTIFICATION, { REQ, REQ, REQ, REQ, REQ }, { B, V, P, E, R } },
		{ 0, { REQ, REQ, REQ, REQ, REQ }, { B, V, P, E, R } },
		{ 15, { REQ, REQ, REQ, REQ, REQ }, { B, V, P, E, R } },
		{ 0xffffffff, { REQ, REQ, REQ, REQ, REQ }, { B, V, P, E, R } },
	};
	struct vstor_packet p = { .payload = { 0x02, 0x06 } }; /* version 6.2; 0x602 sub-channels */
	struct mock_answer a;
	unsigned int i, s;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		for (s = 0; s < STATES; s++) {
			reach(&g, (int)s);
			if (t[i].op == VSTOR_OP_CREATE_SUB_CHANNELS)
				p.sub_channel_count = 2;
			mock_guest_call(&g, t[i].op, &p, &a);
			ck_assert_msg(a.p.status == t[i].status[s], "operation %u in %s: %x",
				      t[i].op, names[s], a.p.status);
			ck_assert_str_eq(state_name(), names[t[i].after[s]]);
			p.version.major_minor = VSTOR_V6_2;
			fake_bus_close(bus, 0, 0);
			ck_assert(fake_bus_closed(bus, 0, 0));
			ck_assert_str_eq(state_name(), "begin");
		}
}
END_TEST

START_TEST(s01_srb_before_ready_carries_an_srb_status)
{
	struct mock_srb srb = mock_rw(1, false, 0, 8, buf);
	struct mock_answer a;

	reach(&g, E);
	mock_guest_srb(&g, &srb, &a);
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_INVALID_DEVICE_STATE);
	ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_ERROR);
	ck_assert_uint_eq(a.p.srb.lun, 1);
}
END_TEST

START_TEST(s03_versions)
{
	static const struct {
		uint16_t version;
		bool known;
	} t[] = { { 0, false },	     { 0xffff, false }, { 0x0100, false }, { 0x0601, false },
		  { 0x0603, false }, { 0x0500, false }, { 0x0602, true },  { 0x0600, true },
		  { 0x0501, true },  { 0x0402, true },	{ 0x0200, true } };
	struct vstor_packet p = { 0 };
	struct mock_answer a;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		reach(&g, V);
		/* However often it was refused before. */
		p.version.major_minor = 0x7777;
		mock_guest_call(&g, VSTOR_OP_QUERY_PROTOCOL_VERSION, &p, &a);
		ck_assert_uint_eq(a.p.status, VSTOR_STATUS_REVISION_MISMATCH);
		p.version.major_minor = t[i].version;
		mock_guest_call(&g, VSTOR_OP_QUERY_PROTOCOL_VERSION, &p, &a);
		ck_assert_uint_eq(a.p.version.major_minor, t[i].version);
		ck_assert_uint_eq(a.p.status, t[i].known ? 0 : VSTOR_STATUS_REVISION_MISMATCH);
		ck_assert_str_eq(state_name(), t[i].known ? "properties" : "version");
		fake_bus_close(bus, 0, 0);
	}
}
END_TEST

/* ---- packet sizes ---------------------------------------------------------------------- */

/* Completion size mirrors request size, at most 64, before and after the version. */
START_TEST(completions_mirror_the_request_size)
{
	uint8_t bytes[128] = { VSTOR_OP_BEGIN_INITIALIZATION, 0, 0, 0, 1 };
	static const uint32_t sizes[] = { 16, 24, 40, 48, 56, 64, 72, 128 };
	struct mock_answer a;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		mock_guest_open(&g, bus, 0, 0, 32);
		mock_guest_send_raw(&g, 7, bytes, sizes[i]);
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.id, 7);
		ck_assert_uint_eq(a.len, sizes[i] < 64 ? sizes[i] : 64);
		ck_assert_uint_eq(a.p.status, 0);
		fake_bus_close(bus, 0, 0);
	}
}
END_TEST

START_TEST(old_versions_use_48_bytes)
{
	static const uint16_t versions[] = { VSTOR_V4_2, VSTOR_V2_0 };
	struct mock_srb srb = mock_rw(0, true, 8, 8, buf), bad = mock_rw(0, false, 1 << 30, 8, buf);
	struct vstor_properties props;
	struct mock_answer a;

	mock_guest_open(&g, bus, 0, 0, 32);
	g.packet_len = VSTOR_PACKET_OLD; /* a Windows 7 guest never sends more */
	mock_guest_init(&g, versions[_i], &props);
	ck_assert_uint_eq(props.flags, 0); /* no sub-channels before 5.1 */
	ck_assert_uint_eq(props.max_channel_count, 0);
	mock_guest_srb(&g, &srb, &a); /* checks the length of the completion */
	check_good(&a, 4096);
	ck_assert_uint_eq(a.p.srb.length, VSTOR_PAYLOAD_OLD);
	ck_assert_uint_eq(a.p.srb.sense_info_length, VSTOR_SENSE_ROOM_OLD);
	mock_guest_srb(&g, &bad, &a);
	check_sense(&a, VSTOR_SRB_INVALID_REQUEST, 5, 0x21);
}
END_TEST

static void check_short(uint32_t op, uint32_t len, const char *text)
{
	uint8_t bytes[64] = { (uint8_t)op, 0, 0, 0, 1 };

	reach(&g, op == VSTOR_OP_QUERY_PROTOCOL_VERSION ? V : R);
	mock_guest_send_raw(&g, 9, bytes, len);
	check_faulted(&g, text);
	fake_bus_close(bus, 0, 0);
	ck_assert(fake_bus_closed(bus, 0, 0));
	mock_guest_start(&g, bus); /* U9: closed and opened again, all is well */
	check_alive(&g);
	fake_bus_close(bus, 0, 0);
}

START_TEST(s04_short_packets_fault_the_channel)
{
	check_short(VSTOR_OP_EXECUTE_SRB, 0, "header");
	check_short(VSTOR_OP_EXECUTE_SRB, 8, "header");
	check_short(VSTOR_OP_EXECUTE_SRB, 16, "operation");
	check_short(VSTOR_OP_EXECUTE_SRB, 56, "operation");
	check_short(VSTOR_OP_RESET_BUS, 48, "operation");
	check_short(VSTOR_OP_QUERY_PROTOCOL_VERSION, 8, "header");
}
END_TEST

START_TEST(s04_longer_packets_lose_their_tail)
{
	struct mock_srb srb = { .cdb_len = 6, .data_in = VSTOR_DATA_NONE };
	uint8_t bytes[128];
	struct mock_answer a;

	memset(bytes, 0xee, sizeof(bytes));
	mock_srb_packet((struct vstor_packet *)bytes, &srb, VSTOR_PACKET);
	mock_guest_send_raw(&g, 9, bytes, sizeof(bytes));
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.len, VSTOR_PACKET);
	check_good(&a, 0);
}
END_TEST

/* ---- SRBs -------------------------------------------------------------------------------- */

START_TEST(golden_srbs)
{
	struct mock_srb read = mock_rw(1, false, 0x800, 8, buf);
	struct mock_srb far = mock_rw(1, false, DISK_SIZE / 512, 8, buf);
	struct mock_srb tur = { .lun = 9, .cdb_len = 6, .data_in = VSTOR_DATA_NONE };
	struct mock_answer a;

	mock_guest_srb(&g, &read, &a);
	check_bytes(&a.p, V16_8_GOOD);
	mock_guest_srb(&g, &far, &a);
	check_bytes(&a.p, V16_9_LBA_RANGE);
	mock_guest_srb(&g, &tur, &a);
	check_bytes(&a.p, V16_10_ABSENT);
}
END_TEST

/* The stock guest's own bytes in, the bytes that it accepted out. */
START_TEST(captured_inquiry_and_unknown_opcode)
{
	uint8_t bytes[128], want[80];
	struct mock_srb c7 = { .cdb = { 0xc7 }, .cdb_len = 10, .data_in = VSTOR_DATA_NONE };
	const struct vstor_packet *p = (const void *)(bytes + 40);
	uint64_t pfn = (buf + 0x300) / 4096;
	struct mock_answer a;

	vector_bytes(V17_INQUIRY, bytes, sizeof(bytes));
	ck_assert_int_eq(vmbus_chan_send_gpa_direct(g.chan, 1, 1, 36, 0x300, &pfn, 1, p, 64), 0);
	ck_assert(mock_guest_recv(&g, &a));
	vector_bytes(V17_INQUIRY_COMPLETION, want, sizeof(want));
	ck_assert_mem_eq(&a.p, want + 16, 64);
	ck_assert_mem_eq((uint8_t *)fake_bus_ptr(bus, buf) + 0x308, "Msft    Virtual Disk    ", 24);
	mock_guest_srb(&g, &c7, &a);
	vector_bytes(V17_OPCODE_C7_COMPLETION, want, sizeof(want));
	ck_assert_mem_eq(&a.p, want + 16, 64);
}
END_TEST

START_TEST(captured_fua_write_unmap_and_reset)
{
	uint8_t bytes[128];
	struct mock_answer a;
	uint64_t pfn = buf / 4096;

	memset(fake_bus_ptr(bus, buf), 0x5a, 4096);
	vector_bytes(V17_WRITE10_FUA, bytes, sizeof(bytes));
	ck_assert_int_eq(
		vmbus_chan_send_gpa_direct(g.chan, 1, 0x17, 1024, 0x400, &pfn, 1, bytes + 40, 64),
		0);
	ck_assert(mock_guest_recv(&g, &a));
	check_good(&a, 1024);
	vector_bytes(V17_UNMAP_LIST, fake_bus_ptr(bus, buf), 24);
	vector_bytes(V17_UNMAP, bytes, sizeof(bytes));
	ck_assert_int_eq(
		vmbus_chan_send_gpa_direct(g.chan, 1, 0x47, 24, 0, &pfn, 1, bytes + 40, 64), 0);
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, 0x47);
	/* The memory disk has 16384 blocks and the list goes to 0x4002: within. */
	ck_assert_uint_eq(a.p.srb.scsi_status == 0 || a.p.srb.sense[12] == 0x21, 1);
	vector_bytes(V17_RESET_BUS, bytes, sizeof(bytes));
	mock_guest_send_raw(&g, MOCK_RESET_ID, bytes + 16, 64);
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, MOCK_RESET_ID);
	check_bytes(&a.p, V16_1_COMPLETION);
}
END_TEST

START_TEST(data_goes_to_the_disk_and_back)
{
	uint8_t *mem = fake_bus_ptr(bus, buf);
	struct mock_srb srb;
	struct mock_answer a;
	uint32_t i;

	for (i = 0; i < 262144; i++)
		mem[0xc00 + i] = (uint8_t)(i * 7 + i / 4096);
	srb = mock_rw(0, true, 100, 512, buf + 0xc00); /* 256 KiB from inside a page: 65 PFNs */
	mock_guest_srb(&g, &srb, &a);
	check_good(&a, 262144);
	srb = mock_rw(0, false, 100, 512, buf + 0x80000 + 0x200);
	mock_guest_srb(&g, &srb, &a);
	check_good(&a, 262144);
	ck_assert_mem_eq(mem + 0x80200, mem + 0xc00, 262144);
	srb = mock_rw(1, false, 100, 8, buf); /* the other disk is another disk */
	mock_guest_srb(&g, &srb, &a);
	ck_assert_uint_eq(mem[0], 0);
	ck_assert_uint_eq(mem[4095], 0);
}
END_TEST

/* PFNs in any order, and the same one twice (P11). */
START_TEST(p11_scattered_and_repeated_pages)
{
	uint64_t base = buf / 4096;
	uint64_t pfn[6] = { base + 5, base + 1, base + 9, base + 1, base + 2, base + 3 };
	struct mock_srb srb = mock_rw(0, true, 0, 48, 0);
	struct vstor_packet p;
	struct mock_answer a;
	uint32_t i;

	for (i = 0; i < 16; i++)
		memset((uint8_t *)fake_bus_ptr(bus, buf) + i * 4096, (int)(0x10 + i), 4096);
	mock_srb_packet(&p, &srb, VSTOR_PACKET);
	ck_assert_int_eq(vmbus_chan_send_gpa_direct(g.chan, 1, 5, 48 * 512, 0, pfn, 6, &p, 64), 0);
	ck_assert(mock_guest_recv(&g, &a));
	check_good(&a, 48 * 512);
	srb = mock_rw(0, false, 0, 48, buf + 0x40000);
	mock_guest_srb(&g, &srb, &a);
	for (i = 0; i < 6; i++)
		ck_assert_uint_eq(((uint8_t *)fake_bus_ptr(bus, buf + 0x40000))[i * 4096],
				  0x10 + pfn[i] - base);
}
END_TEST

START_TEST(s11_more_claimed_than_described)
{
	static const uint32_t claims[] = { 4097, 8192, 0xffffffff };
	struct mock_srb srb = mock_rw(0, false, 0, 8, buf);
	struct mock_answer a;

	memset(fake_bus_ptr(bus, buf), 0x77, 8192);
	srb.lie = true;
	srb.claim = claims[_i];
	mock_guest_srb(&g, &srb, &a);
	check_sense(&a, VSTOR_SRB_DATA_OVERRUN, 5, 0x24);
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_BUFFER_OVERFLOW);
	ck_assert_uint_eq(*(uint8_t *)fake_bus_ptr(bus, buf), 0x77);
	ck_assert_uint_eq(*(uint8_t *)fake_bus_ptr(bus, buf + 4096), 0x77);
	ck_assert_uint_eq(rejected(), 1);
	check_alive(&g);
}
END_TEST

/* Less claimed than described is allowed: the rest of the pages is not touched. */
START_TEST(s12_less_claimed_than_described)
{
	struct mock_srb srb = mock_rw(0, false, 0, 4, buf);
	uint8_t *mem = fake_bus_ptr(bus, buf);
	struct mock_answer a;

	memset(mem, 0x77, 8192);
	srb.len = 8192;
	srb.lie = true;
	srb.claim = 2048;
	mock_guest_srb(&g, &srb, &a);
	check_good(&a, 2048);
	ck_assert_uint_eq(mem[2047], 0);
	ck_assert_uint_eq(mem[2048], 0x77);
	/* and less than the CDB transfers is refused, not cut */
	srb.claim = 2047;
	mock_guest_srb(&g, &srb, &a);
	check_sense(&a, VSTOR_SRB_INVALID_REQUEST, 5, 0x24);
	srb.claim = 0;
	mock_guest_srb(&g, &srb, &a);
	check_sense(&a, VSTOR_SRB_INVALID_REQUEST, 5, 0x24);
}
END_TEST

START_TEST(s13_direction_against_the_opcode)
{
	struct mock_srb srb = mock_rw(0, false, 0, 8, buf);
	struct mock_answer a;

	srb.data_in = VSTOR_DATA_OUT;
	mock_guest_srb(&g, &srb, &a);
	check_sense(&a, VSTOR_SRB_INVALID_REQUEST, 5, 0x24);
	srb = mock_rw(0, true, 0, 8, buf);
	srb.data_in = VSTOR_DATA_IN;
	mock_guest_srb(&g, &srb, &a);
	check_sense(&a, VSTOR_SRB_INVALID_REQUEST, 5, 0x24);
}
END_TEST

static struct mock_srb inquiry(uint8_t path, uint8_t tgt, uint8_t number)
{
	return (struct mock_srb){ .path = path,
				  .target = tgt,
				  .lun = number,
				  .cdb = { 0x12, 0, 0, 0, 36 },
				  .cdb_len = 6,
				  .data_in = VSTOR_DATA_IN,
				  .gpa = buf,
				  .len = 36 };
}

static struct mock_srb report_luns(uint8_t path, uint8_t tgt, uint8_t number)
{
	return (struct mock_srb){ .path = path,
				  .target = tgt,
				  .lun = number,
				  .cdb = { 0xa0, 0, 0, 0, 0, 0, 0, 0, 16, 0 },
				  .cdb_len = 12,
				  .data_in = VSTOR_DATA_IN,
				  .gpa = buf,
				  .len = 4096 };
}

/* The bus scan of a stock guest: 8 paths, 2 targets each. */
START_TEST(s14_addresses)
{
	uint8_t *mem = fake_bus_ptr(bus, buf);
	uint8_t path, tgt;
	struct mock_srb srb;
	struct mock_answer a;

	for (path = 0; path < 8; path++)
		for (tgt = 0; tgt < 2; tgt++) {
			bool here = !path && !tgt;

			srb = inquiry(path, tgt, 0);
			mock_guest_srb(&g, &srb, &a);
			check_good(&a, 36);
			ck_assert_uint_eq(mem[0], here ? 0 : 0x7f);
			ck_assert_uint_eq(a.p.srb.path_id, path);
			ck_assert_uint_eq(a.p.srb.target_id, tgt);
			srb = report_luns(path, tgt, 0);
			mock_guest_srb(&g, &srb, &a);
			check_good(&a, here ? 24 : 8);
			ck_assert_uint_eq(be32_at(mem), here ? 16 : 0);
			srb = mock_rw(0, false, 0, 8, buf);
			srb.path = path;
			srb.target = tgt;
			mock_guest_srb(&g, &srb, &a);
			ck_assert_uint_eq(a.p.srb.srb_status,
					  here ? VSTOR_SRB_SUCCESS : VSTOR_SRB_INVALID_LUN);
		}
	srb = inquiry(0, 0, 255);
	mock_guest_srb(&g, &srb, &a);
	check_good(&a, 36);
	ck_assert_uint_eq(mem[0], 0x7f);
	srb = mock_rw(64, false, 0, 8, buf);
	mock_guest_srb(&g, &srb, &a);
	ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_INVALID_LUN);
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_DEVICE_DOES_NOT_EXIST);
}
END_TEST

/* ---- packets (P) ---------------------------------------------------------------------------- */

START_TEST(p03_p18_in_band_where_data_is_needed)
{
	struct mock_srb srb = mock_rw(0, false, 0, 8, 0);
	struct vstor_packet p;
	struct mock_answer a;

	mock_srb_packet(&p, &srb, VSTOR_PACKET);
	mock_guest_send_raw(&g, 11, &p, 64);
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, 11);
	check_sense(&a, VSTOR_SRB_DATA_OVERRUN, 5, 0x24);
	check_alive(&g);
}
END_TEST

START_TEST(p18_control_with_pages)
{
	struct vstor_packet p = { .operation = VSTOR_OP_RESET_BUS, .flags = 1 };
	uint64_t pfn = buf / 4096;
	struct mock_answer a;

	ck_assert_int_eq(vmbus_chan_send_gpa_direct(g.chan, 1, 12, 4096, 0, &pfn, 1, &p, 64), 0);
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_INVALID_DEVICE_REQUEST);
	check_alive(&g);
}
END_TEST

START_TEST(p10_pages_outside_ram)
{
	static const uint64_t bad[] = { MEMORY / 4096, 0xffffffffffffull, UINT64_MAX, 1ull << 52 };
	struct mock_srb srb = mock_rw(0, _i & 1, 0, 16, 0);
	uint64_t pfn[2] = { buf / 4096, bad[_i / 2] };
	struct vstor_packet p;
	struct mock_answer a;

	mock_srb_packet(&p, &srb, VSTOR_PACKET);
	ck_assert_int_eq(vmbus_chan_send_gpa_direct(g.chan, 1, 13, 8192, 0, pfn, 2, &p, 64), 0);
	ck_assert(mock_guest_recv(&g, &a));
	ck_assert_uint_eq(a.id, 13);
	check_sense(&a, VSTOR_SRB_INVALID_REQUEST, 5, 0x24);
	check_alive(&g);
}
END_TEST

/* Built by hand: no encoder makes several ranges for storage. */
static void send_ranges(uint32_t n, uint32_t bytes_each, const struct vstor_packet *p)
{
	const struct hv_gpa_view *v = fake_bus_guest_out(bus, 0, 0);
	struct vmpkt_range_in r[64];
	struct vmring_out out;
	uint64_t pfn = buf / 4096;
	uint32_t i;

	for (i = 0; i < n; i++)
		r[i] = (struct vmpkt_range_in){ bytes_each, 0, &pfn };
	ck_assert_int_eq(vmring_out_init(&out, v->ctrl, v->data, v->size), 0);
	ck_assert_int_eq(vmpkt_put_gpa_direct_multi(&out, 1, 14, r, n, p, 64), 0);
	vmring_out_commit(&out);
}

START_TEST(p12_more_than_one_range)
{
	struct mock_srb srb = mock_rw(0, false, 0, 8, buf);
	struct vstor_packet p;
	struct mock_answer a;

	mock_srb_packet(&p, &srb, VSTOR_PACKET);
	send_ranges(32, 128, &p);
	while (!mock_guest_poll(&g, &a))
		fake_bus_turn(bus);
	ck_assert_uint_eq(a.id, 14);
	check_sense(&a, VSTOR_SRB_INVALID_REQUEST, 5, 0x24);
}
END_TEST

START_TEST(too_many_pages_are_refused_longer_packets_fault)
{
	struct mock_srb srb = mock_rw(0, false, 0, 640, buf);
	struct mock_answer a;

	mock_guest_srb(&g, &srb, &a); /* 80 pages where 65 were announced */
	check_sense(&a, VSTOR_SRB_INVALID_REQUEST, 5, 0x24);
	check_alive(&g);
	srb.len = 4096 * 600;
	ck_assert_uint_ne(mock_guest_send_srb(&g, &srb), 0);
	check_faulted(&g, "longer");
}
END_TEST

START_TEST(p13_no_completion_requested)
{
	struct mock_srb srb = mock_rw(0, true, 0, 8, buf);
	uint64_t pfn = buf / 4096, before = rejected();
	struct vstor_packet p;
	struct mock_answer a;
	int i;

	memset(fake_bus_ptr(bus, buf), 0x99, 4096);
	mock_srb_packet(&p, &srb, VSTOR_PACKET);
	for (i = 0; i < 2000; i++) { /* more than there are slots: none leaks */
		while (vmbus_chan_send_gpa_direct(g.chan, 0, 15, 4096, 0, &pfn, 1, &p, 64))
			ck_assert(!mock_guest_recv(&g, &a));
	}
	ck_assert(!mock_guest_recv(&g, &a));
	ck_assert_uint_eq(rejected() - before, 2000);
	check_alive(&g);
	ck_assert_uint_eq(*(uint8_t *)fake_bus_ptr(bus, buf), 0); /* it was not executed */
}
END_TEST

START_TEST(p14_completions_from_the_guest_are_dropped)
{
	struct vstor_packet p = { .operation = VSTOR_OP_COMPLETE_IO };
	struct mock_answer a;

	ck_assert_int_eq(vmbus_chan_send_completion(g.chan, 1, &p, 64), 0);
	ck_assert_int_eq(vmbus_chan_send_completion(g.chan, 0, &p, 8), 0);
	ck_assert(!mock_guest_recv(&g, &a));
	ck_assert_uint_eq(rejected(), 2);
	check_alive(&g);
}
END_TEST

START_TEST(p15_ids_are_echoed_whatever_they_are)
{
	static const uint64_t ids[] = { 0, 1, UINT64_MAX, 1, 1, 0x8000000000000000ull, 0 };
	struct mock_srb srb = { .cdb_len = 6, .data_in = VSTOR_DATA_NONE };
	struct vstor_packet p;
	struct mock_answer a;
	unsigned int i;

	mock_srb_packet(&p, &srb, VSTOR_PACKET);
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		mock_guest_send_raw(&g, ids[i], &p, 64);
	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		ck_assert(mock_guest_recv(&g, &a));
		ck_assert_uint_eq(a.id, ids[i]);
		ck_assert_uint_eq(a.type, VMPKT_COMPLETION);
	}
	ck_assert(!mock_guest_recv(&g, &a));
}
END_TEST

/* ---- sub-channels ------------------------------------------------------------------------------
 */

START_TEST(s06_create_sub_channels)
{
	static const struct {
		const char *why;
		uint16_t n;
		uint32_t status;
		uint16_t offered;
	} t[] = {
		{ "none is fine and does nothing", 0, 0, 0 },
		{ "more than announced", 4, VSTOR_STATUS_INVALID_PARAMETER, 0 },
		{ "far more", 0xffff, VSTOR_STATUS_INVALID_PARAMETER, 0 },
		{ "two", 2, 0, 2 },
		{ "fewer than there are", 1, VSTOR_STATUS_INVALID_PARAMETER, 2 },
		{ "the same again", 2, 0, 2 },
		{ "one more", 3, 0, 3 },
		{ "the limit stays", 4, VSTOR_STATUS_INVALID_PARAMETER, 3 },
	};
	struct vstor_packet p = { 0 };
	struct mock_answer a;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		p.sub_channel_count = t[i].n;
		mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
		ck_assert_msg(a.p.status == t[i].status, "%s: %x", t[i].why, a.p.status);
		ck_assert_uint_eq(fake_bus_subchannels(bus, 0), t[i].offered);
	}
	ck_assert_uint_eq(fake_bus_counts(bus)->offers_subs, 2);
}
END_TEST

START_TEST(sub_channels_before_end_are_fixed_once)
{
	struct vstor_packet p = { .sub_channel_count = 2 };
	struct mock_answer a;

	reach(&g, E);
	mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
	ck_assert_uint_eq(a.p.status, 0);
	ck_assert_uint_eq(fake_bus_subchannels(bus, 0), 2);
	p.sub_channel_count = 3;
	mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_INVALID_DEVICE_STATE);
}
END_TEST

/* Windows' order: the sub-channel is open and used before the primary is ready. */
START_TEST(sub_channel_packets_wait_for_ready)
{
	struct vstor_packet p = { .sub_channel_count = 1 };
	struct mock_srb srb = mock_rw(0, false, 0, 8, buf);
	struct mock_guest sub;
	struct mock_answer a;

	reach(&g, E);
	mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
	mock_guest_open(&sub, bus, 0, 1, 8);
	ck_assert_uint_ne(mock_guest_send_srb(&sub, &srb), 0);
	ck_assert(!mock_guest_recv(&sub, &a));
	ck_assert(vmbus_chan_pending(fake_bus_host_chan(bus, 0, 1)));
	mock_guest_call(&g, VSTOR_OP_END_INITIALIZATION, NULL, &a);
	fake_bus_turn(bus);
	ck_assert_uint_ge(fake_bus_counts(bus)->kicks, 1);
	ck_assert(mock_guest_recv(&sub, &a));
	check_good(&a, 4096);
	check_alive(&g);
}
END_TEST

START_TEST(sub_channels_carry_only_srbs_and_resets)
{
	static const uint32_t control[] = {
		VSTOR_OP_BEGIN_INITIALIZATION, VSTOR_OP_QUERY_PROTOCOL_VERSION,
		VSTOR_OP_QUERY_PROPERTIES,     VSTOR_OP_END_INITIALIZATION,
		VSTOR_OP_CREATE_SUB_CHANNELS,
	};
	struct vstor_packet p = { .sub_channel_count = 1 };
	struct mock_guest sub;
	struct mock_answer a;
	unsigned int i;

	mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
	mock_guest_open(&sub, bus, 0, 1, 8);
	for (i = 0; i < ARRAY_SIZE(control); i++) {
		mock_guest_call(&sub, control[i], &p, &a);
		ck_assert_uint_eq(a.p.status, VSTOR_STATUS_INVALID_DEVICE_STATE);
	}
	ck_assert_str_eq(state_name(), "ready");
	mock_guest_call(&sub, VSTOR_OP_RESET_LUN, NULL, &a);
	ck_assert_uint_eq(a.p.status, 0);
	check_alive(&sub);
}
END_TEST

START_TEST(s07_sub_channel_outlives_its_primary)
{
	struct vstor_packet p = { .sub_channel_count = 1 };
	struct mock_srb srb = mock_rw(0, true, 0, 8, buf);
	struct mock_guest sub;
	struct mock_answer a;

	mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
	mock_guest_open(&sub, bus, 0, 1, 8);
	check_alive(&sub);
	fake_bus_close(bus, 0, 0);
	mock_guest_srb(&sub, &srb, &a);
	ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_ABORTED);
	ck_assert_uint_eq(a.p.status, VSTOR_STATUS_CANCELLED);
	/* A new life of the primary does not bring the old sub-channel back. */
	mock_guest_start(&g, bus);
	mock_guest_srb(&sub, &srb, &a);
	ck_assert_uint_eq(a.p.srb.srb_status, VSTOR_SRB_ABORTED);
	check_alive(&g);
	fake_bus_close(bus, 0, 1);
	ck_assert(fake_bus_closed(bus, 0, 1));
	mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
	mock_guest_open(&sub, bus, 0, 1, 8);
	check_alive(&sub);
}
END_TEST

START_TEST(unknown_sub_channel_is_not_opened)
{
	struct vmbus_chan *c;

	ck_assert_int_eq(fake_bus_open(bus, 0, 4, 4, &c), -EINVAL);
}
END_TEST

/* ---- notifications, statistics, limits --------------------------------------------------------
 */

START_TEST(bus_change_is_told_once_and_only_when_ready)
{
	struct mock_answer a;
	uint8_t want[88];

	reach(&g, E);
	storvsp_bus_changed(ctl);
	ck_assert(!mock_guest_recv(&g, &a));
	mock_guest_call(&g, VSTOR_OP_END_INITIALIZATION, NULL, &a);
	ck_assert(!mock_guest_recv(&g, &a)); /* the first scan is about to come anyway */
	storvsp_bus_changed(ctl);
	storvsp_bus_changed(ctl);
	ck_assert(mock_guest_recv(&g, &a));
	vector_bytes(V17_ENUMERATE_BUS, want, sizeof(want));
	ck_assert_mem_eq(&a.p, want + 16, 64);
	ck_assert_uint_eq(a.type, VMPKT_INBAND);
	ck_assert_uint_eq(a.flags, 0);
	ck_assert_uint_eq(a.id, 0);
	ck_assert(!mock_guest_recv(&g, &a));
	check_alive(&g);
}
END_TEST

START_TEST(bus_change_by_version)
{
	struct mock_answer a;

	mock_guest_open(&g, bus, 0, 0, 32);
	g.packet_len = VSTOR_PACKET_OLD;
	mock_guest_init(&g, _i ? VSTOR_V4_2 : VSTOR_V2_0, NULL);
	storvsp_bus_changed(ctl);
	ck_assert_int_eq(mock_guest_recv(&g, &a), _i); /* 2.0 does not know it */
	if (_i)
		ck_assert_uint_eq(a.len, VSTOR_PACKET_OLD);
}
END_TEST

/* A guest is told in the one way it knows; the other would only disturb it. */
START_TEST(other_luns_by_version)
{
	struct mock_srb ready = { .cdb_len = 6, .data_in = VSTOR_DATA_NONE };
	struct mock_answer a;

	mock_guest_open(&g, bus, 0, 0, 32);
	g.packet_len = VSTOR_PACKET_OLD;
	mock_guest_init(&g, _i ? VSTOR_V4_2 : VSTOR_V2_0, NULL);
	storvsp_luns_changed(ctl);
	ck_assert_int_eq(mock_guest_recv(&g, &a), _i);
	mock_guest_srb(&g, &ready, &a);
	ck_assert_uint_eq(a.p.srb.scsi_status, _i ? SCSI_GOOD : SCSI_CHECK_CONDITION);
	mock_guest_srb(&g, &ready, &a);
	ck_assert_uint_eq(a.p.srb.scsi_status, SCSI_GOOD);
}
END_TEST

START_TEST(bus_change_waits_for_room)
{
	struct mock_srb srb = { .cdb_len = 6, .data_in = VSTOR_DATA_NONE };
	struct mock_answer a;
	int seen = 0;

	fake_bus_close(bus, 0, 0);
	mock_guest_open(&g, bus, 0, 0, 2); /* one page of data each way: 46 completions */
	mock_guest_init(&g, VSTOR_V6_2, NULL);
	while (mock_guest_send_srb(&g, &srb))
		;
	mock_guest_flush(&g);
	fake_bus_settle(bus, 100);
	while (mock_guest_send_srb(&g, &srb))
		;
	mock_guest_flush(&g);
	fake_bus_settle(bus, 100);
	storvsp_bus_changed(ctl);
	ck_assert(fake_bus_settle(bus, 100));
	while (mock_guest_recv(&g, &a))
		seen += a.type == VMPKT_INBAND;
	ck_assert_int_eq(seen, 1);
}
END_TEST

START_TEST(statistics)
{
	struct mock_srb srb = mock_rw(0, false, 0, 8, buf);
	struct storvsp_stats st;
	struct mock_answer a;
	int i;

	for (i = 0; i < 200; i++)
		mock_guest_srb(&g, &srb, &a);
	storvsp_stats(ctl, &st);
	ck_assert_str_eq(st.state, "ready");
	ck_assert_uint_eq(st.version, VSTOR_V6_2);
	ck_assert_uint_eq(st.channels, 1);
	ck_assert_uint_eq(st.requests, 204); /* and the handshake */
	ck_assert_uint_eq(st.rejected, 0);
	ck_assert_uint_eq(st.in_flight, 0);
	ck_assert_uint_ge(st.latency_count, 3);
	ck_assert_uint_gt(st.latency_ns_sum, 0);
	ck_assert_uint_ge(st.latency_ns_max, st.latency_ns_sum / st.latency_count);
	fake_bus_close(bus, 0, 0);
	storvsp_stats(ctl, &st); /* sums stay */
	ck_assert_uint_eq(st.requests, 204);
	ck_assert_uint_eq(st.channels, 0);
}
END_TEST

START_TEST(configuration_is_checked)
{
	static const struct {
		const char *why;
		struct storvsp_config cfg;
		int want;
	} t[] = {
		{ "transfer is not pages", { .max_transfer = 4097 }, -EINVAL },
		{ "transfer is huge", { .max_transfer = 1u << 30 }, -EINVAL },
		{ "depth is huge", { .queue_depth = 1u << 20 }, -EINVAL },
		{ "sub-channels", { .max_subchannels = 65 }, -EINVAL },
		{ "same instance twice", { .max_subchannels = 1 }, -EEXIST },
	};
	struct storvsp *other;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(t); i++)
		ck_assert_int_eq(storvsp_create(&other, bus, target, &t[i].cfg), t[i].want);
}
END_TEST

START_TEST(capped_version_and_large_transfers)
{
	struct storvsp_config cfg = { .max_version = VSTOR_V6_0, .max_transfer = 1 << 20 };
	struct vstor_packet p = { .version.major_minor = VSTOR_V6_2 };
	struct vstor_properties props;
	struct mock_answer a;

	setup_with(&cfg);
	ck_assert_uint_ge(fake_bus_desc(bus, 0)->max_packet, 32 + 8 * 257 + 64);
	reach(&g, V);
	mock_guest_call(&g, VSTOR_OP_QUERY_PROTOCOL_VERSION, &p, &a);
	check_bytes(&a.p, V16_2_REJECTED);
	fake_bus_close(bus, 0, 0);
	mock_guest_open(&g, bus, 0, 0, 32);
	mock_guest_init(&g, VSTOR_V6_0, &props);
	ck_assert_uint_eq(props.max_transfer_bytes, 1 << 20);
	ck_assert_uint_eq(props.max_channel_count, 0);
	ck_assert_uint_eq(props.flags, 0);
	check_alive(&g);
	teardown();
}
END_TEST

/* F01 for what is instant: open, used, closed, many times; nothing accumulates. */
START_TEST(open_close_rounds)
{
	struct vstor_packet p = { .sub_channel_count = 2 };
	struct mock_guest sub[2];
	struct mock_answer a;
	int i;

	for (i = 0; i < 40; i++) {
		mock_guest_start(&g, bus);
		mock_guest_call(&g, VSTOR_OP_CREATE_SUB_CHANNELS, &p, &a);
		mock_guest_open(&sub[0], bus, 0, 1, 8);
		mock_guest_open(&sub[1], bus, 0, 2, 8);
		check_alive(&sub[0]);
		check_alive(&sub[1]);
		fake_bus_close(bus, 0, 2);
		fake_bus_close(bus, 0, 0);
		fake_bus_close(bus, 0, 1);
		ck_assert(fake_bus_settle(bus, 50));
		ck_assert(fake_bus_closed(bus, 0, 0));
	}
	ck_assert_uint_eq(fake_bus_counts(bus)->closed, 120);
	mock_guest_start(&g, bus);
	check_alive(&g);
}
END_TEST

/* ---- the program
 * ---------------------------------------------------------------------------------- */

static TCase *handshake_cases(void)
{
	TCase *tc = tcase_create("handshake");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, golden_handshake);
	tcase_add_test(tc, offer_is_a_scsi_controller);
	tcase_add_test(tc, init_table_cell_by_cell);
	tcase_add_test(tc, s01_srb_before_ready_carries_an_srb_status);
	tcase_add_test(tc, s03_versions);
	tcase_add_test(tc, completions_mirror_the_request_size);
	tcase_add_loop_test(tc, old_versions_use_48_bytes, 0, 2);
	tcase_add_test(tc, s04_short_packets_fault_the_channel);
	tcase_add_test(tc, sub_channels_before_end_are_fixed_once);
	tcase_add_test(tc, sub_channel_packets_wait_for_ready);
	tcase_add_test(tc, unknown_sub_channel_is_not_opened);
	tcase_add_test(tc, bus_change_is_told_once_and_only_when_ready);
	tcase_add_loop_test(tc, bus_change_by_version, 0, 2);
	tcase_add_loop_test(tc, other_luns_by_version, 0, 2);
	tcase_add_test(tc, configuration_is_checked);
	tcase_add_test(tc, open_close_rounds);
	return tc;
}

static TCase *ready_cases(void)
{
	TCase *tc = tcase_create("ready");

	tcase_add_checked_fixture(tc, setup_started, teardown);
	tcase_add_test(tc, s04_longer_packets_lose_their_tail);
	tcase_add_test(tc, golden_srbs);
	tcase_add_test(tc, captured_inquiry_and_unknown_opcode);
	tcase_add_test(tc, captured_fua_write_unmap_and_reset);
	tcase_add_test(tc, data_goes_to_the_disk_and_back);
	tcase_add_test(tc, p11_scattered_and_repeated_pages);
	tcase_add_loop_test(tc, s11_more_claimed_than_described, 0, 3);
	tcase_add_test(tc, s12_less_claimed_than_described);
	tcase_add_test(tc, s13_direction_against_the_opcode);
	tcase_add_test(tc, s14_addresses);
	tcase_add_test(tc, p03_p18_in_band_where_data_is_needed);
	tcase_add_test(tc, p18_control_with_pages);
	tcase_add_loop_test(tc, p10_pages_outside_ram, 0, 8);
	tcase_add_test(tc, p12_more_than_one_range);
	tcase_add_test(tc, too_many_pages_are_refused_longer_packets_fault);
	tcase_add_test(tc, p13_no_completion_requested);
	tcase_add_test(tc, p14_completions_from_the_guest_are_dropped);
	tcase_add_test(tc, p15_ids_are_echoed_whatever_they_are);
	tcase_add_test(tc, s06_create_sub_channels);
	tcase_add_test(tc, sub_channels_carry_only_srbs_and_resets);
	tcase_add_test(tc, s07_sub_channel_outlives_its_primary);
	tcase_add_test(tc, bus_change_waits_for_room);
	tcase_add_test(tc, statistics);
	return tc;
}

int main(void)
{
	Suite *s = suite_create("storvsp");
	TCase *alone = tcase_create("configuration");
	SRunner *sr;
	int failed;

	tcase_add_test(alone, capped_version_and_large_transfers);
	suite_add_tcase(s, handshake_cases());
	suite_add_tcase(s, ready_cases());
	suite_add_tcase(s, alone);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
