#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/content.h"
#include "client/interrupt.h"
#include "client/large.h"
#include "lib/err.h"
#include "lib/message.h"
#include "lib/own.h"
#include "lib/text.h"

/* What the server said that it holds. */
struct held {
	struct blocks_run runs[ANSWER_RANGES_MAX];
	size_t n;
};

/* ---- the file here ---- */

int
large_check_source(struct large *x, struct failure *f)
{
	struct stat st;

	if (fstat(x->fd, &st) < 0)
		return upload_local_failure(-errno, f);
	if (st.st_size != x->st.st_size || upload_mtime_ns(&st) != upload_mtime_ns(&x->st))
		return LARGE_CHANGED;
	return 0;
}

/* The digest of block i is known from here on. */
static int
digest_here(struct large *x, uint64_t i, struct failure *f)
{
	struct blocks_run at = blocks_at(&x->blocks, i);
	int r;

	if (x->blocks.flags[i] & BLOCKS_KNOWN)
		return 0;
	if (interrupt_seen())
		return failure_interrupted(f);
	r = content_block(x->fd, at.first, (size_t)(at.end - at.first), x->block,
			  x->blocks.digests[i]);
	if (r < 0)
		return r == -FTD_E_changed ? LARGE_CHANGED : upload_local_failure(r, f);
	x->blocks.flags[i] |= BLOCKS_KNOWN;
	return 0;
}

int
large_digests(struct large *x, struct failure *f)
{
	int r = 0;

	progress_phase(&x->client->report.progress, "verifying");
	for (uint64_t i = 0; r == 0 && i < x->blocks.n; i++)
		r = digest_here(x, i, f);
	progress_phase(&x->client->report.progress, NULL);
	return r;
}

/* ---- what is held ---- */

static int
compare_block(struct large *x, uint64_t i, const uint8_t said[BLOCKS_DIGEST], struct failure *f)
{
	static const uint8_t not_whole[BLOCKS_DIGEST];
	int r;

	if (memcmp(said, not_whole, sizeof(not_whole)) == 0)
		return 0;
	r = digest_here(x, i, f);
	if (r == 0 && memcmp(said, x->blocks.digests[i], BLOCKS_DIGEST) == 0)
		x->blocks.flags[i] |= BLOCKS_RIGHT;
	return r;
}

/* The digests in one frame, those of the blocks from *at on. */
static int
compare_frame(struct large *x, const struct answer *a, uint64_t *at, struct failure *f)
{
	struct session *s = &x->client->session;
	uint8_t said[BLOCKS_DIGEST];
	int r = 0;

	if (a->body % BLOCKS_DIGEST != 0 || a->body / BLOCKS_DIGEST > x->blocks.n - *at)
		return failure_protocol(f, "more block digests than the file has blocks");
	for (uint64_t left = a->body; r == 0 && left > 0; left -= BLOCKS_DIGEST) {
		r = session_body(s, said, sizeof(said), f);
		if (r == 0)
			r = compare_block(x, (*at)++, said, f);
	}
	if (r == LARGE_CHANGED)
		session_close(s); /* the rest is still to come */
	return r;
}

/* Asks what the disk there holds, not what was sent. */
static int
compare_held(struct large *x, struct failure *f)
{
	struct session *s = &x->client->session;
	struct answer a;
	uint64_t at = 0;
	bool more;
	int r;

	r = session_send(
	    s,
	    json_pack("{s:s, s:s, s:b}", "opt", "upload-status", "upload", x->upload, "blocks", 1),
	    f);
	if (r < 0)
		return r;
	do {
		r = session_receive_for(s, s->last_id, &a, f);
		if (r < 0)
			return r;
		more = a.more;
		r = compare_frame(x, &a, &at, f);
		answer_done(&a);
	} while (r == 0 && more);
	return r;
}

/* ---- begin ---- */

