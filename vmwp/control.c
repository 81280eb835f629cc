/* SPDX-License-Identifier: MIT */
/*
 * What a control client may ask of a running root: one JSON object {"do": VERB, ...} with at
 * most two descriptors, answered by one JSON object, which has "error" (a sentence) and
 * "errno" when it could not be done. A verb is a row of a table and one function.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vmwp/control.h"
#include "vmwp/root_priv.h"

#define WAIT_DEFAULT_MS 5000
#define WAIT_MAX_MS	600000

json_t *control_error(int err, const char *fmt, ...)
{
	json_t *o = json_object(), *text;
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	text = json_string(why); /* NULL: a name in it is not UTF-8 */
	json_object_set_new(o, "error", text ? text : json_string(strerror(-err)));
	json_object_set_new(o, "errno", json_integer(-err));
	return o;
}

/* ---- arguments ------------------------------------------------------------------- */

static const char *string_arg(const struct control_call *c, const char *key)
{
	return json_string_value(json_object_get(c->in, key));
}

/* False: *@answer says what is wrong. A number that is not there is @otherwise. */
static bool number_arg(const struct control_call *c, const char *key, uint64_t max,
		       uint64_t otherwise, uint64_t *out, json_t **answer)
{
	const json_t *v = json_object_get(c->in, key);
	json_int_t n = v ? json_integer_value(v) : (json_int_t)otherwise;

	*out = (uint64_t)n;
	if (n >= 0 && *out <= max)
		return true;
	*answer = control_error(-EINVAL, "\"%s\" must be 0 to %llu", key, (unsigned long long)max);
	return false;
}

/* The disk that "disk": "CTL:LUN" names. NULL: *@answer says why not. */
static struct disk *disk_arg(const struct control_call *c, json_t **answer)
{
	const char *text = string_arg(c, "disk");
	uint8_t controller, number;
	struct disk *k;

	if (root_parse_lun(text, &controller, &number)) {
		*answer = control_error(-EINVAL, "disk %s: CONTROLLER:LUN is needed, such as 0:1",
					text);
		return NULL;
	}
	k = disk_find(c->root, controller, number);
	if (!k)
		*answer = control_error(
			-ENOENT, "disk %s: there is none; `hvbus disk list` shows what is", text);
	else if (k->state != DISK_SERVING)
		*answer = control_error(-EALREADY, "disk %s: is being removed already", text);
	return k && k->state == DISK_SERVING ? k : NULL;
}

/* ---- verbs --------------------------------------------------------------------------- */

static json_t *do_inspect(struct control_call *c)
{
	return inspect_root(c->root);
}

static json_t *do_disk_list(struct control_call *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "disks", inspect_disks(c->root));
	return o;
}

static json_t *open_added(struct control_call *c, struct root_disk *d)
{
	struct blk_image image = { c->fd[0], c->fd[1] };
	char why[512] = "";
	struct disk *k;
	json_t *o;
	int err;

	if (d->blk.path && image.fd < 0)
		return control_error(-EBADF, "%s: came without a descriptor; use `hvbus disk add`",
				     d->blk.path);
	if (d->blk.path)
		d->blk.image = &image;
	err = disk_open(c->root, d, &k, why, sizeof(why));
	if (err)
		return control_error(err, "%s", why);
	if (d->blk.path)
		c->fd[0] = c->fd[1] = -1;
	disk_plug(k);
	log_info("disk %u:%u is added", k->controller, k->number);
	o = json_object();
	json_object_set_new(o, "disk", inspect_disk(c->root, k));
	json_object_set_new(o, "seen_by", inspect_viewers(k, true));
	json_object_set_new(o, "not_seen_by", inspect_viewers(k, false));
	return o;
}

static json_t *do_disk_add(struct control_call *c)
{
	const char *path = string_arg(c, "path");
	char *text = strdup(string_arg(c, "disk"));
	struct root_disk d;
	char why[256] = "";
	json_t *o;

	if (!text)
		return NULL;
	if (root_parse_disk(&d, text, why, sizeof(why))) {
		o = control_error(-EINVAL, "%s", why);
	} else {
		if (d.blk.path && path) /* the client's working directory is not ours */
			d.blk.path = path;
		o = open_added(c, &d);
	}
	free(text);
	return o;
}

static json_t *do_disk_remove(struct control_call *c)
{
	json_t *answer = NULL;
	struct disk *k = disk_arg(c, &answer);
	uint64_t wait_ms;

	if (!k || !number_arg(c, "wait_ms", WAIT_MAX_MS, WAIT_DEFAULT_MS, &wait_ms, &answer))
		return answer;
	k->waiter = c->conn;
	conn_wait(c->conn, k, wait_ms * 1000000);
	disk_unplug(k);
	return NULL;
}

