/* SPDX-License-Identifier: MIT */
/* What the root and its keeper say to each other, one packet each. */
#ifndef HVBUS_VMWP_KEEPER_WIRE_H
#define HVBUS_VMWP_KEEPER_WIRE_H

#include <stdint.h>

#include "vmwp/sandbox.h"
#include "vsp/storvsp/scsi/scsi.h"

enum { KEEPER_ADD = 1, KEEPER_SAVE, KEEPER_DROP };

struct keeper_ask {
	uint32_t what; /* KEEPER_* */
	uint32_t disk;
	uint64_t id; /* of a save, echoed */
	uint32_t
		len; /* of what follows: the file's name (the folder comes as a fd), or its bytes */
	uint32_t zero;
	uint8_t bytes[SCSI_PR_STATE_MAX];
};

struct keeper_answer {
	uint64_t id;
	int32_t err;
	uint32_t zero;
};

/* The process: serves @sock until the other end is closed. Never returns. */
_Noreturn void keeper_main(int sock, enum sandbox_mode mode);

#endif
