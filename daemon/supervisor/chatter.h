/*
 * How much each role may have written to the log: so much a second, whatever it says. Records
 * beyond that are counted and left out. Roles are told apart by their process, in a table of fixed
 * size; who shares a place in it shares what may be written. No logging.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	CHATTER_PLACES = 1024,
	CHATTER_A_SECOND = 20000,
	CHATTER_TRANSFER = 1, /* what a record costs: no session ends more transfers than that */
	CHATTER_TEXT = CHATTER_A_SECOND / 50,
};

struct chatter_place {
	uint64_t second;
	uint32_t said; /* in it */
	uint64_t unsaid;
};
struct chatter {
	struct chatter_place place[CHATTER_PLACES];
};

/* Whether a record of the process may be written now. *ret_unsaid: so many before it were left out
 * and nobody was told yet (0: none). */
bool chatter_allows(struct chatter *c, pid_t pid, uint32_t cost, uint64_t now_usec,
		    uint64_t *ret_unsaid);
