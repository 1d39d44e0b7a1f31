#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/get.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/num.h"
#include "lib/own.h"

enum { CHANGES_MAX = 3 };

/* One file on its way. */
struct arriving {
	struct get *get;
	const struct url *url;
	const char *shown;
	struct part part;
	struct part_facts facts;
	uint64_t size, resumed, began_usec;
	char etag[ANSWER_ETAG_MAX + 1]; /* the held bytes were compared with it; "": none */
	uint64_t asked;                 /* id of a request that is sent already; 0: none */
};

struct part_facts
get_facts(const struct entry *e)
{
	return (struct part_facts){ .has_mtime = e->has_mtime,
				    .has_mode = e->has_mode,
				    .mtime_ns = e->mtime_ns,
				    .mode = e->mode };
}

int
get_wanted(struct get *g, int dir, const char *leaf, const char *shown)
{
	enum if_exists how = g->client->options.if_exists;
	struct stat st;

	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 1 : -errno;
	if (how == IF_EXISTS_SKIP) {
		report_skipped(&g->client->report, shown, "exists");
		return 0;
	}
	if (how == IF_EXISTS_FAIL)
		return -EEXIST;
	return S_ISDIR(st.st_mode) && how != IF_EXISTS_KEEP_BOTH ? -EISDIR : 1;
}

int
get_publish(struct get *g, struct part *part, char *leaf, const struct part_facts *facts,
	    struct failure *f)
{
	char before[PATH_COMPONENT_MAX + 1];
	int r;

	memcpy(before, leaf, sizeof(before));
	r = part_publish(part, leaf, facts, g->client->options.if_exists);
	if (r < 0)
		return failure_set(f, FAILURE_ITEM,
				   r == -EEXIST ? err_exit_status("exists") : STATUS_LOCAL,
				   r == -EEXIST ? "exists" : "local", "%s", err_text(r));
	if (strcmp(before, leaf) != 0)
		report_note(&g->client->report, "kept under another name, the first one is taken");
	return 0;
}

void
get_tell(struct get *g, const struct url *url, const char *shown, uint64_t size, uint64_t resumed,
	 uint64_t began_usec, bool inside)
{
	char remote[URL_PATH_TEXT_MAX];
	struct report_file file = { .name = shown,
				    .remote = url_path(url, remote),
				    .bytes = size,
				    .held = resumed,
				    .moved = size - resumed,
				    .usec =
					began_usec > 0 ? clock_usec() - began_usec : NUM_UNLIMITED,
				    .inside = inside };

	retry_reset(&g->client->session.retry);
	report_file(&g->client->report, &file);
}

/* Bytes from an earlier try: keeps those that equal the server's, and remembers of which version.
 */
static int
compare_held(struct arriving *x, uint64_t held, struct failure *f)
{
	struct session *session = &x->get->client->session;
	struct answer a;
	struct entry e;
	int r;

	r = session_ask(session, session_request("stat", x->url), &a, f);
	if (r < 0)
		return r;
	r = entry_decode(a.object, &e);
	if (r < 0) {
		answer_done(&a);
		return failure_protocol(f, "what stat says is no entry");
	}
	if (e.etag.data != NULL) {
		memcpy(x->etag, e.etag.data, e.etag.len);
		x->etag[e.etag.len] = '\0';
	}
	if (held > e.filesize)
		held = e.filesize;
	r = e.type == ENTRY_FILE && x->etag[0] != '\0' ? 1 : 0;
	entry_done(&e);
	answer_done(&a);
	if (r == 0 || held == 0)
		return 0;
	return fetch_compare(&x->get->fetch, x->url, x->part.fd, held, &x->resumed, f);
}

static int
look_at_held(struct arriving *x, struct failure *f)
{
	int64_t held = part_held(&x->part);
	int r = 0;

	x->resumed = 0;
	x->etag[0] = '\0';
	if (held < 0)
		return failure_local(f, (int)held, x->part.name);
	if (held == 0)
		return 0;
	r = compare_held(x, (uint64_t)held, f);
	if (r < 0)
		return r;
	report_note(&x->get->client->report, "%s: %ju of %ju bytes held are right", x->part.name,
		    (uintmax_t)x->resumed, (uintmax_t)held);
	return ftruncate(x->part.fd, (off_t)x->resumed) < 0 ? failure_local(f, -errno, x->part.name)
							    : 0;
}

int
get_ask(struct get *g, const struct url *url, uint64_t offset, const char *etag, struct failure *f)
{
	struct client *c = g->client;
	json_t *rq = session_request("download", url);

	if (rq != NULL) {
		(void)json_object_set_new(rq, "digest",
					  json_string(digest_name(c->options.digest)));
		(void)json_object_set_new(rq, "holes", json_true());
	}
	if (rq != NULL && offset > 0)
		(void)json_object_set_new(rq, "offset", json_integer((json_int_t)offset));
	if (rq != NULL && etag[0] != '\0')
		(void)json_object_set_new(rq, "if_match", json_string(etag));
	return session_send(&c->session, rq, f);
}

