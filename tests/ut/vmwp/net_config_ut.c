/* SPDX-License-Identifier: MIT */
/*
 * Switches, NICs, mirrors and policies as people and guests write them: what is understood, and
 * for each thing that is wrong the sentence that is said.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmwp/net_config.h"

static char why[512];

#define PARSE(what, out, text)                                                                     \
	({                                                                                         \
		char *copy_ = strdup(text);                                                        \
		int err_;                                                                          \
		strcpy(why, "nothing was said");                                                   \
		err_ = root_parse_##what(out, copy_, why, sizeof(why));                            \
		free(copy_);                                                                       \
		err_;                                                                              \
	})

static struct root_switch the_switch(const char *text)
{
	struct root_switch sw;

	ck_assert_msg(!PARSE(switch, &sw, text), "%s: %s", text, why);
	return sw;
}

static struct root_nic the_nic(const char *text)
{
	struct root_nic nic;

	ck_assert_msg(!PARSE(nic, &nic, text), "%s: %s", text, why);
	return nic;
}

/* ---- switches ---------------------------------------------------------------------- */

START_TEST(switch_defaults)
{
	struct root_switch sw = the_switch("name=lan,type=private");

	ck_assert_str_eq(sw.name, "lan");
	ck_assert_int_eq(sw.type, VSW_PRIVATE);
	ck_assert(!sw.bridge && !sw.guest_vlan && !sw.existing && !sw.test);
	ck_assert(!sw.guest_mac && !sw.no_guest_name);
	ck_assert_str_eq(sw.tap, "");
	ck_assert_uint_eq(sw.max_guests, ROOT_MAX_GUESTS);
	ck_assert_uint_eq(sw.mtu, 0);
	ck_assert(!sw.policy.mac_spoofing && !sw.policy.isolated && !sw.policy.priority_tag);
	ck_assert_int_eq(sw.policy.vlan_mode, VSW_UNTAGGED);
	ck_assert_uint_eq(sw.policy.bps, 0);
}
END_TEST

