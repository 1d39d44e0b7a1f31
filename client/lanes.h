/*
 * One piece of work over several connections side by side: that of the client, and more like it,
 * each on a thread of its own.
 */
#pragma once

#include "client/command.h"

/* Works over one connection until nothing is left to do. 0 or negative (f). What it shares with the
 * others is its own to lock. */
typedef int (*lanes_fn)(struct session *s, void *userdata, struct failure *f);

/* Runs work over n connections and waits until all have ended. 0, or negative with the failure that
 * weighs most. A connection beyond the first that does not come about is no failure. */
int lanes_run(struct client *c, unsigned n, lanes_fn work, void *userdata, struct failure *f);
