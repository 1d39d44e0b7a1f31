#include "daemon/common/access.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/own.h"

/* A row says what it asks of each name, or that it has none: nothing is open by omission. */
#define OPERATION(opt, stem, need, need_to, flags)                                       \
	_Static_assert(((need) & (RIGHT_ALL | ACCESS_ANY | ACCESS_UNNAMED)) != 0 &&      \
			   ((need_to) & (RIGHT_ALL | ACCESS_ANY | ACCESS_UNNAMED)) != 0, \
		       "the operation " opt " lacks its rights");
#include "lib/operations.def"
#undef OPERATION

const struct access_operation access_operations[] = {
#define OPERATION(opt, stem, need, need_to, flags) { opt, need, need_to, flags },
#include "lib/operations.def"
#undef OPERATION
};

enum { STEP_MAX = 256 };

static struct access_verdict
yes(int line)
{
	return (struct access_verdict){ .allowed = true, .line = line };
}

static struct access_verdict
no(const char *code, int line, const char *why)
{
	return (struct access_verdict){ .code = code, .line = line, .why = why };
}

static void __attribute__((format(printf, 3, 4)))
note(const struct access_trace *t, int line, const char *format, ...)
{
	char text[STEP_MAX];
	va_list ap;

	if (t == NULL)
		return;
	va_start(ap, format);
	(void)vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	t->step(t->userdata, line, text);
}

/* ---- who may come in ---- */

/* The entry that has the address, or NULL. */
static const int *
match(const struct config_subnets *nets, const union addr *peer)
{
	for (unsigned i = 0; i < nets->n; i++)
		if (subnet_has(&nets->list[i], peer))
			return &nets->line[i];
	return NULL;
}

struct access_verdict
access_address(const struct config *c, const union addr *peer)
{
	const int *line = match(&c->access_deny, peer);

	if (line != NULL)
		return no("address_refused", *line, NULL);
	line = match(&c->access_allow, peer);
	if (line != NULL)
		return yes(*line);
	return no("address_refused", c->line[CONFIG_AT_access_allow], NULL);
}

static bool
reaches(enum config_where where, bool loopback)
{
	return where == CONFIG_ANYWHERE || (where == CONFIG_LOOPBACK && loopback);
}

bool
access_proxy(const struct config *c, const union addr *peer)
{
	return match(&c->trusted_proxies, peer) != NULL;
}

struct access_verdict
access_plaintext(const struct config *c, const union addr *peer)
{
	int line = c->line[CONFIG_AT_plaintext];

	return reaches(c->plaintext, addr_is_loopback(peer)) ? yes(line)
							     : no("tls_required", line, NULL);
}

bool
access_command(enum control_role role, enum control_role needed)
{
	return needed > CONTROL_NOBODY && role >= needed;
}

/* ---- rights ---- */

/* Who has logged in may enter every share. */
static bool
may_enter(const struct config_share *share, const struct access_subject *who)
{
	return who->user[0] != '\0' || reaches(share->anonymous, who->loopback);
}

