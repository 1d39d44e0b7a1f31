#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "client/content.h"
#include "client/interrupt.h"
#include "client/mirror.h"
#include "lib/own.h"

int
mirror_pair_init(struct mirror_pair *pair, const char *path, const struct catalog_item *there)
{
	*pair = (struct mirror_pair){ .path = strdup(path),
				      .size = there->facts.size,
				      .there = { .algorithm = DIGEST_XXH3 },
				      .known = there->has_digest };
	memcpy(pair->there.bytes, there->digest, sizeof(there->digest));
	return pair->path != NULL ? 0 : -ENOMEM;
}

/* Asked for is the digest of the blocks: what the server knows by its xxh3 it has told in the
 * listing, and of what came in parts it knows only this. */
static int
ask(struct mirror *m, struct mirror_pair *pair, struct failure *f)
{
	struct session *s = &m->client->session;
	struct url url;
	json_t *rq;
	int r;

	pair->asked = 0;
	if (pair->done || pair->known)
		return 0;
	if (url_join(&m->url, pair->path, &url) < 0) {
		pair->done = true;
		return 0;
	}
	rq = session_request("digest", &url);
	if (rq != NULL)
		(void)json_object_set_new(rq, "digest", json_string(digest_name(DIGEST_BLOCKS)));
	r = session_send(s, rq, f);
	pair->asked = s->last_id;
	return r;
}

/* 0: pair->known says whether there is something to compare with; negative (f): all others wait. */
static int
take(struct mirror *m, struct mirror_pair *pair, struct failure *f)
{
	bool has_value = false;
	struct answer a;
	int r;

	r = session_receive_for(&m->client->session, pair->asked, &a, f);
	if (r < 0)
		return f->scope == FAILURE_ITEM ? 0 : r;
	pair->known = a.digest.data != NULL &&
		      digest_parse(a.digest.data, a.digest.len, &pair->there, &has_value) == 0 &&
		      has_value;
	answer_done(&a);
	return 0;
}

/* -EINTR. */
static int
compare(struct mirror *m, struct mirror_pair *pair)
{
	auto_close int fd = path_open(m->root, pair->path, O_RDONLY, 0, false);
	struct digest_value here;
	int r;

	if (fd < 0)
		return 0;
	r = content_digest(fd, pair->size, true, pair->there.algorithm, &here);
	pair->same = r == 0 && digest_equal(&here, &pair->there);
	return r == -EINTR ? r : 0;
}

static int
compare_all(struct mirror *m, struct mirror_pair *pairs, size_t n, struct failure *f)
{
	int r = session_open(&m->client->session, &m->url, f);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = ask(m, &pairs[i], f);
	for (size_t i = 0; r == 0 && i < n; i++) {
		if (pairs[i].done)
			continue;
		if (pairs[i].asked != 0)
			r = take(m, &pairs[i], f);
		if (r == 0 && pairs[i].known && compare(m, &pairs[i]) < 0)
			r = failure_interrupted(f);
		pairs[i].done = r == 0;
	}
	return r;
}

int
mirror_compare(struct mirror *m, struct mirror_pair *pairs, size_t n, struct failure *f)
{
	struct session *s = &m->client->session;
	int r;

	progress_phase(&m->client->report.progress, "comparing");
	for (;;) {
		r = compare_all(m, pairs, n, f);
		if (r == 0 || (f->scope != FAILURE_CONNECTION && !f->again))
			break;
		r = session_again(s, f);
		if (r < 0)
			break;
	}
	progress_phase(&m->client->report.progress, NULL);
	return r;
}
