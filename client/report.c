#include "client/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/screen.h"
#include "lib/clock.h"
#include "lib/message.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

enum { SHOWN_MAX = 1024 };

int
report_init(struct report *r, const char *op, const struct options *o, bool moves)
{
	enum progress_kind kind = PROGRESS_NONE;

	*r = (struct report){ .op = op, .began_usec = clock_usec() };
	r->quiet = options_has(o, OPTION_BIT(quiet));
	r->verbose = options_has(o, OPTION_BIT(verbose));
	r->json = options_has(o, OPTION_BIT(json));
	if (moves && !r->quiet && !options_has(o, OPTION_BIT(no_progress))) {
		if (r->json)
			kind = PROGRESS_JSON;
		else if (screen_can_draw())
			kind = PROGRESS_TERMINAL;
	}
	return progress_init(&r->progress, kind);
}

int
report_status(const struct report *r)
{
	if (r->stopped != 0)
		return r->stopped;
	if (r->failed == 0)
		return 0;
	return r->ok > 0 || r->differing ? STATUS_SOME_FAILED : r->status;
}

int
report_done(struct report *r)
{
	progress_done(&r->progress);
	return report_status(r);
}

static void
line(struct report *r, const char *text)
{
	progress_lock(&r->progress);
	(void)fprintf(stderr, "%s\n", text);
	progress_unlock(&r->progress);
}

void
report_json(struct report *r, json_t *o)
{
	auto_json json_t *owned = o;

	if (owned == NULL)
		return;
	progress_lock(&r->progress);
	(void)json_dumpf(owned, stdout, JSON_COMPACT);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
	progress_unlock(&r->progress);
}

/* {"v":1,"ev":…,"op":…} */
static json_t *
event(const struct report *r, const char *ev)
{
	return json_pack("{s:i, s:s, s:s}", "v", 1, "ev", ev, "op", r->op);
}

static void
set_count(json_t *o, const char *key, uint64_t n)
{
	(void)json_object_set_new(o, key, json_integer((json_int_t)n));
}

static void
set_name(json_t *o, const char *key, const char *name)
{
	if (name != NULL)
		(void)message_set_name(o, key, name, strlen(name));
}

void
report_summary(struct report *r)
{
	char size[NUM_TEXT_MAX], elapsed[NUM_TEXT_MAX], text[SHOWN_MAX];
	uint64_t usec = clock_usec() - r->began_usec;
	int n;

	if (r->json) {
		json_t *o = event(r, "summary");

		set_count(o, "ok", r->ok);
		set_count(o, "failed", r->failed);
		set_count(o, "skipped", r->skipped);
		set_count(o, "bytes", r->bytes);
		set_count(o, "moved", r->moved);
		set_count(o, "held", r->held);
		if (r->mirrors) {
			set_count(o, "unchanged", r->unchanged);
			set_count(o, "set", r->set);
			set_count(o, "removed", r->removed);
		}
		set_count(o, "ms", usec / USEC_PER_MSEC);
		set_count(o, "exit", (uint64_t)report_status(r));
		report_json(r, o);
		return;
	}
	if (r->quiet || (!r->mirrors && r->ok + r->failed + r->skipped < 2))
		return;
	n = snprintf(text, sizeof(text), "%s  %ju files, %s in %s", r->dry ? "would be" : "total",
		     (uintmax_t)r->ok, num_format_size(r->dry ? r->bytes : r->moved, size),
		     num_format_elapsed(usec, elapsed));
	if (r->mirrors)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
			      ", %ju unchanged, %ju set, %ju removed", (uintmax_t)r->unchanged,
			      (uintmax_t)r->set, (uintmax_t)r->removed);
	if (r->skipped > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", %ju skipped",
			      (uintmax_t)r->skipped);
	if (r->failed > 0)
		(void)snprintf(text + n, sizeof(text) - (size_t)n, ", %ju failed",
			       (uintmax_t)r->failed);
	line(r, text);
}

/* "name  1.2 GiB in 0:14 (88.0 MiB/s)", with "(8.0 MiB moved)" where the rest was there before. */
static void
tell_file(struct report *r, const struct report_file *f)
{
	char name[SHOWN_MAX], text[2 * SHOWN_MAX], part[NUM_TEXT_MAX + 16] = "";
	char size[NUM_TEXT_MAX], elapsed[NUM_TEXT_MAX], rate[NUM_TEXT_MAX];

	(void)text_escape(name, sizeof(name), f->name, strlen(f->name));
	if (f->held > 0)
		(void)snprintf(part, sizeof(part), " (%s moved)", num_format_size(f->moved, size));
	(void)num_format_size(f->bytes, size);
	if (f->usec == NUM_UNLIMITED || f->usec < USEC_PER_SEC) {
		(void)snprintf(text, sizeof(text), "%s  %s%s", name, size, part);
	} else {
		(void)num_format_size(
		    (uint64_t)((double)f->moved * (double)USEC_PER_SEC / (double)f->usec), rate);
		(void)snprintf(text, sizeof(text), "%s  %s%s in %s (%s/s)", name, size, part,
			       num_format_elapsed(f->usec, elapsed), rate);
	}
	line(r, text);
}

