/* SPDX-License-Identifier: MIT */
/*
 * The state of a root as JSON: what `hvbus inspect` shows.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
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
	set(o, "stuck_ms", I(r->cfg.stuck_ms));
	set(o, "turns", I(ls.turns));
	set(o, "sleeps", I(ls.sleeps));
	set(o, "partitions_now", I(r->nr_guests));
	set(o, "partitions_served", I(r->nr_served));
	set(o, "log_lines_lost", I(log_lost()));
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

static json_t *stuck_json(const struct storvsp *s)
{
	struct storvsp_stuck k[64];
	uint32_t n = storvsp_stuck(s, k, ARRAY_SIZE(k));
	json_t *a = json_array();

	for (uint32_t i = 0; i < n; i++) {
		json_t *o = json_object();

		set(o, "sub_channel", I(k[i].channel));
		set(o, "lun", I(k[i].lun));
		set(o, "command", text(k[i].name));
		set(o, "opcode", I(k[i].opcode));
		set(o, "lba", I(k[i].lba));
		set(o, "blocks", I(k[i].blocks));
		set(o, "age_us", I(k[i].age_ns / 1000));
		set(o, "where", text(k[i].where));
		json_array_append_new(a, o);
	}
	return a;
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
	set(o, "stuck_ever", I(st.stuck));
	set(o, "stuck", stuck_json(s));
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

static json_t *version_json(struct ic_version v)
{
	char out[16];

	snprintf(out, sizeof(out), "%u.%u", v.major, v.minor);
	return v.major ? text(out) : json_null();
}

static void add_service(void *ctx, const struct ic_stats *st)
{
	json_t *o = json_object();

	set(o, "service", text(st->name));
	set(o, "state", text(st->state));
	set(o, "version", version_json(st->version));
	set(o, "framework", version_json(st->framework));
	set(o, "requests", I(st->requests));
	set(o, "answers", I(st->answers));
	set(o, "timeouts", I(st->timeouts));
	set(o, "dropped", I(st->dropped));
	set(o, "last_drop", text(st->last_drop));
	json_array_append_new(ctx, o);
}

json_t *inspect_heartbeat(const struct ic_services *s)
{
	struct ic_heartbeat *h = s ? ic_services_heartbeat(s) : NULL;
	struct ic_heartbeat_status st;
	json_t *o;

	if (!h)
		return json_null();
	ic_heartbeat_status(h, &st);
	o = json_object();
	set(o, "contact", text(ic_contact_name(st.contact)));
	set(o, "application", text(ic_application_name(st.application)));
	set(o, "missed", I(st.missed));
	set(o, "sent", I(st.sent));
	set(o, "answered", I(st.answered));
	set(o, "lost", I(st.lost));
	set(o, "last_s",
	    st.last_ns ? json_real((double)(clock_ns() - st.last_ns) / 1e9) : json_null());
	return o;
}

json_t *inspect_services(const struct ic_services *s)
{
	json_t *a = json_array();

	if (s)
		ic_services_each(s, add_service, a);
	return a;
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
	set(o, "pid", I(g->proc ? hv_proc_pid(g->proc) : getpid()));
	if (g->machine)
		set(o, "machine", machine_json(g->machine));
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
	set(o, "heartbeat", inspect_heartbeat(g->ic));
	set(o, "integration", inspect_services(g->ic));
	set(o, "controllers", controllers);
	set(o, "nics", inspect_nics(g));
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

/* @dev is NULL for an empty drive: its limits are those of the next medium. */
static json_t *limits_json(const struct disk *k, const struct blk_dev *dev)
{
	struct blk_policy_stats ps = { 0 };
	struct blk_limits l;
	json_t *o;

	disk_get_limits(k, &l);
	if (!l.iops && !l.bytes_per_s)
		return json_null();
	if (dev)
		blk_dev_policy_stats(dev, &ps);
	o = json_object();
	set(o, "iops", I(l.iops));
	set(o, "bps", I(l.bytes_per_s));
	set(o, "burst_ms", I(l.burst_ms));
	set(o, "limited", I(ps.limited));
	set(o, "waiting", I(ps.waiting));
	return o;
}

static json_t *injected_json(const struct disk *k, const struct blk_dev *dev)
{
	struct blk_fault_info f[BLK_MAX_FAULTS];
	uint32_t n = dev ? blk_dev_faults(dev, f, BLK_MAX_FAULTS) : 0;
	json_t *a = json_array();
	char rule[BLK_FAULT_TEXT];

	for (uint32_t i = 0; i < n; i++) {
		json_t *o = json_object();

		set(o, "id", I(f[i].id));
		set(o, "ops", I(f[i].fault.ops));
		set(o, "first", I(f[i].fault.first));
		set(o, "end", I(f[i].fault.end));
		set(o, "per_million", I(f[i].fault.per_million));
		set(o, "error",
		    f[i].fault.error ? text(strerrorname_np(-f[i].fault.error)) : json_null());
		set(o, "delay_us", I(f[i].fault.delay_us));
		set(o, "stuck", json_boolean(f[i].fault.stuck));
		set(o, "times", I(f[i].fault.times));
		blk_fault_format(&f[i].fault, disk_block_size(k), rule, sizeof(rule));
		set(o, "rule", text(rule));
		set(o, "hits", I(f[i].hits));
		set(o, "held", I(f[i].held));
		json_array_append_new(a, o);
	}
	return a;
}

