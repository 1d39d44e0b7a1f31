#include <inttypes.h>
#include <string.h>

#include "ctl/report.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

void
report_problems(struct report *r, const char *file, const json_t *answer)
{
	char text[REPORT_TEXT_MAX];
	const json_t *p;
	size_t i;

	json_array_foreach (json_object_get(answer, "problems"), i, p) {
		bool fatal = json_is_true(json_object_get(p, "fatal"));

		(void)fprintf(r->to, "%s%s:%" PRIu64 "%s: %s%s\n", report_bold(r), file,
			      report_number(p, "line"), report_plain(r),
			      fatal ? "" : "warning: ", report_text(p, "text", text));
	}
}

void
report_check(struct report *r, json_t *answer)
{
	char file[REPORT_TEXT_MAX];
	bool valid = json_is_true(json_object_get(answer, "valid"));

	report_problems(r, report_text(answer, "file", file), answer);
	(void)fprintf(r->to, "%s: %s, %" PRIu64 " errors, %" PRIu64 " warnings\n", file,
		      valid ? "ok" : "not usable", report_number(answer, "errors"),
		      report_number(answer, "warnings"));
}

/* As lines of a file: dotted names, values as they are written. */
void
report_options(struct report *r, json_t *answer)
{
	char name[REPORT_TEXT_MAX];
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(answer, "options"), i, row) {
		(void)fprintf(r->to, "%s = ", report_text(row, "option", name));
		report_print(r, json_object_get(row, "value"));
		(void)fputc('\n', r->to);
	}
}

/* Where it stands: "ftd.conf:12: ", nothing where no file says it. */
static void
print_place(struct report *r, const char *before, const json_t *step, const char *behind)
{
	char file[REPORT_TEXT_MAX];

	if (json_string_length(json_object_get(step, "file")) == 0)
		return;
	(void)fprintf(r->to, "%s%s", before, report_text(step, "file", file));
	if (report_has(step, "line"))
		(void)fprintf(r->to, ":%" PRIu64, report_number(step, "line"));
	(void)fputs(behind, r->to);
}

void
report_explain(struct report *r, json_t *answer)
{
	bool allowed = json_is_true(json_object_get(answer, "allowed"));
	char text[REPORT_TEXT_MAX];
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(answer, "steps"), i, row) {
		print_place(r, "", row, ": ");
		(void)fprintf(r->to, "%s\n", report_text(row, "text", text));
	}
	(void)fputs(report_bold(r), r->to);
	if (allowed)
		(void)fputs("allowed", r->to);
	else
		(void)fprintf(r->to, "denied (%s)", report_text(answer, "reason", text));
	print_place(r, ": ", answer, "");
	(void)fprintf(r->to, "%s\n", report_plain(r));
}

void
report_wait(struct report *r, json_t *answer)
{
	if (!json_is_true(json_object_get(answer, "reached")))
		(void)fputs("not yet\n", r->to);
}

void
report_kick(struct report *r, json_t *answer)
{
	uint64_t pending = report_number(answer, "pending"),
		 ms = report_number(answer, "elapsed_ms");
	char id[REPORT_TEXT_MAX];
	const json_t *value;
	size_t i;

	json_array_foreach (json_object_get(answer, "sessions"), i, value) {
		(void)fprintf(r->to, "%s%s", i > 0 ? " " : "", report_value(value, id));
	}
	if (pending > 0)
		(void)fprintf(r->to, ": told to end, %" PRIu64 " still there\n", pending);
	else
		(void)fprintf(r->to, ": ended in %" PRIu64 ".%03" PRIu64 " s\n", ms / 1000,
			      ms % 1000);
}

/* "s412 t9031: paused in 0.012 s" */
static void
report_order(struct report *r, json_t *answer, const char *done)
{
	uint64_t ms = report_number(answer, "elapsed_ms");
	char id[REPORT_TEXT_MAX];

	(void)fputs(report_text(answer, "session", id), r->to);
	if (report_has(answer, "transfer"))
		(void)fprintf(r->to, " %s", report_text(answer, "transfer", id));
	if (json_is_true(json_object_get(answer, "pending")))
		(void)fputs(": told, not yet done\n", r->to);
	else
		(void)fprintf(r->to, ": %s in %" PRIu64 ".%03" PRIu64 " s\n", done, ms / 1000,
			      ms % 1000);
}

void
report_cancel(struct report *r, json_t *answer)
{
	report_order(r, answer, "ended");
}

void
report_pause(struct report *r, json_t *answer)
{
	report_order(r, answer, "paused");
}

void
report_resume(struct report *r, json_t *answer)
{
	report_order(r, answer, "goes on");
}

void
report_limit(struct report *r, json_t *answer)
{
	const char *whose = report_has(answer, "user") ? "user" : "session";
	char id[REPORT_TEXT_MAX], rate[NUM_TEXT_MAX];

	if (report_has(answer, "rate_limit"))
		(void)fprintf(r->to, "%s: at most %s/s\n", report_text(answer, whose, id),
			      report_size(answer, "rate_limit", rate));
	else
		(void)fprintf(r->to, "%s: no limit\n", report_text(answer, whose, id));
}

void
report_ban(struct report *r, json_t *answer)
{
	char address[REPORT_TEXT_MAX], left[NUM_TEXT_MAX];

	(void)report_text(answer, "address", address);
	if (report_has(answer, "left_ms"))
		(void)fprintf(
		    r->to, "%s: refused for %s\n", address,
		    num_format_elapsed(report_number(answer, "left_ms") * USEC_PER_MSEC, left));
	else
		(void)fprintf(r->to, "%s: refused\n", address);
}

void
report_unban(struct report *r, json_t *answer)
{
	char address[REPORT_TEXT_MAX];

	(void)fprintf(r->to, "%s: no longer refused\n", report_text(answer, "address", address));
}

static void
report_changes(struct report *r, const json_t *answer)
{
	const json_t *rows = json_object_get(answer, "changes"), *row;
	char text[REPORT_TEXT_MAX];
	size_t i;

	json_array_foreach (rows, i, row) {
		(void)fprintf(r->to, "  %-13s ", report_text(row, "takes_effect", text));
		(void)fprintf(r->to, "%s  ", report_text(row, "option", text));
		report_print(r, json_object_get(row, "before"));
		(void)fputs(" -> ", r->to);
		report_print(r, json_object_get(row, "after"));
		(void)fputc('\n', r->to);
	}
	if (json_array_size(rows) == 0)
		(void)fputs("  no option has changed\n", r->to);
}

void
report_reload(struct report *r, json_t *answer)
{
	char file[REPORT_TEXT_MAX];

	report_problems(r, report_text(answer, "file", file), answer);
	report_changes(r, answer);
	if (json_is_true(json_object_get(answer, "dry_run")))
		(void)fputs("nothing was changed (dry run)\n", r->to);
	else
		(void)fprintf(r->to, "generation %" PRIu64 " %s\n",
			      report_number(answer, "generation"),
			      json_is_true(json_object_get(answer, "pending")) ? "is being replaced"
									       : "is in force");
}

void
report_reexec(struct report *r, json_t *answer)
{
	char version[REPORT_TEXT_MAX];

	(void)fprintf(r->to, "ftd %s runs, pid %" PRIu64 ", with all %" PRIu64 " sessions\n",
		      report_text(answer, "version", version), report_number(answer, "pid"),
		      report_number(answer, "sessions"));
}

void
report_shutdown(struct report *r, json_t *answer)
{
	char state[REPORT_TEXT_MAX];

	(void)fprintf(r->to, "%s\n", report_text(answer, "state", state));
}
