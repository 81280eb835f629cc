/* SPDX-License-Identifier: MIT */
/*
 * Requests about a guest as a whole: to end, or to restart. It is asked by the shutdown service,
 * agrees or refuses, and then has the rest of the time to be gone, or to be there again.
 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "vmwp/control.h"
#include "vmwp/root_priv.h"

#define SHUTDOWN_WAIT_MS 60000

static const struct {
	const char *name;
	enum ic_shutdown_kind kind;
	bool ends; /* the partition, when the guest has done it */
} kinds[] = {
	{ "off", IC_POWER_OFF, true },
	{ "reboot", IC_REBOOT, false },
	{ "hibernate", IC_HIBERNATE, true },
};

enum { KIND_REBOOT = 1 };

static json_t *guest_json(const struct guest *g, const char *how)
{
	json_t *o = json_object();

	json_object_set_new(o, "guest", json_string(hv_partition_name(g->partition)));
	json_object_set_new(o, "id", json_integer(hv_partition_id(g->partition)));
	json_object_set_new(o, "result", json_string(how));
	return o;
}

static const char *force_does(const struct guest *g)
{
	return g->restarts ? "--force resets it without asking" : "--force ends it without asking";
}

/* "status": what the guest said, if it did. */
static json_t *refusal(const struct guest *g, int err, uint32_t status)
{
	json_t *o = control_error(err, "guest %s %s%s%s", hv_partition_name(g->partition),
				  ic_shutdown_explain(err, status), err == -ETIMEDOUT ? "; " : "",
				  err == -ETIMEDOUT ? force_does(g) : "");

	if (status)
		json_object_set_new(o, "status", json_integer(status));
	return o;
}

/* ---- who waits --------------------------------------------------------------------------- */

static void waiter_gone(struct conn *c, void *guest)
{
	(void)c;
	((struct guest *)guest)->waiter = NULL;
}

static void answer(struct guest *g, json_t *o)
{
	struct conn *c = g->waiter;

	g->waiter = NULL;
	conn_answer(c, o);
}

static void waited_enough(struct conn *c, void *guest)
{
	struct guest *g = guest;

	(void)c;
	if (!g->agreed) {
		answer(g, refusal(g, -ETIMEDOUT, 0));
		return;
	}
	answer(g,
	       control_error(-ETIMEDOUT, "guest %s agreed, but %s; wait for it, or %s",
			     hv_partition_name(g->partition),
			     g->restarts ? "has not restarted" : "is still there", force_does(g)));
}

void control_guest_gone(struct guest *g)
{
	if (!g->waiter)
		return;
	if (g->restarts)
		answer(g, control_error(-ECANCELED, "guest %s ended instead",
					hv_partition_name(g->partition)));
	else
		answer(g, guest_json(g, "ended"));
}

