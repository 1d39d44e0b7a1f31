#include <inttypes.h>

#include "ctl/report.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

static void
add_row(struct table *t, const json_t *row)
{
	char age[NUM_TEXT_MAX];

	report_add_text(t, row, "id");
	report_add_text(t, row, "user");
	report_add_text(t, row, "path");
	report_add_size(t, row, "size");
	report_add_size(t, row, "held");
	table_add(t, "%s", report_age(row, "last_byte", age));
	report_add_text(t, row, "state");
	report_add_text(t, row, "session");
}

/* What the list lacks. */
static void
print_unknown(struct report *r, const json_t *answer)
{
	char root[REPORT_TEXT_MAX], why[REPORT_TEXT_MAX];
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(answer, "unknown"), i, row) {
		(void)fprintf(r->to, "%snot known: those in %s: %s%s\n", report_yellow(r),
			      report_text(row, "root", root), report_text(row, "why", why),
			      report_plain(r));
	}
}

void
report_uploads(struct report *r, json_t *answer)
{
	static const struct table_column columns[] = {
		{ "ID" },         { "USER" },       { "PATH", false, true },
		{ "SIZE", true }, { "HELD", true }, { "LAST", true },
		{ "STATE" },      { "SESSION" },
	};
	const json_t *rows = json_object_get(answer, "uploads");
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const json_t *row;
	size_t i;

	if (t == NULL)
		return;
	json_array_foreach (rows, i, row)
		add_row(t, row);
	report_list(r, t, rows, "unfinished upload", "unfinished uploads");
	print_unknown(r, answer);
}

void
report_upload(struct report *r, const json_t *u)
{
	char a[REPORT_TEXT_MAX], b[REPORT_TEXT_MAX], n[NUM_TEXT_MAX], m[NUM_TEXT_MAX];

	report_line(r, "upload", "%s%s%s  %s", report_bold(r), report_text(u, "id", a),
		    report_plain(r), report_text(u, "state", b));
	report_line(r, "path", "%s", report_text(u, "path", a));
	report_line(r, "user", "%s", report_text(u, "user", a));
	if (report_has(u, "held"))
		report_line(r, "held", "%s of %s, in %" PRIu64 " %s", report_size(u, "held", n),
			    report_size(u, "size", m), report_number(u, "pieces"),
			    report_number(u, "pieces") == 1 ? "piece" : "pieces");
	report_line(r, "last byte", "%s  %s ago", report_text(u, "last_byte", a),
		    report_age(u, "last_byte", n));
	report_line(r, "expires", "%s", report_text(u, "expires", a));
	if (report_has(u, "session"))
		report_line(r, "session", "%s", report_text(u, "session", a));
}

void
report_discard(struct report *r, json_t *answer)
{
	const json_t *u = json_object_get(answer, "upload");
	char id[REPORT_TEXT_MAX], path[REPORT_TEXT_MAX], held[NUM_TEXT_MAX];

	(void)fprintf(r->to, "%s: discarded, %s of %s\n", report_text(u, "id", id),
		      report_size(u, "held", held), report_text(u, "path", path));
}
