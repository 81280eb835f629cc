/* SPDX-License-Identifier: MIT */
/* Sense data, and what each error of a block engine becomes for the initiator. */
#include <errno.h>
#include <string.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define SENSE_FIXED	  0x70
#define SENSE_FIXED_VALID 0xf0 /* the INFORMATION field means something */
#define SENSE_OFF_KEY	  2
#define SENSE_OFF_INFO	  3
#define SENSE_OFF_ADD_LEN 7
#define SENSE_OFF_ASC	  12
#define SENSE_OFF_ASCQ	  13

void scsi_sense_write(uint8_t *out, uint32_t sense)
{
	memset(out, 0, SCSI_SENSE_LEN);
	out[0] = SENSE_FIXED;
	out[SENSE_OFF_KEY] = (uint8_t)(sense >> 16);
	out[SENSE_OFF_ADD_LEN] = SCSI_SENSE_LEN - (SENSE_OFF_ADD_LEN + 1);
	out[SENSE_OFF_ASC] = (uint8_t)(sense >> 8);
	out[SENSE_OFF_ASCQ] = (uint8_t)sense;
}

void scsi_sense_write_at(uint8_t *out, uint32_t sense, uint64_t information)
{
	scsi_sense_write(out, sense);
	if (information > UINT32_MAX)
		return;
	out[0] = SENSE_FIXED_VALID;
	be32_put(out + SENSE_OFF_INFO, (uint32_t)information);
}

struct errno_sense {
	int err;
	uint32_t read, write; /* 0: SENSE_TARGET_FAILURE */
};

/*
 * Initiators retry 3/0C for a while and never retry 3/11, 4/44, 5/xx or 7/27: a backend
 * that is gone must say 4/44 or the guest spins.
 */
static const struct errno_sense errno_senses[] = {
	{ EIO, SENSE_READ_ERROR, SENSE_WRITE_ERROR },
	{ EBADMSG, SENSE_READ_ERROR, SENSE_WRITE_ERROR },
	{ EILSEQ, SENSE_READ_ERROR, SENSE_WRITE_ERROR },
	{ ENOSPC, 0, SENSE_SPACE_ALLOCATION },
	{ EDQUOT, 0, SENSE_SPACE_ALLOCATION },
	{ EFBIG, 0, SENSE_SPACE_ALLOCATION },
	{ EROFS, 0, SENSE_WRITE_PROTECTED },
	{ ECANCELED, SENSE_ABORTED, SENSE_ABORTED },
	{ EFAULT, SENSE_CDB_FIELD, SENSE_CDB_FIELD },
};

static const struct errno_sense *find_errno(int err)
{
	for (size_t i = 0; i < ARRAY_SIZE(errno_senses); i++)
		if (errno_senses[i].err == -err)
			return &errno_senses[i];
	return NULL;
}

uint32_t scsi_sense_of_read(int err)
{
	const struct errno_sense *e = find_errno(err);

	return e && e->read ? e->read : SENSE_TARGET_FAILURE;
}

uint32_t scsi_sense_of_write(int err)
{
	const struct errno_sense *e = find_errno(err);

	return e && e->write ? e->write : SENSE_TARGET_FAILURE;
}

/* Never 3/0C: the guest would retry, succeed, and believe that lost writes are safe. */
uint32_t scsi_sense_of_flush(int err)
{
	return err == -ECANCELED ? SENSE_ABORTED : SENSE_TARGET_FAILURE;
}
