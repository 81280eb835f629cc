/* SPDX-License-Identifier: MIT */
/*
 * PERSISTENT RESERVE IN and OUT (spec: scsi-target, sections 13.3 and 13.4).
 *
 * A change that has to survive a restart is worked out, given to the LUN's keeper, and only
 * takes effect when the keeper has it: a failure leaves everything as it was, also on the
 * medium. Meanwhile other PERSISTENT RESERVE OUT commands of the LUN are told BUSY.
 *
 * PREEMPT AND ABORT takes effect first, so that nothing new of the removed initiators comes
 * through, and is answered when nothing old of them can change the medium any more: what the
 * engine still has is taken back, what the kernel has is waited for, on whatever loops it runs.
 * If that takes too long the registrations are gone all the same, but the answer is no GOOD.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "vsp/storvsp/scsi/scsi_pr.h"

int scsi_pr_create(struct scsi_lun *l, const struct scsi_pr_keeper *keeper)
{
	l->pr = calloc(1, sizeof(*l->pr));
	if (!l->pr)
		return -ENOMEM;
	if (keeper)
		l->pr->keeper = *keeper;
	return 0;
}

void scsi_pr_destroy(struct scsi_lun *l)
{
	free(l->pr);
}

int scsi_lun_restore(struct scsi_lun *l, const void *state, uint32_t len, char *why, size_t whylen)
{
	struct scsi_pr_state s;
	const char *wrong = scsi_pr_decode(&s, state, len);

	if (wrong) {
		snprintf(why, whylen, "%s", wrong);
		return -EINVAL;
	}
	l->pr->state = s;
	return 0;
}

/* ---- PERSISTENT RESERVE IN ---------------------------------------------------------------- */

#define REG_STATUS_LEN	 48 /* one registration in READ FULL STATUS */
#define TRANSPORT_ID_LEN 24
#define RELATIVE_PORT	 1

/* The parameter data of an action, which is then as long as its additional length says. */
static bool answer(struct scsi_task *t, struct scsi_cmd c,
		   uint32_t (*fill)(const struct scsi_pr_state *s, uint8_t *p))
{
	uint8_t p[8 + SCSI_PR_MAX_KEYS * REG_STATUS_LEN];
	const struct scsi_pr_state *s = &t->lun->pr->state;
	uint32_t len;

	pthread_mutex_lock(&t->lun->lock);
	be32_put(p, s->generation);
	len = fill(s, p + 8);
	pthread_mutex_unlock(&t->lun->lock);
	be32_put(p + 4, len);
	return scsi_data_in(t, p, 8 + len, c.count);
}

static uint32_t put_keys(const struct scsi_pr_state *s, uint8_t *p)
{
	for (int i = 0; i < s->n; i++)
		be64_put(p + 8 * i, s->reg[i].key);
	return 8u * s->n;
}

static uint32_t put_reservation(const struct scsi_pr_state *s, uint8_t *p)
{
	if (!s->type)
		return 0;
	memset(p, 0, 16);
	be64_put(p, scsi_pr_all_type(s->type) ? 0 : s->reg[s->holder].key);
	p[13] = s->type; /* scope: LU_SCOPE, 0 */
	return 16;
}

/* The form of SAS: an NAA name, here locally assigned, made from the initiator's id. */
static void put_transport_id(uint8_t *p, const uint8_t *initiator)
{
	p[0] = 0x06;
	memcpy(p + 4, initiator, 8);
	for (int i = 0; i < 8; i++)
		p[4 + i] ^= initiator[8 + i];
	p[4] = (p[4] & 0x0f) | 0x30;
}

static uint32_t put_full_status(const struct scsi_pr_state *s, uint8_t *p)
{
	memset(p, 0, (size_t)s->n * REG_STATUS_LEN);
	for (int i = 0; i < s->n; i++, p += REG_STATUS_LEN) {
		const struct scsi_pr_reg *r = &s->reg[i];
		bool holder = scsi_pr_is_holder(s, i);

		be64_put(p, r->key);
		p[12] = (uint8_t)((r->all_ports ? 0x02 : 0) | (holder ? 0x01 : 0));
		p[13] = holder ? s->type : 0;
		be16_put(p + 18, r->all_ports ? 0 : RELATIVE_PORT);
		be32_put(p + 20, TRANSPORT_ID_LEN);
		put_transport_id(p + 24, r->initiator);
	}
	return (uint32_t)s->n * REG_STATUS_LEN;
}

bool scsi_pr_in_keys(struct scsi_task *t, struct scsi_cmd c)
{
	return answer(t, c, put_keys);
}

