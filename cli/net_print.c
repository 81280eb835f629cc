/* SPDX-License-Identifier: MIT */
/* What `hvbus net` and `hvbus inspect` show of switches: from JSON to lines. */
#include "cli/net.h"

#include <stdio.h>
#include <string.h>

#define MAX_SHOWN 8 /* addresses of a switch */

/* What hangs on a line of the tree, and on the last one. */
static const char *const more[] = { "  |       ", "          " };

static void print_vlan(const json_t *v)
{
	const json_t *native = json_object_get(v, "native");

	if (!strcmp(str(v, "mode"), "access"))
		printf("  vlan %.0f", num(v, "id"));
	if (strcmp(str(v, "mode"), "trunk"))
		return;
	printf("  trunk %s", str(v, "allowed"));
	if (json_is_integer(native))
		printf(" native %.0f", json_number_value(native));
}

static void print_behind(const json_t *p)
{
	const json_t *d = json_object_get(p, "device");

	if (json_is_integer(json_object_get(p, "partition")))
		printf("  partition %.0f (%s)", num(p, "partition"), str(p, "partition_name"));
	else if (json_is_object(d))
		printf("  %s %s", str(d, "kind"), str(d, "name"));
}

static void print_head(const json_t *p)
{
	printf("%-14s %-6s %s  %s", str(p, "name"), str(p, "role"), str(p, "mac"),
	       is_true(p, "link") ? "up" : "DOWN");
	print_vlan(json_object_get(p, "vlan"));
	print_behind(p);
	printf("\n");
}

static void print_adapter(const char *margin, const json_t *a)
{
	printf("%sadapter %s nvsp %s  mtu %.0f  %sbit/s  %.0f of %.0f queues", margin,
	       str(a, "state"), str(a, "nvsp"), num(a, "mtu"), cli_human(num(a, "speed")),
	       num(a, "queues"), num(a, "max_queues"));
	if (num(a, "rx_usable") > 0)
		printf("  receive buffer %.0f%% full",
		       100 * (1 - num(a, "rx_free") / num(a, "rx_usable")));
	printf("\n");
	if (json_is_string(json_object_get(a, "failed")))
		printf("%sFAILED: %s\n", margin, str(a, "failed"));
}

static void print_device(const char *margin, const json_t *d)
{
	if (!strcmp(str(d, "state"), "up") && !json_is_string(json_object_get(d, "error")))
		return;
	printf("%s%s %s is %s", margin, str(d, "kind"), str(d, "name"), str(d, "state"));
	if (json_is_string(json_object_get(d, "error")))
		printf(", last error: %s", str(d, "error"));
	printf("\n");
}

static void print_flow(const char *margin, const json_t *p)
{
	static const char *const dir[] = { "in", "out" };
	static const char *const bits[] = { "bits_in", "bits_out" };
	const json_t *rates = json_object_get(p, "rates"), *c;

	printf("%s", margin);
	for (int i = 0; i < 2; i++) {
		c = json_object_get(p, dir[i]);
		printf("%s%s %s frames %s", i ? "  " : "", dir[i], cli_human(num(c, "frames")),
		       cli_human_bytes(num(c, "bytes")));
		if (json_is_object(rates) && num(rates, bits[i]) > 0)
			printf(" (%sbit/s)", cli_human(num(rates, bits[i])));
	}
	printf("\n");
}

static void print_drops(const char *margin, const char *what, const json_t *drops)
{
	const char *reason;
	json_t *n;

	if (!json_object_size(drops))
		return;
	printf("%s%s", margin, what);
	json_object_foreach((json_t *)(uintptr_t)drops, reason, n)
		printf("  %s %s", reason, cli_human(json_number_value(n)));
	printf("\n");
}

