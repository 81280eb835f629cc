/* SPDX-License-Identifier: MIT */
/*
 * The order of the layers, and the small ones: no_new_privs, capabilities, limits.
 */
#include "vmwp/sandbox_priv.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Descriptors in flight to children count for all processes of the user together, but against
 * the limit of the one that sends: never below what is usual.
 */
#define LEAST_FDS 1024

/* ---- privileges ------------------------------------------------------------------ */

static int get_capabilities(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

	return syscall(SYS_capget, &head, data) ? -errno : 0;
}

/* The bounding set first: to shrink it is a privilege. An ordinary user keeps it, and nothing
 * that could be got from it after no_new_privs.
 */
static int drop_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) && errno != EINVAL)
		return -errno;
	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

static bool has_capabilities(void)
{
	struct __user_cap_data_struct data[2];
	uint32_t any = 0;

	if (get_capabilities(data))
		return true;
	for (int i = 0; i < 2; i++)
		any |= data[i].effective | data[i].permitted | data[i].inheritable;
	return any;
}

/* ---- limits ------------------------------------------------------------------------ */

/* Soft and hard. A hard limit below what is wanted stays: then fewer children fit. */
static int limit(int what, uint64_t *most)
{
	struct rlimit now;

	if (getrlimit(what, &now))
		return -errno;
	if (now.rlim_max != RLIM_INFINITY && *most > now.rlim_max)
		*most = now.rlim_max;
	now.rlim_cur = now.rlim_max = *most;
	return setrlimit(what, &now) ? -errno : 0;
}

static int set_limits(uint64_t max_fds, struct sandbox_state *st)
{
	uint64_t none = 0;
	int err = limit(RLIMIT_CORE, &none);

	if (err || !max_fds)
		return err;
	st->max_fds = max_fds < LEAST_FDS ? LEAST_FDS : max_fds;
	return limit(RLIMIT_NOFILE, &st->max_fds);
}

/* ---- together ------------------------------------------------------------------------ */

static int fail(int err, const char *what, char *why, size_t n)
{
	snprintf(why, n, "sandbox: %s: %s; --sandbox off serves without", what, strerror(-err));
	return err;
}

static uint32_t layers(const struct sandbox_config *cfg)
{
	return cfg->layers ? cfg->layers : SANDBOX_ALL;
}

/* no_new_privs is there always: the kernel demands it for landlock and for seccomp. */
int sandbox_enter(const struct sandbox_config *cfg, struct sandbox_state *st, char *why, size_t n)
{
	int err = 0;

	*st = (struct sandbox_state){ .mode = cfg->mode };
	if (cfg->mode == SANDBOX_OFF)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return fail(-errno, "no_new_privs", why, n);
	st->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	if (layers(cfg) & SANDBOX_LIMITS)
		err = set_limits(cfg->max_fds, st);
	if (err)
		return fail(err, "resource limits", why, n);
	if (layers(cfg) & SANDBOX_FILES)
		err = sandbox_files(cfg, &st->landlock_abi);
	if (err)
		return fail(err, "landlock", why, n);
	if (layers(cfg) & SANDBOX_PRIVILEGES)
		err = drop_capabilities();
	if (err)
		return fail(err, "capabilities", why, n);
	st->no_capabilities = !has_capabilities();
	return 0;
}

int sandbox_seal(const struct sandbox_config *cfg, struct sandbox_state *st, char *why, size_t n)
{
	int err;

	if (cfg->mode == SANDBOX_OFF || !(layers(cfg) & SANDBOX_CALLS))
		return 0;
	err = sandbox_calls(cfg);
	if (err)
		return fail(err, "seccomp", why, n);
	st->calls_filtered = true;
	return 0;
}
