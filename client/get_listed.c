#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/get.h"
#include "client/listing.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/own.h"

enum { AHEAD_MAX = 256, SMALL = 1 << 20 };

/* A directory fetched file by file, a page of the listing at a time. Small files are asked for
 * ahead. */
struct listed {
	struct get *get;
	const struct url *url;
	struct get_place *place;
	struct listing listing;
	bool skip[LISTING_PAGE];      /* these are not fetched */
	uint64_t asked[LISTING_PAGE]; /* ids of requests sent for the page; 0: none */
	size_t next;                  /* the first that has not been thought of */
	uint64_t connection;          /* over which they were sent */
};

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
	dir = path_from_wire(e->name.data, e->name.len, path) < 0 ||
		      !options_wants_below(o, path, false)
		  ? -1
		  : get_place_parent(l->place, &e->name, path, &leaf);
	if (dir < 0)
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
	while (session->open && r >= 0 && l->next < json_array_size(l->listing.page) &&
	       g->ahead < AHEAD_MAX) {
		if (entry_decode(json_array_get(l->listing.page, l->next), &e) < 0)
			return;
		r = l->skip[l->next] ? 0 : foresee(l, &e, &url);
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
	(void)snprintf(leaf, sizeof(leaf), "%s", name);
	if (url_join(l->url, path, &url) < 0)
		return -FTD_E_bad_name;
	return get_file(l->get, &url, dir, leaf, shown, true, asked) < 0 ? 1 : 0;
}

/* 0, or 1 when all is over. */
static int
get_entry(struct listed *l, const struct entry *e, uint64_t asked)
{
	const struct options *o = &l->get->client->options;
	char shown[LISTING_NAME_MAX], path[PATH_BYTES_MAX + 1];
	struct failure f;
	int r;

	(void)listing_name(shown, l->place->name, e);
	(void)snprintf(path, sizeof(path), "%.*s", e->name.data != NULL ? (int)e->name.len : 0,
		       e->name.data != NULL ? e->name.data : "");
	if (!options_wants_below(o, path, e->type == ENTRY_DIR))
		return 0;
	if (e->code.data != NULL) {
		listing_refusal(e, &f);
		report_failure(&l->get->client->report, shown, &f);
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
		(void)failure_named(&f, r);
		report_failure(&l->get->client->report, shown, &f);
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
	for (size_t i = 0; r == 0 && i < json_array_size(l->listing.page); i++) {
		struct failure f;
		struct entry e;

		ask_ahead(l, i);
		if (l->skip[i])
			continue;
		if (listing_entry(&l->listing, i, &e, &f) < 0) {
			report_failure(&l->get->client->report, l->place->name, &f);
			return 1;
		}
		r = get_entry(l, &e, take_asked(l, i));
		entry_done(&e);
	}
	return r;
}

int
get_listed(struct get *g, const struct url *url, struct get_place *place,
	   const struct get_judge *judge)
{
	struct listed l = { .get = g, .url = url, .place = place };
	struct failure f;
	bool over = false;
	int r;

	r = listing_init(&l.listing, g->client, url);
	if (r < 0)
		(void)failure_connection(&f, r);
	l.listing.digest = judge != NULL ? judge->digest : NULL;
	while (!over && r >= 0 && (r = listing_next(&l.listing, &f)) > 0) {
		memset(l.skip, 0, sizeof(l.skip));
		over = (judge != NULL && judge->page(judge->userdata, &l.listing, l.skip) < 0) ||
		       get_page(&l) > 0;
	}
	listing_done(&l.listing);
	if (over)
		return -EPROTO;
	if (r == 0)
		return 0;
	report_failure(&g->client->report, place->name, &f);
	return f.scope == FAILURE_ITEM ? 0 : -EPROTO;
}

/* ---- what is not there ---- */

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

static int
skip_there(void *userdata, const struct listing *l, bool *skip)
{
	struct get_place *look = userdata;
	char path[PATH_BYTES_MAX + 1];
	const char *leaf;
	struct failure f;
	struct entry e;
	int dir;

	for (size_t i = 0; i < json_array_size(l->page); i++) {
		if (listing_entry(l, i, &e, &f) < 0)
			return 0; /* whoever fetches will meet it again */
		dir = e.type == ENTRY_FILE ? get_place_parent(look, &e.name, path, &leaf) : -ENOENT;
		skip[i] = dir >= 0 && is_there(dir, leaf, &e);
		entry_done(&e);
	}
	return 0;
}

int
get_rest(struct get *g, const struct url *url, struct get_place *place)
{
	struct get_place look = { .root = place->root, .parent = -1, .look_only = true };
	struct get_judge judge = { .page = skip_there, .userdata = &look };
	int r = get_listed(g, url, place, &judge);

	get_place_done(&look);
	return r;
}
