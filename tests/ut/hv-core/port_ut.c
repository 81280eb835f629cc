/* SPDX-License-Identifier: MIT */
/* Ports, and the life of a partition around them. */
#include "tests/ut/hv-core/hv_rig.h"

#include <sys/eventfd.h>

static enum hv_status hear(void *ctx, uint32_t connection_id, const void *payload, uint32_t len)
{
	(void)connection_id;
	(void)payload;
	(void)len;
	++*(uint32_t *)ctx;
	return HV_STATUS_SUCCESS;
}

static uint32_t nr_ports(void)
{
	struct hv_partition_stats stats;

	hv_partition_stats(fake_partition(rig), &stats);
	return stats.ports;
}

START_TEST(ids)
{
	struct hv_partition *p;
	uint32_t n = 0;

	rig_up(1);
	p = fake_partition(rig);
	ck_assert_int_eq(hv_port_create_message(p, 0x1000000, hear, &n), -EINVAL);
	ck_assert_int_eq(hv_port_create_message(p, 0xffffffff, hear, &n), -EINVAL);
	ck_assert_int_eq(hv_port_create_message(p, 1, NULL, &n), -EINVAL);
	ck_assert_int_eq(hv_port_create_event(p, 1, -1), -EINVAL);
	ck_assert_uint_eq(nr_ports(), 0);
	ck_assert_int_eq(hv_port_create_message(p, 0xffffff, hear, &n), 0);
	ck_assert_int_eq(hv_port_create_message(p, 1, hear, &n), 0);
	ck_assert_int_eq(hv_port_create_message(p, 1, hear, &n), -EEXIST);
	ck_assert_int_eq(hv_port_create_event(p, 1, 0), -EEXIST);
	ck_assert_uint_eq(nr_ports(), 2);
	ck_assert_uint_eq(fake_guest_post_message(rig, 0xffffff, 1, "", 0), 0);
	ck_assert_uint_eq(n, 1);
	hv_port_delete(p, 2); /* no such port: nothing happens */
	hv_port_delete(p, 1);
	hv_port_delete(p, 1);
	ck_assert_uint_eq(nr_ports(), 1);
	ck_assert_uint_eq(fake_guest_post_message(rig, 1, 1, "", 0),
			  HV_STATUS_INVALID_CONNECTION_ID);
	ck_assert_int_eq(hv_port_create_event(p, 1, 0), 0); /* the id is free for another kind */
	ck_assert_uint_eq(fake_guest_post_message(rig, 1, 1, "", 0), HV_STATUS_INVALID_PORT_ID);
	rig_down(); /* with two ports left */
}
END_TEST

START_TEST(quota)
{
	struct hv_partition *p;

	rig_up(1);
	p = fake_partition(rig);
	for (uint32_t i = 0; i < 2100; i++)
		ck_assert_int_eq(hv_port_create_event(p, i, 0), 0);
	ck_assert_int_eq(hv_port_create_event(p, 5000, 0), -ENOSPC);
	ck_assert_int_eq(hv_port_create_event(p, 5, 0), -EEXIST);
	hv_port_delete(p, 1000);
	ck_assert_int_eq(hv_port_create_event(p, 5000, 0), 0);
	rig_down();
}
END_TEST

/* Every relid at once: each signal rings its own doorbell, also in a crowded bucket. */
START_TEST(every_relid_has_its_own_doorbell)
{
	enum { FIRST = HV_CONN_CHANNEL_BASE + 1, N = 600 };
	static int bell[N];
	eventfd_t n;

	rig_up(1);
	for (uint32_t i = 0; i < N; i++) {
		bell[i] = eventfd(0, EFD_NONBLOCK);
		ck_assert_int_ge(bell[i], 0);
		ck_assert_int_eq(hv_port_create_event(fake_partition(rig), FIRST + i, bell[i]), 0);
	}
	for (uint32_t i = 0; i < N; i += 3)
		ck_assert_uint_eq(fake_guest_signal(rig, FIRST + i), 0);
	for (uint32_t i = 1; i < N; i += 3)
		hv_port_delete(fake_partition(rig), FIRST + i);
	for (uint32_t i = 0; i < N; i++) {
		ck_assert_int_eq(eventfd_read(bell[i], &n), i % 3 ? -1 : 0);
		ck_assert_uint_eq(fake_guest_signal(rig, FIRST + i),
				  i % 3 == 1 ? HV_STATUS_INVALID_CONNECTION_ID : 0);
		close(bell[i]);
	}
	rig_down();
}
END_TEST

