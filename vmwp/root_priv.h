/* SPDX-License-Identifier: MIT */
/*
 * What the files of vmwp/ share. Everything belongs to the main loop's thread.
 */
#ifndef HVBUS_VMWP_ROOT_PRIV_H
#define HVBUS_VMWP_ROOT_PRIV_H

#include <jansson.h>
#include <pthread.h>

#include "base/clock.h"
#include "hv-core/proc/proc_root.h"
#include "hv-core/proc/proc_wire.h"
#include "vmbus/server.h"
#include "vmwp/keeper.h"
#include "vmwp/machine.h"
#include "vmwp/root.h"
#include "vmwp/sweeper.h"
#include "vmwp/switch.h"
#include "vsp/ic/ic_services.h"

#define ROOT_MAX_IO_THREADS 16
#define ROOT_MAX_PENDING    64 /* connections that have not said what they are */
#define ROOT_FAULTS	    32 /* remembered for inspection */

enum disk_state { DISK_NONE, DISK_SERVING, DISK_LEAVING, DISK_CLOSING }; /* see disk.c */

struct disk {
	struct root *root;
	enum disk_state state;
	struct blk_dev *dev; /* NULL: a drive, whose medium has one */
	struct scsi_lun *lun;
	uint8_t controller, number;
	const struct scsi_pr_keeper *keeper; /* NULL: its reservations end with it */
	struct blk_limits limits;	     /* of a drive: for whatever medium is in it */
	struct conn *waiter; /* is told when the disk is removed, or the medium; NULL = nobody */
	pthread_t closer;
	struct loop_call closed_call;
};

/* An image in a drive, or one that was in it and is still in use; see medium.c. */
struct medium {
	struct disk *drive;
	struct blk_dev *dev;
	uint32_t released; /* nobody uses it any more. Any thread */
	struct medium *next;
};

/* A NIC of a guest, on a switch. */
struct nic {
	struct netvsp *vsp; /* NULL: it is gone, or going */
	struct netsw *sw;
	struct guest *guest; /* of one that is going while its guest stays, or NULL */
	struct loop_timer quiet_timer;
	uint32_t looks, quiet; /* how often it was looked whether it is quiet, and it was */
	uint64_t sent;	       /* requests of the guest until then */
	bool busy;	       /* it never was, and is taken away all the same */
	struct conn *waiter;   /* is told when that one is gone; NULL = nobody */
	struct loop_call gone_call;
};

/* One child partition with all that hangs on it. */
struct guest {
	struct root *root;
	struct hv_proc *proc;	 /* NULL: it is .. */
	struct machine *machine; /* .. a VM */
	struct hv_partition *partition;
	struct vmbus_bus *bus;
	struct storvsp *ctl[ROOT_MAX_CONTROLLERS];
	struct scsi_target *target[ROOT_MAX_CONTROLLERS];
	struct nic nic[ROOT_MAX_NICS];
	uint32_t nr_nics;	/* places in use, or that were */
	uint32_t last_nic;	/* the place of the one that was added last */
	struct ic_services *ic; /* NULL: going */
	struct conn *waiter;	/* asked it to shut down, or to restart; NULL = nobody waits */
	bool agreed;		/* to that */
	bool restarts;		/* .. it is to restart */
	uint32_t closing;	/* controllers, NICs, services that have not reported their end */
	bool ending;
	char refusal[104]; /* what a child that is refused is told; "" = not by us */
	uint64_t since_ns;
	struct loop_call end_call;
	struct guest *next;
};

struct io_thread {
	pthread_t thread;
	struct root *root;
	struct loop *loop;
	int error;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t ready;
};

/* What a control client that is not answered yet waits for. */
struct conn_wait {
	void (*gone)(struct conn *c, void *what); /* it does not wait any more; goes on without */
	void (*late)(struct conn *c, void *what); /* the time is over: answer it */
};

/* A connection until its hello is in, and a control client until its answer is out. */
struct conn {
	struct root *root;
	struct loop_fd lf;
	struct loop_timer deadline;
	bool control, asked;	      /* is a control client; its request is in */
	const struct conn_wait *wait; /* NULL: nothing is waited for */
	void *waits_for;
	char *out;
	size_t out_len, out_sent;
	struct conn *next;
};

struct fault {
	uint64_t when_ns;
	uint32_t partition;
	char name[32], why[192];
};

struct root {
	struct root_config cfg;
	char *socket;	   /* NULL: nobody can connect */
	const char *label; /* tells this root from others of the host: its socket, or its VM */
	struct machine *machine; /* NULL: .. or it ended */
	enum machine_result result;
	struct loop *loop;
	struct disk disk[ROOT_MAX_DISKS];
	struct medium *media;  /* the newest first */
	struct keeper *keeper; /* NULL: none could be started */
	struct loop_call release_call;
	uint32_t release_posted; /* any thread */
	uint32_t controllers;	 /* bit mask of those that new partitions get */
	char identity[160];	 /* of this host and root, for addresses */
	struct netsw *sw[ROOT_MAX_SWITCHES];
	uint32_t nr_switches;
	struct nat_host *nats; /* NULL: no switch needs one */
	struct mirror mirror[ROOT_MAX_MIRRORS];
	struct io_thread io[ROOT_MAX_IO_THREADS];
	struct loop *io_loop[ROOT_MAX_IO_THREADS];
	uint32_t nr_io;
	struct loop_fd listener;
	bool listening;
	struct loop_bell stop_bell;
	bool bell_added;
	struct guest *guests;
	uint32_t nr_guests, nr_pending;
	struct conn *conns;
	struct fault fault[ROOT_FAULTS];
	uint64_t nr_faults, nr_served;
	uint64_t start_ns;
	struct sandbox_state sandbox;
	struct sweeper sweeper; /* removes the socket's name when a sandbox forbids it to us */
};

