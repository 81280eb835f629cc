/* SPDX-License-Identifier: MIT */
/*
 * What a kernel says it died of, from what passes on its console: KVM does not let a guest hand us
 * its message with the crash registers, so this is where it can be had. For people only: it is the
 * guest's text, of which printable ASCII is kept.
 *
 * Threads: one at a time.
 */
#ifndef HVBUS_VMWP_PANIC_LINE_H
#define HVBUS_VMWP_PANIC_LINE_H

#include <stdint.h>

#define PANIC_LINE_MAX 120u

struct panic_line {
	uint32_t len;			/* of .line; what does not fit is dropped */
	char line[256];			/* the one that has not ended, kept whole for its end */
	char found[PANIC_LINE_MAX + 1]; /* of the last line that said so; "" = none did */
};

/* All zeroes is a new one, and one that has forgotten. */
void panic_line_see(struct panic_line *p, const void *data, uint32_t len);
/* "Kernel panic - ..", without what precedes it; "" = nothing. Valid until the next call. */
const char *panic_line_text(struct panic_line *p);

#endif
