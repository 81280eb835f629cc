/* SPDX-License-Identifier: MIT */
/*
 * The root partition's process as a library: takes a configuration, opens the
 * images, listens on a socket, and gives each child that connects a bus with the
 * configured controllers. The only place that knows every type.
 *
 * Threads: all on the thread that calls root_run(); io threads are made inside.
 */
#ifndef HVBUS_VMWP_ROOT_H
#define HVBUS_VMWP_ROOT_H

#include "vmwp/machine.h"
#include "vmwp/net_config.h"
#include "vmwp/sandbox.h"
#include "vsp/storvsp/storvsp.h"

struct root;
struct keeper_place;

#define ROOT_MAX_DISKS	     64
#define ROOT_MAX_CONTROLLERS 4
#define ROOT_MAX_FAULTS	     8 /* texts per disk */

#define ROOT_LUN_NEXT	     0xff /* lun: the next free one of the controller */

struct root_disk {
	struct blk_config blk;
	uint8_t controller, lun;
	const char *serial;
	const struct keeper_place *place; /* of its reservations; NULL: found by the path */
	enum scsi_type type; /* SCSI_DVD: a drive, read-only; without a path it is empty */
	struct blk_limits limits;
	const char *fault[ROOT_MAX_FAULTS]; /* as blk_fault_parse() takes them */
	uint32_t nr_faults;
};

struct root_config {
	const char *socket;		      /* NULL: none; then there is a machine */
	const struct machine_config *machine; /* NULL: none. Stays valid as long as the root does */
	struct root_disk disk[ROOT_MAX_DISKS];
	uint32_t nr_disks;
	struct root_switch sw[ROOT_MAX_SWITCHES];
	uint32_t nr_switches;
	struct root_mirror mirror[ROOT_MAX_MIRRORS];
	uint32_t nr_mirrors;
	uint32_t io_threads; /* 0: channels run on the main loop */
	int32_t spin_us;     /* see struct loop_config */
	enum loop_engine loop_engine;
	int cpu;		 /* pin the main loop to this CPU; -1 = no */
	uint32_t max_partitions; /* 0 = 1024 */
	uint64_t max_memory;	 /* per partition; 0 = 1 GiB */
	enum sandbox_mode sandbox;
	uint32_t integration_off; /* IC_HAS() of services that guests are not offered */
	uint32_t heartbeat_ms;	  /* period; 0 = IC_HEARTBEAT_MS */
	uint32_t stuck_ms;	  /* requests older than this are reported; 0 = STORVSP_STUCK_MS */
};

/*
 * Parses one --disk argument ("path=F,lun=N,controller=N,readonly,engine=..,cache=..,
 * direct=on|off,serial=..,size=..,iops=N,bps=SIZE,burst=MS,fault=SPEC") into *@out. Strings point
 * into @arg, which is modified and must stay valid. On error a sentence naming the key and what is
 * allowed is in @why.
 */
int root_parse_disk(struct root_disk *out, char *arg, char *why, size_t whylen);

/* A drive without a medium: "type=dvd" and no path. */
bool root_disk_empty(const struct root_disk *d);

/*
 * Parses what a drive is to get ("path=F,engine=..,direct=..,size=..,fault=SPEC"): as
 * root_parse_disk(), without what belongs to the drive.
 */
int root_parse_medium(struct root_disk *out, char *arg, char *why, size_t whylen);

/*
 * Parses which integration services guests are offered ("heartbeat,shutdown", "all", "none") into
 * integration_off. A sentence in @why on error.
 */
int root_parse_integration(uint32_t *off, const char *list, char *why, size_t whylen);

/* "4096", "64K", "512M", "4G", "1T" to bytes. 0 or -EINVAL. */
int root_parse_size(const char *text, uint64_t *out);

/*
 * Opens every image and the socket (mode 0600; a stale one is replaced, one in use is
 * refused). On failure a sentence is in @why. With a sandbox, the whole process is in it when
 * this returns 0 (the calling thread may be, when it fails), and is to have one thread before.
 */
int root_create(struct root **out, const struct root_config *cfg, char *why, size_t whylen);

/* Serves until root_stop(). 0 or -errno. */
int root_run(struct root *r);

/* Ends every guest in order, as root_destroy() does first. */
void root_end_guests(struct root *r);

/* How the machine ended, when guests have. */
enum machine_result root_result(const struct root *r);

/* From any thread and from signal handlers. */
void root_stop(struct root *r);

/* Ends every partition in order, removes the socket, frees. */
void root_destroy(struct root *r);

#endif
