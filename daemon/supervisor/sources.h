/* What counts as one source (an IPv4 address, an IPv6 /64): its connections, gates and sessions. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/supervisor.h"

struct source {
	struct subnet key;
	bool unnamed; /* a trusted proxy has still to name it: nobody else's, and in no table */
	uint32_t waiting, gates, sessions;
	uint32_t holders; /* connections and sessions that point here */
	struct source *next;
};

/* The record of the address, made on demand, held until source_release(); NULL without memory. */
struct source *source_hold(const union addr *peer);
/* One of its own, for a connection whose source a trusted proxy has still to name. */
struct source *source_hold_unnamed(void);
void source_release(struct source *s);
