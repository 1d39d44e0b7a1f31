#include "client/session.h"

#include <errno.h>
#include <string.h>

#include "client/connect.h"
#include "client/interrupt.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

/* On a terminal somebody waits; in a script nothing is repeated unasked. */
static const uint64_t retry_terminal_usec = 120 * USEC_PER_SEC;

void
session_init(struct session *s, const struct options *o, struct report *report)
{
	uint64_t retry_usec = report->progress.kind == PROGRESS_TERMINAL ? retry_terminal_usec : 0;

	*s = (struct session){ .report = report,
			       .plain = options_has(o, OPTION_BIT(plain)),
			       .tls = options_want_tls(o),
			       .timeout_usec = SESSION_TIMEOUT_S * USEC_PER_SEC };
	if (options_has(o, OPTION_BIT(retry_for)))
		retry_usec = o->retry_usec;
	if (options_has(o, OPTION_BIT(timeout)))
		s->timeout_usec = o->timeout_usec;
	identity_init(&s->identity, o, report);
	auth_init(&s->auth, o, report);
	retry_init(&s->retry, retry_usec);
}

void
session_close(struct session *s)
{
	if (s->open)
		wire_done(&s->wire);
	s->open = false;
}

void
session_done(struct session *s)
{
	session_close(s);
	auth_forget(&s->auth);
}

/* What is said while one waits for something else; text of the server, for people. */
static void
tell_notice(struct session *s, const struct answer *a)
{
	char text[FAILURE_TEXT_MAX];

	if (a->message.data != NULL)
		report_warning(s->report, "server: %s",
			       text_escape(text, sizeof(text), a->message.data, a->message.len));
}

static void
tell_phase(struct session *s, const struct answer *a)
{
	static const char *const phases[] = { "waiting", "verifying", "syncing", "paused" };

	for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
		if (answer_is(&a->phase, phases[i]))
			progress_phase(&s->report->progress, phases[i]);
}

/* One frame of any kind. */
static int
next_frame(struct session *s, struct answer *ret, struct failure *f)
{
	json_t *object;
	int r;

	if (interrupt_seen())
		return failure_interrupted(f);
	r = wire_get(&s->wire, &object);
	if (r < 0)
		return failure_connection(f, r);
	r = answer_decode(object, ret);
	if (r < 0)
		return failure_protocol(f, "a frame has a key of the wrong kind");
	return 0;
}

/* Whether the frame was only said on the way; it is told and freed then. */
static bool
take_noise(struct session *s, struct answer *a)
{
	if (answer_is(&a->status, "notice"))
		tell_notice(s, a);
	else if (answer_is(&a->status, "working"))
		tell_phase(s, a);
	else
		return false;
	answer_done(a);
	return true;
}

int
session_receive(struct session *s, struct answer *ret, struct failure *f)
{
	struct answer a;
	int r;

	do {
		r = next_frame(s, &a, f);
		if (r < 0)
			return r;
	} while (take_noise(s, &a));
	*ret = a;
	return 0;
}

/* An error without id is about the frame or the connection, whatever was asked. */
int
session_check(const struct answer *a, uint64_t id, struct failure *f)
{
	if ((a->has & ANSWER_HAS_ID) && a->id != id)
		return failure_protocol(f, "an answer to what was not asked");
	if (answer_is(&a->status, "error"))
		return failure_server(f, a);
	if (!answer_is(&a->status, "ok") && !answer_is(&a->status, "continue"))
		return failure_protocol(f, "an answer of an unknown status");
	return 0;
}

int
session_receive_for(struct session *s, uint64_t id, struct answer *ret, struct failure *f)
{
	struct answer a;
	int r;

	r = session_receive(s, &a, f);
	if (r < 0)
		return r;
	r = session_check(&a, id, f);
	if (r < 0) {
		answer_done(&a);
		return r;
	}
	*ret = a;
	return 0;
}

int
session_poll_for(struct session *s, uint64_t id, struct answer *ret, struct failure *f)
{
	struct answer a;
	int r;

	do {
		r = wire_ready(&s->wire);
		if (r <= 0)
			return r < 0 ? failure_connection(f, r) : 0;
		r = next_frame(s, &a, f);
		if (r < 0)
			return r;
	} while (take_noise(s, &a));
	r = session_check(&a, id, f);
	if (r < 0) {
		answer_done(&a);
		return r;
	}
	*ret = a;
	return 1;
}

