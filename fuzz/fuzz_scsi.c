/* SPDX-License-Identifier: MIT */
/*
 * The SCSI target under three initiators: a disk, a drive whose media change, a read-only disk
 * of 4096-byte blocks and an empty place. Any CDB, any buffer, resets, aborts, injected errors
 * and attentions in between. What must hold:
 *   - status, sense and byte count fit together; no byte moves beyond the count, none outside
 *     the buffer (each is an allocation of its own), none into a buffer that is for output
 *   - plain READs give what plain WRITEs left; nothing else changes but what a command's range
 *     says, and what does not write changes nothing
 *   - no reservation conflict before anybody has reserved anything
 *   - reservations that were kept can be restored; other bytes are refused or accepted, no more
 *   - every task ends once, and no private memory stays behind
 */
#include <fcntl.h>
#include <sys/param.h>

#include "base/log.h"
#include "fuzz/input.h"
#include "fuzz/vtime.h"
#include "vsp/storvsp/scsi/scsi_pr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEXUSES 3
#define TASKS	4
#define DISK	(32u << 10) /* bytes */
#define MEDIUM	(32u << 10)
#define MOST	(8u << 10) /* bytes of a buffer */
#define STEPS	100
#define PIECES	4
#define SENT	0xc3 /* output beyond what the input gave */
#define BLANK	0x5a /* a buffer before input */
#define TURNS	2000

enum { LUN_DISK, LUN_DVD, LUN_WIDE, LUN_ABSENT, LUNS };

struct request {
	struct scsi_task t;
	struct iovec iov[PIECES];
	uint8_t *piece[PIECES];
	uint8_t nexus, lun;
	bool busy;
	uint8_t sent[MOST]; /* what is not to be changed */
	uint64_t from, to;  /* bytes of the disk that it may change */
};

static struct world {
	struct loop *loop;
	struct blk_dev *dev[LUNS], *spare; /* spare: the medium that is not in the drive */
	struct blk_queue *queue[LUNS];
	struct scsi_medium *medium; /* where queue[LUN_DVD] leads */
	struct scsi_lun *lun[LUNS];
	struct scsi_target *target[NEXUSES];
	struct request request[TASKS];
	uint32_t pending;
	bool mixed;    /* several at once: nobody knows what they see of each other */
	bool reserved; /* somebody may have */
	int keep_err;
	uint32_t kept_len;
	uint8_t kept[SCSI_PR_STATE_MAX];
	uint8_t model[DISK], now[DISK];
} w;

/* ---- the world ---------------------------------------------------------------------------- */

static void keep(void *ctx, const void *state, uint32_t len, void (*saved)(void *arg, int err),
		 void *arg)
{
	(void)ctx;
	INVARIANT(len && len <= sizeof(w.kept));
	memcpy(w.kept, state, len);
	w.kept_len = len;
	saved(arg, w.keep_err);
}

static struct blk_dev *make_disk(const char *name, uint64_t size, uint32_t block, bool readonly)
{
	struct blk_config cfg = { .path = name,
				  .engine = BLK_ENGINE_MEMORY,
				  .size = size,
				  .block_size = block,
				  .direct = -1,
				  .readonly = readonly };
	struct blk_dev *d;
	char why[128];

	INVARIANT(!blk_dev_open(&d, &cfg, why, sizeof(why)));
	return d;
}

static void make_lun(int i, enum scsi_type type)
{
	struct scsi_pr_keeper keeper = { .save = keep };
	struct scsi_lun_config cfg = { .type = type,
				       .dev = w.dev[i],
				       .serial = "FUZZ",
				       .max_transfer = MOST / 2,
				       .keeper = i == LUN_DISK ? &keeper : NULL };

	INVARIANT(!scsi_lun_create(&w.lun[i], &cfg));
	if (i != LUN_DVD)
		INVARIANT(!blk_queue_create(&w.queue[i], w.dev[i], w.loop));
	for (int n = 0; n < NEXUSES; n++)
		INVARIANT(!scsi_target_attach(w.target[n], (uint8_t)i, w.lun[i]));
}

