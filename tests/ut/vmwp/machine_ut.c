/* SPDX-License-Identifier: MIT */
/*
 * A VM's life as its owner sees it, on a KVM that is played: resets, panics, being held, our reset
 * button, and how it ends. One letter of a script is what the guest does in one start.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ut/hv-core/fake_kvm.h"
#include "vmwp/root_priv.h"

static const char *script;
static struct root *root;
static struct machine_config machine;
static struct root_config config;

static int plays(uint32_t vp, uint32_t step, struct kvm_run *run)
{
	static const char last_words[] = "[1] Kernel panic - not syncing: me\r\n";
	static const uint8_t reset = 6;
	char does = vp ? 'i' : script[fake.vms - 1];

	run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run->system_event.type = KVM_SYSTEM_EVENT_CRASH;
	switch (does) {
	case 'p': /* says so, panics, and resets itself */
		if (!step)
			return fake_out(run, 0x3f8, 1, last_words, sizeof(last_words) - 1);
		return step > 1 ? fake_out(run, 0x60a, 1, &reset, 1) : 0;
	case 'h': /* panics, and hangs */
		return step ? fake_idle(run) : 0;
	case 'r':
		return fake_out(run, 0x60a, 1, &reset, 1);
	case 't':
		run->exit_reason = KVM_EXIT_SHUTDOWN;
		return 0;
	case 'o':
		return fake_poweroff(run);
	default:
		return fake_idle(run);
	}
}

static void up(const char *s, enum machine_panic on_panic)
{
	char why[512];

	script = s;
	fake.guest = plays;
	fake.vms = 0;
	machine = (struct machine_config){ .name = "test",
					   .memory = 64ull << 20,
					   .nr_vps = 2,
					   .kernel = fake_kernel(),
					   .initrd = -1,
					   .console = "file:/dev/null",
					   .on_panic = on_panic };
	config = (struct root_config){ .cpu = -1, .machine = &machine, .sandbox = SANDBOX_OFF };
	ck_assert_msg(!root_create(&root, &config, why, sizeof(why)), "%s", why);
}

static enum machine_result down(void)
{
	enum machine_result result;

	root_end_guests(root);
	result = root_result(root);
	root_destroy(root);
	close(machine.kernel);
	return result;
}

/* What inspect shows of it. */
static json_int_t shown(const char *key)
{
	json_t *o = machine_json(root->machine);
	json_int_t n = json_integer_value(json_object_get(o, key));

	json_decref(o);
	return n;
}

static bool state_is(const char *name)
{
	json_t *o = machine_json(root->machine);
	bool is = !strcmp(json_string_value(json_object_get(o, "state")), name);

	json_decref(o);
	return is;
}

static bool fault_says(const char *text)
{
	json_t *o = inspect_root(root);
	char *all = json_dumps(json_object_get(o, "faults"), 0);
	bool does = all && strstr(all, text);

	free(all);
	json_decref(o);
	return does;
}

static void until_state(const char *name, json_int_t starts)
{
	for (int i = 0; i < 5000 && !(state_is(name) && shown("starts") == starts); i++)
		loop_turn(root->loop, 1000000);
	ck_assert_msg(state_is(name), "not %s", name);
	ck_assert_int_eq(shown("starts"), starts);
}

START_TEST(resets_and_poweroff)
{
	up("rto", MACHINE_EXIT);
	ck_assert_int_eq(root_run(root), 0);
	ck_assert_int_eq(down(), MACHINE_POWEROFF);
	ck_assert_uint_eq(fake.vms, 3);
}
END_TEST

/* A kernel that cannot start is not started for ever. */
START_TEST(gets_nowhere)
{
	up("rtrtrtrtrt", MACHINE_EXIT);
	ck_assert_int_eq(root_run(root), 0);
	ck_assert_int_eq(down(), MACHINE_FAILED);
	ck_assert_uint_eq(fake.vms, 6);
}
END_TEST

START_TEST(panic_exits)
{
	up("po", MACHINE_EXIT);
	ck_assert_int_eq(root_run(root), 0);
	ck_assert_int_eq(down(), MACHINE_PANIC);
	ck_assert_uint_eq(fake.vms, 1);
}
END_TEST

START_TEST(panic_reboots)
{
	up("pi", MACHINE_REBOOT);
	until_state("running", 2);
	ck_assert_int_eq(shown("panics"), 1);
	ck_assert(fault_says(": Kernel panic - not syncing: me"));
	ck_assert_int_eq(down(), MACHINE_STOPPED);
}
END_TEST

START_TEST(panic_pauses)
{
	up("pio", MACHINE_PAUSE);
	until_state("paused", 1);
	ck_assert_int_eq(shown("panics"), 1);
	machine_reset(root->machine);
	until_state("running", 2);
	machine_pause(root->machine, true);
	until_state("paused", 2);
	machine_reset(root->machine);
	ck_assert_int_eq(root_run(root), 0);
	ck_assert_int_eq(down(), MACHINE_POWEROFF);
	ck_assert_uint_eq(fake.vms, 3);
}
END_TEST

/* What hangs after a panic that was to be the end can still be begun anew. */
START_TEST(reset_after_panic)
{
	up("hi", MACHINE_EXIT);
	for (int i = 0; i < 5000 && !shown("panics"); i++)
		loop_turn(root->loop, 1000000);
	machine_reset(root->machine);
	until_state("running", 2);
	ck_assert_int_eq(down(), MACHINE_STOPPED);
}
END_TEST

/* Who pushes the button may do so as often as he likes, also twice at once. */
START_TEST(button)
{
	up("iiiiiiiii", MACHINE_EXIT);
	for (json_int_t i = 1; i < 9; i++) {
		until_state("running", i);
		machine_reset(root->machine);
		machine_reset(root->machine);
	}
	until_state("running", 9);
	ck_assert_int_eq(down(), MACHINE_STOPPED);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("machine");
	TCase *tc = tcase_create("machine");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, resets_and_poweroff);
	tcase_add_test(tc, gets_nowhere);
	tcase_add_test(tc, panic_exits);
	tcase_add_test(tc, panic_reboots);
	tcase_add_test(tc, panic_pauses);
	tcase_add_test(tc, reset_after_panic);
	tcase_add_test(tc, button);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
