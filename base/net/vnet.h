/* SPDX-License-Identifier: MIT */
/*
 * struct virtio_net_hdr, as TAPs and packet sockets use it, from and to our metadata (spec:
 * virtual-switch, sections 7.1 to 7.3). VLAN tags cannot be expressed in it: they are put into
 * the frame and taken out of it here.
 */
#ifndef HVBUS_BASE_NET_VNET_H
#define HVBUS_BASE_NET_VNET_H

#include <linux/virtio_net.h>

#include "base/net/frame.h"

/* Header for writing @f. Only what the convention of frame.h allows is in it. */
void net_vnet_put(struct virtio_net_hdr *h, const struct net_frame *f);

/*
 * What the kernel said about a frame that was read: fills @f->meta. Not trusted blindly:
 * offsets and sizes are checked against the headers. -EINVAL: nonsense; -EOPNOTSUPP: a kind of
 * segmentation that was not asked for.
 */
int net_vnet_get(struct net_frame *f, const struct virtio_net_hdr *h);

/* Moves the tag of a tagged frame into the frame's head: 4 bytes longer, meta untagged. */
void net_vlan_push(struct net_frame *f);
/* The other way, when there is a tag in the frame. */
void net_vlan_pop(struct net_frame *f);

#endif
