/* SPDX-License-Identifier: MIT */
/*
 * Lists of KEY=VALUE, as tables of keys: what the parsers of root.h and net_config.h are made of. A
 * key is a name and a function that looks at one value. All errors are -EINVAL with a sentence for
 * people.
 */
#ifndef HVBUS_VMWP_KEYS_H
#define HVBUS_VMWP_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One item of the list, and the field it is for. */
struct key_item {
	void *field;
	const char *key, *value;
	char *why;
	size_t n;
};

struct key {
	const char *name; /* NULL ends a table */
	int (*set)(const struct key_item *it);
	size_t offset; /* of the field in what is filled; 0: the function knows */
	bool bare;     /* may be without a value, which is NULL then */
	bool repeats;
};

/* Some keys, and what they fill. */
struct keys {
	const struct key *key;
	void *out;
};

/* ---- the list ------------------------------------------------------------------------ */

/* All of @arg, which is modified. *@seen is for keys_given() and keys_needed(). */
int keys_parse(const struct keys *k, size_t sets, char *arg, uint64_t *seen, char *why, size_t n);
bool keys_given(const struct keys *k, size_t sets, uint64_t seen, const char *name);
/* Is each of @names, which ends in NULL, there? The sentence ends in @example. */
int keys_needed(const struct keys *k, size_t sets, uint64_t seen, const char *const *names,
		const char *example, char *why, size_t n);

/* ---- values --------------------------------------------------------------------------- */

/* The sentence "KEY=VALUE: @needed"; always -EINVAL. */
int key_wrong(const struct key_item *it, const char *needed);
/* Digits at the start of @text; *@end: behind them. False: none, or too many. */
bool key_digits(const char *text, char **end, uint64_t *out);
int key_number(const struct key_item *it, uint64_t min, uint64_t max, uint64_t *out);

/* What fields of these types hold. */
int key_on_off(const struct key_item *it); /* bool */
int key_off_on(const struct key_item *it); /* bool, the other way round */
int key_u32(const struct key_item *it, uint32_t min, uint32_t max);

#endif
