/*
 * When to try again: 1, 2, 4 … 60 s with jitter, for so long after the last success as the user
 * said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct retry {
	uint64_t for_usec;   /* 0: never again */
	uint64_t until_usec; /* 0: nothing has failed since the last success */
	unsigned tries;
};

void retry_init(struct retry *t, uint64_t for_usec);

/* Something worked. */
void retry_reset(struct retry *t);

/* How long to wait before the next try, at least at_least_usec; random is any number.
 * -ETIMEDOUT: the time is used up. Pure but for t. */
int64_t retry_next(struct retry *t, uint64_t now_usec, uint64_t at_least_usec, uint64_t random);

/* retry_next(), and waits so long. 0, -ETIMEDOUT, -EINTR. */
int retry_wait(struct retry *t, uint64_t at_least_usec);
