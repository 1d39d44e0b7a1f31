#include "daemon/config/tree.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/config/option.h"
#include "daemon/config/value.h"
#include "lib/own.h"

/* Reads one struct by its table: the whole file, or a group of a list. */
struct reader {
	const struct option_table *table;
	struct config *config;
	void *base;     /* the struct: config, or one of a list */
	const char *at; /* in front of paths in problems: "" or "shares[0]." */
	struct config_problems *problems;
	unsigned errors; /* also those there was no room for */
	bool defaults;   /* what is read stands in no line */
};

enum { WHERE_MAX = 160 }; /* room for "shares[63].durability"; unknown keys are cut */

static void read_option(struct reader *rd, const struct option *o, const config_setting_t *s,
			const char *where);

static void __attribute__((format(printf, 4, 5)))
complain(struct reader *rd, const config_setting_t *s, const char *where, const char *format, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	config_problem_add(rd->problems, true, (int)config_setting_source_line(s), "%s: %s", where,
			   text);
	rd->errors++;
}

/* The default of a row as a setting of the scratch tree. */
static const config_setting_t *
parse_default(const struct option *o, config_t *scratch)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "v = %s;", o->fallback);

	assert(n > 0 && (size_t)n < sizeof(text));
	(void)n;
	return config_read_string(scratch, text) == CONFIG_TRUE ? config_lookup(scratch, "v")
								: NULL;
}

static void
read_default(struct reader *rd, const struct option *o)
{
	__attribute__((cleanup(config_destroy))) config_t scratch;
	const config_setting_t *s;

	config_init(&scratch);
	s = parse_default(o, &scratch);
	assert(s != NULL);
	read_option(rd, o, s, o->path);
}

static int
line_of(const struct reader *rd, const config_setting_t *s)
{
	return rd->defaults ? 0 : (int)config_setting_source_line(s);
}

static void
read_defaults(struct reader *rd)
{
	bool before = rd->defaults;

	rd->defaults = true;
	for (const struct option *o = rd->table->rows; o < rd->table->rows + rd->table->n; o++)
		if (o->fallback != NULL && o->fallback[0] != '\0' && o->type != OPTION_RESERVED)
			read_default(rd, o);
	rd->defaults = before;
}

static void
read_scalar(struct reader *rd, const struct option *o, const config_setting_t *s, const char *where)
{
	char shown[VALUE_SHOWN_MAX], what[OPTION_TEXT_MAX];
	bool unit = o->type == OPTION_DURATION || o->type == OPTION_SIZE || o->type == OPTION_RATE;

	if (value_read(o, s, rd->base) == 0)
		return;
	complain(rd, s, where, "%s is not %s%s", value_show(s, shown), option_describe(o, what),
		 unit && config_setting_is_number(s)
		     ? " (sizes, rates and durations are strings with units)"
		     : "");
}

static void
read_reserved(struct reader *rd, const struct option *o, const config_setting_t *s,
	      const char *where)
{
	__attribute__((cleanup(config_destroy))) config_t scratch;
	char shown[VALUE_SHOWN_MAX];
	const config_setting_t *only;

	config_init(&scratch);
	only = parse_default(o, &scratch);
	assert(only != NULL);
	if (!value_same(s, only))
		complain(rd, s, where, "%s is not supported by this version (only %s)",
			 value_show(s, shown), o->fallback);
}

/* How many entries the list has, or -EINVAL and a problem. */
static int
list_length(struct reader *rd, const struct option *o, const config_setting_t *s, const char *where)
{
	char shown[VALUE_SHOWN_MAX], what[OPTION_TEXT_MAX];
	int n;

	if (!value_is_list(s)) {
		complain(rd, s, where, "%s is not %s", value_show(s, shown),
			 option_describe(o, what));
		return -EINVAL;
	}
	n = config_setting_length(s);
	if ((uint64_t)n > o->max) {
		complain(rd, s, where, "%d entries, at most %" PRIu64 " are possible", n, o->max);
		return -EINVAL;
	}
	if ((uint64_t)n < o->min) {
		complain(rd, s, where, "the list is empty: %s",
			 o->type == OPTION_SHARES  ? "nothing to serve"
			 : o->type == OPTION_USERS ? "a rule for nobody; leave it out"
						   : "nothing to listen on");
		return -EINVAL;
	}
	return n;
}

static int
read_subnet(struct reader *rd, const config_setting_t *s, const char *where, struct subnet *ret)
{
	const char *text = config_setting_get_string(s);
	char shown[VALUE_SHOWN_MAX], meant[ADDR_TEXT_MAX];
	int r = text == NULL ? -EINVAL : subnet_parse(text, ret);

	if (r == -ERANGE)
		complain(rd, s, where, "%s has host bits set; probably \"%s\" is meant",
			 value_show(s, shown), subnet_format(ret, meant));
	else if (r < 0)
		complain(rd, s, where,
			 "%s is not a network such as \"192.0.2.0/24\" or \"2001:db8::/32\"",
			 value_show(s, shown));
	return r;
}

