/* SPDX-License-Identifier: MIT */
/*
 * Requests of control clients: what is legal (a table), and how one is answered.
 */
#ifndef HVBUS_VMWP_CONTROL_H
#define HVBUS_VMWP_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "hv-core/proc/proc_sock.h"

#define CONTROL_MAX_REQUEST 16384 /* bytes */

struct root;
struct conn;
struct disk;

struct control_call {
	struct root *root;
	struct conn *conn;
	const json_t *in;
	int fd[PROC_MAX_FDS]; /* what came with it, or -1; a verb that keeps one puts -1 here */
};

struct control_key {
	const char *name;
	json_type type; /* JSON_TRUE: a boolean */
	bool needed;
};

struct control_verb {
	const char *name;
	/* The answer; NULL after conn_wait(): it follows. */
	json_t *(*run)(struct control_call *c);
	struct control_key keys[5]; /* beside "do"; the last has no name */
};

/*
 * The verb of a legal request, its object in *@in; NULL: *@error is the answer. *@in may be
 * an object either way.
 */
const struct control_verb *control_parse(const char *text, size_t len, json_t **in, json_t **error);

/* ---- arguments of a legal request --------------------------------------------- */

#define CONTROL_WAIT_MS	    5000 /* for what takes time, when a request does not say */
#define CONTROL_WAIT_MAX_MS 600000

/* NULL: it is not there. */
const char *control_string(const struct control_call *c, const char *key);
/* False: *@answer says what is wrong. A number that is not there is @otherwise. */
bool control_number(const struct control_call *c, const char *key, uint64_t max, uint64_t otherwise,
		    uint64_t *out, json_t **answer);
/* The disk that "disk": "CTL:LUN" names. NULL: *@answer says why not. */
struct disk *control_disk(const struct control_call *c, json_t **answer);

/* ---- verbs: control_disk.c, control_policy.c, control_net.c, control_guest.c, control_vm.c ----
 */

json_t *control_disk_add(struct control_call *c);
json_t *control_disk_remove(struct control_call *c);
json_t *control_disk_resize(struct control_call *c);
json_t *control_disk_medium(struct control_call *c);
json_t *control_disk_limit(struct control_call *c);
json_t *control_fault_add(struct control_call *c);
json_t *control_fault_clear(struct control_call *c);
json_t *control_guest_shutdown(struct control_call *c);
json_t *control_guest_reboot(struct control_call *c);
json_t *control_net_list(struct control_call *c);
json_t *control_net_link(struct control_call *c);
json_t *control_net_limit(struct control_call *c);
json_t *control_net_policy(struct control_call *c);
json_t *control_net_mirror(struct control_call *c);
json_t *control_nic_add(struct control_call *c);
json_t *control_nic_remove(struct control_call *c);
json_t *control_switch_join(struct control_call *c);
json_t *control_vm_pause(struct control_call *c);
json_t *control_vm_resume(struct control_call *c);

/* {"error": .., "errno": -@err} */
json_t *control_error(int err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
