#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client/content.h"
#include "client/upload.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/message.h"
#include "lib/path.h"

static int
set_new(json_t *o, const char *key, json_t *value)
{
	return json_object_set_new(o, key, value) < 0 ? -ENOMEM : 0;
}

int
upload_remote_name(const struct upload_item *item, char dst[UPLOAD_PATH_MAX])
{
	const char *above = item->source->remote;
	int n;

	n = snprintf(dst, UPLOAD_PATH_MAX, "/%s%s%s", above,
		     above[0] != '\0' && item->path[0] != '\0' ? "/" : "", item->path);
	return n < 0 || n >= UPLOAD_PATH_MAX ? -FTD_E_bad_name : 0;
}

int64_t
upload_mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * (int64_t)NSEC_PER_SEC + st->st_mtim.tv_nsec;
}

static int
set_times(json_t *o, const struct stat *st)
{
	int r;

	r = set_new(o, "mtime_ns", json_integer((json_int_t)upload_mtime_ns(st)));
	return r < 0 ? r : set_new(o, "mode", json_integer(st->st_mode & 0777));
}

static int
set_facts(json_t *rq, const struct options *o, const struct upload_facts *facts)
{
	const char *if_exists = options_if_exists(o);
	int r = message_set_name(rq, "filename", facts->filename, strlen(facts->filename));

	if (r == 0)
		r = set_new(rq, "filesize",
			    facts->size == CONTENT_UNKNOWN ? json_null()
							   : json_integer((json_int_t)facts->size));
	if (r == 0 && S_ISREG(facts->st->st_mode))
		r = set_times(rq, facts->st);
	if (r == 0 && if_exists != NULL)
		r = set_new(rq, "if_exists", json_string(if_exists));
	if (r == 0 && facts->parents)
		r = set_new(rq, "parents", json_true());
	return r;
}

json_t *
upload_request(const char *opt, const struct options *o, const struct upload_facts *facts)
{
	json_t *rq = json_pack("{s:s}", "opt", opt);

	if (rq != NULL && set_facts(rq, o, facts) == 0)
		return rq;
	json_decref(rq);
	return NULL;
}

json_t *
upload_name_request(const struct upload_item *item)
{
	static const char *const opts[] = {
		[UPLOAD_MKDIR] = "mkdir", [UPLOAD_SET] = "set", [UPLOAD_REMOVE] = "remove"
	};
	json_t *rq = json_pack("{s:s}", "opt", opts[item->kind]);
	char path[UPLOAD_PATH_MAX];
	int r = rq != NULL ? upload_remote_name(item, path) : -ENOMEM;

	if (r == 0)
		r = message_set_name(rq, "filename", path, strlen(path));
	if (r == 0 && item->kind == UPLOAD_MKDIR)
		r = set_new(rq, "parents", json_true());
	if (r == 0 && item->kind == UPLOAD_SET)
		r = set_times(rq, &item->st);
	if (r == 0)
		return rq;
	json_decref(rq);
	return NULL;
}
