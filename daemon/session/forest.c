#include "daemon/session/forest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/session/mounts.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

/* A cursor begins with mounts shown and the tree under way, 16 bits each, in hex. */
enum { CURSOR_HEAD = 4 };

struct forest {
	struct session *s;
	unsigned need;
	bool recursive;
	struct mounts mounts;
	size_t shown; /* of mounts */
	size_t tree;  /* under way or next: 0 is the start's, i + 1 that of mounts i */
	struct walk *walk;
	struct place start;
	unsigned share; /* of the tree */
	size_t prefix;  /* length of the tree's path in path */
	char name[PATH_BYTES_MAX + 1 + CONFIG_SHARE_PATH_MAX + 1 + PATH_BYTES_MAX + 1 +
		  PATH_COMPONENT_MAX + 1];
	char *path; /* in name, behind the start */
};

struct entry_stat
forest_virtual(void)
{
	return (struct entry_stat){ .mode = S_IFDIR | 0555 };
}

/* ---- one directory of a share */

static bool
is_elsewhere(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EXDEV;
}

/* The directory of a place: a descriptor; -1: it is only there because shares are beneath it; or
 * why it cannot be read. */
static int
open_place(struct forest *f, const struct place *p, int *ret)
{
	int fd;

	*ret = -1;
	if (p->share == PLACE_VIRTUAL)
		return 0;
	fd = shares_open(f->s, p, O_RDONLY | O_DIRECTORY);
	if (is_elsewhere(fd) && shares_above(f->s, p->name))
		return 0;
	if (fd < 0)
		return fd;
	*ret = fd;
	return 0;
}

/* Puts the path of a mount into f->path. Returns its length. */
static size_t
set_path(struct forest *f, size_t mount)
{
	const char *path = mounts_path(&f->mounts, mount);
	size_t len = strlen(path);

	memcpy(f->path, path, len + 1);
	return len;
}

/* A subject that may not list a share learns no more of its root than that it is there. */
static int
look_at_mount(struct forest *f, const struct place *p, struct entry_stat *st)
{
	auto_close int fd = -1;
	int r;

	*st = forest_virtual();
	if (shares_authorise(p, RIGHT_LIST) < 0)
		return f->recursive ? -FTD_E_permission : 0;
	r = open_place(f, p, &fd);
	if (r < 0)
		return r;
	if (fd >= 0 && (r = entry_stat(fd, NULL, st)) < 0)
		return r;
	return f->recursive ? shares_authorise(p, f->need) : 0;
}

static int
show_mount(struct forest *f, size_t i, struct forest_item *ret)
{
	struct place p;
	int r;

	r = mounts_locate(&f->mounts, i, &p);
	if (r < 0)
		return r;
	*ret = (struct forest_item){ .path = f->path, .path_len = set_path(f, i), .dir = -1 };
	ret->error = look_at_mount(f, &p, &ret->st);
	return 1;
}

/* ---- the trees */

static size_t
n_trees(const struct forest *f)
{
	return 1 + (f->recursive ? f->mounts.n : 0);
}

/* Opens the tree f->tree. 1: f->walk is there; 0: it has none of its own; negative: it cannot be
 * read. */
static int
open_tree(struct forest *f)
{
	struct place p;
	int fd, r;

	if (f->tree == 0) {
		f->prefix = 0;
		f->share = f->start.share;
		r = open_place(f, &f->start, &fd);
	} else {
		r = mounts_locate(&f->mounts, f->tree - 1, &p);
		/* what only leads to shares is in another tree; a refusal was told before */
		if (r < 0 || p.share == PLACE_VIRTUAL || p.rest[0] != '\0' ||
		    shares_authorise(&p, f->need | RIGHT_LIST) < 0)
			return 0;
		f->prefix = set_path(f, f->tree - 1);
		f->share = p.share;
		r = open_place(f, &p, &fd);
	}
	if (r < 0 || fd < 0)
		return r;
	r = walk_new(fd, f->recursive ? WALK_RECURSIVE : 0, &f->walk);
	return r < 0 ? r : 1;
}

