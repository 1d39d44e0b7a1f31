#include <errno.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "daemon/supervisor/users.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

/* Orders to a session that goes on: limit, pause, resume, cancel. */

enum { RATE_LEAST = 1 << 10 };

struct order {
	struct message_str id, user, rate;
	bool no_wait;
	bool ordered;
	uint64_t begun_usec;
	uint32_t slot; /* of the session */
	uint64_t number;
	uint64_t transfer; /* its ordinal, 0: none */
	uint64_t transfer_id;
};

static const struct message_field order_fields[] = {
	{ "id", MESSAGE_STR, offsetof(struct order, id), CONTROL_ID_MAX, true },
	{ "no_wait", MESSAGE_BOOL, offsetof(struct order, no_wait), 0, false },
};

/* Finds the session and remembers what it does. NULL: *ret_error is the refusal. */
static struct session *
order_begin(struct control_request *rq, struct order *o, int *ret_error)
{
	struct session *s = control_find(rq, o->id.data, ret_error);

	if (s == NULL)
		return NULL;
	sessions_refresh(s);
	o->ordered = true;
	o->begun_usec = clock_usec();
	o->slot = s->slot;
	o->number = s->number;
	o->transfer = s->seen.transfer;
	o->transfer_id = o->transfer != 0 ? s->transfer_id : 0;
	return s;
}

/* The session as it is now, NULL: it has ended. Numbers are never used again. */
static struct session *
order_session(const struct control_request *rq, const struct order *o)
{
	struct session *s = sessions_at(rq->sup, o->slot);

	if (s == NULL || s->number != o->number)
		return NULL;
	sessions_refresh(s);
	return s;
}

/* What every answer tells. */
static int
order_answer(const struct order *o, bool pending, json_t *answer)
{
	json_t *keys =
	    json_pack("{s:o, s:o, s:b, s:o}", "session", control_id('s', o->number), "transfer",
		      o->transfer_id != 0 ? control_id('t', o->transfer_id) : json_null(),
		      "pending", (int)pending, "elapsed_ms",
		      control_number((clock_usec() - o->begun_usec) / USEC_PER_MSEC));

	return keys == NULL || json_object_update_new(answer, keys) < 0 ? -ENOMEM : CONTROL_DONE;
}

/* ---- pause, resume ---- */

static bool
is_moving(const struct session *s)
{
	return s->seen.state == BOARD_RECEIVING || s->seen.state == BOARD_SENDING;
}

static int
pause_order(struct control_request *rq, struct order *o)
{
	int r = 0;
	struct session *s = order_begin(rq, o, &r);

	if (s == NULL)
		return r;
	/* a session: whatever it does next as well; a transfer: only that one */
	sessions_pause(s, o->id.data[0] == 's' ? UINT64_MAX : o->transfer);
	return 0;
}

static int
pause_step(struct control_request *rq, json_t *answer)
{
	struct order *o = rq->state;
	const struct session *s;
	bool pending;
	int r = o->ordered ? 0 : pause_order(rq, o);

	if (r < 0)
		return r;
	s = order_session(rq, o);
	pending = s != NULL && sessions_paused(s) && is_moving(s) && !rq->ending;
	if (pending && !o->no_wait)
		return CONTROL_WAIT;
	return order_answer(o, pending, answer);
}

static int
resume_order(struct control_request *rq, struct order *o)
{
	int r = 0;
	struct session *s = order_begin(rq, o, &r);

	if (s != NULL)
		sessions_pause(s, 0);
	return r;
}

static int
resume_step(struct control_request *rq, json_t *answer)
{
	struct order *o = rq->state;
	const struct session *s;
	bool pending;
	int r = o->ordered ? 0 : resume_order(rq, o);

	if (r < 0)
		return r;
	s = order_session(rq, o);
	pending = s != NULL && s->seen.state == BOARD_PAUSED && s->pause == 0 && !rq->ending;
	if (pending && !o->no_wait)
		return CONTROL_WAIT;
	return order_answer(o, pending, answer);
}

