#include <errno.h>
#include <string.h>

#include "daemon/supervisor/control.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

enum { STALLED_AFTER_SEC = 2 };

/* ---- ids ---- */

static bool
id_parse(const char *text, char kind, uint64_t *ret_number)
{
	return text[0] == kind && num_parse_u64(text + 1, INT64_MAX, ret_number) == 0;
}

json_t *
control_id(char kind, uint64_t number)
{
	return json_sprintf("%c%" PRIu64, kind, number);
}

/* ---- one session, one transfer ---- */

bool
control_has_transfer(const struct session *s)
{
	return s->seen.transfer != 0;
}

bool
control_is_stalled(const struct session *s)
{
	return control_has_transfer(s) && s->stalled_usec >= STALLED_AFTER_SEC * USEC_PER_SEC;
}

static const char *
state_name(const struct session *s)
{
	static const char *const states[BOARD_STATES] = {
		[BOARD_IDLE] = "idle",       [BOARD_RECEIVING] = "receiving",
		[BOARD_SENDING] = "sending", [BOARD_VERIFYING] = "verifying",
		[BOARD_SYNCING] = "syncing", [BOARD_WORKING] = "working",
		[BOARD_PAUSED] = "paused",
	};
	bool moving = s->seen.state == BOARD_RECEIVING || s->seen.state == BOARD_SENDING;

	if (s->pid == 0)
		return "starting";
	if (moving && control_is_stalled(s))
		return "stalled";
	return s->seen.state < BOARD_STATES ? states[s->seen.state] : "unknown";
}

static uint64_t
idle_ms(const struct session *s)
{
	uint64_t now = clock_usec();

	if (s->pid == 0 || s->seen.state != BOARD_IDLE || s->seen.since_usec >= now)
		return 0;
	return (now - s->seen.since_usec) / USEC_PER_MSEC;
}

static json_t *
peer_text(const struct session *s)
{
	char buf[ADDR_TEXT_MAX];

	return json_string(addr_format(&s->peer, buf));
}

/* "1.3"; null: plain text */
static json_t *
tls_text(const struct session *s)
{
	return s->tls == 0 ? json_null() : json_sprintf("1.%u", s->tls - 10);
}

static json_t *
session_row(const struct session *s)
{
	return json_pack(
	    "{s:o, s:i, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "id",
	    control_id('s', s->number), "pid", (int)s->pid, "user", sessions_user(s), "peer",
	    peer_text(s), "tls", tls_text(s), "state", state_name(s), "started",
	    control_time(s->started_real_ns), "idle_ms", control_number(idle_ms(s)), "bytes_in",
	    control_number(s->seen.bytes_in), "bytes_out", control_number(s->seen.bytes_out),
	    "files", control_number(s->seen.uploads + s->seen.downloads), "rate_limit",
	    control_number_or_null(throttle_ceiling(s)), "paused", (int)sessions_paused(s));
}

/* Milliseconds to the end at the rate of now; UINT64_MAX: nobody knows. */
static uint64_t
eta_ms(const struct session *s)
{
	uint64_t left;

	if (s->seen.size == UINT64_MAX || s->seen.size < s->seen.offset || s->rate == 0)
		return UINT64_MAX;
	left = s->seen.size - s->seen.offset;
	return left > UINT64_MAX / 1000 ? UINT64_MAX : left * 1000 / s->rate;
}

/* The name as clients say it, or the end of one that is too long for the report. */
static int
set_path(const struct session *s, json_t *row)
{
	char path[1 + BOARD_PATH_MAX];
	size_t len = s->seen.path_len;
	size_t at = len < BOARD_PATH_MAX && (len == 0 || s->seen.path[0] != '/') ? 1 : 0;

	path[0] = '/';
	memcpy(path + at, s->seen.path, len);
	return message_set_name(row, "path", path, at + len);
}

static json_t *
transfer_row(const struct session *s)
{
	auto_json json_t *row = json_pack(
	    "{s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "id",
	    control_id('t', s->transfer_id), "session", control_id('s', s->number), "user",
	    sessions_user(s), "peer", peer_text(s), "direction",
	    s->seen.upload != 0 ? "upload" : "download", "size",
	    control_number_or_null(s->seen.size), "offset", control_number(s->seen.offset), "rate",
	    control_number(s->rate), "eta_ms", control_number_or_null(eta_ms(s)), "state",
	    state_name(s), "stalled_ms",
	    control_number(control_is_stalled(s) ? s->stalled_usec / USEC_PER_MSEC : 0), "opt",
	    control_text(s->seen.opt), "upload", control_upload_id(s->seen.resumable), "started",
	    control_time(s->seen.transfer_started_real_ns), "tls", tls_text(s));

	if (row == NULL || set_path(s, row) < 0)
		return NULL;
	return take_ptr(row);
}

