/* SPDX-License-Identifier: MIT */
/*
 * One disk behind one target, over the fake block engine, and a way to send CDBs to it.
 * Every command runs with its task, its stack and its buffer painted, between canaries,
 * and what comes back is checked for what holds for all commands (X01, U2).
 */
#ifndef HVBUS_TESTS_UT_VSP_SCSI_RIG_H
#define HVBUS_TESTS_UT_VSP_SCSI_RIG_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"
#include "tests/fake/fake_blk.c"
#include "vsp/storvsp/scsi/scsi_int.h"

#define RIG_DATA   (512u << 10)
#define RIG_CANARY 64
#define PAINT	   0xa5 /* our memory: must never come out */
#define UNTOUCHED  0x5a /* the initiator's buffer before the command */
#define CANARY	   0xc3

struct rig {
	struct blk_dev *dev;
	struct blk_queue *q;
	struct scsi_lun *lun;
	struct scsi_target *target;
	struct scsi_task task;
	struct iovec iov[64];
	uint8_t *mem, *data; /* data: RIG_DATA bytes between the canaries */
	uint32_t pieces;     /* entries the buffer is cut into, 0 = 1 */
	uint32_t finished;   /* calls of done */
	bool pending;
};

static const uint8_t rig_id[16] = { 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
				    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };

/* A LUN over @r->dev as it now is, attached as number 0. */
static inline void rig_attach(struct rig *r)
{
	struct scsi_lun_config cfg = { .dev = r->dev, .max_transfer = 256 << 10 };

	memcpy(cfg.id, rig_id, sizeof(cfg.id));
	ck_assert_int_eq(scsi_lun_create(&r->lun, &cfg), 0);
	ck_assert_int_eq(scsi_target_create(&r->target), 0);
	ck_assert_int_eq(scsi_target_attach(r->target, 0, r->lun), 0);
}

static inline void rig_detach(struct rig *r)
{
	scsi_target_destroy(r->target);
	ck_assert_uint_eq(r->lun->scratch, 0); /* U5: every task gave its memory back */
	scsi_lun_destroy(r->lun);
}

static inline void rig_reattach(struct rig *r)
{
	rig_detach(r);
	rig_attach(r);
}

static inline struct rig *rig_new(void)
{
	static uint8_t mem[RIG_DATA + 2 * RIG_CANARY];
	struct rig *r = calloc(1, sizeof(*r));

	r->dev = fake_blk_new();
	r->q = fake_blk_queue(r->dev);
	r->mem = mem; /* one for all tests: page faults are what they would spend their time on */
	memset(mem, CANARY, RIG_CANARY);
	r->data = mem + RIG_CANARY;
	rig_attach(r);
	return r;
}

static inline void rig_free(struct rig *r)
{
	rig_detach(r);
	blk_queue_destroy(r->q);
	fake_blk_free(r->dev);
	free(r);
}

/* Leaves PAINT on the stack below the caller's frame. */
static NOINLINE void paint_stack(void)
{
#ifndef HVBUS_TSAN /* slow there, and looks for something else */
	uint8_t hole[10 << 10];

	memset(hole, PAINT, sizeof(hole));
	__asm__ volatile("" ::"r"(hole) : "memory"); /* somebody might look at it */
#endif
}

/* Whether @len bytes at @p all hold @byte. One check: libcheck's own cost microseconds each. */
static inline bool all_are(const uint8_t *p, size_t len, uint8_t byte)
{
	return !len || (p[0] == byte && !memcmp(p, p + 1, len - 1));
}

static inline void rig_canaries(const struct rig *r, uint32_t len)
{
	ck_assert(all_are(r->mem, RIG_CANARY, CANARY) &&
		  all_are(r->data + len, RIG_CANARY, CANARY));
}

static inline bool sense_well_formed(const uint8_t *s)
{
	static const uint8_t zero[4];

	return (s[0] == 0xf0 || (s[0] == 0x70 && !memcmp(s + 3, zero, 4))) && !s[1] &&
	       !(s[2] & 0xf0) && s[7] == 0x0a && !memcmp(s + 8, zero, 4) &&
	       !memcmp(s + 14, zero, 4);
}

/* There is no LUN. Says nothing of commands that are answered all the same. */
static inline bool rig_absent(const struct rig *r)
{
	return r->task.status == SCSI_CHECK_CONDITION && r->task.absent;
}

/* What holds for every command that is over. */
static inline void rig_verdict(const struct rig *r)
{
	const struct scsi_task *t = &r->task;
	bool sense = t->status == SCSI_CHECK_CONDITION && !t->absent;

	ck_assert_uint_le(t->transferred, t->status == SCSI_GOOD ? t->data_len : 0);
	ck_assert_uint_eq(t->sense_len, sense ? SCSI_SENSE_LEN : 0);
	ck_assert(!sense || sense_well_formed(t->sense));
}

static inline void rig_done(struct scsi_task *t)
{
	struct rig *r = container_of(t, struct rig, task);

	r->finished++;
	r->pending = false;
	rig_verdict(r);
}

