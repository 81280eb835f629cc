/* SPDX-License-Identifier: MIT */
/* Ports: connecting, changing, looking at them. Nothing here is on the way of a frame. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "vsp/netvsp/vsw_priv.h"

#define DEFAULT_MTU 1500u

PRINTF_LIKE(4, 5)
static int refuse(int err, char *why, size_t whylen, const char *fmt, ...)
{
	va_list ap;

	if (why) {
		va_start(ap, fmt);
		vsnprintf(why, whylen, fmt, ap);
		va_end(ap);
	}
	return err;
}

/* ---- connecting ---------------------------------------------------------------------------- */

static const struct vsw_port *uplink_of(const struct vsw *sw)
{
	for (uint32_t i = 0; i < sw->nports; i++)
		if (sw->port[i]->role == VSW_UPLINK)
			return sw->port[i];
	return NULL;
}

static int check_config(const struct vsw_port_config *cfg, char *why, size_t whylen)
{
	if (!cfg->name || !cfg->name[0] || strlen(cfg->name) >= VSW_NAME)
		return refuse(-EINVAL, why, whylen, "a port needs a name of 1 to %u characters",
			      VSW_NAME - 1);
	if (!cfg->ops || !cfg->ops->deliver || !cfg->ops->flush)
		return refuse(-EINVAL, why, whylen, "port %s takes no frames", cfg->name);
	if (net_mac_multicast(cfg->mac))
		return refuse(-EINVAL, why, whylen,
			      "port %s: a multicast address; its first octet must be even",
			      cfg->name);
	if (cfg->role == VSW_GUEST && net_mac_zero(cfg->mac))
		return refuse(-EINVAL, why, whylen, "port %s: a guest's port needs an address",
			      cfg->name);
	if (cfg->mtu && (cfg->mtu < NET_MIN_MTU || cfg->mtu > NET_FRAME_MAX - NET_ETH_LEN))
		return refuse(-EINVAL, why, whylen, "port %s: the MTU must be %u to %u", cfg->name,
			      NET_MIN_MTU, NET_FRAME_MAX - NET_ETH_LEN);
	return vsw_policy_check(&cfg->policy, why, whylen);
}

/* Is there a place for it on the switch? Its address is seen to by the table. */
static int check_place(struct vsw *sw, const struct vsw_port_config *cfg, char *why, size_t whylen)
{
	const struct vsw_port *uplink = uplink_of(sw);

	if (vsw_port_find(sw, cfg->name))
		return refuse(-EEXIST, why, whylen,
			      "switch %s has a port %s already; choose another name", sw->name,
			      cfg->name);
	if (cfg->role == VSW_UPLINK && uplink)
		return refuse(-EEXIST, why, whylen,
			      "switch %s has an uplink already (%s); disconnect it first", sw->name,
			      uplink->name);
	if (sw->nports == VSW_MAX_PORTS)
		return refuse(-ENOSPC, why, whylen, "switch %s has no more than %u ports", sw->name,
			      VSW_MAX_PORTS);
	return 0;
}

static int claim(struct vsw *sw, const struct vsw_port *p, char *why, size_t whylen)
{
	char text[NET_MAC_TEXT];
	struct mac_entry *e;
	int err;

	if (!p->mac)
		return 0;
	err = mac_table_fix(&sw->macs, p->mac, p->id);
	if (err != -EADDRINUSE)
		return err ? refuse(err, why, whylen, "no room for another address") : 0;
	e = mac_table_find(&sw->macs, p->mac, 0).fixed;
	net_mac_format(p->address, text);
	return refuse(err, why, whylen, "%s is the address of port %s; choose another", text,
		      sw->by_id[e->port]->name);
}

static uint16_t free_id(const struct vsw *sw)
{
	uint16_t id = 0;

	while (sw->by_id[id])
		id++;
	return id;
}

static struct vsw_port *make_port(struct vsw *sw, const struct vsw_port_config *cfg)
{
	struct vsw_port *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->sw = sw;
	p->id = free_id(sw);
	p->role = (uint8_t)cfg->role;
	p->ops = cfg->ops;
	p->ctx = cfg->ctx;
	p->mac = net_mac_u64(cfg->mac);
	memcpy(p->address, cfg->mac, NET_MAC_LEN);
	memcpy(p->assigned, cfg->mac, NET_MAC_LEN);
	strcpy(p->name, cfg->name);
	p->policy = cfg->policy;
	vsw_policy_apply(p);
	vsw_port_set_caps(p, cfg->caps, cfg->mtu);
	return p;
}

