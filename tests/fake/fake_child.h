/* SPDX-License-Identifier: MIT */
/*
 * A child partition and its bus without a root process, chosen at link time instead of
 * hv-core/proc/child*.c and vmbus/client*.c: the test plays the root. Guest memory is a
 * real memfd, channels are real rings; the root's ends are ordinary channels.
 *
 * Everything runs on the caller's thread. When the library would sleep, the test's work
 * function runs instead.
 */
#ifndef HVBUS_TESTS_FAKE_FAKE_CHILD_H
#define HVBUS_TESTS_FAKE_FAKE_CHILD_H

#include "vmbus/client.h"

#define FAKE_CHILD_CHANS 9

/* A bus with one offered device of class @type. Aborts on failure. */
struct vmbus_client *fake_client_create(const struct guid *type, uint32_t vps, uint64_t memory);
/* Also frees the child; every channel is closed. */
void fake_client_destroy(struct vmbus_client *c);

/* Called instead of sleeping: let the root do its work. */
void fake_client_on_wait(struct vmbus_client *c, void (*work)(void *ctx), void *ctx);

/* The root's end of channel @sub; NULL: not open. */
struct vmbus_chan *fake_client_host(struct vmbus_client *c, uint16_t sub);
/* The ring host to guest, raw, for tests that corrupt it. */
const struct hv_gpa_view *fake_client_host_out(struct vmbus_client *c, uint16_t sub);
struct hv_gpa *fake_client_gpa(struct vmbus_client *c);

/* How many sub-channels there are to be found; more than that time out. */
void fake_client_offer_subs(struct vmbus_client *c, uint16_t n);
/* From now on the root is gone. */
void fake_client_kill_root(struct vmbus_client *c);
/* The root has taken the device back. */
void fake_client_rescind(struct vmbus_client *c);
/* The next opening of a channel fails with @err. */
void fake_client_fail_open(struct vmbus_client *c, int err);
/* The allocation of guest pages after @n more fails. */
void fake_client_fail_alloc(struct vmbus_client *c, uint32_t n);

/* The first page of the buffer that the client described as GPADL @gpadl. */
uint64_t fake_client_gpadl(struct vmbus_client *c, uint32_t gpadl);
/* The next description of a buffer fails with @err. */
void fake_client_fail_gpadl(struct vmbus_client *c, int err);
/* From now on the root does not let go of buffers. */
void fake_client_keep_gpadls(struct vmbus_client *c);

struct fake_client_counts {
	uint32_t pages_used; /* guest pages allocated and not given back, rings too */
	uint32_t gpadls;     /* described and not torn down */
	uint32_t opens, closes, waits, signals_to_host, signals_to_guest;
};
const struct fake_client_counts *fake_client_counts(const struct vmbus_client *c);

#endif