static void up(void)
{
	struct loop_config lc = { .engine = LOOP_EPOLL };

	memset(&w, 0, sizeof(w));
	INVARIANT(!loop_create(&w.loop, &lc));
	for (int n = 0; n < NEXUSES; n++) {
		uint8_t id[SCSI_INITIATOR_LEN] = { (uint8_t)(n + 1) };

		INVARIANT(!scsi_target_create(&w.target[n]));
		scsi_target_set_initiator(w.target[n], id);
	}
	w.dev[LUN_DISK] = make_disk("disk", DISK, 512, false);
	w.dev[LUN_DVD] = make_disk("one", MEDIUM, 512, true);
	w.dev[LUN_WIDE] = make_disk("wide", MEDIUM, 4096, true);
	w.spare = make_disk("two", MEDIUM, 512, true);
	make_lun(LUN_DISK, SCSI_DISK);
	make_lun(LUN_DVD, SCSI_DVD);
	make_lun(LUN_WIDE, SCSI_DISK);
}

static void turn_until_idle(void)
{
	for (int i = 0; i < TURNS && w.pending; i++) {
		vtime_pass(1000000);
		INVARIANT(loop_turn(w.loop, 0) >= 0);
	}
	INVARIANT(!w.pending);
}

static void down(void)
{
	for (int n = 0; n < NEXUSES; n++)
		scsi_target_destroy(w.target[n]);
	for (int i = 0; i < LUN_ABSENT; i++) {
		if (w.queue[i])
			blk_queue_destroy(w.queue[i]);
		if (i == LUN_DVD)
			scsi_medium_put(w.medium);
		INVARIANT(!w.lun[i]->scratch);
		scsi_lun_destroy(w.lun[i]);
		blk_dev_close(w.dev[i]);
	}
	blk_dev_close(w.spare);
	loop_destroy(w.loop);
}

/* What a transport does before each command: a queue to what is in the drive. */
static void look_into_drive(void)
{
	struct scsi_medium *m = scsi_lun_medium_get(w.lun[LUN_DVD]);

	if (m == w.medium) {
		scsi_medium_put(m);
		return;
	}
	if (w.queue[LUN_DVD])
		blk_queue_destroy(w.queue[LUN_DVD]);
	scsi_medium_put(w.medium);
	w.medium = m;
	w.queue[LUN_DVD] = NULL;
	if (m)
		INVARIANT(!blk_queue_create(&w.queue[LUN_DVD], scsi_medium_dev(m), w.loop));
}

/* ---- what the disk holds -------------------------------------------------------------------- */

static void read_disk(void)
{
	struct iovec iov = { w.now, DISK };
	struct blk_req r = { .op = BLK_READ, .iov = &iov, .niov = 1, .len = DISK };

	blk_dev_fault_remove(w.dev[LUN_DISK], 0);
	INVARIANT(!blk_submit(w.queue[LUN_DISK], &r));
}

/* Only [@from, @to) may differ from what it was. */
static void check_disk(uint64_t from, uint64_t to)
{
	read_disk();
	from = MIN(from, DISK);
	to = MIN(to, DISK);
	INVARIANT(!memcmp(w.now, w.model, from));
	INVARIANT(to <= from || !memcmp(w.now + to, w.model + to, DISK - to));
	INVARIANT(to > from || !memcmp(w.now, w.model, DISK));
	memcpy(w.model, w.now, DISK);
}

static uint64_t be(const uint8_t *p, int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | *p++;
	return v;
}

