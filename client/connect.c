#include "client/connect.h"

#include <string.h>

#include <netdb.h>

#include "client/interrupt.h"
#include "lib/err.h"
#include "lib/text.h"

static int
failed(const struct url *u, int r, int gai, struct failure *f)
{
	char host[URL_HOST_MAX + 1];

	if (interrupt_seen())
		return failure_interrupted(f);
	(void)text_escape(host, sizeof(host), u->host, strlen(u->host));
	if (gai != 0 && gai != EAI_SYSTEM)
		return failure_set(f, gai == EAI_AGAIN ? FAILURE_CONNECTION : FAILURE_STOP,
				   STATUS_CONNECT, "connect", "%s: %s", host, gai_strerror(gai));
	return failure_set(f, FAILURE_CONNECTION, STATUS_CONNECT, "connect",
			   "cannot connect to %s, port %u: %s", host, u->port, err_text(r));
}

int
connect_tcp(struct wire *w, const struct url *u, uint64_t timeout_usec, struct failure *f)
{
	int gai = 0, r;

	r = wire_connect_tcp(w, u->host, u->port, timeout_usec, &gai);
	return r < 0 ? failed(u, r, gai, f) : 0;
}

/* Plain text is for this machine, and for networks of which the user says so. */
static bool
is_plain(const struct session *s)
{
	if (s->tls)
		return false;
	return s->plain || s->url.plain || url_is_loopback(&s->url);
}

/* A connection on which nothing was said yet but what TLS needs. */
static int
open_connection(struct session *s, struct failure *f)
{
	int r;

	do {
		r = connect_tcp(&s->wire, &s->url, s->timeout_usec, f);
		if (r < 0 || is_plain(s))
			return r;
		r = identity_secure(&s->identity, &s->url, &s->wire, f);
		if (r != 0)
			wire_done(&s->wire);
	} while (r > 0);
	return r;
}

/* A refusal of the connection itself may come before anything was asked. */
static int
greet(struct session *s, struct failure *f)
{
	struct answer a;
	int r;

	r = session_ask(s,
			json_pack("{s:s, s:s, s:[i]}", "opt", "hello", "client",
				  "ft/" PACKAGE_VERSION, "version", 1),
			&a, f);
	if (r < 0) {
		if (f->scope == FAILURE_ITEM)
			f->scope = f->again ? FAILURE_CONNECTION : FAILURE_STOP;
		return r;
	}
	answer_done(&a);
	return 0;
}

int
connect_server(struct session *s, struct failure *f)
{
	int r;

	session_close(s);
	r = auth_prepare(s, f);
	if (r < 0)
		return r;
	do {
		session_close(s);
		r = open_connection(s, f);
		if (r < 0)
			return r;
		s->open = true;
		s->connection++;
		r = greet(s, f);
		if (r == 0)
			r = auth_log_in(s, f);
	} while (r > 0);
	if (r < 0) {
		session_close(s);
		return r;
	}
	report_note(s->report, "connected to %s, port %u", s->url.host, s->url.port);
	return 0;
}
