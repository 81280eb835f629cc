/* SPDX-License-Identifier: MIT */
/*
 * The commands of a drive (spec: scsi-target, section 16). Handlers look at the medium
 * themselves, because it may change under a command: no row has OP_MEDIUM or OP_RANGE.
 */
#include "vsp/storvsp/scsi/scsi_int.h"

/* clang-format off */

#define OP(name_, len_, layout_, reject_, flags_, run_) \
	{ .name = name_, .len = len_, .layout = layout_, .reject = reject_, .flags = flags_, \
	  .access = ACCESS_ALWAYS, /* drives cannot be reserved */ \
	  .wrong_dir = (flags_) & OP_IN ? SCSI_DIR_OUT : (flags_) & OP_OUT ? SCSI_DIR_IN : 256, \
	  .run = run_ }

#define PROTECT_RELADR 0xe1
#define RELADR	       0x01

const struct scsi_op scsi_dvd_ops[256] = {
	[0x00] = OP("TEST UNIT READY", 6, CDB_NONE, 0, 0, scsi_dvd_ready),
	[0x03] = OP("REQUEST SENSE", 6, CDB_LEN8_AT4, 1, OP_IN | OP_QUIET, scsi_request_sense),
	[0x12] = OP("INQUIRY", 6, CDB_LEN16_AT3, 2, OP_IN | OP_QUIET, scsi_mmc_inquiry),
	[0x1a] = OP("MODE SENSE(6)", 6, CDB_LEN8_AT4, 0, OP_IN | OP_QUIET, scsi_mmc_mode_sense),
	[0x1b] = OP("START STOP UNIT", 6, CDB_NONE, 0, 0, scsi_dvd_start_stop),
	[0x1e] = OP("PREVENT ALLOW MEDIUM REMOVAL", 6, CDB_NONE, 0, 0, scsi_dvd_prevent),
	[0x25] = OP("READ CAPACITY", 10, CDB_NONE, 0, OP_IN, scsi_dvd_capacity),
	[0x28] = OP("READ(10)", 10, CDB_RW10, PROTECT_RELADR, OP_IN, scsi_dvd_read),
	[0x43] = OP("READ TOC/PMA/ATIP", 10, CDB_LEN16_AT7, 0, OP_IN, scsi_mmc_toc),
	/* MMC has these two report news of their own and leave unit attentions alone */
	[0x46] = OP("GET CONFIGURATION", 10, CDB_LEN16_AT7, 0, OP_IN | OP_QUIET,
		    scsi_mmc_configuration),
	[0x4a] = OP("GET EVENT STATUS NOTIFICATION", 10, CDB_LEN16_AT7, 0, OP_IN | OP_QUIET,
		    scsi_mmc_event),
	[0x51] = OP("READ DISC INFORMATION", 10, CDB_LEN16_AT7, 0, OP_IN, scsi_mmc_disc),
	[0x52] = OP("READ TRACK INFORMATION", 10, CDB_LEN16_AT7, 0, OP_IN, scsi_mmc_track),
	[0x55] = OP("MODE SELECT(10)", 10, CDB_LEN16_AT7, 0, OP_OUT | OP_LIST,
		    scsi_mmc_mode_select),
	[0x5a] = OP("MODE SENSE(10)", 10, CDB_LEN16_AT7, 0, OP_IN | OP_QUIET,
		    scsi_mmc_mode_sense),
	[0x5c] = OP("READ BUFFER CAPACITY", 10, CDB_LEN16_AT7, 0, OP_IN, scsi_mmc_buffer),
	[0x88] = OP("READ(16)", 16, CDB_RW16, PROTECT_RELADR, OP_IN, scsi_dvd_read),
	[0xa0] = OP("REPORT LUNS", 12, CDB_LEN32_AT6, 0, OP_IN | OP_QUIET, scsi_report_luns),
	[0xa8] = OP("READ(12)", 12, CDB_RW12, PROTECT_RELADR, OP_IN, scsi_dvd_read),
	[0xac] = OP("GET PERFORMANCE", 12, CDB_NONE, 0, OP_IN, scsi_mmc_performance),
	[0xad] = OP("READ DVD STRUCTURE", 12, CDB_NONE, 0, OP_IN, scsi_mmc_structure),
	[0xb6] = OP("SET STREAMING", 12, CDB_NONE, 0, OP_OUT, scsi_nothing_to_do),
	[0xb9] = OP("READ CD MSF", 12, CDB_NONE, RELADR, OP_IN, scsi_dvd_read_cd_msf),
	[0xbd] = OP("MECHANISM STATUS", 12, CDB_NONE, 0, OP_IN, scsi_mmc_mechanism),
	[0xbe] = OP("READ CD", 12, CDB_NONE, RELADR, OP_IN, scsi_dvd_read_cd),
};
