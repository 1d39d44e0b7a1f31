#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/get.h"
#include "client/mirror.h"
#include "client/walk.h"
#include "lib/err.h"
#include "lib/own.h"

/* A tree there comes here. */
struct mirror_get {
	struct mirror *m;
	struct get get;
	struct part_facts top;   /* of the tree there */
	struct get_place place;  /* what comes goes into it */
	struct get_place look;   /* the same, to see what is there */
	const struct listing *l; /* the page that is judged */
	bool *skip;
	/* files whose contents are to be compared */
	struct mirror_pair pairs[MIRROR_COMPARE_MAX];
	size_t of_pairs[MIRROR_COMPARE_MAX]; /* their entries in the page */
	size_t n_pairs;
};

/* One entry of the page, and what is here at its name. */
struct judged {
	const struct entry *e;
	struct catalog_facts src;
	char path[PATH_BYTES_MAX + 1];
	char shown[LISTING_NAME_MAX];
};

/* ---- both ends */

static int
open_here(struct mirror *m)
{
	m->root = openat(AT_FDCWD, m->here, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->root < 0 && errno == ENOENT) {
		m->missing = true;
		if (!mirror_does(m, REPORT_MKDIR, m->here, 0))
			return 0;
		if (mkdirat(AT_FDCWD, m->here, 0777) < 0)
			return -errno;
		m->root = openat(AT_FDCWD, m->here, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return m->root < 0 ? -errno : 0;
}

static int
begin(struct mirror *m, void *way)
{
	struct mirror_get *w = way;
	struct catalog_facts top;
	struct failure f;
	int r = mirror_stat(m, &top, &f);

	if (r <= 0)
		return mirror_stopped(m, m->there, r < 0 ? r : -ENOENT, &f);
	r = open_here(m);
	if (r < 0)
		return mirror_stopped_here(m, r);
	w->place = (struct get_place){
		.root = m->root, .name = m->here, .parent = -1, .look_only = m->dry
	};
	w->look = (struct get_place){ .root = m->root, .parent = -1, .look_only = true };
	w->top = (struct part_facts){ .has_mtime = top.has_mtime,
				      .has_mode = top.has_mode,
				      .mtime_ns = top.mtime_ns,
				      .mode = top.mode };
	return 0;
}

/* ---- what is fetched */

/* 1: *ret; 0: nothing is there; -ENOTDIR: nor can be, for something is in the place of a directory
 * above; negative: another reason. */
static int
look_here(struct mirror_get *w, const struct entry *e, struct catalog_facts *ret)
{
	char path[PATH_BYTES_MAX + 1];
	const char *leaf;
	struct stat st;
	int dir;

	if (w->m->root < 0)
		return 0;
	dir = get_place_parent(&w->look, &e->name, path, &leaf);
	if (dir < 0)
		return dir == -ENOENT ? 0 : dir == -ELOOP ? -ENOTDIR : dir;
	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	*ret = catalog_stat_facts(&st);
	return 1;
}

static void
tell_failed(struct mirror_get *w, const struct judged *j, int r)
{
	struct failure f;

	(void)failure_named(&f, r);
	report_failure(&w->m->client->report, j->shown, &f);
}

/* Gives the file its time and mode; what cannot be had here is not told as done again and again. */
static int
set_here(struct mirror_get *w, const struct judged *j)
{
	auto_close int fd = path_open(w->m->root, j->path, O_RDONLY, 0, false);
	struct catalog_facts now;
	struct stat st;
	int r = fd < 0 ? fd : 0;

	if (r == 0 && j->src.has_mode && fchmod(fd, j->src.mode) < 0)
		r = -errno;
	if (r == 0 && j->src.has_mtime)
		r = part_set_mtime(fd, j->src.mtime_ns);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r < 0)
		return r;
	now = catalog_stat_facts(&st);
	if (mirror_judge_same(&j->src, &now) == MIRROR_SAME)
		report_deed(&w->m->client->report, REPORT_SET, j->shown, 0);
	else
		mirror_unchanged(w->m);
	return 0;
}

static void
set_file(struct mirror_get *w, const struct judged *j)
{
	int r = mirror_does(w->m, REPORT_SET, j->shown, 0) ? set_here(w, j) : 0;

	if (r < 0)
		tell_failed(w, j, r);
}

/* True: it is not to be fetched. */
static bool
get_no_file(struct mirror_get *w, const struct judged *j, enum mirror_verdict verdict)
{
	if (verdict == MIRROR_MOVE)
		return !mirror_does(w->m, REPORT_GET, j->shown, j->src.size);
	if (verdict == MIRROR_SET)
		set_file(w, j);
	else
		mirror_unchanged(w->m);
	return true;
}

static bool
get_no_directory(struct mirror_get *w, const struct judged *j, enum mirror_verdict verdict)
{
	if (w->m->client->options.n_include > 0 || (verdict != MIRROR_MOVE && w->m->dry))
		return true;
	return verdict == MIRROR_MOVE && !mirror_does(w->m, REPORT_MKDIR, j->shown, 0);
}

/* ---- by content */

static void
begin_judging(struct mirror_get *w, const struct entry *e, struct judged *j)
{
	j->e = e;
	j->src = catalog_entry_facts(e);
	j->src.mode = (uint16_t)part_mode(e->mode);
	(void)listing_name(j->shown, w->m->here, e);
}

static int
compare_pairs(struct mirror_get *w)
{
	struct judged j;
	struct failure f;
	struct entry e;
	int r = 0;

	if (w->n_pairs > 0)
		r = mirror_stopped(w->m, NULL, mirror_compare(w->m, w->pairs, w->n_pairs, &f), &f);
	for (size_t i = 0; i < w->n_pairs; i++) {
		struct catalog_facts dst;
		size_t at = w->of_pairs[i];

		if (r == 0 && listing_entry(w->l, at, &e, &f) == 0) {
			begin_judging(w, &e, &j);
			(void)snprintf(j.path, sizeof(j.path), "%s", w->pairs[i].path);
			w->skip[at] = get_no_file(w, &j,
						  w->pairs[i].same && look_here(w, &e, &dst) > 0
						      ? mirror_judge_same(&j.src, &dst)
						      : MIRROR_MOVE);
			entry_done(&e);
		}
		free(w->pairs[i].path);
	}
	w->n_pairs = 0;
	return r;
}

static int
add_pair(struct mirror_get *w, const struct judged *j, size_t at)
{
	struct catalog_item there = { .facts = j->src };

	catalog_take_digest(&there, &j->e->digest);
	if (mirror_pair_init(&w->pairs[w->n_pairs], j->path, &there) < 0)
		return -ENOMEM;
	w->of_pairs[w->n_pairs++] = at;
	w->skip[at] = true;
	return w->n_pairs == MIRROR_COMPARE_MAX ? compare_pairs(w) : 0;
}

/* ---- a page */

/* A file or directory that is wanted. */
static int
judge_wanted(struct mirror_get *w, struct judged *j, size_t at)
{
	bool directory = j->src.type == ENTRY_DIR;
	enum mirror_verdict verdict;
	struct catalog_facts dst;
	int r = look_here(w, j->e, &dst);

	if (r == -ENOTDIR && w->m->in_the_way > 0 && !w->m->again) {
		w->skip[at] = !w->m->dry || !w->m->removes; /* told of what is above */
		if (w->skip[at])
			return 0;
		r = 0;
	}
	if (r < 0) {
		tell_failed(w, j, r);
		w->skip[at] = true;
		return 0;
	}
	verdict = mirror_judge(&j->src, r > 0 ? &dst : NULL, w->m->by_content);
	if (verdict == MIRROR_COMPARE)
		return add_pair(w, j, at);
	if (verdict == MIRROR_BLOCKED) {
		w->skip[at] = true;
		if (!mirror_blocked(w->m, j->shown))
			return 0;
		verdict = MIRROR_MOVE;
	}
	w->skip[at] = directory ? get_no_directory(w, j, verdict) : get_no_file(w, j, verdict);
	return 0;
}

static int
judge_entry(struct mirror_get *w, const struct entry *e, size_t at)
{
	struct mirror *m = w->m;
	struct failure f;
	struct judged j;
	int r = 0;

	if (e->name.data == NULL || path_from_wire(e->name.data, e->name.len, j.path) <= 0)
		return 0; /* get_listed() tells it */
	if (!options_wants_below(&m->client->options, j.path, e->type == ENTRY_DIR))
		return 0;
	if (m->removes && !m->again)
		r = mirror_stopped(m, m->there, mirror_list(m, j.path, e, &f), &f);
	if (r < 0 || e->code.data != NULL)
		return r;
	if (e->type != ENTRY_FILE && e->type != ENTRY_DIR) {
		w->skip[at] = m->again;
		return 0;
	}
	begin_judging(w, e, &j);
	return judge_wanted(w, &j, at);
}

static int
judge_page(void *userdata, const struct listing *l, bool *skip)
{
	struct mirror_get *w = userdata;
	struct failure f;
	struct entry e;
	int r = 0;

	w->l = l;
	w->skip = skip;
	for (size_t i = 0; r == 0 && i < json_array_size(l->page); i++) {
		if (listing_entry(l, i, &e, &f) < 0)
			break; /* get_listed() tells it */
		r = judge_entry(w, &e, i);
		entry_done(&e);
	}
	return r < 0 ? r : compare_pairs(w);
}

/* Where nothing is, all that there is can come in one stream. */
static bool
comes_whole(const struct mirror *m)
{
	return m->missing && !m->dry &&
	       m->client->options.n_include + m->client->options.n_exclude == 0;
}

static int
pass(struct mirror *m, void *way)
{
	struct mirror_get *w = way;
	struct get_judge judge = { .page = judge_page,
				   .userdata = w,
				   .digest = m->by_content ? "xxh3" : NULL };
	int r;

	if (!m->dry && m->client->options.n_include == 0)
		get_place_note(&w->place, "", &w->top);
	if (comes_whole(m))
		return get_tree(&w->get, &m->url, &w->place);
	r = get_listed(&w->get, &m->url, &w->place, &judge);
	catalog_sort(&m->listed);
	return r;
}

/* ---- what is removed */

static int
take_stale(struct mirror *m, struct walk *walk, const struct walk_item *item,
	   struct mirror_sweep *s)
{
	const struct catalog_item *src = catalog_find(&m->listed, item->path);
	bool directory = S_ISDIR(item->st.st_mode);
	char path[PATH_BYTES_MAX + 1];

	(void)snprintf(path, sizeof(path), "%s", item->path);
	if (!options_wants_below(&m->client->options, path, directory)) {
		if (directory)
			walk_skip(walk);
		return mirror_sweep_keep(s, path);
	}
	return mirror_sweep_judge(s, path, directory, src != NULL ? &src->facts : NULL);
}

static int
find_stale(struct mirror *m, void *way, struct mirror_sweep *s)
{
	static const struct options everything;
	auto_walk struct walk *walk = NULL;
	struct walk_item item;
	int r = walk_new(m->root, &everything, &walk);

	(void)way;
	while (r >= 0 && (r = walk_next(walk, &item)) > 0) {
		if (item.error < 0)
			(void)mirror_stopped_here(m, item.error);
		else
			r = take_stale(m, walk, &item, s);
	}
	return r < 0 ? mirror_stopped_here(m, r) : 0;
}

static int
remove_stale(struct mirror *m, void *way, const struct mirror_stale *stale)
{
	struct report *report = &m->client->report;
	char shown[LISTING_NAME_MAX];
	auto_close int dir = -1;
	const char *leaf;
	struct failure f;
	int r;

	(void)way;
	(void)snprintf(shown, sizeof(shown), "%s/%s", m->here, stale->path);
	if (!mirror_does(m, REPORT_REMOVE, shown, 0))
		return 0;
	dir = path_open_parent(m->root, stale->path, false, &leaf);
	r = dir;
	if (dir >= 0)
		r = unlinkat(dir, leaf, stale->directory ? AT_REMOVEDIR : 0) < 0 ? -errno : 0;
	if (r == 0 || r == -ENOENT) { /* somebody else was faster */
		report_deed(report, REPORT_REMOVE, shown, 0);
		return 0;
	}
	(void)failure_named(&f, r);
	report_failure(report, shown, &f);
	return 0;
}

/* ---- the end */

static int
settle(struct mirror *m, void *way)
{
	(void)m;
	(void)way;
	return 0;
}

static int
set_directories(struct mirror *m, void *way)
{
	(void)m;
	get_place_done(&((struct mirror_get *)way)->place);
	return 0;
}

int
mirror_get(struct mirror *m)
{
	static const struct mirror_direction direction = { begin,        pass,   find_stale,
							   remove_stale, settle, set_directories };
	auto_free struct mirror_get *w = calloc(1, sizeof(*w));
	int r;

	if (w == NULL || fetch_init(&w->get.fetch, m->client, &m->client->session) < 0)
		return -ENOMEM;
	w->m = m;
	w->get.client = m->client;
	w->get.delta = !options_has(&m->client->options, OPTION_BIT(whole));
	w->place.parent = w->look.parent = -1;
	r = mirror_run(m, &direction, w);
	get_place_done(&w->look);
	get_place_done(&w->place);
	fetch_done(&w->get.fetch);
	return r;
}
