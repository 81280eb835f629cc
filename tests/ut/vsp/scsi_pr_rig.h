/* SPDX-License-Identifier: MIT */
/*
 * Several initiators on the LUN of a rig, and PERSISTENT RESERVE commands by meaning.
 */
#ifndef HVBUS_TESTS_UT_VSP_SCSI_PR_RIG_H
#define HVBUS_TESTS_UT_VSP_SCSI_PR_RIG_H

#include "tests/ut/vsp/scsi_rig.h"
#include "vsp/storvsp/scsi/scsi_pr.h"

#define CONFLICT   (~(uint32_t)SCSI_RESERVATION_CONFLICT)
#define BUSY	   (~(uint32_t)SCSI_BUSY)
#define INITIATORS 4

enum { A, B, C, D };

#define KEY(i) (0x1122334455667700ull + (i))

struct pr_rig {
	struct rig *r;
	struct scsi_target *who[INITIATORS];
};

static inline void pr_rig_name(uint8_t *id, int i)
{
	memset(id, 0x40 + i, SCSI_INITIATOR_LEN);
}

static inline struct scsi_target *pr_rig_target(struct scsi_lun *l, int i)
{
	uint8_t id[SCSI_INITIATOR_LEN];
	struct scsi_target *t;

	pr_rig_name(id, i);
	ck_assert_int_eq(scsi_target_create(&t), 0);
	scsi_target_set_initiator(t, id);
	ck_assert_int_eq(scsi_target_attach(t, 0, l), 0);
	return t;
}

/* The rig's own nameless target makes place for initiator A. */
static inline void pr_rig_up(struct pr_rig *p)
{
	p->r = rig_new();
	scsi_target_destroy(p->r->target);
	for (int i = 0; i < INITIATORS; i++)
		p->who[i] = pr_rig_target(p->r->lun, i);
	p->r->target = p->who[A];
}

static inline void pr_rig_down(struct pr_rig *p)
{
	p->r->target = p->who[A];
	for (int i = 1; i < INITIATORS; i++)
		scsi_target_destroy(p->who[i]);
	rig_free(p->r);
}

/* The next commands come from @i. */
static inline struct rig *as(struct pr_rig *p, int i)
{
	p->r->target = p->who[i];
	return p->r;
}

/* A whole PERSISTENT RESERVE OUT; @flags is byte 20 of the list. */
static inline uint32_t pr_out_flags(struct pr_rig *p, int i, uint8_t action, uint8_t type,
				    uint64_t key, uint64_t sa_key, uint8_t flags)
{
	struct rig *r = as(p, i);

	memset(r->data, 0, 24);
	be64_put(r->data, key);
	be64_put(r->data + 8, sa_key);
	r->data[20] = flags;
	rig_send(r, 0, CDB(0x5f, action, type, 0, 0, L32(24), 0), SCSI_DIR_OUT, 24);
	return r->pending ? 0 : rig_result(r);
}

static inline uint32_t pr_out(struct pr_rig *p, int i, uint8_t action, uint8_t type, uint64_t key,
			      uint64_t sa_key)
{
	return pr_out_flags(p, i, action, type, key, sa_key, 0);
}

static inline void pr_register(struct pr_rig *p, int i)
{
	ck_assert_uint_eq(pr_out(p, i, PR_REGISTER, 0, 0, KEY(i)), 0);
}

/* What TEST UNIT READY gives: a unit attention, a conflict or 0. */
static inline uint32_t ready(struct pr_rig *p, int i)
{
	return NODATA(as(p, i), 0, 0, 0, 0, 0, 0);
}

/* "type n key..": the keys of all registrations, and the type and key of the reservation. */
static inline void expect_state(struct pr_rig *p, uint32_t generation, uint8_t type,
				uint64_t holder, int n, const uint64_t *keys)
{
	struct rig *r = as(p, A);

	ck_assert_uint_eq(IN(r, 1024, 0x5e, 0, Z4, 0, L16(1024), 0), 0);
	ck_assert_uint_eq(be32_at(r->data), generation);
	ck_assert_uint_eq(be32_at(r->data + 4), 8 * n);
	for (int i = 0; i < n; i++)
		ck_assert_uint_eq(be64_at(r->data + 8 + 8 * i), keys[i]);
	ck_assert_uint_eq(IN(r, 24, 0x5e, 1, Z4, 0, L16(24), 0), 0);
	ck_assert_uint_eq(be32_at(r->data), generation);
	ck_assert_uint_eq(be32_at(r->data + 4), type ? 16 : 0);
	if (type) {
		ck_assert_uint_eq(be64_at(r->data + 8), holder);
		ck_assert_uint_eq(r->data[21], type);
	}
}

#define STATE(p, generation, type, holder, ...)                                                    \
	expect_state(p, generation, type, holder, sizeof((uint64_t[]){ __VA_ARGS__ }) / 8,         \
		     (const uint64_t[]){ __VA_ARGS__ })

#endif