/* Only what is not as it is by default. */
static void print_policy(const char *margin, const json_t *p)
{
	static const char *const flag[] = { "spoof", "dhcp_guard", "router_guard", "isolated",
					    "priority" };
	static const char *const says[] = { "any source address", "DHCP guard", "router guard",
					    "isolated", "priority tags" };
	const char *between = "";
	char line[256] = "";
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_SIZE(flag); i++) {
		if (!is_true(p, flag[i]))
			continue;
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%s%s", between, says[i]);
		between = ", ";
	}
	if (num(p, "bps") > 0) {
		at += (size_t)snprintf(line + at, sizeof(line) - at, "%sat most %sbit/s", between,
				       cli_human(num(p, "bps")));
		if (num(p, "burst") > 0)
			at += (size_t)snprintf(line + at, sizeof(line) - at, " (%s at once)",
					       cli_human_bytes(num(p, "burst")));
		between = ", ";
	}
	if (num(p, "storm") > 0)
		snprintf(line + at, sizeof(line) - at, "%sat most %.0f broadcasts/s", between,
			 num(p, "storm"));
	if (*line)
		printf("%srules: %s\n", margin, line);
}

static void print_details(const char *margin, const json_t *p)
{
	if (json_is_object(json_object_get(p, "adapter")))
		print_adapter(margin, json_object_get(p, "adapter"));
	if (json_is_object(json_object_get(p, "device")))
		print_device(margin, json_object_get(p, "device"));
	if (!strcmp(str(p, "role"), "guest"))
		print_policy(margin, json_object_get(p, "policy"));
	print_flow(margin, p);
	print_drops(margin, "dropped from it:", json_object_get(p, "dropped_in"));
	print_drops(margin, "dropped for it: ", json_object_get(p, "dropped_out"));
}

void net_print_port(const json_t *port)
{
	printf("%s/", str(port, "switch"));
	print_head(port);
	print_details("  ", port);
}

static void print_mirror(const json_t *m)
{
	printf("  mirror of %s: %s", str(m, "port"), str(m, "file"));
	if (is_true(m, "waiting"))
		printf(" (waits for the port)");
	printf("  %s frames", cli_human(num(m, "frames")));
	if (num(m, "dropped") > 0)
		printf(", %s not written", cli_human(num(m, "dropped")));
	if (json_is_string(json_object_get(m, "error")))
		printf("  FAILED: %s", str(m, "error"));
	printf("\n");
}

static void print_addresses(const json_t *sw)
{
	const json_t *list = json_object_get(sw, "addresses"), *a;
	size_t i;

	json_array_foreach(list, i, a)
	{
		if (i == MAX_SHOWN)
			break;
		printf("  learned %s", str(a, "mac"));
		if (num(a, "vlan") > 0)
			printf(" vlan %.0f", num(a, "vlan"));
		printf(" at %s, %.0f s ago\n", str(a, "port"), num(a, "age_s"));
	}
	if (num(sw, "learned") > MAX_SHOWN)
		printf("  ... and %.0f more: --json has %zu\n", num(sw, "learned") - MAX_SHOWN,
		       json_array_size(list));
}

void net_print_switch(const json_t *sw)
{
	const json_t *ports = json_object_get(sw, "ports"), *m, *p;
	size_t n = json_array_size(ports), i;

	printf("\nswitch %s  %s", str(sw, "name"), str(sw, "type"));
	if (!strcmp(str(sw, "mode"), "bridge"))
		printf(", plain bridge");
	if (json_is_string(json_object_get(sw, "subnet")))
		printf("  %s", str(sw, "subnet"));
	printf("  %zu port%s, %.0f address%s learned\n", n, n == 1 ? "" : "s", num(sw, "learned"),
	       num(sw, "learned") == 1 ? "" : "es");
	json_array_foreach(ports, i, p)
	{
		printf("  %s- ", i + 1 < n ? "|" : "`");
		print_head(p);
		print_details(more[i + 1 == n], p);
	}
	print_addresses(sw);
	json_array_foreach(json_object_get(sw, "mirrors"), i, m) print_mirror(m);
}
