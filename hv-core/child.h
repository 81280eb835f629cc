/* SPDX-License-Identifier: MIT */
/*
 * The child's half: what a guest kernel would do with MSRs, hypercalls and
 * interrupts, for a process that is a child partition.
 *
 * Threads: hypercalls, the page allocator and hv_child_kick_vp() may be used from any
 * thread (they lock inside; signalling takes no lock once a connection's doorbell is
 * known). Waiting for a VP, and taking its messages and events, is for one thread
 * per VP. A small thread inside watches for the end of the root.
 */
#ifndef HVBUS_HV_CORE_CHILD_H
#define HVBUS_HV_CORE_CHILD_H

#include <stdbool.h>

#include "hv-core/hv_defs.h"

struct hv_child;

struct hv_child_config {
	const char *name;    /* shown by the root; NULL = program name */
	uint64_t memory;     /* bytes of guest memory; 0 = 32 MiB */
	uint32_t nr_vps;     /* 0 = 1 */
	uint32_t timeout_ms; /* for each answer of the root; 0 = 10 s */
	/*
	 * Devices that the root is to add for this partition, one per line: "nic
	 * switch=lan,queues=2" (vmwp/net_config.h); NULL = only what every partition gets. At most
	 * HV_PROC_WISHES (1024) bytes of printable ASCII and newlines.
	 */
	const char *wishes;
};

/*
 * Connects to the root at the Unix socket @path, maps the memory, enables the SynIC
 * of every VP (message and event page allocated from guest memory, SINT 2 open).
 * Errors: -errno of connect (-ENOENT, -ECONNREFUSED, -EACCES), -EPROTO (the peer does
 * not speak this protocol), -ETIMEDOUT, -ENOMEM, -EMFILE, or the root's refusal (-E2BIG,
 * -EPERM ..). A sentence for people is copied to @why (@whylen bytes, may be NULL).
 */
int hv_child_connect(struct hv_child **out, const char *path, const struct hv_child_config *cfg,
		     char *why, size_t whylen);

/* Unmaps and closes everything. The vmbus client on top is gone already. */
void hv_child_destroy(struct hv_child *c);

uint32_t hv_child_partition_id(const struct hv_child *c);
uint32_t hv_child_nr_vps(const struct hv_child *c);

/* True once the root has closed the connection or broken the protocol; nothing works after that. */
bool hv_child_dead(struct hv_child *c);
/* Becomes readable (POLLIN) with hv_child_dead(), microseconds later; never read it. For waiting
 * next to other fds. */
int hv_child_hangup_fd(struct hv_child *c);

/* ---- memory ----------------------------------------------------------------- */

void *hv_child_ptr(struct hv_child *c, uint64_t gpa);		     /* NULL outside RAM */
bool hv_child_gpa(struct hv_child *c, const void *p, uint64_t *gpa); /* false outside RAM */
uint64_t hv_child_memory(const struct hv_child *c);

/* @n pages in a row, zeroed; GPA in *@gpa. -ENOMEM. */
int hv_child_alloc_pages(struct hv_child *c, uint32_t n, uint64_t *gpa);
void hv_child_free_pages(struct hv_child *c, uint64_t gpa, uint32_t n);

/* Like hv_gpa_map_wrapped(), for @npages pages in a row at @gpa: [ctrl][data][data]. */
int hv_child_map_wrapped(struct hv_child *c, uint64_t gpa, uint32_t npages, void **ctrl,
			 uint8_t **data, uint32_t *size, size_t *maplen);
void hv_child_unmap_wrapped(void *ctrl, size_t maplen);

/* ---- hypercalls ------------------------------------------------------------------ */

/* HvPostMessage. Retries are the caller's. A dead root: HV_STATUS_INVALID_PARTITION_STATE. */
enum hv_status hv_child_post_message(struct hv_child *c, uint32_t connection_id, uint32_t type,
				     const void *payload, uint32_t len);

/*
 * HvSignalEvent with flag 0. The first signal of a connection asks the root, which
 * hands out the connection's eventfd; from then on it costs one write.
 * HV_STATUS_NO_RESOURCES: no fd was free for it, nothing was signalled.
 */
enum hv_status hv_child_signal_event(struct hv_child *c, uint32_t connection_id);

/* Forget the connection's eventfd: its channel was closed and nobody signals it any more. */
void hv_child_forget_connection(struct hv_child *c, uint32_t connection_id);

/* ---- interrupts ---------------------------------------------------------------------- */

/*
 * Sleeps until VP @vp is interrupted. 1 interrupted, 0 time out, -ECONNRESET root gone,
 * -EINVAL no such VP. @timeout_ns UINT64_MAX = no limit, 0 = just look. Interrupts that
 * come together or while nobody waits count as one.
 */
int hv_child_vp_wait(struct hv_child *c, uint32_t vp, uint64_t timeout_ns);

/*
 * A file descriptor that becomes readable (POLLIN) when @vp is interrupted after
 * hv_child_vp_arm(): for waiting next to other fds. Stays the child's; made at the first call,
 * which asks the root. Also readable at the end of the root.
 * -EMFILE, -ENOMEM, -EINVAL (no such VP), -EOPNOTSUPP (an old root), -EPROTO, -ETIMEDOUT,
 * -ECONNRESET. The VP's thread, as all of this.
 */
int hv_child_vp_fd(struct hv_child *c, uint32_t vp);
/* Asks for the fd to be written. False: interrupted already, do not sleep. */
bool hv_child_vp_arm(struct hv_child *c, uint32_t vp);
/* Awake: takes the interrupt, empties the fd. 1 interrupted, 0 not, -ECONNRESET. */
int hv_child_vp_disarm(struct hv_child *c, uint32_t vp);

/*
 * Makes the fd of @vp readable without an interrupt, armed or not: for news of another kind.
 * Any thread. The next hv_child_vp_disarm(), or _empty(), which does not touch the interrupt, ends
 * that.
 */
void hv_child_vp_poke(struct hv_child *c, uint32_t vp);
void hv_child_vp_empty(struct hv_child *c, uint32_t vp);

/*
 * Interrupts @vp from inside the child: its thread returns from hv_child_vp_wait() with 1, or
 * its fd becomes readable.
 */
void hv_child_kick_vp(struct hv_child *c, uint32_t vp);

/*
 * Takes the message out of (@vp, SINT 2)'s slot into *@out (a private copy; type and
 * size already checked: payload_size <= 240). Acknowledges it, writes EOM when more
 * are pending. False when the slot is empty.
 */
bool hv_child_take_message(struct hv_child *c, uint32_t vp, struct hv_message *out);

/* Takes the event flags of (@vp, SINT 2): clears each and calls @fn for it. 32 loads when none. */
void hv_child_take_events(struct hv_child *c, uint32_t vp, void (*fn)(void *ctx, uint32_t flag),
			  void *ctx);

#endif
