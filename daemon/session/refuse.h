/*
 * Requests that are not carried out although a body follows them: the answer goes at once to
 * clients that said hello, after the last byte to the oldest ones; the body is read and thrown
 * away.
 */
#pragma once

#include "daemon/session/session.h"

/* What is still to be read of a request. */
struct refuse_rest {
	uint64_t bytes; /* of the body under way */
	bool more;      /* then pieces follow, to the trailer */
};

/* Answers and drops the rest. extra is stolen. 0 go on, 1 close (more than 64 MiB or 10 s of a
 * whole body), or a conn_* failure. */
int refuse(struct session *s, const struct request *rq, struct refuse_rest *rest, int r,
	   const char *message, json_t *extra);

/* Drops the rest without an answer; the same results. */
int refuse_drop(struct session *s, struct refuse_rest *rest);
