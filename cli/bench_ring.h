/* SPDX-License-Identifier: MIT */
/*
 * `hvbus bench ring`: the VMBus ring between two pinned processes, beside a plain ring
 * without protocol duties, a bare cache line and a bare eventfd, alternating.
 */
#ifndef HVBUS_CLI_BENCH_RING_H
#define HVBUS_CLI_BENCH_RING_H

/* argv[0] is "ring". Returns the exit status. */
int cmd_bench_ring(int argc, char **argv);

#endif
