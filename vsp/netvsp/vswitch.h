/* SPDX-License-Identifier: MIT */
/*
 * The virtual switch: ports, MAC table, VLANs, policies (spec: virtual-switch). Knows nothing of
 * VMBus: a port is whatever implements struct vsw_port_ops.
 *
 *   vsw_input(port, frame)   any number of times, then
 *   vsw_flush(switch)        once per burst: every port that got something publishes it
 *
 * A frame is delivered, copied, by the time vsw_input() returns: to one receiver with one copy
 * from the sender's memory. Nothing is queued in the switch; a port that has no room drops, for
 * itself only.
 *
 * Threads: a switch with all its ports belongs to one loop's thread. No lock is taken.
 */
#ifndef HVBUS_VSP_NETVSP_VSWITCH_H
#define HVBUS_VSP_NETVSP_VSWITCH_H

#include "base/net/gso.h"

struct vsw;
struct vsw_port;

#define VSW_MAX_PORTS	  256u /* of one switch */
#define VSW_NAME	  32u
#define VSW_MACS_PER_PORT 1024u	 /* learned */
#define VSW_MACS	  16384u /* learned, per switch */
#define VSW_AGE_NS	  300000000000ull

enum vsw_type {
	VSW_PRIVATE,
	VSW_INTERNAL,
	VSW_EXTERNAL,
	VSW_NAT,
	VSW_JOINED, /* its uplink is the switch of another root */
};

/* What a port is to the rules of forwarding (spec section 3.1). */
enum vsw_role {
	VSW_GUEST,
	VSW_HOST,   /* the host's own interface (internal), or the NAT */
	VSW_UPLINK, /* a trunk to the world (external), or to another switch (joined) */
};

/* name, text for people and counters */
#define VSW_DROPS(X)                                                                               \
	X(MALFORMED, "malformed")   /* runt, giant, broken offload request */                      \
	X(SOURCE_MAC, "source-mac") /* multicast, zero, or not the port's own */                   \
	X(VLAN, "vlan")		    /* not a VLAN of this port */                                  \
	X(STORM, "storm")	    /* above the port's storm limit */                             \
	X(DHCP_GUARD, "dhcp-guard")                                                                \
	X(ROUTER_GUARD, "router-guard")                                                            \
	X(RESERVED, "reserved") /* 01-80-C2-00-00-0x */                                            \
	X(NO_PORT, "no-port")	/* nobody has this address, nobody to flood to */                  \
	X(HAIRPIN, "hairpin")	/* its receiver is where it came from */                           \
	X(ISOLATED, "isolated")                                                                    \
	X(LINK_DOWN, "link-down")                                                                  \
	X(FILTER, "filter")	  /* receiver: the guest does not want it */                       \
	X(MTU, "mtu")		  /* receiver: too long for it */                                  \
	X(NO_BUFFER, "no-buffer") /* receiver: out of receive buffers */                           \
	X(SHARE, "share")	  /* receiver: congested, sender above its share */                \
	X(RING_FULL, "ring-full") /* receiver */                                                   \
	X(DEVICE, "device")	  /* receiver: TAP or socket did not take it */                    \
	X(BANDWIDTH, "bandwidth")                                                                  \
	X(NOT_READY, "not-ready") /* receiver: its driver has not started */

enum vsw_drop {
	VSW_FORWARDED = 0,
#define X(name, text) VSW_DROP_##name,
	VSW_DROPS(X)
#undef X
		VSW_DROP_COUNT,
};
const char *vsw_drop_name(enum vsw_drop why);

struct vsw_config {
	const char *name; /* copied */
	enum vsw_type type;
	/*
	 * A plain learning bridge: every source is fine and learned, unless it is another port's
	 * own; unknown destinations are flooded. Otherwise Hyper-V's rules: guests' addresses are
	 * known, and what is unknown goes where foreign addresses may be: to the uplink, ports with
	 * mac_spoofing, and a host's port without an address.
	 */
	bool bridge;
	uint64_t (*now)(void *ctx); /* ns, monotonic, cheap; NULL = clock_ns() */
	void *now_ctx;
};

