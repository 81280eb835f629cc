/* SPDX-License-Identifier: MIT */
/* The list, item by item, and the kinds of values that several tables have. */
#include "vmwp/keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list ----------------------------------------------------------------------- */

static int no_such_key(const struct keys *k, size_t sets, const struct key_item *it)
{
	size_t at = (size_t)snprintf(it->why, it->n, "unknown key '%.32s' (keys:", it->key);

	for (size_t i = 0; i < sets; i++)
		for (const struct key *t = k[i].key; t->name && at < it->n; t++)
			at += (size_t)snprintf(it->why + at, it->n - at, " %s", t->name);
	if (at < it->n)
		snprintf(it->why + at, it->n - at, ")");
	return -EINVAL;
}

static const struct key *find_key(const struct keys *k, size_t sets, const char *name, void **out,
				  uint64_t *bit)
{
	*bit = 1;
	for (size_t i = 0; i < sets; i++) {
		for (const struct key *t = k[i].key; t->name; t++, *bit <<= 1) {
			*out = k[i].out;
			if (!strcmp(t->name, name))
				return t;
		}
	}
	return NULL;
}

static int set_item(const struct keys *k, size_t sets, struct key_item *it, uint64_t *seen)
{
	const struct key *t;
	uint64_t bit;
	void *out;

	t = find_key(k, sets, it->key, &out, &bit);
	if (!t)
		return no_such_key(k, sets, it);
	if (it->value ? !*it->value : !t->bare) {
		snprintf(it->why, it->n, "%s= has no value", it->key);
		return -EINVAL;
	}
	if (*seen & bit && !t->repeats) {
		snprintf(it->why, it->n, "%s= is given twice", it->key);
		return -EINVAL;
	}
	*seen |= bit;
	it->field = (char *)out + t->offset;
	return t->set(it);
}

int keys_parse(const struct keys *k, size_t sets, char *arg, uint64_t *seen, char *why, size_t n)
{
	char *save = NULL;
	int err = 0;

	*seen = 0;
	for (char *text = strtok_r(arg, ",", &save); text && !err;
	     text = strtok_r(NULL, ",", &save)) {
		char *value = strchr(text, '=');
		struct key_item it = {
			.key = text, .value = value ? value + 1 : NULL, .why = why, .n = n
		};

		if (value)
			*value = '\0';
		err = set_item(k, sets, &it, seen);
	}
	return err;
}

bool keys_given(const struct keys *k, size_t sets, uint64_t seen, const char *name)
{
	uint64_t bit;
	void *out;

	return find_key(k, sets, name, &out, &bit) && seen & bit;
}

/* The first of @names, which ends in NULL, that is not there. */
int keys_needed(const struct keys *k, size_t sets, uint64_t seen, const char *const *names,
		const char *example, char *why, size_t n)
{
	for (; *names; names++) {
		if (keys_given(k, sets, seen, *names))
			continue;
		snprintf(why, n, "%s= is missing, as in %s", *names, example);
		return -EINVAL;
	}
	return 0;
}

/* ---- values -------------------------------------------------------------------------- */

int key_wrong(const struct key_item *it, const char *needed)
{
	snprintf(it->why, it->n, "%s=%.32s: %s", it->key, it->value, needed);
	return -EINVAL;
}

bool key_digits(const char *text, char **end, uint64_t *out)
{
	errno = 0;
	*out = strtoull(text, end, 10);
	return !errno && isdigit((unsigned char)*text);
}

int key_number(const struct key_item *it, uint64_t min, uint64_t max, uint64_t *out)
{
	char *end;

	if (key_digits(it->value, &end, out) && !*end && *out >= min && *out <= max)
		return 0;
	snprintf(it->why, it->n, "%s=%.32s: a number from %llu to %llu is needed", it->key,
		 it->value, (unsigned long long)min, (unsigned long long)max);
	return -EINVAL;
}

int key_on_off(const struct key_item *it)
{
	bool *out = it->field;

	*out = !strcmp(it->value, "on");
	return *out || !strcmp(it->value, "off") ? 0 : key_wrong(it, "allowed are on off");
}

int key_off_on(const struct key_item *it)
{
	bool *no = it->field;
	int err = key_on_off(it);

	*no = !*no;
	return err;
}

int key_u32(const struct key_item *it, uint32_t min, uint32_t max)
{
	uint64_t v = 0;
	int err = key_number(it, min, max, &v);

	*(uint32_t *)it->field = (uint32_t)v;
	return err;
}
