/* SPDX-License-Identifier: MIT */
/*
 * Life of a partition.
 *
 * Teardown order: the backend stops (no call and no interrupt any more), then the
 * SynIC's timer, then the ports, then the reference to guest memory.
 */
#include "hv-core/partition.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "hv-core/partition_priv.h"

#define DEFAULT_MAX_PORTS 2100u /* every relid, the message connections, and some room */

/* The name may come from the child: only what a terminal shows as one column is kept. */
static void copy_name(char out[32], const char *name)
{
	size_t i;

	for (i = 0; name && name[i] && i < 31; i++)
		out[i] = isascii(name[i]) && isprint((unsigned char)name[i]) ? name[i] : '?';
	out[i] = 0;
}

int hv_partition_create(struct hv_partition **out, struct loop *loop,
			const struct hv_partition_config *cfg, const struct hv_backend_ops *ops,
			void *backend)
{
	static uint32_t last_id;
	struct hv_partition *p;
	size_t size;

	if (!cfg->nr_vps || cfg->nr_vps > HV_MAX_VPS || !cfg->gpa || !ops->raise)
		return -EINVAL;
	size = sizeof(*p) + cfg->nr_vps * sizeof(p->vp[0]);
	size = (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
	p = aligned_alloc(CACHE_LINE, size);
	if (!p)
		return -ENOMEM;
	memset(p, 0, size);
	p->loop = loop;
	p->ops = ops;
	p->backend = backend;
	p->gpa = cfg->gpa;
	p->nr_vps = cfg->nr_vps;
	p->max_ports = cfg->max_ports ? cfg->max_ports : DEFAULT_MAX_PORTS;
	/* Loops of several threads may create partitions; only uniqueness matters. */
	p->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
	copy_name(p->name, cfg->name);
	hv_synic_init(p);
	*out = p;
	return 0;
}

void hv_partition_destroy(struct hv_partition *p)
{
	if (!p)
		return;
	if (p->ops->stop)
		p->ops->stop(p->backend);
	hv_synic_fini(p);
	hv_port_fini(p);
	hv_gpa_put(p->gpa);
	free(p);
}

uint32_t hv_partition_id(const struct hv_partition *p)
{
	return p->id;
}

const char *hv_partition_name(const struct hv_partition *p)
{
	return p->name;
}

const char *hv_partition_kind(const struct hv_partition *p)
{
	return p->ops->kind;
}

uint32_t hv_partition_nr_vps(const struct hv_partition *p)
{
	return p->nr_vps;
}

struct hv_gpa *hv_partition_gpa(struct hv_partition *p)
{
	return p->gpa;
}

struct loop *hv_partition_loop(struct hv_partition *p)
{
	return p->loop;
}

void hv_partition_stats(const struct hv_partition *p, struct hv_partition_stats *out)
{
	*out = p->stats;
	out->ports = p->nr_ports;
	for (uint32_t i = 0; i < p->nr_vps; i++) {
		out->events_raised += load_relaxed(&p->vp[i].raised);
		out->events_coalesced += load_relaxed(&p->vp[i].coalesced);
	}
}
