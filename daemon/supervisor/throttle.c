#include "daemon/supervisor/throttle.h"

#include <stdlib.h>

#include "daemon/supervisor/division.h"
#include "daemon/supervisor/user_rates.h"
#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"

static uint64_t
least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t
throttle_ceiling(const struct session *s)
{
	return least(s->sup->config->session_rate, s->rate_limit);
}

uint64_t
throttle_rate(const struct session *s)
{
	return least(throttle_ceiling(s), least(s->share, s->user_share));
}

void
throttle_order(const struct session *s)
{
	struct board_orders *o = board_orders_at(&s->sup->boards, s->slot);

	atomic_store(&o->rate, throttle_rate(s));
}

void
throttle_begin(struct session *s)
{
	uint64_t total = s->sup->config->total_rate;

	s->share = total == NUM_UNLIMITED ? NUM_UNLIMITED : division_entry(total, s->sup->sessions);
	user_rates_begin(s);
}

/* --- shares */

static uint64_t
moved(const struct session *s)
{
	return s->seen.bytes_in + s->seen.bytes_out;
}

uint64_t
throttle_used(const struct session *s)
{
	return moved(s) - s->moved;
}

static void
lift(struct session **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		list[i]->share = NUM_UNLIMITED;
}

static void
divide(struct supervisor *sup, struct session **list, size_t n, uint64_t elapsed_usec)
{
	static struct division division;
	auto_free struct division_row *rows = calloc(n + 1, sizeof(*rows));

	if (rows == NULL) /* the shares stay as they are */
		return;
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct division_row){ .used = throttle_used(list[i]),
						 .share = list[i]->share };
	division_divide(&division, sup->config->total_rate, elapsed_usec, rows, n);
	for (size_t i = 0; i < n; i++)
		list[i]->share = rows[i].share;
}

/* What is written is what all limits leave. */
static void
settle(struct session **list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		list[i]->moved = moved(list[i]);
		throttle_order(list[i]);
	}
}

void
throttle_tick(struct supervisor *sup)
{
	static uint64_t before;
	auto_free struct session **list =
	    calloc((size_t)sup->sessions + 1, sizeof(struct session *));
	uint64_t now = clock_usec(), elapsed = now - before;
	size_t n = 0;

	for (uint32_t i = 0; list != NULL && i < sup->boards.slots && n < sup->sessions; i++)
		if (sup->slots[i] != NULL)
			list[n++] = sup->slots[i];
	if (sup->config->total_rate != NUM_UNLIMITED)
		divide(sup, list, n, elapsed);
	else
		lift(list, n);
	user_rates_divide(sup, list, n, elapsed);
	settle(list, n);
	before = now;
}
