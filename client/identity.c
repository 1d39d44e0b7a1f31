#include "client/identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/answer.h"
#include "client/ask.h"
#include "client/interrupt.h"
#include "client/known.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

#define KNOWN_FILE "~/.config/ft/known_servers"

void
identity_init(struct identity *id, const struct options *o, struct report *report)
{
	*id = (struct identity){ .pin = o->pin[0] != '\0' ? o->pin : NULL,
				 .ca_file = o->ca,
				 .certificate_file = o->cert,
				 .key_file = o->key,
				 .report = report };
}

static int
refuse(struct failure *f, int r, unsigned line)
{
	if (r == -EINVAL && line > 0)
		return failure_set(f, FAILURE_STOP, STATUS_IDENTITY, "identity",
				   KNOWN_FILE ":%u: not understood", line);
	return failure_set(f, FAILURE_STOP, STATUS_IDENTITY, "identity", KNOWN_FILE ": %s",
			   err_text(r));
}

int
identity_look_up(const char *server, char ret[FINGERPRINT_MAX], struct failure *f)
{
	unsigned line;
	int r = known_look_up(server, ret, &line);

	return r == 0 || r == -ENOENT ? r : refuse(f, r, line);
}

int
identity_remember(const char *server, const char *fingerprint, struct failure *f)
{
	unsigned line;
	int r = known_remember(server, fingerprint, &line);

	if (r == -ENOENT && fingerprint == NULL)
		return failure_set(f, FAILURE_STOP, err_exit_status("not_found"), "not_found",
				   "no certificate of it is known");
	if (r == -EINVAL)
		return refuse(f, r, line);
	if (r < 0) {
		(void)failure_local(f, r, KNOWN_FILE);
		f->scope = FAILURE_STOP;
	}
	return r;
}

/* --- a certificate that is not accepted */

static int
changed(const char *known, const char *server, const char *shown, bool this_run, struct failure *f)
{
	if (this_run)
		return failure_set(f, FAILURE_STOP, STATUS_IDENTITY, "identity",
				   "the server shows the certificate %s, and --pin says %s", shown,
				   known);
	return failure_set(
	    f, FAILURE_STOP, STATUS_IDENTITY, "identity",
	    "the server shows the certificate %s, and %s is known: somebody may be "
	    "in between. If its administrator says that it was renewed: ft pin %s %s",
	    shown, known, server, shown);
}

/* Nobody vouches for it, and it was never met. */
static int
unknown(const struct identity *id, const char *server, const struct tls_client_result *shown,
	struct failure *f)
{
	char question[FAILURE_TEXT_MAX], name[KNOWN_SERVER_MAX];
	int r;

	(void)text_escape(name, sizeof(name), server, strlen(server));
	if (id->report->json || !ask_possible())
		return failure_set(f, FAILURE_STOP, STATUS_IDENTITY, "identity",
				   "the server's certificate is not known (%s). If %s is its "
				   "fingerprint: ft pin %s %s",
				   shown->chain, shown->fingerprint, name, shown->fingerprint);
	(void)snprintf(question, sizeof(question),
		       "ft: %s: the server's certificate is not known (%s).\n"
		       "    Its fingerprint is %s.\nIs that so, and shall it be remembered?",
		       name, shown->chain, shown->fingerprint);
	progress_lock(&id->report->progress);
	r = ask_yes(question);
	progress_unlock(&id->report->progress);
	if (r < 0 && interrupt_seen())
		return failure_interrupted(f);
	if (r <= 0)
		return failure_set(f, FAILURE_STOP, STATUS_IDENTITY, "identity",
				   "the server's certificate is not known");
	r = identity_remember(server, shown->fingerprint, f);
	return r < 0 ? r : 1;
}

/* --- a handshake that failed */

/* A server that cannot speak TLS with us says so in a frame. Nothing proves who says it. */
static int
told_plainly(struct wire *w, struct failure *f)
{
	json_t *object;
	struct answer a;
	size_t len;

	if (wire_get(w, &object) < 0 || answer_decode(object, &a) < 0)
		return failure_set(f, FAILURE_STOP, STATUS_PROTOCOL, "tls",
				   "what answers speaks neither TLS nor the protocol");
	if (answer_is(&a.status, "error")) {
		(void)failure_server(f, &a);
		f->scope = f->again ? FAILURE_CONNECTION : FAILURE_STOP;
		len = strlen(f->text);
		(void)snprintf(f->text + len, sizeof(f->text) - len, " (told without TLS)");
	} else {
		(void)failure_set(f, FAILURE_STOP, STATUS_PROTOCOL, "tls",
				  "the server does not speak TLS");
	}
	answer_done(&a);
	return -EPROTO;
}

int
identity_no_tls(struct wire *w, int r, const struct tls_client_result *result, struct failure *f)
{
	const char *reason = result->reason != NULL ? result->reason : err_text(r);

	if (interrupt_seen())
		return failure_interrupted(f);
	switch (r) {
	case -EPROTONOSUPPORT:
		return told_plainly(w, f);
	case -ENOPROTOOPT:
		return failure_set(f, FAILURE_STOP, STATUS_PROTOCOL, "tls",
				   "the server speaks TLS, but does not agree to " TLS_CLIENT_ALPN);
	case -EINVAL:
		return failure_set(f, FAILURE_STOP, STATUS_LOCAL, "local", "%s", reason);
	case -EACCES:
		return failure_connection(f, r);
	case -EPROTO:
		return failure_set(f, FAILURE_STOP, STATUS_CONNECT, "tls",
				   "no TLS with the server: %s", reason);
	case -EPIPE:
		reason = "it closed the connection";
		break;
	default:
		break;
	}
	return failure_set(f, FAILURE_CONNECTION, STATUS_CONNECT, "tls",
			   "no TLS with the server: %s", reason);
}

int
identity_secure(const struct identity *id, const struct url *u, struct wire *w, struct failure *f)
{
	char server[KNOWN_SERVER_MAX], shown[KNOWN_SERVER_MAX], known[FINGERPRINT_MAX];
	struct tls_client_options o = { .host = u->host,
					.ca_file = id->ca_file,
					.pin = id->pin,
					.certificate_file = id->certificate_file,
					.key_file = id->key_file };
	struct tls_client_result result;
	int r;

	(void)known_server(u, server);
	if (id->pin == NULL) {
		r = identity_look_up(server, known, f);
		if (r < 0 && r != -ENOENT)
			return r;
		o.pin = r == 0 ? known : NULL;
	}
	r = tls_client_start(w, &o, &result);
	if (r == 0)
		report_note(id->report, "TLS, certificate %s", result.fingerprint);
	if (r == 0 || r != -EKEYREJECTED)
		return r == 0 ? 0 : identity_no_tls(w, r, &result, f);
	if (o.pin == NULL)
		return unknown(id, server, &result, f);
	(void)text_escape(shown, sizeof(shown), server, strlen(server));
	return changed(o.pin, shown, result.fingerprint, id->pin != NULL, f);
}
