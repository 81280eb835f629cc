/* SPDX-License-Identifier: MIT */
/*
 * What is in a drive. The owner puts images in and takes them out while partitions read them;
 * a guest may take one out too (START STOP UNIT), and cannot put one in.
 *
 * An image stays open until the last queue to it is gone, which may be on any loop; whoever
 * lets go of it last says so, and the main loop closes it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "vmwp/root_priv.h"

bool disk_is_drive(const struct disk *k)
{
	return !k->dev;
}

struct blk_dev *disk_dev_get(const struct disk *k, struct scsi_medium **m)
{
	*m = disk_is_drive(k) ? scsi_lun_medium_get(k->lun) : NULL;
	return *m ? scsi_medium_dev(*m) : k->dev;
}

/* Any thread. */
static void released(void *ctx, struct blk_dev *dev)
{
	struct medium *m = ctx;
	struct root *r = m->drive->root;

	(void)dev;
	store_release(&m->released, 1); /* pairs with media_close(), which then frees @m */
	disk_released(r);
}

static struct medium *open_medium(struct disk *k, const struct root_disk *d, char *why, size_t n)
{
	struct medium *m = calloc(1, sizeof(*m));
	int err;

	if (!m) {
		snprintf(why, n, "out of memory");
		return NULL;
	}
	m->drive = k;
	err = blk_dev_open(&m->dev, &d->blk, why, n);
	if (!err) {
		err = disk_set_policy(m->dev, &k->limits, d, why, n);
		if (err)
			blk_dev_close(m->dev);
	}
	if (!err)
		return m;
	free(m);
	errno = -err;
	return NULL;
}

/* Every channel that has a queue to the one before is asked to let go of it. */
static void tell_guests(const struct disk *k)
{
	for (struct guest *g = k->root->guests; g; g = g->next)
		if (g->ctl[k->controller])
			storvsp_medium_changed(g->ctl[k->controller]);
}

int medium_change(struct disk *k, const struct root_disk *d, char *why, size_t n)
{
	struct scsi_medium *before;
	struct medium *m = NULL;
	struct blk_dev *old;
	int err;

	if (d) {
		errno = ENOMEM;
		m = open_medium(k, d, why, n);
		if (!m)
			return -errno;
	}
	old = disk_dev_get(k, &before);
	err = scsi_lun_set_medium(k->lun, m ? m->dev : NULL, released, m);
	if (!err && old)
		blk_dev_fault_remove(old, 0); /* nobody could any more, and some are stuck */
	scsi_medium_put(before);
	if (err && m) {
		blk_dev_close(m->dev);
		free(m);
	}
	if (err) {
		snprintf(why, n, "disk %u:%u: %s", k->controller, k->number, strerror(-err));
		return err;
	}
	if (m) {
		m->next = k->root->media;
		k->root->media = m;
	}
	tell_guests(k);
	return 0;
}

bool medium_settled(const struct disk *k)
{
	struct scsi_medium *now;
	struct blk_dev *dev = disk_dev_get(k, &now);
	bool settled = true;

	for (const struct medium *m = k->root->media; m; m = m->next)
		settled &= m->drive != k || m->dev == dev;
	scsi_medium_put(now);
	return settled;
}

static void close_one(struct medium **at)
{
	struct medium *m = *at;
	struct disk *k = m->drive;

	*at = m->next;
	blk_dev_close(m->dev);
	free(m);
	if (k->state == DISK_SERVING && k->waiter && medium_settled(k))
		control_swapped(k->waiter, k);
}

void media_close(struct root *r)
{
	struct medium **at = &r->media;

	while (*at) {
		if (load_acquire(&(*at)->released)) /* pairs with released() */
			close_one(at);
		else
			at = &(*at)->next;
	}
}
