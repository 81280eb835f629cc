/* SPDX-License-Identifier: MIT */
/* Policies: which can be, and what one means for the frames of a port. */
#include <errno.h>
#include <stdio.h>

#include "vsp/netvsp/vsw_priv.h"

#define VLAN_MAX 4094u

static bool any_allowed(const struct vsw_policy *policy)
{
	for (size_t i = 0; i < sizeof(policy->allowed); i++)
		if (policy->allowed[i])
			return true;
	return false;
}

int vsw_policy_check(const struct vsw_policy *policy, char *why, size_t whylen)
{
	const char *text = NULL;

	if (policy->vlan_mode > VSW_TRUNK)
		text = "unknown VLAN mode; use untagged, access or trunk";
	else if (policy->vlan_mode == VSW_UNTAGGED && policy->vlan)
		text = "an untagged port has no VLAN id; use access mode";
	else if (policy->vlan > VLAN_MAX)
		text = "a VLAN id is at most 4094";
	else if (policy->vlan_mode == VSW_ACCESS && !policy->vlan)
		text = "an access port needs a VLAN id from 1 to 4094";
	else if (policy->vlan_mode == VSW_TRUNK && !any_allowed(policy))
		text = "a trunk needs a list of allowed VLAN ids";
	else if (policy->burst && !policy->bps)
		text = "a burst is part of a bandwidth limit; set the limit, too";
	if (text && why)
		snprintf(why, whylen, "%s", text);
	return text ? -EINVAL : 0;
}

static uint32_t features(const struct vsw_port *p)
{
	const struct vsw_policy *policy = &p->policy;
	uint32_t f = p->features & VSW_F_DOWN;

	if (p->role == VSW_UPLINK)
		f |= VSW_F_UPLINK | VSW_F_FOREIGN | VSW_F_PRIORITY;
	else if (p->sw->bridge || policy->mac_spoofing || !p->mac)
		f |= VSW_F_FOREIGN;
	else
		f |= VSW_F_POLICED;
	f |= policy->dhcp_guard ? VSW_F_DHCP : 0;
	f |= policy->router_guard ? VSW_F_ROUTER : 0;
	f |= policy->storm ? VSW_F_STORM : 0;
	f |= policy->bps ? VSW_F_METER : 0;
	f |= policy->priority_tag ? VSW_F_PRIORITY : 0;
	f |= policy->isolated ? VSW_F_ISOLATED : 0;
	f |= policy->vlan_mode == VSW_TRUNK && p->role != VSW_UPLINK ? VSW_F_TRUNK : 0;
	return f;
}

void vsw_policy_apply(struct vsw_port *p)
{
	struct vsw_policy *policy = &p->policy;

	/* Neither is the id of a VLAN, so "all" may be said with all bits. */
	policy->allowed[0] &= 0xfe;
	policy->allowed[sizeof(policy->allowed) - 1] &= 0x7f;
	p->features = features(p);
	p->vlan = p->role == VSW_UPLINK ? 0 : policy->vlan;
	if (policy->bps != p->meter.bps || policy->burst != p->burst) {
		p->burst = policy->burst;
		meter_set(&p->meter, policy->bps, policy->burst);
	}
	if (policy->storm != p->storm.limit)
		storm_set(&p->storm, policy->storm);
}
