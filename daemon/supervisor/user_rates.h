/*
 * Limits of rate over all sessions of a user: limits.user_rate, and `ftctl limit --user`, which
 * lasts until it is lifted or the daemon ends. Divided like limits.total_rate (division.h), and
 * both hold. Who has not logged in is no user. See also supervisor.h.
 */
#pragma once

#include "daemon/supervisor/division.h"
#include "daemon/supervisor/supervisor.h"

/* Of one user, sorted by name: who has sessions under a limit, or was limited by name. */
struct user_rate {
	char user[USER_NAME_MAX + 1];
	uint64_t limit; /* of `ftctl limit --user`; NUM_UNLIMITED: none */
	bool used;      /* by a session, since the last division */
	struct division division;
};

/* A new session: its first share. */
void user_rates_begin(struct session *s);

/* Four times a second: the shares of the n sessions, which are all there are; sorts the list. */
void
user_rates_divide(struct supervisor *sup, struct session **list, size_t n, uint64_t elapsed_usec);

void user_rates_done(struct supervisor *sup);
