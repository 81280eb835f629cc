/* SPDX-License-Identifier: MIT */
/*
 * The races of open, close, rescind, death, reset and removal with I/O in flight, in
 * every order (sched_world.h says what must hold). Each scenario is a few events that a
 * guest or the owner starts whenever the schedule says so; what follows from them is
 * chosen step by step as well: calls between loops, doorbells, disk, messages.
 *
 * Each scenario has three plain schedules (enum order), and runs with every schedule that
 * deviates at most BOUND times from one of them, and with random ones. A failure prints its
 * last steps; it comes again whenever the test is repeated.
 *
 * For longer searches: SCHED_BOUND=2 (hours), SCHED_RANDOM=100000 in the environment.
 */
#include "tests/ut/vsp/sched_guest.h"

#if defined(__SANITIZE_ADDRESS__)
size_t __sanitizer_get_current_allocated_bytes(void);
#define allocated() __sanitizer_get_current_allocated_bytes()
#else
#define allocated() ((size_t)0)
#endif

/* One thread: ThreadSanitizer has nothing to find and is slow at it. */
#if defined(HVBUS_TSAN)
#define RANDOM_RUNS 60u
#define BOUND	    0u
#elif defined(__SANITIZE_ADDRESS__)
#define RANDOM_RUNS 150u
#define BOUND	    0u
#else
#define RANDOM_RUNS 300u
#define BOUND	    1u
#endif
#define MAX_STEPS  64u
#define MAX_DEPTH  2u /* interrupted steps inside of each other */
#define MAX_TIMERS 2u

/* ---- what guest and owner start ------------------------------------------------------ */

enum event {
	WRITE_0, /* the number is the channel */
	WRITE_1,
	CAW_0, /* COMPARE AND WRITE: needs the blocks for itself, across channels */
	CAW_1,
	RESET_0,
	RESET_1,
	OPEN_0,
	OPEN_1,
	CLOSE_0,
	CLOSE_1,
	REOPEN_0,
	REOPEN_1,
	MODIFY_0,
	UNLOAD,
	CONTACT, /* as a kernel that replaces another */
	RESCIND, /* the owner takes the controller away */
	KILL,	 /* the guest is gone */
	REMOVE,	 /* the disk is taken out of the controller */
	CHANGED,
	LOOK, /* statistics */
	EVENTS,
};

static const char *const event_name[EVENTS] = {
	[WRITE_0] = "guest: write on 0",  [WRITE_1] = "guest: write on 1",
	[CAW_0] = "guest: compare on 0",  [CAW_1] = "guest: compare on 1",
	[RESET_0] = "guest: reset on 0",  [RESET_1] = "guest: reset on 1",
	[OPEN_0] = "guest: open 0",	  [OPEN_1] = "guest: open 1",
	[CLOSE_0] = "guest: close 0",	  [CLOSE_1] = "guest: close 1",
	[REOPEN_0] = "guest: reopen 0",	  [REOPEN_1] = "guest: reopen 1",
	[MODIFY_0] = "guest: modify 0",	  [UNLOAD] = "guest: unload",
	[CONTACT] = "guest: contact",	  [RESCIND] = "owner: rescind",
	[KILL] = "guest: dies",		  [REMOVE] = "owner: remove the disk",
	[CHANGED] = "owner: bus changed", [LOOK] = "owner: statistics",
};

static void ctl_gone(void *ctx)
{
	(void)ctx;
	REQUIRE(!w.ctl_gone && !w.ctl_owned);
	w.ctl_gone = true;
	if (w.bus_gone)
		loop_post(w.loop[0], &w.end);
}

static void take_controller(void)
{
	w.ctl_owned = false;
	storvsp_destroy(w.ctl, ctl_gone, NULL);
}

/* The order of vmwp/guest.c. */
static void bus_gone(void *ctx)
{
	(void)ctx;
	REQUIRE(!w.bus_gone && !w.nr_disk);
	w.bus_gone = true;
	if (w.ctl_owned)
		take_controller();
	else if (w.ctl_gone)
		loop_post(w.loop[0], &w.end);
}

static void end_all(struct loop_call *call)
{
	(void)call;
	vmbus_server_destroy(w.bus);
	scsi_target_destroy(w.target);
	w.ended = true;
}

static void die(void)
{
	w.dead = true;
	for (uint32_t i = 0; i < WORLD_SUBS; i++)
		detach(&w.side[i]);
	vmbus_server_shutdown(w.bus, bus_gone, NULL);
}

