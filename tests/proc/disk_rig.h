/* SPDX-License-Identifier: MIT */
/*
 * For tests of disks over the whole stack: a root in a process of its own, in its sandbox,
 * requests as `hvbus disk` sends them, and guests that are the test itself.
 */
#ifndef HVBUS_TESTS_PROC_DISK_RIG_H
#define HVBUS_TESTS_PROC_DISK_RIG_H

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "hv-core/proc/proc_sock.h"
#include "hv-core/proc/proc_wire.h"
#include "tests/proc/root_rig.h"
#include "vmwp/root_priv.h"
#include "vsc/storvsc.h"

#define MIB	   (1u << 20)
#define RIG_MEMORY (16u * MIB) /* of a guest */

RIG void make_image(const char *path, uint64_t size)
{
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

/* ---- looking at the root --------------------------------------------------------------- */

RIG long entries(pid_t pid, const char *what)
{
	struct dirent *e;
	char path[64];
	long n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	d = opendir(path);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* Whether the root has @path open. */
RIG bool root_has(const char *path)
{
	char name[300], target[PATH_MAX];
	struct dirent *e;
	bool found = false;
	ssize_t n;
	DIR *d;

	snprintf(name, sizeof(name), "/proc/%d/fd", root_pid);
	d = opendir(name);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d))) {
		n = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		found |= !strcmp(target, path);
	}
	closedir(d);
	return found;
}

/* ---- requests --------------------------------------------------------------------------- */

RIG int control(void)
{
	struct hv_proc_hello hello = {
		.magic = HV_PROC_MAGIC,
		.version = HV_PROC_VERSION,
		.role = HV_PROC_CONTROL,
	};
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, sock);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	ck_assert_int_eq(proc_sock_send(fd, &hello, sizeof(hello), NULL, 0, 0), 0);
	return fd;
}

RIG json_t *ask_with(const char *text, const int *fds, int nfds)
{
	static char answer[1 << 20];
	int fd = control();
	size_t at = 0;
	json_t *o;
	ssize_t n;

	ck_assert_int_eq(proc_sock_send(fd, text, strlen(text), fds, nfds, 0), 0);
	while ((n = recv(fd, answer + at, sizeof(answer) - at, 0)) > 0)
		at += (size_t)n;
	close(fd);
	o = json_loadb(answer, at, 0, NULL);
	ck_assert_msg(o != NULL, "%s: answered by %.*s", text, (int)at, answer);
	return o;
}

RIG json_t *ask(const char *fmt, ...) PRINTF_LIKE(1, 2);
RIG json_t *ask(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ask_with(text, NULL, 0);
}

RIG void done(json_t *answer)
{
	ck_assert_msg(!json_object_get(answer, "error"), "%s",
		      json_string_value(json_object_get(answer, "error")));
	json_decref(answer);
}

RIG void fails(json_t *answer, int err, const char *says)
{
	const char *why = json_string_value(json_object_get(answer, "error"));

	ck_assert_ptr_nonnull(why);
	ck_assert_msg(strstr(why, says) != NULL, "%s", why);
	ck_assert_int_eq(json_integer_value(json_object_get(answer, "errno")), err);
	json_decref(answer);
}

/* What `hvbus disk add` does. */
RIG json_t *add(const char *spec)
{
	struct blk_image im = { -1, -1 };
	char text[400], arg[256], why[256];
	struct root_disk d;
	json_t *o;

	snprintf(arg, sizeof(arg), "%s", spec);
	ck_assert_int_eq(root_parse_disk(&d, arg, why, sizeof(why)), 0);
	if (d.blk.path)
		ck_assert_msg(!blk_image_open(&im, &d.blk, why, sizeof(why)), "%s", why);
	snprintf(text, sizeof(text), "{\"do\":\"disk-add\",\"disk\":\"%s\"}", spec);
	o = ask_with(text, &im.fd, (im.fd >= 0) + (im.flush_fd >= 0));
	if (d.blk.path)
		blk_image_close(&im);
	return o;
}

