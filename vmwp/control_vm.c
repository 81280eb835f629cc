/* SPDX-License-Identifier: MIT */
/* Requests about the virtual machine of a root that has one. */
#include <errno.h>

#include "vmwp/control.h"
#include "vmwp/root_priv.h"

static json_t *pause_or_resume(struct control_call *c, bool pause)
{
	struct machine *m = c->root->machine;

	if (!m)
		return control_error(-ENOENT,
				     "this root has no virtual machine; `hvbus run` makes one");
	machine_pause(m, pause);
	return json_object();
}

json_t *control_vm_pause(struct control_call *c)
{
	return pause_or_resume(c, true);
}

json_t *control_vm_resume(struct control_call *c)
{
	return pause_or_resume(c, false);
}
