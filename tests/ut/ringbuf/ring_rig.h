/* SPDX-License-Identifier: MIT */
/*
 * What the ring tests share: a ring in memory with its data mapped twice, attached from
 * both sides, and ways to put bytes there that no honest peer would.
 */
#ifndef HVBUS_TESTS_RING_RIG_H
#define HVBUS_TESTS_RING_RIG_H

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ringbuf/packet.h"

#define SMALL	   0x1000u
#define ACCEPT_ALL (VMRING_ACCEPT_HOST | (VMRING_ACCEPT_GUEST & ~VMRING_DROP_UNKNOWN))

/* An assertion for inner loops: ck_assert() reports to the runner even when it holds. */
#define must(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			ck_abort_msg("'%s' does not hold", #cond);                                 \
	} while (0)

struct rig {
	struct vmring_ctrl *ctrl;
	uint8_t *data;
	uint32_t size;
	struct vmring_out out;
	struct vmring_in in;
};

/* The two ends of a channel: what a reader accepts. Loop tests run once per role. */
static const struct {
	const char *name;
	uint32_t accept;
} roles[] = {
	{ "host", VMRING_ACCEPT_HOST },
	{ "guest", VMRING_ACCEPT_GUEST },
};
#define ROLES ((int)ARRAY_SIZE(roles))

static inline void rig_map(struct rig *r, uint32_t size)
{
	size_t span = VMRING_PAGE + 2 * (size_t)size;
	int fd = memfd_create("ring", MFD_CLOEXEC);
	uint8_t *at;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, VMRING_PAGE + size), 0);
	at = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(at, MAP_FAILED);
	ck_assert_ptr_ne(
		mmap(at, VMRING_PAGE + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0),
		MAP_FAILED);
	ck_assert_ptr_ne(mmap(at + VMRING_PAGE + size, size, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_FIXED, fd, VMRING_PAGE),
			 MAP_FAILED);
	close(fd);
	*r = (struct rig){ .ctrl = (void *)at, .data = at + VMRING_PAGE, .size = size };
}

/* Both sides attach to a ring whose indices are @write and @read. */
static inline void rig_attach(struct rig *r, uint32_t write, uint32_t read, uint32_t accept)
{
	r->ctrl->write_index = write;
	r->ctrl->read_index = read;
	ck_assert_int_eq(vmring_out_init(&r->out, r->ctrl, r->data, r->size), 0);
	ck_assert_int_eq(vmring_in_init(&r->in, r->ctrl, r->data, r->size, accept), 0);
}

static inline void rig_init(struct rig *r, uint32_t size, uint32_t at, uint32_t accept)
{
	rig_map(r, size);
	rig_attach(r, at, at, accept);
}

static inline void rig_fini(struct rig *r)
{
	munmap(r->ctrl, VMRING_PAGE + 2 * (size_t)r->size);
}

/* A descriptor at @at, as a peer may write it. */
static inline void rig_desc(struct rig *r, uint32_t at, uint16_t type, uint16_t offset8,
			    uint16_t len8, uint16_t flags, uint64_t id)
{
	struct vmpkt_desc d = { type, offset8, len8, flags, id };

	memcpy(r->data + at, &d, sizeof(d));
}

/* The peer's indices. */
static inline void rig_write_index(struct rig *r, uint32_t v)
{
	store_release(&r->ctrl->write_index, v);
}

static inline void rig_read_index(struct rig *r, uint32_t v)
{
	store_release(&r->ctrl->read_index, v);
}

/* An in-band packet through the front door: put, publish. */
static inline bool rig_send(struct rig *r, uint64_t id, const void *payload, uint32_t len)
{
	must(!vmpkt_put_inband(&r->out, 0, id, payload, len));
	return vmring_out_commit(&r->out);
}

static inline int rig_peek(struct rig *r, struct vmpkt_desc *d)
{
	const uint8_t *pkt;

	return vmring_in_peek(&r->in, d, &pkt);
}

/* Takes the next packet, which must be there and carry @id. */
static inline struct vmpkt_desc rig_take(struct rig *r, uint64_t id)
{
	struct vmpkt_desc d;

	must(!rig_peek(r, &d));
	must(d.trans_id == id);
	vmring_in_pop(&r->in, &d);
	return d;
}

/* The reader has declared the ring corrupt for @why, and stays with it. */
static inline void rig_reader_faults(struct rig *r, enum vmring_fault why)
{
	struct vmpkt_desc d;
	int i;

	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(rig_peek(r, &d), -EPROTO);
		ck_assert_str_eq(vmring_fault_name(r->in.why), vmring_fault_name(why));
		ck_assert(!vmring_in_pending(&r->in));
		ck_assert(!vmring_in_unmask(&r->in));
	}
}

/* The same for the writer; nothing more is published. */
static inline void rig_writer_faults(struct rig *r, enum vmring_fault why)
{
	uint32_t before = load_relaxed(&r->ctrl->write_index);
	void *pkt;
	int i;

	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(vmring_out_free(&r->out), 0);
		ck_assert_str_eq(vmring_fault_name(r->out.why), vmring_fault_name(why));
		ck_assert_int_eq(vmring_out_reserve(&r->out, 16, &pkt), -EPROTO);
		ck_assert_int_eq(vmpkt_put_inband(&r->out, 0, 1, "x", 1), -EPROTO);
		ck_assert(!vmring_out_want_space(&r->out, 16));
		ck_assert(!vmring_out_commit(&r->out));
	}
	ck_assert_uint_eq(load_relaxed(&r->ctrl->write_index), before);
	ck_assert_uint_eq(load_relaxed(&r->ctrl->pending_send_sz), 0);
}

/* main() of a test program with one suite. */
static inline int rig_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
