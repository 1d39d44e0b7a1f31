#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/renewal.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

/* OpenMetrics text (version 1.0.0), made whole and sent in frames that end with a line. */

enum { CHUNK = 16 << 10 };

static void
family(FILE *f, const char *name, const char *type, const char *help)
{
	(void)fprintf(f, "# TYPE %s %s\n# HELP %s %s\n", name, type, name, help);
}

static void
gauge(FILE *f, const char *name, const char *help, uint64_t value)
{
	family(f, name, "gauge", help);
	(void)fprintf(f, "%s %" PRIu64 "\n", name, value);
}

static void
counter(FILE *f, const char *name, const char *help, uint64_t value)
{
	family(f, name, "counter", help);
	(void)fprintf(f, "%s_total %" PRIu64 "\n", name, value);
}

static void
counters(FILE *f, const struct supervisor *sup)
{
	struct totals t;

	supervisor_totals(sup, &t);
	counter(f, "ftd_sessions_started", "Sessions since the start.", t.sessions);
	counter(f, "ftd_connections_refused", "Connections that became no session.", t.refused);
	counter(f, "ftd_requests", "Requests of sessions.", t.requests);
	counter(f, "ftd_uploads", "Files taken.", t.uploads);
	counter(f, "ftd_downloads", "Files given.", t.downloads);
	counter(f, "ftd_transfers_failed", "Transfers that were refused or cut.", t.failed);
	counter(f, "ftd_received_bytes", "Content of uploads.", t.bytes_in);
	counter(f, "ftd_sent_bytes", "Content of downloads.", t.bytes_out);
}

static void
transfers(FILE *f, const struct supervisor *sup)
{
	uint64_t running[2] = { 0, 0 }, stalled = 0;

	for (uint32_t i = 0; i < sup->boards.slots; i++) {
		const struct session *s = sessions_at(sup, i);

		if (s == NULL || !control_has_transfer(s))
			continue;
		running[s->seen.upload != 0]++;
		stalled += control_is_stalled(s);
	}
	family(f, "ftd_transfers", "gauge", "Transfers under way.");
	(void)fprintf(f,
		      "ftd_transfers{direction=\"upload\"} %" PRIu64
		      "\nftd_transfers{direction=\"download\"} %" PRIu64 "\n",
		      running[1], running[0]);
	gauge(f, "ftd_transfers_stalled", "Transfers under way that do not move.", stalled);
	family(f, "ftd_rate_bytes_per_second", "gauge", "Content moved, over about 2 s.");
	(void)fprintf(f,
		      "ftd_rate_bytes_per_second{direction=\"upload\"} %" PRIu64
		      "\nftd_rate_bytes_per_second{direction=\"download\"} %" PRIu64 "\n",
		      sup->bytes_in_rate, sup->bytes_out_rate);
}

static void
certificate(FILE *f, const struct supervisor *sup)
{
	const struct house_certificate *c = houses_certificate(sup);

	if (c != NULL)
		gauge(f, "ftd_certificate_end_time_seconds", "When it ends, since 1970.",
		      c->not_after > 0 ? (uint64_t)c->not_after : 0);
	gauge(f, "ftd_certificate_last_load_successful", "0: the changed files cannot be used.",
	      renewal_problem() == NULL);
}

static void
daemon_state(FILE *f, const struct supervisor *sup)
{
	family(f, "ftd_build", "info", "The daemon.");
	(void)fprintf(f, "ftd_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	gauge(f, "ftd_start_time_seconds", "When it started, since 1970.",
	      (uint64_t)sup->started_real_ns / NSEC_PER_SEC);
	gauge(f, "ftd_config_generation", "Configurations taken into force.", sup->generation);
	gauge(f, "ftd_config_last_reload_successful", "0: the last reload failed.",
	      reload_last(sup) == NULL);
	certificate(f, sup);
	gauge(f, "ftd_draining", "1: it lets transfers finish and ends.", sup->draining);
}

/* ---- limits, each with what is in use ---- */

/* Whose a session is: its source or its user; what neither fills is 0. */
struct owner {
	union {
		struct subnet source;
		char user[USER_NAME_MAX + 1];
	};
};

static bool
source_of(const struct session *s, struct owner *ret)
{
	ret->source = addr_source(&s->peer);
	return true;
}

static bool
user_of(const struct session *s, struct owner *ret)
{
	memcpy(ret->user, s->user, sizeof(ret->user));
	return s->user[0] != '\0';
}

