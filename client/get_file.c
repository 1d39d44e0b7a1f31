#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/get.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

enum { CHANGES_MAX = 3 };

/* One file on its way. */
struct arriving {
	struct part part;
	struct get_ranges ranges;
	uint64_t began_usec;
	uint64_t asked; /* id of a request that is sent already; 0: none */
};

struct part_facts
get_facts(const struct entry *e)
{
	return (struct part_facts){ .has_mtime = e->has_mtime,
				    .has_mode = e->has_mode,
				    .mtime_ns = e->mtime_ns,
				    .mode = e->mode,
				    .size = e->filesize };
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
	if (ftruncate(part->fd, (off_t)facts->size) < 0)
		return failure_local(f, -errno, leaf);
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
get_forget(const struct part *part, const struct failure *f)
{
	if (part->fd >= 0 && strcmp(f->code, "digest_mismatch") == 0)
		(void)unlinkat(part->dir, part->name, 0);
}

void
get_tell(struct get *g, const struct url *url, struct report_file *file)
{
	char remote[URL_PATH_TEXT_MAX];

	file->remote = url_path(url, remote);
	retry_reset(&g->client->session.retry);
	report_file(&g->client->report, file);
}

static json_t *
request(const struct url *url, const char *digest)
{
	json_t *rq = session_request("download", url);

	if (rq != NULL)
		(void)json_object_update_new(rq,
					     json_pack("{s:s, s:b}", "digest", digest, "holes", 1));
	return rq;
}

json_t *
get_request(const struct get *g, const struct url *url)
{
	return request(url, digest_name(g->client->options.digest));
}

/* What the server knows it need not find out again. */
int
get_ask(struct get *g, const struct url *url, struct failure *f)
{
	enum digest_algorithm a = g->client->options.digest;

	return session_send(&g->client->session,
			    request(url, a == DIGEST_XXH3 ? "known" : digest_name(a)), f);
}

/* ---- all of it, as one stream */

/* The first frame: what the file is, and which digest will be told of it. */
static int
begin(struct arriving *x, const struct answer *a, struct failure *f)
{
	struct get_ranges *ranges = &x->ranges;
	struct get *g = ranges->get;
	struct entry e;
	int r;

	if (entry_decode(a->object, &e) < 0)
		return failure_protocol(f, "a download does not begin with an entry");
	ranges->facts = get_facts(&e);
	entry_done(&e);
	if (!ranges->begun)
		report_begin(&g->client->report, ranges->shown, ranges->facts.size, 0);
	ranges->begun = true;
	r = fetch_begin(&g->fetch, x->part.fd, true, 0, ranges->facts.size);
	return r < 0 ? failure_connection(f, r) : fetch_announced(&g->fetch, a, f);
}

/* One frame; *more is whether another follows. */
static int
take(struct arriving *x, uint64_t id, bool *first, bool *more, struct failure *f)
{
	struct get *g = x->ranges.get;
	struct answer a;
	int r;

	r = session_receive_for(&g->client->session, id, &a, f);
	if (r < 0)
		return r;
	*more = a.more;
	r = *first ? begin(x, &a, f) : 0;
	*first = false;
	if (r == 0)
		r = fetch_frame(&g->fetch, &a, f);
	if (r == 0 && !a.more)
		r = fetch_end(&g->fetch, &a, f);
	answer_done(&a);
	return r;
}

static int
fetch_stream(struct arriving *x, struct failure *f)
{
	struct get *g = x->ranges.get;
	struct session *session = &g->client->session;
	bool first = true, more = true;
	uint64_t id = x->asked;
	int r = 0;

	if (id == 0) {
		r = get_ask(g, x->ranges.url, f);
		id = session->last_id;
	}
	x->asked = 0;
	g->fetch.moved = 0;
	while (r == 0 && more)
		r = take(x, id, &first, &more, f);
	x->ranges.moved += g->fetch.moved;
	if (r < 0 && f->status == STATUS_LOCAL)
		session_close(session); /* the rest of the content is still to come */
	return r;
}

/* ---- again and again */

/* From what is held to a complete, verified part. */
static int
attempt(struct arriving *x, struct failure *f)
{
	int r = 1;

	if (x->asked == 0 &&
	    (part_held(&x->part) > 0 || x->ranges.get->client->options.connections > 1)) {
		r = get_ranges(&x->ranges, f);
		if (r == 0)
			r = get_verify(&x->ranges, f);
		if (r > 0 && ftruncate(x->part.fd, 0) < 0)
			return failure_local(f, -errno, x->part.name);
	}
	return r > 0 ? fetch_stream(x, f) : r;
}

/* Another version is there now: what both have in common counts. */
static bool
may_restart(struct arriving *x, const struct failure *f, unsigned *changes)
{
	struct report *report = &x->ranges.get->client->report;
	char shown[PROGRESS_NAME_MAX];

	if (strcmp(f->code, "changed") != 0 || ++*changes > CHANGES_MAX)
		return false;
	report_warning(report, "%s: changed on the server while it came: starting anew",
		       text_escape(shown, sizeof(shown), x->ranges.shown, strlen(x->ranges.shown)));
	return true;
}

/* As long as that makes sense. */
static int
fetch_all(struct arriving *x, struct failure *f)
{
	struct get *g = x->ranges.get;
	struct session *session = &g->client->session;
	unsigned changes = 0;
	int r;

	for (;;) {
		r = session_open(session, x->ranges.url, f);
		if (r == 0)
			r = attempt(x, f);
		if (r == 0)
			return 0;
		if (g->ahead > 0)
			session_close(session); /* other answers would come first */
		if (may_restart(x, f, &changes))
			continue;
		if (f->scope != FAILURE_CONNECTION && !f->again)
			return r;
		r = session_again(session, f);
		if (r < 0)
			return r;
	}
}

/* The place for it. 1: ready; 0: skipped; negative (f). */
static int
prepare(struct arriving *x, int dir, const char *leaf, struct failure *f)
{
	int r;

	r = get_wanted(x->ranges.get, dir, leaf, x->ranges.shown);
	if (r > 0) {
		r = part_open(dir, leaf, &x->part);
		if (r == 0) {
			get_begin_as(x->ranges.get, &x->part, leaf);
			return 1;
		}
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
	struct arriving x = { .part = { .fd = -1 },
			      .ranges = { .get = g, .url = url, .shown = shown },
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
	x.ranges.fd = x.part.fd;
	if (r > 0)
		r = fetch_all(&x, &f);
	if (r == 0)
		r = get_publish(g, &x.part, leaf, &x.ranges.facts, &f);
	else
		get_forget(&x.part, &f);
	part_done(&x.part);
	get_ranges_done(&x.ranges);
	if (r == 0) {
		get_tell(g, url,
			 &(struct report_file){ .name = shown,
						.bytes = x.ranges.facts.size,
						.held = x.ranges.held,
						.moved = x.ranges.moved,
						.usec = clock_usec() - x.began_usec,
						.inside = inside });
		return 0;
	}
	report_failure(&g->client->report, shown, &f);
	return f.scope == FAILURE_ITEM ? 0 : -EPROTO;
}
