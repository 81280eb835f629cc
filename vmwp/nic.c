/* SPDX-License-Identifier: MIT */
/*
 * NICs of a guest: what it wishes for, as far as the switch lets it, becomes adapters on its bus
 * and ports of switches.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmwp/root_priv.h"

/*
 * How long a NIC that is to go has been quiet, and how long that is waited for. Linux sees a pulled
 * cable at once, unless another change was shortly before, or somebody has the lock of all
 * interfaces: then it looks again after two seconds, as often as that is so. A driver that has not
 * begun yet may be about to: what was added is looked at as long.
 */
#define LOOK_NS	   100000000ull
#define LOOKS	   25u
#define MOST_LOOKS 600u

static const struct vsw_port *port_of_mac(const struct netsw *sw, const uint8_t mac[NET_MAC_LEN])
{
	const struct vsw_port *p = NULL;

	while ((p = vsw_port_next(sw->vsw, p)))
		if (!memcmp(vsw_port_mac(p), mac, NET_MAC_LEN))
			return p;
	return NULL;
}

/*
 * libslirp has several addresses, and only the host's is the port's own: a guest with the name
 * server's would be it, for all others on the switch.
 */
static bool is_of_nat(const struct netsw *sw, const uint8_t mac[NET_MAC_LEN])
{
	return sw->cfg.type == VSW_NAT && mac[0] == 0x52 && (mac[1] == 0x55 || mac[1] == 0x56);
}

/* What the guest wished for, unless somebody has it. */
static int wished_mac(const struct netsw *sw, const uint8_t mac[NET_MAC_LEN], char *why, size_t n)
{
	const struct vsw_port *other = port_of_mac(sw, mac);
	char text[NET_MAC_TEXT];

	net_mac_format(mac, text);
	if (other)
		snprintf(why, n, "mac=%s: port %s/%s has this address", text, sw->cfg.name,
			 vsw_port_name(other));
	else if (is_of_nat(sw, mac))
		snprintf(why, n, "mac=%s: 52:55:* and 52:56:* are the NAT's; choose another", text);
	else
		return 0;
	return -EADDRINUSE;
}

/*
 * The same for the same partition each time; a second partition of its name at the same time is
 * somebody else.
 */
static int choose_mac(const struct netsw *sw, const struct root_nic *nic, const struct guest *g,
		      uint32_t index, uint8_t mac[NET_MAC_LEN], char *why, size_t n)
{
	uint32_t attempt = 0;

	if (nic->has_mac) {
		memcpy(mac, nic->mac, NET_MAC_LEN);
		return wished_mac(sw, mac, why, n);
	}
	do {
		root_nic_mac(g->root->identity, hv_partition_name(g->partition), index, attempt++,
			     mac);
	} while (port_of_mac(sw, mac));
	return 0;
}

static int check_room(const struct netsw *sw, char *why, size_t n)
{
	if (sw->guests < sw->cfg.max_guests)
		return 0;
	snprintf(why, n, "switch=%s: it has as many guests as it may: %u (guests= of --switch)",
		 sw->cfg.name, sw->cfg.max_guests);
	return -ENOSPC;
}

/* Everything the root and the switch have a say in. */
static int configure(struct guest *g, struct netsw *sw, const struct root_nic *nic, uint32_t index,
		     struct netvsp_config *cfg, char *why, size_t n)
{
	const char *partition = hv_partition_name(g->partition);
	char key[80];
	int err = check_room(sw, why, n);

	if (!err)
		err = root_nic_allowed(&sw->cfg, nic, why, n);
	if (!err)
		err = root_nic_policy(&sw->cfg, nic, &cfg->policy, why, n);
	if (!err)
		err = root_nic_mtu(&sw->cfg, nic, &cfg->max_mtu, why, n);
	if (!err)
		err = choose_mac(sw, nic, g, index, cfg->mac, why, n);
	snprintf(key, sizeof(key), "hvbus-nic %u %s", index, partition);
	guid_from_name(&cfg->instance, key, (uint32_t)strlen(key));
	cfg->max_queues = nic->queues;
	cfg->port_name = *nic->name ? nic->name : NULL;
	return err;
}

/* ROOT_MAX_NICS: there is none. One that is still going has its place. */
static uint32_t free_place(const struct guest *g)
{
	uint32_t i = 0;

	while (i < ROOT_MAX_NICS && (g->nic[i].vsp || g->nic[i].guest))
		i++;
	return i;
}

