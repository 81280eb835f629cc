/* SPDX-License-Identifier: MIT */
/*
 * The root's disks: opened at start or at run time, seen by every partition that has their
 * controller, taken away while they are in use.
 *
 * A removal goes through three hands, and nobody waits for another:
 *   LEAVING  detached from every target; the channels, each on its loop, finish what is in
 *            flight and destroy their queues. After this no loop knows the disk any more.
 *   CLOSING  a thread of its own flushes and closes the image: that may take seconds.
 *   free     the place, and the disk's number, are available again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/guid.h"
#include "base/log.h"
#include "vmwp/root_priv.h"

#define DVD_BLOCK 2048u

static const char *disk_label(const struct root_disk *d)
{
	if (d->blk.path)
		return d->blk.path;
	return root_disk_empty(d) ? "an empty drive" : blk_engine_name(d->blk.engine);
}

struct disk *disk_find(struct root *r, uint8_t controller, uint8_t number)
{
	for (struct disk *k = r->disk; k < r->disk + ROOT_MAX_DISKS; k++) {
		if (k->state != DISK_NONE && k->controller == controller && k->number == number)
			return k;
	}
	return NULL;
}

static struct disk *free_place(struct root *r)
{
	for (struct disk *k = r->disk; k < r->disk + ROOT_MAX_DISKS; k++) {
		if (k->state == DISK_NONE)
			return k;
	}
	return NULL;
}

/* ---- opening --------------------------------------------------------------------- */

static int choose_lun(struct root *r, const struct root_disk *d, uint8_t *out, char *why, size_t n)
{
	const struct disk *there;
	uint8_t lun = d->lun;

	if (lun == ROOT_LUN_NEXT) {
		for (lun = 0; lun < SCSI_MAX_LUNS && disk_find(r, d->controller, lun); lun++)
			;
	}
	there = disk_find(r, d->controller, lun);
	if (lun >= SCSI_MAX_LUNS || there) {
		snprintf(why, n, "%s: controller %u has no free LUN%s%s", disk_label(d),
			 d->controller, d->lun == ROOT_LUN_NEXT ? "" : " of that number",
			 there && there->state != DISK_SERVING
				 ? "; the disk there is still being removed"
				 : "");
		return -EEXIST;
	}
	*out = lun;
	return 0;
}

/* What outlives us of a disk's reservations: a file beside an image; other disks do without. */
struct kept {
	const struct scsi_pr_keeper *keeper;
	uint32_t len;
	uint8_t state[SCSI_PR_STATE_MAX + 1];
};

static int add_kept(struct root *r, const struct root_disk *d, struct kept *out)
{
	struct keeper_place found;
	int err;

	if (d->place)
		return keeper_add(r->keeper, d->place, &out->keeper, out->state, &out->len);
	if (d->blk.image) /* of somebody who did not hand over where they are */
		return -ENOTSUP;
	err = keeper_find(&found, d->blk.path);
	if (err)
		return err;
	err = keeper_add(r->keeper, &found, &out->keeper, out->state, &out->len);
	keeper_place_close(&found);
	return err;
}

static void find_kept(struct root *r, const struct root_disk *d, struct kept *out)
{
	int err;

	out->keeper = NULL;
	out->len = 0;
	if (!r->keeper || !d->blk.path)
		return;
	err = add_kept(r, d, out);
	if (err && err != -ENOTSUP)
		log_warn("%s: its reservations will not outlive this root: %s", d->blk.path,
			 strerror(-err));
}

static int create_lun(struct root *r, const struct root_disk *d, struct disk *k, char *why,
		      size_t n)
{
	struct scsi_lun_config lc = {
		.type = d->type, .dev = k->dev, .serial = d->serial, .max_transfer = 256 * 1024
	};
	struct kept kept;
	char reason[64];
	int err;

	find_kept(r, d, &kept);
	lc.keeper = kept.keeper;
	k->keeper = kept.keeper;
	err = scsi_lun_create(&k->lun, &lc);
	if (err) {
		snprintf(why, n, "%s: %s", disk_label(d), strerror(-err));
		keeper_drop(r->keeper, kept.keeper);
		return err;
	}
	err = kept.len ? scsi_lun_restore(k->lun, kept.state, kept.len, reason, sizeof(reason)) : 0;
	if (err) {
		snprintf(why, n, "%s.pr holds no reservations: %s; remove it to go on without",
			 disk_label(d), reason);
		scsi_lun_destroy(k->lun);
		keeper_drop(r->keeper, kept.keeper);
	}
	return err;
}

