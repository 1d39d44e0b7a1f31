#include "client/rate.h"

#include <string.h>

#include "lib/clock.h"

void
rate_init(struct rate *r, uint64_t now_usec)
{
	uint64_t second = now_usec / USEC_PER_SEC;

	*r = (struct rate){ .first = second, .last = second };
}

/* Forgets what lies more than RATE_SECONDS back. */
static void
advance(struct rate *r, uint64_t second)
{
	if (second >= r->last + RATE_SECONDS) {
		memset(r->bytes, 0, sizeof(r->bytes));
		r->last = second;
	}
	while (r->last < second)
		r->bytes[++r->last % RATE_SECONDS] = 0;
}

void
rate_add(struct rate *r, uint64_t now_usec, uint64_t n)
{
	advance(r, now_usec / USEC_PER_SEC);
	r->bytes[r->last % RATE_SECONDS] += n;
}

uint64_t
rate_get(struct rate *r, uint64_t now_usec)
{
	uint64_t sum = 0, seconds;

	advance(r, now_usec / USEC_PER_SEC);
	for (unsigned i = 0; i < RATE_SECONDS; i++)
		sum += r->bytes[i];
	seconds = r->last - r->first + 1;
	return sum / (seconds < RATE_SECONDS ? seconds : RATE_SECONDS);
}
