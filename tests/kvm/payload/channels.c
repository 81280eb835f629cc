/* SPDX-License-Identifier: MIT */
/* Channels: page lists, rings and doorbells that are wrong, and that the next opening works. */
#include "tests/kvm/payload/bus.h"
#include "vmbus/wire/vstor.h"

#define RING_BYTES ((RING_PAGES - 1) * PAGE)
#define MODIFIED   0u

static uint32_t relid;

static struct vmring_ctrl *to_root(void)
{
	return (void *)bus_rings[0];
}

static struct vmring_ctrl *from_root(void)
{
	return (void *)bus_rings[RING_PAGES];
}

struct packet {
	struct vmpkt_desc desc;
	struct vstor_packet p;
	uint64_t trailer;
} PACKED;

/* At the ring's beginning; the rings are new. */
static void send(const struct packet *p)
{
	volatile struct vmring_ctrl *c = to_root();

	memcpy(bus_rings[1], p, sizeof(*p));
	__sync_synchronize();
	c->write_index = sizeof(*p);
	bus_ring(relid);
}

static struct packet good_packet(void)
{
	return (struct packet){ .desc = { .type = VMPKT_INBAND,
					  .offset8 = 2,
					  .len8 = (16 + 64) / 8,
					  .flags = VMPKT_FLAG_COMPLETION_REQUESTED,
					  .trans_id = 0x1234 },
				.p.operation = VSTOR_OP_BEGIN_INITIALIZATION };
}

static bool completed(void)
{
	volatile struct vmring_ctrl *c = from_root();
	volatile struct vmpkt_desc *d = (void *)bus_rings[RING_PAGES + 1];

	for (int i = 0; i < 300 && !c->write_index; i++)
		wait_ms(10);
	return c->write_index && d->type == VMPKT_COMPLETION && d->trans_id == 0x1234;
}

static uint32_t open_rings(void)
{
	memset(bus_rings, 0, sizeof(bus_rings));
	return bus_open(relid, RING_GPADL, 0, RING_PAGES);
}

/* Opened anew it does what it should. */
static bool works(void)
{
	struct packet p = good_packet();

	bus_close(relid);
	if (open_rings())
		return false;
	send(&p);
	return completed();
}

static void page_lists(void)
{
	static const uint64_t outside[] = { HOLE / PAGE,      LAPIC / PAGE, 1ull << 28,
					    (1ull << 52) - 1, 1ull << 52,   -1ull };
	uint64_t pfn[2] = { (uint64_t)bus_rings / PAGE, ram_end / PAGE };
	uint32_t got = bus_gpadl(relid, 7, pfn, 2);

	check("V33 a page behind RAM", got && got != NO_ANSWER, got);
	for (size_t i = 0; i < COUNT(outside); i++) {
		pfn[1] = outside[i];
		got = bus_gpadl(relid, 7, pfn, 2);
		if (!got || got == NO_ANSWER)
			say_hex("page", outside[i]);
		check("V33 a page where there is no RAM", got && got != NO_ANSWER, got);
	}
	got = bus_rings_gpadl(relid);
	check("good pages are taken", !got, got);
	pfn[1] = pfn[0];
	got = bus_gpadl(relid, RING_GPADL, pfn, 2);
	check("V30 the same id again", got && got != NO_ANSWER, got);
}

static void openings(void)
{
	static const uint32_t vps[] = { 1, 64, 1u << 31 };
	static const uint32_t pages[] = { 0, 1, 2 * RING_PAGES - 1, 2 * RING_PAGES, UINT32_MAX };
	uint64_t status = bus_ring(relid);
	uint32_t got;

	check("a doorbell before the channel is open", status == HV_STATUS_INVALID_CONNECTION_ID,
	      status);
	for (size_t i = 0; i < COUNT(vps); i++) {
		got = bus_open(relid, RING_GPADL, vps[i], RING_PAGES);
		check("H19 open for a VP that is not there", got && got != NO_ANSWER, got);
	}
	for (size_t i = 0; i < COUNT(pages); i++) {
		got = bus_open(relid, RING_GPADL, 0, pages[i]);
		check("V15 rings divided oddly", got && got != NO_ANSWER, got);
	}
	got = bus_open(relid, 4711, 0, RING_PAGES);
	check("V14 a page list that is not there", got && got != NO_ANSWER, got);
}

