/* SPDX-License-Identifier: MIT */
/*
 * LOG SENSE (spec: scsi-target, section 12): the list of pages, what this disk has done, and
 * that it is well. READ DEFECT DATA: it has none.
 */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define LOG_HEADER    4
#define LOG_MAX	      (LOG_HEADER + 4 + 64)
#define PC_CUMULATIVE 1
#define BOUNDED_DATA  0x03 /* parameter control byte: a list, in binary */

static uint32_t log_supported(const struct scsi_lun *l, uint8_t *p);

static uint8_t *put_parameter(uint8_t *p, uint16_t code, uint8_t len)
{
	be16_put(p, code);
	p[2] = BOUNDED_DATA;
	p[3] = len;
	return p + 4;
}

/* General statistics and performance; the times of processing are not measured. */
static uint32_t log_statistics(const struct scsi_lun *l, uint8_t *p)
{
	struct scsi_lun_stats s;
	uint8_t *q = put_parameter(p, 0x0001, 64);

	scsi_lun_stats(l, &s);
	be64_put(q, s.reads);
	be64_put(q + 8, s.writes);
	be64_put(q + 16, s.written_bytes >> l->shift);
	be64_put(q + 24, s.read_bytes >> l->shift);
	return 4 + 64;
}

#define NO_TEMPERATURE 0xff

/* Informational exceptions: none. */
static uint32_t log_exceptions(const struct scsi_lun *l, uint8_t *p)
{
	uint8_t *q = put_parameter(p, 0x0000, 4);

	(void)l;
	q[2] = NO_TEMPERATURE;
	return 4 + 4;
}

static const struct log_page {
	uint8_t code;
	uint16_t last; /* parameter code */
	uint32_t (*fill)(const struct scsi_lun *l, uint8_t *p);
} log_pages[] = {
	/* ascending */
	{ 0x00, 0, log_supported },
	{ 0x19, 1, log_statistics },
	{ 0x2f, 0, log_exceptions },
};

static uint32_t log_supported(const struct scsi_lun *l, uint8_t *p)
{
	(void)l;
	for (size_t i = 0; i < ARRAY_SIZE(log_pages); i++)
		p[i] = log_pages[i].code;
	return ARRAY_SIZE(log_pages);
}

static const struct log_page *find_page(uint8_t code)
{
	for (size_t i = 0; i < ARRAY_SIZE(log_pages); i++)
		if (log_pages[i].code == code)
			return &log_pages[i];
	return NULL;
}

bool scsi_log_sense(struct scsi_task *t, struct scsi_cmd c)
{
	const struct log_page *page = find_page(t->cdb[2] & 0x3f);
	uint8_t p[LOG_MAX] = { 0 };
	uint32_t len;

	/* The list is the same whatever values are asked for. */
	if (!page || t->cdb[3] || be16_at(t->cdb + 5) > page->last ||
	    (page->code && t->cdb[2] >> 6 != PC_CUMULATIVE))
		return scsi_fail(t, SENSE_CDB_FIELD);
	len = page->fill(t->lun, p + LOG_HEADER);
	p[0] = page->code;
	be16_put(p + 2, (uint16_t)len);
	return scsi_data_in(t, p, LOG_HEADER + len, c.count);
}

/* ---- defects -------------------------------------------------------------------------- */

#define DEFECT_LISTS 0x1f /* which were asked for, and in which format */

bool scsi_read_defect_data10(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[4] = { 0, t->cdb[2] & DEFECT_LISTS };

	return scsi_data_in(t, p, sizeof(p), c.count);
}

bool scsi_read_defect_data12(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[8] = { 0, t->cdb[1] & DEFECT_LISTS };

	return scsi_data_in(t, p, sizeof(p), c.count);
}
