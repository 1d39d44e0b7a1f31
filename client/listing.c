#include "client/listing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/own.h"

int
listing_init(struct listing *l, struct client *c, const struct url *url)
{
	*l = (struct listing){ .client = c, .url = url, .page = json_array() };
	return l->page != NULL ? 0 : -ENOMEM;
}

void
listing_done(struct listing *l)
{
	json_decref(take_ptr(l->page));
}

/* Adds the entries of one frame to the page. */
static int
take_frame(struct listing *l, const struct answer *a, struct failure *f)
{
	json_t *entries = json_object_get(a->object, "entries");

	if (!json_is_array(entries) ||
	    json_array_size(l->page) + json_array_size(entries) > LISTING_PAGE)
		return failure_protocol(f, "a listing is not what was asked for");
	if (json_array_extend(l->page, entries) < 0)
		return failure_connection(f, -ENOMEM);
	if (a->after.data != NULL && a->after.len > LISTING_AFTER_MAX)
		return failure_protocol(f, "a listing cannot be continued");
	l->after[0] = '\0';
	if (a->after.data != NULL) {
		memcpy(l->after, a->after.data, a->after.len);
		l->after[a->after.len] = '\0';
	}
	return 0;
}

static json_t *
request(const struct listing *l)
{
	json_t *rq = session_request("list", l->url);

	if (rq == NULL)
		return NULL;
	(void)json_object_set_new(rq, "recursive", json_true());
	(void)json_object_set_new(rq, "limit", json_integer(LISTING_PAGE));
	if (l->after[0] != '\0')
		(void)json_object_set_new(rq, "after", json_string(l->after));
	if (l->digest != NULL)
		(void)json_object_set_new(rq, "digest", json_string(l->digest));
	return rq;
}

static int
ask_page(struct listing *l, struct failure *f)
{
	struct session *session = &l->client->session;
	struct answer a;
	bool more = true;
	int r;

	r = session_send(session, request(l), f);
	while (r == 0 && more) {
		r = session_receive_for(session, session->last_id, &a, f);
		if (r < 0)
			return r;
		more = a.more;
		r = take_frame(l, &a, f);
		answer_done(&a);
	}
	return r;
}

int
listing_next(struct listing *l, struct failure *f)
{
	struct session *session = &l->client->session;
	char after[LISTING_AFTER_MAX + 1];
	int r;

	if (l->begun && l->after[0] == '\0')
		return 0;
	memcpy(after, l->after, sizeof(after));
	for (;;) {
		(void)json_array_clear(l->page);
		memcpy(l->after, after, sizeof(after));
		r = session_open(session, l->url, f);
		if (r == 0)
			r = ask_page(l, f);
		l->begun = r == 0;
		if (r == 0)
			return 1;
		if (f->scope != FAILURE_CONNECTION && !f->again)
			return r;
		r = session_again(session, f);
		if (r < 0)
			return r;
	}
}

int
listing_entry(const struct listing *l, size_t i, struct entry *ret, struct failure *f)
{
	int r = entry_decode(json_array_get(l->page, i), ret);

	if (r == 0 && ret->has_type && ret->name.data != NULL)
		return 0;
	if (r == 0)
		entry_done(ret);
	return failure_protocol(f, "a listing has something that is no entry");
}

void
listing_refusal(const struct entry *e, struct failure *f)
{
	struct answer refusal = { .code = e->code };

	(void)failure_server(f, &refusal);
}

char *
listing_name(char *dst, const char *above, const struct entry *e)
{
	(void)snprintf(dst, LISTING_NAME_MAX, "%s/%.*s", above,
		       e->name.data != NULL ? (int)e->name.len : 0,
		       e->name.data != NULL ? e->name.data : "");
	return dst;
}