/* The range that a CDB names, by its group; false: it is none that names one. */
static bool range_of(const uint8_t *cdb, uint64_t *lba, uint64_t *count)
{
	switch (cdb[0] >> 5) {
	case 0:
		*lba = be(cdb + 1, 3) & 0x1fffff;
		*count = cdb[4] ? cdb[4] : 256;
		return cdb[0] == 0x08 || cdb[0] == 0x0a;
	case 1:
	case 2:
		*lba = be(cdb + 2, 4);
		*count = be(cdb + 7, 2);
		return cdb[0] == 0x41 || (cdb[0] >= 0x28 && cdb[0] <= 0x35);
	case 4:
		*lba = be(cdb + 2, 8);
		*count = cdb[0] == 0x89 ? cdb[13] : be(cdb + 10, 4);
		return cdb[0] >= 0x88 && cdb[0] <= 0x93;
	case 5:
		*lba = be(cdb + 2, 4);
		*count = be(cdb + 6, 4);
		return cdb[0] == 0xa8 || cdb[0] == 0xaa || cdb[0] == 0xae || cdb[0] == 0xaf;
	default:
		return false;
	}
}

static bool plain_read(const uint8_t *cdb)
{
	return cdb[0] == 0x08 || cdb[0] == 0x28 || cdb[0] == 0x88 || cdb[0] == 0xa8;
}

static bool plain_write(const uint8_t *cdb)
{
	return cdb[0] == 0x0a || cdb[0] == 0x2a || cdb[0] == 0x8a || cdb[0] == 0xaa;
}

static void note_range(struct request *r)
{
	const struct scsi_op *op = &scsi_ops[r->t.cdb[0]];
	uint64_t lba, count;

	r->from = r->to = 0;
	if (r->lun != LUN_DISK || !(op->flags & OP_WRITES) || op->layout == CDB_NONE)
		return;
	if (!range_of(r->t.cdb, &lba, &count)) {
		r->to = DISK; /* UNMAP: its ranges are in the list */
		return;
	}
	if (lba >= DISK / 512)
		return;
	r->from = lba * 512;
	/* WRITE SAME of 0 blocks: to the end */
	r->to = count && count < DISK / 512 - lba ? r->from + count * 512 : DISK;
}

/* ---- one command ----------------------------------------------------------------------------- */

static bool sense_ok(const uint8_t *s)
{
	return (s[0] & 0x7f) == 0x70 && !s[1] && s[2] < 16 && s[7] == 10;
}

/* The buffer in one piece. */
static const uint8_t *flat(const struct request *r)
{
	static uint8_t all[MOST];
	uint32_t at = 0;

	for (int k = 0; k < r->t.niov; k++) {
		memcpy(all + at, r->piece[k], r->iov[k].iov_len);
		at += (uint32_t)r->iov[k].iov_len;
	}
	INVARIANT(at == r->t.data_len);
	return all;
}

static bool all_are(const uint8_t *p, uint32_t len, uint8_t byte)
{
	return !len || (p[0] == byte && !memcmp(p, p + 1, len - 1));
}

/* A finished READ of the disk alone gives what is there; of the others it gives zeroes. */
static void check_read(const struct request *r)
{
	uint64_t lba, count;

	if (r->t.status != SCSI_GOOD || !plain_read(r->t.cdb) || !range_of(r->t.cdb, &lba, &count))
		return;
	if (r->lun == LUN_DISK)
		INVARIANT(!memcmp(flat(r), w.model + lba * 512, r->t.transferred));
	else
		INVARIANT(all_are(flat(r), r->t.transferred, 0));
}

static void check_written(const struct request *r)
{
	uint64_t lba, count;

	if (r->t.status != SCSI_GOOD || !plain_write(r->t.cdb) || r->lun != LUN_DISK ||
	    !range_of(r->t.cdb, &lba, &count))
		return;
	INVARIANT(!memcmp(flat(r), w.model + lba * 512, r->t.transferred));
}

