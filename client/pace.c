#include "client/pace.h"

#include <errno.h>
#include <time.h>

#include "client/interrupt.h"
#include "lib/clock.h"
#include "lib/num.h"

enum { CHUNK_MIN = 16 << 10 };

void
pace_init(struct pace *p, uint64_t rate)
{
	*p = (struct pace){ .rate = rate, .lock = PTHREAD_MUTEX_INITIALIZER };
}

size_t
pace_chunk(const struct pace *p, size_t max)
{
	uint64_t quarter = p->rate / 4;

	if (p->rate == NUM_UNLIMITED || quarter >= max)
		return max;
	return quarter < CHUNK_MIN ? CHUNK_MIN : (size_t)quarter;
}

/* Until the monotonic clock says so. */
static int
sleep_until(uint64_t usec)
{
	struct timespec t = { .tv_sec = (time_t)(usec / USEC_PER_SEC),
			      .tv_nsec = (long)(usec % USEC_PER_SEC * NSEC_PER_USEC) };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0)
		if (interrupt_seen())
			return -EINTR;
	return 0;
}

int
pace_spend(struct pace *p, uint64_t n)
{
	uint64_t now, until;

	if (p->rate == NUM_UNLIMITED)
		return 0;
	now = clock_usec();
	(void)pthread_mutex_lock(&p->lock);
	if (p->ahead_usec < now)
		p->ahead_usec = now;
	p->ahead_usec += (uint64_t)((double)n * (double)USEC_PER_SEC / (double)p->rate);
	until = p->ahead_usec;
	(void)pthread_mutex_unlock(&p->lock);
	return sleep_until(until);
}
