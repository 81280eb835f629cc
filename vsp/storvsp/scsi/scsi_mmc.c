/* SPDX-License-Identifier: MIT */
/*
 * What a drive says about itself and the medium in it (spec: scsi-target, section 16; MMC-6).
 * Every buffer starts as zeroes, lengths inside the data are those of all of it.
 */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

/* ---- INQUIRY ------------------------------------------------------------------------------ */

#define TYPE_MMC 0x05
#define EVPD	 0x01

static const uint8_t inquiry_dvd[36] = {
	TYPE_MMC, 0x80, 0,   0x02, 0x1f, 0,   0,   0,	'M', 's', 'f', 't',
	' ',	  ' ',	' ', ' ',  'V',	 'i', 'r', 't', 'u', 'a', 'l', ' ',
	'D',	  'V',	'D', '-',  'R',	 'O', 'M', ' ', '1', '.', '0', ' ',
};

bool scsi_mmc_inquiry(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[64] = { TYPE_MMC, t->cdb[2] };
	uint32_t len = 2;

	if (!(t->cdb[1] & EVPD))
		return t->cdb[2] ? scsi_fail(t, SENSE_CDB_FIELD)
				 : scsi_data_in(t, inquiry_dvd, sizeof(inquiry_dvd), c.count);
	if (t->cdb[2] == 0x83)
		len = scsi_vpd_identification(t->lun, p + 4);
	else if (t->cdb[2])
		return scsi_fail(t, SENSE_CDB_FIELD);
	else
		p[5] = 0x83;
	be16_put(p + 2, (uint16_t)len);
	return scsi_data_in(t, p, 4 + len, c.count);
}

/* ---- READ TOC/PMA/ATIP, READ DISC INFORMATION, READ TRACK INFORMATION --------------------------
 */

#define TRACK_LEAD_OUT 0xaa
#define DATA_TRACK     0x14 /* ADR 1, data, copying not permitted */
#define MSF	       0x02 /* byte 1 */
#define MSF_OFFSET     150u
#define FRAMES	       75u

static void put_address(uint8_t *p, uint32_t lba, bool msf)
{
	uint64_t f = (uint64_t)lba + MSF_OFFSET;

	if (!msf) {
		be32_put(p, lba);
		return;
	}
	p[0] = 0;
	p[1] = (uint8_t)MIN(f / FRAMES / 60, 255u);
	p[2] = (uint8_t)(f / FRAMES % 60);
	p[3] = (uint8_t)(f % FRAMES);
}

static uint32_t put_track(uint8_t *p, uint8_t track, uint32_t lba, bool msf)
{
	p[1] = DATA_TRACK;
	p[2] = track;
	put_address(p + 4, lba, msf);
	return 8;
}

bool scsi_mmc_toc(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[20] = { 0, 0, 1, 1 }, format = t->cdb[2] & 0x0f, first = t->cdb[6];
	bool msf = t->cdb[1] & MSF;
	uint32_t len = 4, blocks, sense = scsi_drive_medium(t, &blocks);

	if (!format)
		format = t->cdb[9] >> 6; /* where SFF-8020 had it */
	if (format > 1 || (!format && first > 1 && first != TRACK_LEAD_OUT))
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (sense)
		return scsi_fail(t, sense);
	if (format || first != TRACK_LEAD_OUT)
		len += put_track(p + len, 1, 0, msf);
	if (!format)
		len += put_track(p + len, TRACK_LEAD_OUT, blocks, msf);
	be16_put(p, (uint16_t)(len - 2));
	return scsi_data_in(t, p, len, c.count);
}

bool scsi_mmc_disc(struct scsi_task *t, struct scsi_cmd c)
{
	/* complete, last session complete; one session, one track; unrestricted use */
	static const uint8_t p[34] = { 0, 32, 0x0e, 1, 1, 1, 1, 0x20 };
	uint32_t blocks, sense = scsi_drive_medium(t, &blocks);

	if (t->cdb[1] & 0x07) /* only the standard kind */
		sense = SENSE_CDB_FIELD;
	return sense ? scsi_fail(t, sense) : scsi_data_in(t, p, sizeof(p), c.count);
}

enum { BY_LBA, BY_TRACK, BY_SESSION };

bool scsi_mmc_track(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[36] = { 0, 34, 1, 1, 0, 0x04, 0x01 }; /* track 1, session 1, data, mode 1 */
	uint32_t address = be32_at(t->cdb + 2), blocks, sense = scsi_drive_medium(t, &blocks);
	uint8_t by = t->cdb[1] & 0x03;

	if (by > BY_SESSION || (by != BY_LBA && address != 1))
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (sense)
		return scsi_fail(t, sense);
	if (by == BY_LBA && address >= blocks)
		return scsi_fail(t, SENSE_LBA_RANGE);
	be32_put(p + 24, blocks);
	return scsi_data_in(t, p, sizeof(p), c.count);
}

/* ---- GET CONFIGURATION
 * ---------------------------------------------------------------------------- */

