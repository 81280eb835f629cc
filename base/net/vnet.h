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
 * What the kernel said about a frame as it was read (before net_vlan_pop()): fills @f->meta. Not
 * trusted blindly: offsets and sizes are checked against the headers. GSO frames are made anew
 * (net_frame_make_gso()). A partial checksum that is not simply that of TCP or UDP, of a tunnel for
 * instance, is completed here. -EINVAL: nonsense; -EOPNOTSUPP: a kind of segmentation that was not
 * asked for.
 */
int net_vnet_get(struct net_frame *f, const struct virtio_net_hdr *h);

/*
 * Moves the tag of a tagged frame into the frame's head: 4 bytes longer, meta untagged, offsets
 * in the metadata and the headers moved along. Of others: nothing.
 */
void net_vlan_push(struct net_frame *f);
/* The other way, when there is an 802.1Q tag in the frame and none in the metadata. */
void net_vlan_pop(struct net_frame *f);

#endif
