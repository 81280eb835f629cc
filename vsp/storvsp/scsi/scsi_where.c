/* SPDX-License-Identifier: MIT */
/* What a task that takes its time is, and where it is. */
#include "vsp/storvsp/scsi/scsi_int.h"

static const char *name_of(const struct scsi_lun *l, const uint8_t *cdb)
{
	const struct scsi_op *op = &l->ops[cdb[0]];

	for (int i = 0; i < op->n_actions; i++)
		if (op->actions[i].action == (cdb[1] & 0x1f))
			return op->actions[i].name;
	return op->name ? op->name : "?";
}

void scsi_task_position(const struct scsi_task *t, struct scsi_position *out)
{
	*out = (struct scsi_position){
		.name = name_of(t->lun, t->cdb),
		.opcode = t->cdb[0],
		.lba = t->blk.offset >> t->lun->shift,
		.blocks = (uint32_t)(t->blk.len >> t->lun->shift),
		.where = t->queue ? blk_req_where(t->queue, &t->blk) : BLK_AT_ENGINE,
	};
}