#define PROFILE_DVD_ROM 0x10
#define PERSISTENT	0x02
#define CURRENT		0x01

static const struct feature {
	uint16_t code;
	uint8_t flags; /* version << 2 | PERSISTENT; CURRENT: also without a medium */
	uint8_t len, bytes[8];
} features[] = {
	/* ascending */
	{ 0x0000, PERSISTENT | CURRENT, 8, { 0, PROFILE_DVD_ROM, 0, 0, 0, 0x08, 0, 0 } },
	{ 0x0001, 2 << 2 | PERSISTENT | CURRENT, 8, { 0, 0, 0, 1, 1 } }, /* SCSI; DBE */
	{ 0x0002, 1 << 2 | PERSISTENT | CURRENT, 4, { 0 } },
	{ 0x0003, PERSISTENT | CURRENT, 4, { 0x39 } }, /* tray, eject, load, lock */
	{ 0x0010, 0, 8, { 0, 0, 0x08, 0, 0, 16, 1 } },
	{ 0x001e, 2 << 2, 4, { 0 } },
	{ 0x001f, 0, 4, { 0 } },
	{ 0x0100, PERSISTENT | CURRENT, 0, { 0 } },
	{ 0x0105, 1 << 2 | PERSISTENT | CURRENT, 4, { 0 } },
	{ 0x0107, 0, 4, { 0 } },
};
#define FEATURES_MAX (8 + ARRAY_SIZE(features) * 12)

enum { RT_ALL, RT_CURRENT, RT_ONE };

static uint32_t put_feature(uint8_t *p, const struct feature *f, bool medium)
{
	bool current = (f->flags & CURRENT) || (medium && f->code != 0x001e);

	be16_put(p, f->code);
	p[2] = f->flags | (current ? CURRENT : 0);
	p[3] = f->len;
	memcpy(p + 4, f->bytes, f->len);
	if (!f->code && medium)
		p[6] |= CURRENT; /* of the profile */
	return 4u + f->len;
}

static bool wanted(const struct feature *f, uint8_t rt, uint16_t start, bool medium)
{
	bool current = (f->flags & CURRENT) || (medium && f->code != 0x001e);

	if (rt == RT_ONE)
		return f->code == start;
	return f->code >= start && (rt == RT_ALL || current);
}

bool scsi_mmc_configuration(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[FEATURES_MAX] = { 0 }, rt = t->cdb[1] & 0x03;
	uint32_t len = 8, blocks;
	bool medium = !scsi_drive_medium(t, &blocks);

	if (rt > RT_ONE)
		return scsi_fail(t, SENSE_CDB_FIELD);
	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		if (wanted(&features[i], rt, be16_at(t->cdb + 2), medium))
			len += put_feature(p + len, &features[i], medium);
	be32_put(p, len - 4);
	be16_put(p + 6, medium ? PROFILE_DVD_ROM : 0);
	return scsi_data_in(t, p, len, c.count);
}

/* ---- GET EVENT STATUS NOTIFICATION
 * ------------------------------------------------------------------- */

#define POLLED	    0x01 /* byte 1 */
#define CLASS_MEDIA 4
#define NEA	    0x80
#define EVENT_LEN   8

bool scsi_mmc_event(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[EVENT_LEN] = { 0, 2, NEA, 1 << CLASS_MEDIA };
	uint32_t room = MIN((uint32_t)c.count, t->data_len);

	if (!(t->cdb[1] & POLLED))
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (!(t->cdb[4] & 1 << CLASS_MEDIA))
		return scsi_data_in(t, p, 4, c.count);
	p[1] = EVENT_LEN - 2;
	p[2] = CLASS_MEDIA;
	/* An event of which only the header fits has not been reported. */
	p[4] = scsi_drive_event(t->nexus, room >= EVENT_LEN, &p[5]);
	return scsi_data_in(t, p, sizeof(p), c.count);
}

/* ---- READ DVD STRUCTURE
 * ---------------------------------------------------------------------------------- */

enum { STRUCTURE_PHYSICAL = 0, STRUCTURE_COPYRIGHT = 1, STRUCTURE_MANUFACTURER = 4 };

#define DVD_FIRST_SECTOR 0x30000u

static void put_physical(uint8_t *p, uint32_t blocks)
{
	p[0] = 0x01; /* DVD-ROM, part version 1 */
	p[1] = 0x02; /* 120 mm, highest rate not specified */
	p[2] = 0x01; /* one layer, embossed */
	be32_put(p + 4, DVD_FIRST_SECTOR);
	be32_put(p + 8, MIN(DVD_FIRST_SECTOR + MAX(blocks, 1u) - 1, 0xffffffu));
}

static bool structure_exists(uint8_t format)
{
	return format == STRUCTURE_PHYSICAL || format == STRUCTURE_COPYRIGHT ||
	       format == STRUCTURE_MANUFACTURER;
}

