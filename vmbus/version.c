/* SPDX-License-Identifier: MIT */
/* The ladder of protocol versions. */
#include "vmbus/version.h"

const uint32_t vmbus_versions[VMBUS_NR_VERSIONS] = {
	VMBUS_V5_3, VMBUS_V5_2, VMBUS_V5_1, VMBUS_V5_0, VMBUS_V4_1, VMBUS_V4_0, VMBUS_V3_0,
};

bool vmbus_version_spoken(uint32_t version, uint32_t max)
{
	for (size_t i = 0; i < ARRAY_SIZE(vmbus_versions); i++)
		if (vmbus_versions[i] == version)
			return version <= max;
	return false;
}

uint32_t vmbus_version_below(uint32_t version)
{
	for (size_t i = 0; i < ARRAY_SIZE(vmbus_versions); i++)
		if (vmbus_versions[i] < version)
			return vmbus_versions[i];
	return 0;
}
