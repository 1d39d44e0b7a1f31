#include "client/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "client/answer.h"
#include "client/confdir.h"
#include "client/key.h"
#include "client/password.h"
#include "client/session.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"
#include "lib/tls_client.h"

enum method { METHOD_KEY, METHOD_CERTIFICATE, METHOD_PASSWORD };

enum { WITH_MAX = 200 };

/* One login. */
struct attempt {
	enum method method;
	char with[WITH_MAX]; /* for people: the file, or where the password is from */
	struct key key;
	bool found; /* nobody has named the key */
};

static void
attempt_done(struct attempt *t)
{
	key_done(&t->key);
}

void
auth_init(struct auth *a, const struct options *o, struct report *report)
{
	*a = (struct auth){ .identity = o->identity,
			    .certificate = o->cert,
			    .command = o->password_command,
			    .report = report };
}

void
auth_forget(struct auth *a)
{
	secret_done(&a->password);
	json_decref(a->answer);
	a->answer = NULL;
}

/* --- with what */

static void
set_method(struct attempt *t, enum method method, const char *with)
{
	t->method = method;
	(void)text_escape(t->with, sizeof(t->with), with, strlen(with));
}

/* 1, 0: it is not there, or negative with f. */
static int
take_key(int dir, const char *name, const char *shown, struct attempt *t, struct failure *f)
{
	int r = key_read(dir, name, &t->key);

	set_method(t, METHOD_KEY, shown);
	if (r == 0 || r == -ENOENT)
		return r == 0;
	return failure_set(f, FAILURE_STOP, STATUS_LOCAL, "local", "%s: %s", t->with,
			   r == -EPERM    ? "others can read the key: chmod 600 it"
			   : r == -EINVAL ? "no Ed25519 key in PEM (PKCS#8) without a passphrase"
					  : err_text(r));
}

/* 0, or negative with f. */
static int
take_named_key(const struct auth *a, struct attempt *t, struct failure *f)
{
	int r = take_key(AT_FDCWD, a->identity, a->identity, t, f);

	if (r == 0)
		return failure_set(f, FAILURE_STOP, STATUS_LOCAL, "local", "%s: %s", t->with,
				   err_text(-ENOENT));
	return r < 0 ? r : 0;
}

/* Where there is no TLS, there is nothing that it could sign. */
static int
take_found_key(const struct session *s, struct attempt *t, struct failure *f)
{
	auto_close int dir = -1;

	if (s->wire.layer == NULL)
		return 0;
	dir = confdir_open();
	if (dir < 0)
		return 0;
	t->found = true;
	return take_key(dir, AUTH_KEY_FILE, "~/.config/ft/" AUTH_KEY_FILE, t, f);
}

/* No server waits for somebody who types: 1, and another connection is needed; 0: there is no
 * terminal; negative with f. */
static int
take_typed_password(struct session *s, struct failure *f)
{
	session_close(s);
	s->auth.password_from = "the terminal";
	return password_from_terminal(&s->url, s->auth.report, &s->auth.password, f);
}

/* 0; 1: on the next connection; negative with f. */
static int
choose(struct session *s, struct attempt *t, struct failure *f)
{
	const struct auth *a = &s->auth;
	int r;

	if (a->identity != NULL)
		return take_named_key(a, t, f);
	if (a->certificate != NULL) {
		set_method(t, METHOD_CERTIFICATE, a->certificate);
		return 0;
	}
	if (a->password.text != NULL) {
		set_method(t, METHOD_PASSWORD, a->password_from);
		return 0;
	}
	r = take_found_key(s, t, f);
	if (r != 0)
		return r < 0 ? r : 0;
	r = take_typed_password(s, f);
	if (r == 0)
		return failure_set(f, FAILURE_STOP, err_exit_status("auth_required"),
				   "auth_required",
				   "there is nothing to log in with as %s: no key, no password, no "
				   "terminal to ask at (ft(1), \"Logging in\")",
				   s->url.user);
	return r;
}

int
auth_prepare(struct session *s, struct failure *f)
{
	const char *file = getenv("FT_PASSWORD_FILE");
	struct auth *a = &s->auth;
	int r;

	if (s->url.user[0] == '\0' || a->identity != NULL || a->certificate != NULL ||
	    a->password.text != NULL)
		return 0;
	if (a->command != NULL) {
		a->password_from = "--password-command";
		return password_from_command(a->command, &a->password, f);
	}
	if (file != NULL && *file != '\0') {
		a->password_from = "FT_PASSWORD_FILE";
		return password_from_file(file, &a->password, f);
	}
	a->password_from = "~/.netrc";
	r = password_from_netrc(&s->url, &a->password, f);
	return r < 0 ? r : 0;
}

/* --- the request */

static int
set_signature(const struct session *s, const struct attempt *t, json_t *rq, struct failure *f)
{
	uint8_t binding[TLS_CLIENT_BINDING], signature[KEY_SIGNATURE_SIZE];
	char key_hex[2 * sizeof(t->key.public) + 1], signature_hex[2 * sizeof(signature) + 1];
	int r;

	r = tls_client_binding(&s->wire, binding);
	if (r == 0)
		r = key_sign_login(&t->key, s->url.user, binding, signature);
	if (r == 0 && (json_object_set_new(rq, "key",
					   json_string(text_hex(key_hex, t->key.public,
								sizeof(t->key.public)))) < 0 ||
		       json_object_set_new(
			   rq, "signature",
			   json_string(text_hex(signature_hex, signature, sizeof(signature)))) < 0))
		r = -ENOMEM;
	return r < 0 ? failure_connection(f, r) : 0;
}

