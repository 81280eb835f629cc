/* SPDX-License-Identifier: MIT */
/* How a task ends. */
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define COUNT_TASK(t, field)                                                                       \
	do {                                                                                       \
		if ((t)->lun) {                                                                    \
			uint32_t s__ = scsi_shard();                                               \
			scsi_count(&(t)->lun->counts[s__ - 1].field, 1, s__);                      \
		}                                                                                  \
	} while (0)

bool scsi_good(struct scsi_task *t, uint32_t transferred)
{
	COUNT_TASK(t, others);
	t->status = SCSI_GOOD;
	t->sense_len = 0;
	t->transferred = transferred;
	return true;
}

static bool check_condition(struct scsi_task *t, uint32_t sense)
{
	COUNT_TASK(t, errors);
	if (t->lun)
		store_relaxed(&t->lun->last_sense, sense); /* statistics only */
	t->status = SCSI_CHECK_CONDITION;
	t->absent = false;
	t->sense_len = SCSI_SENSE_LEN;
	t->transferred = 0;
	return true;
}

bool scsi_fail(struct scsi_task *t, uint32_t sense)
{
	scsi_sense_write(t->sense, sense);
	return check_condition(t, sense);
}

bool scsi_fail_at(struct scsi_task *t, uint32_t sense, uint64_t information)
{
	scsi_sense_write_at(t->sense, sense, information);
	return check_condition(t, sense);
}

static bool without_sense(struct scsi_task *t, uint8_t status)
{
	COUNT_TASK(t, errors);
	t->status = status;
	t->sense_len = 0;
	t->transferred = 0;
	return true;
}

bool scsi_task_set_full(struct scsi_task *t)
{
	return without_sense(t, SCSI_TASK_SET_FULL);
}

bool scsi_busy(struct scsi_task *t)
{
	return without_sense(t, SCSI_BUSY);
}

bool scsi_conflict(struct scsi_task *t)
{
	return without_sense(t, SCSI_RESERVATION_CONFLICT);
}

bool scsi_data_in(struct scsi_task *t, const void *data, uint32_t full, uint32_t alloc)
{
	uint32_t len = MIN(MIN(full, alloc), t->data_len);

	return scsi_good(t, (uint32_t)iov_from_buf(t->iov, t->niov, 0, data, len));
}
