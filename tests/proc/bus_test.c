/* SPDX-License-Identifier: MIT */
/*
 * The bus end to end: the real client in one process, the real root in another, an echo
 * device between them. What is proved here is what neither end can prove alone: that
 * the two agree, that nothing leaks over a thousand lives of a channel, and that either
 * end survives the other's sudden death.
 */
#include "tests/proc/bus_rig.h"

/* ---- agreeing ------------------------------------------------------------------------ */

START_TEST(versions_meet)
{
	static const struct {
		uint32_t root, child, want;
	} v[] = {
		{ 0, 0, VMBUS_V5_3 },
		{ VMBUS_V5_2, 0, VMBUS_V5_2 },
		{ VMBUS_V5_1, 0, VMBUS_V5_1 },
		{ VMBUS_V5_0, 0, VMBUS_V5_0 },
		{ VMBUS_V4_1, 0, VMBUS_V4_1 },
		{ VMBUS_V4_0, 0, VMBUS_V4_0 },
		{ VMBUS_V3_0, 0, VMBUS_V3_0 },
		{ 0, VMBUS_V4_0, VMBUS_V4_0 },
		{ VMBUS_V4_1, VMBUS_V5_1, VMBUS_V4_1 },
	};
	struct vmbus_client_config cfg = { .max_version = v[_i].child };
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct link l;
	int err;

	start_root(v[_i].root);
	link_up(&l, 0, &cfg);
	ck_assert_uint_eq(vmbus_client_version(l.bus), v[_i].want);
	o = the_offer(&l);
	c = open_one(&l, &o, 1);
	for (uint32_t i = 0; i < 100; i++)
		command(&l, c, 1, 1, i);
	err = vmbus_client_modify(l.bus, c, 2);
	ck_assert_int_eq(err, v[_i].want >= VMBUS_V4_1 ? 0 : -EOPNOTSUPP);
	/* Below 5.3 nobody says when it has happened: wait on both. */
	if (v[_i].want >= VMBUS_V5_3 || err)
		for (uint32_t i = 0; i < 100; i++)
			command(&l, c, err ? 1 : 2, 1, i);
	vmbus_client_close(l.bus, c);
	link_down(&l);
	stop_root();
}
END_TEST

START_TEST(no_version_in_common)
{
	struct vmbus_client_config cfg = { .min_version = VMBUS_V5_0 };
	struct hv_child_config hcfg = { .nr_vps = 1 };
	struct vmbus_client *bus;
	struct hv_child *hv;

	start_root(VMBUS_V4_1);
	ck_assert_int_eq(hv_child_connect(&hv, path, &hcfg, NULL, 0), 0);
	ck_assert_int_eq(vmbus_client_connect(&bus, hv, &cfg), -EPROTONOSUPPORT);
	cfg.min_version = 0;
	ck_assert_int_eq(vmbus_client_connect(&bus, hv, &cfg), 0);
	vmbus_client_destroy(bus);
	hv_child_destroy(hv);
	stop_root();
}
END_TEST

START_TEST(gpadls_of_every_size)
{
	static const uint32_t sizes[] = { 1, 2, 26, 27, 54, 55, 82, 83, 1000, 8189, 8190 };
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct link l;
	uint32_t id[2];
	uint64_t gpa;

	start_root(0);
	link_up(&l, 40ull << 20, NULL);
	o = the_offer(&l);
	c = open_one(&l, &o, 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_assert_int_eq(hv_child_alloc_pages(l.hv, sizes[i], &gpa), 0);
		ck_assert_int_eq(vmbus_client_gpadl_create(l.bus, c, gpa, sizes[i], &id[0]), 0);
		ck_assert_int_eq(vmbus_client_gpadl_create(l.bus, c, gpa, 1, &id[1]), 0);
		ck_assert_int_eq(vmbus_client_gpadl_teardown(l.bus, c, id[0]), 0);
		ck_assert_int_eq(vmbus_client_gpadl_teardown(l.bus, c, id[1]), 0);
		ck_assert_int_eq(vmbus_client_gpadl_create(l.bus, c, gpa, 8191, &id[0]), -EINVAL);
		hv_child_free_pages(l.hv, gpa, sizes[i]);
	}
	command(&l, c, 0, 1, 1);
	link_down(&l);
	stop_root();
}
END_TEST

