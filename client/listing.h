/*
 * All that is below a directory of the server, a page at a time; what a lost connection had begun
 * to tell is asked for again. Memory is that of a page.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "client/command.h"

enum { LISTING_PAGE = 1000, LISTING_AFTER_MAX = 32 << 10 };

struct listing {
	struct client *client;
	const struct url *url; /* borrowed */
	const char *digest;    /* the kind that is told where it is known; NULL: none */
	json_t *page;          /* entries, at most LISTING_PAGE; owned */
	bool begun;
	char after[LISTING_AFTER_MAX + 1]; /* where the next page begins; "": nowhere */
};

/* -ENOMEM. */
int listing_init(struct listing *l, struct client *c, const struct url *url);
void listing_done(struct listing *l);

/* Nothing else may be under way on the connection. 1: l->page is the next one; 0: there is no more;
 * negative (f). */
int listing_next(struct listing *l, struct failure *f);

/* Number i of the page; entry_done() frees it. 0 or negative (f). */
int listing_entry(const struct listing *l, size_t i, struct entry *ret, struct failure *f);

/* What the server could not read stands in a listing with a code: f says why. */
void listing_refusal(const struct entry *e, struct failure *f);

/* "above/name", for people; of a name that is none, what the server said. dst holds
 * LISTING_NAME_MAX. Returns dst. */
enum { LISTING_NAME_MAX = 2 * PATH_BYTES_MAX };
char *listing_name(char *dst, const char *above, const struct entry *e);
