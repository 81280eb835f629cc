/* SPDX-License-Identifier: MIT */
/* What the acts of the demo share; see the header. */
#include "cli/demo_stage.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/cli.h"

void demo_say(const char *fmt, ...)
{
	va_list ap;

	cli_progress("%s", "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}
