/* SPDX-License-Identifier: MIT */
/*
 * What each service action of PERSISTENT RESERVE OUT does (spec: scsi-target, section 13.4;
 * SPC-4 where that is silent). Functions of a state and a request, no side effects.
 *
 * Choices where SPC-4 leaves or the specification leaves room:
 *   - unregistering what is not registered changes nothing, not even the generation
 *   - a preempting holder keeps its own registration, whatever key it names
 *   - a reservation whose type changes by PREEMPT is news (2A/04) to those who keep theirs
 */
#include "vsp/storvsp/scsi/scsi_pr.h"

#define NOBODY (-1)

int scsi_pr_find(const struct scsi_pr_state *s, const uint8_t *initiator)
{
	for (int i = 0; i < s->n; i++)
		if (!memcmp(s->reg[i].initiator, initiator, SCSI_INITIATOR_LEN))
			return i;
	return NOBODY;
}

bool scsi_pr_is_holder(const struct scsi_pr_state *s, int i)
{
	return i >= 0 && s->type && (scsi_pr_all_type(s->type) || s->holder == i);
}

bool scsi_pr_type_valid(uint8_t type)
{
	return type == PR_WRITE_EXCLUSIVE || type == PR_EXCLUSIVE_ACCESS ||
	       (type >= PR_WRITE_EXCLUSIVE_REGISTRANTS && type <= PR_EXCLUSIVE_ACCESS_ALL);
}

static void tell_others(struct scsi_pr_change *c, int self, enum scsi_ua news)
{
	for (int i = 0; i < c->state.n; i++)
		if (i != self && !c->gone[i])
			c->news[i] = (uint8_t)news;
}

/* Closes the gaps; without registrations there is no reservation either. */
static void drop_gone(struct scsi_pr_change *c)
{
	struct scsi_pr_state *s = &c->state;
	uint16_t kept = 0, holder = 0;

	for (uint16_t i = 0; i < s->n; i++) {
		if (c->gone[i])
			continue;
		if (i == s->holder)
			holder = kept;
		s->reg[kept++] = s->reg[i];
	}
	memset(&s->reg[kept], 0, (s->n - kept) * sizeof(s->reg[0]));
	s->n = kept;
	if (!kept)
		s->type = PR_NONE;
	s->holder = s->type && !scsi_pr_all_type(s->type) ? holder : 0;
}

/* ---- REGISTER ---------------------------------------------------------------------------- */

static void unregister(struct scsi_pr_change *c, int self)
{
	struct scsi_pr_state *s = &c->state;

	c->gone[self] = true;
	if (!scsi_pr_is_holder(s, self) || scsi_pr_all_type(s->type))
		return;
	if (scsi_pr_registrants_type(s->type))
		tell_others(c, self, SCSI_UA_RESERVATIONS_RELEASED);
	s->type = PR_NONE;
}

static uint32_t do_register(struct scsi_pr_change *c, const struct scsi_pr_request *r, int self)
{
	struct scsi_pr_state *s = &c->state;
	struct scsi_pr_reg *reg;

	if (r->action == PR_REGISTER && r->key != (self < 0 ? 0 : s->reg[self].key))
		return SCSI_PR_CONFLICT;
	if (self < 0 && !r->sa_key)
		return 0;
	if (self < 0 && s->n == SCSI_PR_MAX_KEYS)
		return SENSE_REGISTRATIONS_FULL;
	if (!r->sa_key) {
		unregister(c, self);
	} else {
		reg = &s->reg[self < 0 ? s->n++ : self];
		reg->key = r->sa_key;
		reg->all_ports = r->all_ports;
		memcpy(reg->initiator, r->initiator, SCSI_INITIATOR_LEN);
	}
	s->persist = r->persist;
	s->generation++;
	c->changed = true;
	return 0;
}

/* ---- RESERVE, RELEASE, CLEAR ------------------------------------------------------------------
 */

