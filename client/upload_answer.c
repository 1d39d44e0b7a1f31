#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/upload.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/message.h"
#include "lib/num.h"
#include "lib/own.h"

void
upload_refused(struct upload *u, struct upload_item *item, const struct failure *f)
{
	struct report *report = &u->client->report;
	char name[UPLOAD_NAME_MAX];

	(void)upload_name(name, item->source, item->path);
	if (item->voided)
		return;
	if (item->kind == UPLOAD_SET && S_ISDIR(item->st.st_mode))
		u->times_refused++;
	else if (item->kind == UPLOAD_REMOVE && strcmp(f->code, "not_found") == 0)
		report_deed(report, REPORT_REMOVE, name, 0); /* an earlier try did it */
	else if (u->client->options.if_exists == IF_EXISTS_SKIP && strcmp(f->code, "exists") == 0)
		report_skipped(report, name, "exists");
	else
		report_failure(report, name, f);
}

/* What the receipt says about the name: the server may have kept the file under another. */
static void
received_name(const struct answer *a, struct message_name *ret)
{
	static const struct message_field fields[] = {
		{ .key = "filename", .type = MESSAGE_NAME, .offset = 0, .max = PATH_BYTES_MAX }
	};
	const char *key, *why;
	uint64_t has;

	*ret = (struct message_name){ .data = NULL };
	if (message_decode(a->object, fields, ARRAY_SIZE(fields), ret, &has, &key, &why) < 0)
		message_name_done(ret);
}

static void
accepted_file(struct upload *u, const struct upload_item *item, const struct answer *a)
{
	char name[UPLOAD_NAME_MAX], remote[PATH_BYTES_MAX + 2];
	struct report_file file = { .name = name, .remote = remote };
	struct message_name kept;

	received_name(a, &kept);
	if (kept.data != NULL)
		(void)snprintf(remote, sizeof(remote), "%.*s", (int)kept.len, kept.data);
	else
		(void)snprintf(remote, sizeof(remote), "/%s%s%s", item->source->remote,
			       item->source->remote[0] != '\0' && item->path[0] != '\0' ? "/" : "",
			       item->path);
	message_name_done(&kept);
	(void)upload_name(name, item->source, item->path);
	file.digest = item->digest;
	file.bytes = item->size;
	file.held = item->held;
	file.moved = item->moved > 0 || item->held > 0 ? item->moved : item->size;
	file.usec = item->size > UPLOAD_SMALL ? clock_usec() - item->began_usec : NUM_UNLIMITED;
	file.inside = item->source->dir >= 0;
	report_file(&u->client->report, &file);
}

/* What cannot be had there, a mode for example, is not told as done again and again. */
static void
accepted_set(struct report *report, const struct upload_item *item, const struct answer *a)
{
	char name[UPLOAD_NAME_MAX];
	struct entry e;

	if (S_ISDIR(item->st.st_mode) || entry_decode(a->object, &e) < 0)
		return;
	if (e.mtime_ns == upload_mtime_ns(&item->st) && e.mode == (item->st.st_mode & 0777))
		report_deed(report, REPORT_SET, upload_name(name, item->source, item->path), 0);
	else
		report->unchanged++;
	entry_done(&e);
}

void
upload_accepted(struct upload *u, const struct upload_item *item, const struct answer *a)
{
	struct report *report = &u->client->report;
	char name[UPLOAD_NAME_MAX];

	if (item->voided)
		return;
	if (item->kind == UPLOAD_FILE)
		accepted_file(u, item, a);
	else if (item->kind == UPLOAD_SET)
		accepted_set(report, item, a);
	else if (item->kind == UPLOAD_REMOVE)
		report_deed(report, REPORT_REMOVE, upload_name(name, item->source, item->path), 0);
}

/* The receipt's digest is that of the server's disk; ours was taken while reading. */
int
upload_check_receipt(const struct upload_item *item, const struct answer *a, struct failure *f)
{
	size_t algorithm = strcspn(item->digest, ":");

	if (item->kind != UPLOAD_FILE || item->voided || a->digest.data == NULL)
		return 0;
	if (a->digest.len <= algorithm || memcmp(a->digest.data, item->digest, algorithm + 1) != 0)
		return 0;
	if (answer_is(&a->digest, item->digest))
		return 0;
	return failure_set(f, FAILURE_ITEM, err_exit_status("digest_mismatch"), "digest_mismatch",
			   "the server holds something else than was sent");
}

int
upload_taken(struct upload *u, const struct answer *a, struct failure *f)
{
	struct upload_item *item;

	if (a == NULL && f->scope != FAILURE_ITEM)
		return -EPROTO;
	if (a != NULL && (!answer_is(&a->status, "ok") || a->body > 0 ||
			  (u->sent.first != NULL && u->sent.first->id == u->sending_id)))
		return failure_protocol(f, "an answer that does not fit its request");
	item = upload_take(&u->sent);
	if (item == NULL)
		return failure_protocol(f, "an answer to nothing");
	if (a == NULL)
		u->refused_id = item->id;
	if (a == NULL && f->again && !item->voided && item->kind != UPLOAD_SET) {
		item->why = *f;
		upload_append(&u->redo, item);
		return 0;
	}
	if (a == NULL) {
		upload_refused(u, item, f);
	} else if (upload_check_receipt(item, a, f) < 0) {
		upload_refused(u, item, f);
	} else {
		retry_reset(&u->client->session.retry);
		upload_accepted(u, item, a);
	}
	upload_item_free(item);
	return 0;
}

int
upload_answer(struct upload *u, struct failure *f)
{
	struct answer a;
	int r;

	r = session_receive_for(&u->client->session, u->sent.first->id, &a, f);
	if (r < 0)
		return upload_taken(u, NULL, f);
	r = upload_taken(u, &a, f);
	answer_done(&a);
	return r;
}

int
upload_poll(struct upload *u, struct failure *f)
{
	struct answer a;
	int r;

	while (u->sent.first != NULL) {
		r = session_poll_for(&u->client->session, u->sent.first->id, &a, f);
		if (r == 0)
			return 0;
		if (r < 0) {
			r = upload_taken(u, NULL, f);
		} else {
			r = upload_taken(u, &a, f);
			answer_done(&a);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
