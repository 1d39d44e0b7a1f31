#include "daemon/config/check.h"

#include <string.h>

#include "lib/num.h"
#include "lib/text.h"

/* Whether a listener on a takes the connections to b, too: "::" serves both families. */
static bool
covers(const union addr *a, const union addr *b)
{
	char a_text[ADDR_TEXT_MAX], b_text[ADDR_TEXT_MAX];

	if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr))
		return true;
	if (a->sa.sa_family == AF_INET && a->in.sin_addr.s_addr == htonl(INADDR_ANY))
		return b->sa.sa_family == AF_INET;
	return strcmp(addr_format_host(a, a_text), addr_format_host(b, b_text)) == 0;
}

static void
check_pair(const struct config_listener *first, const struct config_listener *second,
	   struct config_problems *problems)
{
	char first_text[ADDR_TEXT_MAX], second_text[ADDR_TEXT_MAX];
	union addr a, b;
	socklen_t len;

	if (first->port != second->port || first->port == 0)
		return;
	if (addr_parse(first->address, first->port, &a, &len) < 0 ||
	    addr_parse(second->address, second->port, &b, &len) < 0)
		return;
	if (covers(&a, &b) || covers(&b, &a))
		config_problem_add(
		    problems, true, second->line,
		    "listen: %s and %s are the same or one includes the other; leave one out",
		    addr_format(&a, first_text), addr_format(&b, second_text));
}

static void
check_listeners(const struct config *c, struct config_problems *problems)
{
	for (unsigned i = 1; i < c->n_listen; i++)
		for (unsigned j = 0; j < i; j++)
			check_pair(&c->listen[j], &c->listen[i], problems);
}

/* The share's path as clients say it, cut and made fit to show. */
enum { SHARE_SHOWN_MAX = 96 };
static const char *
share_shown(const struct config_share *s, char *buf)
{
	buf[0] = '/';
	(void)text_escape(buf + 1, SHARE_SHOWN_MAX - 1, s->path, strlen(s->path));
	return buf;
}

static const struct config_share *
find_share(const struct config *c, const char *path)
{
	const struct config_share *s = c->shares;

	while (strcmp(s->path, path) != 0)
		s++;
	return s;
}

static void
check_share_paths(const struct config *c, struct config_problems *problems)
{
	char shown[SHARE_SHOWN_MAX];

	for (const struct config_share *s = c->shares; s < c->shares + c->n_shares; s++) {
		const struct config_share *first = find_share(c, s->path);

		if (first != s)
			config_problem_add(
			    problems, true, s->line,
			    "shares: the path \"%s\" is taken by the share of line %d",
			    share_shown(s, shown), first->line);
	}
}

/* A login needs TLS, so plain text from elsewhere is for those who do not log in. */
static void
check_reachable(const struct config *c, struct config_problems *problems)
{
	enum config_where widest = CONFIG_NEVER;

	for (const struct config_share *s = c->shares; s < c->shares + c->n_shares; s++)
		if (s->anonymous > widest)
			widest = s->anonymous;
	if (c->plaintext == CONFIG_ANYWHERE && widest != CONFIG_ANYWHERE)
		config_problem_add(problems, false, c->line[CONFIG_AT_plaintext],
				   "plaintext: other machines may connect, but no share has "
				   "anonymous = \"anywhere\"");
}

/* ---- rules */

