/* SPDX-License-Identifier: MIT */
/*
 * What must not be told, kept or taken from others (hostile cases X04 to X06, X12, F37), whole
 * stack: paths, core dumps, other partitions, and many of them at once.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/hostile/fixture.h"

static struct evil_guest g;

/* ---- X04: core dumps ---------------------------------------------------------------------- */

/* Mappings of guest memory and of interrupt pages: how many; how many would be dumped. */
static void count_mappings(uint32_t *all, uint32_t *dumped)
{
	char name[64], line[512];
	bool ours = false;
	FILE *f;

	*all = *dumped = 0;
	snprintf(name, sizeof(name), "/proc/%d/smaps", (int)hostile_root());
	f = fopen(name, "r");
	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, "memfd:"))
			ours = strstr(line, "memfd:hvbus-ram") != NULL;
		if (!ours || strncmp(line, "VmFlags:", 8))
			continue;
		++*all;
		*dumped += !strstr(line, " dd");
		ours = false;
	}
	fclose(f);
}

START_TEST(x04_guest_memory_is_not_dumped)
{
	uint32_t all, dumped;

	hostile_begin(&g, EVIL_READY);
	count_mappings(&all, &dumped);
	ck_assert_uint_ge(all, 2 * 3); /* two guests, each with its memory and its rings twice */
	ck_assert_uint_eq(dumped, 0);
	hostile_end(&g, NULL);
}
END_TEST

/* ---- X05: paths -------------------------------------------------------------------------------
 */

