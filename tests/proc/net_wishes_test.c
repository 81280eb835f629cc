/* SPDX-License-Identifier: MIT */
/*
 * Children that wish for NICs: what they get, what they are told when they do not get it, and that
 * names, addresses and places on a switch are free again when they are gone.
 */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "hv-core/child.h"
#include "tests/proc/root_rig.h"

static void add_switch(struct root_config *cfg, const char *text)
{
	char *copy = strdup(text), why[256];

	if (root_parse_switch(&cfg->sw[cfg->nr_switches++], copy, why, sizeof(why)))
		_exit(1);
	free(copy);
}

static void configure(struct root_config *cfg)
{
	add_switch(cfg, "name=lan,type=private,guests=2,guest-mac=on");
	add_switch(cfg, "name=wan,type=private,mtu=1500,vlan=7,guest-mac=on");
	add_switch(cfg, "name=out,type=nat,guest-mac=on");
	add_switch(cfg, "name=own,type=private,guest-name=off");
}

static void setup(void)
{
	rig_dir();
	rig_start(&(struct rig_root){ configure, NULL });
}

static void teardown(void)
{
	rig_stop();
	rmdir(dir);
}

static int come(struct hv_child **out, const char *name, const char *wishes, char *why, size_t n)
{
	const struct hv_child_config cfg = { .name = name, .memory = 1u << 20, .wishes = wishes };

	strcpy(why, "");
	return hv_child_connect(out, sock, &cfg, why, n);
}

static struct hv_child *comes(const char *name, const char *wishes)
{
	struct hv_child *c;
	char why[256];
	int err = come(&c, name, wishes, why, sizeof(why));

	ck_assert_msg(!err, "%s: %s", wishes, why);
	return c;
}

/* The root hears of a child's end a moment later. */
static struct hv_child *comes_soon(const char *name, const char *wishes)
{
	uint64_t until = clock_ns() + 5000000000ull;
	struct hv_child *c;
	char why[256];

	while (come(&c, name, wishes, why, sizeof(why))) {
		ck_assert_msg(clock_ns() < until, "%s", why);
		usleep(1000);
	}
	return c;
}

static void is_refused(const char *name, const char *wishes, const char *says)
{
	struct hv_child *c;
	char why[256];

	ck_assert_msg(come(&c, name, wishes, why, sizeof(why)) < 0, "%s", wishes);
	ck_assert_msg(strstr(why, says), "%s: %s", wishes, why);
}

START_TEST(bad_wishes)
{
	static const struct {
		const char *wishes, *says;
	} t[] = {
		{ "nic switch=lam", "switch=lam: there is no such switch; there are lan wan out" },
		{ "disk path=x", "unknown wish 'disk path=x'" },
		{ "nic switch=lan,mac=01:00:5e:00:00:01", "a unicast address is needed" },
		{ "nic switch=own,mac=00:15:5d:00:00:01", "guest-mac=on lets them" },
		{ "nic switch=own,name=web1", "guest-name=on lets guests" },
		{ "nic switch=lan,queues=17", "a number from 1 to 16" },
		{ "nic switch=wan,mtu=9000", "switch wan allows at most 1500" },
		{ "nic switch=wan,vlan=8", "switch wan chooses its guests' VLANs" },
		{ "nic switch=lan\nnic switch=lan\nnic switch=lan", "as many guests as it may: 2" },
		{ "nic switch=lan\nnic switch=lan,name=", "name= has no value" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++)
		is_refused("bad", t[i].wishes, t[i].says);
	/* Nothing of theirs is left: both places are free. */
	hv_child_destroy(comes("good", "nic switch=lan\nnic switch=lan\nnic switch=wan,vlan=7"));
}
END_TEST

START_TEST(names_and_addresses)
{
	const char *wish = "nic switch=lan,name=web1,mac=00:15:5d:00:00:01";
	struct hv_child *a = comes("a", wish), *b;

	is_refused("b", "nic switch=lan,mac=00:15:5d:00:00:01",
		   "mac=00:15:5d:00:00:01: port lan/web1 has this address");
	is_refused("b", "nic switch=lan,name=web1", "web1");
	/* The host's, as the port's own; the name server's, which only libslirp knows of. */
	is_refused("b", "nic switch=out,mac=52:55:0a:00:02:02", "port out/nat has this address");
	is_refused("b", "nic switch=out,mac=52:55:0a:00:02:03", "are the NAT's");
	is_refused("b", "nic switch=out,mac=52:56:00:00:00:03", "are the NAT's");
	b = comes("b", "nic switch=wan,name=web1,mac=00:15:5d:00:00:01"); /* another switch */
	hv_child_destroy(a);
	a = comes_soon("c", wish);
	hv_child_destroy(a);
	hv_child_destroy(b);
}
END_TEST

/* Partitions of one name are not the same guest: their addresses differ. */
START_TEST(twins)
{
	struct hv_child *a = comes("twin", "nic switch=lan"), *b = comes("twin", "nic switch=lan");

	is_refused("twin", "nic switch=lan", "as many guests as it may");
	hv_child_destroy(a);
	a = comes_soon("twin", "nic switch=lan");
	hv_child_destroy(a);
	hv_child_destroy(b);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("wishes");
	TCase *tc = tcase_create("wishes");
	SRunner *sr;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, bad_wishes);
	tcase_add_test(tc, names_and_addresses);
	tcase_add_test(tc, twins);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
