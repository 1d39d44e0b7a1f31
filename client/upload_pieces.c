/* A file in pieces: how one is sent that is too large for one frame, too small to be resumed in
 * parts, or of no known size. */
#include <errno.h>

#include "client/content.h"
#include "client/upload.h"

/* One run of the content as a frame. */
static int
send_run(struct upload_sending *s, const struct content_run *run, struct failure *f)
{
	struct session *session = &s->u->client->session;
	int r;

	if (run->hole) {
		digest_update_zeros(s->u->digest, run->len);
		r = session_send_piece(
		    session, json_pack("{s:b, s:I}", "more", 1, "hole", (json_int_t)run->len), NULL,
		    0, f);
		if (r == 0)
			progress_moved(&s->u->client->report.progress, run->len);
		return r;
	}
	digest_update(s->u->digest, s->u->buffer, (size_t)run->len);
	r = session_send_piece(session,
			       json_pack("{s:b, s:I}", "more", 1, "body", (json_int_t)run->len),
			       s->u->buffer, (size_t)run->len, f);
	return r < 0 ? r : upload_moved(s->u, run->len, f);
}

static int
send_trailer(struct upload_sending *s, struct failure *f)
{
	struct digest_value value;

	digest_final(s->u->digest, &value);
	(void)digest_format(&value, s->item->digest);
	return session_send_piece(&s->u->client->session,
				  json_pack("{s:s}", "digest", s->item->digest), NULL, 0, f);
}

/* The content fails on this side: the item is told and ended, its answer will not matter. */
static int
give_up(struct upload_sending *s, int reason, struct failure *f)
{
	char name[UPLOAD_NAME_MAX];
	struct failure why;

	if (reason == -EINTR)
		return failure_interrupted(f);
	(void)upload_local_failure(reason, &why);
	s->item->voided = true;
	report_failure(&s->u->client->report, upload_name(name, s->item->source, s->item->path),
		       &why);
	return session_send_void(&s->u->client->session, f);
}

/* Everything after the request. */
static int
send_content(struct upload_sending *s, struct failure *f)
{
	struct upload *u = s->u;
	size_t chunk = pace_chunk(&u->client->pace, UPLOAD_PIECE);
	struct content content;
	struct content_run run;
	int r, more;

	r = digest_reset(u->digest, u->client->options.digest);
	if (r < 0)
		return failure_connection(f, r);
	content_init(&content, s->fd, s->size, s->sparse);
	u->sending_id = s->item->id;
	while ((more = content_next(&content, u->buffer, chunk, &run)) > 0) {
		r = send_run(s, &run, f);
		if (r == 0)
			r = upload_poll(u, f);
		if (r < 0)
			return r;
		if (u->refused_id == u->sending_id) /* the answer is told, and s->item gone */
			return session_send_void(&u->client->session, f);
	}
	u->sending_id = 0;
	s->item->size = content.at;
	return more < 0 ? give_up(s, more, f) : send_trailer(s, f);
}

/* Asks before sending. 1: send; 0: the answer is final, and taken in. */
static int
ask_first(struct upload_sending *s, json_t *request, struct failure *f)
{
	struct upload *u = s->u;
	struct session *session = &u->client->session;
	struct answer a;
	bool go_on;
	int r;

	while (u->sent.first != s->item) {
		r = upload_answer(u, f);
		if (r < 0) {
			json_decref(request);
			return r;
		}
	}
	r = session_send(session, request, f);
	s->item->id = session->last_id;
	if (r < 0)
		return r;
	r = session_receive_for(session, s->item->id, &a, f);
	if (r < 0)
		return upload_taken(u, NULL, f);
	go_on = answer_is(&a.status, "continue");
	r = go_on ? 1 : upload_taken(u, &a, f);
	answer_done(&a);
	return r;
}

/* What arrives of a file whose content can be read again is kept, should the connection be lost. */
static json_t *
request_of(const struct upload_sending *s, bool ask, const char *digest)
{
	const struct options *o = &s->u->client->options;
	json_t *rq = upload_request("upload", o, &s->facts);

	if (rq == NULL ||
	    json_object_set_new(
		rq, "digest", json_string(digest != NULL ? digest : digest_name(o->digest))) < 0 ||
	    json_object_set_new(rq, "more", json_true()) < 0 ||
	    (ask && json_object_set_new(rq, "expect", json_true()) < 0) ||
	    (s->size > UPLOAD_SMALL && s->size != CONTENT_UNKNOWN &&
	     json_object_set_new(rq, "keep", json_true()) < 0)) {
		json_decref(rq);
		return NULL;
	}
	return rq;
}

int
upload_pieces(struct upload_sending *s, bool careful, struct failure *f)
{
	struct session *session = &s->u->client->session;
	bool ask = careful || (s->size != CONTENT_UNKNOWN && s->size >= UPLOAD_LARGE);
	struct digest_value value;
	json_t *request;
	int r;

	if (careful) {
		r = content_digest(s->fd, s->size, s->sparse, s->u->client->options.digest, &value);
		if (r < 0)
			return upload_local_failure(r, f);
		(void)digest_format(&value, s->item->digest);
	}
	upload_queue(s->u, s->item);
	request = request_of(s, ask, careful ? s->item->digest : NULL);
	if (ask) {
		r = ask_first(s, request, f);
		if (r <= 0)
			return r;
	} else {
		r = session_send(session, request, f);
		s->item->id = session->last_id;
		if (r < 0)
			return r;
	}
	return send_content(s, f);
}
