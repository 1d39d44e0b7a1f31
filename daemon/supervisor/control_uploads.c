#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/common/partial.h"
#include "daemon/supervisor/control.h"
#include "daemon/supervisor/helpers.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

/* What the keepers know of uploads that have not ended. One may be held by a file system that
 * hangs: then we say that we do not know of its share, and go on with the others. */

#define PATIENCE (2 * USEC_PER_SEC)
/* for one that was found: it takes the record twice, and gives writers 2 s */
#define DISCARD_PATIENCE (15 * USEC_PER_SEC)
enum { ID_TEXT = 1 + 32 }; /* without the claim */
static const char silence[] =
    "the keeper of the share does not answer: it is busy, or the file system hangs";

/* The next one that has a keeper, or n_shares. */
static unsigned
share_behind(const struct config *c, unsigned share)
{
	do {
		share++;
	} while (share < c->n_shares && !config_is_first_of_root(c, share));
	return share;
}

/* Who has said nothing for so long is not waited for again. */
static bool
is_silent(unsigned share)
{
	return helpers_keeper_silence(share) >= PATIENCE;
}

/* ---- rows ---- */

json_t *
control_upload_id(const uint64_t id[2])
{
	return id[0] == 0 && id[1] == 0 ? json_null()
					: json_sprintf("u%016" PRIx64 "%016" PRIx64, id[0], id[1]);
}

/* Whether the keeper could read its record. */
static bool
is_known(const struct packet_kept *k)
{
	return (k->flags & (KEPT_DAMAGED | KEPT_PRIVATE)) == 0;
}

/* "s412" of one that is sending it; null: none that we know. */
static json_t *
session_of(const struct supervisor *sup, const struct packet_kept *k)
{
	bool maybe = (k->flags & (KEPT_WRITING | KEPT_PRIVATE)) != 0;

	for (uint32_t i = 0; i < sup->boards.slots && maybe; i++) {
		struct session *s = sessions_at(sup, i);

		if (s == NULL)
			continue;
		sessions_refresh(s);
		if (control_has_transfer(s) && memcmp(s->seen.resumable, k->id, sizeof(k->id)) == 0)
			return control_id('s', s->number);
	}
	return json_null();
}

static int
set_name(json_t *row, const struct packet_kept *k)
{
	char path[1 + sizeof(k->name)];

	if (!is_known(k))
		return control_set(row, "path", json_null());
	path[0] = '/';
	memcpy(path + 1, k->name, k->name_len);
	return message_set_name(row, "path", path, 1 + k->name_len);
}

static const char *
state_of(const struct packet_kept *k)
{
	if (k->flags & KEPT_DAMAGED)
		return "damaged";
	if (k->flags & KEPT_PRIVATE)
		return "private";
	return k->flags & KEPT_WRITING ? "writing" : "waiting";
}

/* Of the system; its number where it has no name. */
static json_t *
account_of(uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	return pw != NULL ? control_text(pw->pw_name) : json_sprintf("%ju", (uintmax_t)uid);
}

static json_t *
user_of(const struct packet_kept *k)
{
	if (k->flags & KEPT_DAMAGED)
		return json_null();
	if (k->flags & KEPT_PRIVATE)
		return account_of(k->owner);
	return control_text(k->user[0] != '\0' ? k->user : "anonymous");
}

static json_t *
row_of(const struct supervisor *sup, const struct packet_kept *k)
{
	int64_t keep_ns = (int64_t)(sup->config->uploads_keep * NSEC_PER_USEC);
	bool dated = k->last_ns > 0 && k->last_ns < INT64_MAX - keep_ns;
	auto_json json_t *row = json_pack(
	    "{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "id", control_upload_id(k->id), "user",
	    user_of(k), "size", control_number_or_null(is_known(k) ? k->size : UINT64_MAX), "held",
	    control_number_or_null(is_known(k) ? k->held : UINT64_MAX), "last_byte",
	    control_time(dated ? k->last_ns : 0), "expires",
	    control_time(dated ? k->last_ns + keep_ns : 0), "state", state_of(k), "session",
	    session_of(sup, k));

	if (row == NULL || set_name(row, k) < 0)
		return NULL;
	return take_ptr(row);
}

/* ---- list-uploads: share after share, page after page, as the peer reads ---- */

struct list {
	struct question question; /* first: tell() is given it */
	const struct supervisor *sup;
	struct control_pages pages;
	json_t *unknown; /* shares whose uploads could not be told */
	bool failed;     /* no memory for a row */
	bool finished;
	uint32_t share;   /* of the page that is asked for, */
	uint64_t from[2]; /* and the first id of it */
	uint64_t until_usec;
};

/* The next page begins there. false: that is no way forward. */
static bool
go_behind(struct list *l, const uint64_t id[2])
{
	const uint64_t next[2] = { id[0] + (id[1] == UINT64_MAX), id[1] + 1 };

	if (next[0] < l->from[0] || (next[0] == l->from[0] && next[1] < l->from[1]))
		return false;
	memcpy(l->from, next, sizeof(l->from));
	return true;
}

