/* SPDX-License-Identifier: MIT */
/*
 * Switches, NICs, mirrors and the policy of ports as people (and guests) write them: lists of
 * KEY=VALUE. Nothing here opens anything.
 *
 *   serve    --switch name=lan,type=nat,subnet=10.0.2.0/24
 *            --mirror switch=lan,port=web1,file=web1.pcapng
 *   a guest  nic switch=lan,vlan=10,queues=4          one of its wishes
 *
 * All parsers modify the text they are given and keep nothing of it. On failure, -EINVAL, a
 * sentence that names the key and says what is allowed is in @why.
 */
#ifndef HVBUS_VMWP_NET_CONFIG_H
#define HVBUS_VMWP_NET_CONFIG_H

#include <limits.h>

#include "vmwp/nat.h"
#include "vsp/netvsp/netvsp.h"

#define ROOT_MAX_SWITCHES 16
#define ROOT_MAX_MIRRORS  16
#define ROOT_MAX_NICS	  8	/* of one partition */
#define ROOT_MAX_GUESTS	  250u	/* ports for guests, of one switch */
#define ROOT_NIC_MTU	  9000u /* that a guest may have, if the switch does not say */
#define ROOT_IF_NAME	  16u	/* of an interface of the host, with NUL */
#define ROOT_SOCKET_PATH  108u	/* of a root, with NUL */
#define ROOT_MAX_JOINED	  64u	/* switches of other roots on those of one */

struct root_switch {
	char name[VSW_NAME];
	enum vsw_type type;
	bool bridge; /* a plain learning bridge, see struct vsw_config */
	char tap[ROOT_IF_NAME], iface[ROOT_IF_NAME]; /* "" = none */
	bool existing;				     /* the TAP is persistent and there already */
	/* joined: the other root's socket, the switch there, an end of the cable to it (cable.h) */
	char root[ROOT_SOCKET_PATH], of[VSW_NAME];
	int cable;
	struct nat_net nat;
	uint32_t max_guests; /* ports for guests */
	uint32_t mtu;	     /* IP: most that a guest may have, and of the TAP; 0 = not given */
	bool guest_vlan;     /* guests may choose their VLANs */
	bool guest_mac;	     /* and their addresses */
	bool no_guest_name;  /* but not the names of their ports */
	bool test;	     /* has a port that counts, echoes and sends: port_test.h */
	struct vsw_policy policy; /* of every guest's port */
};

/* As in struct vsw_policy. */
struct root_vlan {
	bool given;
	uint8_t mode;
	uint16_t id;
	uint8_t allowed[512];
};

/* What a guest wishes for. */
struct root_nic {
	char switch_name[VSW_NAME];
	char name[VSW_NAME]; /* of the port; "" = chosen by the root */
	bool has_mac;
	uint8_t mac[NET_MAC_LEN];
	struct root_vlan vlan;
	uint16_t queues; /* 0 = not given */
	uint32_t mtu;	 /* 0 = not given */
};

struct root_mirror {
	char switch_name[VSW_NAME], port[VSW_NAME];
	char file[PATH_MAX];
};

/* The value of --switch, with everything filled in that was not given. */
int root_parse_switch(struct root_switch *out, char *arg, char *why, size_t whylen);
/* The value of --nic, and what follows "nic " in a wish. */
int root_parse_nic(struct root_nic *out, char *arg, char *why, size_t whylen);
/* One wish. The text is a guest's: any bytes. */
int root_parse_wish(struct root_nic *out, char *line, char *why, size_t whylen);
/* The value of --mirror. */
int root_parse_mirror(struct root_mirror *out, char *arg, char *why, size_t whylen);
/* "spoof=on,storm=500,vlan=10": changes what is named in *@p, which is untouched on failure. */
int root_parse_policy(struct vsw_policy *p, char *arg, char *why, size_t whylen);

/* "100M" is 100,000,000: of bits per second, as everybody counts them. 0 or -EINVAL. */
int root_parse_rate(const char *text, uint64_t *out);
/* "lan/web1". -EINVAL with a sentence. */
int root_parse_port(const char *text, char sw[VSW_NAME], char port[VSW_NAME], char *why,
		    size_t whylen);

/*
 * The switch @name of the @n in @list, or NULL with a sentence that lists those that there are.
 */
const struct root_switch *root_find_switch(const struct root_switch *list, uint32_t n,
					   const char *name, char *why, size_t whylen);
/* Is @sw, which is to join the @n in @list, one of a kind? 0 or -EEXIST. */
int root_check_switch(const struct root_switch *list, uint32_t n, const struct root_switch *sw,
		      char *why, size_t whylen);

/*
 * What a port on @sw gets of what the guest wishes for: 0, or -EPERM when the switch does not
 * let guests choose that.
 */
int root_nic_policy(const struct root_switch *sw, const struct root_nic *nic,
		    struct vsw_policy *out, char *why, size_t whylen);
/* May the guest choose what else it chose, address and name? 0, or -EPERM. */
int root_nic_allowed(const struct root_switch *sw, const struct root_nic *nic, char *why,
		     size_t whylen);
/* Most bytes of an IP packet for a guest on @sw; -EINVAL: it wishes for more. */
int root_nic_mtu(const struct root_switch *sw, const struct root_nic *nic, uint32_t *out, char *why,
		 size_t whylen);
/*
 * A unicast address of Hyper-V's range that is the same whenever partition @partition of root
 * @root (any text) has its NIC @index; @attempt is for those that another port has already.
 */
void root_nic_mac(const char *root, const char *partition, uint32_t index, uint32_t attempt,
		  uint8_t mac[NET_MAC_LEN]);

#endif
