/* SPDX-License-Identifier: MIT */
/*
 * Switches, ports and NICs as JSON, for `hvbus inspect` and `hvbus net list`.
 */
#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "vmwp/cable.h"
#include "vmwp/root_priv.h"

#define I(x)	      json_integer((json_int_t)(x))
#define MAX_ADDRESSES 1024	   /* of one switch, in one answer */
#define RATE_NS	      500000000ull /* rates are of at least so long a time */

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static json_t *text(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

static json_t *mac_json(const uint8_t mac[NET_MAC_LEN])
{
	char buf[NET_MAC_TEXT];

	if (net_mac_zero(mac))
		return json_null();
	net_mac_format(mac, buf);
	return text(buf);
}

/* ---- counters ------------------------------------------------------------------------ */

static json_t *count_json(const struct vsw_count *c)
{
	json_t *o = json_object();

	set(o, "frames", I(c->frames));
	set(o, "bytes", I(c->bytes));
	set(o, "unicast", I(c->unicast));
	set(o, "multicast", I(c->multicast));
	set(o, "broadcast", I(c->broadcast));
	return o;
}

/* Reasons without a frame are not mentioned. */
static json_t *drops_json(const uint64_t drop[VSW_DROP_COUNT])
{
	json_t *o = json_object();

	for (int i = VSW_FORWARDED + 1; i < VSW_DROP_COUNT; i++)
		if (drop[i])
			set(o, vsw_drop_name((enum vsw_drop)i), I(drop[i]));
	return o;
}

static bool same_port(const struct look *l, const struct vsw_port *p, const uint64_t seen[4])
{
	for (int i = 0; i < 4; i++)
		if (seen[i] < l->seen[i])
			return false;
	return l->port == p;
}

static void measure(struct look *l, const struct vsw_port *p, const struct vsw_port_stats *st)
{
	const uint64_t seen[4] = { st->in.frames, st->in.bytes, st->out.frames, st->out.bytes };
	uint64_t t = clock_ns(), passed = t - l->when_ns;

	if (!same_port(l, p, seen)) {
		*l = (struct look){ .port = p };
	} else if (passed < RATE_NS) {
		return;
	} else {
		for (int i = 0; i < 4; i++)
			l->rate[i] = (double)(seen[i] - l->seen[i]) * 1e9 / (double)passed;
		l->measured = true;
	}
	memcpy(l->seen, seen, sizeof(seen));
	l->when_ns = t;
}

/* Since the last look, whoever had it. */
static json_t *rates_json(struct look *l, const struct vsw_port *p, const struct vsw_port_stats *st)
{
	json_t *o;

	measure(l, p, st);
	if (!l->measured)
		return json_null();
	o = json_object();
	set(o, "frames_in", json_real(l->rate[0]));
	set(o, "bits_in", json_real(8 * l->rate[1]));
	set(o, "frames_out", json_real(l->rate[2]));
	set(o, "bits_out", json_real(8 * l->rate[3]));
	return o;
}

/* ---- policy --------------------------------------------------------------------------- */

/* "10+20-29", as trunk= takes it. */
static void trunk_text(const struct vsw_policy *p, char *out, size_t n)
{
	size_t at = 0;
	uint32_t last;

	*out = '\0';
	for (uint32_t id = 1; id < 4095 && at < n; id = last + 1) {
		last = id;
		if (!(p->allowed[id / 8] >> id % 8 & 1))
			continue;
		while (last < 4094 && p->allowed[(last + 1) / 8] >> (last + 1) % 8 & 1)
			last++;
		at += (size_t)snprintf(out + at, n - at, last > id ? "%s%u-%u" : "%s%u",
				       at ? "+" : "", id, last);
	}
}

static json_t *vlan_json(const struct vsw_policy *p)
{
	static const char *const modes[] = {
		[VSW_UNTAGGED] = "untagged", [VSW_ACCESS] = "access", [VSW_TRUNK] = "trunk"
	};
	json_t *o = json_object();
	char list[512];

	set(o, "mode", text(modes[p->vlan_mode]));
	if (p->vlan_mode == VSW_ACCESS)
		set(o, "id", I(p->vlan));
	if (p->vlan_mode != VSW_TRUNK)
		return o;
	trunk_text(p, list, sizeof(list));
	set(o, "allowed", text(list));
	set(o, "native", p->vlan ? I(p->vlan) : json_null());
	return o;
}

static json_t *policy_json(const struct vsw_policy *p)
{
	json_t *o = json_object();

	set(o, "spoof", json_boolean(p->mac_spoofing));
	set(o, "dhcp_guard", json_boolean(p->dhcp_guard));
	set(o, "router_guard", json_boolean(p->router_guard));
	set(o, "isolated", json_boolean(p->isolated));
	set(o, "priority", json_boolean(p->priority_tag));
	set(o, "storm", I(p->storm));
	set(o, "bps", I(p->bps));
	set(o, "burst", I(p->burst));
	return o;
}

/* ---- what is at a port -------------------------------------------------------------------- */

static json_t *version_json(uint32_t v)
{
	char buf[24];

	if (!v)
		return json_null();
	if (v == 0x2) /* NVSP 1 and 2 are numbered in a way of their own */
		return text("1.0");
	if (v == 0x30002)
		return text("2.0");
	snprintf(buf, sizeof(buf), "%u.%u", v >> 16, v & 0xffff);
	return text(buf);
}

static json_t *adapter_json(const struct netvsp *n)
{
	struct netvsp_stats st;
	json_t *o = json_object();

	netvsp_stats(n, &st);
	set(o, "state", text(st.state));
	set(o, "failed", text(st.failed));
	set(o, "nvsp", version_json(st.version));
	set(o, "mtu", I(st.mtu));
	set(o, "speed", I(st.speed));
	set(o, "queues", I(st.channels));
	set(o, "max_queues", I(st.max_queues));
	set(o, "filter", I(st.filter));
	set(o, "rsc", json_boolean(st.rsc));
	set(o, "rss", json_boolean(st.rss));
	set(o, "rx_sections", I(st.rx_sections));
	set(o, "rx_usable", I(st.rx_usable));
	set(o, "rx_free", I(st.rx_free));
	set(o, "tx_sections", I(st.tx_sections));
	set(o, "tx_requests", I(st.tx_requests));
	set(o, "tx_frames", I(st.tx_frames));
	set(o, "tx_rejected", I(st.tx_rejected));
	set(o, "rx_packets", I(st.rx_packets));
	set(o, "rx_frames", I(st.rx_frames));
	set(o, "rx_fragments", I(st.rx_fragments));
	set(o, "control", I(st.control));
	set(o, "control_rejected", I(st.control_rejected));
	set(o, "oids_unknown", I(st.oids_unknown));
	set(o, "ignored", I(st.ignored));
	return o;
}

static const char *role_of(const struct netsw *sw, const struct vsw_port *p, bool guest)
{
	if (guest)
		return "guest";
	if (cable_find(sw, p))
		return "joined";
	if (sw->cfg.type == VSW_EXTERNAL || sw->cfg.type == VSW_JOINED)
		return "uplink";
	return sw->cfg.type == VSW_NAT ? "nat" : "host";
}

static json_t *mirror_json(const struct mirror *m)
{
	struct vsw_mirror_stats st = { .path = m->at.file };
	json_t *o = json_object();

	if (m->m)
		vsw_mirror_stats(m->m, &st);
	set(o, "port", text(m->at.port));
	set(o, "file", text(st.path));
	set(o, "waiting", json_boolean(!m->port));
	set(o, "frames", I(st.frames));
	set(o, "dropped", I(st.dropped));
	set(o, "bytes", I(st.bytes));
	set(o, "error", st.error ? text(strerror(st.error)) : json_null());
	return o;
}

static json_t *mirrors_json(const struct netsw *sw)
{
	const struct root *r = sw->root;
	json_t *a = json_array();

	for (const struct mirror *m = r->mirror; m < r->mirror + ROOT_MAX_MIRRORS; m++)
		if (m->sw == sw)
			json_array_append_new(a, mirror_json(m));
	return a;
}

/* ---- ports --------------------------------------------------------------------------------- */

static void add_owner(json_t *o, struct netsw *sw, const struct vsw_port *p)
{
	uint32_t index = 0;
	const struct guest *g = nic_owner(sw->root, p, &index);

	set(o, "role", text(role_of(sw, p, g)));
	set(o, "partition", g ? I(hv_partition_id(g->partition)) : json_null());
	set(o, "partition_name", g ? text(hv_partition_name(g->partition)) : json_null());
	set(o, "nic", g ? I(index) : json_null());
	set(o, "adapter", g ? adapter_json(g->nic[index].vsp) : json_null());
	set(o, "device", g || cable_find(sw, p) ? json_null() : host_json(sw));
}

json_t *inspect_port(struct netsw *sw, const struct vsw_port *p)
{
	const struct vsw_policy *policy = vsw_port_policy(p);
	struct vsw_port_stats st;
	json_t *o = json_object();

	vsw_port_stats(p, &st);
	set(o, "switch", text(sw->cfg.name));
	set(o, "name", text(vsw_port_name(p)));
	add_owner(o, sw, p);
	set(o, "mac", mac_json(vsw_port_mac(p)));
	set(o, "link", json_boolean(vsw_port_link(p)));
	set(o, "vlan", vlan_json(policy));
	set(o, "policy", policy_json(policy));
	set(o, "in", count_json(&st.in));
	set(o, "out", count_json(&st.out));
	set(o, "rates", rates_json(&sw->look[vsw_port_id(p)], p, &st));
	set(o, "dropped_in", drops_json(st.drop_in));
	set(o, "dropped_out", drops_json(st.drop_out));
	set(o, "segmented", I(st.segmented));
	set(o, "checksummed", I(st.checksummed));
	set(o, "learned", I(st.learned));
	return o;
}

json_t *inspect_nics(const struct guest *g)
{
	json_t *a = json_array(), *o;
	const struct vsw_port *p;

	for (uint32_t i = 0; i < g->nr_nics; i++) {
		p = g->nic[i].vsp ? netvsp_port(g->nic[i].vsp) : NULL;
		if (!p)
			continue;
		o = json_object();
		set(o, "nic", I(i));
		set(o, "switch", text(g->nic[i].sw->cfg.name));
		set(o, "port", text(vsw_port_name(p)));
		set(o, "mac", mac_json(vsw_port_mac(p)));
		set(o, "link", json_boolean(vsw_port_link(p)));
		set(o, "adapter", adapter_json(g->nic[i].vsp));
		json_array_append_new(a, o);
	}
	return a;
}

/* ---- switches ------------------------------------------------------------------------------ */

struct addresses {
	json_t *list;
	uint32_t total;
};

static void add_address(void *ctx, const struct vsw_mac_info *m)
{
	struct addresses *a = ctx;
	json_t *o;

	if (m->fixed) /* the ports say those */
		return;
	if (a->total++ >= MAX_ADDRESSES)
		return;
	o = json_object();
	set(o, "mac", mac_json(m->mac));
	set(o, "vlan", I(m->vlan));
	set(o, "port", text(vsw_port_name(m->port)));
	set(o, "age_s", json_real((double)m->age_ns / 1e9));
	json_array_append_new(a->list, o);
}

static json_t *subnet_json(const struct root_switch *cfg)
{
	char address[INET_ADDRSTRLEN], buf[32];

	if (cfg->type != VSW_NAT)
		return json_null();
	inet_ntop(AF_INET, &cfg->nat.network, address, sizeof(address));
	snprintf(buf, sizeof(buf), "%s/%u", address, cfg->nat.prefix);
	return text(buf);
}

static json_t *switch_json(struct netsw *sw)
{
	struct addresses a = { .list = json_array() };
	json_t *o = json_object(), *ports = json_array();
	const struct vsw_port *p = NULL;

	set(o, "name", text(sw->cfg.name));
	set(o, "type", text(vsw_type_name(vsw_type_of(sw->vsw))));
	set(o, "mode", text(sw->cfg.bridge ? "bridge" : "hyper-v"));
	set(o, "subnet", subnet_json(&sw->cfg));
	set(o, "guests", I(sw->guests));
	set(o, "max_guests", I(sw->cfg.max_guests));
	set(o, "max_mtu", I(sw->cfg.mtu ? sw->cfg.mtu : ROOT_NIC_MTU));
	set(o, "guest_vlan", json_boolean(sw->cfg.guest_vlan));
	set(o, "guest_mac", json_boolean(sw->cfg.guest_mac));
	set(o, "guest_name", json_boolean(!sw->cfg.no_guest_name));
	while ((p = vsw_port_next(sw->vsw, p)))
		json_array_append_new(ports, inspect_port(sw, p));
	set(o, "ports", ports);
	vsw_each_mac(sw->vsw, add_address, &a);
	set(o, "learned", I(a.total));
	set(o, "addresses", a.list);
	set(o, "mirrors", mirrors_json(sw));
	return o;
}

json_t *inspect_switches(struct root *r)
{
	json_t *a = json_array();

	for (uint32_t i = 0; i < r->nr_switches; i++)
		json_array_append_new(a, switch_json(r->sw[i]));
	return a;
}
