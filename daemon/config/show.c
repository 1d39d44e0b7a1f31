#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config/option.h"
#include "lib/num.h"
#include "lib/own.h"
#include "lib/text.h"

static void write_value(FILE *to, const struct config *c, const struct option *o, const void *base);

static void
write_text(FILE *to, const char *text)
{
	bool utf8 = text_utf8_valid(text, strlen(text));

	(void)fputc('"', to);
	for (const char *c = text; *c != '\0'; c++) {
		unsigned char b = (unsigned char)*c;

		if (b == '"' || b == '\\')
			(void)fprintf(to, "\\%c", b);
		else if (b < ' ' || b == 0x7f || (b >= 0x80 && !utf8))
			(void)fprintf(to, "\\x%02x", b);
		else
			(void)fputc(b, to);
	}
	(void)fputc('"', to);
}

static void
write_share_path(FILE *to, const char *path)
{
	char absolute[CONFIG_SHARE_PATH_MAX + 1];

	(void)snprintf(absolute, sizeof(absolute), "/%s", path);
	write_text(to, absolute);
}

static void
write_word(FILE *to, const struct option_word *w, unsigned value)
{
	while (w->name != NULL && w->value != value)
		w++;
	(void)fprintf(to, "\"%s\"", w->name != NULL ? w->name : "");
}

/* The single rights, which come first among the words; never a preset but "none". */
const char *
config_rights_text(unsigned rights, char *buf)
{
	const struct option_word *w = option_words(OPTION_RIGHTS);
	size_t len = 0;

	(void)snprintf(buf, CONFIG_RIGHTS_TEXT_MAX, "none");
	for (; (rights & RIGHT_ALL) != 0 && w->name != NULL; rights &= ~w->value, w++)
		if ((rights & w->value) != 0)
			len += (size_t)snprintf(buf + len, CONFIG_RIGHTS_TEXT_MAX - len, "%s%s",
						len > 0 ? "," : "", w->name);
	return buf;
}

static void
write_subnets(FILE *to, const struct config_subnets *nets)
{
	char text[ADDR_TEXT_MAX];

	(void)fputc('(', to);
	for (unsigned i = 0; i < nets->n; i++)
		(void)fprintf(to, "%s \"%s\"", i > 0 ? "," : "",
			      subnet_format(&nets->list[i], text));
	(void)fputs(" )", to);
}

static void
write_users(FILE *to, const struct config *c, const struct config_rule *rule)
{
	(void)fputc('(', to);
	for (unsigned i = 0; i < rule->n_users; i++)
		(void)fprintf(to, "%s \"%s\"", i > 0 ? "," : "",
			      c->rule_users[rule->first_user + i]);
	(void)fputs(" )", to);
}

/* Whether the row says nothing there: rules and rights stand for each other. */
static bool
is_silent(const struct option_table *t, const struct option *o, const void *base)
{
	const struct config_share *share = base;
	const struct config_rule *rule = base;

	if (o->type == OPTION_RULES)
		return share->n_rules == 0;
	if (o->type == OPTION_RIGHTS && t == &option_share)
		return share->n_rules > 0;
	if (o->type == OPTION_USERS)
		return rule->n_users == 0;
	return o->type == OPTION_RESERVED;
}

static void
write_group(FILE *to, const struct config *c, const struct option_table *t, const void *base)
{
	(void)fputs(" {", to);
	for (const struct option *o = t->rows; o < t->rows + t->n; o++) {
		if (is_silent(t, o, base))
			continue;
		(void)fprintf(to, " %s = ", o->path);
		write_value(to, c, o, base);
		(void)fputc(';', to);
	}
	(void)fputs(" }", to);
}

static void
write_groups(FILE *to, const struct config *c, const struct option_table *t, const void *first,
	     size_t size, unsigned n)
{
	(void)fputc('(', to);
	for (unsigned i = 0; i < n; i++) {
		(void)fputs(i > 0 ? "," : "", to);
		write_group(to, c, t, (const char *)first + i * size);
	}
	(void)fputs(" )", to);
}