static void
tell_row(struct question *q, const struct packet_kept *k)
{
	struct list *l = (struct list *)q;

	l->failed |= json_array_append_new(l->pages.rows, row_of(l->sup, k)) < 0;
	l->until_usec = clock_usec() + PATIENCE;
	(void)go_behind(l, k->id);
}

static int
begin_list(struct control_request *rq, struct list *l)
{
	l->sup = rq->sup;
	l->question.about = KEPT_UPLOAD;
	l->question.tell = tell_row;
	l->until_usec = clock_usec() + PATIENCE;
	l->pages.rows = json_array();
	l->unknown = json_array();
	(void)control_disks_ask(rq->sup); /* so those that hang are silent together, not in turn */
	return l->pages.rows == NULL || l->unknown == NULL ? -ENOMEM : 0;
}

static int
note_unknown(struct list *l, const char *why)
{
	json_t *row =
	    json_pack("{s:o, s:o}", "root", control_text(l->sup->config->shares[l->share].root),
		      "why", control_text(why));

	return json_array_append_new(l->unknown, row) < 0 ? -ENOMEM : 0;
}

static void
next_share(struct list *l)
{
	l->share = share_behind(l->sup->config, l->share);
	l->from[0] = l->from[1] = 0;
	l->until_usec = clock_usec() + PATIENCE;
}

/* The keeper has told a page. */
static int
end_page(struct list *l)
{
	const struct question *q = &l->question;
	int r = q->error < 0 ? note_unknown(l, err_text(q->error)) : 0;

	l->question.answered = false;
	if (q->error < 0 || !q->more || !go_behind(l, q->last))
		next_share(l);
	return r;
}

/* Of this share nothing more can be told. */
static int
give_up(struct list *l)
{
	int r = note_unknown(l, silence);

	questions_forget(&l->question);
	next_share(l);
	return r;
}

/* Asks for the next page. Where there is no keeper just now, one is tried again later. */
static int
ask_page(struct list *l)
{
	struct packet_keeper p = { .type = KEEPER_LIST,
				   .share = l->share,
				   .deadline_usec = clock_usec() + PATIENCE,
				   .id = { l->from[0], l->from[1] } };

	return questions_ask(&l->question, &p);
}

/* Until there are rows to be told, or no more. CONTROL_WAIT; CONTROL_DONE; -ENOMEM. */
static int
gather(struct control_request *rq, struct list *l)
{
	int r = l->unknown == NULL ? begin_list(rq, l) : 0;

	while (r == 0 && !l->finished && json_array_size(l->pages.rows) == 0) {
		if (l->question.answered)
			r = end_page(l);
		else if (clock_usec() >= l->until_usec || is_silent(l->share))
			r = give_up(l);
		else if (l->question.serial != 0 || ask_page(l) < 0)
			return CONTROL_WAIT;
		l->finished = l->share >= rq->sup->config->n_shares;
	}
	return l->failed ? -ENOMEM : r < 0 ? r : CONTROL_DONE;
}

static int
list_uploads_step(struct control_request *rq, json_t *answer)
{
	struct list *l = rq->state;
	int r = gather(rq, l);

	if (r == CONTROL_DONE)
		r = control_page(&l->pages, answer, "uploads");
	if (r != CONTROL_DONE)
		return r;
	l->pages.at = 0;
	(void)json_array_clear(l->pages.rows);
	return l->finished ? control_set(answer, "unknown", json_incref(l->unknown)) : CONTROL_MORE;
}

static void
list_uploads_done(void *state)
{
	struct list *l = state;

	questions_forget(&l->question);
	control_pages_done(&l->pages);
	json_decref(l->unknown);
}

const struct control_verb control_list_uploads = { .state_size = sizeof(struct list),
						   .step = list_uploads_step,
						   .done = list_uploads_done };

/* ---- one ---- */

bool
control_is_upload(const char *text)
{
	return text[0] == 'u';
}

/* With the claim, as its client has it, or without. */
static int
parse_id(const char *text, uint64_t ret[2])
{
	char whole[PARTIAL_ID_MAX];
	struct staged_id id;
	uint64_t claim;

	(void)snprintf(whole, sizeof(whole), "%s%s", text,
		       strlen(text) == ID_TEXT ? "0000000000000000" : "");
	if (strlen(text) > PARTIAL_ID_LEN ||
	    partial_parse_id(whole, strlen(whole), &id, &claim) < 0)
		return -EINVAL;
	ret[0] = id.session;
	ret[1] = id.number;
	return 0;
}

static void
tell_one(struct question *q, const struct packet_kept *k)
{
	struct control_upload *u = (struct control_upload *)q;

	json_decref(u->row);
	u->row = row_of(u->sup, k);
	if (u->row != NULL &&
	    control_set(u->row, "pieces",
			control_number_or_null(is_known(k) ? k->ranges : UINT64_MAX)) < 0)
		json_decref(take_ptr(u->row));
	u->found = true;
	if (u->packet.type == KEEPER_DISCARD)
		u->until_usec = clock_usec() + DISCARD_PATIENCE;
}

