/* SPDX-License-Identifier: MIT */
/*
 * Every allocation fails once (spec: hostile cases F23): for n = 1, 2, .. the n-th allocating
 * call of an operation fails, until none is left to fail. The guest gets the protocol's
 * failure, the caller an error, nothing is left behind, and the next try works.
 *
 * The allocating functions of libc are replaced in this program. The sanitizers
 * replace them too, so there the operations just succeed.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/ut/vmbus/server_rig.h"
#include "tests/ut/vmbus/sm_world.h"

#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define INJECT 0
#else
#define INJECT 1
#endif

static uint32_t fail_in; /* 0 = never, 1 = the next call */
static uint32_t failed;

#if INJECT
static int fail_now(int err)
{
	if (!fail_in || --fail_in)
		return 0;
	failed++;
	errno = err;
	return 1;
}

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
	return fail_now(ENOMEM) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fail_now(ENOMEM) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fail_now(ENOMEM) ? NULL : __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	return fail_now(ENOMEM) ? NULL : __libc_memalign(align, n);
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	if (fail_now(ENOMEM))
		return MAP_FAILED;
	return (void *)(uintptr_t)syscall(SYS_mmap, addr, len, prot, flags, fd, off);
}

int eventfd(unsigned int n, int flags)
{
	return fail_now(EMFILE) ? -1 : (int)syscall(SYS_eventfd2, n, flags);
}
#endif

/* ---- the state machine: a whole history with one failure somewhere --------------------------- */

/* Nothing here may depend on what succeeded. */
static void history(void)
{
	struct vmbus_sm_chan *first = NULL, *ch;

	for (uint32_t i = 0; i < 12; i++)
		w_try_offer(i, i ? &ch : &first);
	g_contact(VMBUS_V5_3);
	g_header_only(VMBUS_MSG_REQUESTOFFERS);
	g_header_only(VMBUS_MSG_REQUESTOFFERS); /* what a guest does that was told to try again */
	w.deaf = true;
	for (uint32_t i = 0; i < 40; i++)
		g_gpadl_header(1 + i % 4, 10 + i, 40, 26);
	for (uint32_t i = 0; i < 40; i++)
		g_gpadl_body(10 + i, 14);
	g_open(1, 10);
	w.deaf = false;
	w_pump();
	if (first && !vmbus_sm_offer_sub(w.sm, first, 1, &w, &ch))
		w_pump();
	g_modify(1, 2);
	g_relid(VMBUS_MSG_CLOSECHANNEL, 1);
	g_teardown(1, 10);
	if (first)
		w_revoke(first);
	g_header_only(VMBUS_MSG_UNLOAD);
}

START_TEST(state_machine)
{
	struct vmbus_sm_config cfg = { .nr_vps = W_VPS };
	uint32_t n = 0;

	do {
		memset(&w, 0, offsetof(struct world, log));
		failed = 0;
		fail_in = INJECT * ++n;
		if (vmbus_sm_create(&w.sm, &cfg)) {
			fail_in = 0;
			continue;
		}
		history();
		fail_in = 0;
		w_forget();
		w_connect(VMBUS_V5_3); /* U9 */
		w_down();
	} while (failed);
	ck_assert_uint_ge(n, INJECT * 80);
}
END_TEST

/* ---- the bus -----------------------------------------------------------------------------------
 */

START_TEST(creating_a_bus)
{
	struct loop *loops[1];
	struct vmbus_server_config cfg = { .io_loops = loops, .nr_io_loops = 1 };
	struct vmbus_bus *bus;
	uint32_t n = 0;
	int err;

	rig_up();
	vmbus_device_revoke(rig.toy.dev, toy_gone);
	vmbus_server_destroy(rig.bus);
	loops[0] = rig.loop;
	do {
		failed = 0;
		fail_in = INJECT * ++n;
		err = vmbus_server_create(&bus, fake_partition(rig.f), &cfg);
		fail_in = 0;
		ck_assert_int_eq(err, failed ? -ENOMEM : 0);
	} while (err);
	ck_assert_uint_ge(n, INJECT * 6);
	rig.bus = bus;
	rig_down();
}
END_TEST

START_TEST(offering_a_device)
{
	struct toy toy = { 0 };
	uint32_t n = 0;
	int err;

	rig_up();
	connect_guest();
	do {
		failed = 0;
		fail_in = INJECT * ++n;
		err = toy_offer_as(&toy, 1, "late");
		fail_in = 0;
		ck_assert_int_eq(err, failed ? -ENOMEM : 0);
	} while (err);
	ck_assert_uint_ge(n, INJECT * 4);
	ck_assert_uint_eq(expect(VMBUS_MSG_OFFERCHANNEL).offer.relid, 2);
	vmbus_device_revoke(toy.dev, toy_gone);
	rig_down();
}
END_TEST

/* Ports, doorbell, mappings of both rings, channel: each fails the guest's open, no more. */
START_TEST(opening_a_channel)
{
	uint32_t n = 0, status, fds;
	struct guest g;

	rig_up();
	connect_guest();
	guest_alloc(&g, 1, 16);
	ck_assert_uint_eq(guest_gpadl(&g), VMBUS_STATUS_SUCCESS);
	fds = count_fds();
	do {
		union vmbus_msg m;

		failed = 0;
		fail_in = INJECT * ++n;
		post_open(&g); /* libcheck allocates too: it stays out of this */
		while (!fake_guest_messages(rig.f, 0)->slot[HV_VMBUS_SINT].type)
			loop_turn(rig.loop, 1000000);
		fail_in = 0;
		m = expect(VMBUS_MSG_OPENCHANNEL_RESULT);
		status = m.open_result.status;
		ck_assert_uint_eq(status, failed ? VMBUS_STATUS_FAILED : VMBUS_STATUS_SUCCESS);
		if (status)
			ck_assert_uint_eq(count_fds(), fds);
	} while (status);
	ck_assert_uint_ge(n, INJECT * 6);
	guest_attach(&g);
	guest_echo(&g, 1);
	guest_close(&g);
	rig_down();
}
END_TEST

START_TEST(creating_a_gpadl)
{
	uint32_t n = 0, status;
	struct guest g;

	rig_up();
	connect_guest();
	guest_alloc(&g, 1, 16);
	do {
		failed = 0;
		fail_in = INJECT * ++n;
		post_gpadl(&g);
		fail_in = 0;
		status = expect(VMBUS_MSG_GPADL_CREATED).gpadl_created.status;
		ck_assert(!status || failed);
	} while (status);
	ck_assert_uint_ge(n, INJECT * 3);
	rig_down();
}
END_TEST

VMBUS_MAIN("vmbus/server_fail", state_machine, creating_a_bus, offering_a_device, opening_a_channel,
	   creating_a_gpadl)
