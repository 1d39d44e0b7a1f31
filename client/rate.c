#include "client/rate.h"

#include <string.h>

#include "lib/clock.h"

/* What came in less says little about a second. */
#define RATE_MIN_USEC (200 * USEC_PER_MSEC)

void
rate_init(struct rate *r, uint64_t now_usec)
{
	*r = (struct rate){ .last = now_usec / USEC_PER_SEC, .began_usec = now_usec };
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
	uint64_t window = (RATE_SECONDS - 1) * USEC_PER_SEC + now_usec % USEC_PER_SEC;
	uint64_t since = now_usec - r->began_usec, sum = 0;

	advance(r, now_usec / USEC_PER_SEC);
	for (unsigned i = 0; i < RATE_SECONDS; i++)
		sum += r->bytes[i];
	if (since < window)
		window = since < RATE_MIN_USEC ? RATE_MIN_USEC : since;
	return (uint64_t)((double)sum * (double)USEC_PER_SEC / (double)window);
}