/* ---- cancel ---- */

static int
cancel_order(struct control_request *rq, struct order *o)
{
	int r = 0;
	struct session *s;

	if (o->id.data[0] != 't')
		return control_refuse(rq, -FTD_E_bad_request,
				      "id must be a transfer as in t9031, not %s", o->id.data);
	s = order_begin(rq, o, &r);
	if (s != NULL)
		sessions_cancel(s, o->transfer);
	return r;
}

static int
cancel_step(struct control_request *rq, json_t *answer)
{
	struct order *o = rq->state;
	const struct session *s;
	bool pending;
	int r = o->ordered ? 0 : cancel_order(rq, o);

	if (r < 0)
		return r;
	s = order_session(rq, o);
	pending = s != NULL && s->seen.transfer == o->transfer && !rq->ending;
	if (pending && !o->no_wait)
		return CONTROL_WAIT;
	return order_answer(o, pending, answer);
}

/* ---- limit ---- */

static const struct message_field limit_fields[] = {
	{ "id", MESSAGE_STR, offsetof(struct order, id), CONTROL_ID_MAX, false },
	{ "user", MESSAGE_STR, offsetof(struct order, user), USER_NAME_MAX, false },
	{ "rate", MESSAGE_STR, offsetof(struct order, rate), NUM_TEXT_MAX, true },
};

static int
limit_answer(json_t *answer, const char *key, json_t *whose, uint64_t rate, uint64_t limit)
{
	int r = control_set(answer, key, whose);

	if (r == 0)
		r = control_set(answer, "rate", control_number_or_null(rate));
	if (r == 0)
		r = control_set(answer, "rate_limit", control_number_or_null(limit));
	return r < 0 ? r : CONTROL_DONE;
}

static int
limit_user(struct control_request *rq, const char *user, uint64_t rate, json_t *answer)
{
	int r;

	if (rate != NUM_UNLIMITED && users_find(rq->sup, user) == NULL)
		return control_refuse(rq, -FTD_E_not_found, "there is no user %s", user);
	r = user_rates_set(rq->sup, user, rate);
	return r < 0 ? r
		     : limit_answer(answer, "user", json_string(user), rate,
				    user_rates_limit(rq->sup, user));
}

static int
limit_step(struct control_request *rq, json_t *answer)
{
	struct order *o = rq->state;
	uint64_t rate = NUM_UNLIMITED;
	struct session *s;
	int r = 0;

	if (strcmp(o->rate.data, "none") != 0 &&
	    (num_parse_rate(o->rate.data, &rate) < 0 || rate < RATE_LEAST))
		return control_refuse(
		    rq, -FTD_E_bad_request,
		    "rate must be as in 512K or 40M, at least 1K, or none, not %s", o->rate.data);
	if ((o->id.data != NULL) == (o->user.data != NULL))
		return control_refuse(rq, -FTD_E_bad_request, "one of id and user must be given");
	if (o->user.data != NULL)
		return limit_user(rq, o->user.data, rate, answer);
	s = order_begin(rq, o, &r);
	if (s == NULL)
		return r;
	sessions_limit(s, rate);
	return limit_answer(answer, "session", control_id('s', s->number), rate,
			    throttle_ceiling(s));
}

const struct control_verb control_pause = {
	.fields = order_fields,
	.n_fields = ARRAY_SIZE(order_fields),
	.state_size = sizeof(struct order),
	.step = pause_step,
};
const struct control_verb control_resume = {
	.fields = order_fields,
	.n_fields = ARRAY_SIZE(order_fields),
	.state_size = sizeof(struct order),
	.step = resume_step,
};
const struct control_verb control_cancel = {
	.fields = order_fields,
	.n_fields = ARRAY_SIZE(order_fields),
	.state_size = sizeof(struct order),
	.step = cancel_step,
};
const struct control_verb control_limit = {
	.fields = limit_fields,
	.n_fields = ARRAY_SIZE(limit_fields),
	.state_size = sizeof(struct order),
	.step = limit_step,
};
