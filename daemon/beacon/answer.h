/* What the UDP status port says to one datagram. Pure but for the clock; fuzz/fuzz_beacon.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/common/board.h"

enum { ANSWER_MAX = 1024, ANSWER_NONCE_MAX = 64, ANSWER_REQUEST_MAX = 1472 };

/* Writes the answer (JSON, not NUL-terminated) to a request of len bytes. trusted: the peer may get
 * an answer longer than its request. Keys are left out from the end where they do not fit. Length;
 * 0: no answer fits, or
 * the request is an answer itself: nothing is sent. */
size_t answer_make(const struct board_public *state, uint64_t now_usec, const void *request,
		   size_t len, bool trusted, char dst[ANSWER_MAX]);