/* guest.c */
/* Why not is in @why as well. */
int guest_accept(struct root *r, int sock, const void *hello, size_t len, char *why, size_t n);
/* Tears down every guest; returns when the last is gone or @limit_ns is over. */
void guest_end_all(struct root *r, uint64_t limit_ns);
/* A guest in the root's list, for who makes its partition. NULL: no memory. */
struct guest *guest_new(struct root *r);
/*
 * The bus of @p with the root's controllers and the NICs of @wishes. -errno; a sentence may be in
 * g->refusal.
 */
int guest_wire(struct guest *g, struct hv_partition *p, const char *wishes);
/* Its partition runs no more: takes it apart, in the end from a posted call, and frees it. */
void guest_end(struct guest *g);
/* One of what .closing counts has ended. */
void guest_part_gone(struct guest *g);
void root_note_fault(struct root *r, uint32_t partition, const char *name, const char *why);
/* The guest of that name, or number; NULL: the only one. NULL: *@why says why not. */
struct guest *guest_find(struct root *r, const char *name, char *why, size_t n);
/* Ends it without asking it. */
void guest_cut(struct guest *g);

/* listen.c */
/* Children can connect, and wait in the kernel until the main loop runs. */
int listen_start(struct root *r, char *why, size_t whylen);
void listen_stop(struct root *r);

/* How a request is answered: once, now or later. NULL: out of memory. */
void conn_answer(struct conn *c, json_t *answer);
/* The answer follows, of who deals with @what, or by @w->late after @limit_ns. */
void conn_wait(struct conn *c, const struct conn_wait *w, void *what, uint64_t limit_ns);

/* control.c */
void control_request(struct conn *c, const char *text, size_t len,
		     const int *fd); /* PROC_MAX_FDS */
void control_removed(struct conn *c, struct disk *k);
void control_swapped(struct conn *c, struct disk *k);

/* control_net.c */
void control_nic_removed(struct conn *c, struct nic *nic);

/* control_guest.c */
void control_guest_gone(struct guest *g); /* for who waits for that */
void control_guest_restarted(struct guest *g);

/* disk.c */
void disks_init(struct root *r);
void disks_close(struct root *r);
/* Opens @d at its place in the table; only partitions that come later see it. */
int disk_open(struct root *r, const struct root_disk *d, struct disk **out, char *why, size_t n);
struct disk *disk_find(struct root *r, uint8_t controller, uint8_t number);
/* Shows @k to the partitions that are there and have its controller. */
void disk_plug(struct disk *k);
/* Takes it away from all; the rest of its end follows by itself. */
void disk_unplug(struct disk *k);
/* As blk_dev_resize(), and tells everybody. */
int disk_resize(struct disk *k, uint64_t size, bool shrink, char *why, size_t n);
/* What is not given (NULL faults of @d, limits all 0) is not set. */
int disk_set_policy(struct blk_dev *dev, const struct blk_limits *limits, const struct root_disk *d,
		    char *why, size_t n);
/* For all of the disk's users together; a drive has them whatever medium is in it. */
int disk_set_limits(struct disk *k, const struct blk_limits *l);
void disk_get_limits(const struct disk *k, struct blk_limits *out);
uint32_t disk_block_size(const struct disk *k);
bool disk_seen_by(const struct disk *k, const struct guest *g);
/* Every partition with @controller is asked to look at its disks again. */
void disk_announce(struct root *r, uint8_t controller);
void disk_released(void *root); /* struct storvsp_config.released */

/* medium.c */
bool disk_is_drive(const struct disk *k);
/*
 * Where @k's data is now: the disk's device, or that of the medium, which is *@m and given back
 * with scsi_medium_put(). NULL: an empty drive.
 */
struct blk_dev *disk_dev_get(const struct disk *k, struct scsi_medium **m);
/* A drive's medium becomes @d's image; NULL, or an empty one: nothing is in it then. */
int medium_change(struct disk *k, const struct root_disk *d, char *why, size_t n);
/* Nothing but what is in the drive now is still open for it. */
bool medium_settled(const struct disk *k);
/* Closes what nobody uses any more. */
void media_close(struct root *r);

/* integration.c */
int integration_add(struct guest *g);

/* inspect.c */
json_t *inspect_root(struct root *r); /* { "root": {..}, "partitions", "disks", ..: [..] } */
/* Of any kind of guest; NULL: it has no services. */
json_t *inspect_heartbeat(const struct ic_services *s);
json_t *inspect_services(const struct ic_services *s);
json_t *inspect_disks(const struct root *r);
json_t *inspect_disk(const struct root *r, const struct disk *k);
/* The partitions that see @k, or those that do not. */
json_t *inspect_viewers(const struct disk *k, bool seeing);

/* inspect_net.c */
json_t *inspect_switches(struct root *r);
json_t *inspect_port(struct netsw *sw, const struct vsw_port *p);
/* The NICs of @g, by port. */
json_t *inspect_nics(const struct guest *g);

/* io_thread.c */
int io_threads_start(struct root *r);
void io_threads_stop(struct root *r);

/* inspect.c */
void inspect_prepare(void); /* what it needs files for */

#endif
