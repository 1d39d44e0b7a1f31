/* Slots: claimed before the birth, freed when the session is reaped. See also supervisor.h. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "daemon/supervisor/supervisor.h"

struct source;

/* Who is to be admitted. */
struct sessions_newcomer {
	uint64_t number;
	int connection; /* or the stream to its pump; borrowed */
	const union addr *peer;
	bool said_hello;
	uint32_t tls;
	const struct packet_verified *login; /* NULL: nobody has logged in */
};
/* Claims a slot and asks the house for a session. 0, or negative with *ret_verdict saying what the
 * client is told. */
int sessions_admit(struct supervisor *sup, const struct sessions_newcomer *who,
		   struct packet_verdict *ret_verdict);

/* The sessionhouse's answer; pid 0: the birth failed. */
void sessions_born(struct supervisor *sup, uint64_t number, pid_t pid);
/* Has its end told; what cannot be watched may not live, and is freed: negative. */
int sessions_watch(struct session *s);

/* How many are the user's. */
uint64_t sessions_of_user(const struct supervisor *sup, const char *user);

/* Four times a second: reports, idle and stall limits, overdue ends. */
void sessions_tick(struct supervisor *sup);

/* Live settings of a new configuration into the orders; those whose shares or address rules changed
 * are told to go. */
void sessions_reconfigure(struct supervisor *sup, const struct config *before);

/* Who is not in the users file any more, or disabled there, is told to go. */
void sessions_follow_users(struct supervisor *sup);

/* Ends all: those that idle at once, the others after their transfer. */
void sessions_drain(struct supervisor *sup, const char *why);
/* The grace is over: what still runs is told to end now, and killed when it does not obey. */
void sessions_drain_is_over(struct supervisor *sup);
/* Ends all at once. */
void sessions_kill(struct supervisor *sup);

/* The id of the transfer with that ordinal (one is given if it was not seen before). */
uint64_t sessions_transfer_id(struct session *s, uint64_t ordinal);
/* Whose log record is it? NULL: no session's. */
struct session *sessions_of_pid(const struct supervisor *sup, pid_t pid);