static int add_nic(struct guest *g, char *line, char *why, size_t n)
{
	uint32_t index = free_place(g);
	struct netvsp_config cfg = { 0 };
	struct root_nic nic;
	struct netsw *sw;
	char name[16];
	int err = root_parse_wish(&nic, line, why, n);

	if (err)
		return err;
	if (index == ROOT_MAX_NICS) {
		snprintf(why, n, "%u NICs are the limit of a partition", ROOT_MAX_NICS);
		return -ENOSPC;
	}
	sw = switch_find(g->root, nic.switch_name, why, n);
	if (!sw)
		return -ENOENT;
	snprintf(name, sizeof(name), "nic%u", index);
	cfg.name = name;
	cfg.loop = g->root->loop;
	err = configure(g, sw, &nic, index, &cfg, why, n);
	if (err)
		return err;
	err = netvsp_create(&g->nic[index].vsp, g->bus, sw->vsw, &cfg, why, n);
	if (err)
		return err;
	g->nic[index].sw = sw;
	if (index == g->nr_nics)
		g->nr_nics++;
	g->last_nic = index;
	sw->guests++;
	switch_port_came(sw, netvsp_port(g->nic[index].vsp));
	return 0;
}

int nics_add(struct guest *g, const char *wishes, char *why, size_t n)
{
	char *copy = wishes ? strdup(wishes) : NULL, *save = NULL;
	int err = 0;

	if (!wishes)
		return 0;
	if (!copy)
		return -ENOMEM;
	for (char *line = strtok_r(copy, "\n", &save); line && !err;
	     line = strtok_r(NULL, "\n", &save)) {
		err = add_nic(g, line, why, n);
		if (err && !*why)
			snprintf(why, n, "%.64s: %s", line, strerror(-err));
	}
	free(copy);
	return err;
}

static void take_out(struct guest *g, struct nic *nic, void (*gone)(void *ctx), void *ctx)
{
	struct netvsp *vsp = nic->vsp;

	nic->vsp = NULL;
	nic->sw->guests--;
	g->closing++;
	switch_port_leaves(nic->sw, netvsp_port(vsp));
	netvsp_destroy(vsp, gone, ctx);
}

/* Posted: who asked for it may not be answered while it asks. */
static void nic_ended(struct loop_call *call)
{
	struct nic *nic = container_of(call, struct nic, gone_call);
	struct guest *g = nic->guest;

	nic->guest = NULL;
	if (nic->waiter)
		control_nic_removed(nic->waiter, nic);
	guest_part_gone(g);
}

static void nic_is_gone(void *ctx)
{
	struct nic *nic = ctx;

	loop_post(nic->guest->root->loop, &nic->gone_call);
}

static bool is_quiet(struct nic *nic)
{
	struct netvsp_stats st;
	uint64_t sent;

	netvsp_stats(nic->vsp, &st);
	sent = st.tx_requests + st.control;
	nic->quiet = sent == nic->sent && netvsp_idle(nic->vsp) ? nic->quiet + 1 : 0;
	nic->sent = sent;
	/* A process ends what is on its way by itself. */
	return nic->quiet > (nic->guest->machine ? LOOKS : 0);
}

/*
 * Once Linux has seen the rescind it reads nothing of the NIC any more, but waits, with the lock of
 * all its interfaces, until everything it has sent is answered and everything it got is given back:
 * for ever, if one such packet is left in a ring. So its cable is pulled first, at which it stops
 * its queues, and all that is on its way gets where it belongs.
 */
static void look_if_quiet(struct loop_timer *t)
{
	struct nic *nic = container_of(t, struct nic, quiet_timer);
	bool quiet = is_quiet(nic);
	struct guest *g = nic->guest;

	if (!quiet && ++nic->looks < MOST_LOOKS) {
		loop_timer_arm(g->root->loop, t, LOOK_NS);
		return;
	}
	nic->busy = !quiet;
	if (nic->busy)
		log_warn("partition %u (%s): NIC %u is taken away in the middle of its use: the "
			 "guest did not heed its cable",
			 hv_partition_id(g->partition), hv_partition_name(g->partition),
			 (uint32_t)(nic - g->nic));
	take_out(g, nic, nic_is_gone, nic);
}

int nic_remove(struct guest *g, uint32_t index)
{
	struct nic *nic = &g->nic[index];

	if (nic->guest)
		return -EALREADY;
	nic->guest = g;
	nic->looks = nic->quiet = 0;
	nic->sent = UINT64_MAX;
	nic->busy = false;
	nic->gone_call.fn = nic_ended;
	nic->quiet_timer.fire = look_if_quiet;
	netvsp_set_link(nic->vsp, false);
	look_if_quiet(&nic->quiet_timer);
	return 0;
}

void nics_remove(struct guest *g, void (*gone)(void *ctx), void *ctx)
{
	for (uint32_t i = 0; i < g->nr_nics; i++) {
		struct nic *nic = &g->nic[i];

		if (!nic->vsp)
			continue;
		loop_timer_cancel(g->root->loop, &nic->quiet_timer);
		if (nic->guest)
			take_out(g, nic, nic_is_gone, nic);
		else
			take_out(g, nic, gone, ctx);
	}
}

struct guest *nic_owner(const struct root *r, const struct vsw_port *p, uint32_t *index)
{
	for (struct guest *g = r->guests; g; g = g->next) {
		for (uint32_t i = 0; i < g->nr_nics; i++) {
			if (!g->nic[i].vsp || netvsp_port(g->nic[i].vsp) != p)
				continue;
			*index = i;
			return g;
		}
	}
	return NULL;
}