/* Whether path is directory, or lies below it; "" is above all. */
static bool
is_at(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return len == 0 ||
	       (strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

static bool
is_for(const struct config *c, const struct config_rule *rule, const struct access_subject *who)
{
	const char *name;

	for (unsigned i = 0; i < rule->n_users && who->user[0] != '\0'; i++) {
		name = c->rule_users[rule->first_user + i];
		if (strcmp(name, "*") == 0 || strcmp(name, who->user) == 0)
			return true;
	}
	return rule->n_users == 0;
}

/* What is granted, and the line that does. */
struct grant {
	unsigned rights;
	int line;
};

static struct grant
granted(const struct access_trace *t, unsigned rights, int line)
{
	char text[CONFIG_RIGHTS_TEXT_MAX];

	if (t != NULL)
		note(t, line, "this decides: %s", config_rights_text(rights, text));
	return (struct grant){ rights, line };
}

/* The first rule that fits; where none does, nothing. */
static struct grant
grant_by_rules(const struct config *c, const struct config_share *share,
	       const struct access_subject *who, const char *rest, const struct access_trace *t)
{
	for (unsigned i = 0; i < share->n_rules; i++) {
		const struct config_rule *rule = &c->rules[share->first_rule + i];

		if (!is_for(c, rule, who))
			note(t, rule->line, "a rule for others");
		else if (!is_at(rest, rule->path))
			note(t, rule->line, "a rule for another path");
		else
			return granted(t, rule->rights, rule->line);
	}
	note(t, share->line, "no rule of the share fits: nothing may be done");
	return (struct grant){ 0, share->line };
}

static struct grant
grant_at(const struct config *c, const struct config_share *share, const struct access_subject *who,
	 const char *rest, const struct access_trace *t)
{
	if (!may_enter(share, who)) {
		note(t, share->line, "the share is for those who log in, from here");
		return (struct grant){ 0, share->line };
	}
	return share->n_rules > 0 ? grant_by_rules(c, share, who, rest, t)
				  : granted(t, share->rights, share->line);
}

unsigned
access_rights(const struct config *c, const struct config_share *share,
	      const struct access_subject *who, const char *rest)
{
	return grant_at(c, share, who, rest, NULL).rights;
}

/* Whatever rule decides at a path decides at its own path, too: these are all there is to ask. With
 * any, the first that are found will do. */
static unsigned
gather(const struct config *c, const struct config_share *share, const struct access_subject *who,
       bool any)
{
	unsigned rights = access_rights(c, share, who, "");

	for (unsigned i = 0; i < share->n_rules; i++) {
		const struct config_rule *rule = &c->rules[share->first_rule + i];

		if (rights == RIGHT_ALL || (any && rights != 0))
			break;
		if (is_for(c, rule, who))
			rights |= access_rights(c, share, who, rule->path);
	}
	return rights;
}

unsigned
access_union(const struct config *c, const struct config_share *share,
	     const struct access_subject *who)
{
	return gather(c, share, who, false);
}

struct access_verdict
access_anonymous(const struct config *c, const struct access_subject *who)
{
	for (unsigned i = 0; i < c->n_shares; i++)
		if (gather(c, &c->shares[i], who, true) != 0)
			return yes(c->shares[i].line);
	return no("auth_required", c->line[CONFIG_AT_shares], NULL);
}

/* A rule beneath the path that does not grant all of need; or NULL. As gather(). */
static const struct config_rule *
find_lacking(const struct access_view *v, const struct access_place *p, unsigned need)
{
	const struct config_share *share = &v->config->shares[p->share];
	const struct config_rule *rule = &v->config->rules[share->first_rule];

	for (const struct config_rule *end = rule + share->n_rules; rule < end; rule++)
		if (is_for(v->config, rule, v->who) && is_at(rule->path, p->rest) &&
		    (need & ~access_rights(v->config, share, v->who, rule->path)) != 0)
			return rule;
	return NULL;
}

/* ---- places ---- */

void
access_view_init(struct access_view *v, const struct config *c, const struct access_subject *who)
{
	*v = (struct access_view){ .config = c, .who = who };
	for (unsigned i = 0; i < c->n_shares; i++)
		v->shares[i] = access_union(c, &c->shares[i], who);
}

static bool
is_visible(const struct access_view *v, const struct config_share *share)
{
	return v->shares[share - v->config->shares] != 0;
}

/* Whether the subject may list what holds a name. A share that is hidden from it is no part of
 * that. */
static bool
may_list_around(const struct access_view *v, const char *name)
{
	const struct config_share *share;
	char parent[PATH_MAX];
	const char *slash, *rest;

	do {
		slash = strrchr(name, '/');
		(void)snprintf(parent, sizeof(parent), "%.*s",
			       slash != NULL ? (int)(slash - name) : 0, name);
		share = config_share_of(v->config, parent, &rest);
		if (share == NULL)
			return true;
		name = share->path;
	} while (name[0] != '\0' && !is_visible(v, share));
	return (access_rights(v->config, share, v->who, rest) & RIGHT_LIST) != 0;
}

static bool
is_above_shares(const struct access_view *v, const char *name)
{
	for (unsigned i = 0; i < v->config->n_shares; i++)
		if (v->shares[i] != 0 && is_at(v->config->shares[i].path, name))
			return true;
	return false;
}

struct access_verdict
access_locate(const struct access_view *v, const char *name, struct access_place *ret,
	      const struct access_trace *t)
{
	const struct config *c = v->config;
	struct grant g = { 0, c->line[CONFIG_AT_shares] };
	const struct config_share *share;
	const char *rest;

	*ret = (struct access_place){ .share = ACCESS_VIRTUAL, .rest = name };
	share = config_share_of(c, name, &rest);
	note(t, share != NULL ? share->line : g.line, "/%s is in %s%s", name,
	     share != NULL ? "the share /" : "no share", share != NULL ? share->path : "");
	if (share != NULL)
		g = grant_at(c, share, v->who, rest, t);
	if (share != NULL && is_visible(v, share)) {
		*ret = (struct access_place){ (unsigned)(share - c->shares), g.rights, rest };
		return yes(g.line);
	}
	if (!is_above_shares(v, name))
		return no(may_list_around(v, name) ? "not_found" : "permission", g.line, NULL);
	note(t, c->line[CONFIG_AT_shares], "shares lie beneath it: it can be looked at");
	ret->rights = RIGHT_READ | RIGHT_LIST;
	return yes(c->line[CONFIG_AT_shares]);
}

/* Whether name is a share's, visible to anybody or not, or holds one. */
static bool
crosses(const struct config *c, const char *name)
{
	for (unsigned i = 0; i < c->n_shares; i++)
		if (is_at(c->shares[i].path, name))
			return true;
	return false;
}

/* ---- the decision ---- */

const struct access_operation *
access_operation(const char *opt)
{
	for (size_t i = 0; i < ARRAY_SIZE(access_operations); i++)
		if (strcmp(access_operations[i].opt, opt) == 0)
			return &access_operations[i];
	return NULL;
}

/* What is a share, or holds one, is not the client's to make or to change. */
static struct access_verdict
judge_name(const struct access_view *v, const char *name, unsigned need,
	   const struct access_place *p, int line)
{
	bool share = p->share == ACCESS_VIRTUAL || p->rest[0] == '\0';

	if ((need & ACCESS_FILE) != 0 && (share || is_above_shares(v, name)))
		return no((p->rights & RIGHT_LIST) != 0 ? "not_a_file" : "permission", line, NULL);
	if (share && (need & (ACCESS_INSIDE | ACCESS_WHOLE)) != 0)
		return no("permission", line, "this is a share, not a name in one");
	if ((need & ACCESS_WHOLE) != 0 && crosses(v->config, name))
		return no("permission", line, "another share lies beneath this name");
	return yes(line);
}

static struct access_verdict
judge_rights(unsigned need, const struct access_place *p, int line, const struct access_trace *t)
{
	unsigned missing = need & RIGHT_ALL & ~p->rights;
	char text[CONFIG_RIGHTS_TEXT_MAX];

	if (missing != 0)
		note(t, line, "it lacks: %s", config_rights_text(missing, text));
	return missing == 0 ? yes(line) : no("permission", line, NULL);
}

static struct access_verdict
judge_beneath(const struct access_view *v, unsigned need, const struct access_place *p, int line)
{
	const struct config_rule *lacking = NULL;

	if (p->share != ACCESS_VIRTUAL)
		lacking = find_lacking(v, p, need & RIGHT_ALL);
	return lacking == NULL
		   ? yes(line)
		   : no("permission", lacking->line,
			"something beneath this name has a rule that does not allow it");
}

/* Whether a name's directory is the share, or what a rule for the subject names: to be told that it
 * is there tells them nothing. */
static bool
is_in_known_directory(const struct access_view *v, const struct access_place *p)
{
	const struct config_share *share = &v->config->shares[p->share];
	const char *slash = strrchr(p->rest, '/');
	size_t len = slash != NULL ? (size_t)(slash - p->rest) : 0;

	for (unsigned i = 0; i < share->n_rules && len > 0; i++) {
		const struct config_rule *rule = &v->config->rules[share->first_rule + i];

		if (is_for(v->config, rule, v->who) && strlen(rule->path) == len &&
		    memcmp(rule->path, p->rest, len) == 0)
			return true;
	}
	return len == 0;
}

/* Who may not list would learn by making a name which directories there are. */
static struct access_verdict
judge_directory(const struct access_view *v, unsigned need, const struct access_place *p, int line)
{
	bool makes = (need & (RIGHT_CREATE | RIGHT_MKDIR)) != 0;
	bool parents = (need & ACCESS_MAKES_PARENTS) != 0 && (p->rights & RIGHT_MKDIR) != 0;

	if (!makes || parents || (p->rights & RIGHT_LIST) != 0 || is_in_known_directory(v, p))
		return yes(line);
	return no("permission", line,
		  "without the right to list, names are made only where the configuration says");
}

static struct access_verdict
judge(const struct access_view *v, const char *name, unsigned need, struct access_place *ret,
      const struct access_trace *t)
{
	struct access_verdict a;
	int line;

	*ret = (struct access_place){ .share = ACCESS_VIRTUAL, .rest = "" };
	if ((need & ACCESS_UNNAMED) != 0 || (name == NULL && (need & ACCESS_BASE) != 0))
		return yes(0);
	a = access_locate(v, name != NULL ? name : "", ret, t);
	line = a.line;
	if (a.allowed)
		a = judge_name(v, name, need, ret, line);
	if (a.allowed)
		a = judge_rights(need, ret, line, t);
	if (a.allowed && (need & ACCESS_BENEATH) != 0)
		a = judge_beneath(v, need, ret, line);
	return a.allowed ? judge_directory(v, need, ret, line) : a;
}

struct access_verdict
access_decide(const struct access_view *v, const struct access_ask *ask,
	      struct access_place *ret_source, struct access_place *ret_target,
	      const struct access_trace *t)
{
	const struct access_operation *o = ask->operation;
	unsigned need = o->need;
	struct access_verdict a;

	if ((need & ACCESS_BENEATH_RECURSIVE) != 0 && ask->recursive)
		need |= ACCESS_BENEATH;
	*ret_target = (struct access_place){ .share = ACCESS_VIRTUAL, .rest = "" };
	a = judge(v, ask->source, need, ret_source, t);
	if (a.allowed && (o->need_to & ACCESS_UNNAMED) == 0)
		a = judge(v, ask->target, o->need_to, ret_target, t);
	if (a.why != NULL)
		note(t, a.line, "%s", a.why);
	return a;
}
