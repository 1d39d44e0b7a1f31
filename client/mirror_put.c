#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/get.h"
#include "client/mirror.h"
#include "client/put_tree.h"
#include "lib/err.h"
#include "lib/own.h"

/* A tree here goes there. */
struct mirror_put {
	struct mirror *m;
	struct stat top; /* of the tree here */
	struct upload upload;
	struct upload_source here;  /* what is sent */
	struct upload_source there; /* what is removed */
	struct put_tree tree;
	struct get_place look; /* into the tree here, for names from the server */
	struct walk *walk;
	/* files whose contents are to be compared */
	struct mirror_pair pairs[MIRROR_COMPARE_MAX];
	struct stat of_pairs[MIRROR_COMPARE_MAX];
	size_t n_pairs;
};

static int
begin(struct mirror *m, void *way)
{
	struct mirror_put *p = way;
	struct catalog_facts facts;
	struct failure f;
	int r;

	m->root = openat(AT_FDCWD, m->here, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m->root < 0 || fstat(m->root, &p->top) < 0)
		return mirror_stopped_here(m, -errno);
	p->here = (struct upload_source){ .name = m->here, .dir = m->root, .remote = m->url.path };
	p->there = (struct upload_source){ .name = m->there, .dir = -1, .remote = m->url.path };
	p->tree = (struct put_tree){ .upload = &p->upload, .source = &p->here };
	p->look = (struct get_place){ .root = m->root, .look_only = true, .parent = -1 };
	r = mirror_stat(m, &facts, &f);
	m->missing = r == 0;
	return mirror_stopped(m, m->there, r < 0 ? r : 0, &f);
}

/* ---- what is sent */

/* The directory that holds path does not keep its time. */
static void
touch(const struct mirror *m, const char *path)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_BYTES_MAX + 1];
	struct catalog_item *item;

	(void)snprintf(above, sizeof(above), "%.*s", slash != NULL ? (int)(slash - path) : 0, path);
	item = catalog_find(&m->listed, above);
	if (item != NULL)
		item->touched = true;
}

static int
put_one(struct mirror_put *p, enum report_deed deed, enum upload_kind kind, const char *path,
	const struct stat *st)
{
	char name[UPLOAD_NAME_MAX];
	uint64_t bytes = deed == REPORT_PUT ? (uint64_t)st->st_size : 0;

	if (!mirror_does(p->m, deed, upload_name(name, &p->here, path), bytes))
		return 0;
	if (kind != UPLOAD_SET)
		touch(p->m, path);
	return kind == UPLOAD_MKDIR ? put_tree_make(&p->tree, path, st)
				    : upload_put(&p->upload, kind, &p->here, path, st);
}

static int
put_directory(struct mirror_put *p, enum mirror_verdict verdict, const char *path,
	      const struct stat *st)
{
	if (p->upload.parents)
		return 0;
	if (verdict == MIRROR_MOVE)
		return put_one(p, REPORT_MKDIR, UPLOAD_MKDIR, path, st);
	return p->m->dry ? 0 : put_tree_note(&p->tree, path, st);
}

static int
put_file(struct mirror_put *p, enum mirror_verdict verdict, const char *path, const struct stat *st)
{
	if (verdict == MIRROR_MOVE)
		return put_one(p, REPORT_PUT, UPLOAD_FILE, path, st);
	if (verdict == MIRROR_SET)
		return put_one(p, REPORT_SET, UPLOAD_SET, path, st);
	mirror_unchanged(p->m);
	return 0;
}

/* ---- by content */

static int
compare_pairs(struct mirror_put *p)
{
	struct mirror *m = p->m;
	enum mirror_verdict verdict;
	struct failure f;
	int r = p->n_pairs > 0 ? upload_settle(&p->upload) : 0;

	if (r == 0 && p->n_pairs > 0)
		r = mirror_stopped(m, NULL, mirror_compare(m, p->pairs, p->n_pairs, &f), &f);
	for (size_t i = 0; i < p->n_pairs; i++) {
		struct catalog_facts src = catalog_stat_facts(&p->of_pairs[i]);

		verdict = p->pairs[i].same
			      ? mirror_judge_same(
				    &src, &catalog_find(&m->listed, p->pairs[i].path)->facts)
			      : MIRROR_MOVE;
		if (r == 0)
			r = put_file(p, verdict, p->pairs[i].path, &p->of_pairs[i]);
		free(p->pairs[i].path);
	}
	p->n_pairs = 0;
	return r;
}

