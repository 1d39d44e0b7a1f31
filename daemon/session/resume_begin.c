/* The first request of a resumable upload, and each that goes on with it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/session/quota.h"
#include "daemon/session/resume.h"
#include "daemon/session/room.h"
#include "lib/err.h"
#include "lib/own.h"

struct begin {
	struct session *s;
	struct upload *u;
	struct partial *p;
	bool fresh;  /* there was no record, or none that can be read */
	bool exists; /* there was one that this may go on with */
};

/* ---- which one */

/* The same upload finds itself again: by who, where, how large and the time, or else the digest, of
 * what is sent. Nobody can make another that has its key, so the hash is SHA-256. Without time and
 * digest it is found by its id only. */
static int
hash_of(const struct begin *b, struct staged_id *ret)
{
	const struct upload *u = b->u;
	struct digest_value hash;
	struct digest *d = NULL;
	int r;

	r = digest_new(DIGEST_SHA256, &d);
	if (r < 0)
		return r;
	digest_update(d, b->s->subject.user, strlen(b->s->subject.user) + 1);
	digest_update(d, u->place->name, strlen(u->place->name) + 1);
	digest_update(d, &u->transfer.expected, sizeof(u->transfer.expected));
	if (u->has_mtime)
		digest_update(d, &u->args.mtime_ns, sizeof(u->args.mtime_ns));
	else
		digest_update(d, u->transfer.digest.bytes,
			      digest_size(u->transfer.digest.algorithm));
	digest_final(d, &hash);
	(void)digest_free(d);
	memcpy(ret, hash.bytes, sizeof(*ret));
	return 0;
}

static int
key_of(const struct begin *b, struct staged_id *ret)
{
	const struct upload *u = b->u;
	int r;

	if (u->has_mtime || u->transfer.has_digest)
		r = hash_of(b, ret);
	else
		r = getrandom(ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret) ? 0 : -EIO;
	if (r == 0)
		ret->number = resume_mark(ret->number, &b->s->config->shares[u->place->share]);
	return r;
}

/* Whether what is sent now is what the record is about. */
static bool
is_same(const struct begin *b)
{
	const struct record_head *h = &b->p->head;
	const struct upload *u = b->u;

	if (strcmp(h->user, b->s->subject.user) != 0 || strcmp(h->name, u->place->name) != 0)
		return false;
	if (h->size != u->transfer.expected || h->has_mtime != u->has_mtime ||
	    (h->has_mtime && h->mtime_ns != u->args.mtime_ns))
		return false;
	return !h->has_digest || !u->transfer.has_digest ||
	       digest_equal(&h->digest, &u->transfer.digest);
}

/* By its id: what the request says besides must be what it was. */
static int
check_same(const struct begin *b, bool has_size)
{
	const struct record_head *h = &b->p->head;
	const struct upload *u = b->u;

	if ((has_size && u->transfer.expected != h->size) ||
	    (u->has_mtime && (!h->has_mtime || u->args.mtime_ns != h->mtime_ns)) ||
	    (u->transfer.has_digest && h->has_digest &&
	     !digest_equal(&u->transfer.digest, &h->digest)))
		return -FTD_E_changed;
	return 0;
}

/* ---- claiming it */

/* From here on it is ours, and nobody else writes. */
static int
claim(struct begin *b)
{
	int r = partial_claim(b->p);

	if (r < 0 && b->fresh) /* a disk that is full is not to be full of records */
		(void)partial_remove(b->p, b->s->shares[b->u->place->share].root);
	partial_unlock(b->p);
	if (r == 0)
		r = resume_alone(b->p, RESUME_TAKEOVER_USEC, &b->u->extra);
	if (r == 0)
		r = partial_lock(b->p);
	if (r == 0)
		r = resume_check_claim(b->p);
	return r == -ENOENT ? -FTD_E_busy : r;
}

static int
enter_by_id(struct begin *b)
{
	bool has_size = b->u->transfer.expected != UINT64_MAX;
	int r = resume_open(b->s, b->u->place, &b->u->args.upload, b->p);

	if (r == 0)
		r = resume_check_claim(b->p);
	if (r == 0)
		r = check_same(b, has_size);
	if (r == 0)
		r = partial_lock(b->p);
	if (r == 0)
		r = claim(b);
	if (r == 0)
		r = partial_load(b->p);
	if (r < 0)
		return r == -ENOENT ? -FTD_E_upload_unknown : r;
	if (b->p->state.phase == RECORD_DONE)
		return -FTD_E_upload_unknown;
	b->exists = true;
	resume_from_head(&b->p->head, b->u);
	return 0;
}

