/* SPDX-License-Identifier: MIT */
/* Switches: --switch, and what makes sense together there. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmwp/net_keys.h"

static int set_type(const struct key_item *it)
{
	static const enum vsw_type all[] = { VSW_PRIVATE, VSW_INTERNAL, VSW_EXTERNAL, VSW_NAT,
					     VSW_JOINED };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (strcmp(vsw_type_name(all[i]), it->value))
			continue;
		*(enum vsw_type *)it->field = all[i];
		return 0;
	}
	return key_wrong(it, "allowed are private internal external nat joined");
}

static int set_mode(const struct key_item *it)
{
	bool *bridge = it->field;

	*bridge = !strcmp(it->value, "bridge");
	return *bridge || !strcmp(it->value, "hyper-v")
		       ? 0
		       : key_wrong(it, "allowed are hyper-v bridge");
}

/* Others know better what it must be; the key is ours to name. */
static int prefix_key(const struct key_item *it, int err)
{
	char why[256];

	snprintf(why, sizeof(why), "%s", it->why);
	if (err)
		snprintf(it->why, it->n, "%s=: %s", it->key, why);
	return err;
}

static int set_subnet(const struct key_item *it)
{
	return prefix_key(it, nat_parse_subnet(it->field, it->value, it->why, it->n));
}

static int set_forward(const struct key_item *it)
{
	char list[1024], *save = NULL;
	int err = 0;

	if (strlen(it->value) >= sizeof(list))
		return key_wrong(it, "too long");
	strcpy(list, it->value);
	for (char *t = strtok_r(list, "+", &save); t && !err; t = strtok_r(NULL, "+", &save))
		err = nat_parse_forward(it->field, t, it->why, it->n);
	return prefix_key(it, err);
}

static int set_root(const struct key_item *it)
{
	size_t len = strlen(it->value);

	if (!len || len >= ROOT_SOCKET_PATH)
		return key_wrong(it, "the path of a root's socket has 1 to 107 characters");
	memcpy(it->field, it->value, len + 1);
	return 0;
}

static int set_guests(const struct key_item *it)
{
	return key_u32(it, 1, ROOT_MAX_GUESTS);
}

#define SWITCH(field) .offset = offsetof(struct root_switch, field)

static const struct key switch_keys[] = {
	{ "name", key_name, SWITCH(name) },
	{ "type", set_type, SWITCH(type) },
	{ "tap", key_interface, SWITCH(tap) },
	{ "existing", key_on_off, SWITCH(existing) },
	{ "iface", key_interface, SWITCH(iface) },
	{ "root", set_root, SWITCH(root) },
	{ "of", key_name, SWITCH(of) },
	{ "subnet", set_subnet, SWITCH(nat) },
	{ "forward", set_forward, SWITCH(nat) },
	{ "ipv6", key_off_on, SWITCH(nat.no_ipv6) },
	{ "loopback", key_on_off, SWITCH(nat.host_loopback) },
	{ "mode", set_mode, SWITCH(bridge) },
	{ "guests", set_guests, SWITCH(max_guests) },
	{ "mtu", key_mtu, SWITCH(mtu) },
	{ "guest-vlan", key_on_off, SWITCH(guest_vlan) },
	{ "guest-mac", key_on_off, SWITCH(guest_mac) },
	{ "guest-name", key_off_on, SWITCH(no_guest_name) },
	{ "test", key_on_off, SWITCH(test) },
	{ .name = NULL },
};

/* What each type of switch needs of the host, and what makes no sense for it. */
static int check_host(const struct root_switch *sw, char *why, size_t n)
{
	const char *type = vsw_type_name(sw->type);
	bool tap = *sw->tap, iface = *sw->iface;

	if (sw->type == VSW_EXTERNAL && tap == iface)
		snprintf(why, n,
			 "type=external needs tap=NAME (of a bridge's TAP) or iface=NAME (an "
			 "interface of the host)%s",
			 tap ? ", not both" : "");
	else if (sw->type != VSW_EXTERNAL && iface)
		snprintf(why, n, "iface=%s: only type=external has one, not %s", sw->iface, type);
	else if (tap && sw->type != VSW_INTERNAL && sw->type != VSW_EXTERNAL)
		snprintf(why, n, "tap=%s: only internal and external switches have one, not %s",
			 sw->tap, type);
	else if (sw->existing && sw->type != VSW_INTERNAL)
		snprintf(why, n, "existing=on: only for the TAP of type=internal");
	else if (sw->type == VSW_JOINED && !*sw->root)
		snprintf(why, n, "type=joined needs root=SOCKET, of the root that has the switch");
	else if (sw->type != VSW_JOINED && (*sw->root || *sw->of))
		snprintf(why, n, "%s=: only type=joined has it, not %s", *sw->root ? "root" : "of",
			 type);
	else
		return 0;
	return -EINVAL;
}

