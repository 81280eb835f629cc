/* SPDX-License-Identifier: MIT */
/*
 * A drive: tray, medium, and the commands that move or read it (spec: scsi-target, section
 * 16). What it says about itself and its medium is in scsi_mmc.c.
 *
 * A medium is counted. The drive holds it while it is in, and a transport for each queue to
 * it, so an image is let go of when the last queue is gone, never under a request. A command
 * comes with the medium that its queue leads to: when that is not in any more, it fails.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/param.h>

#include "vsp/storvsp/scsi/scsi_int.h"

struct scsi_medium {
	struct blk_dev *dev;
	uint32_t blocks;
	uint32_t refs;
	void (*released)(void *ctx, struct blk_dev *dev);
	void *ctx;
};

struct scsi_drive { /* under the LUN's lock */
	struct scsi_medium *medium;
	bool open; /* the tray; implies no medium */
};

enum { EVENT_NONE = 0, EVENT_NEW_MEDIUM = 2, EVENT_REMOVAL = 3 }; /* MMC, media class */

bool scsi_lun_is_drive(const struct scsi_lun *l)
{
	return l->drive != NULL;
}

/* ---- media -------------------------------------------------------------------------------- */

static struct scsi_medium *new_medium(const struct scsi_lun *l, struct blk_dev *dev)
{
	struct scsi_medium *m = calloc(1, sizeof(*m));
	struct blk_info info;

	if (!m)
		return NULL;
	blk_dev_info(dev, &info);
	m->dev = dev;
	m->blocks = (uint32_t)MIN(info.size >> l->shift, UINT32_MAX); /* a rest is not there */
	m->refs = 1;
	return m;
}

struct scsi_medium *scsi_lun_medium_get(struct scsi_lun *l)
{
	struct scsi_medium *m;

	pthread_mutex_lock(&l->lock);
	m = l->drive->medium;
	if (m)
		__atomic_fetch_add(&m->refs, 1, __ATOMIC_RELAXED); /* the drive has one, too */
	pthread_mutex_unlock(&l->lock);
	return m;
}

