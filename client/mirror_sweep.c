#include "client/mirror_sweep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/own.h"

void
mirror_sweep_done(struct mirror_sweep *s)
{
	while (s->n > 0)
		free(s->stale[--s->n].path);
	free(take_ptr(s->stale));
	catalog_done(&s->kept);
	catalog_done(&s->whole);
}

static int
add_name(struct catalog *c, const char *path)
{
	static const struct catalog_facts nothing;
	static const struct message_str no_digest;

	return catalog_add(c, path, &nothing, &no_digest);
}

static int
add_stale(struct mirror_sweep *s, const char *path, bool directory)
{
	struct mirror_stale *more;
	size_t room;

	if (s->n == s->room) {
		room = s->room > 0 ? 2 * s->room : 64;
		more = reallocarray(s->stale, room, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		s->stale = more;
		s->room = room;
	}
	s->stale[s->n] = (struct mirror_stale){ .path = strdup(path), .directory = directory };
	if (s->stale[s->n].path == NULL)
		return -ENOMEM;
	s->n++;
	return 0;
}

int
mirror_sweep_keep(struct mirror_sweep *s, const char *path)
{
	char above[PATH_BYTES_MAX + 1];
	char *slash;
	int r = 0;

	(void)snprintf(above, sizeof(above), "%s", path);
	slash = strrchr(above, '/');
	if (slash == NULL)
		return 0;
	*slash = '\0';
	if (strcmp(above, s->kept_last) == 0)
		return 0;
	memcpy(s->kept_last, above, sizeof(above));
	while (r == 0 && slash != NULL) {
		r = add_name(&s->kept, above);
		slash = strrchr(above, '/');
		if (slash != NULL)
			*slash = '\0';
	}
	return r;
}

int
mirror_sweep_judge(struct mirror_sweep *s, const char *path, bool directory,
		   const struct catalog_facts *src)
{
	int r;

	if (src == NULL)
		return add_stale(s, path, directory);
	if (src->type == ENTRY_FILE || src->type == ENTRY_DIR)
		return directory == (src->type == ENTRY_DIR) ? 0 : add_stale(s, path, directory);
	r = add_name(&s->whole, path);
	return r < 0 ? r : mirror_sweep_keep(s, path);
}

static bool
stays(const struct mirror_sweep *s, const struct mirror_stale *stale)
{
	char above[PATH_BYTES_MAX + 1];
	char *slash;

	if (stale->directory && catalog_find(&s->kept, stale->path) != NULL)
		return true;
	(void)snprintf(above, sizeof(above), "%s", stale->path);
	while ((slash = strrchr(above, '/')) != NULL) {
		*slash = '\0';
		if (catalog_find(&s->whole, above) != NULL)
			return true;
	}
	return false;
}

/* Those below behind those above, backwards. */
static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct mirror_stale *)b)->path,
		      ((const struct mirror_stale *)a)->path);
}

void
mirror_sweep_sort(struct mirror_sweep *s)
{
	size_t left = 0;

	catalog_sort(&s->kept);
	catalog_sort(&s->whole);
	for (size_t i = 0; i < s->n; i++)
		if (stays(s, &s->stale[i]))
			free(s->stale[i].path);
		else
			s->stale[left++] = s->stale[i];
	s->n = left;
	if (s->n > 0)
		qsort(s->stale, s->n, sizeof(*s->stale), compare);
}
