/* The table of sessions: a slot of the boards and a record each, found by slot, number and pid. */
#pragma once

#include "daemon/supervisor/rate.h"
#include "daemon/supervisor/sources.h"
#include "daemon/supervisor/supervisor.h"

struct connection;

struct session_private {
	struct session *by_number, *by_pid; /* next in the bucket */
	int privilege;
	int connection; /* until it is born */
	struct source *source;
	struct connection *pump; /* of a TLS connection; NULL: plain text, or it has ended */
	sd_event_source *child;
	struct rate rate;
	uint_fast32_t seq;
};

/* 0 or -ENOMEM. */
int slots_start(struct supervisor *sup);
void slots_stop(struct supervisor *sup);
/* Wipes both pages; whoever comes next may have it. */
void slots_release(struct supervisor *sup, uint32_t slot);

/* Claims a slot and writes its orders; user "": anonymous. NULL: none is free, or no memory. */
struct session *slots_claim(struct supervisor *sup, uint64_t number, const union addr *peer,
			    uint32_t tls, const char *user);
/* A record for the session that a former supervisor left in the slot, whose orders are sound. NULL
 * without memory. */
struct session *
slots_adopt(struct supervisor *sup, uint32_t slot, const struct board_orders *orders);
void slots_set_pid(struct session *s, pid_t pid);
/* Identity and live settings, as the configuration in force has them. */
void slots_write_orders(const struct session *s);
/* Frees the record, and the slot unless its pump has still to end; tells who may wait for it. */
void slots_free(struct session *s);
