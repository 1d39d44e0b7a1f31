/*
 * Dividing limits.total_rate over the sessions. Pure; the idea: who asks for little is given what
 * it used and some room to grow, who used all it was given shares evenly in the rest, who used
 * nothing keeps a little to begin with. What was moved too much or too little is carried over, so
 * that over seconds the sum is the limit, although each guess is wrong.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* One session. */
struct division_row {
	uint64_t used;  /* bytes moved since the last division */
	uint64_t share; /* bytes a second: what it had meanwhile, then what it gets now */
	double need;    /* scratch */
};

/* Between two divisions. All zero to begin with. */
struct division {
	uint64_t total; /* the limit that carry belongs to */
	double carry;   /* bytes: underspent, or overspent where negative */
};

enum {
	DIVISION_FEWEST = 8, /* so many parts at least: a newcomer finds room */
	DIVISION_LEAST = 256 /* bytes a second that a session always has */
};

/* What a session gets that has moved nothing yet: total in equal parts for n sessions. */
uint64_t division_entry(uint64_t total, size_t n);

/* Sets the share of each row. total: bytes a second, not 0; elapsed_usec: since the last time. */
void division_divide(struct division *d, uint64_t total, uint64_t elapsed_usec,
		     struct division_row *rows, size_t n);
