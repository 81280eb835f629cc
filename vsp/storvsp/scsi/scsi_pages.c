/* SPDX-License-Identifier: MIT */
/*
 * INQUIRY, vital product data and mode pages, as tables (spec: scsi-target, sections 3
 * and 5). Every buffer starts as zeroes: reserved bytes are never stale memory.
 */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

/* ---- standard INQUIRY data ---------------------------------------------------------- */

#define VENDOR	       'M', 's', 'f', 't', ' ', ' ', ' ', ' ' /* Linux looks for it */
#define PRODUCT	       'V', 'i', 'r', 't', 'u', 'a', 'l', ' ', 'D', 'i', 's', 'k', ' ', ' ', ' ', ' '
#define REVISION       '1', '.', '0', ' '
#define VERSION_SPC3   0x05
#define FORMAT_SPC     0x02
#define CMDQUE	       0x02
#define NOT_THERE      0x7f /* qualifier 3, type 1Fh */
#define INQUIRY_LEN    96
#define INQUIRY_ABSENT 36 /* as long as the first request: saves the guest a second one */
#define INQUIRY_IDS    8

static const uint8_t inquiry_disk[INQUIRY_LEN] = {
	0,	0,	VERSION_SPC3, FORMAT_SPC, INQUIRY_LEN - 5, 0,	 0,
	CMDQUE, VENDOR, PRODUCT,      REVISION,	  [58] = 0x00,	   0x60, /* SAM-3 */
	0x03,	0x00,							 /* SPC-3 */
	0x04,	0xc0,							 /* SBC-3 */
};

static const uint8_t inquiry_nothing[INQUIRY_ABSENT] = {
	NOT_THERE, 0, VERSION_SPC3, FORMAT_SPC, INQUIRY_ABSENT - 5, 0,
	0,	   0, VENDOR,	    PRODUCT,	REVISION,
};

bool scsi_inquiry_absent(struct scsi_task *t, struct scsi_cmd c, bool lun0)
{
	uint8_t p[INQUIRY_ABSENT] = { 0 };

	if (t->cdb[1] || t->cdb[2] || c.count < 5 || t->data_len < c.count ||
	    t->data_dir != SCSI_DIR_IN)
		return scsi_fail(t, SENSE_CDB_FIELD);
	memcpy(p, inquiry_nothing, lun0 ? INQUIRY_ABSENT : INQUIRY_IDS);
	return scsi_data_in(t, p, sizeof(p), c.count);
}

/* ---- vital product data ----------------------------------------------------------------- */

#define VPD_HEADER 4
#define VPD_MAX	   64 /* header included */

/* Fill what follows the header, return its length. */
static uint32_t vpd_supported(const struct scsi_lun *l, uint8_t *p);

static uint32_t vpd_serial(const struct scsi_lun *l, uint8_t *p)
{
	uint32_t n = (uint32_t)strlen(l->serial);

	memcpy(p, l->serial, n);
	return n;
}

uint32_t scsi_vpd_identification(const struct scsi_lun *l, uint8_t *p)
{
	static const uint8_t t10[] = { 0x01, 0x01, 0x00, 0x18, VENDOR };
	static const uint8_t naa[] = { 0x01, 0x03, 0x00, 0x10, 0x60, 0x02, 0x24, 0x80 };
	uint8_t *q = p;

	memcpy(q, t10, sizeof(t10));
	memcpy(q += sizeof(t10), l->id, 16);
	memcpy(q += 16, naa, sizeof(naa));
	memcpy(q += sizeof(naa), l->id, 6);
	memcpy(q += 6, l->id + 10, 6);
	return (uint32_t)(q + 6 - p);
}

#define WSNZ	 0x01
#define UGAVALID 0x80

