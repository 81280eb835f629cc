/* SPDX-License-Identifier: MIT */
/* What the acts of the demo share: how they talk, and how they use the shell. */
#ifndef HVBUS_CLI_DEMO_STAGE_H
#define HVBUS_CLI_DEMO_STAGE_H

#include "base/compiler.h"

/* A line on standard output, at once, in place of the live one. */
void demo_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* Runs a shell command in @dir, its output to log.txt there; what system() returns. */
int demo_sh(const char *dir, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
