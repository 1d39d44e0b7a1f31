#include <inttypes.h>

#include "ctl/report.h"
#include "lib/own.h"

void
report_user_edit(struct report *r, json_t *answer)
{
	char user[REPORT_TEXT_MAX], done[REPORT_TEXT_MAX], file[REPORT_TEXT_MAX];

	(void)fprintf(r->to, "%s: %s (%s)\n", report_text(answer, "user", user),
		      report_text(answer, "done", done), report_text(answer, "file", file));
	if (!json_is_true(json_object_get(answer, "reloaded")))
		(void)fputs("ftd is not running\n", r->to);
}

static void
line(struct report *r, const char *title, const char *text)
{
	(void)fprintf(r->to, "%-12s %s\n", title, text);
}

static const char *
yes_no(const json_t *answer, const char *key)
{
	return json_is_true(json_object_get(answer, key)) ? "yes" : "no";
}

void
report_user(struct report *r, json_t *answer)
{
	char text[REPORT_TEXT_MAX], label[REPORT_TEXT_MAX];
	const json_t *key;
	size_t i;

	(void)fprintf(r->to, "%-12s %s%s%s%s\n", "user", report_bold(r),
		      report_text(answer, "user", text), report_plain(r),
		      json_is_true(json_object_get(answer, "disabled")) ? "  disabled" : "");
	line(r, "password", yes_no(answer, "password"));
	line(r, "certificate", yes_no(answer, "certificate"));
	json_array_foreach (json_object_get(answer, "keys"), i, key)
		(void)fprintf(r->to, "%-12s %s  %s\n", "key", report_text(key, "key", text),
			      report_text(key, "label", label));
	line(r, "account", report_text(answer, "account", text));
	(void)fprintf(r->to, "%-12s %s:%" PRIu64 "\n", "from", report_text(answer, "file", text),
		      report_number(answer, "line"));
}
