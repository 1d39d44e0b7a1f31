/* ft ls. Sorted here; a listing without end is shown in sorted stretches. */
#include <stdio.h>
#include <string.h>

#include "client/columns.h"
#include "client/command.h"
#include "lib/own.h"
#include "lib/text.h"

enum { HELD_MAX = 1 << 18 };

struct held {
	json_t *object; /* owned */
	struct entry entry;
};

struct listing {
	struct client *client;
	struct held *held;
	size_t n, room;
	bool flushed; /* some were shown already, so nothing can begin anew */
};

static int
compare(const void *a, const void *b)
{
	const struct message_name *x = &((const struct held *)a)->entry.name;
	const struct message_name *y = &((const struct held *)b)->entry.name;
	size_t n = x->len < y->len ? x->len : y->len;
	int r = n > 0 ? memcmp(x->data, y->data, n) : 0;

	return r != 0 ? r : (x->len > y->len) - (x->len < y->len);
}

static void
show(struct listing *l, const struct held *h)
{
	struct report *report = &l->client->report;
	const struct options *o = &l->client->options;
	char name[COLUMNS_NAME_MAX], line[COLUMNS_LINE_MAX];
	struct answer refusal = { .code = h->entry.code };
	struct failure f;

	if (h->entry.code.data != NULL) {
		(void)failure_server(&f, &refusal);
		(void)snprintf(name, sizeof(name), "%.*s", (int)h->entry.name.len,
			       h->entry.name.data != NULL ? h->entry.name.data : "");
		report_failure(report, name, &f);
		return;
	}
	report->ok++;
	if (report->json) {
		report_json(report, json_incref(h->object));
		return;
	}
	if (options_has(o, OPTION_BIT(details)))
		(void)puts(columns_line(line, &h->entry, options_has(o, OPTION_BIT(human))));
	else
		(void)puts(columns_name(name, &h->entry));
}

static void
forget(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++) {
		entry_done(&l->held[i].entry);
		json_decref(l->held[i].object);
	}
	l->n = 0;
}

static void
flush(struct listing *l)
{
	if (l->n > 0)
		qsort(l->held, l->n, sizeof(*l->held), compare);
	for (size_t i = 0; i < l->n; i++)
		show(l, &l->held[i]);
	forget(l);
}

static int
hold(struct listing *l, json_t *object, struct failure *f)
{
	struct held *more;
	size_t room;

	if (l->n == HELD_MAX) {
		flush(l);
		l->flushed = true;
	}
	if (l->n == l->room) {
		room = l->room > 0 ? 2 * l->room : 256;
		more = reallocarray(l->held, room, sizeof(*more));
		if (more == NULL)
			return failure_connection(f, -ENOMEM);
		l->held = more;
		l->room = room;
	}
	if (entry_decode(object, &l->held[l->n].entry) < 0)
		return failure_protocol(f, "a listing has something that is no entry");
	l->held[l->n++].object = json_incref(object);
	return 0;
}

static int
take_frame(struct listing *l, const struct answer *a, struct failure *f)
{
	json_t *entries = json_object_get(a->object, "entries"), *e;
	size_t i;
	int r;

	if (!json_is_array(entries) || a->body > 0)
		return failure_protocol(f, "a listing without entries");
	json_array_foreach (entries, i, e) {
		r = hold(l, e, f);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A file is listed as itself. */
static int
list_file(struct listing *l, const struct url *url, struct failure *f)
{
	auto_json json_t *rq = session_request("stat", url);
	struct answer a;
	int r;

	r = session_query(&l->client->session, rq, &a, f);
	if (r < 0)
		return r;
	(void)json_object_del(a.object, "status");
	(void)json_object_del(a.object, "id");
	r = hold(l, a.object, f);
	answer_done(&a);
	return r;
}

static int
list_directory(struct listing *l, const struct url *url, struct failure *f)
{
	struct session *s = &l->client->session;
	json_t *rq = session_request("list", url);
	struct answer a;
	bool more = true;
	int r;

	if (rq != NULL && options_has(&l->client->options, OPTION_BIT(below)))
		(void)json_object_set_new(rq, "recursive", json_true());
	r = session_send(s, rq, f);
	while (r == 0 && more) {
		r = session_receive_for(s, s->last_id, &a, f);
		if (r < 0)
			return r;
		more = a.more;
		r = take_frame(l, &a, f);
		answer_done(&a);
	}
	return r;
}

static int
list_one(struct listing *l, const struct url *url, struct failure *f)
{
	int r;

	for (;;) {
		r = session_open(&l->client->session, url, f);
		if (r == 0)
			r = list_directory(l, url, f);
		if (r < 0 && strcmp(f->code, "not_a_directory") == 0)
			return list_file(l, url, f);
		if (r == 0 || (f->scope != FAILURE_CONNECTION && !f->again) || l->flushed)
			return r;
		r = session_again(&l->client->session, f);
		if (r < 0)
			return r;
		forget(l);
	}
}

int
command_ls(struct client *c, int argc, char **argv)
{
	struct listing l = { .client = c };
	auto_free struct url *urls = NULL;
	char shown[COLUMNS_NAME_MAX];
	struct failure f;
	int status, r = 0;

	urls = command_urls(c, argc, argv, &status);
	if (urls == NULL)
		return status;
	for (int i = 0; i < argc && (r == 0 || f.scope == FAILURE_ITEM); i++) {
		l.flushed = false;
		r = list_one(&l, &urls[i], &f);
		if (argc > 1 && !c->report.json)
			(void)printf(
			    "%s/%s:\n", i > 0 ? "\n" : "",
			    text_escape(shown, sizeof(shown), urls[i].path, strlen(urls[i].path)));
		flush(&l);
		if (r < 0)
			report_failure(&c->report, argv[i], &f);
	}
	free(l.held);
	return 0;
}
