#include "daemon/session/resume.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/common/reserved.h"
#include "daemon/session/quota.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

/* ---- finding one */

static bool
is_ours(const struct session *s, const struct partial *p)
{
	return strcmp(p->head.user, s->subject.user) == 0;
}

/* Of an upload that is not there. */
static int
missing(const struct session *s, uint64_t claim)
{
	return partial_is_older(claim, s->config->uploads_keep) ? -FTD_E_upload_expired
								: -FTD_E_upload_unknown;
}

/* The share's .ftd/uploads, where it is there. */
static int
look_into(struct session *s, unsigned share)
{
	struct session_share *h = &s->shares[share];
	int root = shares_root(s, share);

	if (s->view.shares[share] == 0)
		return -ENOENT;
	if (h->uploads < 0 && root >= 0)
		h->uploads = reserved_open(root, RESERVED_UPLOADS);
	return root >= 0 ? h->uploads : root;
}

/* Whether there is no such upload, as far as can be told; else nothing is known of it. */
static bool
is_absent(int r)
{
	/* where users have uids of their own, what another one has is not to be read */
	return r == -ENOENT || r == -EBADMSG || r == -EPERM;
}

/* In one share: 0, and its record has been read. */
static int
find_in(struct session *s, unsigned share, const struct staged_id *id, struct partial *p)
{
	int dir = look_into(s, share), r;

	partial_init(p, dir, id);
	r = dir < 0 ? dir : partial_open(p);
	if (r == 0 && !is_ours(s, p))
		r = -ENOENT;
	return r;
}

uint64_t
resume_mark(uint64_t number, const struct config_share *share)
{
	uint64_t mark = 0;

	for (const char *c = share->path; *c != '\0'; c++)
		mark = 31 * mark + (unsigned char)*c;
	return number << 8 | (mark & UINT8_MAX);
}

/* In the shares that have the mark, or in the others; *failed: in one of them nobody knows. */
static int
find_in_those(struct session *s, const struct staged_id *id, bool marked, struct partial *p,
	      int *failed)
{
	int r = -ENOENT;

	for (unsigned i = 0; i < s->config->n_shares && r != 0; i++) {
		if (((uint8_t)resume_mark(0, &s->config->shares[i]) == (uint8_t)id->number) !=
		    marked)
			continue;
		r = find_in(s, i, id, p);
		partial_done(p);
		if (r < 0 && !is_absent(r))
			*failed = r;
	}
	return r;
}

int
resume_name(struct session *s, const struct request *rq, char *ret)
{
	const json_t *text = json_object_get(rq->object, "upload");
	struct staged_id id;
	struct partial p;
	uint64_t claim;
	int r, failed = 0;

	if (text == NULL)
		return 0;
	if (!json_is_string(text) ||
	    partial_parse_id(json_string_value(text), json_string_length(text), &id, &claim) < 0)
		return -FTD_E_upload_unknown;
	r = find_in_those(s, &id, true, &p, &failed);
	if (r < 0)
		r = find_in_those(s, &id, false, &p, &failed);
	if (r < 0)
		return failed != 0 ? failed : missing(s, claim);
	memcpy(ret, p.head.name, sizeof(p.head.name));
	return 1;
}

int
resume_open(struct session *s, const struct place *place, const struct message_str *id,
	    struct partial *p)
{
	struct staged_id staged = { 0 };
	uint64_t claim = 0;
	int r = partial_parse_id(id->data, id->len, &staged, &claim);

	if (r < 0) {
		partial_init(p, -1, &staged);
		return -FTD_E_upload_unknown;
	}
	r = find_in(s, place->share, &staged, p);
	p->claim = claim;
	return is_absent(r) ? missing(s, claim) : r;
}

int
resume_check_claim(const struct partial *p)
{
	uint64_t claim;
	int r = partial_read_claim(p, &claim);

	return r < 0 ? r : claim == p->claim ? 0 : -FTD_E_taken_over;
}

