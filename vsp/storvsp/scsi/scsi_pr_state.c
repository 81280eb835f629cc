/* SPDX-License-Identifier: MIT */
/*
 * Persistent reservations as bytes. What is read back may have been written by anybody, or
 * by half: only bytes that scsi_pr_encode() could have written pass.
 *
 * The generation is not kept: SPC-4 has it start from 0 at power on.
 */
#include <zlib.h>

#include "vsp/storvsp/scsi/scsi_pr.h"

#define MAGIC	"HVBUSPR"
#define VERSION 1

struct file_header {
	char magic[8];
	be16 version;
	uint8_t type;
	uint8_t reserved;
	be16 n, holder;
	uint8_t reserved2[16];
} PACKED;
WIRE_SIZE(struct file_header, 32);

struct file_reg {
	be64 key;
	uint8_t all_ports;
	uint8_t reserved[7];
	uint8_t initiator[SCSI_INITIATOR_LEN];
} PACKED;
WIRE_SIZE(struct file_reg, 32);

struct file_sum {
	be32 crc; /* CRC-32 of all before it */
} PACKED;
WIRE_SIZE(struct file_sum, 4);

_Static_assert(sizeof(struct file_header) + SCSI_PR_MAX_KEYS * sizeof(struct file_reg) +
			       sizeof(struct file_sum) ==
		       SCSI_PR_STATE_MAX,
	       "scsi.h tells keepers how much a state is");

static uint32_t sum_of(const void *bytes, uint32_t len)
{
	return (uint32_t)crc32(0, bytes, len);
}

uint32_t scsi_pr_encode(const struct scsi_pr_state *s, void *out)
{
	struct file_header h = { .magic = MAGIC, .version = be16_make(VERSION) };
	uint32_t n = s->persist ? s->n : 0, len = sizeof(h);
	uint8_t *p = out;

	h.n = be16_make((uint16_t)n);
	h.type = n ? s->type : PR_NONE;
	h.holder = be16_make(n ? s->holder : 0);
	memcpy(p, &h, sizeof(h));
	for (uint32_t i = 0; i < n; i++, len += sizeof(struct file_reg)) {
		struct file_reg r = { .key = be64_make(s->reg[i].key),
				      .all_ports = s->reg[i].all_ports };

		memcpy(r.initiator, s->reg[i].initiator, sizeof(r.initiator));
		memcpy(p + len, &r, sizeof(r));
	}
	be32_put(p + len, sum_of(p, len));
	return len + sizeof(struct file_sum);
}

static bool all_zero(const uint8_t *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

static const char *check_header(const struct file_header *h, uint32_t len)
{
	uint32_t n = be16_get(h->n);

	if (memcmp(h->magic, MAGIC, sizeof(h->magic)))
		return "it is no reservation state";
	if (be16_get(h->version) != VERSION)
		return "it is of another version";
	if (n > SCSI_PR_MAX_KEYS)
		return "it names more registrations than there may be";
	if (len != sizeof(*h) + n * sizeof(struct file_reg) + sizeof(struct file_sum))
		return "its length is not that of its registrations";
	if (h->reserved || !all_zero(h->reserved2, sizeof(h->reserved2)))
		return "reserved bytes are set";
	if (h->type && (!scsi_pr_type_valid(h->type) || !n))
		return "it reserves in a way that does not exist";
	if (be16_get(h->holder) >= (h->type && !scsi_pr_all_type(h->type) ? n : 1))
		return "the holder is not registered";
	return NULL;
}

static const char *take_reg(struct scsi_pr_state *s, const struct file_reg *r)
{
	struct scsi_pr_reg *reg = &s->reg[s->n];

	if (!be64_get(r->key) || r->all_ports > 1 || !all_zero(r->reserved, sizeof(r->reserved)))
		return "a registration is not well-formed";
	if (scsi_pr_find(s, r->initiator) >= 0)
		return "an initiator is registered twice";
	reg->key = be64_get(r->key);
	reg->all_ports = r->all_ports;
	memcpy(reg->initiator, r->initiator, sizeof(reg->initiator));
	s->n++;
	return NULL;
}

const char *scsi_pr_decode(struct scsi_pr_state *s, const void *bytes, uint32_t len)
{
	const uint8_t *p = bytes;
	struct file_header h;
	struct file_reg r;
	const char *wrong;

	if (len < sizeof(h) + sizeof(struct file_sum) || len > SCSI_PR_STATE_MAX)
		return "its length is that of no state";
	memcpy(&h, p, sizeof(h));
	wrong = check_header(&h, len);
	if (wrong)
		return wrong;
	len -= sizeof(struct file_sum);
	if (be32_at(p + len) != sum_of(p, len))
		return "its checksum is wrong";
	*s = (struct scsi_pr_state){ .type = h.type, .holder = be16_get(h.holder) };
	for (uint32_t i = 0; i < be16_get(h.n); i++) {
		memcpy(&r, p + sizeof(h) + i * sizeof(r), sizeof(r));
		wrong = take_reg(s, &r);
		if (wrong)
			return wrong;
	}
	s->persist = s->n != 0;
	return NULL;
}
