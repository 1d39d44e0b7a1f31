#include "daemon/session/bare.h"

#include <errno.h>
#include <string.h>

#include "daemon/session/upload.h"
#include "lib/err.h"
#include "lib/frame.h"
#include "lib/own.h"

/* The header is whole where its braces say so; the content may lie right behind it. */
static int
read_header(struct session *s, json_t **ret)
{
	struct conn *c = &s->conn;
	int len, r;

	for (;;) {
		len = frame_bare_next(buf_data(&c->in), buf_len(&c->in));
		if (len != 0)
			break;
		r = conn_need(s, buf_len(&c->in) + 1, false);
		if (r < 0)
			return r;
	}
	if (len < 0)
		return len;
	r = message_parse((const char *)buf_data(&c->in), (size_t)len, ret);
	if (r == 0)
		buf_consume(&c->in, (size_t)len);
	return r;
}

static int
say_refused(struct session *s, int r, const char *message)
{
	auto_json json_t *answer = reply_error_object(r, message, NULL);
	auto_free char *text = answer != NULL ? json_dumps(answer, JSON_COMPACT) : NULL;

	return text != NULL ? buf_append(&s->conn.out, text, strlen(text)) : -ENOMEM;
}

static int
give_up(struct session *s, const struct upload *u, int r)
{
	const char *message = u->message[0] != '\0' ? u->message : NULL;

	if (s->report->transfer != 0)
		report_transfer_end(s, err_code(r), message);
	return say_refused(s, shares_told(u->publish.rights, r), message);
}

/* Publishing is not answered: the client has heard its "ok" and closes. */
static int
publish(struct session *s, struct publish *p)
{
	int r;

	report_state(s, BOARD_SYNCING);
	publish_all(s, p, 1, &r);
	if (r >= 0)
		report_upload_end(s, p, "ok", NULL);
	else
		report_upload_end(s, p, err_code(r), err_text(r));
	return r < 0 ? say_refused(s, shares_told(p->rights, r), NULL) : 0;
}

static int
serve(struct session *s, struct upload *u)
{
	int r;

	u->args.expect = false; /* it waits for "ok" in any case */
	u->transfer.rest = u->body;
	r = prepare_upload(s, u);
	if (r < 0)
		return give_up(s, u, r);
	r = buf_append(&s->conn.out, "ok", 2);
	if (r < 0)
		return upload_lost(s, r);
	r = upload_take(s, u);
	if (r < 0)
		return upload_lost(s, r);
	return r > 0 ? give_up(s, u, u->transfer.error) : publish(s, &u->publish);
}

static int
refuse_unauthorised(struct session *s, const char *name, int r, const char *why)
{
	const char *message = why[0] != '\0' ? why : NULL;

	if (name[0] != '\0') {
		report_transfer_begin(s, "upload", true, name, UINT64_MAX);
		report_transfer_end(s, err_code(r), message);
	}
	return say_refused(s, r, message);
}

static int
serve_upload(struct session *s, struct request *rq)
{
	char why[REQUEST_WHY_MAX];
	struct places places;
	struct upload u;
	int r;

	r = dispatch_authorise(s, &access_operations[ACCESS_OPERATION_upload], rq, &places, why);
	if (r < 0)
		return refuse_unauthorised(s, places.source.name, r, why);
	r = upload_read(&u, rq);
	r = r < 0 ? give_up(s, &u, r) : serve(s, &u);
	upload_done(s, &u);
	return r;
}

int
bare_serve(struct session *s)
{
	auto_json json_t *object = NULL;
	struct request rq = { .opt = "upload" };
	const char *opt;
	int r;

	r = read_header(s, &object);
	if (r == -FTD_E_bad_frame || r == -FTD_E_bad_request)
		return say_refused(s, r, NULL);
	if (r < 0)
		return r;
	report_request(s);
	opt = json_string_value(json_object_get(object, "opt"));
	if (opt == NULL || strcmp(opt, "upload") != 0)
		return say_refused(s, -FTD_E_unsupported,
				   "without a length only upload is understood");
	rq.object = object;
	return serve_upload(s, &rq);
}
