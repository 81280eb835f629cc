/* SPDX-License-Identifier: MIT */
/* Waiting for commands that run elsewhere, see scsi.h. */
#include "base/atomic.h"
#include "vsp/storvsp/scsi/scsi.h"

void scsi_fence_init(struct scsi_fence *f, void (*passed)(struct scsi_fence *f))
{
	*f = (struct scsi_fence){ .left = 1, .passed = passed };
}

void scsi_fence_hold(struct scsi_fence *f)
{
	__atomic_fetch_add(&f->left, 1,
			   __ATOMIC_RELAXED); /* the caller's own part is still there */
}

void scsi_fence_fail(struct scsi_fence *f)
{
	store_relaxed(&f->failed, 1); /* published with the part, by scsi_fence_last() */
}

bool scsi_fence_last(struct scsi_fence *f)
{
	/* Release: what the commands did comes before. Acquire: who is last answers for all. */
	return !__atomic_sub_fetch(&f->left, 1, __ATOMIC_ACQ_REL);
}

void scsi_fence_pass(struct scsi_fence *f)
{
	if (scsi_fence_last(f))
		f->passed(f);
}