/* Where addresses and routes come from outside, no guest may play that. */
START_TEST(switch_guards)
{
	static const struct {
		const char *text;
		bool dhcp, router;
	} t[] = {
		{ "name=a,type=private", false, false },
		{ "name=a,type=internal", false, false },
		{ "name=a,type=nat", true, true },
		{ "name=a,type=external,iface=eth0", true, true },
		{ "type=nat,dhcp-guard=off,name=a", false, true },
		{ "router-guard=off,name=a,type=nat", true, false },
		{ "name=a,type=private,dhcp-guard=on", true, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct root_switch sw = the_switch(t[i].text);

		ck_assert_msg(sw.policy.dhcp_guard == t[i].dhcp, "%s", t[i].text);
		ck_assert_msg(sw.policy.router_guard == t[i].router, "%s", t[i].text);
	}
}
END_TEST

START_TEST(switch_host)
{
	struct root_switch sw = the_switch("name=lan,type=internal");

	ck_assert_str_eq(sw.tap, "hv-lan");
	ck_assert(!sw.existing);
	sw = the_switch("name=a-name-that-is-long-enough,type=internal");
	ck_assert_str_eq(sw.tap, "hv-a-name-that-");
	sw = the_switch("name=lan,type=internal,tap=mine,existing=on");
	ck_assert_str_eq(sw.tap, "mine");
	ck_assert(sw.existing);
	sw = the_switch("name=wan,type=external,tap=t0");
	ck_assert(sw.existing);
	sw = the_switch("name=wan,type=external,iface=eth0");
	ck_assert_str_eq(sw.iface, "eth0");
	sw = the_switch("name=far,type=joined,root=/run/a");
	ck_assert_str_eq(sw.root, "/run/a");
	ck_assert_str_eq(sw.of, "far");
	ck_assert_int_eq(sw.cable, -1);
	sw = the_switch("name=far,type=joined,of=lan,root=a");
	ck_assert_str_eq(sw.of, "lan");
	sw = the_switch("name=n,type=nat");
	ck_assert_uint_eq(ntohl(sw.nat.network.s_addr), 0x0a000200);
	ck_assert_uint_eq(sw.nat.prefix, 24);
	sw = the_switch("name=n,type=nat,subnet=192.168.64.0/20,ipv6=off,loopback=on,"
			"forward=tcp::8080-:80+udp::53-:53");
	ck_assert_uint_eq(ntohl(sw.nat.network.s_addr), 0xc0a84000);
	ck_assert_uint_eq(sw.nat.prefix, 20);
	ck_assert(sw.nat.no_ipv6 && sw.nat.host_loopback);
	ck_assert_uint_eq(sw.nat.nr_forwards, 2);
	ck_assert(!sw.nat.forward[0].udp && sw.nat.forward[1].udp);
	ck_assert_uint_eq(sw.nat.forward[0].host_port, 8080);
}
END_TEST

START_TEST(switch_everything)
{
	struct root_switch sw = the_switch(
		"name=lan,type=private,mode=bridge,guests=2,mtu=65535,guest-vlan=on,spoof=on,"
		"isolated=on,priority=on,storm=500,bps=1G,burst=256K,vlan=4094,test=on");

	ck_assert(sw.bridge && sw.guest_vlan && sw.test);
	ck_assert_uint_eq(sw.max_guests, 2);
	ck_assert_uint_eq(sw.mtu, 65535);
	ck_assert(sw.policy.mac_spoofing && sw.policy.isolated && sw.policy.priority_tag);
	ck_assert_uint_eq(sw.policy.storm, 500);
	ck_assert_uint_eq(sw.policy.bps, 1000000000);
	ck_assert_uint_eq(sw.policy.burst, 262144);
	ck_assert_int_eq(sw.policy.vlan_mode, VSW_ACCESS);
	ck_assert_uint_eq(sw.policy.vlan, 4094);
}
END_TEST

static const struct {
	const char *text, *says;
} bad_switches[] = {
	{ "", "name= is missing" },
	{ "type=nat", "name= is missing" },
	{ "name=lan", "type= is missing" },
	{ "name=,type=nat", "name= has no value" },
	{ "name,type=nat", "name= has no value" },
	{ "name=lan,name=wan,type=nat", "name= is given twice" },
	{ "name=a/b,type=nat", "name=a/b: 1 to 31 letters" },
	{ "name=a b,type=nat", "1 to 31 letters" },
	{ "name=12345678901234567890123456789012,type=nat", "1 to 31 letters" },
	{ "name=lan,type=public", "type=public: allowed are private internal external nat joined" },
	{ "name=lan,tpye=nat", "unknown key 'tpye' (keys: name type tap" },
	{ "name=lan,type=nat,mode=hub", "mode=hub: allowed are hyper-v bridge" },
	{ "name=lan,type=external", "type=external needs tap=NAME" },
	{ "name=lan,type=external,tap=t0,iface=eth0", "not both" },
	{ "name=lan,type=joined", "type=joined needs root=SOCKET" },
	{ "name=lan,type=joined,of=lan", "type=joined needs root=SOCKET" },
	{ "name=lan,type=joined,root=/a,tap=t0", "tap=t0: only internal and external" },
	{ "name=lan,type=joined,root=", "root= has no value" },
	{ "name=lan,type=joined,root=/a,of=b/c", "of=b/c: 1 to 31 letters" },
	{ "name=lan,type=private,root=/a", "root=: only type=joined has it, not private" },
	{ "name=lan,type=nat,of=lan", "of=: only type=joined has it, not nat" },
	{ "name=lan,type=private,tap=t0", "tap=t0: only internal and external" },
	{ "name=lan,type=nat,tap=t0", "tap=t0: only internal and external" },
	{ "name=lan,type=internal,iface=eth0", "iface=eth0: only type=external" },
	{ "name=lan,type=nat,existing=on", "existing=on: only for the TAP of type=internal" },
	{ "name=lan,type=internal,tap=0123456789abcdef", "1 to 15 characters" },
	{ "name=lan,type=internal,tap=a/b", "1 to 15 characters" },
	{ "name=lan,type=internal,tap=hv%d", "1 to 15 characters" },
	{ "name=lan,type=private,subnet=10.0.2.0/24", "subnet=: only type=nat" },
	{ "name=lan,type=internal,forward=tcp::80-:80", "forward=: only type=nat" },
	{ "name=lan,type=nat,subnet=10.0.2.0", "subnet=: " },
	{ "name=lan,type=nat,subnet=10.0.2.1/24", "subnet=: " },
	{ "name=lan,type=nat,subnet=10.0.2.0/30", "prefix of 8 to 27" },
	{ "name=lan,type=nat,subnet=lan/24", "subnet=: " },
	{ "name=lan,type=nat,forward=tcp:80", "forward=: \"tcp:80\" is no forwarded port" },
	{ "name=lan,type=nat,ipv6=no", "ipv6=no: allowed are on off" },
	{ "name=lan,type=private,guests=0", "guests=0: a number from 1 to 250" },
	{ "name=lan,type=private,guests=251", "a number from 1 to 250" },
	{ "name=lan,type=private,mtu=67", "mtu=67: a number from 68 to 65535" },
	{ "name=lan,type=private,mtu=65536", "a number from 68 to 65535" },
	{ "name=lan,type=private,mtu=-1", "a number from 68 to 65535" },
	{ "name=lan,type=private,mtu=99999999999999999999999", "a number from 68 to 65535" },
	{ "name=lan,type=private,vlan=0", "vlan=0: a VLAN from 1 to 4094" },
	{ "name=lan,type=private,vlan=4095", "a VLAN from 1 to 4094" },
	{ "name=lan,type=private,vlan=ten", "a VLAN from 1 to 4094" },
	{ "name=lan,type=private,spoof=yes", "spoof=yes: allowed are on off" },
	{ "name=lan,type=private,guest-vlan=1", "guest-vlan=1: allowed are on off" },
	{ "name=lan,type=private,guest-mac=1", "guest-mac=1: allowed are on off" },
	{ "name=lan,type=private,guest-name=1", "guest-name=1: allowed are on off" },
	{ "name=lan,type=private,storm=4294967296", "storm=4294967296: a number from 0" },
	{ "name=lan,type=private,bps=fast", "bps=fast: bits per second" },
	{ "name=lan,type=private,bps=1X", "bits per second" },
	{ "name=lan,type=private,bps=99999999999T", "bits per second" },
	{ "name=lan,type=private,burst=4G", "burst=4G: bytes are needed" },
};

START_TEST(bad_switch)
{
	struct root_switch sw;

	ck_assert_int_eq(PARSE(switch, &sw, bad_switches[_i].text), -EINVAL);
	ck_assert_msg(strstr(why, bad_switches[_i].says), "'%s': %s", bad_switches[_i].text, why);
	ck_assert_msg(!strchr(why, '\n'), "%s", why);
}
END_TEST

START_TEST(one_of_a_kind)
{
	const struct root_switch list[] = { the_switch("name=lan,type=internal"),
					    the_switch("name=wan,type=external,iface=eth0") };
	static const struct {
		const char *text, *says;
	} t[] = {
		{ "name=lan,type=private", "name=lan: there is a switch of that name already" },
		{ "name=b,type=internal,tap=hv-lan", "tap=hv-lan: switch lan has it already" },
		{ "name=b,type=external,iface=eth0", "iface=eth0: switch wan has it already" },
	};
	struct root_switch sw;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		sw = the_switch(t[i].text);
		ck_assert_int_eq(root_check_switch(list, 2, &sw, why, sizeof(why)), -EEXIST);
		ck_assert_str_eq(why, t[i].says);
	}
	sw = the_switch("name=other,type=nat");
	ck_assert_int_eq(root_check_switch(list, 2, &sw, why, sizeof(why)), 0);
}
END_TEST

