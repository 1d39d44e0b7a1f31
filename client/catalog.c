#include "client/catalog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/own.h"

void
catalog_done(struct catalog *c)
{
	free(c->items);
	*c = (struct catalog){ .items = NULL };
}

void
catalog_take_digest(struct catalog_item *item, const struct message_str *digest)
{
	struct digest_value v;
	bool has_value;

	if (digest->data == NULL || digest_parse(digest->data, digest->len, &v, &has_value) < 0 ||
	    !has_value || v.algorithm != DIGEST_XXH3)
		return;
	memcpy(item->digest, v.bytes, sizeof(item->digest));
	item->has_digest = true;
}

int
catalog_add(struct catalog *c, const char *path, const struct catalog_facts *facts,
	    const struct message_str *digest)
{
	struct catalog_item *item, *more;
	size_t room;

	if (c->n == CATALOG_MAX)
		return -E2BIG;
	if (c->n == c->room) {
		room = c->room > 0 ? 2 * c->room : 256;
		more = reallocarray(c->items, room, sizeof(*more));
		if (more == NULL)
			return -ENOMEM;
		c->items = more;
		c->room = room;
	}
	item = &c->items[c->n++];
	*item = (struct catalog_item){ .facts = *facts };
	digest_block(path, strlen(path), item->key);
	catalog_take_digest(item, digest);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	return memcmp(((const struct catalog_item *)a)->key, ((const struct catalog_item *)b)->key,
		      CATALOG_KEY);
}

void
catalog_sort(struct catalog *c)
{
	if (c->n > 0)
		qsort(c->items, c->n, sizeof(*c->items), compare);
}

struct catalog_item *
catalog_find(const struct catalog *c, const char *path)
{
	struct catalog_item wanted;

	if (c->n == 0)
		return NULL;
	digest_block(path, strlen(path), wanted.key);
	return bsearch(&wanted, c->items, c->n, sizeof(*c->items), compare);
}

struct catalog_facts
catalog_entry_facts(const struct entry *e)
{
	return (struct catalog_facts){ .size = e->filesize,
				       .mtime_ns = e->mtime_ns,
				       .mode = (uint16_t)e->mode,
				       .type = (uint8_t)e->type,
				       .has_mtime = e->has_mtime,
				       .has_mode = e->has_mode };
}

static enum entry_type
type_of(mode_t mode)
{
	if (S_ISREG(mode))
		return ENTRY_FILE;
	if (S_ISDIR(mode))
		return ENTRY_DIR;
	return S_ISLNK(mode) ? ENTRY_LINK : ENTRY_OTHER;
}

struct catalog_facts
catalog_stat_facts(const struct stat *st)
{
	return (struct catalog_facts){ .size = (uint64_t)st->st_size,
				       .mtime_ns =
					   (int64_t)st->st_mtim.tv_sec * (int64_t)NSEC_PER_SEC +
					   st->st_mtim.tv_nsec,
				       .mode = (uint16_t)(st->st_mode & 0777),
				       .type = (uint8_t)type_of(st->st_mode),
				       .has_mtime = true,
				       .has_mode = true };
}
