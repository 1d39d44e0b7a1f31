#include <errno.h>
#include <limits.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "daemon/supervisor/users.h"
#include "lib/err.h"
#include "lib/own.h"

/* Begins a reload and waits until it is decided; tells every problem and every change either way.
 */

struct reload_request {
	bool dry_run, no_wait, users;
	bool begun, decided;
	int refusal; /* negative: said in the last frame, behind the problems */
	struct control_pages problems, changes;
	char file[PATH_MAX];
};

static const struct message_field fields[] = {
	{ "dry_run", MESSAGE_BOOL, offsetof(struct reload_request, dry_run), 0, false },
	{ "no_wait", MESSAGE_BOOL, offsetof(struct reload_request, no_wait), 0, false },
	{ "users", MESSAGE_BOOL, offsetof(struct reload_request, users), 0, false },
};

/* What is wrong first also becomes the message, for those who read only that. */
static int
refuse_problems(struct control_request *rq, const struct config_problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		if (problems->list[i].fatal)
			return control_refuse(rq, -FTD_E_bad_request,
					      "%s:%d: %s; nothing was changed", problems->file,
					      problems->list[i].line, problems->list[i].text);
	return control_refuse(rq, -FTD_E_bad_request,
			      "the configuration has errors; nothing was changed");
}

static int
begin(struct control_request *rq, struct reload_request *args)
{
	struct config_problems problems = { .n = 0 };
	int r;

	if (args->users)
		r = users_reload(rq->sup, args->dry_run, &problems);
	else
		r = reload_begin(rq->sup, args->dry_run, &problems, &args->changes.rows);
	if (r == -EBUSY)
		args->refusal = control_refuse(rq, -FTD_E_busy,
					       "the daemon is starting, reloading or going down");
	else if (r == -EINVAL)
		args->refusal = refuse_problems(rq, &problems);
	else
		args->refusal = r;
	r = control_problem_rows(&problems, &args->problems.rows);
	memcpy(args->file, problems.file, sizeof(args->file));
	config_problems_done(&problems);
	args->begun = true;
	args->decided = args->refusal < 0 || args->users || args->dry_run || args->no_wait;
	return r;
}

static int
decide(struct control_request *rq, struct reload_request *args)
{
	const char *why;

	if (rq->ending)
		return control_refuse(rq, -FTD_E_draining, "the daemon ends");
	if (rq->sup->reload != NULL)
		return CONTROL_WAIT;
	why = reload_last(rq->sup);
	if (why != NULL)
		args->refusal = control_refuse(rq, -FTD_E_internal,
					       "the old configuration stays in force: %s", why);
	args->decided = true;
	return CONTROL_DONE;
}

static int
outcome(const struct control_request *rq, const struct reload_request *args, json_t *answer)
{
	json_t *part =
	    json_pack("{s:b, s:b, s:o}", "dry_run", (int)args->dry_run, "pending",
		      rq->sup->reload != NULL, "generation", control_number(rq->sup->generation));

	return part == NULL || json_object_update_new(answer, part) < 0 ? -ENOMEM : CONTROL_DONE;
}

static int
step(struct control_request *rq, json_t *answer)
{
	struct reload_request *args = rq->state;
	int r = args->begun ? 0 : begin(rq, args);

	if (r == 0 && !args->decided)
		r = decide(rq, args);
	if (r == CONTROL_DONE)
		r = control_page(&args->problems, answer, "problems");
	if (r == CONTROL_DONE)
		r = control_set(answer, "file", control_text(args->file));
	if (r != CONTROL_DONE)
		return r;
	if (args->refusal < 0)
		return args->refusal;
	r = control_page(&args->changes, answer, "changes");
	return r == CONTROL_DONE ? outcome(rq, args, answer) : r;
}

static void
done(void *state)
{
	struct reload_request *args = state;

	control_pages_done(&args->problems);
	control_pages_done(&args->changes);
}

const struct control_verb control_reload = {
	.fields = fields,
	.n_fields = ARRAY_SIZE(fields),
	.state_size = sizeof(struct reload_request),
	.step = step,
	.done = done,
};
