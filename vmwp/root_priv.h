/* SPDX-License-Identifier: MIT */
/*
 * What the files of vmwp/ share. Everything belongs to the main loop's thread.
 */
#ifndef HVBUS_VMWP_ROOT_PRIV_H
#define HVBUS_VMWP_ROOT_PRIV_H

#include <pthread.h>

#include "base/clock.h"
#include "hv-core/proc/proc_root.h"
#include "hv-core/proc/proc_wire.h"
#include "vmbus/server.h"
#include "vmwp/root.h"
#include "vmwp/sweeper.h"

#define ROOT_MAX_IO_THREADS 16
#define ROOT_MAX_PENDING    64 /* connections that have not said what they are */
#define ROOT_FAULTS	    32 /* remembered for inspection */

struct disk {
	struct blk_dev *dev;
	struct scsi_lun *lun;
	uint8_t controller, number;
};

/* One child partition with all that hangs on it. */
struct guest {
	struct root *root;
	struct hv_proc *proc;
	struct hv_partition *partition;
	struct vmbus_bus *bus;
	struct storvsp *ctl[ROOT_MAX_CONTROLLERS];
	struct scsi_target *target[ROOT_MAX_CONTROLLERS];
	uint32_t closing; /* controllers that have not reported their end */
	bool ending;
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

/* A connection until its hello is in, and a control client until its answer is out. */
struct conn {
	struct root *root;
	struct loop_fd lf;
	struct loop_timer deadline;
	bool control;
	char *out;
	size_t out_len, out_sent;
	struct conn *next;
};

struct fault {
	uint64_t when_ns;
	uint32_t partition;
	char name[32], why[96];
};

struct root {
	struct root_config cfg;
	char *socket;
	struct loop *loop;
	struct disk disk[ROOT_MAX_DISKS];
	uint32_t nr_disks;
	uint32_t controllers; /* bit mask of those in use */
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
int guest_accept(struct root *r, int sock, const void *hello, size_t len);
/* Tears down every guest; returns when the last is gone or @limit_ns is over. */
void guest_end_all(struct root *r, uint64_t limit_ns);
void root_note_fault(struct root *r, uint32_t partition, const char *name, const char *why);

/* listen.c */
/* Children can connect, and wait in the kernel until the main loop runs. */
int listen_start(struct root *r, char *why, size_t whylen);
void listen_stop(struct root *r);

/* io_thread.c */
int io_threads_start(struct root *r);
void io_threads_stop(struct root *r);

/* inspect.c */
void inspect_prepare(void); /* what it needs files for */

#endif
