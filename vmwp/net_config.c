/* SPDX-License-Identifier: MIT */
/*
 * Lists of KEY=VALUE, as tables of keys. A key is a name and a function that looks at one value.
 */
#include "vmwp/net_config.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/guid.h"
#include "vmwp/root.h"

/* One item of the list, and the field it is for. */
struct item {
	void *field;
	const char *key, *value;
	char *why;
	size_t n;
};

struct key {
	const char *name;
	int (*set)(const struct item *it);
	size_t offset; /* of the field in what is filled; 0: the function knows */
};

/* Some keys, and what they fill. */
struct keys {
	const struct key *key;
	void *out;
};

/* ---- the list ----------------------------------------------------------------------- */

static int no_such_key(const struct keys *k, size_t sets, const struct item *it)
{
	size_t at = (size_t)snprintf(it->why, it->n, "unknown key '%.32s' (keys:", it->key);

	for (size_t i = 0; i < sets; i++)
		for (const struct key *t = k[i].key; t->name && at < it->n; t++)
			at += (size_t)snprintf(it->why + at, it->n - at, " %s", t->name);
	if (at < it->n)
		snprintf(it->why + at, it->n - at, ")");
	return -EINVAL;
}

static const struct key *find_key(const struct keys *k, size_t sets, const char *name, void **out,
				  uint64_t *bit)
{
	*bit = 1;
	for (size_t i = 0; i < sets; i++) {
		for (const struct key *t = k[i].key; t->name; t++, *bit <<= 1) {
			*out = k[i].out;
			if (!strcmp(t->name, name))
				return t;
		}
	}
	return NULL;
}

static int set_item(const struct keys *k, size_t sets, struct item *it, uint64_t *seen)
{
	const struct key *t;
	uint64_t bit;
	void *out;

	t = find_key(k, sets, it->key, &out, &bit);
	if (!t)
		return no_such_key(k, sets, it);
	if (!it->value || !*it->value) {
		snprintf(it->why, it->n, "%s= has no value", it->key);
		return -EINVAL;
	}
	if (*seen & bit) {
		snprintf(it->why, it->n, "%s= is given twice", it->key);
		return -EINVAL;
	}
	*seen |= bit;
	it->field = (char *)out + t->offset;
	return t->set(it);
}

/* *@seen is for was_given(). */
static int parse_list(const struct keys *k, size_t sets, char *arg, uint64_t *seen, char *why,
		      size_t n)
{
	char *save = NULL;
	int err = 0;

	*seen = 0;
	for (char *text = strtok_r(arg, ",", &save); text && !err;
	     text = strtok_r(NULL, ",", &save)) {
		char *value = strchr(text, '=');
		struct item it = {
			.key = text, .value = value ? value + 1 : NULL, .why = why, .n = n
		};

		if (value)
			*value = '\0';
		err = set_item(k, sets, &it, seen);
	}
	return err;
}

static bool was_given(const struct keys *k, size_t sets, uint64_t seen, const char *name)
{
	uint64_t bit;
	void *out;

	return find_key(k, sets, name, &out, &bit) && seen & bit;
}

/* ---- values -------------------------------------------------------------------------- */

static int wrong(const struct item *it, const char *needed)
{
	snprintf(it->why, it->n, "%s=%.32s: %s", it->key, it->value, needed);
	return -EINVAL;
}

static bool number_of(const char *text, char **end, uint64_t *out)
{
	errno = 0;
	*out = strtoull(text, end, 10);
	return !errno && isdigit((unsigned char)*text);
}

static int number(const struct item *it, uint64_t min, uint64_t max, uint64_t *out)
{
	char *end;

	if (number_of(it->value, &end, out) && !*end && *out >= min && *out <= max)
		return 0;
	snprintf(it->why, it->n, "%s=%.32s: a number from %llu to %llu is needed", it->key,
		 it->value, (unsigned long long)min, (unsigned long long)max);
	return -EINVAL;
}

static int set_on_off(const struct item *it)
{
	bool *out = it->field;

	*out = !strcmp(it->value, "on");
	return *out || !strcmp(it->value, "off") ? 0 : wrong(it, "allowed are on off");
}

static int set_u32(const struct item *it, uint32_t min, uint32_t max)
{
	uint64_t v = 0;
	int err = number(it, min, max, &v);

	*(uint32_t *)it->field = (uint32_t)v;
	return err;
}

