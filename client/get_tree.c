#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/get.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

enum { SHOWN_MAX = 2 * PATH_BYTES_MAX };

/* One stream of a whole directory. */
struct stream {
	struct get *get;
	const struct url *url;
	struct get_place *place;
	uint64_t id;
};

/* The file whose content comes now. */
struct streamed {
	struct part part;
	char leaf[PATH_COMPONENT_MAX + 1];
	char shown[SHOWN_MAX];
	bool dropped; /* told already; its content goes nowhere */
};

/* What is said about one thing in the tree does not end the stream. */
static void
tell_local(struct stream *s, const char *name, int r)
{
	struct failure f;

	(void)failure_named(&f, r);
	report_failure(&s->get->client->report, name, &f);
}

/* "DST/name", for people; for a name that is none, what the server said. */
static void
show(const struct stream *s, const struct message_name *name, char *dst)
{
	(void)snprintf(dst, SHOWN_MAX, "%s/%.*s", s->place->name,
		       name->data != NULL ? (int)name->len : 0,
		       name->data != NULL ? name->data : "");
}

static int
open_part(struct stream *s, const struct entry *e, struct streamed *file)
{
	char path[PATH_BYTES_MAX + 1];
	const char *leaf;
	int dir, r;

	dir = get_place_parent(s->place, &e->name, path, &leaf);
	if (dir < 0)
		return dir;
	(void)snprintf(file->leaf, sizeof(file->leaf), "%s", leaf);
	r = get_wanted(s->get, dir, leaf, file->shown);
	if (r < 0)
		return r;
	r = part_open(dir, leaf, &file->part);
	if (r < 0)
		return r;
	return ftruncate(file->part.fd, 0) < 0 ? -errno
					       : 0; /* the stream begins at its beginning */
}

/* The frames of a file up to its digest, or to the server's error (f, scope ITEM). *a is the first.
 */
static int
take_content(struct stream *s, struct answer *a, struct failure *f)
{
	struct session *session = &s->get->client->session;
	struct fetch *fetch = &s->get->fetch;
	int r;

	for (;;) {
		r = fetch_frame(fetch, a, f);
		if (r < 0) {
			f->scope =
			    f->scope == FAILURE_ITEM ? FAILURE_STOP : f->scope; /* disk full */
			return r;
		}
		if (a->digest.data != NULL)
			return fetch_end(fetch, a, f);
		if (!a->more)
			return failure_protocol(f, "a tree ends inside a file");
		answer_done(a);
		r = session_receive(session, a, f);
		if (r < 0)
			return r;
		r = session_check(a, s->id, f);
		if (r < 0 && f->scope == FAILURE_ITEM && !a->more) /* not about this file alone */
			f->scope = f->again ? FAILURE_CONNECTION : FAILURE_STOP;
		if (r < 0)
			return r;
	}
}

/* *a is replaced by later frames. 0 or negative (f), scope not ITEM. */
static int
take_file(struct stream *s, const struct entry *e, struct answer *a, struct failure *f)
{
	struct get *g = s->get;
	struct streamed file = { .part = { .fd = -1 } };
	struct part_facts facts = get_facts(e);
	uint64_t size = e->filesize;
	int r;

	show(s, &e->name, file.shown);
	r = open_part(s, e, &file);
	if (r < 0) {
		tell_local(s, file.shown, r);
		file.dropped = true;
	}
	report_begin(&g->client->report, file.shown, size, 0);
	if (fetch_begin(&g->fetch, file.dropped ? -1 : file.part.fd, true, 0, size) < 0)
		r = failure_connection(f, -ENOMEM);
	else
		r = take_content(s, a, f);
	if (r == 0 && !file.dropped)
		r = get_publish(g, &file.part, file.leaf, &facts, f);
	if (r < 0)
		get_forget(&file.part, f);
	part_done(&file.part);
	if (r == 0 && !file.dropped)
		get_tell(g, s->url,
			 &(struct report_file){ .name = file.shown,
						.bytes = size,
						.moved = g->fetch.moved,
						.usec = NUM_UNLIMITED,
						.inside = true });
	if (r < 0 && f->scope != FAILURE_ITEM)
		return r;
	if (r < 0 && !file.dropped)
		report_failure(&g->client->report, file.shown, f);
	return 0;
}

static int
take_other(struct stream *s, const struct entry *e, const struct answer *a, struct failure *f)
{
	char shown[SHOWN_MAX];
	int r;

	if (!e->has_type)
		return failure_protocol(f, "a tree has something that is no entry");
	show(s, &e->name, shown);
	if (e->type == ENTRY_DIR) {
		r = get_place_directory(s->place, e);
		if (r < 0)
			tell_local(s, shown, r);
	} else {
		report_skipped(&s->get->client->report, shown,
			       e->type == ENTRY_LINK ? "a symbolic link" : "no regular file");
	}
	return fetch_drop(&s->get->fetch, a, f);
}

static int
take_entry(struct stream *s, struct answer *a, struct failure *f)
{
	auto_json json_t *first = json_incref(a->object); /* take_file() goes on to later frames */
	struct entry e;
	int r;

	if (entry_decode(first, &e) < 0)
		return failure_protocol(f, "a tree has something that is no entry");
	r = e.type == ENTRY_FILE ? take_file(s, &e, a, f) : take_other(s, &e, a, f);
	entry_done(&e);
	return r;
}

/* Something that the server could not read; the stream goes on. */
static int
take_error(struct stream *s, const struct answer *a, const struct failure *said, struct failure *f)
{
	char shown[SHOWN_MAX];
	struct entry e;

	if (entry_decode(a->object, &e) < 0)
		return failure_protocol(f, "a tree has an error about nothing");
	show(s, &e.name, shown);
	entry_done(&e);
	report_failure(&s->get->client->report, shown, said);
	return fetch_drop(&s->get->fetch, a, f);
}

/* 1: more follows; 0: the tree is complete; negative (f). */
static int
take_next(struct stream *s, struct failure *f)
{
	struct failure said;
	struct answer a;
	int r;

	r = session_receive(&s->get->client->session, &a, f);
	if (r < 0)
		return r;
	r = session_check(&a, s->id, &said);
	if (r < 0 && said.scope == FAILURE_ITEM && a.more) {
		r = take_error(s, &a, &said, f);
	} else if (r < 0) {
		*f = said;
	} else if (a.more) {
		r = take_entry(s, &a, f);
	} else {
		answer_done(&a);
		return 0;
	}
	answer_done(&a);
	return r < 0 ? r : 1;
}

static int
stream(struct stream *s, struct failure *f)
{
	struct client *c = s->get->client;
	json_t *rq = session_request("download-tree", s->url);
	int r;

	if (rq != NULL) {
		(void)json_object_set_new(rq, "digest",
					  json_string(digest_name(c->options.digest)));
		(void)json_object_set_new(rq, "holes", json_true());
	}
	r = session_send(&c->session, rq, f);
	if (r < 0)
		return r;
	s->id = c->session.last_id;
	do
		r = take_next(s, f);
	while (r > 0);
	return r;
}

int
get_tree(struct get *g, const struct url *url, struct get_place *place)
{
	struct stream s = { .get = g, .url = url, .place = place };
	struct failure f;
	int r;

	r = stream(&s, &f);
	if (r == 0)
		return 0;
	if (f.scope == FAILURE_CONNECTION || f.again) {
		r = session_again(&g->client->session, &f);
		if (r == 0)
			return get_rest(g, url, place);
	}
	report_failure(&g->client->report, place->name, &f);
	return f.scope == FAILURE_ITEM ? 0 : -EPROTO;
}
