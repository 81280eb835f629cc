/* SPDX-License-Identifier: MIT */
/*
 * Persistent reservations: the state of a LUN, the rules by which one command changes it
 * (pure, so that they can be tested row by row), its bytes on a medium, and the commands
 * around them (spec: scsi-target, sections 13.3 and 13.4).
 *
 *   scsi_pr_rules.c  what each service action does to a state
 *   scsi_pr_state.c  a state as bytes, and back from bytes that anybody may have written
 *   scsi_pr.c        PERSISTENT RESERVE IN and OUT
 *   scsi_reserve.c   what a reservation means for everybody else
 */
#ifndef HVBUS_VSP_STORVSP_SCSI_SCSI_PR_H
#define HVBUS_VSP_STORVSP_SCSI_SCSI_PR_H

#include "vsp/storvsp/scsi/scsi_int.h"

#define SCSI_PR_MAX_KEYS 128

enum { /* service actions of PERSISTENT RESERVE OUT */
       PR_REGISTER,
       PR_RESERVE,
       PR_RELEASE,
       PR_CLEAR,
       PR_PREEMPT,
       PR_PREEMPT_AND_ABORT,
       PR_REGISTER_AND_IGNORE,
};

enum { /* types of reservation */
       PR_NONE = 0,
       PR_WRITE_EXCLUSIVE = 1,
       PR_EXCLUSIVE_ACCESS = 3,
       PR_WRITE_EXCLUSIVE_REGISTRANTS = 5, /* RO */
       PR_EXCLUSIVE_ACCESS_REGISTRANTS = 6,
       PR_WRITE_EXCLUSIVE_ALL = 7, /* AR: every registrant is a holder */
       PR_EXCLUSIVE_ACCESS_ALL = 8,
};

struct scsi_pr_reg {
	uint64_t key; /* never 0 */
	uint8_t initiator[SCSI_INITIATOR_LEN];
	bool all_ports; /* as it was asked for; each initiator has one way here anyway */
};

struct scsi_pr_state {
	uint32_t generation;
	uint16_t n, holder; /* holder: index, 0 when there is none or all are */
	uint8_t type;	    /* PR_NONE: registrations only */
	bool persist;	    /* APTPL of the latest registration */
	struct scsi_pr_reg reg[SCSI_PR_MAX_KEYS];
};

/* All that a LUN knows of reservations; under the LUN's lock. */
struct scsi_pr {
	struct scsi_pr_state state;
	struct scsi_target *reserved_by; /* RESERVE(6); NULL: nobody */
	struct scsi_pr_keeper keeper;	 /* save NULL: none */
	bool saving;			 /* a command waits for the keeper: no other may change */
};

/* ---- rules ------------------------------------------------------------------------------ */

struct scsi_pr_request {
	uint8_t action, type;
	bool persist, all_ports;
	uint64_t key, sa_key;
	const uint8_t *initiator;
};

/* What a request leads to. @news and @gone are by index before it. */
struct scsi_pr_change {
	struct scsi_pr_state state;
	bool changed;
	uint8_t news[SCSI_PR_MAX_KEYS]; /* enum scsi_ua for that registrant, or SCSI_PR_NO_NEWS */
	bool gone[SCSI_PR_MAX_KEYS];	/* lost its registration */
};

#define SCSI_PR_NO_NEWS	 0xff
#define SCSI_PR_CONFLICT UINT32_MAX

/* 0, SCSI_PR_CONFLICT, or a sense code; *@out is only good with 0. */
uint32_t scsi_pr_apply(struct scsi_pr_change *out, const struct scsi_pr_state *old,
		       const struct scsi_pr_request *req);

int scsi_pr_find(const struct scsi_pr_state *s, const uint8_t *initiator); /* -1: not there */
bool scsi_pr_is_holder(const struct scsi_pr_state *s, int i);
bool scsi_pr_type_valid(uint8_t type);

/* Also or all registrants may do what the holder may. */
ALWAYS_INLINE bool scsi_pr_registrants_type(uint8_t type)
{
	return type >= PR_WRITE_EXCLUSIVE_REGISTRANTS;
}
ALWAYS_INLINE bool scsi_pr_all_type(uint8_t type)
{
	return type >= PR_WRITE_EXCLUSIVE_ALL;
}
ALWAYS_INLINE bool scsi_pr_write_type(uint8_t type)
{
	return type == PR_WRITE_EXCLUSIVE || type == PR_WRITE_EXCLUSIVE_REGISTRANTS ||
	       type == PR_WRITE_EXCLUSIVE_ALL;
}

/* ---- bytes --------------------------------------------------------------------------------- */

/* Writes at most SCSI_PR_STATE_MAX bytes, returns how many. The generation is not part of it. */
uint32_t scsi_pr_encode(const struct scsi_pr_state *s, void *out);
/* NULL, or what is wrong; *@out is only good with NULL. */
const char *scsi_pr_decode(struct scsi_pr_state *out, const void *bytes, uint32_t len);

#endif