/* Of switches and ports: they are joined by '/', and shown beside other words. */
static int set_name(const struct item *it)
{
	size_t len = strlen(it->value), i;

	for (i = 0;
	     i < len && (isalnum((unsigned char)it->value[i]) || strchr("._-:", it->value[i])); i++)
		;
	if (!len || len >= VSW_NAME || i < len)
		return wrong(it, "1 to 31 letters, digits or . _ - : are needed");
	memcpy(it->field, it->value, len + 1);
	return 0;
}

static int set_interface(const struct item *it)
{
	size_t len = strlen(it->value), i;

	for (i = 0; i < len && isgraph((unsigned char)it->value[i]) && !strchr("/%:", it->value[i]);
	     i++)
		;
	if (len >= ROOT_IF_NAME || i < len || it->value[0] == '.')
		return wrong(it, "the name of an interface has 1 to 15 characters, no / % :");
	memcpy(it->field, it->value, len + 1);
	return 0;
}

int root_parse_rate(const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	uint64_t factor = 1;
	const char *unit;
	char *end;

	if (!number_of(text, &end, out))
		return -EINVAL;
	unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
	for (const char *u = units; unit && u <= unit; u++)
		factor *= 1000;
	if (unit)
		end++;
	if (*end || *out > UINT64_MAX / factor)
		return -EINVAL;
	*out *= factor;
	return 0;
}

/* ---- VLANs ---------------------------------------------------------------------------- */

#define VLAN_MAX 4094u

static const char one_of_both[] = "a port has vlan= or trunk=, not both";

static int set_vlan(const struct item *it)
{
	struct root_vlan *v = it->field;
	uint64_t id = 0;

	if (v->mode == VSW_TRUNK)
		return wrong(it, one_of_both);
	v->given = true;
	if (!strcmp(it->value, "none"))
		return 0;
	v->mode = VSW_ACCESS;
	if (number(it, 1, VLAN_MAX, &id))
		return wrong(it, "a VLAN from 1 to 4094 is needed, or none");
	v->id = (uint16_t)id;
	return 0;
}

/* "10", "10-19" */
static bool allow_range(struct root_vlan *v, const char *text)
{
	uint64_t first, last;
	char *end;

	if (!number_of(text, &end, &first))
		return false;
	last = first;
	if (*end == '-' && !number_of(end + 1, &end, &last))
		return false;
	if (*end || !first || last > VLAN_MAX || first > last)
		return false;
	for (uint64_t id = first; id <= last; id++)
		v->allowed[id / 8] |= (uint8_t)(1u << id % 8);
	return true;
}

static int set_trunk(const struct item *it)
{
	struct root_vlan *v = it->field;
	char list[512], *save = NULL;

	if (v->given)
		return wrong(it, one_of_both);
	if (strlen(it->value) >= sizeof(list))
		return wrong(it, "too long; join ranges such as 10-19 with +");
	strcpy(list, it->value);
	v->given = true;
	v->mode = VSW_TRUNK;
	for (char *t = strtok_r(list, "+", &save); t; t = strtok_r(NULL, "+", &save))
		if (!allow_range(v, t))
			return wrong(it, "VLANs from 1 to 4094 are needed, such as 10+20-29");
	return 0;
}

/* Behind the trunk it belongs to. */
static int set_native(const struct item *it)
{
	struct root_vlan *v = it->field;
	uint64_t id = 0;
	int err;

	if (v->mode != VSW_TRUNK)
		return wrong(it, "goes with a trunk=, and behind it");
	err = number(it, 1, VLAN_MAX, &id);
	v->id = (uint16_t)id;
	return err;
}

static const struct key vlan_keys[] = {
	{ "vlan", set_vlan, 0 },
	{ "trunk", set_trunk, 0 },
	{ "native", set_native, 0 },
	{ NULL, NULL, 0 },
};

static void apply_vlan(struct vsw_policy *p, const struct root_vlan *v)
{
	if (!v->given)
		return;
	p->vlan_mode = v->mode;
	p->vlan = v->id;
	memcpy(p->allowed, v->allowed, sizeof(p->allowed));
}

/* ---- policy ----------------------------------------------------------------------------- */

static int set_storm(const struct item *it)
{
	return set_u32(it, 0, UINT32_MAX);
}