static bool in_use(const struct side *s)
{
	return s->state == OPEN && !w.dead;
}

static bool connected(void)
{
	return !w.dead && !w.unloading && !w.contacting;
}

static bool may_open(const struct side *s, uint32_t gen)
{
	return connected() && s->offered && !s->rescinded && s->state == SHUT && s->gen == gen &&
	       s->pad[gen].created && !s->pad[gen].asked;
}

static bool may_begin(enum event e)
{
	const struct side *s = &w.side[e % 2]; /* where the event names a channel */

	switch (e) {
	case OPEN_0:
	case OPEN_1:
		return may_open(s, 0);
	case REOPEN_0:
	case REOPEN_1:
		return connected() && s->offered && !s->rescinded && s->state == SHUT && !s->gen &&
		       s->pad[0].asked && s->pad[1].created && !s->pad[1].asked;
	case UNLOAD:
	case CONTACT:
		return connected();
	case MODIFY_0:
		return in_use(&w.side[0]);
	case RESCIND:
		return w.ctl_owned;
	case KILL:
		return !w.dead;
	case REMOVE:
	case CHANGED:
	case LOOK:
		return w.ctl_owned && !w.ended;
	default:
		return in_use(s);
	}
}

static void close_side(struct side *s)
{
	detach(s);
	say_relid(VMBUS_MSG_CLOSECHANNEL, s->relid);
	say_teardown(s, &s->pad[s->gen]);
}

static void look_at_channel(void *ctx, const struct vmbus_channel_info *info)
{
	uint32_t *n = ctx;

	*n += info->relid != 0;
}

static void look(void)
{
	struct vmbus_server_stats bus;
	struct storvsp_stuck stuck[4];
	struct storvsp_stats st;
	uint32_t n = 0;

	storvsp_stats(w.ctl, &st);
	storvsp_stuck(w.ctl, stuck, ARRAY_SIZE(stuck));
	vmbus_server_stats(w.bus, &bus);
	vmbus_server_channels(w.bus, look_at_channel, &n);
	REQUIRE(n <= WORLD_SUBS && st.channels <= WORLD_SUBS && !bus.faults);
}

/* The guest leaves the bus without closing anything. */
static void leave(enum event e)
{
	for (uint32_t i = 0; i < WORLD_SUBS; i++)
		detach(&w.side[i]);
	if (e == CONTACT) {
		say_contact();
	} else {
		w.unloading = true;
		say(VMBUS_MSG_UNLOAD);
	}
}

static void begin_packet(enum event e, struct side *s)
{
	static const uint8_t write10[10] = { 0x2a, [5] = 8, [8] = 8 };
	static const uint8_t caw[16] = { 0x89, [9] = 8, [13] = 1 };

	if (e == WRITE_0 || e == WRITE_1) {
		send_srb(s, write10, sizeof(write10), 4096, VSTOR_DATA_OUT);
	} else if (e == CAW_0 || e == CAW_1) {
		send_srb(s, caw, sizeof(caw), 1024, VSTOR_DATA_OUT);
	} else {
		s->reset[s->gen][s->sent[s->gen]] = true;
		send_op(s, new_id(s), VSTOR_OP_RESET_BUS, 0);
	}
}

static void begin_owner(enum event e)
{
	if (e == RESCIND) {
		take_controller();
	} else if (e == REMOVE) {
		scsi_target_detach(w.target, 0);
		storvsp_release_lun(w.ctl, 0);
		w.lun_left = true;
	} else if (e == CHANGED) {
		storvsp_bus_changed(w.ctl);
	} else {
		look();
	}
}

static void begin(enum event e)
{
	struct side *s = &w.side[e % 2];

	switch (e) {
	case REOPEN_0:
	case REOPEN_1:
		s->gen++;
		say_open(s);
		break;
	case OPEN_0:
	case OPEN_1:
		say_open(s);
		break;
	case CLOSE_0:
	case CLOSE_1:
		close_side(s);
		break;
	case MODIFY_0:
		say_modify(s);
		break;
	case UNLOAD:
	case CONTACT:
		leave(e);
		break;
	case KILL:
		die();
		break;
	default:
		if (e < OPEN_0)
			begin_packet(e, s);
		else
			begin_owner(e);
	}
}

/* ---- steps -------------------------------------------------------------------------------- */

