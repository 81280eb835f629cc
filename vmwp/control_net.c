/* SPDX-License-Identifier: MIT */
/*
 * Requests about ports of switches: cable, limits, rules, captures; NICs that come and go; switches
 * of other roots that join.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmwp/cable.h"
#include "vmwp/control.h"
#include "vmwp/root_priv.h"

#define MIN_SPEED 100 /* bits per second: what adapters count in */

/* The port that "port": "SWITCH/PORT" names. NULL: *@answer says why not. */
static struct vsw_port *find_port(const struct control_call *c, struct netsw **sw, json_t **answer)
{
	char name[VSW_NAME], port[VSW_NAME], why[512] = "";
	const char *text = control_string(c, "port");
	struct vsw_port *p = NULL;
	int err = root_parse_port(text, name, port, why, sizeof(why));

	if (!err) {
		*sw = switch_find(c->root, name, why, sizeof(why));
		p = *sw ? switch_port(*sw, port, why, sizeof(why)) : NULL;
		err = p ? 0 : -ENOENT;
	}
	if (err)
		*answer = control_error(err, "%s", why);
	return p;
}

static json_t *port_json(struct netsw *sw, const struct vsw_port *p)
{
	json_t *o = json_object();

	json_object_set_new(o, "port", inspect_port(sw, p));
	return o;
}

json_t *control_net_list(struct control_call *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "switches", inspect_switches(c->root));
	return o;
}

/* What only an adapter can tell, and its guest alone is told. */
static json_t *tell_guest(struct control_call *c, struct netsw *sw, const struct vsw_port *p,
			  struct netvsp *vsp)
{
	bool changed = json_is_true(json_object_get(c->in, "changed"));
	bool faster = json_object_get(c->in, "speed");
	json_t *answer = NULL;
	uint64_t speed;

	if (!control_number(c, "speed", INT64_MAX, 0, &speed, &answer))
		return answer;
	if (faster && speed < MIN_SPEED)
		return control_error(-EINVAL, "speed: 100 bits per second are the least");
	if (!vsp && (changed || faster))
		return control_error(-EOPNOTSUPP, "%s/%s: is no guest's: only a link can be set",
				     sw->cfg.name, vsw_port_name(p));
	if (faster)
		netvsp_set_speed(vsp, speed);
	if (changed)
		netvsp_network_change(vsp);
	return NULL;
}

/* A guest is told by its adapter; who is behind another port sees it, or does not. */
json_t *control_net_link(struct control_call *c)
{
	const json_t *up = json_object_get(c->in, "up");
	json_t *answer = NULL;
	struct netsw *sw;
	struct vsw_port *p = find_port(c, &sw, &answer);
	struct netvsp *vsp = NULL;
	struct guest *g;
	uint32_t index;

	if (!p)
		return answer;
	g = nic_owner(c->root, p, &index);
	if (g && g->nic[index].guest)
		return control_error(-EALREADY, "%s/%s: is being removed", sw->cfg.name,
				     vsw_port_name(p));
	if (g)
		vsp = g->nic[index].vsp;
	answer = tell_guest(c, sw, p, vsp);
	if (answer)
		return answer;
	if (up && vsp)
		netvsp_set_link(vsp, json_is_true(up));
	else if (up)
		vsw_port_set_link(p, json_is_true(up));
	log_info("port %s/%s: link %s", sw->cfg.name, vsw_port_name(p),
		 !up		    ? "unchanged"
		 : json_is_true(up) ? "up"
				    : "down");
	return port_json(sw, p);
}

static json_t *change_policy(struct netsw *sw, struct vsw_port *p, const struct vsw_policy *policy)
{
	char why[256] = "";
	int err = vsw_port_set_policy(p, policy, why, sizeof(why));

	if (err)
		return control_error(err, "%s/%s: %s", sw->cfg.name, vsw_port_name(p),
				     *why ? why : strerror(-err));
	log_info("port %s/%s: its rules are changed", sw->cfg.name, vsw_port_name(p));
	return port_json(sw, p);
}

