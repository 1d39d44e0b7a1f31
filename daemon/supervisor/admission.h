/*
 * Who gets a process: everything between accept and login. Connections that say nothing, or that
 * wait for a gate, are held as descriptors (the waiting room); gates are a pool of limits.logins,
 * shared fairly between sources (/32, /64). Refusals before a birth are one plain error frame.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "daemon/supervisor/supervisor.h"

enum {
	ADMISSION_WAITING_MAX = 1024, /* connections in the waiting room */
	ADMISSION_FAIR_GATES = 8,     /* what any source may hold even when the pool is full */
};
/* How long a gate of such a source is safe even then. */
#define ADMISSION_FAIR_TIME (2 * USEC_PER_SEC)

int admission_start(struct supervisor *sup);
void admission_stop(struct supervisor *sup);

/* A new connection; takes the descriptor over. */
void admission_accept(struct supervisor *sup, int fd, const union addr *peer);

/* Is the address served at all? *ret_verdict says why not, and when again. */
bool admission_welcomes(const struct supervisor *sup, const union addr *peer,
			struct packet_verdict *ret_verdict);

/* A gate has ended: who waits for one goes in the order: fewest gates of its source first, then the
 * oldest. */
void admission_fill(struct supervisor *sup);

/* Four times a second: deadlines. */
void admission_tick(struct supervisor *sup);

/* Refuses everybody who is not a session yet (draining). */
void admission_refuse_all(struct supervisor *sup, const char *code, const char *message);
