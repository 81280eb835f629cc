/* SPDX-License-Identifier: MIT */
/*
 * What a control client may send (M03): which requests are legal, and what the others are
 * told. No root is needed: nothing is done, only read.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmwp/control.h"
#include "vmwp/root.h"
#include "vsc/disk_place.h"

static const struct {
	const char *text, *verb;
} legal[] = {
	{ "{\"do\":\"inspect\"}", "inspect" },
	{ " { \"do\" : \"disk-list\" } \n", "disk-list" },
	{ "{\"disk\":\"path=x\",\"do\":\"disk-add\"}", "disk-add" },
	{ "{\"do\":\"disk-add\",\"disk\":\"path=x\",\"path\":\"/x\"}", "disk-add" },
	{ "{\"do\":\"disk-remove\",\"disk\":\"0:1\"}", "disk-remove" },
	{ "{\"do\":\"disk-remove\",\"disk\":\"0:1\",\"wait_ms\":0}", "disk-remove" },
	{ "{\"do\":\"disk-resize\",\"disk\":\"0:1\",\"size\":512,\"shrink\":true}", "disk-resize" },
	{ "{\"do\":\"disk-resize\",\"disk\":\"0:1\",\"shrink\":false}", "disk-resize" },
	{ "{\"do\":\"disk-limit\",\"disk\":\"0:1\",\"iops\":1,\"bps\":0,\"burst_ms\":5}",
	  "disk-limit" },
	{ "{\"do\":\"disk-fault-add\",\"disk\":\"0:1\",\"fault\":\"x\",\"seed\":1}",
	  "disk-fault-add" },
	{ "{\"do\":\"disk-fault-clear\",\"disk\":\"0:1\"}", "disk-fault-clear" },
	{ "{\"do\":\"disk-medium\",\"disk\":\"0:1\",\"medium\":\"path=x\",\"path\":\"/x\"}",
	  "disk-medium" },
	{ "{\"do\":\"disk-medium\",\"disk\":\"0:1\",\"wait_ms\":1}", "disk-medium" },
	{ "{\"do\":\"guest-shutdown\",\"guest\":\"a\",\"kind\":\"off\",\"wait_ms\":1,\"cut\":true}",
	  "guest-shutdown" },
	{ "{\"do\":\"guest-reboot\"}", "guest-reboot" },
	{ "{\"do\":\"guest-reboot\",\"guest\":\"a\",\"wait_ms\":1,\"cut\":false}", "guest-reboot" },
	{ "{\"do\":\"vm-pause\"}", "vm-pause" },
	{ "{\"do\":\"vm-resume\"}", "vm-resume" },
	{ "{\"do\":\"net-list\"}", "net-list" },
	{ "{\"do\":\"net-link\",\"port\":\"lan/a\",\"up\":false}", "net-link" },
	{ "{\"do\":\"net-link\",\"port\":\"lan/a\",\"speed\":1,\"changed\":true}", "net-link" },
	{ "{\"do\":\"net-limit\",\"port\":\"lan/a\",\"bps\":0,\"burst\":1}", "net-limit" },
	{ "{\"do\":\"net-policy\",\"port\":\"lan/a\",\"policy\":\"spoof=on\"}", "net-policy" },
	{ "{\"do\":\"net-mirror\",\"port\":\"lan/a\",\"file\":\"/f\"}", "net-mirror" },
	{ "{\"do\":\"net-mirror\",\"port\":\"lan/a\"}", "net-mirror" },
	{ "{\"do\":\"nic-add\",\"nic\":\"switch=lan\"}", "nic-add" },
	{ "{\"do\":\"nic-add\",\"nic\":\"switch=lan\",\"guest\":\"a\"}", "nic-add" },
	{ "{\"do\":\"nic-remove\",\"port\":\"lan/a\",\"wait_ms\":1}", "nic-remove" },
	{ "{\"do\":\"switch-join\",\"switch\":\"lan\",\"port\":\"b\"}", "switch-join" },
};

START_TEST(legal_requests)
{
	json_t *in = NULL, *error = NULL;
	const struct control_verb *v =
		control_parse(legal[_i].text, strlen(legal[_i].text), &in, &error);

	ck_assert_msg(v != NULL, "%s: %s", legal[_i].text,
		      json_string_value(json_object_get(error, "error")));
	ck_assert_str_eq(v->name, legal[_i].verb);
	ck_assert_ptr_nonnull(v->run);
	ck_assert_ptr_null(error);
	ck_assert(json_is_object(in));
	json_decref(in);
}
END_TEST

#define TEXT(s) (s), sizeof(s) - 1

static const struct {
	const char *text;
	size_t len;
	int err;
	const char *says;
} refused[] = {
	{ TEXT(""), EPROTO, "line" },
	{ TEXT("inspect"), EPROTO, "line 1, column" },
	{ TEXT("{\"do\":\"inspect\""), EPROTO, "line 1, column" },
	{ TEXT("{\"do\":\"inspect\"}x"), EPROTO, "line" },
	{ TEXT("{\"do\":\"inspect\"}\0"), EPROTO, "line" },
	{ TEXT("{\"do\":\"inspect\",\"do\":\"inspect\"}"), EPROTO, "duplicate" },
	{ TEXT("{\"do\":\"insp\0ect\"}"), EPROTO, "line" },
	{ TEXT("{\"do\":\"insp\\u0000ect\"}"), EPROTO, "line" },
	{ TEXT("{\"do\\u0000\":\"inspect\"}"), EPROTO, "line" },
	{ TEXT("{\"do\":\"\xff\xfe\"}"), EPROTO, "" }, /* cannot be quoted */
	{ TEXT("{\"do\":\"\xed\xa0\x80\"}"), EPROTO, "" },
	{ TEXT("{\"do\":\"disk-resize\",\"disk\":\"0:0\",\"size\":1e999}"), EPROTO, "line" },
	{ TEXT("{\"do\":\"disk-resize\",\"disk\":\"0:0\",\"size\":99999999999999999999}"), EPROTO,
	  "line" },
	{ TEXT("{\"do\":\"disk-resize\",\"disk\":\"0:0\",\"size\":1.5}"), EINVAL, "wrong type" },
	{ TEXT("{\"do\":\"disk-resize\",\"disk\":\"0:0\",\"shrink\":1}"), EINVAL, "wrong type" },
	{ TEXT("{\"do\":\"disk-remove\",\"disk\":7}"), EINVAL, "wrong type" },
	{ TEXT("{\"do\":\"disk-remove\"}"), EINVAL, "needs \"disk\"" },
	{ TEXT("{\"do\":\"disk-limit\",\"iops\":1}"), EINVAL, "needs \"disk\"" },
	{ TEXT("{\"do\":\"disk-limit\",\"disk\":\"0:0\",\"iops\":\"1\"}"), EINVAL, "wrong type" },
	{ TEXT("{\"do\":\"disk-fault-add\",\"disk\":\"0:0\"}"), EINVAL, "needs \"fault\"" },
	{ TEXT("{\"do\":\"disk-medium\",\"disk\":\"0:0\",\"medium\":null}"), EINVAL, "wrong type" },
	{ TEXT("{\"do\":\"net-link\",\"up\":true}"), EINVAL, "needs \"port\"" },
	{ TEXT("{\"do\":\"net-link\",\"port\":\"lan/a\",\"speed\":\"1G\"}"), EINVAL, "wrong type" },
	{ TEXT("{\"do\":\"net-link\",\"port\":\"lan/a\",\"up\":\"up\"}"), EINVAL, "wrong type" },
	{ TEXT("{\"do\":\"net-policy\",\"port\":\"lan/a\"}"), EINVAL, "needs \"policy\"" },
	{ TEXT("{\"do\":\"net-mirror\",\"file\":\"/f\"}"), EINVAL, "needs \"port\"" },
	{ TEXT("{\"do\":\"nic-add\",\"guest\":\"a\"}"), EINVAL, "needs \"nic\"" },
	{ TEXT("{\"do\":\"nic-remove\",\"port\":1}"), EINVAL, "wrong type" },
	{ TEXT("{\"do\":\"switch-join\",\"switch\":\"lan\"}"), EINVAL, "needs \"port\"" },
	{ TEXT("{\"do\":\"disk-remove\",\"dsk\":\"0:0\"}"), EINVAL, "no key \"dsk\"" },
	{ TEXT("{\"do\":\"inspect\",\"disk\":\"0:0\"}"), EINVAL, "no key \"disk\"" },
	{ TEXT("{\"do\":\"reboot\"}"), ENOSYS, "nothing that this root can do" },
	{ TEXT("{\"do\":null}"), ENOSYS, "nothing" },
	{ TEXT("{}"), ENOSYS, "nothing" },
	{ TEXT("[]"), ENOSYS, "nothing" },
	{ TEXT("[\"inspect\"]"), ENOSYS, "nothing" },
};