static int
compare_owners(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct owner));
}

/* The most sessions that one owner has. */
static uint64_t
busiest(const struct supervisor *sup, bool (*owner_of)(const struct session *s, struct owner *ret))
{
	auto_free struct owner *owners = calloc((size_t)sup->sessions + 1, sizeof(*owners));
	uint64_t run = 0, most = 0;
	size_t n = 0;

	for (uint32_t i = 0; owners != NULL && i < sup->boards.slots && n < sup->sessions; i++)
		if (sessions_at(sup, i) != NULL && owner_of(sessions_at(sup, i), &owners[n]))
			n++;
	if (n > 0)
		qsort(owners, n, sizeof(*owners), compare_owners);
	for (size_t i = 0; i < n; i++) {
		run = i > 0 && compare_owners(&owners[i - 1], &owners[i]) == 0 ? run + 1 : 1;
		most = run > most ? run : most;
	}
	return most;
}

/* What has no limit has no row. */
static void
rate_limits(FILE *f, const struct supervisor *sup)
{
	const struct {
		const char *name;
		uint64_t limit;
	} rows[] = {
		{ "total_rate", sup->config->total_rate },
		{ "user_rate", sup->config->user_rate },
		{ "session_rate", sup->config->session_rate },
	};

	family(f, "ftd_limit_rate_bytes_per_second", "gauge", "Limits of rates in force.");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].limit != NUM_UNLIMITED)
			(void)fprintf(f,
				      "ftd_limit_rate_bytes_per_second{limit=\"%s\"} %" PRIu64 "\n",
				      rows[i].name, rows[i].limit);
	gauge(f, "ftd_limit_rate_used_bytes_per_second", "What is in use of total_rate.",
	      sup->bytes_in_rate + sup->bytes_out_rate);
}

static void
time_limits(FILE *f, const struct config *c)
{
	const struct {
		const char *name;
		uint64_t usec;
	} rows[] = {
		{ "login_timeout", c->login_timeout },
		{ "idle_timeout", c->idle_timeout },
		{ "stall_timeout", c->stall_timeout },
		{ "shutdown_grace", c->shutdown_grace },
	};

	family(f, "ftd_limit_time_seconds", "gauge", "Limits of time in force.");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		(void)fprintf(f, "ftd_limit_time_seconds{limit=\"%s\"} %" PRIu64 ".%03" PRIu64 "\n",
			      rows[i].name, rows[i].usec / USEC_PER_SEC,
			      rows[i].usec % USEC_PER_SEC / USEC_PER_MSEC);
}

static void
limits(FILE *f, const struct supervisor *sup)
{
	const struct config *c = sup->config;
	struct admission_view view;

	admission_view(sup, &view);
	const struct {
		const char *name;
		uint64_t limit, used;
	} rows[] = {
		{ "sessions", c->sessions, sup->sessions },
		{ "logins", c->logins, view.gates },
		{ "waiting", ADMISSION_WAITING_MAX, view.waiting },
		{ "sessions_per_address", c->sessions_per_address, busiest(sup, source_of) },
		{ "sessions_per_user", c->sessions_per_user, busiest(sup, user_of) },
	};

	family(f, "ftd_limit", "gauge", "Limits in force.");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		(void)fprintf(f, "ftd_limit{limit=\"%s\"} %" PRIu64 "\n", rows[i].name,
			      rows[i].limit);
	family(f, "ftd_limit_used", "gauge",
	       "What is in use of them (of those per address and per user: by the busiest).");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		(void)fprintf(f, "ftd_limit_used{limit=\"%s\"} %" PRIu64 "\n", rows[i].name,
			      rows[i].used);
	rate_limits(f, sup);
	time_limits(f, c);
	if (c->file_size != NUM_UNLIMITED)
		gauge(f, "ftd_limit_file_size_bytes", "The largest file that is taken.",
		      c->file_size);
}

static void
label(FILE *f, const char *text)
{
	char buf[PATH_MAX];

	if (!text_utf8_valid(text, strlen(text)))
		text = text_escape(buf, sizeof(buf), text, strlen(text));
	for (; *text != '\0'; text++)
		if (*text == '\n')
			(void)fputs("\\n", f);
		else if (*text == '"' || *text == '\\')
			(void)fprintf(f, "\\%c", *text);
		else
			(void)fputc(*text, f);
}

