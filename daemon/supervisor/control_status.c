#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/common/sandbox.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/houses.h"
#include "daemon/supervisor/renewal.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

enum { CERTIFICATE_DAYS = 14 };        /* with fewer left there is a warning */
#define SILENCE_MAX (3 * USEC_PER_SEC) /* longer than a keeper is busy with anything else */

/* ---- disks ---- */

static json_t *
disks(struct supervisor *sup)
{
	auto_json json_t *list = json_array();
	const struct control_disk *d;
	unsigned n = control_disks(sup, &d);

	for (unsigned i = 0; i < n; i++)
		if (json_array_append_new(
			list, json_pack("{s:o, s:o, s:o}", "path", control_text(d[i].path), "free",
					control_number_or_null(d[i].free), "total",
					control_number_or_null(d[i].total))) < 0)
			return NULL;
	return take_ptr(list);
}

/* ---- warnings: what makes `ftctl status --check` say DEGRADED ---- */

static int __attribute__((format(printf, 2, 3))) warn(json_t *list, const char *format, ...)
{
	char text[CONFIG_TEXT_MAX + PATH_MAX];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	return json_array_append_new(list, control_text(text)) < 0 ? -ENOMEM : 0;
}

static bool
is_written_to(const struct config *config, const char *root)
{
	for (unsigned i = 0; i < config->n_shares; i++)
		if (strcmp(config->shares[i].root, root) == 0 &&
		    (config_share_rights(config, &config->shares[i]) &
		     (RIGHT_ALL & ~(unsigned)(RIGHT_READ | RIGHT_LIST))) != 0)
			return true;
	return false;
}

static int
warn_silence(const struct control_disk *d, json_t *list)
{
	uint64_t silence = clock_usec() - d->asked_usec;

	if (silence < SILENCE_MAX)
		return 0;
	if (d->question.serial == 0)
		return warn(list, "nothing is known of share root %s: its keeper does not run",
			    d->path);
	return warn(list,
		    "share root %s has not answered for %" PRIu64
		    " s: its file system hangs, or the disk is very slow",
		    d->path, silence / USEC_PER_SEC);
}

static int
warn_disk(const struct config *config, const struct control_disk *d, json_t *list)
{
	char has[NUM_TEXT_MAX], needs[NUM_TEXT_MAX];

	if (d->asked_usec != 0)
		return warn_silence(d, list);
	if (d->free == UINT64_MAX)
		return warn(list, "share root %s cannot be reached", d->path);
	if (d->elsewhere)
		return warn(list,
			    "another file system is at %s than when the configuration was loaded: "
			    "its names are refused until it is mounted again, or a reload",
			    d->path);
	if (d->read_only && is_written_to(config, d->path))
		return warn(list, "%s is read-only: uploads are refused", d->path);
	if (d->full_of_files)
		return warn(list, "%s has no room for another file: uploads are refused", d->path);
	if (d->free < config->free_space)
		return warn(list,
			    "%s has %s free, less than limits.free_space (%s): uploads are refused",
			    d->path, num_format_size(d->free, has),
			    num_format_size(config->free_space, needs));
	return 0;
}

static int
warn_disks(struct supervisor *sup, json_t *list)
{
	const struct control_disk *d;
	unsigned n = control_disks(sup, &d);
	int r = 0;

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = warn_disk(sup->config, &d[i], list);
	return r;
}

static int
warn_accepting(const struct supervisor *sup, json_t *list)
{
	return listeners_paused(sup) ? warn(list, "out of descriptors or memory: connections wait")
				     : 0;
}

static int
warn_sandbox(const struct supervisor *sup, json_t *list)
{
	const char *why;

	if (sup->config->sandbox != CONFIG_SANDBOX_BEST_EFFORT || sandbox_supported(&why) >= 0)
		return 0;
	return warn(list, "sandbox is best-effort and this kernel cannot do all of it: %s", why);
}

static int
warn_sessions(const struct supervisor *sup, json_t *list)
{
	if (sup->sessions < sup->config->sessions - sup->config->sessions / 10)
		return 0;
	return warn(list, "%" PRIu32 " of %" PRIu64 " sessions are in use (limits.sessions)",
		    sup->sessions, sup->config->sessions);
}

static int
warn_reload(const struct supervisor *sup, json_t *list)
{
	const char *why = reload_last(sup);

	return why == NULL
		   ? 0
		   : warn(list,
			  "the last reload failed, the configuration before it is in force: %s",
			  why);
}

static int
warn_draining(const struct supervisor *sup, json_t *list)
{
	return sup->draining ? warn(list, "the daemon is going down and takes no new connections")
			     : 0;
}

static int
warn_certificate(const struct supervisor *sup, json_t *list)
{
	const struct house_certificate *c = houses_certificate(sup);
	const char *problem = renewal_problem();
	const char *untimely = c != NULL ? renewal_untimely(c) : NULL;
	int r = 0;

	if (problem != NULL)
		r = warn(list,
			 "the certificate has changed but cannot be used, the one before it "
			 "is in force: %s",
			 problem);
	if (r == 0 && untimely != NULL)
		r = warn(list, "the certificate %s %s", c->subject, untimely);
	else if (r == 0 && c != NULL && renewal_days_left(c) < CERTIFICATE_DAYS)
		r = warn(list, "the certificate %s ends in %" PRId64 " days", c->subject,
			 renewal_days_left(c));
	return r;
}