/* What is not given stays as it is. */
json_t *control_net_limit(struct control_call *c)
{
	json_t *answer = NULL;
	struct netsw *sw;
	struct vsw_port *p = find_port(c, &sw, &answer);
	struct vsw_policy policy;
	uint64_t burst;

	if (!p)
		return answer;
	policy = *vsw_port_policy(p);
	if (!control_number(c, "bps", INT64_MAX, policy.bps, &policy.bps, &answer) ||
	    !control_number(c, "burst", UINT32_MAX, policy.burst, &burst, &answer))
		return answer;
	policy.burst = policy.bps || json_object_get(c->in, "burst") ? (uint32_t)burst : 0;
	return change_policy(sw, p, &policy);
}

json_t *control_net_policy(struct control_call *c)
{
	const char *text = control_string(c, "policy");
	json_t *answer = NULL;
	struct netsw *sw;
	struct vsw_port *p = find_port(c, &sw, &answer);
	struct vsw_policy policy;
	char *copy, why[256] = "";
	int err;

	if (!p)
		return answer;
	copy = strdup(text);
	if (!copy)
		return NULL;
	policy = *vsw_port_policy(p);
	err = root_parse_policy(&policy, copy, why, sizeof(why));
	free(copy);
	if (err)
		return control_error(err, "%s", why);
	return change_policy(sw, p, &policy);
}

/* ---- mirrors ------------------------------------------------------------------------- */

static bool writable(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH);
}

static json_t *start_mirror(struct control_call *c, struct netsw *sw, struct vsw_port *p,
			    const char *file)
{
	char why[512] = "";
	int err;

	if (c->fd[0] < 0 || !writable(c->fd[0]))
		return control_error(-EBADF,
				     "%.64s: came without a descriptor that can be written; use "
				     "`hvbus net mirror`",
				     file);
	err = mirror_add(sw, p, c->fd[0], file, why, sizeof(why));
	if (err)
		return control_error(err, "%s", why);
	c->fd[0] = -1;
	return NULL;
}

/* Without "file": no more. */
json_t *control_net_mirror(struct control_call *c)
{
	const char *file = control_string(c, "file");
	json_t *answer = NULL;
	struct netsw *sw;
	struct vsw_port *p = find_port(c, &sw, &answer);

	if (!p)
		return answer;
	if (!file && mirror_remove(p, c->root))
		return control_error(-ENOENT, "%s/%s: is not mirrored", sw->cfg.name,
				     vsw_port_name(p));
	if (file)
		answer = start_mirror(c, sw, p, file);
	if (answer)
		return answer;
	log_info("port %s/%s: mirror %s", sw->cfg.name, vsw_port_name(p), file ? file : "off");
	return port_json(sw, p);
}

/* ---- NICs that come and go -------------------------------------------------------------- */

/* Not said which: a machine before the processes beside it. */
static struct guest *whose(const struct control_call *c, char *why, size_t n)
{
	const struct machine_config *machine = c->root->cfg.machine;
	const char *name = control_string(c, "guest");

	return guest_find(c->root, name || !machine ? name : machine->name, why, n);
}

json_t *control_nic_add(struct control_call *c)
{
	const char *nic = control_string(c, "nic");
	char wish[HV_PROC_WISHES], why[256] = "";
	struct guest *g = whose(c, why, sizeof(why));
	struct nic *added;
	int err;

	if (!g)
		return control_error(-ENOENT, "%s", why);
	if ((size_t)snprintf(wish, sizeof(wish), "nic %s", nic) >= sizeof(wish) ||
	    strchr(nic, '\n'))
		return control_error(-EINVAL, "\"nic\" must be one line of at most %zu characters",
				     sizeof(wish) - sizeof("nic "));
	err = nics_add(g, wish, why, sizeof(why));
	if (err)
		return control_error(err, "%s", *why ? why : strerror(-err));
	added = &g->nic[g->last_nic];
	log_info("partition %u (%s): NIC %u is added", hv_partition_id(g->partition),
		 hv_partition_name(g->partition), g->last_nic);
	return port_json(added->sw, netvsp_port(added->vsp));
}