/* The first frame: what the file is. */
static int
begin(struct arriving *x, const struct answer *a, struct failure *f)
{
	struct fetch *fetch = &x->get->fetch;
	struct entry e;

	if (entry_decode(a->object, &e) < 0)
		return failure_protocol(f, "a download does not begin with an entry");
	x->size = e.filesize;
	x->facts = get_facts(&e);
	entry_done(&e);
	if (x->size < x->resumed)
		return failure_protocol(f, "the file is smaller than its resumed part");
	report_begin(&x->get->client->report, x->shown, x->size, x->resumed);
	if (fetch_begin(fetch, x->part.fd, true, x->resumed, x->size) < 0)
		return failure_connection(f, -ENOMEM);
	return 0;
}

/* One frame; *more is whether another follows. */
static int
take(struct arriving *x, uint64_t id, bool *first, bool *more, struct failure *f)
{
	struct answer a;
	int r;

	r = session_receive_for(&x->get->client->session, id, &a, f);
	if (r < 0)
		return r;
	*more = a.more;
	r = *first ? begin(x, &a, f) : 0;
	*first = false;
	if (r == 0)
		r = fetch_frame(&x->get->fetch, &a, f);
	if (r == 0 && !a.more)
		r = fetch_end(&x->get->fetch, &a, f);
	answer_done(&a);
	return r;
}

/* From what is held to a complete, verified part. */
static int
attempt(struct arriving *x, struct failure *f)
{
	struct session *session = &x->get->client->session;
	bool first = true, more = true;
	uint64_t id = x->asked;
	int r = 0;

	if (id == 0) {
		r = look_at_held(x, f);
		if (r == 0)
			r = get_ask(x->get, x->url, x->resumed, x->etag, f);
		id = session->last_id;
	}
	x->asked = 0;
	while (r == 0 && more)
		r = take(x, id, &first, &more, f);
	if (r == 0)
		return 0;
	if (f->status == STATUS_LOCAL)
		session_close(session); /* the rest of the content is still to come */
	if (strcmp(f->code, "digest_mismatch") == 0 && ftruncate(x->part.fd, 0) < 0)
		return failure_local(f, -errno, x->part.name);
	return r;
}

/* Again and again, as long as that makes sense. */
static int
fetch_all(struct arriving *x, struct failure *f)
{
	struct session *session = &x->get->client->session;
	unsigned changes = 0;
	int r;

	for (;;) {
		r = session_open(session, x->url, f);
		if (r == 0)
			r = attempt(x, f);
		if (r == 0)
			return 0;
		if (strcmp(f->code, "changed") == 0 && x->resumed > 0 && ++changes < CHANGES_MAX)
			r = 1; /* between the comparison and the download */
		else if (f->scope != FAILURE_CONNECTION && !f->again)
			return r;
		if (x->get->ahead > 0)
			session_close(session); /* other answers would come first */
		r = r > 0 ? 0 : session_again(session, f);
		if (r < 0)
			return r;
	}
}

/* The place for it. 1: ready; 0: skipped; negative (f). */
static int
prepare(struct arriving *x, int dir, const char *leaf, struct failure *f)
{
	int r;

	r = get_wanted(x->get, dir, leaf, x->shown);
	if (r > 0) {
		r = part_open(dir, leaf, &x->part);
		if (r == 0)
			return 1;
	}
	if (r == -EEXIST)
		return failure_set(f, FAILURE_ITEM, err_exit_status("exists"), "exists", "%s",
				   err_text(-FTD_E_exists));
	if (r < 0)
		return failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(r));
	return 0;
}

int
get_file(struct get *g, const struct url *url, int dir, char *leaf, const char *shown, bool inside,
	 uint64_t asked)
{
	struct arriving x = { .get = g,
			      .url = url,
			      .shown = shown,
			      .part = { .fd = -1 },
			      .began_usec = clock_usec(),
			      .asked = asked };
	struct failure f;
	int r;

	r = prepare(&x, dir, leaf, &f);
	if (asked != 0 && (r <= 0 || part_held(&x.part) != 0)) {
		session_close(&g->client->session); /* what was asked for is not wanted like that */
		x.asked = 0;
	}
	if (r == 0)
		return 0;
	if (r > 0)
		r = fetch_all(&x, &f);
	if (r == 0)
		r = get_publish(g, &x.part, leaf, &x.facts, &f);
	part_done(&x.part);
	if (r == 0) {
		get_tell(g, url, shown, x.size, x.resumed, x.began_usec, inside);
		return 0;
	}
	report_failure(&g->client->report, shown, &f);
	return f.scope == FAILURE_ITEM ? 0 : -EPROTO;
}
