#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/users.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/path.h"
#include "lib/text.h"

/* What would happen if somebody asked for something: by the code that decides when they do. */

#define EXPLAIN_FROM "127.0.0.1"

struct explain {
	struct message_str user, operation, from;
	struct message_name source, target;
	bool recursive;

	struct access_subject who;
	union addr peer;
	const struct access_operation *row; /* NULL: connect */
	char source_path[PATH_BYTES_MAX + 1], target_path[PATH_BYTES_MAX + 1];

	const struct config *config; /* in the first step only */
	struct control_pages steps;
	bool short_of_memory;
	struct access_verdict verdict;
	char file[PATH_MAX]; /* of the line that decides; a copy: a reload may come before it is
				told */
};

static const struct message_field explain_fields[] = {
	{ "user", MESSAGE_STR, offsetof(struct explain, user), CONFIG_TEXT_MAX, true },
	{ "operation", MESSAGE_STR, offsetof(struct explain, operation), CONFIG_TEXT_MAX, true },
	{ "filename", MESSAGE_NAME, offsetof(struct explain, source), PATH_BYTES_MAX, false },
	{ "to", MESSAGE_NAME, offsetof(struct explain, target), PATH_BYTES_MAX, false },
	{ "recursive", MESSAGE_BOOL, offsetof(struct explain, recursive), 0, false },
	{ "from", MESSAGE_STR, offsetof(struct explain, from), ADDR_TEXT_MAX, false },
};

/* ---- the question */

static int
read_user(struct control_request *rq, struct explain *e)
{
	const char *name = e->user.data;

	if (strcmp(name, USER_NOBODY) == 0 || strcmp(name, "-") == 0)
		return 0;
	if (!users_name_is_valid(name, e->user.len))
		return control_refuse(rq, -FTD_E_bad_request,
				      "%s is no user; - is who has not logged in", name);
	memcpy(e->who.user, name, e->user.len + 1);
	return 0;
}

static int
read_from(struct control_request *rq, struct explain *e)
{
	const char *text = e->from.data != NULL ? e->from.data : EXPLAIN_FROM;
	socklen_t len;

	if (addr_parse(text, 0, &e->peer, &len) < 0)
		return control_refuse(rq, -FTD_E_bad_request, "%s is not an address", text);
	e->who.loopback = addr_is_loopback(&e->peer);
	return 0;
}

static int
read_operation(struct control_request *rq, struct explain *e)
{
	const char *names[ACCESS_OPERATIONS + 1] = { "connect" };
	const char *opt = e->operation.data, *nearest;

	e->row = access_operation(opt);
	if (e->row != NULL || strcmp(opt, "connect") == 0)
		return 0;
	for (size_t i = 0; i < ACCESS_OPERATIONS; i++)
		names[i + 1] = access_operations[i].opt;
	nearest = text_nearest(opt, names, ARRAY_SIZE(names));
	if (nearest == NULL)
		return control_refuse(rq, -FTD_E_bad_request, "there is no operation %s", opt);
	return control_refuse(rq, -FTD_E_bad_request, "there is no operation %s; did you mean %s?",
			      opt, nearest);
}

/* A name that no request could have is a verdict, too. */
static int
read_path(struct control_request *rq, struct explain *e, unsigned need,
	  const struct message_name *name, const char *what, char *dst)
{
	if ((need & ACCESS_UNNAMED) != 0 ||
	    (name->data == NULL && (need & (ACCESS_ANY | ACCESS_BASE)) != 0))
		return 0;
	if (name->data == NULL)
		return control_refuse(rq, -FTD_E_bad_request, "%s is missing", what);
	if (path_from_wire(name->data, name->len, dst) < 0)
		e->verdict = (struct access_verdict){ .code = "bad_name" };
	return 0;
}

static int
read_question(struct control_request *rq, struct explain *e)
{
	int r;

	e->verdict.allowed = true;
	r = read_user(rq, e);
	if (r == 0)
		r = read_from(rq, e);
	if (r == 0)
		r = read_operation(rq, e);
	if (r == 0 && e->row != NULL)
		r = read_path(rq, e, e->row->need, &e->source, "PATH", e->source_path);
	if (r == 0 && e->row != NULL)
		r = read_path(rq, e, e->row->need_to, &e->target, "--to", e->target_path);
	return r;
}

/* ---- the way to the verdict */

static void
add_step(struct explain *e, const char *file, int line, const char *text)
{
	json_t *step =
	    json_pack("{s:o, s:o, s:o}", "file", control_text(file), "line",
		      line > 0 ? json_integer(line) : json_null(), "text", control_text(text));

	if (json_array_append_new(e->steps.rows, step) < 0)
		e->short_of_memory = true;
}

static void
step(void *userdata, int line, const char *text)
{
	struct explain *e = userdata;

	add_step(e, e->config->file, line, text);
}

static void
deny(struct explain *e, const char *code, const char *file, int line)
{
	e->verdict = (struct access_verdict){ .code = code, .line = line };
	(void)snprintf(e->file, sizeof(e->file), "%s", file);
}

