/* SPDX-License-Identifier: MIT */
/*
 * Sense codes as one number, key << 16 | asc << 8 | ascq, and the fixed format they
 * travel in (spec: scsi-target, section 14).
 */
#ifndef HVBUS_VSP_STORVSP_SCSI_SCSI_SENSE_H
#define HVBUS_VSP_STORVSP_SCSI_SCSI_SENSE_H

#include <stdbool.h>
#include <stdint.h>

#define SCSI_SENSE(key, asc, ascq) ((uint32_t)(key) << 16 | (asc) << 8 | (ascq))

enum scsi_sense {
	SENSE_NONE = 0,
	SENSE_NO_MEDIUM = SCSI_SENSE(0x2, 0x3a, 0x00),
	SENSE_BECOMING_READY = SCSI_SENSE(0x2, 0x04, 0x01),
	SENSE_NO_MEDIUM_CLOSED = SCSI_SENSE(0x2, 0x3a, 0x01),
	SENSE_NO_MEDIUM_OPEN = SCSI_SENSE(0x2, 0x3a, 0x02),
	SENSE_PREVENTED_EMPTY = SCSI_SENSE(0x2, 0x53, 0x02),
	SENSE_WRITE_ERROR = SCSI_SENSE(0x3, 0x0c, 0x00),
	SENSE_READ_ERROR = SCSI_SENSE(0x3, 0x11, 0x00),
	SENSE_TARGET_FAILURE = SCSI_SENSE(0x4, 0x44, 0x00),
	SENSE_LIST_LENGTH = SCSI_SENSE(0x5, 0x1a, 0x00),
	SENSE_OPCODE = SCSI_SENSE(0x5, 0x20, 0x00),
	SENSE_LBA_RANGE = SCSI_SENSE(0x5, 0x21, 0x00),
	SENSE_CDB_FIELD = SCSI_SENSE(0x5, 0x24, 0x00),
	SENSE_LIST_FIELD = SCSI_SENSE(0x5, 0x26, 0x00),
	SENSE_INVALID_RELEASE = SCSI_SENSE(0x5, 0x26, 0x04),
	SENSE_NO_SAVING = SCSI_SENSE(0x5, 0x39, 0x00),
	SENSE_REMOVAL_PREVENTED = SCSI_SENSE(0x5, 0x53, 0x02),
	SENSE_REGISTRATIONS_FULL = SCSI_SENSE(0x5, 0x55, 0x04),
	SENSE_WRONG_TRACK = SCSI_SENSE(0x5, 0x64, 0x00),
	SENSE_MEDIUM_CHANGED = SCSI_SENSE(0x6, 0x28, 0x00),
	SENSE_POWER_ON = SCSI_SENSE(0x6, 0x29, 0x00),
	SENSE_BUS_DEVICE_RESET = SCSI_SENSE(0x6, 0x29, 0x03),
	SENSE_MODE_CHANGED = SCSI_SENSE(0x6, 0x2a, 0x01),
	SENSE_RESERVATIONS_PREEMPTED = SCSI_SENSE(0x6, 0x2a, 0x03),
	SENSE_RESERVATIONS_RELEASED = SCSI_SENSE(0x6, 0x2a, 0x04),
	SENSE_REGISTRATIONS_PREEMPTED = SCSI_SENSE(0x6, 0x2a, 0x05),
	SENSE_CAPACITY_CHANGED = SCSI_SENSE(0x6, 0x2a, 0x09),
	SENSE_COMMANDS_CLEARED = SCSI_SENSE(0x6, 0x2f, 0x00),
	SENSE_LUNS_CHANGED = SCSI_SENSE(0x6, 0x3f, 0x0e),
	SENSE_WRITE_PROTECTED = SCSI_SENSE(0x7, 0x27, 0x00),
	SENSE_SOFTWARE_PROTECTED = SCSI_SENSE(0x7, 0x27, 0x02),
	SENSE_SPACE_ALLOCATION = SCSI_SENSE(0x7, 0x27, 0x07),
	SENSE_ABORTED = SCSI_SENSE(0xb, 0x00, 0x00),
	SENSE_MISCOMPARE = SCSI_SENSE(0xe, 0x1d, 0x00),
};

/* Writes SCSI_SENSE_LEN bytes of fixed-format sense data, INFORMATION not valid. */
void scsi_sense_write(uint8_t *out, uint32_t sense);

/* The same with INFORMATION, when it fits in 32 bits. */
void scsi_sense_write_at(uint8_t *out, uint32_t sense, uint64_t information);

/* Sense for a negative errno of a block engine (spec: disk-backends, section 8). */
uint32_t scsi_sense_of_read(int err);
uint32_t scsi_sense_of_write(int err); /* also discard and zero */
uint32_t scsi_sense_of_flush(int err);

#endif
