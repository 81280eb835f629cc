/* SPDX-License-Identifier: MIT */
/* See the header. Interrupts are counted under a mutex, so a guest thread can sleep on them. */
#include "tests/fake/fake_partition.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "hv-core/guest.h"
#include "hv-core/hypercall.h"
#include "hv-core/port.h"
#include "hv-core/synic.h"

struct fake_vp {
	uint64_t interrupts; /* under lock */
	struct hv_message_page *messages;
	struct hv_event_flags_page *events;
};

struct fake_partition {
	struct hv_partition *p;
	struct hv_gpa *gpa;
	uint64_t memory, next_gpa, input_gpa;
	bool stopped;
	pthread_mutex_t lock;
	pthread_cond_t interrupted;
	struct fake_vp vp[HV_MAX_VPS];
};

static void fake_raise(void *backend, uint32_t vp, uint32_t sint)
{
	struct fake_partition *f = backend;

	assert(sint < HV_SINT_COUNT);
	pthread_mutex_lock(&f->lock);
	assert(!f->stopped);
	f->vp[vp].interrupts++;
	pthread_cond_broadcast(&f->interrupted);
	pthread_mutex_unlock(&f->lock);
}

static void fake_stop(void *backend)
{
	struct fake_partition *f = backend;

	pthread_mutex_lock(&f->lock);
	f->stopped = true;
	pthread_mutex_unlock(&f->lock);
}

static const struct hv_backend_ops fake_ops = {
	.kind = "fake",
	.raise = fake_raise,
	.stop = fake_stop,
};

static int make_ram(struct hv_gpa **out, uint64_t memory)
{
	struct hv_gpa *g;
	int fd, err;

	fd = hv_memfd_create("fake-guest", memory);
	if (fd < 0)
		return fd;
	err = hv_gpa_create(&g);
	if (err)
		goto close_fd;
	err = hv_gpa_add_ram(g, 0, memory, fd, 0);
	if (err)
		hv_gpa_put(g);
	else
		*out = g;
close_fd:
	close(fd);
	return err;
}

int fake_partition_create(struct fake_partition **out, struct loop *loop, uint32_t nr_vps,
			  uint64_t memory)
{
	struct hv_partition_config cfg = { .name = "fake", .nr_vps = nr_vps };
	struct fake_partition *f;
	int err;

	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->interrupted, NULL);
	err = make_ram(&f->gpa, memory);
	if (err)
		goto free_fake;
	cfg.gpa = f->gpa;
	err = hv_partition_create(&f->p, loop, &cfg, &fake_ops, f);
	if (err)
		goto put_gpa;
	f->memory = memory;
	f->next_gpa = HV_PAGE_SIZE; /* GPA 0 would hide forgotten fields */
	f->input_gpa = fake_guest_alloc(f, 1);
	*out = f;
	return 0;

put_gpa:
	hv_gpa_put(f->gpa);
free_fake:
	free(f);
	return err;
}

