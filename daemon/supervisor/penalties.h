/*
 * What sources have done badly, as time that adds up and runs out. Who owes more than
 * PENALTIES_TOLERATED is refused before any process is born. The table has a fixed size, however
 * many sources there are: where there is no room, who owes least is forgotten. It survives a
 * reload, not a restart. No logging but by penalties_add().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/clock.h"

struct supervisor;

#define PENALTIES_TOLERATED (15 * USEC_PER_SEC)
enum { PENALTIES_SETS = 1024, PENALTIES_WAYS = 8 };

enum penalty {
	PENALTY_LEFT,     /* a gate was born for it, and no session came of it */
	PENALTY_LOGIN,    /* a login that failed */
	PENALTY_PROTOCOL, /* what it sent is no frame, no request or no handshake */
	PENALTY_LATE,     /* neither admitted nor gone by the login deadline */
	PENALTY_CRASH,    /* its gate or session crashed */
	PENALTY_KINDS,
};

struct penalty_record {
	struct subnet source;
	int64_t since_real_ns; /* of the first that has not run out */
	uint64_t until_usec;   /* CLOCK_MONOTONIC: when nothing is owed any more; 0: never used */
};

struct penalties {
	struct penalty_record list[PENALTIES_SETS * PENALTIES_WAYS];
};

/* Adds what it costs, up to longest_usec in all (0: nothing). Whether the source is refused now
 * and was not before. */
bool penalties_charge(struct penalties *p, const union addr *peer, enum penalty why,
		      uint64_t longest_usec, uint64_t now_usec);
/* What the source owed already, of another table. */
void penalties_restore(struct penalties *p, const struct subnet *source, int64_t since_real_ns,
		       uint64_t until_usec);
/* How long the record's source is still refused, microseconds; 0: it is served. */
uint64_t
penalties_refused(const struct penalty_record *r, uint64_t longest_usec, uint64_t now_usec);
/* The record of the peer's source; NULL: there is none. */
const struct penalty_record *penalties_find(const struct penalties *p, const union addr *peer);
/* Forgets the sources in the network, or the one that has the lone address. How many owed
 * something. */
size_t penalties_lift(struct penalties *p, const struct subnet *net, uint64_t now_usec);

/* For the rest of the supervisor: charges the peer's source by limits.penalty, and tells the
 * administrator when it is refused from now on. */
void penalties_add(struct supervisor *sup, const union addr *peer, enum penalty why);
