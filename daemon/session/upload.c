#include "daemon/session/upload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/session/atrest.h"
#include "daemon/session/quota.h"
#include "daemon/session/resume.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum { FIELD_FILESIZE };

#define AT(field) offsetof(struct upload_args, field)
static const struct message_field fields[] = {
	[FIELD_FILESIZE] = { "filesize", MESSAGE_NULLABLE, AT(filesize), INT64_MAX, false },
	{ "mtime_ns", MESSAGE_INT, AT(mtime_ns), 0, false },
	{ "mode", MESSAGE_UINT, AT(mode), UINT32_MAX, false },
	{ "parents", MESSAGE_BOOL, AT(parents), 0, false },
	{ "expect", MESSAGE_BOOL, AT(expect), 0, false },
	{ "keep", MESSAGE_BOOL, AT(keep), 0, false },
	{ "digest", MESSAGE_STR, AT(digest), DIGEST_TEXT_MAX, false },
	{ "if_exists", MESSAGE_STR, AT(if_exists), 16, false },
	{ "if_match", MESSAGE_STR, AT(if_match), ENTRY_ETAG_MAX - 1, false },
	{ "upload", MESSAGE_STR, AT(upload), 64, false },
};
#undef AT

void
upload_done(struct session *s, struct upload *u)
{
	publish_done(s, &u->publish);
	json_decref(u->extra);
	u->extra = NULL;
}

int
upload_refusal(struct upload *u, int r, const char *key, json_t *value)
{
	json_decref(u->extra);
	u->extra = json_object();
	(void)json_object_set_new(u->extra, key, value);
	return r;
}

static int
because(struct upload *u, int r, const char *message)
{
	(void)snprintf(u->message, sizeof(u->message), "%s", message);
	return r;
}

/* ---- the request */

static bool
has_number(const struct request *rq, const char *key)
{
	return json_is_integer(json_object_get(rq->object, key));
}

/* How many bytes follow, and how many the file will have. */
static int
read_size(struct upload *u, const struct request *rq)
{
	struct transfer *t = &u->transfer;
	const char *key, *why;
	uint64_t has;
	bool known;

	known = message_decode(rq->object, &fields[FIELD_FILESIZE], 1, &u->args, &has, &key,
			       &why) == 0 &&
		has_number(rq, "filesize");
	t->expected = known ? u->args.filesize : rq->has_body && !rq->more ? rq->body : UINT64_MAX;
	if (!known && !rq->has_body && !rq->more) {
		t->close = true;
		return because(u, -FTD_E_bad_request, "filesize or body is needed");
	}
	u->body.more = rq->more;
	u->body.bytes = rq->has_body || rq->more ? rq->body : t->expected;
	/* who expects sends nothing before the final answer, or continue, whatever else is wrong */
	if (!json_is_true(json_object_get(rq->object, "expect")))
		t->rest = u->body;
	return 0;
}

static int
read_words(struct upload *u)
{
	const struct message_str *digest = &u->args.digest, *match = &u->args.if_match;
	struct transfer *t = &u->transfer;
	int r;

	r = claim_how(&u->args.if_exists, PUBLISH_REPLACE, &u->publish.how);
	if (r < 0)
		return because(u, r, "if_exists must be replace, fail or keep_both");
	if (match->data != NULL) {
		u->publish.match = true;
		memcpy(u->publish.etag, match->data, match->len + 1);
	}
	if (digest->data == NULL)
		return 0;
	r = digest_parse(digest->data, digest->len, &t->digest, &t->has_digest);
	return r < 0 ? because(u, r,
			       "digest must be xxh3, sha256 or blocks, or one of them with its "
			       "hex digits")
		     : 0;
}

static void
upload_init(struct upload *u, const struct request *rq)
{
	*u = (struct upload){ .rq = rq, .place = rq->source };
	publish_init(&u->publish);
}

int
upload_read(struct upload *u, const struct request *rq)
{
	struct transfer *t = &u->transfer;
	uint64_t has;
	int r;

	upload_init(u, rq);
	t->digest.algorithm = DIGEST_XXH3;
	r = read_size(u, rq);
	if (r == 0)
		r = request_decode(rq, fields, ARRAY_SIZE(fields), &u->args, &has, u->message);
	if (r == 0)
		r = read_words(u);
	if (r < 0)
		return r;
	u->has_mtime = has_number(rq, "mtime_ns");
	u->has_mode = has_number(rq, "mode");
	/* what the client said twice must agree */
	return rq->more || u->body.bytes == t->expected ? 0 : -FTD_E_size_mismatch;
}

int
upload_read_begin(struct upload *u, const struct request *rq)
{
	uint64_t has;
	int r;

	upload_init(u, rq);
	u->transfer.digest.algorithm = DIGEST_XXH3;
	r = request_decode(rq, fields, ARRAY_SIZE(fields), &u->args, &has, u->message);
	if (r == 0)
		r = read_words(u);
	u->has_mtime = has_number(rq, "mtime_ns");
	u->has_mode = has_number(rq, "mode");
	u->transfer.expected = has_number(rq, "filesize") ? u->args.filesize : UINT64_MAX;
	return r;
}

int
upload_rest(const struct request *rq, struct refuse_rest *ret)
{
	struct upload u;
	int r;

	upload_init(&u, rq);
	r = read_size(&u, rq);
	*ret = u.body;
	return r;
}

/* ---- the body, and after it */

static int
set_mode(struct staging *st, mode_t mode)
{
	if (st->mode == mode)
		return 0;
	if (fchmod(st->fd, mode) < 0)
		return -errno;
	st->mode = mode;
	return 0;
}

