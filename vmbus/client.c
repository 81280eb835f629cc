/* SPDX-License-Identifier: MIT */
/*
 * The child's connection to the bus: agreeing on a version, collecting offers,
 * sleeping and polling for the threads that own channels, and the way out.
 */
#include "vmbus/client.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "vmbus/client_priv.h"
#include "vmbus/version.h"

#define DEFAULT_TIMEOUT_MS 10000u
#define FIRST_GPADL	   0xe1e10u /* any number does; this one is easy to spot in traces */

/* ---- version (spec: vmbus, section 3) ------------------------------------------ */

/* Judges the response to a contact with @version. -EPROTONOSUPPORT: try the next one. */
static int accept_version(struct vmbus_client *c, uint32_t version,
			  const struct vmbus_msg_version_response *r)
{
	uint32_t echo = r->version_or_connection;

	if (!r->supported)
		return -EPROTONOSUPPORT;
	if (r->connection_state != VMBUS_CONNECTION_OK)
		return -EIO;
	if (version >= VMBUS_V5_0) {
		if (echo == 0 || echo > 0xffffff)
			return -EPROTO;
		c->connection = echo;
	} else if (echo != version && echo != 0) { /* old servers leave it 0 */
		return -EPROTO;
	}
	c->version = version;
	return 0;
}

static int try_version(struct vmbus_client *c, uint32_t version)
{
	uint64_t until = client_deadline(c);
	struct client_request r;
	union vmbus_msg msg;
	uint32_t len;
	int err;

	len = vmbus_msg_init(&msg, VMBUS_MSG_INITIATE_CONTACT);
	msg.contact.version = version;
	c->connection = HV_CONN_VMBUS_MESSAGE;
	if (version >= VMBUS_V5_0) {
		c->connection = HV_CONN_VMBUS_CONTACT;
		msg.contact.target_sint = HV_VMBUS_SINT;
	}
	client_expect(c, &r, VMBUS_MSG_VERSION_RESPONSE, 0, 0);
	err = client_post(c, &msg, len, until);
	if (err)
		client_forget(c, &r);
	else
		err = client_await(c, &r, until);
	return err ? err : accept_version(c, version, &r.reply.version);
}

static int negotiate(struct vmbus_client *c)
{
	uint32_t version = vmbus_version_below(c->cfg.max_version + 1);
	int err = -EPROTONOSUPPORT;

	while (err == -EPROTONOSUPPORT && version && version >= c->cfg.min_version) {
		err = try_version(c, version);
		version = vmbus_version_below(version);
	}
	return err;
}

static int request_offers(struct vmbus_client *c)
{
	uint64_t until = client_deadline(c);
	struct client_request r;
	union vmbus_msg msg;
	uint32_t len;
	int err;

	c->state = CLIENT_REQUESTING;
	len = vmbus_msg_init(&msg, VMBUS_MSG_REQUESTOFFERS);
	client_expect(c, &r, VMBUS_MSG_ALLOFFERS_DELIVERED, 0, 0);
	err = client_post(c, &msg, len, until);
	if (err)
		client_forget(c, &r);
	else
		err = client_await(c, &r, until);
	if (!err)
		c->state = CLIENT_CONNECTED;
	return err;
}

/* ---- life ----------------------------------------------------------------------------- */

static void config_defaults(struct vmbus_client_config *cfg)
{
	if (!cfg->max_version || cfg->max_version > VMBUS_VERSION_MAX)
		cfg->max_version = VMBUS_VERSION_MAX;
	if (cfg->min_version < VMBUS_VERSION_MIN)
		cfg->min_version = VMBUS_VERSION_MIN;
	if (!cfg->timeout_ms)
		cfg->timeout_ms = DEFAULT_TIMEOUT_MS;
	if (!cfg->max_offers || cfg->max_offers > VMBUS_MAX_RELID)
		cfg->max_offers = VMBUS_MAX_RELID;
}

static struct vmbus_client *client_new(struct hv_child *child,
				       const struct vmbus_client_config *cfg)
{
	struct vmbus_client *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (!c)
		return NULL;
	c->child = child;
	if (cfg)
		c->cfg = *cfg;
	config_defaults(&c->cfg);
	c->next_gpadl = FIRST_GPADL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* deadlines are clock_ns() */
	pthread_cond_init(&c->changed, &attr);
	pthread_condattr_destroy(&attr);
	return c;
}

