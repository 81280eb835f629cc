/* SPDX-License-Identifier: MIT */
/*
 * Eight guests on one switch, one of which is hostile, is killed, or both, every second: the other
 * seven send each other numbered frames and lose not one, and none is overtaken or changed.
 * Afterwards the root has as much memory, descriptors, mappings and threads as after the warm-up.
 *
 *   NET_SOAK_SECONDS=N   how long (make net-soak: two minutes; in make check: 6 s)
 *   NET_SOAK_SEED=N      the random numbers of a run before
 */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/hostile/fixture.h"

#define SECOND	    1000000000ull
#define SHORT	    6 /* seconds, when nobody asks for more; lives are shorter then */
#define PEERS	    7u
#define SHOW_NS	    (10 * SECOND)
#define WARM_PART   6 /* of the time is warm-up */
#define PACKET_HEAD ((uint32_t)sizeof(struct rndis_packet))

static uint64_t seconds, seed;
static struct {
	uint64_t lives, kills, deeds; /* of the eighth */
} * evil;

static uint64_t random_of(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- the eighth ------------------------------------------------------------------------ */

typedef void deed(struct evil_nic *n);

static uint8_t *data(struct evil_nic *n)
{
	return evil_page(n->g, EVIL_NIC_DATA);
}

/* To one of the seven, to all, or to nobody; with an ethertype of the seven's now and then. */
static uint32_t some_frame(struct evil_nic *n, uint32_t len)
{
	static const uint16_t types[] = { 0x88b7, NET_PING_ETHERTYPE, 0x800, 0x86dd };
	uint8_t *frame = data(n) + PACKET_HEAD;

	evil_frame(n, frame, (uint32_t)(random_of() % (PEERS + 1)), types[random_of() % 4], len);
	if (random_of() % 4 == 0)
		memset(frame, 0xff, NET_MAC_LEN);
	return evil_packet(data(n), len, NULL, 0);
}

static void floods(struct evil_nic *n)
{
	uint32_t len = some_frame(n, 60 + (uint32_t)(random_of() % 1455));

	evil_nic_flood(n, (uint32_t)(random_of() % n->channels), len, 20, random_of() % 2);
}

static void takes_addresses(struct evil_nic *n)
{
	uint32_t len = some_frame(n, 60);

	net_peer_mac((uint32_t)(random_of() % PEERS), data(n) + PACKET_HEAD + NET_MAC_LEN);
	evil_nic_flood(n, 0, len, 5, true);
}

static void sends_garbage(struct evil_nic *n)
{
	uint32_t len = some_frame(n, 60 + (uint32_t)(random_of() % 3000)), *w = (void *)data(n);

	for (int i = 0; i < 3; i++)
		w[random_of() % 16] = (uint32_t)(random_of() % 2 ? random_of() : random_of() % 100);
	evil_nic_flood(n, 0, len, 2, true);
}

static void sends_nonsense(struct evil_nic *n)
{
	struct rndis_info_u32 info = { { 16, RNDIS_INFO_LSO, 12 }, (uint32_t)random_of() };
	uint8_t *frame = data(n) + PACKET_HEAD + sizeof(info);
	uint32_t len = 60 + (uint32_t)(random_of() % 60000);

	evil_frame(n, frame, (uint32_t)(random_of() % PEERS), 0x800, len);
	frame[14] = 0x45;
	frame[23] = 6;
	frame[46] = 0x50;
	info.value |= RNDIS_LSO_V2;
	evil_nic_flood(n, 0, evil_packet(data(n), len, &info, sizeof(info)), 2, true);
}

static void says_anything(struct evil_nic *n)
{
	uint32_t w[10];

	for (uint32_t i = 0; i < ARRAY_SIZE(w); i++)
		w[i] = (uint32_t)(random_of() % 2 ? random_of() : random_of() % 300);
	if (evil_out_free(&n->chan[0]) < 512)
		return;
	if (random_of() % 2)
		evil_nvsp(n, 0, 1, w, ARRAY_SIZE(w));
	else
		evil_rndis_send(n, 1, w, sizeof(w));
	evil_nic_drain(n, 0);
}

static void revokes(struct evil_nic *n)
{
	floods(n);
	EVIL_SAY(&n->chan[0], VMBUS_MSG_GPADL_TEARDOWN, 0, EVIL_NIC_RELID, EVIL_NIC_RX_GPADL);
	if (evil_out_free(&n->chan[0]) >= 512)
		EVIL_NVSP(n, 1, NVSP_REVOKE_RECEIVE_BUFFER, NVSP_RX_BUFFER_ID);
	floods(n);
}

static void breaks_a_ring(struct evil_nic *n)
{
	evil_publish(&n->chan[random_of() % n->channels], (uint32_t)random_of());
}

static void closes(struct evil_nic *n)
{
	evil_close(&n->chan[random_of() % n->channels]);
}

static deed *const deeds[] = {
	floods,	       floods,	      takes_addresses, sends_garbage, sends_nonsense,
	says_anything, says_anything, revokes,	       breaks_a_ring, closes,
};

/* One kind a life: the next must not need what the one before it has broken. */
static void __attribute__((noreturn)) live(uint64_t its_seed)
{
	struct evil_guest g;
	struct evil_nic n;
	deed *what;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	seed = its_seed;
	what = deeds[random_of() % ARRAY_SIZE(deeds)];
	evil_reach(&g, hostile_path(), EVIL_READY);
	evil_nic_reach(&n, &g, EVIL_NIC_UP);
	evil_nic_subs(&n, (uint32_t)(random_of() % EVIL_NIC_QUEUES));
	for (;;) {
		what(&n);
		__atomic_fetch_add(&evil->deeds, 1, __ATOMIC_RELAXED);
		usleep((useconds_t)(random_of() % 2000));
	}
}

static void watch(pid_t pid, uint64_t until, uint64_t enough)
{
	while (clock_ns() < until && load_relaxed(&evil->deeds) < enough) {
		const char *fault = net_peers_fault(hostile_net_peers());

		ck_assert_msg(!fault, "%s", fault);
		ck_assert_msg(!waitpid(pid, NULL, WNOHANG), "the hostile guest ended by itself");
		usleep(2000);
	}
}

/*
 * Killed in the middle of whatever it does: of its bringing up now and then, but mostly of its
 * deeds, however long it took to get there.
 */
static void one_life(uint64_t ns)
{
	uint64_t its_seed = random_of(), was = load_relaxed(&evil->deeds);
	bool early = random_of() % 4 == 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid)
		live(its_seed);
	if (!early)
		watch(pid, clock_ns() + EVIL_PATIENCE_MS * 1000000ull, was + 1);
	watch(pid, clock_ns() + (early ? random_of() % ns : ns), UINT64_MAX);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	evil->lives += load_relaxed(&evil->deeds) > was;
	evil->kills++;
}