static int
add_pair(struct mirror_put *p, const struct walk_item *item, const struct catalog_item *there)
{
	struct mirror_pair *pair = &p->pairs[p->n_pairs];

	if (mirror_pair_init(pair, item->path, there) < 0)
		return -ENOMEM;
	p->of_pairs[p->n_pairs++] = item->st;
	return p->n_pairs == MIRROR_COMPARE_MAX ? compare_pairs(p) : 0;
}

/* ---- the walk */

static int
put_wanted(struct mirror_put *p, const struct walk_item *item, const struct catalog_item *there)
{
	struct catalog_facts src = catalog_stat_facts(&item->st);
	enum mirror_verdict verdict;
	char name[UPLOAD_NAME_MAX];

	verdict = mirror_judge(&src, there != NULL ? &there->facts : NULL, p->m->by_content);
	if (verdict == MIRROR_COMPARE)
		return add_pair(p, item, there);
	if (verdict == MIRROR_BLOCKED) {
		if (!mirror_blocked(p->m, upload_name(name, &p->here, item->path))) {
			if (src.type == ENTRY_DIR)
				walk_skip(p->walk);
			return 0;
		}
		verdict = MIRROR_MOVE;
	}
	return src.type == ENTRY_DIR ? put_directory(p, verdict, item->path, &item->st)
				     : put_file(p, verdict, item->path, &item->st);
}

static int
put_walked(struct mirror_put *p, const struct walk_item *item)
{
	struct report *report = &p->m->client->report;
	struct catalog_item *there;

	if (item->error < 0) {
		put_tree_failed(report, &p->here, item->path, item->error);
		return 0;
	}
	there = catalog_find(&p->m->listed, item->path);
	if (there != NULL)
		there->seen = true;
	if (S_ISDIR(item->st.st_mode) || S_ISREG(item->st.st_mode))
		return put_wanted(p, item, there);
	if (!p->m->again)
		put_tree_skipped(report, &p->here, item);
	return 0;
}

static int
walk_all(struct mirror_put *p)
{
	auto_walk struct walk *w = NULL;
	struct walk_item item;
	int r;

	r = walk_new(p->m->root, &p->m->client->options, &w);
	p->walk = w;
	while (r >= 0 && (r = walk_next(w, &item)) > 0)
		r = put_walked(p, &item);
	return r;
}

/* ---- what is there */

static int
take_listed(void *way, const struct entry *e, char *path, bool wanted, struct failure *f)
{
	struct mirror *m = ((struct mirror_put *)way)->m;
	char shown[LISTING_NAME_MAX];
	struct failure said;

	if (!wanted)
		return 0;
	if (e->code.data == NULL)
		return mirror_list(m, path, e, f);
	listing_refusal(e, &said);
	report_failure(&m->client->report, listing_name(shown, m->there, e), &said);
	return 0;
}

static int
list_there(struct mirror_put *p)
{
	struct mirror *m = p->m;
	static const struct message_str no_digest;
	struct catalog_facts top;
	struct failure f;
	int r;

	catalog_done(&m->listed);
	r = mirror_stat(m, &top, &f);
	if (r > 0 && m->url.path[0] != '\0' && catalog_add(&m->listed, "", &top, &no_digest) < 0)
		return -ENOMEM;
	if (r > 0)
		r = mirror_each(m, m->by_content ? "xxh3" : NULL, take_listed, p, &f);
	if (r < 0)
		return mirror_stopped(m, m->there, r, &f);
	catalog_sort(&m->listed);
	return 0;
}

static int
pass(struct mirror *m, void *way)
{
	struct mirror_put *p = way;
	struct walk_item top = { .path = "", .st = p->top };
	int r;

	put_tree_done(&p->tree);
	r = list_there(p);
	if (r == 0 && m->url.path[0] != '\0')
		r = put_walked(p, &top);
	if (r == 0)
		r = walk_all(p);
	if (r == 0)
		r = compare_pairs(p);
	return r < 0 ? r : upload_settle(&p->upload);
}