START_TEST(finding_a_switch)
{
	const struct root_switch list[] = { the_switch("name=lan,type=private"),
					    the_switch("name=wan,type=nat") };

	ck_assert_ptr_eq(root_find_switch(list, 2, "wan", why, sizeof(why)), &list[1]);
	ck_assert_ptr_null(root_find_switch(list, 2, "wam", why, sizeof(why)));
	ck_assert_str_eq(why, "switch=wam: there is no such switch; there are lan wan");
	ck_assert_ptr_null(root_find_switch(list, 0, "lan", why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "serve with --switch makes one"));
	ck_assert_ptr_null(root_find_switch(list, 2, "wam", why, 16)); /* no room: cut off */
	ck_assert_str_eq(why, "switch=wam: the");
}
END_TEST

/* ---- NICs ---------------------------------------------------------------------------- */

START_TEST(nic_keys)
{
	static const uint8_t mac[] = { 0x02, 0x15, 0x5d, 1, 2, 3 };
	struct root_nic nic = the_nic("switch=lan");

	ck_assert_str_eq(nic.switch_name, "lan");
	ck_assert(!nic.has_mac && !nic.vlan.given && !nic.queues && !nic.mtu && !*nic.name);
	nic = the_nic("switch=lan,mac=02:15:5d:01:02:03,vlan=10,queues=16,mtu=9000,name=web1");
	ck_assert(nic.has_mac && !memcmp(nic.mac, mac, sizeof(mac)));
	ck_assert(nic.vlan.given && nic.vlan.mode == VSW_ACCESS && nic.vlan.id == 10);
	ck_assert_uint_eq(nic.queues, 16);
	ck_assert_uint_eq(nic.mtu, 9000);
	ck_assert_str_eq(nic.name, "web1");
	nic = the_nic("switch=lan,vlan=none");
	ck_assert(nic.vlan.given && nic.vlan.mode == VSW_UNTAGGED);
}
END_TEST

