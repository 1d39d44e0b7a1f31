#include "daemon/supervisor/tick.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "daemon/supervisor/admission.h"
#include "daemon/supervisor/adoption.h"
#include "daemon/supervisor/journal.h"
#include "daemon/supervisor/rate.h"
#include "daemon/supervisor/renewal.h"
#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/throttle.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

#define PERIOD (250 * USEC_PER_MSEC)
#define LARGE_UPLOAD (UINT64_C(1) << 20)
/* Who is told to end at the deadline is killed after 5 s, and then held by a file system that hangs
 * or not there. */
#define DEAD_BY (6 * USEC_PER_SEC)

/* What the living are doing just now. */
struct activity {
	uint64_t transfers, large_uploads;
};

static struct activity
survey(const struct supervisor *sup)
{
	struct activity a = { 0, 0 };
	const struct session *s;
	uint32_t left = sup->sessions;

	for (uint32_t i = 0; i < sup->boards.slots && left > 0; i++) {
		s = sup->slots[i];
		if (s == NULL)
			continue;
		left--;
		if (s->seen.transfer == 0)
			continue;
		a.transfers++;
		if (s->seen.upload != 0 && s->seen.size > LARGE_UPLOAD)
			a.large_uploads++;
	}
	return a;
}

static void
measure_rates(struct supervisor *sup)
{
	static struct rate in, out;
	struct totals t;
	uint64_t now = clock_usec();

	supervisor_totals(sup, &t);
	sup->bytes_in_rate = rate_sample(&in, now, t.bytes_in);
	sup->bytes_out_rate = rate_sample(&out, now, t.bytes_out);
}

static void
write_public(struct supervisor *sup, const struct activity *a)
{
	struct board_public *p = sup->boards.public;
	enum board_daemon_state state = sup->draining                            ? BOARD_DRAINING
					: sup->sessions >= sup->config->sessions ? BOARD_FULL
										 : BOARD_READY;

	board_write_begin(&p->seq);
	p->state = (uint32_t)state;
	(void)snprintf(p->version, sizeof(p->version), "%s", PACKAGE_VERSION);
	p->started_usec = sup->started_usec;
	p->sessions = sup->sessions;
	p->sessions_max = sup->config->sessions;
	p->sessions_per_address = sup->config->sessions_per_address;
	p->transfers = a->transfers;
	p->bytes_in_rate = sup->bytes_in_rate;
	p->bytes_out_rate = sup->bytes_out_rate;
	p->large_uploads = a->large_uploads;
	board_write_end(&p->seq);
}

/* Only when it has changed: systemd logs none of these, but each is a message. */
static void
tell_systemd(const struct supervisor *sup, const struct activity *a)
{
	static char before[256];
	char text[256], in[NUM_TEXT_MAX], out[NUM_TEXT_MAX];

	(void)snprintf(text, sizeof(text),
		       "STATUS=%s; %" PRIu32 " of %" PRIu64 " sessions, %" PRIu64
		       " transfers, in %s/s, out %s/s",
		       sup->draining ? "draining" : "ready", sup->sessions, sup->config->sessions,
		       a->transfers, num_format_size(sup->bytes_in_rate, in),
		       num_format_size(sup->bytes_out_rate, out));
	if (strcmp(text, before) == 0)
		return;
	memcpy(before, text, sizeof(before));
	(void)sd_notify(0, text);
}

static void
drain(struct supervisor *sup)
{
	uint64_t now = clock_usec();
	bool over = now >= sup->drain_deadline_usec;
	bool held = over && now - sup->drain_deadline_usec >= DEAD_BY;
	struct admission_view view;

	if (!sup->draining)
		return;
	admission_view(sup, &view);
	if (sup->sessions > 0 && held)
		log_line(LOG_ERR,
			 "%" PRIu32 " killed sessions do not end, as in a file system that hangs: "
			 "leaving them behind",
			 sup->sessions);
	if ((sup->sessions == 0 && (view.pumps == 0 || over)) || held)
		(void)sd_event_exit(sup->event, 0);
	else if (over)
		sessions_drain_is_over(sup);
}

static int
on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	static unsigned count;
	struct supervisor *sup = userdata;
	struct activity a;

	sessions_tick(sup);
	adoption_tick(sup);
	throttle_tick(sup);
	admission_tick(sup);
	renewal_tick(sup);
	measure_rates(sup);
	a = survey(sup);
	write_public(sup, &a);
	if (count++ % 4 == 0)
		tell_systemd(sup, &a);
	control_changed(sup);
	drain(sup);
	/* from now, not from usec: after a suspend there is nothing to catch up */
	(void)usec;
	(void)sd_event_source_set_time_relative(source, PERIOD);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

int
tick_start(struct supervisor *sup)
{
	struct activity none = { 0, 0 };
	sd_event_source *source = NULL;
	int r;

	write_public(sup, &none);
	r = sd_event_add_time_relative(sup->event, &source, CLOCK_MONOTONIC, PERIOD,
				       10 * USEC_PER_MSEC, on_tick, sup);
	if (r < 0)
		return r;
	r = sd_event_source_set_floating(source, true);
	(void)sd_event_source_unref(source);
	return r < 0 ? r : 0;
}
