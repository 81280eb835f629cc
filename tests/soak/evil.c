/* SPDX-License-Identifier: MIT */
/*
 * Neighbours without manners, one short life after the other: each goes some way like a good
 * guest and then does its worst. All of it concerns LUN_EVIL only, so that whatever happens
 * to the disks of others is the root's fault.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/soak/soak.h"

#define WORST 24 /* bad deeds of a life */

typedef void deed(struct evil_guest *g, uint64_t *x);

static void random_bytes(void *to, size_t n, uint64_t *x)
{
	uint8_t *b = to;

	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)soak_random(x);
}

/* ---- on the socket --------------------------------------------------------------- */

static void nonsense_on_the_socket(struct evil_guest *g, uint64_t *x)
{
	uint8_t b[600];
	int s = evil_socket(g->path);

	random_bytes(b, sizeof(b), x);
	send(s, b, 1 + soak_random(x) % sizeof(b), MSG_NOSIGNAL);
	close(s);
}

static void odd_call(struct evil_guest *g, uint64_t *x)
{
	struct hv_proc_call call;

	random_bytes(&call, sizeof(call), x);
	call.op = HV_PROC_HYPERCALL + (uint32_t)(soak_random(x) % 3); /* those that are answered */
	evil_call(g, &call, NULL);
}

static void odd_message(struct evil_guest *g, uint64_t *x)
{
	uint32_t w[60];

	random_bytes(w, sizeof(w), x);
	w[0] = (uint32_t)(soak_random(x) % 32);
	w[2] = EVIL_RELID + (uint32_t)(soak_random(x) % 4);
	evil_say(g, w, 2 + (uint32_t)(soak_random(x) % 58));
}

/* ---- in the rings ------------------------------------------------------------------ */

static void odd_write_index(struct evil_guest *g, uint64_t *x)
{
	evil_publish(g, (uint32_t)soak_random(x));
}

static void odd_packets(struct evil_guest *g, uint64_t *x)
{
	uint8_t b[256];

	random_bytes(b, sizeof(b), x);
	evil_send(g, (uint16_t)(soak_random(x) % 16), (uint16_t)(soak_random(x) % 40),
		  (uint16_t)soak_random(x), soak_random(x), b, 8 * (soak_random(x) % 33));
}

static void flipping_index(struct evil_guest *g, uint64_t *x)
{
	struct evil_racer r;

	evil_race(&r, &g->out.ctrl->write_index, g->out.next, (uint32_t)soak_random(x));
	for (int i = 0; i < 100; i++)
		evil_ring_bell(g);
	evil_race_end(&r);
}

static void bell_storm(struct evil_guest *g, uint64_t *x)
{
	for (uint64_t i = soak_random(x) % 2000; i; i--)
		evil_ring_bell(g);
}

/* ---- in requests ----------------------------------------------------------------------- */

/* Whatever would stay with the disk after this guest, for those who paint it. */
static bool is_lasting(uint8_t opcode)
{
	switch (opcode) {
	case 0x15: /* MODE SELECT(6), (10) */
	case 0x55:
	case 0x16: /* RESERVE(6), (10) */
	case 0x56:
	case 0x1b: /* START STOP UNIT */
	case 0x1e: /* PREVENT ALLOW MEDIUM REMOVAL */
	case 0x5f: /* PERSISTENT RESERVE OUT */
		return true;
	}
	return false;
}

static void odd_commands(struct evil_guest *g, uint64_t *x)
{
	uint8_t cdb[16];

	for (int i = 0; i < 16; i++) {
		uint32_t bytes = (uint32_t)(soak_random(x) % 65537);
		struct vstor_packet p;

		random_bytes(cdb, sizeof(cdb), x);
		if (is_lasting(cdb[0]))
			continue;
		if (soak_random(x) % 2) /* an address that may be there */
			memset(cdb + 2, 0, 4);
		p = evil_srb(LUN_EVIL, cdb, 16, (uint8_t)(soak_random(x) % 4), bytes);
		if (evil_out_free(g) < 1024)
			return;
		evil_srb_send(g, soak_random(x), &p, soak_random(x) % 4 ? EVIL_BUF : soak_random(x),
			      bytes, (uint32_t)(soak_random(x) % 4096));
	}
}

/* Reads in flight, nobody takes their answers; then the channel closes, or the guest goes. */
static void left_in_flight(struct evil_guest *g, uint64_t *x)
{
	struct vstor_packet p = evil_rw(LUN_EVIL, soak_random(x) % 2, 0, 8);

	for (uint64_t i = soak_random(x) % 200; i && evil_out_free(g) > 256; i--)
		evil_srb_send(g, i, &p, EVIL_BUF, 4096, 0);
	if (soak_random(x) % 2)
		evil_close(g);
}

static void odd_control_packets(struct evil_guest *g, uint64_t *x)
{
	struct vstor_packet p;

	random_bytes(&p, sizeof(p), x);
	p.operation = (uint32_t)(soak_random(x) % 16);
	if (p.operation == VSTOR_OP_EXECUTE_SRB)
		return; /* odd_commands() knows which */
	evil_vstor(g, soak_random(x), &p);
}

/* ---- a life -------------------------------------------------------------------------------- */

static const struct {
	enum evil_stage stage; /* that it needs */
	deed *what;
} deeds[] = {
	{ EVIL_ALONE, nonsense_on_the_socket },
	{ EVIL_CONNECTED, odd_call },
	{ EVIL_CONNECTED, odd_message },
	{ EVIL_OFFERED, odd_message },
	{ EVIL_OPEN, odd_write_index },
	{ EVIL_OPEN, flipping_index },
	{ EVIL_OPEN, bell_storm },
	{ EVIL_READY, odd_packets },
	{ EVIL_READY, odd_commands },
	{ EVIL_READY, left_in_flight },
	{ EVIL_READY, odd_control_packets },
};

/* The deed that comes next must not need what the one before it has broken: one kind a life. */
static void live(uint64_t *x)
{
	uint32_t i = (uint32_t)(soak_random(x) % ARRAY_SIZE(deeds));
	struct evil_guest g = { 0 };

	evil_reach(&g, hostile_path(), deeds[i].stage);
	for (uint64_t n = 1 + soak_random(x) % WORST; n; n--) {
		deeds[i].what(&g, x);
		if (g.sock >= 0 && evil_cut_off(&g, 0))
			break;
	}
	usleep((useconds_t)(soak_random(x) % 5000));
	evil_end(&g);
	SOAK_BUMP(soak->evil_lives);
}

int soak_play_evil(uint32_t unused, uint64_t seed)
{
	(void)unused;
	for (;;)
		live(&seed);
}