/* ---- phases ------------------------------------------------------------------------------- */

static void show(const char *what, uint64_t ns)
{
	char usage[128];

	hostile_usage(usage, sizeof(usage));
	fprintf(stderr,
		"net_soak: %s, %llu s: %llu frames, none lost; the eighth: %llu kills, %llu deeds; "
		"root: %s\n",
		what, (unsigned long long)(ns / SECOND),
		(unsigned long long)net_peers_frames(hostile_net_peers()),
		(unsigned long long)evil->kills, (unsigned long long)load_relaxed(&evil->deeds),
		usage);
}

static void play(const char *what, uint64_t ns)
{
	uint64_t begin = clock_ns(), shown = begin, life = seconds > 30 ? SECOND : SECOND / 4;

	while (clock_ns() - begin < ns) {
		one_life(life);
		if (clock_ns() - shown > SHOW_NS) {
			shown = clock_ns();
			show(what, shown - begin);
		}
	}
	show(what, clock_ns() - begin);
}

START_TEST(f01_n44_seven_lose_nothing_of_an_eighth)
{
	uint64_t warm = seconds * SECOND / WARM_PART, fewest;

	evil = mmap(NULL, sizeof(*evil), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(evil, MAP_FAILED);
	play("warm-up", warm);
	hostile_canary_moves();
	hostile_mark();
	fewest = net_peers_fewest(hostile_net_peers());
	play("running", seconds * SECOND - warm);
	hostile_canary_moves(); /* every one of the seven hears every other */
	hostile_settled();
	/* They were not only not disturbed: they were at work. */
	ck_assert_uint_gt(net_peers_fewest(hostile_net_peers()) - fewest, 10 * seconds / SLOWER);
	ck_assert_uint_gt(evil->lives, 0);
	show("the root is as it was", seconds * SECOND);
	munmap(evil, sizeof(*evil));
}
END_TEST

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	uint64_t n;

	if (!text)
		return otherwise;
	n = strtoull(text, &end, 10);
	if (*text && !*end && n && n < INT_MAX / 2)
		return n;
	fprintf(stderr, "%s=%s: a number is needed, from 1\n", name, text);
	exit(EXIT_FAILURE);
}

int main(void)
{
	Suite *s = suite_create("net_soak");
	TCase *tc = tcase_create("one root");
	SRunner *r;
	int failed;

	seconds = number("NET_SOAK_SECONDS", SHORT);
	seed = number("NET_SOAK_SEED", 1 + clock_ns() % 1000000000);
	fprintf(stderr, "net_soak: %llu s, NET_SOAK_SEED=%llu\n", (unsigned long long)seconds,
		(unsigned long long)seed);
	log_set_level(LOG_ERROR);
	hostile_log_level = LOG_ERROR;
	hostile_switch = "name=lan,type=private,guest-mac=on";
	/* As many frames as the receiver has room for in half of its buffer, from all together. */
	hostile_peers =
		(struct net_peers_config){ .n = PEERS, .window = 32, .burst = 4, .gap_us = 4000 };
	evil_wishes = "nic switch=lan,queues=4";
	tcase_add_unchecked_fixture(tc, hostile_start, hostile_stop);
	tcase_set_timeout(tc, (double)seconds + 120);
	tcase_add_test(tc, f01_n44_seven_lose_nothing_of_an_eighth);
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