/* -EINVAL (no name, or longer than VSW_NAME - 1), -ENOMEM. */
int vsw_create(struct vsw **out, const struct vsw_config *cfg);
/* Its ports are gone. NULL is fine. */
void vsw_destroy(struct vsw *sw);
const char *vsw_name(const struct vsw *sw);
enum vsw_type vsw_type_of(const struct vsw *sw);
const char *vsw_type_name(enum vsw_type t);

/* ---- ports ------------------------------------------------------------------------- */

/* What a port can take as it is; the switch does the rest in software before deliver(). */
#define VSW_CAN_CSUM 0x1u /* NET_CSUM_PARTIAL */
#define VSW_CAN_TSO4 0x2u
#define VSW_CAN_TSO6 0x4u
#define VSW_CAN_VLAN 0x8u /* a tag in the metadata; otherwise it is put into the frame */

struct vsw_port_ops {
	/*
	 * Takes a copy of @f, or refuses: VSW_FORWARDED or why not. @f and its head are only
	 * borrowed and not to be changed. @meta is what this port gets (tag, offloads); @from is
	 * the sender's vsw_port_id(), for sharing fairly. Called between bursts' flushes any number
	 * of times, and never for a frame that the same port has put in.
	 */
	enum vsw_drop (*deliver)(void *ctx, const struct net_frame *f, const struct net_meta *meta,
				 uint32_t from);
	/* The burst is over: publish what deliver() took. Only after at least one deliver(). */
	void (*flush)(void *ctx);
	/* The port's link or policy was changed by vsw_port_set_*(). May be NULL. */
	void (*changed)(void *ctx);
	/*
	 * Does the receiver want this destination (packet filter)? NULL: everything. Asked for
	 * floods and multicast as well as for unicast, before deliver().
	 */
	bool (*wants)(void *ctx, const uint8_t *dst);
};

enum vsw_vlan_mode { VSW_UNTAGGED, VSW_ACCESS, VSW_TRUNK };

struct vsw_policy {
	bool mac_spoofing; /* other source addresses than the own are fine, and learned */
	bool dhcp_guard, router_guard;
	bool isolated;	      /* nothing to and from other isolated ports */
	bool priority_tag;    /* 802.1p bits of the guest are kept (an uplink's always are) */
	uint8_t vlan_mode;    /* enum vsw_vlan_mode */
	uint16_t vlan;	      /* ACCESS: the id; TRUNK: the native one, 0 = untagged is VLAN 0 */
	uint8_t allowed[512]; /* TRUNK: bit per id; the native one is allowed untagged anyway */
	uint32_t storm; /* broadcast, multicast and unknown unicast per second; 0 = no limit */
	uint64_t bps;	/* what the port may send, bits per second; 0 = no limit */
	uint32_t burst; /* bytes; 0 = max(128 KiB, 4 ms of bps) */
};

struct vsw_port_config {
	const char *name; /* copied; unique in the switch */
	enum vsw_role role;
	uint8_t mac[NET_MAC_LEN]; /* zero: none of its own (uplink) */
	uint32_t caps;		  /* VSW_CAN_* */
	uint32_t mtu; /* IP MTU, of both directions: of a large frame the segments; 0 = 1500 */
	struct vsw_policy policy;
	const struct vsw_port_ops *ops;
	void *ctx;
};

/*
 * Connects a port, link up. -EINVAL (no name, too long; a multicast address; a guest without one;
 * an MTU or a policy out of range), -EEXIST (name; a second uplink), -EADDRINUSE (another port has
 * this address), -ENOSPC, -ENOMEM. A sentence in @why (may be NULL).
 */
int vsw_port_add(struct vsw_port **out, struct vsw *sw, const struct vsw_port_config *cfg,
		 char *why, size_t whylen);
/*
 * Disconnects: its learned addresses are forgotten, its mirror ends; ops are not called again.
 * Not from inside any deliver() or flush(). NULL is fine.
 */
