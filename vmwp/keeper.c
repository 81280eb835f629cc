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
	bool used;
};

struct keeper {
	struct loop *main;
	struct loop *const *loops;
	uint32_t nr_loops;
	struct loop_fd lf;
	pid_t pid;
	struct kept_disk disk[KEEPER_MAX_DISKS];
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

static int start_process(struct keeper *k, enum sandbox_mode mode)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	k->pid = fork();
	if (!k->pid)
		keeper_main(pair[1], mode);
	close(pair[1]);
	k->lf.fd = pair[0];
	return k->pid < 0 ? -errno : 0;
}

int keeper_create(struct keeper **out, struct loop *main, enum sandbox_mode mode)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	k->main = main;
	k->lf.fd = -1;
	k->lf.ready = on_answer;
	pthread_mutex_init(&k->lock, NULL);
	err = start_process(k, mode);
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

/* ---- places ------------------------------------------------------------------------------- */

int keeper_place(struct keeper_place *out, const char *path, int folder, int state)
{
	const char *slash = strrchr(path, '/'), *image = slash ? slash + 1 : path;
	int n = snprintf(out->file, sizeof(out->file), "%s" SUFFIX, image);

	out->folder = folder;
	out->state = state;
	if (!*image)
		return -EINVAL;
	return n >= (int)sizeof(out->file) - 1 ? -ENAMETOOLONG : 0;
}

static int open_folder(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int err = errno;

	free(copy);
	return fd < 0 ? -err : fd;
}

int keeper_find(struct keeper_place *out, const char *path)
{
	struct stat st;
	int err;

	if (stat(path, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	err = keeper_place(out, path, -1, -1);
	if (err)
		return err;
	out->folder = open_folder(path);
	if (out->folder < 0)
		return out->folder;
	out->state = openat(out->folder, out->file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (out->state >= 0 || errno == ENOENT)
		return 0;
	err = -errno;
	keeper_place_close(out);
	return err;
}

void keeper_place_close(struct keeper_place *p)
{
	if (p->folder >= 0)
		close(p->folder);
	if (p->state >= 0)
		close(p->state);
	p->folder = p->state = -1;
}

/* ---- disks -------------------------------------------------------------------------------- */

static int read_state(int fd, void *state, uint32_t *len)
{
	struct stat st;
	ssize_t n;

	*len = 0;
	if (fd < 0)
		return 0;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	n = pread(fd, state, SCSI_PR_STATE_MAX + 1, 0);
	if (n < 0)
		return -errno;
	*len = (uint32_t)n;
	return 0;
}

static int hand_over(const struct keeper *k, uint32_t disk, const struct keeper_place *p)
{
	struct keeper_ask ask = { .what = KEEPER_ADD, .disk = disk };
	struct stat st;

	if (fstat(p->folder, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	ask.len = (uint32_t)strlen(p->file);
	memcpy(ask.bytes, p->file, ask.len);
	return k->gone ? -EIO : send_ask(k, &ask, p->folder);
}

int keeper_add(struct keeper *k, const struct keeper_place *place,
	       const struct scsi_pr_keeper **out, void *state, uint32_t *len)
{
	uint32_t i = 0;
	int err;

	while (i < KEEPER_MAX_DISKS && k->disk[i].used)
		i++;
	if (i == KEEPER_MAX_DISKS)
		return -ENOSPC;
	err = read_state(place->state, state, len);
	if (!err)
		err = hand_over(k, i, place);
	if (err)
		return err;
	k->disk[i] = (struct kept_disk){ k, { keeper_save, &k->disk[i] }, true };
	*out = &k->disk[i].ops;
	return 0;
}

void keeper_drop(struct keeper *k, const struct scsi_pr_keeper *kept)
{
	struct keeper_ask ask = { .what = KEEPER_DROP };

	if (!kept)
		return;
	ask.disk = (uint32_t)((struct kept_disk *)kept->ctx - k->disk);
	k->disk[ask.disk].used = false;
	if (!k->gone)
		send_ask(k, &ask, -1); /* if it cannot be sent: the next in its place ends it */
}
