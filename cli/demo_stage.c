/* SPDX-License-Identifier: MIT */
/* What the acts of the demo share; see the header. */
#include "cli/demo_stage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

int demo_sh(const char *dir, const char *fmt, ...)
{
	char cmd[2048], whole[2600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	snprintf(whole, sizeof(whole), "cd '%s' && { %s; } >>log.txt 2>&1", dir, cmd);
	fflush(stdout);
	return system(whole);
}
