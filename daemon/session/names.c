#include "daemon/session/names.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/err.h"
#include "lib/own.h"

const char *
names_leaf(const struct place *p)
{
	const char *slash = strrchr(p->name, '/');

	if (p->name[0] == '\0')
		return "/";
	return slash != NULL ? slash + 1 : p->name;
}

int
names_open_parent(struct session *s, const struct place *p, const char **ret_leaf)
{
	return shares_conceal(p, shares_open_parent(s, p, ret_leaf));
}

/* Sockets answer an open with ENXIO. */
static int
open_regular(struct session *s, const struct place *p, struct entry_stat *ret)
{
	auto_close int fd = -1;
	int r;

	if (p->share == PLACE_VIRTUAL || shares_above(s, p->name))
		return -FTD_E_not_a_file;
	fd = shares_open(s, p, O_RDONLY);
	if (fd < 0)
		return fd == -ENXIO ? -FTD_E_not_a_file : fd;
	r = entry_stat(fd, NULL, ret);
	if (r < 0)
		return r;
	return S_ISREG(ret->mode) ? take_fd(&fd) : -FTD_E_not_a_file;
}

int
names_open_file(struct session *s, const struct place *p, struct entry_stat *ret)
{
	return shares_conceal(p, open_regular(s, p, ret));
}

bool
names_may_list(const struct place *p)
{
	return (p->rights & RIGHT_LIST) != 0;
}

json_t *
names_current(const struct place *p, const struct entry_stat *st)
{
	const char *leaf = names_leaf(p);

	if (!names_may_list(p))
		return NULL;
	return json_pack("{s:o*}", "current", entry_json(leaf, strlen(leaf), st));
}

int
names_reply_entry(struct session *s, const struct request *rq, const struct place *p,
		  const char *leaf, const struct entry_stat *st)
{
	json_t *entry = names_may_list(p) ? entry_json(leaf, strlen(leaf), st) : json_object();

	return entry != NULL ? reply_ok(s, rq, entry) : -ENOMEM;
}

int
names_changed(struct session *s, const struct request *rq, const struct place *p, int dir)
{
	const struct config_share *share = &s->config->shares[p->share];
	int r;

	s->touched |= 1u << (p->share < 31 ? p->share : 31);
	if (share->durability != CONFIG_DURABILITY_FULL)
		return 0;
	report_state(s, BOARD_SYNCING);
	(void)beat_begin(s, rq, "syncing");
	r = fsync(dir) < 0 ? -errno : 0;
	beat_end(s);
	report_state(s, BOARD_WORKING);
	return r;
}
