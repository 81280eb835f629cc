/* SPDX-License-Identifier: MIT */
/*
 * MODE SELECT (spec: scsi-target, section 5.4). One bit can be changed, software write
 * protect; everything else has to be sent as it is. Nothing changes unless all is right.
 */
#include "vsp/storvsp/scsi/scsi_int.h"

#define LIST_MAX 512  /* all pages, twice, and a block descriptor */
#define CODE	 0x7f /* SPF included: there are no subpages; PS is reserved here */
#define CONTROL	 0x0a
#define SWP_AT	 4
#define SWP	 0x08

/* One page against what may be changed. Its length in *@used, or a sense code. */
static uint32_t check_page(const struct scsi_lun *l, const uint8_t *p, uint32_t left,
			   uint32_t *used)
{
	uint8_t now[SCSI_MODE_PAGE_MAX], mask[SCSI_MODE_PAGE_MAX];
	uint32_t len;

	if (left < 2)
		return SENSE_LIST_LENGTH;
	len = scsi_mode_page(l, p[0] & CODE, now, mask);
	if (!len)
		return SENSE_LIST_FIELD;
	if (p[1] + 2u != len || left < len)
		return SENSE_LIST_LENGTH;
	for (uint32_t i = 2; i < len; i++)
		if ((p[i] ^ now[i]) & ~mask[i])
			return SENSE_LIST_FIELD;
	*used = len;
	return 0;
}

/* All pages of the list; *@swp is what the last Control page among them says. */
static uint32_t check_pages(const struct scsi_lun *l, const uint8_t *p, uint32_t left, bool *swp)
{
	uint32_t used = 0, sense;

	do {
		sense = check_page(l, p, left, &used);
		if (sense)
			return sense;
		if ((p[0] & CODE) == CONTROL)
			*swp = p[SWP_AT] & SWP;
		p += used;
		left -= used;
	} while (left);
	return 0;
}

/* Relaxed: it orders nothing, a WRITE that runs now is before or after. */
static void set_swp(struct scsi_task *t, bool swp)
{
	struct scsi_lun *l = t->lun;

	if (__atomic_exchange_n(&l->swp, swp, __ATOMIC_RELAXED) == swp)
		return;
	if (swp)
		__atomic_fetch_or(&l->rules, OP_WRITES, __ATOMIC_RELAXED);
	else if (!l->readonly)
		__atomic_fetch_and(&l->rules, (uint16_t)~OP_WRITES, __ATOMIC_RELAXED);
	scsi_unit_attention_others(t->nexus, SCSI_UA_MODE_CHANGED);
}

static bool mode_select(struct scsi_task *t, struct scsi_cmd c, uint32_t header)
{
	bool swp = load_relaxed(&t->lun->swp);
	uint32_t skip, sense;
	uint8_t p[LIST_MAX];

	if (!c.count)
		return scsi_good(t, 0);
	if (c.count < header || c.count > sizeof(p) ||
	    iov_to_buf(t->iov, t->niov, 0, p, c.count) != c.count)
		return scsi_fail(t, SENSE_LIST_LENGTH);
	skip = header + (header == 4 ? p[3] : be16_at(p + 6)); /* the block descriptors */
	if (skip >= c.count)
		return scsi_fail(t, SENSE_LIST_LENGTH);
	sense = check_pages(t->lun, p + skip, c.count - skip, &swp);
	if (sense)
		return scsi_fail(t, sense);
	set_swp(t, swp);
	return scsi_good(t, c.count);
}

bool scsi_mode_select6(struct scsi_task *t, struct scsi_cmd c)
{
	return mode_select(t, c, 4);
}

bool scsi_mode_select10(struct scsi_task *t, struct scsi_cmd c)
{
	return mode_select(t, c, 8);
}
