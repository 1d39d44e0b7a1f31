#include "daemon/supervisor/sources.h"

#include <stdlib.h>

enum { BUCKETS = 4096 };

static struct source *table[BUCKETS];

/* The number of sources that an attacker can hold is bounded by the waiting room, so a chain cannot
 * grow long. */
static struct source **
bucket_of(const struct subnet *key)
{
	return &table[subnet_hash(key) % BUCKETS];
}

static struct source *
find(const struct subnet *key)
{
	struct source *s = *bucket_of(key);

	while (s != NULL && !subnet_equal(&s->key, key))
		s = s->next;
	return s;
}

struct source *
source_hold(const union addr *peer)
{
	const struct subnet key = addr_source(peer);
	struct source **bucket = bucket_of(&key);
	struct source *s = find(&key);

	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		if (s == NULL)
			return NULL;
		s->key = key;
		s->next = *bucket;
		*bucket = s;
	}
	s->holders++;
	return s;
}

struct source *
source_hold_unnamed(void)
{
	struct source *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->unnamed = true;
	s->holders = 1;
	return s;
}

static void
forget(const struct source *s)
{
	struct source **at = bucket_of(&s->key);

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
}

void
source_release(struct source *s)
{
	if (--s->holders > 0)
		return;
	if (!s->unnamed)
		forget(s);
	free(s);
}
