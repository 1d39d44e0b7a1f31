/* What is missing of a file, of which an earlier try may have left something anywhere. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/content.h"
#include "client/get.h"
#include "client/interrupt.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

/* The blocks that are compared are small, but for files so large that they would be too many. */
enum { BLOCK_MIN = 1 << 20, BLOCK_MAX = 64 << 20, BLOCKS_MAX = 1 << 20 };

/* ---- which file */

/* It is that version that is fetched. 0; 1: versions of it cannot be told apart, or it has too many
 * blocks; negative (f). */
static int
take_version(struct get_ranges *x, const struct entry *e, struct failure *f)
{
	uint64_t block = BLOCK_MIN;

	if (e->etag.len == 0)
		return 1;
	if (e->etag.len == strlen(x->etag) && memcmp(e->etag.data, x->etag, e->etag.len) == 0 &&
	    e->filesize == x->blocks.size)
		return 0;
	while (e->filesize / block >= BLOCKS_MAX && block < BLOCK_MAX)
		block *= 2;
	if (e->filesize / block >= BLOCKS_MAX)
		return 1;
	blocks_done(&x->blocks);
	if (blocks_init(&x->blocks, e->filesize, block) < 0)
		return failure_connection(f, -ENOMEM);
	memcpy(x->etag, e->etag.data, e->etag.len);
	x->etag[e->etag.len] = '\0';
	x->facts = get_facts(e);
	return 0;
}

/* 0; 1: it is nothing whose versions can be told apart; negative (f). */
static int
ask_version(struct get_ranges *x, struct failure *f)
{
	struct session *s = &x->get->client->session;
	struct answer a;
	struct entry e;
	int r;

	r = session_ask(s, session_request("stat", x->url), &a, f);
	if (r < 0)
		return r;
	r = entry_decode(a.object, &e);
	if (r < 0) {
		answer_done(&a);
		return failure_protocol(f, "what stat says is no entry");
	}
	r = e.type == ENTRY_FILE ? take_version(x, &e, f) : 1;
	entry_done(&e);
	answer_done(&a);
	return r;
}

/* ---- what is held */

struct compare {
	struct get_ranges *x;
	uint64_t at, end; /* bytes that are looked at */
	uint64_t right;   /* where the last block that is right ends, wholly held or not */
	uint64_t size;    /* of a block */
	uint8_t *block;
};

/* The first that is held and not known to be right. */
static uint64_t
first_unsure(const struct blocks *b, uint64_t held)
{
	uint64_t i = 0;

	while (i < b->n && blocks_at(b, i).first < held && (b->flags[i] & BLOCKS_RIGHT) != 0)
		i++;
	return i * b->block < held ? i * b->block : held;
}

static int
compare_block(struct compare *c, const uint8_t said[BLOCKS_DIGEST], struct failure *f)
{
	uint64_t left = c->end - c->at;
	size_t n = (size_t)(left < c->size ? left : c->size);
	uint8_t digest[BLOCKS_DIGEST];
	int r;

	if (interrupt_seen())
		return failure_interrupted(f);
	r = content_block(c->x->fd, c->at, n, c->block, digest);
	if (r < 0)
		return failure_local(f, r, c->x->shown);
	if (memcmp(digest, said, sizeof(digest)) == 0) {
		c->x->blocks.flags[c->at / c->size] |= BLOCKS_RIGHT;
		c->right = c->at + n;
	}
	c->at += n;
	return 0;
}

static int
compare_frame(struct compare *c, const struct answer *a, struct failure *f)
{
	uint64_t left = (c->end - c->at + c->size - 1) / c->size, n = a->body / BLOCKS_DIGEST;
	uint8_t said[BLOCKS_DIGEST];
	int r = 0;

	if (a->body % BLOCKS_DIGEST != 0 || n > left || (!a->more && n < left))
		return failure_protocol(f, "another number of block digests than was asked for");
	for (; r == 0 && n > 0; n--) {
		r = session_body(&c->x->get->client->session, said, sizeof(said), f);
		if (r == 0)
			r = compare_block(c, said, f);
	}
	return r;
}

static int
compare_all(struct compare *c, struct failure *f)
{
	struct session *s = &c->x->get->client->session;
	json_t *rq = session_request("digest", c->x->url);
	struct answer a;
	bool more;
	int r;

	if (rq != NULL)
		(void)json_object_update_new(rq, json_pack("{s:s, s:I, s:I, s:I}", "digest", "xxh3",
							   "block", (json_int_t)c->size, "offset",
							   (json_int_t)c->at, "length",
							   (json_int_t)(c->end - c->at)));
	r = session_send(s, rq, f);
	if (r < 0)
		return r;
	do {
		r = session_receive_for(s, s->last_id, &a, f);
		if (r < 0)
			return r;
		more = a.more;
		r = compare_frame(c, &a, f);
		answer_done(&a);
	} while (r == 0 && more);
	if (r < 0 && f->status == STATUS_LOCAL)
		session_close(s); /* the rest is still to come */
	return r;
}