static void
disk_rows(FILE *f, const char *name, const char *help, const struct control_disk *d, unsigned n,
	  bool total)
{
	family(f, name, "gauge", help);
	for (unsigned i = 0; i < n; i++) {
		if (d[i].free == UINT64_MAX)
			continue;
		(void)fprintf(f, "%s{root=\"", name);
		label(f, d[i].path);
		(void)fprintf(f, "\"} %" PRIu64 "\n", total ? d[i].total : d[i].free);
	}
}

static void
disk_answers(FILE *f, const struct control_disk *d, unsigned n)
{
	family(f, "ftd_disk_answers", "gauge", "0: the file system of the share root is silent.");
	for (unsigned i = 0; i < n; i++) {
		(void)fputs("ftd_disk_answers{root=\"", f);
		label(f, d[i].path);
		(void)fprintf(f, "\"} %d\n", d[i].asked_usec == 0);
	}
}

static void
disks(FILE *f, struct supervisor *sup)
{
	const struct control_disk *d;
	unsigned n = control_disks(sup, &d);

	gauge(f, "ftd_limit_free_space_bytes", "What uploads must leave free.",
	      sup->config->free_space);
	disk_answers(f, d, n);
	disk_rows(f, "ftd_disk_free_bytes", "Free beneath the share root.", d, n, false);
	disk_rows(f, "ftd_disk_size_bytes", "Size of the file system.", d, n, true);
}

/* ---- histograms: bounds and sum are in units of 1/scale ---- */

static void
histogram(FILE *f, const char *name, const char *help, const struct histogram *h,
	  const uint64_t *bounds, uint64_t scale)
{
	uint64_t below = 0;

	family(f, name, "histogram", help);
	for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		below += h->bucket[i];
		(void)fprintf(f, "%s_bucket{le=\"%" PRIu64 ".%0*" PRIu64 "\"} %" PRIu64 "\n", name,
			      bounds[i] / scale, scale == 1 ? 1 : 3, bounds[i] % scale, below);
	}
	(void)fprintf(f, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_count %" PRIu64 "\n", name,
		      h->count, name, h->count);
	(void)fprintf(f, "%s_sum %" PRIu64 ".%0*" PRIu64 "\n", name, h->sum / scale,
		      scale == 1 ? 1 : 3, h->sum % scale);
}

static int
print(struct supervisor *sup, char **ret)
{
	size_t len;
	FILE *f = open_memstream(ret, &len);
	bool failed;

	if (f == NULL)
		return -ENOMEM;
	daemon_state(f, sup);
	counters(f, sup);
	gauge(f, "ftd_sessions", "Sessions now.", sup->sessions);
	transfers(f, sup);
	limits(f, sup);
	disks(f, sup);
	histogram(f, "ftd_transfer_duration_seconds", "How long transfers took.",
		  &sup->durations_ms, histogram_ms_bounds, 1000);
	histogram(f, "ftd_transfer_size_bytes", "What they moved.", &sup->sizes,
		  histogram_bytes_bounds, 1);
	(void)fputs("# EOF\n", f);
	failed = ferror(f) != 0;
	return fclose(f) != 0 || failed ? -ENOMEM : 0;
}

/* ---- the command ---- */

struct metrics {
	char *text;
	size_t at;
};

/* Whole lines, as many as fit a frame. */
static size_t
chunk(const char *text)
{
	size_t n = strlen(text);

	if (n <= CHUNK)
		return n;
	for (n = CHUNK; text[n - 1] != '\n'; n--)
		;
	return n;
}

static int
metrics_step(struct control_request *rq, json_t *answer)
{
	struct metrics *m = rq->state;
	const char *from;
	size_t n;
	int r;

	if (m->text == NULL) {
		if (!control_disks_ask(rq->sup) && !rq->ending)
			return CONTROL_WAIT;
		r = print(rq->sup, &m->text);
		if (r < 0)
			return r;
	}
	from = m->text + m->at;
	n = chunk(from);
	r = control_set(answer, "text", json_stringn(from, n));
	if (r < 0)
		return r;
	m->at += n;
	return m->text[m->at] != '\0' ? CONTROL_MORE : CONTROL_DONE;
}

static void
metrics_done(void *state)
{
	struct metrics *m = state;

	free(m->text);
}

const struct control_verb control_metrics = { .state_size = sizeof(struct metrics),
					      .step = metrics_step,
					      .done = metrics_done };