void
report_file(struct report *r, const struct report_file *f)
{
	json_t *o;

	r->ok++;
	r->bytes += f->bytes;
	r->moved += f->moved;
	r->held += f->held;
	if (r->quiet && !r->json)
		return;
	if (!r->json) {
		if (!f->inside || r->verbose || r->progress.kind == PROGRESS_NONE)
			tell_file(r, f);
		return;
	}
	o = event(r, "done");
	set_name(o, "name", f->name);
	set_name(o, "remote", f->remote);
	set_count(o, "bytes", f->bytes);
	set_count(o, "held", f->held);
	set_count(o, "moved", f->moved);
	if (f->digest != NULL)
		(void)json_object_set_new(o, "digest", json_string(f->digest));
	if (f->usec != NUM_UNLIMITED)
		set_count(o, "ms", f->usec / USEC_PER_MSEC);
	report_json(r, o);
}

void
report_mirrors(struct report *r, bool dry)
{
	r->mirrors = true;
	r->dry = dry;
}

static void
count_deed(struct report *r, enum report_deed deed, uint64_t bytes)
{
	if (deed == REPORT_SET)
		r->set++;
	else if (deed == REPORT_REMOVE)
		r->removed++;
	else if (deed != REPORT_MKDIR)
		r->ok++;
	r->bytes += bytes;
}

void
report_deed(struct report *r, enum report_deed deed, const char *name, uint64_t bytes)
{
	static const struct {
		const char *order, *told;
	} words[] = { [REPORT_PUT] = { "put", "sent" },
		      [REPORT_GET] = { "get", "fetched" },
		      [REPORT_SET] = { "set", "set" },
		      [REPORT_MKDIR] = { "mkdir", "made" },
		      [REPORT_REMOVE] = { "remove", "removed" } };
	char shown[SHOWN_MAX];

	count_deed(r, deed, bytes);
	(void)text_escape(shown, sizeof(shown), name, strlen(name));
	if (r->json) {
		json_t *o = event(r, r->dry ? "would" : "done");

		(void)json_object_set_new(o, "what", json_string(words[deed].order));
		set_name(o, "name", name);
		report_json(r, o);
	} else if (r->dry) {
		progress_lock(&r->progress);
		(void)printf("%s %s\n", words[deed].order, shown);
		progress_unlock(&r->progress);
	} else if (!r->quiet && (r->verbose || r->progress.kind == PROGRESS_NONE)) {
		report_warning(r, "%s  %s", shown, words[deed].told);
	}
}

void
report_skipped(struct report *r, const char *name, const char *why)
{
	char shown[SHOWN_MAX];

	r->skipped++;
	if (r->json) {
		json_t *o = event(r, "skipped");

		set_name(o, "name", name);
		(void)json_object_set_new(o, "why", json_string(why));
		report_json(r, o);
		return;
	}
	report_warning(r, "%s: skipped: %s", text_escape(shown, sizeof(shown), name, strlen(name)),
		       why);
}

void
report_failure(struct report *r, const char *name, const struct failure *f)
{
	char shown[SHOWN_MAX], text[SHOWN_MAX + FAILURE_TEXT_MAX + 16];
	json_t *o;

	if (r->failed++ == 0)
		r->status = f->status;
	else if (r->status != f->status)
		r->differing = true;
	if (f->scope == FAILURE_STOP || f->scope == FAILURE_CONNECTION)
		r->stopped = f->status;
	if (r->json) {
		o = event(r, "error");
		set_name(o, "name", name);
		(void)json_object_set_new(o, "code", json_string(f->code));
		(void)json_object_set_new(o, "message", json_string(f->text));
		set_count(o, "exit", (uint64_t)f->status);
		(void)json_object_set_new(o, "retry", json_boolean(f->again));
		report_json(r, o);
		return;
	}
	if (name == NULL || f->scope == FAILURE_CONNECTION)
		(void)snprintf(text, sizeof(text), "ft: %s", f->text);
	else
		(void)snprintf(text, sizeof(text), "ft: %s: %s",
			       text_escape(shown, sizeof(shown), name, strlen(name)), f->text);
	line(r, text);
}

void
report_begin(struct report *r, const char *name, uint64_t size, uint64_t held)
{
	char shown[PROGRESS_NAME_MAX];

	progress_file(&r->progress, text_escape(shown, sizeof(shown), name, strlen(name)), size,
		      held);
}

__attribute__((format(printf, 2, 0))) static void
say(struct report *r, const char *format, va_list args)
{
	char text[2 * SHOWN_MAX];

	(void)vsnprintf(text, sizeof(text), format, args);
	line(r, text);
}

void
report_warning(struct report *r, const char *format, ...)
{
	va_list args;

	if (r->quiet)
		return;
	va_start(args, format);
	say(r, format, args);
	va_end(args);
}

void
report_note(struct report *r, const char *format, ...)
{
	va_list args;

	if (!r->verbose)
		return;
	va_start(args, format);
	say(r, format, args);
	va_end(args);
}
