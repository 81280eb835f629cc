/* SPDX-License-Identifier: MIT */
/*
 * Shared by the files of libhvbus-sg.so, which gives an unmodified program a SCSI generic
 * device that is a disk of an hvbus root:
 *
 *   preload.c  the C library's functions, as the program calls them
 *   node.c     what the device looks like as a file: its path, its descriptors, its stat
 *   ioctl.c    the requests of Linux's sg driver, version 3 of its interface
 *   device.c   the child partition behind it
 *
 * It is told by the environment where the disk is; `hvbus attach --sg` fills it in.
 *
 *   HVBUS_SG_SOCKET  Unix socket of the root
 *   HVBUS_SG_DISK    CONTROLLER:LUN, default 0:0
 *   HVBUS_SG_PATH    path that the program opens, default /dev/sg-hvbus
 */
#ifndef HVBUS_CLI_SG_SG_H
#define HVBUS_CLI_SG_SG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "vsc/storvsc.h"

#define SG_MAJOR	21 /* SCSI generic, in Linux's list of devices */
#define SG_ENV_SOCKET	"HVBUS_SG_SOCKET"
#define SG_ENV_DISK	"HVBUS_SG_DISK"
#define SG_ENV_PATH	"HVBUS_SG_PATH"
#define SG_DEFAULT_PATH "/dev/sg-hvbus"

/* ---- node.c: none of these sets errno ---------------------------------------- */

bool sg_is_path(const char *path);
bool sg_is_fd(int fd);
/* A new descriptor of the device, or -errno. @flags as for open(2). */
int sg_open(int flags);
void sg_stat(struct stat *st);
void sg_statx(struct statx *stx);

/* ---- ioctl.c ----------------------------------------------------------------------- */

/* What ioctl(2) returns, or -errno. */
int sg_ioctl(unsigned long request, void *arg);

/* ---- device.c: any thread ------------------------------------------------------------ */

/* Attaches if that has not happened yet. -ENODEV: said why on standard error. */
int sg_device_attach(void);
/* storvsc_raw() on the disk. -ENODEV: its root is gone. */
int sg_device_command(struct storvsc_raw *r);
int sg_device_reset(bool bus);

struct sg_device_info {
	unsigned controller, lun;
	uint32_t max_transfer; /* bytes */
};
void sg_device_info(struct sg_device_info *out);

#endif
