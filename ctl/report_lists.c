#include <inttypes.h>
#include <string.h>

#include "ctl/report.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

static void
add_ms(struct table *t, const json_t *row, const char *key)
{
	char buf[NUM_TEXT_MAX];

	if (report_has(row, key))
		table_add(t, "%s",
			  num_format_elapsed(report_number(row, key) * USEC_PER_MSEC, buf));
	else
		table_add(t, "-");
}

void
report_sessions(struct report *r, json_t *answer)
{
	static const struct table_column columns[] = {
		{ "ID" },          { "FROM" },       { "USER" },          { "STATE" },
		{ "AGE", true },   { "IDLE", true }, { "UP", true },      { "DOWN", true },
		{ "FILES", true }, { "PID", true },  { "LIMIT/s", true },
	};
	const json_t *rows = json_object_get(answer, "sessions");
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	char buf[NUM_TEXT_MAX];
	const json_t *row;
	size_t i;

	if (t == NULL)
		return;
	json_array_foreach (rows, i, row) {
		report_add_text(t, row, "id");
		report_add_text(t, row, "peer");
		report_add_text(t, row, "user");
		report_add_text(t, row, "state");
		table_add(t, "%s", report_age(row, "started", buf));
		add_ms(t, row, "idle_ms");
		report_add_size(t, row, "bytes_in");
		report_add_size(t, row, "bytes_out");
		table_add(t, "%" PRIu64, report_number(row, "files"));
		table_add(t, "%" PRIu64, report_number(row, "pid"));
		if (report_has(row, "rate_limit"))
			report_add_size(t, row, "rate_limit");
		else
			table_add(t, "-");
	}
	report_list(r, t, rows, "session", "sessions");
}

static void
add_percent(struct table *t, const json_t *row)
{
	uint64_t size = report_number(row, "size"), offset = report_number(row, "offset");

	if (size == 0 || offset > size)
		table_add(t, "-");
	else
		table_add(t, "%u", (unsigned)((double)offset * 100 / (double)size));
}

static void
add_state(struct table *t, const json_t *row)
{
	char state[REPORT_TEXT_MAX], buf[NUM_TEXT_MAX];
	uint64_t stalled = report_number(row, "stalled_ms");

	(void)report_text(row, "state", state);
	if (stalled > 0)
		table_add(t, "%s %s", state, num_format_elapsed(stalled * USEC_PER_MSEC, buf));
	else
		table_add(t, "%s", state);
}

static bool
is_upload(const json_t *row)
{
	const char *direction = json_string_value(json_object_get(row, "direction"));

	return direction != NULL && strcmp(direction, "upload") == 0;
}

static void
transfer_row(struct table *t, const json_t *row)
{
	report_add_text(t, row, "id");
	report_add_text(t, row, "session");
	report_add_text(t, row, "user");
	table_add(t, "%s", is_upload(row) ? "up" : "down");
	report_add_text(t, row, "path");
	report_add_size(t, row, "size");
	report_add_size(t, row, "offset");
	add_percent(t, row);
	report_add_size(t, row, "rate");
	add_ms(t, row, "eta_ms");
	add_state(t, row);
}

void
report_transfers(struct report *r, json_t *answer)
{
	static const struct table_column columns[] = {
		{ "ID" },
		{ "SESSION" },
		{ "USER" },
		{ "DIR" },
		{ "PATH", false, true },
		{ "SIZE", true },
		{ "DONE", true },
		{ "%", true },
		{ "RATE/s", true },
		{ "ETA", true },
		{ "STATE" },
	};
	const json_t *totals = json_object_get(answer, "totals");
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	char up[NUM_TEXT_MAX], down[NUM_TEXT_MAX];
	uint64_t n = report_number(totals, "count");
	const json_t *row;
	size_t i;

	if (t == NULL)
		return;
	json_array_foreach (json_object_get(answer, "transfers"), i, row)
		transfer_row(t, row);
	report_table(r, t);
	(void)fprintf(r->to, "%" PRIu64 " %s, up %s/s, down %s/s\n", n,
		      n == 1 ? "transfer" : "transfers", report_size(totals, "up_rate", up),
		      report_size(totals, "down_rate", down));
}

void
report_bans(struct report *r, json_t *answer)
{
	static const struct table_column columns[] = {
		{ "ADDRESS" },
		{ "KIND" },
		{ "SINCE" },
		{ "LEFT", true },
	};
	const json_t *rows = json_object_get(answer, "bans");
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const json_t *row;
	size_t i;

	if (t == NULL)
		return;
	json_array_foreach (rows, i, row) {
		report_add_text(t, row, "address");
		report_add_text(t, row, "kind");
		report_add_text(t, row, "since");
		add_ms(t, row, "left_ms");
	}
	report_list(r, t, rows, "address", "addresses");
}

