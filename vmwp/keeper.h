/* SPDX-License-Identifier: MIT */
/*
 * A small process that keeps the reservations of disks over restarts of the root, in a file
 * beside each image. The root itself may then be locked up so that it can neither open nor
 * rename anything: it hands over the folder while it still can, and later only bytes.
 *
 *   file     IMAGE.pr, replaced as a whole: temporary file, fsync, rename, fsync of the folder
 *   end      the process ends when the root does, however that happens
 *
 * Threads: create, add, destroy on the main loop; the keeper of a disk on any of the loops.
 */
#ifndef HVBUS_VMWP_KEEPER_H
#define HVBUS_VMWP_KEEPER_H

#include "base/loop.h"
#include "vsp/storvsp/scsi/scsi.h"

struct keeper;

#define KEEPER_MAX_DISKS 64

/*
 * Forks. Early: the process keeps no file of the caller's but its own socket. @main takes the
 * answers, and each one is given to the loop that asked, @main or one of keeper_loops().
 * Errors: -EAGAIN, -ENOMEM, -EMFILE.
 */
int keeper_create(struct keeper **out, struct loop *main);
/* No save is under way. Waits until the process has finished. NULL: nothing. */
void keeper_destroy(struct keeper *k);

/* The other loops that may ask; borrowed, set before the first does. */
void keeper_loops(struct keeper *k, struct loop *const *loops, uint32_t n);

/*
 * The disk at @path, an image file, gets a keeper: *@out, which lives as long as @k, and in
 * @state what was kept before, *@len bytes (0: nothing, at most SCSI_PR_STATE_MAX + 1, so
 * that a longer file is seen to be wrong). Errors: -ENOTSUP (no regular file), -ENOSPC (too
 * many disks), or what opening the folder or reading the file gave.
 */
int keeper_add(struct keeper *k, const char *path, const struct scsi_pr_keeper **out, void *state,
	       uint32_t *len);

/* Of the process, for tests. */
int keeper_pid(const struct keeper *k);

#endif
