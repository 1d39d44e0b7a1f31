/*
 * The roles that serve no connection, the keepers (one a share root) and the beacon: started,
 * started again when they end, each at most once in 5 s.
 */
#pragma once

#include "daemon/supervisor/supervisor.h"

/* Starts them. udp_fd is taken over, -1: no beacon. What cannot be started now is tried again. */
void helpers_start(struct supervisor *sup, int udp_fd);
/* The same with a new configuration; without new_udp the beacon keeps its socket (udp_fd is then
 * -1). */
void helpers_restart(struct supervisor *sup, bool new_udp, int udp_fd);
void helpers_stop(void);

/* Sends the keeper of question->share a question. 0; -ENOTCONN: there is none just now; -EAGAIN: it
 * is behind with others; -errno. Its answers go to questions_take(), its end to questions_lost().
 */
int helpers_ask_keeper(const struct packet_keeper *question);
/* For how long (microseconds) it has owed an answer and said nothing. */
uint64_t helpers_keeper_silence(unsigned share);

/* Asks the keepers to look for what dead sessions left in staging. */
void helpers_sweep(void);

/* What the beacon listens on, -1: nothing: borrowed, or taken away from it. */
int helpers_udp(void);
int helpers_take_udp(void);
