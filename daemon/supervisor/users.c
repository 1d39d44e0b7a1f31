#include "daemon/supervisor/users.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/supervisor/sessions.h"
#include "lib/own.h"

struct users_snapshot *
users_free(struct users_snapshot *u)
{
	if (u != NULL)
		free(u->list);
	free(u);
	return NULL;
}

static int
add(struct users_snapshot *s, const struct user *u)
{
	struct users_entry *e;

	if (s->n == s->room) {
		size_t room = s->room != 0 ? 2 * s->room : 16;
		struct users_entry *more = reallocarray(s->list, room, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		s->list = more;
		s->room = room;
	}
	e = &s->list[s->n++];
	*e = (struct users_entry){ .keys = u->n_keys,
				   .disabled = u->disabled,
				   .password = u->hash[0] != '\0',
				   .certificate = u->certificate };
	memcpy(e->name, u->name, sizeof(e->name));
	memcpy(e->account, u->account, sizeof(e->account));
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const struct users_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* text was found sound. */
static int
fill(struct users_snapshot *s, const char *text, size_t len)
{
	struct users_reader reader = { .at = text, .end = text + len };
	char why[USERS_WHY_MAX];
	struct user u;
	int r;

	while ((r = users_next(&reader, &u, why)) > 0) {
		r = add(s, &u);
		if (r < 0)
			return r;
	}
	if (s->n > 0)
		qsort(s->list, s->n, sizeof(*s->list), compare);
	return r;
}

int
users_load(const struct config *c, struct config_problems *problems, struct users_snapshot **ret)
{
	struct users_snapshot *s;
	auto_free char *text = NULL;
	size_t len;
	int r;

	r = config_read_users(c, geteuid(), &text, &len, problems);
	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	r = s == NULL ? -ENOMEM : fill(s, text, len);
	explicit_bzero(text, len);
	if (r < 0) {
		users_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

int
users_reload(struct supervisor *sup, bool dry_run, struct config_problems *problems)
{
	struct users_snapshot *fresh = NULL;
	int r;

	if (sup->reload != NULL || !sup->serving || sup->draining)
		return -EBUSY;
	(void)snprintf(problems->file, sizeof(problems->file), "%s", sup->config->file);
	r = users_load(sup->config, problems, &fresh);
	if (r >= 0 && !dry_run) {
		users_adopt(sup, fresh);
		sessions_follow_users(sup);
	} else {
		users_free(fresh);
	}
	return r;
}

void
users_adopt(struct supervisor *sup, struct users_snapshot *fresh)
{
	users_free(sup->users);
	sup->users = fresh;
	sup->users_loads++;
}

const struct users_entry *
users_after(const struct supervisor *sup, const char *name)
{
	size_t low = 0, high = sup->users->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(sup->users->list[middle].name, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < sup->users->n ? &sup->users->list[low] : NULL;
}

const struct users_entry *
users_find(const struct supervisor *sup, const char *name)
{
	struct users_entry key = { 0 };

	if (sup->users->n == 0 || strlen(name) > USER_NAME_MAX)
		return NULL;
	memcpy(key.name, name, strlen(name));
	return bsearch(&key, sup->users->list, sup->users->n, sizeof(key), compare);
}

bool
users_may(const struct supervisor *sup, const char *name)
{
	const struct users_entry *u = users_find(sup, name);

	return u != NULL && !u->disabled;
}
