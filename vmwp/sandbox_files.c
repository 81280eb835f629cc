/* SPDX-License-Identifier: MIT */
/*
 * Landlock: no path leads anywhere. What is open already stays usable, and nothing else is
 * needed: a root opens nothing after its start.
 *
 * The structures and bits are written out here, because kernels are often newer than the
 * headers; which of them a kernel has says its ABI number.
 */
#include "vmwp/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <resolv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule	    445
#define SYS_landlock_restrict_self  446
#endif

#define ASK_VERSION	  1u /* flag of landlock_create_ruleset() */
#define RULE_PATH_BENEATH 1

/* Rights on files, in the order in which they came: the first n belong to an ABI. */
#define FS_RIGHTS(n)	  ((UINT64_C(1) << (n)) - 1)
#define FS_READ_FILE	  (UINT64_C(1) << 2)
#define FS_READ_DIR	  (UINT64_C(1) << 3)
#define FS_REMOVE_FILE	  (UINT64_C(1) << 5)
#define FS_WRITE_FILE	  (UINT64_C(1) << 1)
#define FS_MAKE_REG	  (UINT64_C(1) << 8)
#define FS_TRUNCATE	  (UINT64_C(1) << 14)

#define NET_BIND_CONNECT  3u /* TCP */
#define SCOPE_SOCK_SIGNAL 3u /* abstract Unix sockets and signals reach no further than us */

struct ruleset {
	uint64_t fs, net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t dir;
} __attribute__((packed));

/* What an ABI can forbid, and how much of the structure it knows. */
static const struct abi {
	struct ruleset all;
	size_t size;
} abis[] = {
	[1] = { { FS_RIGHTS(13), 0, 0 }, 8 },
	[2] = { { FS_RIGHTS(14), 0, 0 }, 8 }, /* linking and renaming across directories */
	[3] = { { FS_RIGHTS(15), 0, 0 }, 8 }, /* truncating */
	[4] = { { FS_RIGHTS(15), NET_BIND_CONNECT, 0 }, 16 },
	[5] = { { FS_RIGHTS(16), NET_BIND_CONNECT, 0 }, 16 }, /* ioctl of devices */
	[6] = { { FS_RIGHTS(16), NET_BIND_CONNECT, SCOPE_SOCK_SIGNAL }, 24 },
};

static int allow(int ruleset, int dir, uint64_t rights)
{
	struct path_rule rule = { .allowed = rights, .dir = dir };

	return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) ? -errno : 0;
}

/* A sanitizer looks there at its end and before it reports. */
static int allow_proc(int ruleset)
{
#ifdef SANDBOX_SANITIZED
	int dir = open("/proc", O_PATH | O_CLOEXEC), err;

	if (dir < 0)
		return -errno;
	err = allow(ruleset, dir, FS_READ_FILE | FS_READ_DIR);
	close(dir);
	return err;
#else
	(void)ruleset;
	return 0;
#endif
}

/* To replace a file: make, fill and cut off another, rename it, which removes the old one. */
static const uint64_t replacing = FS_WRITE_FILE | FS_MAKE_REG | FS_REMOVE_FILE | FS_TRUNCATE;

/*
 * What the host's resolver reads: the folder of the file behind a link, whose owner replaces it
 * now and then; of a file in /etc that file alone.
 */
static int allow_name_servers(int ruleset)
{
	char real[PATH_MAX];
	uint64_t rights = FS_READ_FILE;
	int fd, err;

	if (!realpath(_PATH_RESCONF, real))
		return 0; /* there is none: libslirp goes without */
	if (strcmp(real, _PATH_RESCONF)) {
		*strrchr(real, '/') = 0;
		rights |= FS_READ_DIR;
	}
	fd = open(real, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	err = allow(ruleset, fd, rights);
	close(fd);
	return err;
}

static int restrict_to(int ruleset, const struct sandbox_config *cfg, uint64_t known)
{
	int err = allow_proc(ruleset);

	if (!err && cfg->removable_dir > 0)
		err = allow(ruleset, cfg->removable_dir, FS_REMOVE_FILE);
	if (!err && cfg->job == SANDBOX_JOB_KEPT)
		err = allow(ruleset, cfg->kept_dir, replacing & known);
	if (!err && cfg->job == SANDBOX_JOB_NAT)
		err = allow_name_servers(ruleset);
	if (!err && syscall(SYS_landlock_restrict_self, ruleset, 0))
		err = -errno;
	return err;
}

int sandbox_files(const struct sandbox_config *cfg, int *abi)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION);
	const long newest = sizeof(abis) / sizeof(abis[0]) - 1;
	struct ruleset handled;
	const struct abi *a;
	int ruleset, err;

	*abi = version > 0 ? (int)version : 0;
	if (version <= 0)
		return 0; /* ENOSYS: not built in; EOPNOTSUPP: not turned on at boot */
	a = &abis[version < newest ? version : newest];
	handled = a->all;
	if (cfg->job == SANDBOX_JOB_NAT)
		handled.net = 0; /* guests connect to anything */
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, a->size, 0);
	if (ruleset < 0)
		return -errno;
	err = restrict_to(ruleset, cfg, a->all.fs);
	close(ruleset);
	return err;
}
