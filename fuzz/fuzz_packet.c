/* SPDX-License-Identifier: MIT */
/*
 * A whole packet from a hostile peer: descriptor checks, range walk. Every pointer and
 * length that the decoder hands out must lie in the copy.
 */
#include "fuzz/input.h"
#include "ringbuf/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ranges(const struct vmpkt *p, const uint8_t *copy, size_t len)
{
	uint32_t cursor = 0, count, offset, npfn, n = 0;
	const uint64_t *pfn;
	uint64_t sum = 0;

	while (vmpkt_next_range(p, &cursor, &count, &offset, &pfn, &npfn)) {
		INVARIANT(offset < 4096); /* an empty range is legal and asks for nothing */
		INVARIANT((const uint8_t *)pfn >= copy);
		INVARIANT((const uint8_t *)(pfn + npfn) <= copy + len);
		INVARIANT(!count || (uint64_t)npfn * 4096 >= (uint64_t)offset + count);
		for (uint32_t i = 0; i < npfn; i++)
			sum += pfn[i];
		INVARIANT(++n <= p->range_count);
	}
	INVARIANT(n == p->range_count);
	__asm__ volatile("" ::"r"(sum));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vmpkt_desc desc;
	enum vmring_fault why = VMRING_OK;
	struct vmpkt p;
	uint8_t *copy;
	size_t len;
	int err;

	if (size < sizeof(desc))
		return 0;
	memcpy(&desc, data, sizeof(desc));
	/* What the ring reader guarantees before the decoder sees a packet. */
	desc.len8 = (uint16_t)(size / 8 < 65535 ? size / 8 : 65535);
	len = (size_t)desc.len8 * 8;
	if (desc.offset8 < 2 || desc.offset8 > desc.len8)
		return 0;
	copy = malloc(len);
	if (!copy)
		return 0;
	memcpy(copy, data, len);
	memcpy(copy, &desc, sizeof(desc));
	err = vmpkt_decode(&p, copy, &desc, &why);
	INVARIANT(err == 0 || (err == -EPROTO && why != VMRING_OK));
	if (!err) {
		INVARIANT(p.payload >= copy && p.payload + p.payload_len <= copy + len);
		if (p.type == VMPKT_GPA_DIRECT)
			check_ranges(&p, copy, len);
	}
	free(copy);
	return 0;
}
