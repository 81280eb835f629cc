/* SPDX-License-Identifier: MIT */
/*
 * Requests about what stands between a disk's users and its engine: limits, and faults on
 * purpose (vsp/storvsp/blk/blk_policy.h).
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "vmwp/control.h"
#include "vmwp/root_priv.h"

static json_t *disk_json(const struct disk *k)
{
	json_t *o = json_object();

	json_object_set_new(o, "disk", inspect_disk(k->root, k));
	return o;
}

/* ---- limits --------------------------------------------------------------------------- */

/* What is not given stays as it is. */
json_t *control_disk_limit(struct control_call *c)
{
	struct blk_limits l = { 0 };
	json_t *answer = NULL;
	struct disk *k = control_disk(c, &answer);
	uint64_t burst;
	int err;

	if (!k)
		return answer;
	disk_get_limits(k, &l);
	if (!control_number(c, "iops", BLK_MAX_IOPS, l.iops, &l.iops, &answer) ||
	    !control_number(c, "bps", BLK_MAX_BPS, l.bytes_per_s, &l.bytes_per_s, &answer) ||
	    !control_number(c, "burst_ms", BLK_MAX_BURST, l.burst_ms, &burst, &answer))
		return answer;
	l.burst_ms = l.iops || l.bytes_per_s ? (uint32_t)burst : 0;
	err = disk_set_limits(k, &l);
	if (err)
		return control_error(err, "disk %u:%u: limits: %s", k->controller, k->number,
				     strerror(-err));
	log_info("disk %u:%u: limits are %llu requests/s, %llu bytes/s (0: none)", k->controller,
		 k->number, (unsigned long long)l.iops, (unsigned long long)l.bytes_per_s);
	return disk_json(k);
}

/* ---- faults ------------------------------------------------------------------------------ */

/* All of them or none. */
static int add_rules(struct blk_dev *dev, const struct blk_fault *f, uint32_t n, json_t *ids)
{
	uint32_t id[BLK_MAX_FAULTS], i;
	int err = 0;

	for (i = 0; i < n && !err; i++)
		err = blk_dev_fault_add(dev, &f[i], &id[i]);
	if (err) {
		while (--i > 0)
			blk_dev_fault_remove(dev, id[i - 1]);
		return err;
	}
	for (i = 0; i < n; i++)
		json_array_append_new(ids, json_integer(id[i]));
	return 0;
}

static json_t *add_faults(const struct disk *k, struct blk_dev *dev, const char *text,
			  uint64_t seed)
{
	struct blk_fault f[BLK_MAX_FAULTS];
	json_t *ids, *o;
	char why[256];
	int n = blk_fault_parse(text, disk_block_size(k), f, BLK_MAX_FAULTS, why, sizeof(why));
	int err;

	if (n < 0)
		return control_error(n, "%s", why);
	if (seed)
		blk_dev_fault_seed(dev, seed);
	ids = json_array();
	err = add_rules(dev, f, (uint32_t)n, ids);
	if (err) {
		json_decref(ids);
		return control_error(err,
				     err == -ENOSPC
					     ? "disk %u:%u: it has as many faults as it may; "
					       "clear some first"
					     : "disk %u:%u: the fault cannot be had",
				     k->controller, k->number);
	}
	log_warn("disk %u:%u: faults on purpose: %s", k->controller, k->number, text);
	o = disk_json(k);
	json_object_set_new(o, "added", ids);
	return o;
}

/* The device that has the faults; NULL: *@answer says that the drive is empty. */
static struct blk_dev *faulty_dev(const struct disk *k, struct scsi_medium **m, json_t **answer)
{
	struct blk_dev *dev = disk_dev_get(k, m);

	if (!dev)
		*answer = control_error(-ENOMEDIUM,
					"disk %u:%u: the drive is empty, and faults are those of "
					"a medium",
					k->controller, k->number);
	return dev;
}

json_t *control_fault_add(struct control_call *c)
{
	json_t *answer = NULL;
	struct disk *k = control_disk(c, &answer);
	struct scsi_medium *m = NULL;
	struct blk_dev *dev;
	uint64_t seed;

	if (!k || !control_number(c, "seed", INT64_MAX, 0, &seed, &answer))
		return answer;
	dev = faulty_dev(k, &m, &answer);
	if (dev)
		answer = add_faults(k, dev, control_string(c, "fault"), seed);
	scsi_medium_put(m);
	return answer;
}

/* "id" 0, or none: all of them. What they held goes on. */
json_t *control_fault_clear(struct control_call *c)
{
	json_t *answer = NULL;
	struct disk *k = control_disk(c, &answer);
	struct scsi_medium *m = NULL;
	struct blk_dev *dev;
	uint64_t id;

	if (!k || !control_number(c, "id", UINT32_MAX, 0, &id, &answer))
		return answer;
	dev = faulty_dev(k, &m, &answer);
	if (dev)
		answer = blk_dev_fault_remove(dev, (uint32_t)id)
				 ? control_error(-ENOENT,
						 "disk %u:%u: there is no fault %llu; `hvbus disk "
						 "fault` lists them",
						 k->controller, k->number, (unsigned long long)id)
				 : disk_json(k);
	scsi_medium_put(m);
	return answer;
}
