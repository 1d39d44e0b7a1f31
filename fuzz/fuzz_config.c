/* A configuration file: no text breaks the parser; what is taken is within its bounds, and reads
 * back as the same when it is written as "config show" has it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/common/access.h"
#include "daemon/config/config.h"
#include "fuzz/fuzz.h"
#include "lib/own.h"

struct written {
	FILE *to;
	char group[64]; /* the one that is open, "" for none; the rows of a group follow each other
			 */
};

static int
write_row(void *userdata, const char *path, const char *value, enum config_live live)
{
	struct written *w = userdata;
	size_t len = strcspn(path, ".");
	bool grouped = path[len] == '.';

	(void)live;
	if (strncmp(w->group, path, len + grouped) != 0 || w->group[0] == '\0') {
		(void)fprintf(w->to, "%s", w->group[0] != '\0' ? "};\n" : "");
		(void)snprintf(w->group, sizeof(w->group), "%.*s", grouped ? (int)len + 1 : 0,
			       path);
		if (grouped)
			(void)fprintf(w->to, "%.*s = {\n", (int)len, path);
	}
	(void)fprintf(w->to, "%s = %s;\n", grouped ? path + len + 1 : path, value);
	return 0;
}

static int
must_not_differ(void *userdata, const char *path, const char *before, const char *after,
		enum config_live live)
{
	(void)userdata;
	(void)live;
	(void)fprintf(stderr, "%s: %s, %s\n", path, before, after);
	must(0);
	return 0;
}

static void
check_read_back(const struct config *c)
{
	struct config_problems problems = { 0 };
	auto_free struct config *again = NULL;
	auto_free char *text = NULL;
	struct written w = { 0 };
	size_t len;

	w.to = open_memstream(&text, &len);
	must(w.to != NULL);
	must(config_each(c, write_row, &w) == 0);
	must(fclose(w.to) == 0);
	must(config_parse(text, "again", &again, &problems) == 0);
	must(config_diff(c, again, must_not_differ, NULL) == 0);
	config_problems_done(&problems);
}

static void
check_bounds(const struct config *c)
{
	must(c->sessions >= 1 && c->sessions <= CONFIG_SESSIONS_MAX);
	must(c->logins >= 1 && c->logins <= CONFIG_LOGINS_MAX);
	must(c->n_listen >= 1 && c->n_listen <= CONFIG_LISTENERS_MAX);
	must(c->n_shares >= 1 && c->n_shares <= CONFIG_SHARES_MAX);
	must(c->access_allow.n <= CONFIG_SUBNETS_MAX && c->access_deny.n <= CONFIG_SUBNETS_MAX);
	must(c->control_path[0] == '/' && strlen(c->control_path) <= 107);
	for (unsigned i = 0; i < c->n_shares; i++) {
		const struct config_share *s = &c->shares[i];
		const char *rest = NULL;

		must(s->root[0] == '/' && (s->rights & ~(unsigned)RIGHT_ALL) == 0);
		must(s->n_rules <= c->n_rules && s->first_rule <= c->n_rules - s->n_rules);
		must(s->path[0] != '/' && config_share_of(c, s->path, &rest) == s && *rest == '\0');
	}
}

static void
check_rules(const struct config *c)
{
	must(c->n_rules <= CONFIG_RULES_MAX && c->n_rule_users <= CONFIG_RULE_USERS_MAX);
	for (unsigned i = 0; i < c->n_rules; i++) {
		const struct config_rule *r = &c->rules[i];

		must((r->rights & ~(unsigned)RIGHT_ALL) == 0 && r->path[0] != '/');
		must(r->n_users <= c->n_rule_users &&
		     r->first_user <= c->n_rule_users - r->n_users);
	}
	for (unsigned i = 0; i < c->n_rule_users; i++)
		must(strcmp(c->rule_users[i], "*") == 0 ||
		     users_name_is_valid(c->rule_users[i], strlen(c->rule_users[i])));
}

static void
check_access(const struct config *c)
{
	static const char *const peers[] = { "127.0.0.1", "192.0.2.1", "::1", "2001:db8::1" };

	for (size_t i = 0; i < ARRAY_SIZE(peers); i++) {
		struct access_verdict v;
		union addr a;
		socklen_t len;

		must(addr_parse(peers[i], 1, &a, &len) == 0);
		v = access_address(c, &a);
		must(v.allowed == (v.code == NULL));
	}
}

/* Nothing is allowed that the rights do not say, anywhere that a rule knows. */
static void
check_decision(const struct access_view *v, const struct access_operation *o, const char *name)
{
	const struct access_ask ask = { .operation = o, .source = name, .target = name };
	struct access_place source, target;
	struct access_verdict a;

	a = access_decide(v, &ask, &source, &target, NULL);
	must(a.allowed == (a.code == NULL));
	must(!a.allowed || (o->need & ACCESS_UNNAMED) != 0 ||
	     (o->need & RIGHT_ALL & ~source.rights) == 0);
	must(source.share == ACCESS_VIRTUAL || (source.rights & ~v->shares[source.share]) == 0);
}

static void
check_decisions(const struct config *c)
{
	const char *const users[] = { "", c->n_rule_users > 0 ? c->rule_users[0] : "alice" };

	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		struct access_subject who = { .loopback = true };
		struct access_view view;

		memcpy(who.user, users[i], strlen(users[i]) + 1);
		access_view_init(&view, c, &who);
		for (size_t o = 0; o < ACCESS_OPERATIONS; o++) {
			check_decision(&view, &access_operations[o], "");
			if (c->n_rules > 0)
				check_decision(&view, &access_operations[o], c->rules[0].path);
		}
	}
}

static void
check_problems(const struct config_problems *p)
{
	must(p->n > 0 && p->n <= CONFIG_PROBLEMS_MAX);
	for (size_t i = 0; i < p->n; i++) {
		must(p->list[i].line >= 0 && p->list[i].text[0] != '\0');
		/* what the grammar check lets pass, libconfig takes */
		must(strcmp(p->list[i].text, "syntax error") != 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_problems problems = { 0 };
	auto_free struct config *c = NULL;
	auto_free char *text = malloc(size + 1);
	int r;

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	r = config_parse(text, "fuzz", &c, &problems);
	must((r == 0) == (c != NULL) && (r < 0) == config_problems_fatal(&problems));
	if (r < 0) {
		check_problems(&problems);
	} else {
		check_bounds(c);
		check_rules(c);
		check_access(c);
		check_decisions(c);
		check_read_back(c);
	}
	config_problems_done(&problems);
	return 0;
}
