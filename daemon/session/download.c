#include <errno.h>
#include <string.h>

#include "daemon/session/atrest.h"
#include "daemon/session/content.h"
#include "daemon/session/names.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

#define KNOWN "known"

struct args {
	uint64_t offset, length;
	struct message_str if_match, digest;
	bool holes;
};

enum { OFFSET, LENGTH, IF_MATCH };

static const struct message_field fields[] = {
	[OFFSET] = { "offset", MESSAGE_UINT, offsetof(struct args, offset), INT64_MAX, false },
	[LENGTH] = { "length", MESSAGE_UINT, offsetof(struct args, length), INT64_MAX, false },
	[IF_MATCH] = { "if_match", MESSAGE_STR, offsetof(struct args, if_match), ENTRY_ETAG_MAX,
		       false },
	{ "digest", MESSAGE_STR, offsetof(struct args, digest), DIGEST_TEXT_MAX, false },
	{ "holes", MESSAGE_BOOL, offsetof(struct args, holes), 0, false },
};

static bool
is_match(const struct message_str *etag, const struct entry_stat *st)
{
	char own[ENTRY_ETAG_MAX];

	(void)entry_etag(st, own);
	return etag->len == strlen(own) && memcmp(etag->data, own, etag->len) == 0;
}

/* What of the file is asked for: c->offset and c->end. */
static int
choose_range(struct content *c, const struct args *a, uint64_t has)
{
	uint64_t size = c->st.size;

	if (a->offset > size)
		return -FTD_E_size_mismatch;
	c->offset = a->offset;
	c->end = size;
	if ((has & 1U << LENGTH) != 0 && a->length < size - a->offset)
		c->end = a->offset + a->length;
	return 0;
}

/* "known": the digest that is noted of the file, which is then the one of the trailer; the first
 * frame says which it is. */
static int
choose_digest(struct session *s, const struct message_str *digest, struct content *c)
{
	struct digest_value noted = { .algorithm = DIGEST_XXH3 };

	if (digest->len != strlen(KNOWN) || memcmp(digest->data, KNOWN, digest->len) != 0)
		return content_algorithm(digest, &c->algorithm);
	if (c->offset == 0 && c->end == c->st.size)
		(void)atrest_get(s, c->share, c->fd, &c->st, DIGEST_XXH3, &noted);
	c->algorithm = noted.algorithm;
	return json_object_set_new(c->entry, "digest", json_string(digest_name(c->algorithm))) < 0
		   ? -ENOMEM
		   : 0;
}

/* 0, or a refusal with the keys that go with it. */
static int
prepare(struct session *s, const struct args *a, uint64_t has, const struct place *p,
	struct content *c, json_t **ret_keys)
{
	const char *leaf = names_leaf(p);
	int r;

	c->fd = names_open_file(s, p, &c->st);
	if (c->fd < 0)
		return c->fd;
	if ((has & 1U << IF_MATCH) != 0 && !is_match(&a->if_match, &c->st)) {
		*ret_keys = names_current(p, &c->st);
		return -FTD_E_changed;
	}
	r = choose_range(c, a, has);
	if (r < 0)
		return r;
	c->share = p->share;
	c->name = p->name;
	c->holes = a->holes;
	c->entry = entry_json(leaf, strlen(leaf), &c->st);
	return c->entry != NULL ? choose_digest(s, &a->digest, c) : -ENOMEM;
}

static int
transfer(struct session *s, const struct request *rq, const struct place *p, struct content *c)
{
	int r;

	report_transfer_begin(s, "download", false, p->name, c->end - c->offset);
	r = content_send(s, rq, c);
	content_report_end(s, r, c->error, NULL);
	return r;
}

static int
download(struct session *s, const struct request *rq, const struct args *a, uint64_t has)
{
	struct stop stop = { 0 };
	struct content c = { .fd = -1, .piece = CONTENT_PIECE_FIRST, .stop = &stop };
	json_t *keys = NULL;
	int r;

	r = prepare(s, a, has, rq->source, &c, &keys);
	r = r < 0 ? reply_error(s, rq, r, NULL, keys) : transfer(s, rq, rq->source, &c);
	json_decref(c.entry);
	close_fd(&c.fd);
	return r;
}

int
op_download(struct session *s, const struct request *rq)
{
	struct args a = { 0 };
	uint64_t has = 0;
	int r;

	r = dispatch_decode(s, rq, fields, ARRAY_SIZE(fields), &a, &has);
	if (r > 0)
		r = download(s, rq, &a, has);
	message_args_done(fields, ARRAY_SIZE(fields), &a);
	return r;
}
