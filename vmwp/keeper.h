/* SPDX-License-Identifier: MIT */
/*
 * Small processes that keep the reservations of disks over restarts of the root, in a file
 * beside each image. The root itself may then be locked up so that it can neither open nor
 * rename anything: it hands over the folder, which it or somebody else opened, and later only
 * bytes.
 *
 *   file     IMAGE.pr, replaced as a whole: temporary file, fsync, rename, fsync of the folder
 *   end      the processes end when the root does, however that happens
 *
 * Threads: create, add, destroy on the main loop; the keeper of a disk on any of the loops.
 */
#ifndef HVBUS_VMWP_KEEPER_H
#define HVBUS_VMWP_KEEPER_H

#include "base/loop.h"
#include "vmwp/sandbox.h"
#include "vsp/storvsp/scsi/scsi.h"

struct keeper;

#define KEEPER_MAX_DISKS 64
#define KEEPER_NAME_MAX	 255 /* of a file */

/*
 * Forks. Early: the process keeps no file of the caller's but its own socket. @main takes the
 * answers, and each one is given to the loop that asked, @main or one of keeper_loops(). With a
 * @mode that confines, the processes give up what they do not need, as a root does; what each
 * can still do is in keeper_main.c. Errors: -EAGAIN, -ENOMEM, -EMFILE.
 */
int keeper_create(struct keeper **out, struct loop *main, enum sandbox_mode mode);
/* No save is under way. Waits until the process has finished. NULL: nothing. */
void keeper_destroy(struct keeper *k);

/* The other loops that may ask; borrowed, set before the first does. */
void keeper_loops(struct keeper *k, struct loop *const *loops, uint32_t n);

/* Where the reservations of an image are, for who may open nothing itself. */
struct keeper_place {
	int folder, state; /* -1: nothing was kept yet */
	char file[KEEPER_NAME_MAX + 1];
};

/*
 * Of the image file at @path, whether or not it is there; with the rights of the caller. Errors:
 * -ENOTSUP (no regular file), or what opening the folder or the file gave; nothing is open then.
 */
int keeper_find(struct keeper_place *out, const char *path);
/* @folder and @state, which stay the caller's, may come from anybody. -EINVAL, -ENAMETOOLONG. */
int keeper_place(struct keeper_place *out, const char *path, int folder, int state);
void keeper_place_close(struct keeper_place *p);

/*
 * The disk of @place (the caller's as before) gets a keeper: *@out, which lives until
 * keeper_drop(), and in @state what was kept before, *@len bytes (0: nothing, at most
 * SCSI_PR_STATE_MAX + 1, so that a longer file is seen to be wrong). Errors: -ENOTSUP (no
 * regular file), -ENOTDIR, -ENOSPC (too many disks), or what reading the file gave.
 */
int keeper_add(struct keeper *k, const struct keeper_place *place,
	       const struct scsi_pr_keeper **out, void *state, uint32_t *len);
/* No save of it is under way. NULL: nothing. */
void keeper_drop(struct keeper *k, const struct scsi_pr_keeper *kept);

/* Of the process, for tests. */
int keeper_pid(const struct keeper *k);

#endif
