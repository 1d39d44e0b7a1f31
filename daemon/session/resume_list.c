/* What there is of unfinished uploads, and the end of one that is not wanted any more. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/common/reserved.h"
#include "daemon/session/content.h"
#include "daemon/session/quota.h"
#include "daemon/session/resume.h"
#include "daemon/session/stop.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum { PIECE = 64 << 10 };
#define PIECE_USEC (4 * USEC_PER_SEC)

struct args {
	struct message_str upload;
	bool blocks;
};

static const struct message_field fields[] = {
	{ "upload", MESSAGE_STR, offsetof(struct args, upload), PARTIAL_ID_LEN, true },
	{ "blocks", MESSAGE_BOOL, offsetof(struct args, blocks), 0, false },
};

/* ---- status */

struct status {
	struct session *s;
	const struct request *rq;
	const struct place *place;
	struct args args;
	struct partial p;
	struct staging staging;
	int target_dir;
	bool saves; /* nobody writes: what is found out is kept */
	struct digest *of_piece;
	uint8_t *piece;
	size_t used;
	struct stop stop;
	int error;
};

static json_t *
describe(struct status *t)
{
	const struct record_head *h = &t->p.head;
	json_t *o = resume_ranges(&t->p);

	if (o == NULL || json_object_set_new(o, "block", json_integer(DIGEST_BLOCK)) < 0 ||
	    json_object_set_new(o, "filesize",
				h->size != UINT64_MAX ? json_integer((json_int_t)h->size)
						      : json_null()) < 0 ||
	    json_object_set_new(o, "expires_s", json_integer(resume_expires(t->s))) < 0)
		return NULL;
	return o;
}

/* The digest of a block that is held wholly, as the disk has it; else zeros. */
static int
digest_block_of(struct status *t, uint64_t block, uint8_t *dst)
{
	uint64_t at = block * DIGEST_BLOCK, end = at + DIGEST_BLOCK;
	struct digest_value v;
	size_t n;
	int r;

	end = end < t->p.head.size ? end : t->p.head.size;
	memset(dst, 0, RECORD_SUM);
	if (!record_holds(&t->p.state.ranges, at, end))
		return 0;
	r = content_digest(t->s, DIGEST_XXH3);
	for (; r == 0 && at < end; at += n) {
		n = end - at < SESSION_CHUNK ? (size_t)(end - at) : SESSION_CHUNK;
		r = stop_look(t->s, &t->stop);
		if (r > 0)
			t->error = t->stop.error;
		if (r == 0)
			r = t->error = content_read(t->staging.fd, t->s->chunk, n, at);
		if (r == 0)
			digest_update(t->s->digest, t->s->chunk, n);
	}
	if (r != 0)
		return t->error < 0 ? 1 : r;
	digest_final(t->s->digest, &v);
	memcpy(dst, v.bytes, RECORD_SUM);
	if (t->saves)
		partial_set_sum(&t->p, block, v.bytes);
	return 0;
}

static int
send_piece(struct status *t)
{
	json_t *o = json_pack("{s:I}", "body", (json_int_t)t->used);
	int r;

	if (o == NULL)
		return -ENOMEM;
	r = reply_more(t->s, t->rq, o);
	if (r == 0)
		r = conn_write_body(t->s, t->piece, t->used);
	digest_update(t->of_piece, t->piece, t->used);
	t->used = 0;
	return r;
}

static int
send_trailer(struct status *t)
{
	char text[DIGEST_TEXT_MAX];
	struct digest_value v;

	if (t->stop.error < 0)
		return stop_answer(t->s, t->rq, &t->stop, NULL);
	if (t->error < 0)
		return reply_error(t->s, t->rq, t->error, NULL, NULL);
	digest_final(t->of_piece, &v);
	return reply_ok(t->s, t->rq, json_pack("{s:s}", "digest", digest_format(&v, text)));
}

/* Up to the last byte that is held. */
static uint64_t
n_blocks(const struct partial *p)
{
	const struct record_ranges *r = &p->state.ranges;

	return r->n == 0 ? 0 : (r->list[r->n - 1].end - 1) / DIGEST_BLOCK + 1;
}