START_TEST(requests_name_guest_pages)
{
	uint64_t gpa, pfn[5], want = 0, got, len = 4 * 4096 + 100;
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct vmpkt p;
	struct link l;
	uint8_t *b;

	start_root(0);
	link_up(&l, 0, NULL);
	o = the_offer(&l);
	c = open_one(&l, &o, 0);
	ck_assert_int_eq(hv_child_alloc_pages(l.hv, 5, &gpa), 0);
	b = hv_child_ptr(l.hv, gpa);
	for (uint32_t i = 0; i < 5 * 4096; i++)
		b[i] = (uint8_t)(i * 7);
	for (int i = 0; i < 5; i++)
		pfn[i] = gpa / 4096 + (uint64_t)(4 - i); /* backwards: no neighbours */
	for (uint64_t i = 50; i < 50 + len; i++)
		want += ((uint8_t *)hv_child_ptr(l.hv, pfn[i / 4096] * 4096))[i % 4096];
	ck_assert_int_eq(vmbus_chan_send_gpa_direct(c, VMPKT_FLAG_COMPLETION_REQUESTED, 9,
						    (uint32_t)len, 50, pfn, 5, &len, sizeof(len)),
			 0);
	vmbus_chan_flush(c);
	recv_one(&l, c, 0, &p);
	memcpy(&got, p.payload, sizeof(got));
	ck_assert_uint_eq(got, want);
	link_down(&l);
	stop_root();
}
END_TEST

/* ---- lives --------------------------------------------------------------------------------- */

START_TEST(a_thousand_lives_of_a_channel_leave_nothing)
{
	struct usage child, root;
	struct vmbus_client_stats st;
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct link l;

	start_root(0);
	link_up(&l, 4 << 20, NULL);
	o = the_offer(&l);
	for (uint32_t i = 0; i < LIVES; i++) {
		if (i == 10) { /* allocators and caches have seen everything once */
			child = usage_of(getpid());
			root = usage_of(root_pid);
		}
		c = open_one(&l, &o, i % VPS);
		if (i % 7 == 0)
			command(&l, c, i % VPS, 1, i);
		vmbus_client_close(l.bus, c);
	}
	ck_assert_int_eq(usage_of(getpid()).fds, child.fds);
	ck_assert_int_eq(usage_of(getpid()).maps, child.maps);
	await_usage(root);
	vmbus_client_stats(l.bus, &st);
	ck_assert_uint_eq(st.pages_abandoned, 0);
	ck_assert_uint_eq(st.messages_ignored, 0);
	link_down(&l);
	stop_root();
}
END_TEST

START_TEST(lives_of_a_connection_leave_nothing)
{
	struct vmbus_client *first = NULL;
	struct usage root;
	struct vmbus_offer o;
	struct link l;

	start_root(0);
	link_up(&l, 0, NULL);
	vmbus_client_destroy(l.bus);
	root = usage_of(root_pid);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(vmbus_client_connect(&l.bus, l.hv, NULL), 0);
		o = the_offer(&l);
		command(&l, open_one(&l, &o, 1), 1, 1, 1);
		vmbus_client_destroy(l.bus); /* with the channel open */
	}
	await_usage(root);
	/* V06: a second client starts over without a word: as after a kexec. */
	ck_assert_int_eq(vmbus_client_connect(&first, l.hv, NULL), 0);
	l.bus = first;
	o = the_offer(&l);
	open_one(&l, &o, 1);
	ck_assert_int_eq(vmbus_client_connect(&l.bus, l.hv, NULL), 0);
	o = the_offer(&l);
	command(&l, open_one(&l, &o, 2), 2, 1, 1);
	vmbus_client_destroy(l.bus);
	vmbus_client_cancel(first);
	vmbus_client_destroy(first);
	await_usage(root);
	hv_child_destroy(l.hv);
	stop_root();
}
END_TEST