static bool allowed(const uint8_t bits[512], uint32_t id)
{
	return bits[id / 8] >> id % 8 & 1;
}

START_TEST(nic_trunk)
{
	struct root_nic nic = the_nic("switch=lan,trunk=10+20-22+4094,native=10");

	ck_assert_int_eq(nic.vlan.mode, VSW_TRUNK);
	ck_assert_uint_eq(nic.vlan.id, 10);
	for (uint32_t id = 0; id < 4096; id++)
		ck_assert_msg(allowed(nic.vlan.allowed, id) ==
				      (id == 10 || (id >= 20 && id <= 22) || id == 4094),
			      "%u", id);
}
END_TEST

static const struct {
	const char *text, *says;
} bad_nics[] = {
	{ "", "switch= is missing, as in switch=lan" },
	{ "mac=02:00:00:00:00:01", "switch= is missing" },
	{ "switch=", "switch= has no value" },
	{ "switch=lan,colour=red", "unknown key 'colour' (keys: switch mac queues mtu name vlan" },
	{ "switch=lan,mac=00:00:00:00:00:00", "a unicast address is needed" },
	{ "switch=lan,mac=01:00:5e:00:00:01", "a unicast address is needed" },
	{ "switch=lan,mac=ff:ff:ff:ff:ff:ff", "a unicast address is needed" },
	{ "switch=lan,mac=00:15:5d", "mac=00:15:5d: six bytes are needed" },
	{ "switch=lan,mac=00:15:5d:01:02:03:04", "six bytes are needed" },
	{ "switch=lan,queues=0", "queues=0: a number from 1 to 16" },
	{ "switch=lan,queues=17", "a number from 1 to 16" },
	{ "switch=lan,mtu=67", "mtu=67: a number from 68 to 65535" },
	{ "switch=lan,mtu=70000", "a number from 68 to 65535" },
	{ "switch=lan,vlan=0", "a VLAN from 1 to 4094" },
	{ "switch=lan,vlan=4095", "a VLAN from 1 to 4094" },
	{ "switch=lan,trunk=0", "VLANs from 1 to 4094" },
	{ "switch=lan,trunk=10+5000", "VLANs from 1 to 4094" },
	{ "switch=lan,trunk=20-10", "VLANs from 1 to 4094" },
	{ "switch=lan,trunk=1-", "VLANs from 1 to 4094" },
	{ "switch=lan,trunk=ten", "VLANs from 1 to 4094" },
	{ "switch=lan,vlan=10,trunk=20", "vlan= or trunk=, not both" },
	{ "switch=lan,trunk=20,vlan=10", "vlan= or trunk=, not both" },
	{ "switch=lan,native=1", "native=1: goes with a trunk=" },
	{ "switch=lan,trunk=10,native=0", "native=0: a number from 1 to 4094" },
	{ "switch=lan,name=a/b", "name=a/b: 1 to 31 letters" },
	{ "switch=lan,vlan=1,vlan=2", "vlan= is given twice" },
};

START_TEST(bad_nic)
{
	struct root_nic nic;

	ck_assert_int_eq(PARSE(nic, &nic, bad_nics[_i].text), -EINVAL);
	ck_assert_msg(strstr(why, bad_nics[_i].says), "'%s': %s", bad_nics[_i].text, why);
	/* A guest is told: that is how long a welcome may be. */
	ck_assert_msg(strlen(why) < 104, "%s", why);
}
END_TEST

