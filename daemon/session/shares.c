#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "lib/err.h"
#include "lib/own.h"

static bool
is_visible(const struct session *s, size_t i)
{
	return s->view.shares[i] != 0;
}

/* What is left of a share's path beneath the directory name; NULL: the share is not beneath it. */
static const char *
beneath(const char *share, const char *name)
{
	size_t len = strlen(name);

	if (len == 0)
		return share[0] != '\0' ? share : NULL;
	if (strncmp(share, name, len) != 0 || share[len] != '/')
		return NULL;
	return share + len + 1;
}

bool
shares_above(const struct session *s, const char *name)
{
	for (size_t i = 0; i < s->config->n_shares; i++)
		if (is_visible(s, i) && beneath(s->config->shares[i].path, name) != NULL)
			return true;
	return false;
}

int
shares_locate(const struct session *s, const char *name, struct place *ret)
{
	struct access_place at;
	struct access_verdict a;

	(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	a = access_locate(&s->view, ret->name, &at, NULL);
	ret->share = at.share;
	ret->rights = at.rights;
	ret->rest = at.rest;
	return a.allowed ? 0 : err_from_code(a.code);
}

unsigned
shares_rights(const struct session *s, unsigned share, const char *rest)
{
	return access_rights(s->config, &s->config->shares[share], &s->subject, rest);
}

int
shares_authorise(const struct place *p, unsigned need)
{
	return (need & ~p->rights) == 0 ? 0 : -FTD_E_permission;
}

int
shares_told(unsigned rights, int r)
{
	static const char *const telling[] = { "not_found",      "exists",     "changed",
					       "not_empty",      "not_a_file", "link_refused",
					       "not_a_directory" };

	if (r >= 0 || (rights & RIGHT_LIST))
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(telling); i++)
		if (strcmp(err_code(r), telling[i]) == 0)
			return -FTD_E_permission;
	return r;
}

int
shares_conceal(const struct place *p, int r)
{
	return shares_told(p->rights, r);
}

/* Whether an earlier share gave the same child already. */
static bool
was_given(const struct session *s, const char *name, size_t before, const char *child, size_t len)
{
	const char *rest;

	for (size_t i = 0; i < before; i++) {
		rest = is_visible(s, i) ? beneath(s->config->shares[i].path, name) : NULL;
		if (rest != NULL && strcspn(rest, "/") == len && memcmp(rest, child, len) == 0)
			return true;
	}
	return false;
}

int
shares_children(struct session *s, const char *name,
		int (*child)(void *userdata, const char *name, size_t len), void *userdata)
{
	const char *rest;
	size_t len;
	int r;

	for (size_t i = 0; i < s->config->n_shares; i++) {
		rest = is_visible(s, i) ? beneath(s->config->shares[i].path, name) : NULL;
		if (rest == NULL)
			continue;
		len = strcspn(rest, "/");
		if (was_given(s, name, i, rest, len))
			continue;
		r = child(userdata, rest, len);
		if (r < 0)
			return r;
	}
	return 0;
}

bool
shares_follow(const struct session *s, const struct place *p)
{
	return p->share != PLACE_VIRTUAL &&
	       s->config->shares[p->share].links == CONFIG_LINKS_INSIDE;
}

bool
shares_gone(int dir)
{
	struct statx st;

	return statx(dir, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK, &st) == 0 &&
	       st.stx_nlink == 0;
}

int
shares_root(const struct session *s, unsigned share)
{
	int root = s->shares[share].root;

	/* what the name would be is there; the storage is not */
	return root >= 0 && !shares_gone(root) ? root : -EIO;
}

static int
root_of(const struct session *s, const struct place *p)
{
	return p->share != PLACE_VIRTUAL ? shares_root(s, p->share) : -EISDIR;
}

int
shares_open(const struct session *s, const struct place *p, int flags)
{
	int root = root_of(s, p);

	return root < 0 ? root : path_open(root, p->rest, flags, 0, shares_follow(s, p));
}

int
shares_open_parent(const struct session *s, const struct place *p, const char **ret_leaf)
{
	int root = root_of(s, p);

	if (root < 0)
		return root;
	if (p->rest[0] == '\0') /* a share's root is no name in a directory */
		return -EISDIR;
	return path_open_parent(root, p->rest, shares_follow(s, p), ret_leaf);
}

int
shares_space(const struct session *s, unsigned share, uint64_t *ret_room, uint64_t *ret_total)
{
	int root = shares_root(s, share);
	struct statfs st;
	uint64_t room;

	if (root < 0)
		return root;
	if (fstatfs(root, &st) < 0)
		return -errno;
	if (__builtin_mul_overflow((uint64_t)st.f_bavail, (uint64_t)st.f_bsize, &room))
		room = INT64_MAX;
	*ret_room = room > s->config->free_space ? room - s->config->free_space : 0;
	if (__builtin_mul_overflow((uint64_t)st.f_blocks, (uint64_t)st.f_bsize, ret_total))
		*ret_total = INT64_MAX;
	return 0;
}