/* With a certificate everything is said already. */
static int
set_secret(struct session *s, const struct attempt *t, json_t *rq, struct failure *f)
{
	const struct secret *password = &s->auth.password;
	int r = 0;

	if (t->method != METHOD_CERTIFICATE)
		r = json_object_set_new(rq, "user", json_string(s->url.user));
	if (r == 0 && t->method == METHOD_PASSWORD)
		r = json_object_set_new(rq, "password",
					json_stringn(password->text, password->len));
	if (r < 0)
		return failure_connection(f, -ENOMEM);
	return t->method == METHOD_KEY ? set_signature(s, t, rq, f) : 0;
}

static void
wipe(json_t *rq)
{
	const json_t *password = json_object_get(rq, "password");

	if (password != NULL) /* ours alone, and about to be freed */
		explicit_bzero((char *)(uintptr_t)json_string_value(password),
			       json_string_length(password));
}

static int
ask(struct session *s, const struct attempt *t, struct answer *ret, struct failure *f)
{
	auto_json json_t *rq = json_pack("{s:s}", "opt", "login");
	int r;

	if (rq == NULL)
		return failure_connection(f, -ENOMEM);
	r = set_secret(s, t, rq, f);
	if (r == 0)
		r = session_send_secret(s, rq, f);
	wipe(rq);
	return r < 0 ? r : session_receive_for(s, s->last_id, ret, f);
}

/* --- the answer */

/* What the user can do about it. */
static void
explain_refusal(const struct session *s, const struct attempt *t, struct failure *f)
{
	int status = err_exit_status("auth_failed");
	const char *user = s->url.user;
	char hex[2 * sizeof(t->key.public) + 1];

	switch (t->method) {
	case METHOD_KEY:
		(void)failure_set(f, FAILURE_STOP, status, "auth_failed",
				  "the server does not let %s in with the key %s. If it shall, its "
				  "administrator says: ftctl user key add %s %s",
				  user, t->with, user,
				  text_hex(hex, t->key.public, sizeof(t->key.public)));
		return;
	case METHOD_CERTIFICATE:
		(void)failure_set(f, FAILURE_STOP, status, "auth_failed",
				  "the server lets nobody in with the certificate %s", t->with);
		return;
	case METHOD_PASSWORD:
		(void)failure_set(f, FAILURE_STOP, status, "auth_failed",
				  "the server does not let %s in with the password from %s", user,
				  t->with);
		return;
	}
}

/* A refused login is not tried again; but for a key that was merely found, there may be somebody
 * who types a password. */
static int
judge_refusal(struct session *s, const struct attempt *t, int r, struct failure *f)
{
	struct failure refusal;
	int typed;

	explain_refusal(s, t, f);
	if (!t->found)
		return r;
	report_note(s->report, "%s", f->text);
	refusal = *f;
	typed = take_typed_password(s, f);
	if (typed == 0)
		*f = refusal;
	return typed != 0 ? typed : r;
}

/* A failure of the login is one of the connection. */
static int
judge_failure(struct session *s, const struct attempt *t, int r, struct failure *f)
{
	if (strcmp(f->code, "auth_failed") == 0)
		return judge_refusal(s, t, r, f);
	if (strcmp(f->code, "account_disabled") == 0)
		return failure_set(f, FAILURE_STOP, f->status, "account_disabled",
				   "%s is disabled there: only the server's administrator can "
				   "change that",
				   s->url.user);
	if (f->scope == FAILURE_ITEM)
		f->scope = f->again ? FAILURE_CONNECTION : FAILURE_STOP;
	return r;
}

/* Whom one is connected to, whatever the name has led to. */
static bool
is_this_machine(const struct wire *w)
{
	union addr peer;
	socklen_t len = sizeof(peer);

	return getpeername(w->fd, &peer.sa, &len) == 0 && addr_is_loopback(&peer);
}

/* It has to be the user that was meant: a certificate has its own idea. */
static int
check_user(const struct session *s, const struct attempt *t, const struct answer *a,
	   struct failure *f)
{
	char user[2 * USER_NAME_MAX];

	if (answer_is(&a->user, s->url.user))
		return 0;
	(void)text_escape(user, sizeof(user), a->user.data != NULL ? a->user.data : "",
			  a->user.len);
	return failure_set(f, FAILURE_STOP, err_exit_status("auth_failed"), "auth_failed",
			   "with %s one is \"%s\" there, not %s", t->with, user, s->url.user);
}

int
auth_log_in(struct session *s, struct failure *f)
{
	__attribute__((cleanup(attempt_done))) struct attempt t = { .found = false };
	struct answer a;
	int r;

	if (s->url.user[0] == '\0')
		return 0;
	if (s->wire.layer == NULL && !is_this_machine(&s->wire))
		return failure_set(f, FAILURE_STOP, err_exit_status("tls_required"), "tls_required",
				   "nobody logs in over a network in plain text");
	r = choose(s, &t, f);
	if (r != 0)
		return r;
	r = ask(s, &t, &a, f);
	if (r < 0)
		return judge_failure(s, &t, r, f);
	r = check_user(s, &t, &a, f);
	if (r == 0) {
		report_note(s->report, "logged in as %s, with %s", s->url.user, t.with);
		json_decref(s->auth.answer);
		s->auth.answer = json_incref(a.object);
	}
	answer_done(&a);
	return r;
}
