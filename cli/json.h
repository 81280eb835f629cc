/* SPDX-License-Identifier: MIT */
/* The root's answers, as the commands that show them read them. */
#ifndef HVBUS_CLI_JSON_H
#define HVBUS_CLI_JSON_H

#include <jansson.h>

#include "cli/cli.h"

/*
 * The answer of the root at @socket to @request (taken), or the end with its sentence. @print: the
 * answer goes to standard output as it is.
 */
json_t *cli_ask_json(const char *socket, json_t *request, const int *fds, int nr_fds,
		     unsigned wait_s, bool print);

/* The root may have another working directory, and shows the name to others. The caller's. */
char *cli_absolute(const char *path);

static inline double num(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static inline const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "-";
}

static inline bool is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

#endif