void fake_partition_destroy(struct fake_partition *f)
{
	if (!f)
		return;
	hv_partition_destroy(f->p);
	pthread_cond_destroy(&f->interrupted);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

struct hv_partition *fake_partition(struct fake_partition *f)
{
	return f->p;
}

void *fake_guest_ptr(struct fake_partition *f, uint64_t gpa)
{
	return hv_gpa_ptr(f->gpa, gpa, 1);
}

uint64_t fake_guest_alloc(struct fake_partition *f, uint32_t npages)
{
	uint64_t gpa = f->next_gpa;

	if (npages > (f->memory - gpa) / HV_PAGE_SIZE) {
		fprintf(stderr, "fake_guest_alloc: %u pages do not fit\n", npages);
		abort();
	}
	f->next_gpa += (uint64_t)npages * HV_PAGE_SIZE;
	return gpa;
}

void fake_guest_enable(struct fake_partition *f, uint32_t vp)
{
	uint64_t simp = fake_guest_alloc(f, 1), siefp = fake_guest_alloc(f, 1);
	int err = 0;

	err |= fake_guest_wrmsr(f, vp, HV_MSR_SIMP, simp | HV_SYNIC_PAGE_ENABLE);
	err |= fake_guest_wrmsr(f, vp, HV_MSR_SIEFP, siefp | HV_SYNIC_PAGE_ENABLE);
	err |= fake_guest_wrmsr(f, vp, HV_MSR_SINT0 + HV_VMBUS_SINT, 0xf3);
	err |= fake_guest_wrmsr(f, vp, HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
	assert(!err);
	(void)err;
	f->vp[vp].messages = fake_guest_ptr(f, simp);
	f->vp[vp].events = fake_guest_ptr(f, siefp);
}

int fake_guest_wrmsr(struct fake_partition *f, uint32_t vp, uint32_t msr, uint64_t value)
{
	return hv_synic_write(f->p, vp, msr, value);
}

int fake_guest_rdmsr(struct fake_partition *f, uint32_t vp, uint32_t msr, uint64_t *value)
{
	return hv_synic_read(f->p, vp, msr, value);
}

uint64_t fake_guest_hypercall(struct fake_partition *f, uint64_t control, uint64_t in, uint64_t out)
{
	return hv_hypercall(f->p, control, in, out);
}

enum hv_status fake_guest_post_message(struct fake_partition *f, uint32_t connection_id,
				       uint32_t type, const void *payload, uint32_t len)
{
	struct hv_post_message_input *in = fake_guest_ptr(f, f->input_gpa);

	memset(in, 0, sizeof(*in));
	in->connection_id = connection_id;
	in->message_type = type;
	in->payload_size = len;
	memcpy(in->payload, payload, len < HV_MSG_PAYLOAD ? len : HV_MSG_PAYLOAD);
	return hv_hypercall(f->p, HV_CALL_POST_MESSAGE, f->input_gpa, 0) & 0xffff;
}

enum hv_status fake_guest_signal(struct fake_partition *f, uint32_t connection_id)
{
	return hv_hypercall(f->p, HV_CALL_SIGNAL_EVENT | HV_CALL_FAST, connection_id, 0) & 0xffff;
}

uint64_t fake_guest_interrupts(struct fake_partition *f, uint32_t vp)
{
	uint64_t n;

	pthread_mutex_lock(&f->lock);
	n = f->vp[vp].interrupts;
	pthread_mutex_unlock(&f->lock);
	return n;
}

bool fake_guest_wait(struct fake_partition *f, uint32_t vp, uint64_t seen)
{
	struct timespec deadline;
	bool more;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 5;
	pthread_mutex_lock(&f->lock);
	while (f->vp[vp].interrupts <= seen)
		if (pthread_cond_timedwait(&f->interrupted, &f->lock, &deadline) == ETIMEDOUT)
			break;
	more = f->vp[vp].interrupts > seen;
	pthread_mutex_unlock(&f->lock);
	return more;
}

bool fake_guest_take_message(struct fake_partition *f, uint32_t vp, struct hv_message *out,
			     bool *eom)
{
	bool due = false, taken = false;

	if (f->vp[vp].messages)
		taken = hv_guest_take_message(&f->vp[vp].messages->slot[HV_VMBUS_SINT], out, &due);
	if (eom)
		*eom = due;
	else if (due)
		fake_guest_wrmsr(f, vp, HV_MSR_EOM, 0);
	return taken;
}

bool fake_guest_take_event(struct fake_partition *f, uint32_t vp, uint32_t flag)
{
	uint32_t bit = 1u << flag % 32;

	if (!f->vp[vp].events)
		return false;
	return __atomic_fetch_and(&f->vp[vp].events->flags[HV_VMBUS_SINT][flag / 32], ~bit,
				  __ATOMIC_ACQ_REL) &
	       bit;
}

struct take_ctx {
	void (*fn)(void *ctx, uint32_t flag);
	void *ctx;
	uint32_t n;
};

static void take_one(void *arg, uint32_t flag)
{
	struct take_ctx *t = arg;

	t->n++;
	if (t->fn)
		t->fn(t->ctx, flag);
}

uint32_t fake_guest_take_events(struct fake_partition *f, uint32_t vp,
				void (*fn)(void *ctx, uint32_t flag), void *ctx)
{
	struct take_ctx t = { fn, ctx, 0 };

	if (f->vp[vp].events)
		hv_guest_take_events(f->vp[vp].events->flags[HV_VMBUS_SINT], take_one, &t);
	return t.n;
}

struct hv_message_page *fake_guest_messages(struct fake_partition *f, uint32_t vp)
{
	return f->vp[vp].messages;
}

struct hv_event_flags_page *fake_guest_events(struct fake_partition *f, uint32_t vp)
{
	return f->vp[vp].events;
}