START_TEST(wishes)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "disk path=x", "unknown wish 'disk path=x'" },
		{ "nic", "unknown wish 'nic'" },
		{ "NIC switch=lan", "unknown wish" },
		{ "nic switch=lan\tqueues=1", "printable" },
		{ "nic switch=\x1b[2J", "printable" },
		{ "nic switch=l\xc3\xa4n", "printable" },
		{ "nic switch=lan,queues=99", "a number from 1 to 16" },
	};
	struct root_nic nic;

	ck_assert_int_eq(PARSE(wish, &nic, "nic switch=lan,queues=2"), 0);
	ck_assert_uint_eq(nic.queues, 2);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(PARSE(wish, &nic, bad[i].text), -EINVAL);
		ck_assert_msg(strstr(why, bad[i].says), "%s: %s", bad[i].text, why);
	}
}
END_TEST

/* ---- what a guest may have ------------------------------------------------------------- */

START_TEST(vlans_of_guests)
{
	static const struct {
		const char *sw, *nic;
		int err, mode, id;
	} t[] = {
		{ "name=a,type=private", "switch=a", 0, VSW_UNTAGGED, 0 },
		{ "name=a,type=private,vlan=7", "switch=a", 0, VSW_ACCESS, 7 },
		{ "name=a,type=private,vlan=7", "switch=a,vlan=7", 0, VSW_ACCESS, 7 },
		{ "name=a,type=private", "switch=a,vlan=none", 0, VSW_UNTAGGED, 0 },
		{ "name=a,type=private,vlan=7", "switch=a,vlan=8", -EPERM, 0, 0 },
		{ "name=a,type=private,vlan=7", "switch=a,vlan=none", -EPERM, 0, 0 },
		{ "name=a,type=private,vlan=7", "switch=a,trunk=7", -EPERM, 0, 0 },
		{ "name=a,type=private", "switch=a,vlan=8", -EPERM, 0, 0 },
		{ "name=a,type=private,guest-vlan=on", "switch=a,vlan=8", 0, VSW_ACCESS, 8 },
		{ "name=a,type=private,vlan=7,guest-vlan=on", "switch=a", 0, VSW_ACCESS, 7 },
		{ "name=a,type=private,guest-vlan=on", "switch=a,trunk=8+9,native=8", 0, VSW_TRUNK,
		  8 },
	};
	struct vsw_policy p;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		const struct root_switch sw = the_switch(t[i].sw);
		const struct root_nic nic = the_nic(t[i].nic);

		ck_assert_msg(root_nic_policy(&sw, &nic, &p, why, sizeof(why)) == t[i].err, "%s %s",
			      t[i].sw, t[i].nic);
		if (t[i].err) {
			ck_assert_ptr_nonnull(strstr(why, "guest-vlan=on"));
			ck_assert_uint_lt(strlen(why), 104);
			continue;
		}
		ck_assert_int_eq(p.vlan_mode, t[i].mode);
		ck_assert_int_eq(p.vlan, t[i].id);
	}
}
END_TEST

