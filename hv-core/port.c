/* SPDX-License-Identifier: MIT */
/*
 * A partition's table of connection ids. Every lookup happens in the caller's own
 * table, so an id of another partition means nothing here.
 */
#include "hv-core/port.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hv-core/partition_priv.h"

struct hv_port {
	struct hv_port *next;
	uint32_t id;
	int fd;		  /* event port: doorbell; message port: -1 */
	hv_message_fn fn; /* message port; NULL for an event port */
	void *ctx;
};

static struct hv_port **port_find(struct hv_partition *p, uint32_t id)
{
	struct hv_port **link = &p->port[id % HV_PORT_BUCKETS];

	while (*link && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

static int port_create(struct hv_partition *p, const struct hv_port *wanted)
{
	struct hv_port **link, *port;

	if (wanted->id > HV_CONN_MAX)
		return -EINVAL;
	link = port_find(p, wanted->id);
	if (*link)
		return -EEXIST;
	if (p->nr_ports >= p->max_ports)
		return -ENOSPC;
	port = malloc(sizeof(*port));
	if (!port)
		return -ENOMEM;
	*port = *wanted;
	*link = port;
	p->nr_ports++;
	return 0;
}

static int bind_port(struct hv_partition *p, uint32_t id, int fd)
{
	return p->ops->bind ? p->ops->bind(p->backend, id, fd) : 0;
}

static void port_remove(struct hv_partition *p, struct hv_port **link)
{
	struct hv_port *port = *link;

	*link = port->next;
	free(port);
	p->nr_ports--;
}

int hv_port_create_message(struct hv_partition *p, uint32_t connection_id, hv_message_fn fn,
			   void *ctx)
{
	struct hv_port port = { .id = connection_id, .fd = -1, .fn = fn, .ctx = ctx };

	return fn ? port_create(p, &port) : -EINVAL;
}

int hv_port_create_event(struct hv_partition *p, uint32_t connection_id, int fd)
{
	struct hv_port port = { .id = connection_id, .fd = fd };
	int err = fd >= 0 ? port_create(p, &port) : -EINVAL;

	if (err)
		return err;
	err = bind_port(p, connection_id, fd);
	if (err)
		port_remove(p, port_find(p, connection_id));
	return err;
}

void hv_port_delete(struct hv_partition *p, uint32_t connection_id)
{
	struct hv_port **link = port_find(p, connection_id);

	if (!*link)
		return;
	if ((*link)->fd >= 0)
		bind_port(p, connection_id, -1);
	port_remove(p, link);
}

void hv_port_fini(struct hv_partition *p)
{
	for (uint32_t i = 0; i < HV_PORT_BUCKETS; i++)
		while (p->port[i])
			hv_port_delete(p, p->port[i]->id);
}

/* ---- the guest's side ------------------------------------------------------------ */

enum hv_status hv_port_post_message(struct hv_partition *p, const struct hv_post_message_input *in)
{
	const struct hv_port *port;
	enum hv_status status;

	if (in->payload_size > HV_MSG_PAYLOAD || in->reserved)
		return HV_STATUS_INVALID_PARAMETER;
	/* Types with bit 31 are the hypervisor's own. */
	if (in->message_type == HV_MESSAGE_NONE || in->message_type >> 31)
		return HV_STATUS_INVALID_PARAMETER;
	port = *port_find(p, in->connection_id);
	if (!port)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (!port->fn)
		return HV_STATUS_INVALID_PORT_ID;
	/* Nobody listens for another type: delivered and thrown away, as by a real root. */
	if (in->message_type != HV_MESSAGE_VMBUS) {
		p->stats.messages_dropped++;
		return HV_STATUS_SUCCESS;
	}
	status = port->fn(port->ctx, in->connection_id, in->payload, in->payload_size);
	if (status == HV_STATUS_SUCCESS)
		p->stats.messages_in++;
	return status;
}

enum hv_status hv_port_signal_event(struct hv_partition *p, uint32_t connection_id, uint16_t flag,
				    int *fd)
{
	const struct hv_port *port = *port_find(p, connection_id);

	if (!port)
		return HV_STATUS_INVALID_CONNECTION_ID;
	if (port->fn)
		return HV_STATUS_INVALID_PORT_ID;
	if (flag)
		return HV_STATUS_INVALID_PARAMETER; /* our event ports have one flag */
	if (fd)
		*fd = port->fd;
	else
		eventfd_write(port->fd, 1); /* EAGAIN: at its maximum, the reader wakes up anyway */
	return HV_STATUS_SUCCESS;
}