static void
read_subnets(struct reader *rd, const struct option *o, const config_setting_t *s,
	     const char *where)
{
	struct config_subnets *ret = (void *)((char *)rd->base + o->offset);
	int n = list_length(rd, o, s, where);
	char at[WHERE_MAX];

	if (n < 0)
		return;
	ret->n = 0;
	for (int i = 0; i < n; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);

		(void)snprintf(at, sizeof(at), "%s[%d]", where, i);
		if (read_subnet(rd, e, at, &ret->list[ret->n]) == 0)
			ret->line[ret->n++] = line_of(rd, e);
	}
}

/* Tells of an unknown key; prefix ("" or "limits.") says in which group. */
static void
complain_unknown(struct reader *rd, const config_setting_t *s, const char *prefix,
		 const char *where)
{
	char guess[OPTION_TEXT_MAX];
	const char *meant = option_guess(rd->table, prefix, config_setting_name(s), guess);

	if (meant != NULL)
		complain(rd, s, where, "unknown option; did you mean %s?", meant);
	else
		complain(rd, s, where, "unknown option; ftd.conf(5) lists them all");
}

static void
note_line(const struct reader *rd, const struct option *o, const config_setting_t *s)
{
	int *lines = (int *)(void *)((char *)rd->base + rd->table->lines);

	if (rd->table->lines != 0 && o->type != OPTION_RESERVED)
		lines[o - rd->table->rows] = (int)config_setting_source_line(s);
}

static void read_group(struct reader *rd, const config_setting_t *group, const char *prefix);

static void
read_key(struct reader *rd, const config_setting_t *s, const char *prefix)
{
	char path[WHERE_MAX], where[WHERE_MAX], shown[VALUE_SHOWN_MAX];
	const struct option *o;

	(void)snprintf(path, sizeof(path) - 1, "%s%.64s", prefix, config_setting_name(s));
	(void)snprintf(where, sizeof(where), "%s%s", rd->at, path);
	o = option_find(rd->table, path);
	if (o != NULL) {
		read_option(rd, o, s, where);
		note_line(rd, o, s);
	} else if (!option_is_group(rd->table, path)) {
		complain_unknown(rd, s, prefix, where);
	} else if (!config_setting_is_group(s)) {
		complain(rd, s, where, "%s is not a group { }", value_show(s, shown));
	} else {
		path[strlen(path) + 1] = '\0';
		path[strlen(path)] = '.';
		read_group(rd, s, path);
	}
}

static void
read_group(struct reader *rd, const config_setting_t *group, const char *prefix)
{
	for (int i = 0; i < config_setting_length(group); i++)
		read_key(rd, config_setting_get_elem(group, (unsigned)i), prefix);
}

/* One group of a list into the zeroed struct at base. Whether nothing was wrong. */
static bool
read_entry(struct reader *outer, const struct option_table *t, const config_setting_t *s,
	   const char *where, void *base)
{
	char at[WHERE_MAX], shown[VALUE_SHOWN_MAX];
	struct reader rd = {
		.table = t,
		.config = outer->config,
		.base = base,
		.at = at,
		.problems = outer->problems,
		.defaults = outer->defaults,
	};

	(void)snprintf(at, sizeof(at), "%s.", where);
	if (!config_setting_is_group(s)) {
		complain(&rd, s, where, "%s is not a group { }", value_show(s, shown));
		return false;
	}
	read_defaults(&rd);
	read_group(&rd, s, "");
	for (const struct option *o = t->rows; o < t->rows + t->n; o++)
		if (o->fallback == NULL && config_setting_get_member(s, o->path) == NULL)
			complain(&rd, s, where, "%s is missing", o->path);
	outer->errors += rd.errors;
	return rd.errors == 0;
}

static void
read_listeners(struct reader *rd, const struct option *o, const config_setting_t *s,
	       const char *where)
{
	struct config *c = rd->config;
	int n = list_length(rd, o, s, where);
	char at[WHERE_MAX];

	if (n < 0)
		return;
	c->n_listen = 0;
	for (int i = 0; i < n; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		struct config_listener *l = &c->listen[c->n_listen];

		*l = (struct config_listener){ .line = line_of(rd, e) };
		(void)snprintf(at, sizeof(at), "%s[%d]", where, i);
		if (read_entry(rd, &option_listen, e, at, l))
			c->n_listen++;
	}
}

