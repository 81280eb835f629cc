/* SPDX-License-Identifier: MIT */
/* The ladder of versions: exactly the list of spec: vmbus, section 3.1, from 3.0 to 5.3. */
#include "vmbus/version.h"

#include "tests/ut/vmbus/vmbus_main.h"

static const uint32_t list[] = { 0x50003, 0x50002, 0x50001, 0x50000, 0x40001, 0x40000, 0x30000 };

START_TEST(the_list_is_spoken_and_nothing_else)
{
	uint32_t spoken = 0;

	for (uint32_t major = 0; major < 8; major++)
		for (uint32_t minor = 0; minor < 64; minor++)
			spoken += vmbus_version_spoken(major << 16 | minor, ~0u);
	ck_assert_uint_eq(spoken, ARRAY_SIZE(list));
	for (size_t i = 0; i < ARRAY_SIZE(list); i++)
		ck_assert(vmbus_version_spoken(list[i], ~0u));
	ck_assert(!vmbus_version_spoken(0xffffffff, ~0u));
	ck_assert(!vmbus_version_spoken(VMBUS_V0_13, ~0u));
	ck_assert(!vmbus_version_spoken(VMBUS_V2_4, ~0u));
	ck_assert(!vmbus_version_spoken(0x20000, ~0u));
	ck_assert(!vmbus_version_spoken(VMBUS_V6_0, ~0u));
}
END_TEST

START_TEST(the_maximum_cuts)
{
	for (size_t max = 0; max < ARRAY_SIZE(list); max++)
		for (size_t i = 0; i < ARRAY_SIZE(list); i++)
			ck_assert(vmbus_version_spoken(list[i], list[max]) == (i >= max));
	/* A maximum that is not itself a version. */
	ck_assert(vmbus_version_spoken(VMBUS_V4_1, 0x4ffff));
	ck_assert(!vmbus_version_spoken(VMBUS_V5_0, 0x4ffff));
}
END_TEST

START_TEST(a_client_walks_down)
{
	uint32_t v = VMBUS_VERSION_MAX;

	for (size_t i = 0; i < ARRAY_SIZE(list); i++, v = vmbus_version_below(v)) {
		ck_assert_uint_eq(v, list[i]);
		ck_assert_uint_eq(vmbus_versions[i], list[i]);
	}
	ck_assert_uint_eq(v, 0);
	ck_assert_uint_eq(vmbus_version_below(VMBUS_V6_0), VMBUS_V5_3);
	ck_assert_uint_eq(vmbus_version_below(0x4ffff), VMBUS_V4_1);
}
END_TEST

VMBUS_MAIN("vmbus/version", the_list_is_spoken_and_nothing_else, the_maximum_cuts,
	   a_client_walks_down)
