#include "daemon/common/hello.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

enum { WIRE_VERSION = 1 };

/* The client lists what it speaks; without a list it speaks the first version. */
static int
check_version(const json_t *request)
{
	const json_t *list = json_object_get(request, "version"), *v;
	size_t i;

	if (list == NULL)
		return 0;
	if (!json_is_array(list))
		return -FTD_E_bad_request;
	json_array_foreach (list, i, v) {
		if (!json_is_integer(v))
			return -FTD_E_bad_request;
		if (json_integer_value(v) == WIRE_VERSION)
			return 0;
	}
	return -FTD_E_version;
}

/* null: no limit */
static json_t *
number(uint64_t n)
{
	return n <= INT64_MAX ? json_integer((json_int_t)n) : json_null();
}

json_t *
hello_limits(const struct config *c, const struct board_public *public)
{
	struct board_public now;

	(void)board_read_public(public, &now);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "sessions",
			 number(c->sessions), "sessions_current", number(now.sessions),
			 "sessions_per_address", number(c->sessions_per_address), "file_size",
			 number(c->file_size), "idle_timeout_ms",
			 number(c->idle_timeout / USEC_PER_MSEC), "stall_timeout_ms",
			 number(c->stall_timeout / USEC_PER_MSEC), "session_rate",
			 number(c->session_rate), "user_rate", number(c->user_rate));
}

int
hello_answer(json_t *request, const struct config *c, const struct board_public *public,
	     uint64_t connection, json_t **ret)
{
	char session[NUM_TEXT_MAX];
	json_t *answer;
	int r;

	r = check_version(request);
	if (r < 0)
		return r;
	(void)snprintf(session, sizeof(session), "s%" PRIu64, connection);
	answer = json_pack("{s:s, s:s, s:i, s:I, s:s, s:[], s:o}", "status", "ok", "server",
			   PACKAGE_NAME " " PACKAGE_VERSION, "version", WIRE_VERSION, "time_ns",
			   (json_int_t)clock_real_ns(), "session", session, "features", "limits",
			   hello_limits(c, public));
	if (answer == NULL)
		return -ENOMEM;
	*ret = answer;
	return 0;
}
