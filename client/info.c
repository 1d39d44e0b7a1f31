/* ft stat, ft df. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/columns.h"
#include "client/command.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

/* Asks one question about each operand; show tells the answer. */
static int
ask_each(struct client *c, int n, char **names, const char *opt,
	 int (*show)(struct client *c, const struct url *url, const struct answer *a))
{
	auto_free struct url *urls = NULL;
	int status, r = 0;

	urls = command_urls(c, n, names, &status);
	if (urls == NULL)
		return status;
	for (int i = 0; i < n; i++) {
		auto_json json_t *rq = session_request(opt, &urls[i]);
		struct answer a;
		struct failure f;

		r = session_open(&c->session, &urls[i], &f);
		if (r == 0)
			r = session_query(&c->session, rq, &a, &f);
		if (r == 0) {
			r = show(c, &urls[i], &a);
			answer_done(&a);
			if (r < 0)
				(void)failure_protocol(&f, "an answer has a key of the wrong kind");
		}
		if (r == 0) {
			c->report.ok++;
			continue;
		}
		report_failure(&c->report, names[i], &f);
		if (f.scope != FAILURE_ITEM)
			break;
	}
	return 0;
}

/* The answer itself, as a JSON line about the operand. */
static void
show_json(struct client *c, const struct url *url, const struct answer *a)
{
	char path[URL_PATH_TEXT_MAX];

	(void)json_object_del(a->object, "status");
	(void)json_object_del(a->object, "id");
	(void)url_path(url, path);
	(void)message_set_name(a->object, "path", path, strlen(path));
	report_json(&c->report, json_incref(a->object));
}

static int
show_stat(struct client *c, const struct url *url, const struct answer *a)
{
	static const char *const types[] = { [ENTRY_FILE] = "file",
					     [ENTRY_DIR] = "directory",
					     [ENTRY_LINK] = "symbolic link",
					     [ENTRY_OTHER] = "other" };
	char text[COLUMNS_NAME_MAX], size[NUM_TEXT_MAX], when[COLUMNS_TIME_MAX];
	struct entry e;
	int r;

	if (c->report.json) {
		show_json(c, url, a);
		return 0;
	}
	r = entry_decode(a->object, &e);
	if (r < 0)
		return r;
	(void)printf("path      /%s\n",
		     text_escape(text, sizeof(text), url->path, strlen(url->path)));
	(void)printf("type      %s\n", types[e.type]);
	if (e.type == ENTRY_FILE)
		(void)printf("size      %" PRIu64 " (%s)\n", e.filesize,
			     num_format_size(e.filesize, size));
	(void)printf("modified  %s\n", columns_time(when, e.mtime_ns, true));
	(void)printf("mode      %04o (%s)\n", (unsigned)e.mode, columns_mode(text, &e));
	if (e.etag.data != NULL)
		(void)printf("etag      %s\n",
			     text_escape(text, sizeof(text), e.etag.data, e.etag.len));
	entry_done(&e);
	return 0;
}

int
command_stat(struct client *c, int argc, char **argv)
{
	return ask_each(c, argc, argv, "stat", show_stat);
}

struct space {
	uint64_t free, used, quota;
};

static const struct message_field space_fields[] = {
	{ .key = "free",
	  .type = MESSAGE_NULLABLE,
	  .offset = offsetof(struct space, free),
	  .max = INT64_MAX },
	{ .key = "used",
	  .type = MESSAGE_NULLABLE,
	  .offset = offsetof(struct space, used),
	  .max = INT64_MAX },
	{ .key = "quota",
	  .type = MESSAGE_NULLABLE,
	  .offset = offsetof(struct space, quota),
	  .max = INT64_MAX },
};

static void
show_size(const char *what, uint64_t n, bool human)
{
	char text[NUM_TEXT_MAX];

	if (n == NUM_UNLIMITED)
		(void)printf("  %s -", what);
	else if (human)
		(void)printf("  %s %s", what, num_format_size(n, text));
	else
		(void)printf("  %s %" PRIu64, what, n);
}

static int
show_space(struct client *c, const struct url *url, const struct answer *a)
{
	struct space s = { NUM_UNLIMITED, NUM_UNLIMITED, NUM_UNLIMITED };
	bool human = options_has(&c->options, OPTION_BIT(human));
	char text[COLUMNS_NAME_MAX];
	const char *key, *why;
	uint64_t has;
	int r;

	if (c->report.json) {
		show_json(c, url, a);
		return 0;
	}
	r = message_decode(a->object, space_fields, ARRAY_SIZE(space_fields), &s, &has, &key, &why);
	if (r < 0)
		return r;
	(void)printf("/%s", text_escape(text, sizeof(text), url->path, strlen(url->path)));
	show_size("free", s.free, human);
	show_size("used", s.used, human);
	show_size("quota", s.quota, human);
	(void)putchar('\n');
	return 0;
}

int
command_df(struct client *c, int argc, char **argv)
{
	return ask_each(c, argc, argv, "space", show_space);
}