int
resume_alone(struct partial *p, uint64_t usec, json_t **ret_extra)
{
	int r = partial_await_writers(p, usec);

	if (r != -EBUSY)
		return r;
	*ret_extra = json_pack("{s:i}", "retry_after_ms", RESUME_RETRY_MS);
	return -FTD_E_busy;
}

/* ---- what is told */

json_t *
resume_explain(struct session *s, const struct place *place, int r, json_t *extra)
{
	if (extra != NULL)
		return extra;
	if (r == -FTD_E_quota_exceeded)
		return quota_refusal(s, place->share);
	return r == -FTD_E_busy ? json_pack("{s:i}", "retry_after_ms", RESUME_RETRY_MS) : NULL;
}

json_t *
resume_ranges(const struct partial *p)
{
	const struct record_ranges *r = &p->state.ranges;
	auto_json json_t *list = json_array();

	for (unsigned i = 0; i < r->n; i++)
		if (json_array_append_new(list, json_pack("[I, I]", (json_int_t)r->list[i].first,
							  (json_int_t)r->list[i].end)) < 0)
			return NULL;
	return json_pack("{s:o}", "ranges", take_ptr(list));
}

json_int_t
resume_expires(const struct session *s)
{
	return (json_int_t)(s->config->uploads_keep / USEC_PER_SEC);
}

/* ---- records */

_Static_assert((int)RECORD_ETAG_MAX == (int)ENTRY_ETAG_MAX, "an etag fits into a record");

void
resume_to_head(const struct session *s, const struct upload *u, struct record_head *ret)
{
	struct record_head *h = ret;

	memset(h, 0, sizeof(*h));
	memcpy(h->user, s->subject.user, sizeof(h->user));
	memcpy(h->name, u->place->name, strlen(u->place->name) + 1);
	h->size = u->transfer.expected;
	h->has_mtime = u->has_mtime;
	h->mtime_ns = u->has_mtime ? u->args.mtime_ns : 0;
	h->has_mode = u->has_mode;
	h->mode = u->has_mode ? (uint32_t)u->args.mode & UPLOAD_MODE : 0;
	h->has_digest = u->transfer.has_digest;
	h->digest = u->transfer.digest;
	h->how = u->publish.how;
	h->match = u->publish.match;
	memcpy(h->etag, u->publish.etag, sizeof(h->etag));
	h->parents = u->args.parents;
	h->begun_ns = clock_real_ns();
}

void
resume_from_head(const struct record_head *h, struct upload *u)
{
	u->transfer.expected = h->size;
	u->has_mtime = h->has_mtime;
	u->args.mtime_ns = h->mtime_ns;
	u->has_mode = h->has_mode;
	u->args.mode = h->mode;
	u->transfer.has_digest = h->has_digest;
	u->transfer.digest = h->digest;
	u->publish.how = (enum publish_how)h->how;
	u->publish.match = h->match;
	memcpy(u->publish.etag, h->etag, sizeof(h->etag));
	u->args.parents = h->parents;
}

int
resume_content(struct session *s, const struct place *place, const struct partial *p,
	       int target_dir, struct staging *ret)
{
	int r = staging_resume(s, place, target_dir, p->head.elsewhere, &p->id, p->head.size, ret);

	/* blocks that are another file's as well are no room for what is written */
	if (r == 0 && p->head.shares)
		ret->allocated = false;
	return r;
}

int
resume_remove(struct session *s, unsigned share, struct partial *p)
{
	struct staging st = { .id = p->id, .share = share, .fd = -1, .marker_fd = -1 };
	int r = partial_remove(p, s->shares[share].root);

	if (r == 0 && quota_applies(s, share)) {
		st.hold.state = LEDGER_RESERVED;
		quota_release(s, &st);
	}
	return r;
}

int
resume_check_held(struct partial *p, int content)
{
	const struct record_ranges *r = &p->state.ranges;
	struct stat st;

	if (fstat(content, &st) < 0)
		return -errno;
	if (r->n == 0 || r->list[r->n - 1].end <= (uint64_t)st.st_size)
		return 0;
	return record_drop(&p->state.ranges, (uint64_t)st.st_size, INT64_MAX) < 0 ? -EBADMSG : 1;
}