static int
enter_by_key(struct begin *b)
{
	int dir = staging_uploads(b->s, b->u->place->share), r;
	struct staged_id id;

	r = key_of(b, &id);
	if (r == 0 && dir < 0)
		r = dir;
	if (r < 0)
		return r;
	partial_init(b->p, dir, &id);
	r = partial_enter(b->p);
	if (r < 0)
		return r;
	b->exists = r == 1;
	b->fresh = !b->exists;
	r = claim(b);
	if (r == 0 && b->exists)
		r = partial_load(b->p);
	b->exists = b->exists && b->p->state.phase != RECORD_DONE && is_same(b);
	return r;
}

/* ---- beginning */

static mode_t
mode_of(const struct upload *u)
{
	return u->has_mode ? (mode_t)u->args.mode & UPLOAD_MODE : 0666;
}

/* What was there under its id is of no use. */
static int
start_anew(struct begin *b)
{
	struct session *s = b->s;
	struct upload *u = b->u;
	struct staging *st = &u->publish.staging;
	int r;

	r = staging_keep(s, u->place, u->publish.target_dir, mode_of(u), &b->p->id, st);
	if (r < 0)
		return r;
	if (quota_applies(s, u->place->share)) {
		st->hold.state = LEDGER_RESERVED;
		quota_release(s, st);
		r = quota_reserve(s, st, u->transfer.expected);
	}
	if (r == 0)
		r = room_take(s, st, u->transfer.expected);
	if (r == 0) {
		resume_to_head(s, u, &b->p->head);
		b->p->head.elsewhere = st->elsewhere;
		b->p->head.shares = u->rq->target != NULL;
		r = partial_start(b->p);
	}
	if (r == 0 && st->elsewhere && fsync(u->publish.target_dir) < 0)
		r = -errno;
	if (r == 0 && fsync(b->p->dir) < 0)
		r = -errno;
	if (r < 0)
		staging_discard(s, st);
	return r;
}

static int
go_on(struct begin *b)
{
	struct upload *u = b->u;
	struct staging *st = &u->publish.staging;
	int r = resume_content(b->s, u->place, b->p, u->publish.target_dir, st);

	if (r == 0)
		r = resume_check_held(b->p, st->fd);
	if (r == 1)
		r = partial_store(b->p);
	if (r == 0)
		r = quota_resume(b->s, st, u->transfer.expected);
	/* the disk may have lost something since: what is not looked at again is read at the end */
	if (r == 0)
		r = partial_forget_sums(b->p, 0, INT64_MAX);
	return r;
}

int
resume_begin(struct session *s, struct upload *u, struct partial *p)
{
	struct begin b = { .s = s, .u = u, .p = p };
	int r;

	r = u->args.upload.data != NULL ? enter_by_id(&b) : enter_by_key(&b);
	if (r < 0)
		return r;
	u->begun = b.exists;
	r = prepare_target(s, u);
	if (r == 0 && b.exists) {
		r = go_on(&b);
		if (r == -FTD_E_upload_unknown && u->args.upload.data == NULL)
			b.exists = false;
	}
	if (!b.exists && (r == 0 || r == -FTD_E_upload_unknown))
		r = start_anew(&b);
	if (r == 0 && u->rq->target != NULL && p->head.shares && p->state.ranges.n == 0)
		r = resume_base(s, u, p);
	if (r != 0 && r != -FTD_E_taken_over && !b.exists)
		(void)resume_remove(s, u->place->share, p);
	return r;
}

/* ---- the request */

static int
answer(struct session *s, const struct upload *u, const struct partial *p)
{
	auto_json json_t *o = resume_ranges(p);
	char id[PARTIAL_ID_MAX];

	if (o == NULL ||
	    json_object_set_new(o, "upload", json_string(partial_format_id(&p->id, p->claim, id))) <
		0 ||
	    json_object_set_new(o, "block", json_integer(DIGEST_BLOCK)) < 0 ||
	    json_object_set_new(o, "expires_s", json_integer(resume_expires(s))) < 0)
		return -ENOMEM;
	return reply_ok(s, u->rq, take_ptr(o));
}

static int
refuse_begin(struct session *s, struct upload *u, int r)
{
	u->extra = resume_explain(s, u->place, r, take_ptr(u->extra));
	return reply_error(s, u->rq, shares_conceal(u->place, r),
			   u->message[0] != '\0' ? u->message : NULL, take_ptr(u->extra));
}

int
op_upload_begin(struct session *s, const struct request *rq)
{
	struct partial *p = calloc(1, sizeof(*p));
	struct upload u;
	int r;

	if (p == NULL)
		return reply_error(s, rq, -ENOMEM, NULL, NULL);
	p->record = -1;
	r = upload_read_begin(&u, rq);
	if (r == 0)
		r = resume_begin(s, &u, p);
	/* what is there stays there */
	staging_leave(&u.publish.staging);
	if (r == 1)
		r = reply_ok(s, rq, take_ptr(u.extra));
	else
		r = r < 0 ? refuse_begin(s, &u, r) : answer(s, &u, p);
	partial_done(p);
	upload_done(s, &u);
	free(p);
	return r;
}
