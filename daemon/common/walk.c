#include "daemon/common/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "lib/own.h"
#include "lib/path.h"
#include "lib/text.h"

/* Buffers for names: large where directories are large, small where only a deep tree gets to. */
enum { WIDE_LEVELS = 64, WIDE_BUFFER = 32 << 10, NARROW_BUFFER = 2 << 10 };

/* A cursor holds for each level the directory's name (length and bytes) and a position. */
enum {
	CURSOR_STEP = 1 + 8,
	CURSOR_MAX = PATH_BYTES_MAX + (PATH_BYTES_MAX / 2 + 2) * CURSOR_STEP,
};

struct level {
	int fd;
	uint8_t *buffer; /* kept for the next directory of this depth */
	size_t at, end;  /* buffer[at..end) is not shown yet */
	int64_t next;    /* where the directory goes on after the last name shown */
	size_t path_len; /* of the directory's own path */
};

struct walk {
	unsigned flags;
	struct level *levels;
	size_t depth, room; /* levels in use, levels with a buffer */
	bool entered;       /* the directory shown last is levels[depth - 1] */
	char path[PATH_BYTES_MAX + 1 + PATH_COMPONENT_MAX + 1];
};

static size_t
buffer_size(size_t level)
{
	return level < WIDE_LEVELS ? WIDE_BUFFER : NARROW_BUFFER;
}

static struct level *
top(struct walk *w)
{
	return &w->levels[w->depth - 1];
}

