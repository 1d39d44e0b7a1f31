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

int admission_start(struct supervisor *sup);
void admission_stop(struct supervisor *sup);

/* A new connection; takes the descriptor over. */
void admission_accept(struct supervisor *sup, int fd, const union addr *peer);

/* The gatehouse's answer for a connection; pid 0: the birth failed. */
void admission_born(struct supervisor *sup, uint64_t connection, pid_t pid);
void admission_house_gone(struct supervisor *sup, uint64_t house);

/* The peer and number of the gate with that pid: 0, or -ESRCH. */
int admission_of_pid(const struct supervisor *sup, pid_t pid, uint64_t *ret_number,
		     union addr *ret_peer);

/* Four times a second: deadlines. */
void admission_tick(struct supervisor *sup);

/* Refuses everybody who is not a session yet (draining). */
void admission_refuse_all(struct supervisor *sup, const char *code, const char *message);
