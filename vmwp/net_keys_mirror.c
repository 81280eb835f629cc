/* SPDX-License-Identifier: MIT */
/* Mirrors, and ports as people name them. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmwp/net_keys.h"

static int set_file(const struct key_item *it)
{
	if (strlen(it->value) >= PATH_MAX)
		return key_wrong(it, "a path is at most 4095 bytes long");
	strcpy(it->field, it->value);
	return 0;
}

#define MIRROR(field) .offset = offsetof(struct root_mirror, field)

static const struct key mirror_keys[] = {
	{ "switch", key_name, MIRROR(switch_name) },
	{ "port", key_name, MIRROR(port) },
	{ "file", set_file, MIRROR(file) },
	{ .name = NULL },
};

int root_parse_mirror(struct root_mirror *out, char *arg, char *why, size_t n)
{
	static const char *const needed[] = { "switch", "port", "file", NULL };
	const struct keys k = { mirror_keys, out };
	uint64_t seen;
	int err;

	memset(out, 0, sizeof(*out));
	err = keys_parse(&k, 1, arg, &seen, why, n);
	return err ? err
		   : keys_needed(&k, 1, seen, needed, "switch=lan,port=web1,file=web1.pcapng", why,
				 n);
}

int root_parse_port(const char *text, char sw[VSW_NAME], char port[VSW_NAME], char *why, size_t n)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : 0;

	if (!len || len >= VSW_NAME || !slash[1] || strlen(slash + 1) >= VSW_NAME) {
		snprintf(why, n, "%.64s: SWITCH/PORT is needed, such as lan/web1", text);
		return -EINVAL;
	}
	memcpy(sw, text, len);
	sw[len] = '\0';
	strcpy(port, slash + 1);
	return 0;
}
