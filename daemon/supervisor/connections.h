/*
 * A connection before it is a session: in the waiting room or at its gate; and what the gate of a
 * TLS connection is afterwards, the pump of its session (pumps.h). What admission.c (who waits) and
 * gates.c (who is served) share.
 */
#pragma once

#include "daemon/common/verdict.h"
#include "daemon/supervisor/sources.h"
#include "daemon/supervisor/supervisor.h"

enum { CONNECTIONS_RETRY_MS = 1000 };

enum stage { STAGE_SILENT, STAGE_WAITING, STAGE_GATE, STAGE_EVICTED, STAGE_PUMP };

struct login; /* logins.c */

struct connection {
	struct connection *prev, *next; /* in the room, among gates or pumps, oldest first */
	struct supervisor *sup;
	enum stage stage;
	uint64_t number;
	int fd;
	union addr peer;
	struct source *source;
	uint64_t deadline_usec;

	/* STAGE_GATE */
	uint64_t entered_usec;
	struct board_process process; /* its pid is 0 until it is born */
	int privilege;
	int stream;          /* the session's end of what a pump would serve */
	struct login *login; /* logins.c: a verifier has it, or will; NULL: none */
	bool asked;          /* for a session, or has its refusal: nothing may follow */
	bool admitted;       /* the session is there */
	sd_event_source *io; /* STAGE_SILENT: the connection; STAGE_GATE: the privilege socket */
	sd_event_source *child;

	/* STAGE_PUMP */
	struct session *session; /* NULL: it is gone, and the pump delivers what it left */
	uint64_t gone_usec;      /* since when */
	uint32_t slot;           /* of the session that is gone */
	int pidfd;               /* of one that a former supervisor started; else -1 */
	bool known;              /* it is certain that the descriptor is the pump's */
};

struct connection_list {
	struct connection *first, *last;
	uint32_t n;
};

struct admission {
	struct connection_list room, gates, pumps;
	uint32_t pool;        /* gates that count: not evicted */
	uint32_t left_behind; /* pumps without a session; they count as one */
};

void connections_append(struct connection_list *l, struct connection *c);

/* Ends its process, which is told when it has; the process of nobody else. */
void connections_kill(struct connection *c);

/* Takes it out of whatever it counts in. */
void connections_leave(struct connection *c);
void connections_free(struct connection *c);
/* The same with a last word to the client and a line for the administrator. */
void connections_refuse(struct connection *c, const struct packet_verdict *v);

/* A trusted proxy's connection at its gate counts from now on as the peer's. 0 or -ENOMEM. */
int connections_name(struct connection *c, const union addr *peer);
/* A penalty for whoever is behind it, where that is known. */
void connections_charge(struct connection *c, enum penalty why);

struct packet_verdict connections_full(const char *message, uint64_t limit, uint64_t current);