static void
write_rules(FILE *to, const struct config *c, const struct config_share *share)
{
	write_groups(to, c, &option_rule, c->rules + share->first_rule, sizeof(c->rules[0]),
		     share->n_rules);
}

static void
write_value(FILE *to, const struct config *c, const struct option *o, const void *base)
{
	const void *field = (const char *)base + o->offset;
	char number[NUM_TEXT_MAX], rights[CONFIG_RIGHTS_TEXT_MAX];

	switch (o->type) {
	case OPTION_NAME:
	case OPTION_PATH:
	case OPTION_ADDRESS:
		write_text(to, field);
		break;
	case OPTION_SHARE_PATH:
		write_share_path(to, field);
		break;
	case OPTION_COUNT:
		(void)fprintf(to, "%" PRIu64, *(const uint64_t *)field);
		break;
	case OPTION_PORT:
		(void)fprintf(to, "%u", *(const uint16_t *)field);
		break;
	case OPTION_DURATION:
		(void)fprintf(to, "\"%s\"",
			      num_format_duration_exact(*(const uint64_t *)field, number));
		break;
	case OPTION_SIZE:
	case OPTION_RATE:
		(void)fprintf(to, "\"%s\"",
			      num_format_size_exact(*(const uint64_t *)field, number));
		break;
	case OPTION_WHERE:
	case OPTION_SANDBOX:
	case OPTION_DURABILITY:
	case OPTION_LINKS:
	case OPTION_LOG_TARGET:
	case OPTION_LOG_LEVEL:
	case OPTION_TLS_VERSION:
	case OPTION_CLIENT_CERTIFICATE:
		write_word(to, option_words(o->type), *(const unsigned *)field);
		break;
	case OPTION_RIGHTS:
		(void)fprintf(to, "\"%s\"", config_rights_text(*(const unsigned *)field, rights));
		break;
	case OPTION_SUBNETS:
		write_subnets(to, field);
		break;
	case OPTION_LISTENERS:
		write_groups(to, c, &option_listen, c->listen, sizeof(c->listen[0]), c->n_listen);
		break;
	case OPTION_SHARES:
		write_groups(to, c, &option_share, c->shares, sizeof(c->shares[0]), c->n_shares);
		break;
	case OPTION_RULES:
		write_rules(to, c, base);
		break;
	case OPTION_USERS:
		write_users(to, c, base);
		break;
	case OPTION_RESERVED:
	case OPTION_TYPES:
		break;
	}
}

/* The option's value as text, for the caller to free. */
static int
format_value(const struct option *o, const struct config *c, char **ret)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	if (to == NULL)
		return -ENOMEM;
	write_value(to, c, o, c);
	if (fclose(to) != 0) {
		free(text);
		return -ENOMEM;
	}
	*ret = text;
	return 0;
}

int
config_each(const struct config *c,
	    int (*row)(void *userdata, const char *path, const char *value, enum config_live live),
	    void *userdata)
{
	for (const struct option *o = option_main.rows; o < option_main.rows + CONFIG_OPTIONS;
	     o++) {
		auto_free char *value = NULL;
		int r = format_value(o, c, &value);

		if (r == 0)
			r = row(userdata, o->path, value, o->live);
		if (r < 0)
			return r;
	}
	return 0;
}

int
config_diff(const struct config *old, const struct config *new,
	    int (*row)(void *userdata, const char *path, const char *before, const char *after,
		       enum config_live live),
	    void *userdata)
{
	for (const struct option *o = option_main.rows; o < option_main.rows + CONFIG_OPTIONS;
	     o++) {
		auto_free char *before = NULL, *after = NULL;
		int r = format_value(o, old, &before);

		if (r == 0)
			r = format_value(o, new, &after);
		if (r == 0 && strcmp(before, after) != 0)
			r = row(userdata, o->path, before, after, o->live);
		if (r < 0)
			return r;
	}
	return 0;
}