START_TEST(sub_channels_come_and_go)
{
	struct vmbus_client_stats st;
	struct vmbus_chan *c, *sub[2];
	struct vmbus_offer o, so;
	struct link l;

	start_root(0);
	link_up(&l, 0, NULL);
	for (int round = 0; round < 20; round++) {
		o = the_offer(&l);
		c = open_one(&l, &o, 0);
		command(&l, c, 0, CMD_SUBS, 2);
		for (uint16_t i = 0; i < 2; i++) {
			ck_assert_int_eq(vmbus_client_wait_sub(l.bus, &o, i + 1, &so), 0);
			sub[i] = open_one(&l, &so, i + 1u);
			command(&l, sub[i], i + 1u, 1, i);
		}
		vmbus_client_close(l.bus, sub[0]);
		vmbus_client_close(l.bus, sub[1]);
		vmbus_client_close(l.bus, c); /* the root rescinds the sub-channels */
		do {
			vmbus_client_wait(l.bus, 0, MS);
			vmbus_client_stats(l.bus, &st);
		} while (st.offers != 1);
	}
	link_down(&l);
	stop_root();
}
END_TEST

START_TEST(device_is_taken_away_and_comes_back)
{
	struct vmbus_offer o;
	struct vmbus_chan *c;
	struct link l;

	start_root(0);
	link_up(&l, 0, NULL);
	for (int round = 0; round < 20; round++) {
		uint64_t limit = clock_ns() + LIMIT_NS;

		while (vmbus_client_find(l.bus, &echo_type, 0, &o)) {
			ck_assert(clock_ns() < limit);
			vmbus_client_wait(l.bus, 0, MS);
		}
		c = open_one(&l, &o, 0);
		if (round % 2) {
			command(&l, c, 0, CMD_REVOKE, 0);
			while (!vmbus_client_rescinded(l.bus, c))
				ck_assert_int_eq(vmbus_client_wait(l.bus, 0, LIMIT_NS), 1);
		} else {
			uint32_t words[2] = { CMD_REVOKE, 0 };
			uint64_t before = load_relaxed(&sh->packets);

			vmbus_chan_send(c, 1, 1, words, sizeof(words));
			vmbus_chan_flush(c);
			while (load_relaxed(&sh->packets) == before)
				ck_assert(clock_ns() < limit);
			/* It goes while we close. */
		}
		vmbus_client_close(l.bus, c);
		while (sh->offers < (uint32_t)round + 2) {
			ck_assert(clock_ns() < limit);
			vmbus_client_wait(l.bus, 0, MS);
		}
	}
	link_down(&l);
	stop_root();
}
END_TEST

/* ---- sudden death ---------------------------------------------------------------------------- */

struct pump {
	struct link *l;
	struct vmbus_chan *chan;
	uint32_t vp;
	int result;
};

/* Keeps thirty-two packets in flight until something ends it. */
static void *pump_packets(void *arg)
{
	struct pump *t = arg;
	struct vmbus_chan *c = t->chan;
	uint64_t sent = 0, done = 0, payload[8] = { 0 };
	struct vmpkt p;
	int n;

	for (;;) {
		while (sent - done < BATCH && !vmbus_chan_send(c, 1, sent, payload, 64))
			sent++;
		vmbus_chan_flush(c);
		while ((n = vmbus_chan_recv(c, &p)) > 0)
			done++;
		vmbus_chan_recv_done(c);
		if (n < 0)
			break;
		if (sent - done < BATCH || vmbus_chan_unmask(c))
			continue;
		n = vmbus_client_wait(t->l->bus, t->vp, LIMIT_NS);
		if (n != 1)
			break;
	}
	t->result = n;
	return NULL;
}

