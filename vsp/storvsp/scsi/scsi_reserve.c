/* SPDX-License-Identifier: MIT */
/*
 * What a reservation means for everybody's commands, whoever made it, and the old pair
 * RESERVE and RELEASE (spec: scsi-target, sections 13.2 and 13.5).
 *
 * Each nexus carries the one fact about reservations that concerns it, its situation. It
 * is worked out when something changes; a command then costs one look into the matrix.
 * READ and WRITE do not even ask while nothing is in their way: a bit beside the unit
 * attentions, which they look at anyway, says so.
 */
#include "vsp/storvsp/scsi/scsi_pr.h"

enum scsi_situation {
	SIT_FREE,   /* nobody reserved anything */
	SIT_MINE,   /* RESERVE(6) of this nexus */
	SIT_OTHERS, /* of another */
	SIT_OPEN,   /* somebody is registered, and that does not keep this nexus out */
	SIT_WRITE,  /* kept out by a Write Exclusive reservation */
	SIT_ALL,    /* by an Exclusive Access one */
	SITUATIONS,
};

/* clang-format off */
static const char matrix[][SITUATIONS + 1] = {
	/* x: conflict              free, mine, others, open, write, all */
	[ACCESS_MODIFY]     = { '-', '-', 'x', '-', 'x', 'x' },
	[ACCESS_READ]       = { '-', '-', 'x', '-', '-', 'x' },
	[ACCESS_STATUS]     = { '-', '-', 'x', '-', '-', '-' },
	[ACCESS_ALWAYS]     = { '-', '-', '-', '-', '-', '-' },
	[ACCESS_RESERVE]    = { '-', '-', 'x', 'x', 'x', 'x' },
	[ACCESS_RELEASE]    = { '-', '-', '-', 'x', 'x', 'x' },
	[ACCESS_PERSISTENT] = { '-', 'x', 'x', '-', '-', '-' },
};
/* clang-format on */

#define BYTE4_START_OR_PREVENT 0x01

/* Two commands are one thing or another by a bit of their CDB. */
static uint8_t access_of(const struct scsi_op *op, const struct scsi_task *t)
{
	bool bit = t->cdb[4] & BYTE4_START_OR_PREVENT;

	if (op->access == ACCESS_START_STOP)
		return bit ? ACCESS_STATUS : ACCESS_MODIFY;
	if (op->access == ACCESS_PREVENT)
		return bit ? ACCESS_MODIFY : ACCESS_ALWAYS;
	return op->access;
}

bool scsi_conflicts(const struct scsi_nexus *n, const struct scsi_op *op, const struct scsi_task *t)
{
	return matrix[access_of(op, t)][load_relaxed(&n->situation)] == 'x';
}

/* ---- situations ------------------------------------------------------------------------ */

static enum scsi_situation situation_of(const struct scsi_pr *pr, const struct scsi_target *t)
{
	const struct scsi_pr_state *s = &pr->state;
	int i;

	if (pr->reserved_by)
		return pr->reserved_by == t ? SIT_MINE : SIT_OTHERS;
	if (!s->n)
		return SIT_FREE;
	i = scsi_pr_find(s, t->initiator);
	if (!s->type || scsi_pr_is_holder(s, i) || (i >= 0 && scsi_pr_registrants_type(s->type)))
		return SIT_OPEN;
	return scsi_pr_write_type(s->type) ? SIT_WRITE : SIT_ALL;
}

void scsi_update_situation(struct scsi_lun *l, struct scsi_nexus *n)
{
	enum scsi_situation s = situation_of(l->pr, n->target);

	/*
	 * S1, relaxed: the answer to the command that reserved goes through rings and
	 * sockets that order it, so nobody can act on the answer and be missed by S2.
	 */
	store_relaxed(&n->situation, s);
	if (matrix[ACCESS_MODIFY][s] == 'x')
		__atomic_fetch_or(&n->attentions, SCSI_NEXUS_RESERVED, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&n->attentions, ~SCSI_NEXUS_RESERVED, __ATOMIC_RELAXED);
}

void scsi_update_situations(struct scsi_lun *l)
{
	for (struct scsi_nexus *n = l->nexuses; n; n = n->next)
		scsi_update_situation(l, n);
}

/* ---- RESERVE, RELEASE --------------------------------------------------------------------- */

bool scsi_reserve(struct scsi_task *t, struct scsi_cmd c)
{
	struct scsi_pr *pr = t->lun->pr;
	struct scsi_target *me = t->nexus->target;
	bool ok;

	(void)c;
	pthread_mutex_lock(&t->lun->lock);
	/* Again: of two loops that came past the dispatcher together, one wins here. */
	ok = !pr->state.n && !pr->saving && (!pr->reserved_by || pr->reserved_by == me);
	if (ok) {
		pr->reserved_by = me;
		scsi_update_situations(t->lun);
	}
	pthread_mutex_unlock(&t->lun->lock);
	return ok ? scsi_good(t, 0) : scsi_conflict(t);
}

/* Whoever releases what is not his has done nothing. */
bool scsi_release(struct scsi_task *t, struct scsi_cmd c)
{
	(void)c;
	pthread_mutex_lock(&t->lun->lock);
	scsi_reserve_forget(t->lun, t->nexus->target);
	pthread_mutex_unlock(&t->lun->lock);
	return scsi_good(t, 0);
}

void scsi_reserve_forget(struct scsi_lun *l, const struct scsi_target *t)
{
	if (l->pr->reserved_by != t)
		return;
	l->pr->reserved_by = NULL;
	scsi_update_situations(l);
}

/* ---- resets, loss --------------------------------------------------------------------------- */

void scsi_target_lost(struct scsi_target *t)
{
	for (uint32_t i = 0; i < SCSI_MAX_LUNS; i++) {
		struct scsi_lun *l = scsi_target_lun(t, (uint8_t)i);

		/* It will ask anew for the LUNs that there are. */
		__atomic_fetch_and(&t->nexus[i].attentions,
				   ~(SCSI_NEXUS_UNTOLD | 1u << SCSI_UA_LUNS_CHANGED),
				   __ATOMIC_RELAXED);
		if (!l)
			continue;
		pthread_mutex_lock(&l->lock);
		scsi_reserve_forget(l, t);
		t->nexus[i].prevents = false;
		pthread_mutex_unlock(&l->lock);
	}
}

/*
 * Who resets knows it. Of the others only those learn it from whom something was taken: their
 * commands go on, and a guest that resets all day must not fail its neighbours' I/O, whose
 * drivers count the attentions they get for one request.
 */
static void reset_nexus(struct scsi_nexus *n, const struct scsi_target *by, bool reserved)
{
	bool lost = reserved || n->prevents;

	n->prevents = false;
	if (lost && n->target != by)
		scsi_nexus_attention(n, SCSI_UA_BUS_DEVICE_RESET);
}

static void reset_lun(struct scsi_lun *l, const struct scsi_target *by)
{
	const struct scsi_target *owner;

	pthread_mutex_lock(&l->lock);
	owner = l->pr->reserved_by;
	if (owner)
		scsi_reserve_forget(l, owner);
	for (struct scsi_nexus *n = l->nexuses; n; n = n->next)
		reset_nexus(n, by, n->target == owner);
	pthread_mutex_unlock(&l->lock);
}

void scsi_target_reset(struct scsi_target *t, uint8_t number)
{
	for (uint32_t i = 0; i < SCSI_MAX_LUNS; i++) {
		struct scsi_lun *l = scsi_target_lun(t, (uint8_t)i);

		if (l && (number == SCSI_ALL_LUNS || number == i))
			reset_lun(l, t);
	}
}
