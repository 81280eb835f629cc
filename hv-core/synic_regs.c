/* SPDX-License-Identifier: MIT */
/*
 * SynIC registers of a VP (spec: hypervisor, sections 2, 4.1 and 4.6). The message
 * and event pages are guest RAM used in place: they are zeroed when the guest
 * enables the register with another page than the last time, and stay readable
 * when it disables it again.
 */
#include <errno.h>

#include "base/nospec.h"
#include "hv-core/partition_priv.h"
#include "hv-core/synic.h"

/*
 * Makes the effective pages visible to the threads that signal. A page they still
 * hold after this is guest RAM all the same; the worst they do is set a flag there.
 */
static void synic_publish(struct hv_vp *v)
{
	bool on = v->scontrol & HV_SCONTROL_ENABLE;

	v->messages = on ? v->simp.page : NULL;
	store_release(&v->events, on ? v->siefp.page : NULL); /* E1 */
}

/*
 * Signals that came too early were refused and lost. Fence S1 pairs with the fence
 * a sender has between publishing its data and signalling: either its signal finds the
 * SynIC open, or the retry callback, which looks at every channel again, finds its data.
 */
static void synic_opened(struct hv_partition *p)
{
	full_fence(); /* S1 */
	hv_synic_run_retry(p);
}

static int page_write(struct hv_partition *p, struct hv_vp *v, struct hv_page_reg *reg,
		      uint64_t value)
{
	uint64_t gpn = value >> HV_PAGE_SHIFT;
	void *page = NULL;

	if (value & HV_SYNIC_PAGE_ENABLE) {
		page = hv_gpa_ptr(p->gpa, gpn << HV_PAGE_SHIFT, HV_PAGE_SIZE);
		if (!page)
			return -EINVAL;
		if (gpn != reg->zeroed_gpn)
			memset(page, 0, HV_PAGE_SIZE);
		reg->zeroed_gpn = gpn;
	}
	reg->value = value;
	if (reg->page == page)
		return 0;
	reg->page = page;
	synic_publish(v);
	if (page)
		synic_opened(p);
	return 0;
}

/* Is there anything the guest was not interrupted for while the SINT was masked? */
static bool sint_has_content(const struct hv_vp *v, uint32_t sint)
{
	const struct hv_event_flags_page *events = v->events;

	if (v->messages && load_relaxed((uint32_t *)(void *)&v->messages->slot[sint]))
		return true;
	for (uint32_t i = 0; events && i < HV_FLAG_COUNT / 32; i++)
		if (load_relaxed(&events->flags[sint][i]))
			return true;
	return false;
}

/*
 * A VP that was reset by another has lost what it was interrupted for, and a flag that is set
 * already interrupts nobody. When it comes back it writes its registers again.
 */
static void remind(struct hv_partition *p, uint32_t vp)
{
	const struct hv_vp *v = &p->vp[vp];
	uint32_t wanted = v->open_sints & ~v->polled_sints;

	for (uint32_t sint = 0; sint < HV_SINT_COUNT; sint++)
		if (wanted & 1u << sint && sint_has_content(v, sint))
			p->ops->raise(p->backend, vp, sint);
}

static int scontrol_write(struct hv_partition *p, uint32_t vp, uint64_t value)
{
	struct hv_vp *v = &p->vp[vp];
	bool was_on = v->scontrol & HV_SCONTROL_ENABLE;

	v->scontrol = value;
	synic_publish(v);
	if (!(value & HV_SCONTROL_ENABLE))
		return 0;
	if (!was_on)
		synic_opened(p);
	remind(p, vp);
	return 0;
}

static int sint_write(struct hv_partition *p, uint32_t vp, uint32_t sint, uint64_t value)
{
	struct hv_vp *v = &p->vp[vp];
	uint32_t bit = 1u << sint;
	bool was_masked = v->sint[sint] & HV_SINT_MASKED;
	bool masked = value & HV_SINT_MASKED;
	bool polled = value & HV_SINT_POLLING;

	/* 0x10000 (vector 0 and masked) is the reset value and always legal. */
	if (!masked && (value & HV_SINT_VECTOR_MASK) < HV_SINT_VECTOR_MIN)
		return -EINVAL;
	v->sint[sint] = value;
	store_relaxed(&v->polled_sints, polled ? v->polled_sints | bit : v->polled_sints & ~bit);
	store_relaxed(&v->open_sints, masked ? v->open_sints & ~bit : v->open_sints | bit);
	if (!was_masked || masked)
		return 0;
	if (!polled && sint_has_content(v, sint))
		p->ops->raise(p->backend, vp, sint);
	synic_opened(p);
	return 0;
}

int hv_synic_write(struct hv_partition *p, uint32_t vp, uint32_t reg, uint64_t value)
{
	struct hv_vp *v;

	if (vp >= p->nr_vps)
		return -EINVAL;
	vp = (uint32_t)index_nospec(vp, p->nr_vps);
	v = &p->vp[vp];
	if (reg >= HV_MSR_SINT0 && reg < HV_MSR_SINT0 + HV_SINT_COUNT)
		return sint_write(p, vp, (uint32_t)index_nospec(reg - HV_MSR_SINT0, HV_SINT_COUNT),
				  value);
	switch (reg) {
	case HV_MSR_SCONTROL:
		return scontrol_write(p, vp, value);
	case HV_MSR_SIEFP:
		return page_write(p, v, &v->siefp, value);
	case HV_MSR_SIMP:
		return page_write(p, v, &v->simp, value);
	case HV_MSR_EOM:
		hv_synic_run_retry(p);
		return 0;
	case HV_MSR_SIRBP:
		return 0;
	default: /* SVERSION is read-only, the rest is not a SynIC register */
		return -EINVAL;
	}
}

int hv_synic_read(struct hv_partition *p, uint32_t vp, uint32_t reg, uint64_t *value)
{
	const struct hv_vp *v;

	if (vp >= p->nr_vps)
		return -EINVAL;
	vp = (uint32_t)index_nospec(vp, p->nr_vps);
	v = &p->vp[vp];
	if (reg >= HV_MSR_SINT0 && reg < HV_MSR_SINT0 + HV_SINT_COUNT) {
		*value = v->sint[index_nospec(reg - HV_MSR_SINT0, HV_SINT_COUNT)];
		return 0;
	}
	switch (reg) {
	case HV_MSR_SCONTROL:
		*value = v->scontrol;
		return 0;
	case HV_MSR_SVERSION:
		*value = HV_SYNIC_VERSION;
		return 0;
	case HV_MSR_SIEFP:
		*value = v->siefp.value;
		return 0;
	case HV_MSR_SIMP:
		*value = v->simp.value;
		return 0;
	case HV_MSR_EOM:
	case HV_MSR_SIRBP:
		*value = 0;
		return 0;
	default:
		return -EINVAL;
	}
}
