/* SPDX-License-Identifier: MIT */
/* The last line with "Kernel panic" of a stream of bytes. */
#include "vmwp/panic_line.h"

#include <stdio.h>
#include <string.h>

static void end_line(struct panic_line *p)
{
	static const char word[] = "Kernel panic";
	const char *at = memmem(p->line, p->len, word, sizeof(word) - 1);

	if (at)
		snprintf(p->found, sizeof(p->found), "%.*s", (int)(p->line + p->len - at), at);
}

void panic_line_see(struct panic_line *p, const void *data, uint32_t len)
{
	for (const char *c = data, *end = c + len; c < end; c++) {
		if (*c == '\n') {
			end_line(p);
			p->len = 0;
		} else if (*c >= ' ' && *c < 0x7f && p->len < sizeof(p->line)) {
			p->line[p->len++] = *c;
		}
	}
}

const char *panic_line_text(struct panic_line *p)
{
	end_line(p);
	return p->found;
}
