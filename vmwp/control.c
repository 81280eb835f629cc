/* SPDX-License-Identifier: MIT */
/*
 * What a control client may ask of a running root: one JSON object {"do": VERB, ...} with at
 * most four descriptors, answered by one JSON object, which has "error" (a sentence) and
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
#include "vsc/disk_place.h"

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

const char *control_string(const struct control_call *c, const char *key)
{
	return json_string_value(json_object_get(c->in, key));
}

bool control_number(const struct control_call *c, const char *key, uint64_t max, uint64_t otherwise,
		    uint64_t *out, json_t **answer)
{
	const json_t *v = json_object_get(c->in, key);
	json_int_t n = v ? json_integer_value(v) : (json_int_t)otherwise;

	*out = (uint64_t)n;
	if (n >= 0 && *out <= max)
		return true;
	*answer = control_error(-EINVAL, "\"%s\" must be 0 to %llu", key, (unsigned long long)max);
	return false;
}

struct disk *control_disk(const struct control_call *c, json_t **answer)
{
	const char *text = control_string(c, "disk");
	uint8_t controller, number;
	struct disk *k;

	if (!disk_place_parse(text, &controller, &number)) {
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

/* ---- dispatch ---------------------------------------------------------------------------- */

static const struct control_verb verbs[] = {
	{ "inspect", do_inspect, { { 0 } } },
	{ "disk-list", do_disk_list, { { 0 } } },
	{ "disk-add",
	  control_disk_add,
	  { { "disk", JSON_STRING, true },
	    { "path", JSON_STRING, false },
	    { "fds", JSON_STRING, false } } },
	{ "disk-remove",
	  control_disk_remove,
	  { { "disk", JSON_STRING, true }, { "wait_ms", JSON_INTEGER, false } } },
	{ "disk-resize",
	  control_disk_resize,
	  { { "disk", JSON_STRING, true },
	    { "size", JSON_INTEGER, false },
	    { "shrink", JSON_TRUE, false } } },
	{ "disk-limit",
	  control_disk_limit,
	  { { "disk", JSON_STRING, true },
	    { "iops", JSON_INTEGER, false },
	    { "bps", JSON_INTEGER, false },
	    { "burst_ms", JSON_INTEGER, false } } },
	{ "disk-fault-add",
	  control_fault_add,
	  { { "disk", JSON_STRING, true },
	    { "fault", JSON_STRING, true },
	    { "seed", JSON_INTEGER, false } } },
	{ "disk-fault-clear",
	  control_fault_clear,
	  { { "disk", JSON_STRING, true }, { "id", JSON_INTEGER, false } } },
	{ "disk-medium", /* without "medium": nothing is in the drive afterwards */
	  control_disk_medium,
	  { { "disk", JSON_STRING, true },
	    { "medium", JSON_STRING, false },
	    { "path", JSON_STRING, false },
	    { "wait_ms", JSON_INTEGER, false } } },
	{ "guest-shutdown", /* without "guest": the only one there is */
	  control_guest_shutdown,
	  { { "guest", JSON_STRING, false },
	    { "kind", JSON_STRING, false },
	    { "wait_ms", JSON_INTEGER, false },
	    { "cut", JSON_TRUE, false } } },
	{ "guest-reboot",
	  control_guest_reboot,
	  { { "guest", JSON_STRING, false },
	    { "wait_ms", JSON_INTEGER, false },
	    { "cut", JSON_TRUE, false } } },
	{ "vm-pause", control_vm_pause, { { 0 } } },
	{ "vm-resume", control_vm_resume, { { 0 } } },
	{ "net-list", control_net_list, { { 0 } } },
	{ "net-link", /* any of what is not needed */
	  control_net_link,
	  { { "port", JSON_STRING, true },
	    { "up", JSON_TRUE, false },
	    { "speed", JSON_INTEGER, false },
	    { "changed", JSON_TRUE, false } } },
	{ "net-limit",
	  control_net_limit,
	  { { "port", JSON_STRING, true },
	    { "bps", JSON_INTEGER, false },
	    { "burst", JSON_INTEGER, false } } },
	{ "net-policy",
	  control_net_policy,
	  { { "port", JSON_STRING, true }, { "policy", JSON_STRING, true } } },
	{ "nic-add", /* without "guest": the machine, or the only one there is */
	  control_nic_add,
	  { { "nic", JSON_STRING, true }, { "guest", JSON_STRING, false } } },
	{ "nic-remove",
	  control_nic_remove,
	  { { "port", JSON_STRING, true }, { "wait_ms", JSON_INTEGER, false } } },
	{ "switch-join",
	  control_switch_join,
	  { { "switch", JSON_STRING, true }, { "port", JSON_STRING, true } } },
	{ "net-mirror", /* without "file": the port is not captured any more */
	  control_net_mirror,
	  { { "port", JSON_STRING, true }, { "file", JSON_STRING, false } } },
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

void control_request(struct conn *conn, const char *text, size_t len, const int *fd)
{
	struct control_call c = { .root = conn->root, .conn = conn };
	json_t *answer = NULL, *in = NULL;
	const struct control_verb *verb = control_parse(text, len, &in, &answer);

	memcpy(c.fd, fd, sizeof(c.fd));
	if (verb) {
		c.in = in;
		answer = verb->run(&c);
	}
	for (int i = 0; i < PROC_MAX_FDS; i++) {
		if (c.fd[i] >= 0)
			close(c.fd[i]);
	}
	json_decref(in);
	if (answer || !conn->wait)
		conn_answer(conn, answer);
}
