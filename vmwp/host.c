/* SPDX-License-Identifier: MIT */
/* From the type of a switch to the port that leads out of it. */
#include "vmwp/host.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmwp/cable.h"
#include "vmwp/root_priv.h"
#include "vsp/netvsp/port_packet.h"
#include "vsp/netvsp/port_tap.h"
#include "vsp/netvsp/port_test.h"

#define BUSY_NS 1000000000ull

void host_policy(struct vsw_policy *p, uint16_t native)
{
	*p = (struct vsw_policy){
		.mac_spoofing = true, .priority_tag = true, .vlan_mode = VSW_TRUNK, .vlan = native
	};
	memset(p->allowed, 0xff, sizeof(p->allowed));
	p->allowed[0] &= 0xfe;	 /* VLAN 0 */
	p->allowed[511] &= 0x7f; /* and 4095 are none */
}

/* ---- TAPs ----------------------------------------------------------------------------- */

static int interface_mac(int probe, const char *name, uint8_t mac[NET_MAC_LEN])
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	if (ioctl(probe, SIOCGIFHWADDR, &r))
		return -errno;
	memcpy(mac, r.ifr_hwaddr.sa_data, NET_MAC_LEN);
	return 0;
}

/*
 * The kernel lets go of the TAP of a root that has just ended a little later than that: io_uring
 * still refers to it.
 */
static int open_again(struct net_tap *t, const struct net_tap_config *tc, char *why, size_t n)
{
	uint64_t until = clock_ns() + BUSY_NS;
	int err;

	do {
		err = net_tap_open(t, tc, why, n);
		if (err != -EBUSY && err != -EEXIST)
			break;
		usleep(20000);
	} while (clock_ns() < until);
	return err;
}

/* One that is there keeps its address, size and state: it is somebody's. */
static int open_tap(struct netsw *sw, struct port_tap_config *pc, char *why, size_t n)
{
	const struct root_switch *cfg = &sw->cfg;
	uint8_t mac[NET_MAC_LEN];
	char reason[256] = "";
	int err;
	struct net_tap_config tc = { .name = cfg->tap,
				     .offloads = true,
				     .must_exist = cfg->existing,
				     .up = !cfg->existing };

	root_nic_mac(sw->root->identity, cfg->name, 0, 0, mac);
	if (!cfg->existing) {
		tc.mac = mac;
		tc.mtu = cfg->mtu;
	}
	err = open_again(&pc->tap, &tc, reason, sizeof(reason));
	if (err == -EPERM && !cfg->existing)
		snprintf(why, n,
			 "tap=%s: to make it takes CAP_NET_ADMIN; or have it made with `ip tuntap "
			 "add %s mode tap user USER` and say existing=on",
			 cfg->tap, cfg->tap);
	else if (err)
		snprintf(why, n, "tap=%s: %s", cfg->tap, reason);
	return err;
}

static int connect_tap(struct netsw *sw, char *why, size_t n)
{
	bool uplink = sw->cfg.type == VSW_EXTERNAL;
	struct port_tap_config pc = { .name = sw->cfg.tap,
				      .role = uplink ? VSW_UPLINK : VSW_HOST,
				      .mtu = sw->cfg.mtu };
	int err = open_tap(sw, &pc, why, n);

	if (err)
		return err;
	pc.probe = sw->probe;
	host_policy(&pc.policy, uplink ? 0 : sw->cfg.policy.vlan);
	err = uplink ? 0 : interface_mac(sw->probe, pc.tap.name, pc.mac);
	if (err)
		snprintf(why, n, "tap=%s: its address: %s", pc.tap.name, strerror(-err));
	else
		err = port_tap_create(&sw->tap, sw->root->loop, sw->vsw, &pc, why, n);
	if (err)
		net_tap_close(&pc.tap);
	return err;
}

static int start_tap(struct netsw *sw, char *why, size_t n)
{
	sw->probe = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sw->probe < 0) {
		snprintf(why, n, "tap=%s: %s", sw->cfg.tap, strerror(errno));
		return -errno;
	}
	return connect_tap(sw, why, n);
}

/* ---- packet sockets ---------------------------------------------------------------------- */

static int start_packet(struct netsw *sw, char *why, size_t n)
{
	struct port_packet_config pc = { .name = sw->cfg.iface,
					 .interface = sw->cfg.iface,
					 .mtu = sw->cfg.mtu };
	int err;

	pc.fd = port_packet_open(sw->cfg.iface, why, n);
	if (pc.fd < 0)
		return pc.fd;
	host_policy(&pc.policy, 0);
	err = port_packet_create(&sw->packet, sw->root->loop, sw->vsw, &pc, why, n);
	if (err)
		close(pc.fd);
	return err;
}