/* Up to where the part counts, holes and all: *ret. Behind it may be more of an older version. */
static int
look_at_held(struct get_ranges *x, uint64_t *ret, struct failure *f)
{
	struct progress *progress = &x->get->client->report.progress;
	struct compare c = { .x = x, .size = x->blocks.block };
	struct stat st;
	int r;

	if (fstat(x->fd, &st) < 0)
		return failure_local(f, -errno, x->shown);
	c.end = (uint64_t)st.st_size < x->facts.size ? (uint64_t)st.st_size : x->facts.size;
	c.at = c.right = first_unsure(&x->blocks, c.end);
	if (c.at < c.end) {
		c.block = malloc(c.size);
		if (c.block == NULL)
			return failure_connection(f, -ENOMEM);
		progress_phase(progress, "resuming (checking blocks)");
		r = compare_all(&c, f);
		progress_phase(progress, NULL);
		free(c.block);
		if (r < 0)
			return r;
	}
	/* the last block may have begun to come: so much of it is right, or none */
	*ret = c.right == c.end ? c.end : c.end / c.size * c.size;
	return 0;
}

static void
tell(struct get_ranges *x)
{
	struct report *report = &x->get->client->report;
	uint64_t held = x->facts.size - x->blocks.left;
	char shown[PROGRESS_NAME_MAX];

	if (x->begun) {
		progress_at(&report->progress, held);
		return;
	}
	x->begun = true;
	x->held = held;
	report_begin(report, x->shown, x->facts.size, held);
	if (held > 0)
		report_note(report, "%s: %ju of %ju bytes are there already",
			    text_escape(shown, sizeof(shown), x->shown, strlen(x->shown)),
			    (uintmax_t)held, (uintmax_t)x->facts.size);
}

static int
plan(struct get_ranges *x, struct failure *f)
{
	struct blocks_run held = { .first = 0 };
	int r;

	r = look_at_held(x, &held.end, f);
	if (r < 0)
		return r;
	if (blocks_plan(&x->blocks, &held, held.end > 0 ? 1 : 0) < 0)
		return failure_connection(f, -ENOMEM);
	/* a block that came in part does not count for the next plan */
	if (held.end % x->blocks.block != 0 && held.end < x->facts.size)
		x->blocks.flags[held.end / x->blocks.block] &= (uint8_t)~BLOCKS_RIGHT;
	tell(x);
	return 0;
}

/* ---- what is missing */

struct fetcher {
	struct get_ranges *x; /* shared */
	struct fetch fetch;
};

static int
ask_run(struct fetcher *w, const struct blocks_run *run, struct failure *f)
{
	struct get_ranges *x = w->x;
	json_t *rq = get_request(x->get, x->url);

	if (rq != NULL)
		(void)json_object_update_new(
		    rq, json_pack("{s:I, s:I, s:s}", "offset", (json_int_t)run->first, "length",
				  (json_int_t)(run->end - run->first), "if_match", x->etag));
	return session_send(w->fetch.session, rq, f);
}

static int
take_run(struct fetcher *w, struct failure *f)
{
	struct session *s = w->fetch.session;
	uint64_t id = s->last_id;
	struct answer a;
	bool more;
	int r;

	do {
		r = session_receive_for(s, id, &a, f);
		if (r < 0)
			return r;
		more = a.more;
		r = fetch_frame(&w->fetch, &a, f);
		if (r == 0 && !more)
			r = fetch_end(&w->fetch, &a, f);
		answer_done(&a);
		if (w->x->lanes.stop && more) {
			session_close(s);
			return 1;
		}
	} while (r == 0 && more);
	if (r < 0 && f->status == STATUS_LOCAL)
		session_close(s);
	return r;
}

static int
fetch_run(void *worker, const struct blocks_run *run, struct failure *f)
{
	struct fetcher *w = worker;
	struct get_ranges *x = w->x;
	int r;

	if (fetch_begin(&w->fetch, x->fd, true, run->first, run->end) < 0)
		return failure_connection(f, -ENOMEM);
	r = ask_run(w, run, f);
	if (r == 0)
		r = take_run(w, f);
	x->moved += w->fetch.moved;
	if (r != 0)
		return r;
	blocks_taken(&x->blocks, *run);
	retry_reset(&w->fetch.session->retry);
	return 0;
}

static void
fetcher_free(void *worker)
{
	struct fetcher *w = worker;

	if (w != NULL)
		fetch_done(&w->fetch);
	free(w);
}

static void *
fetcher_new(struct session *s, void *userdata)
{
	struct get_ranges *x = userdata;
	struct fetcher *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->x = x;
	if (fetch_init(&w->fetch, x->get->client, s) == 0)
		return w;
	free(w);
	return NULL;
}

int
get_ranges(struct get_ranges *x, struct failure *f)
{
	static const struct lanes_ops ops = { fetcher_new, fetch_run, fetcher_free };
	int r;

	r = ask_version(x, f);
	if (r == 0)
		r = plan(x, f);
	if (r != 0)
		return r;
	x->lanes = (struct lanes){
		.client = x->get->client, .blocks = &x->blocks, .ops = &ops, .userdata = x
	};
	return lanes_run(&x->lanes, f);
}

void
get_ranges_done(struct get_ranges *x)
{
	blocks_done(&x->blocks);
}