/* A channel per VP, each with its thread. */
static void start_pumps(struct link *l, struct pump *t, pthread_t *threads)
{
	struct vmbus_offer o, so;

	link_up(l, 0, NULL);
	o = the_offer(l);
	t[0] = (struct pump){ .l = l, .chan = open_one(l, &o, 0) };
	command(l, t[0].chan, 0, CMD_SUBS, VPS - 1);
	for (uint16_t i = 1; i < VPS; i++) {
		ck_assert_int_eq(vmbus_client_wait_sub(l->bus, &o, i, &so), 0);
		t[i] = (struct pump){ .l = l, .chan = open_one(l, &so, i), .vp = i };
	}
	for (int i = 0; i < VPS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, pump_packets, &t[i]), 0);
}

static void await_packets(uint64_t n)
{
	uint64_t limit = clock_ns() + LIMIT_NS;

	while (load_relaxed(&sh->packets) < n) {
		ck_assert_msg(clock_ns() < limit, "the channels stand still");
		sched_yield();
	}
}

/* The root says it after it has let go of everything. */
static void await_downs(uint64_t n)
{
	uint64_t limit = clock_ns() + LIMIT_NS;

	while (__atomic_load_n(&sh->downs, __ATOMIC_ACQUIRE) < n && clock_ns() < limit)
		sched_yield();
	ck_assert_uint_eq(__atomic_load_n(&sh->downs, __ATOMIC_ACQUIRE), n);
}

static void __attribute__((noreturn)) run_child(void)
{
	pthread_t threads[VPS];
	struct pump t[VPS];
	struct link l;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	start_pumps(&l, t, threads);
	for (;;)
		pause();
}

START_TEST(killed_child_leaves_nothing_in_the_root)
{
	struct usage root;
	struct vmbus_offer o;
	struct link l;

	start_root(0);
	root = usage_of(root_pid);
	for (uint32_t round = 0; round < 10; round++) {
		uint64_t before = load_relaxed(&sh->packets);
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			run_child();
		await_packets(before + 2000 + 300 * round);
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		await_usage(root);
		await_downs(round + 1);
	}
	/* U9 */
	link_up(&l, 0, NULL);
	o = the_offer(&l);
	command(&l, open_one(&l, &o, 0), 0, 1, 1);
	link_down(&l);
	await_usage(root);
	stop_root();
}
END_TEST

START_TEST(killed_root_ends_every_wait)
{
	pthread_t threads[VPS];
	struct pump t[VPS];
	struct vmbus_offer o;
	struct usage before;
	struct link l;

	start_root(0);
	before = usage_of(getpid());
	start_pumps(&l, t, threads);
	o = the_offer(&l);
	await_packets(5000);
	kill(root_pid, SIGKILL);
	for (int i = 0; i < VPS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_int_eq(t[i].result, -ECONNRESET);
	}
	ck_assert_int_eq(vmbus_client_wait_sub(l.bus, &o, 9, &o), -ECONNRESET);
	ck_assert_int_eq(vmbus_client_modify(l.bus, t[0].chan, 1), -ECONNRESET);
	ck_assert_int_eq(vmbus_client_wait(l.bus, 1, UINT64_MAX), -ECONNRESET);
	link_down(&l);
	ck_assert_int_eq(usage_of(getpid()).fds, before.fds);
	ck_assert_int_eq(usage_of(getpid()).maps, before.maps);
	stop_root();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("bus end to end");
	TCase *tc = tcase_create("bus");
	SRunner *sr;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, versions_meet, 0, 9);
	tcase_add_test(tc, no_version_in_common);
	tcase_add_test(tc, gpadls_of_every_size);
	tcase_add_test(tc, requests_name_guest_pages);
	tcase_add_test(tc, a_thousand_lives_of_a_channel_leave_nothing);
	tcase_add_test(tc, lives_of_a_connection_leave_nothing);
	tcase_add_test(tc, sub_channels_come_and_go);
	tcase_add_test(tc, device_is_taken_away_and_comes_back);
	tcase_add_test(tc, killed_child_leaves_nothing_in_the_root);
	tcase_add_test(tc, killed_root_ends_every_wait);
	suite_add_tcase(s, tc);
	sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
