/* The answer to hello, said by gates before and by sessions after admission. */
#pragma once

#include <stdint.h>

#include <jansson.h>

#include "daemon/common/board.h"
#include "daemon/config/config.h"

/* Limits that hold for everybody and what is in use of them; NULL without memory. */
json_t *hello_limits(const struct config *c, const struct board_public *public);

/* Builds it (without id); the caller owns *ret. request is the client's object.
 * -FTD_E_version when no version is common, -FTD_E_bad_request, -ENOMEM. */
int hello_answer(json_t *request, const struct config *c, const struct board_public *public,
		 uint64_t connection, json_t **ret);
