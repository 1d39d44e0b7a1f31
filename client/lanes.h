/*
 * The missing runs of one file, moved over several connections side by side: that of the client,
 * and more like it, each on a thread of its own. What a lost connection was moving is left out, the
 * connection replaced, and the loss told at the end.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "client/blocks.h"
#include "client/command.h"

struct lanes_ops {
	/* What one connection works with; NULL without memory. */
	void *(*begin)(struct session *s, void *userdata);
	/* Moves the run. 0; 1: there is no use in going on, and others are to stop; negative (f).
	 */
	int (*move)(void *worker, const struct blocks_run *run, struct failure *f);
	void (*end)(void *worker); /* takes NULL */
};

struct lanes {
	struct client *client;
	struct blocks *blocks; /* what is to be done; taken under the lock */
	const struct lanes_ops *ops;
	void *userdata;
	unsigned n;
	uint64_t run_max; /* bytes */
	atomic_bool stop; /* whoever moves looks at it now and then */
	pthread_mutex_t lock;
	struct failure lost; /* no code: nothing was */
};

/* Moves all that is to be done of blocks, over as many connections as the options say and are worth
 * it. 0, or negative with the failure that weighs most; one of the connection means that something
 * is still to be done. A connection beyond the first that does not come about is no failure. The
 * caller sets the first four, the rest is zero. */
int lanes_run(struct lanes *l, struct failure *f);