bool scsi_pr_in_reservation(struct scsi_task *t, struct scsi_cmd c)
{
	return answer(t, c, put_reservation);
}

bool scsi_pr_in_full_status(struct scsi_task *t, struct scsi_cmd c)
{
	return answer(t, c, put_full_status);
}

bool scsi_pr_in_capabilities(struct scsi_task *t, struct scsi_cmd c)
{
	/* ATP_C; TMV; WR_EX_AR EX_AC_RO WR_EX_RO EX_AC WR_EX; EX_AC_AR */
	uint8_t p[8] = { 0, 8, 0x04, 0x80, 0xea, 0x01 };
	struct scsi_pr *pr = t->lun->pr;

	pthread_mutex_lock(&t->lun->lock);
	if (pr->keeper.save) {
		p[2] |= 0x01; /* PTPL_C */
		p[3] |= pr->state.persist ? 0x01 : 0;
	}
	pthread_mutex_unlock(&t->lun->lock);
	return scsi_data_in(t, p, sizeof(p), c.count);
}

/* ---- PERSISTENT RESERVE OUT: the parameter list ------------------------------------------------
 */

#define LIST_LEN  24
#define SPEC_I_PT 0x08 /* byte 20 */
#define ALL_TG_PT 0x04
#define APTPL	  0x01

struct parameter_list {
	be64 key, sa_key;
	uint8_t obsolete[4];
	uint8_t flags;
	uint8_t reserved[3];
} PACKED;
WIRE_SIZE(struct parameter_list, LIST_LEN);

/* Sense code or 0. */
static uint32_t parse(const struct scsi_task *t, struct scsi_cmd c, struct scsi_pr_request *r)
{
	struct parameter_list list;

	*r = (struct scsi_pr_request){
		.action = t->cdb[1] & 0x1f,
		.type = t->cdb[2] & 0x0f,
		.initiator = t->nexus->target->initiator,
	};
	if ((r->action == PR_RESERVE || r->action == PR_RELEASE || r->action == PR_PREEMPT ||
	     r->action == PR_PREEMPT_AND_ABORT) &&
	    (t->cdb[2] >> 4 || !scsi_pr_type_valid(r->type)))
		return SENSE_CDB_FIELD;
	if (c.count != LIST_LEN || iov_to_buf(t->iov, t->niov, 0, &list, LIST_LEN) != LIST_LEN)
		return SENSE_LIST_LENGTH;
	r->key = be64_get(list.key);
	r->sa_key = be64_get(list.sa_key);
	r->persist = list.flags & APTPL;
	r->all_ports = list.flags & ALL_TG_PT;
	if ((list.flags & SPEC_I_PT) || (r->persist && !t->lun->pr->keeper.save))
		return SENSE_LIST_FIELD;
	return 0;
}

/* ---- PERSISTENT RESERVE OUT: the change
 * ------------------------------------------------------------ */

/* What change() may say beside the results of scsi_pr_apply(). */
#define PR_BUSY (UINT32_MAX - 1)
#define PR_SAVE (UINT32_MAX - 2)

/* A change on its way. */
struct pending {
	struct scsi_pr_change change;
	struct scsi_task *task;
	bool aborts;
	struct scsi_fence fence; /* what it aborts */
	bool answered;		 /* by the keeper, inside its save() */
	bool waiting;		 /* save() is over and nothing has come yet */
	int err;
	uint8_t bytes[SCSI_PR_STATE_MAX];
};

/* Behind the new situations: what a channel lets through from now on is bound by them. */
static void abort_removed(struct scsi_lun *l, struct scsi_fence *f)
{
	for (struct scsi_nexus *n = l->nexuses; n; n = n->next) {
		if (n->aborted)
			scsi_nexus_abort(n, f);
		n->aborted = false;
	}
}

/* Under the LUN's lock: the new state is the state, and who has to know is told. */
static void commit(struct scsi_lun *l, struct pending *p)
{
	const struct scsi_pr_change *c = &p->change;

	for (struct scsi_nexus *n = l->nexuses; n; n = n->next) {
		int i = scsi_pr_find(&l->pr->state, n->target->initiator);

		if (i < 0)
			continue;
		n->aborted = c->gone[i] && p->aborts;
		if (n->target == p->task->nexus->target)
			continue;
		if (c->news[i] != SCSI_PR_NO_NEWS)
			scsi_nexus_attention(n, c->news[i]);
		if (n->aborted)
			scsi_nexus_attention(n, SCSI_UA_COMMANDS_CLEARED);
	}
	l->pr->state = c->state;
	scsi_update_situations(l);
	abort_removed(l, &p->fence);
}

