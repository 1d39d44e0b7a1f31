#include <errno.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "daemon/supervisor/houses.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

/* ---- wait ---- */

static bool
is_ready(const struct control_request *rq)
{
	return !rq->ending && !rq->sup->draining && rq->sup->reload == NULL &&
	       houses_ready(rq->sup);
}

/* No transfer under way. */
static bool
is_idle(const struct control_request *rq)
{
	for (uint32_t i = 0; !rq->ending && i < rq->sup->boards.slots; i++) {
		const struct session *s = sessions_at(rq->sup, i);

		if (s != NULL && control_has_transfer(s))
			return false;
	}
	return true;
}

/* No session left. */
static bool
is_drained(const struct control_request *rq)
{
	return rq->ending || rq->sup->sessions == 0;
}

static const struct {
	const char *name;
	bool (*reached)(const struct control_request *rq);
} states[] = {
	{ "ready", is_ready },
	{ "idle", is_idle },
	{ "drained", is_drained },
};

struct wait_request {
	struct message_str state;
	bool no_wait;
};

static const struct message_field wait_fields[] = {
	{ "state", MESSAGE_STR, offsetof(struct wait_request, state), CONFIG_TEXT_MAX, true },
	{ "no_wait", MESSAGE_BOOL, offsetof(struct wait_request, no_wait), 0, false },
};

static int
wait_step(struct control_request *rq, json_t *answer)
{
	const struct wait_request *args = rq->state;
	bool reached;

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (strcmp(states[i].name, args->state.data) != 0)
			continue;
		reached = states[i].reached(rq);
		if (!reached && !args->no_wait)
			return CONTROL_WAIT;
		return control_set(answer, "reached", json_boolean(reached));
	}
	return control_refuse(rq, -FTD_E_bad_request, "state must be ready, idle or drained");
}

const struct control_verb control_wait = {
	.fields = wait_fields,
	.n_fields = ARRAY_SIZE(wait_fields),
	.state_size = sizeof(struct wait_request),
	.step = wait_step,
};

/* ---- shutdown: the answer is the last thing that the daemon does ---- */

struct shutdown_request {
	struct message_str grace;
	bool no_wait;
	bool ordered;
};

static const struct message_field shutdown_fields[] = {
	{ "grace", MESSAGE_STR, offsetof(struct shutdown_request, grace), CONFIG_TEXT_MAX, false },
	{ "no_wait", MESSAGE_BOOL, offsetof(struct shutdown_request, no_wait), 0, false },
};

static int
shutdown_order(struct control_request *rq, struct shutdown_request *args)
{
	uint64_t grace_usec = rq->sup->config->shutdown_grace;

	if (args->grace.data != NULL && num_parse_duration(args->grace.data, &grace_usec) < 0)
		return control_refuse(rq, -FTD_E_bad_request,
				      "grace must be a time as in 30s or 5m, not %s",
				      args->grace.data);
	args->ordered = true;
	supervisor_shutdown(rq->sup, grace_usec, "the server is going down");
	return 0;
}

static int
shutdown_step(struct control_request *rq, json_t *answer)
{
	struct shutdown_request *args = rq->state;
	int r = args->ordered ? 0 : shutdown_order(rq, args);

	if (r < 0)
		return r;
	if (!rq->ending && !args->no_wait)
		return CONTROL_WAIT;
	return control_set(answer, "state", json_string(rq->ending ? "ended" : "draining"));
}

const struct control_verb control_shutdown = {
	.fields = shutdown_fields,
	.n_fields = ARRAY_SIZE(shutdown_fields),
	.state_size = sizeof(struct shutdown_request),
	.step = shutdown_step,
};
