/* SPDX-License-Identifier: MIT */
/* NICs: what guests wish for, and what of that a switch lets them have. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/guid.h"
#include "vmwp/net_keys.h"

static int set_mac(const struct key_item *it)
{
	struct root_nic *nic = it->field;

	if (!net_mac_parse(it->value, nic->mac))
		return key_wrong(it, "six bytes are needed, such as 00:15:5d:01:02:03");
	if (net_mac_zero(nic->mac) || net_mac_multicast(nic->mac))
		return key_wrong(it, "a unicast address is needed: not 0, first byte even");
	nic->has_mac = true;
	return 0;
}

static int set_queues(const struct key_item *it)
{
	uint64_t v = 0;
	int err = key_number(it, 1, NETVSP_MAX_QUEUES, &v);

	*(uint16_t *)it->field = (uint16_t)v;
	return err;
}

#define NIC(field) .offset = offsetof(struct root_nic, field)

static const struct key nic_keys[] = {
	{ "switch", key_name, NIC(switch_name) }, { "mac", set_mac, .offset = 0 },
	{ "queues", set_queues, NIC(queues) },	  { "mtu", key_mtu, NIC(mtu) },
	{ "name", key_name, NIC(name) },	  { .name = NULL },
};

int root_parse_nic(struct root_nic *out, char *arg, char *why, size_t n)
{
	static const char *const needed[] = { "switch", NULL };
	const struct keys k[] = { { nic_keys, out }, { vlan_keys, &out->vlan } };
	uint64_t seen;
	int err;

	*out = (struct root_nic){ .queues = 0 };
	err = keys_parse(k, ARRAY_SIZE(k), arg, &seen, why, n);
	return err ? err : keys_needed(k, ARRAY_SIZE(k), seen, needed, "switch=lan", why, n);
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
	vlan_apply(out, &nic->vlan);
	return vsw_policy_check(out, why, n);
}

int root_nic_allowed(const struct root_switch *sw, const struct root_nic *nic, char *why, size_t n)
{
	if (nic->has_mac && !sw->guest_mac)
		snprintf(why, n,
			 "mac=: switch %s chooses its guests' addresses (guest-mac=on lets them)",
			 sw->name);
	else if (*nic->name && sw->no_guest_name)
		snprintf(why, n, "name=: switch %s names its ports (guest-name=on lets guests)",
			 sw->name);
	else
		return 0;
	return -EPERM;
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