static int add_faults(struct blk_dev *dev, const struct root_disk *d, const char *text, char *why,
		      size_t n)
{
	struct blk_fault f[BLK_MAX_FAULTS];
	uint32_t block = d->type == SCSI_DVD ? DVD_BLOCK : d->blk.block_size;
	int count = blk_fault_parse(text, block, f, BLK_MAX_FAULTS, why, n);
	int err = count < 0 ? count : 0;

	for (int i = 0; i < count && !err; i++) {
		err = blk_dev_fault_add(dev, &f[i], NULL);
		if (err)
			snprintf(why, n, "%s: fault=%s: %s", disk_label(d), text, strerror(-err));
	}
	return err;
}

int disk_set_policy(struct blk_dev *dev, const struct blk_limits *limits, const struct root_disk *d,
		    char *why, size_t n)
{
	int err = 0;

	if (limits->iops || limits->bytes_per_s)
		err = blk_dev_set_limits(dev, limits);
	if (err)
		snprintf(why, n, "%s: limits: %s", disk_label(d), strerror(-err));
	for (uint32_t i = 0; i < d->nr_faults && !err; i++)
		err = add_faults(dev, d, d->fault[i], why, n);
	return err;
}

/* Who a drive is has nothing to do with what is in it. */
static int open_drive(struct root *r, struct disk *k, const struct root_disk *d, char *why,
		      size_t n)
{
	struct scsi_lun_config lc = { .type = SCSI_DVD,
				      .serial = d->serial,
				      .max_transfer = 256 * 1024 };
	struct guid id;
	char key[160];
	int err;

	snprintf(key, sizeof(key), "hvbus-drive %u %u %s", k->controller, k->number, r->label);
	guid_from_name(&id, key, (uint32_t)strlen(key));
	memcpy(lc.id, id.b, sizeof(lc.id));
	k->limits = d->limits;
	err = scsi_lun_create(&k->lun, &lc);
	if (err) {
		snprintf(why, n, "%s: %s", disk_label(d), strerror(-err));
		return err;
	}
	err = root_disk_empty(d) ? 0 : medium_change(k, d, why, n);
	if (err)
		scsi_lun_destroy(k->lun);
	return err;
}

static int open_image(struct root *r, struct disk *k, const struct root_disk *d, char *why,
		      size_t n)
{
	int err;

	if (d->type == SCSI_DVD)
		return open_drive(r, k, d, why, n);
	err = blk_dev_open(&k->dev, &d->blk, why, n);
	if (err)
		return err;
	err = disk_set_policy(k->dev, &d->limits, d, why, n);
	if (!err)
		err = create_lun(r, d, k, why, n);
	if (err)
		blk_dev_close(k->dev);
	return err;
}

int disk_open(struct root *r, const struct root_disk *d, struct disk **out, char *why, size_t n)
{
	struct disk *k = free_place(r);
	uint8_t number;
	int err;

	if (!k) {
		snprintf(why, n, "%s: %d disks are the limit; remove one first", disk_label(d),
			 ROOT_MAX_DISKS);
		return -ENOSPC;
	}
	err = choose_lun(r, d, &number, why, n);
	if (err)
		return err;
	*k = (struct disk){ .root = r, .controller = d->controller, .number = number };
	err = open_image(r, k, d, why, n);
	if (err)
		return err;
	k->state = DISK_SERVING;
	r->controllers |= 1u << d->controller;
	*out = k;
	return 0;
}

/* ---- partitions that are there already ------------------------------------------- */

bool disk_seen_by(const struct disk *k, const struct guest *g)
{
	const struct scsi_target *t = g->target[k->controller];

	return t && g->ctl[k->controller] && scsi_target_lun(t, k->number) == k->lun;
}

void disk_announce(struct root *r, uint8_t controller)
{
	for (struct guest *g = r->guests; g; g = g->next) {
		if (g->ctl[controller])
			storvsp_bus_changed(g->ctl[controller]);
	}
}

static void luns_changed(struct root *r, uint8_t controller)
{
	for (struct guest *g = r->guests; g; g = g->next) {
		if (g->ctl[controller])
			storvsp_luns_changed(g->ctl[controller]);
	}
}

void disk_plug(struct disk *k)
{
	struct root *r = k->root;
	int err;

	for (struct guest *g = r->guests; g; g = g->next) {
		if (!g->ctl[k->controller])
			continue;
		err = scsi_target_attach(g->target[k->controller], k->number, k->lun);
		if (err) /* the number is free in every target, or it would be in the table */
			log_error("disk %u:%u: partition %u: %s", k->controller, k->number,
				  hv_partition_id(g->partition), strerror(-err));
	}
	luns_changed(r, k->controller);
}

/* ---- removal ------------------------------------------------------------------------- */

static bool held(const struct disk *k)
{
	for (const struct guest *g = k->root->guests; g; g = g->next) {
		const struct storvsp *s = g->ctl[k->controller];

		if (s && storvsp_releasing(s, k->number))
			return true;
	}
	return false;
}

