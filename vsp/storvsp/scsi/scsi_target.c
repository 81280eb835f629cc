/* SPDX-License-Identifier: MIT */
/*
 * A controller's LUN table, and the checks that every command passes before its handler
 * runs, in the order of spec: scsi-target, section 1.
 */
#include <errno.h>
#include <stdlib.h>

#include "vsp/storvsp/scsi/scsi_int.h"

#define BYTE1_DPO_FUA	    0x18
#define BYTE1_ACTION	    0x1f
#define CONTROL_UNSUPPORTED 0x05 /* NACA and LINK */

/* ---- the table -------------------------------------------------------------------- */

/* Until it is named, an initiator is like no other of this process. */
static void name_initiator(struct scsi_target *t)
{
	static uint64_t nameless;
	uint64_t n = __atomic_add_fetch(&nameless, 1, __ATOMIC_RELAXED); /* just a ticket */

	be64_put(t->initiator + SCSI_INITIATOR_LEN - sizeof(n), n);
}

void scsi_target_set_initiator(struct scsi_target *t, const uint8_t *id)
{
	memcpy(t->initiator, id, sizeof(t->initiator));
}

int scsi_target_create(struct scsi_target **out)
{
	struct scsi_target *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	for (int i = 0; i < SCSI_MAX_LUNS; i++)
		t->nexus[i].target = t;
	pthread_mutex_init(&t->abort_lock, NULL);
	name_initiator(t);
	*out = t;
	return 0;
}

void scsi_target_set_abort(struct scsi_target *t,
			   void (*abort)(void *ctx, uint8_t number, struct scsi_fence *f),
			   void *ctx)
{
	pthread_mutex_lock(&t->abort_lock);
	t->abort = abort;
	t->abort_ctx = ctx;
	pthread_mutex_unlock(&t->abort_lock);
}

void scsi_nexus_abort(struct scsi_nexus *n, struct scsi_fence *f)
{
	struct scsi_target *t = n->target;

	pthread_mutex_lock(&t->abort_lock);
	if (t->abort)
		t->abort(t->abort_ctx, (uint8_t)(n - t->nexus), f);
	pthread_mutex_unlock(&t->abort_lock);
}

static void forget_nexus(struct scsi_nexus *n)
{
	struct scsi_nexus **p;

	pthread_mutex_lock(&n->lun->lock);
	for (p = &n->lun->nexuses; *p != n; p = &(*p)->next)
		;
	*p = n->next;
	scsi_reserve_forget(n->lun, n->target);
	pthread_mutex_unlock(&n->lun->lock);
}

void scsi_target_destroy(struct scsi_target *t)
{
	for (int i = 0; i < SCSI_MAX_LUNS; i++)
		if (scsi_target_lun(t, (uint8_t)i))
			forget_nexus(&t->nexus[i]);
	pthread_mutex_destroy(&t->abort_lock);
	free(t);
}

int scsi_target_attach(struct scsi_target *t, uint8_t number, struct scsi_lun *l)
{
	struct scsi_nexus *n;

	if (number >= SCSI_MAX_LUNS)
		return -EINVAL;
	n = &t->nexus[number];
	if (scsi_target_lun(t, number)) /* only the main loop changes that, and that is us */
		return -EEXIST;
	pthread_mutex_lock(&l->lock);
	n->next = l->nexuses;
	l->nexuses = n;
	scsi_update_situation(l, n);
	/* Who takes it for the one before would write to the wrong disk. */
	if (load_relaxed(&n->attentions) & SCSI_NEXUS_UNTOLD)
		scsi_nexus_attention(n, SCSI_UA_LUNS_CHANGED);
	pthread_mutex_unlock(&l->lock);
	store_release(&n->lun, l); /* N1, pairs with N2 in scsi_target_lun() */
	/* N3, pairs with N4 there: who finds the place taken again finds the new LUN. */
	__atomic_fetch_and(&n->attentions, ~(SCSI_NEXUS_GONE | SCSI_NEXUS_UNTOLD),
			   __ATOMIC_RELEASE);
	return 0;
}

void scsi_target_detach(struct scsi_target *t, uint8_t number)
{
	struct scsi_nexus *n = &t->nexus[number];

	if (!scsi_target_lun(t, number))
		return;
	forget_nexus(n);
	/* Instead of all that was about this disk. @n->lun stays, for who has found it already. */
	store_relaxed(&n->attentions, SCSI_NEXUS_GONE | SCSI_NEXUS_UNTOLD);
}

void scsi_target_unit_attention(struct scsi_target *t, enum scsi_ua ua)
{
	for (int i = 0; i < SCSI_MAX_LUNS; i++) {
		struct scsi_lun *l = scsi_target_lun(t, (uint8_t)i);

		if (!l)
			continue;
		pthread_mutex_lock(&l->lock);
		scsi_nexus_attention(&t->nexus[i], ua);
		pthread_mutex_unlock(&l->lock);
	}
}