static void
ask_share(struct control_upload *u, unsigned share)
{
	questions_forget(&u->question);
	u->question.answered = u->asked = false;
	u->packet.share = share;
	u->packet.deadline_usec = u->until_usec = clock_usec() + PATIENCE;
}

static int
begin_one(struct control_request *rq, const char *text, enum keeper_type type,
	  struct control_upload *u)
{
	u->sup = rq->sup;
	u->question.about = KEPT_UPLOAD;
	u->question.tell = tell_one;
	u->begun_usec = clock_usec();
	u->error = -ENOENT;
	u->packet = (struct packet_keeper){ .type = type };
	if (parse_id(text, u->packet.id) < 0)
		return control_refuse(rq, -FTD_E_bad_request,
				      "an upload is u and 32 hex digits, not %s", text);
	(void)control_disks_ask(rq->sup); /* as for a list */
	ask_share(u, 0);
	return 0;
}

static int
refuse_one(struct control_request *rq, const struct control_upload *u)
{
	if (u->error == -ENOENT)
		return control_refuse(rq, -FTD_E_not_found, "there is no such unfinished upload");
	if (u->error == -EPERM)
		return control_refuse(rq, -FTD_E_permission,
				      "only a session of its own account can remove it: "
				      "upload-abort, or when it has expired");
	if (u->error == -EBUSY)
		return control_refuse(rq, u->error, "somebody writes to it and does not let go");
	if (u->error == -ETIMEDOUT && u->packet.type == KEEPER_DISCARD)
		return control_refuse(rq, -FTD_E_timeout,
				      "%s; whether the upload is still there is not known",
				      silence);
	if (u->error == -ETIMEDOUT)
		return control_refuse(rq, -FTD_E_timeout, "%s", silence);
	return u->error;
}

/* What the keeper of this share said, or that it said nothing: false, and it is still waited for.
 */
static bool
is_decided(struct control_upload *u, int *ret)
{
	const struct question *q = &u->question;
	/* what was begun and lost is not begun again: it may have happened */
	bool lost = u->asked && q->serial == 0 && u->packet.type == KEEPER_DISCARD;

	if (q->answered)
		*ret = q->error;
	else if (lost || clock_usec() >= u->until_usec || (!u->found && is_silent(u->packet.share)))
		*ret = -ETIMEDOUT;
	else
		return false;
	return true;
}

/* One share after the other: the id does not tell in which it is. CONTROL_DONE, and u->row is the
 * upload; CONTROL_WAIT; or the refusal. */
static int
ask_one(struct control_request *rq, const char *text, enum keeper_type type,
	struct control_upload *u)
{
	int r = u->begun_usec == 0 ? begin_one(rq, text, type, u) : 0;

	if (r < 0)
		return r;
	while (u->packet.share < rq->sup->config->n_shares) {
		if (!is_decided(u, &r)) {
			if (u->question.serial == 0)
				u->asked |= questions_ask(&u->question, &u->packet) == 0;
			return CONTROL_WAIT;
		}
		if (r == 0)
			return u->row != NULL ? CONTROL_DONE : -EBADMSG;
		if (r != -ENOENT)
			u->error = r;
		if (u->found) /* and something is wrong with it */
			break;
		ask_share(u, share_behind(rq->sup->config, u->packet.share));
	}
	return refuse_one(rq, u);
}

int
control_show_upload(struct control_request *rq, const char *text, struct control_upload *u,
		    json_t *answer)
{
	int r = ask_one(rq, text, KEEPER_SHOW, u);

	return r != CONTROL_DONE ? r : control_set(answer, "upload", json_incref(u->row));
}

void
control_upload_done(struct control_upload *u)
{
	questions_forget(&u->question);
	json_decref(take_ptr(u->row));
}

/* ---- upload discard ---- */

struct discard {
	struct message_str id;
	struct control_upload upload;
};

static const struct message_field discard_fields[] = {
	{ "id", MESSAGE_STR, offsetof(struct discard, id), CONTROL_ID_MAX, true },
};

static int
upload_discard_step(struct control_request *rq, json_t *answer)
{
	struct discard *args = rq->state;
	struct control_upload *u = &args->upload;
	int r = ask_one(rq, args->id.data, KEEPER_DISCARD, u);

	if (r != CONTROL_DONE)
		return r;
	r = control_set(answer, "upload", json_incref(u->row));
	return r < 0 ? r
		     : control_set(answer, "elapsed_ms",
				   control_number((clock_usec() - u->begun_usec) / USEC_PER_MSEC));
}

static void
upload_discard_done(void *state)
{
	struct discard *args = state;

	control_upload_done(&args->upload);
}

const struct control_verb control_upload_discard = {
	.fields = discard_fields,
	.n_fields = ARRAY_SIZE(discard_fields),
	.state_size = sizeof(struct discard),
	.step = upload_discard_step,
	.done = upload_discard_done,
};