static json_t *
warnings(struct supervisor *sup)
{
	auto_json json_t *list = json_array();

	if (list == NULL || warn_disks(sup, list) < 0 || warn_accepting(sup, list) < 0 ||
	    warn_sandbox(sup, list) < 0 || warn_sessions(sup, list) < 0 ||
	    warn_reload(sup, list) < 0 || warn_certificate(sup, list) < 0 ||
	    warn_draining(sup, list) < 0)
		return NULL;
	return take_ptr(list);
}

/* ---- status ---- */

static json_t *
listeners(const struct supervisor *sup)
{
	auto_json json_t *list = json_array();
	char buf[ADDR_TEXT_MAX];
	const char *text;

	for (unsigned i = 0; (text = listeners_text(sup, i, buf)) != NULL; i++)
		if (json_array_append_new(list, json_string(text)) < 0)
			return NULL;
	return take_ptr(list);
}

static json_t *
certificate(const struct supervisor *sup)
{
	const struct house_certificate *c = houses_certificate(sup);
	char text[CERTIFICATE_FINGERPRINT_TEXT];

	if (c == NULL)
		return json_null();
	return json_pack("{s:o, s:o, s:I, s:s}", "subject", control_text(c->subject), "not_after",
			 control_time(c->not_after * (int64_t)NSEC_PER_SEC), "days_left",
			 (json_int_t)renewal_days_left(c), "fingerprint",
			 certificate_fingerprint_text(c->fingerprint, text));
}

static int
set_daemon(struct supervisor *sup, json_t *answer)
{
	json_t *part = json_pack(
	    "{s:s, s:i, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "version", PACKAGE_VERSION,
	    "pid", (int)getpid(), "started", control_time(sup->started_real_ns), "uptime_s",
	    control_number((clock_usec() - sup->started_usec) / USEC_PER_SEC), "state",
	    sup->draining ? "draining" : "ready", "generation", control_number(sup->generation),
	    "reloaded", control_time(sup->reloaded_real_ns), "listen", listeners(sup), "tls",
	    certificate(sup), "disk", disks(sup), "warnings", warnings(sup));

	return part == NULL || json_object_update_new(answer, part) < 0 ? -ENOMEM : 0;
}

static int
set_sessions(const struct supervisor *sup, const struct totals *t, json_t *answer)
{
	struct admission_view view;
	json_t *part;

	admission_view(sup, &view);
	part = json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "sessions", control_number(sup->sessions),
	    "sessions_max", control_number(sup->config->sessions), "sessions_total",
	    control_number(t->sessions), "refused_total", control_number(t->refused), "logins",
	    control_number(view.gates), "logins_max", control_number(sup->config->logins),
	    "waiting", control_number(view.waiting));
	return part == NULL || json_object_update_new(answer, part) < 0 ? -ENOMEM : 0;
}

static int
set_transfers(const struct supervisor *sup, const struct totals *t, json_t *answer)
{
	uint64_t up = 0, down = 0, stalled = 0;
	const struct session *s;
	json_t *part;

	for (uint32_t i = 0; i < sup->boards.slots; i++) {
		s = sessions_at(sup, i);
		if (s == NULL || !control_has_transfer(s))
			continue;
		up += s->seen.upload != 0;
		down += s->seen.upload == 0;
		stalled += control_is_stalled(s);
	}
	part = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "transfers", control_number(up + down), "uploads", control_number(up),
			 "downloads", control_number(down), "stalled", control_number(stalled),
			 "uploads_total", control_number(t->uploads), "downloads_total",
			 control_number(t->downloads), "failed_total", control_number(t->failed),
			 "bytes_in_total", control_number(t->bytes_in), "bytes_out_total",
			 control_number(t->bytes_out), "bytes_in_rate",
			 control_number(sup->bytes_in_rate), "bytes_out_rate",
			 control_number(sup->bytes_out_rate), "total_rate_max",
			 control_number_or_null(sup->config->total_rate), "session_rate_max",
			 control_number_or_null(sup->config->session_rate), "user_rate_max",
			 control_number_or_null(sup->config->user_rate));
	return part == NULL || json_object_update_new(answer, part) < 0 ? -ENOMEM : 0;
}

static int
status_step(struct control_request *rq, json_t *answer)
{
	struct totals totals;
	int r;

	if (!control_disks_ask(rq->sup) && !rq->ending)
		return CONTROL_WAIT;
	supervisor_totals(rq->sup, &totals);
	r = set_daemon(rq->sup, answer);
	if (r == 0)
		r = set_sessions(rq->sup, &totals, answer);
	if (r == 0)
		r = set_transfers(rq->sup, &totals, answer);
	return r < 0 ? r : CONTROL_DONE;
}

static int
version_step(struct control_request *rq, json_t *answer)
{
	(void)rq;
	return control_set(answer, "version", json_string(PACKAGE_VERSION));
}

const struct control_verb control_status = { .step = status_step };
const struct control_verb control_version = { .step = version_step };
