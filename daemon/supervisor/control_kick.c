#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

/* Orders the ends, then waits until they are there. */

struct kick {
	struct message_str id, from, reason;
	bool no_wait;
	bool ordered;
	uint64_t begun_usec;
	struct control_pages pages; /* the ids of those who were told to go */
	struct {
		uint32_t slot;
		uint64_t number;
	} * sessions;
	size_t n;
};

static const struct message_field kick_fields[] = {
	{ "id", MESSAGE_STR, offsetof(struct kick, id), CONTROL_ID_MAX, false },
	{ "from", MESSAGE_STR, offsetof(struct kick, from), ADDR_TEXT_MAX, false },
	{ "reason", MESSAGE_STR, offsetof(struct kick, reason), BOARD_TEXT_MAX - 1, false },
	{ "no_wait", MESSAGE_BOOL, offsetof(struct kick, no_wait), 0, false },
};

static int
kick_one(struct kick *k, struct session *s)
{
	json_t *id = control_id('s', s->number);

	if (json_array_append_new(k->pages.rows, id) < 0)
		return -ENOMEM;
	k->sessions[k->n].slot = s->slot;
	k->sessions[k->n++].number = s->number;
	sessions_quit(s, BOARD_QUIT_KICKED,
		      k->reason.data != NULL ? k->reason.data : "ended by the administrator", 0);
	return 0;
}

static int
kick_from(struct control_request *rq, struct kick *k)
{
	char probably[ADDR_TEXT_MAX];
	struct subnet net;
	int r = subnet_parse(k->from.data, &net);

	if (r == -ERANGE)
		return control_refuse(rq, -FTD_E_bad_request,
				      "from: host bits are set in %s; did you mean %s?",
				      k->from.data, subnet_format(&net, probably));
	if (r < 0)
		return control_refuse(rq, -FTD_E_bad_request,
				      "from: %s is not an address or a subnet", k->from.data);
	for (uint32_t i = 0; r == 0 && i < rq->sup->boards.slots; i++) {
		struct session *s = sessions_at(rq->sup, i);

		if (s != NULL && subnet_has(&net, &s->peer))
			r = kick_one(k, s);
	}
	if (r == 0 && k->n == 0)
		return control_refuse(rq, -FTD_E_not_found, "there is no session from %s",
				      k->from.data);
	return r;
}

static int
kick_id(struct control_request *rq, struct kick *k)
{
	int r = 0;
	struct session *s = control_find(rq, k->id.data, &r);

	return s == NULL ? r : kick_one(k, s);
}

static int
kick_order(struct control_request *rq, struct kick *k)
{
	if ((k->id.data == NULL) == (k->from.data == NULL))
		return control_refuse(rq, -FTD_E_bad_request, "either id or from must be given");
	k->ordered = true;
	k->begun_usec = clock_usec();
	k->pages.rows = json_array();
	k->sessions = calloc((size_t)rq->sup->sessions + 1, sizeof(*k->sessions));
	if (k->pages.rows == NULL || k->sessions == NULL)
		return -ENOMEM;
	return k->id.data != NULL ? kick_id(rq, k) : kick_from(rq, k);
}

/* How many of them still live; numbers are never used again. */
static size_t
kick_left(const struct control_request *rq, struct kick *k)
{
	size_t left = 0;

	for (size_t i = 0; i < k->n; i++) {
		const struct session *s = sessions_at(rq->sup, k->sessions[i].slot);

		if (s != NULL && s->number == k->sessions[i].number)
			k->sessions[left++] = k->sessions[i];
	}
	k->n = left;
	return left;
}

static int
kick_step(struct control_request *rq, json_t *answer)
{
	struct kick *k = rq->state;
	json_t *counts;
	size_t left;
	int r = k->ordered ? 0 : kick_order(rq, k);

	if (r < 0)
		return r;
	left = rq->ending ? 0 : kick_left(rq, k);
	if (left > 0 && !k->no_wait)
		return CONTROL_WAIT;
	counts =
	    json_pack("{s:o, s:o, s:o}", "kicked", control_number(json_array_size(k->pages.rows)),
		      "pending", control_number(left), "elapsed_ms",
		      control_number((clock_usec() - k->begun_usec) / USEC_PER_MSEC));
	if (counts == NULL || json_object_update_new(answer, counts) < 0)
		return -ENOMEM;
	return control_page(&k->pages, answer, "sessions");
}

static void
kick_done(void *state)
{
	struct kick *k = state;

	control_pages_done(&k->pages);
	free(k->sessions);
}

const struct control_verb control_kick = {
	.fields = kick_fields,
	.n_fields = ARRAY_SIZE(kick_fields),
	.state_size = sizeof(struct kick),
	.step = kick_step,
	.done = kick_done,
};