static bool finish(struct pending *p, int err)
{
	struct scsi_task *t = p->task;
	struct scsi_lun *l = t->lun;

	scsi_scratch_put(l, p, sizeof(*p));
	if (!err)
		return scsi_good(t, LIST_LEN);
	if (err == -EAGAIN)
		return scsi_busy(t);
	log_ratelimited(LOG_ERROR, "disk %s: its reservations could not be stored: %s", l->serial,
			strerror(-err));
	return scsi_fail(t, SENSE_TARGET_FAILURE);
}

static bool finish_aborted(struct pending *p)
{
	struct scsi_task *t = p->task;
	bool failed = p->fence.failed;

	if (!failed)
		return finish(p, 0);
	scsi_scratch_put(t->lun, p, sizeof(*p));
	log_ratelimited(LOG_ERROR,
			"disk %s: PREEMPT AND ABORT removed an initiator whose commands are stuck: "
			"they may still reach the medium",
			t->lun->serial);
	return scsi_fail(t, SENSE_TARGET_FAILURE);
}

static void fence_over(struct loop_call *call)
{
	struct scsi_task *t = container_of(call, struct scsi_task, call);

	/* Who posted is out of our queue's loop before the task can end. */
	pthread_mutex_lock(&t->lun->lock);
	pthread_mutex_unlock(&t->lun->lock);
	if (finish_aborted(t->scratch))
		t->done(t);
}

/* On any thread. */
static void fence_passed(struct scsi_fence *f)
{
	struct scsi_task *t = container_of(f, struct pending, fence)->task;
	struct scsi_lun *l = t->lun;

	pthread_mutex_lock(&l->lock);
	t->call.fn = fence_over;
	blk_queue_post(t->queue, &t->call);
	pthread_mutex_unlock(&l->lock);
}

/* The change has taken effect. */
static bool finish_changed(struct pending *p)
{
	p->task->scratch = p;
	return scsi_fence_last(&p->fence) && finish_aborted(p);
}

static bool finish_saved(struct pending *p)
{
	struct scsi_lun *l = p->task->lun;

	pthread_mutex_lock(&l->lock);
	l->pr->saving = false;
	if (!p->err)
		commit(l, p);
	pthread_mutex_unlock(&l->lock);
	return p->err ? finish(p, p->err) : finish_changed(p);
}

static void saved(void *arg, int err)
{
	struct pending *p = arg;
	struct scsi_task *t = p->task;

	p->err = err;
	p->answered = true;
	if (p->waiting && finish_saved(p))
		t->done(t);
}

/* A state that nobody asked to keep is only written to take the place of one that was. */
static bool save(struct pending *p)
{
	const struct scsi_pr_keeper *k = &p->task->lun->pr->keeper;

	k->save(k->ctx, p->bytes, scsi_pr_encode(&p->change.state, p->bytes), saved, p);
	if (p->answered)
		return finish_saved(p);
	p->waiting = true;
	return false;
}

/* Under the LUN's lock: does it, unless it has to be saved first. */
static uint32_t change(struct pending *p, const struct scsi_pr_request *r)
{
	struct scsi_lun *l = p->task->lun;
	struct scsi_pr *pr = l->pr;
	uint32_t result;

	/* Again: the dispatcher saw the situation of a moment ago. */
	if (pr->reserved_by)
		return SCSI_PR_CONFLICT;
	if (pr->saving)
		return PR_BUSY;
	result = scsi_pr_apply(&p->change, &pr->state, r);
	if (result)
		return result;
	pr->saving = p->change.changed && (pr->state.persist || p->change.state.persist);
	if (pr->saving)
		return PR_SAVE;
	commit(l, p);
	return 0;
}

bool scsi_pr_out(struct scsi_task *t, struct scsi_cmd c)
{
	struct scsi_pr_request r;
	struct pending *p;
	uint32_t result = parse(t, c, &r);

	if (result)
		return scsi_fail(t, result);
	p = scsi_scratch_get(t->lun, sizeof(*p));
	if (!p)
		return scsi_task_set_full(t);
	p->task = t;
	p->aborts = r.action == PR_PREEMPT_AND_ABORT;
	p->answered = p->waiting = false;
	scsi_fence_init(&p->fence, fence_passed);
	pthread_mutex_lock(&t->lun->lock);
	result = change(p, &r);
	pthread_mutex_unlock(&t->lun->lock);
	if (!result)
		return finish_changed(p);
	if (result == PR_SAVE)
		return save(p);
	scsi_scratch_put(t->lun, p, sizeof(*p));
	if (result == PR_BUSY)
		return scsi_busy(t);
	return result == SCSI_PR_CONFLICT ? scsi_conflict(t) : scsi_fail(t, result);
}