/* May the target's content serve? Only where it is there, is large, and may be replaced. */
static int
find_base(struct large *x, struct failure *f)
{
	const struct options *o = &x->client->options;
	struct session *s = &x->client->session;
	const char *filename = x->facts.filename;
	json_t *rq;
	struct answer a;
	struct entry e;
	int r;

	if (x->facts.size < UPLOAD_LARGE || options_has(o, OPTION_BIT(whole)) ||
	    (o->if_exists != IF_EXISTS_UNSAID && o->if_exists != IF_EXISTS_REPLACE))
		return 0;
	rq = json_pack("{s:s}", "opt", "stat");
	if (rq != NULL)
		(void)message_set_name(rq, "filename", filename, strlen(filename));
	r = session_ask(s, rq, &a, f);
	if (r < 0)
		return f->scope == FAILURE_ITEM ? 0 : r;
	if (entry_decode(a.object, &e) == 0) {
		x->base = e.type == ENTRY_FILE && e.filesize >= UPLOAD_LARGE;
		entry_done(&e);
	}
	answer_done(&a);
	return 0;
}

/* With the newest id the claim is ours, or somebody else's who is not to be robbed. */
static json_t *
begin_request(const struct large *x)
{
	const char *filename = x->facts.filename;
	json_t *rq = upload_request("upload-begin", &x->client->options, &x->facts);

	if (rq != NULL && x->upload[0] != '\0')
		(void)json_object_set_new(rq, "upload", json_string(x->upload));
	else if (rq != NULL && x->base)
		(void)message_set_name(rq, "base", filename, strlen(filename));
	return rq;
}

/* A base that cannot serve is done without. */
static int
ask_begin(struct large *x, struct answer *ret, struct failure *f)
{
	struct session *s = &x->client->session;
	int r;

	if (!x->begun && x->upload[0] == '\0') {
		r = find_base(x, f);
		if (r < 0)
			return r;
	}
	r = session_ask(s, begin_request(x), ret, f);
	if (r < 0 && x->base && x->upload[0] == '\0' && f->scope == FAILURE_ITEM && !f->again) {
		x->base = false;
		r = session_ask(s, begin_request(x), ret, f);
	}
	return r;
}

static int
take_begin(struct large *x, const struct answer *a, struct held *ret, struct failure *f)
{
	uint64_t ends[2 * ANSWER_RANGES_MAX];
	int n = answer_ranges(a, ends);

	if (n < 0 || a->upload.data == NULL || a->upload.len == 0 ||
	    (n > 0 && ends[2 * n - 1] > x->facts.size))
		return failure_protocol(f, "what begins an upload does not fit it");
	memcpy(x->upload, a->upload.data, a->upload.len);
	x->upload[a->upload.len] = '\0';
	ret->n = (size_t)n;
	for (size_t i = 0; i < ret->n; i++)
		ret->runs[i] = (struct blocks_run){ .first = ends[2 * i], .end = ends[2 * i + 1] };
	return 0;
}

static int
begin(struct large *x, struct held *ret, struct failure *f)
{
	struct answer a;
	int r;

	r = ask_begin(x, &a, f);
	if (r < 0 && (f->scope == FAILURE_CONNECTION || (f->again && x->upload[0] != '\0')))
		x->unheard++;
	if (r < 0)
		return r;
	r = take_begin(x, &a, ret, f);
	answer_done(&a);
	return r;
}

/* What there is to do, for people. */
static void
tell(struct large *x)
{
	struct report *report = &x->client->report;
	char shown[UPLOAD_NAME_MAX];
	uint64_t held = x->facts.size - x->blocks.left;

	progress_at(&report->progress, held);
	if (x->blocks.left < x->left && x->begun)
		retry_reset(&x->client->session.retry); /* something has come through */
	x->left = x->blocks.left;
	if (!x->begun)
		x->held = held;
	x->begun = true;
	if (held > 0)
		report_note(report, "%s: %ju of %ju bytes are there already",
			    text_escape(shown, sizeof(shown), x->name, strlen(x->name)),
			    (uintmax_t)held, (uintmax_t)x->facts.size);
}

int
large_plan(struct large *x, struct failure *f)
{
	auto_free struct held *held = malloc(sizeof(*held));
	int r;

	if (held == NULL)
		return failure_connection(f, -ENOMEM);
	r = begin(x, held, f);
	if (r == 0 && blocks_unsure(&x->blocks, held->runs, held->n)) {
		progress_phase(&x->client->report.progress, "resuming (checking blocks)");
		r = compare_held(x, f);
		progress_phase(&x->client->report.progress, NULL);
	}
	if (r != 0)
		return r;
	if (blocks_plan(&x->blocks, held->runs, held->n) < 0)
		return failure_connection(f, -ENOMEM);
	tell(x);
	return 0;
}
