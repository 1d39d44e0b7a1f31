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

static int
read_net(struct control_request *rq, const char *text, struct subnet *ret)
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
	uint64_t now = clock_usec(), usec = 0, until = UINT64_MAX;
	struct subnet net;
	int r = read_net(rq, args->address.data, &net);

	if (r < 0)
		return r;
	if (args->duration.data != NULL) {
		if (num_parse_duration(args->duration.data, &usec) < 0 || usec == 0)
			return control_refuse(rq, -FTD_E_bad_request,
					      "for must be a time as in 30m or 1h, not %s",
					      args->duration.data);
		until = now + usec;
	}
	if (bans_add(&rq->sup->bans, &net, now, until) < 0)
		return control_refuse(rq, -FTD_E_busy, "there are %d bans already; ban subnets",
				      BANS_MAX);
	return set_ban(answer, &net, left_ms(until, now));
}

static int
unban_step(struct control_request *rq, json_t *answer)
{
	const struct ban_request *args = rq->state;
	struct subnet net;
	int r = read_net(rq, args->address.data, &net);

	if (r < 0)
		return r;
	if (bans_remove(&rq->sup->bans, &net, clock_usec()) < 0)
		return control_refuse(rq, -FTD_E_not_found, "there is no ban of %s",
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
list_begin(const struct bans *b, uint64_t now, json_t **ret)
{
	auto_json json_t *rows = json_array();

	for (size_t i = 0; i < b->n; i++) {
		json_t *row = json_pack("{s:o}", "since", control_time(b->list[i].since_real_ns));

		if (json_array_append_new(rows, row) < 0 ||
		    set_ban(row, &b->list[i].net, left_ms(b->list[i].until_usec, now)) < 0)
			return -ENOMEM;
	}
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
		r = list_begin(&rq->sup->bans, now, &pages->rows);
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
