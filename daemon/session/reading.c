#include "daemon/session/reading.h"

#include <syslog.h>

#include "daemon/common/rolelog.h"
#include "daemon/session/atrest.h"
#include "daemon/session/content.h"
#include "lib/err.h"
#include "lib/own.h"

int
reading_begin(struct reading *r)
{
	bool same;

	r->noted = r->whole && atrest_get(r->s, r->share, r->fd, r->st, r->algorithm, &r->value);
	same = r->noted && r->value.algorithm == r->algorithm;
	r->known = same && !r->fresh;
	r->notable = r->whole && !same && atrest_is_settled(r->st);
	if (r->noted && !same && digest_new(r->value.algorithm, &r->other) < 0)
		return -ENOMEM;
	return content_digest(r->s, r->algorithm);
}

static void
update(struct digest *d, const void *data, uint64_t n)
{
	if (data != NULL)
		digest_update(d, data, (size_t)n);
	else
		digest_update_zeros(d, n);
}

void
reading_update(struct reading *r, const void *data, uint64_t n)
{
	if (!r->known)
		update(r->s->digest, data, n);
	if (r->other != NULL)
		update(r->other, data, n);
}

static bool
is_damaged(const struct reading *r, const struct digest_value *is)
{
	struct digest_value other = *is;

	if (r->other != NULL)
		digest_final(r->other, &other);
	return r->noted && !digest_equal(&other, &r->value);
}

static void
log_damaged(const struct reading *r)
{
	rolelog(LOG_ERR,
		"a file has not the content that its digest was noted of: it is damaged, or was "
		"changed and given its old time again: %s",
		r->name);
}

int
reading_end(struct reading *r, struct digest_value *ret)
{
	struct digest_value is = r->value;

	if (!r->known)
		digest_final(r->s->digest, &is);
	if (is_damaged(r, &is)) {
		log_damaged(r);
		return -FTD_E_digest_mismatch;
	}
	if (r->notable)
		atrest_add(r->s, r->share, r->fd, r->st, &is);
	*ret = is;
	return 0;
}

void
reading_done(struct reading *r)
{
	r->other = digest_free(r->other);
}
