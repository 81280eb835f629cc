/* SPDX-License-Identifier: MIT */
/*
 * Inside the switch. The way of a frame:
 *
 *   vswitch.c     vsw_input(): the order of the steps; look-up; who gets it
 *   vsw_ingress.c format, source address, VLAN, learning: what must be true of a frame
 *   vsw_guard.c   what a guest may not say: DHCP, router, ARP and ND guards
 *   vsw_egress.c  what a receiver takes, and making it so: tag, checksum, segments
 *   vsw_port.c    connecting, changing, inspecting ports
 *   vsw_policy.c  what a policy means: features, VLAN membership
 */
#ifndef HVBUS_VSP_NETVSP_VSW_PRIV_H
#define HVBUS_VSP_NETVSP_VSW_PRIV_H

#include "vsp/netvsp/mac_table.h"
#include "vsp/netvsp/meter.h"

/* What has to be looked at for frames of a port; of a plain guest's port only POLICED. */
#define VSW_F_POLICED  0x001u /* source address: the own */
#define VSW_F_FOREIGN  0x002u /* other addresses live here: learned; gets unknown unicast */
#define VSW_F_DHCP     0x004u
#define VSW_F_ROUTER   0x008u
#define VSW_F_STORM    0x010u
#define VSW_F_METER    0x020u
#define VSW_F_PRIORITY 0x040u /* 802.1p bits are kept */
#define VSW_F_ISOLATED 0x080u
#define VSW_F_TRUNK    0x100u
#define VSW_F_UPLINK   0x200u
#define VSW_F_DOWN     0x400u

#define VSW_ID_MASK    0xfffu

struct vsw_port {
	uint32_t features;
	uint16_t id;
	uint16_t vlan; /* of untagged frames, from and to it */
	uint64_t mac;  /* net_mac_u64(); 0: none */
	uint32_t caps;
	uint32_t max_len; /* of a frame without offloads */
	bool touched;	  /* got something since its last flush */
	uint8_t role;
	const struct vsw_port_ops *ops;
	void *ctx;
	struct vsw_mirror *mirror;
	struct vsw *sw;
	struct vsw_count in, out;
	struct meter meter;
	uint32_t burst; /* that the meter was set to */
	struct storm storm;
	uint64_t drop_in[VSW_DROP_COUNT], drop_out[VSW_DROP_COUNT];
	uint64_t segmented, checksummed;
	struct vsw_policy policy;
	uint8_t address[NET_MAC_LEN], assigned[NET_MAC_LEN]; /* in use; by whoever connected it */
	char name[VSW_NAME];
};

struct vsw {
	uint64_t (*now)(void *ctx);
	void *now_ctx;
	bool bridge;
	uint8_t type;
	uint32_t nports, ntouched;
	uint64_t swept_ns;
	struct mac_table macs;
	struct vsw_port *port[VSW_MAX_PORTS]; /* in the order of their connection */
	struct vsw_port *by_id[VSW_MAX_PORTS];
	struct vsw_port *touched[VSW_MAX_PORTS]; /* to be flushed */
	char name[VSW_NAME];
};

/* Treatments of a frame, each made once for all receivers that need it. */
#define VSW_MADE_CSUM 1u
#define VSW_MADE_TAG  2u
#define VSW_MADE      4u

struct vsw_made {
	struct net_frame f;
	uint8_t head[NET_HEAD_MAX + NET_VLAN_LEN];
};

struct vsw_out {
	const struct net_frame *f;
	uint32_t have; /* bit per combination */
	struct vsw_made made[VSW_MADE - 1];
};

#define VSW_PULL_IOV 64

/* One frame on its way. Large, and for that reason not cleared as a whole. */
struct vsw_tx {
	struct vsw *sw;
	struct vsw_port *from;
	struct net_frame *f;
	uint64_t now; /* 0: not asked yet */
	uint64_t src, dst;
	uint16_t vlan;
	uint16_t tci;	 /* where it goes tagged */
	bool second_tag; /* there is a tag in the frame besides */
	bool multicast;
	struct vsw_port *to; /* who has the address; NULL: nobody known */
	uint32_t taken;
	enum vsw_drop why; /* the first receiver's, of those that refused */
	uint32_t nsegment;
	struct vsw_out whole;
	struct vsw_port *segment[VSW_MAX_PORTS]; /* receivers that need segments */
	struct iovec pulled[VSW_PULL_IOV];
};

static inline uint64_t vsw_now(struct vsw_tx *tx)
{
	if (!tx->now)
		tx->now = tx->sw->now(tx->sw->now_ctx);
	return tx->now;
}

static inline uint32_t vsw_now_s(struct vsw_tx *tx)
{
	return (uint32_t)(vsw_now(tx) / 1000000000u);
}

static inline bool vsw_allowed(const struct vsw_port *p, uint16_t vlan)
{
	return p->policy.allowed[vlan / 8] >> vlan % 8 & 1;
}

/* Is @vlan one of the port's? */
static inline bool vsw_member(const struct vsw_port *p, uint16_t vlan)
{
	if (p->vlan == vlan)
		return true;
	if (p->features & VSW_F_UPLINK)
		return true;
	return p->features & VSW_F_TRUNK && vsw_allowed(p, vlan);
}

/* vsw_policy.c: features, VLAN and limits out of @p's policy and role. */
void vsw_policy_apply(struct vsw_port *p);

/* vsw_ingress.c, in this order; VSW_FORWARDED: it may go on. */
enum vsw_drop vsw_check_format(struct vsw_tx *tx);
enum vsw_drop vsw_check_source(struct vsw_tx *tx);
enum vsw_drop vsw_classify(struct vsw_tx *tx);
void vsw_learn(struct vsw_tx *tx);
/*
 * Brings up to NET_HEAD_MAX bytes into the private copy: false, nothing more to be had. What was
 * parsed is to be parsed again.
 */
bool vsw_pull(struct vsw_tx *tx);

/* vsw_guard.c */
enum vsw_drop vsw_check_guards(struct vsw_tx *tx);
/* Do ARP and ND speak of the port's own address? */
enum vsw_drop vsw_check_sender(struct vsw_tx *tx);

/* vsw_egress.c */
/* Tag and offloads as @p sees them. */
void vsw_meta_for(const struct vsw_tx *tx, const struct vsw_port *p, const struct net_frame *f,
		  struct net_meta *meta);
/* To @p, a port in the frame's VLAN; at once, or noted for vsw_deliver_segments(). */
void vsw_deliver(struct vsw_tx *tx, struct vsw_port *p);
void vsw_deliver_segments(struct vsw_tx *tx);

static inline void vsw_count_frame(struct vsw_count *c, const struct net_frame *f, uint64_t dst)
{
	c->frames++;
	c->bytes += f->len;
	if (!(dst & 1))
		c->unicast++;
	else if (dst == MAC_ADDR_MASK)
		c->broadcast++;
	else
		c->multicast++;
}

#endif
