/* SPDX-License-Identifier: MIT */
/*
 * One table says what calls there are; the checks common to all are made in the
 * order of spec: hypervisor, section 3.3, so handlers see only complete private input.
 */
#include "hv-core/hypercall.h"

#include "hv-core/partition_priv.h"
#include "hv-core/port.h"

/* What every child of ours may do. */
#define GRANTED (HV_PRIV_POST_MESSAGES | HV_PRIV_SIGNAL_EVENTS)

struct call {
	struct hv_partition *p;
	uint64_t control, in;
	const void *block; /* slow input by value; NULL: @in is a GPA */
	uint32_t block_len;
	bool want_fd;
	int fd;
};

union call_input {
	struct hv_post_message_input post_message;
	struct hv_signal_event_input signal_event;
};

static enum hv_status post_message(struct call *c, const union call_input *in)
{
	return hv_port_post_message(c->p, &in->post_message);
}

static enum hv_status signal_event(struct call *c, const union call_input *in)
{
	const struct hv_signal_event_input *e = &in->signal_event;

	if (e->reserved)
		return HV_STATUS_INVALID_PARAMETER;
	return hv_port_signal_event(c->p, e->connection_id, e->flag_number,
				    c->want_fd ? &c->fd : NULL);
}

struct call_desc {
	uint16_t code;
	uint16_t input; /* bytes */
	uint32_t privilege;
	enum hv_status (*handle)(struct call *c, const union call_input *in);
};

/* Calls without a handler exist, but no child is granted their privilege. */
static const struct call_desc calls[] = {
	{ HV_CALL_GET_PARTITION_ID, 0, HV_PRIV_ACCESS_PARTITION_ID, NULL },
	{ HV_CALL_DELETE_PORT, 0, HV_PRIV_CREATE_PORT, NULL },
	{ HV_CALL_DISCONNECT_PORT, 0, HV_PRIV_CONNECT_PORT, NULL },
	{ HV_CALL_POST_MESSAGE, sizeof(struct hv_post_message_input), HV_PRIV_POST_MESSAGES,
	  post_message },
	{ HV_CALL_SIGNAL_EVENT, sizeof(struct hv_signal_event_input), HV_PRIV_SIGNAL_EVENTS,
	  signal_event },
	{ HV_CALL_CREATE_PORT, 0, HV_PRIV_CREATE_PORT, NULL },
	{ HV_CALL_CONNECT_PORT, 0, HV_PRIV_CONNECT_PORT, NULL },
	{ HV_CALL_SIGNAL_EVENT_DIRECT, 0, HV_PRIV_CREATE_PORT, NULL },
	{ HV_CALL_POST_MESSAGE_DIRECT, 0, HV_PRIV_CREATE_PORT, NULL },
	{ HV_CALL_EXT_QUERY_CAPABILITIES, 0, HV_PRIV_EXTENDED_HYPERCALLS, NULL },
};

static const struct call_desc *call_find(uint64_t control)
{
	uint16_t code = control & HV_CALL_CODE_MASK;

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (calls[i].code == code)
			return &calls[i];
	return NULL;
}

/* No call here is a rep call or has a variable header. */
static bool control_ok(const struct call_desc *d, uint64_t control)
{
	if (control &
	    (HV_CALL_RESERVED_MASK | HV_CALL_VARHDR_MASK | HV_CALL_REPS_MASK | HV_CALL_START_MASK))
		return false;
	return !(control & HV_CALL_FAST) || d->input <= sizeof(uint64_t);
}

/* Reads the input once. Registers that a fast call does not define are not looked at. */
static enum hv_status fetch_input(const struct call *c, uint32_t len, union call_input *in)
{
	const void *src;

	if (c->control & HV_CALL_FAST) {
		memcpy(in, &c->in, len);
		return HV_STATUS_SUCCESS;
	}
	if (c->block) {
		if (c->block_len < len)
			return HV_STATUS_INVALID_PARAMETER;
		memcpy(in, c->block, len);
		return HV_STATUS_SUCCESS;
	}
	if (c->in % 8 || c->in % HV_PAGE_SIZE + len > HV_PAGE_SIZE)
		return HV_STATUS_INVALID_ALIGNMENT;
	src = hv_gpa_ptr(c->p->gpa, c->in, len);
	if (!src)
		return HV_STATUS_INVALID_PARAMETER;
	snapshot(in, src, len);
	return HV_STATUS_SUCCESS;
}

static enum hv_status dispatch(struct call *c)
{
	const struct call_desc *d = call_find(c->control);
	union call_input in;
	enum hv_status status;

	if (d && !(d->privilege & GRANTED))
		return HV_STATUS_ACCESS_DENIED;
	if (!d)
		return HV_STATUS_INVALID_HYPERCALL_CODE;
	if (!control_ok(d, c->control))
		return HV_STATUS_INVALID_HYPERCALL_INPUT;
	status = fetch_input(c, d->input, &in);
	return status ? status : d->handle(c, &in);
}

static uint64_t run(struct call *c)
{
	enum hv_status status = dispatch(c);

	if (status != HV_STATUS_SUCCESS && status != HV_STATUS_INSUFFICIENT_BUFFERS)
		c->p->stats.hypercalls_refused++;
	return status; /* [43:32], the reps completed, stay 0 */
}

uint64_t hv_hypercall(struct hv_partition *p, uint64_t control, uint64_t in, uint64_t out)
{
	struct call c = { .p = p, .control = control, .in = in, .fd = -1 };

	(void)out; /* no call that is granted has output */
	return run(&c);
}

uint64_t hv_hypercall_by_value(struct hv_partition *p, uint64_t control, uint64_t in,
			       const void *block, uint32_t len, int *fd)
{
	struct call c = { .p = p,
			  .control = control,
			  .in = in,
			  .block = block,
			  .block_len = len,
			  .want_fd = true,
			  .fd = -1 };
	uint64_t result = run(&c);

	*fd = c.fd;
	return result;
}
