#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>

#include "lib/err.h"
#include "lib/own.h"

static bool
is_visible(const struct session *s, size_t i)
{
	return s->shares[i].rights != 0;
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

/* Whether the subject may list what holds a name. A share that is hidden from it is no part of
 * that. */
static bool
may_list_around(const struct session *s, const char *name)
{
	const struct config_share *share;
	char parent[PATH_BYTES_MAX + 1];
	const char *slash, *rest;
	size_t len;

	do {
		slash = strrchr(name, '/');
		len = slash != NULL ? (size_t)(slash - name) : 0;
		memcpy(parent, name, len);
		parent[len] = '\0';
		share = config_share_of(s->config, parent, &rest);
		if (share == NULL)
			return true;
		name = share->path;
	} while (name[0] != '\0' && !is_visible(s, (size_t)(share - s->config->shares)));
	return (s->shares[share - s->config->shares].rights & RIGHT_LIST) != 0;
}

int
shares_locate(struct session *s, const struct message_name *name, struct place *ret)
{
	const struct config_share *share;
	int r;

	if (name->data == NULL)
		return -FTD_E_bad_name;
	r = path_from_wire(name->data, name->len, ret->name);
	if (r < 0)
		return r;
	share = config_share_of(s->config, ret->name, &ret->rest);
	if (share != NULL && is_visible(s, (size_t)(share - s->config->shares))) {
		ret->share = (unsigned)(share - s->config->shares);
		return 0;
	}
	if (!shares_above(s, ret->name))
		return may_list_around(s, ret->name) ? -FTD_E_not_found : -FTD_E_permission;
	ret->share = PLACE_VIRTUAL;
	ret->rest = ret->name;
	return 0;
}

int
shares_authorise(struct session *s, const struct place *p, unsigned need)
{
	/* directories above shares can be looked at, nothing else */
	unsigned rights =
	    p->share == PLACE_VIRTUAL ? RIGHT_READ | RIGHT_LIST : s->shares[p->share].rights;

	return (need & ~rights) == 0 ? 0 : -FTD_E_permission;
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
shares_conceal(const struct session *s, const struct place *p, int r)
{
	return shares_told(p->share == PLACE_VIRTUAL ? RIGHT_ALL : s->shares[p->share].rights, r);
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
shares_follow(struct session *s, const struct place *p)
{
	return p->share != PLACE_VIRTUAL &&
	       s->config->shares[p->share].links == CONFIG_LINKS_INSIDE;
}

/* The share's root, borrowed. */
static int
root_of(const struct session *s, const struct place *p)
{
	const struct session_share *share;

	if (p->share == PLACE_VIRTUAL)
		return -EISDIR;
	share = &s->shares[p->share];
	/* what the name would be is there; the storage is not */
	return share->root >= 0 ? share->root : -EIO;
}

int
shares_open(struct session *s, const struct place *p, int flags)
{
	int root = root_of(s, p);

	return root < 0 ? root : path_open(root, p->rest, flags, 0, shares_follow(s, p));
}

int
shares_open_parent(struct session *s, const struct place *p, const char **ret_leaf)
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
	struct statfs st;
	uint64_t room;

	if (s->shares[share].root < 0)
		return -EIO;
	if (fstatfs(s->shares[share].root, &st) < 0)
		return -errno;
	if (__builtin_mul_overflow((uint64_t)st.f_bavail, (uint64_t)st.f_bsize, &room))
		room = INT64_MAX;
	*ret_room = room > s->config->free_space ? room - s->config->free_space : 0;
	if (__builtin_mul_overflow((uint64_t)st.f_blocks, (uint64_t)st.f_bsize, ret_total))
		*ret_total = INT64_MAX;
	return 0;
}