static int set_bps(const struct item *it)
{
	if (root_parse_rate(it->value, it->field))
		return wrong(it, "bits per second are needed, such as 100M or 2G; 0 = no limit");
	return 0;
}

static int set_burst(const struct item *it)
{
	uint64_t v;

	if (root_parse_size(it->value, &v) || v > UINT32_MAX)
		return wrong(it, "bytes are needed, such as 256K, less than 4G");
	*(uint32_t *)it->field = (uint32_t)v;
	return 0;
}

#define POLICY(field) offsetof(struct vsw_policy, field)

static const struct key policy_keys[] = {
	{ "spoof", set_on_off, POLICY(mac_spoofing) },
	{ "dhcp-guard", set_on_off, POLICY(dhcp_guard) },
	{ "router-guard", set_on_off, POLICY(router_guard) },
	{ "isolated", set_on_off, POLICY(isolated) },
	{ "priority", set_on_off, POLICY(priority_tag) },
	{ "storm", set_storm, POLICY(storm) },
	{ "bps", set_bps, POLICY(bps) },
	{ "burst", set_burst, POLICY(burst) },
	{ NULL, NULL, 0 },
};

int root_parse_policy(struct vsw_policy *p, char *arg, char *why, size_t n)
{
	struct root_vlan vlan = { 0 };
	struct vsw_policy asked = *p;
	const struct keys k[] = { { policy_keys, &asked }, { vlan_keys, &vlan } };
	uint64_t seen;
	int err = parse_list(k, ARRAY_SIZE(k), arg, &seen, why, n);

	if (err)
		return err;
	apply_vlan(&asked, &vlan);
	err = vsw_policy_check(&asked, why, n);
	if (!err)
		*p = asked;
	return err;
}

/* ---- switches --------------------------------------------------------------------------- */

static int set_type(const struct item *it)
{
	static const enum vsw_type all[] = { VSW_PRIVATE, VSW_INTERNAL, VSW_EXTERNAL, VSW_NAT };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (strcmp(vsw_type_name(all[i]), it->value))
			continue;
		*(enum vsw_type *)it->field = all[i];
		return 0;
	}
	return wrong(it, "allowed are private internal external nat");
}

static int set_mode(const struct item *it)
{
	bool *bridge = it->field;

	*bridge = !strcmp(it->value, "bridge");
	return *bridge || !strcmp(it->value, "hyper-v") ? 0
							: wrong(it, "allowed are hyper-v bridge");
}

/* Others know better what it must be; the key is ours to name. */
static int prefix_key(const struct item *it, int err)
{
	char why[256];

	snprintf(why, sizeof(why), "%s", it->why);
	if (err)
		snprintf(it->why, it->n, "%s=: %s", it->key, why);
	return err;
}

static int set_subnet(const struct item *it)
{
	return prefix_key(it, nat_parse_subnet(it->field, it->value, it->why, it->n));
}

static int set_forward(const struct item *it)
{
	char list[1024], *save = NULL;
	int err = 0;

	if (strlen(it->value) >= sizeof(list))
		return wrong(it, "too long");
	strcpy(list, it->value);
	for (char *t = strtok_r(list, "+", &save); t && !err; t = strtok_r(NULL, "+", &save))
		err = nat_parse_forward(it->field, t, it->why, it->n);
	return prefix_key(it, err);
}

static int set_no_ipv6(const struct item *it)
{
	bool *no = it->field;
	int err = set_on_off(it);

	*no = !*no;
	return err;
}

static int set_guests(const struct item *it)
{
	return set_u32(it, 1, ROOT_MAX_GUESTS);
}

static int set_mtu(const struct item *it)
{
	return set_u32(it, NET_MIN_MTU, NETVSP_MAX_MTU);
}

#define SWITCH(field) offsetof(struct root_switch, field)