void scsi_medium_put(struct scsi_medium *m)
{
	/* Release orders our use before the end, acquire the end behind everybody's. */
	if (!m || __atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (m->released)
		m->released(m->ctx, m->dev);
	free(m);
}

struct blk_dev *scsi_medium_dev(const struct scsi_medium *m)
{
	return m->dev;
}

/* Under the lock. What nobody read yet is overtaken: the latest is what counts. */
static void tell(struct scsi_lun *l, uint8_t event)
{
	for (struct scsi_nexus *n = l->nexuses; n; n = n->next) {
		n->event = event;
		if (event == EVENT_NEW_MEDIUM)
			scsi_nexus_attention(n, SCSI_UA_MEDIUM_CHANGED);
	}
}

/* Under the lock. The medium that was in, for the caller to let go of without it. */
static struct scsi_medium *exchange(struct scsi_lun *l, struct scsi_medium *m, bool open)
{
	struct scsi_medium *old = l->drive->medium;

	l->drive->medium = m;
	l->drive->open = open;
	if (m || old)
		tell(l, m ? EVENT_NEW_MEDIUM : EVENT_REMOVAL);
	return old;
}

int scsi_lun_set_medium(struct scsi_lun *l, struct blk_dev *dev,
			void (*released)(void *ctx, struct blk_dev *dev), void *ctx)
{
	struct scsi_medium *m = NULL, *old;

	if (!l->drive)
		return -EINVAL;
	if (dev) {
		m = new_medium(l, dev);
		if (!m)
			return -ENOMEM;
		m->released = released;
		m->ctx = ctx;
	}
	pthread_mutex_lock(&l->lock);
	old = exchange(l, m, false);
	pthread_mutex_unlock(&l->lock);
	scsi_medium_put(old);
	return 0;
}

int scsi_drive_create(struct scsi_lun *l, struct blk_dev *dev)
{
	l->drive = calloc(1, sizeof(*l->drive));
	if (!l->drive)
		return -ENOMEM;
	if (!dev)
		return 0;
	l->drive->medium = new_medium(l, dev);
	if (l->drive->medium)
		return 0;
	free(l->drive);
	return -ENOMEM;
}

void scsi_drive_destroy(struct scsi_lun *l)
{
	if (l->drive)
		scsi_medium_put(l->drive->medium);
	free(l->drive);
}

/* ---- what is in ------------------------------------------------------------------------------ */

uint32_t scsi_drive_medium(const struct scsi_task *t, uint32_t *blocks)
{
	struct scsi_lun *l = t->lun;
	uint32_t sense = 0;

	pthread_mutex_lock(&l->lock);
	if (!l->drive->medium)
		sense = l->drive->open ? SENSE_NO_MEDIUM_OPEN : SENSE_NO_MEDIUM_CLOSED;
	else if (l->drive->medium != t->medium)
		sense = SENSE_BECOMING_READY; /* changed under our feet: again, please */
	else
		*blocks = l->drive->medium->blocks;
	pthread_mutex_unlock(&l->lock);
	return sense;
}

#define MEDIUM_PRESENT 0x02
#define TRAY_OPEN      0x01

uint8_t scsi_drive_event(struct scsi_nexus *n, bool take, uint8_t *status)
{
	struct scsi_lun *l = n->lun;
	uint8_t event;

	pthread_mutex_lock(&l->lock);
	event = n->event;
	if (take)
		n->event = EVENT_NONE;
	*status = (l->drive->medium ? MEDIUM_PRESENT : 0) | (l->drive->open ? TRAY_OPEN : 0);
	pthread_mutex_unlock(&l->lock);
	return event;
}

bool scsi_drive_locked(const struct scsi_lun *l)
{
	for (const struct scsi_nexus *n = l->nexuses; n; n = n->next)
		if (n->prevents)
			return true;
	return false;
}

/* ---- commands
 * ------------------------------------------------------------------------------------ */

bool scsi_dvd_ready(struct scsi_task *t, struct scsi_cmd c)
{
	uint32_t blocks, sense = scsi_drive_medium(t, &blocks);

	(void)c;
	return sense ? scsi_fail(t, sense) : scsi_good(t, 0);
}

bool scsi_dvd_capacity(struct scsi_task *t, struct scsi_cmd c)
{
	uint32_t blocks, sense = scsi_drive_medium(t, &blocks);
	uint8_t p[8];

	(void)c;
	if (sense)
		return scsi_fail(t, sense);
	be32_put(p, blocks ? blocks - 1 : 0);
	be32_put(p + 4, scsi_block_size(t->lun));
	return scsi_data_in(t, p, sizeof(p), sizeof(p));
}

bool scsi_dvd_read(struct scsi_task *t, struct scsi_cmd c)
{
	uint32_t blocks, sense = scsi_drive_medium(t, &blocks);

	if (sense)
		return scsi_fail(t, sense);
	if (c.lba > blocks || c.count > blocks - c.lba)
		return scsi_fail(t, SENSE_LBA_RANGE);
	if (c.count > t->lun->max_blocks || t->data_len < c.count << t->lun->shift)
		return scsi_fail(t, SENSE_CDB_FIELD);
	return scsi_read(t, c);
}

/* ---- READ CD, READ CD MSF ------------------------------------------------------------- */

#define SECTOR_TYPE 0x1c /* byte 1; 0: any */
#define MODE_1	    0x08
#define USER_DATA   0x10 /* byte 9: the 2048 bytes and nothing around them */
#define SUBCHANNELS 0x07 /* byte 10 */

/* All that an image has of a CD: the user data of Mode 1. Sense code or 0. */
static uint32_t check_read_cd(const uint8_t *cdb)
{
	if (cdb[9] != USER_DATA || (cdb[10] & SUBCHANNELS))
		return SENSE_CDB_FIELD;
	return (cdb[1] & SECTOR_TYPE) && (cdb[1] & SECTOR_TYPE) != MODE_1 ? SENSE_WRONG_TRACK : 0;
}

static bool read_cd(struct scsi_task *t, uint32_t lba, uint32_t count)
{
	uint32_t sense = check_read_cd(t->cdb);

	if (sense)
		return scsi_fail(t, sense);
	return scsi_dvd_read(t, (struct scsi_cmd){ .lba = lba, .count = count });
}

bool scsi_dvd_read_cd(struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	return read_cd(t, be32_at(t->cdb + 2), be32_at(t->cdb + 5) & 0xffffff);
}

#define MSF_OFFSET 150u /* frames of the lead-in; the frame that is LBA 0 */
#define SECONDS	   60u
#define FRAMES	   75u

/* False: there is no such time. */
static bool frame_at(const uint8_t *msf, uint32_t *frame)
{
	*frame = (msf[0] * SECONDS + msf[1]) * FRAMES + msf[2];
	return msf[1] < SECONDS && msf[2] < FRAMES;
}

/* From the first time up to the second, and without that. */
bool scsi_dvd_read_cd_msf(struct scsi_task *t, struct scsi_cmd c)
{
	uint32_t first, end;

	(void)c;
	if (!frame_at(t->cdb + 3, &first) || !frame_at(t->cdb + 6, &end) || first > end)
		return scsi_fail(t, SENSE_CDB_FIELD);
	return read_cd(t, first - MSF_OFFSET, end - first); /* the lead-in: out of any range */
}

/* ---- tray and lock ------------------------------------------------------------------------ */

#define POWER_CONDITION 0xf0 /* byte 4 */
#define LOEJ		0x02
#define START		0x01

static bool eject(struct scsi_task *t)
{
	struct scsi_lun *l = t->lun;
	struct scsi_medium *old = NULL;
	uint32_t sense = 0;

	pthread_mutex_lock(&l->lock);
	if (scsi_drive_locked(l))
		sense = l->drive->medium ? SENSE_REMOVAL_PREVENTED : SENSE_PREVENTED_EMPTY;
	else
		old = exchange(l, NULL, true);
	pthread_mutex_unlock(&l->lock);
	scsi_medium_put(old);
	return sense ? scsi_fail(t, sense) : scsi_good(t, 0);
}

bool scsi_dvd_start_stop(struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	if ((t->cdb[4] & POWER_CONDITION) || !(t->cdb[4] & LOEJ))
		return scsi_good(t, 0);
	if (!(t->cdb[4] & START))
		return eject(t);
	pthread_mutex_lock(&t->lun->lock);
	t->lun->drive->open = false;
	pthread_mutex_unlock(&t->lun->lock);
	return scsi_good(t, 0);
}

#define PREVENT 0x01 /* byte 4; the persistent kind is not told apart */

bool scsi_dvd_prevent(struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	pthread_mutex_lock(&t->lun->lock);
	t->nexus->prevents = t->cdb[4] & PREVENT;
	pthread_mutex_unlock(&t->lun->lock);
	return scsi_good(t, 0);
}
