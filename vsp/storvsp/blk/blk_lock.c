/* SPDX-License-Identifier: MIT */
/*
 * One writer, or any number of readers, per image: an OFD lock on the whole file. It
 * belongs to the open file, so it also keeps two disks of one process apart, and goes
 * away with the process however that ends.
 */
#include "vsp/storvsp/blk/blk_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define LOCK_TRIES 100 /* 10 ms each */

/* ---- who has it: only for the sentence, so every failure is just "unknown" ---- */

static bool has_lock(int pid, int fd)
{
	char path[64], line[256];
	bool found = false;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", pid, fd);
	in = fopen(path, "re");
	if (!in)
		return false;
	while (!found && fgets(line, sizeof(line), in))
		found = !strncmp(line, "lock:", 5);
	fclose(in);
	return found;
}

static bool process_locks(int pid, const struct stat *image)
{
	char path[64];
	struct dirent *e;
	struct stat st;
	bool found = false;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	fds = opendir(path);
	if (!fds)
		return false;
	while (!found && (e = readdir(fds))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		found = !fstatat(dirfd(fds), e->d_name, &st, 0) && st.st_dev == image->st_dev &&
			st.st_ino == image->st_ino && has_lock(pid, atoi(e->d_name));
	}
	closedir(fds);
	return found;
}

static void name_process(int pid, char *out, size_t len)
{
	char path[64], name[32] = "?";
	FILE *in;

	if (pid == getpid()) {
		snprintf(out, len, "this process");
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	in = fopen(path, "re");
	if (in) {
		if (fgets(name, sizeof(name), in))
			name[strcspn(name, "\n")] = '\0';
		fclose(in);
	}
	snprintf(out, len, "process %d (%s)", pid, name);
}

/* False when nobody is to be seen. */
static bool find_holder(int fd, char *out, size_t len)
{
	bool found = false;
	DIR *proc = opendir("/proc");
	struct dirent *e;
	struct stat image;

	snprintf(out, len, "another program");
	if (proc && !fstat(fd, &image)) {
		while (!found && (e = readdir(proc))) {
			int pid = atoi(e->d_name); /* 0 for what is not a process */

			found = pid > 0 && process_locks(pid, &image);
			if (found)
				name_process(pid, out, len);
		}
	}
	if (proc)
		closedir(proc);
	return found;
}

/* ---- the lock --------------------------------------------------------- */

/*
 * A lock that nobody holds is that of a process which has just died: the kernel is still
 * taking its io_uring apart, and lets go of the file when the last I/O on it is over.
 */
static int lock_patiently(int fd, struct flock *whole, char *who, size_t len)
{
	const struct timespec pause = { 0, 10000000 };

	for (int i = 0; fcntl(fd, F_OFD_SETLK, whole); i++) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (find_holder(fd, who, len) || i == LOCK_TRIES)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int lock_result(int err, const char *path, bool readonly, const char *who, char *why,
		       size_t whylen)
{
	if (!err)
		return 0;
	if (err != -EBUSY) {
		log_warn("%s: its file system has no locks (%s); see to it that nothing else uses "
			 "it",
			 path, strerror(-err));
		return 0;
	}
	return blk_fail(why, whylen, -EBUSY, "%s: in use by %s; stop that%s", path, who,
			readonly ? ", or open it read-only there as well"
				 : ", or open it read-only in both places");
}

static struct flock whole_file(bool readonly)
{
	return (struct flock){ .l_type = readonly ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };
}

int file_image_lock(int fd, const char *path, bool readonly, char *why, size_t whylen)
{
	struct flock whole = whole_file(readonly);
	char who[80];
	int err = lock_patiently(fd, &whole, who, sizeof(who));

	return lock_result(err, path, readonly, who, why, whylen);
}

int file_image_lock_now(int fd, const char *path, bool readonly, char *why, size_t whylen)
{
	struct flock whole = whole_file(readonly);
	int err = fcntl(fd, F_OFD_SETLK, &whole) ? -errno : 0;

	if (err == -EAGAIN || err == -EACCES)
		err = -EBUSY;
	return lock_result(err, path, readonly, "another program", why, whylen);
}

void file_image_unlock(int fd)
{
	struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	fcntl(fd, F_OFD_SETLK, &whole); /* fails where there was none */
}
