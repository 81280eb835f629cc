/* SPDX-License-Identifier: MIT */
/*
 * The commands of a disk: one row each, indexed by opcode (spec: scsi-target, sections 2,
 * 2.1 and 11). A row says what the dispatcher checks; "usage" says which bits of the CDB
 * are looked at and is what REPORT SUPPORTED OPERATION CODES hands out.
 */
#include "vsp/storvsp/scsi/scsi_int.h"

#define FF4		 0xff, 0xff, 0xff, 0xff
#define FF8		 FF4, FF4
#define ZERO8		 0, 0, 0, 0, 0, 0, 0, 0
#define GROUP		 0x1f /* group number */
#define CTL		 0x04 /* NACA */

#define PROTECT		 0xe0 /* RDPROTECT, WRPROTECT */
#define RELADR		 0x01

#define READS		 (OP_READING | OP_IN | OP_MEDIUM | OP_RANGE | OP_BLOCKS)
#define WRITES		 (OP_OUT | OP_MEDIUM | OP_RANGE | OP_BLOCKS | OP_WRITES)
#define ON_RANGE	 (OP_MEDIUM | OP_RANGE)

/* The task's is a byte: 256 is none of them. */
#define WRONG_DIR(flags) ((flags)&OP_IN ? SCSI_DIR_OUT : (flags)&OP_OUT ? SCSI_DIR_IN : 256)

/* What VERIFY moves depends on BYTCHK: it looks itself. Where READ has FUA it has nothing. */
#define VERIFIES	 (OP_READING | OP_OUT | ON_RANGE | OP_DPOFUA | OP_CHECK)
#define VERIFY_REJECT	 (PROTECT | 0x08 | RELADR)

/* clang-format off */

#define OP(name_, len_, layout_, reject_, flags_, check_, run_, ...) \
	{ .name = name_, .len = len_, .layout = layout_, .reject = reject_, .flags = (uint16_t)(flags_), \
	  .access = (flags_) >> OP_ACCESS_SHIFT, \
	  .wrong_dir = WRONG_DIR(flags_), .check = check_, .run = run_, .usage = { __VA_ARGS__ } }

#define ACTION(action_, name_, len_, layout_, reject_, flags_, check_, run_, ...) \
	{ .action = action_, .name = name_, .len = len_, .layout = layout_, .reject = reject_, \
	  .flags = (uint16_t)(flags_), .access = (flags_) >> OP_ACCESS_SHIFT, \
	  .wrong_dir = WRONG_DIR(flags_), .check = check_, .run = run_, \
	  .usage = { __VA_ARGS__ } }

#define ACTIONS(name_, rows_) \
	{ .name = name_, .actions = rows_, .n_actions = ARRAY_SIZE(rows_) }

static const struct scsi_op service_in_16[] = {
	ACTION(0x10, "READ CAPACITY(16)", 16, CDB_LEN32_AT10, 0, OP_STATUS | OP_IN | OP_MEDIUM,
	       NULL, scsi_read_capacity16, 0x9e, 0x10, ZERO8, FF4, 0, CTL),
	ACTION(0x12, "GET LBA STATUS", 16, CDB_LEN32_AT10, 0, OP_READING | OP_IN | OP_MEDIUM,
	       NULL, scsi_get_lba_status, 0x9e, 0x12, FF8, FF4, 0, CTL),
};

static const struct scsi_op maintenance_in[] = {
	ACTION(0x0c, "REPORT SUPPORTED OPERATION CODES", 12, CDB_LEN32_AT6, 0, OP_STATUS | OP_IN,
	       NULL, scsi_report_opcodes, 0xa3, 0x0c, 0x87, 0xff, 0xff, 0xff, FF4, 0, CTL),
	ACTION(0x0d, "REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", 12, CDB_LEN32_AT6, 0, OP_STATUS | OP_IN,
	       NULL, scsi_report_tmf, 0xa3, 0x0d, 0x80, 0, 0, 0, FF4, 0, CTL),
};

#define PR_IN(action_, name_, run_) \
	ACTION(action_, "PERSISTENT RESERVE IN, " name_, 10, CDB_LEN16_AT7, 0, \
	       OP_ACCESS(ACCESS_PERSISTENT) | OP_IN, NULL, run_, \
	       0x5e, action_, 0, 0, 0, 0, 0, 0xff, 0xff, CTL)

