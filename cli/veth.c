/* SPDX-License-Identifier: MIT */
/*
 * Two network namespaces and a veth pair, through the tools that everybody has.
 */
#include "cli/veth.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ETH_UDP	  (14 + 20 + 8) /* headers of a frame with a datagram */
#define MTU_FRAME 1514u
#define MAX_PINGS 4096

/* $1 is what to run against 10.99.0.2, where an iperf3 server is. */
static const char script[] =
	"exec 2>/dev/null; "
	"unshare --net sleep 300 & P=$!; trap 'kill $P' EXIT; "
	"I=0; until [ \"$(readlink /proc/$P/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ] || "
	"[ $I = 100 ]; do I=$((I+1)); sleep 0.01; done; "
	"ip link add va type veth peer name vb netns $P && ip addr add 10.99.0.1/24 dev va && "
	"ip link set va up && nsenter -t $P -n sh -c '"
	"ip addr add 10.99.0.2/24 dev vb && ip link set vb up && ip link set lo up' || exit 9; "
	"nsenter -t $P -n iperf3 -s -1 >/dev/null & S=$!; "
	"trap 'kill $S $P' EXIT; "
	"I=0; until nsenter -t $P -n ss -Hltn 'sport = 5201' | grep -q 5201 || [ $I = 100 ]; do "
	"I=$((I+1)); sleep 0.02; done; ";

/* The output of @command in there; the caller frees. NULL: it could not be set up. */
static char *run(const char *command, char *why, size_t whylen)
{
	/* By way of the environment: nothing has to be quoted twice. */
	static const char shell[] = "exec unshare --user --map-root-user --net --fork --kill-child "
				    "sh -c \"$HVBUS_VETH_SCRIPT\" </dev/null";
	char *whole = NULL, *out = NULL;
	size_t len = 0, n;
	FILE *p;

	if (asprintf(&whole, "%s%s", script, command) < 0)
		return NULL;
	setenv("HVBUS_VETH_SCRIPT", whole, 1);
	free(whole);
	p = popen(shell, "re");
	if (!p) {
		snprintf(why, whylen, "sh: %s", strerror(errno));
		return NULL;
	}
	do {
		char *more = realloc(out, len + 65537);

		if (!more)
			break;
		out = more;
		n = fread(out + len, 1, 65536, p);
		len += n;
		out[len] = '\0';
	} while (n);
	if (pclose(p) || !len) {
		snprintf(why, whylen,
			 "the kernel's pair could not be set up; it needs unprivileged user "
			 "namespaces "
			 "and the packages iproute2, iperf3, iputils-ping");
		free(out);
		return NULL;
	}
	return out;
}

static double number(const json_t *end, const char *sum, const char *key)
{
	return json_number_value(json_object_get(json_object_get(end, sum), key));
}

int veth_stream(unsigned size, double seconds, double *frames, double *bits, char *why,
		size_t whylen)
{
	bool udp = size <= MTU_FRAME;
	char command[160], *text;
	json_t *root, *end;
	double lost;

	if (udp)
		snprintf(command, sizeof(command), "iperf3 -c 10.99.0.2 -J -t %.0f -u -b 0 -l %u",
			 seconds < 1 ? 1 : seconds, size > ETH_UDP + 16 ? size - ETH_UDP : 16);
	else
		snprintf(command, sizeof(command), "iperf3 -c 10.99.0.2 -J -t %.0f",
			 seconds < 1 ? 1 : seconds);
	text = run(command, why, whylen);
	if (!text)
		return -ENOTSUP;
	root = json_loads(text, 0, NULL);
	free(text);
	end = json_object_get(root, "end");
	if (!end) {
		json_decref(root);
		snprintf(why, whylen, "iperf3 over veth gave no result");
		return -EIO;
	}
	lost = number(end, "sum", "lost_percent") / 100;
	*bits = number(end, udp ? "sum" : "sum_received", "bits_per_second") * (udp ? 1 - lost : 1);
	*frames = udp ? number(end, "sum", "packets") / number(end, "sum", "seconds") * (1 - lost)
		      : *bits / 8 / size;
	json_decref(root);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int veth_ping(unsigned count, double *ns, char *why, size_t whylen)
{
	static double ms[MAX_PINGS];
	char command[80], *text, *at;
	unsigned n = 0;

	snprintf(command, sizeof(command), "ping -n -i 0.002 -c %u 10.99.0.2",
		 count < MAX_PINGS ? count : MAX_PINGS);
	text = run(command, why, whylen);
	if (!text)
		return -ENOTSUP;
	for (at = text; n < MAX_PINGS && (at = strstr(at, "time=")); at += 5)
		ms[n++] = strtod(at + 5, NULL);
	free(text);
	if (!n) {
		snprintf(why, whylen, "ping over veth gave no result");
		return -EIO;
	}
	qsort(ms, n, sizeof(*ms), by_value);
	*ns = ms[n / 2] * 1e6;
	return 0;
}