/* One more word of a list: "password, certificate". */
static void
append(char *text, size_t size, const char *word)
{
	size_t n = strlen(text);

	(void)snprintf(text + n, size - n, "%s%s", n > 0 ? ", " : "", word);
}

/* How somebody may log in. */
static void
add_ways(struct table *t, const json_t *row)
{
	uint64_t n = report_number(row, "keys");
	char text[80] = "", keys[32];

	(void)snprintf(keys, sizeof(keys), "%" PRIu64 " %s", n, n == 1 ? "key" : "keys");
	if (json_is_true(json_object_get(row, "password")))
		append(text, sizeof(text), "password");
	if (n > 0)
		append(text, sizeof(text), keys);
	if (json_is_true(json_object_get(row, "certificate")))
		append(text, sizeof(text), "certificate");
	table_add(t, "%s", text[0] != '\0' ? text : "-");
}

void
report_users(struct report *r, json_t *answer)
{
	static const struct table_column columns[] = {
		{ "USER" }, { "STATE" }, { "LOGIN" }, { "ACCOUNT" }, { "SESSIONS", true },
	};
	const json_t *rows = json_object_get(answer, "users");
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const json_t *row;
	size_t i;

	if (t == NULL)
		return;
	json_array_foreach (rows, i, row) {
		report_add_text(t, row, "user");
		table_add(t,
			  json_is_true(json_object_get(row, "disabled")) ? "disabled" : "enabled");
		add_ways(t, row);
		report_add_text(t, row, "account");
		table_add(t, "%" PRIu64, report_number(row, "sessions"));
	}
	report_list(r, t, rows, "user", "users");
}

/* ---- show: one key a line ---- */

static void
show_session(struct report *r, const json_t *s)
{
	char a[REPORT_TEXT_MAX], b[REPORT_TEXT_MAX], n[NUM_TEXT_MAX], m[NUM_TEXT_MAX];

	report_line(r, "session", "%s%s%s  %s%s", report_bold(r), report_text(s, "id", a),
		    report_plain(r), report_text(s, "state", b),
		    json_is_true(json_object_get(s, "ending")) ? " (told to end)" : "");
	report_line(r, "from", "%s  user %s", report_text(s, "peer", a), report_text(s, "user", b));
	report_line(r, "pid", "%" PRIu64 "  configuration generation %" PRIu64,
		    report_number(s, "pid"), report_number(s, "generation"));
	report_line(r, "started", "%s  %s ago", report_text(s, "started", a),
		    report_age(s, "started", n));
	report_line(r, "uploads", "%" PRIu64 "  %s", report_number(s, "uploads"),
		    report_size(s, "bytes_in", n));
	report_line(r, "downloads", "%" PRIu64 "  %s", report_number(s, "downloads"),
		    report_size(s, "bytes_out", n));
	report_line(r, "failed", "%" PRIu64 " of %" PRIu64 " requests", report_number(s, "failed"),
		    report_number(s, "requests"));
	if (report_has(s, "rate_limit"))
		report_line(r, "limit", "%s/s", report_size(s, "rate_limit", n));
	if (report_has(s, "rate_now"))
		report_line(r, "may move", "%s/s now", report_size(s, "rate_now", n));
	report_line(r, "idle", "%s",
		    num_format_elapsed(report_number(s, "idle_ms") * USEC_PER_MSEC, m));
}

static void
show_transfer(struct report *r, const json_t *t)
{
	char a[REPORT_TEXT_MAX], b[REPORT_TEXT_MAX], n[NUM_TEXT_MAX], m[NUM_TEXT_MAX];

	report_line(r, "transfer", "%s%s%s  %s  %s", report_bold(r), report_text(t, "id", a),
		    report_plain(r), is_upload(t) ? "upload" : "download",
		    report_text(t, "state", b));
	report_line(r, "path", "%s", report_text(t, "path", a));
	report_line(r, "done", "%s of %s", report_size(t, "offset", n), report_size(t, "size", m));
	report_line(r, "rate", "%s/s", report_size(t, "rate", n));
	if (report_has(t, "eta_ms"))
		report_line(r, "ends in", "%s",
			    num_format_elapsed(report_number(t, "eta_ms") * USEC_PER_MSEC, n));
	report_line(r, "started", "%s  %s ago", report_text(t, "started", a),
		    report_age(t, "started", n));
}

void
report_show(struct report *r, json_t *answer)
{
	if (report_has(answer, "upload")) {
		report_upload(r, json_object_get(answer, "upload"));
		return;
	}
	show_session(r, json_object_get(answer, "session"));
	if (report_has(answer, "transfer"))
		show_transfer(r, json_object_get(answer, "transfer"));
}
