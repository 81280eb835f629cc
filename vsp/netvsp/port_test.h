/* SPDX-License-Identifier: MIT */
/*
 * A port that measures and tests: inside the root, it counts what it gets, sends it back, or is a
 * source of frames. Guests tell it what to do by a struct port_test_order, in a frame of ethertype
 * 0x88b5 (for local experiments) or, for frames longer than an MTU, in a TCP segment to port 9.
 * `--switch test=on` adds one.
 *
 * Threads: the switch's.
 */
#ifndef HVBUS_VSP_NETVSP_PORT_TEST_H
#define HVBUS_VSP_NETVSP_PORT_TEST_H

#include "vsp/netvsp/vswitch.h"

struct loop;
struct port_test;

#define PORT_TEST_ETHERTYPE 0x88b5u
#define PORT_TEST_MAC                                                                              \
	{                                                                                          \
		0x00, 0x15, 0x5d, 0xff, 0xff, 0xfe                                                 \
	}			    /* unless another is given */
#define PORT_TEST_MAGIC 0x74736574u /* "test" */

enum port_test_op {
	PORT_TEST_COUNT = 1,  /* the frame is counted, by its sequence number too */
	PORT_TEST_ECHO = 2,   /* goes back to where it came from */
	PORT_TEST_SOURCE = 3, /* sends COUNT frames of @size bytes to the sender, @seq of them at
				 most ahead of what it says it has got; repeated to say so */
	PORT_TEST_STOP = 4,
	PORT_TEST_REPORT = 5, /* answered with what was counted; counting starts again */
};

struct port_test_order { /* behind the Ethernet header, little-endian */
	uint32_t magic;
	uint32_t op;
	uint64_t seq;	/* COUNT: number of the frame; SOURCE: frames got so far */
	uint64_t value; /* REPORT's answer: frames counted; SOURCE: how many may be under way */
	uint32_t size;	/* SOURCE: bytes of a frame */
	uint32_t lost;	/* REPORT's answer: gaps in the sequence */
	uint64_t time;	/* the sender's; in answers, and in the frames of a SOURCE */
} PACKED;
WIRE_SIZE(struct port_test_order, 40);

#define PORT_TEST_MIN	(NET_ETH_LEN + (uint32_t)sizeof(struct port_test_order))
#define PORT_TEST_LARGE 1514u /* longer frames are TCP, with segmentation left to who needs it */
#define PORT_TEST_MSS	1448u

/*
 * Fills @to with the headers of a frame of @len bytes (PORT_TEST_MIN..NET_FRAME_MAX) from @src to
 * @dst, and *@meta. Returns where its order goes; the bytes behind that are the caller's.
 */
uint32_t port_test_frame(uint8_t *to, const uint8_t *dst, const uint8_t *src, uint32_t len,
			 struct net_meta *meta);
/* Where the order is in a frame of which the first @len bytes are at @head; 0 = none. */
uint32_t port_test_find(const uint8_t *head, uint32_t len);

/* A port called @name with address @mac. Errors as vsw_port_add(), -ENOMEM. */
int port_test_create(struct port_test **out, struct loop *loop, struct vsw *sw, const char *name,
		     const uint8_t mac[NET_MAC_LEN], char *why, size_t whylen);
/* NULL is fine. */
void port_test_destroy(struct port_test *p);

#endif
