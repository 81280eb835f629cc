/* SPDX-License-Identifier: MIT */
/*
 * What the verbs of `hvbus disk` share.
 */
#ifndef HVBUS_CLI_DISK_H
#define HVBUS_CLI_DISK_H

#include "cli/json.h"
#include "vmwp/root.h"

#define DISK_KEEP (-1) /* of a limit: not given */

struct disk_args {
	const char *socket, *disk;
	uint64_t size;
	double wait_s;
	bool json, shrink;
	int64_t iops, bytes, burst_ms; /* or DISK_KEEP */
	bool none;
	const char *set, *clear, *medium;
	uint64_t seed;
	bool eject;
};

struct disk_verb {
	const char *name, *summary;
	const char *usage, *examples;
	const struct cli_option *options;
	const char *no_disk; /* what to say without --disk; NULL: it needs none */
	int (*run)(const struct disk_args *a);
};

extern const struct disk_verb disk_limit, disk_fault, disk_swap_medium; /* disk_policy.c, .. */

#define DISK_WHICH "CTL:LUN says which; `hvbus disk list` shows what there is"

/* ---- options ------------------------------------------------------------------------ */

void disk_set_socket(void *ctx, const char *v);
void disk_set_lun(void *ctx, const char *v);
void disk_set_json(void *ctx, const char *v);
void disk_set_wait(void *ctx, const char *v);

#define DISK_SOCKET                                                                                \
	{                                                                                          \
		"socket", "S", "Unix socket of the root", disk_set_socket                          \
	}
#define DISK_LUN                                                                                   \
	{                                                                                          \
		"disk", "CTL:LUN", "which disk", disk_set_lun                                      \
	}
#define DISK_JSON                                                                                  \
	{                                                                                          \
		"json", NULL, "the root's answer as one JSON object", disk_set_json                \
	}
#define DISK_END                                                                                   \
	{                                                                                          \
		NULL, NULL, NULL, NULL                                                             \
	}

/* ---- asking --------------------------------------------------------------------------- */

/* The answer of the root to @request (taken), or the end with its sentence. */
json_t *disk_ask(const struct disk_args *a, json_t *request, const int *fds, int nr_fds);

#endif
