/*
 * Addresses that the administrator does not want for a while: refused before any process is born.
 * They survive a reload, not a restart, and end no session. The table is bounded. No logging.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

enum { BANS_MAX = 4096 };

struct ban {
	struct subnet net;
	int64_t since_real_ns;
	uint64_t until_usec; /* CLOCK_MONOTONIC; UINT64_MAX: until it is lifted */
};

struct bans {
	size_t n;
	struct ban list[BANS_MAX];
};

/* Adds it, or changes when it ends. 0, or -ENOSPC where there is no room. */
int bans_add(struct bans *b, const struct subnet *net, uint64_t now_usec, uint64_t until_usec);
/* Lifts exactly this one. 0 or -ENOENT. */
int bans_remove(struct bans *b, const struct subnet *net, uint64_t now_usec);
/* Forgets those that are over. */
void bans_expire(struct bans *b, uint64_t now_usec);
/* The one that has the address and ends last; NULL: it is not banned. */
const struct ban *bans_find(const struct bans *b, const union addr *a, uint64_t now_usec);