/* Offsets of section 3.5 count from the header. */
static uint32_t vpd_block_limits(const struct scsi_lun *l, uint8_t *p)
{
	uint8_t *page = p - VPD_HEADER;

	page[4] = WSNZ;
	page[5] = SCSI_MAX_COMPARE_BLOCKS;
	be16_put(page + 6, (uint16_t)(1u << l->physical_exp));
	be32_put(page + 8, l->max_blocks);
	be32_put(page + 12, l->max_transfer >> l->shift);
	if (l->thin) {
		be32_put(page + 20, SCSI_MAX_UNMAP_BLOCKS);
		be32_put(page + 24, SCSI_MAX_UNMAP_EXTENTS);
		be32_put(page + 28, (uint32_t)(l->discard_granularity >> l->shift));
		page[32] = UGAVALID;
	}
	be64_put(page + 36, SCSI_MAX_WRITE_SAME_BLOCKS);
	return 60;
}

static uint32_t vpd_characteristics(const struct scsi_lun *l, uint8_t *p)
{
	(void)l;
	be16_put(p, 0x0001); /* does not rotate */
	return 60;	     /* Linux ignores shorter pages */
}

#define LBPU_LBPWS_LBPWS10_LBPRZ 0xe4
#define PROVISIONING_RESOURCE	 0x01
#define PROVISIONING_THIN	 0x02

static uint32_t vpd_provisioning(const struct scsi_lun *l, uint8_t *p)
{
	if (!l->thin) {
		p[2] = PROVISIONING_RESOURCE;
		return 4;
	}
	p[0] = 1;
	while (scsi_blocks(l) >> p[0] > UINT32_MAX)
		p[0]++;
	p[1] = LBPU_LBPWS_LBPWS10_LBPRZ;
	p[2] = PROVISIONING_THIN;
	return 4;
}

static const struct vpd_page {
	uint8_t code;
	uint32_t (*fill)(const struct scsi_lun *l, uint8_t *p);
} vpd_pages[] = {
	/* ascending */
	{ 0x00, vpd_supported },	   { 0x80, vpd_serial },
	{ 0x83, scsi_vpd_identification }, { 0xb0, vpd_block_limits },
	{ 0xb1, vpd_characteristics },	   { 0xb2, vpd_provisioning },
};

static uint32_t vpd_supported(const struct scsi_lun *l, uint8_t *p)
{
	(void)l;
	for (size_t i = 0; i < ARRAY_SIZE(vpd_pages); i++)
		p[i] = vpd_pages[i].code;
	return ARRAY_SIZE(vpd_pages);
}

static bool inquiry_vpd(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[VPD_MAX] = { 0 };
	uint32_t len;

	for (size_t i = 0; i < ARRAY_SIZE(vpd_pages); i++) {
		if (vpd_pages[i].code != t->cdb[2])
			continue;
		len = vpd_pages[i].fill(t->lun, p + VPD_HEADER);
		p[1] = vpd_pages[i].code;
		be16_put(p + 2, (uint16_t)len);
		return scsi_data_in(t, p, VPD_HEADER + len, c.count);
	}
	return scsi_fail(t, SENSE_CDB_FIELD);
}

#define EVPD 0x01

bool scsi_inquiry(struct scsi_task *t, struct scsi_cmd c)
{
	if (t->cdb[1] & EVPD)
		return inquiry_vpd(t, c);
	if (t->cdb[2])
		return scsi_fail(t, SENSE_CDB_FIELD);
	return scsi_data_in(t, inquiry_disk, sizeof(inquiry_disk), c.count);
}

/* ---- mode pages ---------------------------------------------------------------------------- */

#define WCE 0x04
#define SWP 0x08

/* What differs between units, or now from the default. */
static void mode_caching(const struct scsi_lun *l, bool now, uint8_t *page)
{
	(void)now;
	if (l->write_cache)
		page[2] |= WCE;
}

static void mode_control(const struct scsi_lun *l, bool now, uint8_t *page)
{
	if (now && load_relaxed(&l->swp))
		page[4] |= SWP;
}