void control_nic_removed(struct conn *c, struct nic *nic)
{
	json_t *o = json_object();

	nic->waiter = NULL;
	json_object_set_new(o, "removed", json_true());
	json_object_set_new(o, "busy", json_boolean(nic->busy));
	conn_answer(c, o);
}

/* The removal does not mind. */
static void waiter_gone(struct conn *c, void *nic)
{
	(void)c;
	((struct nic *)nic)->waiter = NULL;
}

static void waited_enough(struct conn *c, void *what)
{
	struct nic *nic = what;

	nic->waiter = NULL;
	conn_answer(c, control_error(-EINPROGRESS,
				     "the NIC's cable is out, but partition %u (%s) has not let go "
				     "of it yet. The removal goes on; its place among the guest's "
				     "NICs is free when it is over%s",
				     hv_partition_id(nic->guest->partition),
				     hv_partition_name(nic->guest->partition),
				     nic->busy ? ". It was taken away in the middle of its use: a "
						 "guest that still waits for it has to be restarted"
					       : ""));
}

json_t *control_nic_remove(struct control_call *c)
{
	static const struct conn_wait w = { waiter_gone, waited_enough };
	json_t *answer = NULL;
	struct netsw *sw;
	struct vsw_port *p = find_port(c, &sw, &answer);
	struct guest *g;
	uint64_t wait_ms;
	uint32_t index;

	if (!p ||
	    !control_number(c, "wait_ms", CONTROL_WAIT_MAX_MS, CONTROL_WAIT_MS, &wait_ms, &answer))
		return answer;
	g = nic_owner(c->root, p, &index);
	if (!g)
		return control_error(-EINVAL, "%s/%s: is no guest's NIC", sw->cfg.name,
				     vsw_port_name(p));
	if (g->nic[index].guest)
		return control_error(-EALREADY, "%s/%s: is being removed already", sw->cfg.name,
				     vsw_port_name(p));
	log_info("partition %u (%s): NIC %u is removed", hv_partition_id(g->partition),
		 hv_partition_name(g->partition), index);
	g->nic[index].waiter = c->conn;
	conn_wait(c->conn, &w, &g->nic[index], wait_ms * 1000000);
	nic_remove(g, index);
	return NULL;
}

/* ---- switches of other roots --------------------------------------------------------------- */

json_t *control_switch_join(struct control_call *c)
{
	char name[VSW_NAME], port[VSW_NAME], both[2 * VSW_NAME + 2], why[512] = "";
	struct netsw *sw;
	json_t *o;
	int err;

	snprintf(both, sizeof(both), "%s/%s", control_string(c, "switch"),
		 control_string(c, "port"));
	err = root_parse_port(both, name, port, why, sizeof(why));
	if (err)
		return control_error(err, "%s", why);
	sw = switch_find(c->root, name, why, sizeof(why));
	if (!sw)
		return control_error(-ENOENT, "%s", why);
	if (c->fd[0] < 0)
		return control_error(-EBADF, "a socket must come with it, such as that of `hvbus "
					     "run --switch type=joined`");
	err = cable_join(sw, port, c->fd[0], why, sizeof(why));
	c->fd[0] = -1;
	if (err)
		return control_error(err, "%s", *why ? why : strerror(-err));
	log_info("port %s/%s: the switch of another root", sw->cfg.name, port);
	o = json_object();
	json_object_set_new(o, "mtu", json_integer(sw->cfg.mtu ? sw->cfg.mtu : ROOT_NIC_MTU));
	return o;
}
