/* SPDX-License-Identifier: MIT */
/*
 * The state of a root as JSON: what `hvbus inspect` shows.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmwp/root_priv.h"

#define I(x) json_integer((json_int_t)(x))

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static json_t *text(const char *s)
{
	return s ? json_string(s) : json_null();
}

/* Without a file for its seed, jansson would take one that can be guessed. */
void inspect_prepare(void)
{
	json_object_seed(0);
}

static json_t *landlock_json(int abi)
{
	char version[16];

	if (!abi)
		return text("not in this kernel");
	snprintf(version, sizeof(version), "abi %d", abi);
	return text(version);
}

static json_t *sandbox_json(const struct sandbox_state *s)
{
	json_t *o = json_object();

	set(o, "no_new_privs", json_boolean(s->no_new_privs));
	set(o, "capabilities", text(s->no_capabilities ? "none" : "kept"));
	set(o, "seccomp", text(!s->calls_filtered ? "off" : s->mode == SANDBOX_LOG ? "log" : "on"));
	set(o, "landlock", s->mode == SANDBOX_OFF ? text("off") : landlock_json(s->landlock_abi));
	set(o, "max_fds", s->max_fds ? I(s->max_fds) : json_null());
	return o;
}

static json_t *root_json(struct root *r)
{
	json_t *o = json_object();
	struct loop_stats ls;

	loop_stats(r->loop, &ls);
	set(o, "pid", I(getpid()));
	set(o, "socket", text(r->socket));
	set(o, "uptime_s", json_real((double)(clock_ns() - r->start_ns) / 1e9));
	set(o, "loop", text(loop_engine_name(r->loop)));
	set(o, "io_threads", I(r->nr_io));
	set(o, "sandbox", sandbox_json(&r->sandbox));
	set(o, "turns", I(ls.turns));
	set(o, "sleeps", I(ls.sleeps));
	set(o, "partitions_now", I(r->nr_guests));
	set(o, "partitions_served", I(r->nr_served));
	return o;
}

static void add_channel(void *ctx, const struct vmbus_channel_info *c)
{
	json_t *o = json_object();

	set(o, "device", text(c->device));
	set(o, "sub_channel", I(c->sub));
	set(o, "relid", I(c->relid));
	set(o, "target_vp", I(c->target_vp));
	set(o, "state", text(c->state));
	if (c->open) {
		set(o, "in_used", I(c->stats.in_used));
		set(o, "in_size", I(c->stats.in_size));
		set(o, "out_used", I(c->stats.out_used));
		set(o, "out_size", I(c->stats.out_size));
		set(o, "packets_in", I(c->stats.packets_in));
		set(o, "packets_out", I(c->stats.packets_out));
		set(o, "signals_sent", I(c->stats.signals_sent));
		set(o, "signals_suppressed", I(c->stats.signals_suppressed));
		set(o, "fault", text(c->stats.fault));
	}
	json_array_append_new(ctx, o);
}

static json_t *controller_json(const struct storvsp *s, uint32_t index)
{
	json_t *o = json_object();
	struct storvsp_stats st;
	char version[16];

	storvsp_stats(s, &st);
	snprintf(version, sizeof(version), "%u.%u", st.version >> 8, st.version & 0xff);
	set(o, "controller", I(index));
	set(o, "state", text(st.state));
	set(o, "version", st.version ? text(version) : json_null());
	set(o, "channels_open", I(st.channels));
	set(o, "requests", I(st.requests));
	set(o, "rejected", I(st.rejected));
	set(o, "in_flight", I(st.in_flight));
	set(o, "max_in_flight", I(st.max_in_flight));
	set(o, "oldest_us", I(st.oldest_ns / 1000));
	set(o, "latency_mean_us",
	    json_real(st.latency_count ? (double)st.latency_ns_sum / (double)st.latency_count / 1e3
				       : 0));
	set(o, "latency_max_us", I(st.latency_ns_max / 1000));
	return o;
}

static json_t *bus_json(const struct vmbus_bus *bus)
{
	json_t *o = json_object();
	struct vmbus_server_stats st;
	char version[16];

	vmbus_server_stats(bus, &st);
	snprintf(version, sizeof(version), "%u.%u", st.version >> 16, st.version & 0xffff);
	set(o, "state", text(st.state));
	set(o, "version", st.version ? text(version) : json_null());
	set(o, "messages_in", I(st.messages_in));
	set(o, "messages_out", I(st.messages_out));
	set(o, "dropped", I(st.dropped));
	set(o, "last_drop", text(st.last_drop));
	set(o, "gpadls", I(st.gpadls));
	set(o, "gpadl_pages", I(st.gpadl_pages));
	return o;
}