static void check_verdict(const struct request *r)
{
	const struct scsi_task *t = &r->t;
	bool sense = t->status == SCSI_CHECK_CONDITION && !t->absent;

	INVARIANT(t->transferred <= (t->status == SCSI_GOOD ? t->data_len : 0));
	INVARIANT(t->sense_len == (sense ? SCSI_SENSE_LEN : 0));
	INVARIANT(!sense || sense_ok(t->sense));
	INVARIANT(sense || t->status != SCSI_CHECK_CONDITION || r->lun == LUN_ABSENT);
	INVARIANT(t->status != SCSI_RESERVATION_CONFLICT || w.reserved);
	if (t->data_dir == SCSI_DIR_IN)
		INVARIANT(all_are(flat(r) + t->transferred, t->data_len - t->transferred, BLANK));
	else if (t->data_dir == SCSI_DIR_OUT)
		INVARIANT(!memcmp(flat(r), r->sent, t->data_len));
}

static void finish(struct request *r)
{
	check_verdict(r);
	if (!w.mixed) {
		check_disk(r->from, r->to);
		check_read(r);
		check_written(r);
	} else if (!w.pending) {
		check_disk(0, DISK);
		w.mixed = false;
	}
	for (int k = 0; k < PIECES; k++)
		free(r->piece[k]);
	r->busy = false;
}

static void on_done(struct scsi_task *t)
{
	struct request *r = container_of(t, struct request, t);

	INVARIANT(r->busy && w.pending);
	w.pending--;
	finish(r);
}

static void fill_buffer(struct request *r, struct input *in, uint32_t len, uint8_t pieces,
			uint8_t rest)
{
	uint32_t each = len / pieces;

	for (int k = 0; k < pieces; k++) {
		uint32_t n = k == pieces - 1 ? len - each * (uint32_t)k : each;

		r->piece[k] = malloc(n ? n : 1);
		INVARIANT(r->piece[k]);
		r->iov[k] = (struct iovec){ r->piece[k], n };
		memset(r->piece[k], r->t.data_dir == SCSI_DIR_IN ? BLANK : rest, n);
		if (r->t.data_dir == SCSI_DIR_OUT)
			input_take(in, r->piece[k], MIN(n, k ? 8 : 48));
	}
	r->t.iov = r->iov;
	r->t.niov = len ? pieces : 0;
	r->t.data_len = len;
	memcpy(r->sent, flat(r), len);
}

/* A CDB by the rows of the table: bits that are looked at come from the input. */
static void fill_cdb(struct request *r, struct input *in, uint8_t how)
{
	const struct scsi_op *ops = r->lun == LUN_DVD ? scsi_dvd_ops : scsi_ops, *op;
	uint8_t *cdb = r->t.cdb, opcode = input_u8(in);
	bool raw = how & 0x80;

	while (!raw && !ops[opcode].name)
		opcode++;
	op = &ops[opcode];
	if (op->n_actions)
		op = &op->actions[input_u8(in) % op->n_actions];
	input_take(in, cdb + 1, how & 0x20 ? SCSI_CDB_LEN - 1 : 3);
	for (int i = 1; i < SCSI_CDB_LEN && !raw; i++)
		cdb[i] &= op->usage[i];
	cdb[0] = opcode;
	if (ops[opcode].n_actions && !raw)
		cdb[1] = (uint8_t)((cdb[1] & ~0x1f) | op->action);
	r->t.cdb_len = how & 0x40 ? input_u8(in) : SCSI_CDB_LEN;
}