/* Makes sure of levels[depth] and its buffer. */
static int
level_room(struct walk *w)
{
	struct level *more;
	uint8_t *buffer;

	if (w->depth < w->room)
		return 0;
	more = reallocarray(w->levels, w->room + 1, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	w->levels = more;
	buffer = malloc(buffer_size(w->room));
	if (buffer == NULL)
		return -ENOMEM;
	w->levels[w->room++] = (struct level){ .fd = -1, .buffer = buffer };
	return 0;
}

/* 1: names are in the buffer; 0: the directory is done. */
static int
level_fill(struct walk *w)
{
	struct level *l = top(w);
	ssize_t n;

	n = getdents64(l->fd, l->buffer, buffer_size(w->depth - 1));
	if (n < 0)
		return -errno;
	l->at = 0;
	l->end = (size_t)n;
	return n > 0;
}

static void
level_pop(struct walk *w)
{
	close_fd(&top(w)->fd);
	w->depth--;
}

/* Takes over dir, whose path is the first path_len bytes of w->path. */
static int
level_push(struct walk *w, int dir, size_t path_len)
{
	auto_close int fd = dir;
	struct level *l;
	int r;

	r = level_room(w);
	if (r < 0)
		return r;
	l = &w->levels[w->depth++];
	l->fd = take_fd(&fd);
	l->at = l->end = 0;
	l->next = 0;
	l->path_len = path_len;
	r = level_fill(w);
	if (r < 0)
		level_pop(w);
	return r;
}

int
walk_new(int dir, unsigned flags, struct walk **ret)
{
	auto_close int fd = dir;
	struct walk *w;
	int r;

	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -ENOMEM;
	w->flags = flags;
	r = level_push(w, take_fd(&fd), 0);
	if (r < 0) {
		walk_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

struct walk *
walk_free(struct walk *w)
{
	if (w == NULL)
		return NULL;
	while (w->depth > 0)
		level_pop(w);
	for (size_t i = 0; i < w->room; i++)
		free(w->levels[i].buffer);
	free(w->levels);
	free(w);
	return NULL;
}

/* Where a name goes behind the path of the level: after a '/', but at once at the start. */
static size_t
leaf_at(const struct level *l)
{
	return l->path_len + (l->path_len > 0);
}

/* Puts leaf behind the path of the deepest directory. */
static void
item_set(struct walk *w, const char *leaf, size_t len, struct walk_item *item)
{
	const struct level *l = top(w);
	size_t at = leaf_at(l);

	if (at > 0)
		w->path[at - 1] = '/';
	memmove(w->path + at, leaf, len);
	w->path[at + len] = '\0';
	*item = (struct walk_item){
		.path = w->path,
		.path_len = at + len,
		.leaf = w->path + at,
		.dir = l->fd,
	};
}

static bool
is_replaced(int r)
{
	return r == -ENOTDIR || r == -ELOOP || r == -EXDEV;
}

/* Goes into the directory that item names; what fails is told in item. 0: it is gone. */
static int
item_enter(struct walk *w, struct walk_item *item)
{
	int fd, r;

	fd = path_open(item->dir, item->leaf, O_RDONLY | O_DIRECTORY, 0, false);
	r = fd < 0 ? fd : level_push(w, fd, item->path_len);
	if (r == -ENOENT)
		return 0;
	if (r == -ENOMEM)
		return r;
	if (is_replaced(r))
		item->type = DT_UNKNOWN;
	else if (r < 0)
		item->error = r;
	else
		w->entered = true;
	return 1;
}

static int
type_of(int dir, const char *leaf, unsigned char *ret)
{
	struct stat st;

	if (fstatat(dir, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret = (unsigned char)IFTODT(st.st_mode);
	return 0;
}

/* 1: *item is to be shown; 0: it is gone. */
static int
item_make(struct walk *w, const struct dirent64 *d, struct walk_item *item)
{
	item_set(w, d->d_name, strlen(d->d_name), item);
	item->type = d->d_type;
	if (item->type == DT_UNKNOWN && type_of(item->dir, item->leaf, &item->type) < 0)
		return 0;
	if (item->path_len > PATH_BYTES_MAX) {
		item->error = -ENAMETOOLONG;
		return 1;
	}
	if (item->type == DT_DIR && (w->flags & WALK_RECURSIVE) != 0)
		return item_enter(w, item);
	return 1;
}

/* The deepest directory is done, or broken (error). 1: *item tells so. */
static int
leave(struct walk *w, int error, struct walk_item *item)
{
	size_t len = top(w)->path_len, at;
	bool tell = error < 0 || (w->flags & WALK_POST) != 0;

	level_pop(w);
	if (w->depth == 0) {
		*item = (struct walk_item){ .path = "", .leaf = "", .dir = -1, .error = error };
		return error < 0;
	}
	at = leaf_at(top(w));
	item_set(w, w->path + at, len - at, item);
	item->type = DT_DIR;
	item->error = error;
	item->leaving = error == 0;
	return tell;
}

static bool
is_hidden(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       path_is_reserved(name, strlen(name));
}

int
walk_next(struct walk *w, struct walk_item *ret)
{
	struct walk_item item;
	int r;

	w->entered = false;
	while (w->depth > 0) {
		struct level *l = top(w);
		const struct dirent64 *d = (const void *)(l->buffer + l->at);

		if (l->at == l->end) {
			r = level_fill(w);
			r = r > 0 ? 0 : leave(w, r, &item);
		} else {
			l->at += d->d_reclen;
			l->next = d->d_off;
			r = is_hidden(d->d_name) ? 0 : item_make(w, d, &item);
		}
		if (r > 0)
			*ret = item;
		if (r != 0)
			return r;
	}
	return 0;
}

void
walk_skip(struct walk *w)
{
	if (w->entered)
		level_pop(w);
	w->entered = false;
}

/* The last component of the path of level i, "" for the start. */
static const char *
level_name(const struct walk *w, size_t i, size_t *ret_len)
{
	size_t at = i == 0 ? 0 : leaf_at(&w->levels[i - 1]);

	*ret_len = w->levels[i].path_len - at;
	return w->path + at;
}

int
walk_cursor(const struct walk *w, char **ret)
{
	uint8_t bytes[CURSOR_MAX];
	size_t n = 0, len;
	char *text;

	for (size_t i = 0; i < w->depth; i++) {
		const char *name = level_name(w, i, &len);
		uint64_t next = (uint64_t)w->levels[i].next;

		bytes[n++] = (uint8_t)len;
		memcpy(bytes + n, name, len);
		n += len;
		for (unsigned shift = 0; shift < 64; shift += 8)
			bytes[n++] = (uint8_t)(next >> shift);
	}
	text = malloc(2 * n + 1);
	if (text == NULL)
		return -ENOMEM;
	*ret = text_hex(text, bytes, n);
	return 0;
}

/* Goes into name beneath the deepest directory as walk_next() would. 1; 0: no longer there. */
static int
seek_enter(struct walk *w, const char *name, size_t len)
{
	struct walk_item item;
	int r;

	if ((w->flags & WALK_RECURSIVE) == 0 || path_check_visible(name, len) < 0 ||
	    leaf_at(top(w)) + len > PATH_BYTES_MAX)
		return -FTD_E_bad_request;
	item_set(w, name, len, &item);
	r = item_enter(w, &item);
	if (r <= 0)
		return r;
	return item.error < 0 ? item.error : w->entered;
}

static int
seek_to(struct walk *w, uint64_t next)
{
	struct level *l = top(w);

	if (next > INT64_MAX || lseek(l->fd, (off_t)next, SEEK_SET) < 0)
		return -FTD_E_bad_request;
	l->next = (int64_t)next;
	l->at = l->end = 0;
	return 0;
}

/* One level of a cursor; advances *at. As seek_enter(). */
static int
seek_step(struct walk *w, const uint8_t *bytes, size_t n, size_t *at)
{
	bool start = *at == 0;
	size_t len = bytes[*at];
	const char *name = (const char *)bytes + *at + 1;
	uint64_t next = 0;
	int r;

	if (n - *at < CURSOR_STEP + len || start != (len == 0))
		return -FTD_E_bad_request;
	for (unsigned i = 0; i < 8; i++)
		next |= (uint64_t)bytes[*at + 1 + len + i] << (8 * i);
	*at += CURSOR_STEP + len;
	r = start ? 1 : seek_enter(w, name, len);
	if (r <= 0)
		return r;
	r = seek_to(w, next);
	return r < 0 ? r : 1;
}

int
walk_seek(struct walk *w, const char *cursor)
{
	uint8_t bytes[CURSOR_MAX];
	size_t at = 0;
	int n, r;

	n = text_unhex(bytes, sizeof(bytes), cursor, strlen(cursor));
	if (n <= 0)
		return -FTD_E_bad_request;
	do
		r = seek_step(w, bytes, (size_t)n, &at);
	while (r > 0 && at < (size_t)n);
	w->entered = false;
	return r < 0 ? r : 0;
}

const char *
walk_where(const struct walk *w, size_t *ret_len)
{
	*ret_len = w->levels[w->depth - 1].path_len;
	return w->path;
}
