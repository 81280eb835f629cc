/* SPDX-License-Identifier: MIT */
/* The root's side of keeper.h: asks, and brings each answer to the loop that waits for it. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"
#include "vmwp/keeper.h"
#include "vmwp/keeper_wire.h"

#define SUFFIX ".pr"

/* A save under way: in the list until its answer is in, then on its way to its loop. */
struct save {
	uint64_t id;
	struct loop *loop;
	struct loop_call call;
	void (*saved)(void *arg, int err);
	void *arg;
	int err;
	struct save *next;
};

struct kept_disk {
	struct keeper *keeper;
	struct scsi_pr_keeper ops;
};

struct keeper {
	struct loop *main;
	struct loop *const *loops;
	uint32_t nr_loops;
	struct loop_fd lf;
	pid_t pid;
	struct kept_disk disk[KEEPER_MAX_DISKS];
	uint32_t nr_disks;
	pthread_mutex_t lock; /* the rest */
	struct save *saves;
	uint64_t next_id;
	bool gone; /* the process: nothing can be kept any more */
};

/* ---- asking ---------------------------------------------------------------------------- */

static struct loop *this_loop(const struct keeper *k)
{
	for (uint32_t i = 0; i < k->nr_loops; i++)
		if (loop_in_thread(k->loops[i]))
			return k->loops[i];
	return k->main;
}

static int send_ask(const struct keeper *k, const struct keeper_ask *ask, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { { 0 } };
	struct iovec iov = { (void *)ask, offsetof(struct keeper_ask, bytes) + ask->len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	}
	return sendmsg(k->lf.fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int ask_to_save(struct keeper *k, uint32_t disk, const struct save *s, const void *state,
		       uint32_t len)
{
	struct keeper_ask ask = { .what = KEEPER_SAVE, .disk = disk, .id = s->id, .len = len };

	if (k->gone)
		return -EIO;
	memcpy(ask.bytes, state, len);
	return send_ask(k, &ask, -1);
}

static void keeper_save(void *ctx, const void *state, uint32_t len,
			void (*saved)(void *arg, int err), void *arg)
{
	struct kept_disk *d = ctx;
	struct keeper *k = d->keeper;
	struct save *s = malloc(sizeof(*s));
	int err;

	if (!s) {
		saved(arg, -ENOMEM);
		return;
	}
	*s = (struct save){ .loop = this_loop(k), .saved = saved, .arg = arg };
	pthread_mutex_lock(&k->lock);
	s->id = ++k->next_id;
	err = ask_to_save(k, (uint32_t)(d - k->disk), s, state, len);
	if (!err) {
		s->next = k->saves;
		k->saves = s;
	}
	pthread_mutex_unlock(&k->lock);
	if (err) {
		free(s);
		saved(arg, err);
	}
}

/* ---- answers ------------------------------------------------------------------------------ */

static void deliver(struct loop_call *call)
{
	struct save *s = container_of(call, struct save, call);

	s->saved(s->arg, s->err);
	free(s);
}

/* Under the lock. */
static void answered(struct save **at, int err)
{
	struct save *s = *at;

	*at = s->next;
	s->err = err;
	s->call.fn = deliver;
	loop_post(s->loop, &s->call);
}

static void process_gone(struct keeper *k)
{
	loop_fd_del(k->main, &k->lf);
	pthread_mutex_lock(&k->lock);
	k->gone = true;
	while (k->saves)
		answered(&k->saves, -EIO);
	pthread_mutex_unlock(&k->lock);
	log_error("the keeper of reservations is gone: none can be made persistent any more");
}

static void on_answer(struct loop_fd *lf, uint32_t events)
{
	struct keeper *k = container_of(lf, struct keeper, lf);
	struct keeper_answer a;
	struct save **at;
	ssize_t n;

	(void)events;
	n = recv(lf->fd, &a, sizeof(a), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(a)) {
		process_gone(k);
		return;
	}
	pthread_mutex_lock(&k->lock);
	for (at = &k->saves; *at && (*at)->id != a.id; at = &(*at)->next)
		;
	if (*at)
		answered(at, a.err);
	pthread_mutex_unlock(&k->lock);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int start_process(struct keeper *k)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	k->pid = fork();
	if (!k->pid)
		keeper_main(pair[1]);
	close(pair[1]);
	k->lf.fd = pair[0];
	return k->pid < 0 ? -errno : 0;
}

int keeper_create(struct keeper **out, struct loop *main)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	k->main = main;
	k->lf.fd = -1;
	k->lf.ready = on_answer;
	pthread_mutex_init(&k->lock, NULL);
	err = start_process(k);
	if (!err)
		err = loop_fd_add(main, &k->lf, POLLIN);
	if (err) {
		k->gone = true;
		keeper_destroy(k);
		return err;
	}
	*out = k;
	return 0;
}

/* By its end of the socket: a root that is locked up may not wait for processes. */
static void wait_for_end(int fd)
{
	struct keeper_answer a;

	shutdown(fd, SHUT_WR);
	while (recv(fd, &a, sizeof(a), 0) > 0)
		;
	close(fd);
}

void keeper_destroy(struct keeper *k)
{
	if (!k)
		return;
	if (!k->gone)
		loop_fd_del(k->main, &k->lf);
	if (k->lf.fd >= 0)
		wait_for_end(k->lf.fd);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

void keeper_loops(struct keeper *k, struct loop *const *loops, uint32_t n)
{
	k->loops = loops;
	k->nr_loops = n;
}

int keeper_pid(const struct keeper *k)
{
	return k->pid;
}

/* ---- disks
 * --------------------------------------------------------------------------------------- */

static int read_state(int dir, const char *name, void *state, uint32_t *len)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), err = 0;
	struct stat st;
	ssize_t n;

	*len = 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -ENOTSUP;
	n = err ? 0 : pread(fd, state, SCSI_PR_STATE_MAX + 1, 0);
	if (n < 0)
		err = -errno;
	else
		*len = (uint32_t)n;
	close(fd);
	return err;
}

static int hand_over(struct keeper *k, int dir, const char *name)
{
	struct keeper_ask ask = { .what = KEEPER_ADD, .disk = k->nr_disks };

	ask.len = (uint32_t)strlen(name);
	memcpy(ask.bytes, name, ask.len);
	return k->gone ? -EIO : send_ask(k, &ask, dir);
}

static int add(struct keeper *k, const char *folder, const char *image, void *state, uint32_t *len)
{
	char name[KEEPER_NAME_MAX + 1];
	int dir, err;

	if (snprintf(name, sizeof(name), "%s" SUFFIX, image) >= (int)sizeof(name) - 1)
		return -ENAMETOOLONG;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	err = read_state(dir, name, state, len);
	if (!err)
		err = hand_over(k, dir, name);
	close(dir);
	return err;
}

int keeper_add(struct keeper *k, const char *path, const struct scsi_pr_keeper **out, void *state,
	       uint32_t *len)
{
	struct kept_disk *d = &k->disk[k->nr_disks];
	char *folder, *image;
	struct stat st;
	int err = -ENOMEM;

	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	if (k->nr_disks == KEEPER_MAX_DISKS)
		return -ENOSPC;
	folder = strdup(path);
	image = strdup(path);
	if (folder && image)
		err = add(k, dirname(folder), basename(image), state, len);
	free(folder);
	free(image);
	if (err)
		return err;
	d->keeper = k;
	d->ops = (struct scsi_pr_keeper){ keeper_save, d };
	k->nr_disks++;
	*out = &d->ops;
	return 0;
}
