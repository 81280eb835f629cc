/* SPDX-License-Identifier: MIT */
/* The small commands (spec: scsi-target, sections 4 and 10). */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

/* TEST UNIT READY, PRE-FETCH, PREVENT ALLOW..: the dispatcher's checks were the command. */
bool scsi_nothing_to_do(struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	return scsi_good(t, 0);
}

/* Sense travels with each failure, so here there is only news to tell. */
bool scsi_request_sense(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t sense[SCSI_SENSE_LEN];

	scsi_sense_write(sense, scsi_nexus_take_attention(t->nexus));
	return scsi_data_in(t, sense, sizeof(sense), c.count);
}

/* ---- READ CAPACITY ------------------------------------------------------------------- */

#define PMI_AT8 0x01

uint32_t scsi_check_capacity10(const struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	return be32_at(t->cdb + 2) || (t->cdb[8] & PMI_AT8) ? SENSE_CDB_FIELD : 0;
}

bool scsi_read_capacity10(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[8];

	(void)c;
	be32_put(p, (uint32_t)MIN(scsi_blocks(t->lun) - 1, UINT32_MAX));
	be32_put(p + 4, scsi_block_size(t->lun));
	return scsi_data_in(t, p, sizeof(p), sizeof(p));
}

#define LBPME_LBPRZ 0xc0 /* thin, and unmapped blocks read zero: the promise of BLK_DISCARD */

bool scsi_read_capacity16(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[32] = { 0 };

	be64_put(p, scsi_blocks(t->lun) - 1);
	be32_put(p + 8, scsi_block_size(t->lun));
	p[13] = t->lun->physical_exp;
	p[14] = t->lun->thin ? LBPME_LBPRZ : 0;
	return scsi_data_in(t, p, sizeof(p), c.count);
}

/* ---- START STOP UNIT, SEND DIAGNOSTIC ------------------------------------------------- */

#define POWER_CONDITION 0xf0 /* byte 4 */
#define NO_FLUSH	0x04
#define LOEJ		0x02
#define START		0x01

uint32_t scsi_check_start_stop(const struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	/* Nothing to eject; with a power condition LOEJ and START are ignored. */
	return !(t->cdb[4] & POWER_CONDITION) && (t->cdb[4] & LOEJ) ? SENSE_CDB_FIELD : 0;
}

/* A stopped disk keeps serving: "not ready" would make the guest start it again. */
bool scsi_start_stop(struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	if (t->cdb[4] & (POWER_CONDITION | NO_FLUSH | START))
		return scsi_good(t, 0);
	return scsi_flush(t);
}

#define SELF_TEST_CODE 0xe0 /* byte 1 */

uint32_t scsi_check_diagnostic(const struct scsi_task *t, struct scsi_cmd c)
{
	return (t->cdb[1] & SELF_TEST_CODE) || c.count ? SENSE_CDB_FIELD : 0;
}

/* ---- REPORT LUNS ------------------------------------------------------------------------- */

enum { SELECT_PERIPHERAL, SELECT_WELL_KNOWN, SELECT_ALL };

/* @t->nexus leads to the table; NULL for a path and target without one. */
bool scsi_report_luns(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[8 + 8 * SCSI_MAX_LUNS] = { 0 };
	uint8_t select = t->cdb[2];
	uint32_t n = 0;

	if (select > SELECT_ALL)
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (t->nexus && select != SELECT_WELL_KNOWN)
		for (uint32_t i = 0; i < SCSI_MAX_LUNS; i++)
			if (scsi_target_lun(t->nexus->target, (uint8_t)i))
				p[8 + 8 * n++ + 1] = (uint8_t)i;
	be32_put(p, 8 * n);
	return scsi_data_in(t, p, 8 + 8 * n, c.count);
}