struct scsi_lun *scsi_target_lun(const struct scsi_target *t, uint8_t number)
{
	const struct scsi_nexus *n = &t->nexus[number & (SCSI_MAX_LUNS - 1)];

	/* The mask must stay: a mispredicted branch could read past the table. */
	__asm__("" : "+r"(n));
	if (number >= SCSI_MAX_LUNS || load_acquire(&n->attentions) & SCSI_NEXUS_GONE) /* N4 */
		return NULL;
	return load_acquire(&n->lun); /* N2 */
}

struct scsi_nexus *scsi_target_nexus(struct scsi_target *t, uint8_t number)
{
	return scsi_target_lun(t, number) ? &t->nexus[number] : NULL;
}

/* ---- decoding ---------------------------------------------------------------------- */

ALWAYS_INLINE struct scsi_cmd decode(const uint8_t *cdb, const struct scsi_op *op)
{
	struct scsi_cmd c = { 0 };

	if (likely(op->layout == CDB_RW10)) /* cheaper than the jump below */
		return (struct scsi_cmd){ .lba = be32_at(cdb + 2), .count = be16_at(cdb + 7) };
	switch ((enum scsi_layout)op->layout) {
	case CDB_RW16:
		c.lba = be64_at(cdb + 2);
		c.count = be32_at(cdb + 10);
		break;
	case CDB_RW12:
		c.lba = be32_at(cdb + 2);
		c.count = be32_at(cdb + 6);
		break;
	case CDB_RW6:
		c.lba = be32_at(cdb) & 0x1fffff;
		c.count = cdb[4] ? cdb[4] : 256;
		break;
	case CDB_LEN8_AT4:
		c.count = cdb[4];
		break;
	case CDB_LEN16_AT3:
		c.count = be16_at(cdb + 3);
		break;
	case CDB_LEN16_AT7:
		c.count = be16_at(cdb + 7);
		break;
	case CDB_LEN32_AT6:
		c.count = be32_at(cdb + 6);
		break;
	case CDB_LEN32_AT10:
		c.count = be32_at(cdb + 10);
		break;
	case CDB_LEN32_AT5:
		c.count = be32_at(cdb + 5);
		break;
	case CDB_RW10:
	case CDB_NONE:
		break;
	}
	return c;
}

/* The row for a CDB, or NULL and a sense code. */
ALWAYS_INLINE const struct scsi_op *find_op(const struct scsi_op *ops, const struct scsi_task *t,
					    uint32_t *sense)
{
	const struct scsi_op *op = &ops[t->cdb[0]];

	*sense = SENSE_OPCODE;
	if (unlikely(!op->name))
		return NULL;
	if (likely(!op->n_actions))
		return op;
	*sense = SENSE_CDB_FIELD;
	for (int i = 0; i < op->n_actions; i++)
		if (op->actions[i].action == (t->cdb[1] & BYTE1_ACTION))
			return &op->actions[i];
	return NULL;
}

/* ---- checks --------------------------------------------------------------------------- */

/* Fields that mean the same in every CDB. @reject: bits of byte 1 that must be 0. */
ALWAYS_INLINE bool fields_ok(const struct scsi_task *t, const struct scsi_op *op, uint8_t reject)
{
	size_t len = op->len;

	if (unlikely(t->cdb_len < len || t->cdb_len > SCSI_CDB_LEN))
		return false;
	if (unlikely((t->cdb[1] & reject) || (t->cdb[len - 1] & CONTROL_UNSUPPORTED)))
		return false;
	return likely(t->data_dir != op->wrong_dir) || !t->data_len;
}

/* Capacity, protection and lengths: sense code or 0. */
ALWAYS_INLINE uint32_t check_medium(const struct scsi_task *t, const struct scsi_lun *l,
				    uint16_t rules, struct scsi_cmd c)
{
	uint64_t blocks = scsi_blocks(l);

	if (rules & OP_MEDIUM)
		return SENSE_NO_MEDIUM;
	/* By subtraction from a known-good bound: lba + count may wrap. */
	if ((rules & OP_RANGE) && unlikely(c.lba > blocks || c.count > blocks - c.lba))
		return SENSE_LBA_RANGE;
	if (rules & OP_WRITES)
		return l->readonly ? SENSE_WRITE_PROTECTED : SENSE_SOFTWARE_PROTECTED;
	if ((rules & OP_BLOCKS) &&
	    unlikely(c.count > l->max_blocks || t->data_len < c.count << l->shift))
		return SENSE_CDB_FIELD;
	if ((rules & OP_LIST) && t->data_len < c.count)
		return SENSE_LIST_LENGTH;
	return 0;
}