/* Takes request over. */
static int
send_by(int (*put)(struct wire *w, json_t *object), struct session *s, json_t *request,
	struct failure *f)
{
	auto_json json_t *owned = request;
	int r;

	if (interrupt_seen())
		return failure_interrupted(f);
	if (owned == NULL ||
	    json_object_set_new(owned, "id", json_integer((json_int_t)++s->last_id)) < 0)
		return failure_connection(f, -ENOMEM);
	r = put(&s->wire, owned);
	return r < 0 ? failure_connection(f, r) : 0;
}

int
session_send(struct session *s, json_t *request, struct failure *f)
{
	return send_by(wire_put, s, request, f);
}

int
session_send_secret(struct session *s, json_t *request, struct failure *f)
{
	return send_by(wire_put_secret, s, json_incref(request), f);
}

int
session_send_body(struct session *s, const void *body, size_t len, struct failure *f)
{
	int r = wire_put_body(&s->wire, body, len);

	return r < 0 ? failure_connection(f, r) : 0;
}

int
session_send_piece(struct session *s, json_t *frame, const void *body, size_t len,
		   struct failure *f)
{
	auto_json json_t *owned = frame;
	int r;

	if (interrupt_seen())
		return failure_interrupted(f);
	if (owned == NULL)
		return failure_connection(f, -ENOMEM);
	r = wire_put(&s->wire, owned);
	if (r < 0)
		return failure_connection(f, r);
	return len > 0 ? session_send_body(s, body, len, f) : 0;
}

int
session_send_void(struct session *s, struct failure *f)
{
	return session_send_piece(
	    s, json_pack("{s:s, s:s}", "status", "error", "code", "cancelled"), NULL, 0, f);
}

int
session_ask(struct session *s, json_t *request, struct answer *ret, struct failure *f)
{
	int r;

	r = session_send(s, request, f);
	return r < 0 ? r : session_receive_for(s, s->last_id, ret, f);
}

int
session_query(struct session *s, json_t *request, struct answer *ret, struct failure *f)
{
	int r;

	for (;;) {
		r = session_ask(s, json_incref(request), ret, f);
		if (r == 0)
			retry_reset(&s->retry);
		if (r == 0 || (f->scope != FAILURE_CONNECTION && !f->again))
			return r;
		r = session_again(s, f);
		if (r < 0)
			return r;
	}
}

int
session_body(struct session *s, void *dst, size_t n, struct failure *f)
{
	uint8_t *at = dst;
	int r;

	while (n > 0) {
		if (interrupt_seen())
			return failure_interrupted(f);
		r = wire_get_body(&s->wire, at, n);
		if (r < 0)
			return failure_connection(f, r);
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

int
session_skip(struct session *s, uint64_t n, struct failure *f)
{
	uint8_t dropped[16 << 10];
	int r;

	for (; n > 0; n -= n < sizeof(dropped) ? n : sizeof(dropped)) {
		r = session_body(s, dropped, n < sizeof(dropped) ? (size_t)n : sizeof(dropped), f);
		if (r < 0)
			return r;
	}
	return 0;
}

int
session_again(struct session *s, struct failure *f)
{
	struct failure next;
	int r;

	for (;;) {
		bool lost = f->scope == FAILURE_CONNECTION;

		if (lost)
			session_close(s);
		if (f->scope == FAILURE_STOP)
			return -EPROTO;
		r = retry_wait(&s->retry, f->after_usec);
		if (r == -EINTR)
			return failure_interrupted(f);
		if (r < 0)
			return r;
		if (!lost)
			return 0;
		report_note(s->report, "trying again: %s", f->text);
		progress_phase(&s->report->progress, "reconnecting");
		r = connect_server(s, &next);
		progress_phase(&s->report->progress, NULL);
		if (r == 0)
			return 0;
		*f = next;
	}
}

int
session_open(struct session *s, const struct url *url, struct failure *f)
{
	int r;

	if (s->open && url_same_server(&s->url, url))
		return 0;
	if (!url_same_server(&s->url, url))
		auth_forget(&s->auth);
	s->url = *url;
	r = connect_server(s, f);
	return r < 0 && f->scope == FAILURE_CONNECTION ? session_again(s, f) : r;
}

json_t *
session_request(const char *opt, const struct url *u)
{
	char path[URL_PATH_TEXT_MAX];
	json_t *o = json_pack("{s:s}", "opt", opt);

	(void)url_path(u, path);
	if (o != NULL && message_set_name(o, "filename", path, strlen(path)) < 0) {
		json_decref(o);
		return NULL;
	}
	return o;
}