static void when_open(void)
{
	uint64_t status;
	uint32_t got;

	check("the channel works", works(), 0);
	status = bus_post(HV_CONN_CHANNEL_BASE + relid, 1, 8, "12345678", 8);
	check("H06 a message to a channel's doorbell", status == HV_STATUS_INVALID_PORT_ID, status);
	status = hypercall(HV_CALL_SIGNAL_EVENT | HV_CALL_FAST,
			   1ull << 32 | (HV_CONN_CHANNEL_BASE + relid), 0);
	check("H09 another flag of its doorbell", status == HV_STATUS_INVALID_PARAMETER, status);
	got = bus_modify(relid, 1u << 31);
	check("H19 interrupts for VP 2^31", got && got != NO_ANSWER, got);
	got = bus_modify(relid, 0);
	check("and for VP 0", got == MODIFIED, got);
	for (int i = 0; i < 2000; i++)
		bus_ring(relid);
	check("R29 doorbells for nothing", works(), 0);
	memset(&bus_events, 0xff, sizeof(bus_events));
	check("H18 event flags set by the guest", works(), 0);
	memset(&bus_events, 0, sizeof(bus_events));
}

static void bad_index(const char *what, uint32_t write, uint32_t read)
{
	struct packet p = good_packet();

	bus_close(relid);
	if (open_rings()) {
		check(what, false, 0);
		return;
	}
	from_root()->read_index = read;
	memcpy(bus_rings[1], &p, sizeof(p));
	*(volatile uint32_t *)&to_root()->write_index = write;
	bus_ring(relid);
	wait_ms(50);
	check(what, !*(volatile uint32_t *)&from_root()->write_index, 0);
}

static void bad_packet(const char *what, uint16_t type, uint16_t offset8, uint16_t len8)
{
	struct packet p = good_packet();

	bus_close(relid);
	if (open_rings()) {
		check(what, false, 0);
		return;
	}
	p.desc.type = type;
	p.desc.offset8 = offset8;
	p.desc.len8 = len8;
	send(&p);
	wait_ms(50);
	check(what, !*(volatile uint32_t *)&from_root()->write_index, 0);
}

static void rings(void)
{
	bad_index("R01 write index past the end", RING_BYTES, 0);
	bad_index("R02 write index of all ones", UINT32_MAX, 0);
	bad_index("R03 write index not aligned", 90, 0);
	bad_index("R05 read index past the end", sizeof(struct packet), RING_BYTES);
	bad_packet("R11 a packet of no length", VMPKT_INBAND, 2, 0);
	bad_packet("R13 its payload in its header", VMPKT_INBAND, 0, 10);
	bad_packet("R15 a packet longer than the ring", VMPKT_INBAND, 2, 0xffff);
	bad_packet("R20 a packet of no type", 0, 2, 10);
	check("each time the next opening works", works(), 0);
}

static void page_of_the_ring(void)
{
	struct packet p = good_packet();

	bus_close(relid);
	open_rings();
	wrmsr(HV_MSR_SIMP, (uint64_t)bus_rings[RING_PAGES] | 1);
	wrmsr(HV_MSR_SIEFP, (uint64_t)bus_rings[0] | 1);
	send(&p);
	wait_ms(50);
	bus_synic_on();
	bus_drain();
	check("H14 SynIC pages in a ring", works(), 0);
}

static void ends(void)
{
	struct vmbus_msg_hdr unload = { .type = VMBUS_MSG_UNLOAD };
	union vmbus_msg m;
	uint64_t status;

	bus_close(relid);
	bus_drain();
	status = bus_ring(relid);
	check("a doorbell of a closed channel", status == HV_STATUS_INVALID_CONNECTION_ID, status);
	check("the channel opens again", works(), 0);
	bus_say(&unload, sizeof(unload));
	check("V25 unload with the channel open", bus_expect(&m, VMBUS_MSG_UNLOAD_RESPONSE, 3000),
	      0);
	status = bus_ring(relid);
	check("a doorbell after unload", status == HV_STATUS_INVALID_CONNECTION_ID, status);
	relid = bus_connect();
	check("and all from the beginning", relid && !bus_rings_gpadl(relid) && works(), relid);
	/* As it is now, so that it can be seen from outside. */
	bad_index("R01 write index past the end once more", RING_BYTES, 0);
}

void part_channels(void);
void part_channels(void)
{
	hypercalls_on();
	bus_synic_on();
	relid = bus_connect();
	check("a controller is offered", relid != 0, relid);
	if (!relid)
		return;
	page_lists();
	openings();
	when_open();
	rings();
	page_of_the_ring();
	ends();
	check("X01 nothing is behind a message's end", !bus_leaks, bus_leaks);
}
