#include "daemon/supervisor/rate.h"

#include "lib/clock.h"

/* Samples closer together than this replace each other: a command may ask between two ticks. */
#define SPACING (200 * USEC_PER_MSEC)

void
rate_reset(struct rate *r)
{
	r->n = 0;
	r->next = 0;
}

uint64_t
rate_sample(struct rate *r, uint64_t now_usec, uint64_t bytes)
{
	unsigned newest = (r->next + RATE_SAMPLES - 1) % RATE_SAMPLES;
	unsigned oldest;
	uint64_t usec;
	double rate;

	if (r->n == 0 || now_usec - r->usec[newest] >= SPACING) {
		r->usec[r->next] = now_usec;
		r->bytes[r->next] = bytes;
		r->next = (r->next + 1) % RATE_SAMPLES;
		if (r->n < RATE_SAMPLES)
			r->n++;
	}
	oldest = (r->next + RATE_SAMPLES - r->n) % RATE_SAMPLES;
	usec = now_usec - r->usec[oldest];
	if (usec == 0 || bytes < r->bytes[oldest])
		return 0;
	rate = (double)(bytes - r->bytes[oldest]) * (double)USEC_PER_SEC / (double)usec;
	return rate < (double)RATE_MAX ? (uint64_t)rate : RATE_MAX;
}