bool scsi_mmc_structure(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[4 + 2048] = { 0 };
	uint32_t len = sizeof(p), blocks, sense = scsi_drive_medium(t, &blocks);

	(void)c;
	if (t->cdb[6] || !structure_exists(t->cdb[7])) /* layer, format */
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (sense)
		return scsi_fail(t, sense);
	if (t->cdb[7] == STRUCTURE_PHYSICAL)
		put_physical(p + 4, blocks);
	if (t->cdb[7] == STRUCTURE_COPYRIGHT)
		len = 8;
	be16_put(p, (uint16_t)(len - 2));
	return scsi_data_in(t, p, len, be16_at(t->cdb + 8));
}

/* ---- small ones
 * ------------------------------------------------------------------------------------------- */

bool scsi_mmc_buffer(struct scsi_task *t, struct scsi_cmd c)
{
	static const uint8_t p[12] = { 0, 10 };

	return scsi_data_in(t, p, sizeof(p), c.count);
}

/* A header and no descriptor: as fast as the host is. */
bool scsi_mmc_performance(struct scsi_task *t, struct scsi_cmd c)
{
	static const uint8_t p[8] = { 0, 0, 0, 4 };

	(void)c;
	return scsi_data_in(t, p, sizeof(p), sizeof(p));
}

bool scsi_mmc_mechanism(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[8] = { 0 }, status;

	(void)c;
	scsi_drive_event(t->nexus, false, &status);
	p[1] = status & 1 ? 0x10 : 0; /* door open */
	return scsi_data_in(t, p, sizeof(p), be16_at(t->cdb + 8));
}

/* ---- mode pages
 * ---------------------------------------------------------------------------------------------- */

static const struct mode_page {
	uint8_t len;
	uint8_t bytes[22];
	bool settable; /* MODE SELECT may name it */
} mode_pages[] = {
	/* ascending */
	{ 12, { 0x01, 0x0a }, true },
	{ 12, { 0x1a, 0x0a }, true },
	{ 12, { 0x1d, 0x0a }, true },
	/* reads CD-R, RW, DVD-ROM, DVD-R, -RAM; multi-session; tray, eject, lock; speeds, buffer */
	{ 22,
	  { 0x2a, 0x14, 0x3b, 0, 0x71, 0, 0x29, 0, 0x1b, 0x90, 1, 0, 2, 0, 0x1b, 0x90 },
	  false },
};

#define MODE_HEADER   8
#define MODE_HEADER_6 4
#define MODE_SENSE_6  0x1a
#define MODE_MAX      (MODE_HEADER + ARRAY_SIZE(mode_pages) * 22)
#define PAGE_ALL      0x3f
#define SUBPAGE_ALL   0xff
#define PC_CHANGEABLE 1
#define PC_SAVED      3

bool scsi_mmc_mode_sense(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[MODE_MAX] = { 0 }, code = t->cdb[2] & 0x3f, control = t->cdb[2] >> 6;
	uint32_t header = t->cdb[0] == MODE_SENSE_6 ? MODE_HEADER_6 : MODE_HEADER, len = header;

	if (control == PC_SAVED)
		return scsi_fail(t, SENSE_NO_SAVING);
	if (t->cdb[3] && t->cdb[3] != SUBPAGE_ALL)
		return scsi_fail(t, SENSE_CDB_FIELD);
	for (size_t i = 0; i < ARRAY_SIZE(mode_pages); i++) {
		const struct mode_page *m = &mode_pages[i];

		if (code != PAGE_ALL && code != m->bytes[0])
			continue;
		memcpy(p + len, m->bytes, control == PC_CHANGEABLE ? 2 : m->len);
		len += m->len;
	}
	if (len == header)
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (header == MODE_HEADER_6)
		p[0] = (uint8_t)(len - 1);
	else
		be16_put(p, (uint16_t)(len - 2));
	return scsi_data_in(t, p, len, c.count);
}

static const struct mode_page *settable_page(const uint8_t *p, uint32_t left)
{
	for (size_t i = 0; i < ARRAY_SIZE(mode_pages); i++)
		if (mode_pages[i].settable && mode_pages[i].bytes[0] == p[0] && left >= 2)
			return &mode_pages[i];
	return NULL;
}

#define BYTE1_SP 0x01

/* Settings that would change nothing here are taken and forgotten. */
bool scsi_mmc_mode_select(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[256];
	uint32_t len = (uint32_t)c.count, at;

	if (t->cdb[1] & BYTE1_SP)
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (!len)
		return scsi_good(t, 0);
	if (len < MODE_HEADER + 2 || len > sizeof(p) ||
	    iov_to_buf(t->iov, t->niov, 0, p, len) != len)
		return scsi_fail(t, SENSE_LIST_LENGTH);
	for (at = MODE_HEADER + be16_at(p + 6); at < len;) {
		const struct mode_page *m = settable_page(p + at, len - at);

		if (!m)
			return scsi_fail(t, SENSE_LIST_FIELD);
		if (p[at + 1] != m->bytes[1] || m->len > len - at)
			return scsi_fail(t, SENSE_LIST_LENGTH);
		at += m->len;
	}
	return at == len ? scsi_good(t, len) : scsi_fail(t, SENSE_LIST_LENGTH);
}
