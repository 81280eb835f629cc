/* SPDX-License-Identifier: MIT */
/* What people write about a NAT. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmwp/nat.h"

#define ADDRESS 64 /* characters; longer ones are none */

void nat_net_default(struct nat_net *net)
{
	*net = (struct nat_net){ .network.s_addr = htonl(0x0a000200), .prefix = 24 };
}

/* Digits only, nothing behind them. */
static bool number(const char *text, uint32_t least, uint32_t most, uint32_t *out)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long v = strtoul(text, NULL, 10);

	if (!digits || digits > 6 || text[digits] || v < least || v > most)
		return false;
	*out = (uint32_t)v;
	return true;
}

int nat_parse_subnet(struct nat_net *net, const char *text, char *why, size_t n)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : 0;
	char address[ADDRESS];
	struct in_addr at;
	uint32_t prefix;

	snprintf(address, sizeof(address), "%.*s", (int)len, text);
	if (!slash || len >= ADDRESS || inet_pton(AF_INET, address, &at) != 1 ||
	    !number(slash + 1, 8, 27, &prefix) || ntohl(at.s_addr) << prefix) {
		snprintf(why, n,
			 "\"%s\" is no subnet; write a network and a prefix of 8 to 27, like "
			 "10.0.2.0/24",
			 text);
		return -EINVAL;
	}
	net->network = at;
	net->prefix = (uint8_t)prefix;
	return 0;
}

/* "[ADDRESS]:PORT"; an address that is left out stays what it is. */
static bool parse_end(char *text, struct in_addr *at, uint16_t *port)
{
	char *colon = strrchr(text, ':');
	uint32_t v;

	if (!colon || !number(colon + 1, 1, 65535, &v))
		return false;
	*colon = 0;
	*port = (uint16_t)v;
	return !*text || inet_pton(AF_INET, text, at) == 1;
}

static bool parse_forward(char *text, struct nat_forward *f)
{
	char *host = strchr(text, ':'), *guest = strchr(text, '-');

	if (!host || !guest || guest < host)
		return false;
	*host++ = 0;
	*guest++ = 0;
	f->udp = !strcmp(text, "udp");
	f->host.s_addr = htonl(INADDR_LOOPBACK);
	return (f->udp || !strcmp(text, "tcp")) && parse_end(host, &f->host, &f->host_port) &&
	       parse_end(guest, &f->guest, &f->guest_port);
}

int nat_parse_forward(struct nat_net *net, const char *text, char *why, size_t n)
{
	struct nat_forward f = { 0 };
	char copy[2 * ADDRESS];

	if (net->nr_forwards == NAT_MAX_FORWARDS) {
		snprintf(why, n, "there can be %u forwarded ports, not more", NAT_MAX_FORWARDS);
		return -ENOSPC;
	}
	if ((size_t)snprintf(copy, sizeof(copy), "%s", text) >= sizeof(copy) ||
	    !parse_forward(copy, &f)) {
		snprintf(why, n,
			 "\"%s\" is no forwarded port; write tcp:[HOSTADDR]:PORT-[GUESTADDR]:PORT, "
			 "like tcp::2222-:22",
			 text);
		return -EINVAL;
	}
	net->forward[net->nr_forwards++] = f;
	return 0;
}