enum step_kind { LOOP_STEP, DISK_STEP, MESSAGE_STEP, REAP_STEP, FREE_STEP, EVENT_STEP };

struct step {
	enum step_kind kind;
	uint32_t i; /* of the disk's requests, the channels, the events */
	struct sched_step s;
};

static void add(struct step *out, uint32_t *n, enum step_kind kind, uint32_t i)
{
	REQUIRE(*n < MAX_STEPS);
	out[(*n)++] = (struct step){ .kind = kind, .i = i };
}

static bool lun_unused(void)
{
	if (!w.lun || !w.lun_left)
		return false;
	return w.ctl_gone || (w.ctl_owned && !storvsp_releasing(w.ctl, 0));
}

static void add_events(struct step *out, uint32_t *n)
{
	if (sched_busy(w.loop[0]))
		return;
	for (uint32_t e = 0; e < EVENTS; e++)
		if (w.events >> e & 1 && may_begin((enum event)e))
			add(out, n, EVENT_STEP, e);
}

static void add_loop(struct step *out, uint32_t *n, struct loop *l, bool timers)
{
	struct sched_step s[MAX_STEPS];
	uint32_t have = sched_list(l, s, MAX_STEPS);

	for (uint32_t i = 0; i < have; i++) {
		if ((s[i].kind == SCHED_TIMER) != timers)
			continue;
		add(out, n, LOOP_STEP, 0);
		out[*n - 1].s = s[i];
	}
}

static void add_disk(struct step *out, uint32_t *n)
{
	for (uint32_t i = 0; i < w.nr_disk; i++)
		if (!sched_busy(w.disk[i].queue->loop))
			add(out, n, DISK_STEP, i);
}

/* Owner and guest, but for the events. */
static void add_main(struct step *out, uint32_t *n)
{
	if (sched_busy(w.loop[0]))
		return;
	if (lun_unused())
		add(out, n, FREE_STEP, 0);
	if (w.dead)
		return;
	if (may_take())
		add(out, n, MESSAGE_STEP, 0);
	for (uint32_t i = 0; i < WORLD_SUBS; i++)
		if (may_reap(&w.side[i]))
			add(out, n, REAP_STEP, i);
}

/* What could happen now; what would happen by itself first. */
static uint32_t list_steps(struct step *out)
{
	void (*interrupt)(void) = sched_interrupt;
	uint32_t n = 0;

	sched_interrupt = NULL; /* looking takes locks */
	if (w.order == EVENTS_FIRST)
		add_events(out, &n);
	for (uint32_t i = 1; i <= ARRAY_SIZE(w.loop); i++) {
		struct loop *l = w.loop[(w.last + i) % ARRAY_SIZE(w.loop)];

		add_loop(out, &n, l, false);
		if (l == w.loop[0])
			add_main(out, &n);
	}
	if (w.order == DISK_FIRST)
		add_disk(out, &n);
	if (w.order != EVENTS_FIRST)
		add_events(out, &n);
	if (w.order != DISK_FIRST)
		add_disk(out, &n);
	if (w.exploring && n && w.timers)
		for (uint32_t i = 0; i < ARRAY_SIZE(w.loop); i++)
			add_loop(out, &n, w.loop[i], true);
	sched_interrupt = interrupt;
	return n;
}

static void trace(const struct step *s)
{
	static const char *const loops[3][5] = {
		{ "0: call", "0: hook", "0: bell", "0: poll", "0: timer" },
		{ "1: call", "1: hook", "1: bell", "1: poll", "1: timer" },
		{ "2: call", "2: hook", "2: bell", "2: poll", "2: timer" },
	};
	static const char *const others[] = {
		[DISK_STEP] = "disk",
		[MESSAGE_STEP] = "guest: takes a message",
		[REAP_STEP] = "guest: takes answers",
		[FREE_STEP] = "owner: frees the disk",
	};
	const char *text = "?";

	if (s->kind == EVENT_STEP)
		text = event_name[s->i];
	else if (s->kind != LOOP_STEP)
		text = others[s->kind];
	else
		for (uint32_t i = 0; i < ARRAY_SIZE(w.loop); i++)
			text = s->s.loop == w.loop[i] ? loops[i][s->s.kind] : text;
	w.trace[w.steps++ % TRACE_LEN] = text;
	REQUIRE(w.steps < WORLD_STEPS); /* else it never comes to rest */
	total_steps++;
}

