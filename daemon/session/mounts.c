#include "daemon/session/mounts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"

static bool
is_beneath(const char *path, const char *name)
{
	size_t len = strlen(name);

	return len == 0 ? path[0] != '\0' : strncmp(path, name, len) == 0 && path[len] == '/';
}

/* ---- those that the subject may see */

struct parent {
	struct mounts *m;
	const char *name;
};

static int
add(void *userdata, const char *name, size_t len)
{
	const struct parent *p = userdata;
	struct mounts *m = p->m;
	size_t parent = strlen(p->name), at = parent + (parent > 0);
	auto_free char *full = malloc(at + len + 1);
	char **more;

	more = reallocarray(m->names, m->n + 1, sizeof(*more));
	if (more != NULL)
		m->names = more;
	if (more == NULL || full == NULL || m->n == MOUNTS_MAX)
		return -ENOMEM;
	memcpy(full, p->name, parent);
	if (parent > 0)
		full[parent] = '/';
	memcpy(full + at, name, len);
	full[at + len] = '\0';
	m->names[m->n++] = take_ptr(full);
	return 0;
}

int
mounts_find(struct mounts *m, struct session *s, const char *start, bool recursive)
{
	struct parent p = { .m = m, .name = start };
	int r;

	*m = (struct mounts){
		.s = s,
		.start = start,
		.skip = strlen(start) + (start[0] != '\0'),
	};
	r = shares_children(s, start, add, &p);
	for (size_t i = 0; r >= 0 && recursive && i < m->n; i++) {
		p.name = m->names[i];
		r = shares_children(s, p.name, add, &p);
	}
	return r;
}

void
mounts_done(struct mounts *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->names[i]);
	free(m->names);
	*m = (struct mounts){ 0 };
}

const char *
mounts_path(const struct mounts *m, size_t i)
{
	return m->names[i] + m->skip;
}

int
mounts_locate(const struct mounts *m, size_t i, struct place *ret)
{
	return shares_locate(m->s, m->names[i], ret);
}

bool
mounts_has(const struct mounts *m, const char *path)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(mounts_path(m, i), path) == 0)
			return true;
	return false;
}

/* ---- all that there are */

/* The path of a share below the start; NULL: it is not beneath it. */
static const char *
share_path(const struct mounts *m, size_t i)
{
	const char *path = m->s->config->shares[i].path;

	return is_beneath(path, m->start) ? path + m->skip : NULL;
}

bool
mounts_is_share(const struct mounts *m, const char *path)
{
	const char *share;

	for (size_t i = 0; i < m->s->config->n_shares; i++) {
		share = share_path(m, i);
		if (share != NULL && strcmp(share, path) == 0)
			return true;
	}
	return false;
}

bool
mounts_left(const struct mounts *m, const char *tree, const char *path)
{
	const char *share;

	for (size_t i = 0; i < m->s->config->n_shares; i++) {
		share = share_path(m, i);
		if (share != NULL && is_beneath(share, tree) &&
		    (strcmp(path, share) == 0 || is_beneath(path, share)))
			return true;
	}
	return false;
}