static void fill_host(struct root_switch *sw)
{
	if (sw->type == VSW_INTERNAL && !*sw->tap)
		snprintf(sw->tap, sizeof(sw->tap), "hv-%.12s", sw->name);
	if (sw->type == VSW_EXTERNAL)
		sw->existing = true;
	if (sw->type == VSW_JOINED && !*sw->of)
		strcpy(sw->of, sw->name);
}

/*
 * Rules that were not given. Addresses and routes come from outside where a switch has an outside:
 * there no guest may give them to the others unless it is told. And who may send from any address
 * may as well choose its own.
 */
static void fill_rules(struct root_switch *sw, const struct keys *k, size_t sets, uint64_t seen)
{
	bool outside = sw->type == VSW_EXTERNAL || sw->type == VSW_NAT;

	if (!keys_given(k, sets, seen, "dhcp-guard"))
		sw->policy.dhcp_guard = outside;
	if (!keys_given(k, sets, seen, "router-guard"))
		sw->policy.router_guard = outside;
	if (!keys_given(k, sets, seen, "guest-mac"))
		sw->guest_mac = sw->policy.mac_spoofing || sw->bridge;
}

static int check_nat(const struct keys *k, size_t sets, uint64_t seen, const struct root_switch *sw,
		     char *why, size_t n)
{
	static const char *const keys[] = { "subnet", "forward", "ipv6", "loopback" };

	for (size_t i = 0; i < ARRAY_SIZE(keys) && sw->type != VSW_NAT; i++) {
		if (!keys_given(k, sets, seen, keys[i]))
			continue;
		snprintf(why, n, "%s=: only type=nat has it, not %s", keys[i],
			 vsw_type_name(sw->type));
		return -EINVAL;
	}
	return 0;
}

int root_parse_switch(struct root_switch *out, char *arg, char *why, size_t n)
{
	static const char *const needed[] = { "name", "type", NULL };
	struct root_vlan vlan = { 0 };
	const struct keys k[] = { { switch_keys, out },
				  { policy_keys, &out->policy },
				  { vlan_keys, &vlan } };
	const size_t sets = ARRAY_SIZE(k);
	uint64_t seen;
	int err;

	*out = (struct root_switch){ .max_guests = ROOT_MAX_GUESTS, .cable = -1 };
	nat_net_default(&out->nat);
	err = keys_parse(k, sets, arg, &seen, why, n);
	if (!err)
		err = keys_needed(k, sets, seen, needed, "name=lan,type=nat", why, n);
	if (!err)
		err = check_host(out, why, n);
	if (!err)
		err = check_nat(k, sets, seen, out, why, n);
	if (err)
		return err;
	fill_host(out);
	fill_rules(out, k, sets, seen);
	vlan_apply(&out->policy, &vlan);
	return vsw_policy_check(&out->policy, why, n);
}

const struct root_switch *root_find_switch(const struct root_switch *list, uint32_t count,
					   const char *name, char *why, size_t n)
{
	size_t at;

	for (uint32_t i = 0; i < count; i++)
		if (!strcmp(list[i].name, name))
			return &list[i];
	at = (size_t)snprintf(why, n, "switch=%s: there is no such switch; ", name);
	if (!count && at < n)
		snprintf(why + at, n - at, "serve with --switch makes one");
	for (uint32_t i = 0; i < count && at < n; i++)
		at += (size_t)snprintf(why + at, n - at, "%s%s", i ? " " : "there are ",
				       list[i].name);
	return NULL;
}

int root_check_switch(const struct root_switch *list, uint32_t count, const struct root_switch *sw,
		      char *why, size_t n)
{
	const struct root_switch *o;

	for (o = list; o < list + count; o++) {
		if (!strcmp(o->name, sw->name))
			snprintf(why, n, "name=%s: there is a switch of that name already",
				 sw->name);
		else if (*sw->tap && !strcmp(o->tap, sw->tap))
			snprintf(why, n, "tap=%s: switch %s has it already", sw->tap, o->name);
		else if (*sw->iface && !strcmp(o->iface, sw->iface))
			snprintf(why, n, "iface=%s: switch %s has it already", sw->iface, o->name);
		else
			continue;
		return -EEXIST;
	}
	return 0;
}
