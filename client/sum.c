/* ft sum: digests of what the server holds, in lines that ft sum -c reads again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/command.h"
#include "lib/digest.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

enum { SHOWN_MAX = 4 * PATH_BYTES_MAX };

static int
ask(struct client *c, const struct url *url, enum digest_algorithm algorithm,
    struct digest_value *ret, struct failure *f)
{
	auto_json json_t *rq = session_request("digest", url);
	/* a list is compared with what is there */
	bool verify = c->options.check != NULL || options_has(&c->options, OPTION_BIT(verify));
	struct answer a;
	bool has_value = false;
	int r;

	if (rq != NULL)
		(void)json_object_update_new(
		    rq,
		    json_pack("{s:s, s:b}", "digest", digest_name(algorithm), "verify", verify));
	r = session_open(&c->session, url, f);
	if (r == 0)
		r = session_query(&c->session, rq, &a, f);
	if (r < 0)
		return r;
	if (a.digest.data != NULL)
		r = digest_parse(a.digest.data, a.digest.len, ret, &has_value);
	if (r < 0 || !has_value || ret->algorithm != algorithm)
		r = failure_protocol(f, "the digest that was asked for is missing");
	answer_done(&a);
	return r;
}

static void
show(struct client *c, const struct url *url, const struct digest_value *value)
{
	char text[DIGEST_TEXT_MAX], path[URL_PATH_TEXT_MAX], shown[SHOWN_MAX];
	json_t *o;

	(void)digest_format(value, text);
	(void)url_path(url, path);
	if (!c->report.json) {
		(void)printf("%s  %s\n", text,
			     text_escape(shown, sizeof(shown), path, strlen(path)));
		return;
	}
	o = json_pack("{s:s}", "digest", text);
	if (o != NULL)
		(void)message_set_name(o, "path", path, strlen(path));
	report_json(&c->report, o);
}

/* ---- -c ---- */

/* "xxh3:…" and "sha256:…", or bare digits as sha256sum and xxh128sum write them. */
static int
parse_digest(const char *word, size_t len, struct digest_value *ret)
{
	char text[DIGEST_TEXT_MAX];
	bool has_value;

	if (memchr(word, ':', len) == NULL && len < sizeof(text) - 8) {
		(void)snprintf(text, sizeof(text), "%s:%.*s", len == 64 ? "sha256" : "xxh3",
			       (int)len, word);
		word = text;
		len = strlen(text);
	}
	return digest_parse(word, len, ret, &has_value) < 0 || !has_value ? -EINVAL : 0;
}

/* One line "digest  path"; a path with '/' in front begins at the root, any other at base. */
static int
parse_line(char *line, const struct url *base, struct digest_value *ret, struct url *ret_url)
{
	size_t len = strcspn(line, " \t");
	const char *path = line + len + strspn(line + len, " \t*");
	struct url below = *base;

	if (*path == '\0' || parse_digest(line, len, ret) < 0 || url_set_path(&below, path) < 0)
		return -EINVAL;
	if (*path == '/') {
		*ret_url = below;
		return 0;
	}
	return url_join(base, below.path, ret_url) < 0 ? -EINVAL : 0;
}

/* 0, or negative when all is over. */
static int
check_line(struct client *c, char *line, const struct url *base)
{
	struct digest_value wanted, got;
	char path[URL_PATH_TEXT_MAX];
	struct failure f;
	struct url url;
	int r;

	if (parse_line(line, base, &wanted, &url) < 0) {
		(void)failure_set(&f, FAILURE_ITEM, STATUS_LOCAL, "local",
				  "not a line of a list of digests");
		report_failure(&c->report, line, &f);
		return 0;
	}
	r = ask(c, &url, wanted.algorithm, &got, &f);
	if (r == 0 && !digest_equal(&wanted, &got))
		r = failure_set(&f, FAILURE_ITEM, err_exit_status("digest_mismatch"),
				"digest_mismatch", "the server holds something else");
	if (r < 0) {
		report_failure(&c->report, url_path(&url, path), &f);
		return f.scope == FAILURE_ITEM ? 0 : r;
	}
	c->report.ok++;
	if (!c->report.quiet)
		show(c, &url, &got);
	return 0;
}

static int
check_list(struct client *c, const struct url *base)
{
	const char *name = c->options.check;
	auto_free char *line = NULL;
	struct failure f;
	size_t size = 0;
	ssize_t n;
	FILE *list;
	int r = 0;

	list = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	if (list == NULL) {
		(void)failure_set(&f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(-errno));
		report_failure(&c->report, name, &f);
		return 0;
	}
	while (r == 0 && (n = getline(&line, &size, list)) > 0) {
		if (line[n - 1] == '\n')
			line[n - 1] = '\0';
		if (line[0] != '\0' && line[0] != '#')
			r = check_line(c, line, base);
	}
	if (list != stdin)
		(void)fclose(list);
	return 0;
}

int
command_sum(struct client *c, int argc, char **argv)
{
	auto_free struct url *urls = NULL;
	struct digest_value value;
	struct failure f;
	int status, r;

	urls = command_urls(c, argc, argv, &status);
	if (urls == NULL)
		return status;
	if (c->options.check != NULL)
		return argc == 1
			   ? check_list(c, &urls[0])
			   : command_usage(c, "--check takes one address, that of the server");
	for (int i = 0; i < argc; i++) {
		r = ask(c, &urls[i], c->options.digest, &value, &f);
		if (r == 0) {
			c->report.ok++;
			show(c, &urls[i], &value);
			continue;
		}
		report_failure(&c->report, argv[i], &f);
		if (f.scope != FAILURE_ITEM)
			break;
	}
	return 0;
}
