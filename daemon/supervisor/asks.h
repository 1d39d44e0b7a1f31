/*
 * What a gate may ask: packets of fixed sizes, each at most once and in order. A gate is believed
 * no more than the stranger it talks to: whatever else it says ends it.
 */
#pragma once

#include "daemon/supervisor/connections.h"

/* There is something on the privilege socket of a gate that has not been evicted. 0; -EPROTO: the
 * gate is to be ended; -ENODATA: it has closed its end. */
int asks_take(struct connection *c);

/* What came of a login that began with head; its gate hears it. */
void asks_settle(struct connection *c, const struct packet_gate *head,
		 const struct packet_verified *login);