void vsw_port_del(struct vsw_port *p);

struct vsw *vsw_port_switch(const struct vsw_port *p);
const char *vsw_port_name(const struct vsw_port *p);
uint32_t vsw_port_id(const struct vsw_port *p); /* < VSW_MAX_PORTS; used again after _del() */
const struct vsw_policy *vsw_port_policy(const struct vsw_port *p);
const uint8_t *vsw_port_mac(const struct vsw_port *p);
struct vsw_port *vsw_port_find(struct vsw *sw, const char *name); /* NULL: none */
/* NULL gives the first; NULL after the last. */
struct vsw_port *vsw_port_next(struct vsw *sw, const struct vsw_port *prev);

/*
 * With mac_spoofing taken away the port has the address again that it was connected with;
 * -EADDRINUSE when another port has it. -EINVAL as _add(). A sentence in @why (may be NULL).
 */
int vsw_port_set_policy(struct vsw_port *p, const struct vsw_policy *policy, char *why,
			size_t whylen);
int vsw_policy_check(const struct vsw_policy *policy, char *why, size_t whylen);
/* The guest's driver changed its address; allowed with mac_spoofing only. -EPERM, -EADDRINUSE,
 * -EINVAL. */
int vsw_port_set_mac(struct vsw_port *p, const uint8_t mac[NET_MAC_LEN]);
void vsw_port_set_link(struct vsw_port *p, bool up);
bool vsw_port_link(const struct vsw_port *p);
/* What the receiver can take has changed (a guest switched an offload). */
void vsw_port_set_caps(struct vsw_port *p, uint32_t caps, uint32_t mtu);

/* ---- frames ------------------------------------------------------------------------- */

/*
 * A frame from @from, obeying the convention of net/frame.h. Everything that is wrong with it or
 * in its way is counted, here and at the receiver; the result is for the sender's interest:
 * VSW_FORWARDED when at least one port took it, otherwise the first refusal. @f, its head and
 * list, may be changed. A tag in the frame is as good as one in the metadata; one more behind it
 * is accepted on trunks and uplinks, and goes only to where the outer one stays on.
 */
enum vsw_drop vsw_input(struct vsw_port *from, struct net_frame *f);
void vsw_flush(struct vsw *sw);

/*
 * How long @p has to wait before it may send again (its bandwidth limit): 0 = send. Whoever can
 * push back asks before each frame and leaves it where it is; frames put in nevertheless are
 * dropped (BANDWIDTH).
 */
uint64_t vsw_port_wait_ns(struct vsw_port *p);

/* ---- inspection ---------------------------------------------------------------------- */

struct vsw_count {
	uint64_t frames, bytes, unicast, multicast, broadcast;
};
struct vsw_port_stats {
	struct vsw_count in, out;	   /* from the port into the switch, and to it */
	uint64_t drop_in[VSW_DROP_COUNT];  /* frames of this port that nobody got */
	uint64_t drop_out[VSW_DROP_COUNT]; /* frames for this port that it did not get */
	uint64_t segmented, checksummed;   /* frames treated in software before delivery here */
	uint32_t learned;		   /* addresses */
};
void vsw_port_stats(const struct vsw_port *p, struct vsw_port_stats *out);

struct vsw_mac_info {
	uint8_t mac[NET_MAC_LEN];
	uint16_t vlan;
	bool fixed;	 /* a port's own address, in every VLAN of the port */
	uint64_t age_ns; /* learned ones */
	const struct vsw_port *port;
};
void vsw_each_mac(const struct vsw *sw, void (*fn)(void *ctx, const struct vsw_mac_info *m),
		  void *ctx);

/* ---- mirroring ----------------------------------------------------------------------- */

struct vsw_mirror; /* pcapng.h */
/*
 * Everything @p sends and gets (as it is after ingress rules; what was dropped at ingress is not
 * there) is also written to @m, owned by the caller, NULL: no more. Not while in deliver().
 */
void vsw_port_set_mirror(struct vsw_port *p, struct vsw_mirror *m);

#endif
