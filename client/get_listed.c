#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/get.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

enum { PAGE = 1000, AHEAD_MAX = 256, SMALL = 1 << 20, AFTER_MAX = 32 << 10 };

/* A directory fetched file by file, a page of the listing at a time. Small files are asked for
 * ahead. */
struct listed {
	struct get *get;
	const struct url *url;
	struct get_place *place;
	bool changed_only;
	json_t *page;         /* entries, at most PAGE */
	uint64_t asked[PAGE]; /* ids of requests sent for them; 0: none */
	size_t next;          /* the first that has not been thought of */
	uint64_t connection;  /* over which they were sent */
	char after[AFTER_MAX + 1];
};

/* Nothing above it is excluded, and it is wanted itself. */
static bool
wanted(const struct options *o, char *path, bool directory)
{
	for (char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		bool inside;

		*slash = '\0';
		inside = options_wants(o, path, true);
		*slash = '/';
		if (!inside)
			return false;
	}
	return options_wants(o, path, directory);
}

/* Same size, same time to the nanosecond: fetched before the connection was lost. */
static bool
is_there(int dir, const char *leaf, const struct entry *e)
{
	struct stat st;

	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return false;
	return (uint64_t)st.st_size == e->filesize && e->has_mtime &&
	       (int64_t)st.st_mtim.tv_sec * (int64_t)NSEC_PER_SEC + st.st_mtim.tv_nsec ==
		   e->mtime_ns;
}

/* ---- ahead ---- */

/* What will be done about the entry: 1: fetched at once, when asked for ahead; 0: nothing over this
 * connection; -1: only its turn will tell. */
static int
foresee(struct listed *l, const struct entry *e, struct url *ret_url)
{
	const struct options *o = &l->get->client->options;
	char path[PATH_BYTES_MAX + 1];
	const char *leaf;
	struct stat st;
	bool there;
	int dir;

	if (e->type != ENTRY_FILE || e->code.data != NULL)
		return 0;
	dir = path_from_wire(e->name.data, e->name.len, path) < 0 || !wanted(o, path, false)
		  ? -1
		  : get_place_parent(l->place, &e->name, path, &leaf);
	if (dir < 0 || (l->changed_only && is_there(dir, leaf, e)))
		return 0;
	there = fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0;
	if (there && (o->if_exists == IF_EXISTS_SKIP || o->if_exists == IF_EXISTS_FAIL))
		return 0;
	if ((there && S_ISDIR(st.st_mode)) || e->filesize > SMALL || part_is_there(dir, leaf) ||
	    url_join(l->url, path, ret_url) < 0)
		return -1;
	return 1;
}

/* Asks for small files from number i on, so that their contents come without waiting in between. */
static void
ask_ahead(struct listed *l, size_t i)
{
	struct get *g = l->get;
	struct session *session = &g->client->session;
	struct failure f;
	struct entry e;
	struct url url;
	int r = 0;

	if (l->connection != session->connection || !session->open || l->next < i) {
		l->connection = session->connection;
		l->next = i;
		g->ahead = 0;
	}
	while (session->open && r >= 0 && l->next < json_array_size(l->page) &&
	       g->ahead < AHEAD_MAX) {
		if (entry_decode(json_array_get(l->page, l->next), &e) < 0)
			return;
		r = foresee(l, &e, &url);
		entry_done(&e);
		if (r > 0 && get_ask(g, &url, &f) < 0)
			return; /* whoever reads will meet it again */
		if (r >= 0)
			l->asked[l->next++] = r > 0 ? session->last_id : 0;
		g->ahead += r > 0;
	}
}

/* The request that was sent for number i, if its answer is the next to come. */
static uint64_t
take_asked(struct listed *l, size_t i)
{
	struct session *session = &l->get->client->session;

	if (i >= l->next || !session->open || session->connection != l->connection ||
	    l->asked[i] == 0)
		return 0;
	l->get->ahead--;
	return l->asked[i];
}

/* ---- one by one ---- */

static int
get_one(struct listed *l, const struct entry *e, const char *shown, uint64_t asked)
{
	char path[PATH_BYTES_MAX + 1], leaf[PATH_COMPONENT_MAX + 1];
	const char *name;
	struct url url;
	int dir;

	dir = get_place_parent(l->place, &e->name, path, &name);
	if (dir < 0)
		return dir;
	if (asked == 0 && l->changed_only && is_there(dir, name, e))
		return 0;
	(void)snprintf(leaf, sizeof(leaf), "%s", name);
	if (url_join(l->url, path, &url) < 0)
		return -FTD_E_bad_name;
	return get_file(l->get, &url, dir, leaf, shown, true, asked) < 0 ? 1 : 0;
}

static void
tell(struct listed *l, const char *shown, int r)
{
	struct failure f;

	if (r == -FTD_E_bad_name)
		(void)failure_set(&f, FAILURE_ITEM, STATUS_PROTOCOL, "bad_name",
				  "the server gave a name that cannot be used");
	else
		(void)failure_set(&f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(r));
	report_failure(&l->get->client->report, shown, &f);
}