/* The root of the tree broke: the request ends if it is the start, else it is an entry. */
static int
broken_tree(struct forest *f, int error, struct forest_item *ret)
{
	if (f->tree == 0)
		return error;
	f->path[f->prefix] = '\0';
	*ret = (struct forest_item){ .path = f->path,
				     .path_len = f->prefix,
				     .dir = -1,
				     .st = forest_virtual(),
				     .error = error };
	return 1;
}

static mode_t
mode_of(unsigned char type)
{
	return (mode_t)(type == DT_UNKNOWN ? S_IFIFO : DTTOIF(type));
}

/* The rights of the subject at f->path, which is in the tree under way. */
static unsigned
rights_here(const struct forest *f)
{
	size_t len = strlen(f->s->config->shares[f->share].path);

	return shares_rights(f->s, f->share, f->name + len + (len > 0));
}

/* What a rule keeps from the subject is told as there, and no more; it is not gone into. */
static void
withhold(struct forest *f, struct forest_item *ret)
{
	unsigned rights = rights_here(f), need = f->need | RIGHT_LIST;

	ret->rights = rights;
	if ((rights & RIGHT_LIST) == 0)
		ret->st = (struct entry_stat){ .mode = ret->st.mode & S_IFMT };
	if ((need & ~rights) == 0 || !f->recursive)
		return;
	ret->error = -FTD_E_permission;
	walk_skip(f->walk);
}

/* 1: *ret is to be shown; 0: gone, or not to be shown. */
static int
show_item(struct forest *f, const struct walk_item *w, struct forest_item *ret)
{
	size_t at = f->prefix + (f->prefix > 0);
	int r;

	if (f->prefix > 0)
		f->path[f->prefix] = '/';
	memcpy(f->path + at, w->path, w->path_len + 1);
	if (mounts_is_share(&f->mounts, f->path)) {
		walk_skip(f->walk);
		return 0;
	}
	if (mounts_has(&f->mounts, f->path))
		return 0;
	*ret = (struct forest_item){
		.path = f->path,
		.path_len = at + w->path_len,
		.dir = w->dir,
		.leaf = w->leaf,
		.share = f->share,
		.error = w->error,
	};
	r = entry_stat(w->dir, w->leaf, &ret->st);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		ret->st = (struct entry_stat){ .mode = mode_of(w->type) };
		ret->error = r;
	}
	withhold(f, ret);
	return 1;
}

/* The next item of the tree under way; 0: ask again. */
static int
next_of_tree(struct forest *f, struct forest_item *ret)
{
	struct walk_item w;
	int r;

	r = f->walk != NULL ? 1 : open_tree(f);
	if (r > 0)
		r = walk_next(f->walk, &w);
	if (r > 0 && w.path_len > 0)
		return show_item(f, &w, ret);
	if (r > 0)
		r = w.error;
	f->walk = walk_free(f->walk);
	if (r < 0 && r != -ENOMEM)
		r = broken_tree(f, r, ret);
	f->tree++;
	return r;
}

int
forest_new(struct session *s, const struct place *start, unsigned need, bool recursive,
	   struct forest **ret)
{
	struct forest *f = calloc(1, sizeof(*f));
	int r;

	if (f == NULL)
		return -ENOMEM;
	f->s = s;
	f->need = need;
	f->recursive = recursive;
	f->start = *start;
	f->start.rest = f->start.name + (start->rest - start->name);
	f->path = f->name + strlen(f->start.name) + (f->start.name[0] != '\0');
	(void)snprintf(f->name, sizeof(f->name), "%s/", f->start.name);
	r = mounts_find(&f->mounts, s, f->start.name, recursive);
	if (r >= 0)
		r = open_tree(f);
	if (r < 0) {
		forest_free(f);
		return r;
	}
	*ret = f;
	return 0;
}