static const struct scsi_op persistent_reserve_in[] = {
	PR_IN(0x00, "READ KEYS", scsi_pr_in_keys),
	PR_IN(0x01, "READ RESERVATION", scsi_pr_in_reservation),
	PR_IN(0x02, "REPORT CAPABILITIES", scsi_pr_in_capabilities),
	PR_IN(0x03, "READ FULL STATUS", scsi_pr_in_full_status),
};

#define PR_OUT(action_, name_) \
	ACTION(action_, "PERSISTENT RESERVE OUT, " name_, 10, CDB_LEN32_AT5, 0, \
	       OP_ACCESS(ACCESS_PERSISTENT) | OP_OUT | OP_LIST, NULL, scsi_pr_out, \
	       0x5f, action_, 0xff, 0, 0, FF4, CTL)

static const struct scsi_op persistent_reserve_out[] = {
	PR_OUT(0x00, "REGISTER"),
	PR_OUT(0x01, "RESERVE"),
	PR_OUT(0x02, "RELEASE"),
	PR_OUT(0x03, "CLEAR"),
	PR_OUT(0x04, "PREEMPT"),
	PR_OUT(0x05, "PREEMPT AND ABORT"),
	PR_OUT(0x06, "REGISTER AND IGNORE EXISTING KEY"),
};