static const struct key switch_keys[] = {
	{ "name", set_name, SWITCH(name) },
	{ "type", set_type, SWITCH(type) },
	{ "tap", set_interface, SWITCH(tap) },
	{ "existing", set_on_off, SWITCH(existing) },
	{ "iface", set_interface, SWITCH(iface) },
	{ "subnet", set_subnet, SWITCH(nat) },
	{ "forward", set_forward, SWITCH(nat) },
	{ "ipv6", set_no_ipv6, SWITCH(nat.no_ipv6) },
	{ "loopback", set_on_off, SWITCH(nat.host_loopback) },
	{ "mode", set_mode, SWITCH(bridge) },
	{ "guests", set_guests, SWITCH(max_guests) },
	{ "mtu", set_mtu, SWITCH(mtu) },
	{ "guest-vlan", set_on_off, SWITCH(guest_vlan) },
	{ "test", set_on_off, SWITCH(test) },
	{ NULL, NULL, 0 },
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
	else if (tap && (sw->type == VSW_PRIVATE || sw->type == VSW_NAT))
		snprintf(why, n, "tap=%s: only internal and external switches have one, not %s",
			 sw->tap, type);
	else if (sw->existing && sw->type != VSW_INTERNAL)
		snprintf(why, n, "existing=on: only for the TAP of type=internal");
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
}

/*
 * Addresses and routes come from outside where a switch has an outside: there no guest may give
 * them to the others unless it is told.
 */
static void fill_guards(struct root_switch *sw, bool dhcp_given, bool router_given)
{
	bool outside = sw->type == VSW_EXTERNAL || sw->type == VSW_NAT;

	if (!dhcp_given)
		sw->policy.dhcp_guard = outside;
	if (!router_given)
		sw->policy.router_guard = outside;
}

static int check_nat(const struct keys *k, size_t sets, uint64_t seen, const struct root_switch *sw,
		     char *why, size_t n)
{
	static const char *const keys[] = { "subnet", "forward", "ipv6", "loopback" };

	for (size_t i = 0; i < ARRAY_SIZE(keys) && sw->type != VSW_NAT; i++) {
		if (!was_given(k, sets, seen, keys[i]))
			continue;
		snprintf(why, n, "%s=: only type=nat has it, not %s", keys[i],
			 vsw_type_name(sw->type));
		return -EINVAL;
	}
	return 0;
}