/* A range that is on the disk, and a length that fits, for CDBs that have them. */
static uint32_t make_fitting(struct request *r, struct input *in)
{
	uint8_t *cdb = r->t.cdb, lba = input_u8(in), count = input_u8(in) % 20;
	uint32_t block = r->lun == LUN_DISK ? 512 : r->lun == LUN_DVD ? 2048 : 4096;
	uint32_t list = input_u8(in);

	switch (cdb[0] >> 5) {
	case 0:
		cdb[1] &= 0x1f;
		cdb[4] = cdb[0] == 0x08 || cdb[0] == 0x0a ? count : (uint8_t)list;
		if (cdb[0] == 0x08 || cdb[0] == 0x0a)
			cdb[1] = cdb[2] = 0, cdb[3] = lba;
		break;
	case 1:
	case 2:
		if (range_of(cdb, &(uint64_t){ 0 }, &(uint64_t){ 0 }))
			be32_put(cdb + 2, lba), be16_put(cdb + 7, count);
		else
			be16_put(cdb + 7, (uint16_t)list);
		if (cdb[0] == 0x5f)
			be32_put(cdb + 5, list = 24);
		break;
	case 4:
		be64_put(cdb + 2, lba);
		be32_put(cdb + 10, cdb[0] == 0x9e ? list : count);
		cdb[13] = cdb[0] == 0x89 ? count % 4 : cdb[13];
		break;
	case 5:
		if (cdb[0] >= 0xa8)
			be32_put(cdb + 2, lba);
		be32_put(cdb + 6, cdb[0] >= 0xa8 ? count : list);
		break;
	}
	if (range_of(cdb, &(uint64_t){ 0 }, &(uint64_t){ 0 }))
		return MIN(MOST, block * (cdb[0] == 0x89 ? cdb[13] * 2u : MAX(count, 1u)));
	return list;
}

static struct request *free_request(void)
{
	for (int i = 0; i < TASKS; i++)
		if (!w.request[i].busy)
			return &w.request[i];
	return NULL;
}

static void start(struct request *r, bool nowhere)
{
	bool over;

	if (nowhere)
		r->lun = LUN_ABSENT;
	look_into_drive();
	r->t.queue = w.queue[r->lun];
	r->t.medium = r->lun == LUN_DVD ? w.medium : NULL;
	r->t.done = on_done;
	r->busy = true;
	note_range(r);
	w.reserved |= r->t.cdb[0] == 0x5f || r->t.cdb[0] == 0x16 || r->t.cdb[0] == 0x56;
	w.mixed |= w.pending++ != 0;
	over = nowhere ? scsi_execute_nowhere(&r->t)
		       : scsi_execute(w.target[r->nexus], r->lun, &r->t);
	if (over) {
		w.pending--;
		finish(r);
	}
}

static void command(struct input *in)
{
	struct request *r = free_request();
	uint8_t who = input_u8(in), how = input_u8(in);
	uint32_t len;

	if (!r)
		return;
	memset(&r->t, 0xa5, sizeof(r->t));
	memset(r->piece, 0, sizeof(r->piece));
	memset(r->t.cdb, 0, SCSI_CDB_LEN);
	r->nexus = who % NEXUSES;
	r->lun = who & 0x80 ? LUN_DISK : who / 4 % LUNS;
	r->t.data_dir = (how & 3) % 3;
	fill_cdb(r, in, how);
	if (!(how & 3)) /* the direction that belongs to it */
		r->t.data_dir = scsi_ops[r->t.cdb[0]].flags & OP_IN ||
						scsi_dvd_ops[r->t.cdb[0]].flags & OP_IN
					? SCSI_DIR_IN
					: SCSI_DIR_OUT;
	len = how & 8 ? input_u16(in) % MOST : make_fitting(r, in);
	fill_buffer(r, in, len, 1 + (who >> 4) % PIECES, who & 0x40 ? SENT : 0);
	start(r, how & 4 && who & 0x40);
}

/* ---- everything else
 * ----------------------------------------------------------------------------- */

static void abort_one(uint8_t i)
{
	struct request *r = &w.request[i % TASKS];
	struct scsi_position at;

	if (!r->busy)
		return;
	scsi_task_position(&r->t, &at);
	INVARIANT(at.name && blk_where_name(at.where));
	if (scsi_task_abort(&r->t))
		INVARIANT(!r->busy);
}

