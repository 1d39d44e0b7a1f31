/* What a client is told that gets no session: made by the supervisor, said by it or by a gate. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "daemon/common/packet.h"

/* code is one of lib/codes.def, or "" for yes; retry_after_ms 0: coming back does not help. limit
 * and current are not said until somebody sets them. */
struct packet_verdict verdict_make(const char *code, const char *message, uint64_t retry_after_ms);

/* The last frame of a connection, as an object that the caller owns; NULL without memory. */
json_t *verdict_answer(const struct packet_verdict *v);
