/*
 * Whether the request under way is to end at this gap: by an order of the administrator, or by the
 * client's own cancel. For requests that take long; no logging.
 */
#pragma once

#include <stdbool.h>

#include "daemon/session/session.h"

struct stop {
	int error; /* 0: go on; else what the request is to be answered with */
	bool by_client;
	struct request cancel; /* then: owned, to be answered after that */
};

/* 1: stop, stop->error says as what; 0: go on; negative: conn_*. Sends what is queued; never waits. */
int stop_look(struct session *s, struct stop *stop);

/* The same without reading from the client, for where a frame is only half sent. 1 or 0. */
int stop_ordered(struct session *s, struct stop *stop);

/* Answers the request with stop->error (extra is stolen), then the cancel. 0 or conn_*. */
int stop_answer(struct session *s, const struct request *rq, struct stop *stop, json_t *extra);

/* Answers the cancel, if there was one, of a request that is answered already. 0 or conn_*. */
int stop_done(struct session *s, struct stop *stop);
