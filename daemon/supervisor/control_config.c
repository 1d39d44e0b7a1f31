#include <errno.h>
#include <limits.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "lib/err.h"
#include "lib/own.h"

/* ---- problems as rows ---- */

int
control_problem_rows(const struct config_problems *problems, json_t **ret)
{
	auto_json json_t *rows = json_array();

	for (size_t i = 0; i < problems->n; i++) {
		const struct config_problem *p = &problems->list[i];

		if (json_array_append_new(rows, json_pack("{s:b, s:i, s:o}", "fatal", (int)p->fatal,
							  "line", p->line, "text",
							  control_text(p->text))) < 0)
			return -ENOMEM;
	}
	if (rows == NULL)
		return -ENOMEM;
	*ret = take_ptr(rows);
	return 0;
}

static size_t
count_fatal(const struct config_problems *problems)
{
	size_t n = 0;

	for (size_t i = 0; i < problems->n; i++)
		n += problems->list[i].fatal;
	return n;
}

/* ---- config check: the text that came along, or what a reload would read ---- */

struct check {
	struct message_str text, file;
	struct control_pages pages;
	size_t errors, warnings;
	char name[PATH_MAX];
};

static const struct message_field check_fields[] = {
	{ "text", MESSAGE_STR, offsetof(struct check, text), FRAME_HEADER_MAX, false },
	{ "file", MESSAGE_STR, offsetof(struct check, file), PATH_MAX - 1, false },
};

/* A text from the peer is only parsed: what it names on this machine is none of the peer's
 * business. */
static int
check_text(const struct check *c, struct config_problems *problems)
{
	auto_free struct config *config = NULL;

	return config_parse(c->text.data, c->file.data != NULL ? c->file.data : "-", &config,
			    problems);
}

static int
check_begin(struct control_request *rq, struct check *c)
{
	struct config_problems problems = { .n = 0 };
	int r;

	if (c->text.data == NULL && c->file.data != NULL)
		return control_refuse(rq, -FTD_E_bad_request,
				      "text is missing: the daemon reads no files for others");
	if (c->text.data != NULL)
		r = check_text(c, &problems);
	else
		r = reload_begin(rq->sup, true, &problems, NULL);
	if (r == -EBUSY)
		r = control_refuse(rq, -FTD_E_busy, "a reload is under way");
	else if (r >= 0 || r == -EINVAL)
		r = control_problem_rows(&problems, &c->pages.rows);
	c->errors = count_fatal(&problems);
	c->warnings = problems.n - c->errors;
	memcpy(c->name, problems.file, sizeof(c->name));
	config_problems_done(&problems);
	return r;
}

static int
check_step(struct control_request *rq, json_t *answer)
{
	struct check *c = rq->state;
	json_t *counts;
	int r = 0;

	if (c->pages.rows == NULL)
		r = check_begin(rq, c);
	if (r == 0)
		r = control_page(&c->pages, answer, "problems");
	if (r != CONTROL_DONE)
		return r;
	counts = json_pack("{s:o, s:b, s:o, s:o}", "file", control_text(c->name), "valid",
			   c->errors == 0, "errors", control_number(c->errors), "warnings",
			   control_number(c->warnings));
	return counts == NULL || json_object_update_new(answer, counts) < 0 ? -ENOMEM
									    : CONTROL_DONE;
}

static void
check_done(void *state)
{
	struct check *c = state;

	control_pages_done(&c->pages);
}

const struct control_verb control_config_check = {
	.fields = check_fields,
	.n_fields = ARRAY_SIZE(check_fields),
	.state_size = sizeof(struct check),
	.step = check_step,
	.done = check_done,
};

/* ---- config show: all, one option, or a group of them ---- */

struct options {
	struct message_str key;
	struct control_pages pages;
};

static const struct message_field options_fields[] = {
	{ "key", MESSAGE_STR, offsetof(struct options, key), CONFIG_TEXT_MAX, false },
};

static bool
is_asked(const struct message_str *key, const char *path)
{
	if (key->data == NULL)
		return true;
	return strncmp(path, key->data, key->len) == 0 &&
	       (path[key->len] == '\0' || path[key->len] == '.');
}

static int
add_option(void *userdata, const char *path, const char *value, enum config_live live)
{
	static const char *const words[] = {
		[CONFIG_LIVE_NOW] = "now",
		[CONFIG_LIVE_NEW_SESSIONS] = "new-sessions",
		[CONFIG_LIVE_RESTART] = "restart",
	};
	struct options *o = userdata;

	if (!is_asked(&o->key, path))
		return 0;
	return json_array_append_new(o->pages.rows, json_pack("{s:s, s:o, s:s}", "option", path,
							      "value", control_text(value),
							      "takes_effect", words[live])) < 0
		   ? -ENOMEM
		   : 0;
}

static int
options_begin(struct control_request *rq, struct options *o)
{
	int r;

	o->pages.rows = json_array();
	if (o->pages.rows == NULL)
		return -ENOMEM;
	r = config_each(rq->sup->config, add_option, o);
	if (r == 0 && json_array_size(o->pages.rows) == 0)
		return control_refuse(rq, -FTD_E_not_found, "there is no option %s", o->key.data);
	return r;
}

static int
options_step(struct control_request *rq, json_t *answer)
{
	struct options *o = rq->state;
	int r = o->pages.rows == NULL ? options_begin(rq, o) : 0;

	return r < 0 ? r : control_page(&o->pages, answer, "options");
}

static void
options_done(void *state)
{
	struct options *o = state;

	control_pages_done(&o->pages);
}

const struct control_verb control_config_show = {
	.fields = options_fields,
	.n_fields = ARRAY_SIZE(options_fields),
	.state_size = sizeof(struct options),
	.step = options_step,
	.done = options_done,
};
