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
	struct message_str id, from, user, reason, ban;
	bool no_wait;
	struct subnet net;       /* of from */
	uint64_t ban_until_usec; /* 0: none */
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
	{ "user", MESSAGE_STR, offsetof(struct kick, user), USER_NAME_MAX, false },
	{ "ban", MESSAGE_STR, offsetof(struct kick, ban), CONFIG_TEXT_MAX, false },
	{ "reason", MESSAGE_STR, offsetof(struct kick, reason), BOARD_TEXT_MAX - 1, false },
	{ "no_wait", MESSAGE_BOOL, offsetof(struct kick, no_wait), 0, false },
};

/* Where nobody else's network was named, the session's own source is banned. */
static int
kick_one(struct control_request *rq, struct kick *k, struct session *s)
{
	const struct subnet source = addr_source(&s->peer);
	json_t *id;
	int r;

	if (k->ban_until_usec != 0 && k->from.data == NULL) {
		r = control_add_ban(rq, &source, k->ban_until_usec);
		if (r < 0)
			return r;
	}
	id = control_id('s', s->number);
	if (json_array_append_new(k->pages.rows, id) < 0)
		return -ENOMEM;
	k->sessions[k->n].slot = s->slot;
	k->sessions[k->n++].number = s->number;
	sessions_quit(s, BOARD_QUIT_KICKED,
		      k->reason.data != NULL ? k->reason.data : "ended by the administrator", 0);
	return 0;
}

static bool
is_meant(const struct kick *k, const struct session *s)
{
	return k->user.data != NULL ? strcmp(s->user, k->user.data) == 0
				    : subnet_has(&k->net, &s->peer);
}

/* All of a user, or of a network. */
static int
kick_all(struct control_request *rq, struct kick *k)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < rq->sup->boards.slots; i++) {
		struct session *s = sessions_at(rq->sup, i);

		if (s != NULL && is_meant(k, s))
			r = kick_one(rq, k, s);
	}
	if (r < 0 || k->n > 0 || (k->ban.data != NULL && k->from.data != NULL))
		return r;
	return control_refuse(rq, -FTD_E_not_found, "there is no session %s %s",
			      k->user.data != NULL ? "of" : "from",
			      k->user.data != NULL ? k->user.data : k->from.data);
}

static int
kick_id(struct control_request *rq, struct kick *k)
{
	int r = 0;
	struct session *s = control_find(rq, k->id.data, &r);

	return s == NULL ? r : kick_one(rq, k, s);
}

static int
kick_read(struct control_request *rq, struct kick *k)
{
	int whom = (k->id.data != NULL) + (k->from.data != NULL) + (k->user.data != NULL);
	int r = 0;

	if (whom != 1)
		return control_refuse(rq, -FTD_E_bad_request,
				      "one of id, from and user must be given");
	if (k->from.data != NULL)
		r = control_read_net(rq, k->from.data, &k->net);
	if (r == 0 && k->ban.data != NULL)
		r = control_read_until(rq, "ban", k->ban.data, &k->ban_until_usec);
	return r;
}

static int
kick_order(struct control_request *rq, struct kick *k)
{
	int r = kick_read(rq, k);

	if (r < 0)
		return r;
	k->ordered = true;
	k->begun_usec = clock_usec();
	k->pages.rows = json_array();
	k->sessions = calloc((size_t)rq->sup->sessions + 1, sizeof(*k->sessions));
	if (k->pages.rows == NULL || k->sessions == NULL)
		return -ENOMEM;
	if (k->from.data != NULL && k->ban_until_usec != 0)
		r = control_add_ban(rq, &k->net, k->ban_until_usec);
	if (r < 0)
		return r;
	return k->id.data != NULL ? kick_id(rq, k) : kick_all(rq, k);
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
