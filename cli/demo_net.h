/* SPDX-License-Identifier: MIT */
/* The second act of the demo: three guests, a switch between them and one to the outside. */
#ifndef HVBUS_CLI_DEMO_NET_H
#define HVBUS_CLI_DEMO_NET_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Can it be played here: may this user make namespaces and TAPs, are the programs there? If not,
 * a sentence in @why names what to enable or to install.
 */
bool demo_net_possible(char *why, size_t whylen);

/*
 * Plays it in the directory @dir, whose scratch.img is what the guests move; made when it is not
 * there. True, or a sentence in @why. Every process it started is gone when it returns; SIGINT,
 * SIGTERM and SIGHUP end it, and then the demo, in the same order.
 */
bool demo_net_play(const char *dir, char *why, size_t whylen);

#endif