/* ---- NAT ---------------------------------------------------------------------------------- */

/* The translation knows no tags: it is where guests are unless they choose another VLAN. */
static int join_vlan(struct netsw *sw, char *why, size_t n)
{
	struct vsw_port *p = nat_port(sw->nat);
	struct vsw_policy policy = *vsw_port_policy(p);

	policy.vlan_mode = sw->cfg.policy.vlan_mode;
	policy.vlan = sw->cfg.policy.vlan;
	return vsw_port_set_policy(p, &policy, why, n);
}

static int start_nat(struct netsw *sw, char *why, size_t n)
{
	struct root *r = sw->root;
	int err = r->nats ? 0 : nat_host_create(&r->nats, r->loop, r->cfg.sandbox);

	if (err) {
		snprintf(why, n, "switch %s: the process for NAT: %s", sw->cfg.name,
			 strerror(-err));
		return err;
	}
	err = nat_create(&sw->nat, r->nats, sw->vsw, "nat", &sw->cfg.nat, why, n);
	return err ? err : join_vlan(sw, why, n);
}

/* ---- the test port --------------------------------------------------------------------------- */

static int start_test(struct netsw *sw, char *why, size_t n)
{
	static const uint8_t mac[NET_MAC_LEN] = PORT_TEST_MAC;

	return port_test_create(&sw->test, sw->root->loop, sw->vsw, "test", mac, why, n);
}

/* ---- all of them --------------------------------------------------------------------------- */

static int connect_host(struct netsw *sw, char *why, size_t n)
{
	switch (sw->cfg.type) {
	case VSW_PRIVATE:
		return 0;
	case VSW_NAT:
		return start_nat(sw, why, n);
	case VSW_EXTERNAL:
		return *sw->cfg.iface ? start_packet(sw, why, n) : start_tap(sw, why, n);
	case VSW_INTERNAL:
		return start_tap(sw, why, n);
	case VSW_JOINED:
		return cable_up(sw, sw->cfg.cable, why, n);
	}
	return -EINVAL;
}

int host_open(struct netsw *sw, char *why, size_t n)
{
	int err;

	sw->probe = -1;
	err = connect_host(sw, why, n);
	return err || !sw->cfg.test ? err : start_test(sw, why, n);
}

void host_close(struct netsw *sw)
{
	port_test_destroy(sw->test);
	port_tap_destroy(sw->tap);
	port_packet_destroy(sw->packet);
	nat_destroy(sw->nat);
	cables_close(sw);
	if (sw->probe >= 0)
		close(sw->probe);
}

/* ---- inspection ----------------------------------------------------------------------------- */

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static json_t *device_json(const char *kind, const char *name, const struct port_stats *st)
{
	json_t *o = json_object();

	set(o, "kind", json_string(kind));
	set(o, "name", json_string(name));
	set(o, "state", json_string(st->state ? st->state : "up"));
	set(o, "error", st->error ? json_string(strerror(st->error)) : json_null());
	set(o, "rejected", json_integer((json_int_t)st->rejected));
	set(o, "full", json_integer((json_int_t)st->full));
	set(o, "down", json_integer((json_int_t)st->down));
	set(o, "failed", json_integer((json_int_t)st->failed));
	set(o, "gone", json_integer((json_int_t)st->gone));
	set(o, "returned", json_integer((json_int_t)st->returned));
	return o;
}

static json_t *cable_json(const struct netsw *sw)
{
	struct port_stats st;

	cable_stats(sw->uplink, &st);
	return device_json("root", sw->cfg.root, &st);
}

static json_t *nat_json(const struct nat *t)
{
	struct nat_stats st;
	json_t *o;

	nat_stats(t, &st);
	o = device_json("nat", "hvbus-nat", &st.port);
	set(o, "running", json_boolean(st.running));
	set(o, "pid", st.pid ? json_integer(st.pid) : json_null());
	set(o, "started", json_integer((json_int_t)st.started));
	return o;
}

json_t *host_json(const struct netsw *sw)
{
	struct port_stats st;

	if (sw->nat)
		return nat_json(sw->nat);
	if (sw->uplink)
		return cable_json(sw);
	if (sw->packet) {
		port_packet_stats(sw->packet, &st);
		return device_json("interface", port_packet_interface(sw->packet), &st);
	}
	if (!sw->tap)
		return json_null();
	port_tap_stats(sw->tap, &st);
	return device_json("tap", port_tap_interface(sw->tap), &st);
}
