/* SPDX-License-Identifier: MIT */
/*
 * How people name a synthetic disk: CONTROLLER:LUN, "0:3". In a header, so that libraries that
 * are loaded into other programs need nothing but this.
 */
#ifndef HVBUS_VSC_DISK_PLACE_H
#define HVBUS_VSC_DISK_PLACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define DISK_PLACE_CONTROLLERS 4
#define DISK_PLACE_LUNS	       64

/* False when @text is something else; what is behind the pointers stays then. */
static inline bool disk_place_parse(const char *text, uint8_t *controller, uint8_t *lun)
{
	unsigned a, b;
	char tail;

	if (text[strspn(text, "0123456789:")]) /* scanf takes signs and blanks too */
		return false;
	if (sscanf(text, "%3u:%3u%c", &a, &b, &tail) != 2)
		return false;
	if (a >= DISK_PLACE_CONTROLLERS || b >= DISK_PLACE_LUNS)
		return false;
	*controller = (uint8_t)a;
	*lun = (uint8_t)b;
	return true;
}

#endif
