#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/get.h"
#include "lib/err.h"
#include "lib/own.h"

/* A stream without end must not fill the memory: what lies beyond keeps the times it got. */
enum { DIRS_MAX = 1 << 20 };

struct get_dir {
	char *path; /* owned */
	struct part_facts facts;
};

/* The path below root of what the server calls name, every component checked. */
static int
path_of(const struct message_name *name, char *ret_path)
{
	if (name->data == NULL || name->len == 0 || name->data[0] == '/')
		return -FTD_E_bad_name;
	return path_from_wire(name->data, name->len, ret_path);
}

/* Opens the directory rel, and makes it unless told not to. The one opened last is kept: files come
 * directory by directory. */
static int
open_directory(struct get_place *p, const char *rel)
{
	int fd;

	if (rel[0] == '\0')
		return p->root;
	if (p->parent >= 0 && strcmp(p->parent_path, rel) == 0)
		return p->parent;
	fd = p->look_only ? path_open(p->root, rel, O_RDONLY | O_DIRECTORY, 0, false)
			  : path_make_parents(p->root, rel, false, NULL);
	if (fd < 0)
		return fd;
	close_fd(&p->parent);
	p->parent = fd;
	(void)snprintf(p->parent_path, sizeof(p->parent_path), "%s", rel);
	return fd;
}

int
get_place_parent(struct get_place *p, const struct message_name *name, char *ret_path,
		 const char **ret_leaf)
{
	char above[PATH_BYTES_MAX + 1];
	const char *slash;
	int r;

	r = path_of(name, ret_path);
	if (r < 0)
		return r;
	slash = strrchr(ret_path, '/');
	*ret_leaf = slash != NULL ? slash + 1 : ret_path;
	(void)snprintf(above, sizeof(above), "%.*s", slash != NULL ? (int)(slash - ret_path) : 0,
		       ret_path);
	return open_directory(p, above);
}

void
get_place_note(struct get_place *p, const char *path, const struct part_facts *facts)
{
	struct get_dir *more;
	size_t room;

	if (p->n_dirs == DIRS_MAX)
		return;
	if (p->n_dirs == p->room) {
		room = p->room > 0 ? 2 * p->room : 64;
		more = reallocarray(p->dirs, room, sizeof(*more));
		if (more == NULL)
			return;
		p->dirs = more;
		p->room = room;
	}
	p->dirs[p->n_dirs].path = strdup(path);
	if (p->dirs[p->n_dirs].path != NULL)
		p->dirs[p->n_dirs++].facts = *facts;
}

int
get_place_directory(struct get_place *p, const struct entry *e)
{
	struct part_facts facts = get_facts(e);
	char path[PATH_BYTES_MAX + 1];
	int r;

	r = path_of(&e->name, path);
	if (r >= 0)
		r = open_directory(p, path);
	if (r < 0)
		return r;
	get_place_note(p, path, &facts);
	return 0;
}

/* Whoever made the directory must be able to use it, whatever its mode is elsewhere. */
static void
finish_directory(struct get_place *p, const struct get_dir *d)
{
	auto_close int fd = path_open(p->root, d->path, O_RDONLY | O_DIRECTORY, 0, false);

	if (fd < 0)
		return;
	if (d->facts.has_mode)
		(void)fchmod(fd, part_mode(d->facts.mode) | S_IRWXU);
	if (d->facts.has_mtime)
		(void)part_set_mtime(fd, d->facts.mtime_ns);
}

void
get_place_done(struct get_place *p)
{
	close_fd(&p->parent);
	while (p->n_dirs > 0) { /* the deepest first */
		struct get_dir *d = &p->dirs[--p->n_dirs];

		finish_directory(p, d);
		free(d->path);
	}
	free(take_ptr(p->dirs));
}
