/* SPDX-License-Identifier: MIT */
/*
 * Copying one synthetic disk to another of the same controller, block by block, with
 * zeroes turned into holes.
 */
#ifndef HVBUS_CLI_CLONE_H
#define HVBUS_CLI_CLONE_H

#include "vsc/storvsc.h"

struct clone_stats {
	uint64_t total, copied,
		zeroes; /* bytes; total is set first, the others grow while it runs */
};

/*
 * Copies LUN @from to LUN @to on queue 0 and flushes. The target must be at least as large.
 * 0 or -errno. @st is read by others while it runs.
 */
int clone_disk(struct storvsc *s, uint8_t from, uint8_t to, struct clone_stats *st);

#endif
