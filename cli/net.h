/* SPDX-License-Identifier: MIT */
/* Switches and ports as a page for people. */
#ifndef HVBUS_CLI_NET_H
#define HVBUS_CLI_NET_H

#include "cli/json.h"

/* As a small tree: the switch, its ports, what is behind and wrong with each. */
void net_print_switch(const json_t *sw);
/* One port of it, with everything. */
void net_print_port(const json_t *port);

#endif