static void check_refused(const char *text, size_t len, int err, const char *says)
{
	json_t *in = NULL, *error = NULL;
	const char *why;

	ck_assert_ptr_null(control_parse(text, len, &in, &error));
	ck_assert_int_eq(json_integer_value(json_object_get(error, "errno")), err);
	why = json_string_value(json_object_get(error, "error"));
	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, says) != NULL, "%s", why);
	json_decref(error);
	json_decref(in);
}

START_TEST(m03_refused_requests)
{
	check_refused(refused[_i].text, refused[_i].len, refused[_i].err, refused[_i].says);
}
END_TEST

/* Ends at the parser's limit, not at that of the stack. */
START_TEST(m03_depth)
{
	static const char *const open[] = { "[", "{\"a\":", "[{\"\":" };
	size_t unit = strlen(open[_i]), n = 100000 * unit;
	char *text = malloc(n);

	for (size_t i = 0; i < n; i++)
		text[i] = open[_i][i % unit];
	check_refused(text, n, EPROTO, "depth");
	free(text);
}
END_TEST

/* Every beginning of a legal request, and every byte of it replaced, ends in an answer. */
START_TEST(m03_mutilated)
{
	static const char good[] = "{\"do\":\"disk-resize\",\"disk\":\"0:1\",\"size\":512}";
	size_t len = sizeof(good) - 1;
	char text[sizeof(good)];
	json_t *in, *error;

	for (size_t i = 0; i < len; i++) {
		check_refused(good, i, EPROTO, "line");
		for (int byte = 0; byte < 256; byte++) {
			in = error = NULL;
			memcpy(text, good, len);
			text[i] = (char)byte;
			if (!control_parse(text, len, &in, &error))
				ck_assert(json_is_string(json_object_get(error, "error")));
			json_decref(in);
			json_decref(error);
		}
	}
}
END_TEST