static void
explain_address(struct supervisor *sup, struct explain *e)
{
	struct access_verdict address = access_address(e->config, &e->peer),
			      plain = access_plaintext(e->config, &e->peer);
	char from[ADDR_TEXT_MAX], text[CONFIG_TEXT_MAX];
	struct packet_verdict v;

	(void)snprintf(text, sizeof(text), "%s is %s", addr_format_host(&e->peer, from),
		       address.allowed ? "served" : "not served");
	step(e, address.line, text);
	e->verdict = address;
	if (!address.allowed)
		return;
	if (!admission_welcomes(sup, &e->peer, &v)) {
		(void)snprintf(text, sizeof(text), "%.*s: ftctl list-bans", (int)sizeof(v.message),
			       v.message);
		add_step(e, "", 0, text);
		deny(e, "address_refused", "", 0);
		return;
	}
	step(e, plain.line,
	     plain.allowed ? "it may speak with or without TLS" : "it must speak TLS");
}

static void
explain_user(struct supervisor *sup, struct explain *e)
{
	const struct users_entry *u = users_find(sup, e->who.user);
	const char *file = e->config->users, *code = "auth_failed", *text;

	if (u == NULL) {
		text = "there is no such user";
	} else if (u->disabled) {
		text = "the user is disabled";
		code = "account_disabled";
	} else if (!u->password && u->keys == 0 && !u->certificate) {
		text = "the user has nothing to log in with";
	} else {
		text = "the user may log in";
		code = NULL;
	}
	add_step(e, file, 0, text);
	if (code != NULL)
		deny(e, code, file, 0);
}

static void
explain_anonymous(struct explain *e)
{
	e->verdict = access_anonymous(e->config, &e->who);
	step(e, e->verdict.line,
	     e->verdict.allowed ? "something is open without a login, from there"
				: "nothing is open without a login, from there");
}

static const char *
asked(unsigned need, char *buf)
{
	if ((need & RIGHT_ALL) != 0)
		return config_rights_text(need, buf);
	return (need & ACCESS_ANY) != 0 ? "some right in the share" : "no right";
}

static void
add_asked(struct explain *e)
{
	char source[CONFIG_RIGHTS_TEXT_MAX], target[CONFIG_RIGHTS_TEXT_MAX], text[CONFIG_TEXT_MAX];
	bool two = (e->row->need_to & ACCESS_UNNAMED) == 0,
	     base = (e->row->need_to & ACCESS_BASE) != 0;

	(void)snprintf(text, sizeof(text), "%s asks for %s%s%s", e->row->opt,
		       asked(e->row->need, source),
		       base  ? ", on a base for "
		       : two ? ", on the target for "
			     : "",
		       two ? asked(e->row->need_to, target) : "");
	add_step(e, "", 0, text);
}

static void
explain_operation(struct explain *e)
{
	const struct access_trace trace = { .step = step, .userdata = e };
	const struct access_ask ask = {
		.operation = e->row,
		.source = e->source_path,
		.target = e->target.data != NULL ? e->target_path : NULL,
		.recursive = e->recursive,
	};
	struct access_place source, target;
	struct access_verdict a;
	struct access_view view;
	int line = e->verdict.line;

	add_asked(e);
	access_view_init(&view, e->config, &e->who);
	a = access_decide(&view, &ask, &source, &target, &trace);
	e->verdict = a;
	if (a.allowed && (e->row->need & ACCESS_UNNAMED) != 0)
		e->verdict.line = line; /* to be let in is enough */
}

static int
explain(struct control_request *rq, struct explain *e)
{
	const char *bad_name = e->verdict.code;

	e->config = rq->sup->config;
	(void)snprintf(e->file, sizeof(e->file), "%s", e->config->file);
	e->steps.rows = json_array();
	if (e->steps.rows == NULL)
		return -ENOMEM;
	explain_address(rq->sup, e);
	if (e->verdict.allowed && e->who.user[0] != '\0')
		explain_user(rq->sup, e);
	else if (e->verdict.allowed)
		explain_anonymous(e);
	if (e->verdict.allowed && bad_name != NULL) {
		add_step(e, "", 0, "no request can have such a name");
		deny(e, bad_name, "", 0);
	}
	if (e->verdict.allowed && e->row != NULL)
		explain_operation(e);
	return e->short_of_memory ? -ENOMEM : 0;
}

/* ---- the answer: steps in as many frames as they need, the verdict in the last */

static int
explain_step(struct control_request *rq, json_t *answer)
{
	struct explain *e = rq->state;
	json_t *verdict;
	int r = 0;

	if (e->steps.rows == NULL) {
		r = read_question(rq, e);
		if (r == 0)
			r = explain(rq, e);
	}
	if (r == 0)
		r = control_page(&e->steps, answer, "steps");
	if (r != CONTROL_DONE)
		return r;
	verdict = json_pack("{s:b, s:s*, s:o, s:o}", "allowed", (int)e->verdict.allowed, "reason",
			    e->verdict.code, "file", control_text(e->file), "line",
			    e->verdict.line > 0 ? json_integer(e->verdict.line) : json_null());
	return verdict == NULL || json_object_update_new(answer, verdict) < 0 ? -ENOMEM
									      : CONTROL_DONE;
}

static void
explain_done(void *state)
{
	struct explain *e = state;

	control_pages_done(&e->steps);
	message_args_done(explain_fields, ARRAY_SIZE(explain_fields), e);
}

const struct control_verb control_explain = {
	.fields = explain_fields,
	.n_fields = ARRAY_SIZE(explain_fields),
	.state_size = sizeof(struct explain),
	.step = explain_step,
	.done = explain_done,
};
