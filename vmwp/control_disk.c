/* SPDX-License-Identifier: MIT */
/*
 * Requests that make disks and media come and go, and disks another size: see vmwp/disk.c and
 * medium.c. Answers may come later, when nobody holds what is to go any more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmwp/control.h"
#include "vmwp/root_priv.h"

/* ---- arguments and answers ------------------------------------------------------------ */

static json_t *disk_json(const struct disk *k)
{
	json_t *o = json_object();

	json_object_set_new(o, "disk", inspect_disk(k->root, k));
	return o;
}

/* The descriptors that came are @d's image from now on. NULL: they are there if it needs them. */
static json_t *take_image(const struct control_call *c, struct root_disk *d,
			  struct blk_image *image, const char *command)
{
	const char *path = control_string(c, "path");

	*image = (struct blk_image){ c->fd[0], c->fd[1] };
	if (!d->blk.path)
		return NULL;
	if (path) /* the client's working directory is not ours */
		d->blk.path = path;
	if (image->fd < 0)
		return control_error(-EBADF, "%s: came without a descriptor; use `hvbus disk %s`",
				     d->blk.path, command);
	d->blk.image = image;
	return NULL;
}

static void waiter_gone(struct conn *c, void *disk);
static void waited_enough(struct conn *c, void *disk);

/* Who asks is answered by control_removed(), control_swapped() or waited_enough(). */
static void wait_for(struct control_call *c, struct disk *k, uint64_t wait_ms)
{
	static const struct conn_wait w = { waiter_gone, waited_enough };

	k->waiter = c->conn;
	conn_wait(c->conn, &w, k, wait_ms * 1000000);
}

static json_t *busy(const struct disk *k)
{
	return control_error(-EBUSY,
			     "disk %u:%u: somebody waits for its last medium to be closed; try "
			     "again in a moment",
			     k->controller, k->number);
}

/*
 * "fds" says what came, a letter for each: image, flush, directory of the reservations, state
 * of them. Without it there is an image and maybe its flush. Sorts c->fd so: image, flush.
 */
static json_t *take_fds(struct control_call *c, struct root_disk *d, struct keeper_place *place)
{
	static const char letters[] = "ifds";
	const char *text = control_string(c, "fds"), *path = control_string(c, "path");
	int fd[4] = { -1, -1, -1, -1 };

	if (!text)
		return NULL;
	for (size_t i = 0; text[i]; i++) {
		const char *at = strchr(letters, text[i]);

		if (i >= ARRAY_SIZE(fd) || !at || fd[at - letters] >= 0 || c->fd[i] < 0)
			return control_error(-EINVAL, "\"fds\" does not say what came");
		fd[at - letters] = c->fd[i];
	}
	for (size_t i = strlen(text); i < PROC_MAX_FDS; i++)
		if (c->fd[i] >= 0)
			return control_error(-EINVAL, "\"fds\" does not say all that came");
	memcpy(c->fd, fd, sizeof(fd));
	if (fd[2] < 0 || !path)
		return NULL;
	if (!keeper_place(place, path, fd[2], fd[3]))
		d->place = place;
	return NULL;
}

/* ---- add, remove, resize -------------------------------------------------------------- */

static json_t *open_added(struct control_call *c, struct root_disk *d)
{
	struct keeper_place place;
	struct blk_image image;
	char why[512] = "";
	struct disk *k;
	json_t *o = take_fds(c, d, &place);
	int err;

	if (!o)
		o = take_image(c, d, &image, "add");
	if (o)
		return o;
	err = disk_open(c->root, d, &k, why, sizeof(why));
	if (err)
		return control_error(err, "%s", why);
	if (d->blk.path)
		c->fd[0] = c->fd[1] = -1;
	disk_plug(k);
	log_info("disk %u:%u is added", k->controller, k->number);
	o = disk_json(k);
	json_object_set_new(o, "seen_by", inspect_viewers(k, true));
	json_object_set_new(o, "not_seen_by", inspect_viewers(k, false));
	return o;
}

json_t *control_disk_add(struct control_call *c)
{
	char *text = strdup(control_string(c, "disk"));
	struct root_disk d;
	char why[256] = "";
	json_t *o;

	if (!text)
		return NULL;
	if (root_parse_disk(&d, text, why, sizeof(why)))
		o = control_error(-EINVAL, "%s", why);
	else
		o = open_added(c, &d);
	free(text);
	return o;
}

json_t *control_disk_remove(struct control_call *c)
{
	json_t *answer = NULL;
	struct disk *k = control_disk(c, &answer);
	uint64_t wait_ms;

	if (!k ||
	    !control_number(c, "wait_ms", CONTROL_WAIT_MAX_MS, CONTROL_WAIT_MS, &wait_ms, &answer))
		return answer;
	if (k->waiter)
		return busy(k);
	wait_for(c, k, wait_ms);
	disk_unplug(k);
	return NULL;
}

