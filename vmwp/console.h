/* SPDX-License-Identifier: MIT */
/*
 * Where a VM's serial console leads: the terminal we run in, a file, or a socket that one
 * client at a time connects to.
 *
 *   stdio     raw mode on a terminal; Ctrl-A x ends the VM, Ctrl-A Ctrl-A types Ctrl-A
 *   file:F    output only, appended
 *   unix:S    both ways; what is said while nobody listens is lost
 *
 * Threads: the main loop's.
 */
#ifndef HVBUS_VMWP_CONSOLE_H
#define HVBUS_VMWP_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"

struct console;

#define CONSOLE_FDS 4u /* at most */

struct console_ops {
	uint32_t (*typed)(void *ctx, const void *data, uint32_t len); /* returns how much fitted */
	/* console_write() is worth trying again. Never from inside of it. */
	void (*room)(void *ctx);
	void (*escape)(void *ctx); /* Ctrl-A x */
};

/* Before the sandbox. -errno with a sentence in @why; -EINVAL: @spec is none of the above. */
int console_open(struct console **out, struct loop *loop, const char *spec,
		 const struct console_ops *ops, void *ctx, char *why, size_t whylen);
/* The terminal is as it was before. */
void console_close(struct console *c);

/* Returns how much of it was taken; ops->room follows when not all. */
uint32_t console_write(struct console *c, const void *data, uint32_t len);
/* ops->typed can take more, after it did not take all. */
void console_hungry(struct console *c);

#endif
