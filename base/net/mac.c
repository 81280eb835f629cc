/* SPDX-License-Identifier: MIT */
/* Ethernet addresses as people write them. */
#include <stdio.h>

#include "base/hex.h"
#include "base/net/frame.h"

bool net_mac_parse(const char *text, uint8_t mac[NET_MAC_LEN])
{
	uint8_t bytes[NET_MAC_LEN];
	char separator = 0;

	for (uint32_t i = 0; i < NET_MAC_LEN; i++) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
		text += 2;
		if (i == NET_MAC_LEN - 1)
			break;
		if (i == 0)
			separator = *text;
		if (*text != separator || (separator != ':' && separator != '-'))
			return false;
		text++;
	}
	if (*text)
		return false;
	memcpy(mac, bytes, sizeof(bytes));
	return true;
}

void net_mac_format(const uint8_t mac[NET_MAC_LEN], char text[NET_MAC_TEXT])
{
	snprintf(text, NET_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
}