static void disk_gone(struct disk *k)
{
	struct conn *waiter = k->waiter;

	log_info("disk %u:%u is removed", k->controller, k->number);
	k->state = DISK_NONE;
	if (waiter)
		control_removed(waiter, k);
}

static void closed(struct loop_call *call)
{
	struct disk *k = container_of(call, struct disk, closed_call);

	if (k->state != DISK_CLOSING) /* disks_close() was faster */
		return;
	pthread_join(k->closer, NULL);
	disk_gone(k);
}

static void *close_image(void *arg)
{
	struct disk *k = arg;

	blk_dev_close(k->dev);
	loop_post(k->root->loop, &k->closed_call);
	return NULL;
}

static void start_closing(struct disk *k)
{
	scsi_lun_destroy(k->lun);
	keeper_drop(k->root->keeper, k->keeper);
	if (!k->dev) { /* a drive: its media are read-only, so closing them takes no time */
		media_close(k->root);
		disk_gone(k);
		return;
	}
	k->closed_call.fn = closed;
	k->state = DISK_CLOSING;
	if (!pthread_create(&k->closer, NULL, close_image, k))
		return;
	blk_dev_close(k->dev); /* no thread to be had: everybody waits */
	disk_gone(k);
}

static void look_at_leaving(struct root *r)
{
	for (struct disk *k = r->disk; k < r->disk + ROOT_MAX_DISKS; k++) {
		if (k->state == DISK_LEAVING && !held(k))
			start_closing(k);
	}
}

static void released(struct loop_call *call)
{
	struct root *r = container_of(call, struct root, release_call);

	/* Pairs with the exchange in disk_released(): what was released before is seen. */
	__atomic_exchange_n(&r->release_posted, 0, __ATOMIC_ACQ_REL);
	media_close(r);
	look_at_leaving(r);
}

void disk_released(void *root)
{
	struct root *r = root;

	if (!__atomic_exchange_n(&r->release_posted, 1, __ATOMIC_ACQ_REL))
		loop_post(r->loop, &r->release_call);
}

void disk_unplug(struct disk *k)
{
	struct root *r = k->root;

	k->state = DISK_LEAVING;
	for (struct guest *g = r->guests; g; g = g->next) {
		if (!g->target[k->controller])
			continue;
		scsi_target_detach(g->target[k->controller], k->number);
		if (g->ctl[k->controller])
			storvsp_release_lun(g->ctl[k->controller], k->number);
	}
	luns_changed(r, k->controller);
	disk_released(r); /* there may be nobody who would say it */
}

/* ---- size ---------------------------------------------------------------------------- */

int disk_resize(struct disk *k, uint64_t size, bool shrink, char *why, size_t n)
{
	int err;

	if (!k->dev) {
		snprintf(why, n, "disk %u:%u is a drive: its medium has the size of its file",
			 k->controller, k->number);
		return -ENOTSUP;
	}
	err = blk_dev_resize(k->dev, size, shrink, why, n);
	if (err)
		return err;
	scsi_lun_resized(k->lun);
	disk_announce(k->root, k->controller);
	return 0;
}

/* ---- policy -------------------------------------------------------------------------- */

uint32_t disk_block_size(const struct disk *k)
{
	struct blk_info info;

	if (disk_is_drive(k))
		return DVD_BLOCK;
	blk_dev_info(k->dev, &info);
	return info.block_size;
}

int disk_set_limits(struct disk *k, const struct blk_limits *l)
{
	struct scsi_medium *m;
	struct blk_dev *dev = disk_dev_get(k, &m);
	int err = dev ? blk_dev_set_limits(dev, l) : 0;

	scsi_medium_put(m);
	if (!err)
		k->limits = *l;
	return err;
}

/* As they are in force, with what was filled in. */
void disk_get_limits(const struct disk *k, struct blk_limits *out)
{
	if (!disk_is_drive(k)) {
		blk_dev_get_limits(k->dev, out);
		return;
	}
	*out = k->limits;
	if (!out->burst_ms)
		out->burst_ms = BLK_BURST_MS;
}

/* ---- all of them ------------------------------------------------------------------------ */

void disks_init(struct root *r)
{
	r->release_call.fn = released;
}

void disks_close(struct root *r)
{
	for (struct disk *k = r->disk; k < r->disk + ROOT_MAX_DISKS; k++) {
		switch (k->state) {
		case DISK_NONE:
			continue;
		case DISK_CLOSING:
			pthread_join(k->closer, NULL);
			break;
		case DISK_SERVING:
		case DISK_LEAVING:
			scsi_lun_destroy(k->lun);
			blk_dev_close(k->dev);
			break;
		}
		k->state = DISK_NONE;
	}
	media_close(r);
}
