#include "daemon/supervisor/reports.h"

#include "daemon/supervisor/sessions.h"
#include "daemon/supervisor/slots.h"
#include "lib/clock.h"

/* No machine of ours moves more bytes in a microsecond: a report that says so is false. */
enum { BYTES_PER_USEC_MAX = 32 << 10, BYTES_SLACK = 1 << 30 };

/* most: in all the time that the session has had. */
static void
accept_counter(uint64_t *have, uint64_t said, uint64_t most)
{
	if (said > *have && said <= most)
		*have = said;
}

static void
accept_report(struct session *s, const struct board_report *r, uint64_t elapsed_usec)
{
	const struct board_report before = s->seen;
	uint64_t most = elapsed_usec * BYTES_PER_USEC_MAX + BYTES_SLACK;

	s->seen = *r;
	if (s->seen.offset > INT64_MAX)
		s->seen.offset = INT64_MAX;
	s->seen.bytes_in = before.bytes_in;
	s->seen.bytes_out = before.bytes_out;
	s->seen.uploads = before.uploads;
	s->seen.downloads = before.downloads;
	s->seen.failed = before.failed;
	s->seen.requests = before.requests;
	accept_counter(&s->seen.bytes_in, r->bytes_in, most);
	accept_counter(&s->seen.bytes_out, r->bytes_out, most);
	accept_counter(&s->seen.uploads, r->uploads, elapsed_usec + 1);
	accept_counter(&s->seen.downloads, r->downloads, elapsed_usec + 1);
	accept_counter(&s->seen.failed, r->failed, elapsed_usec + 1);
	accept_counter(&s->seen.requests, r->requests, elapsed_usec + 1);
}

/* The id stays the same for a supervisor that comes after. */
static void
remember_id(const struct session *s)
{
	struct board_orders *o = board_orders_at(&s->sup->boards, s->slot);

	o->transfer_id = s->transfer_id;
	o->transfer = s->transfer_ordinal;
}

uint64_t
sessions_transfer_id(struct session *s, uint64_t ordinal)
{
	if (ordinal != s->transfer_ordinal || s->transfer_id == 0) {
		s->transfer_ordinal = ordinal;
		s->transfer_id = ids_next(&s->sup->ids);
		remember_id(s);
		rate_reset(&s->priv->rate);
	}
	return s->transfer_id;
}

static uint64_t
later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void
follow_transfer(struct session *s, uint64_t now)
{
	uint64_t since;

	if (s->seen.transfer == 0) {
		s->rate = 0;
		s->stalled_usec = 0;
		return;
	}
	(void)sessions_transfer_id(s, s->seen.transfer);
	s->rate = rate_sample(&s->priv->rate, now, s->seen.offset);
	since = later(s->seen.progress_usec, s->resumed_usec);
	s->stalled_usec = since < now && !sessions_paused(s) ? now - since : 0;
}

void
sessions_refresh(struct session *s)
{
	const struct board_report *page = board_report_at(&s->sup->boards, s->slot);
	uint_fast32_t seq = atomic_load(&page->seq);
	uint64_t now = clock_usec();
	struct board_report r;

	if (seq != s->priv->seq || s->torn) {
		s->torn = board_read_report(page, &r) < 0;
		accept_report(s, &r, now - s->started_usec);
		s->priv->seq = seq;
	}
	follow_transfer(s, now);
}

/* --- sums */

void
reports_add(struct totals *t, const struct board_report *r)
{
	t->uploads += r->uploads;
	t->downloads += r->downloads;
	t->failed += r->failed;
	t->requests += r->requests;
	t->bytes_in += r->bytes_in;
	t->bytes_out += r->bytes_out;
}

void
supervisor_totals(const struct supervisor *sup, struct totals *ret)
{
	*ret = sup->retired;
	for (uint32_t i = 0; i < sup->boards.slots; i++) {
		if (sup->slots[i] == NULL)
			continue;
		sessions_refresh(sup->slots[i]);
		reports_add(ret, &sup->slots[i]->seen);
	}
}
