/* SPDX-License-Identifier: MIT */
/*
 * One VM's life.
 *
 *   created --start--> running --ended--> off --(reset)--> bus reset --> running
 *                                          |
 *                                          +--(everything else)--> guest_end(), destroyed
 *
 * A reset is an unload that the guest did not say: its channels are closed, its GPADLs and
 * messages forgotten, before its memory gets a kernel again. Devices and switch ports stay.
 */
#include "vmwp/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmwp/panic_line.h"
#include "vmwp/root_priv.h"

/*
 * After a panic the rest of the text, the unload and the guest's own reset may follow, or a second
 * kernel that saves what the first one knew. It is over when nothing is heard for so long.
 */
#define PANIC_NS     10000000000ull
/* A kernel that does not get far would otherwise be started again and again for ever. */
#define QUICK_NS     1000000000ull
#define QUICK_RESETS 5u

struct machine {
	struct root *root;
	const struct machine_config *cfg;
	struct guest *guest;
	struct hv_kvm *kvm;
	struct console *console;
	struct loop_timer panic_timer;
	bool started, stopping, panicked;
	bool resetting; /* by its button */
	struct panic_line died_of;
	uint32_t panics, quick_resets;
	uint64_t exits_seen; /* of all VPs, when the panic's timer was armed */
	uint64_t start_ns;
};

/* ---- held ---------------------------------------------------------------------------- */

/* A guest that we do not let run is not one that hangs. */
void machine_pause(struct machine *m, bool pause)
{
	struct ic_heartbeat *h = m->guest->ic ? ic_services_heartbeat(m->guest->ic) : NULL;

	if (pause)
		hv_kvm_pause(m->kvm);
	else
		hv_kvm_resume(m->kvm);
	if (h)
		ic_heartbeat_pause(h, pause);
}

/* ---- the end ------------------------------------------------------------------------ */

/* Worse news stay. */
static void note_result(struct machine *m, enum machine_result result)
{
	if (result > m->root->result)
		m->root->result = result;
}

static void finish(struct machine *m, enum machine_result result)
{
	note_result(m, result);
	loop_timer_cancel(m->root->loop, &m->panic_timer);
	guest_end(m->guest);
}

static void failed(struct machine *m, const char *why)
{
	log_error("%s: %s", m->cfg->name, why);
	root_note_fault(m->root, hv_partition_id(hv_kvm_partition(m->kvm)), m->cfg->name, why);
	finish(m, MACHINE_FAILED);
}

/* ---- reset ----------------------------------------------------------------------------- */

static int start(struct machine *m, char *why, size_t n)
{
	m->start_ns = clock_ns();
	m->died_of = (struct panic_line){ 0 };
	return hv_kvm_start(m->kvm, why, n);
}

static void bus_is_reset(void *ctx)
{
	struct machine *m = ctx;
	char why[256];

	if (m->stopping)
		finish(m, MACHINE_STOPPED);
	else if (start(m, why, sizeof(why)))
		failed(m, why);
	else
		control_guest_restarted(m->guest);
}

/* Has it reset itself a second after its start, time after time? */
static bool gets_nowhere(struct machine *m)
{
	if (clock_ns() - m->start_ns > QUICK_NS)
		m->quick_resets = 0;
	return ++m->quick_resets > QUICK_RESETS;
}

static void reset(struct machine *m)
{
	m->panicked = m->resetting = false;
	loop_timer_cancel(m->root->loop, &m->panic_timer);
	vmbus_server_reset(m->guest->bus, bus_is_reset, m);
}

/* ---- what the VM tells ------------------------------------------------------------------- */

static void ended(void *ctx, enum hv_kvm_end how, const char *why)
{
	struct machine *m = ctx;
	bool dead = m->panicked && m->cfg->on_panic == MACHINE_EXIT;

	log_ratelimited(LOG_INFO, "%s: %s", m->cfg->name, m->resetting ? "reset" : why);
	if (how == HV_KVM_FAILED)
		failed(m, why);
	else if (how == HV_KVM_POWEROFF)
		finish(m, dead ? MACHINE_PANIC : MACHINE_POWEROFF);
	else if (m->stopping)
		finish(m, dead ? MACHINE_PANIC : MACHINE_STOPPED);
	else if (dead)
		finish(m, MACHINE_PANIC);
	else if (!m->resetting && gets_nowhere(m))
		failed(m, "it resets itself at once, time after time");
	else
		reset(m); /* by itself, or because it had panicked for long enough */
}

