#include "ctl/user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ctl/command.h"
#include "ctl/local.h"
#include "ctl/user_file.h"
#include "ctl/user_password.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

enum { RELOAD_SEC = 30, RELOAD_PAUSE_MSEC = 100 };

static const char *
name_in(const json_t *request)
{
	return json_string_value(json_object_get(request, "user"));
}

/* ---- the daemon follows ---- */

static int
refuse_reload(json_t *answer, const char *why)
{
	return local_refuse(answer, -FTD_E_internal,
			    "the file is changed, but ftd goes on with the users it knew: %s", why);
}

static const char *
code_of(const json_t *told)
{
	const char *code = json_string_value(json_object_get(told, "code"));

	return code != NULL ? code : "";
}

/* 1: it knows; 0: none runs. One that is busy with another reload is asked again. */
static int
reload(const struct options *o, json_t *answer)
{
	auto_json json_t *request = json_pack("{s:s, s:b}", "opt", "reload", "users", 1);
	const struct timespec pause = { .tv_nsec = RELOAD_PAUSE_MSEC * 1000 * 1000 };
	uint64_t deadline = clock_usec() + RELOAD_SEC * USEC_PER_SEC;

	for (;;) {
		auto_json json_t *told = NULL;
		char why[REPORT_TEXT_MAX];
		int r = local_ask(o, request, &told);

		if (r < 0)
			return refuse_reload(answer, err_text(r));
		if (r == 0 || code_of(told)[0] == '\0')
			return r;
		if (strcmp(code_of(told), "busy") != 0 || clock_usec() > deadline)
			return refuse_reload(answer, report_text(told, "message", why));
		(void)nanosleep(&pause, NULL);
	}
}

/* ---- one change ---- */

static int
refuse_unknown(json_t *answer, const char *name, const struct user_file *f)
{
	return local_refuse(answer, -FTD_E_not_found, "there is no user %s in %s", name, f->path);
}

static int
refuse_known(json_t *answer, const char *name, const struct user_file *f)
{
	return local_refuse(answer, -FTD_E_exists, "%s is in %s already", name, f->path);
}

/* Whatever was put together must be a line that can be read. */
static int
check_line(const char *line, int len, json_t *answer)
{
	struct users_reader reader = { .at = line, .end = line + len };
	char why[USERS_WHY_MAX];
	struct user u;

	if (users_next(&reader, &u, why) == 1)
		return 0;
	return local_refuse(answer, -FTD_E_bad_request, "%s", why);
}

static int
change(const struct user_file *f, const char *name, const struct user_change *c, json_t *answer)
{
	struct user_place place = { .at = f->len };
	char line[USERS_LINE_MAX];
	bool there = user_file_find(f, name, &place);
	int r;

	if (there == c->is_new)
		return there ? refuse_known(answer, name, f) : refuse_unknown(answer, name, f);
	if (c->apply == NULL)
		return user_file_replace(f, place.at, place.len, NULL, answer);
	memcpy(place.user.name, name, strlen(name) + 1);
	r = c->apply(&place.user, c->how, answer);
	if (r >= 0)
		r = check_line(line, users_format(&place.user, line), answer);
	return r < 0 ? r : user_file_replace(f, place.at, place.len, line, answer);
}

/* For a new user the name is told to be wrong before the password is asked for. */
static int
check_name(const char *name, json_t *answer)
{
	char shown[64];

	if (users_name_is_valid(name, strlen(name)))
		return 0;
	return local_refuse(
	    answer, -FTD_E_bad_request,
	    "%s is no user name: 1 to %d of a-z 0-9 _ . -, not beginning with . or -, "
	    "not " USER_NOBODY,
	    text_escape(shown, sizeof(shown), name, strlen(name)), USER_NAME_MAX);
}

int
user_edit(const struct options *o, const json_t *request, const struct user_change *c,
	  json_t *answer)
{
	struct user_file f;
	int r;

	r = check_name(name_in(request), answer);
	if (r == 0)
		r = user_file_open(o, true, &f, answer);
	if (r < 0)
		return r;
	r = change(&f, name_in(request), c, answer);
	if (r == 0)
		r = local_set(answer, json_pack("{s:s, s:o, s:s}", "user", name_in(request), "file",
						local_text(f.path), "done", c->done));
	user_file_close(&f);
	if (r == 0)
		r = reload(o, answer);
	return r < 0 ? r : local_set(answer, json_pack("{s:b}", "reloaded", r));
}

/* ---- who is there, before anybody types a password ---- */

static int
look(const struct options *o, const char *name, bool is_new, json_t *answer)
{
	struct user_place place;
	struct user_file f;
	int r = check_name(name, answer);

	if (r == 0)
		r = user_file_open(o, false, &f, answer);
	if (r < 0)
		return r;
	if (user_file_find(&f, name, &place) == is_new)
		r = is_new ? refuse_known(answer, name, &f) : refuse_unknown(answer, name, &f);
	user_file_close(&f);
	return r;
}

