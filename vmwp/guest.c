/* SPDX-License-Identifier: MIT */
/*
 * A child partition's life in the root: partition, bus, controllers and NICs come up
 * together when it connects, or when its VM is made (machine.c), and go down in this order when
 * it is gone:
 *
 *   1. NICs leave their switches, so that the next guest can have their names and addresses
 *      however long the rest takes, and revoke their devices
 *   2. bus shutdown: every channel is closed by its device; its I/O ends
 *   3. controllers and integration services revoke their devices; they and NICs free themselves
 *   4. bus freed, then the partition with its memory and socket
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vmwp/root_priv.h"

void root_note_fault(struct root *r, uint32_t partition, const char *name, const char *why)
{
	struct fault *f = &r->fault[r->nr_faults++ % ROOT_FAULTS];

	f->when_ns = clock_ns();
	f->partition = partition;
	snprintf(f->name, sizeof(f->name), "%s", name);
	snprintf(f->why, sizeof(f->why), "%s", why);
}

static void unlink_guest(struct guest *g)
{
	struct guest **at = &g->root->guests;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	g->root->nr_guests--;
}

static void free_targets(struct guest *g)
{
	for (uint32_t i = 0; i < ROOT_MAX_CONTROLLERS; i++) {
		if (g->target[i])
			scsi_target_destroy(g->target[i]);
	}
}

/* Step 4, posted so that it never runs inside a callback of what it frees. */
static void end_guest(struct loop_call *call)
{
	struct guest *g = container_of(call, struct guest, end_call);

	control_guest_gone(g);
	if (g->bus)
		vmbus_server_destroy(g->bus);
	free_targets(g);
	hv_proc_destroy(g->proc);
	machine_destroy(g->machine);
	unlink_guest(g);
	free(g);
}

void guest_part_gone(struct guest *g)
{
	if (--g->closing == 0 && g->ending)
		loop_post(g->root->loop, &g->end_call);
}

static void part_gone(void *ctx)
{
	guest_part_gone(ctx);
}

static void bus_gone(void *ctx)
{
	struct guest *g = ctx;

	for (uint32_t i = 0; i < ROOT_MAX_CONTROLLERS; i++) {
		if (!g->ctl[i])
			continue;
		g->closing++;
		storvsp_destroy(g->ctl[i], part_gone, g);
		g->ctl[i] = NULL;
	}
	if (g->ic) {
		g->closing++;
		ic_services_destroy(g->ic, part_gone, g);
		g->ic = NULL;
	}
	part_gone(g);
}

void guest_end(struct guest *g)
{
	if (g->ending)
		return;
	g->ending = true;
	g->end_call.fn = end_guest;
	g->closing++; /* until bus_gone() has been through all of them */
	nics_remove(g, part_gone, g);
	if (g->bus)
		vmbus_server_shutdown(g->bus, bus_gone, g);
	else
		bus_gone(g);
}

/* What a channel was faulted for would go with the partition. */
static void keep_channel_fault(void *ctx, const struct vmbus_channel_info *c)
{
	struct guest *g = ctx;
	char why[96];

	if (!c->open || !c->stats.fault)
		return;
	snprintf(why, sizeof(why), "channel %s.%u: %s", c->device, c->sub, c->stats.fault);
	root_note_fault(g->root, hv_partition_id(g->partition), hv_partition_name(g->partition),
			why);
}

static void guest_down(void *ctx, struct hv_proc *proc, const char *why)
{
	struct guest *g = ctx;

	(void)proc;
	log_ratelimited(LOG_INFO, "partition %u (%s) is gone: %s", hv_partition_id(g->partition),
			hv_partition_name(g->partition), why);
	vmbus_server_channels(g->bus, keep_channel_fault, g);
	if (strcmp(why, "closed"))
		root_note_fault(g->root, hv_partition_id(g->partition),
				hv_partition_name(g->partition), why);
	guest_end(g);
}

/*
 * Who a partition is to shared disks: its name and the controller. A second one of the same
 * name at the same time is somebody else, for as long as it is here only.
 */
static void name_initiator(struct guest *g, uint32_t index)
{
	const char *name = hv_partition_name(g->partition);
	struct guid id;
	char key[80];
	uint32_t twin = 0;

	for (const struct guest *o = g->root->guests; o; o = o->next)
		if (o != g && !o->ending && o->partition &&
		    !strcmp(hv_partition_name(o->partition), name))
			twin = hv_partition_id(g->partition);
	snprintf(key, sizeof(key), "hvbus-initiator %u %u %s", index, twin, name);
	guid_from_name(&id, key, (uint32_t)strlen(key));
	scsi_target_set_initiator(g->target[index], id.b);
}

static int add_controller(struct guest *g, uint32_t index)
{
	struct root *r = g->root;
	char name[16];
	struct storvsp_config cfg = { .name = name,
				      .stuck_ms = r->cfg.stuck_ms,
				      .released = disk_released,
				      .released_ctx = r };
	char key[] = "hvbus-scsi-controller-0";
	uint32_t vps = hv_partition_nr_vps(g->partition), i;
	int err;

	snprintf(name, sizeof(name), "scsi%u", index);
	key[sizeof(key) - 2] = (char)('0' + index);
	guid_from_name(&cfg.instance, key, sizeof(key) - 1);
	cfg.max_subchannels = (uint16_t)(vps > 1 ? vps - 1 : 0);
	err = scsi_target_create(&g->target[index]);
	if (err)
		return err;
	name_initiator(g, index);
	for (i = 0; i < ROOT_MAX_DISKS; i++) {
		if (r->disk[i].state != DISK_SERVING || r->disk[i].controller != index)
			continue;
		err = scsi_target_attach(g->target[index], r->disk[i].number, r->disk[i].lun);
		if (err)
			return err;
	}
	return storvsp_create(&g->ctl[index], g->bus, g->target[index], &cfg);
}

