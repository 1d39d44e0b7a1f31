#include <errno.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

/* ---- ban, unban ---- */

struct ban_request {
	struct message_str address, duration;
};

static const struct message_field ban_fields[] = {
	{ "address", MESSAGE_STR, offsetof(struct ban_request, address), ADDR_TEXT_MAX, true },
	{ "for", MESSAGE_STR, offsetof(struct ban_request, duration), CONFIG_TEXT_MAX, false },
};
enum { UNBAN_FIELDS = 1 };

int
control_read_net(struct control_request *rq, const char *text, struct subnet *ret)
{
	char probably[ADDR_TEXT_MAX];
	int r = subnet_parse(text, ret);

	if (r == -ERANGE)
		return control_refuse(rq, -FTD_E_bad_request,
				      "host bits are set in %s; did you mean %s?", text,
				      subnet_format(ret, probably));
	if (r < 0)
		return control_refuse(rq, -FTD_E_bad_request, "%s is not an address or a subnet",
				      text);
	return 0;
}

int
control_read_until(struct control_request *rq, const char *key, const char *text, uint64_t *ret)
{
	uint64_t usec;

	if (num_parse_duration(text, &usec) < 0 || usec == 0)
		return control_refuse(rq, -FTD_E_bad_request,
				      "%s must be a time as in 30m or 1h, not %s", key, text);
	*ret = clock_usec() + usec;
	return 0;
}

int
control_add_ban(struct control_request *rq, const struct subnet *net, uint64_t until_usec)
{
	if (bans_add(&rq->sup->bans, net, clock_usec(), until_usec) < 0)
		return control_refuse(rq, -FTD_E_busy, "there are %d bans already; ban subnets",
				      BANS_MAX);
	return 0;
}

/* Milliseconds that a ban still lasts; null: until it is lifted. */
static json_t *
left_ms(uint64_t until_usec, uint64_t now)
{
	if (until_usec == UINT64_MAX)
		return json_null();
	return control_number(until_usec > now ? (until_usec - now) / USEC_PER_MSEC : 0);
}

static int
set_ban(json_t *answer, const struct subnet *net, json_t *left)
{
	char text[ADDR_TEXT_MAX];
	int r = control_set(answer, "left_ms", left);

	return r < 0 ? r : control_set(answer, "address", json_string(subnet_format(net, text)));
}

static int
ban_step(struct control_request *rq, json_t *answer)
{
	const struct ban_request *args = rq->state;
	uint64_t until = UINT64_MAX;
	struct subnet net;
	int r = control_read_net(rq, args->address.data, &net);

	if (r == 0 && args->duration.data != NULL)
		r = control_read_until(rq, "for", args->duration.data, &until);
	if (r == 0)
		r = control_add_ban(rq, &net, until);
	return r < 0 ? r : set_ban(answer, &net, left_ms(until, clock_usec()));
}

/* A ban and what the address owes alike. */
static int
unban_step(struct control_request *rq, json_t *answer)
{
	const struct ban_request *args = rq->state;
	uint64_t now = clock_usec();
	struct subnet net;
	size_t lifted;
	int r = control_read_net(rq, args->address.data, &net);

	if (r < 0)
		return r;
	lifted = penalties_lift(&rq->sup->penalties, &net, now);
	if (bans_remove(&rq->sup->bans, &net, now) < 0 && lifted == 0)
		return control_refuse(rq, -FTD_E_not_found, "there is no ban or penalty of %s",
				      args->address.data);
	return set_ban(answer, &net, control_number(0));
}

const struct control_verb control_ban = {
	.fields = ban_fields,
	.n_fields = ARRAY_SIZE(ban_fields),
	.state_size = sizeof(struct ban_request),
	.step = ban_step,
};
const struct control_verb control_unban = {
	.fields = ban_fields,
	.n_fields = UNBAN_FIELDS,
	.state_size = sizeof(struct ban_request),
	.step = unban_step,
};

/* ---- list-bans ---- */

static int
list_row(json_t *rows, const char *kind, const struct subnet *net, int64_t since_real_ns,
	 json_t *left)
{
	json_t *row = json_pack("{s:s, s:o}", "kind", kind, "since", control_time(since_real_ns));

	if (json_array_append_new(rows, row) < 0) {
		json_decref(left);
		return -ENOMEM;
	}
	return set_ban(row, net, left);
}

static int
list_penalties(const struct supervisor *sup, uint64_t now, json_t *rows)
{
	const struct penalty_record *r = sup->penalties.list;
	uint64_t left;
	int e = 0;

	for (size_t i = 0; e == 0 && i < ARRAY_SIZE(sup->penalties.list); i++) {
		left = penalties_refused(&r[i], sup->config->penalty, now);
		if (left > 0)
			e = list_row(rows, "penalty", &r[i].source, r[i].since_real_ns,
				     left_ms(now + left, now));
	}
	return e;
}

static int
list_begin(const struct supervisor *sup, uint64_t now, json_t **ret)
{
	auto_json json_t *rows = json_array();
	const struct ban *b = sup->bans.list;
	int r = 0;

	for (size_t i = 0; r == 0 && i < sup->bans.n; i++)
		r = list_row(rows, "ban", &b[i].net, b[i].since_real_ns,
			     left_ms(b[i].until_usec, now));
	if (r == 0)
		r = list_penalties(sup, now, rows);
	if (r < 0)
		return r;
	*ret = take_ptr(rows);
	return *ret != NULL ? 0 : -ENOMEM;
}

static int
list_bans_step(struct control_request *rq, json_t *answer)
{
	struct control_pages *pages = rq->state;
	uint64_t now = clock_usec();
	int r = 0;

	if (pages->rows == NULL) {
		bans_expire(&rq->sup->bans, now);
		r = list_begin(rq->sup, now, &pages->rows);
	}
	return r < 0 ? r : control_page(pages, answer, "bans");
}

static void
list_bans_done(void *state)
{
	control_pages_done(state);
}

const struct control_verb control_list_bans = { .state_size = sizeof(struct control_pages),
						.step = list_bans_step,
						.done = list_bans_done };