static void as_main(const struct step *s)
{
	struct loop *before = sched_enter(w.loop[0]);

	if (s->kind == MESSAGE_STEP) {
		take_message();
	} else if (s->kind == REAP_STEP) {
		reap(&w.side[s->i]);
	} else if (s->kind == FREE_STEP) {
		REQUIRE(!w.dev.queues);
		scsi_lun_destroy(w.lun);
		w.lun = NULL;
	} else {
		w.events &= ~(1ull << s->i);
		begin((enum event)s->i);
	}
	sched_leave(w.loop[0], before);
}

static void run_step(const struct step *s)
{
	trace(s);
	if (s->kind == LOOP_STEP) {
		for (uint32_t i = 0; i < ARRAY_SIZE(w.loop); i++)
			w.last = s->s.loop == w.loop[i] ? i : w.last;
		w.timers -= s->s.kind == SCHED_TIMER && w.timers;
		sched_run(&s->s);
	} else if (s->kind == DISK_STEP) {
		disk_step(s->i);
	} else {
		as_main(s);
	}
}

static uint32_t choose(uint32_t n)
{
	return w.exploring && n > 1 ? explore_choose(w.explore, n) : 0;
}

/*
 * In the middle of a step: it goes on, or else stands still while the others do all that they
 * can, or, one more deviation, a part of that.
 */
static void interrupt(void)
{
	struct step s[MAX_STEPS];
	uint32_t n, i;

	if (!w.exploring || w.depth == MAX_DEPTH || !(n = list_steps(s)))
		return;
	i = choose(n + 1);
	if (!i--)
		return;
	w.depth++;
	do {
		run_step(&s[i]);
		n = list_steps(s);
		i = n ? choose(n + 1) : n;
	} while (i < n);
	w.depth--;
}

/* Until nothing can happen any more. */
static void rest(void)
{
	struct step s[MAX_STEPS];
	uint32_t n;

	while ((n = list_steps(s)))
		run_step(&s[choose(n)]);
}

/* ---- a run --------------------------------------------------------------------------------- */

static void released(void *ctx)
{
	(void)ctx;
}

static void make_controller(void)
{
	struct scsi_lun_config lc = { .dev = &w.dev, .serial = "scheduled" };
	struct storvsp_config cfg = { .max_subchannels = 1,
				      .queue_depth = WORLD_SEQS,
				      .max_transfer = 65536,
				      .released = released,
				      .name = "scsi0" };

	REQUIRE(!scsi_lun_create(&w.lun, &lc));
	REQUIRE(!scsi_target_create(&w.target));
	REQUIRE(!scsi_target_attach(w.target, 0, w.lun));
	REQUIRE(!storvsp_create(&w.ctl, w.bus, w.target, &cfg));
	w.ctl_owned = true;
}

static void make_bus(void)
{
	struct vmbus_server_config cfg = { .nr_io_loops = 2 };
	struct loop *io[2];

	REQUIRE(!fake_partition_create(&w.f, w.loop[0], 2, WORLD_MEMORY));
	for (uint32_t vp = 0; vp < 2; vp++)
		fake_guest_enable(w.f, vp);
	/* The bus begins with a loop that depends on the partition's number. */
	for (uint32_t i = 0; i < 2; i++)
		io[(hv_partition_id(fake_partition(w.f)) + i) % 2] = w.loop[1 + i];
	cfg.io_loops = io;
	REQUIRE(!vmbus_server_create(&w.bus, fake_partition(w.f), &cfg));
}

static void make_guest(void)
{
	w.data = fake_guest_alloc(w.f, 1);
	for (uint32_t i = 0; i < WORLD_SUBS; i++) {
		w.side[i].sub = i;
		for (uint32_t g = 0; g < WORLD_GENS; g++) {
			w.side[i].pad[g].id = 1 + i * WORLD_GENS + g;
			w.side[i].pad[g].gpa = fake_guest_alloc(w.f, RING_PAGES);
		}
	}
}

/* Does it as code of loop 0, and what follows from it. */
#define DO(what)                                                                                   \
	do {                                                                                       \
		struct loop *before__ = sched_enter(w.loop[0]);                                    \
		what;                                                                              \
		sched_leave(w.loop[0], before__);                                                  \
		rest();                                                                            \
	} while (0)

