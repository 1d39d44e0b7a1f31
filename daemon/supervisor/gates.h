/* The pool of gates: births and ends, fairness between sources. What they ask: asks.h. */
#pragma once

#include <sys/types.h>

#include "daemon/supervisor/connections.h"

/* From the room, or new, to the pool; frees the connection where no gate can be had. */
void gates_enter(struct connection *c);

/* Its place is free at once, its source is charged; the process is reaped when it is. */
void gates_evict(struct connection *c);

/* Who makes room for the newcomer when the pool is full: the oldest gate of the source that holds
 * the most and at least two more than the newcomer's, if those are too many, or it had its time.
 * NULL: nobody. */
struct connection *gates_unfair(const struct admission *a, const struct source *newcomer);

/* The gatehouse's answer for a connection; pid 0: the birth failed. */
void gates_born(struct supervisor *sup, uint64_t connection, pid_t pid);

/* The peer and number of the gate or pump with that pid: 0, or -ESRCH. */
int
gates_of_pid(const struct supervisor *sup, pid_t pid, uint64_t *ret_number, union addr *ret_peer);

/* Has its end told: the gate's or pump's, which is our child. 0 or -errno. */
int gates_watch(struct connection *c);
/* Kills all gates. Whether none is left. */
bool gates_end(struct supervisor *sup);