/* What the server could not read stands in the listing with a code. */
static void
tell_code(struct listed *l, const char *shown, const struct entry *e)
{
	struct answer refusal = { .code = e->code };
	struct failure f;

	(void)failure_server(&f, &refusal);
	report_failure(&l->get->client->report, shown, &f);
}

/* 0, or 1 when all is over. */
static int
get_entry(struct listed *l, const struct entry *e, uint64_t asked)
{
	const struct options *o = &l->get->client->options;
	char shown[2 * PATH_BYTES_MAX], path[PATH_BYTES_MAX + 1];
	int r;

	(void)snprintf(shown, sizeof(shown), "%s/%.*s", l->place->name,
		       e->name.data != NULL ? (int)e->name.len : 0,
		       e->name.data != NULL ? e->name.data : "");
	(void)snprintf(path, sizeof(path), "%.*s", e->name.data != NULL ? (int)e->name.len : 0,
		       e->name.data != NULL ? e->name.data : "");
	if (!wanted(o, path, e->type == ENTRY_DIR))
		return 0;
	if (e->code.data != NULL) {
		tell_code(l, shown, e);
		return 0;
	}
	if (e->type == ENTRY_DIR) {
		r = o->n_include > 0 ? 0 : get_place_directory(l->place, e);
	} else if (e->type == ENTRY_FILE) {
		r = get_one(l, e, shown, asked);
	} else {
		report_skipped(&l->get->client->report, shown,
			       e->type == ENTRY_LINK ? "a symbolic link" : "no regular file");
		return 0;
	}
	if (r < 0) {
		tell(l, shown, r);
		if (asked != 0)
			session_close(&l->get->client->session); /* its content comes nowhere */
	}
	return r > 0;
}

static int
get_page(struct listed *l)
{
	int r = 0;

	l->next = 0;
	for (size_t i = 0; r == 0 && i < json_array_size(l->page); i++) {
		struct failure f;
		struct entry e;

		ask_ahead(l, i);
		if (entry_decode(json_array_get(l->page, i), &e) < 0) {
			(void)failure_protocol(&f, "a listing has something that is no entry");
			report_failure(&l->get->client->report, l->place->name, &f);
			return 1;
		}
		r = get_entry(l, &e, take_asked(l, i));
		entry_done(&e);
	}
	return r;
}

/* Adds the entries of one frame to the page. */
static int
take_frame(struct listed *l, const struct answer *a, struct failure *f)
{
	json_t *entries = json_object_get(a->object, "entries");

	if (!json_is_array(entries) || json_array_size(l->page) + json_array_size(entries) > PAGE)
		return failure_protocol(f, "a listing is not what was asked for");
	if (json_array_extend(l->page, entries) < 0)
		return failure_connection(f, -ENOMEM);
	if (a->after.data != NULL && a->after.len > AFTER_MAX)
		return failure_protocol(f, "a listing cannot be continued");
	l->after[0] = '\0';
	if (a->after.data != NULL) {
		memcpy(l->after, a->after.data, a->after.len);
		l->after[a->after.len] = '\0';
	}
	return 0;
}

static int
ask_page(struct listed *l, struct failure *f)
{
	struct session *session = &l->get->client->session;
	json_t *rq = session_request("list", l->url);
	struct answer a;
	bool more = true;
	int r;

	if (rq != NULL) {
		(void)json_object_set_new(rq, "recursive", json_true());
		(void)json_object_set_new(rq, "limit", json_integer(PAGE));
		if (l->after[0] != '\0')
			(void)json_object_set_new(rq, "after", json_string(l->after));
	}
	r = session_send(session, rq, f);
	while (r == 0 && more) {
		r = session_receive_for(session, session->last_id, &a, f);
		if (r < 0)
			return r;
		more = a.more;
		r = take_frame(l, &a, f);
		answer_done(&a);
	}
	return r;
}

/* The next page, over a new connection if need be. */
static int
next_page(struct listed *l, struct failure *f)
{
	struct session *session = &l->get->client->session;
	char after[AFTER_MAX + 1];
	int r;

	memcpy(after, l->after, sizeof(after));
	for (;;) {
		(void)json_array_clear(l->page);
		memcpy(l->after, after, sizeof(after));
		r = session_open(session, l->url, f);
		if (r == 0)
			r = ask_page(l, f);
		if (r == 0)
			return 0;
		if (f->scope != FAILURE_CONNECTION && !f->again)
			return r;
		r = session_again(session, f);
		if (r < 0)
			return r;
	}
}

int
get_listed(struct get *g, const struct url *url, struct get_place *place, bool changed_only)
{
	struct listed l = { .get = g, .url = url, .place = place, .changed_only = changed_only };
	auto_json json_t *page = json_array();
	struct failure f;
	int r;

	l.page = page;
	do {
		r = page != NULL ? next_page(&l, &f) : failure_connection(&f, -ENOMEM);
		if (r < 0) {
			report_failure(&g->client->report, place->name, &f);
			return f.scope == FAILURE_ITEM ? 0 : -EPROTO;
		}
		if (get_page(&l) > 0)
			return -EPROTO;
	} while (l.after[0] != '\0');
	return 0;
}