static int
send_blocks(struct status *t)
{
	uint64_t sent_usec = clock_usec(), n = n_blocks(&t->p);
	int r = reply_more(t->s, t->rq, describe(t));

	for (uint64_t i = 0; i < n && r == 0; i++) {
		r = digest_block_of(t, i, t->piece + t->used);
		t->used += r == 0 ? RECORD_SUM : 0;
		if (r == 0 && (t->used == PIECE || clock_usec() - sent_usec > PIECE_USEC)) {
			r = send_piece(t);
			sent_usec = clock_usec();
		}
	}
	if (r == 0 && t->used > 0)
		r = send_piece(t);
	return r < 0 ? r : send_trailer(t);
}

static int
open_blocks(struct status *t)
{
	const char *leaf;
	int r;

	t->target_dir = shares_open_parent(t->s, t->place, &leaf);
	if (t->target_dir < 0)
		return t->target_dir;
	r = resume_content(t->s, t->place, &t->p, t->target_dir, &t->staging);
	if (r < 0)
		return r;
	t->piece = malloc(PIECE);
	if (t->piece == NULL || session_chunk(t->s) == NULL)
		return -ENOMEM;
	/* what a killed session wrote may be in memory only */
	t->saves = partial_await_writers(&t->p, 0) == 0 && fdatasync(t->staging.fd) == 0;
	return digest_new(DIGEST_XXH3, &t->of_piece);
}

static int
look_up(struct status *t)
{
	int r = resume_open(t->s, t->place, &t->args.upload, &t->p);

	if (r == 0)
		r = resume_check_claim(&t->p);
	if (r == 0)
		r = partial_lock(&t->p);
	if (r == 0)
		r = partial_load(&t->p);
	if (r == 0) {
		partial_unlock(&t->p);
		r = t->p.state.done ? -FTD_E_upload_unknown : 0;
	}
	return r == 0 && t->args.blocks ? open_blocks(t) : r;
}

int
op_upload_status(struct session *s, const struct request *rq)
{
	struct status *t = calloc(1, sizeof(*t));
	uint64_t has;
	int r;

	if (t == NULL)
		return reply_error(s, rq, -ENOMEM, NULL, NULL);
	*t = (struct status){ .s = s, .rq = rq, .place = rq->source, .target_dir = -1 };
	t->p.record = t->staging.fd = t->staging.marker_fd = -1;
	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &t->args, &has);
	if (r > 0) {
		r = look_up(t);
		if (r < 0)
			r = reply_error(s, rq, shares_conceal(t->place, r), NULL, NULL);
		else
			r = t->args.blocks ? send_blocks(t) : reply_ok(s, rq, describe(t));
	}
	staging_leave(&t->staging);
	close_fd(&t->target_dir);
	partial_done(&t->p);
	(void)digest_free(t->of_piece);
	free(t->piece);
	free(t);
	return r;
}

/* ---- abort */

static int
discard(struct session *s, const struct place *place, struct partial *p, json_t **ret_extra)
{
	struct staging st = { .id = p->id, .share = place->share, .fd = -1, .marker_fd = -1 };
	int r = resume_check_claim(p);

	if (r == 0)
		r = partial_lock(p);
	if (r == 0) {
		r = partial_claim(p); /* so that who writes lets go */
		partial_unlock(p);
	}
	if (r == 0)
		r = resume_alone(p, RESUME_TAKEOVER_USEC, ret_extra);
	if (r == 0)
		r = partial_lock(p);
	if (r < 0)
		return r;
	r = partial_remove(p, s->shares[place->share].root);
	if (r == 0 && quota_applies(s, place->share)) {
		st.hold.state = LEDGER_RESERVED;
		quota_release(s, &st);
	}
	return r;
}

int
op_upload_abort(struct session *s, const struct request *rq)
{
	struct partial *p = malloc(sizeof(*p));
	struct args args = { 0 };
	json_t *extra = NULL;
	uint64_t has;
	int r;

	if (p == NULL)
		return reply_error(s, rq, -ENOMEM, NULL, NULL);
	p->record = -1;
	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &args, &has);
	if (r > 0) {
		r = resume_open(s, rq->source, &args.upload, p);
		if (r == 0)
			r = discard(s, rq->source, p, &extra);
		r = r < 0 ? reply_error(s, rq, shares_conceal(rq->source, r), NULL, extra)
			  : reply_ok(s, rq, NULL);
	}
	partial_done(p);
	free(p);
	return r;
}