/* A guest whose controller is there but closed does not use the disk. */
static bool has_open(const struct disk *k, const struct guest *g)
{
	struct storvsp_stats st;

	if (!disk_seen_by(k, g))
		return false;
	storvsp_stats(g->ctl[k->controller], &st);
	return st.channels > 0;
}

static json_t *partition_name(const struct guest *g)
{
	json_t *o = json_object();

	set(o, "id", I(hv_partition_id(g->partition)));
	set(o, "name", text(hv_partition_name(g->partition)));
	return o;
}

static json_t *users_json(const struct disk *k)
{
	json_t *a = json_array();

	for (const struct guest *g = k->root->guests; g; g = g->next) {
		if (has_open(k, g))
			json_array_append_new(a, partition_name(g));
	}
	return a;
}

json_t *inspect_viewers(const struct disk *k, bool seeing)
{
	json_t *a = json_array();

	for (const struct guest *g = k->root->guests; g; g = g->next) {
		if (!g->ending && disk_seen_by(k, g) == seeing)
			json_array_append_new(a, partition_name(g));
	}
	return a;
}

/* What is being removed has nothing left to ask; who holds it is in its partition's entry. */
static json_t *leaving_json(const struct disk *k)
{
	json_t *o = json_object();

	set(o, "controller", I(k->controller));
	set(o, "lun", I(k->number));
	set(o, "state", text("leaving"));
	return o;
}

static void add_counts(json_t *o, const struct scsi_lun *lun)
{
	struct scsi_lun_stats ls;
	char sense[16];

	scsi_lun_stats(lun, &ls);
	snprintf(sense, sizeof(sense), "%x/%02x/%02x", ls.last_sense >> 16,
		 ls.last_sense >> 8 & 0xff, ls.last_sense & 0xff);
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
}

/* @dev is NULL for an empty drive. */
static void add_device(json_t *o, const struct disk *k, const struct blk_dev *dev)
{
	struct blk_info bi = { .readonly = true };
	struct blk_stats bs = { 0 };

	if (dev) {
		blk_dev_info(dev, &bi);
		blk_dev_stats(dev, &bs);
	}
	set(o, "path", text(bi.path));
	set(o, "engine", text(bi.engine));
	set(o, "size", I(bi.size));
	set(o, "block_size", I(disk_block_size(k)));
	set(o, "readonly", json_boolean(bi.readonly));
	set(o, "direct", json_boolean(bi.direct));
	set(o, "cache", text(bi.volatile_cache ? "writeback" : "writethrough"));
	set(o, "in_flight", I(bs.in_flight));
	set(o, "flush_failed", json_boolean(dev && blk_dev_flush_failed(dev)));
	set(o, "limits", limits_json(k, dev));
	set(o, "injected", injected_json(k, dev));
}

/* null: no drive. */
static json_t *medium_json(const struct disk *k, const struct blk_dev *dev)
{
	if (!disk_is_drive(k))
		return json_null();
	return text(dev ? "in" : "none");
}

json_t *inspect_disk(const struct root *r, const struct disk *k)
{
	struct scsi_medium *m;
	struct blk_dev *dev;
	json_t *o;

	if (k->state != DISK_SERVING)
		return leaving_json(k);
	o = json_object();
	set(o, "controller", I(k->controller));
	set(o, "lun", I(k->number));
	set(o, "state", text("serving"));
	set(o, "type", text(disk_is_drive(k) ? "dvd" : "disk"));
	dev = disk_dev_get(k, &m);
	set(o, "medium", medium_json(k, dev));
	add_device(o, k, dev);
	scsi_medium_put(m);
	add_counts(o, k->lun);
	set(o, "oldest_us", I(oldest_us(r, k)));
	set(o, "partitions", users_json(k));
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

json_t *inspect_disks(const struct root *r)
{
	json_t *a = json_array();

	for (const struct disk *k = r->disk; k < r->disk + ROOT_MAX_DISKS; k++) {
		if (k->state != DISK_NONE)
			json_array_append_new(a, inspect_disk(r, k));
	}
	return a;
}

json_t *inspect_root(struct root *r)
{
	json_t *o = json_object(), *partitions = json_array();
	struct guest *g;

	for (g = r->guests; g; g = g->next)
		json_array_append_new(partitions, guest_json(g));
	set(o, "root", root_json(r));
	set(o, "partitions", partitions);
	set(o, "disks", inspect_disks(r));
	set(o, "switches", inspect_switches(r));
	set(o, "faults", faults_json(r));
	return o;
}
