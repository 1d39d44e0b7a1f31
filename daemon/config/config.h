/*
 * The configuration as one flat object without pointers: the supervisor parses ftd.conf into a
 * fresh one, checks it whole, and hands it to the houses as a sealed memory file that they map
 * read-only. Parsing and checking never log: they collect problems. Fuzzed (fuzz/fuzz_config.c).
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/addr.h"
#include "lib/users.h"

enum {
	CONFIG_TEXT_MAX = 256,
	CONFIG_LISTENERS_MAX = 16,
	CONFIG_SUBNETS_MAX = 256,
	CONFIG_SHARES_MAX = 64,
	CONFIG_SHARE_PATH_MAX = 1024,
	CONFIG_RULES_MAX = 256,       /* of all shares together */
	CONFIG_RULE_USERS_MAX = 2048, /* the names in all of them */
	CONFIG_SESSIONS_MAX = 16384,  /* hard ceiling of limits.sessions: slots on the boards */
	CONFIG_LOGINS_MAX = 1024,
	CONFIG_FILE_MAX = 1 << 20,
};

enum config_where { CONFIG_NEVER, CONFIG_LOOPBACK, CONFIG_ANYWHERE };
/* as gates tell them */
enum config_tls_version { CONFIG_TLS_1_2 = 12, CONFIG_TLS_1_3 = 13 };
enum config_client_certificate {
	CONFIG_CLIENT_CERTIFICATE_REQUIRED,
	CONFIG_CLIENT_CERTIFICATE_OPTIONAL
};
enum config_sandbox { CONFIG_SANDBOX_REQUIRE, CONFIG_SANDBOX_BEST_EFFORT };
enum config_durability { CONFIG_DURABILITY_FULL, CONFIG_DURABILITY_FILE, CONFIG_DURABILITY_NONE };
enum config_links { CONFIG_LINKS_DENY, CONFIG_LINKS_INSIDE };
enum config_log_target { CONFIG_LOG_AUTO, CONFIG_LOG_JOURNAL, CONFIG_LOG_STDERR };
/* syslog levels, most severe first */
enum config_log_level {
	CONFIG_LOG_ERROR = 3,
	CONFIG_LOG_WARNING,
	CONFIG_LOG_NOTICE,
	CONFIG_LOG_INFO,
	CONFIG_LOG_DEBUG
};

enum config_right {
	RIGHT_READ = 1 << 0,
	RIGHT_LIST = 1 << 1,
	RIGHT_CREATE = 1 << 2,
	RIGHT_REPLACE = 1 << 3,
	RIGHT_DELETE = 1 << 4,
	RIGHT_MKDIR = 1 << 5,
	RIGHT_RENAME = 1 << 6,
	RIGHT_ALL = (1 << 7) - 1,
};

/* The options that have a line of their own in struct config, by the names of their fields. */
enum config_option {
#define OPTION(path, field, type, fallback, min, max, live, text) CONFIG_AT_##field,
#include "daemon/config/options.def"
	CONFIG_OPTIONS,
};

struct config_listener {
	char address[ADDR_TEXT_MAX];
	uint16_t port;
	int line;
};

struct config_subnets {
	unsigned n;
	struct subnet list[CONFIG_SUBNETS_MAX];
	int line[CONFIG_SUBNETS_MAX];
};

/* Who may do what at a path of a share and beneath it. */
struct config_rule {
	unsigned first_user, n_users;     /* of config.rule_users; none: everybody who may enter */
	char path[CONFIG_SHARE_PATH_MAX]; /* inside the share, normalised; "" is all of it */
	unsigned rights;                  /* RIGHT_*, 0 with "none" */
	int line;
};

struct config_share {
	char path[CONFIG_SHARE_PATH_MAX]; /* normalised as by path_from_wire(): "" is the root,
					     "pub/iso" */
	char root[PATH_MAX];              /* absolute directory */
	enum config_where anonymous;
	unsigned rights;              /* RIGHT_*, where there are no rules */
	unsigned first_rule, n_rules; /* of config.rules: the first that fits decides */
	enum config_durability durability;
	enum config_links links;
	uint64_t quota; /* bytes of each user, or NUM_UNLIMITED */
	dev_t device;   /* of the root when the configuration was loaded: what is mounted there
			   later, or not any more, is not the share; 0: not known */
	int line;
};

struct config {
	uint64_t size;            /* sizeof(struct config): the houses refuse another layout */
	char file[PATH_MAX];      /* absolute where it came from a file */
	int line[CONFIG_OPTIONS]; /* where each option is set, 0: the default is in force */

	bool own_uids; /* users may have uids of their own; of the process, not of the file */