/* ---- list */

static json_t *
entry_of(const struct session *s, struct partial *p)
{
	const struct record_head *h = &p->head;
	char id[PARTIAL_ID_MAX], name[PATH_BYTES_MAX + 2];
	auto_json json_t *o = NULL;

	if (partial_read_claim(p, &p->claim) < 0 || partial_load(p) < 0 || p->state.done)
		return NULL;
	o = json_pack("{s:s, s:I, s:I}", "upload", partial_format_id(&p->id, p->claim, id), "held",
		      (json_int_t)record_held(&p->state.ranges), "expires_s", resume_expires(s));
	name[0] = '/';
	memcpy(name + 1, h->name, sizeof(h->name));
	if (o == NULL || message_set_name(o, "filename", name, strlen(name)) < 0)
		return NULL;
	if (h->size != UINT64_MAX)
		(void)json_object_set_new(o, "filesize", json_integer((json_int_t)h->size));
	if (h->has_mtime)
		(void)json_object_set_new(o, "mtime_ns", json_integer(h->mtime_ns));
	return take_ptr(o);
}

struct listing {
	struct session *s;
	const struct request *rq;
	json_t *list;
	size_t bytes;
	struct partial p;
};

static int
send_list(struct listing *l, bool more)
{
	json_t *o = json_pack("{s:o}", "uploads", take_ptr(l->list));

	if (o == NULL)
		return -ENOMEM;
	l->list = json_array();
	l->bytes = 0;
	return more ? reply_more(l->s, l->rq, o) : reply_ok(l->s, l->rq, o);
}

static int
add(struct listing *l, const struct staged_id *id, int dir)
{
	json_t *entry = NULL;
	int r = 0;

	partial_init(&l->p, dir, id);
	if (partial_open(&l->p) == 0 && strcmp(l->p.head.user, l->s->subject.user) == 0)
		entry = entry_of(l->s, &l->p);
	partial_done(&l->p);
	if (entry == NULL)
		return 0;
	l->bytes += 256 + 6 * strlen(l->p.head.name);
	if (l->bytes > FRAME_HEADER_MAX - 1024 && json_array_size(l->list) > 0)
		r = send_list(l, true);
	if (json_array_append_new(l->list, entry) < 0)
		return -ENOMEM;
	return r;
}

static int
list_share(struct listing *l, unsigned share)
{
	size_t len, suffix = strlen(PARTIAL_RECORD);
	auto_dir DIR *dir = NULL;
	const struct dirent *e;
	struct staged_id id;
	int r = 0, fd;

	if (l->s->view.shares[share] == 0 || l->s->shares[share].root < 0)
		return 0;
	fd = reserved_open(l->s->shares[share].root, RESERVED_UPLOADS);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (dir == NULL) {
		close_fd(&fd);
		return 0;
	}
	while (r == 0 && (e = readdir(dir)) != NULL) {
		len = strlen(e->d_name);
		if (len > suffix && strcmp(e->d_name + len - suffix, PARTIAL_RECORD) == 0 &&
		    staged_parse(e->d_name, len - suffix, &id) == 0)
			r = add(l, &id, dirfd(dir));
	}
	return r;
}

/* Who has not logged in knows theirs by the ids. */
int
op_upload_list(struct session *s, const struct request *rq)
{
	struct listing *l;
	uint64_t has;
	int r = dispatch_decode(s, rq, NULL, 0, NULL, &has);

	if (r <= 0)
		return r;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return reply_error(s, rq, -ENOMEM, NULL, NULL);
	l->s = s;
	l->rq = rq;
	l->list = json_array();
	r = l->list != NULL ? 0 : -ENOMEM;
	for (unsigned i = 0; i < s->config->n_shares && r == 0 && s->subject.user[0] != '\0'; i++)
		r = list_share(l, i);
	if (r == 0)
		r = send_list(l, false);
	json_decref(l->list);
	free(l);
	return r;
}
