#include "daemon/supervisor/throttle.h"

#include <stdlib.h>

#include "daemon/supervisor/division.h"
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
	return least(throttle_ceiling(s), s->share);
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
}

/* --- shares */

static uint64_t
moved(const struct session *s)
{
	return s->seen.bytes_in + s->seen.bytes_out;
}

static void
write_share(struct session *s, uint64_t share)
{
	s->share = share;
	s->moved = moved(s);
	throttle_order(s);
}

static void
lift(struct supervisor *sup)
{
	for (uint32_t i = 0; i < sup->boards.slots; i++)
		if (sup->slots[i] != NULL)
			write_share(sup->slots[i], NUM_UNLIMITED);
}

static void
divide(struct supervisor *sup, uint64_t elapsed_usec)
{
	static struct division division;
	auto_free struct division_row *rows = calloc((size_t)sup->sessions + 1, sizeof(*rows));
	size_t n = 0;

	if (rows == NULL) /* the shares stay as they are */
		return;
	for (uint32_t i = 0; i < sup->boards.slots && n < sup->sessions; i++)
		if (sup->slots[i] != NULL)
			rows[n++] = (struct division_row){
				.used = moved(sup->slots[i]) - sup->slots[i]->moved,
				.share = sup->slots[i]->share,
			};
	division_divide(&division, sup->config->total_rate, elapsed_usec, rows, n);
	n = 0;
	for (uint32_t i = 0; i < sup->boards.slots && n < sup->sessions; i++)
		if (sup->slots[i] != NULL)
			write_share(sup->slots[i], rows[n++].share);
}

void
throttle_tick(struct supervisor *sup)
{
	static bool limited;
	static uint64_t before;
	uint64_t now = clock_usec();

	if (sup->config->total_rate != NUM_UNLIMITED)
		divide(sup, now - before);
	else if (limited)
		lift(sup);
	limited = sup->config->total_rate != NUM_UNLIMITED;
	before = now;
}
