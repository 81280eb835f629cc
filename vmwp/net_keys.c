/* SPDX-License-Identifier: MIT */
/* The kinds of values that several lists about switches and NICs have. */
#include "vmwp/net_keys.h"

#include <ctype.h>
#include <string.h>

int key_name(const struct key_item *it)
{
	size_t len = strlen(it->value), i;

	for (i = 0;
	     i < len && (isalnum((unsigned char)it->value[i]) || strchr("._-:", it->value[i])); i++)
		;
	if (!len || len >= VSW_NAME || i < len)
		return key_wrong(it, "1 to 31 letters, digits or . _ - : are needed");
	memcpy(it->field, it->value, len + 1);
	return 0;
}

int key_interface(const struct key_item *it)
{
	size_t len = strlen(it->value), i;

	for (i = 0; i < len && isgraph((unsigned char)it->value[i]) && !strchr("/%:", it->value[i]);
	     i++)
		;
	if (len >= ROOT_IF_NAME || i < len || it->value[0] == '.')
		return key_wrong(it, "the name of an interface has 1 to 15 characters, no / % :");
	memcpy(it->field, it->value, len + 1);
	return 0;
}

int key_mtu(const struct key_item *it)
{
	return key_u32(it, NET_MIN_MTU, NETVSP_MAX_MTU);
}
