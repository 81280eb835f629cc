/* SPDX-License-Identifier: MIT */
/*
 * Calls of a child into its root, and the doorbells it rings instead. An answer
 * that is late, malformed or missing ends the connection: after it nobody knows
 * to which call the next answer belongs.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hv-core/proc/child_priv.h"
#include "hv-core/proc/proc_sock.h"

static void close_fds(const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		close(fds[i]);
}

/* Under call_lock. */
static int exchange(struct hv_child *c, const struct hv_proc_call *call, struct hv_proc_result *res,
		    int *fd)
{
	int fds[PROC_MAX_FDS], nfds, err;
	ssize_t n;

	err = proc_sock_send(c->sock, call, sizeof(*call), NULL, 0, 0);
	if (err == -EAGAIN)
		return -ETIMEDOUT;
	if (err)
		return -ECONNRESET;
	n = proc_sock_recv(c->sock, res, sizeof(*res), fds, &nfds);
	if (n == -EAGAIN)
		return -ETIMEDOUT;
	if (n == 0 || n == -ECONNRESET)
		return -ECONNRESET;
	/* No fd although one was announced: our table is full. That is not the root's fault. */
	if (n != (ssize_t)sizeof(*res) || res->op != HV_PROC_RESULT ||
	    !proc_error_valid(res->error) || nfds > (res->has_fd ? 1 : 0)) {
		close_fds(fds, nfds);
		return -EPROTO;
	}
	*fd = fds[0];
	return 0;
}

int child_call(struct hv_child *c, const struct hv_proc_call *call, struct hv_proc_result *res,
	       int *fd)
{
	int err = -ECONNRESET;

	*fd = -1;
	pthread_mutex_lock(&c->call_lock);
	if (!load_acquire(&c->dead))
		err = exchange(c, call, res, fd);
	pthread_mutex_unlock(&c->call_lock);
	if (err)
		child_die(c);
	return err;
}

int child_wrmsr(struct hv_child *c, uint32_t vp, uint32_t msr, uint64_t value)
{
	struct hv_proc_call call = { .op = HV_PROC_WRMSR, .vp = vp, .arg = { msr, value } };
	struct hv_proc_result res;
	int fd, err;

	err = child_call(c, &call, &res, &fd);
	if (err)
		return err;
	close_fds(&fd, fd >= 0);
	return res.error;
}

void child_eom(struct hv_child *c, uint32_t vp)
{
	struct hv_proc_call call = { .op = HV_PROC_EOM, .vp = vp };

	if (!load_acquire(&c->dead) && proc_sock_send(c->sock, &call, sizeof(call), NULL, 0, 0))
		child_die(c);
}

static enum hv_status hypercall(struct hv_child *c, const struct hv_proc_call *call, int *fd)
{
	struct hv_proc_result res;

	if (child_call(c, call, &res, fd))
		return HV_STATUS_INVALID_PARTITION_STATE;
	return res.value & 0xffff;
}

enum hv_status hv_child_post_message(struct hv_child *c, uint32_t connection_id, uint32_t type,
				     const void *payload, uint32_t len)
{
	struct hv_proc_call call = { .op = HV_PROC_HYPERCALL, .arg = { HV_CALL_POST_MESSAGE, 0 } };
	struct hv_post_message_input in = { .connection_id = connection_id,
					    .message_type = type,
					    .payload_size = len };
	enum hv_status status;
	int fd;

	if (len > HV_MSG_PAYLOAD)
		return HV_STATUS_INVALID_PARAMETER;
	memcpy(in.payload, payload, len);
	memcpy(call.input, &in, sizeof(in));
	status = hypercall(c, &call, &fd);
	close_fds(&fd, fd >= 0);
	return status;
}

/* ---- doorbells ------------------------------------------------------------------------ */

/* Writing to a socket or pipe whose reader is gone would end the program (SIGPIPE). */
static bool could_be_bell(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && !(st.st_mode & S_IFMT); /* an anonymous inode */
}

/* The counter is at its maximum (EAGAIN): rung as loudly as can be. */
static void ring(int fd)
{
	eventfd_write(fd, 1);
}

static int *bell_of(struct hv_child *c, uint32_t connection_id)
{
	uint32_t i = connection_id - HV_CONN_CHANNEL_BASE;

	return i < CHILD_BELLS ? &c->bell[i] : NULL;
}

/* Asks the root for the doorbell; the root leaves the ringing to us. */
static enum hv_status signal_first(struct hv_child *c, uint32_t connection_id)
{
	struct hv_proc_call call = { .op = HV_PROC_HYPERCALL,
				     .arg = { HV_CALL_SIGNAL_EVENT | HV_CALL_FAST,
					      connection_id } };
	int *bell = bell_of(c, connection_id), none = -1, fd;
	enum hv_status status = hypercall(c, &call, &fd);

	if (fd < 0)
		return status == HV_STATUS_SUCCESS ? HV_STATUS_NO_RESOURCES : status;
	if (!could_be_bell(fd)) {
		close(fd);
		child_die(c);
		return HV_STATUS_INVALID_PARTITION_STATE;
	}
	ring(fd);
	/* B1 pairs with the load in hv_child_signal_event(). Another thread may have been faster.
	 */
	if (!bell || !__atomic_compare_exchange_n(bell, &none, fd, false, __ATOMIC_ACQ_REL,
						  __ATOMIC_ACQUIRE))
		close(fd);
	return status;
}

enum hv_status hv_child_signal_event(struct hv_child *c, uint32_t connection_id)
{
	const int *bell = bell_of(c, connection_id);
	int fd = bell ? load_acquire(bell) : -1; /* B1 */

	if (unlikely(fd < 0))
		return signal_first(c, connection_id);
	ring(fd);
	return HV_STATUS_SUCCESS;
}

void hv_child_forget_connection(struct hv_child *c, uint32_t connection_id)
{
	int *bell = bell_of(c, connection_id), fd;

	if (!bell)
		return;
	fd = __atomic_exchange_n(bell, -1, __ATOMIC_ACQ_REL);
	if (fd >= 0)
		close(fd);
}

void child_close_bells(struct hv_child *c)
{
	for (uint32_t i = 0; i < CHILD_BELLS; i++)
		if (c->bell[i] >= 0)
			close(c->bell[i]);
}
