/* SPDX-License-Identifier: MIT */
/*
 * A root partition in a process of its own, for commands that bring their own.
 */
#ifndef HVBUS_CLI_SPAWN_H
#define HVBUS_CLI_SPAWN_H

#include <sys/types.h>

#include "vmwp/root.h"

/*
 * Forks a root that serves @cfg, in its sandbox. Returns its pid when it is ready, or a negative
 * errno with a sentence in @why. The root ends when its parent dies.
 */
pid_t spawn_root(const struct root_config *cfg, char *why, size_t whylen);

/* Asks it to stop (SIGTERM), after 10 s makes it (SIGKILL). True when it ended well. */
bool spawn_stop(pid_t pid);

/* A directory only we can enter, for the socket; removed with spawn_rmdir(). */
int spawn_tmpdir(char *path, size_t len);

/* CPU time process @pid has used, ns; 0 when it cannot be read. */
uint64_t spawn_cpu_ns(pid_t pid);

#endif
