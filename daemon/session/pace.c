#include <errno.h>

#include "daemon/session/session.h"
#include "daemon/session/stop.h"
#include "daemon/session/transfer.h"
#include "lib/clock.h"

enum {
	LOOK_MS = 250,        /* a new share of the rate is seen so soon */
	PAUSE_LOOK_MS = 1000, /* and the client's cancel while nothing moves */
	BEAT_SEC = 4,
};

uint64_t
pace_rate(const struct session *s)
{
	return atomic_load_explicit(&s->orders->rate, memory_order_relaxed);
}

ssize_t
pace_allowed(struct session *s, size_t want)
{
	uint64_t rate = pace_rate(s), usec, ms;
	size_t n;

	if (rate == UINT64_MAX)
		return (ssize_t)want;
	n = bucket_look(&s->bucket, rate, clock_usec(), want, &usec);
	if (n > 0)
		return (ssize_t)n;
	ms = usec / USEC_PER_MSEC + 1;
	return conn_rest(s, ms < LOOK_MS ? (int)ms : LOOK_MS);
}

void
pace_moved(struct session *s, size_t n)
{
	bucket_spend(&s->bucket, n);
}

bool
pace_paused(const struct session *s)
{
	uint64_t pause = atomic_load_explicit(&s->orders->pause, memory_order_relaxed);
	uint64_t transfer = s->report->transfer;

	/* without a supervisor nobody would end it */
	return transfer != 0 && (pause == transfer || pause == UINT64_MAX) && session_watched(s);
}

/* What queues up behind answers that nobody reads is no sign of life. */
static int
say(struct session *s, const struct request *rq, uint64_t *due)
{
	uint64_t now = clock_usec();

	if (!s->hello || now < *due || buf_len(&s->conn.out) > 0)
		return 0;
	*due = now + BEAT_SEC * USEC_PER_SEC;
	return reply_working(s, rq, "paused");
}

/* One look at everything that may end the pause. */
static int
stand_still(struct session *s, const struct request *rq, struct stop *stop, uint64_t *due)
{
	int r;

	r = say(s, rq, due);
	if (r == 0 && stop != NULL)
		r = stop_look(s, stop);
	if (r == 0)
		r = conn_rest(s, PAUSE_LOOK_MS);
	report_heartbeat(s);
	return r == 0 && s->hello && s->conn.dead ? -ENODATA : r;
}

int
pace_pause(struct session *s, const struct request *rq, struct stop *stop)
{
	uint64_t due = clock_usec() + BEAT_SEC * USEC_PER_SEC;
	const char *code;
	int r;

	if (!pace_paused(s))
		return 0;
	r = group_flush(s);
	report_transfer_paused(s, true);
	while (r == 0 && pace_paused(s) && gap_check(s, &code) == 0 &&
	       (s->watch == NULL || s->watch->look(s->watch->userdata) == 0))
		r = stand_still(s, rq, stop, &due);
	report_transfer_paused(s, false);
	return r;
}

int
pace_work(struct session *s, const struct request *rq, struct stop *stop, const char *phase)
{
	enum board_state state = s->report->state;
	int r = 0;

	if (pace_paused(s)) {
		beat_end(s); /* its signs of life are others */
		r = pace_pause(s, rq, stop);
		report_state(s, state);
		if (phase != NULL)
			(void)beat_begin(s, rq, phase);
	}
	return r == 0 ? stop_look(s, stop) : r;
}
