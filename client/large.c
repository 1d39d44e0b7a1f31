#include "client/large.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/content.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

enum { RESTARTS_MAX = 3 };

/* ---- is it there already? ---- */

static json_t *
question(const struct large *x, const char *digest)
{
	json_t *rq = upload_request("upload", &x->client->options, &x->facts);

	if (rq != NULL && json_object_update_new(rq, json_pack("{s:s, s:b, s:b}", "digest", digest,
							       "expect", 1, "more", 1)) == 0)
		return rq;
	json_decref(rq);
	return NULL;
}

/* The server would take the content: it is not there. */
static int
decline(struct session *s, struct failure *f)
{
	struct answer a;
	int r;

	r = session_send_void(s, f);
	if (r == 0)
		r = session_receive_for(s, s->last_id, &a, f);
	if (r == 0)
		answer_done(&a);
	return r < 0 && f->scope == FAILURE_ITEM ? 0 : r;
}

/* LARGE_THERE: with this content, and that is the answer; 0: it is not; LARGE_CHANGED; negative
 * (f).
 */
static int
ask_there(struct large *x, struct answer *ret, struct failure *f)
{
	struct session *s = &x->client->session;
	struct digest_value value;
	struct answer a;
	bool go_on;
	int r;

	r = large_digests(x, f);
	if (r != 0)
		return r;
	if (blocks_digest(&x->blocks, &value) < 0)
		return failure_connection(f, -ENOMEM);
	r = session_ask(s, question(x, digest_format(&value, x->digest)), &a, f);
	if (r < 0)
		return r;
	go_on = answer_is(&a.status, "continue");
	if (!go_on) {
		*ret = a;
		return LARGE_THERE;
	}
	answer_done(&a);
	r = decline(s, f);
	x->maybe_there = r < 0;
	return r;
}

/* ---- the end ---- */

/* Over what the user wants; without a wish, over what both ends know already. */
static int
digest_whole(struct large *x, struct failure *f)
{
	const struct options *o = &x->client->options;
	struct digest_value value;
	int r;

	if (options_has(o, OPTION_BIT(digest)))
		r = content_digest(x->fd, x->facts.size, true, o->digest, &value);
	else
		r = blocks_digest(&x->blocks, &value);
	if (r == -FTD_E_changed)
		return LARGE_CHANGED;
	if (r < 0)
		return r == -ENOMEM ? failure_connection(f, r) : upload_local_failure(r, f);
	(void)digest_format(&value, x->digest);
	return 0;
}

static int
end(struct large *x, struct answer *ret, struct failure *f)
{
	struct progress *progress = &x->client->report.progress;
	json_t *rq;
	int r;

	progress_phase(progress, "verifying");
	rq = json_pack("{s:s, s:s, s:I, s:s}", "opt", "upload-end", "upload", x->upload, "filesize",
		       (json_int_t)x->facts.size, "digest", x->digest);
	r = session_ask(&x->client->session, rq, ret, f);
	progress_phase(progress, NULL);
	if (r == 0 && !answer_is(&ret->status, "ok")) {
		answer_done(ret);
		return failure_protocol(f, "an upload ends with something that is no receipt");
	}
	return r;
}

/* ---- again ---- */

/* Whether to begin once more what has no end by itself. */
static bool
may_restart(struct large *x, const char *why)
{
	if (++x->restarts > RESTARTS_MAX)
		return false;
	report_warning(&x->client->report, "%s", why);
	return true;
}

/* What was sent of the old state is of no use to anybody. */
static void
abort_upload(struct large *x)
{
	struct session *s = &x->client->session;
	struct failure f;
	struct answer a;

	if (x->upload[0] != '\0' && session_open(s, &s->url, &f) == 0 &&
	    session_ask(s, json_pack("{s:s, s:s}", "opt", "upload-abort", "upload", x->upload), &a,
			&f) == 0)
		answer_done(&a);
	x->upload[0] = '\0';
}

/* The state of the file as it is now. */
static int
take_state(struct large *x, struct failure *f)
{
	if (fstat(x->fd, &x->st) < 0)
		return upload_local_failure(-errno, f);
	x->facts.st = &x->st;
	x->facts.size = (uint64_t)x->st.st_size;
	blocks_done(&x->blocks);
	if (blocks_init(&x->blocks, x->facts.size, DIGEST_BLOCK) < 0)
		return failure_connection(f, -ENOMEM);
	x->left = UINT64_MAX;
	x->ending = x->begun = false;
	return 0;
}