/* H25: a doorbell whose counter is at its maximum is rung already. */
START_TEST(full_doorbell)
{
	int fd = eventfd(0, EFD_NONBLOCK);

	rig_up(1);
	ck_assert_int_eq(eventfd_write(fd, UINT64_MAX - 1), 0);
	ck_assert_int_eq(hv_port_create_event(fake_partition(rig), 0x2001, fd), 0);
	ck_assert_uint_eq(fake_guest_signal(rig, 0x2001), HV_STATUS_SUCCESS);
	rig_down();
	close(fd);
}
END_TEST

/* ---- partitions ------------------------------------------------------------------------ */

static void no_raise(void *backend, uint32_t vp, uint32_t sint)
{
	(void)backend;
	(void)vp;
	(void)sint;
}

static const struct hv_backend_ops ops = { .kind = "none", .raise = no_raise };

START_TEST(partitions_that_are_refused)
{
	struct hv_partition_config cfg = { .nr_vps = 1 };
	struct hv_partition *p;

	ck_assert_int_eq(loop_create(&rig_loop, NULL), 0);
	ck_assert_int_eq(hv_partition_create(&p, rig_loop, &cfg, &ops, NULL), -EINVAL);
	ck_assert_int_eq(hv_gpa_create(&cfg.gpa), 0);
	cfg.nr_vps = 0;
	ck_assert_int_eq(hv_partition_create(&p, rig_loop, &cfg, &ops, NULL), -EINVAL);
	cfg.nr_vps = HV_MAX_VPS + 1;
	ck_assert_int_eq(hv_partition_create(&p, rig_loop, &cfg, &ops, NULL), -EINVAL);
	cfg.nr_vps = HV_MAX_VPS;
	ck_assert_int_eq(hv_partition_create(&p, rig_loop, &cfg, &ops, NULL), 0);
	ck_assert_uint_eq(hv_partition_nr_vps(p), HV_MAX_VPS);
	ck_assert_str_eq(hv_partition_kind(p), "none");
	ck_assert_ptr_eq(hv_partition_loop(p), rig_loop);
	ck_assert_ptr_eq(hv_partition_gpa(p), cfg.gpa);
	hv_partition_destroy(p);
	hv_partition_destroy(NULL);
	loop_destroy(rig_loop);
}
END_TEST

/* A name comes from the child and ends up on terminals and in logs. */
START_TEST(names)
{
	static const struct {
		const char *in, *want;
	} c[] = {
		{ NULL, "" },
		{ "db1", "db1" },
		{ "a b\n\033[31mred\x7f\xff", "a b??[31mred??" },
		{ "0123456789012345678901234567890123456789", "0123456789012345678901234567890" },
	};

	ck_assert_int_eq(loop_create(&rig_loop, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++) {
		struct hv_partition_config cfg = { .name = c[i].in, .nr_vps = 1 };
		struct hv_partition *p;

		ck_assert_int_eq(hv_gpa_create(&cfg.gpa), 0);
		ck_assert_int_eq(hv_partition_create(&p, rig_loop, &cfg, &ops, NULL), 0);
		ck_assert_str_eq(hv_partition_name(p), c[i].want);
		hv_partition_destroy(p);
	}
	loop_destroy(rig_loop);
}
END_TEST

/* Pages with I/O in flight stay when the partition is destroyed. */
START_TEST(memory_outlives_the_partition)
{
	struct hv_gpa *g;
	uint8_t *page;

	rig_up(1);
	g = hv_partition_gpa(fake_partition(rig));
	hv_gpa_get(g);
	page = hv_gpa_ptr(g, 0x3000, 1);
	*page = 42;
	rig_down();
	ck_assert_uint_eq(*page, 42);
	hv_gpa_put(g);
}
END_TEST

RIG_MAIN("hv-core/port", ids, quota, every_relid_has_its_own_doorbell, full_doorbell,
	 partitions_that_are_refused, names, memory_outlives_the_partition)