/* The first of @names, which ends in NULL, that is not there. */
static int check_given(const struct keys *k, size_t sets, uint64_t seen, const char *const *names,
		       const char *example, char *why, size_t n)
{
	for (; *names; names++) {
		if (was_given(k, sets, seen, *names))
			continue;
		snprintf(why, n, "%s= is missing, as in %s", *names, example);
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

	*out = (struct root_switch){ .max_guests = ROOT_MAX_GUESTS };
	nat_net_default(&out->nat);
	err = parse_list(k, sets, arg, &seen, why, n);
	if (!err)
		err = check_given(k, sets, seen, needed, "name=lan,type=nat", why, n);
	if (!err)
		err = check_host(out, why, n);
	if (!err)
		err = check_nat(k, sets, seen, out, why, n);
	if (err)
		return err;
	fill_host(out);
	fill_guards(out, was_given(k, sets, seen, "dhcp-guard"),
		    was_given(k, sets, seen, "router-guard"));
	apply_vlan(&out->policy, &vlan);
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

/* ---- NICs --------------------------------------------------------------------------------- */

static int set_mac(const struct item *it)
{
	struct root_nic *nic = it->field;

	if (!net_mac_parse(it->value, nic->mac))
		return wrong(it, "six bytes are needed, such as 00:15:5d:01:02:03");
	if (net_mac_zero(nic->mac) || net_mac_multicast(nic->mac))
		return wrong(it, "a unicast address is needed: not 0, first byte even");
	nic->has_mac = true;
	return 0;
}

static int set_queues(const struct item *it)
{
	uint64_t v = 0;
	int err = number(it, 1, NETVSP_MAX_QUEUES, &v);

	*(uint16_t *)it->field = (uint16_t)v;
	return err;
}

#define NIC(field) offsetof(struct root_nic, field)

static const struct key nic_keys[] = {
	{ "switch", set_name, NIC(switch_name) }, { "mac", set_mac, 0 },
	{ "queues", set_queues, NIC(queues) },	  { "mtu", set_mtu, NIC(mtu) },
	{ "name", set_name, NIC(name) },	  { NULL, NULL, 0 },
};

int root_parse_nic(struct root_nic *out, char *arg, char *why, size_t n)
{
	static const char *const needed[] = { "switch", NULL };
	const struct keys k[] = { { nic_keys, out }, { vlan_keys, &out->vlan } };
	uint64_t seen;
	int err;

	*out = (struct root_nic){ .queues = 0 };
	err = parse_list(k, ARRAY_SIZE(k), arg, &seen, why, n);
	return err ? err : check_given(k, ARRAY_SIZE(k), seen, needed, "switch=lan", why, n);
}

int root_parse_wish(struct root_nic *out, char *line, char *why, size_t n)
{
	for (const char *c = line; *c; c++) {
		if (isgraph((unsigned char)*c) || *c == ' ')
			continue;
		snprintf(why, n, "a wish has printable characters only");
		return -EINVAL;
	}
	if (strncmp(line, "nic ", 4)) {
		snprintf(why, n, "unknown wish '%.32s'; this root knows: nic switch=NAME,...",
			 line);
		return -EINVAL;
	}
	return root_parse_nic(out, line + 4, why, n);
}

static bool same_vlan(const struct root_switch *sw, const struct root_vlan *v)
{
	return v->mode == sw->policy.vlan_mode && v->mode != VSW_TRUNK && v->id == sw->policy.vlan;
}

int root_nic_policy(const struct root_switch *sw, const struct root_nic *nic,
		    struct vsw_policy *out, char *why, size_t n)
{
	*out = sw->policy;
	if (!nic->vlan.given || same_vlan(sw, &nic->vlan))
		return 0;
	if (!sw->guest_vlan) {
		snprintf(why, n,
			 "%s=: switch %s chooses its guests' VLANs (guest-vlan=on lets them)",
			 nic->vlan.mode == VSW_TRUNK ? "trunk" : "vlan", sw->name);
		return -EPERM;
	}
	apply_vlan(out, &nic->vlan);
	return vsw_policy_check(out, why, n);
}

int root_nic_mtu(const struct root_switch *sw, const struct root_nic *nic, uint32_t *out, char *why,
		 size_t n)
{
	uint32_t most = sw->mtu ? sw->mtu : ROOT_NIC_MTU;

	*out = nic->mtu ? nic->mtu : most;
	if (*out <= most)
		return 0;
	snprintf(why, n, "mtu=%u: switch %s allows at most %u (mtu= of --switch)", nic->mtu,
		 sw->name, most);
	return -EINVAL;
}

void root_nic_mac(const char *root, const char *partition, uint32_t index, uint32_t attempt,
		  uint8_t mac[NET_MAC_LEN])
{
	static const uint8_t range[] = { 0x00, 0x15, 0x5d };
	struct guid id;
	char key[256];

	snprintf(key, sizeof(key), "hvbus-mac %u %u %.32s %s", index, attempt, partition, root);
	guid_from_name(&id, key, (uint32_t)strlen(key));
	memcpy(mac, range, sizeof(range));
	memcpy(mac + sizeof(range), id.b, NET_MAC_LEN - sizeof(range));
}

/* ---- mirrors ------------------------------------------------------------------------------ */

static int set_file(const struct item *it)
{
	if (strlen(it->value) >= PATH_MAX)
		return wrong(it, "a path is at most 4095 bytes long");
	strcpy(it->field, it->value);
	return 0;
}

#define MIRROR(field) offsetof(struct root_mirror, field)

static const struct key mirror_keys[] = {
	{ "switch", set_name, MIRROR(switch_name) },
	{ "port", set_name, MIRROR(port) },
	{ "file", set_file, MIRROR(file) },
	{ NULL, NULL, 0 },
};

int root_parse_mirror(struct root_mirror *out, char *arg, char *why, size_t n)
{
	static const char *const needed[] = { "switch", "port", "file", NULL };
	const struct keys k = { mirror_keys, out };
	uint64_t seen;
	int err;

	memset(out, 0, sizeof(*out));
	err = parse_list(&k, 1, arg, &seen, why, n);
	return err ? err
		   : check_given(&k, 1, seen, needed, "switch=lan,port=web1,file=web1.pcapng", why,
				 n);
}

int root_parse_port(const char *text, char sw[VSW_NAME], char port[VSW_NAME], char *why, size_t n)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : 0;

	if (!len || len >= VSW_NAME || !slash[1] || strlen(slash + 1) >= VSW_NAME) {
		snprintf(why, n, "%.64s: SWITCH/PORT is needed, such as lan/web1", text);
		return -EINVAL;
	}
	memcpy(sw, text, len);
	sw[len] = '\0';
	strcpy(port, slash + 1);
	return 0;
}
