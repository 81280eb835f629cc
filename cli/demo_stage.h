/* SPDX-License-Identifier: MIT */
/* What the acts of the demo share: how they talk. */
#ifndef HVBUS_CLI_DEMO_STAGE_H
#define HVBUS_CLI_DEMO_STAGE_H

#include "base/compiler.h"

/* A line on standard output, at once, in place of the live one. */
void demo_say(const char *fmt, ...) PRINTF_LIKE(1, 2);

#endif
