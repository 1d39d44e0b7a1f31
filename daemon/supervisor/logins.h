/*
 * Logins that wait for a verifier: one runs per processor, the next is that of the source that has
 * done least wrong, then the oldest. What a gate sent is read by the verifier alone. Who is
 * refused, for whatever reason, hears so when the verifier has ended.
 */
#pragma once

#include "daemon/supervisor/connections.h"

void logins_start(struct supervisor *sup);
void logins_stop(void);

/* The packet of the gate's login, of which head is the beginning, lies in its privilege socket; the
 * connection gets its answer from asks_settle(). 0, or -ENOMEM. */
int logins_ask(struct connection *c, const struct packet_gate *head);
/* The connection is about to be freed, or its gate to end. */
void logins_forget(struct connection *c);