static bool
is_beneath(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	return len == 0 ||
	       (strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0'));
}

static bool
names(const struct config *c, const struct config_rule *rule, const char *user)
{
	for (unsigned i = 0; i < rule->n_users; i++)
		if (strcmp(c->rule_users[rule->first_user + i], user) == 0)
			return true;
	return false;
}

/* Whether rule is for all whom other is for. */
static bool
is_for_all_of(const struct config *c, const struct config_rule *rule,
	      const struct config_rule *other)
{
	if (rule->n_users == 0)
		return true;
	if (other->n_users == 0)
		return false;
	for (unsigned i = 0; i < other->n_users; i++)
		if (!names(c, rule, "*") && !names(c, rule, c->rule_users[other->first_user + i]))
			return false;
	return true;
}

/* The earlier rule of the share that takes everything from this one, or NULL. */
static const struct config_rule *
find_before(const struct config *c, const struct config_share *share,
	    const struct config_rule *rule)
{
	for (const struct config_rule *r = &c->rules[share->first_rule]; r < rule; r++)
		if (is_beneath(rule->path, r->path) && is_for_all_of(c, r, rule))
			return r;
	return NULL;
}

static void
check_rule(const struct config *c, const struct config_share *share, const struct config_rule *rule,
	   struct config_problems *problems)
{
	const struct config_rule *before = find_before(c, share, rule);

	if (before != NULL)
		config_problem_add(problems, false, rule->line,
				   "shares: this rule is never reached: that of line %d decides "
				   "before it; the first that fits does",
				   before->line);
	if (rule->path[0] != '\0' && share->links != CONFIG_LINKS_DENY)
		config_problem_add(
		    problems, true, rule->line,
		    "shares: a rule with a path needs links = \"deny\": a link would "
		    "lead around it");
}

static void
check_rules(const struct config *c, struct config_problems *problems)
{
	for (unsigned i = 0; i < c->n_shares; i++) {
		const struct config_share *share = &c->shares[i];

		for (unsigned j = 0; j < share->n_rules; j++)
			check_rule(c, share, &c->rules[share->first_rule + j], problems);
	}
}

/* ---- quota */

static bool
lies_in(const char *path, const char *directory)
{
	size_t len = strlen(directory);

	while (len > 0 && directory[len - 1] == '/')
		len--;
	return strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* What a file counts is told by the share that it lies in: there can be only one, or shares of the
 * same directory that agree. */
static void
check_quota(const struct config_share *a, const struct config_share *b,
	    struct config_problems *problems)
{
	bool same = strcmp(a->root, b->root) == 0;

	if (a->quota == b->quota && (same || a->quota == NUM_UNLIMITED))
		return;
	if (same)
		config_problem_add(problems, true, b->line,
				   "shares: %s is also the root of the share of line %d, and one "
				   "directory can have one quota",
				   b->root, a->line);
	else if (lies_in(b->root, a->root) || lies_in(a->root, b->root))
		config_problem_add(problems, true, b->line,
				   "shares: of %s and %s (line %d) one lies in the other: neither "
				   "can have a quota",
				   b->root, a->root, a->line);
}

static void
check_quotas(const struct config *c, struct config_problems *problems)
{
	for (unsigned i = 1; i < c->n_shares; i++)
		for (unsigned j = 0; j < i; j++)
			check_quota(&c->shares[j], &c->shares[i], problems);
}

static void
check_proxies(const struct config *c, struct config_problems *problems)
{
	for (unsigned i = 0; i < c->trusted_proxies.n; i++)
		if (c->trusted_proxies.list[i].bits == 0)
			config_problem_add(problems, false, c->trusted_proxies.line[i],
					   "trusted_proxies: everybody may choose the address that "
					   "rules and limits are about");
}

static void
check_tls(const struct config *c, struct config_problems *problems)
{
	bool certificate = c->tls_certificate[0] != '\0', key = c->tls_key[0] != '\0';

	if (certificate && !key)
		config_problem_add(problems, true, c->line[CONFIG_AT_tls_certificate],
				   "tls.certificate: name its key in tls.key, too");
	if (key && !certificate)
		config_problem_add(problems, true, c->line[CONFIG_AT_tls_key],
				   "tls.key: name its certificate in tls.certificate, too");
	if (c->tls_client_ca[0] == '\0' &&
	    c->tls_client_certificate == CONFIG_CLIENT_CERTIFICATE_OPTIONAL)
		config_problem_add(problems, false, c->line[CONFIG_AT_tls_client_certificate],
				   "tls.client_certificate: nobody is asked for one before "
				   "tls.client_ca names who signs them");
	if (certificate && key && strcmp(c->tls_certificate, c->tls_key) == 0)
		config_problem_add(problems, true, c->line[CONFIG_AT_tls_key],
				   "tls.key: the key needs a file of its own, which only the "
				   "daemon can read");
}

void
check_whole(const struct config *c, struct config_problems *problems)
{
	check_listeners(c, problems);
	check_share_paths(c, problems);
	check_reachable(c, problems);
	check_rules(c, problems);
	check_quotas(c, problems);
	check_proxies(c, problems);
	check_tls(c, problems);
	if (c->access_allow.n == 0)
		config_problem_add(problems, false, c->line[CONFIG_AT_access_allow],
				   "access.allow: the list is empty: nobody is served");
}
