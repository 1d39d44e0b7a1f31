#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "daemon/supervisor/journal.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

enum { OPT_MAX = 64, TEXT_MAX = 1024, PAGE_MAX = 24 << 10 /* two of them fit a frame */ };

struct control_command {
	const char *name;
	enum control_role role;
	bool changes;
	const struct control_verb *verb;
};

static const struct control_command commands[] = {
#define COMMAND(name, words, stem, role, changes, arguments, help) \
	{ name, CONTROL_##role, changes, &control_##stem },
#include "lib/control.def"
#undef COMMAND
};

/* A row says whom it is for: nothing is open by omission. */
#define COMMAND(name, words, stem, role, changes, arguments, help) \
	_Static_assert(CONTROL_##role > CONTROL_NOBODY, "the command " name " lacks its role");
#include "lib/control.def"
#undef COMMAND

static const char *const names[] = {
#define COMMAND(name, words, stem, role, changes, arguments, help) name,
#include "lib/control.def"
#undef COMMAND
};

static const char *const role_names[] = {
	[CONTROL_NOBODY] = "nobody",
	[CONTROL_VIEWER] = "viewer",
	[CONTROL_OPERATOR] = "operator",
	[CONTROL_ADMIN] = "admin",
};

/* ---- answers ---- */

json_t *
control_answer_new(void)
{
	return json_pack("{s:s}", "status", "ok");
}

int
control_set(json_t *answer, const char *key, json_t *value)
{
	return json_object_set_new(answer, key, value) < 0 ? -ENOMEM : 0;
}

int
control_answer_refuse(json_t *answer, int r, const char *message)
{
	int e = control_set(answer, "status", json_string("error"));

	if (e == 0)
		e = control_set(answer, "code", json_string(err_code(r)));
	if (e == 0)
		e = control_set(answer, "message",
				control_text(message[0] != '\0' ? message : err_text(r)));
	return e;
}

json_t *
control_number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

json_t *
control_number_or_null(uint64_t n)
{
	return n == UINT64_MAX ? json_null() : control_number(n);
}

json_t *
control_time(int64_t real_ns)
{
	char buf[CLOCK_TEXT_MAX];

	return real_ns == 0 ? json_null() : json_string(clock_format_rfc3339(real_ns, buf));
}

json_t *
control_text(const char *text)
{
	json_t *value = json_string(text);
	char buf[TEXT_MAX];

	return value != NULL ? value
			     : json_string(text_escape(buf, sizeof(buf), text, strlen(text)));
}

int
control_refuse(struct control_request *rq, int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(rq->message, sizeof(rq->message), format, ap);
	va_end(ap);
	return r;
}

int
control_page(struct control_pages *pages, json_t *answer, const char *key)
{
	json_t *rows = json_array(), *row;
	size_t used = 0;
	int r = control_set(answer, key, rows);

	for (; r == 0 && pages->at < json_array_size(pages->rows); pages->at++) {
		row = json_array_get(pages->rows, pages->at);
		used += json_dumpb(row, NULL, 0, JSON_COMPACT) + 1;
		if (used > PAGE_MAX && json_array_size(rows) > 0)
			return CONTROL_MORE;
		r = json_array_append(rows, row) < 0 ? -ENOMEM : 0;
	}
	return r;
}

void
control_pages_done(struct control_pages *pages)
{
	json_decref(take_ptr(pages->rows));
}

/* ---- from a frame to a request ---- */

static const struct control_command *
find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static int
refuse_unknown(struct control_request *rq, const char *name)
{
	const char *nearest = text_nearest(name, names, ARRAY_SIZE(names));

	if (nearest == NULL)
		return control_refuse(rq, -FTD_E_unsupported, "there is no command %s", name);
	return control_refuse(rq, -FTD_E_unsupported, "there is no command %s; did you mean %s?",
			      name, nearest);
}

static int
decode(struct control_request *rq, const struct message_field *fields, size_t n, void *args)
{
	const char *key = NULL, *why = NULL;
	uint64_t has;
	int r = message_decode(rq->object, fields, n, args, &has, &key, &why);

	if (r == -FTD_E_bad_request)
		return control_refuse(rq, r, "%s %s", key, why);
	return r;
}

static int
read_opt(struct control_request *rq, struct message_str *ret)
{
	static const struct message_field fields[] = {
		{ "opt", MESSAGE_STR, 0, OPT_MAX, true },
	};

	return decode(rq, fields, ARRAY_SIZE(fields), ret);
}

static int
authorise(struct control_request *rq, const struct control_command *command, json_t *answer)
{
	int r;

	if (access_command(rq->role, command->role))
		return 0;
	r = control_set(answer, "role", json_string(role_names[command->role]));
	if (r < 0)
		return r;
	return control_refuse(rq, -FTD_E_permission, "%s needs the role %s, you are %s",
			      command->name, role_names[command->role], role_names[rq->role]);
}

static int
begin(struct control_request *rq, const char *text, size_t len, json_t *answer)
{
	const struct control_command *command;
	struct message_str opt = { 0 };
	int r;

	r = message_parse(text, len, &rq->object);
	if (r == -FTD_E_bad_request)
		return control_refuse(rq, r, "not a JSON object with a command as \"opt\"");
	if (r < 0)
		return r;
	r = read_opt(rq, &opt);
	if (r < 0)
		return r;
	command = find(opt.data);
	if (command == NULL)
		return refuse_unknown(rq, opt.data);
	r = authorise(rq, command, answer);
	if (r < 0)
		return r;
	if (command->verb->state_size > 0) {
		rq->state = calloc(1, command->verb->state_size);
		if (rq->state == NULL)
			return -ENOMEM;
	}
	r = decode(rq, command->verb->fields, command->verb->n_fields, rq->state);
	if (r < 0)
		return r;
	rq->command = command;
	return 0;
}

/* Who did it, and what exactly. */
static void
note(const struct control_request *rq)
{
	char text[TEXT_MAX], shown[TEXT_MAX];
	size_t n = json_dumpb(rq->object, text, sizeof(text), JSON_COMPACT);

	n = n < sizeof(text) ? n : sizeof(text);
	log_line(LOG_NOTICE, "control: uid %u, pid %d: %s", (unsigned)rq->uid, (int)rq->pid,
		 text_escape(shown, sizeof(shown), text, n));
}

int
control_begin(struct control_request *rq, const char *text, size_t len, json_t *answer)
{
	int r;

	rq->message[0] = '\0';
	r = begin(rq, text, len, answer);
	if (r < 0)
		control_end(rq);
	else if (rq->command->changes)
		note(rq);
	return r;
}

int
control_step(struct control_request *rq, json_t *answer)
{
	return rq->command->verb->step(rq, answer);
}

void
control_end(struct control_request *rq)
{
	if (rq->command != NULL && rq->command->verb->done != NULL)
		rq->command->verb->done(rq->state);
	free(take_ptr(rq->state));
	json_decref(take_ptr(rq->object));
	rq->command = NULL;
}