/* ---- shares and their rules */

static void
read_user(struct reader *rd, const config_setting_t *s, const char *where)
{
	const char *name = config_setting_get_string(s);
	struct config *c = rd->config;
	char shown[VALUE_SHOWN_MAX];

	if (name == NULL || (strcmp(name, "*") != 0 && !users_name_is_valid(name, strlen(name))))
		complain(
		    rd, s, where,
		    "%s is no user: at most %d of a-z, 0-9, _, . and -, or \"*\" for all users",
		    value_show(s, shown), USER_NAME_MAX);
	else
		memcpy(c->rule_users[c->n_rule_users++], name, strlen(name) + 1);
}

static void
read_users(struct reader *rd, const struct option *o, const config_setting_t *s, const char *where)
{
	struct config_rule *rule = rd->base;
	struct config *c = rd->config;
	int n = list_length(rd, o, s, where);
	char at[WHERE_MAX];

	if (n < 0)
		return;
	if ((unsigned)n > CONFIG_RULE_USERS_MAX - c->n_rule_users) {
		complain(rd, s, where, "all rules together may name %d users",
			 CONFIG_RULE_USERS_MAX);
		return;
	}
	rule->first_user = c->n_rule_users;
	for (int i = 0; i < n; i++) {
		(void)snprintf(at, sizeof(at), "%s[%d]", where, i);
		read_user(rd, config_setting_get_elem(s, (unsigned)i), at);
	}
	rule->n_users = c->n_rule_users - rule->first_user;
}

static void
read_rules(struct reader *rd, const struct option *o, const config_setting_t *s, const char *where)
{
	struct config_share *share = rd->base;
	struct config *c = rd->config;
	int n = list_length(rd, o, s, where);
	char at[WHERE_MAX];

	if (n < 0)
		return;
	if ((unsigned)n > CONFIG_RULES_MAX - c->n_rules) {
		complain(rd, s, where, "all shares together may have %d rules", CONFIG_RULES_MAX);
		return;
	}
	share->first_rule = c->n_rules;
	for (int i = 0; i < n; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		struct config_rule *rule = &c->rules[c->n_rules];

		*rule = (struct config_rule){ .line = line_of(rd, e) };
		(void)snprintf(at, sizeof(at), "%s[%d]", where, i);
		if (read_entry(rd, &option_rule, e, at, rule))
			c->n_rules++;
	}
	share->n_rules = c->n_rules - share->first_rule;
}

static bool
read_share(struct reader *rd, const config_setting_t *s, const char *where,
	   struct config_share *share)
{
	const config_setting_t *rights;

	memset(share, 0, sizeof(*share));
	share->line = line_of(rd, s);
	if (!read_entry(rd, &option_share, s, where, share))
		return false;
	if (share->n_rules == 0)
		return true;
	share->rights = 0;
	rights = config_setting_get_member(s, "rights");
	if (rights != NULL)
		complain(rd, rights, where,
			 "rights cannot stand beside rules; make it the last of "
			 "them: { rights = ... }");
	return rights == NULL;
}

static void
read_shares(struct reader *rd, const struct option *o, const config_setting_t *s, const char *where)
{
	struct config *c = rd->config;
	int n = list_length(rd, o, s, where);
	char at[WHERE_MAX];

	if (n < 0)
		return;
	c->n_shares = c->n_rules = c->n_rule_users = 0;
	for (int i = 0; i < n; i++) {
		(void)snprintf(at, sizeof(at), "%s[%d]", where, i);
		if (read_share(rd, config_setting_get_elem(s, (unsigned)i), at,
			       &c->shares[c->n_shares]))
			c->n_shares++;
	}
}

static void
read_option(struct reader *rd, const struct option *o, const config_setting_t *s, const char *where)
{
	if (o->type == OPTION_SUBNETS)
		read_subnets(rd, o, s, where);
	else if (o->type == OPTION_LISTENERS)
		read_listeners(rd, o, s, where);
	else if (o->type == OPTION_SHARES)
		read_shares(rd, o, s, where);
	else if (o->type == OPTION_RULES)
		read_rules(rd, o, s, where);
	else if (o->type == OPTION_USERS)
		read_users(rd, o, s, where);
	else if (o->type == OPTION_RESERVED)
		read_reserved(rd, o, s, where);
	else
		read_scalar(rd, o, s, where);
}

void
tree_read(const config_setting_t *root, struct config *c, struct config_problems *problems)
{
	struct reader rd = {
		.table = &option_main,
		.config = c,
		.base = c,
		.at = "",
		.problems = problems,
	};

	read_defaults(&rd);
	read_group(&rd, root, "");
	c->status_line = c->line[CONFIG_AT_status_address];
}
