/* SPDX-License-Identifier: MIT */
/* Text for guests: they want UTF-16. */
#ifndef HVBUS_VSP_IC_IC_TEXT_H
#define HVBUS_VSP_IC_IC_TEXT_H

#include <stdint.h>

/*
 * Writes UTF-8 @text to @out as little-endian UTF-16 with a NUL; @room units in all, the rest are
 * zeroes. Returns the units before the NUL. -EILSEQ: it is not UTF-8; -EMSGSIZE: too long.
 */
int ic_text_put(uint16_t *out, uint32_t room, const char *text);

#endif