static void control(uint32_t op, uint16_t value)
{
	uint32_t before = w.controls;

	DO(send_op(&w.side[0], CONTROL_ID, op, value));
	REQUIRE(w.controls == before + 1);
}

static void make_gpadls(struct side *s)
{
	for (uint32_t g = 0; g < WORLD_GENS; g++)
		DO(say_gpadl(s, &s->pad[g]));
	REQUIRE(s->pad[0].created && s->pad[1].created);
}

/* Until the disk has nothing to tell any more, so that requests get as far as it. */
static void clear_attentions(struct side *s)
{
	static const uint8_t test_unit_ready[6];

	for (int i = 0; i < 3; i++)
		DO(send_srb(s, test_unit_ready, sizeof(test_unit_ready), 0, VSTOR_DATA_NONE));
}

/* As far as the scenario wants: connected (0), primary open (1), both open (2). */
static void bring_up(uint32_t opened)
{
	DO(say_contact());
	REQUIRE(w.all_offers == 1 && w.side[0].offered);
	make_gpadls(&w.side[0]);
	if (!opened)
		return;
	DO(say_open(&w.side[0]));
	control(VSTOR_OP_BEGIN_INITIALIZATION, 0);
	control(VSTOR_OP_QUERY_PROTOCOL_VERSION, VSTOR_V6_2);
	control(VSTOR_OP_QUERY_PROPERTIES, 0);
	control(VSTOR_OP_END_INITIALIZATION, 0);
	control(VSTOR_OP_CREATE_SUB_CHANNELS, 1);
	clear_attentions(&w.side[0]);
	REQUIRE(w.side[1].offered);
	make_gpadls(&w.side[1]);
	if (opened < 2)
		return;
	DO(say_open(&w.side[1]));
	REQUIRE(w.side[1].state == OPEN);
}

/* At rest nobody waits for anything. */
static void check_rest(void)
{
	REQUIRE(!w.nr_disk);
	for (uint32_t i = 0; i < WORLD_SUBS && !w.dead; i++) {
		const struct side *s = &w.side[i];

		REQUIRE(s->state != ASKED && !s->rescinded);
		for (uint32_t q = 0; q < s->sent[s->gen] && s->state == OPEN; q++)
			REQUIRE(!s->waits[s->gen][q]);
		for (uint32_t g = 0; g < WORLD_GENS; g++)
			REQUIRE(!s->pad[g].asked || s->pad[g].torn);
		REQUIRE(!s->modifying || s->state != OPEN);
	}
	REQUIRE(w.unloaded || !w.unloading || w.dead);
	REQUIRE(!w.contacting || w.dead);
	REQUIRE(w.ctl_owned || w.ctl_gone);
	REQUIRE(!w.lun_left || !w.lun);
}

static void take_down(void)
{
	if (!w.dead)
		DO(die());
	REQUIRE(w.bus_gone && w.ctl_gone && w.ended && !w.dev.queues && !w.nr_disk);
	for (uint32_t i = 0; i < WORLD_SUBS * WORLD_GENS; i++)
		pad_check(&w.side[i / WORLD_GENS].pad[i % WORLD_GENS]);
	if (w.lun)
		scsi_lun_destroy(w.lun);
	DO(fake_partition_destroy(w.f));
	for (uint32_t i = 0; i < ARRAY_SIZE(w.loop); i++)
		REQUIRE(!sched_leftover(w.loop[i]));
}

struct scenario {
	const char *name;
	uint32_t opened; /* see bring_up() */
	uint64_t events;
};

static void run_once(const struct scenario *sc, struct explore *e, enum order order)
{
	struct loop *loop[3] = { w.loop[0], w.loop[1], w.loop[2] };

	memset(&w, 0, sizeof(w));
	memcpy(w.loop, loop, sizeof(loop));
	w.name = sc->name;
	w.explore = e;
	w.end.fn = end_all;
	DO(make_bus());
	DO(make_controller());
	make_guest();
	bring_up(sc->opened);
	w.events = sc->events;
	w.timers = MAX_TIMERS;
	w.order = order;
	w.exploring = true;
	rest();
	w.exploring = false;
	check_rest();
	w.events = 0;
	take_down();
	total_runs++;
}

/* ---- scenarios ------------------------------------------------------------------------------- */

#define E(event) (1ull << (event))