/* LARGE_AGAIN or negative (f). */
static int
start_anew(struct large *x, struct failure *f)
{
	char why[2 * UPLOAD_NAME_MAX], shown[2 * UPLOAD_NAME_MAX - 64];
	int r;

	(void)text_escape(shown, sizeof(shown), x->name, strlen(x->name));
	(void)snprintf(why, sizeof(why), "%s: changed while it was sent: starting anew", shown);
	abort_upload(x);
	if (!may_restart(x, why))
		return failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local",
				   "changes again and again while it is sent");
	r = take_state(x, f);
	return r < 0 ? r : LARGE_AGAIN;
}

/* By somebody else, who is not to be robbed; or by a begin of ours that counted after we had given
 * it up. Each of those excuses one time. */
static bool
was_taken_by_us(struct large *x)
{
	if (x->unheard == 0)
		return false;
	x->unheard--;
	x->upload[0] = '\0';
	return may_restart(x, "an earlier request has taken the upload over: beginning again");
}

/* The server has refused something. LARGE_AGAIN, or r: as f says. */
static int
judge(struct large *x, int r, const struct failure *f)
{
	if (f->scope == FAILURE_CONNECTION)
		return r;
	x->ending = false;
	if (strcmp(f->code, "exists") == 0)
		abort_upload(x);
	if (strcmp(f->code, "taken_over") == 0)
		return was_taken_by_us(x) ? LARGE_AGAIN : r;
	if (strcmp(f->code, "upload_unknown") == 0) {
		x->upload[0] = '\0';
		x->maybe_there = true;
		return may_restart(x, "the server does not know the upload any more") ? LARGE_AGAIN
										      : r;
	}
	if (strcmp(f->code, "digest_mismatch") == 0 || strcmp(f->code, "size_mismatch") == 0) {
		blocks_forget(&x->blocks, BLOCKS_KNOWN | BLOCKS_RIGHT);
		return may_restart(x, "the server holds something else: comparing again")
			   ? LARGE_AGAIN
			   : r;
	}
	return r;
}

/* Everything before the end. */
static int
prepare(struct large *x, struct answer *ret, struct failure *f)
{
	int r = 0;

	if (x->maybe_there)
		r = ask_there(x, ret, f);
	if (r != 0 || x->ending)
		return r;
	r = large_plan(x, f);
	if (r == 0)
		r = large_send(x, f);
	if (r == 0)
		r = large_digests(x, f);
	if (r == 0)
		r = digest_whole(x, f);
	return r == 0 ? large_check_source(x, f) : r;
}

/* From what is held to the receipt. 0, LARGE_AGAIN, negative (f). */
static int
attempt(struct large *x, struct answer *ret, struct failure *f)
{
	struct session *s = &x->client->session;
	int r = session_open(s, &s->url, f);

	if (r < 0)
		return r;
	r = prepare(x, ret, f);
	if (r == LARGE_THERE)
		return 0;
	if (r == LARGE_CHANGED)
		return start_anew(x, f);
	if (r == 0) {
		x->ending = true;
		r = end(x, ret, f);
	}
	return r < 0 ? judge(x, r, f) : 0;
}

static int
go_on(struct large *x, struct answer *ret, struct failure *f)
{
	struct session *s = &x->client->session;
	int r;

	for (;;) {
		r = attempt(x, ret, f);
		if (r == 0)
			return 0;
		if (r == LARGE_AGAIN)
			continue;
		if (f->scope != FAILURE_CONNECTION && !f->again)
			return r;
		r = session_again(s, f);
		if (r < 0)
			return r;
	}
}

int
large_put(struct large *x, struct answer *ret, struct failure *f)
{
	int r;

	x->block = malloc(DIGEST_BLOCK);
	r = x->block != NULL ? take_state(x, f) : failure_connection(f, -ENOMEM);
	if (r == 0)
		r = go_on(x, ret, f);
	blocks_done(&x->blocks);
	free(take_ptr(x->block));
	return r;
}
