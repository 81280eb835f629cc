/* SPDX-License-Identifier: MIT */
/*
 * A partition without a guest: the backend runs in the test's own process, and the
 * test plays the guest through the fake_guest_*() calls, which do exactly what a
 * guest kernel would do: MSR writes, hypercalls with their input in guest
 * memory, taking messages and event flags out of its own pages.
 *
 * RAM lies at GPA 0. SynIC pages of a VP come from fake_guest_alloc() when
 * fake_guest_enable() runs.
 *
 * Threads: calls that enter the root (wrmsr, rdmsr, hypercall, post_message, signal,
 * enable, and take_message with @eom) belong on the partition's loop. The rest may
 * run on a guest thread.
 */
#ifndef HVBUS_TESTS_FAKE_PARTITION_H
#define HVBUS_TESTS_FAKE_PARTITION_H

#include "hv-core/partition.h"

struct fake_partition;

/* @memory: bytes, a multiple of 4096. 0 or -errno. */
int fake_partition_create(struct fake_partition **out, struct loop *loop, uint32_t nr_vps,
			  uint64_t memory);
/* Also destroys the partition. */
void fake_partition_destroy(struct fake_partition *f);

/* The root's handle, for vmbus_server_create() and the like. */
struct hv_partition *fake_partition(struct fake_partition *f);

/* ---- guest memory ------------------------------------------------------------ */

/* NULL outside RAM. */
void *fake_guest_ptr(struct fake_partition *f, uint64_t gpa);
/* GPA of @npages fresh zeroed pages in a row; never 0. Aborts when RAM is used up. */
uint64_t fake_guest_alloc(struct fake_partition *f, uint32_t npages);

/* ---- guest CPU ------------------------------------------------------------------ */

/* What a driver does at start: message page, event page, SINT 2 open with vector 0xf3. */
void fake_guest_enable(struct fake_partition *f, uint32_t vp);

int fake_guest_wrmsr(struct fake_partition *f, uint32_t vp, uint32_t msr, uint64_t value);
int fake_guest_rdmsr(struct fake_partition *f, uint32_t vp, uint32_t msr, uint64_t *value);

/* The raw call; returns the whole result value. */
uint64_t fake_guest_hypercall(struct fake_partition *f, uint64_t control, uint64_t in,
			      uint64_t out);
/* HvPostMessage (slow form, input in guest memory) and HvSignalEvent (fast form, flag 0). */
enum hv_status fake_guest_post_message(struct fake_partition *f, uint32_t connection_id,
				       uint32_t type, const void *payload, uint32_t len);
enum hv_status fake_guest_signal(struct fake_partition *f, uint32_t connection_id);

/* ---- guest interrupts --------------------------------------------------------------- */

/* Interrupts of @vp since creation (all SINTs). Any thread. */
uint64_t fake_guest_interrupts(struct fake_partition *f, uint32_t vp);
/* Sleeps until fake_guest_interrupts() exceeds @seen; false after 5 s. Not on the loop's thread. */
bool fake_guest_wait(struct fake_partition *f, uint32_t vp, uint64_t seen);

/*
 * Takes the message of SINT 2. False when the slot is empty or the SynIC is off. With
 * @eom NULL the EOM is written when asked for; otherwise *@eom says whether it is due.
 */
bool fake_guest_take_message(struct fake_partition *f, uint32_t vp, struct hv_message *out,
			     bool *eom);

/* Was event flag @flag of SINT 2 set? Clears it. */
bool fake_guest_take_event(struct fake_partition *f, uint32_t vp, uint32_t flag);
/* Takes all event flags of SINT 2; returns how many were set. @fn may be NULL. */
uint32_t fake_guest_take_events(struct fake_partition *f, uint32_t vp,
				void (*fn)(void *ctx, uint32_t flag), void *ctx);

/* The guest's own pages, to play tricks with. NULL before fake_guest_enable(). */
struct hv_message_page *fake_guest_messages(struct fake_partition *f, uint32_t vp);
struct hv_event_flags_page *fake_guest_events(struct fake_partition *f, uint32_t vp);

#endif