int vsw_port_add(struct vsw_port **out, struct vsw *sw, const struct vsw_port_config *cfg,
		 char *why, size_t whylen)
{
	struct vsw_port *p;
	int err;

	err = check_config(cfg, why, whylen);
	if (!err)
		err = check_place(sw, cfg, why, whylen);
	if (err)
		return err;
	p = make_port(sw, cfg);
	if (!p)
		return refuse(-ENOMEM, why, whylen, "out of memory");
	err = claim(sw, p, why, whylen);
	if (err) {
		free(p);
		return err;
	}
	sw->by_id[p->id] = p;
	sw->port[sw->nports++] = p;
	*out = p;
	return 0;
}

/* Takes @p out of @list, in whose order the others stay. */
static uint32_t remove_port(struct vsw_port **list, uint32_t n, const struct vsw_port *p)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < n; i++)
		if (list[i] != p)
			list[kept++] = list[i];
	return kept;
}

void vsw_port_del(struct vsw_port *p)
{
	struct vsw *sw;

	if (!p)
		return;
	sw = p->sw;
	if (p->mac)
		mac_table_unfix(&sw->macs, p->mac);
	mac_table_forget_port(&sw->macs, p->id);
	sw->nports = remove_port(sw->port, sw->nports, p);
	sw->ntouched = remove_port(sw->touched, sw->ntouched, p);
	sw->by_id[p->id] = NULL;
	free(p);
}

/* ---- changing ------------------------------------------------------------------------------ */

static void tell(struct vsw_port *p)
{
	if (p->ops->changed)
		p->ops->changed(p->ctx);
}

static bool same_vlans(const struct vsw_policy *a, const struct vsw_policy *b)
{
	return a->vlan_mode == b->vlan_mode && a->vlan == b->vlan &&
	       !memcmp(a->allowed, b->allowed, sizeof(a->allowed));
}

/* Unless another port has it. All zero: none from now on. */
static int change_mac(struct vsw_port *p, const uint8_t mac[NET_MAC_LEN])
{
	struct mac_table *t = &p->sw->macs;
	uint64_t wanted = net_mac_u64(mac);
	int err = wanted ? mac_table_fix(t, wanted, p->id) : 0;

	if (err)
		return err;
	if (p->mac)
		mac_table_unfix(t, p->mac);
	p->mac = wanted;
	memcpy(p->address, mac, NET_MAC_LEN);
	return 0;
}

/* Who may not choose an address any more does not keep the one that it has chosen. */
static int take_back_mac(struct vsw_port *p, const struct vsw_policy *policy, char *why,
			 size_t whylen)
{
	char text[NET_MAC_TEXT];
	int err;

	if (policy->mac_spoofing || p->sw->bridge || !memcmp(p->address, p->assigned, NET_MAC_LEN))
		return 0;
	err = change_mac(p, p->assigned);
	net_mac_format(p->assigned, text);
	return err ? refuse(err, why, whylen, "another port has %s, the port's own, by now", text)
		   : 0;
}

int vsw_port_set_policy(struct vsw_port *p, const struct vsw_policy *policy, char *why,
			size_t whylen)
{
	struct vsw_policy old = p->policy;
	int err = vsw_policy_check(policy, why, whylen);

	if (!err)
		err = take_back_mac(p, policy, why, whylen);
	if (err)
		return err;
	p->policy = *policy;
	vsw_policy_apply(p);
	/* Of what was learned under other rules nothing may stay in force. */
	if (!same_vlans(&old, &p->policy) || old.mac_spoofing != p->policy.mac_spoofing)
		mac_table_forget_port(&p->sw->macs, p->id);
	tell(p);
	return 0;
}

int vsw_port_set_mac(struct vsw_port *p, const uint8_t mac[NET_MAC_LEN])
{
	uint64_t wanted = net_mac_u64(mac);
	int err;

	if (!wanted || net_mac_multicast(mac))
		return -EINVAL;
	if (wanted == p->mac)
		return 0;
	if (p->role == VSW_UPLINK || !(p->policy.mac_spoofing || p->sw->bridge))
		return -EPERM;
	err = change_mac(p, mac);
	if (!err)
		vsw_policy_apply(p);
	return err;
}

