/* SPDX-License-Identifier: MIT */
/* Requests to shut down; see the header. */
#include "vsp/ic/ic_shutdown.h"

#include <errno.h>
#include <stdlib.h>

#include "vsp/ic/ic_text.h"

struct ic_shutdown {
	struct ic *ic;
	void (*done)(void *ctx, int err, uint32_t status);
	void *done_ctx;
	void (*gone)(void *ctx);
	void *gone_ctx;
};

static const struct ic_service service = {
	.name = "shutdown",
	.type = VMBUS_CLASS_SHUTDOWN,
	.instance = VMBUS_INSTANCE_SHUTDOWN,
	.message = IC_SHUTDOWN,
	.max_body = sizeof(struct ic_shutdown_body),
	.framework = { { 1, 0 }, { 3, 0 } },
	.version = { { 3, 2 }, { 3, 1 }, { 3, 0 }, { 1, 0 } },
};

static const struct {
	uint32_t flag;
	struct ic_version since;
} kinds[] = {
	[IC_POWER_OFF] = { 0, { 1, 0 } },
	[IC_REBOOT] = { IC_SHUTDOWN_RESTART, { 3, 1 } },
	[IC_HIBERNATE] = { IC_SHUTDOWN_HIBERNATE, { 3, 2 } },
};

/* ---- requests ------------------------------------------------------------------------- */

static void answered(void *ctx, const struct ic_answer *a)
{
	struct ic_shutdown *s = ctx;

	s->done(s->done_ctx,
		a->err		     ? a->err
		: a->status == IC_OK ? 0
				     : -EPERM,
		a->err ? 0 : a->status);
}

static int check(const struct ic_shutdown *s, const struct ic_shutdown_request *r)
{
	struct ic_version since;
	int err = ic_ready(s->ic);

	if (err)
		return err;
	if (r->kind < IC_POWER_OFF || r->kind > IC_HIBERNATE)
		return -EINVAL;
	since = kinds[r->kind].since;
	return ic_version_at_least(ic_version(s->ic), since.major, since.minor) ? 0 : -ENOSYS;
}

int ic_shutdown_request(struct ic_shutdown *s, const struct ic_shutdown_request *r,
			void (*done)(void *ctx, int err, uint32_t status), void *ctx)
{
	uint16_t text[IC_SHUTDOWN_TEXT];
	struct ic_shutdown_body b;
	int err = check(s, r);

	if (err)
		return err;
	err = ic_text_put(text, IC_SHUTDOWN_TEXT, r->text ? r->text : "");
	if (err < 0)
		return err;
	b.reason = r->reason ? r->reason : IC_SHUTDOWN_PLANNED;
	b.timeout_s = r->timeout_s;
	b.flags = kinds[r->kind].flag | (r->force ? IC_SHUTDOWN_FORCE : 0);
	memcpy(b.text, text, sizeof(b.text));
	err = ic_request(s->ic, &b, sizeof(b),
			 (r->answer_ms ? r->answer_ms : IC_SHUTDOWN_ANSWER_MS) * 1000000ull,
			 answered, s);
	if (err)
		return err;
	s->done = done;
	s->done_ctx = ctx;
	return 0;
}

static const char *explain_status(uint32_t status)
{
	switch (status) {
	case IC_MACHINE_LOCKED:
		return "refuses: somebody works at it, and it has locked the screen";
	case IC_NOT_SUPPORTED:
		return "refuses: it cannot do that";
	default:
		return "refuses";
	}
}

const char *ic_shutdown_explain(int err, uint32_t status)
{
	switch (err) {
	case 0:
		return "will do it";
	case -EPERM:
		return explain_status(status);
	case -ETIMEDOUT:
		return "does not answer";
	case -ECONNRESET:
		return "closed the shutdown channel before it answered";
	case -ENOTCONN:
		return "has not opened the shutdown channel: it has no such driver, or not yet";
	case -EAGAIN:
		return "is still getting its shutdown channel ready; try again in a moment";
	case -EOPNOTSUPP:
		return "speaks no version of the shutdown protocol that we do";
	case -ENOSYS:
		return "speaks a version of the shutdown protocol that cannot do that";
	case -EBUSY:
		return "has not answered the request before";
	case -ENOBUFS:
		return "does not read its shutdown channel";
	case -EPROTO:
		return "broke the shutdown protocol";
	default:
		return "cannot be asked";
	}
}

/* ---- life ------------------------------------------------------------------------------- */

int ic_shutdown_create(struct ic_shutdown **out, struct vmbus_bus *bus, struct loop *loop)
{
	static const struct ic_ops none;
	struct ic_shutdown *s = calloc(1, sizeof(*s));
	struct ic_config cfg = { .service = &service, .ops = &none, .ctx = s, .loop = loop };
	int err;

	if (!s)
		return -ENOMEM;
	err = ic_create(&s->ic, bus, &cfg);
	if (err) {
		free(s);
		return err;
	}
	*out = s;
	return 0;
}

static void ic_gone(void *ctx)
{
	struct ic_shutdown *s = ctx;
	void (*gone)(void *ctx) = s->gone;
	void *gone_ctx = s->gone_ctx;

	free(s);
	if (gone)
		gone(gone_ctx);
}

void ic_shutdown_destroy(struct ic_shutdown *s, void (*gone)(void *ctx), void *ctx)
{
	s->gone = gone;
	s->gone_ctx = ctx;
	ic_destroy(s->ic, ic_gone, s);
}

struct ic *ic_shutdown_ic(const struct ic_shutdown *s)
{
	return s->ic;
}
