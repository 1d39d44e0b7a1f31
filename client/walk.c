#include "client/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/own.h"
#include "lib/path.h"

struct walk {
	int root;
	const struct options *options;
	DIR *dir;                      /* the one that is read now */
	char at[PATH_BYTES_MAX + 1];   /* its path */
	char path[PATH_BYTES_MAX + 1]; /* of the item shown last */
	char **waiting;                /* paths of directories to be read */
	size_t n_waiting, room;
};

static int
push(struct walk *w, const char *path)
{
	char **more;
	size_t room;

	if (w->n_waiting == w->room) {
		room = w->room > 0 ? 2 * w->room : 64;
		more = reallocarray(w->waiting, room, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		w->waiting = more;
		w->room = room;
	}
	w->waiting[w->n_waiting] = strdup(path);
	if (w->waiting[w->n_waiting] == NULL)
		return -ENOMEM;
	w->n_waiting++;
	return 0;
}

int
walk_new(int root, const struct options *o, struct walk **ret)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	w->root = root;
	w->options = o;
	if (push(w, "") < 0) {
		walk_free(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

struct walk *
walk_free(struct walk *w)
{
	if (w == NULL)
		return NULL;
	own_dirp(&w->dir);
	while (w->n_waiting > 0)
		free(w->waiting[--w->n_waiting]);
	free(w->waiting);
	free(w);
	return NULL;
}

/* Opens the directory that was found last; its path is in w->at then, also on failure. */
static int
enter(struct walk *w)
{
	auto_close int fd = -1;

	(void)snprintf(w->at, sizeof(w->at), "%s", w->waiting[--w->n_waiting]);
	free(w->waiting[w->n_waiting]);
	fd = path_open(w->root, w->at, O_RDONLY | O_DIRECTORY, 0, false);
	if (fd < 0)
		return fd;
	w->dir = fdopendir(fd);
	if (w->dir == NULL)
		return -errno;
	(void)take_fd(&fd);
	return 0;
}

void
walk_skip(struct walk *w)
{
	free(w->waiting[--w->n_waiting]);
}

/* 1: an item; 0: nothing to show. */
static int
look(struct walk *w, const char *name, struct walk_item *item)
{
	int n;

	n = snprintf(w->path, sizeof(w->path), "%s%s%s", w->at, w->at[0] != '\0' ? "/" : "", name);
	*item = (struct walk_item){ .path = w->path, .dir = dirfd(w->dir) };
	if (n < 0 || (size_t)n >= sizeof(w->path)) {
		item->error = -ENAMETOOLONG;
		return 1;
	}
	item->leaf = w->path + n - strlen(name);
	if (fstatat(item->dir, name, &item->st, AT_SYMLINK_NOFOLLOW) < 0) {
		item->error = -errno;
		return errno != ENOENT; /* removed meanwhile */
	}
	return options_wants(w->options, w->path, S_ISDIR(item->st.st_mode));
}

/* The directory w->at cannot be read, or not to its end. */
static int
broken(const struct walk *w, int error, struct walk_item *ret)
{
	*ret = (struct walk_item){ .path = w->at, .dir = -1, .error = error };
	return 1;
}

/* 1: *ret is the next name in the directory; 0: it is at its end; negative: it cannot be read on.
 */
static int
next_name(struct walk *w, const struct dirent **ret)
{
	int r;

	errno = 0;
	*ret = readdir(w->dir);
	if (*ret != NULL)
		return 1;
	r = -errno;
	(void)closedir(w->dir);
	w->dir = NULL;
	return r;
}

int
walk_next(struct walk *w, struct walk_item *ret)
{
	const struct dirent *e;
	int r;

	for (;;) {
		if (w->dir == NULL) {
			if (w->n_waiting == 0)
				return 0;
			r = enter(w);
			if (r < 0)
				return broken(w, r, ret);
		}
		r = next_name(w, &e);
		if (r < 0)
			return broken(w, r, ret);
		if (r == 0 || strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (look(w, e->d_name, ret) == 0)
			continue;
		if (ret->error == 0 && S_ISDIR(ret->st.st_mode) && push(w, w->path) < 0)
			return -ENOMEM;
		return 1;
	}
}