/* ---- lists: a cursor over the slots, rows made as the peer reads ---- */

struct list {
	uint32_t slot; /* the next one */
	uint64_t count, up_rate, down_rate;
};

/* Rows from the cursor on, one frame of them. */
static int
page(struct supervisor *sup, struct list *list, bool (*wanted)(const struct session *),
     json_t *(*row)(const struct session *), json_t *rows)
{
	while (list->slot < sup->boards.slots && json_array_size(rows) < CONTROL_ROWS_PER_FRAME) {
		struct session *s = sessions_at(sup, list->slot++);

		if (s == NULL)
			continue;
		sessions_refresh(s);
		if (!wanted(s))
			continue;
		list->count++;
		*(s->seen.upload != 0 ? &list->up_rate : &list->down_rate) += s->rate;
		if (json_array_append_new(rows, row(s)) < 0)
			return -ENOMEM;
	}
	return list->slot < sup->boards.slots ? CONTROL_MORE : CONTROL_DONE;
}

static bool
any_session(const struct session *s)
{
	(void)s;
	return true;
}

static int
list_sessions_step(struct control_request *rq, json_t *answer)
{
	json_t *rows = json_array();
	int r = control_set(answer, "sessions", rows);

	return r < 0 ? r : page(rq->sup, rq->state, any_session, session_row, rows);
}

static int
list_transfers_step(struct control_request *rq, json_t *answer)
{
	struct list *list = rq->state;
	json_t *rows = json_array();
	int r = control_set(answer, "transfers", rows);

	if (r == 0)
		r = page(rq->sup, list, control_has_transfer, transfer_row, rows);
	if (r != CONTROL_DONE)
		return r;
	return control_set(answer, "totals",
			   json_pack("{s:o, s:o, s:o}", "count", control_number(list->count),
				     "up_rate", control_number(list->up_rate), "down_rate",
				     control_number(list->down_rate)));
}

const struct control_verb control_list_sessions = { .state_size = sizeof(struct list),
						    .step = list_sessions_step };
const struct control_verb control_list_transfers = { .state_size = sizeof(struct list),
						     .step = list_transfers_step };

/* ---- show ---- */

struct show {
	struct message_str id;
	struct control_upload upload;
};

static const struct message_field show_fields[] = {
	{ "id", MESSAGE_STR, offsetof(struct show, id), CONTROL_ID_MAX, true },
};

struct session *
control_find(struct control_request *rq, const char *text, int *ret_error)
{
	struct session *s = NULL;
	uint64_t number;

	if (id_parse(text, 's', &number))
		s = sessions_find(rq->sup, number);
	else if (id_parse(text, 't', &number))
		s = sessions_find_transfer(rq->sup, number);
	else {
		*ret_error = control_refuse(rq, -FTD_E_bad_request,
					    "id must be as in s412 or t9031, not %s", text);
		return NULL;
	}
	if (s == NULL)
		*ret_error = control_refuse(rq, -FTD_E_not_found, "there is no %s", text);
	return s;
}

static int
show_step(struct control_request *rq, json_t *answer)
{
	struct show *args = rq->state;
	struct session *s;
	json_t *more;
	int r = 0;

	if (control_is_upload(args->id.data))
		return control_show_upload(rq, args->id.data, &args->upload, answer);
	s = control_find(rq, args->id.data, &r);
	if (s == NULL)
		return r;
	sessions_refresh(s);
	r = control_set(answer, "session", session_row(s));
	if (r < 0)
		return r;
	more = json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o}", "generation", control_number(s->generation),
	    "uploads", control_number(s->seen.uploads), "downloads",
	    control_number(s->seen.downloads), "failed", control_number(s->seen.failed), "requests",
	    control_number(s->seen.requests), "ending", s->quit != BOARD_STAY, "report_torn",
	    (int)s->torn, "rate_now", control_number_or_null(throttle_rate(s)));
	if (more == NULL || json_object_update_new(json_object_get(answer, "session"), more) < 0)
		return -ENOMEM;
	return control_set(answer, "transfer",
			   control_has_transfer(s) ? transfer_row(s) : json_null());
}

static void
show_done(void *state)
{
	struct show *args = state;

	control_upload_done(&args->upload);
}

const struct control_verb control_show = {
	.fields = show_fields,
	.n_fields = ARRAY_SIZE(show_fields),
	.state_size = sizeof(struct show),
	.step = show_step,
	.done = show_done,
};