static void add_up(void *ctx, const char *reason, uint64_t n)
{
	(void)reason;
	*(uint64_t *)ctx += n;
}

/* What a kernel that only waits for its end does not make. */
static uint64_t all_exits(const struct machine *m)
{
	uint64_t sum = 0;

	for (uint32_t vp = 0; vp < m->cfg->nr_vps; vp++)
		hv_kvm_exits(m->kvm, vp, add_up, &sum);
	return sum;
}

static void await_panics_end(struct machine *m)
{
	m->exits_seen = all_exits(m);
	loop_timer_arm(m->root->loop, &m->panic_timer, PANIC_NS);
}

/* A kernel in panic leaves the bus, so this is the next one. Its I/O makes no exits. */
static bool joined_again(const struct machine *m)
{
	struct vmbus_server_stats st;

	vmbus_server_stats(m->guest->bus, &st);
	return !strcmp(st.state, "connected");
}

static void panic_is_over(struct loop_timer *t)
{
	struct machine *m = container_of(t, struct machine, panic_timer);

	if (joined_again(m) || all_exits(m) != m->exits_seen) {
		await_panics_end(m);
		return;
	}
	hv_kvm_stop(m->kvm); /* ended() knows what for */
}

static void crashed(void *ctx, const struct hv_kvm_crash *c)
{
	struct machine *m = ctx;
	const char *why = panic_line_text(&m->died_of);
	char text[96 + PANIC_LINE_MAX];

	m->panics++;
	if (m->panicked)
		return; /* a guest may say so again and again, and gains nothing by it */
	snprintf(text, sizeof(text), "guest panic on VP %u: RIP %#" PRIx64 " RSP %#" PRIx64 "%s%s",
		 c->vp, c->param[2], c->param[4], *why ? ": " : "", why);
	log_ratelimited(LOG_ERROR, "%s: %s", m->cfg->name, text);
	log_ratelimited(LOG_ERROR, "%s: RAX %#" PRIx64 " error %#" PRIx64 " OS id %#" PRIx64,
			m->cfg->name, c->param[3], c->param[0], c->param[1]);
	root_note_fault(m->root, hv_partition_id(hv_kvm_partition(m->kvm)), m->cfg->name, text);
	if (m->cfg->on_panic == MACHINE_PAUSE) {
		machine_pause(m, true);
		log_info("%s: paused as it was", m->cfg->name);
		return;
	}
	m->panicked = true;
	await_panics_end(m);
}

static uint32_t said(void *ctx, const void *data, uint32_t len)
{
	struct machine *m = ctx;
	uint32_t taken = console_write(m->console, data, len);

	panic_line_see(&m->died_of, data, taken);
	return taken;
}

static void hungry(void *ctx)
{
	console_hungry(((struct machine *)ctx)->console);
}

static const struct hv_kvm_ops kvm_ops = { ended, crashed, said, hungry };

/* ---- what the console tells ------------------------------------------------------------------ */

static uint32_t typed(void *ctx, const void *data, uint32_t len)
{
	const struct machine *m = ctx;

	return m->kvm ? hv_kvm_console_input(m->kvm, data, len) : len;
}

static void room(void *ctx)
{
	const struct machine *m = ctx;

	if (m->kvm)
		hv_kvm_console_room(m->kvm);
}

static void escape(void *ctx)
{
	root_stop(((struct machine *)ctx)->root);
}

static const struct console_ops console_ops = { typed, room, escape };

/* ---- life
 * ---------------------------------------------------------------------------------------- */

