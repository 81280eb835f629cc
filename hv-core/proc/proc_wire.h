/* SPDX-License-Identifier: MIT */
/*
 * The packets between a child process and its root, on a SOCK_SEQPACKET socket.
 * The first packet of a connection is a hello, which says what the peer wants
 * to be; a control client (hvbus inspect) uses the same socket.
 *
 * What the two share besides: the child's RAM and the interrupt page, both sealed
 * memfds made by the root, and the doorbell eventfd of each channel. Descriptors only
 * travel from the root to the child.
 *
 * Interrupts are words in the interrupt page that the root sets and the VP's thread
 * sleeps on (futex), not eventfds: a child can clear O_NONBLOCK on a file
 * description it shares and fill its counter, and the root's next write would
 * never return. Waking a futex cannot block, and costs no call when the VP is awake.
 * A VP's thread that has other descriptors to wait for asks for a socket (HV_PROC_IRQ_FD,
 * proc_poll.h), which is written to only when the word says so.
 *
 * What came after version 1 is announced in the welcome (enum hv_proc_feature), where an older
 * root has zeros. A child asks for nothing else: a root cuts off who sends an unknown request.
 */
#ifndef HVBUS_HV_CORE_PROC_PROC_WIRE_H
#define HVBUS_HV_CORE_PROC_PROC_WIRE_H

#include <stdbool.h>

#include "hv-core/hv_defs.h"

#define HV_PROC_MAGIC	0x53555642u /* "BVUS" */
#define HV_PROC_VERSION 1u

enum hv_proc_role { HV_PROC_GUEST = 1, HV_PROC_CONTROL = 2 };

#define HV_PROC_WISHES 1024u

/*
 * Peer -> root, first packet. A guest's may be followed by its wishes: at most HV_PROC_WISHES
 * bytes of printable ASCII and newlines, up to the end of the packet. What they mean is
 * none of this protocol's business. An older root refuses a hello with wishes.
 */
struct hv_proc_hello {
	uint32_t magic;
	uint16_t version;
	uint16_t role;	 /* enum hv_proc_role */
	uint64_t memory; /* guest: bytes of memory wanted, a multiple of 4096 */
	uint32_t nr_vps; /* guest */
	uint32_t reserved;
	char name[32]; /* guest: for people, NUL-terminated */
} PACKED;
WIRE_SIZE(struct hv_proc_hello, 56);

struct hv_proc_welcome { /* root -> guest; carries two fds on success: memory, interrupt page */
	uint32_t magic;
	int32_t error; /* 0 or a negative errno: refused */
	uint64_t memory;
	uint32_t nr_vps;
	uint32_t partition_id;
	char text[100];	   /* reason of a refusal, for people */
	uint32_t features; /* enum hv_proc_feature; 0 in a refusal */
} PACKED;
WIRE_SIZE(struct hv_proc_welcome, 128);

enum hv_proc_feature {
	HV_PROC_HAS_IRQ_FD = 1, /* HV_PROC_IRQ_FD is understood */
};

enum hv_proc_op {
	HV_PROC_HYPERCALL = 1, /* guest -> root, answered by HV_PROC_RESULT */
	HV_PROC_WRMSR = 2,     /* guest -> root, answered */
	HV_PROC_RDMSR = 3,     /* guest -> root, answered */
	HV_PROC_EOM = 4,       /* guest -> root, not answered */
	/* guest -> root, answered: the result carries what becomes readable when @vp is interrupted
	 */
	HV_PROC_IRQ_FD = 5,
	HV_PROC_RESULT = 16, /* root -> guest; for HvSignalEvent it carries the doorbell */
};

struct hv_proc_call { /* guest -> root */
	uint32_t op;
	uint32_t vp;
	uint64_t arg[2]; /* HYPERCALL: input value and RDX of a fast call; MSR: number and value */
	uint8_t input[256]; /* HYPERCALL HvPostMessage: the input block by value */
} PACKED;
WIRE_SIZE(struct hv_proc_call, 280);

struct hv_proc_result {
	uint32_t op;
	uint32_t has_fd;
	uint64_t value; /* hypercall result, MSR value */
	int32_t error;	/* MSR, IRQ_FD: 0 or -errno */
	uint32_t reserved;
} PACKED;
WIRE_SIZE(struct hv_proc_result, 24);

/* What the other side calls an error: 0 or a negative errno, nothing else. */
static inline bool proc_error_valid(int32_t error)
{
	return error <= 0 && error >= -4095;
}

enum hv_proc_irq { /* state of a VP's interrupt; whoever sees anything else treats it as PENDING */
		   HV_PROC_IRQ_NONE = 0,     /* the VP runs, nothing to tell it */
		   HV_PROC_IRQ_PENDING = 1,  /* set by who interrupts, cleared by the VP's thread */
		   HV_PROC_IRQ_SLEEPING = 2, /* set by the VP's thread: wake me */
		   HV_PROC_IRQ_POLLING = 3,  /* set by the VP's thread: write to its socket */
};

struct hv_proc_irq_page {
	struct {
		uint32_t state;	       /* a futex word */
		uint32_t reserved[15]; /* one cache line per VP */
	} vp[64];
};
WIRE_SIZE(struct hv_proc_irq_page, 4096);

#endif