const struct scsi_op scsi_ops[256] = {
	[0x00] = OP("TEST UNIT READY", 6, CDB_NONE, 0, OP_STATUS | OP_MEDIUM,
		    NULL, scsi_nothing_to_do, 0x00, 0, 0, 0, 0, CTL),
	[0x03] = OP("REQUEST SENSE", 6, CDB_LEN8_AT4, 0x01, OP_ALWAYS | OP_IN | OP_QUIET,
		    NULL, scsi_request_sense, 0x03, 0x01, 0, 0, 0xff, CTL),
	/* Plain: the blocks stay as they are. With a defect list, formats, protection: no. */
	[0x04] = OP("FORMAT UNIT", 6, CDB_NONE, 0xff, OP_MEDIUM | OP_WRITES,
		    NULL, scsi_nothing_to_do, 0x04, 0xff, 0, 0, 0, CTL),
	[0x08] = OP("READ(6)", 6, CDB_RW6, 0, READS,
		    NULL, scsi_read, 0x08, 0x1f, 0xff, 0xff, 0xff, CTL),
	[0x0a] = OP("WRITE(6)", 6, CDB_RW6, 0, WRITES,
		    NULL, scsi_write, 0x0a, 0x1f, 0xff, 0xff, 0xff, CTL),
	[0x12] = OP("INQUIRY", 6, CDB_LEN16_AT3, 0x02, OP_ALWAYS | OP_IN | OP_QUIET | OP_ANY_LUN,
		    NULL, scsi_inquiry, 0x12, 0x01, 0xff, 0xff, 0xff, CTL),
	/* nothing can be saved: no SP */
	[0x15] = OP("MODE SELECT(6)", 6, CDB_LEN8_AT4, 0x01, OP_OUT | OP_LIST,
		    NULL, scsi_mode_select6, 0x15, 0x11, 0, 0, 0xff, CTL),
	/* byte 1 would name a third party or an extent */
	[0x16] = OP("RESERVE(6)", 6, CDB_NONE, 0x1f, OP_ACCESS(ACCESS_RESERVE),
		    NULL, scsi_reserve, 0x16, 0x1f, 0, 0, 0, CTL),
	[0x17] = OP("RELEASE(6)", 6, CDB_NONE, 0x1f, OP_ACCESS(ACCESS_RELEASE),
		    NULL, scsi_release, 0x17, 0x1f, 0, 0, 0, CTL),
	[0x1a] = OP("MODE SENSE(6)", 6, CDB_LEN8_AT4, 0, OP_IN | OP_QUIET,
		    NULL, scsi_mode_sense6, 0x1a, 0x08, 0xff, 0xff, 0xff, CTL),
	[0x1b] = OP("START STOP UNIT", 6, CDB_NONE, 0, OP_ACCESS(ACCESS_START_STOP) | OP_CHECK,
		    scsi_check_start_stop, scsi_start_stop, 0x1b, 0x01, 0, 0x0f, 0xf7, CTL),
	[0x1d] = OP("SEND DIAGNOSTIC", 6, CDB_LEN16_AT3, 0, OP_CHECK,
		    scsi_check_diagnostic, scsi_nothing_to_do, 0x1d, 0xf7, 0, 0xff, 0xff, CTL),
	[0x1e] = OP("PREVENT ALLOW MEDIUM REMOVAL", 6, CDB_NONE, 0, OP_ACCESS(ACCESS_PREVENT),
		    NULL, scsi_nothing_to_do, 0x1e, 0, 0, 0, 0x03, CTL),
	[0x25] = OP("READ CAPACITY(10)", 10, CDB_NONE, 0, OP_STATUS | OP_IN | OP_MEDIUM | OP_CHECK,
		    scsi_check_capacity10, scsi_read_capacity10, 0x25, ZERO8, CTL),
	[0x28] = OP("READ(10)", 10, CDB_RW10, PROTECT | RELADR, READS | OP_DPOFUA,
		    NULL, scsi_read, 0x28, 0xf8, FF4, GROUP, 0xff, 0xff, CTL),
	[0x2a] = OP("WRITE(10)", 10, CDB_RW10, PROTECT | RELADR, WRITES | OP_DPOFUA,
		    NULL, scsi_write_fua, 0x2a, 0xf8, FF4, GROUP, 0xff, 0xff, CTL),
	[0x2e] = OP("WRITE AND VERIFY(10)", 10, CDB_RW10, VERIFY_REJECT, WRITES | OP_DPOFUA | OP_CHECK,
		    scsi_check_write_verify, scsi_write_verify,
		    0x2e, 0xf6, FF4, GROUP, 0xff, 0xff, CTL),
	[0x2f] = OP("VERIFY(10)", 10, CDB_RW10, VERIFY_REJECT, VERIFIES,
		    scsi_check_verify, scsi_verify, 0x2f, 0xf6, FF4, GROUP, 0xff, 0xff, CTL),
	[0x34] = OP("PRE-FETCH(10)", 10, CDB_RW10, RELADR, OP_READING | ON_RANGE,
		    NULL, scsi_nothing_to_do, 0x34, 0x02, FF4, GROUP, 0xff, 0xff, CTL),
	[0x35] = OP("SYNCHRONIZE CACHE(10)", 10, CDB_RW10, RELADR, ON_RANGE,
		    NULL, scsi_sync_cache, 0x35, 0x02, FF4, GROUP, 0xff, 0xff, CTL),
	[0x37] = OP("READ DEFECT DATA(10)", 10, CDB_LEN16_AT7, 0, OP_READING | OP_IN | OP_MEDIUM,
		    NULL, scsi_read_defect_data10, 0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, CTL),
	/* bits 2:1 would put the LBA into the data; bit 4 ANCHOR needs ANC_SUP */
	[0x41] = OP("WRITE SAME(10)", 10, CDB_RW10, 0xf7, OP_OUT | ON_RANGE | OP_WRITES | OP_CHECK,
		    scsi_check_write_same, scsi_write_same, 0x41, 0xe8, FF4, GROUP, 0xff, 0xff, CTL),
	[0x42] = OP("UNMAP", 10, CDB_LEN16_AT7, 0x01,
		    OP_OUT | OP_MEDIUM | OP_WRITES | OP_LIST | OP_THIN,
		    NULL, scsi_unmap, 0x42, 0, 0, 0, 0, 0, GROUP, 0xff, 0xff, CTL),
	/* PPC and SP need parameters that can be saved */
	[0x4d] = OP("LOG SENSE", 10, CDB_LEN16_AT7, 0x03, OP_STATUS | OP_IN,
		    NULL, scsi_log_sense, 0x4d, 0x03, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, CTL),
	[0x55] = OP("MODE SELECT(10)", 10, CDB_LEN16_AT7, 0x01, OP_OUT | OP_LIST,
		    NULL, scsi_mode_select10,
		    0x55, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, CTL),
	[0x56] = OP("RESERVE(10)", 10, CDB_NONE, 0x13, OP_ACCESS(ACCESS_RESERVE),
		    NULL, scsi_reserve, 0x56, 0x13, 0, 0, 0, 0, 0, 0, 0, CTL),
	[0x57] = OP("RELEASE(10)", 10, CDB_NONE, 0x13, OP_ACCESS(ACCESS_RELEASE),
		    NULL, scsi_release, 0x57, 0x13, 0, 0, 0, 0, 0, 0, 0, CTL),
	[0x5a] = OP("MODE SENSE(10)", 10, CDB_LEN16_AT7, 0, OP_IN | OP_QUIET,
		    NULL, scsi_mode_sense10, 0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, CTL),
	[0x5e] = ACTIONS("PERSISTENT RESERVE IN", persistent_reserve_in),
	[0x5f] = ACTIONS("PERSISTENT RESERVE OUT", persistent_reserve_out),
	[0x88] = OP("READ(16)", 16, CDB_RW16, PROTECT | RELADR, READS | OP_DPOFUA,
		    NULL, scsi_read, 0x88, 0xf8, FF8, FF4, GROUP, CTL),
	[0x89] = OP("COMPARE AND WRITE", 16, CDB_RW16, PROTECT | 0x07,
		    OP_OUT | ON_RANGE | OP_WRITES | OP_DPOFUA | OP_CHECK,
		    scsi_check_compare_and_write, scsi_compare_and_write,
		    0x89, 0xf8, FF8, 0, 0, 0, 0xff, GROUP, CTL),
	[0x8a] = OP("WRITE(16)", 16, CDB_RW16, PROTECT | RELADR, WRITES | OP_DPOFUA,
		    NULL, scsi_write_fua, 0x8a, 0xf8, FF8, FF4, GROUP, CTL),
	[0x8b] = OP("ORWRITE(16)", 16, CDB_RW16, PROTECT | 0x07, WRITES | OP_DPOFUA,
		    NULL, scsi_orwrite, 0x8b, 0xf8, FF8, FF4, GROUP, CTL),
	[0x8e] = OP("WRITE AND VERIFY(16)", 16, CDB_RW16, VERIFY_REJECT, WRITES | OP_DPOFUA | OP_CHECK,
		    scsi_check_write_verify, scsi_write_verify,
		    0x8e, 0xf6, FF8, FF4, GROUP, CTL),
	[0x8f] = OP("VERIFY(16)", 16, CDB_RW16, VERIFY_REJECT, VERIFIES,
		    scsi_check_verify, scsi_verify, 0x8f, 0xf6, FF8, FF4, GROUP, CTL),
	[0x90] = OP("PRE-FETCH(16)", 16, CDB_RW16, RELADR, OP_READING | ON_RANGE,
		    NULL, scsi_nothing_to_do, 0x90, 0x02, FF8, FF4, GROUP, CTL),
	[0x91] = OP("SYNCHRONIZE CACHE(16)", 16, CDB_RW16, RELADR, ON_RANGE,
		    NULL, scsi_sync_cache, 0x91, 0x02, FF8, FF4, GROUP, CTL),
	[0x93] = OP("WRITE SAME(16)", 16, CDB_RW16, 0xf6, OP_OUT | ON_RANGE | OP_WRITES | OP_CHECK,
		    scsi_check_write_same, scsi_write_same, 0x93, 0xe9, FF8, FF4, GROUP, CTL),
	[0x9e] = ACTIONS("SERVICE ACTION IN(16)", service_in_16),
	[0xa0] = OP("REPORT LUNS", 12, CDB_LEN32_AT6, 0, OP_ALWAYS | OP_IN | OP_QUIET | OP_ANY_LUN,
		    NULL, scsi_report_luns, 0xa0, 0, 0xff, 0, 0, 0, FF4, 0, CTL),
	[0xa3] = ACTIONS("MAINTENANCE IN", maintenance_in),
	[0xa8] = OP("READ(12)", 12, CDB_RW12, PROTECT | RELADR, READS | OP_DPOFUA,
		    NULL, scsi_read, 0xa8, 0xf8, FF8, GROUP, CTL),
	[0xaa] = OP("WRITE(12)", 12, CDB_RW12, PROTECT | RELADR, WRITES | OP_DPOFUA,
		    NULL, scsi_write_fua, 0xaa, 0xf8, FF8, GROUP, CTL),
	[0xae] = OP("WRITE AND VERIFY(12)", 12, CDB_RW12, VERIFY_REJECT, WRITES | OP_DPOFUA | OP_CHECK,
		    scsi_check_write_verify, scsi_write_verify, 0xae, 0xf6, FF8, GROUP, CTL),
	[0xaf] = OP("VERIFY(12)", 12, CDB_RW12, VERIFY_REJECT, VERIFIES,
		    scsi_check_verify, scsi_verify, 0xaf, 0xf6, FF8, GROUP, CTL),
	[0xb7] = OP("READ DEFECT DATA(12)", 12, CDB_LEN32_AT6, 0, OP_READING | OP_IN | OP_MEDIUM,
		    NULL, scsi_read_defect_data12, 0xb7, 0x1f, 0, 0, 0, 0, FF4, 0, CTL),
};