/* ---- what is removed */

/* What the tree here has of it. 1: *ret; 0: nothing; negative: it cannot be looked at, and may be
 * there. */
static int
look_here(struct mirror_put *p, const struct entry *e, struct catalog_facts *ret)
{
	char path[PATH_BYTES_MAX + 1];
	const char *leaf;
	struct stat st;
	int dir;

	dir = get_place_parent(&p->look, &e->name, path, &leaf);
	if (dir < 0)
		return dir == -ENOENT || dir == -ENOTDIR ? 0 : dir;
	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	*ret = catalog_stat_facts(&st);
	return 1;
}

struct finding {
	struct mirror_put *p;
	struct mirror_sweep *sweep;
};

static int
take_stale(void *way, const struct entry *e, char *path, bool wanted, struct failure *f)
{
	bool directory = e->type == ENTRY_DIR;
	struct finding *x = way;
	struct catalog_facts src;
	int r = wanted && e->code.data == NULL ? look_here(x->p, e, &src) : -ECANCELED;

	if (r < 0)
		r = mirror_sweep_keep(x->sweep, path);
	else
		r = mirror_sweep_judge(x->sweep, path, directory, r > 0 ? &src : NULL);
	return r < 0 ? failure_connection(f, r) : 0;
}

static int
find_stale(struct mirror *m, void *way, struct mirror_sweep *s)
{
	struct finding x = { .p = way, .sweep = s };
	bool all_seen = m->in_the_way == 0;
	struct failure f;

	for (size_t i = 0; i < m->listed.n; i++)
		all_seen = all_seen && m->listed.items[i].seen;
	if (all_seen)
		return 0;
	return mirror_stopped(m, m->there, mirror_each(m, NULL, take_stale, &x, &f), &f);
}

static int
remove_stale(struct mirror *m, void *way, const struct mirror_stale *stale)
{
	static const struct stat nothing;
	struct mirror_put *p = way;
	char name[UPLOAD_NAME_MAX];

	if (!mirror_does(m, REPORT_REMOVE, upload_name(name, &p->there, stale->path), 0))
		return 0;
	touch(m, stale->path);
	return upload_put(&p->upload, UPLOAD_REMOVE, &p->there, stale->path, &nothing);
}

/* ---- the end */

static int
settle(struct mirror *m, void *way)
{
	(void)m;
	return upload_settle(&((struct mirror_put *)way)->upload);
}

/* Directories that are as they should be, and in which nothing was changed, are left alone. */
static int
set_directories(struct mirror *m, void *way)
{
	struct mirror_put *p = way;
	int r = 0;

	for (size_t i = p->tree.n_made; r == 0 && i > 0; i--) { /* the deepest first */
		const struct put_made *d = &p->tree.made[i - 1];
		const struct catalog_item *there = catalog_find(&m->listed, d->path);
		struct catalog_facts src = catalog_stat_facts(&d->st);

		if (there == NULL || there->touched ||
		    mirror_judge(&src, &there->facts, m->by_content) != MIRROR_SAME)
			r = put_tree_set(&p->tree, d);
	}
	return r < 0 ? r : upload_settle(&p->upload);
}

int
mirror_put(struct mirror *m)
{
	static const struct mirror_direction direction = { begin,        pass,   find_stale,
							   remove_stale, settle, set_directories };
	auto_free struct mirror_put *p = calloc(1, sizeof(*p));
	int r;

	if (p == NULL || upload_init(&p->upload, m->client) < 0)
		return -ENOMEM;
	p->m = m;
	p->look.parent = -1;
	p->upload.parents = m->client->options.n_include > 0;
	r = mirror_run(m, &direction, p);
	put_tree_refused(&p->upload);
	put_tree_done(&p->tree);
	get_place_done(&p->look);
	upload_done(&p->upload);
	while (p->n_pairs > 0)
		free(p->pairs[--p->n_pairs].path);
	return r;
}
