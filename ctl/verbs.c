#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "ctl/command.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/io.h"
#include "lib/own.h"

/* The rows that make lib/control.def's commands work on this side. */

enum { REEXEC_SEC = 30, ANSWER_SEC = 10, WAIT_SEC = 60, LIST_SEC = 60, DISCARD_SEC = 20 };

const struct verb verb_list_sessions = { .show = report_sessions, .timeout_sec = ANSWER_SEC };
const struct verb verb_list_transfers = { .show = report_transfers, .timeout_sec = ANSWER_SEC };
const struct verb verb_show = {
	.key = "id", .required = true, .show = report_show, .timeout_sec = ANSWER_SEC
};
const struct verb verb_metrics = { .show = report_metrics, .timeout_sec = ANSWER_SEC };
const struct verb verb_config_show = { .key = "key",
				       .show = report_options,
				       .timeout_sec = ANSWER_SEC };

/* ---- status ---- */

static int
status_result(const struct options *o, json_t *answer)
{
	size_t n = json_array_size(json_object_get(answer, "warnings"));

	return o->value[OPTION_CHECK] != NULL && n > 0 ? EXIT_DEGRADED : EXIT_DONE;
}

const struct verb verb_status = { .show = report_status,
				  .result = status_result,
				  .timeout_sec = ANSWER_SEC };

/* ---- version ---- */

/* Our own is told also where no daemon runs. */
static int
version_ask(const struct options *o, const char *argument, json_t *request)
{
	(void)argument;
	(void)request;
	if (o->value[OPTION_JSON] == NULL)
		(void)printf("ftctl %s\n", PACKAGE_VERSION);
	return EXIT_DONE;
}

static int
version_result(const struct options *o, json_t *answer)
{
	(void)o;
	return json_object_set_new(answer, "ftctl", json_string(PACKAGE_VERSION)) < 0 ? EXIT_REFUSED
										      : EXIT_DONE;
}

const struct verb verb_version = { .ask = version_ask,
				   .show = report_version,
				   .result = version_result,
				   .timeout_sec = ANSWER_SEC };

/* ---- config check: the daemon may not see the file, so its text goes along ---- */

static int
check_add(json_t *request, const char *file, const char *text, size_t len)
{
	if (json_object_set_new(request, "file", json_string(file)) == 0 &&
	    json_object_set_new(request, "text", json_stringn(text, len)) == 0)
		return EXIT_DONE;
	(void)fprintf(stderr, "ftctl: %s is not UTF-8 text\n", file);
	return EXIT_REFUSED;
}

static int
check_ask(const struct options *o, const char *file, json_t *request)
{
	auto_free char *text = NULL;
	size_t len;
	int r;

	(void)o;
	if (file == NULL)
		return EXIT_DONE;
	r = io_read_file(AT_FDCWD, file, FRAME_HEADER_MAX, &text, &len);
	if (r == 0)
		return check_add(request, file, text, len);
	if (r == -EFBIG)
		(void)fprintf(stderr, "ftctl: %s is too large to be sent; try ftd --check\n", file);
	else
		(void)fprintf(stderr, "ftctl: %s: %s\n", file,
			      r == -EINVAL ? "not a regular file" : err_text(r));
	return EXIT_REFUSED;
}

static int
check_result(const struct options *o, json_t *answer)
{
	(void)o;
	return json_is_true(json_object_get(answer, "valid")) ? EXIT_DONE : EXIT_REFUSED;
}

const struct verb verb_config_check = {
	.ask = check_ask,
	.takes_file = true,
	.show = report_check,
	.result = check_result,
	.timeout_sec = ANSWER_SEC,
};

/* ---- explain ---- */

static int
explain_result(const struct options *o, json_t *answer)
{
	(void)o;
	return json_is_true(json_object_get(answer, "allowed")) ? EXIT_DONE : EXIT_REFUSED;
}

const struct verb verb_explain = {
	.key = "user",
	.required = true,
	.key2 = "operation",
	.key3 = "filename",
	.show = report_explain,
	.result = explain_result,
	.timeout_sec = ANSWER_SEC,
};

/* ---- wait ---- */

static int
wait_result(const struct options *o, json_t *answer)
{
	(void)o;
	return json_is_true(json_object_get(answer, "reached")) ? EXIT_DONE : EXIT_TIMEOUT;
}

const struct verb verb_wait = {
	.key = "state",
	.required = true,
	.show = report_wait,
	.result = wait_result,
	.timeout_sec = WAIT_SEC,
};

/* ---- kick ---- */

static int
kick_ask(const struct options *o, const char *argument, json_t *request)
{
	int whom =
	    (argument != NULL) + (o->value[OPTION_FROM] != NULL) + (o->value[OPTION_USER] != NULL);

	(void)request;
	if (whom == 1)
		return EXIT_DONE;
	(void)fputs("ftctl: kick needs one of ID, --user and --from\n", stderr);
	return EXIT_USAGE;
}

const struct verb verb_kick = {
	.key = "id", .ask = kick_ask, .show = report_kick, .timeout_sec = ANSWER_SEC
};

/* ---- unfinished uploads ---- */

/* A list that may lack some is no success. */
static int
uploads_result(const struct options *o, json_t *answer)
{
	(void)o;
	return json_array_size(json_object_get(answer, "unknown")) > 0 ? EXIT_REFUSED : EXIT_DONE;
}

const struct verb verb_list_uploads = { .show = report_uploads,
					.result = uploads_result,
					.timeout_sec = LIST_SEC };
const struct verb verb_upload_discard = {
	.key = "id", .required = true, .show = report_discard, .timeout_sec = DISCARD_SEC
};

/* ---- orders to a session that goes on ---- */

const struct verb verb_cancel = {
	.key = "id", .required = true, .show = report_cancel, .timeout_sec = ANSWER_SEC
};
const struct verb verb_pause = {
	.key = "id", .required = true, .show = report_pause, .timeout_sec = ANSWER_SEC
};
const struct verb verb_resume = {
	.key = "id", .required = true, .show = report_resume, .timeout_sec = ANSWER_SEC
};
const struct verb verb_limit = { .key = "id",
				 .required = true,
				 .key2 = "rate",
				 .user_instead = true,
				 .show = report_limit,
				 .timeout_sec = ANSWER_SEC };

/* ---- bans ---- */

const struct verb verb_list_bans = { .show = report_bans, .timeout_sec = ANSWER_SEC };
const struct verb verb_ban = {
	.key = "address", .required = true, .show = report_ban, .timeout_sec = ANSWER_SEC
};
const struct verb verb_unban = {
	.key = "address", .required = true, .show = report_unban, .timeout_sec = ANSWER_SEC
};

/* ---- users ---- */

const struct verb verb_list_users = { .show = report_users, .timeout_sec = ANSWER_SEC };

/* ---- reload, shutdown ---- */

const struct verb verb_reload = { .show = report_reload, .timeout_sec = ANSWER_SEC };
const struct verb verb_reexec = { .show = report_reexec, .timeout_sec = REEXEC_SEC };
const struct verb verb_shutdown = { .show = report_shutdown, .ends_daemon = true };