/* A file that nobody may write takes no note, so its mode comes after that. */
static int
note_digest(struct session *s, struct upload *u)
{
	struct staging *st = &u->publish.staging;
	struct entry_stat is;
	int r;

	r = set_mode(st, st->mode | S_IWUSR);
	if (r == 0)
		r = entry_stat(st->fd, NULL, &is);
	if (r == 0)
		atrest_put(s, st->share, st->fd, &is, &u->transfer.digest);
	return r;
}

int
upload_finish(struct session *s, struct upload *u)
{
	struct publish *p = &u->publish;
	mode_t mode = p->staging.mode;
	int r = 0;

	if (u->has_mode)
		mode = quota_mode(s, p->staging.share, (mode_t)u->args.mode & UPLOAD_MODE);
	if (u->has_mtime)
		r = entry_set_mtime(p->staging.fd, u->args.mtime_ns);
	if (r == 0 && u->transfer.size >= ATREST_MIN)
		r = note_digest(s, u);
	if (r == 0)
		r = set_mode(&p->staging, mode);
	p->name = strdup(u->place->name);
	if (r < 0 || p->name == NULL)
		return r < 0 ? r : -ENOMEM;
	p->id = json_incref(u->rq->id);
	p->size = u->transfer.size;
	p->digest = u->transfer.digest;
	p->bytes = u->transfer.received;
	p->transfer = report_transfer_park(s);
	return 0;
}

int
upload_take(struct session *s, struct upload *u)
{
	int r;

	r = transfer_receive(s, u->rq, &u->transfer);
	if (r != 0)
		return r;
	u->transfer.error = upload_finish(s, u);
	return u->transfer.error < 0;
}

int
upload_lost(struct session *s, int r)
{
	if (s->report->transfer != 0)
		report_transfer_end(s, r == -ETIMEDOUT ? "timeout" : "cancelled",
				    r == -ENODATA ? "the client is gone" : NULL);
	return r;
}

/* ---- the operation */

/* Tells the client and the report, and drops what still comes. */
static int
give_up(struct session *s, struct upload *u, int r)
{
	const char *message = u->message[0] != '\0' ? u->message : u->transfer.message;
	int end;

	if (r == -FTD_E_cancelled && gap_kicked(s))
		message = gap_reason(s, u->message);
	if (s->report->transfer != 0)
		report_transfer_end(s, err_code(r), message);
	publish_done(s, &u->publish); /* what came is void; what still comes may take its time */
	if (r == -FTD_E_quota_exceeded)
		u->extra = quota_refusal(s, u->place->share);
	if (u->transfer.close)
		(void)upload_refusal(u, r, "close", json_true());
	end = refuse(s, u->rq, &u->transfer.rest, r, message, take_ptr(u->extra));
	return end == 0 && u->transfer.close ? 1 : end;
}

static int
answer_unchanged(struct session *s, struct upload *u)
{
	report_transfer_end(s, "ok", "unchanged");
	return reply_ok(s, u->rq, take_ptr(u->extra));
}

/* Whether it must not share a sync with those before it. */
static bool
is_alone(const struct upload *u)
{
	return u->args.expect || u->publish.match || u->publish.how == PUBLISH_KEEP_BOTH ||
	       u->body.more || u->transfer.expected > SESSION_SMALL;
}

/* Content, and publishing at once or with those that follow. */
static int
carry_out(struct session *s, struct upload *u, bool alone)
{
	int r;

	r = upload_take(s, u);
	if (r < 0)
		return upload_lost(s, r);
	if (r > 0)
		return give_up(s, u, shares_conceal(u->place, u->transfer.error));
	r = group_add(s, &u->publish);
	return r == 0 && alone ? group_flush(s) : r;
}

/* Without a time and a digest nobody would find again what was kept. */
static bool
is_kept(const struct upload *u)
{
	return u->args.keep && (u->has_mtime || u->transfer.has_digest);
}

static int
serve_kept(struct session *s, struct upload *u)
{
	int r = group_flush(s);

	if (r < 0)
		return r;
	r = resume_keep(s, u);
	if (r < 0)
		return upload_lost(s, r);
	if (r > 0)
		return give_up(s, u, shares_conceal(u->place, u->transfer.error));
	return reply_ok(s, u->rq, take_ptr(u->extra));
}

static int
serve(struct session *s, struct upload *u)
{
	bool alone = is_alone(u);
	int r = 0, flushed;

	if (alone)
		r = group_flush(s);
	if (r < 0)
		return r;
	r = prepare_upload(s, u);
	if (r < 0 && group_pending(s)) {
		/* a name may be there, or a descriptor free, once those before it are published */
		flushed = group_flush(s);
		if (flushed < 0)
			return upload_lost(s, flushed);
		r = prepare_upload(s, u);
	}
	if (r < 0)
		return give_up(s, u, r);
	if (r == 1)
		return answer_unchanged(s, u);
	if (u->args.expect)
		r = reply_continue(s, u->rq);
	u->transfer.rest = u->body;
	return r < 0 ? upload_lost(s, r) : carry_out(s, u, alone);
}

int
op_upload(struct session *s, const struct request *rq)
{
	struct upload u;
	int r;

	r = upload_read(&u, rq);
	if (r < 0)
		r = give_up(s, &u, r);
	else
		r = is_kept(&u) ? serve_kept(s, &u) : serve(s, &u);
	upload_done(s, &u);
	return r;
}

int
upload_refuse(struct session *s, const struct request *rq, const char *name, int r,
	      const char *message)
{
	struct upload u;
	int unread;

	upload_init(&u, rq);
	unread = read_size(&u, rq);
	if (unread == 0)
		(void)because(&u, r, message);
	if (name[0] != '\0')
		report_transfer_begin(s, "upload", true, name, u.transfer.expected);
	r = give_up(s, &u, unread < 0 ? unread : r);
	upload_done(s, &u);
	return r;
}
