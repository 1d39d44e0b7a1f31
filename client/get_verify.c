/* Whether what was put together of parts is what the server was given: each part is only compared
 * with what the server's disk has now, which may have been damaged since. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/content.h"
#include "client/get.h"
#include "lib/err.h"
#include "lib/own.h"

/* What the server knows of the version that was fetched. 1: *ret; 0: nothing; negative (f). */
static int
ask_known(struct get_ranges *x, enum digest_algorithm algorithm, struct digest_value *ret,
	  struct failure *f)
{
	auto_json json_t *rq = session_request("stat", x->url);
	bool has_value = false;
	struct answer a;
	struct entry e;
	int r;

	if (rq != NULL)
		(void)json_object_set_new(rq, "digest", json_string(digest_name(algorithm)));
	r = session_query(&x->get->client->session, rq, &a, f);
	if (r < 0)
		return r;
	r = entry_decode(a.object, &e);
	if (r == 0 && e.etag.len == strlen(x->etag) &&
	    memcmp(e.etag.data, x->etag, e.etag.len) == 0 && a.digest.data != NULL &&
	    digest_parse(a.digest.data, a.digest.len, ret, &has_value) < 0)
		has_value = false;
	if (r == 0)
		entry_done(&e);
	answer_done(&a);
	return has_value && ret->algorithm == algorithm;
}

static int
compare(struct get_ranges *x, const struct digest_value *known, struct failure *f)
{
	struct progress *progress = &x->get->client->report.progress;
	struct digest_value is;
	int r = 0;

	progress_phase(progress, "verifying");
	if (ftruncate(x->fd, (off_t)x->facts.size) < 0)
		r = -errno;
	if (r == 0)
		r = content_digest(x->fd, x->facts.size, true, known->algorithm, &is);
	progress_phase(progress, NULL);
	if (r == -EINTR)
		return failure_interrupted(f);
	if (r < 0)
		return failure_local(f, r, x->shown);
	if (digest_equal(&is, known))
		return 0;
	return failure_set(f, FAILURE_ITEM, err_exit_status("digest_mismatch"), "digest_mismatch",
			   "it was damaged on the server");
}

int
get_verify(struct get_ranges *x, struct failure *f)
{
	/* what was uploaded in parts has only that of its blocks */
	const enum digest_algorithm kinds[] = { DIGEST_XXH3, DIGEST_BLOCKS };
	struct digest_value known;
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds) && r == 0; i++)
		r = ask_known(x, kinds[i], &known, f);
	return r > 0 ? compare(x, &known, f) : r;
}