json_t *control_disk_resize(struct control_call *c)
{
	bool shrink = json_is_true(json_object_get(c->in, "shrink"));
	json_t *answer = NULL;
	struct disk *k = control_disk(c, &answer);
	char why[512] = "";
	uint64_t size;
	int err;

	if (!k || !control_number(c, "size", INT64_MAX, 0, &size, &answer))
		return answer;
	err = disk_resize(k, size, shrink, why, sizeof(why));
	if (err)
		return control_error(err, "%s", why);
	return disk_json(k);
}

/* ---- media ------------------------------------------------------------------------------ */

/* @text, which is modified, is what the drive is to get; NULL: nothing. */
static json_t *change_medium(struct control_call *c, struct disk *k, char *text)
{
	struct blk_image image;
	struct root_disk d;
	char why[512] = "";
	json_t *answer;
	int err;

	if (text && root_parse_medium(&d, text, why, sizeof(why)))
		return control_error(-EINVAL, "%s", why);
	answer = text ? take_image(c, &d, &image, "swap-medium") : NULL;
	if (answer)
		return answer;
	err = medium_change(k, text ? &d : NULL, why, sizeof(why));
	if (err)
		return control_error(err, "%s", why);
	if (text && d.blk.path)
		c->fd[0] = c->fd[1] = -1;
	log_info("disk %u:%u: the medium is %s", k->controller, k->number,
		 !text	      ? "taken out"
		 : d.blk.path ? d.blk.path
			      : "in memory");
	return NULL;
}

json_t *control_disk_medium(struct control_call *c)
{
	const char *medium = control_string(c, "medium");
	json_t *answer = NULL;
	struct disk *k = control_disk(c, &answer);
	char *text = NULL;
	uint64_t wait_ms;

	if (!k ||
	    !control_number(c, "wait_ms", CONTROL_WAIT_MAX_MS, CONTROL_WAIT_MS, &wait_ms, &answer))
		return answer;
	if (!disk_is_drive(k))
		return control_error(-EINVAL,
				     "disk %u:%u is no drive: `hvbus disk add --disk "
				     "type=dvd` makes one",
				     k->controller, k->number);
	if (k->waiter)
		return busy(k);
	if (medium && !(text = strdup(medium)))
		return NULL;
	answer = change_medium(c, k, text);
	free(text);
	if (answer)
		return answer;
	if (medium_settled(k))
		return disk_json(k);
	wait_for(c, k, wait_ms);
	return NULL;
}

/* ---- answers that come later ---------------------------------------------------------- */

static json_t *removed(const struct disk *k)
{
	json_t *o = json_object();

	json_object_set_new(o, "controller", json_integer(k->controller));
	json_object_set_new(o, "lun", json_integer(k->number));
	json_object_set_new(o, "removed", json_true());
	return o;
}

void control_removed(struct conn *c, struct disk *k)
{
	k->waiter = NULL;
	conn_answer(c, removed(k));
}

void control_swapped(struct conn *c, struct disk *k)
{
	k->waiter = NULL;
	conn_answer(c, disk_json(k));
}

/* Who has not let go of @k, as the rest of a sentence. */
static void say_holders(const struct disk *k, char *out, size_t n)
{
	size_t at = 0;

	if (k->state == DISK_CLOSING)
		snprintf(out, n, "its image is still being flushed");
	for (const struct guest *g = k->root->guests; g && k->state == DISK_LEAVING; g = g->next) {
		const struct storvsp *s = g->ctl[k->controller];
		uint32_t channels = s ? storvsp_releasing(s, k->number) : 0;

		if (!channels || at >= n)
			continue;
		at += (size_t)snprintf(out + at, n - at,
				       "%spartition %u (%s) holds it on %u channel%s, the oldest "
				       "request is %.1f s old",
				       at ? "; " : "", hv_partition_id(g->partition),
				       hv_partition_name(g->partition), channels,
				       channels == 1 ? "" : "s",
				       (double)storvsp_oldest_ns(s, k->number) / 1e9);
	}
}

/* The oldest request of all, which is most likely what the old medium is held by. */
static json_t *still_read(const struct disk *k)
{
	uint64_t oldest = 0;

	for (const struct guest *g = k->root->guests; g; g = g->next) {
		uint64_t ns = g->ctl[k->controller]
				      ? storvsp_oldest_ns(g->ctl[k->controller], k->number)
				      : 0;

		oldest = ns > oldest ? ns : oldest;
	}
	return control_error(-EINPROGRESS,
			     "disk %u:%u: its medium is changed, but the one before is still in "
			     "use (the oldest request is %.1f s old): its file is not free yet",
			     k->controller, k->number, (double)oldest / 1e9);
}

/* The removal does not mind. */
static void waiter_gone(struct conn *c, void *disk)
{
	(void)c;
	((struct disk *)disk)->waiter = NULL;
}

static void waited_enough(struct conn *c, void *disk)
{
	struct disk *k = disk;
	char who[400] = "nobody holds it any more";

	k->waiter = NULL;
	if (k->state == DISK_SERVING) {
		conn_answer(c, still_read(k));
		return;
	}
	say_holders(k, who, sizeof(who));
	conn_answer(c, control_error(-EINPROGRESS,
				     "disk %u:%u: guests do not see it any more, but it is not "
				     "free yet: %s. The removal goes on; `hvbus disk list` tells "
				     "when it is over",
				     k->controller, k->number, who));
}