static json_t *guest_json(struct guest *g)
{
	json_t *o = json_object(), *controllers = json_array(), *channels = json_array();
	struct hv_partition_stats ps;
	uint32_t i;

	hv_partition_stats(g->partition, &ps);
	set(o, "id", I(hv_partition_id(g->partition)));
	set(o, "name", text(hv_partition_name(g->partition)));
	set(o, "kind", text(hv_partition_kind(g->partition)));
	set(o, "pid", I(hv_proc_pid(g->proc)));
	set(o, "state", text(g->ending ? "ending" : "running"));
	set(o, "age_s", json_real((double)(clock_ns() - g->since_ns) / 1e9));
	set(o, "vps", I(hv_partition_nr_vps(g->partition)));
	set(o, "memory", I(hv_gpa_ram_bytes(hv_partition_gpa(g->partition))));
	set(o, "events_raised", I(ps.events_raised));
	set(o, "events_coalesced", I(ps.events_coalesced));
	set(o, "hypercalls_refused", I(ps.hypercalls_refused));
	set(o, "bus", bus_json(g->bus));
	for (i = 0; i < ROOT_MAX_CONTROLLERS; i++) {
		if (g->ctl[i])
			json_array_append_new(controllers, controller_json(g->ctl[i], i));
	}
	vmbus_server_channels(g->bus, add_channel, channels);
	set(o, "controllers", controllers);
	set(o, "channels", channels);
	return o;
}

/* Over all partitions that see the disk. */
static uint64_t oldest_us(const struct root *r, const struct disk *k)
{
	uint64_t ns, oldest = 0;

	for (const struct guest *g = r->guests; g; g = g->next) {
		ns = g->ctl[k->controller] ? storvsp_oldest_ns(g->ctl[k->controller], k->number)
					   : 0;
		oldest = ns > oldest ? ns : oldest;
	}
	return oldest / 1000;
}

static json_t *disk_json(const struct root *r, const struct disk *k)
{
	json_t *o = json_object();
	struct blk_info bi;
	struct blk_stats bs;
	struct scsi_lun_stats ls;
	char sense[16];

	blk_dev_info(k->dev, &bi);
	blk_dev_stats(k->dev, &bs);
	scsi_lun_stats(k->lun, &ls);
	snprintf(sense, sizeof(sense), "%x/%02x/%02x", ls.last_sense >> 16,
		 ls.last_sense >> 8 & 0xff, ls.last_sense & 0xff);
	set(o, "controller", I(k->controller));
	set(o, "lun", I(k->number));
	set(o, "path", text(bi.path));
	set(o, "engine", text(bi.engine));
	set(o, "size", I(bi.size));
	set(o, "block_size", I(bi.block_size));
	set(o, "readonly", json_boolean(bi.readonly));
	set(o, "direct", json_boolean(bi.direct));
	set(o, "cache", text(bi.volatile_cache ? "writeback" : "writethrough"));
	set(o, "reads", I(ls.reads));
	set(o, "writes", I(ls.writes));
	set(o, "flushes", I(ls.flushes));
	set(o, "others", I(ls.others));
	set(o, "read_bytes", I(ls.read_bytes));
	set(o, "written_bytes", I(ls.written_bytes));
	set(o, "errors", I(ls.errors));
	set(o, "last_error", ls.last_sense ? text(sense) : json_null());
	set(o, "latency_mean_us",
	    json_real(ls.latency_count ? (double)ls.latency_ns_sum / (double)ls.latency_count / 1e3
				       : 0));
	set(o, "latency_max_us", I(ls.latency_ns_max / 1000));
	set(o, "in_flight", I(bs.in_flight));
	set(o, "oldest_us", I(oldest_us(r, k)));
	set(o, "flush_failed", json_boolean(blk_dev_flush_failed(k->dev)));
	return o;
}

static json_t *faults_json(const struct root *r)
{
	json_t *a = json_array();
	uint64_t i = r->nr_faults > ROOT_FAULTS ? r->nr_faults - ROOT_FAULTS : 0;

	for (; i < r->nr_faults; i++) {
		const struct fault *f = &r->fault[i % ROOT_FAULTS];
		json_t *o = json_object();

		set(o, "partition", I(f->partition));
		set(o, "name", text(f->name));
		set(o, "why", text(f->why));
		set(o, "seconds_ago", json_real((double)(clock_ns() - f->when_ns) / 1e9));
		json_array_append_new(a, o);
	}
	return a;
}

char *root_inspect(struct root *r)
{
	json_t *o = json_object(), *partitions = json_array(), *disks = json_array();
	struct guest *g;
	uint32_t i;
	char *out;

	for (g = r->guests; g; g = g->next)
		json_array_append_new(partitions, guest_json(g));
	for (i = 0; i < r->nr_disks; i++)
		json_array_append_new(disks, disk_json(r, &r->disk[i]));
	set(o, "root", root_json(r));
	set(o, "partitions", partitions);
	set(o, "disks", disks);
	set(o, "faults", faults_json(r));
	out = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(o);
	return out;
}
