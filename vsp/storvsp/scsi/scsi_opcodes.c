/* SPDX-License-Identifier: MIT */
/*
 * MAINTENANCE IN: what commands and task management functions there are (spec: scsi-target,
 * sections 11 and 12). Everything comes out of the opcode table.
 */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define RCTD		  0x80 /* byte 2: with timeout descriptors */
#define REPORTING_OPTIONS 0x07
#define SERVACTV	  0x01
#define CTDP		  0x02 /* in the list of all */
#define CTDP_ONE	  0x80 /* in the answer for one */
#define NOT_SUPPORTED	  0x01
#define SUPPORTED	  0x03
#define BYTE1_DPO_FUA	  0x18
#define ENTRY_LEN	  8
#define TIMEOUT_LEN	  12
#define COMMANDS_MAX	  128

enum { ONE_WITHOUT_ACTION = 1, ONE_WITH_ACTION, ONE_EITHER };

/* "00 0A", then nominal and recommended timeout 0: we have no opinion. */
static uint32_t put_timeout(uint8_t *p)
{
	be16_put(p, TIMEOUT_LEN - 2);
	return TIMEOUT_LEN;
}

static bool exists(const struct scsi_lun *l, const struct scsi_op *op)
{
	return op->name && !(op->flags & load_relaxed(&l->rules) & OP_THIN);
}

/* ---- all commands --------------------------------------------------------------------- */

struct listing {
	uint32_t n, len;
	bool timeouts;
	uint8_t bytes[4 + COMMANDS_MAX * (ENTRY_LEN + TIMEOUT_LEN)];
};

static void put_entry(struct listing *a, const struct scsi_lun *l, const struct scsi_op *op,
		      uint8_t opcode, bool action)
{
	uint8_t *p = a->bytes + a->len;

	if (!exists(l, op) || a->n == COMMANDS_MAX)
		return;
	a->n++;
	p[0] = opcode;
	be16_put(p + 2, op->action);
	p[5] = (uint8_t)((action ? SERVACTV : 0) | (a->timeouts ? CTDP : 0));
	be16_put(p + 6, op->len);
	a->len += ENTRY_LEN;
	if (a->timeouts)
		a->len += put_timeout(p + ENTRY_LEN);
}

static bool report_all(struct scsi_task *t, struct scsi_cmd c)
{
	struct listing a = { .len = 4, .timeouts = t->cdb[2] & RCTD };

	for (uint32_t opcode = 0; opcode < 256; opcode++) {
		const struct scsi_op *op = &scsi_ops[opcode];

		if (!op->n_actions)
			put_entry(&a, t->lun, op, (uint8_t)opcode, false);
		for (int i = 0; i < op->n_actions; i++)
			put_entry(&a, t->lun, &op->actions[i], (uint8_t)opcode, true);
	}
	be32_put(a.bytes, a.len - 4);
	return scsi_data_in(t, a.bytes, a.len, c.count);
}

/* ---- one command ---------------------------------------------------------------------------- */

static const struct scsi_op *find_action(const struct scsi_op *op, uint16_t action)
{
	for (int i = 0; i < op->n_actions; i++)
		if (op->actions[i].action == action)
			return &op->actions[i];
	return NULL;
}

static uint32_t put_usage(const struct scsi_lun *l, const struct scsi_op *op, uint8_t *p)
{
	memcpy(p, op->usage, op->len);
	if ((op->flags & OP_DPOFUA) && !l->fua)
		p[1] &= (uint8_t)~BYTE1_DPO_FUA;
	return op->len;
}

static bool report_one(struct scsi_task *t, struct scsi_cmd c, const struct scsi_op *op)
{
	uint8_t p[4 + SCSI_CDB_LEN + TIMEOUT_LEN] = { 0 };
	uint32_t len = 4;

	p[1] = NOT_SUPPORTED;
	if (op && exists(t->lun, op)) {
		p[1] = SUPPORTED;
		be16_put(p + 2, op->len);
		len += put_usage(t->lun, op, p + len);
		if (t->cdb[2] & RCTD) {
			p[1] |= CTDP_ONE;
			len += put_timeout(p + len);
		}
	}
	return scsi_data_in(t, p, len, c.count);
}

bool scsi_report_opcodes(struct scsi_task *t, struct scsi_cmd c)
{
	const struct scsi_op *op = &scsi_ops[t->cdb[3]];
	uint8_t options = t->cdb[2] & REPORTING_OPTIONS;
	uint16_t action = be16_at(t->cdb + 4);

	if (!options)
		return report_all(t, c);
	if (options > ONE_EITHER || (options == ONE_WITHOUT_ACTION && op->n_actions) ||
	    (options == ONE_WITH_ACTION && op->name && !op->n_actions))
		return scsi_fail(t, SENSE_CDB_FIELD);
	if (op->n_actions)
		op = find_action(op, action);
	else if (options != ONE_WITHOUT_ACTION && action)
		op = NULL;
	return report_one(t, c, op);
}

/* ---- task management ------------------------------------------------------------------------ */

#define REPD 0x80
#define LURS 0x08 /* logical unit reset: the only one that the transport brings */

bool scsi_report_tmf(struct scsi_task *t, struct scsi_cmd c)
{
	uint8_t p[16] = { LURS };

	if (!(t->cdb[2] & REPD))
		return scsi_data_in(t, p, 4, c.count);
	p[3] = sizeof(p) - 4;
	return scsi_data_in(t, p, sizeof(p), c.count);
}