static const struct mode_page {
	uint8_t len;			   /* whole page */
	uint8_t bytes[SCSI_MODE_PAGE_MAX]; /* as they are by default; the first is the code */
	void (*adapt)(const struct scsi_lun *l, bool now, uint8_t *page);
	uint8_t mask[SCSI_MODE_PAGE_MAX]; /* what MODE SELECT may change */
} mode_pages[] = {
	/* ascending */
	{ 12, { 0x01, 0x0a, 0xc0, 0x08, 0, 0, 0, 0, 0x08 }, NULL, { 0 } },
	{ 20, { 0x08, 0x12 }, mode_caching, { 0 } },
	{ 12, { 0x0a, 0x0a, 0x02, 0x10, 0, 0, 0, 0, 0xff, 0xff }, mode_control, { [4] = SWP } },
	{ 12, { 0x1c, 0x0a }, NULL, { 0 } },
};

#define PAGE_HEADER   2
#define PAGE_ALL      0x3f
#define SUBPAGE_ALL   0xff
#define PC_CURRENT    0
#define PC_CHANGEABLE 1
#define PC_SAVED      3
#define MODE_MAX      (8 + ARRAY_SIZE(mode_pages) * SCSI_MODE_PAGE_MAX)

static void put_mode_page(const struct scsi_lun *l, const struct mode_page *m, uint8_t control,
			  uint8_t *p)
{
	memcpy(p, control == PC_CHANGEABLE ? m->mask : m->bytes, m->len);
	memcpy(p, m->bytes, PAGE_HEADER);
	if (m->adapt && control != PC_CHANGEABLE)
		m->adapt(l, control == PC_CURRENT, p);
}

uint32_t scsi_mode_page(const struct scsi_lun *l, uint8_t code, uint8_t *now, uint8_t *mask)
{
	for (size_t i = 0; i < ARRAY_SIZE(mode_pages); i++) {
		const struct mode_page *m = &mode_pages[i];

		if (m->bytes[0] != code)
			continue;
		put_mode_page(l, m, PC_CURRENT, now);
		put_mode_page(l, m, PC_CHANGEABLE, mask);
		return m->len;
	}
	return 0;
}

/* Appends the pages asked for; their length, 0 when there is no such page. */
static uint32_t put_mode_pages(const struct scsi_lun *l, const uint8_t *cdb, uint8_t *p)
{
	uint8_t code = cdb[2] & 0x3f, control = cdb[2] >> 6;
	uint32_t len = 0;

	if (cdb[3] && cdb[3] != SUBPAGE_ALL)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(mode_pages); i++) {
		const struct mode_page *m = &mode_pages[i];

		if (code != PAGE_ALL && code != m->bytes[0])
			continue;
		put_mode_page(l, m, control, p + len);
		len += m->len;
	}
	return len;
}

static uint8_t device_specific(const struct scsi_lun *l)
{
	bool wp = load_relaxed(&l->rules) & OP_WRITES;

	return (uint8_t)((wp ? 0x80 : 0) | (l->fua ? 0x10 : 0));
}

/* No block descriptor, whatever DBD says: simplest, and every initiator takes it. */
static bool mode_sense(struct scsi_task *t, struct scsi_cmd c, uint32_t header)
{
	uint8_t p[MODE_MAX] = { 0 };
	uint32_t len;

	if (t->cdb[2] >> 6 == PC_SAVED)
		return scsi_fail(t, SENSE_NO_SAVING);
	len = put_mode_pages(t->lun, t->cdb, p + header);
	if (!len)
		return scsi_fail(t, SENSE_CDB_FIELD);
	len += header;
	if (header == 4) {
		p[0] = (uint8_t)(len - 1);
		p[2] = device_specific(t->lun);
	} else {
		be16_put(p, (uint16_t)(len - 2));
		p[3] = device_specific(t->lun);
	}
	return scsi_data_in(t, p, len, c.count);
}

bool scsi_mode_sense6(struct scsi_task *t, struct scsi_cmd c)
{
	return mode_sense(t, c, 4);
}

bool scsi_mode_sense10(struct scsi_task *t, struct scsi_cmd c)
{
	return mode_sense(t, c, 8);
}