/* ---- user add, user passwd ---- */

struct way {
	const struct options *options;
	char hash[USER_HASH_MAX + 1];
};

static int
set_hash(struct user *u, const void *how, json_t *answer)
{
	const struct way *way = how;

	(void)answer;
	memcpy(u->hash, way->hash, sizeof(u->hash));
	return 0;
}

static int
set_all(struct user *u, const void *how, json_t *answer)
{
	const struct way *way = how;
	const char *account = way->options->value[OPTION_ACCOUNT];

	u->certificate = way->options->value[OPTION_CERTIFICATE] != NULL;
	if (account != NULL && !users_account_is_valid(account, strlen(account)))
		return local_refuse(answer, -FTD_E_bad_request,
				    "--account is no name of a system user");
	if (account != NULL)
		memcpy(u->account, account, strlen(account) + 1);
	return set_hash(u, how, answer);
}

static int
edit_password(const struct options *o, const json_t *request, struct user_change c, json_t *answer)
{
	struct way way = { .options = o };
	int r;

	r = look(o, name_in(request), c.is_new, answer);
	if (r == 0)
		r = user_password(o, name_in(request), way.hash, answer);
	c.how = &way;
	return r < 0 ? r : user_edit(o, request, &c, answer);
}

static int
add(const struct options *o, const json_t *request, json_t *answer)
{
	const struct user_change c = { .is_new = true, .apply = set_all, .done = "added" };

	return edit_password(o, request, c, answer);
}

static int
passwd(const struct options *o, const json_t *request, json_t *answer)
{
	const struct user_change c = { .apply = set_hash, .done = "password changed" };

	return edit_password(o, request, c, answer);
}

/* ---- user remove, enable, disable ---- */

static int
remove_user(const struct options *o, const json_t *request, json_t *answer)
{
	const struct user_change c = { .done = "removed" };

	return user_edit(o, request, &c, answer);
}

static int
set_enabled(struct user *u, const void *how, json_t *answer)
{
	(void)how;
	(void)answer;
	u->disabled = false;
	return 0;
}

static int
set_disabled(struct user *u, const void *how, json_t *answer)
{
	(void)how;
	(void)answer;
	u->disabled = true;
	return 0;
}

static int
enable(const struct options *o, const json_t *request, json_t *answer)
{
	const struct user_change c = { .apply = set_enabled, .done = "enabled" };

	return user_edit(o, request, &c, answer);
}

static int
disable(const struct options *o, const json_t *request, json_t *answer)
{
	const struct user_change c = { .apply = set_disabled, .done = "disabled" };

	return user_edit(o, request, &c, answer);
}

/* ---- user show ---- */

static json_t *
keys_json(const struct user *u)
{
	json_t *rows = json_array();
	char hex[2 * USER_KEY_SIZE + 1];

	for (unsigned i = 0; i < u->n_keys; i++)
		(void)json_array_append_new(
		    rows,
		    json_pack("{s:s, s:s?}", "key", text_hex(hex, u->keys[i].bytes, USER_KEY_SIZE),
			      "label", u->keys[i].label[0] != '\0' ? u->keys[i].label : NULL));
	return rows;
}

static int
show(const struct options *o, const json_t *request, json_t *answer)
{
	struct user_place place;
	const struct user *u = &place.user;
	struct user_file f;
	int r = user_file_open(o, false, &f, answer);

	if (r < 0)
		return r;
	if (user_file_find(&f, name_in(request), &place))
		r = local_set(answer, json_pack("{s:s, s:b, s:b, s:o, s:b, s:s?, s:o, s:i}", "user",
						u->name, "disabled", (int)u->disabled, "password",
						(int)(u->hash[0] != '\0'), "keys", keys_json(u),
						"certificate", (int)u->certificate, "account",
						u->account[0] != '\0' ? u->account : NULL, "file",
						local_text(f.path), "line", u->line));
	else
		r = refuse_unknown(answer, name_in(request), &f);
	user_file_close(&f);
	return r;
}

const struct verb verb_user_add = {
	.key = "user", .required = true, .local = add, .show = report_user_edit
};
const struct verb verb_user_remove = {
	.key = "user", .required = true, .local = remove_user, .show = report_user_edit
};
const struct verb verb_user_passwd = {
	.key = "user", .required = true, .local = passwd, .show = report_user_edit
};
const struct verb verb_user_enable = {
	.key = "user", .required = true, .local = enable, .show = report_user_edit
};
const struct verb verb_user_disable = {
	.key = "user", .required = true, .local = disable, .show = report_user_edit
};
const struct verb verb_user_show = {
	.key = "user", .required = true, .local = show, .show = report_user
};