static json_t *do_disk_resize(struct control_call *c)
{
	bool shrink = json_is_true(json_object_get(c->in, "shrink"));
	json_t *answer = NULL;
	struct disk *k = disk_arg(c, &answer);
	char why[512] = "";
	uint64_t size;
	int err;

	if (!k || !number_arg(c, "size", INT64_MAX, 0, &size, &answer))
		return answer;
	err = disk_resize(k, size, shrink, why, sizeof(why));
	if (err)
		return control_error(err, "%s", why);
	answer = json_object();
	json_object_set_new(answer, "disk", inspect_disk(c->root, k));
	return answer;
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

void control_late(struct conn *c, struct disk *k)
{
	char who[400] = "nobody holds it any more";

	k->waiter = NULL;
	say_holders(k, who, sizeof(who));
	conn_answer(c, control_error(-EINPROGRESS,
				     "disk %u:%u: guests do not see it any more, but it is not "
				     "free yet: %s. The removal goes on; `hvbus disk list` tells "
				     "when it is over",
				     k->controller, k->number, who));
}

/* ---- dispatch ---------------------------------------------------------------------------- */

static const struct control_verb verbs[] = {
	{ "inspect", do_inspect, { { 0 } } },
	{ "disk-list", do_disk_list, { { 0 } } },
	{ "disk-add",
	  do_disk_add,
	  { { "disk", JSON_STRING, true }, { "path", JSON_STRING, false } } },
	{ "disk-remove",
	  do_disk_remove,
	  { { "disk", JSON_STRING, true }, { "wait_ms", JSON_INTEGER, false } } },
	{ "disk-resize",
	  do_disk_resize,
	  { { "disk", JSON_STRING, true },
	    { "size", JSON_INTEGER, false },
	    { "shrink", JSON_TRUE, false } } },
};

static bool has_type(const json_t *v, json_type type)
{
	return type == JSON_TRUE ? json_is_boolean(v) : json_typeof(v) == type;
}

static const struct control_key *find_key(const struct control_verb *v, const char *name)
{
	for (const struct control_key *k = v->keys; k->name; k++) {
		if (!strcmp(k->name, name))
			return k;
	}
	return NULL;
}

/* NULL: all keys are known, of their type, and there. */
static json_t *check_keys(const struct control_verb *verb, json_t *in)
{
	const struct control_key *k;
	const char *name;
	json_t *value;

	json_object_foreach(in, name, value)
	{
		if (!strcmp(name, "do"))
			continue;
		k = find_key(verb, name);
		if (!k)
			return control_error(-EINVAL, "\"%s\" has no key \"%.64s\"", verb->name,
					     name);
		if (!has_type(value, k->type))
			return control_error(-EINVAL, "\"%s\": \"%s\" has the wrong type",
					     verb->name, name);
	}
	for (k = verb->keys; k->name; k++) {
		if (k->needed && !json_object_get(in, k->name))
			return control_error(-EINVAL, "\"%s\" needs \"%s\"", verb->name, k->name);
	}
	return NULL;
}

const struct control_verb *control_parse(const char *text, size_t len, json_t **in, json_t **error)
{
	json_error_t at;
	const char *name;

	*in = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
	if (!*in) {
		*error = control_error(-EPROTO, "the request is not JSON: line %d, column %d: %s",
				       at.line, at.column, at.text);
		return NULL;
	}
	name = json_string_value(json_object_get(*in, "do"));
	for (size_t i = 0; name && i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(name, verbs[i].name))
			continue;
		*error = check_keys(&verbs[i], *in);
		return *error ? NULL : &verbs[i];
	}
	*error = control_error(-ENOSYS, "the request's \"do\" names nothing that this root can do");
	return NULL;
}

void control_request(struct conn *conn, const char *text, size_t len, const int fd[2])
{
	struct control_call c = { .root = conn->root, .conn = conn, .fd = { fd[0], fd[1] } };
	json_t *answer = NULL, *in = NULL;
	const struct control_verb *verb = control_parse(text, len, &in, &answer);

	if (verb) {
		c.in = in;
		answer = verb->run(&c);
	}
	for (int i = 0; i < 2; i++) {
		if (c.fd[i] >= 0)
			close(c.fd[i]);
	}
	json_decref(in);
	if (answer || !conn->waits_for)
		conn_answer(conn, answer);
}
