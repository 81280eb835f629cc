/* SPDX-License-Identifier: MIT */
/*
 * The layers of the sandbox that have files of their own. 0 or -errno.
 */
#ifndef HVBUS_VMWP_SANDBOX_PRIV_H
#define HVBUS_VMWP_SANDBOX_PRIV_H

#include <seccomp.h>

#include "base/atomic.h" /* HVBUS_TSAN */
#include "vmwp/sandbox.h"

#if defined(HVBUS_TSAN) || defined(__SANITIZE_ADDRESS__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif

/* *@abi is 0 and the result 0 where the kernel has no landlock. */
int sandbox_files(const struct sandbox_config *cfg, int *abi);

int sandbox_calls(const struct sandbox_config *cfg);

/* Rules of two jobs, into a filter (sandbox_nat.c). */
int sandbox_nat_calls(scmp_filter_ctx ctx);
int sandbox_nats_calls(scmp_filter_ctx ctx);

#endif