void control_guest_restarted(struct guest *g)
{
	if (g->waiter && g->restarts)
		answer(g, guest_json(g, "restarted"));
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Of a guest that is to end. Its going away may overtake its answer. */
static void on_answer(void *ctx, int err, uint32_t status)
{
	struct guest *g = ctx;

	if (!g->waiter || g->ending)
		return;
	g->agreed = !err || err == -ECONNRESET;
	if (!g->agreed)
		answer(g, refusal(g, err, status));
}

/* Of one that has only to agree. */
static void on_answer_alone(void *ctx, int err, uint32_t status)
{
	struct guest *g = ctx;

	if (g->waiter && !g->ending)
		answer(g, err ? refusal(g, err, status) : guest_json(g, "agreed"));
}

static json_t *ask(struct control_call *c, struct guest *g, uint32_t kind, uint64_t wait_ms)
{
	static const struct conn_wait w = { waiter_gone, waited_enough };
	/* The waiter's patience is the shorter one. */
	struct ic_shutdown_request r = { .kind = kinds[kind].kind,
					 .timeout_s = (uint32_t)(wait_ms / 1000),
					 .answer_ms = (uint32_t)wait_ms + 1000 };
	struct ic_shutdown *s = g->ic ? ic_services_shutdown(g->ic) : NULL;
	int err;

	if (!s)
		return control_error(-EOPNOTSUPP,
				     "guest %s was not offered the shutdown service "
				     "(--integration); %s",
				     hv_partition_name(g->partition), force_does(g));
	g->agreed = false;
	err = ic_shutdown_request(s, &r,
				  kinds[kind].ends || g->restarts ? on_answer : on_answer_alone, g);
	if (err)
		return refusal(g, err, 0);
	g->waiter = c->conn;
	conn_wait(c->conn, &w, g, wait_ms * 1000000);
	log_info("partition %u (%s) is asked to shut down (%s)", hv_partition_id(g->partition),
		 hv_partition_name(g->partition), kinds[kind].name);
	return NULL;
}

static json_t *cut(struct control_call *c, struct guest *g, uint64_t wait_ms)
{
	static const struct conn_wait w = { waiter_gone, waited_enough };

	if (!g->waiter) {
		g->waiter = c->conn;
		g->agreed = true;
		g->restarts = false;
		conn_wait(c->conn, &w, g, wait_ms * 1000000);
		guest_cut(g);
		return NULL;
	}
	guest_cut(g); /* who asked before is told when it is gone */
	return guest_json(g, "cut off");
}

static json_t *push_reset(struct control_call *c, struct guest *g, uint64_t wait_ms)
{
	static const struct conn_wait w = { waiter_gone, waited_enough };
	bool first = !g->waiter;

	if (first) {
		g->waiter = c->conn;
		g->agreed = g->restarts = true;
		conn_wait(c->conn, &w, g, wait_ms * 1000000);
	}
	log_info("partition %u (%s) is reset", hv_partition_id(g->partition),
		 hv_partition_name(g->partition));
	machine_reset(g->machine);
	return first ? NULL : guest_json(g, "reset"); /* who asked before sees what it becomes */
}

static json_t *busy(const struct guest *g)
{
	return control_error(-EBUSY, "guest %s: somebody waits for it to %s already",
			     hv_partition_name(g->partition),
			     g->restarts ? "restart" : "shut down");
}

json_t *control_guest_reboot(struct control_call *c)
{
	json_t *answer = NULL;
	uint64_t wait_ms;
	char why[256];
	struct guest *g = guest_find(c->root, control_string(c, "guest"), why, sizeof(why));

	if (!g)
		return control_error(-ENOENT, "%s", why);
	if (!g->machine)
		return control_error(-EOPNOTSUPP,
				     "guest %s is a process, which does not restart by itself; "
				     "`hvbus shutdown` ends it",
				     hv_partition_name(g->partition));
	if (!control_number(c, "wait_ms", CONTROL_WAIT_MAX_MS, SHUTDOWN_WAIT_MS, &wait_ms, &answer))
		return answer;
	if (json_is_true(json_object_get(c->in, "cut")))
		return push_reset(c, g, wait_ms);
	if (g->waiter)
		return busy(g);
	g->restarts = true;
	return ask(c, g, KIND_REBOOT, wait_ms);
}

json_t *control_guest_shutdown(struct control_call *c)
{
	const char *name = control_string(c, "kind");
	json_t *answer = NULL;
	char why[256];
	uint64_t wait_ms;
	uint32_t kind = 0;
	struct guest *g = guest_find(c->root, control_string(c, "guest"), why, sizeof(why));

	if (!g)
		return control_error(-ENOENT, "%s", why);
	while (name && kind < ARRAY_SIZE(kinds) && strcmp(name, kinds[kind].name))
		kind++;
	if (kind == ARRAY_SIZE(kinds))
		return control_error(-EINVAL, "\"kind\" must be off, reboot or hibernate");
	if (!control_number(c, "wait_ms", CONTROL_WAIT_MAX_MS, SHUTDOWN_WAIT_MS, &wait_ms, &answer))
		return answer;
	if (json_is_true(json_object_get(c->in, "cut")))
		return cut(c, g, wait_ms);
	if (g->waiter)
		return busy(g);
	g->restarts = false;
	return ask(c, g, kind, wait_ms);
}