START_TEST(addresses_and_names_by_wish)
{
	static const struct {
		const char *sw, *nic, *refused;
	} t[] = {
		{ "name=a,type=private", "switch=a", NULL },
		{ "name=a,type=private", "switch=a,name=web1", NULL },
		{ "name=a,type=private", "switch=a,mac=02:00:00:00:00:01", "guest-mac=on" },
		{ "name=a,type=private,guest-mac=on", "switch=a,mac=02:00:00:00:00:01", NULL },
		{ "name=a,type=private,spoof=on", "switch=a,mac=02:00:00:00:00:01", NULL },
		{ "name=a,type=private,mode=bridge", "switch=a,mac=02:00:00:00:00:01", NULL },
		{ "name=a,type=private,guest-mac=off,spoof=on", "switch=a,mac=02:00:00:00:00:01",
		  "guest-mac=on" },
		{ "name=a,type=private,guest-name=off", "switch=a", NULL },
		{ "name=a,type=private,guest-name=off", "switch=a,name=web1", "guest-name=on" },
		{ "name=a,type=private,guest-name=on", "switch=a,name=web1", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		const struct root_switch sw = the_switch(t[i].sw);
		const struct root_nic nic = the_nic(t[i].nic);

		ck_assert_msg(root_nic_allowed(&sw, &nic, why, sizeof(why)) ==
				      (t[i].refused ? -EPERM : 0),
			      "%s %s", t[i].sw, t[i].nic);
		if (!t[i].refused)
			continue;
		ck_assert_ptr_nonnull(strstr(why, t[i].refused));
		ck_assert_uint_lt(strlen(why), 104);
	}
}
END_TEST

/* Whatever a guest wishes for, the rules of its port are the switch's. */
START_TEST(rules_of_guests)
{
	const struct root_switch sw = the_switch("name=a,type=nat,guest-vlan=on,bps=10M,storm=9");
	const struct root_nic nic = the_nic("switch=a,vlan=3");
	struct vsw_policy p;

	ck_assert_int_eq(root_nic_policy(&sw, &nic, &p, why, sizeof(why)), 0);
	ck_assert(p.dhcp_guard && p.router_guard && !p.mac_spoofing);
	ck_assert_uint_eq(p.bps, 10000000);
	ck_assert_uint_eq(p.storm, 9);
}
END_TEST

START_TEST(mtu_of_guests)
{
	static const struct {
		const char *sw, *nic;
		int err;
		uint32_t mtu;
	} t[] = {
		{ "name=a,type=private", "switch=a", 0, ROOT_NIC_MTU },
		{ "name=a,type=private", "switch=a,mtu=1500", 0, 1500 },
		{ "name=a,type=private", "switch=a,mtu=9001", -EINVAL, 0 },
		{ "name=a,type=private,mtu=65535", "switch=a,mtu=65535", 0, 65535 },
		{ "name=a,type=private,mtu=1400", "switch=a", 0, 1400 },
		{ "name=a,type=private,mtu=1400", "switch=a,mtu=1500", -EINVAL, 0 },
	};
	uint32_t mtu;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		const struct root_switch sw = the_switch(t[i].sw);
		const struct root_nic nic = the_nic(t[i].nic);

		ck_assert_int_eq(root_nic_mtu(&sw, &nic, &mtu, why, sizeof(why)), t[i].err);
		if (t[i].err)
			ck_assert_ptr_nonnull(strstr(why, "switch a allows at most"));
		else
			ck_assert_uint_eq(mtu, t[i].mtu);
	}
}
END_TEST

/* The same each time, in Hyper-V's range, and another for everything else. */
START_TEST(addresses_of_guests)
{
	static const struct {
		const char *root, *partition;
		uint32_t index, attempt;
	} t[] = {
		{ "r", "web", 0, 0 }, { "r", "web", 1, 0 }, { "r", "web", 0, 1 },
		{ "r", "db", 0, 0 },  { "q", "web", 0, 0 },
	};
	uint8_t mac[ARRAY_SIZE(t)][NET_MAC_LEN], again[NET_MAC_LEN];

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		root_nic_mac(t[i].root, t[i].partition, t[i].index, t[i].attempt, mac[i]);
		root_nic_mac(t[i].root, t[i].partition, t[i].index, t[i].attempt, again);
		ck_assert_mem_eq(mac[i], again, NET_MAC_LEN);
		ck_assert_mem_eq(mac[i], "\x00\x15\x5d", 3);
		for (size_t k = 0; k < i; k++)
			ck_assert_mem_ne(mac[i], mac[k], NET_MAC_LEN);
	}
}
END_TEST

/* ---- policies, mirrors, ports ---------------------------------------------------------- */

START_TEST(policies)
{
	struct vsw_policy p = { .mac_spoofing = true, .vlan_mode = VSW_ACCESS, .vlan = 5 }, before;

	ck_assert_int_eq(PARSE(policy, &p, "storm=10,spoof=off"), 0);
	ck_assert(!p.mac_spoofing);
	ck_assert_uint_eq(p.storm, 10);
	ck_assert_uint_eq(p.vlan, 5);
	ck_assert_int_eq(PARSE(policy, &p, "trunk=7+8"), 0);
	ck_assert_int_eq(p.vlan_mode, VSW_TRUNK);
	ck_assert_int_eq(PARSE(policy, &p, "vlan=none"), 0);
	ck_assert_int_eq(p.vlan_mode, VSW_UNTAGGED);
	before = p;
	ck_assert_int_eq(PARSE(policy, &p, "isolated=on,storm=x"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "storm=x: a number from 0"));
	ck_assert_int_eq(PARSE(policy, &p, "isolated=on,mtu=1500"), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "unknown key 'mtu' (keys: spoof dhcp-guard"));
	ck_assert_mem_eq(&p, &before, sizeof(p));
}
END_TEST