static const struct {
	const char *text;
	int controller, lun; /* -1: refused */
} places[] = {
	{ "0:0", 0, 0 },    { "3:63", 3, 63 },	{ "1:007", 1, 7 },	   { "4:0", -1, 0 },
	{ "0:64", -1, 0 },  { "0", -1, 0 },	{ "0:", -1, 0 },	   { ":0", -1, 0 },
	{ "-1:0", -1, 0 },  { "0:-1", -1, 0 },	{ " 0:0", -1, 0 },	   { "0:0 ", -1, 0 },
	{ "0:0:0", -1, 0 }, { "0:256", -1, 0 }, { "0:9999999999", -1, 0 }, { "", -1, 0 },
	{ "a:b", -1, 0 },   { "0:+1", -1, 0 },	{ "0: 1", -1, 0 },
};

START_TEST(places_of_disks)
{
	uint8_t controller, lun;
	bool good = disk_place_parse(places[_i].text, &controller, &lun);

	ck_assert_msg(good == (places[_i].controller >= 0), "'%s': %d", places[_i].text, good);
	if (!good)
		return;
	ck_assert_int_eq(controller, places[_i].controller);
	ck_assert_int_eq(lun, places[_i].lun);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control requests");
	TCase *tc = tcase_create("parse");
	SRunner *sr;
	int failed;

	tcase_add_loop_test(tc, legal_requests, 0, ARRAY_SIZE(legal));
	tcase_add_loop_test(tc, m03_refused_requests, 0, ARRAY_SIZE(refused));
	tcase_add_loop_test(tc, m03_depth, 0, 3);
	tcase_add_test(tc, m03_mutilated);
	tcase_add_loop_test(tc, places_of_disks, 0, ARRAY_SIZE(places));
	suite_add_tcase(suite, tc);
	sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
