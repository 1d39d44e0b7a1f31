#include "client/failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/answer.h"
#include "client/interrupt.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/text.h"

int
failure_set(struct failure *f, enum failure_scope scope, int status, const char *code,
	    const char *format, ...)
{
	va_list args;

	*f = (struct failure){ .scope = scope, .status = status };
	(void)snprintf(f->code, sizeof(f->code), "%s", code);
	va_start(args, format);
	(void)vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return -EPROTO;
}

int
failure_local(struct failure *f, int r, const char *what)
{
	(void)failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s: %s", what, err_text(r));
	return r;
}

int
failure_named(struct failure *f, int r)
{
	if (r == -FTD_E_bad_name)
		return failure_set(f, FAILURE_ITEM, STATUS_PROTOCOL, "bad_name",
				   "the server gave a name that cannot be used");
	return failure_set(f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(r));
}

int
failure_server(struct failure *f, const struct answer *a)
{
	char code[FAILURE_CODE_MAX], message[FAILURE_TEXT_MAX - 16];
	const char *known;

	(void)text_escape(code, sizeof(code), a->code.data != NULL ? a->code.data : "",
			  a->code.len);
	known = err_known(code) ? code : "internal";
	if (a->message.data != NULL && a->message.len > 0) {
		(void)text_escape(message, sizeof(message), a->message.data, a->message.len);
		(void)failure_set(f, FAILURE_ITEM, err_exit_status(known), known, "server: %s",
				  message);
	} else {
		(void)failure_set(f, FAILURE_ITEM, err_exit_status(known), known, "%s",
				  err_text(err_from_code(known)));
	}
	if (strcmp(known, "auth_required") == 0)
		(void)failure_set(f, FAILURE_ITEM, f->status, known,
				  "the server wants to know who you are: ft://USER@HOST/...");
	if (a->has & ANSWER_HAS_RETRY) {
		f->again = true;
		f->after_usec = a->retry_after_ms * USEC_PER_MSEC;
	}
	if (a->close) /* only what is invited is repeated */
		f->scope = f->again ? FAILURE_CONNECTION : FAILURE_STOP;
	return err_from_code(known);
}

int
failure_connection(struct failure *f, int r)
{
	if (interrupt_seen())
		return failure_interrupted(f);
	if (r == -FTD_E_bad_frame || r == -FTD_E_bad_request)
		return failure_protocol(f, "what came is no frame of the protocol");
	if (r == -ENOMEM || r == -ENOBUFS || r == -EMSGSIZE)
		(void)failure_set(f, FAILURE_STOP, STATUS_OTHER, "internal", "%s", err_text(r));
	else if (r == -ETIMEDOUT)
		(void)failure_set(f, FAILURE_CONNECTION, STATUS_INTERRUPTED, "timeout",
				  "nothing came or went for too long");
	else if (r == -EACCES)
		(void)failure_set(f, FAILURE_STOP, err_exit_status("auth_failed"), "auth_failed",
				  "the server wants a certificate that it knows: --cert");
	else if (r == -EPIPE || r == -ECONNRESET)
		(void)failure_set(f, FAILURE_CONNECTION, STATUS_INTERRUPTED, "lost",
				  "the connection was cut");
	else if (r == -ENODATA)
		(void)failure_set(f, FAILURE_CONNECTION, STATUS_INTERRUPTED, "lost",
				  "the server closed the connection");
	else
		(void)failure_set(f, FAILURE_CONNECTION, STATUS_INTERRUPTED, "lost",
				  "the connection is lost: %s", err_text(r));
	return r;
}

int
failure_protocol(struct failure *f, const char *what)
{
	(void)failure_set(f, FAILURE_STOP, STATUS_PROTOCOL, "bad_frame",
			  "the server breaks the protocol: %s", what);
	return -FTD_E_bad_frame;
}

int
failure_interrupted(struct failure *f)
{
	(void)failure_set(f, FAILURE_STOP, STATUS_INTERRUPTED, "cancelled", "interrupted");
	return -EINTR;
}