int machine_create(struct machine **out, struct root *r, const struct machine_config *cfg,
		   char *why, size_t n)
{
	struct hv_kvm_config kc = { .name = cfg->name,
				    .memory = cfg->memory,
				    .nr_vps = cfg->nr_vps,
				    .kernel = cfg->kernel,
				    .initrd = cfg->initrd,
				    .cmdline = cfg->cmdline };
	struct machine *m = calloc(1, sizeof(*m));
	int err;

	if (!m) {
		snprintf(why, n, "out of memory");
		return -ENOMEM;
	}
	m->root = r;
	m->cfg = cfg;
	m->panic_timer.fire = panic_is_over;
	err = hv_kvm_create(&m->kvm, r->loop, &kc, &kvm_ops, m, why, n);
	if (!err)
		err = console_open(&m->console, r->loop, cfg->console, &console_ops, m, why, n);
	if (!err) {
		m->guest = guest_new(r);
		if (!m->guest) {
			snprintf(why, n, "out of memory");
			err = -ENOMEM;
		}
	}
	if (err) {
		console_close(m->console);
		hv_kvm_destroy(m->kvm);
		free(m);
		return err;
	}
	m->guest->machine = m;
	m->guest->partition = hv_kvm_partition(m->kvm);
	*out = m;
	return 0;
}

int machine_start(struct machine *m, char *why, size_t n)
{
	struct guest *g = m->guest;
	int err = guest_wire(g, hv_kvm_partition(m->kvm), m->cfg->nics);

	if (err) {
		snprintf(why, n, "%s", *g->refusal ? g->refusal : strerror(-err));
		return err;
	}
	m->root->nr_served++;
	err = start(m, why, n);
	m->started = !err;
	return err;
}

void machine_stop(struct machine *m)
{
	struct hv_kvm_stats st;

	m->stopping = true;
	hv_kvm_stats(m->kvm, &st);
	if (st.state != HV_KVM_OFF)
		hv_kvm_stop(m->kvm);
	else if (!m->started)
		guest_end(m->guest);
	/* Else a reset is on its way, which looks at .stopping; or the end. */
}

void machine_reset(struct machine *m)
{
	struct hv_kvm_stats st;

	hv_kvm_stats(m->kvm, &st);
	if (st.state == HV_KVM_OFF)
		return; /* a reset is on its way; or the end, which nothing stops */
	m->panicked = false;
	m->resetting = true;
	hv_kvm_stop(m->kvm);
	machine_pause(m, false); /* not a step of the old guest: it is told to leave */
}

static void print_exits(void *ctx, const char *reason, uint64_t n)
{
	log_info("VP %u: %" PRIu64 " exits: %s", *(const uint32_t *)ctx, n, reason);
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	for (uint32_t vp = 0; m->root->result == MACHINE_STOPPED && vp < m->cfg->nr_vps; vp++)
		hv_kvm_exits(m->kvm, vp, print_exits, &vp);
	m->root->machine = NULL;
	loop_stop(m->root->loop);
	hv_kvm_destroy(m->kvm);
	console_close(m->console);
	free(m);
}

/* ---- inspection
 * -------------------------------------------------------------------------------------- */

static void add_exit(void *ctx, const char *reason, uint64_t n)
{
	json_object_set_new(ctx, reason, json_integer((json_int_t)n));
}

static json_t *vps_json(const struct machine *m)
{
	json_t *a = json_array();

	for (uint32_t vp = 0; vp < m->cfg->nr_vps; vp++) {
		json_t *o = json_object(), *exits = json_object();

		hv_kvm_exits(m->kvm, vp, add_exit, exits);
		json_object_set_new(o, "vp", json_integer(vp));
		json_object_set_new(o, "exits", exits);
		json_array_append_new(a, o);
	}
	return a;
}

json_t *machine_json(const struct machine *m)
{
	json_t *o = json_object();
	struct hv_kvm_stats st;

	hv_kvm_stats(m->kvm, &st);
	json_object_set_new(o, "state", json_string(hv_kvm_state_name(st.state)));
	json_object_set_new(o, "starts", json_integer(st.starts));
	json_object_set_new(o, "panics", json_integer(m->panics));
	json_object_set_new(o, "console_bytes", json_integer((json_int_t)st.console_bytes));
	json_object_set_new(o, "console_lost", json_integer((json_int_t)st.console_lost));
	json_object_set_new(o, "unknown_ports", json_integer((json_int_t)st.unknown_ports));
	json_object_set_new(o, "vps", vps_json(m));
	return o;
}
