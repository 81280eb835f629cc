/* SPDX-License-Identifier: MIT */
/* How every command names a synthetic disk: CONTROLLER:LUN. */
#ifndef HVBUS_CLI_DISK_ARG_H
#define HVBUS_CLI_DISK_ARG_H

#include <stdbool.h>
#include <stdio.h>

/* False when @v is something else. */
static inline bool disk_arg(const char *v, unsigned *controller, unsigned *lun)
{
	char tail;

	return sscanf(v, "%u:%u%c", controller, lun, &tail) == 2 && *controller <= 3 && *lun <= 63;
}

#endif