static void inject(struct input *in)
{
	static const int errors[] = { -EIO, -ENOSPC, -EROFS, -ETIMEDOUT, -EILSEQ, -ENOMEM, 0 };
	uint8_t how = input_u8(in);
	struct blk_fault f = { .ops = 1u << how % BLK_OP_COUNT,
			       .error = errors[how / 8 % ARRAY_SIZE(errors)],
			       .times = 1 };

	if (how & 0x80)
		f.delay_us = 1000;
	if (f.error || f.delay_us) /* it does its work and takes it away before it looks */
		blk_dev_fault_add(w.dev[how & 0x40 ? LUN_WIDE : LUN_DISK], &f, NULL);
}

static void on_released(void *ctx, struct blk_dev *dev)
{
	(void)ctx;
	(void)dev;
}

static void change_medium(uint8_t how)
{
	turn_until_idle();
	INVARIANT(!scsi_lun_set_medium(w.lun[LUN_DVD],
				       how % 4 == 0 ? NULL
				       : how & 1    ? w.spare
						    : w.dev[LUN_DVD],
				       on_released, NULL));
}

static void restore(struct input *in)
{
	struct scsi_lun_config cfg = { .type = SCSI_DISK, .dev = w.dev[LUN_DISK] };
	uint8_t how = input_u8(in), state[SCSI_PR_STATE_MAX + 1];
	uint32_t len = w.kept_len;
	struct scsi_lun *l;
	char why[64];

	memcpy(state, w.kept, len);
	if (how & 1) {
		len = how & 2 ? input_u16(in) % sizeof(state) : len;
		memset(state + MIN(len, w.kept_len), 0, sizeof(state) - MIN(len, w.kept_len));
		if (len)
			input_take(in, state + input_u16(in) % len, MIN(len, 1u));
	}
	INVARIANT(!scsi_lun_create(&l, &cfg));
	if (len && scsi_lun_restore(l, state, len, why, sizeof(why)))
		INVARIANT(how & 1 && *why);
	scsi_lun_destroy(l);
}

static void event(uint8_t op, uint8_t what)
{
	struct scsi_target *t = w.target[what % NEXUSES];
	struct scsi_lun_stats st;

	switch (op % 8) {
	case 0:
		scsi_target_reset(t, what & 0x80 ? SCSI_ALL_LUNS : what / 4 % LUNS);
		break;
	case 1:
		scsi_target_lost(t);
		break;
	case 2:
		scsi_lun_unit_attention(w.lun[what / 16 % LUN_ABSENT],
					what % (SCSI_UA_LUNS_CHANGED + 1));
		break;
	case 3:
		abort_one(what);
		break;
	case 4:
		scsi_lun_resized(w.lun[LUN_DISK]);
		break;
	case 5:
		change_medium(what);
		break;
	case 6:
		scsi_lun_note_latency(w.lun[LUN_DISK], what);
		scsi_lun_stats(w.lun[LUN_DISK], &st);
		w.keep_err = what & 1 ? -EIO : 0;
		break;
	default:
		turn_until_idle();
		scsi_target_detach(t, LUN_WIDE);
		INVARIANT(!scsi_target_lun(t, LUN_WIDE));
		INVARIANT(!scsi_target_attach(t, LUN_WIDE, w.lun[LUN_WIDE]));
	}
}

static void step(struct input *in)
{
	uint8_t op = input_u8(in);

	switch (op % 16) {
	case 0:
		event(op / 16, input_u8(in));
		break;
	case 1:
		inject(in);
		break;
	case 2:
		vtime_pass(500000);
		INVARIANT(loop_turn(w.loop, 0) >= 0);
		break;
	case 3:
		if (op >= 0x80)
			restore(in);
		break;
	default:
		command(in);
		if (op < 0xe0) /* mostly one at a time: then everything can be checked */
			turn_until_idle();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	static int silence;

	if (!silence) { /* failures are what we ask for */
		silence = open("/dev/null", O_WRONLY | O_CLOEXEC);
		log_set_fd(silence);
	}
	vtime_enter();
	up();
	for (int i = 0; i < STEPS && in.left; i++)
		step(&in);
	turn_until_idle();
	down();
	vtime_leave();
	return 0;
}