static void nothing(void *ctx)
{
	(void)ctx;
}

/* The partition came up only in part; its guest has not seen the bus, so nothing is in flight. */
static void undo_bus(struct guest *g)
{
	nics_remove(g, nothing, NULL);
	for (uint32_t i = 0; i < ROOT_MAX_CONTROLLERS; i++) {
		if (g->ctl[i])
			storvsp_destroy(g->ctl[i], nothing, NULL);
		g->ctl[i] = NULL;
	}
	if (g->ic)
		ic_services_destroy(g->ic, nothing, NULL);
	g->ic = NULL;
	g->closing = 0;
	if (g->bus)
		vmbus_server_destroy(g->bus);
	g->bus = NULL;
}

int guest_wire(struct guest *g, struct hv_partition *p, const char *wishes)
{
	struct root *r = g->root;
	struct vmbus_server_config cfg = { .io_loops = r->io_loop, .nr_io_loops = r->nr_io };
	int err;

	g->partition = p;
	err = vmbus_server_create(&g->bus, p, &cfg);
	for (uint32_t i = 0; !err && i < ROOT_MAX_CONTROLLERS; i++) {
		if (r->controllers & 1u << i)
			err = add_controller(g, i);
	}
	if (!err)
		err = nics_add(g, wishes, g->refusal, sizeof(g->refusal));
	if (!err)
		err = integration_add(g);
	if (err)
		undo_bus(g);
	return err;
}

static int guest_up(void *ctx, struct hv_proc *proc, struct hv_partition *p)
{
	struct guest *g = ctx;
	int err;

	g->proc = proc;
	err = guest_wire(g, p, hv_proc_wishes(proc));
	if (err && *g->refusal)
		hv_proc_set_refusal(proc, g->refusal);
	if (!err)
		log_ratelimited(LOG_INFO, "partition %u (%s, pid %d) connected: %u VPs, %llu MiB",
				hv_partition_id(p), hv_partition_name(p), (int)hv_proc_pid(proc),
				hv_partition_nr_vps(p),
				(unsigned long long)(hv_gpa_ram_bytes(hv_partition_gpa(p)) >> 20));
	return err;
}

struct guest *guest_new(struct root *r)
{
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->root = r;
	g->since_ns = clock_ns();
	g->next = r->guests;
	r->guests = g;
	r->nr_guests++;
	return g;
}

static void guest_free(struct guest *g)
{
	unlink_guest(g);
	free_targets(g);
	free(g);
}

int guest_accept(struct root *r, int sock, const void *hello, size_t len, char *why, size_t n)
{
	static const struct hv_proc_ops ops = { guest_up, guest_down };
	struct hv_proc_quota quota = { .max_memory = r->cfg.max_memory };
	struct guest *g = guest_new(r);
	int err;

	snprintf(why, n, "%s", strerror(ENOMEM));
	if (!g)
		return -ENOMEM;
	err = hv_proc_accept(&g->proc, r->loop, sock, hello, len, &quota, &ops, g);
	if (err) {
		snprintf(why, n, "%s", *g->refusal ? g->refusal : strerror(-err));
		guest_free(g);
		return err;
	}
	r->nr_served++;
	return 0;
}

struct guest *guest_find(struct root *r, const char *name, char *why, size_t n)
{
	struct guest *found = NULL;
	char id[16];

	snprintf(why, n,
		 name ? "guest %s: there is none; `hvbus inspect` shows what there is"
		      : "there is no guest",
		 name);
	for (struct guest *g = r->guests; g; g = g->next) {
		if (g->ending)
			continue;
		snprintf(id, sizeof(id), "%u", hv_partition_id(g->partition));
		if (name && !strcmp(id, name))
			return g;
		if (name && strcmp(hv_partition_name(g->partition), name))
			continue;
		if (found) {
			snprintf(why, n,
				 name ? "guest %s: there are several; give its number, "
					"which `hvbus inspect` shows"
				      : "there are several guests; --guest says which one",
				 name);
			return NULL;
		}
		found = g;
	}
	return found;
}

void guest_cut(struct guest *g)
{
	log_info("partition %u (%s) is cut off", hv_partition_id(g->partition),
		 hv_partition_name(g->partition));
	if (g->machine)
		machine_stop(g->machine);
	else
		guest_end(g);
}

void guest_end_all(struct root *r, uint64_t limit_ns)
{
	uint64_t until = clock_ns() + limit_ns;
	struct guest *g;

	for (g = r->guests; g; g = g->next) {
		if (g->machine)
			machine_stop(g->machine);
		else
			guest_end(g);
	}
	while (r->guests && clock_ns() < until)
		loop_turn(r->loop, 20000000);
	if (r->guests)
		log_error("%u partitions did not end: I/O of theirs is still in flight",
			  r->nr_guests);
}
