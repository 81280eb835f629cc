/* SPDX-License-Identifier: MIT */
/*
 * The child partition behind the device: attached when the device is first opened, one
 * for the process, given back when the process exits.
 *
 * Commands run one at a time, behind one lock, on one channel: the programs this is for
 * look at answers, not at the clock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/compiler.h"
#include "cli/sg/sg.h"
#include "vsc/disk_place.h"

#define MEMORY	  (16u << 20) /* of the partition: rings, one bounce buffer */
#define EXIT_WAIT 2	      /* seconds that a command of another thread may hold up exit */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct storvsc *ctl; /* under lock, and what follows */
static const char *socket_path;
static uint8_t controller, lun;
static bool complained;

/* Once: a program tries again and again, and says itself that it failed. */
static PRINTF_LIKE(1, 2) void complain(const char *fmt, ...)
{
	va_list ap;

	if (complained)
		return;
	complained = true;
	fprintf(stderr, "hvbus-sg: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

static bool configure(void)
{
	const char *disk = getenv(SG_ENV_DISK);

	socket_path = getenv(SG_ENV_SOCKET);
	if (!socket_path) {
		complain(SG_ENV_SOCKET " is not set: the Unix socket of a root (hvbus serve)");
		return false;
	}
	if (!disk_place_parse(disk ? disk : "0:0", &controller, &lun)) {
		complain(SG_ENV_DISK "=%s: CONTROLLER:LUN is needed, such as 0:1", disk);
		return false;
	}
	return true;
}

static int attach(void)
{
	struct storvsc_config cfg = { .queues = 1, .depth = 8, .spin_us = 50 };
	struct storvsc_disk disk;
	char why[256] = "";
	int err;

	if (!configure())
		return -ENODEV;
	err = storvsc_attach(&ctl, socket_path, controller, MEMORY, &cfg, why, sizeof(why));
	if (err) {
		complain("%s: %s", socket_path, *why ? why : strerror(-err));
		ctl = NULL;
		return -ENODEV;
	}
	err = storvsc_disk_info(ctl, (uint8_t)lun, &disk);
	if (err == -ENXIO) { /* whatever else is wrong with the disk is for the program to see */
		complain("disk %u:%u: there is no such LUN", controller, lun);
		storvsc_detach(ctl);
		ctl = NULL;
		return -ENODEV;
	}
	return 0;
}

int sg_device_attach(void)
{
	int err;

	pthread_mutex_lock(&lock);
	err = ctl ? 0 : attach();
	pthread_mutex_unlock(&lock);
	return err;
}

/* How an error without an answer looks to the program. */
static int explain(int err)
{
	if (err != -ECONNRESET && err != -EIO)
		return err;
	complain("the root partition at %s is gone", socket_path);
	return -ENODEV;
}

int sg_device_command(struct storvsc_raw *r)
{
	int err;

	pthread_mutex_lock(&lock);
	r->lun = (uint8_t)lun;
	err = ctl ? explain(storvsc_raw(ctl, 0, r)) : -ENODEV;
	pthread_mutex_unlock(&lock);
	return err;
}

int sg_device_reset(bool bus)
{
	int err;

	pthread_mutex_lock(&lock);
	err = ctl ? explain(storvsc_reset(ctl, 0, bus ? -1 : (int)lun)) : -ENODEV;
	pthread_mutex_unlock(&lock);
	return err;
}

void sg_device_info(struct sg_device_info *out)
{
	pthread_mutex_lock(&lock);
	out->controller = controller;
	out->lun = lun;
	out->max_transfer = ctl ? storvsc_max_transfer(ctl) : 0;
	pthread_mutex_unlock(&lock);
}

/*
 * A fork shares guest memory with its parent, and two cannot use one ring. The child lets go
 * of the partition, which stays the parent's, and attaches its own when it opens the device.
 */
static void forget(void)
{
	pthread_mutex_init(&lock, NULL);
	ctl = NULL;
}

static __attribute__((constructor)) void init(void)
{
	pthread_atfork(NULL, NULL, forget);
}

static __attribute__((destructor)) void fini(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += EXIT_WAIT;
	if (pthread_mutex_timedlock(&lock, &until))
		return; /* the root notices that the process has ended */
	if (ctl)
		storvsc_detach(ctl);
	ctl = NULL;
	pthread_mutex_unlock(&lock);
}