START_TEST(mirrors)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "switch=lan,port=web1", "file= is missing, as in switch=lan,port=web1,file=" },
		{ "switch=lan,file=x", "port= is missing" },
		{ "port=web1,file=x", "switch= is missing" },
		{ "switch=lan,port=web1,file=", "file= has no value" },
		{ "switch=lan,port=a/b,file=x", "port=a/b: 1 to 31 letters" },
		{ "switch=lan,to=x", "unknown key 'to' (keys: switch port file)" },
	};
	struct root_mirror m;

	ck_assert_int_eq(PARSE(mirror, &m, "switch=lan,port=web1,file=/tmp/a=b.pcapng"), 0);
	ck_assert_str_eq(m.switch_name, "lan");
	ck_assert_str_eq(m.port, "web1");
	ck_assert_str_eq(m.file, "/tmp/a=b.pcapng");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(PARSE(mirror, &m, bad[i].text), -EINVAL);
		ck_assert_msg(strstr(why, bad[i].says), "%s: %s", bad[i].text, why);
	}
}
END_TEST

START_TEST(names_of_ports)
{
	static const char *const bad[] = {
		"",
		"lan",
		"/web1",
		"lan/",
		"12345678901234567890123456789012/a",
		"a/12345678901234567890123456789012",
	};
	char sw[VSW_NAME], port[VSW_NAME];

	ck_assert_int_eq(root_parse_port("lan/web1", sw, port, why, sizeof(why)), 0);
	ck_assert_str_eq(sw, "lan");
	ck_assert_str_eq(port, "web1");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_eq(root_parse_port(bad[i], sw, port, why, sizeof(why)), -EINVAL);
		ck_assert_ptr_nonnull(strstr(why, "SWITCH/PORT is needed"));
	}
}
END_TEST

START_TEST(rates)
{
	static const struct {
		const char *text;
		int err;
		uint64_t bps;
	} t[] = {
		{ "0", 0, 0 },
		{ "1500", 0, 1500 },
		{ "10k", 0, 10000 },
		{ "100M", 0, 100000000 },
		{ "2g", 0, 2000000000 },
		{ "1T", 0, 1000000000000 },
		{ "", -EINVAL, 0 },
		{ "M", -EINVAL, 0 },
		{ "-1", -EINVAL, 0 },
		{ "1Mb", -EINVAL, 0 },
		{ "1.5M", -EINVAL, 0 },
		{ "18446744073709551616", -EINVAL, 0 },
		{ "18446744073709551615k", -EINVAL, 0 },
	};
	uint64_t bps;

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		ck_assert_msg(root_parse_rate(t[i].text, &bps) == t[i].err, "%s", t[i].text);
		if (!t[i].err)
			ck_assert_uint_eq(bps, t[i].bps);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("net_config");
	TCase *tc = tcase_create("net_config");
	SRunner *sr;
	int failed;

	tcase_add_test(tc, switch_defaults);
	tcase_add_test(tc, switch_guards);
	tcase_add_test(tc, switch_host);
	tcase_add_test(tc, switch_everything);
	tcase_add_loop_test(tc, bad_switch, 0, ARRAY_SIZE(bad_switches));
	tcase_add_test(tc, one_of_a_kind);
	tcase_add_test(tc, finding_a_switch);
	tcase_add_test(tc, nic_keys);
	tcase_add_test(tc, nic_trunk);
	tcase_add_loop_test(tc, bad_nic, 0, ARRAY_SIZE(bad_nics));
	tcase_add_test(tc, wishes);
	tcase_add_test(tc, vlans_of_guests);
	tcase_add_test(tc, addresses_and_names_by_wish);
	tcase_add_test(tc, rules_of_guests);
	tcase_add_test(tc, mtu_of_guests);
	tcase_add_test(tc, addresses_of_guests);
	tcase_add_test(tc, policies);
	tcase_add_test(tc, mirrors);
	tcase_add_test(tc, names_of_ports);
	tcase_add_test(tc, rates);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