int vmbus_client_connect(struct vmbus_client **out, struct hv_child *child,
			 const struct vmbus_client_config *cfg)
{
	struct vmbus_client *c = client_new(child, cfg);
	int err;

	if (!c)
		return -ENOMEM;
	client_lock(c);
	err = negotiate(c);
	if (!err)
		err = request_offers(c);
	client_unlock(c);
	if (err) {
		vmbus_client_destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

/* Sub-channels first: closing a primary makes the root rescind its sub-channels. */
static void close_all(struct vmbus_client *c, bool subs)
{
	for (uint32_t i = 1; i <= VMBUS_MAX_RELID; i++) {
		struct client_chan *cc = c->chan[i];

		if (cc && cc->state == CHAN_OPEN && (cc->offer.sub_index != 0) == subs)
			client_chan_close(c, cc);
	}
}

static void unload(struct vmbus_client *c)
{
	uint64_t until = client_deadline(c);
	struct client_request r;
	union vmbus_msg msg;
	uint32_t len;

	c->state = CLIENT_DISCONNECTING;
	len = vmbus_msg_init(&msg, VMBUS_MSG_UNLOAD);
	client_expect(c, &r, VMBUS_MSG_UNLOAD_RESPONSE, 0, 0);
	if (client_post(c, &msg, len, until))
		client_forget(c, &r);
	else
		client_await(c, &r, until); /* silence changes nothing: we leave either way */
}

void vmbus_client_destroy(struct vmbus_client *c)
{
	if (!c)
		return;
	client_lock(c);
	close_all(c, true);
	close_all(c, false);
	if (c->version && !c->ended)
		unload(c);
	client_unlock(c);
	for (uint32_t i = 1; i <= VMBUS_MAX_RELID; i++)
		free(c->chan[i]);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void vmbus_client_cancel(struct vmbus_client *c)
{
	client_lock(c);
	client_end(c, -ECANCELED);
	for (uint32_t vp = 0; vp < hv_child_nr_vps(c->child); vp++)
		client_kick_vp(c, vp);
	client_unlock(c);
}

uint32_t vmbus_client_version(const struct vmbus_client *c)
{
	return c->version;
}

struct hv_child *vmbus_client_child(struct vmbus_client *c)
{
	return c->child;
}

/* ---- offers --------------------------------------------------------------------------------- */

int vmbus_client_find(struct vmbus_client *c, const struct guid *type, uint32_t index,
		      struct vmbus_offer *out)
{
	int err = -ENOENT;

	client_lock(c);
	for (uint32_t i = 1; i <= VMBUS_MAX_RELID; i++) {
		const struct client_chan *cc = c->chan[i];

		if (!cc || cc->rescinded || cc->offer.sub_index ||
		    !guid_equal(&cc->offer.type, type))
			continue;
		if (index--)
			continue;
		*out = cc->offer;
		err = 0;
		break;
	}
	client_unlock(c);
	return err;
}

static const struct client_chan *find_sub(const struct vmbus_client *c, const struct guid *instance,
					  uint16_t sub)
{
	for (uint32_t i = 1; i <= VMBUS_MAX_RELID; i++) {
		const struct client_chan *cc = c->chan[i];

		if (cc && !cc->rescinded && cc->offer.sub_index == sub &&
		    guid_equal(&cc->offer.instance, instance))
			return cc;
	}
	return NULL;
}

int vmbus_client_wait_sub(struct vmbus_client *c, const struct vmbus_offer *primary, uint16_t sub,
			  struct vmbus_offer *out)
{
	uint64_t until = client_deadline(c);
	const struct client_chan *cc;
	int err = 0;

	client_lock(c);
	for (;;) {
		cc = find_sub(c, &primary->instance, sub);
		if (cc) {
			*out = cc->offer;
			err = 0;
			break;
		}
		if (!find_sub(c, &primary->instance, 0)) {
			err = -ENOENT;
			break;
		}
		if (err)
			break;
		err = client_wait_change(c, until);
	}
	client_unlock(c);
	return err;
}

/* ---- sleeping and polling
 * ------------------------------------------------------------------------ */

static void ignore_flag(void *ctx, uint32_t flag)
{
	(void)ctx; /* a flag is a hint: the thread looks at all of its channels */
	(void)flag;
}

int vmbus_client_wait(struct vmbus_client *c, uint32_t vp, uint64_t timeout_ns)
{
	uint64_t now;
	int r;

	if (vp == 0) {
		now = clock_ns();
		client_lock(c);
		r = client_wait_vp0(c, timeout_ns < CLIENT_NO_LIMIT - now ? now + timeout_ns
									  : CLIENT_NO_LIMIT);
		client_unlock(c);
		return r;
	}
	r = load_acquire(&c->ended); /* pairs with client_end() */
	if (r)
		return r;
	r = hv_child_vp_wait(c->child, vp, timeout_ns);
	if (r > 0)
		hv_child_take_events(c->child, vp, ignore_flag, NULL);
	return load_acquire(&c->ended) ? load_acquire(&c->ended) : r;
}

int vmbus_client_fd(struct vmbus_client *c, uint32_t vp)
{
	return hv_child_vp_fd(c->child, vp);
}

bool vmbus_client_arm(struct vmbus_client *c, uint32_t vp)
{
	bool armed;

	if (vp)
		return !load_acquire(&c->ended) && hv_child_vp_arm(c->child, vp);
	client_lock(c);
	armed = client_arm_vp0(c);
	client_unlock(c);
	return armed;
}

int vmbus_client_disarm(struct vmbus_client *c, uint32_t vp)
{
	int r;

	if (vp == 0) {
		client_lock(c);
		r = client_disarm_vp0(c);
		client_unlock(c);
		return r;
	}
	r = hv_child_vp_disarm(c->child, vp);
	if (r > 0)
		hv_child_take_events(c->child, vp, ignore_flag, NULL);
	return load_acquire(&c->ended) ? load_acquire(&c->ended) : r;
}

void vmbus_client_poll(struct vmbus_client *c)
{
	if (pthread_mutex_trylock(&c->lock))
		return; /* whoever has it is going to look, or has just looked */
	client_poll_messages(c);
	client_unlock(c);
}

void vmbus_client_stats(struct vmbus_client *c, struct vmbus_client_stats *out)
{
	memset(out, 0, sizeof(*out));
	client_lock(c);
	out->messages_in = c->messages_in;
	out->messages_ignored = c->messages_ignored;
	out->last_ignored = c->last_ignored;
	out->pages_abandoned = c->pages_abandoned;
	out->offers = c->nr_offers;
	for (uint32_t i = 1; i <= VMBUS_MAX_RELID; i++)
		out->channels += c->chan[i] && c->chan[i]->state == CHAN_OPEN;
	client_unlock(c);
}
