#include <inttypes.h>
#include <string.h>

#include "ctl/report.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

static void
head(struct report *r, const json_t *s)
{
	char version[REPORT_TEXT_MAX], state[REPORT_TEXT_MAX], reloaded[REPORT_TEXT_MAX],
	    up[NUM_TEXT_MAX];

	(void)fprintf(r->to,
		      "%sftd %s  %s%s  pid %" PRIu64 "  up %s  configuration generation %" PRIu64,
		      report_bold(r), report_text(s, "version", version),
		      report_text(s, "state", state), report_plain(r), report_number(s, "pid"),
		      num_format_elapsed(report_number(s, "uptime_s") * USEC_PER_SEC, up),
		      report_number(s, "generation"));
	if (report_has(s, "reloaded"))
		(void)fprintf(r->to, " (reloaded %s)", report_text(s, "reloaded", reloaded));
	(void)fputc('\n', r->to);
}

static void
listeners(struct report *r, const json_t *s)
{
	char text[REPORT_TEXT_MAX];
	const json_t *value;
	size_t i;

	(void)fputs("listen    ", r->to);
	json_array_foreach (json_object_get(s, "listen"), i, value) {
		(void)fprintf(r->to, "%s%s", i > 0 ? "  " : " ", report_value(value, text));
	}
	(void)fputc('\n', r->to);
}

static void
certificate(struct report *r, const json_t *s)
{
	const json_t *c = json_object_get(s, "tls");
	char subject[REPORT_TEXT_MAX], print[REPORT_TEXT_MAX];

	if (json_is_object(c))
		(void)fprintf(r->to, "tls        %s, %" PRIu64 " days left, %s\n",
			      report_text(c, "subject", subject), report_number(c, "days_left"),
			      report_text(c, "fingerprint", print));
}

static void
sessions(struct report *r, const json_t *s)
{
	(void)fprintf(r->to,
		      "sessions   %" PRIu64 " of %" PRIu64 "   (%" PRIu64 " logging in of %" PRIu64,
		      report_number(s, "sessions"), report_number(s, "sessions_max"),
		      report_number(s, "logins"), report_number(s, "logins_max"));
	if (report_number(s, "waiting") > 0)
		(void)fprintf(r->to, ", %" PRIu64 " waiting", report_number(s, "waiting"));
	(void)fprintf(r->to, ")   %" PRIu64 " so far, %" PRIu64 " refused\n",
		      report_number(s, "sessions_total"), report_number(s, "refused_total"));
}

static void
transfers(struct report *r, const json_t *s)
{
	char up[NUM_TEXT_MAX], down[NUM_TEXT_MAX];

	(void)fprintf(r->to,
		      "transfers  %" PRIu64 " running: %" PRIu64 " up %s/s, %" PRIu64 " down %s/s",
		      report_number(s, "transfers"), report_number(s, "uploads"),
		      report_size(s, "bytes_in_rate", up), report_number(s, "downloads"),
		      report_size(s, "bytes_out_rate", down));
	if (report_number(s, "stalled") > 0)
		(void)fprintf(r->to, "   %s%" PRIu64 " stalled%s", report_yellow(r),
			      report_number(s, "stalled"), report_plain(r));
	(void)fprintf(r->to,
		      "\nso far     %" PRIu64 " uploads, %s   %" PRIu64 " downloads, %s   %" PRIu64
		      " failed\n",
		      report_number(s, "uploads_total"), report_size(s, "bytes_in_total", up),
		      report_number(s, "downloads_total"), report_size(s, "bytes_out_total", down),
		      report_number(s, "failed_total"));
}

static void
rates(struct report *r, const json_t *s)
{
	char total[NUM_TEXT_MAX], session[NUM_TEXT_MAX], user[NUM_TEXT_MAX];

	if (report_has(s, "total_rate_max"))
		(void)fprintf(r->to, "limit      all %s/s\n",
			      report_size(s, "total_rate_max", total));
	if (report_has(s, "user_rate_max"))
		(void)fprintf(r->to, "limit      each user %s/s\n",
			      report_size(s, "user_rate_max", user));
	if (report_has(s, "session_rate_max"))
		(void)fprintf(r->to, "limit      each session %s/s\n",
			      report_size(s, "session_rate_max", session));
}

static void
disks(struct report *r, const json_t *s)
{
	char path[REPORT_TEXT_MAX], has[NUM_TEXT_MAX], total[NUM_TEXT_MAX];
	const json_t *disk;
	size_t i;

	json_array_foreach (json_object_get(s, "disk"), i, disk) {
		(void)fprintf(r->to, "disk       %s  %s free of %s\n",
			      report_text(disk, "path", path), report_size(disk, "free", has),
			      report_size(disk, "total", total));
	}
}

static void
warnings(struct report *r, const json_t *s)
{
	char text[REPORT_TEXT_MAX];
	const json_t *value;
	size_t i;

	json_array_foreach (json_object_get(s, "warnings"), i, value) {
		(void)fprintf(r->to, "%swarning    %s%s\n", report_yellow(r),
			      report_value(value, text), report_plain(r));
	}
}

/* One line for scripts and monitoring. */
static void
verdict(struct report *r, const json_t *s)
{
	const json_t *list = json_object_get(s, "warnings"), *value;
	char text[REPORT_TEXT_MAX];
	size_t i;

	(void)fputs(json_array_size(list) == 0 ? "OK" : "DEGRADED ", r->to);
	json_array_foreach (list, i, value) {
		(void)fprintf(r->to, "%s%s", i > 0 ? "; " : "", report_value(value, text));
	}
	(void)fputc('\n', r->to);
}

void
report_status(struct report *r, json_t *answer)
{
	if (r->verdict) {
		verdict(r, answer);
		return;
	}
	head(r, answer);
	listeners(r, answer);
	certificate(r, answer);
	sessions(r, answer);
	transfers(r, answer);
	rates(r, answer);
	disks(r, answer);
	warnings(r, answer);
}

/* Lines for a program; no control byte but their ends. */
void
report_metrics(struct report *r, json_t *answer)
{
	const char *text = json_string_value(json_object_get(answer, "text"));

	for (; text != NULL && *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		(void)fputc((c < ' ' && c != '\n') || c == 0x7f ? '?' : c, r->to);
	}
}

void
report_version(struct report *r, json_t *answer)
{
	char version[REPORT_TEXT_MAX];

	(void)fprintf(r->to, "ftd   %s\n", report_text(answer, "version", version));
}
