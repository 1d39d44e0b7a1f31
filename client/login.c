/* ft login: whether the server lets one in, and to do what; and the key that it may know one by. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/command.h"
#include "client/confdir.h"
#include "client/key.h"
#include "lib/err.h"
#include "lib/own.h"
#include "lib/text.h"

enum { SHOWN_MAX = 1024 };

/* --- the login */

/* As the server says: what one may do in one share or another. */
static void
show(struct client *c, const struct url *url, json_t *answer)
{
	char shown[SHOWN_MAX];
	json_t *right;
	size_t i;

	if (c->report.json) {
		(void)json_object_del(answer, "status");
		(void)json_object_del(answer, "id");
		report_json(&c->report, json_incref(answer));
		return;
	}
	(void)printf("%s at %s, port %u:", url->user,
		     text_escape(shown, sizeof(shown), url->host, strlen(url->host)), url->port);
	json_array_foreach (json_object_get(answer, "rights"), i, right)
		if (json_is_string(right))
			(void)printf(" %s",
				     text_escape(shown, sizeof(shown), json_string_value(right),
						 json_string_length(right)));
	(void)putchar('\n');
}

static int
log_in(struct client *c, const struct url *url, const char *name)
{
	struct failure f;

	if (url->user[0] == '\0')
		return command_usage(c, "%s: who logs in? ft://USER@HOST", name);
	if (session_open(&c->session, url, &f) < 0)
		report_failure(&c->report, name, &f);
	else
		show(c, url, c->session.auth.answer);
	return 0;
}

/* --- the key */

/* "alice@laptop", of what a label may have. */
static void
make_label(char dst[USER_LABEL_MAX + 1])
{
	const struct passwd *me = getpwuid(geteuid());
	char host[USER_LABEL_MAX + 1] = "";

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(dst, USER_LABEL_MAX + 1, "%.32s@%s", me != NULL ? me->pw_name : "ft", host);
	for (char *p = dst; *p != '\0'; p++)
		if (!users_label_is_valid(p, 1))
			*p = '-';
}

/* What makes the key known to a server. */
static void
show_key(const char *user, const struct key *k)
{
	char hex[2 * sizeof(k->public) + 1], label[USER_LABEL_MAX + 1];

	make_label(label);
	(void)printf("ftctl user key add %s %s --label %s\n", user,
		     text_hex(hex, k->public, sizeof(k->public)), label);
}

static void
make_key(struct client *c, const char *user)
{
	const char *file = c->options.identity, *shown = file;
	auto_key struct key k = { .pair = NULL };
	auto_close int dir = AT_FDCWD;
	struct failure f;
	int r;

	if (file == NULL) {
		file = AUTH_KEY_FILE;
		shown = "~/.config/ft/" AUTH_KEY_FILE;
		dir = confdir_make();
	}
	r = dir < 0 && dir != AT_FDCWD ? dir : key_make(dir, file, &k);
	if (r == -EEXIST) {
		(void)failure_set(&f, FAILURE_ITEM, err_exit_status("exists"), "exists",
				  "it is there already, and stays");
		(void)key_read(dir, file, &k);
	} else if (r < 0) {
		(void)failure_set(&f, FAILURE_ITEM, STATUS_LOCAL, "local", "%s", err_text(r));
	}
	if (r < 0)
		report_failure(&c->report, shown, &f);
	else if (!c->report.quiet)
		(void)fprintf(stderr, "%s is made. The server's administrator says:\n", shown);
	if (k.pair != NULL)
		show_key(user, &k);
}

int
command_login(struct client *c, int argc, char **argv)
{
	auto_free struct url *urls = NULL;
	int status;

	if (argc > 0) {
		urls = command_urls(c, argc, argv, &status);
		if (urls == NULL)
			return status;
	}
	if (options_has(&c->options, OPTION_BIT(new_key))) {
		make_key(c, urls != NULL && urls->user[0] != '\0' ? urls->user : "NAME");
		return 0;
	}
	if (urls == NULL)
		return command_usage(c, "ft login needs ft://USER@HOST, or --new-key");
	return log_in(c, urls, argv[0]);
}
