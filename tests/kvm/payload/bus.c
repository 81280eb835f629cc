/* SPDX-License-Identifier: MIT */
/* Messages by hand: posted from bus_page, taken from the slot by looking at it. */
#include "tests/kvm/payload/bus.h"

#define PATIENCE 3000u

struct hv_message_page bus_messages PAGE_ALIGNED;
struct hv_event_flags_page bus_events PAGE_ALIGNED;
uint8_t bus_rings[2 * RING_PAGES][PAGE] PAGE_ALIGNED;
uint8_t bus_page[PAGE] PAGE_ALIGNED;
uint32_t bus_leaks;

void bus_synic_on(void)
{
	wrmsr(HV_MSR_SIMP, (uint64_t)&bus_messages | 1);
	wrmsr(HV_MSR_SIEFP, (uint64_t)&bus_events | 1);
	wrmsr(SINT2, SINT_OPEN);
	wrmsr(HV_MSR_SCONTROL, 1);
}

uint64_t bus_post(uint32_t conn, uint32_t type, uint32_t size, const void *msg, uint32_t len)
{
	struct hv_post_message_input *in = (void *)bus_page;

	memset(in, 0, sizeof(*in));
	in->connection_id = conn;
	in->message_type = type;
	in->payload_size = size;
	memcpy(in->payload, msg, len);
	return hypercall(HV_CALL_POST_MESSAGE, (uint64_t)in, 0);
}

uint64_t bus_say(const void *msg, uint32_t len)
{
	return bus_post(HV_CONN_VMBUS_CONTACT, HV_MESSAGE_VMBUS, len, msg, len);
}

static bool has_tail(const volatile struct hv_message *slot)
{
	for (uint32_t i = slot->payload_size; i < HV_MSG_PAYLOAD; i++)
		if (slot->payload[i])
			return true;
	return slot->sender || slot->reserved;
}

bool bus_take(union vmbus_msg *m, uint32_t ms)
{
	volatile struct hv_message *slot = &bus_messages.slot[HV_VMBUS_SINT];
	uint64_t end = time_ns() + ms * 1000000ull;

	while (!slot->type)
		if (time_ns() > end)
			return false;
	memcpy(m, (const void *)slot->payload, sizeof(*m));
	bus_leaks += has_tail(slot);
	slot->type = 0;
	__sync_synchronize();
	if (slot->flags & HV_MESSAGE_FLAG_PENDING)
		wrmsr(HV_MSR_EOM, 0);
	return true;
}

bool bus_expect(union vmbus_msg *m, uint32_t type, uint32_t ms)
{
	while (bus_take(m, ms))
		if (m->hdr.type == type)
			return true;
	return false;
}

void bus_drain(void)
{
	union vmbus_msg m;

	while (bus_take(&m, 100))
		;
}

bool bus_contact(uint32_t version, uint32_t vp, uint32_t sint)
{
	struct vmbus_msg_initiate_contact c = { .hdr.type = VMBUS_MSG_INITIATE_CONTACT,
						.version = version,
						.target_vp = vp,
						.target_sint = (uint8_t)sint };
	union vmbus_msg m;

	return !bus_say(&c, sizeof(c)) && bus_expect(&m, VMBUS_MSG_VERSION_RESPONSE, PATIENCE) &&
	       m.version.supported;
}

uint32_t bus_connect(void)
{
	static const struct guid scsi = VMBUS_CLASS_SCSI;
	struct vmbus_msg_hdr request = { .type = VMBUS_MSG_REQUESTOFFERS };
	union vmbus_msg m;
	uint32_t relid = 0;

	if (!bus_contact(VMBUS_V5_3, 0, HV_VMBUS_SINT) || bus_say(&request, sizeof(request)))
		return 0;
	while (bus_take(&m, PATIENCE) && m.hdr.type != VMBUS_MSG_ALLOFFERS_DELIVERED) {
		bool same = m.hdr.type == VMBUS_MSG_OFFERCHANNEL;

		for (size_t i = 0; same && i < sizeof(scsi); i++)
			same = ((const uint8_t *)&scsi)[i] == ((const uint8_t *)&m.offer.type)[i];
		if (same && !relid)
			relid = m.offer.relid;
	}
	return relid;
}

uint32_t bus_gpadl(uint32_t relid, uint32_t id, const uint64_t *pfn, uint32_t n)
{
	struct {
		struct vmbus_msg_gpadl_header h;
		struct vmbus_gpa_range range;
		uint64_t pfn[VMBUS_GPADL_HEADER_PFNS];
	} PACKED g = { .h = { .hdr.type = VMBUS_MSG_GPADL_HEADER,
			      .relid = relid,
			      .gpadl = id,
			      .range_buflen = (uint16_t)(8 + 8 * n),
			      .rangecount = 1 },
		       .range = { .byte_count = n * PAGE } };
	union vmbus_msg m;

	memcpy(g.pfn, pfn, n * sizeof(*pfn));
	if (bus_say(&g, (uint32_t)(28 + 8 * n)) ||
	    !bus_expect(&m, VMBUS_MSG_GPADL_CREATED, PATIENCE))
		return NO_ANSWER;
	return m.gpadl_created.status;
}

uint32_t bus_rings_gpadl(uint32_t relid)
{
	uint64_t pfn[2 * RING_PAGES];

	memset(bus_rings, 0, sizeof(bus_rings));
	for (size_t i = 0; i < COUNT(pfn); i++)
		pfn[i] = (uint64_t)bus_rings[i] / PAGE;
	return bus_gpadl(relid, RING_GPADL, pfn, COUNT(pfn));
}

uint32_t bus_open(uint32_t relid, uint32_t gpadl, uint32_t vp, uint32_t downstream)
{
	struct vmbus_msg_open o = { .hdr.type = VMBUS_MSG_OPENCHANNEL,
				    .relid = relid,
				    .open_id = relid,
				    .gpadl = gpadl,
				    .target_vp = vp,
				    .downstream_page = downstream };
	union vmbus_msg m;

	if (bus_say(&o, sizeof(o)) || !bus_expect(&m, VMBUS_MSG_OPENCHANNEL_RESULT, PATIENCE))
		return NO_ANSWER;
	return m.open_result.status;
}

uint32_t bus_modify(uint32_t relid, uint32_t vp)
{
	struct vmbus_msg_modify o = { .hdr.type = VMBUS_MSG_MODIFYCHANNEL,
				      .relid = relid,
				      .target_vp = vp };
	union vmbus_msg m;

	if (bus_say(&o, sizeof(o)) || !bus_expect(&m, VMBUS_MSG_MODIFYCHANNEL_RESPONSE, PATIENCE))
		return NO_ANSWER;
	return m.modify_response.status;
}

void bus_close(uint32_t relid)
{
	struct vmbus_msg_relid c = { .hdr.type = VMBUS_MSG_CLOSECHANNEL, .relid = relid };

	bus_say(&c, sizeof(c));
}

uint64_t bus_ring(uint32_t relid)
{
	return hypercall(HV_CALL_SIGNAL_EVENT | HV_CALL_FAST, HV_CONN_CHANNEL_BASE + relid, 0);
}