void vsw_port_set_link(struct vsw_port *p, bool up)
{
	if (up == vsw_port_link(p))
		return;
	p->features ^= VSW_F_DOWN;
	if (!up)
		mac_table_forget_port(&p->sw->macs, p->role == VSW_UPLINK ? VSW_MAX_PORTS : p->id);
	tell(p);
}

void vsw_port_set_caps(struct vsw_port *p, uint32_t caps, uint32_t mtu)
{
	if (!mtu)
		mtu = DEFAULT_MTU;
	if (mtu < NET_MIN_MTU)
		mtu = NET_MIN_MTU;
	if (mtu > NET_FRAME_MAX - NET_ETH_LEN)
		mtu = NET_FRAME_MAX - NET_ETH_LEN;
	p->caps = caps;
	p->max_len = mtu + NET_ETH_LEN;
}

void vsw_port_set_mirror(struct vsw_port *p, struct vsw_mirror *m)
{
	p->mirror = m;
}

/* ---- looking -------------------------------------------------------------------------------- */

bool vsw_port_link(const struct vsw_port *p)
{
	return !(p->features & VSW_F_DOWN);
}

struct vsw *vsw_port_switch(const struct vsw_port *p)
{
	return p->sw;
}

const char *vsw_port_name(const struct vsw_port *p)
{
	return p->name;
}

uint32_t vsw_port_id(const struct vsw_port *p)
{
	return p->id;
}

const struct vsw_policy *vsw_port_policy(const struct vsw_port *p)
{
	return &p->policy;
}

const uint8_t *vsw_port_mac(const struct vsw_port *p)
{
	return p->address;
}

struct vsw_port *vsw_port_find(struct vsw *sw, const char *name)
{
	for (uint32_t i = 0; i < sw->nports; i++)
		if (!strcmp(sw->port[i]->name, name))
			return sw->port[i];
	return NULL;
}

struct vsw_port *vsw_port_next(struct vsw *sw, const struct vsw_port *prev)
{
	uint32_t i = 0;

	if (prev) {
		while (i < sw->nports && sw->port[i] != prev)
			i++;
		i++;
	}
	return i < sw->nports ? sw->port[i] : NULL;
}

uint64_t vsw_port_wait_ns(struct vsw_port *p)
{
	if (likely(!(p->features & VSW_F_METER)))
		return 0;
	return meter_wait_ns(&p->meter, p->sw->now(p->sw->now_ctx));
}

void vsw_port_stats(const struct vsw_port *p, struct vsw_port_stats *out)
{
	*out = (struct vsw_port_stats){
		.in = p->in,
		.out = p->out,
		.segmented = p->segmented,
		.checksummed = p->checksummed,
		.learned = p->sw->macs.per_port[p->id],
	};
	memcpy(out->drop_in, p->drop_in, sizeof(out->drop_in));
	memcpy(out->drop_out, p->drop_out, sizeof(out->drop_out));
}

static bool describe(const struct vsw *sw, const struct mac_entry *e, uint64_t now,
		     struct vsw_mac_info *m)
{
	uint64_t seen = (uint64_t)e->seen_s * 1000000000u;

	if (!e->key)
		return false;
	*m = (struct vsw_mac_info){ .port = sw->by_id[e->port] };
	memcpy(m->mac, &e->key, NET_MAC_LEN);
	m->fixed = mac_entry_vlan(e) == MAC_ANY_VLAN;
	if (m->fixed)
		return true;
	m->vlan = mac_entry_vlan(e);
	m->age_ns = now > seen ? now - seen : 0;
	return !mac_entry_old(e, (uint32_t)(now / 1000000000u));
}

void vsw_each_mac(const struct vsw *sw, void (*fn)(void *ctx, const struct vsw_mac_info *m),
		  void *ctx)
{
	uint64_t now = sw->now(sw->now_ctx);
	struct vsw_mac_info m;

	for (uint32_t i = 0; i < MAC_BUCKETS; i++)
		for (uint32_t s = 0; s < MAC_SLOTS; s++)
			if (describe(sw, &sw->macs.bucket[i].slot[s], now, &m))
				fn(ctx, &m);
}