/* Fills the "in" fields; everything else is painted. @data_len bytes of r->data are the buffer. */
static inline void rig_prepare(struct rig *r, const uint8_t *cdb, uint32_t cdb_len, uint8_t dir,
			       uint32_t data_len)
{
	uint32_t n = r->pieces ? r->pieces : 1, step = data_len / n;

	memset(&r->task, PAINT, sizeof(r->task));
	memset(r->task.cdb, 0xff, SCSI_CDB_LEN); /* behind a short CDB: never to be read */
	memcpy(r->task.cdb, cdb, cdb_len < SCSI_CDB_LEN ? cdb_len : SCSI_CDB_LEN);
	r->task.cdb_len = (uint8_t)cdb_len;
	r->task.data_dir = dir;
	for (uint32_t i = 0; i < n; i++)
		r->iov[i] = (struct iovec){ r->data + (size_t)i * step,
					    i == n - 1 ? data_len - i * step : step };
	r->task.iov = r->iov;
	r->task.niov = (uint16_t)(data_len ? n : 0);
	r->task.data_len = data_len;
	r->task.queue = r->q;
	r->task.done = rig_done;
}

static inline void rig_send(struct rig *r, uint8_t number, const uint8_t *cdb, uint32_t cdb_len,
			    uint8_t dir, uint32_t data_len)
{
	ck_assert(data_len <= RIG_DATA && !r->pending);
	rig_prepare(r, cdb, cdb_len, dir, data_len);
	memset(r->data + data_len, CANARY, RIG_CANARY);
	if (dir == SCSI_DIR_IN)
		memset(r->data, UNTOUCHED, data_len);
	paint_stack();
	r->pending = !scsi_execute(r->target, number, &r->task);
	rig_canaries(r, data_len);
	if (!r->pending)
		rig_verdict(r);
	if (dir == SCSI_DIR_IN && !r->pending)
		ck_assert(all_are(r->data + r->task.transferred, data_len - r->task.transferred,
				  UNTOUCHED));
}

/* key << 16 | asc << 8 | ascq; 0 for GOOD, ~status for other states. */
static inline uint32_t rig_result(const struct rig *r)
{
	ck_assert(!r->pending);
	if (r->task.status == SCSI_GOOD)
		return 0;
	if (r->task.status != SCSI_CHECK_CONDITION || r->task.absent)
		return ~(uint32_t)r->task.status;
	return (uint32_t)r->task.sense[2] << 16 | (uint32_t)r->task.sense[12] << 8 |
	       r->task.sense[13];
}

#define CDB(...)	 (const uint8_t[]){ __VA_ARGS__ }, sizeof((uint8_t[]){ __VA_ARGS__ })

/* Statement forms: send to LUN 0 and give the result. */
#define IN(r, len, ...)	 (rig_send(r, 0, CDB(__VA_ARGS__), SCSI_DIR_IN, len), rig_result(r))
#define OUT(r, len, ...) (rig_send(r, 0, CDB(__VA_ARGS__), SCSI_DIR_OUT, len), rig_result(r))
#define NODATA(r, ...)	 (rig_send(r, 0, CDB(__VA_ARGS__), SCSI_DIR_NONE, 0), rig_result(r))

#define Z4		 0, 0, 0, 0
#define Z8		 Z4, Z4
#define Z9		 Z8, 0
#define L32(x)                                                                                     \
	(uint8_t)((uint32_t)(x) >> 24), (uint8_t)((uint32_t)(x) >> 16),                            \
		(uint8_t)((uint32_t)(x) >> 8), (uint8_t)(x)
#define L64(x)			L32((uint64_t)(x) >> 32), L32(x)
#define L16(x)			(uint8_t)((uint32_t)(x) >> 8), (uint8_t)(x)

/* The CDBs that matter most, by meaning. */
#define READ10(lba, n)		0x28, 0, L32(lba), 0, L16(n), 0
#define WRITE10(lba, n)		0x2a, 0, L32(lba), 0, L16(n), 0
#define WRITE10_FUA(lba, n)	0x2a, 8, L32(lba), 0, L16(n), 0
#define READ16(lba, n)		0x88, 0, L64(lba), L32(n), 0, 0
#define WRITE16(lba, n)		0x8a, 0, L64(lba), L32(n), 0, 0
#define SYNC10			0x35, Z9
#define UNMAP10(len)		0x42, 0, Z4, 0, L16(len), 0
#define WRITE_SAME16(f, lba, n) 0x93, f, L64(lba), L32(n), 0, 0
#define WRITE_SAME10(f, lba, n) 0x41, f, L32(lba), 0, L16(n), 0

static inline void rig_expect_data(const struct rig *r, const uint8_t *want, uint32_t len)
{
	ck_assert_uint_eq(r->task.status, SCSI_GOOD);
	ck_assert_uint_eq(r->task.transferred, len);
	ck_assert_mem_eq(r->data, want, len);
}

static inline int rig_main(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC)); /* failures are what we ask for */
	/* A process per test would be most of the time under sanitizers. */
	srunner_set_fork_status(sr, CK_NOFORK);
	alarm(60); /* which libcheck's timeouts then do not do */
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
