#include "daemon/config/option.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

static const struct option_word where_words[] = {
	{ "never", CONFIG_NEVER },
	{ "loopback", CONFIG_LOOPBACK },
	{ "anywhere", CONFIG_ANYWHERE },
	{ NULL, 0 },
};
static const struct option_word sandbox_words[] = {
	{ "require", CONFIG_SANDBOX_REQUIRE },
	{ "best-effort", CONFIG_SANDBOX_BEST_EFFORT },
	{ NULL, 0 },
};
static const struct option_word durability_words[] = {
	{ "full", CONFIG_DURABILITY_FULL },
	{ "file", CONFIG_DURABILITY_FILE },
	{ "none", CONFIG_DURABILITY_NONE },
	{ NULL, 0 },
};
static const struct option_word links_words[] = {
	{ "deny", CONFIG_LINKS_DENY },
	{ "inside", CONFIG_LINKS_INSIDE },
	{ NULL, 0 },
};
static const struct option_word log_target_words[] = {
	{ "auto", CONFIG_LOG_AUTO },
	{ "journal", CONFIG_LOG_JOURNAL },
	{ "stderr", CONFIG_LOG_STDERR },
	{ NULL, 0 },
};
static const struct option_word log_level_words[] = {
	{ "error", CONFIG_LOG_ERROR },   { "warning", CONFIG_LOG_WARNING },
	{ "notice", CONFIG_LOG_NOTICE }, { "info", CONFIG_LOG_INFO },
	{ "debug", CONFIG_LOG_DEBUG },   { NULL, 0 },
};
static const struct option_word tls_version_words[] = {
	{ "1.2", CONFIG_TLS_1_2 },
	{ "1.3", CONFIG_TLS_1_3 },
	{ NULL, 0 },
};
static const struct option_word client_certificate_words[] = {
	{ "required", CONFIG_CLIENT_CERTIFICATE_REQUIRED },
	{ "optional", CONFIG_CLIENT_CERTIFICATE_OPTIONAL },
	{ NULL, 0 },
};
/* the single rights first: show.c writes no presets */
static const struct option_word rights_words[] = {
	{ "read", RIGHT_READ },
	{ "list", RIGHT_LIST },
	{ "create", RIGHT_CREATE },
	{ "replace", RIGHT_REPLACE },
	{ "delete", RIGHT_DELETE },
	{ "mkdir", RIGHT_MKDIR },
	{ "rename", RIGHT_RENAME },
	{ "readonly", RIGHT_READ | RIGHT_LIST },
	{ "dropbox", RIGHT_CREATE },
	{ "full", RIGHT_ALL },
	{ "none", 0 },
	{ NULL, 0 },
};

static const struct option_word *const words_of[OPTION_TYPES] = {
	[OPTION_WHERE] = where_words,
	[OPTION_SANDBOX] = sandbox_words,
	[OPTION_DURABILITY] = durability_words,
	[OPTION_LINKS] = links_words,
	[OPTION_LOG_TARGET] = log_target_words,
	[OPTION_LOG_LEVEL] = log_level_words,
	[OPTION_TLS_VERSION] = tls_version_words,
	[OPTION_CLIENT_CERTIFICATE] = client_certificate_words,
	[OPTION_RIGHTS] = rights_words,
};

const struct option_word *
option_words(enum option_type type)
{
	return words_of[type];
}

#define ROW(kind, place, name, field, fallback, min, max, live, text)            \
	{                                                                        \
		name, OPTION_##kind, offsetof(place, field), fallback, min, max, \
		    CONFIG_LIVE_##live, text                                     \
	}
#define ROW_RESERVED(name, fallback)                                                \
	{                                                                           \
		name, OPTION_RESERVED, 0, fallback, 0, 0, CONFIG_LIVE_RESTART, NULL \
	}