struct forest *
forest_free(struct forest *f)
{
	if (f == NULL)
		return NULL;
	walk_free(f->walk);
	mounts_done(&f->mounts);
	free(f);
	return NULL;
}

int
forest_next(struct forest *f, struct forest_item *ret)
{
	int r;

	if (f->shown < f->mounts.n)
		return show_mount(f, f->shown++, ret);
	do
		r = f->tree < n_trees(f) ? next_of_tree(f, ret) : 0;
	while (r == 0 && f->tree < n_trees(f));
	return r;
}

/* ---- cursors */

int
forest_cursor(const struct forest *f, char **ret)
{
	const uint8_t head[CURSOR_HEAD] = { (uint8_t)f->shown, (uint8_t)(f->shown >> 8),
					    (uint8_t)f->tree, (uint8_t)(f->tree >> 8) };
	char hex[2 * CURSOR_HEAD + 1];
	auto_free char *walk = NULL;
	int r;

	if (f->walk != NULL && f->shown == f->mounts.n) {
		r = walk_cursor(f->walk, &walk);
		if (r < 0)
			return r;
	}
	r = asprintf(ret, "%s%s", text_hex(hex, head, sizeof(head)), walk != NULL ? walk : "");
	return r < 0 ? -ENOMEM : 0;
}

/* Whether each directory from the tree to f->path may be gone into. */
static bool
is_open(struct forest *f)
{
	unsigned need = f->need | RIGHT_LIST;

	for (char *end = f->path + strlen(f->path); end > f->path + f->prefix;) {
		if ((need & ~rights_here(f)) != 0)
			return false;
		end = memrchr(f->path, '/', (size_t)(end - f->path));
		if (end == NULL)
			break;
		*end = '\0';
	}
	return true;
}

/* Whether the walk is still in its tree, where a walk would have come to: a cursor leads neither
 * into another share nor past a rule. */
static bool
is_within(struct forest *f)
{
	const char *tree = f->tree > 0 ? mounts_path(&f->mounts, f->tree - 1) : "";
	size_t len, at = f->prefix + (f->prefix > 0);
	const char *where = walk_where(f->walk, &len);

	if (f->prefix > 0)
		f->path[f->prefix] = '/';
	memcpy(f->path + at, where, len);
	f->path[at + len] = '\0';
	return !mounts_left(&f->mounts, tree, f->path) && is_open(f);
}

static int
seek_in_tree(struct forest *f, const char *cursor)
{
	int r;

	r = f->walk != NULL ? 1 : open_tree(f);
	if (r <= 0)
		return r; /* 0: no longer there, the next tree comes */
	r = walk_seek(f->walk, cursor);
	if (r < 0)
		return r;
	return is_within(f) ? 0 : -FTD_E_bad_request;
}

int
forest_seek(struct forest *f, const char *cursor)
{
	uint8_t head[CURSOR_HEAD];
	size_t shown, tree;
	bool inside;

	if (strlen(cursor) < 2 * CURSOR_HEAD ||
	    text_unhex(head, sizeof(head), cursor, 2 * CURSOR_HEAD) < 0)
		return -FTD_E_bad_request;
	shown = head[0] | (size_t)head[1] << 8;
	tree = head[2] | (size_t)head[3] << 8;
	cursor += 2 * CURSOR_HEAD;
	inside = cursor[0] != '\0';
	if (shown > f->mounts.n || tree > n_trees(f) || (inside && tree == n_trees(f)) ||
	    (shown < f->mounts.n && (tree > 0 || inside)))
		return -FTD_E_bad_request;
	f->shown = shown;
	if (tree > 0)
		f->walk = walk_free(f->walk);
	f->tree = tree;
	return inside ? seek_in_tree(f, cursor) : 0;
}
