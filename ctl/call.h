/* One request to the daemon and its answer, whose frames are joined into one object. No output. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "lib/wire.h"

/* 0 or -errno: -ENOENT and -ECONNREFUSED: no daemon; -EACCES: not permitted; -ETIMEDOUT. timeout 0:
 * none. */
int call_open(struct wire *w, const char *socket, uint64_t timeout_usec);

/* Sends request and gathers the whole answer (the caller owns *ret): arrays and texts of its frames
 * are joined, of other keys the last counts. 0: it came, also where it is a refusal; -ETIMEDOUT:
 * not within the time (0: any); -ENODATA, -EPIPE, -ECONNRESET: the daemon ended; -EMSGSIZE: the
 * request is too large; -errno. */
int call_ask(struct wire *w, json_t *request, uint64_t timeout_usec, json_t **ret);