/* Everything a disk says of itself. That no path is in the guest's memory is in U2. */
START_TEST(x05_nothing_a_disk_says_is_a_path)
{
	static const uint8_t other[][16] = {
		{ 0x12, 0, 0, 0x10 },				    /* INQUIRY */
		{ 0x5a, 0, 0x3f, 0xff, 0, 0, 0, 0x10 },		    /* MODE SENSE, all */
		{ 0x4d, 0, 0x40, 0, 0, 0, 0, 0x10 },		    /* LOG SENSE */
		{ 0xa3, 0x0c, 0, 0, 0, 0, 0, 0, 0x10 },		    /* opcodes */
		{ 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10 }, /* READ CAPACITY(16) */
		{ 0x5e, 0x03, 0, 0, 0, 0, 0, 0x10 },		    /* reservations, in full */
		{ 0x03, 0, 0, 0, 0xfc },
	};
	uint8_t vpd[16] = { 0x12, 1, 0, 0x10 };
	struct vstor_packet p;
	struct evil_packet a;
	uint32_t i, page = 0;

	hostile_begin(&g, EVIL_READY);
	for (i = 0; i < 256 + ARRAY_SIZE(other); i++, page++) {
		vpd[2] = (uint8_t)i;
		p = evil_srb(LUN_FILE, i < 256 ? vpd : other[i - 256], 16, VSTOR_DATA_IN, 4096);
		evil_srb_send(&g, i, &p, EVIL_FREE + page % 256, 4096, 0);
		ck_assert(evil_recv(&g, &a, 10000));
	}
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(x05_no_refusal_names_a_path)
{
	struct hv_proc_welcome w;
	struct hv_proc_hello h;

	hostile_begin(&g, EVIL_ALONE);
	for (uint32_t i = 0; i < sizeof(h) / 4; i++) {
		int s = evil_socket(hostile_path());

		h = evil_hello();
		((uint32_t *)(void *)&h)[i] = UINT32_MAX;
		ck_assert_int_eq(send(s, &h, sizeof(h), 0), sizeof(h));
		memset(&w, 0, sizeof(w));
		if (recv(s, &w, sizeof(w), 0) > 0)
			ck_assert_ptr_null(memchr(w.text, '/', sizeof(w.text)));
		close(s);
	}
	hostile_end(&g, &(struct proof){ .cut = "" });
}
END_TEST

/* ---- X06: others ------------------------------------------------------------------------------
 */

struct told {
	union vmbus_msg msg[8];
	uint32_t n;
};

/* Every message of a beginning. */
static void listen_to(struct evil_guest *e, struct told *t)
{
	memset(t, 0, sizeof(*t));
	EVIL_SAY(e, VMBUS_MSG_REQUESTOFFERS, 0);
	do {
		ck_assert_uint_lt(t->n, ARRAY_SIZE(t->msg));
		ck_assert(evil_take(e, &t->msg[t->n], 20000));
	} while (t->msg[t->n++].hdr.type != VMBUS_MSG_ALLOFFERS_DELIVERED);
}

/* Relids, connections and everything else of an offer are the same with neighbours. */
START_TEST(x06_offers_do_not_tell_of_others)
{
	static struct evil_guest e[4];
	struct told alone, crowded;

	hostile_begin(&g, EVIL_CONTACT);
	listen_to(&g, &alone);
	for (uint32_t i = 0; i < ARRAY_SIZE(e); i++)
		evil_reach(&e[i], hostile_path(), i & 1 ? EVIL_READY : EVIL_CONTACT);
	listen_to(&e[2], &crowded);
	ck_assert_uint_eq(alone.n, crowded.n);
	ck_assert_mem_eq(alone.msg, crowded.msg, sizeof(alone.msg));
	for (uint32_t i = 0; i < ARRAY_SIZE(e); i++)
		evil_end(&e[i]);
	hostile_end(&g, NULL);
}
END_TEST

/* ---- many ---------------------------------------------------------------------------------------
 */

static void ring_storm(void)
{
	for (;;)
		evil_ring_bell(&g);
}

static void command_storm(void)
{
	struct vstor_packet p = evil_tur();
	struct evil_packet a;

	for (;;) {
		while (evil_out_free(&g) >= 200)
			evil_vstor(&g, 1, &p);
		while (evil_recv(&g, &a, 0))
			;
	}
}

static void message_storm(void)
{
	for (;;) {
		evil_restart(&g, EVIL_CONTACT);
		EVIL_SAY(&g, VMBUS_MSG_UNLOAD, 0);
		evil_expect(&g, VMBUS_MSG_UNLOAD_RESPONSE);
	}
}

static void connection_storm(void)
{
	for (;;) {
		evil_end(&g);
		evil_reach(&g, hostile_path(), EVIL_CONNECTED);
	}
}

/* Four kinds of flood from four partitions: the fifth gets on, without a stall (U3). */
START_TEST(x12_floods_together)
{
	static void (*const storm[])(void) = { ring_storm, command_storm, message_storm,
					       connection_storm };
	pid_t pid[ARRAY_SIZE(storm)];

	hostile_begin(&g, EVIL_ALONE);
	for (uint32_t i = 0; i < ARRAY_SIZE(storm); i++) {
		pid[i] = fork();
		if (!pid[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			evil_reach(&g, hostile_path(), EVIL_READY);
			if (nice(19) < 0) /* the root's time is in question, not the processors' */
				_exit(1);
			storm[i]();
		}
	}
	for (int i = 0; i < 50; i++)
		hostile_canary_moves();
	for (uint32_t i = 0; i < ARRAY_SIZE(storm); i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	hostile_end(&g, NULL);
}
END_TEST

START_TEST(f37_many_partitions_at_once)
{
	static struct evil_guest e[64];

	hostile_begin(&g, EVIL_ALONE);
	for (uint32_t i = 0; i < ARRAY_SIZE(e); i++)
		evil_reach(&e[i], hostile_path(), EVIL_READY);
	for (uint32_t i = 0; i < ARRAY_SIZE(e); i++)
		evil_verified_io(&e[i]);
	hostile_canary_moves();
	for (uint32_t i = 0; i < ARRAY_SIZE(e); i++)
		evil_end(&e[i * 37 % ARRAY_SIZE(e)]);
	hostile_end(&g, NULL);
}
END_TEST

HOSTILE_MAIN("hostile guest: others", x04_guest_memory_is_not_dumped,
	     x05_nothing_a_disk_says_is_a_path, x05_no_refusal_names_a_path,
	     x06_offers_do_not_tell_of_others, x12_floods_together, f37_many_partitions_at_once)
