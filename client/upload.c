#include "client/upload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/message.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/clock.h"

int
upload_init(struct upload *u, struct client *c)
{
	int r;

	*u = (struct upload){ .client = c };
	u->sent.last = &u->sent.first;
	u->redo.last = &u->redo.first;
	u->buffer = malloc(UPLOAD_SMALL + 1);
	if (u->buffer == NULL)
		return -ENOMEM;
	r = digest_new(c->options.digest, &u->digest);
	if (r < 0)
		free(take_ptr(u->buffer));
	return r;
}

struct upload_item *
upload_item_free(struct upload_item *item)
{
	if (item == NULL)
		return NULL;
	free(item->path);
	free(item);
	return NULL;
}

void
upload_append(struct upload_queue *q, struct upload_item *item)
{
	item->next = NULL;
	*q->last = item;
	q->last = &item->next;
	q->n++;
}

struct upload_item *
upload_take(struct upload_queue *q)
{
	struct upload_item *item = q->first;

	if (item == NULL)
		return NULL;
	q->first = item->next;
	if (q->first == NULL)
		q->last = &q->first;
	q->n--;
	return item;
}

static void
forget(struct upload_queue *q)
{
	while (q->first != NULL)
		upload_item_free(upload_take(q));
}

void
upload_done(struct upload *u)
{
	forget(&u->sent);
	forget(&u->redo);
	u->digest = digest_free(u->digest);
	free(take_ptr(u->buffer));
}

char *
upload_name(char *dst, const struct upload_source *source, const char *path)
{
	size_t len = strlen(source->name);
	bool slash = path[0] != '\0' && len > 0 && source->name[len - 1] != '/';

	(void)snprintf(dst, UPLOAD_NAME_MAX, "%s%s%s", source->name, slash ? "/" : "", path);
	return dst;
}

/* ---- again ---- */

/* Sends one item again and waits for its answer. 0 or negative (f): the connection failed. */
static int
redo_one(struct upload *u, struct upload_item *item, struct failure *f)
{
	int r;

	if (item->why.again) {
		r = session_again(&u->client->session, &item->why);
		if (r < 0) {
			*f = item->why;
			f->again = false;
			if (f->scope != FAILURE_ITEM) {
				upload_append(&u->sent, item);
				return r;
			}
			upload_refused(u, item, f);
			upload_item_free(item);
			return 0;
		}
		item->why.again = false;
	}
	r = upload_send(u, item, true, f);
	if (r < 0 && f->scope == FAILURE_ITEM) {
		upload_refused(u, item, f);
		upload_item_free(item);
		return 0;
	}
	while (r == 0 && u->sent.first != NULL)
		r = upload_answer(u, f);
	return r;
}

static int
redo_all(struct upload *u, struct failure *f)
{
	struct upload_item *item;
	int r;

	while ((item = upload_take(&u->redo)) != NULL) {
		r = redo_one(u, item, f);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Everything is over: what has no answer is told as a number. */
static int
abandon(struct upload *u, const struct failure *f)
{
	struct report *report = &u->client->report;

	while (u->sent.first != NULL)
		upload_append(&u->redo, upload_take(&u->sent));
	report_failure(report, NULL, f);
	if (u->redo.n > 0)
		report_warning(report, "%zu request%s no answer", u->redo.n,
			       u->redo.n == 1 ? " has" : "s have");
	report->stopped = f->status;
	forget(&u->redo);
	return -EPROTO;
}

/* The connection is lost as f says: makes a new one and repeats what has no answer. */
static int
recover(struct upload *u, struct failure *f)
{
	struct failure last;
	int r;

	if (strcmp(f->code, "lost") == 0) /* the server may have said why */
		while (u->sent.first != NULL && upload_answer(u, &last) < 0) {
			if (last.scope != FAILURE_ITEM && strcmp(last.code, "lost") != 0)
				*f = last;
			break;
		}
	do {
		while (u->sent.first != NULL)
			upload_append(&u->redo, upload_take(&u->sent));
		if (session_again(&u->client->session, f) < 0)
			return abandon(u, f);
		r = redo_all(u, f);
	} while (r < 0);
	return 0;
}

int
upload_put(struct upload *u, enum upload_kind kind, const struct upload_source *source,
	   const char *path, const struct stat *st)
{
	struct upload_item *item = calloc(1, sizeof(*item));
	struct failure f;
	int r = 0;

	if (item != NULL)
		item->path = strdup(path);
	if (item == NULL || item->path == NULL) {
		upload_item_free(item);
		(void)failure_connection(&f, -ENOMEM);
		return abandon(u, &f);
	}
	item->kind = kind;
	item->source = source;
	item->st = *st;
	while (r == 0 && u->sent.n >= UPLOAD_AHEAD)
		r = upload_answer(u, &f);
	if (r < 0) {
		upload_append(&u->sent, item);
		return recover(u, &f);
	}
	r = upload_send(u, item, false, &f);
	if (r < 0 && f.scope == FAILURE_ITEM) {
		upload_refused(u, item, &f);
		upload_item_free(item);
		return 0;
	}
	if (r == 0)
		r = upload_poll(u, &f);
	if (r < 0)
		return recover(u, &f);
	return u->redo.n >= UPLOAD_AHEAD ? upload_settle(u) : 0;
}

int
upload_settle(struct upload *u)
{
	struct failure f;
	int r;

	while (u->sent.first != NULL || u->redo.first != NULL) {
		r = u->sent.first != NULL ? upload_answer(u, &f) : redo_all(u, &f);
		if (r < 0 && recover(u, &f) < 0)
			return -EPROTO;
	}
	return 0;
}
