#include <errno.h>
#include <string.h>

#include "daemon/session/atrest.h"
#include "daemon/session/content.h"
#include "daemon/session/forest.h"
#include "daemon/session/names.h"
#include "daemon/session/stop.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

enum {
	FRAME_ROOM = 60000, /* of entries in one frame; the rest is for the other keys */
	ENTRY_FIXED = 224,  /* all of an entry but name and digest, at its longest */
	ENTRY_DIGEST = DIGEST_TEXT_MAX + 16,
	FRAME_USEC = 1000000, /* no entry waits longer for others, if there are any */
	LOOK_EVERY = 64,      /* entries between two looks at orders and cancel */
};

struct args {
	bool recursive;
	struct message_str after, digest;
	uint64_t limit;
};

enum { AFTER, LIMIT, DIGEST };

static const struct message_field fields[] = {
	[AFTER] = { "after", MESSAGE_STR, offsetof(struct args, after), FRAME_HEADER_MAX, false },
	[LIMIT] = { "limit", MESSAGE_UINT, offsetof(struct args, limit), INT64_MAX, false },
	[DIGEST] = { "digest", MESSAGE_STR, offsetof(struct args, digest), DIGEST_TEXT_MAX, false },
	{ "recursive", MESSAGE_BOOL, offsetof(struct args, recursive), 0, false },
};

struct listing {
	struct session *s;
	const struct request *rq;
	struct forest *forest;
	struct stop stop;
	bool digests; /* are told, where they are known, of this kind: */
	enum digest_algorithm algorithm;
	json_t *entries;    /* owned: of the next frame */
	size_t used;        /* bytes of them, at most */
	uint64_t sent_usec; /* when the last frame went */
	uint64_t left;      /* entries that may still be told */
};

/* Bytes of a name in JSON, at most: \u00XX for a control byte, two digits for each byte in hex. */
static size_t
name_cost(const char *name, size_t len)
{
	size_t cost = 2 * len;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] < 0x20)
			cost += 4;
	return cost;
}

/* Puts the entries into a frame object of their own. */
static json_t *
take_entries(struct listing *l)
{
	json_t *o = json_pack("{s:O}", "entries", l->entries);

	json_decref(l->entries);
	l->entries = json_array();
	l->used = 0;
	l->sent_usec = clock_usec();
	return o;
}

static int
flush(struct listing *l)
{
	json_t *o = take_entries(l);

	return o != NULL && l->entries != NULL ? reply_more(l->s, l->rq, o) : -ENOMEM;
}

/* Digests are for those who may read. */
static int
tell_digest(struct listing *l, const struct forest_item *item, json_t *entry)
{
	if (!l->digests || item->dir < 0 || (item->rights & RIGHT_READ) == 0)
		return 0;
	return atrest_tell(l->s, item->share, item->dir, item->leaf, &item->st, l->algorithm,
			   entry);
}

static json_t *
entry_of(struct listing *l, const struct forest_item *item)
{
	auto_json json_t *o = entry_json(item->path, item->path_len, &item->st);

	if (o == NULL)
		return NULL;
	if (item->error < 0 &&
	    json_object_set_new(o, "code", json_string(err_code(item->error))) < 0)
		return NULL;
	return tell_digest(l, item, o) == 0 ? take_ptr(o) : NULL;
}

static int
add(struct listing *l, const struct forest_item *item)
{
	size_t cost = ENTRY_FIXED + name_cost(item->path, item->path_len);
	int r = 0;

	if (l->digests)
		cost += ENTRY_DIGEST;
	if (l->used + cost > FRAME_ROOM)
		r = flush(l);
	if (r < 0)
		return r;
	l->used += cost;
	return json_array_append_new(l->entries, entry_of(l, item)) < 0 ? -ENOMEM : 0;
}

/* The last frame. cursor: what was cut by the limit goes on there. */
static int
finish(struct listing *l, const char *cursor)
{
	json_t *o;
	int r = 0;

	if (cursor != NULL && l->used + strlen(cursor) > FRAME_ROOM)
		r = flush(l);
	if (r < 0)
		return r;
	o = take_entries(l);
	if (o == NULL ||
	    (cursor != NULL && json_object_set_new(o, "after", json_string(cursor)) < 0))
		return -ENOMEM;
	return reply_ok(l->s, l->rq, o);
}

/* At times: whether to go on, and what is known on a slow disk. 0, 1: stopped, or conn_*. */
static int
look(struct listing *l)
{
	int r = 0;

	if (l->used > 0 && clock_usec() - l->sent_usec > FRAME_USEC)
		r = flush(l);
	return r < 0 ? r : stop_look(l->s, &l->stop);
}

/* The limit is reached: is there more? */
static int
finish_cut(struct listing *l)
{
	auto_free char *cursor = NULL;
	struct forest_item item;
	int r;

	r = forest_cursor(l->forest, &cursor);
	if (r < 0)
		return r;
	r = forest_next(l->forest, &item);
	if (r < 0)
		return reply_error(l->s, l->rq, r, NULL, NULL);
	return finish(l, r > 0 ? cursor : NULL);
}

static int
list(struct listing *l)
{
	struct forest_item item;
	int r;

	for (uint64_t n = 0; l->left > 0; n++, l->left--) {
		r = n % LOOK_EVERY == 0 ? look(l) : 0;
		if (r != 0)
			return r < 0 ? r : stop_answer(l->s, l->rq, &l->stop, NULL);
		r = forest_next(l->forest, &item);
		if (r == 0)
			return finish(l, NULL);
		if (r < 0)
			return reply_error(l->s, l->rq, r, NULL, NULL);
		r = add(l, &item);
		if (r < 0)
			return r;
	}
	return finish_cut(l);
}

static int
open_forest(struct listing *l, const struct args *a, uint64_t has, const char **ret_why)
{
	struct forest *f = NULL;
	int r;

	if ((has & 1U << LIMIT) != 0 && a->limit == 0) {
		*ret_why = "limit must be at least 1";
		return -FTD_E_bad_request;
	}
	r = content_algorithm(&a->digest, &l->algorithm);
	if (r == 0)
		r = forest_new(l->s, l->rq->source, RIGHT_LIST, a->recursive, &f);
	if (r == 0 && (has & 1U << AFTER) != 0)
		r = forest_seek(f, a->after.data);
	if (r == -FTD_E_bad_request && f != NULL)
		*ret_why = "after is not what a listing of this directory gave";
	if (r < 0) {
		forest_free(f);
		return r;
	}
	l->forest = f;
	return 0;
}

static int
start(struct session *s, const struct request *rq, const struct args *a, uint64_t has)
{
	struct listing l = { .s = s, .rq = rq, .left = UINT64_MAX, .sent_usec = clock_usec() };
	const char *why = NULL;
	int r;

	l.digests = (has & 1U << DIGEST) != 0;
	r = open_forest(&l, a, has, &why);
	if (r < 0)
		return reply_error(s, rq, r, why, NULL);
	if ((has & 1U << LIMIT) != 0)
		l.left = a->limit;
	l.entries = json_array();
	r = l.entries != NULL ? list(&l) : -ENOMEM;
	json_decref(l.entries);
	forest_free(l.forest);
	return r;
}

int
op_list(struct session *s, const struct request *rq)
{
	struct args a = { 0 };
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0)
		r = start(s, rq, &a, has);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