RIG json_t *remove_disk(int lun)
{
	return ask("{\"do\":\"disk-remove\",\"disk\":\"0:%d\",\"wait_ms\":30000}", lun);
}

RIG int count_disks(void)
{
	json_t *o = ask("{\"do\":\"disk-list\"}");
	int n = (int)json_array_size(json_object_get(o, "disks"));

	json_decref(o);
	return n;
}

/* Nobody has the image locked, so anybody may have it. */
RIG void image_is_free(const char *path)
{
	struct blk_config cfg = { .path = path };
	struct blk_image im;
	char why[256];

	ck_assert_msg(!root_has(path), "the root still has %s open", path);
	ck_assert_msg(!blk_image_open(&im, &cfg, why, sizeof(why)), "%s", why);
	blk_image_close(&im);
}

/* ---- guests ------------------------------------------------------------------------------- */

RIG struct storvsc *attach_to(uint32_t controller, uint32_t queues)
{
	struct storvsc_config c = { .queues = queues, .depth = 64, .spin_us = 20 };
	struct storvsc *s;
	char why[256];

	ck_assert_msg(!storvsc_attach(&s, sock, controller, RIG_MEMORY, &c, why, sizeof(why)), "%s",
		      why);
	return s;
}

RIG struct storvsc *attach(uint32_t queues)
{
	return attach_to(0, queues);
}

RIG bool guest_sees(struct storvsc *s, uint8_t lun)
{
	uint8_t luns[SCSI_MAX_LUNS];
	int n = storvsc_luns(s, luns, SCSI_MAX_LUNS);

	ck_assert_int_ge(n, 0);
	for (int i = 0; i < n; i++)
		if (luns[i] == lun)
			return true;
	return false;
}

/* The root says it unasked; what comes is noticed while something else is asked. */
RIG void expect_changed(struct storvsc *s)
{
	uint64_t end = clock_ns() + 5000000000ull;

	while (!storvsc_changed(s)) {
		ck_assert_msg(clock_ns() < end, "nobody told the guest");
		guest_sees(s, 0);
	}
}

/* TEST UNIT READY is answered with @want, and with nothing the second time. */
RIG void expect_attention(struct storvsc *s, uint8_t lun, uint32_t want)
{
	static const uint8_t ready[16] = { 0 };
	uint8_t sense[18];

	ck_assert_int_eq(storvsc_scsi(s, 0, lun, ready, 2, NULL, 0, NULL, sense), -EAGAIN);
	ck_assert_uint_eq((uint32_t)(sense[2] & 15) << 16 | sense[12] << 8 | sense[13], want);
	ck_assert_int_eq(storvsc_scsi(s, 0, lun, ready, 2, NULL, 0, NULL, sense), 0);
}

RIG void expect_ready(struct storvsc *s, uint8_t lun)
{
	static const uint8_t ready[16] = { 0 };

	ck_assert_int_eq(storvsc_scsi(s, 0, lun, ready, 2, NULL, 0, NULL, NULL), 0);
}

#define LUNS_CHANGED	 0x63f0e
#define CAPACITY_CHANGED 0x62a09

RIG uint64_t size_of(struct storvsc *s, uint8_t lun)
{
	struct storvsc_disk d;

	ck_assert_int_eq(storvsc_disk_info(s, lun, &d), 0);
	return d.size;
}

RIG int touch(struct storvsc *s, uint8_t lun, uint64_t offset, uint8_t byte)
{
	uint8_t out[4096], in[4096];
	int err;

	memset(out, byte, sizeof(out));
	err = storvsc_write(s, 0, lun, out, offset, sizeof(out), 0);
	if (!err)
		err = storvsc_read(s, 0, lun, in, offset, sizeof(in));
	if (!err)
		ck_assert_mem_eq(in, out, sizeof(in));
	return err;
}

#endif
