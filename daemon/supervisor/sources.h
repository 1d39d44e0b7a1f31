/* What counts as one source (an IPv4 address, an IPv6 /64): its connections, gates and sessions. */
#pragma once

#include <stdint.h>

#include "daemon/supervisor/supervisor.h"

struct source {
	struct subnet key;
	uint32_t waiting, gates, sessions;
	uint32_t holders; /* connections and sessions that point here */
	struct source *next;
};

/* The record of the address, made on demand, held until source_release(); NULL without memory. */
struct source *source_hold(const union addr *peer);
void source_release(struct source *s);
