/*
 * Questions to the keepers, which know the shares: the supervisor opens none. Each is answered by
 * packets, or not at all where a file system hangs: nobody here waits, and who asks looks at the
 * clock.
 */
#pragma once

#include "daemon/supervisor/supervisor.h"

struct question {
	struct question *next;
	uint64_t serial; /* while it is open; 0: not asked, or over */
	unsigned share;  /* whose keeper was asked */
	bool answered;   /* wholly, and error and more say how */
	int error;       /* 0 or negative errno: the keeper's */
	bool more;
	uint64_t last[2]; /* the last id that was looked at */
	unsigned told;    /* of what it tells, at most KEEPER_PAGE */
	enum kept_type about;
	/* Called for each that it tells of what the question is about; user and name are bounded.
	 */
	void (*tell)(struct question *q, const struct packet_kept *kept);
};

/* Asks the keeper of packet->share. q->about and q->tell are set, the rest is not looked at; packet
 * gets the serial. 0, and q is open until it is answered, lost or forgotten; -ENOTCONN: there is no
 * keeper just now; -EAGAIN; -errno. */
int questions_ask(struct question *q, struct packet_keeper *packet);
/* Nobody wants the answer any more. */
void questions_forget(struct question *q);

/* ---- for helpers.c */
void questions_take(struct supervisor *sup, struct packet_kept *kept);
/* The keeper of the share has ended: what it was asked is not answered, and not open any more. */
void questions_lost(struct supervisor *sup, unsigned share);
