#include "client/retry.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "client/interrupt.h"
#include "lib/clock.h"

static const uint64_t wait_max_usec = 60 * USEC_PER_SEC;

void
retry_init(struct retry *t, uint64_t for_usec)
{
	*t = (struct retry){ .for_usec = for_usec };
}

void
retry_reset(struct retry *t)
{
	t->until_usec = 0;
	t->tries = 0;
}

int64_t
retry_next(struct retry *t, uint64_t now_usec, uint64_t at_least_usec, uint64_t random)
{
	uint64_t wait = t->tries < 6 ? USEC_PER_SEC << t->tries : wait_max_usec;
	uint64_t left;

	if (t->until_usec == 0)
		t->until_usec = now_usec + t->for_usec;
	left = t->until_usec > now_usec ? t->until_usec - now_usec : 0;
	if (left == 0 || at_least_usec > left)
		return -ETIMEDOUT;
	wait = wait / 2 + random % (wait / 2 + 1); /* jitter: not all clients at once */
	if (wait < at_least_usec)
		wait = at_least_usec;
	if (wait > left)
		wait = left;
	t->tries++;
	return (int64_t)wait;
}

int
retry_wait(struct retry *t, uint64_t at_least_usec)
{
	uint64_t random = 0;
	int64_t wait;
	struct timespec ts;

	if (getrandom(&random, sizeof(random), 0) < 0)
		random = clock_usec();
	wait = retry_next(t, clock_usec(), at_least_usec, random);
	if (wait < 0)
		return (int)wait;
	ts = (struct timespec){ .tv_sec = wait / (int64_t)USEC_PER_SEC,
				.tv_nsec = wait % (int64_t)USEC_PER_SEC * (int64_t)NSEC_PER_USEC };
	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) != 0)
		if (interrupt_seen())
			return -EINTR;
	return 0;
}