static const struct option main_rows[] = {
#define OPTION(path, field, type, fallback, min, max, live, text) \
	[CONFIG_AT_##field] = ROW(type, struct config, path, field, fallback, min, max, live, text),
#define RESERVED(path, fallback) ROW_RESERVED(path, fallback),
#include "daemon/config/options.def"
};

static const struct option listen_rows[] = {
#define LISTEN(path, field, type, fallback, min, max, live, text) \
	ROW(type, struct config_listener, path, field, fallback, min, max, live, text),
#include "daemon/config/options.def"
};

static const struct option share_rows[] = {
#define SHARE(path, field, type, fallback, min, max, live, text) \
	ROW(type, struct config_share, path, field, fallback, min, max, live, text),
#include "daemon/config/options.def"
};

static const struct option rule_rows[] = {
#define RULE(path, field, type, fallback, min, max, live, text) \
	ROW(type, struct config_rule, path, field, fallback, min, max, live, text),
#include "daemon/config/options.def"
};

const struct option_table option_main = { main_rows, ARRAY_SIZE(main_rows),
					  offsetof(struct config, line) };
const struct option_table option_listen = { listen_rows, ARRAY_SIZE(listen_rows), 0 };
const struct option_table option_share = { share_rows, ARRAY_SIZE(share_rows), 0 };
const struct option_table option_rule = { rule_rows, ARRAY_SIZE(rule_rows), 0 };

_Static_assert(ARRAY_SIZE(main_rows) <= OPTION_ROWS_MAX, "option_guess() has room for fewer rows");

static const char *
describe_duration(const struct option *o, char *buf)
{
	char from[NUM_TEXT_MAX], to[NUM_TEXT_MAX];

	(void)snprintf(buf, OPTION_TEXT_MAX, "a duration from \"%s\" to \"%s\"",
		       num_format_duration_exact(o->min, from),
		       num_format_duration_exact(o->max, to));
	return buf;
}

static const char *
describe_words(const struct option *o, char *buf)
{
	const struct option_word *w = option_words(o->type);
	size_t len = 0;

	for (; w->name != NULL && len < OPTION_TEXT_MAX; w++)
		len += (size_t)snprintf(buf + len, OPTION_TEXT_MAX - len, "%s\"%s\"",
					len == 0 ? "one of " : ", ", w->name);
	return buf;
}

const char *
option_describe(const struct option *o, char *buf)
{
	switch (o->type) {
	case OPTION_NAME:
		return "a user or group name";
	case OPTION_PATH:
		(void)snprintf(buf, OPTION_TEXT_MAX,
			       "an absolute path of at most %" PRIu64 " bytes%s", o->max,
			       o->min > 0 ? "" : ", or \"\" for none");
		return buf;
	case OPTION_SHARE_PATH:
		return "a path such as \"/\" or \"/pub\"";
	case OPTION_ADDRESS:
		return o->min > 0 ? "an address such as \"0.0.0.0\" or \"::1\""
				  : "an address such as \"0.0.0.0\" or \"::1\", or \"\" for none";
	case OPTION_COUNT:
	case OPTION_PORT:
		(void)snprintf(buf, OPTION_TEXT_MAX, "an integer from %" PRIu64 " to %" PRIu64,
			       o->min, o->max);
		return buf;
	case OPTION_DURATION:
		return describe_duration(o, buf);
	case OPTION_SIZE:
		return o->max == NUM_UNLIMITED
			   ? "a size such as \"512K\" or \"1.5G\", or \"unlimited\""
			   : "a size such as \"512K\" or \"1.5G\"";
	case OPTION_RATE:
		return "a rate such as \"512K\" or \"40M\", or \"unlimited\"";
	case OPTION_WHERE:
	case OPTION_SANDBOX:
	case OPTION_DURABILITY:
	case OPTION_LINKS:
	case OPTION_LOG_TARGET:
	case OPTION_LOG_LEVEL:
	case OPTION_TLS_VERSION:
	case OPTION_CLIENT_CERTIFICATE:
		return describe_words(o, buf);
	case OPTION_RIGHTS:
		return "\"full\", \"readonly\", \"dropbox\", \"none\" or some of "
		       "\"read,list,create,replace,delete,"
		       "mkdir,rename\"";
	case OPTION_SUBNETS:
		return "a list of networks such as ( \"192.0.2.0/24\", \"2001:db8::/32\" )";
	case OPTION_USERS:
		return "a list of users such as ( \"alice\", \"bob\" ) or ( \"*\" )";
	case OPTION_LISTENERS:
	case OPTION_SHARES:
	case OPTION_RULES:
		return "a list of groups ( { }, { } )";
	case OPTION_RESERVED:
	case OPTION_TYPES:
		break;
	}
	return "the default";
}

const char *
option_live_text(enum config_live live)
{
	switch (live) {
	case CONFIG_LIVE_NOW:
		return "live";
	case CONFIG_LIVE_NEW_SESSIONS:
		return "new sessions";
	case CONFIG_LIVE_RESTART:
		break;
	}
	return "restart";
}

const struct option *
option_find(const struct option_table *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->rows[i].path, path) == 0)
			return &t->rows[i];
	return NULL;
}

bool
option_is_group(const struct option_table *t, const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < t->n; i++)
		if (strncmp(t->rows[i].path, path, len) == 0 && t->rows[i].path[len] == '.')
			return true;
	return false;
}

static const char *
guess_elsewhere(const struct option_table *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++) {
		const char *dot = strrchr(t->rows[i].path, '.');

		if (dot != NULL && strcmp(dot + 1, name) == 0)
			return t->rows[i].path;
	}
	return NULL;
}

const char *
option_guess(const struct option_table *t, const char *prefix, const char *name, char *buf)
{
	char leaves[OPTION_ROWS_MAX][64];
	const char *names[OPTION_ROWS_MAX];
	size_t n = 0, len = strlen(prefix);
	const char *best;

	for (size_t i = 0; i < t->n; i++) {
		const char *rest = t->rows[i].path + len;

		if (strncmp(t->rows[i].path, prefix, len) != 0)
			continue;
		(void)snprintf(leaves[n], sizeof(leaves[n]), "%.*s", (int)strcspn(rest, "."), rest);
		names[n] = leaves[n];
		n++;
	}
	best = guess_elsewhere(t, name);
	if (best == NULL)
		best = text_nearest(name, names, n);
	if (best == NULL)
		return NULL;
	(void)snprintf(buf, OPTION_TEXT_MAX, "%s", best);
	return buf;
}