static const struct scenario scenarios[] = {
	{ "open and death", 0, E(OPEN_0) | E(KILL) | E(LOOK) },
	{ "open and rescind", 0, E(OPEN_0) | E(RESCIND) | E(WRITE_0) },
	{ "open of a sub-channel, close of the primary", 1, E(OPEN_1) | E(CLOSE_0) | E(WRITE_1) },
	{ "open of a sub-channel and unload", 1, E(OPEN_1) | E(UNLOAD) | E(WRITE_0) },
	{ "close and open again", 2, E(WRITE_0) | E(CLOSE_0) | E(REOPEN_0) | E(LOOK) },
	{ "sub-channel closed and open again", 2,
	  E(WRITE_1) | E(CLOSE_1) | E(REOPEN_1) | E(CHANGED) },
	{ "close and rescind", 2, E(WRITE_0) | E(WRITE_1) | E(CLOSE_1) | E(RESCIND) },
	{ "close and death", 2, E(WRITE_0) | E(CLOSE_0) | E(KILL) | E(MODIFY_0) },
	{ "rescind and death", 2, E(WRITE_0) | E(CAW_1) | E(RESCIND) | E(KILL) },
	{ "reset and close", 2, E(WRITE_0) | E(WRITE_1) | E(RESET_0) | E(CLOSE_1) },
	{ "resets and death", 2, E(WRITE_0) | E(RESET_0) | E(RESET_1) | E(KILL) },
	{ "exclusive commands and close", 2, E(CAW_0) | E(CAW_1) | E(CLOSE_0) | E(RESET_1) },
	{ "exclusive commands and a write", 2, E(CAW_0) | E(CAW_1) | E(WRITE_1) },
	{ "exclusive commands and death", 2, E(CAW_0) | E(CAW_1) | E(WRITE_1) | E(KILL) },
	{ "removal and close", 2, E(WRITE_0) | E(CAW_1) | E(REMOVE) | E(CLOSE_1) },
	{ "removal and death", 2, E(WRITE_0) | E(WRITE_1) | E(REMOVE) | E(KILL) },
	{ "contact and interrupts that move", 2,
	  E(WRITE_0) | E(CONTACT) | E(MODIFY_0) | E(CHANGED) },
	{ "contact and rescind", 2, E(WRITE_1) | E(CONTACT) | E(RESCIND) | E(LOOK) },
	{ "unload and death", 2, E(WRITE_0) | E(CAW_1) | E(UNLOAD) | E(KILL) },
};

static uint32_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint32_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static uint32_t setting(const char *name, uint32_t usual)
{
	const char *text = getenv(name);

	return text ? (uint32_t)strtoul(text, NULL, 10) : usual;
}

static void explore(const struct scenario *sc)
{
	uint32_t bound = setting("SCHED_BOUND", BOUND), n = setting("SCHED_RANDOM", RANDOM_RUNS);
	static struct explore e;

	for (uint32_t order = 0; order < ORDERS; order++) {
		explore_begin(&e, bound);
		do
			run_once(sc, &e, (enum order)order);
		while (explore_next(&e));
	}
	for (uint32_t i = 0; i < n; i++) {
		explore_random(&e, i);
		run_once(sc, &e, (enum order)(i % ORDERS));
	}
}

static uint64_t counted_runs;

START_TEST(scenario)
{
	const struct scenario *sc = &scenarios[_i];
	static struct explore e;
	size_t bytes;
	uint32_t fds;

	run_once(sc, &e, DISK_FIRST); /* what stays allocated for good */
	fds = count_fds();
	bytes = allocated();
	explore(sc);
	ck_assert_uint_eq(allocated(), bytes);
	ck_assert_uint_eq(count_fds(), fds);
	printf("%s: %llu schedules\n", sc->name, (unsigned long long)(total_runs - counted_runs));
	counted_runs = total_runs;
}
END_TEST

int main(void)
{
	Suite *s = suite_create("vsp/storvsp_sched");
	TCase *tc = tcase_create("all");
	SRunner *r;
	int failed;

	log_set_level(LOG_ERROR);
	sched_interrupt = interrupt;
	for (uint32_t i = 0; i < ARRAY_SIZE(w.loop); i++)
		if (loop_create(&w.loop[i], NULL))
			return EXIT_FAILURE;
	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, scenario, 0, ARRAY_SIZE(scenarios));
	suite_add_tcase(s, tc);
	r = srunner_create(s);
	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	printf("%llu schedules, %llu steps\n", (unsigned long long)total_runs,
	       (unsigned long long)total_steps);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
