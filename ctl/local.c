#include "ctl/local.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

#include "ctl/call.h"
#include "ctl/run.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/text.h"

enum { ASK_SEC = 10 };

int
local_refuse(json_t *answer, int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)json_object_set_new(answer, "message", json_vsprintf(format, ap));
	va_end(ap);
	return r;
}

int
local_answer_refuse(json_t *answer, int r)
{
	if (json_object_get(answer, "message") == NULL)
		(void)local_refuse(answer, r, "%s", err_text(r));
	if (json_object_set_new(answer, "status", json_string("error")) < 0 ||
	    json_object_set_new(answer, "code", json_string(err_code(r))) < 0)
		return -ENOMEM;
	return 0;
}

json_t *
local_text(const char *text)
{
	char escaped[PATH_MAX];

	if (text_utf8_valid(text, strlen(text)))
		return json_string(text);
	return json_string(text_escape(escaped, sizeof(escaped), text, strlen(text)));
}

int
local_set(json_t *answer, json_t *part)
{
	return part == NULL || json_object_update_new(answer, part) < 0 ? -ENOMEM : 0;
}

int
local_ask(const struct options *o, json_t *request, json_t **ret)
{
	struct wire w;
	int r = call_open(&w, run_socket(o), ASK_SEC * USEC_PER_SEC);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return 0;
	if (r < 0)
		return r;
	r = call_ask(&w, request, ASK_SEC * USEC_PER_SEC, ret);
	wire_done(&w);
	return r < 0 ? r : 1;
}
