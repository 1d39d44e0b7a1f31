/* ft mkdir, rm, mv, cp: one request for each operand. What may be carried out twice is repeated
 * after a lost connection; the others tell that their answer was lost. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/command.h"
#include "lib/err.h"
#include "lib/own.h"

/* Asks once for one operand; tells what goes wrong. 0 or negative: all is over. Takes rq over. */
static int
ask_one(struct client *c, const struct url *url, json_t *rq, const char *name, bool repeatable)
{
	auto_json json_t *owned = rq;
	struct answer a;
	struct failure f;
	int r;

	r = session_open(&c->session, url, &f);
	if (r == 0)
		r = repeatable ? session_query(&c->session, owned, &a, &f)
			       : session_ask(&c->session, json_incref(owned), &a, &f);
	if (r == 0) {
		answer_done(&a);
		c->report.ok++;
		report_note(&c->report, "%s: done", c->command->name);
		return 0;
	}
	if (c->options.if_exists == IF_EXISTS_SKIP && strcmp(f.code, "exists") == 0)
		report_skipped(&c->report, name, "exists");
	else
		report_failure(&c->report, name, &f);
	return f.scope == FAILURE_ITEM ? 0 : -EPROTO;
}

/* The same request for each operand, with key where it is wanted. */
static int
ask_each(struct client *c, int argc, char **argv, const char *opt, const char *key, bool wanted,
	 bool repeatable)
{
	auto_free struct url *urls = NULL;
	int status, r = 0;

	urls = command_urls(c, argc, argv, &status);
	if (urls == NULL)
		return status;
	for (int i = 0; r == 0 && i < argc; i++) {
		json_t *rq = session_request(opt, &urls[i]);

		if (rq != NULL && wanted)
			(void)json_object_set_new(rq, key, json_true());
		r = ask_one(c, &urls[i], rq, argv[i], repeatable);
	}
	return 0;
}

int
command_mkdir(struct client *c, int argc, char **argv)
{
	bool parents = options_has(&c->options, OPTION_BIT(parents));

	return ask_each(c, argc, argv, "mkdir", "parents", parents, parents);
}

int
command_rm(struct client *c, int argc, char **argv)
{
	bool recursive = options_has(&c->options, OPTION_BIT(recursive));

	return ask_each(c, argc, argv, "remove", "recursive", recursive, false);
}

/* Is the target a directory that things go into? 1, 0, or negative (f). */
static int
target_is_directory(struct client *c, const struct url *target, struct failure *f)
{
	auto_json json_t *rq = session_request("stat", target);
	struct answer a;
	struct entry e;
	int r;

	if (target->directory)
		return 1;
	r = session_open(&c->session, target, f);
	if (r == 0)
		r = session_query(&c->session, rq, &a, f);
	if (r < 0)
		return f->scope == FAILURE_ITEM ? 0 : r;
	r = entry_decode(a.object, &e);
	if (r == 0) {
		r = e.type == ENTRY_DIR;
		entry_done(&e);
	} else {
		r = failure_protocol(f, "what stat says is no entry");
	}
	answer_done(&a);
	return r;
}

static json_t *
move_request(struct client *c, const char *opt, const struct url *from, const struct url *to)
{
	const char *if_exists = options_if_exists(&c->options);
	char path[PATH_BYTES_MAX + 2];
	json_t *rq = session_request(opt, from);
	int n = snprintf(path, sizeof(path), "/%s", to->path);

	if (rq == NULL || message_set_name(rq, "to", path, (size_t)n) < 0) {
		json_decref(rq);
		return NULL;
	}
	if (if_exists != NULL)
		(void)json_object_set_new(rq, "if_exists", json_string(if_exists));
	return rq;
}

static int
move_all(struct client *c, int argc, char **argv, const char *opt)
{
	auto_free struct url *urls = NULL;
	const struct url *target;
	struct url to;
	struct failure f;
	int status, into, r = 0;

	urls = command_urls(c, argc, argv, &status);
	if (urls == NULL)
		return status;
	target = &urls[argc - 1];
	for (int i = 0; i < argc - 1; i++)
		if (!url_same_server(&urls[i], target))
			return command_usage(c, "all addresses must be on one server, of one user");
	into = target_is_directory(c, target, &f);
	if (into == 0 && argc > 2)
		into =
		    failure_set(&f, FAILURE_ITEM, err_exit_status("not_a_directory"),
				"not_a_directory", "several sources need a directory to go into");
	if (into < 0) {
		report_failure(&c->report, argv[argc - 1], &f);
		return 0;
	}
	for (int i = 0; r == 0 && i < argc - 1; i++) {
		to = *target;
		if (into && url_join(target, url_leaf(&urls[i]), &to) < 0)
			return command_usage(c, "%s: the name would get too long", argv[i]);
		r = ask_one(c, &urls[i], move_request(c, opt, &urls[i], &to), argv[i], false);
	}
	return 0;
}

int
command_mv(struct client *c, int argc, char **argv)
{
	return move_all(c, argc, argv, "rename");
}

int
command_cp(struct client *c, int argc, char **argv)
{
	return move_all(c, argc, argv, "copy");
}
