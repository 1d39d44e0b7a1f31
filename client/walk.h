/*
 * A directory of this machine with all below it, without following links. Opens everything beneath
 * the descriptor it was given; holds one directory open at a time.
 */
#pragma once

#include <sys/stat.h>

#include "client/options.h"

struct walk;

struct walk_item {
	const char *path; /* below the start */
	const char *leaf; /* its last component */
	int dir;          /* that holds the leaf (borrowed) */
	struct stat st;
	int error; /* negative: it cannot be read, or not to its end (path may be "", the start) */
};

/* root is borrowed. What the options exclude is not shown nor entered. -ENOMEM. */
int walk_new(int root, const struct options *o, struct walk **ret);
struct walk *walk_free(struct walk *w);

static inline void
walk_freep(struct walk **w)
{
	*w = walk_free(*w);
}
#define auto_walk __attribute__((cleanup(walk_freep)))

/* The directory that was shown just now is not entered. */
void walk_skip(struct walk *w);

/* 1: *ret is the next one, until the next call; 0: done; -ENOMEM. Directories come before what is
 * in them; links and devices come too. */
int walk_next(struct walk *w, struct walk_item *ret);
