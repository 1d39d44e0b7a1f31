#include "daemon/common/access.h"

static struct access_verdict
yes(int line)
{
	return (struct access_verdict){ .allowed = true, .line = line };
}

static struct access_verdict
no(const char *code, int line)
{
	return (struct access_verdict){ .code = code, .line = line };
}

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
		return no("address_refused", *line);
	line = match(&c->access_allow, peer);
	if (line != NULL)
		return yes(*line);
	return no("address_refused", c->line[CONFIG_AT_access_allow]);
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

	return reaches(c->plaintext, addr_is_loopback(peer)) ? yes(line) : no("tls_required", line);
}

struct access_verdict
access_anonymous(const struct config *c, const struct access_subject *who)
{
	for (unsigned i = 0; i < c->n_shares; i++)
		if (access_union(c, &c->shares[i], who) != 0)
			return yes(c->shares[i].line);
	return no("auth_required", c->line[CONFIG_AT_shares]);
}

/* Who has logged in may enter every share. */
static bool
may_enter(const struct config_share *share, const struct access_subject *who)
{
	return who->user[0] != '\0' || reaches(share->anonymous, who->loopback);
}

unsigned
access_rights(const struct config *c, const struct config_share *share,
	      const struct access_subject *who, const char *rest)
{
	(void)c;
	(void)rest;
	return may_enter(share, who) ? share->rights : 0;
}

unsigned
access_union(const struct config *c, const struct config_share *share,
	     const struct access_subject *who)
{
	return access_rights(c, share, who, "");
}

struct access_verdict
access_share(const struct config *c, const struct config_share *share,
	     const struct access_subject *who, unsigned need)
{
	unsigned rights = access_rights(c, share, who, "");

	if (rights != 0 && (rights & need) == need)
		return yes(share->line);
	return no("permission", share->line);
}