	char run_as[CONFIG_TEXT_MAX];
	enum config_sandbox sandbox;
	unsigned n_listen;
	struct config_listener listen[CONFIG_LISTENERS_MAX];
	enum config_where plaintext;
	struct config_subnets trusted_proxies;
	char tls_certificate[PATH_MAX], tls_key[PATH_MAX]; /* both or none; "": our own pair */
	char tls_client_ca[PATH_MAX];
	enum config_client_certificate tls_client_certificate;
	enum config_tls_version tls_min_version;
	char status_address[ADDR_TEXT_MAX]; /* "": no UDP status */
	uint64_t status_port;
	int status_line;
	struct config_subnets status_allow;
	char control_path[PATH_MAX];
	char control_group[CONFIG_TEXT_MAX];
	char control_operator_group[CONFIG_TEXT_MAX];
	char users[PATH_MAX];
	struct config_subnets access_allow;
	struct config_subnets access_deny;
	uint64_t sessions, logins, sessions_per_address, sessions_per_user;
	uint64_t penalty; /* microseconds; 0: none */
	uint64_t login_timeout, idle_timeout, stall_timeout, shutdown_grace; /* microseconds */
	uint64_t session_rate, user_rate, total_rate; /* bytes a second or NUM_UNLIMITED */
	uint64_t file_size;                           /* bytes or NUM_UNLIMITED */
	uint64_t free_space;
	uint64_t uploads_keep; /* microseconds */
	enum config_log_target log_target;
	enum config_log_level log_level;
	unsigned n_shares;
	struct config_share shares[CONFIG_SHARES_MAX];
	unsigned n_rules, n_rule_users;
	struct config_rule rules[CONFIG_RULES_MAX];
	char rule_users[CONFIG_RULE_USERS_MAX][USER_NAME_MAX + 1]; /* "*": whoever has logged in */
};

enum { CONFIG_PROBLEMS_MAX = 500 };

/* What is wrong, in the order of the file: every problem, not only the first. */
struct config_problem {
	bool fatal; /* else a warning */
	int line;   /* 0: of the whole file */
	char *text; /* with the cure */
};
struct config_problems {
	struct config_problem *list; /* at most CONFIG_PROBLEMS_MAX */
	size_t n;
	bool fatal; /* one of them is, also of those there was no room for */
	char file[PATH_MAX];
};
void config_problems_done(struct config_problems *p);
bool config_problems_fatal(const struct config_problems *p);
/* "ftd.conf:12: …" lines. */
void config_problems_print(const struct config_problems *p, FILE *to);

/* Parses and checks the file (all that can be known without binding or opening shares).
 * The caller frees *ret. 0; -EINVAL: *problems says why and *ret is untouched; -errno, said there
 * too. */
int config_load(const char *file, struct config **ret, struct config_problems *problems);
/* The same from memory; name is what problems call the file. */
int config_parse(const char *text, const char *name, struct config **ret,
		 struct config_problems *problems);

/* Checks of a share root: it is a directory, may be written to where there are rights to, can have
 * a quota. Adds to problems. Returns on which file system it is, 0: not known. Where that hangs, so
 * does this. */
dev_t config_check_root(const struct config *c, unsigned share, struct config_problems *problems);

/* Checks of the machine but for the share roots: run_as and groups exist, descriptor limit,
 * addresses can be bound unless listed in skip (as "address:port") or in use while a daemon listens
 * at control.path. Adds to problems. 0 or -EINVAL. */
int config_check_machine(const struct config *c, const char *const *skip, size_t n_skip,
			 struct config_problems *problems);

/* Reads the users file and checks it for one who will read it as reader. The caller frees
 * *ret_text,
 * "" where there is no file. 0; -EINVAL: a problem of the option users says why, with file and
 * line; -ENOMEM. */
int config_read_users(const struct config *c, uid_t reader, char **ret_text, size_t *ret_len,
		      struct config_problems *problems);

/* Warns of share roots that the installed systemd unit keeps read-only or hides, with the drop-in
 * that helps (for ftd --check). */
void config_check_unit(const struct config *c, struct config_problems *problems);

/* Adds a problem (printf); used by the supervisor for what only binding can tell. */
void config_problem_add(struct config_problems *p, bool fatal, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

enum config_live { CONFIG_LIVE_NOW, CONFIG_LIVE_NEW_SESSIONS, CONFIG_LIVE_RESTART };

/* Every option with its effective value, as "limits.sessions" / "1024" (a value as in the file,
 * lists and groups in one line). Stops at a negative answer and returns it. */
int
config_each(const struct config *c,
	    int (*row)(void *userdata, const char *path, const char *value, enum config_live live),
	    void *userdata);

/* The options whose values differ. */
int config_diff(const struct config *old, const struct config *new,
		int (*row)(void *userdata, const char *path, const char *before, const char *after,
			   enum config_live live),
		void *userdata);

/* The longest share whose path is a prefix of name (normalised), or NULL; *ret_rest points at what
 * is left of name beneath it. */
const struct config_share *
config_share_of(const struct config *c, const char *name, const char **ret_rest);

/* "read,list", or "none". Returns buf. */
enum { CONFIG_RIGHTS_TEXT_MAX = 64 };
const char *config_rights_text(unsigned rights, char *buf);

/* Whether no share before it has the same root: what is about roots is done for these. */
bool config_is_first_of_root(const struct config *c, unsigned share);

/* All rights (RIGHT_*) that somebody may have somewhere in the share. */
unsigned config_share_rights(const struct config *c, const struct config_share *share);
