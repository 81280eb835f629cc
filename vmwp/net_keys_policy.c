/* SPDX-License-Identifier: MIT */
/* What a port may do: VLANs, guards and limits. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmwp/net_keys.h"
#include "vmwp/root.h"

/* ---- VLANs ---------------------------------------------------------------------------- */

#define VLAN_MAX 4094u

static const char one_of_both[] = "a port has vlan= or trunk=, not both";

static int set_vlan(const struct key_item *it)
{
	struct root_vlan *v = it->field;
	uint64_t id = 0;

	if (v->mode == VSW_TRUNK)
		return key_wrong(it, one_of_both);
	v->given = true;
	if (!strcmp(it->value, "none"))
		return 0;
	v->mode = VSW_ACCESS;
	if (key_number(it, 1, VLAN_MAX, &id))
		return key_wrong(it, "a VLAN from 1 to 4094 is needed, or none");
	v->id = (uint16_t)id;
	return 0;
}

/* "10", "10-19" */
static bool allow_range(struct root_vlan *v, const char *text)
{
	uint64_t first, last;
	char *end;

	if (!key_digits(text, &end, &first))
		return false;
	last = first;
	if (*end == '-' && !key_digits(end + 1, &end, &last))
		return false;
	if (*end || !first || last > VLAN_MAX || first > last)
		return false;
	for (uint64_t id = first; id <= last; id++)
		v->allowed[id / 8] |= (uint8_t)(1u << id % 8);
	return true;
}

static int set_trunk(const struct key_item *it)
{
	struct root_vlan *v = it->field;
	char list[512], *save = NULL;

	if (v->given)
		return key_wrong(it, one_of_both);
	if (strlen(it->value) >= sizeof(list))
		return key_wrong(it, "too long; join ranges such as 10-19 with +");
	strcpy(list, it->value);
	v->given = true;
	v->mode = VSW_TRUNK;
	for (char *t = strtok_r(list, "+", &save); t; t = strtok_r(NULL, "+", &save))
		if (!allow_range(v, t))
			return key_wrong(it, "VLANs from 1 to 4094 are needed, such as 10+20-29");
	return 0;
}

/* Behind the trunk it belongs to. */
static int set_native(const struct key_item *it)
{
	struct root_vlan *v = it->field;
	uint64_t id = 0;
	int err;

	if (v->mode != VSW_TRUNK)
		return key_wrong(it, "goes with a trunk=, and behind it");
	err = key_number(it, 1, VLAN_MAX, &id);
	v->id = (uint16_t)id;
	return err;
}

const struct key vlan_keys[] = {
	{ "vlan", set_vlan, .offset = 0 },
	{ "trunk", set_trunk, .offset = 0 },
	{ "native", set_native, .offset = 0 },
	{ .name = NULL },
};

void vlan_apply(struct vsw_policy *p, const struct root_vlan *v)
{
	if (!v->given)
		return;
	p->vlan_mode = v->mode;
	p->vlan = v->id;
	memcpy(p->allowed, v->allowed, sizeof(p->allowed));
}

/* ---- policy ----------------------------------------------------------------------------- */

int root_parse_rate(const char *text, uint64_t *out)
{
	static const char units[] = "kmgt";
	uint64_t factor = 1;
	const char *unit;
	char *end;

	if (!key_digits(text, &end, out))
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

static int set_storm(const struct key_item *it)
{
	return key_u32(it, 0, UINT32_MAX);
}

static int set_bps(const struct key_item *it)
{
	if (root_parse_rate(it->value, it->field))
		return key_wrong(it,
				 "bits per second are needed, such as 100M or 2G; 0 = no limit");
	return 0;
}

static int set_burst(const struct key_item *it)
{
	uint64_t v;

	if (root_parse_size(it->value, &v) || v > UINT32_MAX)
		return key_wrong(it, "bytes are needed, such as 256K, less than 4G");
	*(uint32_t *)it->field = (uint32_t)v;
	return 0;
}

#define POLICY(field) .offset = offsetof(struct vsw_policy, field)

const struct key policy_keys[] = {
	{ "spoof", key_on_off, POLICY(mac_spoofing) },
	{ "dhcp-guard", key_on_off, POLICY(dhcp_guard) },
	{ "router-guard", key_on_off, POLICY(router_guard) },
	{ "isolated", key_on_off, POLICY(isolated) },
	{ "priority", key_on_off, POLICY(priority_tag) },
	{ "storm", set_storm, POLICY(storm) },
	{ "bps", set_bps, POLICY(bps) },
	{ "burst", set_burst, POLICY(burst) },
	{ .name = NULL },
};

int root_parse_policy(struct vsw_policy *p, char *arg, char *why, size_t n)
{
	struct root_vlan vlan = { 0 };
	struct vsw_policy asked = *p;
	const struct keys k[] = { { policy_keys, &asked }, { vlan_keys, &vlan } };
	uint64_t seen;
	int err = keys_parse(k, ARRAY_SIZE(k), arg, &seen, why, n);

	if (err)
		return err;
	vlan_apply(&asked, &vlan);
	err = vsw_policy_check(&asked, why, n);
	if (!err)
		*p = asked;
	return err;
}
