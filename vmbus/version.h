/* SPDX-License-Identifier: MIT */
/*
 * The ladder of protocol versions (spec: vmbus, section 3.1). A version is spoken
 * only when it is in the list: 2.0 is refused although it is below 5.3.
 *
 * This project speaks 3.0 to 5.3. Older guests need the interrupt page, 6.0 adds
 * nothing that is needed here, and its clients fall back.
 */
#ifndef HVBUS_VMBUS_VERSION_H
#define HVBUS_VMBUS_VERSION_H

#include <stdbool.h>

#include "vmbus/wire/vmbus_msg.h"

#define VMBUS_VERSION_MIN VMBUS_V3_0
#define VMBUS_VERSION_MAX VMBUS_V5_3

#define VMBUS_NR_VERSIONS 7
extern const uint32_t vmbus_versions[VMBUS_NR_VERSIONS]; /* highest first: a client's order */

/* Is @version in the list and not above @max? */
bool vmbus_version_spoken(uint32_t version, uint32_t max);

/* The next version to try below @version, or 0. @version need not be in the list. */
uint32_t vmbus_version_below(uint32_t version);

#endif