/* The checks in their order, then the command. @rules: those of @op that count on this LUN. */
ALWAYS_INLINE bool execute(struct scsi_task *t, const struct scsi_lun *l, const struct scsi_op *op,
			   uint16_t rules)
{
	uint8_t reject = op->reject | (rules & OP_DPOFUA ? BYTE1_DPO_FUA : 0);
	struct scsi_cmd c;
	uint32_t sense;

	if (unlikely(!fields_ok(t, op, reject)))
		return scsi_fail(t, SENSE_CDB_FIELD);
	c = decode(t->cdb, op);
	sense = rules & OP_CHECK ? op->check(t, c) : 0;
	if (likely(!sense))
		sense = check_medium(t, l, rules, c);
	if (unlikely(sense))
		return scsi_fail(t, sense);
	return op->run(t, c);
}

/* ---- dispatch -------------------------------------------------------------------------- */

static void told_that_gone(struct scsi_nexus *n)
{
	/* Relaxed: commands that race with an attach find one disk or the other. */
	if (load_relaxed(&n->attentions) & SCSI_NEXUS_UNTOLD)
		__atomic_fetch_and(&n->attentions, ~SCSI_NEXUS_UNTOLD, __ATOMIC_RELAXED);
}

/* INQUIRY and REPORT LUNS are answered anywhere. @t->nexus is NULL outside path 0, target 0. */
static bool execute_absent(struct scsi_task *t, bool lun0)
{
	const struct scsi_op *op;
	struct scsi_cmd c;
	uint32_t sense;

	t->lun = NULL;
	op = find_op(scsi_ops, t, &sense);
	t->absent = !op || !(op->flags & OP_ANY_LUN);
	if (t->absent) {
		t->status = SCSI_CHECK_CONDITION;
		t->sense_len = 0;
		t->transferred = 0;
		return true;
	}
	if (!fields_ok(t, op, op->reject))
		return scsi_fail(t, SENSE_CDB_FIELD);
	c = decode(t->cdb, op);
	return op->run == scsi_inquiry ? scsi_inquiry_absent(t, c, lun0) : op->run(t, c);
}

bool scsi_execute_nowhere(struct scsi_task *task)
{
	task->nexus = NULL;
	return execute_absent(task, true);
}

#define MOVES_BLOCKS (OP_RANGE | OP_BLOCKS) /* all the rules of READ and WRITE, mostly */

/* An unknown service action of a known opcode is a field, and news come before fields. */
static bool execute_unknown(struct scsi_task *t, uint32_t sense)
{
	uint32_t news = sense == SENSE_OPCODE ? 0 : scsi_nexus_take_attention(t->nexus);

	return scsi_fail(t, news ? news : sense);
}

/* Everything that has other rules, or an initiator that must be told of something first. */
static NOINLINE bool execute_any(struct scsi_task *t)
{
	const struct scsi_op *op;
	uint32_t sense;
	uint16_t rules;

	if (load_relaxed(&t->nexus->attentions) & SCSI_NEXUS_GONE) {
		execute_absent(t, t->nexus == &t->nexus->target->nexus[0]);
		if (t->absent)
			told_that_gone(t->nexus);
		return true;
	}
	op = find_op(t->lun->ops, t, &sense);
	if (!op)
		return execute_unknown(t, sense);
	rules = op->flags & load_relaxed(&t->lun->rules);
	if (rules & OP_THIN)
		return scsi_fail(t, SENSE_OPCODE);
	if (load_relaxed(&t->nexus->attentions) && !(op->flags & OP_QUIET) &&
	    (sense = scsi_nexus_take_attention(t->nexus)) != 0)
		return scsi_fail(t, sense);
	/* S2, pairs with S1: whoever learned of a reservation from its maker is bound by it. */
	if (load_relaxed(&t->nexus->situation) && scsi_conflicts(t->nexus, op, t))
		return scsi_conflict(t);
	return execute(t, t->lun, op, rules);
}

bool scsi_task_execute(struct scsi_task *t, struct scsi_nexus *n)
{
	const struct scsi_op *op = &scsi_ops[t->cdb[0]];
	struct scsi_lun *l = n->lun; /* whoever gave us @n has seen it published */

	__asm__("" : "+r"(op)); /* a pointer, not an index that is scaled again at each use */
	t->nexus = n;
	t->lun = l;
	/*
	 * With its rules known at compile time, most of the checks are not even there. A drive
	 * has rules against OP_MEDIUM and never comes this way: its table is another.
	 */
	if (likely((op->flags & load_relaxed(&l->rules)) == MOVES_BLOCKS &&
		   !load_relaxed(&n->attentions)))
		return execute(t, l, op, MOVES_BLOCKS);
	return execute_any(t);
}

bool scsi_execute(struct scsi_target *target, uint8_t number, struct scsi_task *t)
{
	struct scsi_nexus *n = scsi_target_nexus(target, number);

	if (n)
		return scsi_task_execute(t, n);
	scsi_execute_absent(target, number, t);
	return true;
}

void scsi_execute_absent(struct scsi_target *target, uint8_t number, struct scsi_task *t)
{
	t->nexus = &target->nexus[0]; /* only the way to the table */
	execute_absent(t, number == 0);
	if (t->absent && number < SCSI_MAX_LUNS)
		told_that_gone(&target->nexus[number]);
}
