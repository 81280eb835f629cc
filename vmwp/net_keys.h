/* SPDX-License-Identifier: MIT */
/* The values and tables that several lists about switches and NICs have. */
#ifndef HVBUS_VMWP_NET_KEYS_H
#define HVBUS_VMWP_NET_KEYS_H

#include "vmwp/keys.h"
#include "vmwp/net_config.h"

/* What fields of these types hold. */
int key_mtu(const struct key_item *it); /* uint32_t */
/* char[VSW_NAME], of switches and ports: they are joined by '/', and shown beside other words. */
int key_name(const struct key_item *it);
int key_interface(const struct key_item *it); /* char[ROOT_IF_NAME] */

/* ---- tables: net_keys_policy.c ---------------------------------------------------------- */

extern const struct key policy_keys[]; /* of a struct vsw_policy */
extern const struct key vlan_keys[];   /* of a struct root_vlan */
/* What was given of @v. */
void vlan_apply(struct vsw_policy *p, const struct root_vlan *v);

#endif