static uint32_t do_reserve(struct scsi_pr_change *c, const struct scsi_pr_request *r, int self)
{
	struct scsi_pr_state *s = &c->state;

	if (s->type)
		return scsi_pr_is_holder(s, self) && s->type == r->type ? 0 : SCSI_PR_CONFLICT;
	s->type = r->type;
	s->holder = scsi_pr_all_type(r->type) ? 0 : (uint16_t)self;
	c->changed = true;
	return 0;
}

static uint32_t do_release(struct scsi_pr_change *c, const struct scsi_pr_request *r, int self)
{
	struct scsi_pr_state *s = &c->state;

	if (!scsi_pr_is_holder(s, self))
		return 0;
	if (s->type != r->type)
		return SENSE_INVALID_RELEASE;
	if (scsi_pr_registrants_type(s->type))
		tell_others(c, self, SCSI_UA_RESERVATIONS_RELEASED);
	s->type = PR_NONE;
	s->holder = 0;
	c->changed = true;
	return 0;
}

static uint32_t do_clear(struct scsi_pr_change *c, const struct scsi_pr_request *r, int self)
{
	(void)r;
	tell_others(c, self, SCSI_UA_RESERVATIONS_PREEMPTED);
	memset(c->gone, true, c->state.n);
	c->state.generation++;
	c->changed = true;
	return 0;
}

/* ---- PREEMPT
 * ------------------------------------------------------------------------------------- */

#define ANY_KEY 0

/* Takes registrations away, @keep's never; false: there was none. */
static bool remove_key(struct scsi_pr_change *c, uint64_t key, int self, int keep)
{
	bool any = false;

	for (int i = 0; i < c->state.n; i++) {
		if (key != ANY_KEY && c->state.reg[i].key != key)
			continue;
		any = true;
		if (i == keep)
			continue;
		c->gone[i] = true;
		if (i != self)
			c->news[i] = SCSI_UA_REGISTRATIONS_PREEMPTED;
	}
	return any;
}

static void take_over(struct scsi_pr_change *c, const struct scsi_pr_request *r, int self)
{
	struct scsi_pr_state *s = &c->state;

	if (s->type != r->type)
		tell_others(c, self, SCSI_UA_RESERVATIONS_RELEASED);
	s->type = r->type;
	s->holder = (uint16_t)self;
}

static uint32_t do_preempt(struct scsi_pr_change *c, const struct scsi_pr_request *r, int self)
{
	struct scsi_pr_state *s = &c->state;
	bool all = scsi_pr_all_type(s->type);

	if (!r->sa_key && !all)
		return SENSE_LIST_FIELD;
	if (all ? !r->sa_key : s->type && s->reg[s->holder].key == r->sa_key) {
		remove_key(c, r->sa_key, self, self);
		take_over(c, r, self);
	} else if (!remove_key(c, r->sa_key, self, NOBODY)) {
		return SCSI_PR_CONFLICT;
	}
	s->generation++;
	c->changed = true;
	return 0;
}

/* ---- all
 * ------------------------------------------------------------------------------------------ */

static const struct action {
	uint32_t (*apply)(struct scsi_pr_change *c, const struct scsi_pr_request *r, int self);
	bool registers; /* checks the key itself */
} actions[] = {
	[PR_REGISTER] = { do_register, true },
	[PR_RESERVE] = { do_reserve, false },
	[PR_RELEASE] = { do_release, false },
	[PR_CLEAR] = { do_clear, false },
	[PR_PREEMPT] = { do_preempt, false },
	[PR_PREEMPT_AND_ABORT] = { do_preempt, false },
	[PR_REGISTER_AND_IGNORE] = { do_register, true },
};

uint32_t scsi_pr_apply(struct scsi_pr_change *c, const struct scsi_pr_state *old,
		       const struct scsi_pr_request *r)
{
	int self = scsi_pr_find(old, r->initiator);
	uint32_t result;

	c->state = *old;
	c->changed = false;
	memset(c->news, SCSI_PR_NO_NEWS, sizeof(c->news));
	memset(c->gone, false, sizeof(c->gone));
	if (!actions[r->action].registers && (self < 0 || old->reg[self].key != r->key))
		return SCSI_PR_CONFLICT;
	result = actions[r->action].apply(c, r, self);
	if (!result)
		drop_gone(c);
	return result;
}
